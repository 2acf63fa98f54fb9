"""`tally explain`: a decision's whole reasoning again, from recorded facts alone, the same whenever it is asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

import click

from tallystick import ledger
from tallystick.ledger.errors import NotFound
from tallystick.ledger.events.sentences import count
from tallystick.ledger.events.types import DecisionTaken, PromotionDecided
from tallystick.ledger.query.commits import RecordedCommit
from tallystick.ledger.views.entities import DecisionState, GateState, ModelState, RunState
from tallystick.tui.cli.answer import head_line, snapshot_of
from tallystick.tui.cli.ask.explain_period import explain_watched, watched_of
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import open_ledger
from tallystick.tui.cli.options import as_of_option, json_option, ledger_option
from tallystick.tui.output.console import as_of_json, clock_line, print_json, wrap
from tallystick.tui.output.escape import show
from tallystick.tui.output.import_label import source_words
from tallystick.tui.output.trajectory import trajectory_table
from tallystick.tui.output.values import moment_words

if TYPE_CHECKING:
    from tallystick.ledger.events.entry import Entry
    from tallystick.pipeline.records.run_record import RunRecord


@tally.command("explain")
@click.argument("decision")
@ledger_option
@as_of_option
@json_option
def explain_command(decision: str, ledger_path: Path | None, as_of: str | None, as_json: bool) -> None:
    """Why DECISION was taken: the question, the data, every window, every rule that applied.

    DECISION may be a decision, the run that took it, or a model of that run; or a watched period (late/2013-09) or
    one of its findings (late/2013-09/level), with the numbers behind the sentence. Nothing is computed again and
    nothing later is looked at, so the answer is the same, byte for byte, whenever it is asked. With --as-of it is asked
    as at an earlier time, when the decision may not have been taken yet, or when a correction had not set it aside yet.
    """
    with open_ledger(ledger_path) as book:
        snapshot = snapshot_of(book, as_of)
        if promotion := _promotion(snapshot, decision):
            if not as_json:
                head_line(snapshot, as_of)
            _explain_promotion(snapshot, promotion, book.zone, as_json)
        elif watched := watched_of(snapshot, decision):
            if not as_json:
                clock_line(book)
            explain_watched(snapshot, watched, as_json)
        else:
            reasoning = _reasoning_of(snapshot, decision)
            if as_json:
                # Without --as-of no date is given, or the answer would be another one every day.
                dated = {} if as_of is None else {"as_of": as_of_json(snapshot.as_of, book)}
                print_json("tally.explain/1", {**dated, **_reasoning_json(snapshot, reasoning)})
                return
            if as_of is not None:
                head_line(snapshot, as_of)
            else:
                clock_line(book)
            _print_reasoning(snapshot, reasoning, book.zone)


class _Reasoning(NamedTuple):
    """A decision that a run took, with what was recorded of the run."""

    record: RunRecord
    decision: DecisionTaken
    entry: Entry
    """The event of the decision."""
    beside: ModelState | None
    """The model that was asked about, if it was put forward beside the decision."""


def _reasoning_of(snapshot: ledger.Snapshot, name: str) -> _Reasoning:
    from tallystick.pipeline.records.run_record import record_of

    run = _run_of(snapshot, name)
    record = record_of(snapshot, run)
    if record.decision is None or record.decided is None:
        raise NotFound(f"Run {run.run} took no decision: it {run.status}.", f"tally story run:{run.run}")
    return _Reasoning(record, record.decision, record.decided, _beside(snapshot, name, run))


def _reasoning_json(snapshot: ledger.Snapshot, reasoning: _Reasoning) -> dict[str, Any]:
    record, decision, entry, beside = reasoning
    return {
        "decision": {
            "handle": f"decision:{decision.decision}",
            "event": snapshot.event_handle(entry.seq),
            "recorded_at": entry.recorded_at,
            "actor": entry.actor,
            **{field: getattr(decision, field) for field in decision.__struct_fields__},
        },
        "questions": record.registered.questions,
        "slice": record.slice,
        "windows": list(record.windows.values()),
        "empty_windows": record.empty,
        "evaluations": [
            {"window": label, "candidate": candidate, "metrics": judged.metrics, "gain": judged.gain}
            for (label, candidate), judged in record.evaluations.items()
        ],
        "optimism": record.optimism,
        "evidence": list(entry.event.cause),
        **({} if beside is None else {"put_forward": beside, "gates": _gates_of(snapshot, beside)}),
    }


def _print_reasoning(snapshot: ledger.Snapshot, reasoning: _Reasoning, zone: ZoneInfo) -> None:
    record, decision, entry, beside = reasoning
    click.secho(f"Decision {show(decision.decision)} of {show(decision.pipeline)}", bold=True)
    click.echo(f"  taken {moment_words(entry.recorded_at, zone)} by {show(entry.actor)} (#{entry.seq})")
    _print_source(snapshot, entry.n, zone)
    _print_question(record)
    _print_results(record)
    click.echo()
    for item in record.optimism:
        click.echo(wrap(item.sentence))
    if decision.random_choice:
        click.echo(wrap(decision.random_choice))
    click.echo()
    click.secho(wrap(decision.headline), bold=True)
    for reason in decision.reasons:
        click.echo(wrap(f"[{reason.code}] {reason.sentence}", "  "))
    for remark in decision.remarks:
        click.echo(wrap(f"· {remark}", "  "))
    causes = count(len(entry.event.cause), "event")
    click.echo(f"rests on {causes}: tally why decision:{show(decision.decision)}.outcome")
    if beside is not None:
        _explain_beside(snapshot, beside, zone)


def _print_question(record: RunRecord) -> None:
    """The question, the data, and what was wrong with it."""
    for name, text in record.registered.questions.items():
        if isinstance(text, str):
            click.echo(wrap(f"{name.replace('_', ' ')}: {text}", "  "))
    if record.slice is not None:
        rows = count(record.slice.rows, "row")
        click.echo(wrap(f"slice {record.slice.slice}: {rows} of {record.slice.source}", "  "))
        for drop in record.slice.dropped:
            click.echo(wrap(f"{count(drop.rows, 'row')} left out where {drop.where}: {drop.why}", "  "))
    for window in record.windows.values():
        for warning in window.warnings:
            click.echo(wrap(warning, "  "))


def _print_results(record: RunRecord) -> None:
    """The results of every candidate in every window."""
    from tallystick.pipeline.config.canonical import configuration_in
    from tallystick.pipeline.config.settings import RANKINGS

    metric = configuration_in(record.registered).selection.metric
    for name in dict.fromkeys((metric, "roc_auc")):
        better = "larger" if name in RANKINGS else "smaller"
        lines = _trajectories(record, name)
        if lines:
            click.echo()
            click.secho(f"{name.replace('_', '-')} by window ({better} is better)", bold=True)
            for line in lines:
                click.echo(line)


def _beside(snapshot: ledger.Snapshot, name: str, run: RunState) -> ModelState | None:
    """The model that was asked about, where the decision of its run had chosen otherwise."""
    found = snapshot.find(name)
    return found if isinstance(found, ModelState) and found.model != run.model else None


def _print_source(snapshot: ledger.Snapshot, n: int, zone: ZoneInfo) -> None:
    if source := source_words(snapshot, n, zone):
        click.echo(wrap(source, "  "))


def _gates_of(snapshot: ledger.Snapshot, model: ModelState) -> list[GateState]:
    from tallystick.pipeline.governance.gates import known_gates

    return known_gates(snapshot, model.model)


def _explain_beside(snapshot: ledger.Snapshot, model: ModelState, zone: ZoneInfo) -> None:
    """A model that somebody put forward beside the decision: who, why, and what its gates said."""
    click.echo()
    entry = snapshot.event(model.made_by_event)
    click.secho(wrap(f"{model.model} is {model.candidate}, put forward beside this decision"), bold=True)
    click.echo(f"  by {show(entry.actor)} on {moment_words(entry.recorded_at, zone)} (#{entry.seq})")
    _print_source(snapshot, entry.n, zone)
    if model.proposal:
        click.echo(wrap(f"“{model.proposal}”", "  "))
    refusals: dict[int, RecordedCommit] = {}
    for gate in _gates_of(snapshot, model):
        click.echo(wrap(f"[{gate.name}] {gate.verdict}: {gate.sentence}", "  "))
        if gate.verdict != "passed":
            commit = snapshot.commit_of(gate.seq)
            refusals[commit.n] = commit
    for commit in refusals.values():
        head = commit.head
        if head.note:
            said = f"{moment_words(commit.recorded_at, zone)}  {head.actor}: {head.note}"
            click.echo(wrap(said, "  "))


def _promotion(snapshot: ledger.Snapshot, name: str) -> DecisionState | None:
    """A decision of a person about who is champion, by its name."""
    found = snapshot.find(name)
    if isinstance(found, DecisionState) and found.outcome in ("promotion", "rollback", "retirement"):
        return found
    return None


def _explain_promotion(snapshot: ledger.Snapshot, state: DecisionState, zone: ZoneInfo, as_json: bool) -> None:
    entry = snapshot.event(state.described_by)
    said: PromotionDecided = entry.event.body
    waivers = {waiver.waiver: waiver for waiver in snapshot.waivers()}
    if as_json:
        content = {
            "decision": {
                "handle": f"decision:{said.decision}",
                "event": snapshot.event_handle(entry.seq),
                "recorded_at": entry.recorded_at,
                "actor": entry.actor,
                **{field: getattr(said, field) for field in said.__struct_fields__},
            },
            "waivers": [waivers[gate.waiver] for gate in said.gates if gate.waiver in waivers],
            "evidence": list(entry.event.cause),
        }
        print_json("tally.explain/1", content)
        return
    click.secho(f"Decision {show(said.decision)} of {show(said.pipeline)}", bold=True)
    click.echo(f"  taken {moment_words(entry.recorded_at, zone)} by {show(entry.actor)} (#{entry.seq})")
    _print_source(snapshot, entry.n, zone)
    click.secho(wrap(said.headline, "  "), bold=True)
    click.echo(wrap(f"reason: {said.reason}", "  "))
    if said.followed:
        click.echo(wrap(f"follows decision {said.followed} of its run; all of it: tally explain {said.followed}", "  "))
    elif said.run:
        click.echo(wrap(f"goes beside what run {said.run} decided: tally explain {said.run}", "  "))
    for gate in said.gates:
        verdict = f"{gate.verdict}, waived" if gate.waiver else gate.verdict
        click.echo(wrap(f"[{gate.name}] {verdict}: {gate.sentence}", "  "))
        if gate.waiver in waivers:
            waiver = waivers[gate.waiver]
            until = waiver.until.astimezone(zone)
            who = f"{waiver.owner} answers for it, approved by {waiver.approver}"
            click.echo(wrap(f"waiver {waiver.waiver} until {until:%Y-%m-%d}, {who}: “{waiver.reason}”", "      "))
    if said.approvals:
        click.echo(wrap(f"signed by {', '.join(said.approvals)}", "  "))
    click.echo(f"rests on {count(len(entry.event.cause), 'event')}: tally why decision:{show(said.decision)}.outcome")


def _run_of(snapshot: ledger.Snapshot, name: str) -> RunState:
    match snapshot.entity(name):
        case RunState() as state:
            return state
        case DecisionState(run=str() as run):
            return snapshot.run(run)
        case ModelState() as state:
            return snapshot.run(state.made_by_run)
    raise NotFound(f"{name!r} is no decision, run or model.", "`tally runs` and `tally models` list them.")


def _trajectories(record: RunRecord, metric: str) -> list[str]:
    values = {
        key: judged.metrics[metric].value for key, judged in record.evaluations.items() if metric in judged.metrics
    }
    if all(value is None for value in values.values()):
        return []
    candidates = list(dict.fromkeys(candidate for _, candidate in record.evaluations))
    return trajectory_table(list(record.windows), candidates, values, empty=record.empty)
