"""What people store, as a file in the format that is usual for it."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

MOST_FILES = 100_000


class FileMade(NamedTuple):
    """A file to be kept."""

    name: str
    data: bytes
    media_type: str


def files_of(name: str, content: object) -> Iterator[FileMade]:
    """The file, or files, of something: bytes as they are, a path (or a folder) as what lies there, and objects.

    Figures become PNG (SVG or HTML where they know nothing else), arrays ``.npy``, tables Parquet (CSV without
    pyarrow), and what JSON can hold JSON. The usual ending is added where the name has none.

    Raises
    ------
    OSError
        When a path cannot be read.
    TypeError
        For an object of no known kind.
    """
    if isinstance(content, bytes | bytearray | memoryview):
        yield FileMade(name, bytes(content), "application/octet-stream")
    elif isinstance(content, str | os.PathLike):
        yield from _at_path(name, Path(content))
    else:
        yield _of_object(name, content)


def _at_path(name: str, path: Path) -> Iterator[FileMade]:
    if not path.is_dir():
        yield FileMade(name, path.read_bytes(), "application/octet-stream")
        return
    for count, file in enumerate(sorted(file for file in path.rglob("*") if file.is_file())):
        if count >= MOST_FILES:
            raise OSError(f"{path} holds more than {MOST_FILES:,} files")
        yield FileMade(f"{name}/{file.relative_to(path).as_posix()}", file.read_bytes(), "application/octet-stream")


def _of_object(name: str, content: Any) -> FileMade:
    module = type(content).__module__.partition(".")[0]
    if module == "pandas" or callable(getattr(content, "to_parquet", None)):
        return _table(name, content)
    made = _picture(name, module, content)
    if made is not None:
        return made
    if module == "polars" and callable(getattr(content, "write_parquet", None)):
        buffer = io.BytesIO()
        content.write_parquet(buffer)
        return FileMade(_ending(name, ".parquet"), buffer.getvalue(), "application/vnd.apache.parquet")
    array = _array(content)
    if array is not None:
        return FileMade(_ending(name, ".npy"), array, "application/octet-stream")
    return FileMade(_ending(name, ".json"), msgspec.json.format(msgspec.json.encode(content)), "application/json")


def _picture(name: str, module: str, content: Any) -> FileMade | None:
    """A figure as PNG, or as HTML where it knows nothing else; None for what is no figure."""
    buffer = io.BytesIO()
    if callable(getattr(content, "savefig", None)):
        content.savefig(buffer, format="png")
    elif module == "PIL" and callable(getattr(content, "save", None)):
        content.save(buffer, format="PNG")
    elif callable(getattr(content, "to_html", None)) and module in ("plotly", "altair", "bokeh"):
        return FileMade(_ending(name, ".html"), str(content.to_html()).encode(), "text/html")
    else:
        return None
    return FileMade(_ending(name, ".png"), buffer.getvalue(), "image/png")


def _table(name: str, content: Any) -> FileMade:
    frame = content.to_frame() if not hasattr(content, "to_parquet") else content
    buffer = io.BytesIO()
    try:
        frame.to_parquet(buffer)
    except ImportError:
        return FileMade(_ending(name, ".csv"), str(frame.to_csv()).encode(), "text/csv")
    return FileMade(_ending(name, ".parquet"), buffer.getvalue(), "application/vnd.apache.parquet")


def _array(content: Any) -> bytes | None:
    if not hasattr(content, "__array__") and not hasattr(content, "detach"):
        return None
    # Whoever has an array has numpy; the ledger does without.
    np: Any = sys.modules.get("numpy")
    if np is None:
        raise TypeError("numpy is needed to keep an array, and is not loaded")
    values = content.detach().cpu().numpy() if hasattr(content, "detach") else np.asarray(content)
    if values.dtype.hasobject:
        raise TypeError("an array of objects has no safe format of its own")
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return buffer.getvalue()


def _ending(name: str, ending: str) -> str:
    return name if Path(name).suffix else name + ending
