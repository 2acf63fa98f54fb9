"""Worker processes that end with the process that started them, also when that one is killed."""

from __future__ import annotations

import os
import select
import signal
import threading
import time

SECONDS_BETWEEN_LOOKS = 1.0


def end_with_parent(parent: int) -> None:
    """Watch the parent from a thread and end this process as soon as the parent is gone.

    For the beginning of a worker. A pool tells its workers to end only if it can: after SIGKILL they would wait for
    work for ever, with all their memory. Linux's own signal for this (PR_SET_PDEATHSIG) is of no use here, because it
    comes when the *thread* ends that started the worker.

    Parameters
    ----------
    parent : int
        Process id of whoever starts the worker, taken there.
    """
    threading.Thread(target=_watch, args=(parent,), name="end with parent", daemon=True).start()


def _watch(parent: int) -> None:
    try:
        descriptor = os.pidfd_open(parent)
    except (AttributeError, OSError):  # not Linux, an old one, or no such process any more
        while os.getppid() == parent:
            time.sleep(SECONDS_BETWEEN_LOOKS)
    else:
        # Only now: the number may be that of another process by now, whose end would say nothing.
        if os.getppid() == parent:
            ended = select.poll()
            ended.register(descriptor, select.POLLIN)
            ended.poll()
    os.kill(os.getpid(), signal.SIGKILL)
