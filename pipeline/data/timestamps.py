"""A column of times, however it is written, as microseconds since 1970-01-01 UTC.

A time with a zone or an offset is absolute. A time without one is the reading of a wall clock in the pipeline's
zone. When clocks are put back, some readings occur twice; when they are put forward, some never occur. Such a
reading means two moments, by the offset before and by the offset after the change: nothing is guessed, it is
refused unless the pipeline file says ``ambiguous = "earlier"`` or ``"later"`` of the two.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.commit import from_micros, to_micros
from tallystick.pipeline.config.durations import LARGEST_STEP, STEP_MICROS
from tallystick.pipeline.config.settings import Time
from tallystick.pipeline.data.periods_as_text import SPELLINGS, period_starts

Ambiguous = Literal["refuse", "earlier", "later"]

_YEAR_FIRST = r"^(\d{4})[/.](\d{2})[/.](\d{2})(?=$|[T ])"
"""2013/04/01 and 2013.04.01 can be read in one way only."""
_DATE_FIRST = r"^\d{4}-\d{2}-\d{2}(?:$|[T ])"
_WITH_OFFSET = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}.*(?:Z|[+-]\d{2}(?::?\d{2})?)$"
_EXAMPLES = 3


def day_of(micros: int, timezone: str) -> dt.date:
    """The date of a moment, microseconds since 1970-01-01 UTC, where the pipeline is."""
    return from_micros(micros).astimezone(ZoneInfo(timezone)).date()


def day_said(micros: int, time: Time) -> str:
    """The date of a moment where the pipeline is, or its step where time is a whole number: ``step 98``."""
    return f"step {micros // STEP_MICROS}" if time.unit == "step" else day_of(micros, time.timezone).isoformat()


def _none_missing(micros: pa.Array, name: str) -> npt.NDArray[np.int64]:
    if micros.null_count:
        raise InvalidInput(
            f"{name}: {micros.null_count:,} of {len(micros):,} rows have no time.",
            "A row without a time belongs to no window; leave such rows out in the source.",
        )
    return np.asarray(micros.to_numpy(), dtype=np.int64)


def utc_micros(
    column: pa.ChunkedArray, *, name: str, timezone: str, ambiguous: Ambiguous, format: str | None = None
) -> pa.Array:
    """The times of a column.

    Parameters
    ----------
    column : pyarrow.ChunkedArray, (n,)
        Timestamps or dates of any unit, ISO 8601 text, or text of quarters, ISO weeks or months such as 1974Q1, which
        is read as the start of the period. Fractions finer than a microsecond are cut off.
    name : str
        What the column is called in errors.
    timezone : str
        IANA name of the zone of wall-clock times.
    ambiguous : {"refuse", "earlier", "later"}
        What a wall-clock time means that occurs twice or never.
    format : str, optional
        How text, or a whole number such as 20130401, holds a time, where every value of the column fits.

    Returns
    -------
    pyarrow.Array, (n,), int64
        Microseconds since 1970-01-01 UTC; null where the time is missing.

    Raises
    ------
    InvalidInput
        With counts and examples: unreadable times, times with and without an offset in one column, wall-clock
        times that occur twice or never; or when the column does not hold times.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if format is not None and (walls := formatted(column, format)) is not None:
        return _array(_localised(walls, name, timezone, ambiguous))
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return _flat(column.cast(pa.timestamp("us", "UTC"), safe=False).cast(pa.int64()))
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        walls = column.cast(pa.timestamp("us"), safe=False).to_pandas()
        return _array(_localised(walls, name, timezone, ambiguous))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _array(_from_text(column.cast(pa.large_string()).to_pandas(), name, timezone, ambiguous))
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.int64())
    raise InvalidInput(
        f"{name} holds {kind}, not times.", "Give timestamps, or ISO 8601 text such as 2013-04-01T05:00:00Z."
    )


def formatted(column: pa.ChunkedArray, format: str) -> pd.Series | None:
    """The readings of the clock that text or whole numbers hold in a format; None where some value does not fit."""
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return None
    texts = column.cast(pa.large_string()).to_pandas()
    walls = pd.to_datetime(texts, format=format, errors="coerce")
    return None if (walls.isna() & texts.notna()).any() or walls.dt.tz is not None else walls


def moments(column: pa.ChunkedArray, name: str, time: Time) -> pa.Array:
    """The times of a column as the pipeline file reads them, int64 microseconds; null where one is missing.

    Whole numbers where ``unit = "step"``: step ``n`` is ``n`` days after 1970-01-01 UTC.

    Raises
    ------
    InvalidInput
        As :func:`utc_micros`; for steps that are not whole numbers, or beyond the years 1 to 9999.
    """
    if time.unit == "calendar":
        return utc_micros(column, name=name, timezone=time.timezone, ambiguous=time.ambiguous, format=time.format)
    kind = column.type
    if not pa.types.is_integer(kind) and not pa.types.is_floating(kind) and not pa.types.is_null(kind):
        raise InvalidInput(
            f'{name} holds {kind}; with unit = "step" the time is a whole number.',
            "Leave unit out of [time] where the column holds dates or times.",
        )
    steps = column.cast(pa.float64()).to_pandas()
    odd = steps.notna() & ((steps % 1 != 0) | (steps.abs() > LARGEST_STEP))
    if odd.any():
        examples = ", ".join(f"{value:g}" for value in steps[odd].head(_EXAMPLES))
        raise InvalidInput(
            f"{name}: {int(odd.sum()):,} of {len(steps):,} steps are not whole numbers between -{LARGEST_STEP:,} and "
            f"{LARGEST_STEP:,}, for example {examples}.",
            "Count the steps from a nearer beginning, in whole numbers.",
        )
    missing = steps.isna().to_numpy()
    return pa.array(steps.fillna(0).to_numpy().astype(np.int64) * STEP_MICROS, pa.int64(), mask=missing)


def row_times(column: pa.ChunkedArray, name: str, time: Time) -> npt.NDArray[np.int64]:
    """The time of every row, (n,) int64 microseconds; InvalidInput as :func:`moments`, and where one is missing."""
    return _none_missing(moments(column, name, time), name)


def _from_text(texts: pd.Series, name: str, timezone: str, ambiguous: Ambiguous) -> pd.Series:
    if (starts := period_starts(texts, name, timezone)) is not None:
        return starts
    texts = texts.str.replace(_YEAR_FIRST, r"\1-\2-\3", regex=True)
    given = texts.dropna()
    absolute = given.str.contains(_WITH_OFFSET, regex=True).astype(bool)
    if absolute.any() and not absolute.all():
        raise InvalidInput(
            f"{name} mixes {absolute.sum():,} times with an offset (for example {given[absolute].iloc[0]}) and "
            f"{(~absolute).sum():,} without (for example {given[~absolute].iloc[0]}).",
            "Write all of them in one way; to guess would move some of them by hours.",
        )
    aware = bool(absolute.any())
    moments = pd.to_datetime(texts, format="ISO8601", utc=aware, errors="coerce")
    unread = texts.notna() & (moments.isna() | ~texts.str.contains(_DATE_FIRST, regex=True).fillna(False).astype(bool))
    if unread.any():
        examples = ", ".join(repr(text) for text in texts[unread].head(_EXAMPLES))
        raise InvalidInput(
            f"{name}: {unread.sum():,} of {len(texts):,} times cannot be read, for example {examples}.",
            "Write them as ISO 8601: 2013-04-01T05:00:00Z, or 2013-04-01 05:00:00 in the pipeline's time zone. Or say "
            'in [time] how they are written, as in format = "%d.%m.%Y". Quarters, ISO weeks and months are written as '
            f"{SPELLINGS}.",
        )
    return moments if aware else _localised(moments, name, timezone, ambiguous)


def _localised(walls: pd.Series, name: str, timezone: str, ambiguous: Ambiguous) -> pd.Series:
    """Wall-clock times as moments in UTC."""
    walls = walls.astype("datetime64[us]")
    moments = walls.dt.tz_localize(timezone, ambiguous="NaT", nonexistent="NaT").dt.tz_convert("UTC")
    doubtful = moments.isna() & walls.notna()
    if not doubtful.any():
        return moments
    zone = ZoneInfo(timezone)
    readings = {wall: _readings(wall.to_pydatetime(), zone) for wall in walls[doubtful].unique()}
    if ambiguous == "refuse":
        skipped = sum(_is_skipped(wall, zone) for wall in walls[doubtful])
        counts = [(int(doubtful.sum()) - skipped, "occur twice"), (skipped, "never occur")]
        said = " and ".join(f"{count:,} {what}" for count, what in counts if count)
        examples = ", ".join(_doubt_words(wall, zone) for wall in list(readings)[:_EXAMPLES])
        raise InvalidInput(
            f"{name}: of {len(walls):,} wall-clock times in {timezone}, {said} at a change of the clocks, for example "
            f"{examples}.",
            'Give times with an offset, or write in [time] which of the two is meant: ambiguous = "earlier" or '
            'ambiguous = "later"',
        )
    chosen = {wall: min(both) if ambiguous == "earlier" else max(both) for wall, both in readings.items()}
    resolved = pd.to_datetime(walls[doubtful].map(chosen), unit="us", utc=True).dt.as_unit("us")
    return moments.where(~doubtful, resolved)


def _readings(wall: dt.datetime, zone: ZoneInfo) -> tuple[int, int]:
    """The moments that a doubtful wall-clock time means by the offset before and after the change (PEP 495)."""
    before, after = (wall.replace(tzinfo=zone, fold=fold).astimezone(dt.UTC) for fold in (0, 1))
    return to_micros(before), to_micros(after)


def _doubt_words(wall: pd.Timestamp, zone: ZoneInfo) -> str:
    """``2013-10-27 02:30:00 (+02:00 or +01:00)``; a reading that never occurs with what the clocks did instead."""
    before, after = (wall.to_pydatetime().replace(tzinfo=zone, fold=fold).isoformat()[-6:] for fold in (0, 1))
    if _is_skipped(wall, zone):
        return f"{wall} (skipped: the clocks went from {before} to {after})"
    return f"{wall} ({before} or {after})"


def _is_skipped(wall: pd.Timestamp, zone: ZoneInfo) -> bool:
    naive = wall.to_pydatetime()
    return naive.replace(tzinfo=zone).astimezone(dt.UTC).astimezone(zone).replace(tzinfo=None) != naive


def _array(moments: pd.Series) -> pa.Array:
    missing = moments.isna().to_numpy()
    micros = moments.dt.as_unit("us").astype("int64").to_numpy(dtype=np.int64)
    return pa.array(micros, pa.int64(), mask=missing)


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()
