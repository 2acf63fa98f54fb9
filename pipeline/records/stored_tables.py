"""Reading back the tables that a ledger recorded. A stranger's ledger has recorded the hash of a stranger's file."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from tallystick.ledger.errors import Damaged


def stored_table(data: bytes, numbers: Sequence[str], others: Sequence[str] = ()) -> pd.DataFrame:
    """Some columns of a recorded table: those that must be numbers, and others that are one value a row.

    Raises
    ------
    Damaged
        When the bytes are no table with these columns, or one that is larger than the memory of this machine.
    """
    names = [*others, *numbers]
    try:
        with pyarrow.parquet.ParquetFile(io.BytesIO(data)) as file:
            _refuse_bomb(file.metadata.num_rows * len(names))
            for name in names:
                if file.schema_arrow.names.count(name) != 1:
                    raise Damaged(f"The recorded table has no column {name}, or several.")
                if not _fits(file.schema_arrow.field(name).type, name in numbers):
                    raise Damaged(f"The column {name} of the recorded table holds something else than it must.")
            # What pandas had noted in the file would be followed, whoever wrote it.
            table: pd.DataFrame = file.read(columns=names).select(names).replace_schema_metadata(None).to_pandas()
            return table
    except (pa.ArrowException, OSError, UnicodeError, MemoryError, ValueError, TypeError, OverflowError) as error:
        raise Damaged(f"The recorded table cannot be read: {error or type(error).__name__}.") from error


def _fits(kind: pa.DataType, is_number: bool) -> bool:
    if is_number:
        return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))
    return not pa.types.is_nested(kind)


def _refuse_bomb(cells: int) -> None:
    """A few kilobytes of parquet can say that they are a billion rows; eight bytes each have to fit into memory."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if cells * 8 > memory_bytes:
        raise Damaged(f"The recorded table has {cells:,} values, more than fit into the memory of this machine.")
