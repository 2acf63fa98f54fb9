"""A ledger: the log, its artifacts and its views in one folder, and the key that signs it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from zoneinfo import ZoneInfo

from tallystick.ledger.errors import InvalidInput, Refused
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import new_salts
from tallystick.ledger.events.types import Body, ForkAdopted, KeyRotated, LedgerCreated
from tallystick.ledger.query.as_of import AsOf, as_of_commit, handle_of, resolve
from tallystick.ledger.query.diff import Difference
from tallystick.ledger.query.event_time import Axis, occurred_by
from tallystick.ledger.query.follow import follow
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.storage import tree
from tallystick.ledger.storage.append import Appended
from tallystick.ledger.storage.artifacts import Artifact, Objects
from tallystick.ledger.storage.entries import entries, entry_at, genesis_of
from tallystick.ledger.storage.key_history import Identity, identities_of
from tallystick.ledger.storage.log import Log
from tallystick.ledger.storage.log_writer import LOCK_DEADLINE_SECONDS, LogWriter
from tallystick.ledger.system.clock import WALL_CLOCK, Clock
from tallystick.ledger.system.provenance import Recorder
from tallystick.ledger.system.timezone import zone_of
from tallystick.ledger.tlog.key_store import Signer
from tallystick.ledger.tlog.note import Checkpoint
from tallystick.ledger.views.store import Views
from tallystick.ledger.writing.appender import Appender, AppendOptions, Circumstances, Copy, Salts, newer_types
from tallystick.ledger.writing.signer import CheckpointSigner


class Ledger:
    """An open ledger. One object serves one thread; use it as a context manager or call :meth:`close`.

    Attributes
    ----------
    folder : Path
        ``.tally``.
    genesis : LedgerCreated
        The first event.
    log : Log
        The events and commits as they are stored, for reading.
    writer : LogWriter
        The one way to change the log.
    objects : Objects
        Artifacts by hash.
    views : Views
        What follows from the events, at any position.
    signer : CheckpointSigner
        Signs the tree, and remembers what it signed.
    appender : Appender
        The write path; its ``on_trouble`` gets an error that came after a commit was durable.
    clock : Clock
        Where commits take their time from.
    """

    def __init__(
        self,
        folder: Path,
        *,
        recorder: Recorder | None = None,
        clock: Clock = WALL_CLOCK,
        salts: Salts = new_salts,
        allow_jump: bool = False,
    ) -> None:
        self.folder = folder
        self.clock = clock
        self.log = Log(folder)
        self.writer = LogWriter(self.log)
        self.objects = Objects(folder / "objects")
        self.views = Views(folder, self.log)
        self.signer = CheckpointSigner(self.log, self.writer)
        given = Circumstances(clock, salts, recorder, allow_jump)
        self.appender = Appender(self.log, self.writer, self.signer, given)
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
        self.writer.close()

    @property
    def genesis(self) -> LedgerCreated:
        """The first event's body; Damaged where it cannot be read. It never changes while the ledger is open."""
        if self._genesis is None:
            self._genesis = genesis_of(self.log)
        return self._genesis

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
    def is_replayed(self) -> bool:
        """Whether its times are those of a story that was told again, instead of the times of recording."""
        return self.genesis.clock == "replayed"

    @property
    def recorder(self) -> Recorder:
        """Who this process says it is."""
        return self.appender.recorder

    def newer_types(self) -> list[str]:
        """Types of events that a newer program has recorded here, in words; what they say is not followed."""
        return newer_types(self.log)

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

        Raises
        ------
        Conflict
            When ``expected`` does not hold or ``key`` was used for other content.
        AfterCommit
            When it is recorded, and this account could not remember what it signed.
        Busy, Refused, InvalidInput, Damaged, NewerFormat
        """
        full = [draft if isinstance(draft, Draft) else Draft(draft) for draft in drafts]
        self.refuse_mixed_times()
        self.signer.refuse_rollback()
        options = AppendOptions(note, expected or {}, key, allow_jump, deadline_seconds)
        return self.appender.append(full, options, self.signer.keys if sign else None)

    def announce(self, body: Body, types: Iterable[tuple[str, int]], *, expected: Mapping[str, int | None]) -> Appended:
        """Record that events of certain types and versions are going to follow; new types are declared here.

        Raises
        ------
        Conflict, Busy, Refused, InvalidInput, Damaged, NewerFormat
        """
        self.refuse_mixed_times()
        self.signer.refuse_rollback()
        return self.appender.append([Draft(body)], AppendOptions(expected=expected, announces=types))

    def append_copies(self, copies: Sequence[Copy]) -> list[Appended]:
        """Record commits that were copied from another ledger, in one go: all of them, or none.

        Raises
        ------
        Conflict, Busy, Refused, InvalidInput, Damaged
        """
        self.refuse_mixed_times()
        self.signer.refuse_rollback()
        return self.appender.append_copies(copies)

    def change_identity(self, change: KeyRotated | ForkAdopted, signer: Signer) -> Appended:
        """Append a change of the log's key; its commit's checkpoint carries the new and the old signature.

        Raises
        ------
        Refused
            When the change says that the old key signs too and this account does not have it.
        """
        self.refuse_mixed_times()
        both = [signer, self.signer.replaced_key()] if change.signed_by_old else [signer]
        if isinstance(change, KeyRotated):
            self.signer.refuse_rollback()
        # Nobody may change the key in between: the newest event about the old key must stay the one that is now.
        entity = f"key:{change.old}"
        options = AppendOptions(expected={entity: self.log.last_seq_of(entity)})
        return self.appender.append([Draft(change)], options, lambda: both)

    def refuse_mixed_times(self) -> None:
        """Refuse to record today's time between the times of a replayed ledger.

        Every append asks this; what computes for minutes before it records asks it first.

        Raises
        ------
        Refused
        """
        if self.clock.is_live and self.is_replayed:
            raise Refused(
                "This ledger tells a replayed story: its times are the story's, and what happens today does not "
                "belong between them.",
                "Read it as you like; record what you do today in a ledger of your own: tally init",
            )

    def checkpoint(self) -> str:
        """The signed checkpoint of the whole ledger as it is now; signs and stores one where needed.

        See :meth:`ledger.writing.signer.CheckpointSigner.checkpoint` for what it raises.
        """
        return self.signer.checkpoint()

    # The tree ----------------------------------------------------------------------------------------------

    def root_at(self, size: int) -> bytes:
        """Root over the first commits, from the stored subtrees."""
        return tree.root_at(self.log, size)

    def continues(self, seen: Checkpoint) -> bool:
        """Whether this ledger, as its stored tree says, continues a state that was seen of it."""
        return tree.continues(self.log, seen)

    # Reading -----------------------------------------------------------------------------------------------

    def now(self) -> Snapshot:
        """The ledger as it stands."""
        # A replayed clock stands still between commits: read later, its now is when it was written last.
        stands = self.clock.is_live and self.is_replayed
        return Snapshot(self.views, as_of_commit(self.log, self.log.size() - 1, None), None if stands else self.clock)

    def at(self, when: str | dt.datetime, *, axis: Axis = "recorded") -> Snapshot:
        """The ledger as it was known at a date, event or commit; see :mod:`ledger.query.as_of`.

        With the axis ``occurred`` it is what had happened by a date, according to the events themselves, whenever it
        was recorded: imported history is walked in its own time; see :mod:`ledger.query.event_time`.
        """
        if axis == "occurred":
            return occurred_by(self.log, when, self.zone, self.clock())
        return Snapshot(self.views, self.when(when))

    def size(self) -> int:
        """Number of commits."""
        return self.log.size()

    def change_counter(self) -> int:
        """A number that is another one after every commit of another process; cheaper to ask than any table."""
        return int(self.log.reader.execute("PRAGMA data_version").fetchone()[0])

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
        known = self.log.commit(self.log.size() - 1).last_seq if after is None else after
        return follow(self.log, known, poll_seconds)

    def event(self, seq: int) -> Entry:
        """One event with its place; IndexError beyond the end, Damaged where it cannot be read."""
        return entry_at(self.log, seq)

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
