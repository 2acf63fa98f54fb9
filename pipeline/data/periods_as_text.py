"""Times that a table writes as quarters, ISO weeks or months: ``1974Q1``, ``2018-W31``, ``2013M04``.

Each of them can be read in one way only. A row of such a period is dated at the first moment of the period in the
pipeline's time zone. Both versions of reading (:mod:`pipeline.data.reading`) refused such a column before, so no
older run is read differently.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Literal
from zoneinfo import ZoneInfo

import pandas as pd

from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline.config.windows import first_day, midnight

Period = Literal["quarter", "week", "month"]

_QUARTER = re.compile(r"([0-9]{4})[- ]?[Qq]([1-4])")
_WEEK = re.compile(r"([0-9]{4})-?[Ww]([0-9]{1,2})")
_MONTH = re.compile(r"([0-9]{4})[- ]?[Mm]([0-9]{1,2})")
DAYS: dict[Period, int] = {"quarter": 92, "week": 7, "month": 31}
"""The longest that each can be."""
SPELLINGS = "2018-Q3 or 2018Q3, 2018-W31 or 2018W31, 2018-M04 or 2018M04"
_EXAMPLES = 3


def period_of(text: str) -> tuple[Period, dt.date] | None:
    """Which period a text writes, and its first day; None where it writes none.

    Examples
    --------
    >>> period_of("1974Q1"), period_of("2018-W31"), period_of("2013M04")
    (('quarter', datetime.date(1974, 1, 1)), ('week', datetime.date(2018, 7, 30)), ('month', datetime.date(2013, 4, 1)))
    >>> period_of("2018-W60"), period_of("Q1")
    (None, None)
    """
    if match := _QUARTER.fullmatch(text):
        return _first("quarter", f"{match[1]}-Q{match[2]}")
    if match := _WEEK.fullmatch(text):
        return _first("week", f"{match[1]}-W{match[2]:>02}")
    if match := _MONTH.fullmatch(text):
        return _first("month", f"{match[1]}-{match[2]:>02}")
    return None


def _first(period: Period, label: str) -> tuple[Period, dt.date] | None:
    try:
        return period, first_day(label)
    except ValueError:  # there is no such week or month
        return None


def period_written(texts: pd.Series) -> Period | None:
    """The one kind of period that all texts write; None where some text writes no period, or another kind."""
    found = {period_of(text) for text in texts.dropna().unique()}
    kinds = {one[0] if one else None for one in found}
    return kinds.pop() if len(kinds) == 1 else None


def period_starts(texts: pd.Series, name: str, timezone: str) -> pd.Series | None:
    """The first moment of the period of each text in UTC, NaT where it is missing; None where no text is a period.

    Raises
    ------
    InvalidInput
        With counts and examples: where only some texts are periods, or periods of different length are mixed.
    """
    found = {text: period_of(text) for text in texts.dropna().unique()}
    if not any(found.values()):
        return None
    kinds = texts.map({text: one[0] if one else "no period" for text, one in found.items()})
    counts = kinds.value_counts()
    if len(counts) > 1:
        said = ", ".join(
            f"{rows:,} {kind if rows == 1 or kind == 'no period' else f'{kind}s'} "
            f"(for example {texts[kinds == kind].iloc[0]!r})"
            for kind, rows in counts.items()
        )
        raise InvalidInput(
            f"{name} mixes periods: of {len(texts):,} rows, {said}.",
            f"Write all of them in one way: {SPELLINGS}. Or leave out the rows of the other kind in the source.",
        )
    zone = ZoneInfo(timezone)
    starts = {text: midnight(one[1], zone) for text, one in found.items() if one}
    micros = texts.map(starts).astype("Int64")
    return pd.to_datetime(micros, unit="us", utc=True).astype("datetime64[us, UTC]")
