"""From a column of times, however they are written, to microseconds since 1970-01-01 UTC."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from ledger.errors import InvalidInput
from pipeline.sources import is_text

Ambiguous = Literal["refuse", "earlier", "later"]
_HAS_OFFSET = r"(?:[zZ]|[+-]\d{2}:?\d{2})$"


def to_utc_micros(column: pa.ChunkedArray, name: str, timezone: str, ambiguous: Ambiguous) -> npt.NDArray[np.int64]:
    """Every time of a column as microseconds UTC.

    Times that carry a zone or an offset are absolute. Times without one are wall-clock times in ``timezone``;
    those that occur twice or never there, at clock changes, are refused unless ``ambiguous`` says which to take
    (for a time that never occurs: the last moment before the gap or the first one after it).

    Raises
    ------
    InvalidInput
        With counts and examples: missing or unreadable times, a mixture of both kinds, ambiguous times, numbers.
    """
    missing = column.null_count
    if missing:
        raise InvalidInput(
            f"{name}: {missing:,} of {len(column):,} rows have no time.",
            "A row without a time belongs to no window; drop such rows in the source.",
        )
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return _micros(pd.Series(column.cast(pa.timestamp("us", tz="UTC"), safe=False).to_pandas()))
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _localised(pd.Series(column.cast(pa.timestamp("us"), safe=False).to_pandas()), name, timezone, ambiguous)
    if is_text(kind):
        return _from_text(pd.Series(column.cast(pa.string()).to_pandas()), name, timezone, ambiguous)
    raise InvalidInput(
        f"{name} holds {kind}, not times.",
        "Give timestamps or ISO 8601 text such as 2013-04-01T05:00:00Z.",
    )


def _micros(moments: pd.Series) -> npt.NDArray[np.int64]:
    return np.asarray(moments.dt.tz_convert("UTC").dt.as_unit("us").astype("int64"), dtype=np.int64)


def _from_text(texts: pd.Series, name: str, timezone: str, ambiguous: Ambiguous) -> npt.NDArray[np.int64]:
    absolute = texts.str.strip().str.contains(_HAS_OFFSET, regex=True)
    if absolute.any() and not absolute.all():
        raise InvalidInput(
            f"{name}: {int(absolute.sum()):,} times carry an offset and {int((~absolute).sum()):,} do not "
            f"(for example {texts[~absolute].iloc[0]!r}).",
            "Write all of them in one way; guessing would move some of them by hours.",
        )
    moments = pd.to_datetime(texts, format="ISO8601", utc=bool(absolute.all()), errors="coerce")
    unread = moments.isna()
    if unread.any():
        examples = ", ".join(repr(text) for text in texts[unread].head(3))
        raise InvalidInput(
            f"{name}: {int(unread.sum()):,} of {len(texts):,} times cannot be read, for example {examples}.",
            "Write them as ISO 8601: 2013-04-01T05:00:00Z, or 2013-04-01 05:00.",
        )
    return _micros(moments) if absolute.all() else _localised(moments, name, timezone, ambiguous)


def _localised(walls: pd.Series, name: str, timezone: str, ambiguous: Ambiguous) -> npt.NDArray[np.int64]:
    strict = walls.dt.tz_localize(timezone, ambiguous="NaT", nonexistent="NaT")
    unclear = strict.isna()
    if not unclear.any():
        return _micros(strict)
    if ambiguous == "refuse":
        examples = ", ".join(str(wall) for wall in walls[unclear].head(3))
        raise InvalidInput(
            f"{name}: {int(unclear.sum()):,} times occur twice or never in {timezone}, for example {examples}.",
            'Give times with an offset, or say ambiguous = "earlier" or "later" in [time].',
        )
    earlier = ambiguous == "earlier"
    return _micros(
        walls.dt.tz_localize(
            timezone,
            ambiguous=np.full(len(walls), earlier),  # True: the first of the two, on summer time
            nonexistent="shift_backward" if earlier else "shift_forward",
        )
    )
