"""The log itself, newest first: a window over SQL, with a filter that never stops the screen."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast
from zoneinfo import ZoneInfo

from textual.app import ComposeResult

from tallystick import ledger
from tallystick.ledger.query.event_search import Stretch, find_events, interruptible, stretches
from tallystick.ledger.query.evidence import RecordedEvent
from tallystick.tui.app.reading.position import BOOKKEEPING, Moment
from tallystick.tui.app.reading.reader_thread import Job
from tallystick.tui.app.screens.pane import Pane, Question
from tallystick.tui.app.widgets.rows import PAGE, ListColumn, Row, Rows, cell
from tallystick.tui.output.escape import show

COLUMNS = (
    ListColumn("event", 8),
    ListColumn("recorded", 16),
    ListColumn("type", 18, from_width=100),
    ListColumn("actor", 18, from_width=120),
    ListColumn("what it says", 0),
)
FIRST_PAGE = 60
MORE = 5_000
PATIENCE_SECONDS = 0.1


class Page(NamedTuple):
    """Some rows of the log."""

    total: int
    first: int
    rows: list[Row]
    cursor: int | None = None
    missing: bool = False


def read_events(snapshot: ledger.Snapshot, zone: ZoneInfo, first: int, number: int = PAGE) -> list[Row]:
    """Rows ``first`` and following, counted from the newest event backwards."""
    high = snapshot.as_of.seq - first
    low = max(0, high - number + 1)
    return [_row(found, zone) for found in snapshot.events(low, high)][::-1] if high >= 0 else []


def read_these(snapshot: ledger.Snapshot, zone: ZoneInfo, seqs: list[int]) -> list[Row]:
    """Rows of single events, as the snapshot knows them."""
    return [_row(found, zone) for found in snapshot.some_events(seqs)]


def _then(book: ledger.Ledger, moment: Moment) -> ledger.Snapshot:
    return ledger.Snapshot(book.views, moment.as_of)


def _row(found: RecordedEvent, zone: ZoneInfo) -> Row:
    when = found.recorded_at.astimezone(zone).strftime("%Y-%m-%d %H:%M")
    aside = found.corrected_by
    mark = "struck" if aside else "dim" if found.type in BOOKKEEPING else ""
    said = f"(does not count: #{aside.seq}) {found.sentence}" if aside else found.sentence
    name = f"#{found.seq}"
    return Row(name, (name, when, cell(found.type), show(found.actor, 60), cell(said)), mark)


def _find(
    stretch: Stretch, found_in: Callable[[Stretch], Iterator[int]], deliver: Callable[[list[int], bool], None]
) -> None:
    """Tell what is found in a stretch: the first page as soon as it is full, then more at a time."""
    batch: list[int] = []
    size, told_at = FIRST_PAGE, time.monotonic()
    for piece in stretch.pieces():
        for seq in found_in(piece):
            batch.append(seq)
            if len(batch) >= size:
                deliver(batch, size == FIRST_PAGE)
                batch, size, told_at = [], MORE, time.monotonic()
        # Rare matches are shown as they are found, not when enough of them are.
        if batch and (size == FIRST_PAGE or time.monotonic() - told_at > PATIENCE_SECONDS):
            deliver(batch, size == FIRST_PAGE)
            batch, size, told_at = [], MORE, time.monotonic()
    if batch:
        deliver(batch, False)


class EventsPane(Pane):
    """Every event, newest first."""

    TITLE = "Events"
    filter_text = ""
    wanted = ""
    """Selected event, remembered also while it does not exist."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.found: array[int] = array("q")
        """Positions that the filter found so far, newest first."""
        self.searching = False
        self.is_filtered = False

    def compose(self) -> ComposeResult:
        yield Rows(COLUMNS, "No event matches.", id="events")

    @property
    def rows(self) -> Rows:
        """The table."""
        return self.query_one(Rows)

    def question(self) -> Question:
        rows, wanted, filtered = self.rows, self.wanted, self.filter_text
        line, height = rows.cursor - rows.first_shown, (rows.size.height or self.tally.size.height) + 10

        def read(book: ledger.Ledger, moment: Moment, _job: Job) -> Page:
            last = moment.as_of.seq
            if filtered or moment.at.about:
                return Page(0, 0, [])
            seq = int(wanted[1:]) if wanted else last
            cursor = max(0, last - seq)
            first = max(0, cursor - max(0, line) - 5)
            return Page(last + 1, first, read_events(_then(book, moment), book.zone, first, height), cursor, seq > last)

        return read

    def answer(self, moment: Moment, found: Any) -> None:
        page = cast("Page", found)
        self.is_filtered = bool(self.filter_text) or moment.at.about is not None
        if self.is_filtered:
            self._search(moment)
            return
        self.tally.cancel_slow("search")
        self.found = array("q")
        self.tally.filter_state()
        self.tally.missing(self.wanted, not page.missing)
        self.rows.begin(page.total, page.first, page.rows, page.cursor)

    def _search(self, moment: Moment) -> None:
        about, text = moment.at.about, self.filter_text
        found = self.found = array("q")
        self.searching = True
        begun = False

        def more(seqs: list[int], rows: list[Row]) -> None:
            nonlocal begun
            # What an earlier search found may come late, also of one that was over before it was replaced.
            if self.found is not found:
                return
            start = len(found)
            found.extend(seqs)
            if begun:
                self.rows.fill(start, rows, len(found))
            else:
                begun = True
                self.rows.begin(len(found), 0, rows, self._place())
            self._show_state()

        def newer(seqs: list[int], rows: list[Row]) -> None:
            nonlocal begun
            if self.found is not found:
                return
            begun = True
            found[:0] = array("q", seqs)
            self.rows.begin(len(found), 0, rows, self._place())
            self._show_state()

        def look(book: ledger.Ledger, job: Job) -> None:
            then, zone = _then(book, moment), book.zone

            def deliver(seqs: list[int], first: bool) -> None:
                # Only the first page is read now; later ones when somebody looks at them.
                rows = read_these(then, zone, seqs) if first or len(seqs) <= FIRST_PAGE else []
                self.tally.call_on_screen(more, seqs, rows)

            with interruptible(then, lambda: job.stale):
                likeliest, *behind = stretches(then, text)
                _find(likeliest, lambda piece: find_events(then, text, piece, about), deliver)
                for where in behind:
                    if seqs := list(find_events(then, text, where, about)):
                        self.tally.call_on_screen(newer, seqs, read_these(then, zone, seqs[:FIRST_PAGE]))

        def done(_nothing: object) -> None:
            if self.found is not found:
                return
            self.searching = False
            if not begun:
                self.rows.begin(0, 0, [])
            self._show_state()

        self._show_state()
        self.tally.ask_slowly("search", look, done)

    def _place(self) -> int | None:
        seq = int(self.wanted[1:]) if self.wanted else -1
        return next((place for place, found in enumerate(self.found) if found <= seq), 0) if seq >= 0 else 0

    def _show_state(self) -> None:
        number = f"{len(self.found):,}"
        self.tally.filter_state(f"{number} so far …" if self.searching else f"{number} found")

    def on_rows_wanted(self, event: Rows.Wanted) -> None:
        event.stop()
        moment, first = self.tally.moment, event.first
        if moment is None:
            return
        seqs = list(self.found[first : first + PAGE]) if self.is_filtered else None

        def read(book: ledger.Ledger, _job: Job) -> list[Row]:
            then = _then(book, moment)
            return read_events(then, book.zone, first) if seqs is None else read_these(then, book.zone, seqs)

        self.tally.ask("rows", read, lambda rows: self.rows.fill(first, rows))

    def on_rows_moved(self, event: Rows.Moved) -> None:
        event.stop()
        self.wanted = event.key

    def on_rows_opened(self, event: Rows.Opened) -> None:
        event.stop()
        self.wanted = event.key
        self.tally.open(event.key)

    def set_filter(self, text: str) -> None:
        """Show only what matches; an empty text shows everything."""
        self.filter_text = text.strip()
        self.tally.look()

    def mark_changed(self, handles: frozenset[str]) -> None:
        self.rows.mark_changed(handles)

    @property
    def selected(self) -> str:
        return self.rows.key
