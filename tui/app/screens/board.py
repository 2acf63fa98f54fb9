"""The board: one line a pipeline, and the story of the selected one."""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple, cast

import msgspec
from textual.app import ComposeResult

from tallystick import ledger
from tallystick.ledger.events.commit import from_micros
from tallystick.ledger.events.event import Period
from tallystick.ledger.events.sentences import count
from tallystick.ledger.query.as_of import AsOf
from tallystick.ledger.views.entities import AutomationState, ModelState, PipelineState, WaiverState
from tallystick.ledger.views.entities.automations import AUTOMATIONS
from tallystick.ledger.views.entities.corrections import CORRECTIONS
from tallystick.ledger.views.entities.models import MODELS
from tallystick.ledger.views.tables import first_row
from tallystick.tui.app.reading.period_filter import touches
from tallystick.tui.app.reading.position import Moment, commit_at, told, under_of
from tallystick.tui.app.reading.reader_thread import Job
from tallystick.tui.app.screens.pane import Pane, Question
from tallystick.tui.app.widgets.lines import Line, Lines
from tallystick.tui.app.widgets.rows import Column, Row, Rows, cell
from tallystick.tui.output.console import sparkline
from tallystick.tui.output.escape import show
from tallystick.tui.output.values import moment_words, period_words

WINDOWS = 12
STORY = 24
LOOKED_THROUGH = 3_000
"""States of a kind that are searched for those of one pipeline, newest first."""

COLUMNS = (
    Column("pipeline", 14),
    Column("champion", 15),
    Column("since", 10, from_width=110),
    Column("valid until", 12),
    Column("quiet", 5, from_width=96),
    Column("waivers", 8),
    Column("trajectory", WINDOWS, from_width=104),
    Column("finding", 0),
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
    rows = [_row(book, moment, pipeline, waivers) for pipeline in pipelines]
    chosen = next((p for p in pipelines if f"pipeline:{p.pipeline}" == wanted), pipelines[0] if pipelines else None)
    if chosen is None:
        return Board(rows, "", _nothing_yet())
    if moment.at.about is not None:
        return Board(rows, f"pipeline:{chosen.pipeline}", _knowledge(book, snapshot, chosen, moment.at.about))
    return Board(rows, f"pipeline:{chosen.pipeline}", _story(book, moment.as_of, chosen))


def _nothing_yet() -> list[Line]:
    return [
        Line("No pipeline has been registered yet.", "bold"),
        Line("A pipeline appears here with its first run: tally run FILE.toml"),
        Line("This screen follows: it changes as soon as anybody records something.", "dim"),
    ]


def _row(book: ledger.Ledger, moment: Moment, pipeline: PipelineState, waivers: list[WaiverState]) -> Row:
    name, seq = pipeline.pipeline, moment.as_of.seq
    champion = None
    if pipeline.champion is not None:
        champion = cast("ModelState | None", book.views.get(MODELS, pipeline.champion.model, seq))
    automation = cast("AutomationState | None", book.views.get(AUTOMATIONS, name, seq))
    until, expired = _validity(champion, moment.time, book)
    mine = [waiver for waiver in waivers if waiver.pipeline == name]
    finding, level = _last_finding(book, name, seq, moment.at.about)
    mark = "bad" if expired or level == "alarm" else ""
    return Row(
        f"pipeline:{name}",
        (
            cell(name),
            cell(f"{champion.model.removeprefix(name + '-')} {champion.candidate}" if champion else "none yet"),
            cell(f"{pipeline.champion.since.astimezone(book.zone):%Y-%m-%d}" if pipeline.champion else ""),
            cell(until),
            cell(f"{automation.quiet_periods}/{automation.needed}" if automation and automation.needed else ""),
            cell(_exceptions(mine, moment.time)),
            cell(_trajectory(book, name, champion, seq, moment.at.about)),
            cell(finding),
        ),
        mark,
    )


def _validity(champion: ModelState | None, time: dt.datetime, book: ledger.Ledger) -> tuple[str, bool]:
    if champion is None or champion.intended_for is None:
        return "", False
    end = champion.intended_for[1]
    if end <= time:
        days = (time - end).days
        return f"EXPIRED {f'{days} d' if days < 1_000 else f'{days // 365} y'}", True
    return f"{(end - dt.timedelta(microseconds=1)).astimezone(book.zone):%Y-%m-%d}", False


def _exceptions(waivers: list[WaiverState], time: dt.datetime) -> str:
    if not waivers:
        return ""
    return f"{len(waivers)} ({(min(waiver.until for waiver in waivers) - time).days} d)"


def _trajectory(book: ledger.Ledger, pipeline: str, champion: ModelState | None, seq: int, about: Period | None) -> str:
    """The champion's gain on the reference, window by window; higher is better."""
    if champion is None:
        return ""
    ending = f"/{champion.candidate}"
    rows = book.views.caught_up().execute(
        "SELECT k.key, (SELECT state FROM evaluations_versions v WHERE v.key = k.key AND v.from_seq <= ?1 "
        "ORDER BY v.from_seq DESC LIMIT 1) FROM evaluations_keys k WHERE k.key >= ?2 AND k.key < ?3 "
        "AND k.first_seq <= ?1 AND substr(k.key, ?4) = ?5 ORDER BY k.key DESC LIMIT ?6",
        (seq, f"{pipeline}/", f"{pipeline}0", -len(ending), ending, WINDOWS),
    )
    gains: list[float | None] = []
    for _key, text in rows:
        state = None if text is None else _GAIN.decode(text)
        if state is not None and touches(state.tested_on, about):
            gains.append(state.gain)
    known = [gain for gain in gains if gain is not None]
    return sparkline(gains[::-1], min(known), max(known)) if known else ""


class _Gain(msgspec.Struct):
    gain: float | None = None
    tested_on: Period | None = None


_GAIN = msgspec.json.Decoder(_Gain)


def _last_finding(book: ledger.Ledger, pipeline: str, seq: int, about: Period | None) -> tuple[str, str]:
    """The period that was looked at last: how it was, what to do, and its headline; and how it was again, for marks."""
    connection = book.views.caught_up()
    rows = connection.execute(
        "SELECT (SELECT state FROM periods_versions v WHERE v.key = k.key AND v.from_seq <= ?1 "
        "ORDER BY v.from_seq DESC LIMIT 1) FROM periods_keys k WHERE k.key >= ?2 AND k.key < ?3 "
        "AND k.first_seq <= ?1 ORDER BY k.key DESC LIMIT 36",
        (seq, f"{pipeline}/", f"{pipeline}0"),
    )
    known = [_PERIOD.decode(text) for (text,) in rows if text is not None]
    known = [period for period in known if touches(period.about, about)]
    if not known:
        return "", ""
    # The one that was looked at last, as `tally status` has it: an old period can be looked at again.
    last = max(known, key=lambda period: period.described_by)
    return f"{last.label} {last.status}: {last.decision}. {last.headline}", last.status


class _Period(msgspec.Struct):
    label: str
    headline: str
    status: str
    decision: str
    described_by: int
    about: Period | None = None


_PERIOD = msgspec.json.Decoder(_Period)


# The story -------------------------------------------------------------------------------------------------

STORIES = {
    "decisions": "changed = '*'",
    "waivers": "1",
    "periods": "1",
    "findings": "json_extract(state, '$.level') <> 'normal'",
    "gates": "json_extract(state, '$.verdict') <> 'passed'",
    "automations": "instr(changed, ',level,')",
}
"""Kinds whose new states make up a pipeline's story, and which of them."""


def story_seqs(book: ledger.Ledger, pipeline: str, seq: int, most: int = STORY) -> list[int]:
    """Events of a pipeline that people tell each other, newest first."""
    connection = book.views.caught_up()
    found: set[int] = set()
    for name, condition in STORIES.items():
        whose = "key = ?2" if name == "automations" else "json_extract(state, '$.pipeline') = ?2"
        rows = connection.execute(
            f"SELECT from_seq FROM (SELECT * FROM {name}_versions WHERE id < ?1 ORDER BY id DESC "
            f"LIMIT {LOOKED_THROUGH}) WHERE state IS NOT NULL AND {whose} AND {condition} "
            "LIMIT ?3",
            (first_row(seq + 1), pipeline, most),
        )
        found |= {int(row[0]) for row in rows}
    rows = connection.execute(
        "SELECT from_seq FROM pipelines_versions WHERE key = ? AND from_seq <= ? "
        "AND (changed = '*' OR instr(changed, ',champion,') OR instr(changed, ',meaning_hash,')) "
        "ORDER BY from_seq DESC LIMIT ?",
        (pipeline, seq, most),
    )
    found |= {int(row[0]) for row in rows}
    return sorted(found, reverse=True)[:most]


def _story(book: ledger.Ledger, as_of: AsOf, pipeline: PipelineState) -> list[Line]:
    seqs = story_seqs(book, pipeline.pipeline, as_of.seq)
    lines = [Line(_title(pipeline), "bold"), *(event_line(book, seq, as_of.seq) for seq in seqs)]
    lines.append(Line(f"{count(pipeline.runs, 'run')} so far, the newest {pipeline.last_run or 'none'}", "dim",
                      f"run:{pipeline.last_run}" if pipeline.last_run else ""))  # fmt: skip
    return lines


def _title(pipeline: PipelineState) -> str:
    champion = f" {pipeline.champion.model.removeprefix(pipeline.pipeline + '-')}" if pipeline.champion else ""
    question = f" · “{pipeline.question}”" if pipeline.question else ""
    return f"{pipeline.pipeline}{champion}{question}"


def event_line(book: ledger.Ledger, seq: int, known: int | None = None) -> Line:
    """``c41  2013-10-05  watched …``; opened as the event; struck through where it does not count at ``known``."""
    commit = commit_at(book, seq)
    stored = book.log.event(seq)
    day = from_micros(commit.recorded_at).astimezone(book.zone).strftime("%Y-%m-%d")
    aside = None if known is None else book.views.get(CORRECTIONS, str(seq), known)
    sentence = told(stored, under_of(book, commit))
    said = f"(does not count: #{aside.seq}) {sentence}" if aside else sentence
    mark = "struck" if aside else "bad" if stored.type in ("gate.evaluated", "run.failed") else ""
    return Line(show(f"{f'c{commit.n}':<5} {day}  {said}", 1_000), mark, f"#{seq}")


def _knowledge(book: ledger.Ledger, snapshot: ledger.Snapshot, pipeline: PipelineState, about: Period) -> list[Line]:
    """What was known about a period, with how late it came: the answer of `tally know`."""
    from tallystick.tui.output.changes import late_words

    found = snapshot.know(about, pipeline.pipeline)
    lines = [Line(f"{pipeline.pipeline}, about {period_words(about, book.zone)}", "bold")]
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
        if period.pipeline == pipeline.pipeline and touches(period.about, about):
            when = moment_words(period.monitored_at, book.zone)
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
        board = cast("Board", found)
        keys = [row.key for row in board.rows]
        self.tally.missing(self.wanted, (bool(keys) and self.wanted in keys) or not self.wanted)
        place = keys.index(board.pipeline) if board.pipeline in keys else 0
        rows = self.rows
        rows.styles.height = max(3, min(len(board.rows) + 1, self.tally.size.height // 2 - 4))
        rows.begin(len(board.rows), 0, board.rows, place)
        self.query_one("#story", Lines).begin(board.story)

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
