"""What is still to be written when a process ends, is told to end, or is copied by a fork.

A training must end as it would without us: SIGTERM ends it within the second, a forked child takes no number of its
parent with it, and an interpreter that stops writes what was held.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import signal
import sys
import threading
import weakref
from types import FrameType
from typing import Protocol

SECONDS_TO_END = 5.0
TERMINATED = ("terminated", "told to end by SIGTERM")


class Ending(Protocol):
    """Something that holds what is not written yet."""

    def end_with_process(self, status: str, error: str | None) -> None:
        """Write what is held, and that it ended; quickly, and without raising."""
        ...

    def begin_in_child(self) -> None:
        """Forget what the parent of this process writes, and take no lock that it may have held."""
        ...


class _Here:
    """What is cared for in this process."""

    def __init__(self) -> None:
        self.live: weakref.WeakSet[Ending] = weakref.WeakSet()
        self.pipe: tuple[int, int] | None = None
        """Where the signal is heard."""
        self.at_exit = False


_here = _Here()


def watch(one: Ending) -> None:
    """Care for one until :func:`forget` is called."""
    _here.live.add(one)
    if not _here.at_exit:
        _here.at_exit = True
        atexit.register(_exit)
    _watch_termination()


def forget(one: Ending) -> None:
    """It has ended."""
    _here.live.discard(one)


def finish_with_child(one: Ending) -> None:
    """Let a process of ``multiprocessing`` write what it holds before it ends: it runs no ``atexit`` handler."""
    process = sys.modules.get("multiprocessing.process")
    util = sys.modules.get("multiprocessing.util")
    if process is not None and util is not None and process.parent_process() is not None:
        util.Finalize(one, one.end_with_process, args=("finished", None), exitpriority=100)


def _exit() -> None:
    error = None
    if not hasattr(sys, "ps1") and "IPython" not in sys.modules:
        # A script that an error ended; in a notebook it may be the error of any cell.
        error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    words = None if error is None else f"{type(error).__name__}: {error}"
    _end_all("finished" if error is None else "failed", words)


def _end_all(status: str, error: str | None) -> None:
    for one in list(_here.live):
        with contextlib.suppress(Exception):
            one.end_with_process(status, error)


# A process that is told to end ----------------------------------------------------------------------------------


def _watch_termination() -> None:
    """Write what is held at SIGTERM, where nobody else listens to it.

    Python runs a handler only between two steps of its own: a training deep in another library would not end before
    that returns. So a thread hears of the signal through the descriptor that Python's own handler writes to.
    """
    if _here.pipe is not None or threading.current_thread() is not threading.main_thread():
        return
    try:
        if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            return
        read, write = os.pipe()
        os.set_blocking(write, False)
        before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        if before != -1:
            # An event loop listens there.
            signal.set_wakeup_fd(before)
            os.close(read)
            os.close(write)
            return
        _here.pipe = (read, write)
        signal.signal(signal.SIGTERM, _told_to_end)
        threading.Thread(target=_listen, args=(read,), name="tally end", daemon=True).start()
    except (ValueError, OSError, RuntimeError):
        return


def _told_to_end(_number: int, _frame: FrameType | None) -> None:
    """Where the main thread hears of it first, or at the same time: what is done twice is done once."""
    _end_all(*TERMINATED)
    _die()


def _die() -> None:
    """End by the signal, as if nobody had listened to it."""
    # Only the main thread may ask Python for this; the C library does not mind.
    ctypes.CDLL(None).signal(signal.SIGTERM.value, None)
    os.kill(os.getpid(), signal.SIGTERM)


def _listen(read: int) -> None:
    while True:
        try:
            told = os.read(read, 1)
        except OSError:
            return
        if not told:
            return
        if told[0] == signal.SIGTERM:
            ending = threading.Thread(target=_end_all, args=TERMINATED, daemon=True)
            ending.start()
            ending.join(SECONDS_TO_END)
            _die()
            return


def _after_fork_in_child() -> None:
    if _here.pipe is not None:
        with contextlib.suppress(ValueError, OSError):
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for descriptor in _here.pipe:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        _here.pipe = None
    for one in list(_here.live):
        one.begin_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
