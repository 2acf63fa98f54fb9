"""The difference of two times, or of two entities: what changed, from what to what, by whom and why."""

from __future__ import annotations

from typing import Any, cast

from textual.app import ComposeResult

from tallystick import ledger
from tallystick.ledger.events.sentences import count
from tallystick.ledger.events.types import PipelineRegistered
from tallystick.ledger.query.diff import EntityChange
from tallystick.ledger.views.entities import PipelineState, RunState
from tallystick.ledger.views.fold import differing
from tallystick.ledger.views.projection import State
from tallystick.pipeline.governance.reopened import difference_that_counts
from tallystick.tui.app.reading.position import Mark, Moment
from tallystick.tui.app.reading.reader_thread import Job
from tallystick.tui.app.screens.board import event_lines
from tallystick.tui.app.screens.pane import Pane, Question
from tallystick.tui.app.widgets.lines import Line, Lines
from tallystick.tui.output.escape import show
from tallystick.tui.output.values import field_words, moment_words, state_value_words

LISTED = 5
MOST_FIELDS = 400


def read_difference(book: ledger.Ledger, a: Mark, b: Mark) -> list[Line]:
    """Entities where two different ones of one kind are marked; else the two times, the earlier one first."""
    kind_a, kind_b = a.handle.partition(":")[0], b.handle.partition(":")[0]
    if a.handle and b.handle and a.handle != b.handle and kind_a == kind_b and not a.handle.startswith("#"):
        return _entities(book, a, b)
    # Who marks NOW and walks back asks what happened since, not how it would be undone.
    return _times(book, *sorted((a, b), key=lambda mark: mark.n))


def _times(book: ledger.Ledger, a: Mark, b: Mark) -> list[Line]:
    from tallystick.tui.output.changes import SAME_WHEN_REPEATED, field_change_words

    first, second = (book.at_commit(mark.n) for mark in (a, b))
    found = difference_that_counts(first, second, first.diff(second))
    lines = [Line(f"{way} {a_time.as_of.handle}, recorded {moment_words(a_time.as_of.recorded_at, book.zone)}", "dim")
             for way, a_time in (("from", first), ("to  ", second))]  # fmt: skip
    if not found.changes:
        return [*lines, Line("Nothing is different.")]
    new: dict[str, list[EntityChange]] = {}
    again: dict[str, int] = {}
    made: dict[int, None] = {}
    for change in found.changes:
        if change.before is None and change.after is not None:
            new.setdefault(change.kind, []).append(change)
        elif change.after is None:
            lines.append(Line(f"{change.handle} does not exist there", "bold", change.handle))
            made[change.seq] = None
        elif {field.field for field in change.fields} <= SAME_WHEN_REPEATED:
            again[change.kind] = again.get(change.kind, 0) + 1
        elif len(lines) < MOST_FIELDS:
            lines += [Line(""), Line(change.handle, "bold", change.handle)]
            for field in change.fields:
                said = field_change_words(field, second, change.after)
                lines.append(Line(f"{said}  (#{field.seq})", "", f"#{field.seq}", 2))
                made[field.seq] = None
    lines.append(Line(""))
    for kind, number in again.items():
        lines.append(Line(f"{count(number, kind)} seen again, the same", "dim"))
    for kind, changes in new.items():
        lines.append(Line(f"{count(len(changes), f'new {kind}')}", "bold"))
        for change in changes[:LISTED]:
            lines.append(Line(f"{change.name} (#{change.seq})", "", change.handle, 2))
        if len(changes) > LISTED:
            lines.append(Line(f"and {len(changes) - LISTED} more", "dim", indent=2))
        if kind in ("model", "decision", "correction", "waiver", "finding"):
            made.update(dict.fromkeys(change.seq for change in changes[:LISTED]))
    lines += _configuration(first, second)
    if made:
        lines += [Line(""), Line("because of", "bold")]
        later = max(first, second, key=lambda snapshot: snapshot.as_of.seq)
        lines += event_lines(later, sorted(made)[:60], book.zone)
    return lines


def _configuration(a: ledger.Snapshot, b: ledger.Snapshot) -> list[Line]:
    """Configurations that mean something else, setting by setting."""
    before = {state.pipeline: state for state in a.pipelines()}
    lines: list[Line] = []
    for state in b.pipelines():
        old = before.get(state.pipeline)
        if old is not None and old.meaning_hash != state.meaning_hash:
            lines += [Line(""), Line(f"configuration of {state.pipeline}", "bold")]
            later = max(a, b, key=lambda snapshot: snapshot.as_of.seq)
            lines += _settings(_meaning(later, old), _meaning(later, state))
    return lines


def _settings(old: dict[str, Any], new: dict[str, Any]) -> list[Line]:
    from tallystick.pipeline.config.diff import config_changes
    from tallystick.tui.output.changes import setting_words

    lines = []
    for change in config_changes(old, new):
        way = f"  [{change.strictness}]" if change.strictness else ""
        left, right = (setting_words(value) for value in (change.old, change.new))
        said = f"+ {right}" if change.added else f"- {left}" if change.removed else f"{left} → {right}"
        lines.append(Line(f"{change.group}: {change.name}: {said}{way}", indent=2))
    return lines


def _meaning(snapshot: ledger.Snapshot, state: PipelineState) -> dict[str, Any]:
    body = snapshot.event(state.registered_by).event.body
    return dict(body.meaning) if isinstance(body, PipelineRegistered) else {}


def _entities(book: ledger.Ledger, a: Mark, b: Mark) -> list[Line]:
    lines = [Line(f"from {a.handle} as of c{a.n}", "dim"), Line(f"to   {b.handle} as of c{b.n}", "dim"), Line("")]
    snapshots = [book.at_commit(mark.n) for mark in (a, b)]
    states = [snapshot.find(mark.handle) for snapshot, mark in zip(snapshots, (a, b), strict=True)]
    for mark, state in zip((a, b), states, strict=True):
        if state is None:
            return [*lines, Line(f"{mark.handle} did not exist at c{mark.n}.")]
    old, new = cast("tuple[State, State]", tuple(states))
    kind = a.handle.partition(":")[0]
    for field, left, right in differing(old, new):
        if field != kind:
            words = [
                show(state_value_words(snapshot, state, field, value), 300)
                for snapshot, state, value in zip(snapshots, (old, new), (left, right), strict=True)
            ]
            lines.append(Line(f"{field_words(field)} {words[0]} → {words[1]}", indent=2))
    if isinstance(old, RunState) and isinstance(new, RunState):
        lines += _run_settings(snapshots, (old, new))
    touched = [line for snapshot, state in zip(snapshots, (old, new), strict=True)
               for line in event_lines(snapshot, [state.seq], book.zone)]  # fmt: skip
    return [*lines, Line(""), Line("last touched by", "bold"), *touched]


def _run_settings(snapshots: list[ledger.Snapshot], runs: tuple[RunState, RunState]) -> list[Line]:
    """What the configurations of two runs differ by, each as it was known at its own mark."""
    if runs[0].meaning_hash == runs[1].meaning_hash:
        return [Line(""), Line("question and configuration: the same", "bold")]
    meanings = []
    for snapshot, run in zip(snapshots, runs, strict=True):
        for state in reversed(snapshot.versions(PipelineState, run.pipeline)):
            if state.meaning_hash == run.meaning_hash:
                meanings.append(_meaning(snapshot, state))
                break
    if len(meanings) < 2:
        return [Line("The configuration of one of them is not in the ledger.")]
    return [Line(""), Line("configuration", "bold"), *_settings(*meanings)]


class DifferencePane(Pane):
    """Mark A, mark B, and what lies between them."""

    TITLE = "Difference"

    def compose(self) -> ComposeResult:
        yield Lines(id="difference-lines")

    def question(self) -> Question:
        a, b = self.tally.mark_a, self.tally.mark_b

        def read(book: ledger.Ledger, moment: Moment, _job: Job) -> list[Line]:
            if a is None:
                return [
                    Line("Nothing is marked.", "bold"),
                    Line("Press d to mark A: the time at the cursor, and the selected run or model."),
                    Line("Go elsewhere, press d again for B: the difference opens here."),
                    Line("While only A is marked, the difference from A to the cursor is shown.", "dim"),
                ]
            return read_difference(book, a, b or Mark(moment.as_of.n, ""))

        return read

    def answer(self, moment: Moment, found: Any) -> None:
        self.query_one(Lines).begin(cast("list[Line]", found))

    def on_lines_opened(self, event: Lines.Opened) -> None:
        event.stop()
        self.tally.open(event.key)

    @property
    def selected(self) -> str:
        return self.query_one(Lines).key
