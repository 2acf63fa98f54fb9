"""One range of commits read whole: the work of verification that can be shared among processes.

From the bottom up, for each event: its bytes against both hashes, their shape against their declared type, their
written form; for each commit: its text, its leaf, the stored subtree. Ranges begin at multiples of their length, a
power of two, so a range is one perfect subtree and its result fits into the tree above without being read again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
from blake3 import blake3

from ledger import merkle, vocabulary
from ledger.commit import decode_head, event_handle, leaf_entry, text_of_lines, to_micros
from ledger.errors import Damaged, TallyError
from ledger.event import EVENT_CONTEXT, Event, encode_canonical, hashes
from ledger.identity import Identity, open_stored
from ledger.log import Commit, Log, Stored
from ledger.note import Checkpoint
from ledger.vocabulary import (
    RELEASED,
    AnchorRecorded,
    ArtifactStored,
    DecisionApproved,
    EventRedacted,
    ForkAdopted,
    KeyRotated,
    SegmentSealed,
)

Class = Literal[
    "FILE",
    "SCHEMA",
    "BODY ALTERED",
    "BODY MISSING",
    "LEAF REWRITTEN",
    "TAIL CUT",
    "FORK",
    "SIGNATURE",
    "INDEX",
    "ARTIFACT",
    "SEGMENT",
    "PROJECTION",
]

MOST_FINDINGS = 1_000
BATCH_ROWS = 2_000


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One contradiction: what class of damage, where, in words, and the hashes behind it."""

    kind: Class
    where: str
    """A handle (``#12-k3f9``, ``c3``), a checkpoint, a file or a view."""
    words: str
    expected: str | None = None
    actual: str | None = None
    proof: list[str] = []
    """Lines that convince a third party, where there are any: signed notes and hashes."""
    next: str | None = None
    """What to type or do next."""


class Told(msgspec.Struct, frozen=True):
    """An event that verification itself needs: a change of key, an anchor, a redaction, an approval, a segment."""

    seq: int
    n: int
    id: bytes
    recorded_at: int
    data: bytes


class Missing(msgspec.Struct, frozen=True):
    """An event without its body."""

    seq: int
    id: bytes
    type: str


class Scanned(msgspec.Struct):
    """What one range came to.

    Attributes
    ----------
    peaks : list of bytes
        Of the range as a tree of its own; one where it is full.
    wanted : dict
        Tree size -> the range's peaks at that size, where something signed or kept names one.
    closing : bytes
        The stored subtree of the last commit, which may reach to the left beyond this range.
    indexed : int
        How many entities the index files under their last event in this range.
    """

    first: int
    stop: int
    events: int = 0
    findings: list[Finding] = []
    peaks: list[bytes] = []
    wanted: dict[int, list[bytes]] = {}
    closing: bytes = b""
    first_recorded: int = 0
    last_recorded: int = 0
    next_seq: int = 0
    artifacts: dict[str, int] = {}
    told: list[Told] = []
    missing: list[Missing] = []
    damaged: list[int] = []
    strange: list[str] = []
    """Handles of events in another written form than this program's."""
    indexed: int = 0
    signed: dict[int, Checkpoint] = {}
    """Stored checkpoints whose signatures are good, by size."""


_TOLD = (AnchorRecorded, DecisionApproved, EventRedacted, ForkAdopted, KeyRotated, SegmentSealed)


class Range(msgspec.Struct, frozen=True):
    """What to read, and with which keys to check what was signed.

    Attributes
    ----------
    first, stop : int
        Commits ``first`` up to and without ``stop``; ``first`` is a multiple of a power of two that is at least
        ``stop - first``.
    first_seq : int
        Where their events begin, as the first of them says.
    wanted : frozenset of int
        Tree sizes at which the root is needed besides those of the stored checkpoints.
    identities : list of Identity
        The log's keys; without any no signature is checked.
    """

    first: int
    stop: int
    first_seq: int
    wanted: frozenset[int]
    identities: list[Identity]


def scan(log: Log, given: Range, tick: Callable[[int], None] = lambda _n: None) -> Scanned:
    """Read a range; ``tick`` is told the number of the commit that was read, now and then."""
    return _Scan(log, given).run(tick)


def scan_elsewhere(folder: Path, given: Range) -> Scanned:
    """The same in another process, with a connection of its own."""
    log = Log(folder)
    try:
        return scan(log, given)
    finally:
        log.close()


class _Reader(NamedTuple):
    decode: Callable[[bytes], Event[Any]]
    version: int
    references: tuple[tuple[Callable[[Any], str | None], str], ...]
    artifact: bool
    told: bool


def _last_seq(log: Log, given: Range) -> int:
    try:
        return log.commit(given.stop - 1).last_seq
    except IndexError:
        return 1 << 62  # the commit is gone, which is said where it is missed


class _Scan:
    def __init__(self, log: Log, given: Range) -> None:
        self.log = log
        self.given = given
        self.notes = dict(log.checkpoints(given.first + 1, given.stop))
        self.wanted = given.wanted | self.notes.keys()
        self.result = Scanned(given.first, given.stop, next_seq=given.first_seq)
        self.frontier = merkle.Frontier()
        self.last_seqs: dict[str, int] = {}
        self.readers: dict[str, _Reader] = {}
        # One pass over all events of the range; the row that belongs to the next commit waits here.
        self.rows = log.rows(given.first_seq, _last_seq(log, given))
        self.row: tuple[int, str, bytes | None, bytes, bytes] | None = None

    def run(self, tick: Callable[[int], None]) -> Scanned:
        result = self.result
        last_recorded = -1
        for commit in self.log.commits(result.first, result.stop):
            if commit.n != result.first + self.frontier.size:
                self.add("LEAF REWRITTEN", f"c{commit.n}", f"Commit c{result.first + self.frontier.size} is gone.")
                return result
            self._commit(commit, self._events(commit), last_recorded)
            if last_recorded < 0:
                result.first_recorded = commit.recorded_at
            last_recorded = commit.recorded_at
            if commit.n + 1 in self.wanted:
                result.wanted[commit.n + 1] = list(self.frontier.peaks)
            if commit.n & 255 == 0:
                tick(commit.n)
        if result.first + self.frontier.size != result.stop:
            where = f"c{result.first + self.frontier.size}"
            self.add("LEAF REWRITTEN", where, f"Commits from {where} on are gone.")
        result.last_recorded = last_recorded
        result.peaks = self.frontier.peaks
        self._signatures()
        self._index()
        return result

    def add(self, kind: Class, where: str, words: str, **more: str) -> None:
        if len(self.result.findings) < MOST_FINDINGS:
            self.result.findings.append(Finding(kind=kind, where=where, words=words, **more))  # type: ignore[arg-type]

    # Events ------------------------------------------------------------------------------------------------

    def _events(self, commit: Commit) -> list[str]:
        """Check the events of a commit; the lines of its text, made of their stored hashes.

        Runs once for every event of a ledger of millions: hence the plain rows and the local names.
        """
        result, readers, last_seqs, new_hasher = self.result, self.readers, self.last_seqs, _HASHER.copy
        lines: list[str] = []
        artifacts = result.artifacts
        row = self.row or next(self.rows, None)
        next_seq, last_seq = result.next_seq, commit.last_seq
        while row is not None and row[0] <= last_seq:
            seq, kind, data, event_id, digest = row
            lines.append((event_id + digest).hex(" ", 32))  # event_line, without the call
            if seq != next_seq:
                self.add("BODY MISSING", f"#{next_seq}", f"Events #{next_seq} to #{seq - 1} are gone.")
            next_seq = seq + 1
            if data is None:
                result.missing.append(Missing(seq, event_id, kind))
                row = next(self.rows, None)
                continue
            hasher = new_hasher()
            hasher.update(data)
            if hasher.digest() == event_id and sha256(data).digest() == digest:
                # One dictionary look-up finds how to read the usual event; anything unusual goes the careful way.
                known = readers.get(kind) or self._reader(kind)
                try:
                    event = known.decode(data)
                    usual = event.t == kind and event.v == known.version
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                    usual = False
                if usual:
                    body = event.body
                    for get, prefix in known.references:
                        name = get(body)
                        if name is not None:
                            last_seqs[prefix + name] = seq
                    if encode_canonical(event) != data:
                        self._strange(seq, event_id)
                    if known.artifact:
                        artifacts[body.artifact] = body.size_bytes
                    elif known.told:
                        self._tell(Stored(*row), commit)
                else:
                    self._carefully(Stored(*row), commit)
            else:
                self._altered(Stored(*row))
            row = next(self.rows, None)
        self.row = row
        result.next_seq = next_seq
        result.events += len(lines)
        return lines

    def _strange(self, seq: int, event_id: bytes) -> None:
        if len(self.result.strange) < MOST_FINDINGS:
            self.result.strange.append(event_handle(seq, event_id))

    def _reader(self, kind: str) -> _Reader:
        newest = max((version for name, version in RELEASED if name == kind), default=None)
        known = RELEASED[kind, newest] if newest else RELEASED["schema.declared", 1]
        self.readers[kind] = _Reader(
            known.decoder.decode,
            known.body.VERSION,
            known.references,
            known.body is ArtifactStored,
            known.body in _TOLD,
        )
        return self.readers[kind]

    def _altered(self, stored: Stored) -> None:
        assert stored.data is not None
        handle = event_handle(stored.seq, stored.id)
        found = hashes(stored.data)
        self.result.damaged.append(stored.seq)
        which = 0 if found[0] != stored.id else 1
        self.add(
            "BODY ALTERED",
            handle,
            f"Event {handle} ({stored.type}) holds other bytes than those that were recorded.",
            expected=(stored.id, stored.sha256)[which].hex(),
            actual=found[which].hex(),
            next=f"Restore #{stored.seq} from a backup; everything else is judged by itself below.",
        )

    def _carefully(self, stored: Stored, commit: Commit) -> None:
        assert stored.data is not None
        handle = event_handle(stored.seq, stored.id)
        try:
            event = vocabulary.decode(stored.data)
        except Damaged as error:
            self.result.damaged.append(stored.seq)
            self.add("BODY ALTERED", handle, f"Event {handle} matches its hashes but is no event: {error.message}")
            return
        if event.t != stored.type:
            self.add("INDEX", handle, f"Event {handle} is filed as {stored.type} but says {event.t}.")
        for entity in vocabulary.entities(event):
            self.last_seqs[entity] = stored.seq
        if encode_canonical(event) != stored.data:
            self._strange(stored.seq, stored.id)
        if isinstance(event.body, ArtifactStored):
            self.result.artifacts[event.body.artifact] = event.body.size_bytes
        elif isinstance(event.body, _TOLD):
            self._tell(stored, commit)

    def _tell(self, stored: Stored, commit: Commit) -> None:
        assert stored.data is not None
        self.result.told.append(Told(stored.seq, commit.n, stored.id, commit.recorded_at, stored.data))

    # Commits -----------------------------------------------------------------------------------------------

    def _commit(self, commit: Commit, lines: list[str], last_recorded: int) -> None:
        where = f"c{commit.n}"
        if commit.last_seq - commit.first_seq + 1 != len(lines) or commit.last_seq != self.result.next_seq - 1:
            self.add("LEAF REWRITTEN", where, f"Commit {where} does not hold the events that it says.")
        try:
            head = decode_head(commit.head)
        except Damaged as error:
            self.add("LEAF REWRITTEN", where, f"{where}: {error.message}")
        else:
            if to_micros(head.recorded_at) != commit.recorded_at:
                self.add("INDEX", where, f"Commit {where} is filed under another time than its head says.")
        if commit.recorded_at < last_recorded:
            self.add("INDEX", where, f"Time goes back at {where}.")
        self.frontier.append(merkle.leaf_hash(leaf_entry(text_of_lines(commit.head, lines))))
        self.result.closing = commit.subtree
        # The last subtree of a range may reach to the left beyond it; whoever joins the ranges compares that one.
        if commit.n + 1 != self.result.stop:
            self._compare(commit)

    def _compare(self, commit: Commit) -> None:
        # Every later subtree that contains a rewritten leaf differs as well; the first is the one to name.
        if self.frontier.peaks[-1] == commit.subtree or any(f.kind == "LEAF REWRITTEN" for f in self.result.findings):
            return
        self.add(
            "LEAF REWRITTEN",
            f"c{commit.n}",
            f"Commit c{commit.n} (events #{commit.first_seq} to #{commit.last_seq}) is not the one that the tree "
            "was built from.",
            expected=commit.subtree.hex(),
            actual=self.frontier.peaks[-1].hex(),
        )

    # Signatures --------------------------------------------------------------------------------------------

    def _signatures(self) -> None:
        if not self.given.identities:
            return
        for size, note in self.notes.items():
            try:
                self.result.signed[size] = open_stored(note, self.given.identities, size)
            except TallyError as error:
                self.add(
                    "SIGNATURE",
                    f"checkpoint {size}",
                    f"The checkpoint of size {size} is not signed as it must be: {error.message}",
                )

    # The index of entities ---------------------------------------------------------------------------------

    def _index(self) -> None:
        """Every entity's last event in this range must not be beyond the one that the index names.

        The index is right if that holds in every range and the number of entities that it files under their last
        event of a range, over all ranges, is the number of its rows: one that names an event which does not refer
        to the entity is equal in no range, and one row has at most one range.
        """
        query = "SELECT last_seq FROM entities WHERE entity = ?"
        execute = self.log.reader.execute
        for entity, seq in self.last_seqs.items():
            row = execute(query, (entity,)).fetchone()
            if row is None or row[0] < seq:
                self.add("INDEX", entity, f"The index of entities is wrong about {entity}.")
                return
            self.result.indexed += row[0] == seq


_HASHER = blake3(derive_key_context=EVENT_CONTEXT)


def ranges(size: int, first: int, workers: int) -> Iterator[tuple[int, int]]:
    """Split commits ``first`` up to ``size`` into aligned ranges, several for each worker so that none waits long."""
    length = 1
    while length * workers * 4 < size - first and length < 1 << 16:
        length *= 2
    start = first
    while start < size:
        # Aligned to its own length, so that each is a perfect subtree or the last.
        here = min(length, start & -start) if start else length
        yield start, min(start + here, size)
        start += here
