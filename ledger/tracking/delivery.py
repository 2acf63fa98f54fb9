"""How records of one trial, made in one process, reach their ledger: at once, through the spool, or from memory."""

from __future__ import annotations

import contextlib
import datetime as dt
import inspect
import secrets
import sys
import time
import warnings
from pathlib import Path

from tallystick.ledger.errors import TallyError
from tallystick.ledger.events.types import Body, TrialChanged, TrialStatus
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.system.clock import utc_now
from tallystick.ledger.tracking import cleaning
from tallystick.ledger.tracking.spool import Spool, SpooledCommit, deliver, empty, read, record
from tallystick.ledger.tracking.worker import KeptOpen

TRY_AGAIN_SECONDS = 30.0
WAIT_SECONDS = 0.5
WAIT_AT_END_SECONDS = 5.0
MOST_RECORDS_IN_MEMORY = 10_000
MOST_WARNINGS = 100


class OnceTold:
    """Warnings about one trial, each thing told once; none of them ends a training."""

    def __init__(self, trial: str) -> None:
        self.trial = trial
        self._told: set[str] = set()

    def warn(self, about: str, error: Exception, then: str) -> None:
        """Say that something could not be recorded, and what becomes of it."""
        what = error.message if isinstance(error, TallyError) else cleaning.error_words(error)
        self.say(about, f"Tallystick could not record for {self.trial}: {what} {then} The training goes on.")

    def say(self, about: str, words: str) -> None:
        """Warn, without raising where warnings were made errors."""
        if about in self._told or len(self._told) >= MOST_WARNINGS:
            return
        self._told.add(about)
        try:
            warnings.warn(words, RuntimeWarning, stacklevel=levels_above())
        except Exception:  # noqa: BLE001 - warnings were made errors; even so, a training is not ended by its record
            with contextlib.suppress(Exception):
                sys.stderr.write(f"{words}\n")


class Delivery:
    """The records of one trial in one process, in the order in which they were made.

    Attributes
    ----------
    sequence : str
        Names this process among those that record into the trial: keys and spools of two never clash.
    """

    def __init__(self, trial: str, ledger: Path, told: OnceTold) -> None:
        self.trial = trial
        self.told = told
        self.sequence = secrets.token_hex(4)
        self.book = KeptOpen(ledger)
        self._position = 0
        self._spool = Spool(trial, ledger, self.sequence)
        self._held: list[tuple[SpooledCommit, dict[str, bytes]]] = []
        """Records that not even the spool could take; tried again until the end."""
        self._late = self._lost = 0
        self._try_after = 0.0

    def write(
        self,
        bodies: list[Body],
        at: dt.datetime,
        files: dict[str, bytes] | None = None,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        """Into the ledger, else into the spool, else into memory; in order, whatever happens."""
        item = record(f"{self.trial}/{self.sequence}/{self._position}", at, bodies, list(files or ()))
        self._position += 1
        if time.monotonic() >= self._try_after:
            try:
                self.book.do(lambda book: self._deliver(book, item, files or {}, wait_seconds))
                return
            except Exception as error:  # noqa: BLE001 - whatever breaks there, the training goes on
                self._try_after = time.monotonic() + TRY_AGAIN_SECONDS
                self.told.warn("writing", error, "It is kept on disk and delivered later; `tally doctor` does it, too.")
        self._late += 1
        self._held.append((item, files or {}))
        self._keep_held()

    def _deliver(self, book: Ledger, item: SpooledCommit, files: dict[str, bytes], wait_seconds: float) -> None:
        self._spool.origin = book.origin
        self._keep_held()
        if self._held:
            raise OSError("earlier records wait in memory")
        if self._spool.folder is not None:
            waits = read(self._spool.folder)
            if waits is not None:
                empty(book, waits, wait_seconds)
            self._spool.folder = None
        for data in files.values():
            book.store(data)
        deliver(book, item, wait_seconds)

    def _keep_held(self) -> None:
        try:
            while self._held:
                self._spool.keep(*self._held[0])
                self._held.pop(0)
        except OSError as error:
            self.told.warn("spool", error, "It waits in memory.")
            if len(self._held) > MOST_RECORDS_IN_MEMORY:
                self._held.pop(0)
                self._lost += 1

    def end(self, status: TrialStatus, error: str | None) -> None:
        """Record the end of the trial, as late as must be, and close."""
        now = utc_now()
        self._try_after = 0.0
        ended = TrialChanged(
            trial=self.trial,
            status=status,
            ended_at=now,
            error=None if error is None else cleaning.text(error, 2_000),
            late_records=self._late + len(self._held),
        )
        self.write([ended], now, wait_seconds=WAIT_AT_END_SECONDS)
        self.close()

    def close(self) -> None:
        """Close the ledger; what could be kept nowhere is lost, and that is said."""
        self.book.close()
        self._keep_held()
        self._lost += len(self._held)
        if self._lost:
            self.told.say("lost", f"{self._lost} records of {self.trial} could not be kept anywhere and are lost.")


def levels_above() -> int:
    """How many frames of ours lie above the caller's, for a warning that names the line of the training."""
    ours = str(Path(__file__).parent)
    level, frame = 0, inspect.currentframe()
    while frame is not None and frame.f_code.co_filename.startswith(ours):
        level, frame = level + 1, frame.f_back
    return level
