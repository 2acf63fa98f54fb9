"""What follows from the time of a row alone: it was known, however much it tells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tallystick.ledger.events.commit import from_micros
from tallystick.pipeline.leakage.evidence import Floats, LeakEvidence, Mask, Rows

FEWEST_ROWS = 50
LEAST_SEEN = 0.5


def parts_of_time(evidence: LeakEvidence) -> dict[str, Rows]:
    """Parts of the local time of each row, (n,) int64 each."""
    local = pd.to_datetime(evidence.times, unit="us", utc=True).tz_convert(evidence.zone)
    hour = local.hour.to_numpy(np.int64)
    weekday = local.day_of_week.to_numpy(np.int64)
    return {
        "hour": hour,
        "minute of the day": hour * 60 + local.minute.to_numpy(np.int64),
        "weekday": weekday,
        "weekday and hour": weekday * 24 + hour,
        "month": local.month.to_numpy(np.int64),
        "day of the month": local.day.to_numpy(np.int64),
        "day of the year": local.day_of_year.to_numpy(np.int64),
    }


def clock_columns(evidence: LeakEvidence, parts: dict[str, Rows]) -> dict[str, Floats]:
    """Time as models may see it: its parts and its passing."""
    found = {f"clock: {name}": codes.astype(np.float64) for name, codes in parts.items() if np.ptp(codes) > 0}
    return {**found, "clock: time": (evidence.times - evidence.times[0]) / 3.6e9}


def follows_from_clock(evidence: LeakEvidence, parts: dict[str, Rows]) -> dict[str, tuple[dict[str, Any], str]]:
    """Features that a part of the time gives: a table learnt before the last cut-off is right in all later rows.

    Rows whose part was not seen before do not count; at least half of the later rows must be seen, and 50.
    """
    found: dict[str, tuple[dict[str, Any], str]] = {}
    if not evidence.folds:
        return found
    cutoff = int(evidence.times[evidence.folds[-1].test[0]])
    before = evidence.times < cutoff
    for name in evidence.names:
        codes = pd.factorize(evidence.frame[name])[0].astype(np.int64)
        if len(np.unique(codes[~before])) < 2:
            continue
        for part, values in parts.items():
            right = _right(codes, values, before)
            if right is not None:
                facts = {"part": part, "learnt_before": cutoff, "rows": right}
                day = from_micros(cutoff)
                sentence = (
                    f"{name} follows from the time of the row alone ({part}: a table learnt before {day:%Y-%m-%d} is "
                    f"right in all {right:,} later rows). It was known, however much it tells."
                )
                found[name] = facts, sentence
                break
    return found


def _right(codes: Rows, part: Rows, before: Mask) -> int | None:
    """Later rows for which the table of a part is right; None where it is wrong in one, or too few were seen."""
    table = np.full(int(part.max()) + 1, -2, dtype=np.int64)
    table[part[before]] = codes[before]
    told = table[part[~before]]
    seen = told > -2
    if seen.sum() < max(FEWEST_ROWS, LEAST_SEEN * len(seen)) or (told != codes[~before])[seen].any():
        return None
    return int(seen.sum())
