"""What a candidate is judged by: the loss of each row, or how well it ranks, by its name in the pipeline file.

A loss belongs to a row, so sums of it by resample unit are enough for every later bootstrap. A ranking (AUC, average
precision) belongs to all rows together. Each row's part in it is taken from the derivative of the metric by the row's
weight: the parts of all rows have the mean ``1 - metric``, and their sums by unit serve the bootstrap as sums of
losses do, with an error that vanishes as windows grow (the infinitesimal jackknife; Efron, "The Jackknife, the
Bootstrap and Other Resampling Plans", 1982, chapter 6).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import numpy.typing as npt

from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline.config.settings import RANKINGS, Costs, Pipeline

Floats = npt.NDArray[np.float64]

SMALLEST_PROBABILITY = 1e-15
SMALLEST_MEAN = 1e-15
"""Predicted numbers of events below it count as this: the deviance has no value at zero or less."""


class Measure(msgspec.Struct, frozen=True):
    """A metric with all that it needs beside targets and predictions."""

    name: str
    quantile: float | None = None
    """Which quantile is predicted; of ``pinball`` alone."""
    costs: Costs | None = None
    threshold: float | None = None
    """Least probability that counts as a yes; of ``cost`` alone, where it has been chosen."""

    @property
    def ranks(self) -> bool:
        """Whether larger is better and gains are differences: AUC and average precision."""
        return self.name in RANKINGS

    @property
    def by_row(self) -> Measure:
        """The measure itself, or log-loss where it gives no loss to a single row."""
        return Measure("log_loss") if self.ranks else self

    def at(self, threshold: float | None) -> Measure:
        """With a threshold; the measure itself where there is none."""
        return self if threshold is None else msgspec.structs.replace(self, threshold=threshold)


def measure_of(settings: Pipeline) -> Measure:
    """What a pipeline file judges by."""
    rule = settings.selection
    return Measure(rule.metric, rule.quantile, rule.costs)


def gain_of(metric: str, ours: float | None, reference: float | None) -> float | None:
    """What a candidate gains on the reference in a window: a share of its loss, or a difference of two rankings.

    None where one of them has no value, or the reference loses nothing.
    """
    if ours is None or reference is None:
        return None
    if metric in RANKINGS:
        return ours - reference
    return None if reference == 0.0 else (reference - ours) / reference


def row_losses(metric: str | Measure, y: Floats, p: Floats) -> Floats:
    """Loss of each row; smaller is better and none is negative.

    Parameters
    ----------
    metric : the name of a loss that needs nothing else, or a measure that is no ranking
    y : (n,) targets; 0 or 1 for ``log_loss``, ``brier`` and ``cost``, zero or more for ``poisson_deviance``
    p : (n,) predictions; probabilities for the first three, clipped to [1e-15, 1 - 1e-15] for the logarithm

    Raises
    ------
    InvalidInput
        Where ``poisson_deviance`` meets a negative target.
    """
    measure = Measure(metric) if isinstance(metric, str) else metric
    if measure.name not in _LOSSES:
        raise ValueError(measure.name)
    return _LOSSES[measure.name](measure, y, p)


def _log_loss(_: Measure, y: Floats, p: Floats) -> Floats:
    clipped = np.clip(p, SMALLEST_PROBABILITY, 1.0 - SMALLEST_PROBABILITY)
    return -np.where(y == 1.0, np.log(clipped), np.log1p(-clipped))


def _squared(_: Measure, y: Floats, p: Floats) -> Floats:
    return np.square(p - y)


def _absolute(_: Measure, y: Floats, p: Floats) -> Floats:
    return np.abs(p - y)


def _pinball(measure: Measure, y: Floats, p: Floats) -> Floats:
    assert measure.quantile is not None
    over = p - y
    return np.asarray(np.where(over > 0.0, (1.0 - measure.quantile) * over, -measure.quantile * over))


def _poisson_deviance(_: Measure, y: Floats, p: Floats) -> Floats:
    if len(y) and float(y.min()) < 0.0:
        negative = int((y < 0.0).sum())
        raise InvalidInput(
            f"poisson_deviance judges counts, and {negative:,} of {len(y):,} targets are negative.",
            'Mend the target, or say metric = "squared_error" in [selection].',
        )
    mean = np.maximum(p, SMALLEST_MEAN)
    happened = y > 0.0
    logs = np.where(happened, y * np.log(np.where(happened, y, 1.0) / mean), 0.0)
    # Rounding takes a perfect prediction below zero.
    return np.asarray(np.maximum(2.0 * (logs - y + mean), 0.0))


def _cost(measure: Measure, y: Floats, p: Floats) -> Floats:
    assert measure.costs is not None and measure.threshold is not None
    costs, positive = measure.costs, y == 1.0
    said_yes = np.where(positive, costs.right_yes, costs.false_alarm)
    said_no = np.where(positive, costs.missed, costs.right_no)
    return np.asarray(np.where(p >= measure.threshold, said_yes, said_no), dtype=np.float64)


_LOSSES: dict[str, Callable[[Measure, Floats, Floats], Floats]] = {
    "log_loss": _log_loss,
    "brier": _squared,
    "squared_error": _squared,
    "absolute_error": _absolute,
    "pinball": _pinball,
    "poisson_deviance": _poisson_deviance,
    "cost": _cost,
}


# Ranking ---------------------------------------------------------------------------------------------------


def ranking_losses(metric: str, y: Floats, p: Floats, weights: Floats | None = None) -> Floats | None:
    """Each row's part in a ranking metric: the mean is one less the metric; None where only one class is present.

    Parameters
    ----------
    metric : {"roc_auc", "average_precision"}
    y, p : (n,) targets, 0 or 1, and predictions, of which only the order matters
    weights : (n,), optional
    """
    w = np.ones(len(y)) if weights is None else weights
    positive = np.where(y == 1.0, w, 0.0)
    negative = w - positive
    if not positive.any() or not negative.any():
        return None
    slopes = _auc_slopes if metric == "roc_auc" else _precision_slopes
    value, slope = slopes(y == 1.0, p, positive, negative)
    return np.asarray(1.0 - value - len(y) * w * slope)


def _auc_slopes(yes: npt.NDArray[np.bool_], p: Floats, positive: Floats, negative: Floats) -> tuple[float, Floats]:
    """The area under the ROC curve, ties counting one half, and its derivative by the weight of each row."""
    _, codes = np.unique(p, return_inverse=True)
    ups, downs = np.bincount(codes, weights=positive), np.bincount(codes, weights=negative)
    all_up, all_down = float(ups.sum()), float(downs.sum())
    beaten = (np.cumsum(downs) - downs / 2.0) / all_down
    beats = 1.0 - (np.cumsum(ups) - ups / 2.0) / all_up
    value = float((ups * beaten).sum()) / all_up
    own = np.where(yes, beaten[codes], beats[codes]) - value
    return value, np.asarray(own / np.where(yes, all_up, all_down))


def _precision_slopes(
    yes: npt.NDArray[np.bool_], p: Floats, positive: Floats, negative: Floats
) -> tuple[float, Floats]:
    """Average precision, equal predictions being one threshold, and its derivative by the weight of each row."""
    _, codes = np.unique(-p, return_inverse=True)
    ups = np.bincount(codes, weights=positive)
    hits = np.cumsum(ups)
    said = np.cumsum(ups + np.bincount(codes, weights=negative))
    all_up = float(hits[-1])
    precision = hits / said
    value = float((ups * precision).sum()) / all_up
    # A row counts in the precision at its own threshold and at every lower one.
    more, fewer = (np.cumsum(part[::-1])[::-1] for part in (ups / said, ups * hits / np.square(said)))
    own = np.where(yes, precision[codes] - value + more[codes], 0.0)
    return value, np.asarray((own - fewer[codes]) / all_up)


def parts_of(measure: Measure, y: Floats, p: Floats, weights: Floats | None = None) -> Floats | None:
    """What each row adds to a measure, with its weight: a loss, or its part in a ranking, None where that has none."""
    if measure.ranks:
        return ranking_losses(measure.name, y, p, weights)
    loss = row_losses(measure, y, p)
    return loss if weights is None else loss * weights


# Weights ---------------------------------------------------------------------------------------------------


def relative(weights: Floats | None) -> Floats | None:
    """Weights with a mean of one, so that sums over rows stay comparable; None where all are equal."""
    if weights is None or not len(weights) or bool((weights == weights[0]).all()):
        return None
    return np.asarray(weights / weights.mean())


# Threshold -------------------------------------------------------------------------------------------------


def threshold_by_costs(costs: Costs) -> float:
    """Least probability at which a yes costs no more than a no, if probabilities are right.

    References
    ----------
    Elkan, "The Foundations of Cost-Sensitive Learning", IJCAI 2001, equation 2.
    """
    too_much, too_little = costs.false_alarm - costs.right_no, costs.missed - costs.right_yes
    return too_much / (too_much + too_little)


def chosen_threshold(costs: Costs, y: Floats, p: Floats, weights: Floats | None = None) -> float:
    """The threshold to use after these rows: nearest to what the costs alone say, of those that are not clearly dearer.

    A threshold is clearly dearer than the cheapest one if it costs more by over one standard error, taken from the rows
    that the two call differently. Few rows name one of many cheap thresholds by chance; probabilities that are right
    need none but that of the costs. It lies half-way between two predictions, or beyond all of them.
    """
    w = np.ones(len(y)) if weights is None else weights
    levels, codes = np.unique(p, return_inverse=True)
    # From "all rows are a yes" on, each step turns the rows of one level into a no.
    change = w * np.where(y == 1.0, costs.missed - costs.right_yes, costs.right_no - costs.false_alarm)
    total, squares = (
        np.concatenate([[0.0], np.cumsum(np.bincount(codes, weights=part, minlength=len(levels)))])
        for part in (change, np.square(change))
    )
    middle = (levels[:-1] + levels[1:]) / 2.0
    middle = np.where(middle > levels[:-1], middle, levels[1:])  # between neighbours among floats there is nothing
    above = (levels[-1] + 1.0) / 2.0 if levels[-1] < 1.0 else 2.0
    bounds = np.concatenate([[levels[0] / 2.0], middle, [above]])
    best = int(np.argmin(total))
    alike = np.flatnonzero(total - total[best] <= np.sqrt(np.abs(squares - squares[best])))
    return float(bounds[alike[np.argmin(np.abs(bounds[alike] - threshold_by_costs(costs)))]])
