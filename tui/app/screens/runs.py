"""Runs: a window over SQL, in several orders, with the columns that are wanted."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, cast
from zoneinfo import ZoneInfo

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tallystick import ledger
from tallystick.ledger.query.run_list import ORDERS, ListedRun, RunQuery, count_runs, list_runs, row_of_run
from tallystick.tui.app.reading.period_filter import runs_about
from tallystick.tui.app.reading.position import Moment
from tallystick.tui.app.reading.reader_thread import Job
from tallystick.tui.app.screens.pane import Pane, Question
from tallystick.tui.app.widgets.rows import PAGE, ListColumn, Row, Rows, cell

COLUMN_SETS = (
    (
        ListColumn("run", 14), ListColumn("pipeline", 16), ListColumn("state", 9),
        ListColumn("started", 16, from_width=90), ListColumn("windows", 9, from_width=100), ListColumn("result", 0),
    ),
    (
        ListColumn("run", 14), ListColumn("pipeline", 16, from_width=100), ListColumn("state", 9),
        ListColumn("chosen", 14), ListColumn("model", 20), ListColumn("by", 0),
    ),
    (
        ListColumn("run", 14), ListColumn("state", 9), ListColumn("leakage", 8), ListColumn("reproduced", 10),
        ListColumn("experiment", 10, from_width=90), ListColumn("slice", 12), ListColumn("result hash", 0),
    ),
)  # fmt: skip
NO_RUN = "No run yet. Next: tally run FILE.toml"


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
    """Which set of columns is shown."""
    among: tuple[str, ...] | None = None
    """The runs that are listed; all where it is None."""

    @property
    def query(self) -> RunQuery:
        """What the ledger is asked for."""
        return RunQuery(self.by, self.ascending, self.filter, self.among)


def _among(book: ledger.Ledger, moment: Moment) -> tuple[str, ...] | None:
    """The runs that tested in the period which is asked about."""
    if moment.at.about is None:
        return None
    found = runs_about(book, moment.at.about, moment.newest)
    return tuple(run for run, seq in found.items() if seq <= moment.as_of.seq)


def read_runs(book: ledger.Ledger, as_of: ledger.AsOf, order: Order, first: int, number: int = PAGE) -> list[Row]:
    """A window of the list."""
    snapshot = ledger.Snapshot(book.views, as_of)
    return [_row(listed, book.zone, order.columns) for listed in list_runs(snapshot, order.query, first, number)]


def _row(listed: ListedRun, zone: ZoneInfo, columns: int) -> Row:
    run = listed.state
    if run is None:
        return Row(
            f"run:{listed.run}", (cell(listed.run), "", "", "", "", "was corrected: it does not count"), "struck"
        )
    mark = "bad" if run.status == "failed" else "dim" if run.status == "running" else ""
    started = run.started_at.astimezone(zone).strftime("%Y-%m-%d %H:%M")
    sets: tuple[tuple[object, ...], ...] = (
        (run.run, run.pipeline, run.status, started, f"{run.windows_evaluated} of {run.windows}",
         run.headline or run.failure or ""),
        (run.run, run.pipeline, run.status, run.chosen, run.model, run.by),
        (run.run, run.status, run.leakage, run.reproduced, "yes" if run.experiment else "no", run.slice,
         run.result_hash and run.result_hash[:12]),
    )  # fmt: skip
    return Row(f"run:{run.run}", tuple(map(cell, sets[columns])), mark)


def _headed(column: ListColumn, order: Order) -> ListColumn:
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
            snapshot = ledger.Snapshot(book.views, moment.as_of)
            listed = order._replace(among=_among(book, moment))
            place = row_of_run(snapshot, listed.query, wanted) if wanted else 0
            first = max(0, (place or 0) - line - 5)
            total = count_runs(snapshot, listed.query)
            rows = read_runs(book, moment.as_of, listed, first, height)
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
            order, first = self.listed, event.first
            self.tally.ask(
                "rows",
                lambda book, _job: read_runs(book, moment.as_of, order, first),
                lambda rows: self.rows.fill(first, rows),
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
