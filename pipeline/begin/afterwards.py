"""Columns that look as if they were written after the answer was known: by their name, their gaps, their values."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tallystick.pipeline.begin.look import ColumnFacts, TableFacts

Floats = npt.NDArray[np.float64]

NAMES = {
    "actual", "arrival", "arrived", "cancelled", "canceled", "chargeback", "closed", "completed", "delivered", "ended",
    "feedback", "final", "finished", "outcome", "paid", "recovered", "refund", "refunded", "resolution", "resolved",
    "result", "returned", "settled", "updated",
}  # fmt: skip
"""Words in a column's name that speak of an end."""
TELLS_ALL = 0.95
"""A column that alone ranks the answers as well as this (AUC) or orders them so (rank correlation) is no luck."""
MOST_ROWS = 100_000
ROWS_A_LEVEL = 50


def written_afterwards(table: pa.Table, facts: TableFacts, target: str, answer: Floats, time: str) -> dict[str, str]:
    """Columns that may have been written after the answer, each with the reason in words.

    Parameters
    ----------
    answer : (n,) float64
        0 or 1, or the number itself; NaN where it is missing.
    """
    rows = np.linspace(0, table.num_rows - 1, min(MOST_ROWS, table.num_rows)).astype(np.int64)
    sample, known = table.take(pa.array(rows)), answer[rows]
    found = {}
    for column in facts.columns:
        if column.name in (target, time) or column.kind in ("empty", "other"):
            continue
        reason = _by_name(column, facts.column(target)) or _by_gaps(table, column, target)
        reason = reason or _by_time(sample, facts, column, time) or _by_values(sample, column, known)
        if reason is not None:
            found[column.name] = reason
    return found


def _by_name(column: ColumnFacts, target: ColumnFacts) -> str | None:
    said = sorted(column.words & NAMES)
    if said:
        return f"its name says {said[0]!r}"
    shared = sorted(word for word in column.words & target.words if len(word) > 2)
    return f"its name shares {shared[0]!r} with the target" if shared else None


def _by_gaps(table: pa.Table, column: ColumnFacts, target: str) -> str | None:
    """A value that is missing just where the answer is missing was written with it."""
    gone = pc.is_null(table[target])
    gaps, answers = column.missing, table[target].null_count
    if not gaps or not answers:
        return None
    both = pc.sum(pc.and_(pc.is_null(table[column.name]), gone)).as_py() or 0
    if both >= 0.5 * answers and both >= 0.5 * gaps:
        return f"it is missing where {target} is missing"
    return None


def _by_time(sample: pa.Table, facts: TableFacts, column: ColumnFacts, time: str) -> str | None:
    if column.kind != "time" or facts.column(time).kind != "time":
        return None
    this, when = (_times(sample, facts.column(name)) for name in (column.name, time))
    later = float((this > when).mean()) if when.notna().any() else 0.0
    return f"its times lie after {time} in {later:.0%} of the rows" if later > 0.5 else None


def _times(sample: pa.Table, column: ColumnFacts) -> pd.Series:
    values = sample[column.name].to_pandas()
    if column.formats:
        values = pd.to_datetime(values.astype(str), format=column.formats[0], errors="coerce")
    return pd.Series(pd.to_datetime(values, errors="coerce", utc=True))


def _by_values(sample: pa.Table, column: ColumnFacts, answer: Floats) -> str | None:
    if column.kind == "time" or column.levels < 2:
        return None
    if column.kind in ("text", "yes or no"):
        # A category orders numbers well by being a shop or a city; only a yes or no can be written in one.
        if column.levels * ROWS_A_LEVEL > len(answer) or not set(np.unique(answer[np.isfinite(answer)])) <= {0.0, 1.0}:
            return None
        values = sample[column.name].to_pandas().astype(str)
        frame = pd.DataFrame({"level": values, "answer": answer})
        score = frame.groupby("level")["answer"].transform("mean").to_numpy(dtype=np.float64)
    else:
        score = sample[column.name].cast(pa.float64(), safe=False).to_pandas().to_numpy(dtype=np.float64)
    strength = _strength(score, answer)
    if strength is not None and strength >= TELLS_ALL:
        return f"it alone tells the answer almost perfectly ({strength:.2f} of 1)"
    return None


def _strength(score: Floats, answer: Floats) -> float | None:
    """How well a score orders the answers: AUC for a yes or no, else rank correlation; direction does not matter."""
    both = np.isfinite(score) & np.isfinite(answer)
    if both.sum() < 20 or np.ptp(answer[both]) == 0 or np.ptp(score[both]) == 0:
        return None
    ranks = pd.Series(score[both]).rank().to_numpy()
    truth = answer[both]
    if set(np.unique(truth)) <= {0.0, 1.0}:
        yes = truth == 1.0
        auc = (ranks[yes].sum() - yes.sum() * (yes.sum() + 1) / 2) / (yes.sum() * (~yes).sum())
        return float(max(auc, 1 - auc))
    return float(abs(np.corrcoef(ranks, pd.Series(truth).rank())[0, 1]))
