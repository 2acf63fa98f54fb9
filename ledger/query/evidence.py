"""Events and commits as a snapshot shows them: up to its position, with corrections applied and erasures marked.

This is the one way in which code outside :mod:`ledger` reads events. An event that was corrected is still there and
says what set it aside; one whose content was erased holds an :class:`Erased` instead of an event. What counts as
evidence for a decision comes from :meth:`Evidence.counted_events`, which yields neither.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from typing import Any, NamedTuple, TypeVar, cast
from zoneinfo import ZoneInfo

from tallystick.ledger.errors import Damaged, NotFound
from tallystick.ledger.events import types as vocabulary
from tallystick.ledger.events.commit import (
    Head,
    commit_handle,
    commit_text,
    decode_head,
    event_handle,
    from_micros,
    leaf_entry,
    to_micros,
)
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Event
from tallystick.ledger.events.types import CommitImported, EventRedacted, LedgerCreated
from tallystick.ledger.query import blame
from tallystick.ledger.query.as_of import AsOf
from tallystick.ledger.storage.imported_commits import copied_in, within
from tallystick.ledger.storage.key_history import Identity, identities_of
from tallystick.ledger.storage.log import Commit, Log, Stored
from tallystick.ledger.system.timezone import zone_of
from tallystick.ledger.views.entities import BY_STATE
from tallystick.ledger.views.entities.corrections import CORRECTIONS, CorrectionState
from tallystick.ledger.views.fold import READ_TYPES
from tallystick.ledger.views.projection import State
from tallystick.ledger.views.store import MemoryViews, Views

S = TypeVar("S", bound=State)


class Erased(NamedTuple):
    """What stands in place of an event whose content was erased.

    Erasing is final: the content is missing at every date, also at dates before the erasure.
    """

    seq: int
    """Position of the ``event.redacted`` that says so."""
    by: str
    at: dt.datetime
    """When that was recorded, UTC."""
    reason: str
    authority: str


class Unreadable(NamedTuple):
    """What stands in place of an event whose content is missing without an erasure, or is damaged."""

    message: str


Content = Event[Any] | Erased | Unreadable


class RecordedEvent(NamedTuple):
    """An event with its place in the log, and whether it counts."""

    seq: int
    n: int
    """The commit that holds it."""
    recorded_at: dt.datetime
    """UTC."""
    actor: str
    type: str
    id: bytes
    """BLAKE3, 32 bytes."""
    sha256: bytes
    data: bytes | None
    """The exact bytes that were hashed; None where the content was erased or is missing: ``content`` says which."""
    content: Content
    """Typed, with the names that things have in this ledger."""
    imported: bool
    """Whether it was recorded in another ledger."""
    corrected_by: CorrectionState | None
    """The correction that sets it aside, as far as the snapshot knows."""

    @property
    def handle(self) -> str:
        """``#812-k3f9``."""
        return event_handle(self.seq, self.id)

    @property
    def counts(self) -> bool:
        """Whether it is evidence: readable and not corrected."""
        return self.corrected_by is None and isinstance(self.content, Event)

    @property
    def event(self) -> Event[Any]:
        """The event; Damaged where it was erased or cannot be read."""
        match self.content:
            case Event() as event:
                return event
            case Erased(seq=said):
                raise Damaged(f"The content of event #{self.seq} was erased.", f"tally show '#{said}' says why.")
            case Unreadable(message=message):
                raise Damaged(f"Event #{self.seq} cannot be read: {message}.", "`tally verify` says what is wrong.")

    @property
    def entry(self) -> Entry:
        """The event with its place, as projections read it; Damaged where it was erased or cannot be read."""
        return Entry(self.seq, self.n, self.recorded_at, self.actor, self.event)


class RecordedCommit(NamedTuple):
    """A commit of the log."""

    n: int
    first_seq: int
    last_seq: int
    recorded_at: dt.datetime
    """UTC."""
    head_text: str
    """Canonical JSON, as it was hashed."""

    @property
    def head(self) -> Head:
        """Who recorded it, when, where and with what; Damaged where that cannot be read."""
        return decode_head(self.head_text)


class Source(NamedTuple):
    """The commit of another ledger that an imported commit is a copy of."""

    said: CommitImported
    head: Head | None
    """Its head there; None where that cannot be read."""
    within: CommitImported | None
    """The commit of a third ledger, where the other ledger had imported it itself."""


class Evidence:
    """The events and commits up to one position."""

    def __init__(self, views: Views, as_of: AsOf) -> None:
        self._views = views
        self.as_of = as_of
        # What was folded in memory counts its own entries; the ledger's views count events.
        self._position = as_of.seq if not isinstance(views, MemoryViews) else len(views.told) - 1

    # The ledger --------------------------------------------------------------------------------------------

    @cached_property
    def genesis(self) -> LedgerCreated:
        """The first event's body, which never changes; Damaged where it cannot be read."""
        body = self.event(0).event.body
        if not isinstance(body, LedgerCreated):
            raise Damaged(f"{self._log.path} does not begin with ledger.created.")
        return body

    @property
    def zone(self) -> ZoneInfo:
        """The zone in which dates of this ledger are read and shown."""
        return zone_of(self.genesis.timezone)

    @cached_property
    def identities(self) -> list[Identity]:
        """Every key that the log had had by then, oldest first."""
        return [identity for identity in identities_of(self._log) if identity.from_size <= self.as_of.n + 1]

    def versions(self, kind: type[S], name: str) -> list[S]:
        """The states that an entity has had up to this position, oldest first; each names its event in ``seq``.

        Also those that were taken back by a correction later on, but not the gaps in which the entity did not exist.
        """
        versions = self._views.history(BY_STATE[kind], name, -1, self._position)
        return [cast("S", version.state) for version in versions if version.state is not None]

    # Events ------------------------------------------------------------------------------------------------

    def event(self, seq: int) -> RecordedEvent:
        """One event, whether it counts or not.

        Raises
        ------
        NotFound
            When the snapshot does not hold it: it was recorded later, never, or is supposed not to have been.
        """
        if not 0 <= seq <= self.as_of.seq:
            raise self._not_known(f"event #{seq}")
        log = self._log
        stored, commit = log.event(seq), log.commit_of(seq)
        if not self._holds(seq, stored.type):
            raise self._not_known(f"event #{seq}")
        aside = cast("CorrectionState | None", self._views.get(CORRECTIONS, str(seq), self._position))
        reader = _CommitReader(log)
        return reader.read(commit, stored, aside)

    def events(
        self,
        first: int = 0,
        last: int | None = None,
        *,
        types: Collection[str] = (),
        names: Collection[str] = (),
    ) -> Iterator[RecordedEvent]:
        """Events ``first`` to ``last``, both included, oldest first, whether they count or not.

        Parameters
        ----------
        first, last : int
            Positions; ``last`` is at most that of the snapshot, which is also the default.
        types : collection of str, optional
            Only events of these types: ``leakage.checked``.
        names : collection of str, optional
            Only events that hold one of these names as a text (``late-arrivals-v1``), corrections, and erased events,
            because nothing can say any more what those named.
        """
        end = self.as_of.seq if last is None else min(last, self.as_of.seq)
        if first > end:
            return
        log, aside = self._log, self._aside
        held = frozenset(held for name in names for held in vocabulary.names_in_bodies(name))
        commit = log.commit_of(first)
        reader = _CommitReader(log)
        for stored in map(Stored._make, log.rows(first, end, types, held)):
            if not self._holds(stored.seq, stored.type):
                continue
            if stored.seq > commit.last_seq:
                commit = log.commit_of(stored.seq, commit.n + 1)
            yield reader.read(commit, stored, aside.get(stored.seq))

    def some_events(self, seqs: Iterable[int]) -> list[RecordedEvent]:
        """Events at certain positions, in the order asked for; NotFound as for :meth:`event`."""
        return [self.event(seq) for seq in seqs]

    def counted_events(
        self,
        first: int = 0,
        last: int | None = None,
        *,
        types: Collection[str] = (),
        names: Collection[str] = (),
    ) -> Iterator[Entry]:
        """The same as :meth:`events`, of those that count: not corrected, not erased.

        Raises
        ------
        Damaged
            At an event whose content is damaged or missing without an erasure: leaving it out could change a decision.
        """
        for found in self.events(first, last, types=types, names=names):
            if found.corrected_by is None and not isinstance(found.content, Erased):
                yield self._supposed.get(found.seq) or found.entry

    def positions(self, ids: Collection[str], before: int | None = None) -> dict[str, int]:
        """Positions of events by their ids (64 hexadecimal digits); an id that is not known is left out.

        Parameters
        ----------
        before : int, optional
            Only events before this position. Causes lie shortly before their event, where they are found soonest.
        """
        end = self.as_of.seq + 1
        return blame.find(self._log, end if before is None else min(before, end), ids)

    # Commits -----------------------------------------------------------------------------------------------

    def commit(self, n: int) -> RecordedCommit:
        """One commit; NotFound where the snapshot does not hold it."""
        if not 0 <= n <= self.as_of.n:
            raise self._not_known(f"commit c{n}")
        return _recorded(self._log.commit(n))

    def commit_of(self, seq: int) -> RecordedCommit:
        """The commit that holds an event; NotFound where the snapshot does not hold it."""
        if not 0 <= seq <= self.as_of.seq:
            raise self._not_known(f"event #{seq}")
        return _recorded(self._log.commit_of(seq))

    def commits(self, first: int = 0, stop: int | None = None, *, newest_first: bool = False) -> list[RecordedCommit]:
        """Commits ``first`` up to and without ``stop``, as far as the snapshot holds them."""
        end = self.as_of.n + 1 if stop is None else min(stop, self.as_of.n + 1)
        return [_recorded(commit) for commit in self._log.commits(max(0, first), end, newest_first)]

    def last_commit_by(self, moment: dt.datetime) -> RecordedCommit | None:
        """The newest commit that was recorded at or before a moment (time-zone aware); None before the first."""
        found = self._log.last_commit_by(to_micros(moment))
        return (
            None if found is None else _recorded(found if found.n <= self.as_of.n else self._log.commit(self.as_of.n))
        )

    def commit_entry(self, n: int) -> bytes:
        """``BLAKE3(text) || SHA-256(text)`` of a commit, 64 bytes; NotFound where the snapshot does not hold it."""
        commit = self.commit(n)
        return leaf_entry(commit_text(commit.head_text, self._log.hashes(commit.first_seq, commit.last_seq)))

    def commit_handle(self, n: int) -> str:
        """``c55-k3f9``; NotFound where the snapshot does not hold it."""
        return commit_handle(n, self.commit_entry(n))

    def source(self, n: int) -> Source | None:
        """Which commit of another ledger commit ``n`` is a copy of; None for the ledger's own.

        Raises
        ------
        NotFound
            When the snapshot does not hold it.
        Damaged
            When its head cannot be read.
        """
        self.commit(n)
        copied = copied_in(self._log, self._log.commit(n))
        if copied is None:
            return None
        try:
            head = decode_head(copied.said.head)
        except Damaged:
            return Source(copied.said, None, None)
        try:
            return Source(copied.said, head, within(copied.said))
        except Damaged:
            return Source(copied.said, head, None)

    # -------------------------------------------------------------------------------------------------------

    @property
    def _log(self) -> Log:
        return self._views.log

    @cached_property
    def _aside(self) -> dict[int, CorrectionState]:
        states = cast("list[CorrectionState]", self._views.all(CORRECTIONS, self._position))
        return {int(state.correction): state for state in states}

    @cached_property
    def _supposed(self) -> dict[int, Entry]:
        """In a what-if or on another axis of time: the entries that everything follows from."""
        return {entry.seq: entry for entry in self._views.told} if isinstance(self._views, MemoryViews) else {}

    def _holds(self, seq: int, event_type: str) -> bool:
        # No view follows from other types, so no supposition can be about them.
        return not isinstance(self._views, MemoryViews) or seq in self._supposed or event_type not in READ_TYPES

    def _not_known(self, what: str) -> NotFound:
        return NotFound(f"There is no {what}, {self.as_of.words}.", "`tally log` lists what there is.")


class _CommitReader:
    """Turns rows of the log into events; what all events of a commit share is read once."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._of: Commit | None = None
        self._head: Head | None = None
        self._recorded_at = dt.datetime.min.replace(tzinfo=dt.UTC)
        self._under: str | None = None

    def read(self, commit: Commit, stored: Stored, aside: CorrectionState | None) -> RecordedEvent:
        if self._of is not commit:
            self._head, self._recorded_at, self._under = decode_head(commit.head), from_micros(commit.recorded_at), None
            if self._head.imported and (copied := copied_in(self._log, commit, self._head)) is not None:
                self._under = copied.said.named_under
            self._of = commit
        assert self._head is not None
        return RecordedEvent(
            seq=stored.seq,
            n=commit.n,
            recorded_at=self._recorded_at,
            actor=self._head.actor,
            type=stored.type,
            id=stored.id,
            sha256=stored.sha256,
            data=stored.data,
            content=self._content(stored),
            imported=self._head.imported,
            corrected_by=aside,
        )

    def _content(self, stored: Stored) -> Content:
        if stored.data is None:
            return erasure(self._log, stored.seq) or Unreadable("its body is not here")
        try:
            event = vocabulary.decode(stored.data, stored.type)
        except Damaged as error:
            return Unreadable(error.message)
        return event if self._under is None else vocabulary.named_under(event, self._under)


def erasure(log: Log, seq: int) -> Erased | None:
    """The event that says that the content of event ``seq`` is erased; None where there is none."""
    said = log.last_seq_of(f"redaction:{seq}")
    if said is None:
        return None
    stored, commit = log.event(said), log.commit_of(said)
    body = None if stored.data is None else vocabulary.decode(stored.data, stored.type).body
    reason, authority = (body.reason, body.authority) if isinstance(body, EventRedacted) else ("", "")
    return Erased(said, decode_head(commit.head).actor, from_micros(commit.recorded_at), reason, authority)


def _recorded(commit: Commit) -> RecordedCommit:
    return RecordedCommit(commit.n, commit.first_seq, commit.last_seq, from_micros(commit.recorded_at), commit.head)
