"""A ledger: the log, its artifacts and its views in one folder, and the key that signs it."""

from __future__ import annotations

import datetime as dt
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from tallystick.ledger.errors import Damaged, InvalidInput, NewerFormat, NotFound, Refused, TallyError
from tallystick.ledger.events import types as vocabulary
from tallystick.ledger.events.commit import (
    COMMIT_CONTEXT,
    commit_text,
    decode_head,
    from_micros,
    head_text,
    leaf_entry,
    to_micros,
)
from tallystick.ledger.events.encoding import Draft, Encoded, content_digest, encoded
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import (
    EVENT_CONTEXT,
    new_salts,
)
from tallystick.ledger.events.types import RELEASED, Body, ForkAdopted, KeyRotated, LedgerCreated, SchemaDeclared
from tallystick.ledger.query.as_of import AsOf, as_of_commit, handle_of, resolve
from tallystick.ledger.query.diff import Difference
from tallystick.ledger.query.event_time import Axis, occurred_by
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.storage.append import Appended, Piece, Sealing
from tallystick.ledger.storage.artifacts import Artifact, Objects
from tallystick.ledger.storage.entries import entries
from tallystick.ledger.storage.imported_commits import told_here
from tallystick.ledger.storage.key_history import Identity, identities_of
from tallystick.ledger.storage.log import LOCK_DEADLINE_SECONDS, Log
from tallystick.ledger.storage.sqlite import NAMED_UNDER_FORMAT, PLAIN_FORMAT
from tallystick.ledger.system.provenance import Recorder, this_process
from tallystick.ledger.system.timezone import zone_of
from tallystick.ledger.tlog import key_store, merkle, pins
from tallystick.ledger.tlog.key_store import Signer
from tallystick.ledger.tlog.note import Checkpoint, receipt_line, sign_checkpoint
from tallystick.ledger.views.store import Views

Clock = Callable[[], dt.datetime]
Salts = Callable[[int], list[bytes]]


class Copy(NamedTuple):
    """A commit of another ledger, made ready to be one of this ledger."""

    batch: Sequence[Encoded]
    types: frozenset[tuple[str, int]]
    """What types and versions of events it holds, as far as this program knows them."""
    actor: str
    """Who recorded it there."""
    note: str
    expected: Mapping[str, int | None]
    closing: Callable[[int], Sequence[Encoded]]
    """Events that name positions here, made when that of the first of ``batch`` is known."""
    named_under: str | None = None
    """What the names in it are read under here."""


def utc_now() -> dt.datetime:
    """The wall clock, in UTC."""
    return dt.datetime.now(dt.UTC)


class Ledger:
    """An open ledger. One object serves one thread; use it as a context manager or call :meth:`close`.

    Attributes
    ----------
    folder : Path
        ``.tally``.
    genesis : LedgerCreated
        The first event.
    objects : Objects
        Artifacts by hash.
    """

    def __init__(
        self,
        folder: Path,
        *,
        recorder: Recorder | None = None,
        clock: Clock = utc_now,
        salts: Salts = new_salts,
        allow_jump: bool = False,
    ) -> None:
        self.folder = folder
        self._allow_jump = allow_jump
        self.log = Log(folder)
        self.objects = Objects(folder / "objects")
        self.views = Views(folder, self.log)
        self._recorder = recorder
        self.clock = clock
        self._salts = salts
        self._declared: set[tuple[str, int]] = set()
        self._continues_mark = False
        self._understands = False
        self._genesis: LedgerCreated | None = None

    # Opening -----------------------------------------------------------------------------------------------

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; harmless to call twice."""
        self._genesis = None
        self.views.close()
        self.log.close()

    @property
    def genesis(self) -> LedgerCreated:
        """The first event's body; Damaged where it cannot be read. It never changes while the ledger is open."""
        if self._genesis is not None:
            return self._genesis
        try:
            body = self.event(0).event.body
        except IndexError:
            raise Damaged(f"{self.log.path} holds no event at all.") from None
        if not isinstance(body, LedgerCreated):
            raise Damaged(f"{self.log.path} does not begin with ledger.created.")
        self._genesis = body
        return body

    @property
    def identities(self) -> list[Identity]:
        """Every key that the log has had, oldest first."""
        return identities_of(self.log)

    @property
    def identity(self) -> Identity:
        """The key that speaks for the log now; its name is the origin."""
        return self.identities[-1]

    @property
    def origin(self) -> str:
        """Name of the log, unique for ever."""
        return self.identity.key.name

    @property
    def zone(self) -> ZoneInfo:
        """The zone in which dates given by people are read."""
        return zone_of(self.genesis.timezone)

    @property
    def recorder(self) -> Recorder:
        """Who this process says it is."""
        if self._recorder is None:
            self._recorder = this_process()
        return self._recorder

    def newer_types(self) -> list[str]:
        """Types of events that a newer program has recorded here, in words; what they say is not followed."""
        names = (name.removeprefix("schema:").rpartition("/") for name in self.log.entities("schema:"))
        return [
            f"{event_type} version {version}"
            for event_type, _, version in names
            if version.isdecimal() and (event_type, int(version)) not in RELEASED
        ]

    def begin(self, signer: Signer, timezone: str, clock_kind: Literal["live", "replayed"]) -> None:
        """Write the first commit of a new log: ``ledger.created``, then the schemas of the first two types."""
        first = LedgerCreated(
            format=1,
            origin=signer.name,
            verifier_key=signer.verifier.format(),
            timezone=timezone,
            clock=clock_kind,
            event_hash=f"BLAKE3 derive-key {EVENT_CONTEXT!r}; SHA-256",
            commit_hash=f"BLAKE3 derive-key {COMMIT_CONTEXT!r}; SHA-256",
            tree="RFC 6962, SHA-256",
        )
        self._record([Draft(first)], signers=lambda: [signer], declare_first=False)

    # Appending ---------------------------------------------------------------------------------------------

    def append(
        self,
        *drafts: Draft | Body,
        note: str | None = None,
        expected: Mapping[str, int | None] | None = None,
        key: str | None = None,
        sign: bool = False,
        allow_jump: bool = False,
        deadline_seconds: float = LOCK_DEADLINE_SECONDS,
        announces: Iterable[tuple[str, int]] = (),
    ) -> Appended:
        """Record facts as one commit; they are durable on return.

        Parameters
        ----------
        *drafts : Draft or Body
            In order.
        note : str, optional
            A remark in the commit's head.
        expected : mapping of entity to event position or None, optional
            Append only if each entity (``model:x-v1``) was last referred to by that event (None: by none).
        key : str, optional
            Idempotency key: repeating the same content under it returns the first result and writes nothing.
        sign : bool
            Also sign and store a checkpoint, in the same transaction, where this account has the key.
        allow_jump : bool
            Accept a clock more than 366 days ahead of the last commit.
        deadline_seconds : float
            How long to wait for other writers.
        announces : iterable of (str, int)
            Types and versions of events that are going to follow; what they say is declared here, where it is new.

        Raises
        ------
        Conflict
            When ``expected`` does not hold or ``key`` was used for other content.
        Busy, Refused, InvalidInput, Damaged
        """
        full = [draft if isinstance(draft, Draft) else Draft(draft) for draft in drafts]
        self._refuse_rollback()
        return self._record(
            full,
            note=note,
            expected=expected,
            key=key,
            signers=self._signers if sign else None,
            allow_jump=allow_jump,
            deadline_seconds=deadline_seconds,
            announces=announces,
        )

    def append_copies(self, copies: Sequence[Copy]) -> list[Appended]:
        """Record commits that were copied from another ledger, in one go: all of them, or none.

        Raises
        ------
        Conflict, Busy, Refused, InvalidInput, Damaged
        """
        self.refuse_mixed_times()
        self._refuse_newer_versions()
        self._refuse_rollback()
        now = self.clock().astimezone(dt.UTC)
        pieces = [
            Piece(
                copy.batch,
                partial(self._head_of, copy),
                self._declarations(copy.types, now),
                copy.expected,
                copy.closing,
            )
            for copy in copies
        ]
        appended = self.log.append_together(
            pieces,
            now_micros=lambda: to_micros(self.clock()),
            allow_jump=self._allow_jump,
            least_format=NAMED_UNDER_FORMAT if any(copy.named_under for copy in copies) else PLAIN_FORMAT,
        )
        self._declared.update(*(copy.types for copy in copies))
        return appended

    def _head_of(self, copy: Copy, micros: int) -> str:
        recorder = msgspec.structs.replace(self.recorder, actor=copy.actor)
        return head_text(recorder, from_micros(micros), copy.note, imported=True)

    def change_identity(self, change: KeyRotated | ForkAdopted, signer: Signer) -> Appended:
        """Append a change of the log's key; its commit's checkpoint carries the new and the old signature.

        Raises
        ------
        Refused
            When the change says that the old key signs too and this account does not have it.
        """
        old = key_store.find_signer(self.identity.key)
        if change.signed_by_old and old is None:
            raise Refused(
                f"This account does not have the key {self.identity.key.key_id.hex()} that is to be replaced.",
                f"It belongs in {key_store.key_path(self.identity.key)}; if it is lost, say so: --lost",
            )
        both = [signer, old] if change.signed_by_old and old else [signer]
        if isinstance(change, KeyRotated):
            self._refuse_rollback()
        # Nobody may change the key in between: the newest event about the old key must stay the one that is now.
        entity = f"key:{change.old}"
        return self._record([Draft(change)], expected={entity: self.log.last_seq_of(entity)}, signers=lambda: both)

    def _record(
        self,
        drafts: Sequence[Draft],
        *,
        note: str | None = None,
        expected: Mapping[str, int | None] | None = None,
        key: str | None = None,
        signers: Callable[[], Sequence[Signer]] | None = None,
        allow_jump: bool = False,
        deadline_seconds: float = LOCK_DEADLINE_SECONDS,
        declare_first: bool = True,
        announces: Iterable[tuple[str, int]] = (),
    ) -> Appended:
        """One commit, sealed where ``signers`` names anybody; they are asked under the lock, where no other
        process can be changing the key."""
        if declare_first:
            self.refuse_mixed_times()
            self._refuse_newer_versions()
        now = self.clock().astimezone(dt.UTC)
        types = {*announces, *((draft.body.TYPE, draft.body.VERSION) for draft in drafts)}
        batch, declarations = self.encoded(drafts, now), self._declarations(types, now)
        if not declare_first:  # the very first event is the one that says how to read the rest
            batch, declarations = [*batch, *declarations.values()], {}
        sealed: list[Checkpoint] = []

        def seal(sealing: Sealing) -> str | None:
            signing = signers() if signers else ()
            if not signing:
                return None
            sealed.append(Checkpoint(origin=signing[0].name, size=sealing.size, root=sealing.root))
            return self._seal(sealed[-1], signing)

        appended = self.log.append(
            batch,
            lambda micros: head_text(self.recorder, from_micros(micros), note, imported=False),
            declare=declarations,
            expected=expected,
            key=None if key is None else (key, content_digest(drafts)),
            now_micros=lambda: to_micros(self.clock()),
            allow_jump=allow_jump or self._allow_jump,
            seal=seal if signers else None,
            deadline_seconds=deadline_seconds,
        )
        self._declared |= types
        for checkpoint in sealed:
            # Only now: a mark moved before the commit was durable would call a power cut a rollback.
            try:
                pins.move_mark(checkpoint)
            except TallyError as error:
                raise InvalidInput(
                    f"This is recorded, in c{appended.n}; do not give the command again. But: {error.message}",
                    error.hint,
                ) from error
        return appended

    def refuse_mixed_times(self) -> None:
        """Refuse what would record the time that it is between the times of a story.

        Every append asks this; what computes for minutes before it records asks it first.

        Raises
        ------
        Refused
        """
        if self.clock is utc_now and self.genesis.clock == "replayed":
            raise Refused(
                "This ledger tells a replayed story: its times are the story's, and what happens today does not "
                "belong between them.",
                "Read it as you like; record what you do today in a ledger of your own: tally init",
            )

    def _refuse_newer_versions(self) -> None:
        """Nothing is appended to what was said in a newer version of a word that this program uses, too.

        What is recorded rests on what is known, and this program would not know what the newer events say. Types that
        it has never heard of are another matter: they are beside what it decides.
        """
        if self._understands:
            return
        own = {event_type for event_type, _ in RELEASED}
        newer = [words for words in self.newer_types() if words.partition(" ")[0] in own]
        if newer:
            raise NewerFormat(
                f"A newer tallystick has recorded {', '.join(newer)} in this ledger, which this program does not "
                "understand. It can be read here, but not appended to. Nothing was recorded.",
                "Install the newer tallystick.",
            )
        self._understands = True

    def checkpoint(self) -> str:
        """The signed checkpoint of the whole ledger as it stands; signs and stores one where needed.

        Raises
        ------
        NotFound
            When it is not signed yet and this account does not have the key.
        Refused
            When this ledger is behind what this account has seen of it before.
        """
        newest = self.log.newest_checkpoint()
        if newest is not None and newest[0] == self.log.size():
            return newest[1]
        sealed: list[Checkpoint] = []

        def seal(sealing: Sealing) -> str:
            signers = self._signers()
            if not signers:
                signed = f"c0 to c{newest[0] - 1} are" if newest else "nothing is"
                raise NotFound(
                    f"This account does not have the key of {self.origin}; {signed} signed.",
                    f"The key belongs in {key_store.key_path(self.identity.key)}.",
                )
            sealed.append(Checkpoint(origin=signers[0].name, size=sealing.size, root=sealing.root))
            return self._seal(sealed[-1], signers)

        text = self.log.store_checkpoint(seal)
        for checkpoint in sealed:
            pins.move_mark(checkpoint)
        return text

    def encoded(self, drafts: Sequence[Draft], now: dt.datetime) -> list[Encoded]:
        """Drafts made ready to be written, with salts of this ledger's source."""
        return encoded(drafts, self._salts(len(drafts)), now)

    def _declarations(self, types: Iterable[tuple[str, int]], now: dt.datetime) -> dict[str, Encoded]:
        """Schemas that the ledger may not hold yet, by entity; the log keeps only those that are really new."""
        new = set(types) - self._declared
        declarations: dict[str, Encoded] = {}
        if not new:
            return declarations
        new.add((SchemaDeclared.TYPE, SchemaDeclared.VERSION))
        for event_type, version in sorted(new):
            name = f"{event_type}/{version}"
            if self.log.last_seq_of(f"schema:{name}") is None:
                json_schema = msgspec.json.schema(RELEASED[event_type, version].body)
                draft = Draft(SchemaDeclared(name=name, json_schema=json_schema))
                declarations[f"schema:{name}"] = self.encoded([draft], now)[0]
        return declarations

    def _signers(self) -> list[Signer]:
        """The key in force, where this account has it."""
        signer = key_store.find_signer(self.identity.key)
        return [signer] if signer else []

    def _seal(self, checkpoint: Checkpoint, signers: Sequence[Signer]) -> str:
        """Sign a tree, unless it contradicts what this account has signed or seen, or it could not remember it."""
        try:
            pins.refuse_unwritable(checkpoint.origin)
        except TallyError as error:
            raise type(error)(f"{error.message} Nothing was recorded.", error.hint) from error
        seen = pins.read_mark(checkpoint.origin)
        if seen is not None:
            # The new commit is not visible to readers yet, but every commit up to the seen size is.
            root = self.root_at(seen.size) if seen.size < checkpoint.size else checkpoint.root
            if seen.size > checkpoint.size or root != seen.root:
                raise _not_continued(seen, checkpoint)
        return sign_checkpoint(checkpoint, *signers)

    def _refuse_rollback(self) -> None:
        """Never append to a history that is behind or beside the one that this account has seen."""
        if self._continues_mark:
            return
        seen = pins.read_mark(self.origin)
        if seen is not None and not self.continues(seen):
            size = self.log.size()
            raise _not_continued(seen, Checkpoint(seen.origin, size, self.root_at(size)))
        self._continues_mark = True

    def root_at(self, size: int) -> bytes:
        """Root over the first commits, from the stored subtrees: one read for each bit set in ``size``."""
        return merkle.frontier_from(lambda n: self.log.commit(n).subtree, size).root()

    def subtree(self, start: int, stop: int) -> bytes:
        """Merkle hash over a range of commits, for proofs."""

        def leaf(n: int) -> bytes:
            commit = self.log.commit(n)
            names = self.log.hashes(commit.first_seq, commit.last_seq)
            return merkle.leaf_hash(leaf_entry(commit_text(commit.head, names)))

        return merkle.subtree_from(lambda n: self.log.commit(n).subtree, leaf, start, stop)

    def continues(self, seen: Checkpoint) -> bool:
        """Whether this ledger, as its stored tree says, continues a state that was seen of it."""
        return 0 < seen.size <= self.log.size() and self.root_at(seen.size) == seen.root

    # Reading -----------------------------------------------------------------------------------------------

    def now(self) -> Snapshot:
        """The ledger as it stands."""
        # A replayed clock stands still between commits: read later, its now is when it was written last.
        stands = self.clock is utc_now and self.genesis.clock == "replayed"
        return Snapshot(self.views, as_of_commit(self.log, self.log.size() - 1, None), None if stands else self.clock)

    def at(self, when: str | dt.datetime, *, axis: Axis = "recorded") -> Snapshot:
        """The ledger as it was known at a date, event or commit; see :mod:`ledger.query.as_of`.

        With the axis ``occurred`` it is what had happened by a date, according to the events themselves, whenever it
        was recorded: imported history is walked in its own time; see :mod:`ledger.query.event_time`.
        """
        if axis == "occurred":
            return occurred_by(self.log, when, self.zone, self.clock())
        return Snapshot(self.views, self.when(when))

    def at_commit(self, n: int, moment: dt.datetime | None = None) -> Snapshot:
        """The ledger right after commit ``n``; IndexError beyond the end.

        ``moment`` (time-zone aware) is the date that was asked for, where one was: what has an end has ended by then.
        """
        return Snapshot(self.views, as_of_commit(self.log, n, moment))

    def when(self, when: str | dt.datetime) -> AsOf:
        """The position that a date, event or commit means."""
        if isinstance(when, dt.datetime):
            if when.tzinfo is None:
                raise InvalidInput("A date without a time zone means nothing here.", "Give it a tzinfo.")
            when = when.isoformat()
        return resolve(when, self.log, self.zone, self.clock())

    def diff(self, a: str | dt.datetime, b: str | dt.datetime = "now") -> Difference:
        """What changed between two dates, events or commits, and by which events."""
        return self.at(a).diff(self.at(b))

    def follow(self, after: int | None = None, poll_seconds: float = 0.2) -> Iterator[Entry]:
        """Events as they are appended, by whomever, for as long as one asks; each once and in order.

        Parameters
        ----------
        after : int, optional
            Position of the last event that is known already; by default the newest one when this is called.
        """
        return self._follow(self.log.commit(self.log.size() - 1).last_seq if after is None else after, poll_seconds)

    def _follow(self, known: int, poll_seconds: float) -> Iterator[Entry]:
        connection, version = self.log.reader, None
        while True:
            # Changes with every commit of another connection, and is cheaper to ask than any table.
            newest = connection.execute("PRAGMA data_version").fetchone()[0]
            if newest != version:
                version = newest
                # A batch at a time: an open question would keep the write-ahead log from being folded.
                while batch := list(itertools.islice(self.events(known + 1), 1_000)):
                    known = batch[-1].seq
                    yield from batch
            else:
                time.sleep(poll_seconds)

    def event(self, seq: int) -> Entry:
        """One event with its place; IndexError beyond the end, Damaged where it cannot be read."""
        stored = self.log.event(seq)
        commit = self.log.commit_of(seq)
        if stored.data is None:
            raise Damaged(f"The body of event #{seq} is not here.")
        head = decode_head(commit.head)
        event = told_here(self.log, commit, head, vocabulary.decode(stored.data))
        return Entry(seq, commit.n, from_micros(commit.recorded_at), head.actor, event)

    def events(self, first: int = 0, last: int | None = None) -> Iterator[Entry]:
        """Events ``first`` to ``last``, both included, oldest first."""
        end = self.log.commit(self.log.size() - 1).last_seq
        return entries(self.log, first, end if last is None else min(last, end))

    def store(self, data: bytes) -> Artifact:
        """Keep a file's bytes; name the result in an ``artifact.stored`` event."""
        return self.objects.put(data)

    def commit_handle(self, n: int) -> str:
        """``c55-k3f9``."""
        return handle_of(self.log, self.log.commit(n))


def _not_continued(seen: Checkpoint, here: Checkpoint) -> Refused:
    return Refused(
        f"This ledger does not continue what this account has seen of {seen.origin}. "
        f"Seen: {receipt_line(seen)} . Here: {receipt_line(here)} . Going on would make two histories of one name.",
        "If a backup was restored, restore the newest one. If this one is right all the same, go on under a new "
        "name: tally adopt --reason … If somebody rewrote it, keep the folder as evidence: tally verify",
    )
