"""The board: one line a pipeline, and the story of the selected one."""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple, cast
from zoneinfo import ZoneInfo

from textual.app import ComposeResult

from tallystick import ledger
from tallystick.ledger.events.event import Period
from tallystick.ledger.events.sentences import count
from tallystick.ledger.events.unknown import Unknown
from tallystick.ledger.query import board
from tallystick.ledger.query.evidence import RecordedEvent
from tallystick.ledger.query.periods import overlaps
from tallystick.ledger.query.steps import STEP, counts_in_steps, step_of
from tallystick.ledger.views.entities import AutomationState, ModelState, PipelineState, WaiverState
from tallystick.tui.app.reading.position import Moment
from tallystick.tui.app.reading.reader_thread import Job
from tallystick.tui.app.screens.pane import Pane, Question
from tallystick.tui.app.widgets.lines import Line, Lines
from tallystick.tui.app.widgets.rows import ListColumn, Row, Rows, cell
from tallystick.tui.output.console import sparkline
from tallystick.tui.output.escape import show
from tallystick.tui.output.values import moment_words, period_words

WINDOWS = 12
STORY = 24
MOST_PERIODS = 36
"""Periods among which the one that was looked at last is found."""

COLUMNS = (
    ListColumn("pipeline", 14),
    ListColumn("champion", 15),
    ListColumn("since", 10, from_width=110),
    ListColumn("valid until", 12),
    ListColumn("quiet", 5, from_width=96),
    ListColumn("waivers", 8),
    ListColumn("trajectory", WINDOWS, from_width=104),
    ListColumn("finding", 0),
)


class Board(NamedTuple):
    """Everything on the board at one time."""

    rows: list[Row]
    pipeline: str
    story: list[Line]


def read_board(book: ledger.Ledger, moment: Moment, wanted: str) -> Board:
    """The lines of all pipelines, and the story of the wanted one, or of the first."""
    snapshot = ledger.Snapshot(book.views, moment.as_of)
    waivers = [waiver for waiver in snapshot.waivers() if waiver.holds(moment.time)]
    pipelines = snapshot.pipelines()
    rows = [_row(snapshot, moment, pipeline, waivers, book.zone) for pipeline in pipelines]
    chosen = next((p for p in pipelines if f"pipeline:{p.pipeline}" == wanted), pipelines[0] if pipelines else None)
    if chosen is None:
        return Board(rows, "", _nothing_yet())
    if moment.at.about is not None:
        return Board(rows, f"pipeline:{chosen.pipeline}", _knowledge(snapshot, chosen, moment.at.about))
    return Board(rows, f"pipeline:{chosen.pipeline}", _story(snapshot, chosen, book.zone))


def _nothing_yet() -> list[Line]:
    return [
        Line("No pipeline has been registered yet.", "bold"),
        Line("A pipeline appears here with its first run: tally run FILE.toml"),
        Line("This screen follows: it changes as soon as anybody records something.", "dim"),
    ]


def _row(
    snapshot: ledger.Snapshot, moment: Moment, pipeline: PipelineState, waivers: list[WaiverState], zone: ZoneInfo
) -> Row:
    name = pipeline.pipeline
    found = snapshot.champion_if_known(name)
    champion = None if isinstance(found, Unknown) else found
    automation = cast("AutomationState | None", snapshot.find(f"automation:{name}"))
    until, expired = _validity(snapshot, champion, moment.time)
    mine = [waiver for waiver in waivers if waiver.pipeline == name]
    finding, level = _last_finding(snapshot, name, moment.at.about)
    mark = "bad" if expired or level == "alarm" else ""
    return Row(
        f"pipeline:{name}",
        (
            cell(name),
            cell(_champion_words(found, name)),
            cell(f"{pipeline.champion.since.astimezone(zone):%Y-%m-%d}" if pipeline.champion and champion else ""),
            cell(until),
            cell(f"{automation.quiet_periods}/{automation.needed}" if automation and automation.needed else ""),
            cell(_exceptions(mine, moment.time)),
            cell(_trajectory(snapshot, name, champion, moment.at.about)),
            cell(finding),
        ),
        mark,
    )


def _validity(snapshot: ledger.Snapshot, champion: ModelState | None, time: dt.datetime) -> tuple[str, bool]:
    if champion is None or champion.intended_for is None:
        return "", False
    end = champion.intended_for[1]
    if counts_in_steps(snapshot, champion.pipeline):
        return f"step {step_of(end - STEP)}", False  # steps belong to no calendar, so no date is past them
    if end <= time:
        days = (time - end).days
        return f"EXPIRED {f'{days} d' if days < 1_000 else f'{days // 365} y'}", True
    return f"{(end - dt.timedelta(microseconds=1)).astimezone(snapshot.zone):%Y-%m-%d}", False


def _exceptions(waivers: list[WaiverState], time: dt.datetime) -> str:
    if not waivers:
        return ""
    return f"{len(waivers)} ({(min(waiver.until for waiver in waivers) - time).days} d)"


def _trajectory(snapshot: ledger.Snapshot, pipeline: str, champion: ModelState | None, about: Period | None) -> str:
    """The champion's gain on the reference, window by window; higher is better."""
    if champion is None:
        return ""
    newest = board.newest_gains(snapshot, pipeline, champion.candidate, WINDOWS)
    gains = [window.gain for window in newest if overlaps(window.tested_on, about)]
    known = [gain for gain in gains if gain is not None]
    return sparkline(gains[::-1], min(known), max(known)) if known else ""


def _last_finding(snapshot: ledger.Snapshot, pipeline: str, about: Period | None) -> tuple[str, str]:
    """The period that was looked at last: how it was, what to do, and its headline; and how it was again, for marks."""
    newest = board.newest_periods(snapshot, pipeline, MOST_PERIODS)
    known = [period for period in newest if overlaps(period.about, about)]
    if not known:
        return "", ""
    # The one that was looked at last, as `tally status` has it: an old period can be looked at again.
    last = max(known, key=lambda period: period.described_by)
    return f"{last.label} {last.status}: {last.decision}. {last.headline}", last.status


# The story -------------------------------------------------------------------------------------------------


def _story(snapshot: ledger.Snapshot, pipeline: PipelineState, zone: ZoneInfo) -> list[Line]:
    seqs = board.notable_events(snapshot, pipeline.pipeline, STORY)
    lines = [Line(_title(pipeline), "bold"), *event_lines(snapshot, seqs, zone)]
    lines.append(Line(f"{count(pipeline.runs, 'run')} so far, the newest {pipeline.last_run or 'none'}", "dim",
                      f"run:{pipeline.last_run}" if pipeline.last_run else ""))  # fmt: skip
    return lines


def _champion_words(champion: ModelState | Unknown | None, pipeline: str) -> str:
    if isinstance(champion, Unknown):
        return champion.words
    return f"{champion.model.removeprefix(f'{pipeline}-')} {champion.candidate}" if champion else "none yet"


def _title(pipeline: PipelineState) -> str:
    deciding = pipeline.champion
    champion = f" {str(deciding.model).removeprefix(pipeline.pipeline + '-')}" if deciding else ""
    question = f" · “{pipeline.question}”" if pipeline.question else ""
    return f"{pipeline.pipeline}{champion}{question}"


def event_lines(snapshot: ledger.Snapshot, seqs: list[int], zone: ZoneInfo) -> list[Line]:
    """``c41  2013-10-05  watched …``; each opened as its event, and struck through where it does not count."""
    return [_event_line(found, zone) for found in snapshot.some_events(seqs)]


def _event_line(found: RecordedEvent, zone: ZoneInfo) -> Line:
    day, aside = found.recorded_at.astimezone(zone).strftime("%Y-%m-%d"), found.corrected_by
    said = f"(does not count: #{aside.seq}) {found.sentence}" if aside else found.sentence
    mark = "struck" if aside else "bad" if found.type in ("gate.evaluated", "run.failed") else ""
    return Line(show(f"{f'c{found.n}':<5} {day}  {said}", 1_000), mark, f"#{found.seq}")


def _knowledge(snapshot: ledger.Snapshot, pipeline: PipelineState, about: Period) -> list[Line]:
    """What was known about a period, with how late it came: the answer of `tally know`."""
    from tallystick.tui.output.changes import late_words

    found = snapshot.know(about, pipeline.pipeline)
    lines = [Line(f"{pipeline.pipeline}, about {period_words(about, snapshot.zone)}", "bold")]
    for item in found.known:
        state = item.evaluation
        numbers = ", ".join(
            f"{name} {'–' if value is None else f'{value:.4f}'}" for name, value in state.metrics.items()
        )
        late = f", {late_words(item.late)}" if item.late is not None else ""
        label = state.window.rpartition("/")[2]
        old = ", superseded" if item.superseded else ""
        lines.append(Line(f"{state.candidate} in {label}: {numbers} (run {state.run}{late}{old})",
                          "dim" if item.superseded else "", f"run:{state.run}"))  # fmt: skip
    for period in snapshot.periods():
        if period.pipeline == pipeline.pipeline and overlaps(period.about, about):
            when = moment_words(period.monitored_at, snapshot.zone)
            lines.append(Line(f"watched in {period.label}: {period.headline} ({when})", "", f"period:{period.period}"))
    lines += [Line(f"slice {s.slice} holds {count(s.rows, 'row')} of it", "", f"slice:{s.slice}") for s in found.slices]
    lines += [Line(f"model {m.model} ({m.status}) is intended for it", "", f"model:{m.model}") for m in found.models]
    if len(lines) == 1:
        lines.append(Line("Nothing was known."))
    return lines


class BoardPane(Pane):
    """Pipelines above, the story of the selected one below."""

    TITLE = "Board"

    def compose(self) -> ComposeResult:
        yield Rows(COLUMNS, "No pipeline yet.", id="pipelines")
        yield Lines(id="story")

    @property
    def rows(self) -> Rows:
        """The pipelines."""
        return self.query_one("#pipelines", Rows)

    def question(self) -> Question:
        # What was selected stays wanted, also while it does not exist.
        wanted = self.wanted or self.rows.key

        def read(book: ledger.Ledger, moment: Moment, _job: Job) -> Board:
            return read_board(book, moment, wanted)

        return read

    wanted = ""

    def answer(self, moment: Moment, found: Any) -> None:
        shown = cast("Board", found)
        keys = [row.key for row in shown.rows]
        self.tally.missing(self.wanted, (bool(keys) and self.wanted in keys) or not self.wanted)
        place = keys.index(shown.pipeline) if shown.pipeline in keys else 0
        rows = self.rows
        rows.styles.height = max(3, min(len(shown.rows) + 1, self.tally.size.height // 2 - 4))
        rows.begin(len(shown.rows), 0, shown.rows, place)
        self.query_one("#story", Lines).begin(shown.story)

    def on_rows_moved(self, event: Rows.Moved) -> None:
        event.stop()
        self.wanted = event.key
        self.tally.look()

    def on_rows_opened(self, event: Rows.Opened) -> None:
        event.stop()
        self.tally.open(event.key)

    def on_lines_opened(self, event: Lines.Opened) -> None:
        event.stop()
        self.tally.open(event.key)

    def mark_changed(self, handles: frozenset[str]) -> None:
        self.rows.mark_changed(handles)
        self.query_one("#story", Lines).mark_changed(handles)

    @property
    def selected(self) -> str:
        lines = self.query_one("#story", Lines)
        return lines.key if lines.has_focus else self.rows.key
