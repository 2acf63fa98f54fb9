"""The write path of an open ledger: facts become events with salts, declared types and a head, then one commit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from tallystick.ledger.errors import AfterCommit, NewerFormat, TallyError
from tallystick.ledger.events.commit import from_micros, head_text, to_micros
from tallystick.ledger.events.encoding import Draft, Encoded, content_digest, encoded
from tallystick.ledger.events.types import RELEASED, SchemaDeclared
from tallystick.ledger.storage.append import Appended, Piece, Sealing
from tallystick.ledger.storage.log import Log
from tallystick.ledger.storage.log_writer import LOCK_DEADLINE_SECONDS, LogWriter, WriteOptions
from tallystick.ledger.storage.sqlite import NAMED_UNDER_FORMAT, PLAIN_FORMAT
from tallystick.ledger.system.clock import Clock
from tallystick.ledger.system.provenance import Recorder, this_process
from tallystick.ledger.tlog.key_store import Signer
from tallystick.ledger.writing.signer import CheckpointSigner

Salts = Callable[[int], list[bytes]]
Kind = tuple[str, int]
"""A type of event and its version."""


class Copy(NamedTuple):
    """A commit of another ledger, made ready to be one of this ledger."""

    batch: Sequence[Encoded]
    types: frozenset[Kind]
    """The types and versions of its events, as far as this program knows them."""
    actor: str
    """Who recorded it there."""
    note: str
    expected: Mapping[str, int | None]
    closing: Callable[[int], Sequence[Encoded]]
    """Events that name positions here, made when that of the first of ``batch`` is known."""
    named_under: str | None = None
    """The prefix under which the names in it are read here."""


class Circumstances(NamedTuple):
    """What an appender takes from its process instead of from the ledger."""

    clock: Clock
    salts: Salts
    recorder: Recorder | None
    """Who records; None for the account of this process, which is looked up when it is needed."""
    allow_jump: bool
    """Accept a clock more than 366 days ahead of the last commit in everything that is appended."""


class AppendOptions(NamedTuple):
    """How one commit is recorded, besides its events; see :meth:`ledger.ledger.Ledger.append`."""

    note: str | None = None
    expected: Mapping[str, int | None] = {}
    key: str | None = None
    allow_jump: bool = False
    deadline_seconds: float = LOCK_DEADLINE_SECONDS
    announces: Iterable[Kind] = ()


class Appender:
    """Appends to one log. It refuses what this program could not have understood, and declares new types.

    Attributes
    ----------
    on_trouble : callable
        Called with what failed after a commit was durable; by default it raises that error. A command that goes on
        and shows it as a warning sets its own.
    """

    def __init__(self, log: Log, writer: LogWriter, signer: CheckpointSigner, given: Circumstances) -> None:
        self._log = log
        self._writer = writer
        self._signer = signer
        self._given = given
        self._recorder = given.recorder
        self._declared: set[Kind] = set()
        self._understands = False
        self.on_trouble: Callable[[AfterCommit], None] = _raise

    @property
    def recorder(self) -> Recorder:
        """Who this process says it is."""
        if self._recorder is None:
            self._recorder = this_process()
        return self._recorder

    def begin(self, first: Draft, signer: Signer) -> Appended:
        """Write the first commit of a new log: an event, then the schemas of the first two types."""
        now = self._now()
        batch, declarations = self.encoded([first], now), self._declarations(_kinds([first]), now)
        # The very first event is the one that says how to read the rest.
        piece = Piece([*batch, *declarations.values()], self._head(None))
        return self._commit(piece, AppendOptions(), None, lambda: [signer])

    def append(
        self, drafts: Sequence[Draft], options: AppendOptions, signers: Callable[[], Sequence[Signer]] | None = None
    ) -> Appended:
        """Record facts as one commit, signed where ``signers`` returns any.

        They are asked for under the lock, where no other process can be changing the key.

        Raises
        ------
        AfterCommit
            When it is recorded, and this account could not remember what it signed.
        Conflict, Busy, Refused, InvalidInput, Damaged, NewerFormat
        """
        self._refuse_newer_versions()
        now, types = self._now(), {*options.announces, *_kinds(drafts)}
        batch, declarations = self.encoded(drafts, now), self._declarations(types, now)
        digest = None if options.key is None else (options.key, content_digest(drafts))
        piece = Piece(batch, self._head(options.note), declarations, options.expected)
        appended = self._commit(piece, options, digest, signers)
        self._declared |= types
        return appended

    def append_copies(self, copies: Sequence[Copy]) -> list[Appended]:
        """Record commits that were copied from another ledger, in one go: all of them, or none.

        Raises
        ------
        Conflict, Busy, Refused, InvalidInput, Damaged, NewerFormat
        """
        self._refuse_newer_versions()
        now = self._now()
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
        appended = self._writer.append_together(
            pieces,
            self._write_options(AppendOptions()),
            least_format=NAMED_UNDER_FORMAT if any(copy.named_under for copy in copies) else PLAIN_FORMAT,
        )
        self._declared.update(*(copy.types for copy in copies))
        return appended

    def encoded(self, drafts: Sequence[Draft], now: dt.datetime) -> list[Encoded]:
        """Drafts made ready to be written, with salts of this ledger's source."""
        return encoded(drafts, self._given.salts(len(drafts)), now)

    def _commit(
        self,
        piece: Piece,
        options: AppendOptions,
        digest: tuple[str, bytes] | None,
        signers: Callable[[], Sequence[Signer]] | None,
    ) -> Appended:
        def seal(sealing: Sealing) -> str | None:
            signing = signers() if signers else ()
            return self._signer.seal(sealing, signing) if signing else None

        self._signer.signed = None
        appended = self._writer.append(
            piece, self._write_options(options), key=digest, seal=seal if signers is not None else None
        )
        try:
            self._signer.remember()
        except TallyError as error:
            self.on_trouble(AfterCommit(appended.n, error))
        return appended

    def _now(self) -> dt.datetime:
        return self._given.clock().astimezone(dt.UTC)

    def _write_options(self, options: AppendOptions) -> WriteOptions:
        return WriteOptions(
            now_micros=lambda: to_micros(self._given.clock()),
            allow_jump=options.allow_jump or self._given.allow_jump,
            deadline_seconds=options.deadline_seconds,
        )

    def _head(self, note: str | None) -> Callable[[int], str]:
        return lambda micros: head_text(self.recorder, from_micros(micros), note, imported=False)

    def _head_of(self, copy: Copy, micros: int) -> str:
        recorder = msgspec.structs.replace(self.recorder, actor=copy.actor)
        return head_text(recorder, from_micros(micros), copy.note, imported=True)

    def _declarations(self, types: Iterable[Kind], now: dt.datetime) -> dict[str, Encoded]:
        """Schemas that the ledger may not hold yet, by entity; the log keeps only those that are really new."""
        new = set(types) - self._declared
        declarations: dict[str, Encoded] = {}
        if not new:
            return declarations
        new.add((SchemaDeclared.TYPE, SchemaDeclared.VERSION))
        for event_type, version in sorted(new):
            name = f"{event_type}/{version}"
            if self._log.last_seq_of(f"schema:{name}") is None:
                json_schema = msgspec.json.schema(RELEASED[event_type, version].body)
                draft = Draft(SchemaDeclared(name=name, json_schema=json_schema))
                declarations[f"schema:{name}"] = self.encoded([draft], now)[0]
        return declarations

    def _refuse_newer_versions(self) -> None:
        """Nothing is appended to what was said in a newer version of a word that this program uses, too.

        What is recorded rests on what is known, and this program would not know what the newer events say. Types that
        it has never heard of are another matter: they are beside what it decides.
        """
        if self._understands:
            return
        own = {event_type for event_type, _ in RELEASED}
        newer = [words for words in newer_types(self._log) if words.partition(" ")[0] in own]
        if newer:
            raise NewerFormat(
                f"A newer tallystick has recorded {', '.join(newer)} in this ledger, which this program does not "
                "understand. It can be read here, but not appended to. Nothing was recorded.",
                "Install the newer tallystick.",
            )
        self._understands = True


def _raise(error: AfterCommit) -> None:
    raise error from error.cause


def _kinds(drafts: Sequence[Draft]) -> set[Kind]:
    return {(draft.body.TYPE, draft.body.VERSION) for draft in drafts}


def newer_types(log: Log) -> list[str]:
    """Types of events that a newer program has recorded in a log, in words; their content is not followed."""
    names = (name.removeprefix("schema:").rpartition("/") for name in log.entities("schema:"))
    return [
        f"{event_type} version {version}"
        for event_type, _, version in names
        if version.isdecimal() and (event_type, int(version)) not in RELEASED
    ]
