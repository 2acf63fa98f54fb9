"""What an estimator does beside computing: files that it writes and connections that it opens are refused.

A fit that fetches something from the network, or leaves a file for the next fit, is no function of its rows, and cannot
be done again. Python reports both to audit hooks (PEP 578), in the thread that does it. What compiled code does by
itself is not reported, and neither is what another thread or a program that it starts does (joblib starts one to count
the cores); this finds an accident, it is no sandbox.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tallystick.ledger.errors import InvalidInput

NETWORK = (
    "socket.connect",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.bind",
    "socket.sendto",
    "urllib.Request",
)
CHANGES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "shutil.rmtree")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class _Watched(threading.local):
    seen: str | None = None
    active: bool = False


class Misconduct(Exception):
    """Ends what a candidate was doing."""


_watched = _Watched()
_installed = False


@contextmanager
def watched(candidate: str, step: str) -> Iterator[None]:
    """Watch this thread for the length of a ``with`` block.

    Parameters
    ----------
    step : str
        What the candidate does: ``it is fitted in 2013-05``.

    Raises
    ------
    InvalidInput
        Naming candidate and step, where a file was written or a connection opened.
    """
    _install()
    before = _watched.active
    _watched.active, _watched.seen = True, None
    failure: BaseException | None = None
    try:
        yield
    except Exception as error:  # noqa: BLE001 - libraries wrap what the hook raised, or swallow it
        failure = error
    finally:
        _watched.active = before
    if _watched.seen is not None:
        what, _watched.seen = _watched.seen, None
        raise InvalidInput(
            f"{candidate} {what} while {step}. What it computes would then not follow from its rows alone.",
            "Read what it needs when its module is imported, from constants in its own code, or hand it over as "
            "features. What compiled code does by itself is not seen.",
        ) from failure
    if failure is not None:
        raise failure


def _install() -> None:
    global _installed  # noqa: PLW0603 - a hook stays for the life of the process
    if not _installed:
        sys.addaudithook(_hook)
        _installed = True


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if not _watched.active:
        return
    what = _said(event, arguments)
    if what is not None:
        _watched.active, _watched.seen = False, what
        raise Misconduct(what)


def _said(event: str, arguments: tuple[object, ...]) -> str | None:
    """What an event of the interpreter is in words; None where it is nothing to refuse."""
    if event == "open":
        path, _mode, flags = (*arguments, None, None, None)[:3]
        writes = isinstance(flags, int) and bool(flags & WRITING)
        named = os.fsdecode(path) if isinstance(path, str | bytes) else None
        return f"writes the file {named}" if writes and named is not None and not _is_ours(named) else None
    if event in NETWORK:
        return "uses the network"
    if event in CHANGES and not _is_ours(str(arguments[0])):
        return f"changes the file or folder {arguments[0]}"
    return None


def _is_ours(path: str) -> bool:
    """What Python itself writes: compiled modules as they are first imported, and the null device."""
    return path == os.devnull or "__pycache__" in path
