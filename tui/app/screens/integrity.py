"""Integrity: the last verification, what is anchored where, the receipt to copy, and verifying from here."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tallystick import ledger
from tallystick.ledger.errors import TallyError
from tallystick.ledger.events.sentences import count
from tallystick.ledger.query.checkpoints import newest_checkpoint
from tallystick.ledger.tlog.note import parse_receipt, receipt_line
from tallystick.ledger.tlog.pins import read_mark, read_watermark
from tallystick.tui.app.reading.position import Moment
from tallystick.tui.app.reading.reader_thread import Job
from tallystick.tui.app.screens.pane import Pane, Question
from tallystick.tui.app.widgets.lines import Line, Lines
from tallystick.tui.output.import_label import history_words
from tallystick.tui.output.values import moment_words

if TYPE_CHECKING:
    from tallystick.ledger.verify.report import Verdict


class Trust(NamedTuple):
    """What is known about the ledger's integrity at one time."""

    receipt: str
    lines: list[Line]


def read_trust(book: ledger.Ledger, moment: Moment) -> Trust:
    """Receipt, anchors and marks, as far as they were there at the time cursor."""
    commits = moment.as_of.n + 1
    snapshot = ledger.Snapshot(book.views, moment.as_of)
    signed = newest_checkpoint(snapshot)
    receipt = receipt_line(parse_receipt(signed.note).checkpoint) if signed else ""
    lines = [Line("receipt", "bold")]
    if signed:
        left = commits - signed.size
        rest = f"The newest {count(left, 'commit')} not covered yet: `tally receipt` signs." if left else "Covers all."
        lines += [Line(receipt, "good"), Line(f"{rest} y copies it; kept elsewhere, it is the other half.", "dim")]
    else:
        lines.append(Line("Nothing is signed yet. `tally receipt` signs.", "bad"))
    lines += [Line(""), Line("kept elsewhere", "bold")]
    anchors = snapshot.anchors()
    for anchor in anchors[::-1]:
        when = moment_words(anchor.recorded_at, book.zone)
        lines.append(Line(f"the first {count(anchor.size, 'commit')}: {anchor.where} ({when}, {anchor.by})", "",
                          f"anchor:{anchor.anchor}"))  # fmt: skip
    if not anchors:
        lines.append(Line("No receipt is recorded as kept elsewhere, so a rollback would not be noticed by others: "
                          "tally anchor"))  # fmt: skip
    if histories := snapshot.histories():
        lines += [Line(""), Line("copied in from other ledgers", "bold")]
        lines += [Line(history_words(state), "" if state.proven else "bad", f"history:{state.history}")
                  for state in histories]  # fmt: skip
    lines += [Line(""), Line("this account remembers", "bold"), *_remembered(book)]
    return Trust(receipt, lines)


def _remembered(book: ledger.Ledger) -> list[Line]:
    lines = []
    try:
        mark, watermark = read_mark(book.origin), read_watermark(book.origin)
    except TallyError as error:
        return [Line(error.message, "bad")]
    if mark is not None:
        lines.append(Line(f"seen up to {count(mark.size, 'commit')}; a smaller or other history would be noticed"))
    if watermark is not None:
        day = moment_words(watermark.at, book.zone)
        said = f"verified {day}: the first {count(watermark.size, 'commit')}; nothing contradicted anything then"
        lines.append(Line(said))
    else:
        lines.append(Line("never verified from here: v does it now"))
    return lines


class IntegrityPane(Pane):
    """Receipt, anchors, verdict."""

    TITLE = "Integrity"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "verify", "verify", tooltip="verify everything that is stored"),
    ]
    receipt = ""
    verdict: tuple[Line, ...] = ()
    progress = ""
    running = False
    _base: tuple[Line, ...] = ()

    def compose(self) -> ComposeResult:
        yield Lines(id="integrity-lines")

    def question(self) -> Question:
        def read(book: ledger.Ledger, moment: Moment, _job: Job) -> Trust:
            return read_trust(book, moment)

        return read

    def answer(self, moment: Moment, found: Any) -> None:
        trust = cast("Trust", found)
        self.receipt, self._base = trust.receipt, tuple(trust.lines)
        self._show()

    def _show(self) -> None:
        # What was asked for stands above what is always there: the verdict is seen on a small screen, too.
        asked = [Line(self.progress or "verifying …", "bold", as_it_is=True)] if self.running else list(self.verdict)
        self.query_one(Lines).begin([*asked, *([Line("")] if asked else []), *self._base])

    def action_verify(self) -> None:
        """Verify everything that is stored, as `tally verify` does."""
        if self.running:
            self.tally.say("It is being verified already.")
            return
        self.running, self.progress, self.verdict = True, "", ()
        self._show()
        self.query_one(Lines).scroll_home(animate=False)
        thread = threading.Thread(target=self._verify, name="tally-verify", daemon=True)
        thread.start()

    def _verify(self) -> None:
        from tallystick.ledger.verify.report import Asked
        from tallystick.ledger.verify.verify import verify

        shown = 0.0

        def progress(what: str, done: int, total: int) -> None:
            nonlocal shown
            share = done / max(1, total)
            if share >= shown + 0.01 or done == total:
                shown = share
                self.tally.call_on_screen(self._progress, what, share)

        try:
            # One process: a thread of a program that draws a screen must not fork itself.
            with ledger.open(self.tally.folder, for_verification=True) as book:
                verdict = verify(book, Asked(workers=1), progress)
        except TallyError as error:
            self.tally.call_on_screen(self._done, None, f"{error.message} {error.hint}")
        except Exception as error:  # noqa: BLE001 - whatever a damaged file provokes is said, and the app goes on
            self.tally.call_on_screen(self._done, None, f"It could not be verified: {error}")
        else:
            self.tally.call_on_screen(self._done, verdict, "")

    def _progress(self, what: str, share: float) -> None:
        filled = int(share * 30)
        self.progress = f"verifying {'█' * filled}{'░' * (30 - filled)} {share:>4.0%} {what}"
        self._show()

    def _done(self, verdict: Verdict | None, trouble: str) -> None:
        from tallystick.tui.output.verdict import verdict_text

        self.running = False
        if verdict is None:
            self.verdict = (Line(trouble, "bad"),)
        else:
            mark = "good" if verdict.verified else "bad"
            self.verdict = (
                Line("verified just now, as `tally verify` says it", "bold"),
                *(Line(text, mark if bold else "") for text, bold in verdict_text(verdict)),
            )
        self._show()
        self.tally.look()  # this account remembers it now

    def on_lines_opened(self, event: Lines.Opened) -> None:
        event.stop()
        self.tally.open(event.key)

    @property
    def selected(self) -> str:
        return self.query_one(Lines).key

    @property
    def copied(self) -> str:
        return self.receipt
