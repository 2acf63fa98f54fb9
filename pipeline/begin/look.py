"""What a table holds, column by column: kinds, gaps, levels, duplicates; and which columns could be time or key."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Literal

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline.config.settings import Csv
from tallystick.pipeline.data.csv_text import CsvDoubt
from tallystick.pipeline.data.periods_as_text import Period, period_written
from tallystick.pipeline.data.reading import Reading
from tallystick.pipeline.data.sources import column_names, is_text, missing_column, read_source
from tallystick.pipeline.data.timestamps import formatted

Kind = Literal["number", "whole number", "yes or no", "text", "time", "empty", "other"]

_ISO_DATE = r"^\d{4}[-/.]\d{2}[-/.]\d{2}(?:$|[T ]\d{2})"
_DATES = (
    "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%m-%d-%Y", "%d-%m-%Y", "%Y%m%d", "%m/%d/%y", "%d/%m/%y", "%d.%m.%y",
    "%b %d %Y", "%B %d %Y", "%Y-%m", "%b %Y", "%B %Y", "%b %d, %Y", "%B %d, %Y",
    "%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%d-%b-%y",
)  # fmt: skip
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
MOST_DATES = 5_000
"""Different values that are tried in every format."""
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
SUFFIXES = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv"}
DATABASES = (".db", ".sqlite", ".sqlite3")
NEARLY_EMPTY = 0.95
"""A column with a larger share of missing values has nothing to learn from."""
STEP_NAMES = {"step", "year", "day", "week", "month", "period", "t", "round", "season"}
TIME_NAMES = {
    "time",
    "date",
    "timestamp",
    "datetime",
    "day",
    "at",
    "when",
    "month",
    "quarter",
    "week",
    "period",
    "created",
    "ordered",
    "opened",
}
LATER_NAMES = {"updated", "modified", "closed", "end", "ended", "resolved", "finished", "deleted", "birth", "birthday"}
ID_NAMES = {"id", "key", "uuid", "guid", "no", "nr", "number", "num", "code", "rownames", "rowname", "index", "row"}
MOST_KEY_COLUMNS = 6


class ColumnFacts(msgspec.Struct, frozen=True):
    """One column as it will be read."""

    name: str
    kind: Kind
    missing: int
    levels: int
    """Different values, missing ones apart."""
    examples: tuple[str, ...]
    formats: tuple[str, ...] = ()
    """How its times are written, where that is not ISO 8601; several where its values fit more than one way."""
    period: Period | None = None
    """Where its times are text such as ``1974Q1``: what each of them is."""

    @property
    def words(self) -> set[str]:
        """The parts of its name in lower case: ``arr_delay`` and ``arrDelay`` are ``arr`` and ``delay``."""
        return {word.lower() for word in _WORDS.findall(self.name)}


class TableFacts(msgspec.Struct, frozen=True):
    """A table that a pipeline file is to be made for."""

    source: str
    rows: int
    duplicates: int
    """Rows that repeat another one in every column."""
    columns: tuple[ColumnFacts, ...]

    def column(self, name: str) -> ColumnFacts:
        """A column by its name; InvalidInput for one that is not there."""
        for column in self.columns:
            if column.name == name:
                return column
        raise missing_column(self.source, name, [column.name for column in self.columns])


def source_of(data: str, folder: Path) -> str:
    """The source that a pipeline file in ``folder`` names for what a person typed: a file, a folder or a source.

    Raises
    ------
    InvalidInput
        Where there is nothing, or it does not say which of several tables is meant.
    """
    if re.match(r"(parquet|csv|sqlite|package):", data):
        return data
    file, _, table = data.partition("#")
    path = Path(data) if Path(data).exists() else Path(file)
    if not path.exists() and any(path.parent.glob(path.name) if "*" in path.name else ()):
        return f"{SUFFIXES.get(path.suffix.lower(), 'csv')}:{_relative(path, folder)}"
    if not path.exists():
        raise InvalidInput(f"There is no {data}.", "Name a CSV or parquet file, a folder of them, or FILE.db#TABLE.")
    shown = _relative(path, folder)
    if path.is_dir():
        kinds = sorted({SUFFIXES[item.suffix] for item in path.iterdir() if item.suffix in SUFFIXES})
        if len(kinds) != 1:
            found = "both CSV and parquet files" if kinds else "no CSV or parquet file"
            raise InvalidInput(
                f"The folder {data} has {found}.", f"Say which: tally new '{data}/*.csv'" if kinds else ""
            )
        suffix = next(item.suffix for item in sorted(path.iterdir()) if item.suffix in SUFFIXES)
        return f"{kinds[0]}:{shown}/*{suffix}"
    if path.suffix in DATABASES:
        return f"sqlite:{shown}#{table or _only_table(path)}"
    return f"{SUFFIXES.get(path.suffix.lower(), 'csv')}:{shown}"


def _relative(path: Path, folder: Path) -> str:
    path, folder = path.resolve(), folder.resolve()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def _only_table(path: Path) -> str:
    from sqlite_utils import Database

    tables = Database(path).table_names()
    if len(tables) != 1:
        raise InvalidInput(
            f"{path} has {len(tables)} tables.", f"Say which: tally new {path}#{tables[0] if tables else 'TABLE'}"
        )
    return str(tables[0])


def read_table(source: str, folder: Path, csv: Csv = Csv()) -> pa.Table:  # noqa: B008 - a value, frozen
    """The whole table of a source."""
    how = Reading(csv=csv)
    return read_source(source, folder, column_names(source, folder, how), how)


def read_doubtful(source: str, folder: Path, said: Csv | None) -> tuple[pa.Table, Csv, list[str]]:
    """The whole table of a source, with the reading of its CSV files that settles every doubt, and the doubts.

    What a person has said is never changed. Each doubt is settled as its own error message proposes.
    """
    csv = said or Csv()
    doubts: list[str] = []
    while True:
        try:
            return read_table(source, folder, csv), csv, doubts
        except CsvDoubt as doubt:
            open_settings = {name: value for name, value in doubt.settings.items() if not getattr(csv, name)}
            if not open_settings:
                raise
            doubts.append(doubt.message)
            csv = msgspec.structs.replace(csv, **open_settings)


def look(table: pa.Table, source: str) -> TableFacts:
    """What there is to see in a table."""
    columns = tuple(_column(name, table[name]) for name in table.column_names)
    return TableFacts(source, table.num_rows, _duplicates(table, columns), columns)


def _column(name: str, column: pa.ChunkedArray) -> ColumnFacts:
    kind = kind_of(column)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    try:
        distinct = pc.unique(column.drop_null())
    except pa.ArrowException:
        return ColumnFacts(name, "other", column.null_count, 0, ())
    examples = tuple(str(value) for value in distinct.slice(0, 6).to_pylist())
    formats = _formats(distinct) if kind in ("text", "whole number") else ()
    period = _period(distinct) if kind == "text" and not formats else None
    kind = "time" if formats or period else kind
    return ColumnFacts(name, kind, column.null_count, len(distinct), examples, formats, period)


def _period(values: pa.Array) -> Period | None:
    """The period that every value writes as text; None where some value does not."""
    texts = values.cast(pa.large_string()).to_pandas()
    return period_written(texts) if period_written(texts.head(1)) else None


def _formats(values: pa.Array) -> tuple[str, ...]:
    """The ways of writing a date that all values fit; none for values that are no dates."""
    digits = r"^\d{8}$" if pa.types.is_integer(values.type) else r"^[\w]{1,9}[-/. ,]|^\d{8}$"
    texts = pa.chunked_array([values.slice(0, MOST_DATES).cast(pa.large_string())])
    if len(texts) < 4 or not pc.all(pc.match_substring_regex(texts, digits)).as_py():
        return ()
    first = texts.slice(0, 1)
    fitting = [
        f"{date}{clock}" for date in _DATES for clock in _CLOCKS if formatted(first, f"{date}{clock}") is not None
    ]
    return tuple(one for one in fitting if _plausible(formatted(texts, one)))


def _plausible(walls: pd.Series | None) -> bool:
    return walls is not None and bool(walls.dt.year.between(1900, 2100).all())


def kind_of(column: pa.ChunkedArray) -> Kind:
    """What a column holds, in a person's terms."""
    if column.null_count == len(column):
        return "empty"
    if is_text(column.type):
        given = column.cast(pa.string()).drop_null()
        return "time" if pc.all(pc.match_substring_regex(given, _ISO_DATE)).as_py() else "text"
    for kind, tests in _KINDS.items():
        if any(test(column.type) for test in tests):
            return kind
    return "other"


_KINDS: dict[Kind, tuple[Callable[[pa.DataType], bool], ...]] = {
    "yes or no": (pa.types.is_boolean,),
    "whole number": (pa.types.is_integer,),
    "number": (pa.types.is_floating, pa.types.is_decimal),
    "time": (pa.types.is_timestamp, pa.types.is_date),
}


def _duplicates(table: pa.Table, columns: Sequence[ColumnFacts]) -> int:
    names = [column.name for column in columns if column.kind not in ("other", "empty")]
    return int(table.num_rows) - distinct_rows(table, names)


def distinct_rows(table: pa.Table, names: Sequence[str]) -> int:
    """How many different combinations of values some columns have."""
    if not names:
        return 0
    # Arrow reads a name with a point as a path into a nested column, so the columns get plain ones.
    plain = [f"c{number}" for number in range(len(names))]
    found: int = table.select(names).rename_columns(plain).group_by(plain, use_threads=False).aggregate([]).num_rows
    return found


# Time and key -----------------------------------------------------------------------------------------------


def time_columns(facts: TableFacts) -> list[ColumnFacts]:
    """Columns that could say when a row was, the likeliest first; only those that every row has."""
    times = [column for column in facts.columns if column.kind == "time" and not column.missing and column.levels > 3]
    steps = [
        column
        for column in facts.columns
        if column.kind == "whole number" and not column.missing and column.levels > 3 and column.words & STEP_NAMES
    ]

    def unlikely(column: ColumnFacts) -> tuple[bool, bool]:
        return bool(column.words & LATER_NAMES), not column.words & TIME_NAMES

    return [*sorted(times, key=unlikely), *steps]


def is_step(column: ColumnFacts) -> bool:
    """Whether time is counted in whole numbers."""
    return column.kind == "whole number"


def find_key(table: pa.Table, facts: TableFacts, time: str, target: str | None) -> list[str] | None:
    """Few columns whose values together are different in every row; None where there are none.

    Columns named like an identifier come first, then the time column with others; numbers with fractions, which name
    nothing, come into question last.
    """
    usable = [
        column
        for column in facts.columns
        if not column.missing and column.name not in (time, target) and column.kind in ("whole number", "text", "time")
    ]
    usable.sort(key=lambda column: (not column.words & ID_NAMES, -column.levels))
    singles = [[column.name] for column in usable if column.words & ID_NAMES]
    pairs = [[time], *([time, column.name] for column in usable)]
    more = [[time, *(column.name for column in two)] for two in combinations(usable[:8], 2)]
    for names in [*singles, *pairs, *[[column.name] for column in usable], *more]:
        if facts.rows == distinct_rows(table, names):
            return names
    names = [time]
    for column in usable[: MOST_KEY_COLUMNS * 2]:
        if distinct_rows(table, [*names, column.name]) > distinct_rows(table, names):
            names.append(column.name)
        if distinct_rows(table, names) == facts.rows:
            return names
    return None


def written(column: str) -> str:
    """A column's name as conditions and times in a pipeline file write it."""
    return column if re.fullmatch(r"[A-Za-z_]\w*", column) else f"'{column}'"
