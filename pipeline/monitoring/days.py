"""The days of a period: those that were missed as no day before, and the day from which a change goes one way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from scipy.special import betainc, ndtri, pdtrc

from tallystick.pipeline.evaluate.losses import relative
from tallystick.pipeline.evaluate.metrics import Floats, Scored
from tallystick.pipeline.monitoring.statistics import (
    by_unit,
    clipped_targets,
    logits,
    rows_by_unit,
    shift_to,
    sigmoid,
    weighted,
)
from tallystick.pipeline.recipes import Task

FEWEST_DAYS = 10
FEWEST_ROWS = 5
LARGEST_SHARE = 0.1
DAY_ALPHA = 0.01
FEW_EVENTS = 10.0
PERMUTATIONS = 999
TRIMMED_SHARE = 0.623
"""Mean square of a standard normal number without the tenth that lies farthest out."""


class DaySums(NamedTuple):
    """Of the days of one period with enough rows."""

    names: tuple[str, ...]
    seen: Floats
    """Summed target."""
    foreseen: Floats
    """Summed prediction, at the level that the period has without its worst tenth of days."""
    variance: Floats
    """What chance alone does to the difference: the sum of m(1 - m), or the number of rows."""


def day_sums(task: Task, rows: Scored, clip: float | None) -> DaySums:
    """The days of a period; ``clip`` bounds the residuals of a regression."""
    counts = rows_by_unit(rows.units)
    able = counts >= FEWEST_ROWS
    y = rows.y if clip is None else clipped_targets(rows, clip)
    weights = rows.weights
    seen = by_unit(weighted(y, weights), rows.units)
    squares = np.ones(len(y)) if weights is None else np.square(weights)
    kept = np.ones(len(counts), dtype=bool)
    for _ in range(2):  # once with all days, once without the worst tenth
        here = kept[rows.units.codes]
        if task == "classification":
            those = None if weights is None else relative(weights[here])
            shift, _ = shift_to(float(weighted(y[here], those).mean()), rows.p[here], those)
            moved = sigmoid(logits(rows.p) + shift)
            variance = by_unit(squares * moved * (1.0 - moved), rows.units)
        else:
            moved = rows.p + float(np.average((y - rows.p)[here], weights=None if weights is None else weights[here]))
            variance = by_unit(squares, rows.units)
        foreseen = by_unit(weighted(moved, weights), rows.units)
        far = np.abs(seen - foreseen) / np.sqrt(np.maximum(variance, 1e-12))
        worst = np.argsort(-far, kind="stable")[: int(LARGEST_SHARE * len(counts))]
        kept = np.ones(len(counts), dtype=bool)
        kept[worst] = False
    names = tuple(name for name, ok in zip(rows.units.names, able, strict=True) if ok)
    return DaySums(names, seen[able], foreseen[able], variance[able])


def strange_days(task: Task, now: DaySums, own: Sequence[DaySums]) -> list[str] | None:
    """Days missed as no own day was, and beyond chance. None where days cannot be judged.

    More than a tenth of the days are no episode: nothing is said by days then.
    """
    able = len(now.names) >= FEWEST_DAYS and own and min(len(item.names) for item in own) >= FEWEST_DAYS
    if not able:
        return None
    gaps = np.concatenate([item.seen - item.foreseen for item in own])
    variance = np.concatenate([item.variance for item in own])
    if task == "classification":
        excess = max(0.0, float((np.square(gaps) - variance).sum() / max(np.square(variance).sum(), 1e-12)))
        scale = 1.0
    else:
        excess, scale = 0.0, float(np.square(gaps).sum() / variance.sum())
    before = np.concatenate([_scores(task, item, scale, excess) for item in own])
    scores = _scores(task, now, scale if task == "classification" else max(scale, _usual_scale(now)), excess)
    by_chance = -float(ndtri(DAY_ALPHA / (2 * len(now.names))))
    limit = max(float(np.abs(before).max()), by_chance)
    found = np.flatnonzero(np.abs(scores) > limit)
    return [now.names[index] for index in found] if len(found) <= LARGEST_SHARE * len(scores) else []


def _usual_scale(days: DaySums) -> float:
    """What chance does to most days of one period, per row, estimated without the worst tenth.

    Errors that grew on all days are no episode of some days; the spread judges them.
    """
    squares = np.sort(np.square(days.seen - days.foreseen) / days.variance)
    return float(squares[: len(squares) - int(LARGEST_SHARE * len(squares))].mean()) / TRIMMED_SHARE


def _scores(task: Task, days: DaySums, scale: float, excess: float) -> Floats:
    """Each day's gap as a standard normal one; with few events a day by the tails of counts."""
    spread = np.sqrt(np.maximum(scale * days.variance + excess * np.square(days.variance), 1e-300))
    scores = (days.seen - days.foreseen) / spread
    if task == "classification":
        for index in np.flatnonzero(days.foreseen < FEW_EVENTS):
            scores[index] = _count_score(days.seen[index], max(days.foreseen[index], 1e-9), excess)
    return np.asarray(scores)


def _count_score(seen: float, mean: float, excess: float) -> float:
    """A count against a negative binomial of this mean, or Poisson where days do not differ."""
    if seen <= mean:
        return 0.0 if mean < FEW_EVENTS / 2 else (seen - mean) / math.sqrt(mean + excess * mean**2)
    if excess > 1e-9:
        size = 1.0 / excess
        tail = float(betainc(seen, size, mean / (mean + size)))
    else:
        tail = float(pdtrc(seen - 1.0, mean))
    return -float(ndtri(min(max(tail, 1e-300), 0.5)))


class SinceWhen(msgspec.Struct, frozen=True):
    """Where a change begins within a period."""

    unit: str | None
    """First day of the change; None where the order of the days says nothing."""
    p_value: float


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
