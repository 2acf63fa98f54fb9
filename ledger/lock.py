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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ledger.errors import Busy, InvalidInput

SHORTEST_PAUSE_SECONDS = 0.0005
LONGEST_PAUSE_SECONDS = 0.01


@contextmanager
def exclusive(path: Path, deadline_seconds: float) -> Iterator[None]:
    """Hold the exclusive lock on ``path`` for the length of a ``with`` block.

    The operating system drops the lock when the process ends, however it ends.

    Raises
    ------
    Busy
        When another process still holds it after ``deadline_seconds``.
    InvalidInput
        When the lock file cannot be opened, usually for want of rights.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise InvalidInput(
            f"The ledger's lock {path} cannot be opened for writing: {error.strerror}.",
            "Appending needs the right to write in the ledger's folder; reading does not.",
        ) from error
    try:
        _wait(descriptor, path, deadline_seconds)
        yield
    finally:
        os.close(descriptor)


def _wait(descriptor: int, path: Path, deadline_seconds: float) -> None:
    give_up_at = time.monotonic() + deadline_seconds
    pause_seconds = SHORTEST_PAUSE_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= give_up_at:
                raise Busy(
                    f"Another process has held {path} for {deadline_seconds:g} seconds.",
                    "Try again; if nothing seems to run, `fuser` on that file names the process.",
                ) from None
        # Jitter, so that waiting writers do not knock in step.
        time.sleep(pause_seconds * random.uniform(0.5, 1.0))
        pause_seconds = min(pause_seconds * 1.5, LONGEST_PAUSE_SECONDS)
