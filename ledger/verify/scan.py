"""One range of commits read whole: the work of verification that can be shared among processes.

From the bottom up, for each event: its bytes against both hashes, their shape against their declared type, their
written form; for each commit: its text, its leaf, the stored subtree. Ranges begin at multiples of their length, a
power of two, so a range is one perfect subtree and its result fits into the tree above without being read again.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import chain, islice, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

import msgspec

from tallystick.ledger.errors import Damaged, TallyError
from tallystick.ledger.events import types as vocabulary
from tallystick.ledger.events.commit import decode_head, event_handle, leaf_entry, text_of_hashes, to_micros
from tallystick.ledger.events.event import encode_canonical, hashes, hashes_of_many
from tallystick.ledger.events.types import (
    AnchorRecorded,
    ArtifactStored,
    CommitImported,
    DecisionApproved,
    EventRedacted,
    EventRedactedV1,
    ForkAdopted,
    KeyRotated,
    SegmentSealed,
)
from tallystick.ledger.storage.key_history import Identity, open_stored
from tallystick.ledger.storage.log import Commit, Log, Stored
from tallystick.ledger.tlog import merkle
from tallystick.ledger.tlog.note import Checkpoint
from tallystick.ledger.verify.batch_decode import Alike, version_written
from tallystick.ledger.verify.bounds import Beyond, about_words, event_words, head_words

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
    "IMPORT",
    "PROJECTION",
    "FORM",
]

MOST_FINDINGS = 1_000
BATCH_NAMES = 1_000
BATCH_ROWS = 256
"""So many events are checked together; they and what is made of them fit into the processor's nearer memory."""
BATCH_BYTES = 1 << 20
"""From this size on a batch is not added to: an event may have a megabyte, and takes several when it is read."""


class Contradiction(msgspec.Struct, frozen=True, kw_only=True):
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


class NeededEvent(msgspec.Struct, frozen=True):
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
    findings: list[Contradiction] = []
    peaks: list[bytes] = []
    wanted: dict[int, list[bytes]] = {}
    closing: bytes = b""
    first_recorded: int = 0
    last_recorded: int = 0
    next_seq: int = 0
    artifacts: dict[str, int] = {}
    told: list[NeededEvent] = []
    missing: list[Missing] = []
    damaged: list[int] = []
    strange: list[str] = []
    """Handles of events and heads in another written form than this program's."""
    beyond: list[Beyond] = []
    indexed: int = 0
    signed: dict[int, Checkpoint] = {}
    """Stored checkpoints whose signatures are good, by size."""


_TOLD = (AnchorRecorded, DecisionApproved, EventRedacted, EventRedactedV1, ForkAdopted, KeyRotated, SegmentSealed)
_TOLD_TYPES = {body.TYPE for body in _TOLD}
Row = tuple[int, str, Any, bytes, bytes]
"""An event as it lies in the file, see :class:`ledger.storage.log.Stored`; a plain tuple for readers of millions."""
_Kind = tuple[str, int, str | None]
"""What events are read together: their type and version, and what their names are read under."""


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
        # Without a transaction around them, each of many questions would take and release the file's lock.
        log.reader.execute("BEGIN")
        return scan(log, given)
    finally:
        log.close()


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
        self.alike: dict[_Kind, Alike] = {}
        self.last_seqs: dict[str, int] = {}
        # One pass over all events of the range, some at a time. What was read of events whose commit comes later
        # waits here: where they stand, both hashes of each in turn, and those that verification itself needs.
        with log.unchecked():
            self.rows = log.rows(given.first_seq, _last_seq(log, given))
        self.read_to = given.first_seq - 1
        self.seqs: list[int] = []
        self.hashes: list[bytes] = []
        self.telling: list[Stored] = []
        # Imported events whose names are read under another: first and last, and that other.
        self.spans: list[tuple[int, int, str]] = []
        self.said_imported: list[int] = []
        """Where events say which commit of another ledger theirs is; those of commits to come."""

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
            self.result.findings.append(Contradiction(kind=kind, where=where, words=words, **more))  # type: ignore[arg-type]

    # Events ------------------------------------------------------------------------------------------------

    def _events(self, commit: Commit) -> list[bytes]:
        """The stored hashes of the events of a commit, id and SHA-256 in turn; reads on as far as it must."""
        result, last_seq = self.result, commit.last_seq
        while self.read_to < last_seq and (rows := next_rows(self.rows)):
            self._read(rows)
        found = bisect_right(self.seqs, last_seq)
        if found:
            result.next_seq = self.seqs[found - 1] + 1
        result.events += found
        while self.telling and self.telling[0].seq <= last_seq:
            told = self.telling.pop(0)
            assert told.data is not None
            result.told.append(NeededEvent(told.seq, commit.n, told.id, commit.recorded_at, told.data))
        hashes = self.hashes[: 2 * found]
        del self.seqs[:found], self.hashes[: 2 * found]
        return hashes

    def _read(self, rows: list[Row]) -> None:
        """Check some events, all at once where nothing is wrong with any of them."""
        seqs, types, bodies, ids, digests = zip(*rows, strict=True)
        self._gaps(seqs)
        self.seqs += seqs
        self.hashes += chain.from_iterable(zip(ids, digests, strict=True))
        if None in bodies or hashes_of_many(bodies) != (list(ids), list(digests)):
            rows = [row for row in rows if self._is_intact(Stored(*row))]
        if self.spans or CommitImported.TYPE in types:
            self._imported(rows)
        alike: dict[_Kind, list[Row]] = {}
        for row in rows:
            kind = row[1], version_written(row[1], row[2]), self._under(row[0]) if self.spans else None
            alike.setdefault(kind, []).append(row)
        unusual = []
        for kind, some in alike.items():
            if not self._are_usual(kind, some):
                unusual += some
        for row in sorted(unusual):
            self._carefully(Stored(*row))
        self.telling.sort()

    def _imported(self, rows: list[Row]) -> None:
        """Note which events come from another ledger and are named otherwise here."""
        if self.spans and rows:
            self.spans = [span for span in self.spans if span[1] >= rows[0][0]]
        for seq, event_type, data, _id, _sha256 in rows:
            if event_type == CommitImported.TYPE:
                self.said_imported.append(seq)
            if event_type == CommitImported.TYPE and data is not None:
                with contextlib.suppress(Damaged):  # said when it is looked at
                    body = vocabulary.decode(data, event_type).body
                    if isinstance(body, CommitImported) and body.named_under is not None:
                        self.spans.append((seq + 1, seq + body.copied, body.named_under))

    def _under(self, seq: int) -> str | None:
        """What the names of an event are read under here; None where they are read as they are."""
        at = bisect_right(self.spans, seq, key=itemgetter(0)) - 1
        return self.spans[at][2] if at >= 0 and seq <= self.spans[at][1] else None

    def _gaps(self, seqs: tuple[int, ...]) -> None:
        if seqs[0] != self.read_to + 1 or seqs[-1] - seqs[0] != len(seqs) - 1:
            for before, seq in pairwise([self.read_to, *seqs]):
                if seq != before + 1:
                    self.add("BODY MISSING", f"#{before + 1}", f"Events #{before + 1} to #{seq - 1} are gone.")
        self.read_to = seqs[-1]

    def _is_intact(self, stored: Stored) -> bool:
        if stored.data is None:
            self.result.missing.append(Missing(stored.seq, stored.id, stored.type))
            return False
        if hashes(stored.data) != (stored.id, stored.sha256):
            self._altered(stored)
            return False
        return True

    def _are_usual(self, kind: _Kind, rows: list[Row]) -> bool:
        """Read events that are filed under one type; False, and nothing of them is kept, if one wants a closer look."""
        event_type = kind[0]
        if kind not in self.alike:
            self.alike[kind] = Alike(*kind)
        bodies = self.alike[kind].read([row[0] for row in rows], [row[2] for row in rows])
        if bodies is None:
            return False
        if event_type == ArtifactStored.TYPE:
            self.result.artifacts.update((body.artifact, body.size_bytes) for body in bodies)
        elif event_type in _TOLD_TYPES:
            self.telling += map(Stored._make, rows)
        return True

    def _strange(self, handle: str) -> None:
        if len(self.result.strange) < MOST_FINDINGS:
            self.result.strange.append(handle)

    def _beyond(self, beyond: Beyond) -> None:
        if len(self.result.beyond) < MOST_FINDINGS:
            self.result.beyond.append(beyond)

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

    def _carefully(self, stored: Stored) -> None:
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
        for entity in vocabulary.entities(vocabulary.named_under(event, self._under(stored.seq))):
            self.last_seqs[entity] = stored.seq
        if not (canonical := encode_canonical(event) == stored.data):
            self._strange(event_handle(stored.seq, stored.id))
        if (words := event_words(event, stored.data, canonical)) is not None:
            self._beyond(Beyond(-1, stored.seq, handle, words))
        elif (words := about_words(event)) is not None:
            self._beyond(Beyond(-1, stored.seq, handle, words, allowed_before=True))
        if isinstance(event.body, ArtifactStored):
            self.result.artifacts[event.body.artifact] = event.body.size_bytes
        elif isinstance(event.body, _TOLD):
            self.telling.append(stored)

    # Commits -----------------------------------------------------------------------------------------------

    def _commit(self, commit: Commit, hashes: list[bytes], last_recorded: int) -> None:
        n = commit.n
        if commit.last_seq - commit.first_seq + 1 != len(hashes) // 2 or commit.last_seq != self.result.next_seq - 1:
            self.add("LEAF REWRITTEN", f"c{n}", f"Commit c{n} does not hold the events that it says.")
        try:
            head = decode_head(commit.head)
        except Damaged as error:
            self.add("LEAF REWRITTEN", f"c{n}", f"c{n}: {error.message}")
        else:
            if to_micros(head.recorded_at) != commit.recorded_at:
                self.add("INDEX", f"c{n}", f"Commit c{n} is filed under another time than its head says.")
            if not (canonical := encode_canonical(head) == commit.head.encode(errors="surrogateescape")):
                self._strange(f"c{n}")
            if (words := head_words(head, commit.head, canonical)) is not None:
                self._beyond(Beyond(n, -1, f"c{n}", words))
            here = bisect_right(self.said_imported, commit.last_seq)
            if head.imported and not (here and self.said_imported[here - 1] >= commit.first_seq):
                self.add("IMPORT", f"c{n}", f"c{n} says that it was imported, but not which commit of which ledger.")
            del self.said_imported[:here]
        if commit.recorded_at < last_recorded:
            self.add("INDEX", f"c{n}", f"Time goes back at c{n}.")
        self.frontier.append(merkle.leaf_hash(leaf_entry(text_of_hashes(commit.head, b"".join(hashes)))))
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
        last_seqs = self.last_seqs
        for entity, seq in chain.from_iterable(alike.entities() for alike in self.alike.values()):
            if last_seqs.get(entity, -1) < seq:
                last_seqs[entity] = seq
        # In the order of the index, so that neighbours are found together.
        entities = sorted(last_seqs)
        for start in range(0, len(entities), BATCH_NAMES):
            some = entities[start : start + BATCH_NAMES]
            for entity, found in zip(some, self.log.last_seqs_of(some), strict=True):
                if found is None or found < last_seqs[entity]:
                    self.add("INDEX", entity, f"The index of entities is wrong about {entity}.")
                    return
                self.result.indexed += found == last_seqs[entity]


def next_rows(rows: Iterator[Row]) -> list[Row]:
    """The next events to check together, fewer where they are large; none at the end."""
    batch: list[Row] = []
    size_bytes = 0
    while len(batch) < BATCH_ROWS and size_bytes < BATCH_BYTES and (more := list(islice(rows, BATCH_ROWS // 16))):
        batch += more
        size_bytes += sum([len(row[2]) for row in more if row[2] is not None])
    return batch


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
