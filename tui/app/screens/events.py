"""The log itself, newest first: a window over SQL, with a filter that never stops the screen."""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from textual.app import ComposeResult

from tallystick import ledger
from tallystick.ledger.events import types
from tallystick.ledger.events.commit import decode_head, from_micros
from tallystick.ledger.storage.log import Commit, Stored
from tallystick.ledger.views.entities.corrections import CORRECTIONS
from tallystick.ledger.views.projection import State
from tallystick.tui.app.reading.period_filter import event_touches
from tallystick.tui.app.reading.position import BOOKKEEPING, Moment, commit_at, told, under_of
from tallystick.tui.app.reading.reader_thread import Job
from tallystick.tui.app.screens.pane import Pane, Question
from tallystick.tui.app.widgets.rows import PAGE, Column, Row, Rows, cell
from tallystick.tui.output.escape import show

COLUMNS = (
    Column("event", 8),
    Column("recorded", 16),
    Column("type", 18, from_width=100),
    Column("actor", 18, from_width=120),
    Column("what it says", 0),
)
FIRST_PAGE = 60
MORE = 5_000
PIECE = 20_000
"""Events that are looked through before what was found in them is shown."""
PATIENCE_SECONDS = 0.1
STEPS = 20_000
"""Machine steps of SQLite between two looks at whether a search is still wanted."""


class Page(NamedTuple):
    """Some rows of the log."""

    total: int
    first: int
    rows: list[Row]
    cursor: int | None = None
    missing: bool = False


def read_events(book: ledger.Ledger, last_seq: int, first: int, number: int = PAGE) -> list[Row]:
    """Rows ``first`` and following, counted from the newest event backwards."""
    high = last_seq - first
    low = max(0, high - number + 1)
    if high < 0:
        return []
    return _rows(book, list(_with_commits(book, low, high)), last_seq)[::-1]


def read_these(book: ledger.Ledger, seqs: list[int], last_seq: int) -> list[Row]:
    """Rows of single events, as they were known at ``last_seq``."""
    return _rows(book, [(book.log.event(seq), commit_at(book, seq)) for seq in seqs], last_seq)


def _with_commits(book: ledger.Ledger, low: int, high: int) -> Iterator[tuple[Stored, Commit]]:
    commit = commit_at(book, low)
    for stored in book.log.events(low, high):
        while stored.seq > commit.last_seq:
            commit = book.log.commit(commit.n + 1)
        yield stored, commit


def _rows(book: ledger.Ledger, found: list[tuple[Stored, Commit]], last_seq: int) -> list[Row]:
    aside = book.views.some(CORRECTIONS, [str(stored.seq) for stored, _ in found], last_seq)
    return [_row(book, stored, commit, aside.get(str(stored.seq))) for stored, commit in found]


def _row(book: ledger.Ledger, stored: Stored, commit: Commit, aside: State | None) -> Row:
    when = from_micros(commit.recorded_at).astimezone(book.zone).strftime("%Y-%m-%d %H:%M")
    mark = "struck" if aside else "dim" if stored.type in BOOKKEEPING else ""
    sentence = told(stored, under_of(book, commit))
    said = f"(does not count: #{aside.seq}) {sentence}" if aside else sentence
    actor = show(decode_head(commit.head).actor, 60)
    return Row(f"#{stored.seq}", (f"#{stored.seq}", when, cell(stored.type), actor, cell(said)), mark)


# Filter ----------------------------------------------------------------------------------------------------

KINDS = ("type:", "actor:", "entity:")


class Stretch(NamedTuple):
    """Events ``first`` to ``last``, both included."""

    first: int
    last: int

    def pieces(self) -> Iterator[Stretch]:
        """The same in pieces, the newest first."""
        for last in range(self.last, self.first - 1, -PIECE):
            yield Stretch(max(self.first, last - PIECE + 1), last)


def newest_mention(book: ledger.Ledger, text: str) -> int | None:
    """The newest event that refers to the entities of a filter; None where it names none that the log lists."""
    found = []
    for word in text.split():
        if word.startswith("entity:"):
            wanted = word.removeprefix("entity:").rpartition(":")[2]
            seqs = [seq for kind in types.KINDS if (seq := book.log.last_seq_of(f"{kind}:{wanted}")) is not None]
            found += [max(seqs)] if seqs else []
    return min(found, default=None)


def stretches(book: ledger.Ledger, text: str, last_seq: int) -> list[Stretch]:
    """Where to look, the likeliest first.

    The log knows which event was the last to refer to an entity: from there backwards its events are near. Behind it
    there can only be some that hold its name without referring to it, such as a note.
    """
    newest = newest_mention(book, text)
    if newest is None or newest >= last_seq:
        return [Stretch(0, last_seq)]
    return [Stretch(0, newest), Stretch(newest + 1, last_seq)]


READ_UNDER = (
    "(SELECT json_extract(i.body, '$.body.named_under') FROM events i "
    "WHERE i.seq BETWEEN c.first_seq AND c.last_seq AND i.type = 'commit.imported')"
)


def search(book: ledger.Ledger, text: str, where: Stretch, is_about: bool = False) -> tuple[str, list[object]]:
    """The query that finds matching events, newest first; every word must match.

    Where ``is_about``, only events whose body the SQL function ``touches`` accepts.
    """
    conditions, values = [], []
    # What is read from an event's row alone is looked at before its body, which lies in other pages.
    for word in sorted(text.split(), key=lambda word: not word.startswith("type:")):
        kind = next((kind for kind in KINDS if word.startswith(kind)), "")
        wanted = word.removeprefix(kind)
        if kind == "type:":
            conditions.append("e.type LIKE ? ESCAPE '\\'")
            values.append(like(wanted))
        elif kind == "actor:":
            conditions.append("json_extract(c.head, '$.actor') LIKE ? ESCAPE '\\'")
            values.append(like(wanted))
        elif kind == "entity:":
            # A body refers to an entity by its whole name, as a JSON string.
            name = wanted.rpartition(":")[2]
            either = ["e.body LIKE ? ESCAPE '\\'"]
            values.append(like(f'"{name}"'))
            # That of an imported commit stands there without what it is read under here.
            for held in types.names_in_bodies(name)[1:]:
                either.append(
                    f"(e.body LIKE ? ESCAPE '\\' AND json_extract(c.head, '$.imported') AND lower({READ_UNDER}) = ?)"
                )
                values += [like(f'"{held}"'), name.removesuffix(f"/{held}").lower()]
            conditions.append(f"({' OR '.join(either)})")
        else:
            conditions.append(
                "(e.body LIKE ? ESCAPE '\\' OR e.type LIKE ? ESCAPE '\\' "
                "OR json_extract(c.head, '$.actor') LIKE ? ESCAPE '\\')"
            )
            values += [like(wanted)] * 3
    if is_about:
        conditions.append("touches(e.body)")
    commits = [commit_at(book, seq).n for seq in where]
    return (
        "SELECT e.seq FROM commits c CROSS JOIN events e ON e.seq BETWEEN c.first_seq AND c.last_seq WHERE c.n BETWEEN "
        f"? AND ? AND e.seq BETWEEN ? AND ? AND {' AND '.join(conditions)} ORDER BY c.n DESC, e.seq DESC",
        [*commits, *where, *values],
    )


def like(text: str) -> str:
    for special in ("\\", "%", "_"):
        text = text.replace(special, f"\\{special}")
    return f"%{text}%"


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
            return Page(last + 1, first, read_events(book, last, first, height), cursor, seq > last)

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
        about, text, last = moment.at.about, self.filter_text, moment.as_of.seq
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
            self._tell()

        def newer(seqs: list[int], rows: list[Row]) -> None:
            nonlocal begun
            if self.found is not found:
                return
            begun = True
            found[:0] = array("q", seqs)
            self.rows.begin(len(found), 0, rows, self._place())
            self._tell()

        def look(book: ledger.Ledger, job: Job) -> None:
            def tell(seqs: list[int], first: bool) -> None:
                # Only the first page is read now; later ones when somebody looks at them.
                rows = read_these(book, seqs, last) if first or len(seqs) <= FIRST_PAGE else []
                self.tally.tell(more, seqs, rows)

            def found_in(where: Stretch) -> Iterator[int]:
                return (int(seq) for (seq,) in connection.execute(*search(book, text, where, about is not None)))

            connection = book.log.reader
            if about is not None:
                connection.create_function("touches", 1, lambda body: event_touches(body, about), deterministic=True)
            connection.set_progress_handler(lambda: int(job.stale), STEPS)
            try:
                likeliest, *behind = stretches(book, text, last)
                batch: list[int] = []
                size, told_at = FIRST_PAGE, time.monotonic()
                for piece in likeliest.pieces():
                    for seq in found_in(piece):
                        batch.append(seq)
                        if len(batch) >= size:
                            tell(batch, size == FIRST_PAGE)
                            batch, size, told_at = [], MORE, time.monotonic()
                    # Rare matches are shown as they are found, not when enough of them are.
                    if batch and (size == FIRST_PAGE or time.monotonic() - told_at > PATIENCE_SECONDS):
                        tell(batch, size == FIRST_PAGE)
                        batch, size, told_at = [], MORE, time.monotonic()
                if batch:
                    tell(batch, False)
                for where in behind:
                    if seqs := list(found_in(where)):
                        self.tally.tell(newer, seqs, read_these(book, seqs[:FIRST_PAGE], last))
            finally:
                connection.set_progress_handler(None, 0)

        def done(_nothing: object) -> None:
            if self.found is not found:
                return
            self.searching = False
            if not begun:
                self.rows.begin(0, 0, [])
            self._tell()

        self._tell()
        self.tally.ask_slowly("search", look, done)

    def _place(self) -> int | None:
        seq = int(self.wanted[1:]) if self.wanted else -1
        return next((place for place, found in enumerate(self.found) if found <= seq), 0) if seq >= 0 else 0

    def _tell(self) -> None:
        number = f"{len(self.found):,}"
        self.tally.filter_state(f"{number} so far …" if self.searching else f"{number} found")

    def on_rows_wanted(self, event: Rows.Wanted) -> None:
        event.stop()
        moment, first = self.tally.moment, event.first
        if moment is None:
            return
        last = moment.as_of.seq
        if self.is_filtered:
            seqs = list(self.found[first : first + PAGE])
            self.tally.ask(
                "rows", lambda book, _job: read_these(book, seqs, last), lambda rows: self.rows.fill(first, rows)
            )
            return
        self.tally.ask(
            "rows", lambda book, _job: read_events(book, last, first), lambda rows: self.rows.fill(first, rows)
        )

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
