"""How good a candidate is over time, how sure that is, and how even: scores, intervals, paired comparisons.

Every score is relative to a reference in the same window, because windows differ in how hard they are, and is
monotone: a worse window can never help. Scores that punish spread or reward a rising trend lack that property and
can be raised by spoiling the early windows.

The intervals come from one two-level paired bootstrap, :mod:`pipeline.evaluate.bootstrap`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from tallystick.ledger.errors import InvalidInput, NotFound
from tallystick.pipeline.evaluate.bootstrap import (
    Floats,
    Indices,
    Interval,
    WindowLosses,
    checked,
    draw_gains,
    gains,
    intervals,
    share_as_extreme,
    sign_flip_p,
    sign_patterns,
    smallest_p,
)

__all__ = [
    "Interval",
    "Pair",
    "Score",
    "Scores",
    "WindowLosses",
    "auc_with_cluster_se",
    "calibration_in_large",
    "cluster_se_of_mean",
    "gains",
    "scores",
    "sign_flip_p",
    "smallest_p",
]

Codes = npt.NDArray[np.int64]

DRAWS = 2_000
SLOPE_CELLS = 1_000_000
"""Bounds the bootstrap of the slope, whose cost grows with W²: all 2,000 draws up to 32 windows, fewer beyond."""
FEWEST_SLOPE_DRAWS = 200


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate over all windows. ``mean_gain`` and ``worst_quarter`` decide; from ``slope`` on, report only."""

    candidate: str
    gains: list[float]
    """Share of the reference's loss that is saved, or by how much more it ranks than the reference; by window, in the
    order of ``Scores.windows``."""
    losses: list[float]
    """Mean loss a row, by window; one less the metric where it ranks."""
    mean_gain: float
    mean_interval: Interval
    worst_quarter: float
    """Mean of the ceil(W / 4) smallest gains."""
    worst_quarter_interval: Interval
    worst_quarter_windows: list[str]
    """Labels of those windows, the worst first."""
    worst_window: str
    worst_gain: float
    wins: int
    """Windows with a gain above zero."""
    slope: float | None
    """Theil-Sen, change of the gain from one window to the next; None with one window."""
    slope_interval: Interval | None
    """None with one window, and above 100 windows, where too few draws could be afforded."""
    residual_sd: float | None
    """Spread around that line with W - 2 degrees of freedom; None below three windows."""
    noise_share: float | None
    """Mean sampling variance of a window's gain over the variance of the gains; above one when noise alone would
    move them more than they moved. None where a window has one unit only, or the gains do not vary."""
    trend_penalised: float | None
    """mean + horizon · min(0, slope) - 0.5 · residual sd, for those who must report it. Not monotone: gameable."""


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate against another on the same draws; positive means that the first is better."""

    first: str
    second: str
    mean_difference: float
    """Of the mean gains."""
    mean_interval: Interval
    worst_quarter_difference: float
    worst_quarter_interval: Interval
    loss_difference: float
    """Mean over windows of the second's mean loss a row less the first's, in the unit of the loss."""
    windows_won: int
    windows_lost: int
    sign_flip_p: float
    """Two-sided, see :func:`sign_flip_p`."""

    def turned(self) -> Pair:
        """The same comparison seen from the other side."""
        return Pair(
            first=self.second,
            second=self.first,
            mean_difference=0.0 - self.mean_difference,
            mean_interval=self.mean_interval.turned(),
            worst_quarter_difference=0.0 - self.worst_quarter_difference,
            worst_quarter_interval=self.worst_quarter_interval.turned(),
            loss_difference=0.0 - self.loss_difference,
            windows_won=self.windows_lost,
            windows_lost=self.windows_won,
            sign_flip_p=self.sign_flip_p,
        )


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """All candidates over the same windows."""

    reference: str
    confidence: float
    seed: int
    draws: int
    windows: list[str]
    """Labels in the order given, which is the order of time."""
    smallest_p: float
    """The smallest sign-flip p that this number of windows allows: 2 / 2^W up to 16 windows."""
    candidates: list[Score]
    """Without the reference, whose gain is zero everywhere."""
    pairs: list[Pair]
    """Every two names once, reference included, the one that comes first in the alphabet as ``first``."""
    regret: dict[str, float]
    """Mean gain that each candidate leaves to the best of each window. The only number that depends on who else
    takes part, and therefore nothing is ranked on it."""

    def of(self, candidate: str) -> Score:
        """The score of one candidate.

        Raises
        ------
        NotFound
            There is no such candidate; the reference has no score.
        """
        for score in self.candidates:
            if score.candidate == candidate:
                return score
        raise NotFound(f"There is no score of {candidate!r}.")

    def pair(self, first: str, second: str) -> Pair:
        """Compare two names, in the direction asked for; the reference may be one of them.

        Raises
        ------
        NotFound
            The two were not compared.
        """
        for pair in self.pairs:
            if (pair.first, pair.second) == (first, second):
                return pair
            if (pair.first, pair.second) == (second, first):
                return pair.turned()
        raise NotFound(f"{first!r} and {second!r} were not compared.")


def scores(
    windows: Sequence[WindowLosses],
    *,
    reference: str,
    confidence: float,
    seed: int,
    draws: int = DRAWS,
    validity_windows: float | None,
) -> Scores:
    """Score every candidate against the reference and against every other candidate.

    Parameters
    ----------
    windows : sequence of WindowLosses, length W
        Complete windows in the order of time, all with the same candidates.
    reference : str
        The name among the candidates that gains are relative to.
    confidence : float
        Coverage of every interval, between 0 and 1.
    seed : int
        Zero or more.
    draws : int
        Bootstrap draws.
    validity_windows : float or None
        How many windows ahead a model may be used; only ``trend_penalised`` needs it.

    Raises
    ------
    InvalidInput
        No windows, repeated labels or units, differing candidates, shapes that disagree, or losses that are
        negative, infinite or missing.

    Notes
    -----
    Each draw takes W windows with replacement and, inside each of them, whole units with replacement (a two-stage
    bootstrap: Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8). The gains of a
    draw come from the drawn sums. Sampling noise enters twice, with the windows and inside them, so the intervals
    are rather too wide than too narrow.

    Examples
    --------
    >>> days, rows = ("2013-04-01", "2013-04-02"), np.array([2.0, 2.0])
    >>> april = WindowLosses("2013-04", days, rows, {"rate": np.array([1.0, 1.0]), "tree": np.array([0.5, 1.0])})
    >>> scores([april], reference="rate", confidence=0.9, seed=1, validity_windows=None).of("tree").mean_gain
    0.25
    """
    if not (0.0 < confidence < 1.0 and seed >= 0 and draws >= 1):
        raise InvalidInput(f"confidence {confidence}, seed {seed} and draws {draws} cannot be used together.")
    windows = checked(windows, reference)
    drawn = _draw(windows, reference, confidence, seed, draws)
    others = [name for name in drawn.observed if name != reference]
    best = np.max([drawn.observed[name] for name in others], axis=0) if others else np.zeros(len(windows))
    return Scores(
        reference=reference,
        confidence=confidence,
        seed=seed,
        draws=draws,
        windows=drawn.labels,
        smallest_p=smallest_p(len(windows)),
        candidates=[_score(drawn, name, validity_windows) for name in others],
        pairs=_pairs(drawn, seed),
        regret={name: math.fsum(best - drawn.observed[name]) / len(windows) for name in others},
    )


class _Drawn(NamedTuple):
    """The windows of a comparison with what was observed and drawn of every candidate, the reference included."""

    windows: Sequence[WindowLosses]
    reference: str
    confidence: float
    labels: list[str]
    rows: Floats
    totals: dict[str, Floats]
    """Sum of losses by window."""
    observed: dict[str, Floats]
    """Gains by window."""
    gains: dict[str, Floats]
    """Gains by draw and window."""
    means: dict[str, Floats]
    quarters: dict[str, Floats]
    """Mean gain and worst quarter by draw."""
    positions: npt.NDArray[np.int64]
    """Which window, in the order of time, each draw took at each place."""
    steps: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
    """The earlier and the later window of each pair."""
    slope_draws: int


def _draw(windows: Sequence[WindowLosses], reference: str, confidence: float, seed: int, draws: int) -> _Drawn:
    names = list(windows[0].losses)
    totals = {name: np.array([float(window.losses[name].sum()) for window in windows]) for name in names}
    labels = [window.label for window in windows]
    in_window, drawn = draw_gains(windows, names, reference, seed, draws)
    earlier, later = np.triu_indices(len(windows), k=1)
    most = SLOPE_CELLS // max(1, len(earlier))
    rows = np.array([float(window.rows.sum()) for window in windows])
    ranks = windows[0].ranks
    return _Drawn(
        windows=windows,
        reference=reference,
        confidence=confidence,
        labels=labels,
        rows=rows,
        totals=totals,
        observed={
            name: (totals[reference] - totals[name]) / rows if ranks else gains(totals[reference], totals[name])
            for name in names
        },
        gains=drawn,
        means={name: drawn[name].mean(axis=1) for name in names},
        quarters={name: _worst_quarter(drawn[name]) for name in names},
        positions=np.array([labels.index(label) for label in sorted(labels)])[in_window],
        steps=(earlier, later),
        slope_draws=min(draws, most) if most >= FEWEST_SLOPE_DRAWS else 0,
    )


def _score(drawn: _Drawn, name: str, validity_windows: float | None) -> Score:
    """A candidate against the reference."""
    gain, labels = drawn.observed[name], drawn.labels
    ranked = sorted(range(len(gain)), key=lambda index: (float(gain[index]), labels[index]))
    mean = math.fsum(gain) / len(gain)
    slope, residual_sd = _line(gain, *drawn.steps)
    noise = [_gain_variance(window, name, drawn.reference) for window in drawn.windows]
    some = slice(drawn.slope_draws)
    slopes = _median_slopes(drawn.gains[name][some], drawn.positions[some], *drawn.steps)
    penalised = None
    if validity_windows is not None and slope is not None and residual_sd is not None:
        penalised = mean + validity_windows * min(0.0, slope) - 0.5 * residual_sd
    return Score(
        candidate=name,
        gains=gain.tolist(),
        losses=(drawn.totals[name] / drawn.rows).tolist(),
        mean_gain=mean,
        mean_interval=intervals(drawn.means[name], drawn.confidence)[0],
        worst_quarter=_observed_quarter(gain),
        worst_quarter_interval=intervals(drawn.quarters[name], drawn.confidence)[0],
        worst_quarter_windows=[labels[index] for index in ranked[: _quarter(len(gain))]],
        worst_window=labels[ranked[0]],
        worst_gain=float(gain[ranked[0]]),
        wins=int((gain > 0).sum()),
        slope=slope,
        slope_interval=intervals(slopes, drawn.confidence)[0] if len(slopes) else None,
        residual_sd=residual_sd,
        noise_share=_noise_share(gain, noise),
        trend_penalised=penalised,
    )


def _pairs(drawn: _Drawn, seed: int) -> list[Pair]:
    """Every two candidates against each other, in alphabetic order."""
    pairs: list[Pair] = []
    observed, totals, rows = drawn.observed, drawn.totals, drawn.rows
    alphabetic = sorted(observed)
    signs = sign_patterns(len(drawn.windows), seed)
    for place, first in enumerate(alphabetic[:-1]):
        rest = alphabetic[place + 1 :]
        of_means = intervals(drawn.means[first] - np.array([drawn.means[name] for name in rest]), drawn.confidence)
        of_quarters = intervals(
            drawn.quarters[first] - np.array([drawn.quarters[name] for name in rest]), drawn.confidence
        )
        for index, second in enumerate(rest):
            difference = observed[first] - observed[second]
            pairs.append(
                Pair(
                    first=first,
                    second=second,
                    mean_difference=math.fsum(difference) / len(difference),
                    mean_interval=of_means[index],
                    worst_quarter_difference=_observed_quarter(observed[first]) - _observed_quarter(observed[second]),
                    worst_quarter_interval=of_quarters[index],
                    loss_difference=math.fsum((totals[second] - totals[first]) / rows) / len(rows),
                    windows_won=int((difference > 0).sum()),
                    windows_lost=int((difference < 0).sum()),
                    sign_flip_p=share_as_extreme(difference, signs),
                )
            )
    return pairs


def _quarter(windows: int) -> int:
    return math.ceil(windows / 4)


def _worst_quarter(drawn: Floats) -> Floats:
    """Mean of the smallest quarter of each row; sorted rather than partitioned, so that sums keep one order."""
    return np.asarray(np.sort(drawn, axis=1)[:, : _quarter(drawn.shape[1])].mean(axis=1))


def _observed_quarter(gain: Floats) -> float:
    """The same of the gains themselves. An exactly rounded sum, hence monotone to the last bit."""
    size = _quarter(len(gain))
    return math.fsum(np.sort(gain)[:size]) / size


def _median_slopes(drawn: Floats, positions: Indices, earlier: Indices, later: Indices) -> Floats:
    """Theil-Sen slope of each draw; draws of one window only, repeated, have none and are left out."""
    steps = (positions[:, later] - positions[:, earlier]).astype(np.float64)
    steps[steps == 0.0] = np.nan
    slopes = np.sort((drawn[:, later] - drawn[:, earlier]) / steps, axis=1)
    known = (~np.isnan(steps)).sum(axis=1)
    rows = np.flatnonzero(known)
    # Missing values are sorted to the end, so the middle of the known ones is found by counting.
    return np.asarray((slopes[rows, (known[rows] - 1) // 2] + slopes[rows, known[rows] // 2]) / 2.0)


def _line(gain: Floats, earlier: Indices, later: Indices) -> tuple[float | None, float | None]:
    """Theil-Sen slope (Sen, 1968) a window, and the spread around the line through the median residual."""
    if len(gain) < 2:
        return None, None
    slope = float(np.median((gain[later] - gain[earlier]) / (later - earlier)))
    if len(gain) < 3:
        return slope, None
    residuals = gain - slope * np.arange(len(gain))
    residuals -= np.median(residuals)
    return slope, math.sqrt(math.fsum(np.square(residuals)) / (len(gain) - 2))


def _gain_variance(window: WindowLosses, name: str, reference: str) -> float | None:
    """Sampling variance of a window's gain over its units: a ratio of two sums, linearised, or a difference."""
    base, loss, units = window.losses[reference], window.losses[name], len(window.units)
    if window.ranks:
        error = cluster_se_of_mean(base - loss, window.rows)
        return None if error is None else error * error
    total = float(base.sum())
    if units < 2 or total == 0.0:
        return None
    influence = (loss - float(loss.sum()) / total * base) / total
    return units / (units - 1) * float(np.square(influence).sum())


def _noise_share(gain: Floats, variances: Sequence[float | None]) -> float | None:
    known = [variance for variance in variances if variance is not None]
    spread = float(gain.var(ddof=1)) if len(gain) > 1 else 0.0
    if spread == 0.0 or len(known) < len(variances):
        return None
    return math.fsum(known) / len(known) / spread


# Standard errors over whole units ----------------------------------------------------------------------------


def cluster_se_of_mean(sums: Floats, rows: Floats) -> float | None:
    """Standard error of ``sum(sums) / sum(rows)`` where the rows of one unit move together.

    Parameters
    ----------
    sums, rows : ndarrays of shape (U,)
        Sum of the values and number of rows of each unit.

    Returns
    -------
    float or None
        None with fewer than two units that have rows.

    References
    ----------
    The linearised ratio estimator with units as primary sampling units: Cochran, "Sampling Techniques", 3rd ed.
    (1977), chapter 6.
    """
    present = rows > 0
    sums, rows, units = sums[present], rows[present], int(present.sum())
    if units < 2:
        return None
    residuals = sums - sums.sum() / rows.sum() * rows
    return math.sqrt(units / (units - 1) * float(np.square(residuals).sum())) / float(rows.sum())


def calibration_in_large(y: Floats, p: Floats, units: Codes) -> tuple[float, float | None]:
    """Mean prediction less observed mean, with its standard error over units.

    Parameters
    ----------
    y, p : ndarrays of shape (n,)
        Targets and predictions.
    units : ndarray of int64, shape (n,)
        The resample unit of each row; any whole numbers.

    Raises
    ------
    InvalidInput
        There are no rows.
    """
    if len(y) == 0:
        raise InvalidInput("Without rows there is no calibration to measure.")
    _, codes, counts = np.unique(units, return_inverse=True, return_counts=True)
    sums = np.bincount(codes, weights=p - y).astype(np.float64)
    return float((p - y).mean()), cluster_se_of_mean(sums, counts.astype(np.float64))


def auc_with_cluster_se(y: Floats, p: Floats, units: Codes) -> tuple[float | None, float | None]:
    """Area under the ROC curve, ties counting one half, with its standard error for rows in clusters.

    Parameters
    ----------
    y : ndarray of shape (n,)
        1 for positive rows; everything else is negative.
    p : ndarray of shape (n,)
        Predictions; only their order matters.
    units : ndarray of int64, shape (n,)
        The resample unit of each row; any whole numbers.

    Returns
    -------
    auc : float or None
        None where only one class is present; 0.5 would claim something that was not measured.
    standard_error : float or None
        None also where a class lives in fewer than two units.

    References
    ----------
    Obuchowski, "Nonparametric Analysis of Clustered ROC Curve Data", Biometrics 53 (1997), 567-578. The structural
    components come from mid-ranks (Sun and Xu, 2014), so a million rows take three sorts.
    """
    positive = np.asarray(y == 1.0)
    m, n = int(positive.sum()), int((~positive).sum())
    if m == 0 or n == 0:
        return None, None
    ranks = _mid_ranks(p)
    # The rank among all rows less the rank within the own class counts the rows of the other class that are beaten.
    v10 = (ranks[positive] - _mid_ranks(p[positive])) / n
    v01 = 1.0 - (ranks[~positive] - _mid_ranks(p[~positive])) / m
    auc = float(v10.mean())
    _, codes = np.unique(units, return_inverse=True)
    size = int(codes.max()) + 1
    positives = np.bincount(codes[positive], minlength=size)
    negatives = np.bincount(codes[~positive], minlength=size)
    d10 = np.bincount(codes[positive], weights=v10, minlength=size) - positives * auc
    d01 = np.bincount(codes[~positive], weights=v01, minlength=size) - negatives * auc
    k10, k01 = int((positives > 0).sum()), int((negatives > 0).sum())
    if k10 < 2 or k01 < 2:
        return auc, None
    s10 = k10 / (k10 - 1) * float(np.square(d10).sum()) / m
    s01 = k01 / (k01 - 1) * float(np.square(d01).sum()) / n
    s11 = size / (size - 1) * float((d10 * d01).sum())
    # The cross term may be negative; in a tiny sample it can outweigh the others by rounding.
    return auc, math.sqrt(max(0.0, s10 / m + s01 / n + 2.0 * s11 / (m * n)))


def _mid_ranks(values: Floats) -> Floats:
    """Ranks from 1, equal values sharing the mean of theirs."""
    _, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2.0)[codes])
