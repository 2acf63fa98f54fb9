"""Reading off the event loop: a thread with its own open ledger that answers the newest question of each kind.

A Ledger object serves one thread, so it is opened in the thread that uses it. A question replaces the one of the same
kind that is still waiting, and whatever a replaced question finds out is thrown away: frames are cancelled, never
queued. Long searches ask :meth:`Job.stale` on their way.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tallystick.ledger.errors import Damaged, TallyError

if TYPE_CHECKING:
    from tallystick import ledger

Work = Callable[["ledger.Ledger", "Job"], Any]
Failed = Callable[[TallyError], None]
Deliver = Callable[[Callable[[], None]], None]


def _unreadable(error: Exception) -> TallyError:
    return Damaged(f"The ledger's file cannot be read: {error}.", "`tally verify` says what is wrong.")


class Job:
    """One question, what is done with its answer, and whether anybody still waits for it."""

    def __init__(self, slot: str, work: Work, done: Callable[[Any], None], failed: Failed) -> None:
        self.slot = slot
        self.work = work
        self.done = done
        self.failed = failed
        self.stale = False


class ReaderThread(threading.Thread):
    """A reading thread; ``deliver`` takes an answer to the thread of the screen."""

    def __init__(self, name: str, folder: Path, deliver: Deliver) -> None:
        super().__init__(name=f"tally-{name}", daemon=True)
        self._folder = folder
        self._deliver = deliver
        self._pending: dict[str, Job] = {}
        self._running: Job | None = None
        self._wake = threading.Condition()
        self._closing = False
        self.on_progress: Callable[[int, int], None] = lambda _done, _total: None
        """Called with how far the views are, while they are made."""

    def ask(self, slot: str, work: Work, done: Callable[[Any], None], failed: Failed) -> Job:
        """Have ``work`` done in the thread, and ``done`` or ``failed`` called with what came of it on the screen's."""
        job = Job(slot, work, done, failed)
        with self._wake:
            waiting = self._pending.pop(slot, None)
            for old in (waiting, self._running):
                if old is not None and old.slot == slot:
                    old.stale = True
            self._pending[slot] = job
            self._wake.notify()
        return job

    def cancel(self, slot: str) -> None:
        """Nobody waits for this kind of answer any more."""
        with self._wake:
            waiting = self._pending.pop(slot, None)
            for old in (waiting, self._running):
                if old is not None and old.slot == slot:
                    old.stale = True

    def close(self) -> None:
        """End the thread after what it is doing."""
        with self._wake:
            self._closing = True
            for job in (*self._pending.values(), self._running):
                if job is not None:
                    job.stale = True
            self._pending.clear()
            self._wake.notify()

    def run(self) -> None:
        from tallystick import ledger  # here, so that the screen need not wait for it
        from tallystick.ledger.opening import error_of_sqlite

        book: ledger.Ledger | None = None
        while (job := self._next()) is not None:
            try:
                if book is None:
                    book = ledger.open(self._folder, allow_jump=os.environ.get("TALLY_ALLOW_JUMP") == "1")
                    book.views.on_progress = self.on_progress
                answer = job.work(book, job)
            except TallyError as error:
                self._answer(job, job.failed, error)
            except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
                # An interrupted search was replaced by a newer one; nobody waits for it.
                found = error_of_sqlite(error) if isinstance(error, sqlite3.Error) else _unreadable(error)
                self._answer(job, job.failed, found)
            except Exception as error:  # noqa: BLE001 - the rim of the thread: it says so and goes on answering
                name = type(error).__name__
                defect = Damaged(f"An unexpected error, which is a defect of tallystick: {name}: {error}", "Report it.")
                self._answer(job, job.failed, defect)
            else:
                self._answer(job, job.done, answer)
        if book is not None:
            book.close()

    def _next(self) -> Job | None:
        with self._wake:
            self._running = None
            while not self._pending and not self._closing:
                self._wake.wait()
            if self._closing:
                return None
            slot = next(iter(self._pending))
            self._running = self._pending.pop(slot)
            return self._running

    def _answer(self, job: Job, done: Callable[[Any], None], answer: Any) -> None:
        def call() -> None:
            if not job.stale:
                done(answer)

        if not job.stale:
            self._deliver(call)
