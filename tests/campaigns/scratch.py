"""Folders that a foreign text is written into, and the text that a folder is drawn as.

    %% proof.json       a file; what follows up to the next such line is its content
    %l log.vkey         a link to what follows
    %p check.py         a named pipe

Bytes that are no UTF-8 stand as halves of surrogates, as everywhere in these campaigns.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from foreign import as_bytes
from law import allow

HEADING = re.compile(r"^%([%lp]) (.*)\n", re.MULTILINE)
MOST_PARTS = 250


def scratch(name: str) -> Path:
    """A folder of this process, in memory where the machine has some, until the process ends."""
    shared = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix=f"tally-{name}-", dir=shared if os.access(shared, os.W_OK) else None))
    allow(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@contextmanager
def at_home(folder: Path) -> Iterator[None]:
    """Keys and marks of what is done inside lie in a folder, and no agent is asked."""
    own = {"XDG_CONFIG_HOME": str(folder / "c"), "XDG_STATE_HOME": str(folder / "s"), "TALLY_ACTOR": "ann@example.org"}
    kept = {name: os.environ.get(name) for name in (*own, "SSH_AUTH_SOCK")}
    os.environ.update(own)
    os.environ.pop("SSH_AUTH_SOCK", None)
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def parts(text: str) -> list[tuple[str, str, bytes]]:
    """Kind, name and content of each part of a folder's text."""
    pieces = HEADING.split(text)[1 : 3 * MOST_PARTS + 1]
    return [
        (kind, name, as_bytes(content.removesuffix("\n")))
        for kind, name, content in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=True)
    ]


def text_of(files: Iterable[tuple[str, bytes]]) -> str:
    """The text of a folder with these files."""
    return "".join(f"%% {name}\n{data.decode(errors='surrogateescape')}\n" for name, data in files)


def text_of_folder(folder: Path, *leave_out: str) -> str:
    """The text of a folder that is there."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return text_of((name, (folder / name).read_bytes()) for name in names if name not in leave_out)


def write(folder: Path, text: str) -> None:
    """Make a folder anew from its text; parts with names that no file here can have are left out."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for kind, name, content in parts(text):
        _put(folder, name, kind, content)


def _put(folder: Path, name: str, kind: str, content: bytes) -> bool:
    """Whether it could be written."""
    if not name or "\0" in name or any(step in ("", ".", "..") for step in name.split("/")):
        return False
    path = folder / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "%":
            path.write_bytes(content)
        elif kind == "l":
            path.symlink_to(os.fsdecode(content))
        else:
            os.mkfifo(path)
    except (OSError, ValueError):
        return False
    return True


_written: dict[Path, dict[str, tuple[str, bytes]]] = {}


def rewrite(folder: Path, text: str) -> None:
    """The same for a flat folder that nobody else changes: only what is different is written."""
    before = _written.setdefault(folder, {})
    if not before:
        write(folder, "")
    wanted = {name: (kind, content) for kind, name, content in parts(text) if "/" not in name}
    for name in [name for name in before if wanted.get(name) != before[name]]:
        (folder / name).unlink(missing_ok=True)
        del before[name]
    for name in [name for name in wanted if name not in before]:
        if _put(folder, name, *wanted[name]):
            before[name] = wanted[name]
