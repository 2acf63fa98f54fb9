"""The one lock that writers take in turn.

SQLite's own write lock is polled by everybody at once with growing pauses; with eight writers the unluckiest
waited ten times longer than behind this file lock. It also keeps writers and WAL checkpoints apart, which puts
SQLite's WAL-reset bug (3.7.0 to 3.51.2) out of reach.

Whoever lets go and wants the lock again at once would get it again, because the others are asleep between two looks:
of eight writers with 150 commits each one waited 1.3 seconds. So there is a second lock, the place of whoever is next.
It has to be taken first, and given up with the first lock in hand; then nobody passes somebody who is waiting there.
Who has just had the lock while others waited comes back a little later; and the longer somebody waits, the more often
they look, so that the chance of being next grows with the wait.
"""

from __future__ import annotations

import fcntl
import math
import os
import random
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from tallystick.ledger.errors import Busy, InvalidInput

SHORTEST_PAUSE_SECONDS = 0.0005
LONGEST_PAUSE_SECONDS = 0.01
FIRST_PAUSE_SECONDS = 0.006
PATIENCE_SECONDS = 0.05
"""After so long a wait somebody looks twice as often."""
STEP_BACK_SECONDS = 0.003
COURTESY_SECONDS = 1.0
"""How long the place of the next is waited for; a process that was stopped in it must not stop the others."""


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
    in_turn : bool
        Whether those who wait take turns, with a second file beside the first.
    """

    def __init__(self, path: Path, deadline_seconds: float, in_turn: bool = False) -> None:
        self.path = path
        self.deadline_seconds = deadline_seconds
        self._next = path.with_name(f"{path.name}.next") if in_turn else None
        self._descriptor = -1
        self._next_descriptor = -1
        self._others_waited = False
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
            self._descriptor = _open(self.path)
            self._next_descriptor = -1 if self._next is None else _open(self._next)
        give_up_at = time.monotonic() + self.deadline_seconds
        if self._next is None:
            if not _taken(self._descriptor, give_up_at, _patient):
                raise self._busy()
            return
        if self._others_waited:
            time.sleep(STEP_BACK_SECONDS)
        courtesy_until = min(give_up_at, time.monotonic() + COURTESY_SECONDS)
        is_next = _taken(self._next_descriptor, courtesy_until, _impatient)
        try:
            if not _taken(self._descriptor, give_up_at, _patient):
                raise self._busy()
        finally:
            if is_next:
                fcntl.flock(self._next_descriptor, fcntl.LOCK_UN)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._next is not None:
            self._others_waited = not _is_free(self._next_descriptor)
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the files; the next ``with`` opens them again."""
        for descriptor in (self._descriptor, self._next_descriptor):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptor = self._next_descriptor = -1

    def _busy(self) -> Busy:
        return Busy(
            f"Another process has held {self.path} for {self.deadline_seconds:g} seconds.",
            "Try again; if nothing seems to run, `fuser` on that file names the process.",
        )


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise InvalidInput(
            f"The lock {path} cannot be opened for writing: {error.strerror}.",
            "Appending needs the right to write in the ledger's folder; reading does not.",
        ) from error


def _taken(descriptor: int, give_up_at: float, pause: Callable[[float], float]) -> bool:
    """Look again and again until the lock is ours, or False at the end; ``pause`` follows from the wait so far."""
    begun = time.monotonic()
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            now = time.monotonic()
            if now >= give_up_at:
                return False
        # Jitter, so that waiting writers do not knock in step.
        time.sleep(pause(now - begun) * random.uniform(0.5, 1.0))


def _patient(waited_seconds: float) -> float:
    """Pauses of whoever is next, or alone: short at first, longer where the lock is held for long."""
    return min(SHORTEST_PAUSE_SECONDS + waited_seconds / 10, LONGEST_PAUSE_SECONDS)


def _impatient(waited_seconds: float) -> float:
    """Pauses of the others: the longer the wait, the shorter."""
    return max(FIRST_PAUSE_SECONDS * math.exp2(-waited_seconds / PATIENCE_SECONDS), SHORTEST_PAUSE_SECONDS)


def _is_free(descriptor: int) -> bool:
    """Whether nobody has the lock, which is left as it is."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return True


_open_locks: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _close_in_child() -> None:
    """A forked child shares its parent's open file, and with it the lock: it must let go at once."""
    for lock in _open_locks:
        lock.close()


os.register_at_fork(after_in_child=_close_in_child)
