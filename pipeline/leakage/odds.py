"""A value of a feature whose rows have far other odds of a yes than the rest: filled because of the event?

Odds do not depend on the base rate: ten times the odds is as much where 1 in 200 is a yes as where every second one
is. Rows of one unit or one series are not independent, so both counts are divided by their design effect.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tallystick.pipeline.leakage.evidence import Floats, LeakEvidence, Mask, Rows
from tallystick.pipeline.leakage.uncertainty import bins_of

TIMES = 10.0
BEYOND = 0.001
FEWEST_FILLED = 15
FEWEST_ROWS = 50
FEWEST_OF_A_CLASS = 50
MOST_ROWS = 100_000
DEFAULT_SHARE = 0.5


class Odd(NamedTuple):
    """Rows with other odds than the rest."""

    value: str
    rows: int
    rate: float
    rate_elsewhere: float
    times: float
    """Bound of how many times the odds of the rest; below 1 at most so many."""


class Clusters(NamedTuple):
    """What rows belong to, and how much rows that belong together are alike."""

    codes: tuple[Rows, ...]
    within: tuple[float, ...]
    """Intraclass correlation of the answers."""


def odd_values(evidence: LeakEvidence, names: list[str]) -> tuple[dict[str, Odd], dict[str, Odd]]:
    """Features that look filled afterwards, and features of which one value or bin tells."""
    rows = np.flatnonzero(evidence.known)
    rows = rows[np.linspace(0, len(rows) - 1, min(MOST_ROWS, len(rows))).astype(np.int64)] if len(rows) else rows
    y = evidence.y[rows]
    if evidence.task != "classification" or not len(y) or min(y.sum(), (1 - y).sum()) < FEWEST_OF_A_CLASS:
        return {}, {}
    clusters = clusters_of(y, [evidence.units[rows], *(codes[rows] for codes in evidence.series[:-1])])
    filled, telling = {}, {}
    for name in names:
        column = evidence.frame[name].iloc[rows].reset_index(drop=True)
        if (found := filled_afterwards(column, y, clusters)) is not None:
            filled[name] = found
        if (found := telling_value(column, y, clusters)) is not None:
            telling[name] = found
    return filled, telling


def clusters_of(y: Floats, ways: list[Rows]) -> Clusters:
    """The intraclass correlation of the answers for each way of belonging together, by analysis of variance."""
    codes, found = [], []
    for way in ways:
        code = pd.factorize(way)[0].astype(np.int64)
        sizes = np.bincount(code)
        k, n = len(sizes), len(y)
        if k < 2 or k == n:
            continue
        means = np.bincount(code, weights=y) / sizes
        between = float((sizes * np.square(means - y.mean())).sum()) / (k - 1)
        within = float(np.square(y - means[code]).sum()) / (n - k)
        size = (n - float(np.square(sizes).sum()) / n) / (k - 1)
        whole = between + (size - 1) * within
        codes.append(code)
        found.append(max(0.0, (between - within) / whole) if whole > 0 else 0.0)
    return Clusters(tuple(codes), tuple(found))


def design_effect(clusters: Clusters, rows: Mask) -> float:
    """By how much these rows count less than as many independent ones."""
    worst = 1.0
    for codes, within in zip(clusters.codes, clusters.within, strict=True):
        sizes = np.bincount(codes[rows])
        worst = max(worst, 1.0 + within * (float(np.square(sizes).sum()) / max(1, int(rows.sum())) - 1.0))
    return worst


def filled_afterwards(column: pd.Series, y: Floats, clusters: Clusters) -> Odd | None:
    """Whether rows in which a feature has another value than its usual one have ten times the odds, or a tenth."""
    filled = not_default(column)
    if filled is None:
        return None
    return _odd(filled, y, clusters, "is filled", FEWEST_FILLED, 1)


def not_default(column: pd.Series) -> Mask | None:
    """Rows that are filled: not missing where some are, else not the value of half of the rows."""
    gone = column.isna().to_numpy()
    if gone.mean() >= 0.01:
        return ~gone
    counts = column.value_counts()
    if counts.empty or counts.iloc[0] < DEFAULT_SHARE * len(column):
        return None
    return np.asarray((column != counts.index[0]).to_numpy() & ~gone)


def telling_value(column: pd.Series, y: Floats, clusters: Clusters) -> Odd | None:
    """The value or bin of at least 50 rows with the farthest odds, where they are ten times or a tenth of the rest."""
    codes, _, size = bins_of(column, column)
    rows = np.bincount(codes, minlength=size)
    yes = np.bincount(codes, weights=y, minlength=size)
    big = np.flatnonzero((rows >= FEWEST_ROWS) & (rows < len(y)))
    worst: Odd | None = None
    for code in big:
        n, k = rows[code], yes[code]
        if not _maybe(float(n), float(k), len(y), float(y.sum())):
            continue
        mask = codes == code
        found = _odd(mask, y, clusters, words_of(column[mask]), FEWEST_ROWS, len(big))
        if found is not None and (worst is None or abs(np.log(found.times)) > abs(np.log(worst.times))):
            worst = found
    return worst


def _maybe(n: float, k: float, of: int, yes: float) -> bool:
    """Whether the odds themselves are that far, before any bound."""
    here, there = (k + 0.5) / (n - k + 0.5), (yes - k + 0.5) / (of - n - yes + k + 0.5)
    return not 1 / TIMES < here / there < TIMES


def _odd(rows: Mask, y: Floats, clusters: Clusters, value: str, fewest: int, tried: int) -> Odd | None:
    n, k = int(rows.sum()), float(y[rows].sum())
    others, yes = len(y) - n, float(y.sum()) - k
    if n < fewest or not others or not _maybe(n, k, len(y), float(y.sum())):
        return None
    effect = design_effect(clusters, rows)
    low, high = exact_bounds(k / effect, n / effect, BEYOND / tried)
    # Where few others remain their own rate is uncertain too.
    other_effect = design_effect(clusters, ~rows)
    below, above = exact_bounds(yes / other_effect, others / other_effect, 0.05)
    least, most = _odds(low) / _odds(above), _odds(high) / _odds(below)
    if least >= TIMES:
        return Odd(value, n, k / n, yes / others, least)
    if most <= 1.0 / TIMES:
        return Odd(value, n, k / n, yes / others, max(most, 1e-9))
    return None


def _odds(rate: float) -> float:
    return rate / max(1e-12, 1.0 - rate)


def exact_bounds(k: float, n: float, beyond: float) -> tuple[float, float]:
    """Clopper and Pearson's bounds of a rate, each passed with at most this chance; counts need not be whole."""
    from scipy.special import betaincinv

    low = float(betaincinv(k, n - k + 1, beyond)) if k > 0 else 0.0
    high = float(1.0 - betaincinv(n - k, k + 1, beyond)) if n - k > 0 else 1.0
    return low, high


def words_of(values: pd.Series) -> str:
    """A value or a range of values in words."""
    present = values.dropna()
    if present.empty:
        return "is missing"
    if not pd.api.types.is_numeric_dtype(values.dtype):
        return f"= {present.iloc[0]}"
    low, high = float(present.min()), float(present.max())
    return f"= {low:g}" if low == high else f"from {low:g} to {high:g}"


def facts_of(odd: Odd) -> dict[str, Any]:
    """For the record."""
    return {
        "value": odd.value,
        "value_rows": odd.rows,
        "rate": odd.rate,
        "rate_elsewhere": odd.rate_elsewhere,
        "odds_times": odd.times,
    }
