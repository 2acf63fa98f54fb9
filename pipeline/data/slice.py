"""The data slice: which rows and columns a run may see, fixed by content.

What a slice *is* does not depend on file formats, library versions or the order of rows in the source. Rows are
sorted by time and key; each column is encoded as below and hashed with BLAKE3; the fingerprint is the BLAKE3 of
the canonical JSON ``[rows, [[name, kind, hash], …]]`` over the columns in alphabetical order, after joins and
before any row is dropped. A column without any value is of the kind number. Integers of which one is beyond 2**53
are text, in decimals: those are names, not quantities, and float64 would merge them.

    number   IEEE 754 float64, little-endian, one bit pattern for NaN (7ff8000000000000), which means missing
    time     int64 microseconds since 1970-01-01 UTC, little-endian
    text     int32 length in bytes of each value, little-endian, -1 for missing; then all values in UTF-8
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.commit import from_micros
from tallystick.ledger.events.event import encode_canonical
from tallystick.ledger.events.types import Column, Dropped
from tallystick.pipeline.config.conditions import parse_condition
from tallystick.pipeline.config.durations import parse_span, parse_time_expression
from tallystick.pipeline.config.settings import HOUR_BAND, Csv, Data, Join, Pipeline
from tallystick.pipeline.data.answers import Terms, answers, not_due, without_later_answers
from tallystick.pipeline.data.reading import FIRST_READING, READING, Reading, csv_reading
from tallystick.pipeline.data.sources import as_number, column_names, is_text, missing_column, read_source
from tallystick.pipeline.data.timestamps import moments, row_times
from tallystick.pipeline.recipes import Columns

TIME, LABEL_KNOWN, TARGET = "__time", "__label_known", "__target"
ROW = "__row"
CANONICAL_NAN = np.frombuffer(b"\x00\x00\x00\x00\x00\x00\xf8\x7f", dtype="<f8")[0]

LARGEST_EXACT = 2**53
UNKNOWN_TIME = -(2**63)
"""In a column that says when a feature became known: it does not say it."""

Rows = npt.NDArray[np.int64]


class SliceMismatch(InvalidInput):
    """The table is not the one that the pipeline file names."""

    code = "slice-mismatch"


class Slice(msgspec.Struct, frozen=True):
    """A reference to a slice: small, and enough for any process on this machine to read its rows."""

    path: str
    """Arrow file, uncompressed, that workers map into memory."""
    name: str
    """The first 12 hexadecimal digits of the hash of what it holds."""
    source: str
    source_rows: int
    rows: int
    fingerprint: str
    columns: list[Column]
    dropped: list[Dropped]
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    key: tuple[str, ...]
    group: str | None
    first_time: int
    """Microseconds since 1970-01-01 UTC."""
    last_time: int
    data_bytes: int
    reading: int
    """The version of reading; see :mod:`pipeline.data.reading`."""

    @property
    def features(self) -> Columns:
        """Feature names by what they hold."""
        return Columns(self.numeric, self.categorical)


def cut(
    settings: Pipeline,
    base: Path,
    folder: Path,
    *,
    until: int | None = None,
    terms: Terms = Terms(),  # noqa: B008 - a value, frozen
) -> Slice:
    """Load, join, check and sort the table of a pipeline, and write the slice into ``folder``.

    Parameters
    ----------
    until : int, optional
        Leave out rows from this time on (microseconds since 1970-01-01 UTC), as if the table had been read then. What
        the file says of the whole table is checked before.
    terms : Terms
        The version of reading, and which answers may be missing.

    Raises
    ------
    InvalidInput
        For a table that does not fit the pipeline file, with counts and examples.
    SliceMismatch
        When it is another table than ``rows_expected`` or ``fingerprint`` say.
    """
    data = settings.data
    table, columns, fingerprint = _whole(settings, base, until, terms)
    source_rows = table.num_rows
    table, dropped = _drop(table, settings, terms)
    target = answers(table, TIME, settings, terms)
    if data.weight is not None:
        _check_weights(table[data.weight.column], data)
    content = [
        fingerprint,
        [drop.where for drop in dropped],
        msgspec.to_builtins(data.target),
        settings.time.label_delay,
    ]
    label_delay = parse_span(settings.time.label_delay).exact_micros("label_delay")
    times = table[TIME].combine_chunks()
    features = list(data.features.known_at)
    kept = {
        TIME: times,
        LABEL_KNOWN: pc.add(times, label_delay),
        TARGET: pa.array(target, pa.float64()),  # NaN, not null: an answer that is not known yet
        **{name: compact(table[name]) for name in table.column_names if name != TIME},
    }
    path = folder / "slice.arrow"
    written = pa.table(kept)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, written.schema) as writer:
        writer.write_table(written)
    return Slice(
        path=str(path),
        name=blake3(encode_canonical(content)).hexdigest()[:12],
        source=data.source,
        source_rows=source_rows,
        rows=written.num_rows,
        fingerprint=fingerprint,
        columns=columns,
        dropped=dropped,
        numeric=tuple(name for name in features if kind_of(table[name]) == "number"),
        categorical=tuple(name for name in features if kind_of(table[name]) == "text"),
        key=tuple(data.key),
        group=data.group.column if data.group else None,
        first_time=int(times[0].as_py()),
        last_time=int(times[-1].as_py()),
        data_bytes=written.nbytes,
        reading=terms.reading,
    )


def _check_weights(column: pa.ChunkedArray, data: Data) -> None:
    """Refuse weights that say of no row how much it counts."""
    assert data.weight is not None
    name = data.weight.column
    if kind_of(column) != "number":
        raise InvalidInput(f"The weight {name} holds text; a weight is a number above zero.")
    values = pc.cast(column, pa.float64()).to_numpy()
    unfit = int((~(np.isfinite(values) & (values > 0.0))).sum())
    if unfit:
        raise InvalidInput(
            f"The weight {name} is missing, infinite, zero or less in {unfit:,} of {len(values):,} rows; a weight is a "
            "number above zero.",
            f'Mend them in the source, or leave these rows out: [[data.drop_rows]] where = "{name} <= 0" or '
            f'"{name} is missing", with why.',
        )


def _whole(settings: Pipeline, base: Path, until: int | None, terms: Terms) -> tuple[pa.Table, list[Column], str]:
    """The sorted table before any row is dropped, with its columns and its fingerprint."""
    table = _sorted(_load(settings, base, terms), settings)
    if terms.rows is not None:
        table = table.slice(0, terms.rows)
    if terms.hide_later_answers:
        table = without_later_answers(table, TIME, settings, terms)
    columns, fingerprint = _described(table)
    _check_expected(settings, table.num_rows, fingerprint)
    if until is not None:
        table = _rows_before(table, until, settings.data.source)
        columns, fingerprint = _described(table)
    return table, columns, fingerprint


def _described(table: pa.Table) -> tuple[list[Column], str]:
    """Every column with its hash, and the fingerprint over all of them."""
    columns = [
        Column(name=name, kind=kind_of(table[name]), hash=column_hash(table[name]))
        for name in sorted(set(table.column_names) - {TIME})
    ]
    content = [table.num_rows, [[column.name, column.kind, column.hash] for column in columns]]
    return columns, blake3(encode_canonical(content)).hexdigest()


def _rows_before(table: pa.Table, until: int, source: str) -> pa.Table:
    """The rows that there were at a time; the table is sorted by time."""
    rows = int(np.searchsorted(numbers(table, TIME), until))
    if rows == 0:
        raise InvalidInput(f"On {from_micros(until):%Y-%m-%d} {source} had no row yet.", "Begin later.")
    return table.slice(0, rows)


# Loading ---------------------------------------------------------------------------------------------------


def _load(settings: Pipeline, base: Path, terms: Terms) -> pa.Table:
    """The main table with its joins: only the columns that the pipeline names, in canonical types."""
    wanted = [settings.data.target.column, *_naming(settings)]
    wanted += [settings.data.weight.column] if settings.data.weight else []
    wanted += [parse_condition(drop.where).column for drop in settings.data.drop_rows]
    return _table(settings, base, wanted, terms)


def _naming(settings: Pipeline) -> list[str]:
    """Columns of the main table, beside the key, whose values name what a row belongs to."""
    data, resample = settings.data, settings.selection.resample
    found = [data.group.column] if data.group else []
    found += [segment for segment in settings.monitoring.segments if segment != HOUR_BAND]
    return found + ([resample] if resample not in ("day", "week", "row") else [])


def columns_there(data: Data, base: Path, version: int = READING) -> set[str]:
    """Names of all columns that the sources of a pipeline have, joined ones by the name that they get here."""
    there = set(column_names(data.source, base, csv_reading(data, version)))
    for join in data.joins.values():
        names = column_names(join.source, base, join_reading(data, join, Terms(reading=version)))
        there |= {join.rename.get(name, name) for name in names}
    return there


def join_reading(
    data: Data,
    join: Join,
    terms: Terms = Terms(),  # noqa: B008 - a value, frozen
) -> Reading:
    """How a joined table is read; ``terms`` names features as they are called here."""
    original = {new: old for old, new in join.rename.items()}
    text, lenient, truth = (
        frozenset(original.get(name, name) for name in names) for names in (terms.text, terms.lenient, terms.truth)
    )
    return Reading(terms.reading, join.csv or data.csv or Csv(), text, frozenset(join.on), lenient, truth)


def rows_without_answers(
    settings: Pipeline,
    base: Path,
    terms: Terms = Terms(),  # noqa: B008 - a value, frozen
) -> pa.Table:
    """Time, key and features only, sorted by time and key: what a model is asked about before the answer exists.

    Where rows have no key, the column :data:`ROW` says which row of the source each one is, from 1 on.

    Raises
    ------
    InvalidInput
        For a table that does not fit the pipeline file, with counts and examples.
    """
    table = _table(settings, base, [], terms)
    if not settings.data.key:
        table = table.append_column(ROW, pa.array(np.arange(1, table.num_rows + 1)))
    return _sorted(table, settings)


def keyed_rows(settings: Pipeline, base: Path, source: str, wanted: Sequence[str], slice_: Slice) -> pa.Table:
    """A table that names rows of the slice: the key as the slice has it, and other columns as the source has them.

    Raises
    ------
    InvalidInput
        Where the source cannot be read or lacks a column.
    """
    key, time = settings.data.key, settings.time
    there = open_table(slice_)
    text = frozenset(name for name in key if pa.types.is_dictionary(there[name].type))
    raw = read_source(source, base, [*key, *wanted], Reading(slice_.reading, Csv(), text, frozenset(key)))
    parts = {
        name: pa.array(row_times(raw[name], name, time))
        if name == time.column
        else compact(_canonical(raw[name], name, named=True))
        for name in key
    }
    return pa.table({**parts, **{name: raw[name] for name in wanted}})


def _sorted(table: pa.Table, settings: Pipeline) -> pa.Table:
    key, time_column = settings.data.key, settings.time.column
    if key:
        _check_unique(table, key, time_column)
    # Rows without a name are put in order by all that is read of them: those that are still equal can change places.
    by = key or sorted(set(table.column_names) - {TIME, ROW})
    order = [(TIME, "ascending")] + [(name, "ascending") for name in by if name != time_column]
    return table.take(pc.sort_indices(table, sort_keys=order))


def _table(settings: Pipeline, base: Path, wanted: Sequence[str], terms: Terms) -> pa.Table:
    """Time, key, features with their joins, and what else is ``wanted`` of the main table, in canonical types."""
    data, time = settings.data, settings.time
    joined = {name: feature.join for name, feature in data.features.known_at.items() if feature.join}
    features = [name for name in data.features.known_at if name not in joined]
    wanted = [time.column, *data.key, *features, *wanted]
    on = [parse_time_expression(text).column for join in data.joins.values() for text in join.on.values()]
    known = {parse_time_expression(feature.known_at).column for feature in data.features.known_at.values()}
    known -= {time.column}
    main = [name for name in dict.fromkeys(wanted) if name not in joined and name not in known]
    named = frozenset({*data.key, *on, *_naming(settings)} - set(features)) | frozenset(data.key)
    how = Reading(terms.reading, data.csv or Csv(), terms.text, named, terms.lenient, terms.truth)
    raw = read_source(data.source, base, list(dict.fromkeys([*main, *sorted(known), *on])), how)
    times = row_times(raw[time.column], time.column, time)
    table = pa.table({name: _canonical(raw[name], name, name in named) for name in main if name != time.column})
    for name in sorted(known):
        table = table.append_column(name, pc.fill_null(moments(raw[name], name, time), UNKNOWN_TIME))
    table = table.append_column(TIME, pa.array(times)).append_column(time.column, pa.array(times))
    for name in data.joins:
        features = [feature for feature, source in joined.items() if source == name]
        table = _joined(table, raw, times, name, features, settings, base, terms)
    if terms.reading != FIRST_READING:
        table = _without_infinite(table, list(data.features.known_at), data)
    return table


def _without_infinite(table: pa.Table, features: Sequence[str], data: Data) -> pa.Table:
    """The table with infinite features as missing, where the file says so; InvalidInput with their counts elsewhere."""
    infinite = {}
    for name in features:
        if pa.types.is_floating(table[name].type):
            places = pc.fill_null(pc.is_inf(table[name]), False)
            if count := int(pc.sum(places).as_py() or 0):
                infinite[name] = (places, count)
    if infinite and data.infinite == "refuse":
        counts = ", ".join(f"{count:,} of {name}" for name, (_, count) in infinite.items())
        raise InvalidInput(
            f"{data.source} and its joins hold infinite values among {table.num_rows:,} rows: {counts}. No model can "
            "be fitted on them.",
            'Mend them in the source (a division by zero?), or say in [data] what they mean: infinite = "missing"',
        )
    for name, (places, _) in infinite.items():
        values = pc.if_else(places, pa.scalar(None, pa.float64()), table[name])
        table = table.set_column(table.column_names.index(name), name, values)
    return table


def _canonical(column: pa.ChunkedArray, name: str, named: bool = False) -> pa.Array:
    """One of the three kinds: number (float64), text (large_string), time (int64 microseconds).

    With ``named`` the values name something and are only compared: two different ones are never equal.
    """
    kind = column.type
    if pa.types.is_dictionary(kind) and not is_text(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if column.null_count == len(column):
        return pa.nulls(len(column), pa.float64())
    if pa.types.is_boolean(kind):
        return pc.if_else(column.combine_chunks(), "true", "false").cast(pa.large_string())
    if is_text(kind) or (pa.types.is_integer(kind) and _beyond_floats(column)):
        return column.cast(pa.large_string()).combine_chunks()
    if named and (name_text := _name_text(column)) is not None:
        return name_text
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return as_number(column)
    raise InvalidInput(
        f"The column {name} holds {kind}, which is neither number nor text.",
        "Turn it into a number or a category in the source, or leave it out.",
    )


def _beyond_floats(column: pa.ChunkedArray) -> bool:
    bounds = pc.min_max(column).as_py()
    return bool(bounds["min"] < -LARGEST_EXACT or bounds["max"] > LARGEST_EXACT)


def _name_text(column: pa.ChunkedArray) -> pa.Array | None:
    """Dates, times and decimals of which float64 would merge two, as text; None for other columns."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us", kind.tz), safe=False)
    elif not pa.types.is_date(kind) and (not pa.types.is_decimal(kind) or _exact_floats(column)):
        return None
    return column.cast(pa.large_string()).combine_chunks()


def _exact_floats(column: pa.ChunkedArray) -> bool:
    try:
        return bool(column.cast(pa.float64(), safe=False).cast(column.type).equals(column))
    except pa.ArrowInvalid:
        return False


def _as_names(column: pa.ChunkedArray, canonical: pa.Array) -> pa.Array:
    """Whole numbers as the text that they are written as; anything else as it is."""
    if not pa.types.is_integer(column.type) or is_text(canonical.type):
        return canonical
    return column.cast(pa.large_string()).combine_chunks()


def _any_equal(ours: pa.Array, theirs: pa.Array) -> bool:
    return bool(ours.type == theirs.type and pc.any(pc.is_in(ours, theirs.drop_null())).as_py())


def _joined(
    table: pa.Table,
    raw: pa.Table,
    times: Rows,
    name: str,
    features: Sequence[str],
    settings: Pipeline,
    base: Path,
    terms: Terms,
) -> pa.Table:
    """The table with the features that a join brings; rows without a match get missing values."""
    time, join = settings.time, settings.data.joins[name]
    original = {new: old for old, new in join.rename.items()}
    own = frozenset(features)
    how = join_reading(
        settings.data, join, msgspec.structs.replace(terms, text=terms.text & own, lenient=terms.lenient & own)
    )
    right = read_source(join.source, base, [*join.on, *(original.get(feature, feature) for feature in features)], how)
    left_keys, right_keys = {}, {}
    for column, text in join.on.items():
        expression = parse_time_expression(text)
        if expression.column == time.column:
            left_keys[column] = pd.Series(times + expression.offset_micros)
            right_keys[column] = pd.Series(row_times(right[column], column, time))
        else:
            ours = _canonical(raw[expression.column], expression.column, named=True)
            theirs = _canonical(right[column], column, named=True)
            our_kind, their_kind = kind_of(ours), kind_of(theirs)
            if our_kind != their_kind and terms.reading != FIRST_READING:
                # Ids of which some are too long for a number, or begin with a zero, are text on one side only.
                ours, theirs = _as_names(raw[expression.column], ours), _as_names(right[column], theirs)
            if our_kind != their_kind and not _any_equal(ours, theirs):
                raise InvalidInput(
                    f"[data.joins.{name}]: {expression.column} holds {our_kind} and {column} of {join.source} holds "
                    f"{their_kind}; nothing would match."
                )
            left_keys[column], right_keys[column] = ours.to_pandas(), theirs.to_pandas()
    right_frame = pd.DataFrame(right_keys)
    named = right_frame.dropna()
    repeated = named.duplicated()
    if repeated.any():
        examples = "; ".join(", ".join(map(str, row)) for row in named[repeated].head(3).itertuples(index=False))
        raise InvalidInput(
            f"[data.joins.{name}]: {int(repeated.sum()):,} rows of {join.source} repeat the columns that they are "
            f"joined on ({', '.join(join.on)}), for example {examples}; a row could get two answers.",
            "Join on more columns, or make the joined table unique in the source.",
        )
    right_frame["__row"] = np.arange(len(right_frame))
    matched = pd.DataFrame(left_keys).merge(right_frame.dropna(), how="left", on=list(join.on))["__row"]
    indices = pa.array(matched.astype("Int64"), pa.int64(), from_pandas=True)
    # Also a column that nobody asked for: who reads the file could take one for the other.
    taken = {*table.column_names, *column_names(settings.data.source, base, csv_reading(settings.data, terms.reading))}
    for feature in features:
        if feature in taken:
            raise InvalidInput(f"[data.joins.{name}]: {feature} is in the main table already.", "Rename it.")
        values = _canonical(right[original.get(feature, feature)], feature)
        table = table.append_column(feature, values.take(indices))
    return table


def _check_unique(table: pa.Table, key: Sequence[str], time_column: str) -> None:
    for name in key:
        if name not in table.column_names:
            raise missing_column("The table", name, table.column_names)
        missing = table[name].null_count
        if missing:
            raise InvalidInput(
                f"{missing:,} of {table.num_rows:,} rows have no {name}, which is part of their key.",
                "A row needs a name of its own; leave such rows out in the source, or choose another key.",
            )
    frame = table.select(list(key)).to_pandas()
    repeated = frame.duplicated(keep=False)
    if not repeated.any():
        return
    shown = frame[repeated].head(3).copy()
    if time_column in shown:
        shown[time_column] = pd.to_datetime(shown[time_column], unit="us", utc=True).astype(str)
    examples = "; ".join(", ".join(map(str, row)) for row in shown.itertuples(index=False))
    raise InvalidInput(
        f"{int(frame.duplicated().sum()):,} rows repeat the key ({', '.join(key)}), for example {examples}.",
        "Name more columns in key, or make the rows unique in the source.",
    )


def _check_expected(settings: Pipeline, rows: int, fingerprint: str) -> None:
    data = settings.data
    if data.rows_expected is not None and data.rows_expected != rows:
        raise SliceMismatch(
            f"{data.source} has {rows:,} rows; the pipeline file expects {data.rows_expected:,}. "
            "A different table is a different experiment.",
            "Get the right table, or change rows_expected and say why in your commit.",
        )
    if data.fingerprint is not None and data.fingerprint != f"blake3:{fingerprint}":
        raise SliceMismatch(
            f"{data.source} has the fingerprint blake3:{fingerprint}; the pipeline file expects {data.fingerprint}. "
            "A different table is a different experiment.",
            "Get the right table, or change fingerprint and say why in your commit.",
        )


def _drop(table: pa.Table, settings: Pipeline, terms: Terms) -> tuple[pa.Table, list[Dropped]]:
    """The table without the rows that the file drops. An answer that is not due yet is no answer that is missing."""
    dropped = []
    for drop in settings.data.drop_rows:
        condition = parse_condition(drop.where)
        if condition.column not in table.column_names:
            raise missing_column("The table", condition.column, table.column_names)
        if condition.column == settings.time.column:
            raise InvalidInput(f'where = "{drop.where}": conditions are not on the time; a window says which times.')
        holds = condition.holds(table[condition.column].to_pandas().rename(condition.column)).to_numpy()
        if condition.rule is None and condition.column == settings.data.target.column:
            holds = holds & ~not_due(table, TIME, settings, terms)
        dropped.append(Dropped(where=drop.where, why=drop.why, rows=int(holds.sum())))
        table = table.filter(pa.array(~holds))
    if table.num_rows == 0:
        raise InvalidInput("After the declared drops no row is left.")
    return table, dropped


def compact(column: pa.ChunkedArray) -> pa.Array:
    """Text as a dictionary: a tenth of the size, and categories for pandas without parsing."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if is_text(array.type):
        return array.cast(pa.string()).dictionary_encode()
    return array


# Reading and hashing ---------------------------------------------------------------------------------------


def open_table(slice_: Slice) -> pa.Table:
    """The whole slice, mapped into memory: nothing is copied until it is used."""
    with pa.memory_map(slice_.path) as source:
        return pa.ipc.open_file(source).read_all()


class FeatureRead(msgspec.Struct, frozen=True):
    """How a feature was read."""

    name: str
    kind: Literal["number", "text"]
    levels: int | None
    """How many different texts; None for numbers."""
    missing: int
    """Rows without a value."""


def features_read(slice_: Slice) -> list[FeatureRead]:
    """How each feature of a slice was read: the doubtful ones show by their kind or their many levels."""
    table = open_table(slice_)
    found = [FeatureRead(name, "number", None, table[name].null_count) for name in slice_.numeric]
    for name in slice_.categorical:
        levels = len(table[name].unique().drop_null())
        found.append(FeatureRead(name, "text", levels, table[name].null_count))
    return found


def rows_waiting(slice_: Slice) -> int:
    """Rows whose answer is not known yet."""
    return int(np.isnan(numbers(open_table(slice_), TARGET)).sum())


def numbers(table: pa.Table, column: str) -> npt.NDArray[Any]:
    """A numeric column as a NumPy array, missing as NaN."""
    return np.asarray(table[column].to_numpy())


def answered(table: pa.Table, as_of: int) -> npt.NDArray[np.bool_]:
    """Rows whose answer is there and was known by a moment, (n,) bool."""
    known: npt.NDArray[np.bool_] = (numbers(table, LABEL_KNOWN) <= as_of) & ~np.isnan(numbers(table, TARGET))
    return known


def rows_of(table: pa.Table, rows: Rows) -> pa.Table:
    """Some rows of a table by position; without copying where they follow one another."""
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return table.slice(int(rows[0]), len(rows))
    return table.take(pa.array(rows))


def frame_of(table: pa.Table, columns: Columns) -> pd.DataFrame:
    """Features as estimators get them: float64 with NaN, and text (object) with None as missing."""
    parts: dict[str, Any] = {name: numbers(table, name) for name in columns.numeric}
    for name in columns.categorical:
        parts[name] = text_series(table, name)
    return pd.DataFrame(parts)


def text_series(table: pa.Table, column: str) -> pd.Series:
    """A text column as objects, one string a level, with None as missing."""
    codes, levels = text_codes(table, column)
    return pd.Series(levels[codes], dtype=object)


class TextCodes(NamedTuple):
    """A text column as the place of each row's value among the levels, the last of which is None, for missing."""

    codes: Rows
    levels: npt.NDArray[np.object_]


def text_codes(table: pa.Table, column: str) -> TextCodes:
    """What to ask where a level is looked at once and not in every row."""
    categories = table[column].combine_chunks()
    if isinstance(categories, pa.ChunkedArray):
        categories = categories.unify_dictionaries().combine_chunks()
    levels = np.array([*categories.dictionary.to_pylist(), None], dtype=object)
    codes = pc.fill_null(categories.indices, len(levels) - 1).to_numpy(zero_copy_only=False)
    return TextCodes(codes, levels)


def column_hash(column: pa.ChunkedArray | pa.Array) -> str:
    """BLAKE3 of one column in the canonical encoding."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    hasher = blake3()
    if is_text(array.type):
        text = array.cast(pa.large_string())
        lengths = pc.fill_null(pc.binary_length(text), -1).to_numpy(zero_copy_only=False).astype("<i4")
        hasher.update(lengths.tobytes())
        hasher.update(_text_bytes(text))
    elif pa.types.is_floating(array.type):
        values = array.to_numpy(zero_copy_only=False).astype("<f8", copy=True)
        values[np.isnan(values)] = CANONICAL_NAN
        hasher.update(values.tobytes())
    else:
        hasher.update(array.to_numpy(zero_copy_only=False).astype("<i8").tobytes())
    return hasher.hexdigest()


def _text_bytes(text: pa.LargeStringArray) -> bytes:
    """All values one after the other; the buffer may begin before this array and hold bytes under nulls."""
    if len(text) == 0:
        return b""
    dense = text.drop_null()
    if len(dense) == 0:
        return b""
    offsets = np.frombuffer(dense.buffers()[1], dtype=np.int64)[dense.offset : dense.offset + len(dense) + 1]
    return bytes(memoryview(dense.buffers()[2])[offsets[0] : offsets[-1]])


def rows_hash(table: pa.Table) -> str:
    """BLAKE3 over the names and hashes of all columns of some rows."""
    return blake3(
        encode_canonical([[name, column_hash(table[name])] for name in sorted(table.column_names)])
    ).hexdigest()


def kind_of(column: pa.ChunkedArray) -> str:
    """What a column holds in the canonical form: ``number``, ``text`` or ``time``."""
    if is_text(column.type):
        return "text"
    return "number" if pa.types.is_floating(column.type) else "time"
