"""Mean answers over all time: a category coded by its mean answer before the table was split in time.

An honest property of each level (a list price, a risk class) also goes with the mean answers, but it misses them by
the noise of those means: the sum of squared misses, in units of that noise, is then a chi-square with about as many
degrees of freedom as there are levels. A coding that contains the answers misses them by nearly nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from tallystick.pipeline.leakage.evidence import Floats, LeakEvidence, Rows

PRIOR_ROWS = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 300.0)
CONSTANT = 0.05
EXACT = 0.995
NEAR = 0.98
QUARTER = 0.25
FAILS, ASKS = 1e-6, 1e-3
"""Chance that an honest property of the levels misses their mean answers by so little."""
FEWEST_LEVELS = 5
ROWS_A_LEVEL = 4


class LevelColumn(NamedTuple):
    """A column whose levels may have been coded."""

    name: str
    codes: Rows


class Coding(NamedTuple):
    """A feature that is the mean answer of each level of a source."""

    source: str
    r2: float
    r2_past: float
    chance: float
    levels: int


def mean_codings(evidence: LeakEvidence, names: list[str], past: dict[str, Floats]) -> dict[str, Coding]:
    """Numeric features that hold mean answers, each with the source that fits best."""
    found: dict[str, Coding] = {}
    known = evidence.known
    if known.sum() < 200:
        return found
    sources = list(_sources(evidence))
    for name in names:
        if name not in evidence.columns.numeric:
            continue
        values = evidence.frame[name].to_numpy(np.float64)
        for source in sources:
            if source.name == name:
                continue
            coding = _coding(evidence, values, source, known)
            if coding is not None and (name not in found or coding.chance < found[name].chance):
                found[name] = coding
    return found


def _sources(evidence: LeakEvidence) -> Any:
    n = len(evidence.y)
    for name in evidence.names:
        column = evidence.frame[name]
        if name in evidence.columns.numeric:
            values = column.to_numpy(np.float64)
            whole = values[np.isfinite(values)]
            if not len(whole) or (whole[:1000] != np.floor(whole[:1000])).any() or (whole != np.floor(whole)).any():
                continue
        codes = pd.factorize(column, use_na_sentinel=False)[0].astype(np.int64)
        if FEWEST_LEVELS <= codes.max() + 1 <= n // ROWS_A_LEVEL:
            yield LevelColumn(name, codes)
    for number, codes in enumerate(evidence.series[:-1]):
        if FEWEST_LEVELS <= codes.max() + 1 <= n // ROWS_A_LEVEL:
            yield LevelColumn(f"series {number + 1}", codes)


def _coding(evidence: LeakEvidence, values: Floats, source: LevelColumn, known: Any) -> Coding | None:
    there = known & np.isfinite(values)
    codes, x, y = source.codes[there], values[there], evidence.y[there]
    size = int(source.codes.max()) + 1
    rows = np.bincount(codes, minlength=size).astype(np.float64)
    used = rows > 0
    if used.sum() < FEWEST_LEVELS or np.ptp(x) == 0.0:
        return None
    level = _divide(np.bincount(codes, weights=x, minlength=size), rows)
    if np.square(x - level[codes]).sum() > CONSTANT * np.square(x - x.mean()).sum():
        return None
    sums = np.bincount(codes, weights=y, minlength=size)
    means = _divide(sums, rows)
    noise = float(np.square(y - means[codes]).sum()) / max(1.0, len(y) - used.sum())
    if noise <= 1e-12 * max(float(np.var(y)), 1e-300):
        return None
    return _fits(evidence, source, there, (rows, level, means, used), noise)


def _fits(evidence: LeakEvidence, source: LevelColumn, there: Any, levels: Any, noise: float) -> Coding | None:
    from scipy.special import chdtr

    rows, level, means, used = levels
    weights, x, m = rows[used], level[used], means[used]
    grand = float(np.average(m, weights=weights))
    spread = float((weights * np.square(m - grand)).sum())
    if spread <= 0:
        return None
    least, r2 = np.inf, 0.0
    for prior in PRIOR_ROWS:
        # x = a + b (sum + prior × mean) / (n + prior), so the mean of a level is a line in x × (n + prior) / n.
        scaled = np.column_stack([(weights + prior) / weights, x * (weights + prior) / weights])
        target = m + prior * grand / weights
        root = np.sqrt(weights)
        solved = np.linalg.lstsq(scaled * root[:, None], target * root, rcond=None)[0]
        missed = float((weights * np.square(target - scaled @ solved)).sum())
        if missed < least:
            least, r2 = missed, 1.0 - missed / spread
    freedom = int(used.sum()) - 3
    chance = float(chdtr(freedom, least / noise)) if freedom > 0 else 1.0
    if r2 < NEAR or chance > ASKS:
        return None
    past = _past(evidence, source, there, level)
    if 1.0 - r2 >= QUARTER * (1.0 - past):
        return None
    return Coding(source.name, r2, past, chance, int(used.sum()))


def _past(evidence: LeakEvidence, source: LevelColumn, there: Any, level: Floats) -> float:
    """R² of the level's value on the mean of its earlier answers, over the newer half of the rows."""
    order = np.flatnonzero(there)
    codes, y = source.codes[order], evidence.y[order]
    frame = pd.DataFrame({"c": codes, "y": y})
    grouped = frame.groupby("c", sort=False)["y"]
    before = (grouped.cumsum() - frame["y"]) / grouped.cumcount().astype(np.float64).replace(0.0, np.nan)
    newer = (np.arange(len(order)) >= len(order) // 2) & before.notna().to_numpy()
    if newer.sum() < 50:
        return 0.0
    x, past = level[codes][newer], before.to_numpy()[newer]
    if np.ptp(x) == 0.0 or np.ptp(past) == 0.0:
        return 0.0
    return float(np.corrcoef(x, past)[0, 1]) ** 2


def _divide(sums: npt.NDArray[Any], rows: Floats) -> Floats:
    found: Floats = np.zeros(len(sums))
    np.divide(sums, rows, out=found, where=rows > 0)
    return found


def sentence_of(name: str, coding: Coding) -> str:
    """What was found, and what to do."""
    what = f"each level of {coding.source}" if not coding.source.startswith("series") else "each series"
    return (
        f"{name} is the mean answer of {what} over all time (R² {coding.r2:.3f} with the means of {coding.levels} "
        f"levels; {coding.r2_past:.3f} with those of the past alone). It contains the answers to be predicted. Encode "
        "inside the model."
    )
