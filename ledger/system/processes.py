"""Other processes: workers that end with the process that started them, and whether a process has gone."""

from __future__ import annotations

import os
import platform
import select
import signal
import threading
import time
from pathlib import Path

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


def mark_of(process: int) -> str | None:
    """What tells a process from a later one of the same number: the machine's boot and when the process began.

    None where there is no such process, or the system does not say (only Linux does).
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # The name, in brackets, may hold blanks and brackets itself; the 22nd field is when it began.
        fields = Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
        state, began = fields[0], fields[19]
    except (OSError, IndexError):
        return None
    return None if state in ("Z", "X") else f"{boot} {began}"


def has_gone(host: str, process: int | None, mark: str | None) -> bool:
    """Whether a process of this machine is known to have ended; False where nothing is known of it."""
    if process is None or mark is None or host != platform.node() or not Path("/proc/self/stat").exists():
        return False
    return mark_of(process) != mark
