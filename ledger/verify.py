"""The verdict: does everything that is stored follow from what was signed, and are the views what the log says?

From the bottom up: the file and its schema, each event's bytes against its two hashes, each commit, the tree,
every checkpoint and its signature, this account's high-water mark and any receipt that is given, the artifacts,
and last the views, which are folded again and compared. Damage is located, and what is still proved is said.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from ledger import database, keys, merkle, views, vocabulary
from ledger.commit import commit_text, decode_head, event_handle, leaf_entry, to_micros
from ledger.errors import Damaged, InvalidInput, NotFound, TallyError
from ledger.event import Hashes, hashes, kind
from ledger.ledger import Ledger
from ledger.log import Commit, Stored
from ledger.note import Checkpoint, VerifierKey, open_checkpoint, parse_receipt, receipt_line
from ledger.projections import fold
from ledger.vocabulary import ArtifactStored

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
    "PROJECTION",
]
Progress = Callable[[str, int, int], None]
"""What is being checked, how much is done, of how much."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One contradiction: what class of damage, where, in words, and the hashes behind it."""

    kind: Class
    where: str
    """A handle (``#12-k3f9``, ``c3``), a checkpoint, a file or a view."""
    words: str
    expected: str | None = None
    actual: str | None = None
    next: str | None = None
    """What to type or do next."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What verification found.

    Attributes
    ----------
    verified : bool
        True where nothing contradicts anything.
    findings : list of Finding
        In the order of importance; the first is the first bad event where there is one.
    lines : list of (str, str)
        One line for each part that was checked.
    trusted : str
        What is still proved, and by what.
    """

    verified: bool
    origin: str
    commits: int
    events: int
    findings: list[Finding]
    lines: list[tuple[str, str]]
    trusted: str
    anchored: bool


def silent(_what: str, _done: int, _total: int) -> None:
    """Show no progress."""


def verify(ledger: Ledger, *, against: Sequence[Checkpoint] = (), progress: Progress = silent) -> Verdict:
    """Check a whole ledger.

    Parameters
    ----------
    against : sequence of Checkpoint
        Receipts that were kept outside; this ledger must be a continuation of each.

    Raises
    ------
    InvalidInput, NewerFormat, Damaged
        When there is nothing that could be checked at all.
    """
    examination = _Examination(ledger, progress)
    connection = ledger.log.reader
    # One snapshot for everything that is read from the log: others may go on appending meanwhile.
    connection.execute("BEGIN")
    try:
        examination.file()
        examination.events_and_commits()
        examination.checkpoints()
        examination.mark()
        for receipt in against:
            examination.receipt(receipt)
        examination.artifacts()
        connection.execute("COMMIT")
        examination.views()
    except sqlite3.DatabaseError as error:
        # A broken page ends the reading; what was found until there is still worth saying.
        examination.add(
            "FILE",
            str(ledger.log.path),
            f"The database cannot be read to its end: {error}.",
            next="Restore the newest backup; keep this file as evidence.",
        )
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return examination.verdict(anchored=bool(against))


class _Examination:
    """The state of one verification: what was found so far."""

    def __init__(self, ledger: Ledger, progress: Progress) -> None:
        self.ledger = ledger
        self.log = ledger.log
        self.progress = progress
        self.findings: list[Finding] = []
        self.lines: list[tuple[str, str]] = []
        self.frontiers: dict[int, bytes] = {}
        """Root by tree size, at the sizes where something outside the tree names one."""
        self.commits = 0
        self.events = 0
        self.artifact_names: dict[str, int] = {}
        self.entities: dict[str, int] = {}
        self.origin = ""
        self.key: VerifierKey | None = None
        self.proved_size = 0
        self.body_damage: list[int] = []

    def add(self, kind_: Class, where: str, words: str, **more: str | None) -> None:
        self.findings.append(Finding(kind=kind_, where=where, words=words, **more))

    def _has(self, kind_: Class) -> bool:
        return any(finding.kind == kind_ for finding in self.findings)

    # The file ----------------------------------------------------------------------------------------------

    def file(self) -> None:
        """SQLite's own check, and every object of the schema word for word."""
        connection = self.log.reader
        try:
            answer = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
        except sqlite3.DatabaseError as error:
            answer = [str(error)]
        if answer != ["ok"]:
            self.add("FILE", str(self.log.path), f"SQLite finds damage: {'; '.join(map(str, answer))}")
        strange = schema_differences(connection, database.SCHEMA)
        for words in strange:
            self.add(
                "SCHEMA",
                str(self.log.path),
                words,
                next="Find out who changed the file; readers may have been shown something else.",
            )
        found = "ok" if answer == ["ok"] else "DAMAGED"
        self.lines.append(("file", f"sqlite integrity {found}, schema {'as expected' if not strange else 'ALTERED'}"))

    # Events and commits ------------------------------------------------------------------------------------

    def events_and_commits(self) -> None:
        """Bytes to hashes, hashes to commits, commits to the tree, in one pass."""
        wanted = {size for size, _ in self.log.checkpoints()}
        total = self.log.size()
        frontier = merkle.Frontier()
        commits = self.log.commits()
        commit = next(commits, None)
        names: list[Hashes] = []
        last_seq, last_recorded = -1, 0
        for stored in self.log.events():
            self._event(stored, last_seq + 1)
            last_seq = stored.seq
            names.append((stored.id, stored.sha256))
            if commit is not None and stored.seq >= commit.last_seq:
                self._commit(commit, names, frontier, last_recorded)
                last_recorded = commit.recorded_at
                if frontier.size in wanted:
                    self.frontiers[frontier.size] = frontier.root()
                if commit.n % 256 == 0:
                    self.progress("events", commit.n, total)
                names = []
                commit = next(commits, None)
        if names or commit is not None:
            where = f"c{commit.n}" if commit is not None else f"#{last_seq}"
            self.add("LEAF REWRITTEN", where, "Events and commits do not end together.")
        self.commits, self.events = frontier.size, last_seq + 1
        self.frontiers[frontier.size] = frontier.root()
        if self.commits == 0:
            raise Damaged(f"{self.log.path} holds no commit at all.")
        self._genesis()
        self._index()
        bad = len(self.body_damage)
        said = f"{self.events - bad:,} bodies match their hashes" + (f"; {bad:,} DO NOT" if bad else "")
        self.lines.append(("events", said))

    def _event(self, stored: Stored, expected_seq: int) -> None:
        handle = event_handle(stored.seq, stored.id)
        if stored.seq != expected_seq:
            self.add("BODY MISSING", f"#{expected_seq}", f"Events #{expected_seq} to #{stored.seq - 1} are gone.")
        if stored.data is None:
            self.body_damage.append(stored.seq)
            self.add("BODY MISSING", handle, f"The body of {handle} ({stored.type}) is gone.")
            return
        found = hashes(stored.data)
        if found != (stored.id, stored.sha256):
            self.body_damage.append(stored.seq)
            self.add(
                "BODY ALTERED",
                handle,
                f"Event {handle} ({stored.type}) holds other bytes than those that were recorded.",
                expected=stored.id.hex(),
                actual=found[0].hex(),
                next=f"Restore #{stored.seq} from a backup; everything else is judged by itself below.",
            )
            return
        try:
            event_type = kind(stored.data).t
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            self.add("BODY ALTERED", handle, f"Event {handle} matches its hashes but is no event: {error}.")
            return
        if event_type != stored.type:
            self.add("INDEX", handle, f"Event {handle} is filed as {stored.type} but says {event_type}.")

    def _commit(self, commit: Commit, names: list[Hashes], frontier: merkle.Frontier, last_recorded: int) -> None:
        where = f"c{commit.n}"
        if commit.n != frontier.size or commit.last_seq - commit.first_seq + 1 != len(names):
            self.add("LEAF REWRITTEN", where, f"Commit {where} does not hold the events that it says.")
        try:
            head = decode_head(commit.head)
        except Damaged as error:
            self.add("LEAF REWRITTEN", where, f"{where}: {error}")
        else:
            if to_micros(head.recorded_at) != commit.recorded_at:
                self.add("INDEX", where, f"Commit {where} is filed under another time than its head says.")
        if commit.recorded_at < last_recorded:
            self.add("INDEX", where, f"Time goes back at {where}.")
        frontier.append(merkle.leaf_hash(leaf_entry(commit_text(commit.head, names))))
        # Every later subtree that contains this leaf differs as well; the first is the one to name.
        if frontier.peaks[-1] != commit.subtree and not self._has("LEAF REWRITTEN"):
            self.add(
                "LEAF REWRITTEN",
                where,
                f"Commit {where} (events #{commit.first_seq} to #{commit.last_seq}) is not the one that the "
                "tree was built from.",
                expected=commit.subtree.hex(),
                actual=frontier.peaks[-1].hex(),
            )

    def _genesis(self) -> None:
        try:
            genesis = self.ledger.genesis
            self.origin = genesis.origin
            self.key = VerifierKey.parse(genesis.verifier_key)
        except TallyError as error:
            self.add("BODY ALTERED", "#0", f"The first event does not name this ledger and its key: {error}")
            return
        size = self.commits
        self.lines.insert(0, ("ledger", f"{self.origin}  {self.events:,} events in {size:,} commits"))
        if genesis.clock == "replayed":
            self.lines.insert(1, ("clock", "REPLAYED: its times are those of the story, not of the recording"))

    def _index(self) -> None:
        """The entities table is a cache for appends; it must be what the events say."""
        expected: dict[str, int] = {}
        artifacts: dict[str, int] = {}
        for stored in self.log.events():
            if stored.data is None or stored.seq in self.body_damage:
                continue
            try:
                event = vocabulary.decode(stored.data)
            except Damaged as error:
                self.add("BODY ALTERED", event_handle(stored.seq, stored.id), str(error))
                self.body_damage.append(stored.seq)
                continue
            for entity in vocabulary.entities(event):
                expected[entity] = stored.seq
            if isinstance(event.body, ArtifactStored):
                artifacts[event.body.artifact] = event.body.size_bytes
        self.artifact_names = artifacts
        if self.body_damage:
            return
        found = dict(self.log.reader.execute("SELECT entity, last_seq FROM entities"))
        for entity in sorted(expected.keys() | found.keys()):
            if expected.get(entity) != found.get(entity):
                self.add("INDEX", entity, f"The index of entities is wrong about {entity}.")
                return

    # Signatures and witnesses ------------------------------------------------------------------------------

    def checkpoints(self) -> None:
        """Every stored checkpoint: its signature, and its root against the tree."""
        good = count = previous = 0
        for size, text in self.log.checkpoints():
            count += 1
            where = f"checkpoint {size}"
            if self.key is None:
                continue
            try:
                checkpoint = open_checkpoint(text, self.key)
            except TallyError as error:
                self.add("SIGNATURE", where, f"The checkpoint of size {size} is not signed by the log's key: {error}")
                continue
            if checkpoint.origin != self.origin or checkpoint.size != size:
                self.add(
                    "SIGNATURE", where, f"The checkpoint filed under size {size} is of {receipt_line(checkpoint)}."
                )
            elif size > self.commits:
                self.add(
                    "TAIL CUT",
                    f"c{self.commits}",
                    f"A checkpoint vouches for {size} commits; only {self.commits} are here.",
                    next="Restore the newest backup; keep this file as evidence.",
                )
            elif self.frontiers.get(size) != checkpoint.root:
                self._bracket(previous, size, checkpoint.root)
            else:
                good += 1
                previous = self.proved_size = size
        unsigned = self.commits - self.proved_size
        self.lines.append(("tree", f"{good} of {count} checkpoints match, up to c{self.proved_size - 1}"))
        if unsigned and not self.findings:
            self.lines.append(("unsigned", f"the newest {unsigned} commits are not signed yet: `tally receipt` signs"))
        if self.key is not None:
            self.lines.append(("keys", f"log key {self.key.key_id.hex()}, as the ledger itself names it"))

    def _bracket(self, previous: int, size: int, root: bytes) -> None:
        where = f"c{previous}" if size == previous + 1 else f"c{previous} to c{size - 1}"
        if self._has("LEAF REWRITTEN"):
            return
        self.add(
            "LEAF REWRITTEN",
            where,
            f"The signed checkpoint of size {size} does not match: something in {where} was rewritten.",
            expected=root.hex(),
            actual=self.frontiers[size].hex(),
            next="Compare with a backup from before; the checkpoint proves what it must contain.",
        )

    def mark(self) -> None:
        """This account's own memory of the ledger."""
        text = keys.read_mark(self.origin) if self.origin else None
        if text is None:
            self.lines.append(("mark", "this account has not seen this ledger before"))
            return
        checkpoint = parse_receipt(text).checkpoint
        self._continues(checkpoint, f"what this account saw last ({keys.mark_path(self.origin)})")
        self.lines.append(("mark", f"this account saw it last at {checkpoint.size} commits"))

    def receipt(self, checkpoint: Checkpoint) -> None:
        """A receipt that was kept outside."""
        if checkpoint.origin != self.origin:
            self.add("FORK", receipt_line(checkpoint), f"The receipt is of another ledger, {checkpoint.origin}.")
            return
        if self._continues(checkpoint, "the receipt"):
            self.lines.append(("receipt", f"this ledger continues the receipt: c0 to c{checkpoint.size - 1} unchanged"))

    def _continues(self, checkpoint: Checkpoint, what: str) -> bool:
        if checkpoint.size > self.commits:
            self.add(
                "TAIL CUT",
                f"c{self.commits}",
                f"By {what} there were {checkpoint.size} commits; only {self.commits} are here.",
                expected=receipt_line(checkpoint),
                next="Restore the newest backup; keep this file as evidence.",
            )
            return False
        root = self.frontiers.get(checkpoint.size) or self._root_at(checkpoint.size)
        if root != checkpoint.root:
            now = Checkpoint(origin=self.origin, size=checkpoint.size, root=root)
            self.add(
                "FORK",
                f"c0 to c{checkpoint.size - 1}",
                f"This ledger is not a continuation of {what}: the same number of commits has another root.",
                expected=receipt_line(checkpoint),
                actual=receipt_line(now),
                next="Keep both: together they prove that the history was rewritten.",
            )
            return False
        return True

    def _root_at(self, size: int) -> bytes:
        """Root over the first commits, from what is stored, recomputed rather than looked up."""
        frontier = merkle.Frontier()
        for commit in self.log.commits(0, size):
            text = commit_text(commit.head, self.log.hashes(commit.first_seq, commit.last_seq))
            frontier.append(merkle.leaf_hash(leaf_entry(text)))
        return frontier.root()

    # Artifacts and views -----------------------------------------------------------------------------------

    def artifacts(self) -> None:
        """Every named artifact, read and hashed."""
        good, absent = 0, []
        for done, (name, size_bytes) in enumerate(self.artifact_names.items()):
            self.progress("artifacts", done, len(self.artifact_names))
            try:
                data = self.ledger.objects.get(name)
            except NotFound:
                absent.append(name)
            except (Damaged, InvalidInput) as error:
                self.add(
                    "ARTIFACT",
                    f"artifact:{name}",
                    str(error),
                    expected=name,
                    next="Restore the file from a backup; the ledger itself is not affected.",
                )
            else:
                good += len(data) == size_bytes
        line = f"{good} of {len(self.artifact_names)} artifacts re-hashed and unchanged"
        self.lines.append(("models", line + (f", {len(absent)} NOT HERE" if absent else "")))
        for name in absent:
            self.add(
                "ARTIFACT",
                f"artifact:{name}",
                f"Artifact {name[:12]}… is named by the ledger but not here.",
                expected=name,
                next="Copy it from a backup of the ledger's folder.",
            )

    def views(self) -> None:
        """The views file: its schema word for word, and its rows against a new fold of all events."""
        path = self.ledger.views.path
        if self.body_damage or self._has("LEAF REWRITTEN"):
            self.lines.append(("views", "not compared, because the events they follow from are damaged"))
            return
        words = views_differences(self.ledger, path, self.progress, self.events)
        for line in words:
            self.add(
                "PROJECTION",
                str(path),
                line,
                next=f"Delete {path}; it is rebuilt from the events at the next question.",
            )
        self.lines.append(("views", "rebuilt and identical" if not words else "ALTERED"))

    def verdict(self, anchored: bool) -> Verdict:
        if self.proved_size:
            trusted = f"Commits c0 to c{self.proved_size - 1} are proved by the signed checkpoint of that size"
            if self.body_damage:
                bad = ", ".join(f"#{seq}" for seq in self.body_damage[:5])
                trusted += f", except for the content of {bad}{' …' if len(self.body_damage) > 5 else ''}"
            trusted += "."
        else:
            trusted = "No signed checkpoint proves any of it."
        return Verdict(
            verified=not self.findings,
            origin=self.origin,
            commits=self.commits,
            events=self.events,
            findings=self.findings,
            lines=self.lines,
            trusted=trusted,
            anchored=anchored,
        )


def schema_differences(connection: sqlite3.Connection, expected: dict[str, str]) -> list[str]:
    """How the objects of a database differ from those that belong there; SQLite's own are left out."""
    found = {
        str(name): str(sql)
        for name, sql in connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
        if not str(name).startswith("sqlite_")
    }
    return (
        [f"{name} is missing from the schema." for name in expected if name not in found]
        + [f"{name} does not belong into the schema." for name in found if name not in expected]
        + [f"{name} was redefined." for name in expected if name in found and found[name] != expected[name]]
    )


def views_differences(ledger: Ledger, path: Path, progress: Progress, total: int) -> list[str]:
    """How the stored views differ from a fold of the first ``total`` events, in words; at most a few lines."""
    progress("views", 0, total)
    try:
        kept = ledger.views.versions(total - 1)
    except Damaged as error:
        return [str(error)]
    except (msgspec.MsgspecError, sqlite3.DatabaseError) as error:
        return [f"The views cannot be read: {error}."]
    words: list[str] = []
    if path.exists():
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            words += schema_differences(connection, views.schema())
        finally:
            connection.close()
    folded = fold(ledger.events(0, total - 1))
    for name, states in folded.items():
        for key in sorted(states.keys() | kept[name].keys()):
            if states.get(key) != kept[name].get(key):
                words.append(f"The view of {name} is wrong about {key}.")
    return words[:5]
