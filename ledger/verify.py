"""The verdict: does everything that is stored follow from what was signed, and are the views what the log says?

From the bottom up: the file and its schema; each event's bytes against its two hashes, each commit, the tree and
every signature (:mod:`ledger.scan`, shared among processes where there is much); then what stands outside the
ledger (:mod:`ledger.vouching`): this account's memory, receipts, anchors; the artifacts; and last the views, which
are folded again and compared. Damage is located, and what is still proved is said.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import multiprocessing
import os
import re
import sqlite3
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import msgspec

from ledger import memory, merkle, vocabulary
from ledger.commit import from_micros
from ledger.database import SCHEMA, circumstance, integrity, replaced, trouble
from ledger.errors import Damaged, InvalidInput, NotFound, TallyError
from ledger.identity import Change, Identity, chain
from ledger.imports_check import Imports, check_imports, has_imports
from ledger.ledger import Ledger
from ledger.note import Checkpoint
from ledger.recorder import this_program
from ledger.scan import Class, Finding, Missing, Range, Scanned, Told, ranges, scan, scan_elsewhere
from ledger.schema_check import schema_differences
from ledger.verdict import Asked, Progress, Verdict, silent
from ledger.views import entries
from ledger.views_check import views_differences, views_elsewhere
from ledger.vocabulary import EventRedacted, ForkAdopted, KeyRotated, LedgerCreated
from ledger.vouching import Vouching
from ledger.words import count

READ_WHOLE_EVENTS = 200_000
"""A ledger up to this size is read whole by default; that takes about a second."""
PARALLEL_EVENTS = 100_000
MOST_WORKERS = 8


def verify(ledger: Ledger, asked: Asked | None = None, progress: Progress = silent) -> Verdict:
    """Check a ledger; changes nothing in it.

    Raises
    ------
    InvalidInput, NewerFormat, Damaged
        When there is nothing that could be checked at all.
    """
    try:
        return _verdict(ledger, asked or Asked(), progress)
    except (UnicodeDecodeError, sqlite3.OperationalError) as error:
        if "decode" not in str(error):
            raise
    # Somewhere a text is no text. Read it as the bytes that it is, to find the place.
    ledger.log.reader.text_factory = lambda data: data.decode(errors="surrogateescape")
    return _verdict(ledger, msgspec.structs.replace(asked or Asked(), workers=1), progress)


def _verdict(ledger: Ledger, asked: Asked, progress: Progress) -> Verdict:
    examination = _Examination(ledger, asked, progress)
    connection = ledger.log.reader
    # One snapshot for everything that is read from the log: others may go on appending meanwhile.
    connection.execute("BEGIN")
    try:
        examination.schema()
        # Nothing is asked of what stands in a table's place: it would say anything, perhaps for ever.
        if not replaced(connection):
            with contextlib.ExitStack() as stack:
                examination.contents(stack)
            examination.imports()
            examination.outside()
            examination.artifacts()
            examination.segments()
            connection.execute("COMMIT")
            examination.views()
    except Exception as error:
        if "decode" in str(error) and connection.text_factory is str:
            raise
        if isinstance(error, sqlite3.Error) and not examination.findings and circumstance(error) is not None:
            # What was in the way is not in the file: that is no verdict about it.
            raise trouble(error, ledger.log.path) from error
        # Once SQLite itself says that the file is damaged, whatever reading it trips over (a number where a text
        # belongs, a row that is not there) is that damage. It ends the reading; what was found is worth saying.
        if not isinstance(error, sqlite3.DatabaseError) and not examination.is_damaged():
            raise
        examination.add(
            "FILE",
            str(ledger.log.path),
            f"The database cannot be read to its end: {error}.",
            next="Restore the newest backup; keep this file as evidence.",
        )
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return examination.verdict()


class _Examination:
    """The state of one verification: what was found so far."""

    def __init__(self, ledger: Ledger, asked: Asked, progress: Progress) -> None:
        self.ledger = ledger
        self.log = ledger.log
        self.asked = asked
        self.progress = progress
        self.findings: list[Finding] = []
        self.warnings: list[str] = []
        self.shortfalls: list[str] = []
        self.lines: list[tuple[str, str]] = []
        self.size = 0
        self.events = 0
        self.start = 0
        self.earlier: memory.Watermark | None = None
        self.identities: list[Identity] = []
        self.told: list[Told] = []
        self.missing: list[Missing] = []
        self.damaged: list[int] = []
        self.strange: list[str] = []
        self.artifact_names: dict[str, int] = {}
        self.roots: dict[int, bytes] = {}
        self.signed: dict[int, Checkpoint] = {}
        self.answer: Future[list[str]] | None = None
        self.compared: Future[list[str]] | None = None
        self.indexed = 0
        self.vouching: Vouching | None = None
        self.redacted: dict[int, EventRedacted] = {}
        self.imported: Imports | None = None
        self.imported_lines: list[tuple[str, str]] = []

    def add(self, kind: Class, where: str, words: str, **more: Any) -> None:
        self.findings.append(Finding(kind=kind, where=where, words=words, **more))

    def is_damaged(self) -> bool:
        """Whether SQLite finds the file damaged; waits for its answer where another process gives it."""
        if self.answer is not None:
            self._file(_result(self.answer))
            self.answer = None
        return self.has("FILE")

    def has(self, *kinds: Class) -> bool:
        """Whether something of a kind was found."""
        return any(finding.kind in kinds for finding in self.findings)

    # File, events, commits, tree ---------------------------------------------------------------------------

    def contents(self, stack: contextlib.ExitStack) -> None:
        """The file itself, and every commit from the watermark on."""
        self.size = self.log.size()
        if self.size == 0:
            raise Damaged(f"{self.log.path} holds no commit at all.")
        self.events = self.log.reader.execute("SELECT max(seq) + 1 FROM events").fetchone()[0] or 0
        pool = self._pool(stack)
        # SQLite's own check goes first: it cannot be divided, and everything else may trip over what it finds.
        if pool is not None:
            self.answer = pool.submit(integrity, self.log.path)
        if pool is None:
            self._file(integrity(self.log.path))
        genesis = self._genesis()
        self._choose_start(genesis)
        self._gaps()
        last_seq = self.log.commit(self.size - 1).last_seq
        if pool and not self.asked.of_a_stranger:
            self.compared = pool.submit(views_elsewhere, self.log.path.parent, self.events)
        self._join(self._scanned(pool), last_seq)
        self.is_damaged()
        if self.compared is not None:
            _result(self.compared)
        self._index(last_seq)
        if genesis is not None:
            self._identities(genesis)
            self.lines.insert(
                0, ("ledger", f"{self.origin}  {self.events:,} events in {self.size:,} commits, head {self._head()}")
            )
            if genesis.clock == "replayed":
                self.lines.insert(1, ("clock", "REPLAYED: its times are those of the story, not of the recording"))

    def _gaps(self) -> None:
        """Commits are numbered without gaps; what comes after the first gap has no place in the tree."""
        if self.log.reader.execute("SELECT count(*) FROM commits").fetchone()[0] == self.size:
            return
        expected = 0
        for (n,) in self.log.reader.execute("SELECT n FROM commits ORDER BY n"):
            if n != expected:
                break
            expected += 1
        self.add("LEAF REWRITTEN", f"c{expected}", f"Commit c{expected} is gone; {self.size} commits are numbered.")
        if expected == 0:
            raise Damaged(f"{self.log.path} does not begin with commit c0.")
        self.size, self.start, self.earlier = expected, min(self.start, expected), None

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
            self.add("BODY ALTERED", "#0", f"The first event does not name this ledger and its key: {error.message}")
            return None

    def _choose_start(self, genesis: LedgerCreated | None) -> None:
        """From the beginning, or from where an earlier verification of this account ended."""
        if self.asked.full or genesis is None or self.events <= READ_WHOLE_EVENTS:
            return
        earlier = memory.read_watermark(self.origin)
        if earlier is None or earlier.size > self.size:
            return
        if self.ledger.root_at(earlier.size).hex() == earlier.root:
            self.start, self.earlier = earlier.size, earlier

    def _pool(self, stack: contextlib.ExitStack) -> ProcessPoolExecutor | None:
        workers = self.asked.workers or min(_processors(), MOST_WORKERS)
        if workers == 1 or (self.asked.workers is None and self.events < PARALLEL_EVENTS):
            return None
        # Not forked: whoever calls may have threads, and a copy of their locks would never be opened again.
        pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
        stack.callback(pool.shutdown, cancel_futures=True)
        return pool

    def _file(self, answer: list[str]) -> None:
        if answer != ["ok"]:
            self.add("FILE", str(self.log.path), f"SQLite finds damage: {'; '.join(answer)}")
        found = "ok" if answer == ["ok"] else "DAMAGED"
        schema = "ALTERED" if self.has("SCHEMA") else "as expected"
        self.lines.append(("file", f"sqlite integrity {found}, schema {schema}"))

    def schema(self) -> None:
        """Every definition in the file, word for word."""
        for words in schema_differences(self.log.reader, SCHEMA):
            self.add(
                "SCHEMA",
                str(self.log.path),
                words,
                next="Find out who changed the file; readers may have been shown something else.",
            )

    def _scanned(self, pool: ProcessPoolExecutor | None) -> Iterator[Scanned]:
        """The ranges in order, read here or elsewhere."""
        workers = self.asked.workers or (min(_processors(), MOST_WORKERS) if pool else 1)
        wanted = self._wanted()
        given = []
        for first, stop in ranges(self.size, self.start, workers):
            try:
                first_seq = self.log.commit(first).first_seq
            except IndexError:
                self.add("LEAF REWRITTEN", f"c{first}", f"Commit c{first} is gone.")
                return
            given.append(Range(first, stop, first_seq, wanted, self.identities))
        if pool is None:
            for one in given:
                yield scan(self.log, one, lambda n: self.progress("events", n, self.size))
            return
        pending = [pool.submit(scan_elsewhere, self.log.path.parent, one) for one in given]
        for future, one in zip(pending, given, strict=True):
            self.progress("events", one.first, self.size)
            yield _result(future)

    def _wanted(self) -> frozenset[int]:
        """Sizes at which something outside the ledger names a root."""
        return frozenset(receipt.checkpoint.size for receipt in self.asked.against)

    def _join(self, scanned: Iterator[Scanned], last_seq: int) -> None:
        """Put the ranges together to one tree."""
        frontier = merkle.frontier_from(lambda n: self.log.commit(n).subtree, self.start)
        next_seq = self.log.commit(self.start).first_seq if self.start < self.size else last_seq + 1
        self.roots[self.start] = frontier.root()
        last_recorded, indexed = -1, 0
        for part in scanned:
            self.findings += part.findings
            self.told += part.told
            self.missing += part.missing
            self.damaged += part.damaged
            self.strange += part.strange
            self.artifact_names.update(part.artifacts)
            indexed += part.indexed
            if self.log.commit(part.first).first_seq != next_seq:
                self.add("LEAF REWRITTEN", f"c{part.first}", f"Events and commits do not meet at c{part.first}.")
            if part.first_recorded < last_recorded:
                self.add("INDEX", f"c{part.first}", f"Time goes back at c{part.first}.")
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
            if part.closing != frontier.peaks[-1] and not self.has("LEAF REWRITTEN"):
                self.add(
                    "LEAF REWRITTEN",
                    f"c{part.stop - 1}",
                    f"Commit c{part.stop - 1} is not the one that the tree was built from.",
                    expected=part.closing.hex(),
                    actual=frontier.peaks[-1].hex(),
                )
        self.roots[frontier.size] = frontier.root()
        self.indexed = indexed
        if next_seq != last_seq + 1 or self.events != last_seq + 1:
            self.add("LEAF REWRITTEN", f"#{min(next_seq, last_seq + 1)}", "Events and commits do not end together.")

    def _index(self, last_seq: int) -> None:
        """The index of entities has exactly the rows that the events say."""
        if self.damaged or self.start or self.has("INDEX", "LEAF REWRITTEN", "BODY MISSING"):
            return
        rows = self.log.reader.execute("SELECT count(*) FROM entities").fetchone()[0]
        if rows == self.indexed:
            return
        # The count differs: others appended while this was read in other processes, or a row is wrong. Look closely.
        expected: dict[str, int] = {}
        newer: set[int] = set()
        for seq, _n, _recorded_at, _actor, event in entries(self.log, 0, last_seq):
            if not vocabulary.is_known(event):
                newer.add(seq)
            for entity in vocabulary.entities(event):
                expected[entity] = seq
        found = dict(self.log.reader.execute("SELECT entity, last_seq FROM entities"))
        for entity in sorted(expected.keys() | found.keys()):
            # To what an event of a newer type refers, only a newer program can tell.
            later = found.get(entity, -1) in newer and found[entity] > expected.get(entity, -1)
            if expected.get(entity) != found.get(entity) and not later:
                self.add("INDEX", entity, f"The index of entities is wrong about {entity}.")
                return

    def _identities(self, genesis: LedgerCreated) -> None:
        """The keys as the events that were just read say, not as the index finds them."""
        if self.start:
            return
        changes: list[tuple[int, Change]] = []
        for told in self.told:
            body = vocabulary.decode(told.data).body
            if isinstance(body, KeyRotated | ForkAdopted):
                changes.append((told.n, body))
        try:
            identities = chain(genesis, changes)
        except TallyError as error:
            self.add("SIGNATURE", "keys", f"The changes of the log's key do not fit together: {error.message}")
            return
        if identities != self.identities:
            self.add("INDEX", "keys", "The index of entities leads to other keys than the events.")
            self.identities = identities

    # Imported histories ------------------------------------------------------------------------------------

    def imports(self) -> None:
        """What was copied in from other ledgers, against what they had signed."""
        names = has_imports(self.log)
        if not names:
            return
        if self.damaged or self.has("FILE", "LEAF REWRITTEN", "INDEX"):
            self.imported_lines = [("import", "not compared, because the events are damaged")]
            return
        if self.earlier and all((self.log.last_seq_of(name) or 0) < self.earlier.events for name in names):
            said = f"{count(len(names), 'history', 'histories')} recomputed on {self.earlier.at:%Y-%m-%d}"
            self.imported_lines = [("import", said)]
            return
        self.imported = check_imports(self.log, self.progress)
        self.findings += self.imported.findings
        self.warnings += self.imported.unfinished()
        self.imported_lines = self.imported.lines()

    # What stands outside -----------------------------------------------------------------------------------

    def outside(self) -> None:
        """Redactions, signatures, memory, receipts and anchors."""
        self._redactions()
        intact = self.events - len(self.missing) - len(self.damaged) - self.before_events
        said = f"{intact:,} bodies match their hashes"
        if self.damaged:
            said += f"; {len(self.damaged):,} DO NOT"
        if self.redacted:
            listed = ", ".join(f"#{seq}" for seq in sorted(self.redacted)[:5])
            said += f"; {len(self.redacted):,} redacted ({listed}{' …' if len(self.redacted) > 5 else ''})"
        gone = len(self.missing) - len(self.redacted)
        if gone:
            said += f"; {gone:,} MISSING"
        if self.earlier:
            said += f"; the first {self.earlier.events:,} were read on {self.earlier.at:%Y-%m-%d} (--full reads all)"
        self.lines.append(("events", said))
        if newer := self.ledger.newer_types():
            self.warnings.append(
                f"{', '.join(newer)}: newer than this program. These events are proved like all others; what follows "
                "from them only a newer tallystick can check."
            )
        if self.strange:
            self.warnings.append(
                f"{count(len(self.strange), 'event')} in another written form than this program's, the first "
                f"{self.strange[0]}. The hashes are right."
            )
        if self.identities:
            known = self.roots if self.has("LEAF REWRITTEN") else None
            self.vouching = Vouching(self.ledger, self.identities, self.size, self.roots.get(self.size), known)
            self.vouching.checkpoints(self.signed, self.roots, self.start)
            self.vouching.memory(self.asked.backup_of)
            self.vouching.receipts(self.asked.against)
            self.vouching.anchors(self.asked.policy, self.asked.shared)
            self.vouching.approvals(self.told, self.imported)
            self.findings += self.vouching.findings
            self.warnings += self.vouching.warnings
            self.shortfalls += self.vouching.shortfalls
            self.lines += [*self.vouching.lines, *self.imported_lines]
            if self.asked.require_anchor and self.unanchored:
                self.shortfalls.append(f"The newest {self.unanchored:,} events are not anchored outside this account.")

    @property
    def before_events(self) -> int:
        """Events that were read by an earlier verification."""
        return self.earlier.events if self.earlier else 0

    @property
    def unanchored(self) -> int:
        """Events that nothing outside vouches for."""
        return self.vouching.unanchored_events() if self.vouching else self.events

    def _redactions(self) -> None:
        said: dict[int, tuple[EventRedacted, Told]] = {}
        for told in self.told:
            body = vocabulary.decode(told.data).body
            # A stranger's program may have named no position at all; then the event excuses nothing.
            if isinstance(body, EventRedacted) and re.fullmatch("0|[1-9][0-9]{0,15}", body.redaction):
                said[int(body.redaction)] = (body, told)
        for missing in self.missing:
            entry = said.pop(missing.seq, None)
            if entry and entry[0].event == missing.id.hex():
                self.redacted[missing.seq] = entry[0]
                continue
            self.add(
                "BODY MISSING",
                f"#{missing.seq}",
                f"The body of #{missing.seq} ({missing.type}) is gone, and no event says that it was redacted.",
                expected=missing.id.hex(),
                next=f"Restore #{missing.seq} from a backup.",
            )
        for seq, (_body, told) in said.items():
            if told.seq > seq >= self.before_events:
                self.warnings.append(
                    f"#{told.seq} says that #{seq} was redacted, but its content is still here. "
                    f"To finish it: tally redact '#{seq}'"
                )

    # Artifacts, segments, views ----------------------------------------------------------------------------

    def artifacts(self) -> None:
        """Every named artifact: there and of the right size, or read and hashed."""
        absent, wrong, held = [], 0, 0
        for done, (name, size_bytes) in enumerate(sorted(self.artifact_names.items())):
            self.progress("artifacts", done, len(self.artifact_names))
            try:
                words = self._artifact(name, size_bytes)
            except NotFound:
                absent.append(name)
                continue
            if words is None:
                held += 1
                continue
            wrong += 1
            self.add(
                "ARTIFACT",
                f"artifact:{name}",
                words,
                expected=name,
                next="Restore the file from a backup; the ledger itself is not affected.",
            )
        how = "re-hashed and unchanged" if self.asked.read_data else "here, of the right size (--read-data hashes them)"
        line = f"{held} of {len(self.artifact_names)} artifacts {how}"
        if wrong:
            line += f", {wrong} CHANGED"
        if absent:
            listed = ", ".join(f"{name[:12]}…" for name in absent[:3])
            line += f", {len(absent)} NOT HERE ({listed}{' …' if len(absent) > 3 else ''})"
            self.shortfalls.append(f"{count(len(absent), 'artifact')} that the ledger names: not here.")
        self.lines.append(("models", line))

    def _artifact(self, name: str, size_bytes: int) -> str | None:
        """What is wrong with an artifact, in words; NotFound where it is not here."""
        try:
            found = self.ledger.objects.size_bytes(name)
            # Nobody reads a whole disk to learn what its size says already.
            if self.asked.read_data and found == size_bytes:
                self.ledger.objects.get(name)
        except (Damaged, InvalidInput) as error:
            return error.message
        if found != size_bytes:
            return f"Artifact {name[:12]}… has {found:,} bytes instead of {size_bytes:,}."
        return None

    def segments(self) -> None:
        """Sealed segments, compared byte by byte with what the log says they hold."""
        from ledger.segments import compare, sealed

        folder = self.asked.segments
        known = list(sealed(self.log))
        if folder is None:
            if known:
                self.lines.append(
                    ("segments", f"{len(known)} sealed, up to c{known[-1].last}: --against-segments compares them")
                )
            return
        good = 0
        for done, segment in enumerate(known):
            self.progress("segments", done, len(known))
            words = compare(self.log, segment, folder, self.redacted.keys())
            if words is None:
                good += 1
            else:
                self.add("SEGMENT", f"segment:{segment.segment}", words, next="Compare both with a backup.")
        self.lines.append(("segments", f"{good} of {len(known)} sealed segments are what the log says"))

    def views(self) -> None:
        """The views file: its schema word for word, and its rows against a new fold of all events."""
        path = self.ledger.views.path
        if self.asked.of_a_stranger:
            return  # its views are nobody's evidence, and comparing them would make them
        if self.damaged or self.has("FILE", "LEAF REWRITTEN", "BODY MISSING", "INDEX"):
            self.lines.append(("views", "not compared, because the events they follow from are damaged"))
            return
        words = (
            views_differences(self.ledger, self.progress, self.events)
            if self.compared is None
            else _result(self.compared)
        )
        for line in words:
            self.add(
                "PROJECTION",
                str(path),
                line,
                next=f"Delete {path}; it is rebuilt from the events at the next question.",
            )
        if words:
            self.lines.append(("views", "ALTERED"))
        elif self.ledger.views.are_kept():
            self.lines.append(("views", "rebuilt and identical"))
        else:
            self.lines.append(("views", "not kept, because they cannot be written here: each answer is made anew"))

    # The verdict -------------------------------------------------------------------------------------------

    def verdict(self) -> Verdict:
        """Everything, and the watermark where all is well."""
        verified = not self.findings
        root = self.roots.get(self.size, b"")
        if verified and self.identities and not self.asked.of_a_stranger:
            at = dt.datetime.now(dt.UTC).replace(microsecond=0)
            mark = memory.Watermark(self.size, root.hex(), self.events, at, this_program())
            memory.write_watermark(self.origin, mark)
        order = {kind: place for place, kind in enumerate(_ORDER)}
        self.findings.sort(key=lambda finding: order[finding.kind])
        return Verdict(
            verified=verified,
            origin=self.origin,
            commits=self.size,
            events=self.events,
            findings=[self._placed(finding) for finding in self.findings],
            warnings=self.warnings,
            shortfalls=self.shortfalls if verified else [],
            lines=self.lines,
            trusted=self._trusted(),
            anchored=self.vouching.anchored if self.vouching else 0,
            unanchored_events=self.unanchored,
            unsigned_commits=self.size - (self.vouching.proved_size if self.vouching else 0),
            read_from=self.start,
        )

    def _trusted(self) -> list[str]:
        vouching = self.vouching
        if vouching is None or not vouching.proved_size:
            return ["No signed checkpoint proves any of it."]
        last = vouching.proved_size - 1
        if not vouching.key_is_relied_on:
            said = ["nothing by its own signatures, because its key is not one to rely on"]
        elif self.has("FORK"):
            # The key has signed, or is said to have signed, two histories: its word no longer decides between them.
            said = [
                f"c0 to c{last} by nothing but the ledger's own key (the checkpoint of size {vouching.proved_size})"
            ]
        else:
            said = [f"c0 to c{last} are proved by the signed checkpoint of size {vouching.proved_size}"]
        if vouching.anchored:
            said.append(f"c0 to c{vouching.anchored - 1} also by what is kept outside: {vouching.anchored_by}")
        bad = [*self.damaged, *(missing.seq for missing in self.missing if missing.seq not in self.redacted)]
        if bad:
            listed = ", ".join(f"#{seq}" for seq in sorted(bad)[:5]) + (" …" if len(bad) > 5 else "")
            said.append(f"every other event matches its leaf; only the content of {listed} is bad")
        return said

    def _placed(self, finding: Finding) -> Finding:
        """A finding about an event, with the commit and the run that it falls into."""
        if finding.kind not in ("BODY ALTERED", "BODY MISSING") or not finding.where.startswith("#"):
            return finding
        try:
            commit = self.log.commit_of(int(finding.where[1:].partition("-")[0]))
            said = f" It is in c{commit.n}, recorded {from_micros(commit.recorded_at):%Y-%m-%d %H:%M:%S} UTC"
            for stored in self.log.events(commit.first_seq, commit.last_seq):
                if stored.data is not None and stored.seq not in self.damaged:
                    run = getattr(vocabulary.decode(stored.data).body, "run", None)
                    if run:
                        said += f", of run {run}"
                        break
        except (TallyError, IndexError, ValueError, sqlite3.Error):
            return finding
        return msgspec.structs.replace(finding, words=f"{finding.words}{said}.")


_ORDER: tuple[Class, ...] = (
    "FILE",
    "SCHEMA",
    "BODY ALTERED",
    "BODY MISSING",
    "LEAF REWRITTEN",
    "FORK",
    "TAIL CUT",
    "SIGNATURE",
    "SEGMENT",
    "IMPORT",
    "ARTIFACT",
    "INDEX",
    "PROJECTION",
)


def _result(future: Future[Any]) -> Any:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise InvalidInput(
            "A process that was reading the ledger died, perhaps for want of memory.", "Try --workers 1."
        ) from error


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
