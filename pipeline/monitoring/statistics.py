"""Numbers of one period that can be held against other periods of the same model.

A loss rises when events become more frequent and falls when they become rare, without the model being any better
or worse. What is compared is therefore made immune to that: a classifier's own probabilities, moved to the
period's rate, say how much it should lose and how well it should rank (its own expectation), and the statistics
are what it lost and ranked worse than that. A change of mix alone moves none of them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from tallystick.pipeline.evaluate.losses import Measure, row_losses
from tallystick.pipeline.evaluate.metrics import Floats, Scored, Units
from tallystick.pipeline.evaluate.stability import auc_with_cluster_se, cluster_se_of_mean
from tallystick.pipeline.recipes import Task

STATISTICS = ("extra_loss", "level", "ranking")
"""Those that decide: loss beyond the model's own expectation at the period's level, mean prediction less observed
mean, and how much worse it ranks than its own probabilities say. The second is bad on both sides."""
STEPS = 60


class Statistic(NamedTuple):
    """A number with its standard error over resample units; None where one unit alone cannot give one."""

    value: float
    standard_error: float | None


class Statistics(NamedTuple):
    """All of one period."""

    loss: float
    level: Statistic
    extra_loss: Statistic
    ranking: Statistic | None
    """None for numbers, and where only one class occurs."""
    recalibrated_loss: float
    """What is lost when only the intercept is fitted again on the period itself."""
    estimate: float | None
    """What the probabilities alone, without any label, say that is lost (CBPE); None for numbers."""
    auc: float | None
    expected: Floats
    """Own expectation of the loss of each row, at the period's level."""

    @property
    def known(self) -> dict[str, float]:
        """The plain numbers by name, as they are recorded."""
        found = {
            "loss": self.loss,
            "level": self.level.value,
            "extra_loss": self.extra_loss.value,
            "ranking": None if self.ranking is None else self.ranking.value,
            "recalibrated_loss": self.recalibrated_loss,
            "estimate": self.estimate,
            "auc": self.auc,
        }
        return {name: value for name, value in found.items() if value is not None}


def statistics(task: Task, rows: Scored, usual_loss: float = 0.0) -> Statistics:
    """All statistics of the mature rows of one period.

    Rows count by their weights, in the ranking of a classifier all the same.

    Parameters
    ----------
    rows : at least one row, with what the pipeline judges by, if that gives a loss to a single row
    usual_loss : float
        Mean loss in the model's own past; a regression expects that, having no probabilities.

    References
    ----------
    Expected loss from predicted probabilities: Guillory et al., "Predicting with confidence on unseen
    distributions", ICCV 2021; known in monitoring as confidence-based performance estimation.
    """
    y, p, units, measure, weights = rows
    moved = with_level(task, rows)
    loss = weighted(row_losses(measure, y, p), weights)
    after = weighted(row_losses(measure, y, moved), weights)
    estimate = None
    if task == "classification":
        expected = weighted(expected_losses(measure, moved), weights)
        estimate = float(weighted(expected_losses(measure, p), weights).mean())
    else:
        expected = weighted(np.full(len(y), usual_loss), weights)
    extra = Statistic(float((loss - expected).mean()), calm_error(loss - expected, units))
    gaps = weighted(p - y, weights)
    level = Statistic(float(gaps.mean()), calm_error(gaps, units))
    auc, ranking = None, None
    if task == "classification":
        auc, auc_error = auc_with_cluster_se(y, p, units.codes)
        if auc is not None:
            ranking = Statistic(_expected_auc(moved) - auc, auc_error)
    return Statistics(
        loss=float(loss.mean()),
        level=level,
        extra_loss=extra,
        ranking=ranking,
        recalibrated_loss=float(after.mean()),
        estimate=estimate,
        auc=auc,
        expected=expected,
    )


CALM = 0.79
"""Standard deviation of a normal variable without the tenth of its values that lie farthest out."""


def calm_error(values: Floats, units: Units) -> float | None:
    """Standard error of a mean over whole units, from the nine tenths of them that are nearest to it.

    One bad day makes the ordinary error so large that the day itself can never be seen against it.
    """
    sums, rows = by_unit(values, units), rows_by_unit(units)
    present = rows > 0
    sums, rows = sums[present], rows[present]
    if len(sums) < 10:
        return cluster_se_of_mean(sums, rows)
    far = np.abs(sums - np.median(sums / rows) * rows)
    kept = np.argsort(far, kind="stable")[: len(sums) - len(sums) // 10]
    error = cluster_se_of_mean(sums[kept], rows[kept])
    return None if error is None else error * math.sqrt(len(kept) / len(sums)) / CALM


def by_unit(values: Floats, units: Units) -> Floats:
    """Sum of the values of each unit, in the order of their names."""
    return np.bincount(units.codes, weights=values, minlength=len(units.names)).astype(np.float64)


def rows_by_unit(units: Units) -> Floats:
    """Number of rows of each unit."""
    return np.bincount(units.codes, minlength=len(units.names)).astype(np.float64)


def weighted(values: Floats, weights: Floats | None) -> Floats:
    """Values times weights, where there are any."""
    return values if weights is None else values * weights


def expected_losses(metric: str | Measure, p: Floats) -> Floats:
    """Loss that each probability itself expects: entropy, or variance for the Brier score."""
    return p * row_losses(metric, np.ones_like(p), p) + (1.0 - p) * row_losses(metric, np.zeros_like(p), p)


def with_level(task: Task, rows: Scored) -> Floats:
    """Predictions with the intercept alone fitted on the period: shifted logits, or a shifted or stretched number."""
    y, p, _, _, weights = rows
    if task == "regression":
        return _number_with_level(rows)
    rate = float(weighted(y, weights).mean())
    # A level of exactly none or all has no logit; half a row keeps it finite.
    rate = min(max(rate, 0.5 / len(y)), 1.0 - 0.5 / len(y))
    clipped = np.clip(p, 1e-9, 1.0 - 1e-9)
    logits = np.log(clipped) - np.log1p(-clipped)
    low, high = -40.0, 40.0
    for _ in range(STEPS):
        middle = (low + high) / 2.0
        if float(weighted(_sigmoid(logits + middle), weights).mean()) < rate:
            low = middle
        else:
            high = middle
    return _sigmoid(logits + (low + high) / 2.0)


def _number_with_level(rows: Scored) -> Floats:
    """What minimises the loss of the period when every prediction moves by one amount, or for counts by one factor."""
    y, p, _, measure, weights = rows
    residual = y - p
    if measure.name == "poisson_deviance":
        kept = np.maximum(p, 0.0)
        total = float(weighted(kept, weights).sum())
        return kept * (float(weighted(y, weights).sum()) / total) if total > 0.0 else p
    if measure.name == "pinball":
        assert measure.quantile is not None
        return p + _quantile(residual, measure.quantile, weights)
    if measure.name == "absolute_error":
        return p + (float(np.median(residual)) if weights is None else _quantile(residual, 0.5, weights))
    return p + float(weighted(residual, weights).mean())


def _quantile(values: Floats, share: float, weights: Floats | None) -> float:
    """The smallest value that leaves at most ``1 - share`` of the weight above it."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(np.ones(len(values)) if weights is None else weights[order])
    return float(values[order][min(int(np.searchsorted(below, share * below[-1])), len(values) - 1)])


def _sigmoid(logits: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-logits)))


def _expected_auc(p: Floats) -> float:
    """AUC if every probability were right: each row counts as positive with p and as negative with 1 - p."""
    order = np.argsort(p, kind="stable")
    positive, negative = p[order], 1.0 - p[order]
    _, starts = np.unique(p[order], return_index=True)
    ups, downs = np.add.reduceat(positive, starts), np.add.reduceat(negative, starts)
    below = np.cumsum(downs) - downs
    total = float(ups.sum() * downs.sum())
    return float((ups * (below + downs / 2.0)).sum()) / total if total > 0 else 0.5


class SinceWhen(msgspec.Struct, frozen=True):
    """Where a change begins within a period."""

    unit: str | None
    """First day of the change; None where the order of the days says nothing."""
    p_value: float


PERMUTATIONS = 999


def since_when(sums: Floats, rows: Floats, names: tuple[str, ...], seed: int) -> SinceWhen:
    """The day after which the cumulative excess goes one way only, and how often shuffled days do the same.

    Parameters
    ----------
    sums, rows : (U,) excess and number of rows of each unit, in the order of time
    seed : int
        Of the permutations.

    References
    ----------
    CUSUM with a permutation test: Taylor, "Change-point analysis", 2000.
    """
    if len(sums) < 4:
        return SinceWhen(None, 1.0)
    steps = sums - sums.sum() / rows.sum() * rows
    path = np.cumsum(steps)
    observed = float(path.max() - path.min())
    source = np.random.default_rng(seed)
    shuffled = source.permuted(np.tile(steps, (PERMUTATIONS, 1)), axis=1).cumsum(axis=1)
    larger = int(((shuffled.max(axis=1) - shuffled.min(axis=1)) >= observed - 1e-12).sum())
    p_value = (larger + 1) / (PERMUTATIONS + 1)
    turn = int(np.argmax(np.abs(path)))
    if p_value >= 0.05 or turn + 1 >= len(names):
        return SinceWhen(None, p_value)
    return SinceWhen(names[turn + 1], p_value)


class Episode(msgspec.Struct, frozen=True):
    """The few units that carry most of an excess."""

    units: tuple[str, ...]
    share: float
    """Of the excess; above one where the other days made up for some of it."""


def episode(sums: Floats, names: tuple[str, ...]) -> Episode | None:
    """The days, at most a tenth, that carry at least half of a positive excess; None where it is spread."""
    total = float(sums.sum())
    most = max(1, math.floor(0.1 * len(sums)))
    if total <= 0.0 or len(sums) < 5:
        return None
    worst = np.argsort(-sums, kind="stable")[:most]
    for count in range(1, most + 1):
        share = float(sums[worst[:count]].sum()) / total
        if share >= 0.5:
            break
    else:
        return None
    # All days of the tenth that stand out in the same way, not only those that just make the half.
    kept = [int(index) for index in worst if sums[index] >= 0.5 * sums[worst[0]]]
    chosen = sorted(set(kept) | {int(index) for index in worst[:count]})
    return Episode(tuple(names[index] for index in chosen), float(sums[chosen].sum()) / total)


def without(units: Units, left_out: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    """Which rows remain when some units are left out."""
    dropped = [index for index, name in enumerate(units.names) if name in left_out]
    return ~np.isin(units.codes, dropped)
