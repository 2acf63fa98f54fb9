"""What no foreign input may do, whatever it holds: start, fetch, unpickle, or write outside of its own folder.

Python tells each such act to audit hooks before it happens (PEP 578); here it is refused with an error that no
`except Exception` on the way catches.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
GIT = shutil.which("git")
NEVER = frozenset(
    {"os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.startfile", "pty.spawn",
     "pickle.find_class", "socket.connect", "socket.bind", "socket.getaddrinfo", "urllib.Request",
     "ctypes.dlopen", "sqlite3.load_extension", "sqlite3.enable_load_extension", "code.__new__", "webbrowser.open"}
)  # fmt: skip
CHANGES = frozenset(
    {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.truncate", "os.utime",
     "shutil.rmtree", "shutil.move", "shutil.chown"}
)  # fmt: skip
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Trespass(BaseException):
    """An input made the program do what no input may."""


class _Guard:
    is_on = False
    modules: frozenset[str] = frozenset()
    """Packages that may be imported while a model's file is read: those that were there before; empty: any."""


_guard = _Guard()
_places: list[str] = []


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if not _guard.is_on:
        return
    if event == "open":
        path, _mode, flags = arguments
        if isinstance(flags, int) and flags & WRITING and not _is_ours(path):
            _refuse(event, path)
    elif event in NEVER:
        _refuse(event, *arguments)
    elif event in CHANGES:
        # A number at the end is that of an open folder, which was asked about when it was opened.
        held = isinstance(arguments[-1], int) and arguments[-1] >= 0
        if not held and not all(_is_ours(path) for path in arguments if isinstance(path, str | bytes | os.PathLike)):
            _refuse(event, *arguments)
    elif event == "subprocess.Popen":
        if arguments[0] != GIT:
            _refuse(event, arguments[0])
    elif event == "import" and _guard.modules:
        name = str(arguments[0]).partition(".")[0]
        if name not in _guard.modules:
            _refuse(event, name)


def _refuse(*what: object) -> None:
    _guard.is_on = False
    raise Trespass(" ".join(repr(item)[:200] for item in what))


def _is_ours(path: object) -> bool:
    if isinstance(path, int):
        return True
    text = os.path.realpath(os.fsdecode(path))  # type: ignore[arg-type]
    return text == os.devnull or f"{text}/".startswith(tuple(_places))


def printable(text: str) -> bool:
    """Whether nothing in a text changes colours, turns the direction of reading, or moves the cursor other than on."""
    strange = {character for character in set(text) if not character.isprintable()} - {"\n", "\t"}
    return not any(unicodedata.category(character) in HIDDEN for character in strange)


@contextmanager
def bounded() -> Iterator[None]:
    """Refuse all of that while a foreign input is read; what writes may do so in the folder for temporary files."""
    _guard.is_on = True
    try:
        yield
    finally:
        _guard.is_on = False


def allow(folder: Path) -> None:
    """Let inputs have files written below a folder."""
    _places.append(f"{folder.resolve()}/")


def allow_no_new_packages() -> None:
    """From now on: a model's file names types, and what it names must not be imported to find out what it is."""
    _guard.modules = frozenset(name.partition(".")[0] for name in sys.modules)


allow(Path(tempfile.gettempdir()))
sys.addaudithook(_audit)
