"""One ledger as a tracker's store uses it: asked from any thread, with numbers gathered for two seconds at most."""

from __future__ import annotations

import atexit
import datetime as dt
import hashlib
import logging
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from functools import cache
from typing import NamedTuple, TypeVar

from tallystick.ledger.errors import Busy, NotFound, Refused
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.types import Body, Series, TrialSeries
from tallystick.ledger.exchange.location import Location
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.tracking.series import MeasuredOf, series_of
from tallystick.ledger.tracking.worker import KeptOpen
from tallystick.ledger.views.entities import TrialState

GATHER_SECONDS = 2.0
HANDED_ON = "mlflow-artifacts:"
MOST_NUMBERS_HELD = 5_000
MOST_NUMBERS_AN_EVENT = 20_000
LONG_TEXT = "tally-artifact:"
"""Begins a text that is kept as a file, because it is longer than an event should be."""
MOST_TEXT = 100_000
T = TypeVar("T")
_log = logging.getLogger(__name__)

_live: weakref.WeakSet[Session] = weakref.WeakSet()


class Number(NamedTuple):
    """One number of a trial."""

    key: str
    step: int
    at_ms: int
    value: float
    model: str | None = None
    dataset: str | None = None
    dataset_digest: str | None = None


def run_id_of(trial: str) -> str:
    """The id by which other trackers know a trial: its own name where that is one, else a hash of it."""
    plain = trial.replace("-", "").replace("_", "")
    if plain.isalnum() and plain.isascii() and len(trial) <= 256:
        return trial
    return hashlib.sha256(trial.encode()).hexdigest()[:32]


def trial_of(snapshot: Snapshot, run_id: str) -> str | None:
    """The name of a trial by its id, or None."""
    found = snapshot.find(f"trial:{run_id}")
    if isinstance(found, TrialState):
        return found.trial
    # A hash of the name: only trials of other recorders have one.
    return next((one.trial for one in snapshot.trials(removed=True) if run_id_of(one.trial) == run_id), None)


def drafted(body: Body, at_ms: int | None) -> Draft:
    """A fact that happened at a moment, in milliseconds since 1970."""
    at = None if at_ms is None else dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC)
    return Draft(body, occurred_at=at)


class Session:
    """A ledger behind an address; safe to use from any thread, and after a fork."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self.behind_server = False
        """Whether MLflow's server asks, whose clients reach files through it."""
        self._names: dict[str, str] = {}
        self._measured: dict[str, str] = {}
        self._begin_here()
        _live.add(self)

    def _begin_here(self) -> None:
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._open = KeptOpen(self.location.folder)
        self._numbers: dict[str, list[Number]] = {}
        self._count = 0
        self._timer: threading.Timer | None = None

    # Asking ------------------------------------------------------------------------------------------------

    def ask(self, question: Callable[[Snapshot], T]) -> T:
        """An answer from what is known now, or at the date of the address."""
        self.flush()
        as_of = self.location.as_of
        return self.do(lambda book: question(book.now() if as_of is None else book.at(as_of)))

    def do(self, work: Callable[[Ledger], T]) -> T:
        """Let ``work`` happen with the ledger open."""
        found: list[T] = []
        self._open.do(lambda book: found.append(work(book)))
        return found[0]

    def files_address(self, uri: str) -> str:
        """An address of files, as whoever asks can reach it, as of the date of this session.

        What a server handed on is named by an address that only its clients can use; here the ledger itself is at hand.
        """
        if uri.startswith(HANDED_ON) and not self.behind_server:
            uri = f"{self.location.files}/{uri.removeprefix(HANDED_ON).lstrip('/')}"
        return self.location.then(uri)

    def trial_name(self, run_id: str) -> str:
        """The name of a trial by its id; NotFound where there is none."""
        known = self._names.get(run_id)
        if known is None:
            known = self.ask(lambda now: self._name_in(now, run_id))
        return known

    def _name_in(self, snapshot: Snapshot, run_id: str) -> str:
        found = trial_of(snapshot, run_id)
        if found is None:
            raise NotFound(f"Run with id={run_id} not found")
        self._names[run_id] = found
        return found

    def known(self, run_id: str) -> str | None:
        """The trial of a run that was found to be there and not removed; None where nobody asked yet."""
        return self._measured.get(run_id)

    def remember(self, run_id: str, trial: str) -> None:
        """A run was found to be there and not removed."""
        self._measured[run_id] = trial

    def forget(self, run_id: str) -> None:
        """A run was removed."""
        self._measured.pop(run_id, None)

    # Writing -----------------------------------------------------------------------------------------------

    def write(
        self,
        *drafts: Draft | Body,
        expected: dict[str, int | None] | None = None,
        key: str | None = None,
        sign: bool = False,
    ) -> None:
        """Record facts as one commit, durable on return, after all numbers that came before.

        Raises
        ------
        Refused
            When the address is that of a past date.
        """
        self._refuse_the_past()
        self.flush()
        self.do(lambda book: book.append(*drafts, expected=expected, key=key, sign=sign))

    def store(self, data: bytes) -> str:
        """Keep content under its hash, which is returned."""
        self._refuse_the_past()
        return self.do(lambda book: book.store(data).hash)

    def measure(self, trial: str, numbers: list[Number]) -> None:
        """Record numbers: within two seconds, or now where the address says so."""
        self._refuse_the_past()
        with self._lock:
            self._numbers.setdefault(trial, []).extend(numbers)
            self._count += len(numbers)
            now = self.location.each or self._count >= MOST_NUMBERS_HELD
            if not now:
                self._start_timer()
        if now:
            self.flush()

    def flush(self) -> None:
        """Write the numbers that are held; durable on return.

        Numbers stay held where the ledger is busy or its disk fails, and the next call tries again.
        """
        # Whoever reads waits for a writer that has taken the numbers out of what is held.
        with self._writing:
            with self._lock:
                numbers, self._numbers, self._count = self._numbers, {}, 0
                if self._timer is not None:
                    self._timer.cancel()
                    self._timer = None
            while numbers:
                trial, held = next(iter(numbers.items()))
                try:
                    self._write_series(trial, held[:MOST_NUMBERS_AN_EVENT])
                except (Busy, OSError, sqlite3.Error):
                    self._hold_again(numbers)
                    raise
                except BaseException:
                    # Tried again, these would fail again, and nothing after them would ever be written.
                    del numbers[trial]
                    self._hold_again(numbers)
                    raise
                numbers[trial] = held[MOST_NUMBERS_AN_EVENT:]
                if not numbers[trial]:
                    del numbers[trial]

    def close(self) -> None:
        """Close the ledger; it opens again with the next question."""
        self._open.close()

    def _write_series(self, trial: str, numbers: list[Number]) -> None:
        draft = _measured(TrialSeries(trial=trial, series=_series(numbers)), numbers[-1].at_ms)
        self.do(lambda book: book.append(draft))

    def _hold_again(self, numbers: dict[str, list[Number]]) -> None:
        with self._lock:
            for trial, held in numbers.items():
                self._numbers[trial] = held + self._numbers.get(trial, [])
            self._count = sum(map(len, self._numbers.values()))
            if self._count:
                self._start_timer()

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(GATHER_SECONDS, self._flush_in_time)
            self._timer.daemon = True
            self._timer.start()

    def _flush_in_time(self) -> None:
        try:
            self.flush()
        except Exception:  # noqa: BLE001 - it is logged, and raised again where somebody waits
            # Nobody waits for this thread: who reads or writes next gets the error, should it still be there.
            _log.warning("numbers could not be written", exc_info=True)

    def _refuse_the_past(self) -> None:
        if self.location.as_of is not None:
            raise Refused(
                f"This shows the ledger as of {self.location.as_of}; nothing can be written into the past.",
                "Without as-of in its address it is the present.",
            )


def _measured(body: TrialSeries, at_ms: int) -> Draft:
    # Clients send any number as a time; one that no calendar holds is theirs to explain.
    return drafted(body, at_ms if 0 <= at_ms < 253_402_300_800_000 else int(time.time() * 1000))


def _series(numbers: list[Number]) -> list[Series]:
    found: dict[tuple[str, MeasuredOf], list[Number]] = {}
    for number in numbers:
        measured_of = (number.model, number.dataset, number.dataset_digest)
        found.setdefault((number.key, measured_of), []).append(number)
    return [
        series_of(key, [n.step for n in some], [n.at_ms for n in some], [n.value for n in some], measured_of)
        for (key, measured_of), some in found.items()
    ]


@cache
def shared(location: Location) -> Session:
    """The session at an address: tracking, registry and files share what is held."""
    return Session(location)


def _end() -> None:
    for session in list(_live):
        try:
            session.flush()
        except Exception:  # noqa: BLE001 - at the end of a process nobody catches it
            _log.exception("the last numbers of this process could not be written to %s", session.location.folder)
        session.close()


def _begin_in_child() -> None:
    """What a parent holds is for the parent to write."""
    for session in list(_live):
        session._begin_here()


atexit.register(_end)
os.register_at_fork(after_in_child=_begin_in_child)
