"""A ledger that stays open while calls follow one another, for who must not hold it open for days.

Opening a ledger and closing it again waits four times for the disk, which is more than a small commit does. A thread
of its own does the work, because what SQLite opens belongs to one thread, callers may be many, and nobody else is
there to close when no call follows. A caller waits until its work is done, so what was durable on return still is.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path

from tallystick.ledger.ledger import Ledger
from tallystick.ledger.opening import open_ledger
from tallystick.ledger.storage.log import LEDGER_FILE

IDLE_SECONDS = 1.0
Work = Callable[[Ledger], None]


class _Asked:
    def __init__(self, work: Work) -> None:
        self.work = work
        self.done = threading.Event()
        self.error: BaseException | None = None


class KeptOpen:
    """One ledger by its path; safe to use from any thread, and after a fork."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._anew()

    def _anew(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._asked: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()

    def do(self, work: Work) -> None:
        """Let ``work`` happen with the ledger open; raises whatever opening or working raised."""
        if os.getpid() != self._process:
            self._anew()  # a forked child has neither the thread nor, surely, the lock
        asked = _Asked(work)
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tally", daemon=True)
                self._thread.start()
            self._asked.put(asked)
        asked.done.wait()
        if asked.error is not None:
            raise asked.error

    def close(self) -> None:
        """Close the ledger, if it is open, and wait until it is."""
        if os.getpid() != self._process:
            return
        with self._lock:
            thread = self._thread
            if thread is not None:
                self._asked.put(None)
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        book: Ledger | None = None
        opened: tuple[int, ...] = ()
        while (asked := self._next()) is not None:
            try:
                # Moved, replaced or written over in the meantime: then it is opened again, or found missing.
                if book is not None and opened != self._file():
                    book.close()
                    book = None
                if book is None:
                    book = open_ledger(self.folder)
                asked.work(book)
                opened = self._file()
            except BaseException as error:  # noqa: BLE001 - it is raised where the work was asked for
                asked.error = error
                if book is not None:
                    book.close()
                    book = None
            finally:
                asked.done.set()
        if book is not None:
            book.close()

    def _next(self) -> _Asked | None:
        """What is asked next; None, and the end of this thread, when nothing is for a while."""
        try:
            asked = self._asked.get(timeout=IDLE_SECONDS)
        except queue.Empty:
            asked = None
        with self._lock:
            # Somebody may have asked between the end of waiting and this lock; whoever asks from now on begins anew.
            while asked is None:
                try:
                    asked = self._asked.get_nowait()
                except queue.Empty:
                    self._thread = None
                    return None
        return asked

    def _file(self) -> tuple[int, ...]:
        """What tells one file from another, and from itself after others have written into it."""
        try:
            status = (self.folder / LEDGER_FILE).stat()
        except OSError:
            return ()
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
