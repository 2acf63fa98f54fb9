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
NOISE_P = 0.05
"""One-sided p below which the noise of the own windows counts as growing."""


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


class _Next(NamedTuple):
    """The period that is foretold: its size, and its place in the order of the own windows."""

    rows: int
    units: int
    place: float


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
        trend = len(own) >= FEWEST_FOR_TREND and _slope(index, values).p < TREND_P
    new = _Next(rows, units, len(own) - 1.0 + ahead)
    if trend:
        design = np.column_stack([plain, index])
        return _foretold(design, np.array([1.0, new.place]), own, new, "trend")
    if month is not None and None not in months and len(own) >= FEWEST_FOR_SEASON:
        known = np.array([value for value in months if value is not None])
        if known.max() - known.min() + 1.0 >= SEASON_MONTHS:
            turn = 2.0 * math.pi / 12.0
            design = np.column_stack([plain, np.cos(turn * known), np.sin(turn * known)])
            z = np.array([1.0, math.cos(turn * month), math.sin(turn * month)])
            found = _foretold(design, z, own, new, "season")
            if found is not None:
                return found
    return _foretold(plain, np.ones(1), own, new)


class _Slope(NamedTuple):
    """A least-squares slope and its two-sided p."""

    value: float
    p: float


def _slope(index: Floats, values: Floats) -> _Slope:
    centred = index - index.mean()
    slope = float((centred * values).sum() / np.square(centred).sum())
    left = values - values.mean() - slope * centred
    degrees = len(values) - 2
    error = math.sqrt(float(np.square(left).sum()) / degrees / float(np.square(centred).sum()))
    if error == 0.0:
        return _Slope(slope, 0.0 if slope else 1.0)
    return _Slope(slope, float(2.0 * stdtr(degrees, -abs(slope / error))))


def _growth_of_noise(own: Sequence[Placed], place: float) -> Floats:
    """How many times as large the sampling variance of each own window would be at a later place.

    Where the loss grows, the variance of the other statistics grows with it: the mean of all windows is then too small
    for the next period, and a quarter of the quiet periods were noticed. Without significant growth all are one. The
    growth is carried on no farther than the own windows reach back.
    """
    sizes = np.array([item.measured.variance * item.measured.units for item in own])
    if len(own) < FEWEST_FOR_TREND or not (sizes > 0.0).all():
        return np.ones(len(own))
    index = np.arange(len(own), dtype=np.float64)
    slope = _slope(index, np.log(sizes))
    if slope.value <= 0.0 or slope.p / 2.0 >= NOISE_P:
        return np.ones(len(own))
    return np.asarray(np.exp(slope.value * (min(place, 2.0 * len(own) - 1.0) - index)))


def _foretold(
    design: Floats,
    z: Floats,
    own: Sequence[Placed],
    new: _Next,
    kind: Literal["trend", "season"] | None = None,
) -> Foretold | None:
    k, q = design.shape
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
    grown = variances * _growth_of_noise(own, new.place)
    of_rows = float(np.mean(grown * np.array([item.measured.rows for item in own]))) / max(new.rows, 1)
    of_units = float(np.mean(grown * np.array([item.measured.units for item in own]))) / max(new.units, 1)
    of_new = max(of_rows, of_units)
    base = max(between, sampling)
    variance = max(between - sampling, 0.0) + of_new + base * h
    if variance < SMALLEST_VARIANCE:
        return None
    if between < sampling:
        degrees *= min((sampling / between) ** 2, k / 2.0)
    if of_new > sampling:
        uncertain = (base * (1.0 + h)) ** 2 / degrees + (of_new - sampling) ** 2 / max(new.units - 1, 1)
        degrees = variance**2 / uncertain
    return Foretold(
        centre=float(z @ beta),
        spread=math.sqrt(variance),
        degrees=degrees,
        windows=k,
        trend=float(beta[1]) if kind == "trend" else None,
        season=kind == "season",
    )
