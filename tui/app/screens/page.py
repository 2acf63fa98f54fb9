"""One thing in full: an event, a run, or any other entity, as of the time cursor."""

from __future__ import annotations

from typing import Any, cast
from zoneinfo import ZoneInfo

import msgspec
from textual.app import ComposeResult

from tallystick import ledger
from tallystick.ledger.errors import NotFound, TallyError
from tallystick.ledger.events.commit import decode_head, from_micros
from tallystick.ledger.events.event import Event
from tallystick.ledger.events.sentences import count
from tallystick.ledger.events.types import DecisionTaken, PromotionDecided, decode, entities, is_known, named_under
from tallystick.ledger.views.entities import BY_KEY, DecisionState, RunState
from tallystick.ledger.views.entities.runs import RUNS
from tallystick.ledger.views.projection import State
from tallystick.ledger.views.store import Views
from tallystick.tui.app.reading.position import Moment, commit_at, handle_of_event, told, under_of
from tallystick.tui.app.reading.reader_thread import Job
from tallystick.tui.app.screens.board import event_line
from tallystick.tui.app.screens.pane import Pane, Question
from tallystick.tui.app.widgets.lines import Line, Lines, code_line
from tallystick.tui.output.escape import show, show_lines
from tallystick.tui.output.import_label import source_words
from tallystick.tui.output.trajectory import trajectory_table
from tallystick.tui.output.values import field_value_words, field_words, moment_words

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
        return _run_page(book, moment, snapshot, state)
    return _entity_page(book, snapshot, handle, state)


def _not_yet(book: ledger.Ledger, moment: Moment, handle: str) -> list[Line]:
    """Instead of a page: that there is none at this time, and when there is."""
    then = moment_words(moment.at.moment or moment.as_of.recorded_at, book.zone)
    seq = _first_seq(book, handle)
    if seq is None:
        words = ["did not exist yet."]
    elif seq <= moment.as_of.seq:
        words = [f"does not exist on {then}: what made it does not count any more."]
    else:
        commit = commit_at(book, seq)
        begun = moment_words(from_micros(commit.recorded_at), book.zone)
        words = [f"did not exist yet on {then}.", f"It begins with c{commit.n} on {begun}: t c{commit.n} goes there."]
    return [Line(handle, "bold"), *map(Line, words), Line("Esc goes back to where you were.", "dim")]


def _first_seq(book: ledger.Ledger, handle: str) -> int | None:
    """The event with which a thing begins, whenever that is."""
    if handle.startswith("#"):
        return int(handle[1:].partition("-")[0])
    kind, _, name = handle.partition(":")
    if kind not in BY_KEY:
        return None
    query = f"SELECT first_seq FROM {BY_KEY[kind].name}_keys WHERE key = ?"
    row = book.views.caught_up().execute(query, (name,)).fetchone()
    return None if row is None else int(row[0])


# Events ----------------------------------------------------------------------------------------------------


def _event_page(book: ledger.Ledger, moment: Moment, seq: int) -> list[Line]:
    stored = book.log.event(seq)
    commit = commit_at(book, seq)
    head = decode_head(commit.head)
    under = under_of(book, commit)
    lines = [Line(f"{handle_of_event(stored)}  {stored.type}", "bold"), Line(show(told(stored, under), SENTENCE))]
    correction = ledger.Snapshot(book.views, moment.as_of).correction(seq)
    if correction:
        words = f"It does not count since #{correction.seq}: “{correction.reason}”"
        lines.append(Line(words, "bad", f"#{correction.seq}"))
    when = moment_words(from_micros(commit.recorded_at), book.zone)
    lines += [
        Line(""),
        Line(f"recorded  {when} by {head.actor} in {book.commit_handle(commit.n)}"),
        *_source(book, seq),
        Line(f"proof     {_proof(book, moment, commit.n)}"),
        Line(f"blake3    {stored.id.hex()}", as_it_is=True),
        Line(f"sha256    {stored.sha256.hex()}", as_it_is=True),
    ]
    if stored.data is None:
        said = book.log.last_seq_of(f"redaction:{seq}")
        return lines if said is None else [*lines, Line(""), Line("erased by", "bold"), event_line(book, said)]
    event = _decoded(stored.data)
    if event is not None and is_known(event):
        around = {
            "what led to it": _causes(book, event, seq),
            "what it caused": _effects(book, moment, seq, stored.id),
        }
        for title, seqs in around.items():
            if seqs:
                lines += [Line(""), Line(title, "bold")]
                lines += [event_line(book, other) for other in seqs[:MOST_STEPS]]
        names = entities(named_under(event, under))
        if names:
            lines += [Line(""), Line("what it is about", "bold"), *(Line(name, "", name) for name in names)]
    pretty = msgspec.json.format(stored.data, indent=2).decode(errors="replace")
    lines += [Line(""), Line("as it lies in the ledger", "bold")]
    return lines + [code_line(text, "dim") for text in show_lines(pretty, 4_000).split("\n")]


def _source(book: ledger.Ledger, seq: int) -> list[Line]:
    """Which commit of which ledger an event was, where it was imported."""
    words = source_words(book, commit_at(book, seq))
    return [Line(words, "bad" if "; UNPROVEN" in words else "")] if words else []


def _decoded(data: bytes) -> Event[Any] | None:
    try:
        return decode(data)
    except TallyError:
        return None  # the page says so in the event's own sentence


def _proof(book: ledger.Ledger, moment: Moment, n: int) -> str:
    row = book.log.reader.execute("SELECT min(size) FROM checkpoints WHERE size > ? AND size <= ?",
                                  (n, moment.as_of.n + 1)).fetchone()  # fmt: skip
    if row[0] is None:
        return "not signed yet: `tally receipt` signs"
    anchors = [a for a in ledger.Snapshot(book.views, moment.as_of).anchors() if a.size > n]
    kept = f"; a receipt that covers it is kept in {anchors[0].where}" if anchors else "; no receipt kept elsewhere"
    return f"signed with the first {row[0]:,} commits{kept}"


def _causes(book: ledger.Ledger, event: Event[Any], seq: int) -> list[int]:
    from tallystick.ledger.query.blame import find

    return sorted(find(book.log, seq, event.cause).values()) if event.cause else []


def _effects(book: ledger.Ledger, moment: Moment, seq: int, event_id: bytes) -> list[int]:
    last = min(moment.as_of.seq, seq + FORWARD)
    rows = book.log.reader.execute(
        "SELECT seq FROM events WHERE seq > ? AND seq <= ? AND instr(body, ?) LIMIT ?",
        (seq, last, event_id.hex(), MOST_STEPS),
    )
    return [int(row[0]) for row in rows]


# Runs ------------------------------------------------------------------------------------------------------


def _run_page(book: ledger.Ledger, moment: Moment, snapshot: ledger.Snapshot, run: RunState) -> list[Line]:
    from tallystick.pipeline.records.run_record import record_of

    zone = book.zone
    ended = f" to {run.ended_at.astimezone(zone):%H:%M}" if run.ended_at else ""
    lines = [Line(f"run {run.run} of {run.pipeline}: {run.status}", "bold")]
    begun = f"{run.started_at.astimezone(zone):%Y-%m-%d %H:%M}{ended}"
    lines.append(Line(f"{begun} by {run.by} on {run.host}", "dim"))
    lines += _source(book, run.seq)
    if run.experiment:
        lines.append(Line("An experiment: nothing of it can be promoted.", "bad"))
    if run.failure:
        lines.append(Line(f"It failed: {run.failure}", "bad"))
    try:
        record = record_of(book, run, _end_of(book.views, run, moment.as_of.seq))
    except NotFound as error:
        return [*lines, Line(error.message), *_fields(book, run, "run")]
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
            table = trajectory_table(list(record.windows), candidates, values, 400)
            lines += [Line(text, "dim" if not at else "", as_it_is=True) for at, text in enumerate(table)]
    lines += [Line(item.sentence) for item in record.optimism]
    if record.decision is not None and record.decided is not None:
        lines += [Line(""), Line(record.decision.headline, "bold", f"#{record.decided.seq}")]
        lines += [Line(f"[{reason.code}] {reason.sentence}", indent=2) for reason in record.decision.reasons]
        lines += [Line(f"· {remark}", indent=2) for remark in record.decision.remarks]
    lines += _gates(moment, snapshot, run, book.zone)
    if record.model is not None:
        lines += [Line(""), Line("made", "bold"),
                  Line(f"model {record.model.model}: {record.model.candidate}, {count(record.model.rows, 'row')}, "
                       f"file {record.model.artifact[:12]}…", "", f"model:{record.model.model}")]  # fmt: skip
    return lines


def _end_of(views: Views, run: RunState, known: int) -> int:
    """Where a run ended, so that not everything after it is read."""
    for version in views.history(RUNS, run.run, -1, known):
        if version.state is not None and cast("RunState", version.state).status != "running":
            return version.position
    return known


def _gates(moment: Moment, snapshot: ledger.Snapshot, run: RunState, zone: ZoneInfo) -> list[Line]:
    gates = [gate for gate in snapshot.gates() if run.model and gate.model == run.model]
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


def _entity_page(book: ledger.Ledger, snapshot: ledger.Snapshot, handle: str, state: State) -> list[Line]:
    kind, _, name = handle.partition(":")
    lines = [Line(f"{kind} {name}", "bold")]
    lines += [*_source(book, state.seq), *_fields(book, state, kind)]
    if isinstance(state, DecisionState):
        body = book.event(state.described_by).event.body
        if isinstance(body, DecisionTaken):
            lines += [Line(""), *(Line(f"[{reason.code}] {reason.sentence}", indent=2) for reason in body.reasons)]
        elif isinstance(body, PromotionDecided):
            lines += [Line(""), *(Line(f"{g.name} {g.verdict}: {g.sentence}", indent=2) for g in body.gates)]
    story = _newest_versions(book, handle, snapshot.as_of.seq)
    lines += [Line(""), Line("its story, newest first", "bold"), *(event_line(book, seq) for seq in story)]
    return lines


def _fields(book: ledger.Ledger, state: State, kind: str) -> list[Line]:
    lines = []
    for field in state.__struct_fields__:
        value = getattr(state, field)
        if value is None or field in ("seq", kind):
            continue
        key = f"{REFERENCES[field]}:{value}" if field in REFERENCES and isinstance(value, str) else ""
        if field == "champion":
            key = f"model:{value.model}"
        lines.append(Line(f"{field_words(field):<18}{field_value_words(field, value, book.zone)}", "", key))
    return lines


def _newest_versions(book: ledger.Ledger, handle: str, seq: int) -> list[int]:
    kind, _, name = handle.partition(":")
    rows = book.views.caught_up().execute(
        f"SELECT from_seq FROM {BY_KEY[kind].name}_versions WHERE key = ? AND from_seq <= ? "
        "ORDER BY from_seq DESC LIMIT ?",
        (name, seq, MOST_STEPS),
    )
    return [int(row[0]) for row in rows]


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
