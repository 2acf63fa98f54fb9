"""Events and commits as a snapshot shows them: up to its position, with corrections applied and erasures marked.

This is the one way in which code outside :mod:`ledger` reads events. An event that was corrected is still there and
says what set it aside; one whose content was erased holds an :class:`Erased` instead of an event. What counts as
evidence for a decision comes from :meth:`Evidence.counted_events`, which yields neither.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, TypeVar, cast
from zoneinfo import ZoneInfo

from tallystick.ledger.errors import Damaged
from tallystick.ledger.events import types as vocabulary
from tallystick.ledger.events.commit import (
    Head,
    decode_head,
    event_handle,
    from_micros,
)
from tallystick.ledger.events.entry import Entry, Erased, Unreadable
from tallystick.ledger.events.event import Event
from tallystick.ledger.events.sentences import sentence
from tallystick.ledger.events.types import (
    EventRedacted,
    EventRedactedV1,
    ForkAdopted,
    KeyRotated,
    LedgerCreated,
)
from tallystick.ledger.query import blame
from tallystick.ledger.query.as_of import AsOf, resolve_event
from tallystick.ledger.query.commits import CommitReader
from tallystick.ledger.query.erasures import in_place_of_body
from tallystick.ledger.storage.entries import naming
from tallystick.ledger.storage.erasures import Erasure, erasure_of, lost_in
from tallystick.ledger.storage.imported_commits import copied_in
from tallystick.ledger.storage.key_history import Change, Identity, chain
from tallystick.ledger.storage.log import UNANSWERED, Commit, Log, Stored
from tallystick.ledger.system.timezone import zone_of
from tallystick.ledger.views.entities import BY_STATE
from tallystick.ledger.views.entities.corrections import CORRECTIONS, CorrectionState
from tallystick.ledger.views.event_index import ERASED_ELSEWHERE
from tallystick.ledger.views.fold import READ_TYPES
from tallystick.ledger.views.projection import State
from tallystick.ledger.views.store import MemoryViews, Views

S = TypeVar("S", bound=State)
REDACTIONS = frozenset({EventRedacted.TYPE})
ELSEWHERE = frozenset({ERASED_ELSEWHERE})
KEY_CHANGES = frozenset({KeyRotated.TYPE, ForkAdopted.TYPE})
FEW = 1_000
"""Events for which corrections are looked up one by one; for more, all corrections are read."""


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
    def sentence(self) -> str:
        """What it says, in one line; an erased or damaged event is said to be so. Not made safe for a terminal."""
        match self.content:
            case Event() as event:
                return sentence(event)
            case instead:
                return instead.words(self.type)

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


class ErasedEvent(NamedTuple):
    """An event whose content was erased, with what is still known of it."""

    event: RecordedEvent
    erasure: Erasure

    @property
    def refers_to(self) -> Mapping[str, str] | None:
        """Field -> name of an entity that it referred to; None where the redaction is of an older form."""
        said = self.erasure.said
        return said.refers_to if isinstance(said, EventRedacted) else None

    def may_be(self, field: str, name: str) -> bool:
        """Whether it may have named an entity in a field; what nobody can rule out, may."""
        return (self.refers_to or {}).get(field, name) == name

    @property
    def words(self) -> str:
        """``the content of #50 (model.promoted) was erased on 2013-07-01``."""
        return f"the content of #{self.event.seq} ({self.event.type}) was erased on {self.erasure.on}"


class Evidence(CommitReader):
    """The events and commits up to one position."""

    def __init__(self, views: Views, as_of: AsOf) -> None:
        super().__init__(views.log, as_of)
        self._views = views
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
        """Every key that the log had had by then, oldest first.

        Raises
        ------
        Damaged
            When an event that changes the key cannot be read.
        """
        changes: list[tuple[int, Change]] = []
        for stored in map(Stored._make, self._views.rows_of(KEY_CHANGES, 0, self.as_of.seq)):
            body = None if stored.data is None else vocabulary.decode(stored.data, stored.type).body
            if not isinstance(body, KeyRotated | ForkAdopted):
                raise Damaged(f"Event #{stored.seq}, which changes the log's key, cannot be read.", UNANSWERED)
            changes.append((self._log.commit_of(stored.seq).n, body))
        return chain(self.genesis, changes)

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
        return self.some_events([seq])[0]

    def some_events(self, seqs: Sequence[int]) -> list[RecordedEvent]:
        """Events at certain positions, in the order asked for; NotFound as for :meth:`event`."""
        wanted = sorted(set(seqs))
        for seq in wanted:
            if not 0 <= seq <= self.as_of.seq:
                raise self._not_known(f"event #{seq}")
        log, reader = self._log, _EventReader(self._log)
        rows = log.some(wanted)
        # Where nobody can say what an event held, nothing can be folded; that much is shown of it all the same.
        lost = len(rows) == 1 and rows[0].data is None and erasure_of(log, rows[0].seq) is None
        aside = {} if lost else self._corrections(wanted)
        found: dict[int, RecordedEvent] = {}
        for stored in rows:
            if self._holds(stored.seq, stored.type):
                found[stored.seq] = reader.read(log.commit_of(stored.seq), stored, aside.get(stored.seq))
        for seq in wanted:
            if seq not in found:
                log.event(seq)  # says so where the file has lost it
                raise self._not_known(f"event #{seq}")
        return [found[seq] for seq in seqs]

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
        log = self._log
        aside = self._all_corrections if end - first >= FEW else self._corrections(range(first, end + 1))
        rows = self._views.rows_of(types, first, end) if types else log.rows(first, end)
        commit = log.commit_of(first)
        reader = _EventReader(log)
        for stored in map(Stored._make, naming(rows, names)):
            if not self._holds(stored.seq, stored.type):
                continue
            if stored.seq > commit.last_seq:
                commit = log.commit_of(stored.seq, commit.n + 1)
            yield reader.read(commit, stored, aside.get(stored.seq))

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

    def erased(self, types: Collection[str] = READ_TYPES) -> list[ErasedEvent]:
        """Erased events up to this position, oldest first; by default those that some answer follows from.

        What followed from them is unknown at every date, also at dates before the erasure.
        """
        found = self._erased_elsewhere(types)
        for event in self._erased_events():
            if event.type in types and isinstance(event.content, Erased):
                erasure = erasure_of(self._log, event.seq)
                assert erasure is not None
                found.append(ErasedEvent(event, erasure))
        return sorted(found, key=lambda item: item.event.seq)

    def _erased_elsewhere(self, types: Collection[str]) -> list[ErasedEvent]:
        """Events that had been erased in another ledger before they were imported; each stands where its commit is."""
        found = []
        for row in self._views.rows_of(ELSEWHERE, 0, self.as_of.seq):
            event = self.event(row[0])
            for lost in lost_in(self._log, row):
                said = lost.erasure
                content = Erased(said.redaction, said.by, said.at, said.said.reason, said.said.authority)
                told = event._replace(type=lost.type, id=bytes.fromhex(lost.id), data=None, content=content)
                if lost.type in types:
                    found.append(ErasedEvent(told, said))
        return found

    def _erased_events(self) -> list[RecordedEvent]:
        """Events up to this position of which an event says, at whatever date, that their content was erased."""
        newest = self._log.commit(self._log.size() - 1).last_seq
        seqs: set[int] = set()
        for stored in map(Stored._make, self._views.rows_of(REDACTIONS, 0, newest)):
            body = None if stored.data is None else vocabulary.decode(stored.data, stored.type).body
            text = body.redaction if isinstance(body, EventRedacted | EventRedactedV1) else ""
            if re.fullmatch("0|[1-9][0-9]{0,15}", text) and int(text) <= min(self.as_of.seq, stored.seq):
                seqs.add(int(text))
        return self.some_events(sorted(seqs)) if seqs else []

    def entry(self, seq: int) -> Entry:
        """One event with its place, for showing it: in place of a body that was erased stands an :class:`Erased`.

        Also of an event that is supposed not to have been recorded, since what is shown may have it as a cause.

        Raises
        ------
        NotFound
            When it was recorded later, or never.
        """
        if not 0 <= seq <= self.as_of.seq:
            raise self._not_known(f"event #{seq}")
        return blame.read(self._log, seq)

    def event_handle(self, seq: int) -> str:
        """``#812-k3f9``; NotFound as for :meth:`entry`."""
        if not 0 <= seq <= self.as_of.seq:
            raise self._not_known(f"event #{seq}")
        [(event_id, _sha256)] = self._log.hashes(seq, seq)
        return event_handle(seq, event_id)

    def position_of(self, handle: str) -> int:
        """The position of ``#812`` or ``#812-k3f9``; InvalidInput for other texts, NotFound for other events."""
        seq = resolve_event(handle, self._log)
        if seq > self.as_of.seq:
            raise self._not_known(f"event #{seq}")
        return seq

    def positions(self, ids: Collection[str], before: int | None = None) -> dict[str, int]:
        """Positions of events by their ids (64 hexadecimal digits); an id that is not known is left out.

        Parameters
        ----------
        before : int, optional
            Only events before this position. Causes lie shortly before their event, where they are found soonest.
        """
        end = self.as_of.seq + 1
        return blame.find(self._log, end if before is None else min(before, end), ids)

    def effects(self, event: RecordedEvent, *, within: int, most: int) -> list[int]:
        """Positions of later events that name an event, as a cause for example; oldest first.

        Parameters
        ----------
        within : int
            How many events behind it are searched: no index holds what a body names.
        most : int
            How many positions are returned.
        """
        rows = self._log.reader.execute(
            "SELECT seq FROM events WHERE seq > ? AND seq <= ? AND instr(body, ?) ORDER BY seq LIMIT ?",
            (event.seq, min(self.as_of.seq, event.seq + within), event.id.hex(), most),
        )
        return [int(row[0]) for row in rows]

    # -------------------------------------------------------------------------------------------------------

    @property
    def views(self) -> Views:
        """Where the states are kept, for the questions in :mod:`ledger.query`."""
        return self._views

    @property
    def position(self) -> int:
        """The position that the views are asked at: that of an event, or a place in another order of time."""
        return self._position

    def _corrections(self, seqs: Iterable[int]) -> dict[int, CorrectionState]:
        found = self._views.some(CORRECTIONS, map(str, seqs), self._position)
        return {int(key): cast("CorrectionState", state) for key, state in found.items()}

    @cached_property
    def _all_corrections(self) -> dict[int, CorrectionState]:
        states = cast("list[CorrectionState]", self._views.all(CORRECTIONS, self._position))
        return {int(state.correction): state for state in states}

    @cached_property
    def _supposed(self) -> dict[int, Entry]:
        """In a what-if or on another axis of time: the entries that everything follows from."""
        return {entry.seq: entry for entry in self._views.told} if isinstance(self._views, MemoryViews) else {}

    def _still_there(self, seqs: Collection[int]) -> None:
        """See that the events an answer rests on are there, so that none is silent about one that was taken away.

        The views were folded from their bodies and say the same without them.

        Raises
        ------
        Damaged
            When a body is missing and no event says that it was erased.
        """
        for seq in self._log.bodiless(seqs):
            if erasure_of(self._log, seq) is None:
                raise Damaged(f"Event #{seq} cannot be read: its body is not here.", UNANSWERED)

    def _holds(self, seq: int, event_type: str) -> bool:
        # No view follows from other types, so no supposition can be about them.
        return not isinstance(self._views, MemoryViews) or seq in self._supposed or event_type not in READ_TYPES


class _EventReader:
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
            return in_place_of_body(self._log, stored.seq)
        try:
            event = vocabulary.decode(stored.data, stored.type)
        except Damaged as error:
            return Unreadable(error.message)
        return event if self._under is None else vocabulary.named_under(event, self._under)
