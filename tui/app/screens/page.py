"""One thing in full: an event, a run, or any other entity, as of the time cursor."""

from __future__ import annotations

from typing import Any, cast
from zoneinfo import ZoneInfo

import msgspec
from textual.app import ComposeResult

from tallystick import ledger
from tallystick.ledger.errors import NotFound
from tallystick.ledger.events.entry import Erased
from tallystick.ledger.events.event import Event
from tallystick.ledger.events.sentences import count
from tallystick.ledger.events.types import DecisionTaken, PromotionDecided, entities, is_known
from tallystick.ledger.query.belongings import belongings
from tallystick.ledger.query.checkpoints import first_size_covering
from tallystick.ledger.query.evidence import RecordedEvent
from tallystick.ledger.query.names import end_of_run, first_event, newest_changes
from tallystick.ledger.views.entities import DecisionState, RunState
from tallystick.ledger.views.projection import State
from tallystick.pipeline.governance.gates import known_gates
from tallystick.tui.app.reading.position import Moment
from tallystick.tui.app.reading.reader_thread import Job
from tallystick.tui.app.screens.board import event_lines
from tallystick.tui.app.screens.pane import Pane, Question
from tallystick.tui.app.widgets.lines import Line, Lines, code_line
from tallystick.tui.output.escape import show, show_lines
from tallystick.tui.output.import_label import source_words
from tallystick.tui.output.trajectory import trajectory_table
from tallystick.tui.output.values import field_value_words, field_words, moment_words, state_value_words

FORWARD = 20_000
"""Events that are searched for what an event caused."""
MOST_STEPS = 40
SENTENCE = 1_500
"""Characters of a sentence; all of it stands further down, as it lies in the ledger."""
REFERENCES = {
    "run": "run", "last_run": "run", "made_by_run": "run", "model": "model", "pipeline": "pipeline", "slice": "slice",
    "decision": "decision", "gate": "gate", "waiver": "waiver", "period": "period", "window": "window",
    "environment": "environment",
}  # fmt: skip


def read_page(book: ledger.Ledger, moment: Moment, handle: str) -> list[Line] | None:
    """The lines of a page; None where the thing did not exist yet."""
    if handle.startswith("#"):
        seq = int(handle[1:].partition("-")[0])
        return None if seq > moment.as_of.seq else _event_page(book, moment, seq)
    snapshot = ledger.Snapshot(book.views, moment.as_of)
    state = snapshot.find(handle)
    if state is None:
        return None
    if isinstance(state, RunState):
        return _run_page(moment, snapshot, state)
    return _entity_page(snapshot, handle, state)


def _not_yet(book: ledger.Ledger, moment: Moment, handle: str) -> list[Line]:
    """Instead of a page: that there is none at this time, and when there is."""
    then = moment_words(moment.at.moment or moment.as_of.recorded_at, book.zone)
    seq = _first_seq(book, handle)
    if seq is None:
        words = ["did not exist yet."]
    elif seq <= moment.as_of.seq:
        words = [f"does not exist on {then}: what made it does not count any more."]
    else:
        commit = book.now().commit_of(seq)
        begun = moment_words(commit.recorded_at, book.zone)
        words = [f"did not exist yet on {then}.", f"It begins with c{commit.n} on {begun}: t c{commit.n} goes there."]
    return [Line(handle, "bold"), *map(Line, words), Line("Esc goes back to where you were.", "dim")]


def _first_seq(book: ledger.Ledger, handle: str) -> int | None:
    """The event with which a thing begins, whenever that is."""
    return int(handle[1:].partition("-")[0]) if handle.startswith("#") else first_event(book.now(), handle)


# Events ----------------------------------------------------------------------------------------------------


def _event_page(book: ledger.Ledger, moment: Moment, seq: int) -> list[Line]:
    snapshot, zone = ledger.Snapshot(book.views, moment.as_of), book.zone
    found = snapshot.event(seq)
    lines = [Line(f"{found.handle}  {found.type}", "bold"), Line(show(found.sentence, SENTENCE))]
    if found.corrected_by is not None:
        words = f"It does not count since #{found.corrected_by.seq}: “{found.corrected_by.reason}”"
        lines.append(Line(words, "bad", f"#{found.corrected_by.seq}"))
    lines += [
        Line(""),
        Line(
            f"recorded  {moment_words(found.recorded_at, zone)} by {found.actor} in {snapshot.commit_handle(found.n)}"
        ),
        *_source(snapshot, found.n, zone),
        Line(f"proof     {_proof(snapshot, found.n)}"),
        Line(f"blake3    {found.id.hex()}", as_it_is=True),
        Line(f"sha256    {found.sha256.hex()}", as_it_is=True),
    ]
    if isinstance(found.content, Erased):
        # It may have been erased later than the time that is looked at.
        erased = event_lines(book.now(), [found.content.seq], zone)
        return [*lines, Line(""), Line("erased by", "bold"), *erased]
    if found.data is None:
        return lines
    if isinstance(found.content, Event) and is_known(found.content):
        lines += _around(snapshot, found, found.content, zone)
    pretty = msgspec.json.format(found.data, indent=2).decode(errors="replace")
    lines += [Line(""), Line("as it lies in the ledger", "bold")]
    return lines + [code_line(text, "dim") for text in show_lines(pretty, 4_000).split("\n")]


def _around(snapshot: ledger.Snapshot, found: RecordedEvent, event: Event[Any], zone: ZoneInfo) -> list[Line]:
    lines = []
    around = {
        "what led to it": sorted(snapshot.positions(event.cause, found.seq).values()) if event.cause else [],
        "what it caused": snapshot.effects(found, within=FORWARD, most=MOST_STEPS),
    }
    for title, seqs in around.items():
        if seqs:
            lines += [Line(""), Line(title, "bold"), *event_lines(snapshot, seqs[:MOST_STEPS], zone)]
    if names := entities(event):
        lines += [Line(""), Line("what it is about", "bold"), *(Line(name, "", name) for name in names)]
    return lines


def _source(snapshot: ledger.Snapshot, n: int, zone: ZoneInfo) -> list[Line]:
    """Which commit of which ledger a commit was, where it was imported."""
    words = source_words(snapshot, n, zone)
    return [Line(words, "bad" if "; UNPROVEN" in words else "")] if words else []


def _proof(snapshot: ledger.Snapshot, n: int) -> str:
    size = first_size_covering(snapshot, n)
    if size is None:
        return "not signed yet: `tally receipt` signs"
    anchors = [anchor for anchor in snapshot.anchors() if anchor.size > n]
    kept = f"; a receipt that covers it is kept in {anchors[0].where}" if anchors else "; no receipt kept elsewhere"
    return f"signed with the first {size:,} commits{kept}"


# Runs ------------------------------------------------------------------------------------------------------


def _run_page(moment: Moment, snapshot: ledger.Snapshot, run: RunState) -> list[Line]:
    from tallystick.pipeline.records.run_record import record_of

    zone = snapshot.zone
    ended = f" to {run.ended_at.astimezone(zone):%H:%M}" if run.ended_at else ""
    lines = [Line(f"run {run.run} of {run.pipeline}: {run.status}", "bold")]
    begun = f"{run.started_at.astimezone(zone):%Y-%m-%d %H:%M}{ended}"
    lines.append(Line(f"{begun} by {run.by} on {run.host}", "dim"))
    lines += _source(snapshot, snapshot.commit_of(run.seq).n, zone)
    if run.experiment:
        lines.append(Line("An experiment: nothing of it can be promoted.", "bad"))
    if run.failure:
        lines.append(Line(f"It failed: {run.failure}", "bad"))
    try:
        record = record_of(snapshot, run, end_of_run(snapshot, run.run))
    except NotFound as error:
        return [*lines, Line(error.message), *_fields(snapshot, run, "run")]
    for name, text in record.registered.questions.items():
        if isinstance(text, str):
            lines.append(Line(f"{field_words(name)}: {text}"))
    if record.slice is not None:
        words = f"slice {record.slice.slice}: {count(record.slice.kept_rows, 'row')} of {record.slice.source}"
        lines.append(Line(words, "", f"slice:{record.slice.slice}"))
        lines += [Line(f"{count(d.rows, 'row')} left out where {d.where}: {d.why}", "dim", indent=2)
                  for d in record.slice.dropped]  # fmt: skip
    selection = record.registered.meaning.get("selection")
    metric = str(selection.get("metric", "")) if isinstance(selection, dict) else ""
    shown = {name for judged in record.evaluations.values() for name in judged.metrics}
    for name in dict.fromkeys([metric, "roc_auc", *sorted(shown)][:2] if metric in shown else sorted(shown)[:2]):
        values = {k: judged.metrics[name].value for k, judged in record.evaluations.items() if name in judged.metrics}
        if any(value is not None for value in values.values()):
            candidates = list(dict.fromkeys(candidate for _, candidate in record.evaluations))
            lines += [Line(""), Line(f"{name.replace('_', '-')} by window", "bold")]
            table = trajectory_table(list(record.windows), candidates, values, 400, record.empty)
            lines += [Line(text, "dim" if not at else "", as_it_is=True) for at, text in enumerate(table)]
    lines += [Line(item.sentence) for item in record.optimism]
    if record.decision is not None and record.decided is not None:
        lines += [Line(""), Line(record.decision.headline, "bold", f"#{record.decided.seq}")]
        lines += [Line(f"[{reason.code}] {reason.sentence}", indent=2) for reason in record.decision.reasons]
        lines += [Line(f"· {remark}", indent=2) for remark in record.decision.remarks]
    lines += _gates(moment, snapshot, run, zone)
    if record.model is not None:
        lines += [Line(""), Line("made", "bold"),
                  Line(f"model {record.model.model}: {record.model.candidate}, {count(record.model.rows, 'row')}, "
                       f"file {record.model.artifact[:12]}…", "", f"model:{record.model.model}")]  # fmt: skip
    return lines


def _gates(moment: Moment, snapshot: ledger.Snapshot, run: RunState, zone: ZoneInfo) -> list[Line]:
    gates = known_gates(snapshot, run.model) if run.model else []
    if not gates:
        return []
    lines = [Line(""), Line("gates", "bold")]
    for gate in gates:
        waived = gate.waived_until is not None and gate.verdict != "passed" and moment.time < gate.waived_until
        sign = "✓" if gate.verdict == "passed" else "▲" if waived else "✖"
        until = f" (waived until {gate.waived_until.astimezone(zone):%Y-%m-%d})" if waived and gate.waived_until else ""
        mark = "good" if gate.verdict == "passed" else "" if waived else "bad"
        lines.append(Line(f"{sign} {gate.name}: {gate.sentence}{until}", mark, f"gate:{gate.gate}"))
    return lines


# Other entities --------------------------------------------------------------------------------------------


def _entity_page(snapshot: ledger.Snapshot, handle: str, state: State) -> list[Line]:
    kind, _, name = handle.partition(":")
    lines = [Line(f"{kind} {name}", "bold")]
    lines += [*_source(snapshot, snapshot.commit_of(state.seq).n, snapshot.zone), *_fields(snapshot, state, kind)]
    lines += [
        Line(f"{field_words(name):<18}{field_value_words(name, value, snapshot.zone)}")
        for name, value in belongings(snapshot, state).items()
        if value
    ]
    if isinstance(state, DecisionState):
        body = snapshot.event(state.described_by).event.body
        if isinstance(body, DecisionTaken):
            lines += [Line(""), *(Line(f"[{reason.code}] {reason.sentence}", indent=2) for reason in body.reasons)]
        elif isinstance(body, PromotionDecided):
            lines += [Line(""), *(Line(f"{g.name} {g.verdict}: {g.sentence}", indent=2) for g in body.gates)]
    story = newest_changes(snapshot, handle, MOST_STEPS)
    lines += [Line(""), Line("its story, newest first", "bold"), *event_lines(snapshot, story, snapshot.zone)]
    return lines


def _fields(snapshot: ledger.Snapshot, state: State, kind: str) -> list[Line]:
    lines = []
    for field in state.__struct_fields__:
        value = getattr(state, field)
        if value is None or field in ("seq", kind):
            continue
        key = f"{REFERENCES[field]}:{value}" if field in REFERENCES and isinstance(value, str) else ""
        if field == "champion":
            key = f"model:{value.model}"
        lines.append(Line(f"{field_words(field):<18}{state_value_words(snapshot, state, field, value)}", "", key))
    return lines


class PagePane(Pane):
    """What was opened."""

    TITLE = "Page"

    @property
    def handle(self) -> str:
        """Of what it is the page."""
        return self.tally.pages[-1] if self.tally.pages else ""

    def compose(self) -> ComposeResult:
        yield Lines(id="page-lines")

    def question(self) -> Question:
        handle = self.handle

        def read(book: ledger.Ledger, moment: Moment, _job: Job) -> tuple[str, list[Line], bool]:
            lines = read_page(book, moment, handle)
            return handle, lines or _not_yet(book, moment, handle), lines is not None

        return read

    def answer(self, moment: Moment, found: Any) -> None:
        handle, lines, exists = cast("tuple[str, list[Line], bool]", found)
        self.tally.missing(handle, exists)
        fresh = self.shown != handle
        self.shown = handle
        self.query_one(Lines).begin(lines, keep=not fresh)

    shown = ""

    def on_lines_opened(self, event: Lines.Opened) -> None:
        event.stop()
        self.tally.open(event.key)

    def mark_changed(self, handles: frozenset[str]) -> None:
        self.query_one(Lines).mark_changed(handles)

    @property
    def selected(self) -> str:
        return self.handle

    def subject(self, action: str) -> str:
        # A gate is waived where it stands, on the page of its run.
        return self.query_one(Lines).key if action == "waive" else self.handle
