"""Statistics of one period that can be compared with other periods of the same model.

A loss rises when events become more frequent and falls when they become rare, without the model being any better or
worse. The three statistics here are therefore immune to that. *Level* is how far all predictions are off together,
*ranking* how much worse the model orders the rows than it promises, *spread* how much larger the errors are than such
rows had before, once the level is mended. Each has a sampling variance over whole resample units.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from tallystick.pipeline.evaluate.losses import Measure, relative, row_losses
from tallystick.pipeline.evaluate.metrics import Floats, Scored, Units
from tallystick.pipeline.evaluate.stability import auc_with_cluster_se, cluster_se_of_mean
from tallystick.pipeline.recipes import Task

STATISTICS = ("level", "ranking", "spread")
"""Level is bad on both sides, the others where they rise."""
STEPS = 60
BINS = 10
CLIPPED = 0.995
"""Residuals about the middle one of their period are clipped at this quantile of the model's own: one absurd target is
not a month of errors."""


class PeriodStatistic(msgspec.Struct, frozen=True, kw_only=True):
    """A statistic of one period with its sampling variance."""

    value: float
    variance: float
    rows: int
    units: int
    """Resample units with rows."""


class Measures(NamedTuple):
    """Everything measured of one period."""

    known: dict[str, PeriodStatistic]
    """The statistics that the rows allow, by name."""
    loss: float
    expected_loss: float
    recalibrated_loss: float
    """Loss after only the intercept is fitted again on the period itself."""
    estimate: float | None
    """Loss that the probabilities alone expect, without any label (CBPE); None for numbers."""
    auc: float | None
    expected_auc: float | None
    slope: float | None
    """Slope of the target on the prediction; None for a yes or no."""
    scale: float
    """Target units of one unit of the level; 1 for a yes or no, whose level is a shift of the logit."""
    moved: Floats
    """Predictions after the new intercept."""
    expected: Floats
    """Expected loss of each row."""

    @property
    def numbers(self) -> dict[str, float]:
        """The plain numbers by name, as they are recorded."""
        found = {
            "loss": self.loss,
            "expected_loss": self.expected_loss,
            "recalibrated_loss": self.recalibrated_loss,
            "estimate": self.estimate,
            "auc": self.auc,
            "expected_auc": self.expected_auc,
            "slope": self.slope,
            "scale": self.scale,
            **{name: item.value for name, item in self.known.items()},
        }
        return {name: value for name, value in found.items() if value is not None}


# Expectation of a regression -----------------------------------------------------------------------------------


class Expectation(NamedTuple):
    """What rows of a regression lose as a rule, by the tenth of the prediction; residuals clipped."""

    edges: Floats
    means: Floats
    clip: float
    all_means: Floats
    """The means of all own windows, also where one of them is left out: the unit of the level is the same for all.

    Without the window with the largest level the others lose less. In a unit of its own each, a level that grows
    evenly would bend upwards, and the next period would seem too low.
    """

    def of(self, p: Floats) -> Floats:
        """The expected loss of each row."""
        return np.asarray(self.means[np.searchsorted(self.edges, p, side="right")])

    def unit_of(self, p: Floats) -> Floats:
        """The expected loss of each row by all own windows."""
        return np.asarray(self.all_means[np.searchsorted(self.edges, p, side="right")])


def expectations(own: Sequence[Scored]) -> tuple[list[Expectation], Expectation]:
    """What is expected of each own window from the other windows only, and of a new period from all of them."""
    p = np.concatenate([item.p for item in own])
    residual = np.concatenate([np.abs(item.y - item.p - _middle(item)) for item in own])
    edges = np.unique(np.quantile(p, np.linspace(0.0, 1.0, BINS + 1)[1:-1]))
    clip = float(np.quantile(residual, CLIPPED))
    size = len(edges) + 1
    sums, rows = np.zeros((len(own), size)), np.zeros((len(own), size))
    for index, item in enumerate(own):
        place = np.searchsorted(edges, item.p, side="right")
        loss = weighted(row_losses(item.measure, clipped_targets(item, clip), item.p), item.weights)
        sums[index] = np.bincount(place, weights=loss, minlength=size)
        rows[index] = np.bincount(place, weights=item.weights, minlength=size)
    of_all = _means(sums.sum(0), rows.sum(0))
    found = [
        Expectation(edges, _means(sums.sum(0) - s, rows.sum(0) - r), clip, of_all)
        for s, r in zip(sums, rows, strict=True)
    ]
    return found, Expectation(edges, of_all, clip, of_all)


def _means(sums: Floats, rows: Floats) -> Floats:
    whole = float(sums.sum() / max(rows.sum(), 1.0))
    return np.where(rows > 0, sums / np.maximum(rows, 1.0), whole)


def _middle(rows: Scored) -> float:
    return float(np.median(rows.y - rows.p))


def clipped_targets(rows: Scored, clip: float) -> Floats:
    """Targets no farther from their prediction than the clip, as seen from the middle residual; counts stay counts.

    From the middle: a level that has grown is no absurd target, and clipped it would seem to fall behind its trend.
    """
    middle = _middle(rows)
    y = rows.p + middle + np.clip(rows.y - rows.p - middle, -clip, clip)
    return np.maximum(y, 0.0) if rows.measure.name == "poisson_deviance" else y


# The measures --------------------------------------------------------------------------------------------------


def measure(task: Task, rows: Scored, expectation: Expectation | None = None) -> Measures:
    """All statistics of the rows of one period, n > 0; a regression needs what its own windows let expect.

    Rows count by their weights, in the ranking of a classifier all the same. Where a ranking decides, the loss is the
    log-loss.

    References
    ----------
    Expected loss from predicted probabilities: Guillory et al., "Predicting with confidence on unseen
    distributions", ICCV 2021; known in monitoring as confidence-based performance estimation.
    """
    rows = rows._replace(measure=rows.measure.by_row)
    if task == "classification":
        return _measure_classes(rows)
    if expectation is None:
        _, expectation = expectations([rows])
    return _measure_numbers(rows, expectation)


def _measure_classes(rows: Scored) -> Measures:
    y, p, units, by, weights = rows
    shift, moved = shift_to(float(weighted(y, weights).mean()), p, weights)
    expected = weighted(expected_losses(by, moved), weights)
    after = weighted(row_losses(by, y, moved), weights)
    auc, auc_error = auc_with_cluster_se(y, p, units.codes)
    expected_auc = _expected_auc(moved) if auc is not None else None
    steep = float(weighted(moved * (1.0 - moved), weights).mean())
    known = {}
    error = standard_error(weighted(y - moved, weights), units)
    if error is not None and 0.0 < y.mean() < 1.0:
        known["level"] = _measured(shift, error / steep, units)
    if auc is not None and expected_auc is not None and auc_error is not None and np.ptp(p) > 0.0:
        known["ranking"] = _measured(expected_auc - auc, auc_error, units)
    mean, error = float(expected.mean()), standard_error(after - expected, units)
    if error is not None and mean > 0.0 and 0.0 < y.mean() < 1.0:
        known["spread"] = _measured((float(after.mean()) - mean) / mean, error / mean, units)
    return Measures(
        known=known,
        loss=float(weighted(row_losses(by, y, p), weights).mean()),
        expected_loss=mean,
        recalibrated_loss=float(after.mean()),
        estimate=float(weighted(expected_losses(by, p), weights).mean()),
        auc=auc,
        expected_auc=expected_auc,
        slope=None,
        scale=1.0,
        moved=moved,
        expected=expected,
    )


def _measure_numbers(rows: Scored, expectation: Expectation) -> Measures:
    y, p, units, by, weights = rows
    clipped = rows._replace(y=clipped_targets(rows, expectation.clip))
    gaps = weighted(clipped.y - p, weights)
    expected = weighted(expectation.of(p), weights)
    usual = float(expected.mean())
    unit = float(weighted(expectation.unit_of(p), weights).mean())
    scale = _scale(by, unit, float(weighted(np.maximum(p, 0.0), weights).mean()))
    after = weighted(row_losses(by, clipped.y, number_with_level(clipped)), weights)
    known, slope = {}, None
    if scale > 0.0 and expectation.clip > 0.0:
        error = standard_error(gaps, units)
        if error is not None:
            known["level"] = _measured(float(gaps.mean()) / scale, error / scale, units)
        slope = _slope(clipped.y - p, p, units, weights)
        if slope is not None:
            known["ranking"] = slope
        left = float(after.mean())
        error = standard_error(after / left - expected / usual, units) if left > 0.0 else None
        if error is not None:
            known["spread"] = _measured(float(np.log(left / usual)), error, units)
    moved = number_with_level(rows)
    return Measures(
        known=known,
        loss=float(weighted(row_losses(by, y, p), weights).mean()),
        expected_loss=usual,
        recalibrated_loss=float(weighted(row_losses(by, y, moved), weights).mean()),
        estimate=None,
        auc=None,
        expected_auc=None,
        slope=None if slope is None else 1.0 - slope.value,
        scale=scale,
        moved=moved,
        expected=expected,
    )


def _scale(by: Measure, usual: float, mean: float) -> float:
    """The size of a usual error in the unit of the target, from the usual loss."""
    if by.name == "squared_error":
        return math.sqrt(usual)
    # A deviance has no unit: it is about the squared error over the mean.
    return math.sqrt(usual * mean) if by.name == "poisson_deviance" else usual


def _slope(residual: Floats, p: Floats, units: Units, weights: Floats | None) -> PeriodStatistic | None:
    """How far the slope of the target on the prediction falls short of one, with a variance over units (sandwich)."""
    w = np.ones(len(p)) if weights is None else weights
    centred = p - float((w * p).mean())
    total = float((w * np.square(centred)).sum())
    if total <= 1e-12 * max(1.0, float(np.square(p).sum())):
        return None  # a constant prediction orders nothing
    slope = float((w * centred * residual).sum()) / total
    left = residual - float((w * residual).mean()) - slope * centred
    scores = by_unit(w * centred * left, units)
    present = int((rows_by_unit(units) > 0).sum())
    if present < 2:
        return None
    error = math.sqrt(present / (present - 1) * float(np.square(scores).sum())) / total
    return _measured(-slope, error, units)


def _measured(value: float, error: float, units: Units) -> PeriodStatistic:
    return PeriodStatistic(
        value=value, variance=error**2, rows=len(units.codes), units=int((rows_by_unit(units) > 0).sum())
    )


# Sums over units -----------------------------------------------------------------------------------------------


def by_unit(values: Floats, units: Units) -> Floats:
    """Sum of the values of each unit, in the order of their names."""
    return np.bincount(units.codes, weights=values, minlength=len(units.names)).astype(np.float64)


def rows_by_unit(units: Units) -> Floats:
    """Number of rows of each unit."""
    return np.bincount(units.codes, minlength=len(units.names)).astype(np.float64)


def standard_error(values: Floats, units: Units) -> float | None:
    """Standard error of a mean over whole units; None with fewer than two of them."""
    return cluster_se_of_mean(by_unit(values, units), rows_by_unit(units))


def each_row(units: Units) -> Units:
    """Rows as their own units, where fewer than two units hold them all."""
    if int((rows_by_unit(units) > 0).sum()) >= 2:
        return units
    size = len(units.codes)
    return Units(np.arange(size), tuple(map(str, range(size))))


# Levels --------------------------------------------------------------------------------------------------------


def weighted(values: Floats, weights: Floats | None) -> Floats:
    """Values times weights, where there are any."""
    return values if weights is None else values * weights


def expected_losses(metric: str | Measure, p: Floats) -> Floats:
    """Loss that each probability itself expects: entropy, or variance for the Brier score."""
    return p * row_losses(metric, np.ones_like(p), p) + (1.0 - p) * row_losses(metric, np.zeros_like(p), p)


def number_with_level(rows: Scored) -> Floats:
    """What minimises the loss of the period when every prediction moves by one amount, or for counts by one factor."""
    y, p, _, by, weights = rows
    residual = y - p
    if by.name == "poisson_deviance":
        kept = np.maximum(p, 0.0)
        total = float(weighted(kept, weights).sum())
        return kept * (float(weighted(y, weights).sum()) / total) if total > 0.0 else p
    if by.name == "pinball":
        assert by.quantile is not None
        return p + _quantile(residual, by.quantile, weights)
    if by.name == "absolute_error":
        return p + (float(np.median(residual)) if weights is None else _quantile(residual, 0.5, weights))
    return p + float(weighted(residual, weights).mean())


def _quantile(values: Floats, share: float, weights: Floats | None) -> float:
    """The smallest value that leaves at most ``1 - share`` of the weight above it."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(np.ones(len(values)) if weights is None else weights[order])
    return float(values[order][min(int(np.searchsorted(below, share * below[-1])), len(values) - 1)])


def shift_to(rate: float, p: Floats, weights: Floats | None = None) -> tuple[float, Floats]:
    """The shift of all logits whose mean probability is ``rate``, and the probabilities after it."""
    # A level of exactly none or all has no logit; half a row keeps it finite.
    rate = min(max(rate, 0.5 / len(p)), 1.0 - 0.5 / len(p))
    odds = logits(p)
    low, high, middle = -40.0, 40.0, 0.0
    moved = sigmoid(odds)
    for _ in range(STEPS):
        gap = rate - float(weighted(moved, weights).mean())
        if abs(gap) < 1e-13 or high - low < 1e-12:
            break
        low, high = (middle, high) if gap > 0.0 else (low, middle)
        # Newton's step, or the middle where it would leave the bracket.
        step = middle + gap / max(float(weighted(moved * (1.0 - moved), weights).mean()), 1e-12)
        middle = step if low < step < high else (low + high) / 2.0
        moved = sigmoid(odds + middle)
    return middle, moved


def logits(p: Floats) -> Floats:
    """Log-odds, finite for 0 and 1."""
    clipped = np.clip(p, 1e-9, 1.0 - 1e-9)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def sigmoid(odds: Floats) -> Floats:
    """Probabilities of log-odds."""
    return np.asarray(1.0 / (1.0 + np.exp(-odds)))


def _expected_auc(p: Floats) -> float:
    """AUC if every probability were right: each row counts as positive with p and as negative with 1 - p."""
    order = np.argsort(p, kind="stable")
    positive, negative = p[order], 1.0 - p[order]
    _, starts = np.unique(p[order], return_index=True)
    ups, downs = np.add.reduceat(positive, starts), np.add.reduceat(negative, starts)
    below = np.cumsum(downs) - downs
    total = float(ups.sum() * downs.sum())
    return float((ups * (below + downs / 2.0)).sum()) / total if total > 0 else 0.5


def without(units: Units, left_out: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which rows remain when some units are left out."""
    dropped = [index for index, name in enumerate(units.names) if name in set(left_out)]
    return ~np.isin(units.codes, dropped)


def keep(rows: Scored, kept: npt.NDArray[np.bool_]) -> Scored:
    """Some of the rows, with the units that are still there."""
    present, codes = np.unique(rows.units.codes[kept], return_inverse=True)
    weights = None if rows.weights is None else relative(rows.weights[kept])
    names = tuple(rows.units.names[index] for index in present)
    return Scored(rows.y[kept], rows.p[kept], Units(codes, names), rows.measure, weights)
