"""The verdict: does everything that is stored follow from what was signed, and are the views what the log says?

From the bottom up: the file and its schema; each event's bytes against its two hashes, each commit, the tree and
every signature (:mod:`ledger.verify.log_check`); then what stands outside the ledger
(:mod:`ledger.verify.trust_check`): this account's memory, receipts, anchors; the artifacts; and last the views, which
are folded again and compared. Damage is located, and what is still proved is said. Each step is a method that adds to
one report, in the order in which it is printed.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import sqlite3
from pathlib import Path

import msgspec

from tallystick.ledger.events import types
from tallystick.ledger.events.commit import decode_head
from tallystick.ledger.events.sentences import commit_range, count
from tallystick.ledger.events.types import EventRedacted, EventRedactedV1
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.publish.segments import compare, sealed
from tallystick.ledger.storage.sqlite import NAMED_UNDER_FORMAT, PLAIN_FORMAT, circumstance, trouble
from tallystick.ledger.system.provenance import this_program
from tallystick.ledger.tlog import pins
from tallystick.ledger.verify.artifact_check import ArtifactCheck
from tallystick.ledger.verify.file_check import check_file, danger_finding
from tallystick.ledger.verify.imports_check import Imports, check_imports, has_imports, said_of
from tallystick.ledger.verify.log_check import Contents
from tallystick.ledger.verify.place import placed
from tallystick.ledger.verify.report import Asked, Progress, Results, Verdict, silent
from tallystick.ledger.verify.scan import Class, Contradiction, NeededEvent
from tallystick.ledger.verify.trust_check import TrustCheck, check_trust
from tallystick.ledger.verify.views_check import UNCOMPARED


def verify(ledger: Ledger, asked: Asked | None = None, progress: Progress = silent) -> Verdict:
    """Check a ledger; changes nothing in it.

    Raises
    ------
    InvalidInput, NewerFormat, Damaged
        When there is nothing that could be checked at all.
    """
    if (danger := danger_finding(ledger.log.path)) is not None:
        return _unread(danger)
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
        if check_file(connection, ledger.log.path, examination.report):
            with ledger.log.unchecked():
                with contextlib.ExitStack() as stack:
                    examination.contents.read(stack)
                examination.imports()
                examination.outside()
                examination.bounds()
                examination.artifacts()
                examination.segments()
                examination.keys()
            connection.execute("COMMIT")
            examination.views()
    except Exception as error:
        if "decode" in str(error) and connection.text_factory is str:
            raise
        if isinstance(error, sqlite3.Error) and not examination.report.findings and circumstance(error) is not None:
            # What was in the way is not in the file: that is no verdict about it.
            raise trouble(error, ledger.log.path) from error
        # Once SQLite itself says that the file is damaged, whatever reading it trips over (a number where a text
        # belongs, a row that is not there) is that damage. It ends the reading; what was found is worth saying.
        if not isinstance(error, sqlite3.DatabaseError) and not examination.contents.is_damaged():
            raise
        examination.report.add(
            "FILE",
            str(ledger.log.path),
            f"The database cannot be read to its end: {error}.",
            next="Restore the newest backup; keep this file as evidence.",
        )
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    with ledger.log.unchecked():
        return examination.verdict()


def _after_views(words: str, path: Path) -> str:
    """What to do about views that differ, or that cannot be made."""
    if words.startswith(UNCOMPARED):
        return "Read every event, which names what is damaged: tally verify"
    return f"Delete {path}; it is rebuilt from the events at the next question."


class _Examination:
    """The state of one verification: what was found so far."""

    def __init__(self, ledger: Ledger, asked: Asked, progress: Progress) -> None:
        self.ledger = ledger
        self.log = ledger.log
        self.asked = asked
        self.progress = progress
        self.report = Results()
        self.contents = Contents(ledger, asked, self.report, progress)
        self.trust: TrustCheck | None = None
        self.redacted: dict[int, EventRedacted | EventRedactedV1] = {}
        self.imported: Imports | None = None
        self.events_are_damaged = False
        self.imported_lines: list[tuple[str, str]] = []

    def keys(self) -> None:
        """Every idempotency key against the commit that it names."""
        contents = self.contents
        self.events_are_damaged = bool(contents.damaged) or self.report.has(
            "FILE", "LEAF REWRITTEN", "BODY MISSING", "INDEX"
        )
        if not contents.identities or self.report.has("FILE", "LEAF REWRITTEN"):
            return  # what the keys would be compared with is damaged itself
        damaged = {*contents.damaged, *(missing.seq for missing in contents.missing)}
        for wrong in contents.wrong_keys():
            if damaged.isdisjoint(range(wrong.first, wrong.last + 1)):
                self.report.add(
                    "INDEX",
                    f"key {wrong.key}",
                    wrong.words,
                    next="An append under this key would be taken for done already. Restore the newest backup that "
                    "verifies, or ask whoever appends under it whether it was.",
                )

    def bounds(self) -> None:
        """What is beyond a bound of the format: with a signature the signer's doing, without one anybody's."""
        if self.report.has("FILE", "LEAF REWRITTEN"):
            return  # which commit they belong to is not certain
        proved_size = self.trust.signatures.proved_size if self.trust else 0
        for beyond in self.contents.beyond:
            commit = self.log.commit(beyond.n) if beyond.seq < 0 else self.log.commit_of(beyond.seq)
            if commit.n < proved_size or beyond.allowed_before or decode_head(commit.head).imported:
                self.report.warnings.append(f"{beyond.where} is beyond the format: {beyond.words}. Its hash is right.")
            else:
                self.report.add(
                    "FORM",
                    beyond.where,
                    f"{beyond.where} is beyond the format, and no signature covers it: {beyond.words}.",
                    next="Find out which program wrote it. A checkpoint signed by the log's owner makes it a remark.",
                )

    # Imported histories ------------------------------------------------------------------------------------

    def imports(self) -> None:
        """What was copied in from other ledgers, against what they had signed."""
        names = has_imports(self.log)
        if not names:
            self._format()
            return
        earlier = self.contents.earlier
        if self.contents.damaged or self.report.has("FILE", "LEAF REWRITTEN", "INDEX"):
            self.imported_lines = [("import", "not compared, because the events are damaged")]
            return
        if earlier and all((self.log.last_seq_of(name) or 0) < earlier.events for name in names):
            self.imported_lines = [
                ("import", f"{name} NOT recomputed, because its commits were not read; the ledger says: {words}")
                for name, words in said_of(self.log).items()
            ]
            return
        self.imported = check_imports(self.log, self.progress)
        if self.imported.named_under and self.log.format() < NAMED_UNDER_FORMAT:
            self.report.add(
                "SCHEMA",
                str(self.log.path),
                "The file says format 1, but names in it are read under another: an older program would take what was "
                "imported for the ledger's own.",
                next=f"PRAGMA user_version = {NAMED_UNDER_FORMAT} puts it right; find out who changed it.",
            )
        self._format()
        self.report.findings += self.imported.findings
        self.report.warnings += self.imported.unfinished()
        self.imported_lines = self.imported.lines()

    def _format(self) -> None:
        """A ledger has the higher format from the first import under another name on, and not before."""
        if self.log.format() < NAMED_UNDER_FORMAT or (self.imported is not None and self.imported.named_under):
            return
        self.report.add(
            "SCHEMA",
            str(self.log.path),
            f"The file says format {self.log.format()}, but nothing in it needs more than format {PLAIN_FORMAT}: older "
            "programs are kept from reading it.",
            next=f"PRAGMA user_version = {PLAIN_FORMAT} puts it right; find out who changed it.",
        )

    # What stands outside -----------------------------------------------------------------------------------

    def outside(self) -> None:
        """Redactions, signatures, memory, receipts and anchors."""
        self._redactions()
        self._events_line()
        contents, report = self.contents, self.report
        if newer := self.ledger.newer_types():
            report.warnings.append(
                f"{', '.join(newer)}: newer than this program. These events are proved like all others; what follows "
                "from them only a newer tallystick can check."
            )
        if contents.strange:
            what = "event" if all(handle.startswith("#") for handle in contents.strange) else "event or head"
            report.warnings.append(
                f"{count(len(contents.strange), what)} in another written form than this "
                f"program's, the first {contents.strange[0]}. The hashes are right."
            )
        if contents.identities:
            damaged = report.has("LEAF REWRITTEN")
            self.trust = check_trust(self.ledger, contents, self.asked, self.imported, tree_is_damaged=damaged)
            found = self.trust.results
            report.findings += found.findings
            report.warnings += found.warnings
            report.shortfalls += found.shortfalls
            report.lines += [*found.lines, *self.imported_lines]
            if self.asked.require_anchor and self.unanchored:
                report.shortfalls.append(
                    f"The newest {self.unanchored:,} events are not anchored outside this account."
                )

    def _events_line(self) -> None:
        contents = self.contents
        intact = contents.events - len(contents.missing) - len(contents.damaged) - contents.before_events
        said = f"{count(intact, 'body matches its', 'bodies match their')} hashes"
        if contents.damaged:
            said += f"; {len(contents.damaged):,} DO NOT"
        if self.redacted:
            listed = ", ".join(f"#{seq}" for seq in sorted(self.redacted)[:5])
            said += f"; {len(self.redacted):,} redacted ({listed}{' …' if len(self.redacted) > 5 else ''})"
        gone = len(contents.missing) - len(self.redacted)
        if gone:
            said += f"; {gone:,} MISSING"
        self.report.lines.append(("events", said))
        if earlier := contents.earlier:
            self.report.lines.append(
                (
                    "NOT READ",
                    f"the first {earlier.events:,} events ({commit_range(0, contents.start - 1)}), which this account "
                    f"read last on {earlier.at:%Y-%m-%d}. What is said of them rests on stored hashes that this run "
                    "did not recompute: tally verify",
                )
            )

    @property
    def unanchored(self) -> int:
        """Events that nothing outside vouches for."""
        return self.trust.outside.unanchored_events() if self.trust else self.contents.events

    def _redactions(self) -> None:
        said: dict[int, tuple[EventRedacted | EventRedactedV1, NeededEvent]] = {}
        for told in self.contents.told:
            body = types.decode(told.data).body
            # A stranger's program may have named no position at all; then the event excuses nothing.
            if isinstance(body, EventRedacted | EventRedactedV1) and re.fullmatch("0|[1-9][0-9]{0,15}", body.redaction):
                said[int(body.redaction)] = (body, told)
        for missing in self.contents.missing:
            entry = said.pop(missing.seq, None)
            if entry and entry[0].event == missing.id.hex():
                self.redacted[missing.seq] = entry[0]
                if entry[0].type != missing.type:
                    words = f"#{missing.seq} is filed as {missing.type}; #{entry[1].seq}, which erased it, says "
                    self.report.add("INDEX", f"#{missing.seq}", f"{words}{entry[0].type}.")
                continue
            gone = f"The body of #{missing.seq} ({missing.type}) is gone, and no event says that it was redacted."
            restore = f"Restore #{missing.seq} from a backup."
            self.report.add("BODY MISSING", f"#{missing.seq}", gone, expected=missing.id.hex(), next=restore)
        for seq, (_body, told) in said.items():
            if told.seq > seq >= self.contents.before_events:
                self.report.warnings.append(
                    f"#{told.seq} says that #{seq} was redacted, but its content is still here. "
                    f"To finish it: tally redact '#{seq}'"
                )

    # Artifacts, segments, views ----------------------------------------------------------------------------

    def artifacts(self) -> None:
        """Every named artifact: there and of the right size, or read and hashed."""
        names, read_data = self.contents.artifact_names, self.asked.read_data
        some_only = self.contents.start > 0
        ArtifactCheck(self.ledger.objects, self.report, self.progress, read_data=read_data, some_only=some_only).check(
            names
        )

    def segments(self) -> None:
        """Sealed segments, compared byte by byte with what the log says they hold."""
        folder = self.asked.segments
        known = list(sealed(self.log))
        if folder is None:
            if known:
                self.report.lines.append(
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
                self.report.add("SEGMENT", f"segment:{segment.segment}", words, next="Compare both with a backup.")
        self.report.lines.append(("segments", f"{good} of {len(known)} sealed segments are what the log says"))

    def views(self) -> None:
        """The views file: its schema word for word, and its rows against a new fold of all events."""
        path = self.ledger.views.path
        if self.asked.of_a_stranger:
            return  # its views are nobody's evidence, and comparing them would make them
        if self.events_are_damaged:
            self.report.lines.append(("views", "not compared, because the events they follow from are damaged"))
            return
        words = self.contents.views_differences()
        if words and self.report.findings and all(line.startswith(UNCOMPARED) for line in words):
            self.report.lines.append(("views", "not compared, because what they follow from is damaged"))
            return
        for line in words:
            self.report.add("PROJECTION", str(path), line, next=_after_views(line, path))
        if words:
            self.report.lines.append(("views", "ALTERED"))
        elif self.ledger.views.are_kept():
            self.report.lines.append(("views", "rebuilt and identical"))
        else:
            self.report.lines.append(
                ("views", "not kept, because they cannot be written here: each answer is made anew")
            )

    # The verdict -------------------------------------------------------------------------------------------

    def verdict(self) -> Verdict:
        """Everything, and the watermark if all was read and is well."""
        contents, report = self.contents, self.report
        holds = not report.findings
        root = contents.roots.get(contents.size, b"")
        if holds and not contents.start and contents.identities and not self.asked.of_a_stranger:
            at = dt.datetime.now(dt.UTC).replace(microsecond=0)
            mark = pins.Watermark(contents.size, root.hex(), contents.events, at, this_program())
            pins.write_watermark(contents.origin, mark)
        order = {kind: place for place, kind in enumerate(_ORDER)}
        report.findings.sort(key=lambda finding: order[finding.kind])
        return Verdict(
            holds=holds,
            origin=contents.origin,
            commits=contents.size,
            events=contents.events,
            findings=[placed(finding, self.log, contents.damaged) for finding in report.findings],
            warnings=report.warnings,
            shortfalls=report.shortfalls if holds else [],
            lines=report.lines,
            trusted=self._trusted(),
            anchored=self.trust.outside.anchored if self.trust else 0,
            unanchored_events=self.unanchored,
            unsigned_commits=contents.size - (self.trust.signatures.proved_size if self.trust else 0),
            read_from=contents.start,
        )

    def _trusted(self) -> list[str]:
        trust = self.trust
        if trust is None or not trust.signatures.proved_size:
            return ["No signed checkpoint proves any of it."]
        last = trust.signatures.proved_size - 1
        if not trust.key_is_relied_on:
            said = ["nothing by its own signatures, because its key is not one to rely on"]
        elif self.report.has("FORK"):
            # The key has signed, or is said to have signed, two histories: its word no longer decides between them.
            said = [f"c0 to c{last} by nothing but the ledger's own key (the checkpoint of size {last + 1})"]
        elif start := self.contents.start:
            covered = (
                f"{commit_range(start, last)} by the signed checkpoint of size {last + 1}" if last >= start else ""
            )
            said = [f"{covered or 'nothing'}; {commit_range(0, start - 1)} were not read"]
        else:
            said = [f"c0 to c{last} are proved by the signed checkpoint of size {trust.signatures.proved_size}"]
        if trust.outside.anchored and self.contents.start:
            said.append(f"the stored tree continues what is kept outside: {trust.outside.anchored_by}")
        elif trust.outside.anchored:
            said.append(
                f"c0 to c{trust.outside.anchored - 1} also by what is kept outside: {trust.outside.anchored_by}"
            )
        bad = [
            *self.contents.damaged,
            *(missing.seq for missing in self.contents.missing if missing.seq not in self.redacted),
        ]
        if bad:
            listed = ", ".join(f"#{seq}" for seq in sorted(bad)[:5]) + (" …" if len(bad) > 5 else "")
            said.append(f"every other event matches its leaf; only the content of {listed} is bad")
        return said


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
    "FORM",
)


def _unread(finding: Contradiction) -> Verdict:
    """The verdict about a file that must not be opened."""
    return Verdict(
        holds=False,
        origin="",
        commits=0,
        events=0,
        findings=[finding],
        warnings=[],
        shortfalls=[],
        lines=[],
        trusted=["Nothing was read"],
        anchored=0,
        unanchored_events=0,
        unsigned_commits=0,
        read_from=0,
    )
