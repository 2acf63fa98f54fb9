"""`tally why` and `tally story`: which events made something so, and the history of an entity."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from tallystick import ledger
from tallystick.ledger.events.sentences import count
from tallystick.ledger.query.blame import Cause, HistoryStep, Why
from tallystick.tui.cli.answer import head_line, set_aside, snapshot_of, struck
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import open_ledger
from tallystick.tui.cli.options import as_of_option, axis_option, json_option, ledger_option
from tallystick.tui.output.changes import entry_json, event_line
from tallystick.tui.output.console import as_of_json, print_json, wrap
from tallystick.tui.output.escape import show
from tallystick.tui.output.values import field_words, state_value_words, value_builtins

SHOWN_CAUSES = 6


@tally.command("why")
@click.argument("question")
@ledger_option
@as_of_option
@axis_option
@json_option
def why_command(question: str, ledger_path: Path | None, as_of: str | None, axis: str, as_json: bool) -> None:
    """Which event made it so, who recorded it, in what words; and what led to that.

    QUESTION is ENTITY.FIELD: pipeline:late-arrivals.champion, late-arrivals-v1.status, run:2013-11-02.1.outcome.
    Without the field the fields are listed.
    """
    with open_ledger(ledger_path) as book:
        snapshot = snapshot_of(book, as_of, axis)
        answer, aside = _why(snapshot, question), set_aside(snapshot)
        state = snapshot.find(f"{answer.kind}:{answer.name}")
        if as_json:
            content = {
                "as_of": as_of_json(snapshot.as_of, book),
                "entity": {"handle": f"{answer.kind}:{answer.name}"},
                "field": answer.field,
                "value": value_builtins(snapshot, state, answer.field, answer.value),
                "before": value_builtins(snapshot, state, answer.field, answer.before),
                "was_there": answer.was_there,
                "because": _cause_json(answer.because, snapshot, aside),
            }
            print_json("tally.why/1", content)
            return
        head_line(snapshot, as_of)
        value = state_value_words(snapshot, state, answer.field, answer.value)
        earlier = state_value_words(snapshot, state, answer.field, answer.before)
        before = f" (before: {earlier})" if answer.was_there else ""
        click.secho(
            wrap(f"{answer.kind}:{answer.name}: {field_words(answer.field)} is {value}{before}, because of"), bold=True
        )
        _print_cause(answer.because, snapshot, book.zone, aside, "", None)


def _why(snapshot: ledger.Snapshot, question: str) -> Why:
    answer = snapshot.why(question)
    if answer.kind != "gate":
        return answer
    from tallystick.pipeline.governance.reopened import why_it_counts

    return why_it_counts(snapshot, answer)


def _print_cause(
    cause: Cause, snapshot: ledger.Snapshot, zone: ZoneInfo, aside: dict[int, int], lanes: str, last: bool | None
) -> None:
    entry = cause.entry
    branch = "" if last is None else ("└─ " if last else "├─ ")
    click.echo(f"{lanes}{branch}{struck(event_line(entry, snapshot, zone), entry.seq, aside)}")
    inner = lanes + ("" if last is None else "   " if last else "│  ")
    shown = cause.causes[:SHOWN_CAUSES]
    hidden = cause.left_out + len(cause.causes) - len(shown)
    if (shown or hidden) and last is None:
        click.echo(f"{inner}which rests on")
    for index, inner_cause in enumerate(shown):
        _print_cause(inner_cause, snapshot, zone, aside, inner, index == len(shown) - 1 and not hidden)
    if hidden:
        click.echo(f"{inner}└─ and {count(hidden, 'more event')}: tally show '#{entry.seq}'")


def _cause_json(cause: Cause, snapshot: ledger.Snapshot, aside: dict[int, int]) -> dict[str, Any]:
    return {
        **entry_json(cause.entry, snapshot, aside),
        "causes": [_cause_json(inner, snapshot, aside) for inner in cause.causes],
        "left_out": cause.left_out,
    }


@tally.command("story")
@click.argument("entity")
@ledger_option
@as_of_option
@axis_option
@json_option
def story_command(entity: str, ledger_path: Path | None, as_of: str | None, axis: str, as_json: bool) -> None:
    """The life of ENTITY: every event that changed it, oldest first, in sentences."""
    with open_ledger(ledger_path) as book:
        snapshot = snapshot_of(book, as_of, axis)
        steps, aside = snapshot.story(entity), set_aside(snapshot)
        if as_json:
            content = {
                "as_of": as_of_json(snapshot.as_of, book),
                "entity": {"handle": snapshot.node(entity)},
                "events": [{**entry_json(step.entry, snapshot, aside), "changed": step.changed} for step in steps],
            }
            print_json("tally.story/1", content)
            return
        head_line(snapshot, as_of)
        click.secho(show(snapshot.node(entity)), bold=True)
        for step in steps:
            click.echo(struck(wrap(event_line(step.entry, snapshot, book.zone), "  "), step.entry.seq, aside))
            if step.changed and step.state is not None:
                click.echo(wrap(_changed_words(step, snapshot), "      "))
            elif step.state is None:
                click.echo("      from here on it does not exist")


def _changed_words(step: HistoryStep, snapshot: ledger.Snapshot) -> str:
    values = (
        f"{field_words(field)} {state_value_words(snapshot, step.state, field, getattr(step.state, field))}"
        for field in step.changed
    )
    return f"now {'; '.join(values)}"
