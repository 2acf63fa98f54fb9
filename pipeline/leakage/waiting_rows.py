"""Rows whose answer is not known yet: a feature that is filled afterwards is empty, or another, in them.

They are the only rows of a table that show a feature as it is when the question is asked.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tallystick.pipeline.leakage.evidence import Floats, LeakEvidence, Mask
from tallystick.pipeline.leakage.odds import DEFAULT_SHARE
from tallystick.pipeline.leakage.uncertainty import bins_of

FEWEST_ROWS = 50
SMOOTHING_ROWS = 5.0
MOST_BLOCKS = 40
FAIL_SHARE, FAIL_CHANCE = 0.1, 1e-6
LOOK_SHARE, LOOK_CHANCE = 0.5, 1e-4
STOPPED = 5.0
"""So many expected fillings among the last known rows, and none: its delivery stopped before the answers did."""
JUMP_TIMES = 1.5
JUMP_ERRORS = 5.0
JUMP_SHARE = 0.25


class Emptied(NamedTuple):
    """A feature that is filled less often where the answer is not known yet."""

    fails: bool
    stopped: bool
    filled: int
    rows: int
    before: float
    """Lowest share filled in an earlier block of as many rows."""
    chance: float


class Jump(NamedTuple):
    """A feature whose one-feature prediction moves where the answers end."""

    size: float
    largest_before: float
    errors: float
    share: float
    """Of the way to the end of what it can foretell."""
    waiting: float
    known: float


def blocks_of(evidence: LeakEvidence) -> list[Any]:
    """Rows with an answer, newest block last, each as long as the rows without one; at most 40."""
    waiting = np.flatnonzero(evidence.waiting)
    if len(waiting) < FEWEST_ROWS:
        return []
    known = settled(evidence)
    size = len(waiting)
    number = min(MOST_BLOCKS, len(known) // size)
    if number < 2 and len(known) >= 4 * FEWEST_ROWS:
        # Many rows wait: shorter blocks, or nothing could be compared.
        size, number = len(known) // 4, 4
    return [known[len(known) - (place + 1) * size : len(known) - place * size] for place in range(number)][::-1]


def settled(evidence: LeakEvidence) -> Any:
    """Rows from before the first that waits.

    Where a yes is known sooner than a no, the newest rows with an answer are nearly all yes, and no measure of what a
    feature usually holds.
    """
    return np.flatnonzero(~evidence.waiting & (evidence.times < evidence.times[evidence.waiting].min()))


def emptied(evidence: LeakEvidence, name: str, blocks: list[Any]) -> Emptied | None:
    """Whether a feature is filled in far fewer of the waiting rows than ever before."""
    from scipy.special import bdtr

    if len(blocks) < 2:
        return None
    filled = _filled(evidence.frame[name])
    waiting = filled[evidence.waiting]
    shares = [float(filled[block].mean()) for block in blocks]
    now, lowest = float(waiting.mean()), min(shares)
    newer = shares[len(shares) // 2 :]
    expected = min(shares[-1], *newer)
    if expected == 0.0 or lowest == 0.0:
        return None
    chance = float(bdtr(int(waiting.sum()), len(waiting), expected))
    fails = now <= FAIL_SHARE * lowest and chance < FAIL_CHANCE
    if not fails and not (now <= LOOK_SHARE * lowest and chance < LOOK_CHANCE):
        return None
    known = settled(evidence)
    last = filled[known[-int(np.ceil(STOPPED / expected)) :]]
    stopped = not last.any()
    return Emptied(fails and not stopped, stopped, int(waiting.sum()), len(waiting), lowest, chance)


def _filled(column: pd.Series) -> Mask:
    gone = column.isna().to_numpy()
    counts = column.value_counts()
    if counts.empty or counts.iloc[0] < DEFAULT_SHARE * len(column):
        return ~gone
    return np.asarray((column != counts.index[0]).to_numpy() & ~gone) if gone.mean() < 0.01 else ~gone


def jump(evidence: LeakEvidence, name: str, blocks: list[Any]) -> Jump | None:
    """Whether what a feature alone foretells moves at the edge of the answers as it never did before."""
    if len(blocks) < 4:
        return None
    known = np.flatnonzero(evidence.known)
    column = evidence.frame[name]
    some = known[np.linspace(0, len(known) - 1, min(20_000, len(known))).astype(np.int64)]
    foretold = _foretold(column, some, evidence.y)
    waiting = foretold[evidence.waiting]
    means = np.array([foretold[block].mean() for block in blocks])
    moves = np.abs(np.diff(means))
    size = float(waiting.mean() - means[-1])
    errors = _error(foretold, evidence, np.flatnonzero(evidence.waiting)) + _error(foretold, evidence, blocks[-1])
    error = float(np.sqrt(errors))
    end = float(foretold.max() if size > 0 else foretold.min())
    way = abs(end - means[-1])
    if abs(size) <= JUMP_TIMES * float(moves.max()) or abs(size) <= JUMP_ERRORS * error or abs(size) < JUMP_SHARE * way:
        return None
    if way <= 0.0:
        return None
    parts = (abs(size), moves.max(), abs(size) / max(error, 1e-300), abs(size) / way, waiting.mean(), means[-1])
    return Jump(*(float(part) for part in parts))


def _foretold(column: pd.Series, rows: Any, answers: Floats) -> Floats:
    codes, every, size = bins_of(column.iloc[rows], column)
    y = answers[rows]
    counts = np.bincount(codes, minlength=size)
    sums = np.bincount(codes, weights=y, minlength=size)
    return np.asarray(((sums + SMOOTHING_ROWS * y.mean()) / (counts + SMOOTHING_ROWS))[every], dtype=np.float64)


def _error(foretold: Floats, evidence: LeakEvidence, rows: Any) -> float:
    """Squared standard error of a mean over rows of which those of one unit go together."""
    values = foretold[rows]
    codes, names = pd.factorize(evidence.units[rows])
    sums = np.bincount(codes, weights=values - values.mean())
    clusters = len(names)
    if clusters < 2:
        return float(values.var()) / len(values)
    return float(np.square(sums).sum()) * clusters / (clusters - 1) / len(values) ** 2
