"""What a model's own windows foretell of the next period: a prediction interval for each statistic.

The windows differ by chance (sampling) and by themselves (heterogeneity); both go into the interval, and the fewer
windows there are, the wider it is.

References
----------
Higgins, Thompson and Spiegelhalter, "A re-evaluation of random-effects meta-analysis", JRSS A 172 (2009), 137-159,
with k - q degrees of freedom; Satterthwaite, "An approximate distribution of estimates of variance components", 1946.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import ndtri, stdtr, stdtrit

from tallystick.pipeline.evaluate.metrics import Floats
from tallystick.pipeline.monitoring.statistics import PeriodStatistic

FEWEST_OWN_WINDOWS = 4
FEWEST_DEGREES = 3
FEWEST_FOR_TREND = 6
TREND_P = 0.05
FEWEST_FOR_SEASON = 8
SEASON_MONTHS = 24.0
SMALLEST_VARIANCE = 1e-12


class Foretold(NamedTuple):
    """Where the next value is expected, before it is known."""

    centre: float
    spread: float
    """Standard deviation around the centre."""
    degrees: float
    windows: int
    trend: float | None
    """Change of the statistic from one window to the next, where the own windows grow or fall by themselves."""
    season: bool

    def quantile(self, tail: float) -> float:
        """Half-width whose upper tail has this probability."""
        return float(-stdtrit(self.degrees, tail)) * self.spread

    def tail(self, value: float) -> float:
        """Probability of a value at least as high."""
        return float(stdtr(self.degrees, -(value - self.centre) / self.spread))

    def score(self, value: float) -> float:
        """The value as a standard normal one (Quesenberry's Q-score)."""
        t = (value - self.centre) / self.spread
        tail = float(stdtr(self.degrees, -abs(t)))
        return math.copysign(-float(ndtri(max(tail, 1e-300))), t)


class Placed(NamedTuple):
    """One value of a series and when it was, in months; None where windows are no calendar periods."""

    measured: PeriodStatistic
    month: float | None


def foretell(
    own: Sequence[Placed],
    rows: int,
    units: int,
    month: float | None,
    ahead: int = 1,
    *,
    trend: bool | None = None,
) -> Foretold | None:
    """The interval for a period of so many rows and units; None where nothing can be foretold.

    Parameters
    ----------
    own : the statistic in the own windows, in the order of time
    month : when the new period is, in months on the same scale
    ahead : how many windows after the last own one it is
    trend : whether the own windows grow by themselves; found out where it is not said
    """
    if len(own) < FEWEST_OWN_WINDOWS:
        return None
    values = np.array([item.measured.value for item in own])
    months = [item.month for item in own]
    plain = np.ones((len(own), 1))
    index = np.arange(len(own), dtype=np.float64)
    if trend is None:
        trend = len(own) >= FEWEST_FOR_TREND and _slope_p(index, values) < TREND_P
    at = len(own) - 1.0 + ahead
    if trend:
        design = np.column_stack([plain, index])
        return _foretold(design, np.array([1.0, at]), own, (rows, units), "trend")
    if month is not None and None not in months and len(own) >= FEWEST_FOR_SEASON:
        known = np.array([value for value in months if value is not None])
        if known.max() - known.min() + 1.0 >= SEASON_MONTHS:
            turn = 2.0 * math.pi / 12.0
            design = np.column_stack([plain, np.cos(turn * known), np.sin(turn * known)])
            z = np.array([1.0, math.cos(turn * month), math.sin(turn * month)])
            found = _foretold(design, z, own, (rows, units), "season")
            if found is not None:
                return found
    return _foretold(plain, np.ones(1), own, (rows, units))


def _slope_p(index: Floats, values: Floats) -> float:
    """Two-sided p of the least-squares slope."""
    centred = index - index.mean()
    slope = float((centred * values).sum() / np.square(centred).sum())
    left = values - values.mean() - slope * centred
    degrees = len(values) - 2
    error = math.sqrt(float(np.square(left).sum()) / degrees / float(np.square(centred).sum()))
    return 0.0 if error == 0.0 and slope else 1.0 if error == 0.0 else float(2.0 * stdtr(degrees, -abs(slope / error)))


def _foretold(
    design: Floats,
    z: Floats,
    own: Sequence[Placed],
    size: tuple[int, int],
    kind: Literal["trend", "season"] | None = None,
) -> Foretold | None:
    (k, q), (rows, units) = design.shape, size
    degrees = float(k - q)
    if degrees < FEWEST_DEGREES:
        return None
    values = np.array([item.measured.value for item in own])
    variances = np.array([item.measured.variance for item in own])
    inverse = np.linalg.pinv(design.T @ design)
    h = float(z @ inverse @ z)
    if kind == "season" and h > 1.0:
        return None
    beta = inverse @ design.T @ values
    left = values - design @ beta
    between = max(float(np.square(left).sum()) / degrees, 1e-18)
    sampling = float(variances.mean())
    of_rows = float(np.mean([item.measured.variance * item.measured.rows for item in own])) / max(rows, 1)
    of_units = float(np.mean([item.measured.variance * item.measured.units for item in own])) / max(units, 1)
    new = max(of_rows, of_units)
    base = max(between, sampling)
    variance = max(between - sampling, 0.0) + new + base * h
    if variance < SMALLEST_VARIANCE:
        return None
    if between < sampling:
        degrees *= min((sampling / between) ** 2, k / 2.0)
    if new > sampling:
        uncertain = (base * (1.0 + h)) ** 2 / degrees + (new - sampling) ** 2 / max(units - 1, 1)
        degrees = variance**2 / uncertain
    return Foretold(
        centre=float(z @ beta),
        spread=math.sqrt(variance),
        degrees=degrees,
        windows=k,
        trend=float(beta[1]) if kind == "trend" else None,
        season=kind == "season",
    )
