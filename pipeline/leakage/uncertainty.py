"""How much of the uncertainty something leaves: its loss, divided by that of the training mean, on test rows.

Log-loss for a yes or no, squared error for a number, pooled over the windows. The bounds hold 99.9 % one-sided, with
an error that treats the rows of a resample unit as one. They come from Student's t: with few units the normal bound
of 3.09 errors is too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from tallystick.pipeline.evaluate.losses import row_losses
from tallystick.pipeline.evaluate.stability import auc_with_cluster_se
from tallystick.pipeline.leakage.evidence import Floats, LeakEvidence, Rows
from tallystick.pipeline.recipes import Task

MOST_BINS = 64
FEWEST_ROWS_IN_BIN = 50
FEWEST_RARER_IN_BIN = 15
SMOOTHING_ROWS = (1.0, 10.0)
"""Rows at the mean that are added to each bin, whichever foretells better: few where the answer itself is looked at,
many where there are many levels."""
FEWEST_CLUSTERS = 5
BEYOND = 0.001
"""Chance that a bound is passed, on one side."""


class Left(NamedTuple):
    """Share of the uncertainty that is left, with its bounds; and how well it ranks."""

    share: float
    error: float
    reach: float
    """Standard errors from the share to each bound."""
    auc: float | None = None
    auc_error: float = 0.0

    @property
    def high(self) -> float:
        return self.share + self.reach * self.error

    @property
    def low(self) -> float:
        return self.share - self.reach * self.error

    @property
    def auc_low(self) -> float:
        return 0.0 if self.auc is None else self.auc - self.reach * self.auc_error


Predicted = Sequence[Floats]
"""Predictions of the test rows, fold by fold."""


def losses(task: Task, y: Floats, predicted: Floats) -> Floats:
    """The loss of each row."""
    if task == "classification":
        predicted = np.clip(predicted, 1e-6, 1 - 1e-6)
    return row_losses("log_loss" if task == "classification" else "squared_error", y, predicted)


def left(evidence: LeakEvidence, predicted: Predicted, instead_of: Predicted | None = None) -> Left | None:
    """What predictions leave of the uncertainty of the training mean, or of other predictions.

    None where that loses nothing, or fewer than 5 units were tested.
    """
    ours, theirs, units, aucs = [], [], [], []
    for place, fold in enumerate(evidence.folds):
        y = evidence.y[fold.test]
        other = np.full(len(y), evidence.y[fold.train].mean()) if instead_of is None else instead_of[place]
        ours.append(losses(evidence.task, y, predicted[place]))
        theirs.append(losses(evidence.task, y, other))
        units.append(evidence.units[fold.test])
        if evidence.task == "classification" and 0.0 < y.mean() < 1.0:
            aucs.append(auc_with_cluster_se(y, predicted[place], units[-1]))
    if not ours:
        return None
    loss, base, unit = np.concatenate(ours), np.concatenate(theirs), np.concatenate(units)
    whole = float(base.sum())
    codes, names = pd.factorize(unit)
    if whole <= 1e-12 * len(base) or len(names) < FEWEST_CLUSTERS:
        return None
    share = float(loss.sum()) / whole
    sums = np.bincount(codes, weights=loss - share * base)
    error = float(np.sqrt(len(names) / (len(names) - 1) * np.square(sums).sum())) / whole
    known = [(value, spread) for value, spread in aucs if value is not None and spread is not None]
    auc = float(np.mean([value for value, _ in known])) if known else None
    auc_error = float(np.sqrt(np.sum([spread**2 for _, spread in known]))) / len(known) if known else 0.0
    return Left(min(share, 1.0), error, reach(len(names) - 1), auc, auc_error)


@lru_cache(maxsize=256)
def reach(freedom: int) -> float:
    from scipy.special import stdtrit

    return float(-stdtrit(freedom, BEYOND))


def alone(evidence: LeakEvidence, values: pd.Series) -> list[Floats]:
    """What one column alone foretells: the smoothed mean answer of its bin or level in training.

    For a number as target it is the mean of what a straight line leaves: bins alone cannot follow a column that rises
    beyond all that training saw, and a past answer then looks better than it is beside anything that can.
    """
    ways: tuple[list[Floats], ...] = tuple([] for _ in SMOOTHING_ROWS)
    lost = [0.0 for _ in SMOOTHING_ROWS]
    for fold in evidence.folds:
        train, test, y = values.iloc[fold.train], values.iloc[fold.test], evidence.y[fold.train]
        start, start_test = np.full(len(y), y.mean()), np.full(len(test), y.mean())
        if evidence.task == "regression" and pd.api.types.is_numeric_dtype(values.dtype):
            start, start_test = _line(train.to_numpy(np.float64), y, test.to_numpy(np.float64))
        codes, test_codes, size = bins_of(train, test, y if evidence.task == "classification" else None)
        rows = np.bincount(codes, minlength=size)
        sums = np.bincount(codes, weights=y - start, minlength=size)
        for way, smoothing in enumerate(SMOOTHING_ROWS):
            predicted = start_test + (sums / (rows + smoothing))[test_codes]
            ways[way].append(predicted)
            lost[way] += float(losses(evidence.task, evidence.y[fold.test], predicted).sum())
    return ways[int(np.argmin(lost))]


def _line(x: Floats, y: Floats, test: Floats) -> tuple[Floats, Floats]:
    present = np.isfinite(x)
    if present.sum() < FEWEST_ROWS_IN_BIN or np.ptp(x[present]) == 0.0:
        return np.full(len(x), y.mean()), np.full(len(test), y.mean())
    centre, middle = x[present].mean(), y[present].mean()
    moved = x[present] - centre
    slope = float((moved * (y[present] - middle)).sum() / np.square(moved).sum())
    return tuple(np.where(np.isfinite(v), middle + slope * (v - centre), y.mean()) for v in (x, test))


def bins_of(values: pd.Series, other: pd.Series, y: Floats | None = None) -> tuple[Rows, Rows, int]:
    """Bins or levels of one column, learnt from ``values``: codes of both series, and how many codes there are.

    Numbers: at most 64 bins of equal numbers of rows, a bin of its own for each value that bounds two of them, and one
    for missing. With answers ``y`` (0 or 1) the rarer ones are spread over bins of their own: where 1 row in 100 is a
    yes, no bin of equal rows could hold them apart. Text: a code for each level, one for missing, one (the last) for
    levels that ``values`` does not have.
    """
    if pd.api.types.is_numeric_dtype(values.dtype):
        numeric = values.to_numpy(dtype=np.float64)
        present = numeric[~np.isnan(numeric)]
        bins = max(2, min(MOST_BINS, len(present) // FEWEST_ROWS_IN_BIN))
        shares = np.linspace(0.0, 1.0, bins + 1)[1:-1]
        # Edges are values that occur, so the bins are the same in any other units.
        edges = np.unique(np.quantile(present, shares, method="lower")) if len(present) else present
        if y is not None and len(present):
            rarer = numeric[(y == (y.mean() < 0.5)) & ~np.isnan(numeric)]
            parts = np.linspace(0.0, 1.0, 1 + min(8, max(1, len(rarer) // FEWEST_RARER_IN_BIN)))
            edges = np.unique([*edges, *np.quantile(rarer, parts, method="lower")]) if len(rarer) else edges
        found = []
        for column in (numeric, other.to_numpy(dtype=np.float64)):
            # A value that is an edge is apart from those above and below it: often it is the default.
            at, after = (np.searchsorted(edges, column, side=side) for side in ("left", "right"))
            codes = (at + after).astype(np.int64)
            codes[np.isnan(column)] = 2 * len(edges) + 1
            found.append(codes)
        return found[0], found[1], 2 * len(edges) + 2
    levels = pd.Index(values.dropna().unique())
    named = []
    for text in (values, other):
        level = np.asarray(levels.get_indexer(pd.Index(text)), dtype=np.int64)
        level[level < 0] = len(levels) + 1
        level[text.isna().to_numpy()] = len(levels)
        named.append(level)
    return named[0], named[1], len(levels) + 2


def alike(one: Predicted, other: Predicted) -> float:
    """Rank correlation of two sets of predictions, whichever way each runs."""
    first, second = (pd.Series(np.concatenate(list(item))).rank().to_numpy(np.float64) for item in (one, other))
    if np.ptp(first) == 0.0 or np.ptp(second) == 0.0:
        return 0.0
    return abs(float(np.corrcoef(first, second)[0, 1]))
