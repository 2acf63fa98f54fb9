"""Runs: a window over SQL, in several orders, with the columns that are wanted."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, cast

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tallystick import ledger
from tallystick.ledger.views.entities import RunState
from tallystick.tui.app.reading.period_filter import runs_about
from tallystick.tui.app.reading.position import Moment
from tallystick.tui.app.reading.reader_thread import Job
from tallystick.tui.app.screens.events import like
from tallystick.tui.app.screens.pane import Pane, Question
from tallystick.tui.app.widgets.rows import PAGE, Column, Row, Rows, cell

ORDERS = {
    "started": "k.first_seq",
    "pipeline": "json_extract(v.state, '$.pipeline')",
    "state": "json_extract(v.state, '$.status')",
    "windows": "json_extract(v.state, '$.windows')",
    "chosen": "json_extract(v.state, '$.chosen')",
}
COLUMN_SETS = (
    (
        Column("run", 14), Column("pipeline", 16), Column("state", 9), Column("started", 16, from_width=90),
        Column("windows", 9, from_width=100), Column("result", 0),
    ),
    (
        Column("run", 14), Column("pipeline", 16, from_width=100), Column("state", 9), Column("chosen", 14),
        Column("model", 20), Column("by", 0),
    ),
    (
        Column("run", 14), Column("state", 9), Column("leakage", 8), Column("reproduced", 10),
        Column("experiment", 10, from_width=90), Column("slice", 12), Column("result hash", 0),
    ),
)  # fmt: skip
NO_RUN = "No run yet. Next: tally run FILE.toml"
_RUN = msgspec.json.Decoder(RunState)


class RunsPage(NamedTuple):
    """Some rows of the runs."""

    total: int
    first: int
    rows: list[Row]
    cursor: int
    missing: bool
    listed: Order


class Order(NamedTuple):
    """How the runs are listed."""

    by: str = "started"
    ascending: bool = False
    filter: str = ""
    columns: int = 0
    among: str = ""
    """JSON array of the runs that are listed; all where it is empty."""


def _among(book: ledger.Ledger, moment: Moment) -> str:
    """The runs that tested in the period which is asked about."""
    if moment.at.about is None:
        return ""
    newest = book.log.commit(moment.newest).last_seq
    found = runs_about(book, moment.at.about, newest)
    return msgspec.json.encode([run for run, seq in found.items() if seq <= moment.as_of.seq]).decode()


def _query(order: Order, seq: int) -> tuple[str, list[object]]:
    """Names of the runs in order, from which a window is cut."""
    way = "ASC" if order.ascending else "DESC"
    among, values = (" AND k.key IN (SELECT value FROM json_each(?))", [order.among]) if order.among else ("", [])
    if order.by == "started" and not order.filter:
        query = f"SELECT key FROM runs_keys k WHERE first_seq <= ?{among} ORDER BY first_seq {way}, key"
        return query, [seq, *values]
    conditions = "".join(" AND v.state LIKE ? ESCAPE '\\'" for _ in order.filter.split()) + among
    return (
        "SELECT k.key FROM runs_keys k CROSS JOIN runs_versions v WHERE k.first_seq <= ? AND v.key = k.key "
        "AND v.state IS NOT NULL AND v.from_seq = (SELECT max(from_seq) FROM runs_versions WHERE key = k.key "
        f"AND from_seq <= ?){conditions} ORDER BY {ORDERS[order.by]} {way}, k.first_seq DESC, k.key",
        [seq, seq, *map(like, order.filter.split()), *values],
    )


def read_runs(book: ledger.Ledger, seq: int, order: Order, first: int, number: int = PAGE) -> list[Row]:
    """A window of the list."""
    query, values = _query(order, seq)
    connection = book.views.caught_up()
    rows = connection.execute(
        f"SELECT n.key, (SELECT state FROM runs_versions WHERE key = n.key AND from_seq <= ? ORDER BY from_seq DESC "
        f"LIMIT 1) FROM ({query} LIMIT ? OFFSET ?) n",
        (seq, *values, number, first),
    )
    return [_row(book, key, None if text is None else _RUN.decode(text), order.columns) for key, text in rows]


def count_runs(book: ledger.Ledger, seq: int, order: Order) -> int:
    """How many there are."""
    query, values = _query(order, seq)
    return int(book.views.caught_up().execute(f"SELECT count(*) FROM ({query})", values).fetchone()[0])


def place_of(book: ledger.Ledger, seq: int, order: Order, run: str) -> int | None:
    """Where a run stands in the list; None where it is not in it."""
    connection = book.views.caught_up()
    row = connection.execute("SELECT first_seq FROM runs_keys WHERE key = ? AND first_seq <= ?", (run, seq)).fetchone()
    if row is None:
        return None
    query, values = _query(order, seq)
    if order.by == "started" and not order.filter and not order.among:
        side = "<" if order.ascending else ">"
        counted = f"SELECT count(*) FROM runs_keys WHERE first_seq <= ? AND first_seq {side} ?"
        return int(connection.execute(counted, (seq, row[0])).fetchone()[0])
    return next((place for place, (key,) in enumerate(connection.execute(query, values)) if key == run), None)


def _row(book: ledger.Ledger, key: str, run: RunState | None, columns: int) -> Row:
    if run is None:
        return Row(f"run:{key}", (cell(key), "", "", "", "", "was corrected: it does not count"), "struck")
    mark = "bad" if run.status == "failed" else "dim" if run.status == "running" else ""
    started = run.started_at.astimezone(book.zone).strftime("%Y-%m-%d %H:%M")
    sets: tuple[tuple[object, ...], ...] = (
        (run.run, run.pipeline, run.status, started, f"{run.windows_evaluated} of {run.windows}",
         run.headline or run.failure or ""),
        (run.run, run.pipeline, run.status, run.chosen, run.model, run.by),
        (run.run, run.status, run.leakage, run.reproduced, "yes" if run.experiment else "no", run.slice,
         run.result_hash and run.result_hash[:12]),
    )  # fmt: skip
    return Row(f"run:{run.run}", tuple(map(cell, sets[columns])), mark)


def _headed(column: Column, order: Order) -> Column:
    """The column that the runs are ordered by has an arrow."""
    return (
        column._replace(title=f"{column.title} {'↑' if order.ascending else '↓'}")
        if column.title == order.by
        else column
    )


class RunsPane(Pane):
    """All runs."""

    TITLE = "Runs"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sort", "order", tooltip="order by the next column"),
        Binding("r", "reverse", "turn the order", show=False),
        Binding("c", "columns", "other columns", show=False),
    ]
    wanted = ""
    order = Order()
    listed = Order()
    """What is shown: the order with the runs of the period that is asked about."""

    def compose(self) -> ComposeResult:
        yield Rows(COLUMN_SETS[0], NO_RUN, id="runs")

    @property
    def rows(self) -> Rows:
        """The table."""
        return self.query_one(Rows)

    def question(self) -> Question:
        rows, wanted, order = self.rows, self.wanted.removeprefix("run:"), self.order
        line, height = max(0, rows.cursor - rows.first_shown), (rows.size.height or self.tally.size.height) + 10

        def read(book: ledger.Ledger, moment: Moment, _job: Job) -> RunsPage:
            seq = moment.as_of.seq
            listed = order._replace(among=_among(book, moment))
            place = place_of(book, seq, listed, wanted) if wanted else 0
            first = max(0, (place or 0) - line - 5)
            total = count_runs(book, seq, listed)
            rows = read_runs(book, seq, listed, first, height)
            return RunsPage(total, first, rows, place or 0, place is None, listed)

        return read

    def answer(self, moment: Moment, found: Any) -> None:
        page = cast("RunsPage", found)
        self.tally.missing(self.wanted, not page.missing)
        self.rows.columns = [_headed(column, self.order) for column in COLUMN_SETS[self.order.columns]]
        is_part = bool(self.order.filter) or moment.at.about is not None
        self.rows.nothing = "No run matches." if is_part else NO_RUN
        self.rows.begin(page.total, page.first, page.rows, page.cursor)
        self.listed = page.listed
        words = [f"{page.total:,} found"] if is_part else []
        self.tally.filter_state(*words)

    def on_rows_wanted(self, event: Rows.Wanted) -> None:
        event.stop()
        if (moment := self.tally.moment) is not None:
            seq, order, first = moment.as_of.seq, self.listed, event.first
            self.tally.ask(
                "rows", lambda book, _job: read_runs(book, seq, order, first), lambda rows: self.rows.fill(first, rows)
            )

    def on_rows_moved(self, event: Rows.Moved) -> None:
        event.stop()
        self.wanted = event.key

    def on_rows_opened(self, event: Rows.Opened) -> None:
        event.stop()
        self.wanted = event.key
        self.tally.open(event.key)

    def action_sort(self) -> None:
        """Order by the next column."""
        names = list(ORDERS)
        self.order = self.order._replace(by=names[(names.index(self.order.by) + 1) % len(names)])
        self._say_order()

    def action_reverse(self) -> None:
        """The other way round."""
        self.order = self.order._replace(ascending=not self.order.ascending)
        self._say_order()

    def _say_order(self) -> None:
        self.tally.say(f"ordered by {self.order.by}, {'upwards' if self.order.ascending else 'downwards'}")
        self.tally.look()

    def action_columns(self) -> None:
        """Show other columns."""
        self.order = self.order._replace(columns=(self.order.columns + 1) % len(COLUMN_SETS))
        self.tally.look()

    @property
    def filter_text(self) -> str:
        """What is filtered for."""
        return self.order.filter

    def set_filter(self, text: str) -> None:
        """Show only what matches; an empty text shows everything."""
        self.order = self.order._replace(filter=text.strip())
        self.tally.look()

    def mark_changed(self, handles: frozenset[str]) -> None:
        self.rows.mark_changed(handles)

    @property
    def selected(self) -> str:
        return self.rows.key
