"""The one lock that writers take in turn.

SQLite's own write lock is polled by everybody at once with growing pauses; with eight writers the unluckiest
waited ten times longer than behind this file lock. It also keeps writers and WAL checkpoints apart, which puts
SQLite's WAL-reset bug (3.7.0 to 3.51.2) out of reach.
"""

from __future__ import annotations

import fcntl
import os
import random
import time
import weakref
from pathlib import Path
from types import TracebackType

from ledger.errors import Busy, InvalidInput

SHORTEST_PAUSE_SECONDS = 0.0005
LONGEST_PAUSE_SECONDS = 0.01


class FileLock:
    """An exclusive lock on a file, held for the length of a ``with`` block; one object serves one thread.

    The operating system drops the lock when the process ends, however it ends. The file stays open in between:
    opening it anew for every commit took a tenth of a commit's time.

    Parameters
    ----------
    path : Path
        Made if it does not exist; its content means nothing.
    deadline_seconds : float
        How long to wait for others; may be set before each ``with``.
    """

    def __init__(self, path: Path, deadline_seconds: float) -> None:
        self.path = path
        self.deadline_seconds = deadline_seconds
        self._descriptor = -1
        _open_locks.add(self)

    def __enter__(self) -> None:
        """Wait for the lock.

        Raises
        ------
        Busy
            When another process still holds it at the deadline.
        InvalidInput
            When the file cannot be opened, usually for want of rights.
        """
        if self._descriptor < 0:
            self._open()
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file; the next ``with`` opens it again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise InvalidInput(
                f"The lock {self.path} cannot be opened for writing: {error.strerror}.",
                "Appending needs the right to write in the ledger's folder; reading does not.",
            ) from error

    def _wait(self) -> None:
        give_up_at = time.monotonic() + self.deadline_seconds
        pause_seconds = SHORTEST_PAUSE_SECONDS
        while True:
            # Jitter, so that waiting writers do not knock in step.
            time.sleep(pause_seconds * random.uniform(0.5, 1.0))
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= give_up_at:
                    raise Busy(
                        f"Another process has held {self.path} for {self.deadline_seconds:g} seconds.",
                        "Try again; if nothing seems to run, `fuser` on that file names the process.",
                    ) from None
            pause_seconds = min(pause_seconds * 1.5, LONGEST_PAUSE_SECONDS)


_open_locks: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _close_in_child() -> None:
    """A forked child shares its parent's open file, and with it the lock: it must let go at once."""
    for lock in _open_locks:
        lock.close()


os.register_at_fork(after_in_child=_close_in_child)
