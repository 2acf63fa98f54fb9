"""What a ledger holds, read whole: the file, every event and commit, the tree over them, and the keys.

The reading itself is :mod:`ledger.verify.scan`; here it is shared among processes where there is much, and put together
again. What of it is damaged goes into the report; the rest is what everything else is judged by.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from tallystick.ledger.errors import Damaged, InvalidInput, TallyError
from tallystick.ledger.events import types
from tallystick.ledger.events.types import ForkAdopted, KeyRotated, LedgerCreated
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.storage.entries import entries
from tallystick.ledger.storage.key_history import Change, Identity, chain
from tallystick.ledger.storage.sqlite import integrity
from tallystick.ledger.system.processes import end_with_parent
from tallystick.ledger.system.processors import cores
from tallystick.ledger.tlog import merkle, pins
from tallystick.ledger.tlog.note import Checkpoint
from tallystick.ledger.verify.bounds import Beyond
from tallystick.ledger.verify.file_check import not_looked_at
from tallystick.ledger.verify.idempotency_check import WrongKey, wrong_keys, wrong_keys_elsewhere
from tallystick.ledger.verify.report import Asked, Progress, Results
from tallystick.ledger.verify.scan import Missing, NeededEvent, Range, Scanned, ranges, scan, scan_elsewhere
from tallystick.ledger.verify.views_check import views_differences, views_elsewhere

PARALLEL_EVENTS = 100_000
MOST_WORKERS = 8


class Contents:
    """What was read.

    Attributes
    ----------
    size, events : int
        How many commits and events there are.
    start : int
        The first commit that was read; not 0 only in the quick form. ``earlier`` says when those before it were read.
    told, missing, damaged, strange, beyond, artifact_names, signed
        As of one range, see :class:`ledger.verify.scan.Scanned`; here of all that was read.
    roots : dict of int to bytes
        Size of a tree -> its root, for each size that something names.
    compared : future, optional
        How the views differ, where another process compares them.
    """

    def __init__(self, ledger: Ledger, asked: Asked, report: Results, progress: Progress) -> None:
        self.ledger = ledger
        self.log = ledger.log
        self.asked = asked
        self.report = report
        self.progress = progress
        self.size = 0
        self.events = 0
        self.start = 0
        self.earlier: pins.Watermark | None = None
        self.identities: list[Identity] = []
        self.told: list[NeededEvent] = []
        self.missing: list[Missing] = []
        self.damaged: list[int] = []
        self.strange: list[str] = []
        self.beyond: list[Beyond] = []
        self.artifact_names: dict[str, int] = {}
        self.roots: dict[int, bytes] = {}
        self.signed: dict[int, Checkpoint] = {}
        self.compared: Future[list[str]] | None = None
        self._indexed = 0
        self._keys: Future[list[WrongKey]] | None = None
        self._integrity: Future[list[str]] | None = None

    def read(self, stack: contextlib.ExitStack) -> None:
        """The file itself, and every commit; in the quick form every commit from the watermark on."""
        self.size = self.log.size()
        if self.size == 0:
            raise Damaged(f"{self.log.path} holds no commit at all.")
        self.events = self.log.reader.execute("SELECT max(seq) + 1 FROM events").fetchone()[0] or 0
        pool = self._pool(stack)
        # SQLite's own check goes first: it cannot be divided, and everything else may trip over what it finds.
        if pool is None:
            self._file(integrity(self.log.path))
        else:
            self._integrity = pool.submit(integrity, self.log.path)
        genesis = self._genesis()
        self._choose_start(genesis)
        self._gaps()
        last_seq = self.log.commit(self.size - 1).last_seq
        if pool and not self.asked.of_a_stranger:
            self.compared = pool.submit(views_elsewhere, self.log.path.parent, self.events, not self.start)
        if pool and genesis is not None:
            self._keys = pool.submit(
                wrong_keys_elsewhere, self.log.path.parent, self.start, self.size, genesis.timezone
            )
        self._join(self._scanned(pool), last_seq)
        self.is_damaged()
        for future in (self.compared, self._keys):
            if future is not None:
                result_of(future)
        self._index(last_seq)
        if genesis is not None:
            self._identities(genesis)
            self.report.lines.insert(
                0, ("ledger", f"{self.origin}  {self.events:,} events in {self.size:,} commits, head {self._head()}")
            )
            if genesis.clock == "replayed":
                self.report.lines.insert(
                    1, ("clock", "REPLAYED: its times are those of the story, not of the recording")
                )

    def wrong_keys(self) -> list[WrongKey]:
        """Idempotency keys that belong to no commit."""
        if self._keys is not None:
            found: list[WrongKey] = result_of(self._keys)
            return found
        return wrong_keys(self.log, self.start, self.size, self.ledger.genesis.timezone)

    def views_differences(self) -> list[str]:
        """How the stored views differ from what the events give, in words."""
        if self.compared is not None:
            found: list[str] = result_of(self.compared)
            return found
        return views_differences(self.ledger, self.progress, self.events, hashed_already=not self.start)

    def _gaps(self) -> None:
        """Commits are numbered without gaps from 0; what is numbered otherwise has no place in the tree."""
        self._before_the_first()
        if self.log.reader.execute("SELECT count(*) FROM commits WHERE n >= 0").fetchone()[0] == self.size:
            return
        expected = 0
        for (n,) in self.log.reader.execute("SELECT n FROM commits WHERE n >= 0 ORDER BY n"):
            if n != expected:
                break
            expected += 1
        self.report.add(
            "LEAF REWRITTEN", f"c{expected}", f"Commit c{expected} is gone; {self.size} commits are numbered."
        )
        if expected == 0:
            raise Damaged(f"{self.log.path} does not begin with commit c0.")
        self.size, self.start, self.earlier = expected, min(self.start, expected), None

    def _before_the_first(self) -> None:
        """Rows with a number below 0 or below the first commit's events are in no commit: no hash covers them."""
        ask = self.log.reader.execute
        for table, number, sign, what in (("commits", "n", "c", "commit"), ("events", "seq", "#", "event")):
            for (row,) in ask(f"SELECT {number} FROM {table} WHERE {number} < 0 ORDER BY {number} LIMIT 5").fetchall():
                self.report.add(
                    "INDEX",
                    f"{sign}{row}",
                    f"There is {'an' if what == 'event' else 'a'} {what} numbered {row}, which no hash covers.",
                    next="Find out who wrote it; it is no part of the ledger.",
                )
        for (first,) in ask("SELECT first_seq FROM commits WHERE n = 0 AND first_seq <> 0").fetchall():
            words = f"Commit c0 begins with event #{first}; those before it are in no commit."
            self.report.add("LEAF REWRITTEN", "c0", words)

    @property
    def origin(self) -> str:
        """Name of the log as its newest key says."""
        return self.identities[-1].key.name if self.identities else ""

    def _head(self) -> str:
        return self.ledger.commit_handle(self.size - 1)

    def _genesis(self) -> LedgerCreated | None:
        try:
            self.identities = self.ledger.identities
            return self.ledger.genesis
        except TallyError as error:
            self.report.add(
                "BODY ALTERED", "#0", f"The first event does not name this ledger and its key: {error.message}"
            )
            return None

    def _choose_start(self, genesis: LedgerCreated | None) -> None:
        """From the beginning; in the quick form from where the last verification of this account ended."""
        if not self.asked.since_last or genesis is None:
            return
        earlier = pins.read_watermark(self.origin)
        if earlier is None or earlier.size > self.size:
            return
        if self.ledger.root_at(earlier.size).hex() == earlier.root:
            self.start, self.earlier = earlier.size, earlier

    def _pool(self, stack: contextlib.ExitStack) -> ProcessPoolExecutor | None:
        workers = self.asked.workers or min(cores(), MOST_WORKERS)
        if workers == 1 or (self.asked.workers is None and self.events < PARALLEL_EVENTS):
            return None
        # Not forked: whoever calls may have threads, and a copy of their locks would never be opened again.
        pool = ProcessPoolExecutor(
            workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=end_with_parent,
            initargs=(os.getpid(),),
        )
        stack.callback(pool.shutdown, cancel_futures=True)
        return pool

    def _file(self, answer: list[str]) -> None:
        if answer != ["ok"]:
            self.report.add("FILE", str(self.log.path), f"SQLite finds damage: {'; '.join(answer)}")
        found = "ok" if answer == ["ok"] else "DAMAGED"
        schema = "ALTERED" if self.report.has("SCHEMA") else "as expected"
        said = f"sqlite integrity {found}, schema {schema}; {not_looked_at(self.log.reader)}"
        self.report.lines.append(("file", said))

    def _scanned(self, pool: ProcessPoolExecutor | None) -> Iterator[Scanned]:
        """The ranges in order, read here or elsewhere."""
        workers = self.asked.workers or (min(cores(), MOST_WORKERS) if pool else 1)
        # Sizes at which something outside the ledger names a root.
        wanted = frozenset(receipt.checkpoint.size for receipt in self.asked.against)
        given = []
        for first, stop in ranges(self.size, self.start, workers):
            try:
                first_seq = self.log.commit(first).first_seq
            except IndexError:
                self.report.add("LEAF REWRITTEN", f"c{first}", f"Commit c{first} is gone.")
                return
            given.append(Range(first, stop, first_seq, wanted, self.identities))
        if pool is None:
            for one in given:
                yield scan(self.log, one, lambda n: self.progress("events", n, self.size))
            return
        pending = [pool.submit(scan_elsewhere, self.log.path.parent, one) for one in given]
        for future, one in zip(pending, given, strict=True):
            self.progress("events", one.first, self.size)
            yield result_of(future)

    def _join(self, scanned: Iterator[Scanned], last_seq: int) -> None:
        """Put the ranges together to one tree."""
        frontier = merkle.frontier_from(lambda n: self.log.commit(n).subtree, self.start)
        next_seq = self.log.commit(self.start).first_seq if self.start < self.size else last_seq + 1
        self.roots[self.start] = frontier.root()
        last_recorded, indexed = -1, 0
        for part in scanned:
            self.report.findings += part.findings
            self.told += part.told
            self.missing += part.missing
            self.damaged += part.damaged
            self.strange += part.strange
            self.beyond += part.beyond
            self.artifact_names.update(part.artifacts)
            indexed += part.indexed
            if self.log.commit(part.first).first_seq != next_seq:
                self.report.add("LEAF REWRITTEN", f"c{part.first}", f"Events and commits do not meet at c{part.first}.")
            if part.first_recorded < last_recorded:
                self.report.add("INDEX", f"c{part.first}", f"Time goes back at c{part.first}.")
            next_seq, last_recorded = part.next_seq, part.last_recorded
            self.roots.update({size: merkle.fold([*frontier.peaks, *peaks]) for size, peaks in part.wanted.items()})
            self.signed.update(part.signed)
            count = part.stop - part.first
            if len(part.peaks) != count.bit_count():
                return  # commits are gone, which was said above; nothing after them has a place
            # A row of perfect subtrees, one for each bit of their number, large to small.
            sizes = [1 << bit for bit in reversed(range(count.bit_length())) if count >> bit & 1]
            for peak, leaves in zip(part.peaks, sizes, strict=True):
                frontier.append(peak, leaves)
            if part.closing != frontier.peaks[-1] and not self.report.has("LEAF REWRITTEN"):
                self.report.add(
                    "LEAF REWRITTEN",
                    f"c{part.stop - 1}",
                    f"Commit c{part.stop - 1} is not the one that the tree was built from.",
                    expected=part.closing.hex(),
                    actual=frontier.peaks[-1].hex(),
                )
        self.roots[frontier.size] = frontier.root()
        self._indexed = indexed
        if next_seq != last_seq + 1 or self.events != last_seq + 1:
            self.report.add(
                "LEAF REWRITTEN", f"#{min(next_seq, last_seq + 1)}", "Events and commits do not end together."
            )

    def _index(self, last_seq: int) -> None:
        """The index of entities has exactly the rows that the events say."""
        if self.damaged or self.start or self.report.has("INDEX", "LEAF REWRITTEN", "BODY MISSING"):
            return
        rows = self.log.reader.execute("SELECT count(*) FROM entities").fetchone()[0]
        if rows == self._indexed:
            return
        # The count differs: others appended while this was read in other processes, or a row is wrong. Look closely.
        expected: dict[str, int] = {}
        newer: set[int] = set()
        for entry in entries(self.log, 0, last_seq):
            if not types.is_known(entry.event):
                newer.add(entry.seq)
            for entity in types.entities(entry.event):
                expected[entity] = entry.seq
        found = dict(self.log.reader.execute("SELECT entity, last_seq FROM entities"))
        for entity in sorted(expected.keys() | found.keys()):
            # To what an event of a newer type refers, only a newer program can tell.
            later = found.get(entity, -1) in newer and found[entity] > expected.get(entity, -1)
            if expected.get(entity) != found.get(entity) and not later:
                self.report.add("INDEX", entity, f"The index of entities is wrong about {entity}.")
                return

    def _identities(self, genesis: LedgerCreated) -> None:
        """The keys as the events that were just read say, not as the index finds them."""
        if self.start:
            return
        changes: list[tuple[int, Change]] = []
        for told in self.told:
            body = types.decode(told.data).body
            if isinstance(body, KeyRotated | ForkAdopted):
                changes.append((told.n, body))
        try:
            identities = chain(genesis, changes)
        except TallyError as error:
            self.report.add("SIGNATURE", "keys", f"The changes of the log's key do not fit together: {error.message}")
            return
        if identities != self.identities:
            self.report.add("INDEX", "keys", "The index of entities leads to other keys than the events.")
            self.identities = identities

    def is_damaged(self) -> bool:
        """Whether SQLite finds the file damaged; waits for its answer where another process gives it."""
        if self._integrity is not None:
            self._file(result_of(self._integrity))
            self._integrity = None
        return self.report.has("FILE")

    @property
    def before_events(self) -> int:
        """Events at the beginning that this run does not read."""
        return self.earlier.events if self.earlier else 0


def result_of(future: Future[Any]) -> Any:
    """The answer of another process; InvalidInput where it died."""
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise InvalidInput(
            "A process that was reading the ledger died, perhaps because memory ran out.", "Try --workers 1."
        ) from error
