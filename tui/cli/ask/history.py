"""Questions about what became of things: `why`, `story`, `know`, `correct`, `rebuild`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import click
import msgspec

from tallystick import ledger
from tallystick.ledger.amend.correction import correct
from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.commit import event_handle
from tallystick.ledger.events.sentences import count, sentence
from tallystick.ledger.query.as_of import parse_period, resolve_event
from tallystick.ledger.query.blame import Cause, Told
from tallystick.ledger.verify.views_check import views_differences
from tallystick.ledger.views.entities import PeriodState
from tallystick.tui.cli.answer import head_line, set_aside, snapshot_of, struck
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import exit_with, open_ledger
from tallystick.tui.cli.options import as_of_option, axis_option, json_option, ledger_option
from tallystick.tui.cli.receipts import print_receipt, receipt_json
from tallystick.tui.output.changes import change_words, entry_json, event_line, late_words
from tallystick.tui.output.console import as_of_json, clock_line, print_json, table, wrap
from tallystick.tui.output.escape import show
from tallystick.tui.output.import_label import unproven_line
from tallystick.tui.output.progress import Bar
from tallystick.tui.output.values import field_value_words, field_words, period_words, value_words

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
        answer, aside = snapshot.why(question), set_aside(snapshot)
        if as_json:
            content = {
                "as_of": as_of_json(snapshot.as_of, book),
                "entity": {"handle": f"{answer.kind}:{answer.name}"},
                "field": answer.field,
                "value": answer.value,
                "before": answer.before,
                "was_there": answer.was_there,
                "because": _cause_json(answer.because, book, aside),
            }
            print_json("tally.why/1", content)
            return
        head_line(snapshot, as_of, book)
        value = value_words(answer.value, book.zone)
        before = f" (before: {value_words(answer.before, book.zone)})" if answer.was_there else ""
        click.secho(
            wrap(f"{answer.kind}:{answer.name}: {field_words(answer.field)} is {value}{before}, because of"), bold=True
        )
        _print_cause(answer.because, book, aside, "", None)


def _print_cause(cause: Cause, book: ledger.Ledger, aside: dict[int, int], lanes: str, last: bool | None) -> None:
    entry = cause.entry
    branch = "" if last is None else ("└─ " if last else "├─ ")
    click.echo(f"{lanes}{branch}{struck(event_line(entry, book), entry.seq, aside)}")
    inner = lanes + ("" if last is None else "   " if last else "│  ")
    shown = cause.causes[:SHOWN_CAUSES]
    hidden = cause.left_out + len(cause.causes) - len(shown)
    if (shown or hidden) and last is None:
        click.echo(f"{inner}which rests on")
    for index, inner_cause in enumerate(shown):
        _print_cause(inner_cause, book, aside, inner, index == len(shown) - 1 and not hidden)
    if hidden:
        click.echo(f"{inner}└─ and {count(hidden, 'more event')}: tally show '#{entry.seq}'")


def _cause_json(cause: Cause, book: ledger.Ledger, aside: dict[int, int]) -> dict[str, Any]:
    return {
        **entry_json(cause.entry, book, aside),
        "causes": [_cause_json(inner, book, aside) for inner in cause.causes],
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
        told, aside = snapshot.story(entity), set_aside(snapshot)
        if as_json:
            content = {
                "as_of": as_of_json(snapshot.as_of, book),
                "entity": {"handle": snapshot.node(entity)},
                "events": [{**entry_json(step.entry, book, aside), "changed": step.changed} for step in told],
            }
            print_json("tally.story/1", content)
            return
        head_line(snapshot, as_of, book)
        click.secho(show(snapshot.node(entity)), bold=True)
        for step in told:
            click.echo(struck(wrap(event_line(step.entry, book), "  "), step.entry.seq, aside))
            if step.changed and step.state is not None:
                click.echo(wrap(_changed_words(step, book), "      "))
            elif step.state is None:
                click.echo("      from here on it does not exist")


def _changed_words(step: Told, book: ledger.Ledger) -> str:
    values = (
        f"{field_words(field)} {field_value_words(field, getattr(step.state, field), book.zone)}"
        for field in step.changed
    )
    return f"now {'; '.join(values)}"


@tally.command("know")
@click.argument("pipeline", required=False)
@click.option("--about", required=True, metavar="PERIOD", help="A day, month or year, or several: 2013-04..2013-06.")
@ledger_option
@as_of_option
@axis_option
@json_option
def know_command(
    pipeline: str | None, about: str, ledger_path: Path | None, as_of: str | None, axis: str, as_json: bool
) -> None:
    """What was known, as of one time, about another: each run's findings, and how late they came."""
    with open_ledger(ledger_path) as book:
        snapshot = snapshot_of(book, as_of, axis)
        period = parse_period(about, book.zone)
        found = snapshot.know(period, pipeline)
        if as_json:
            content = {
                "as_of": as_of_json(snapshot.as_of, book),
                "about": period,
                "evaluations": [
                    {
                        "handle": f"evaluation:{item.evaluation.evaluation}",
                        **msgspec.to_builtins(item.evaluation),
                        "late_seconds": None if item.late is None else item.late.total_seconds(),
                        "superseded": item.superseded,
                    }
                    for item in found.known
                ],
                "slices": [{"handle": f"slice:{state.slice}", **msgspec.to_builtins(state)} for state in found.slices],
                "models": [{"handle": f"model:{state.model}", **msgspec.to_builtins(state)} for state in found.models],
                "periods": [
                    {
                        "handle": f"period:{state.period}",
                        **msgspec.to_builtins(state),
                        "late_seconds": None if (late := _late(state)) is None else late.total_seconds(),
                    }
                    for state in found.periods
                ],
            }
            print_json("tally.know/1", content)
            return
        head_line(snapshot, as_of, book)
        unproven_line(snapshot)
        click.secho(f"About {period_words(period, book.zone)}", bold=True)
        if not any(found[1:]):
            click.echo("Nothing was known.")
            return
        if found.known:
            metrics = list(dict.fromkeys(name for item in found.known for name in item.evaluation.metrics))
            rows = [
                (
                    item.evaluation.window.rpartition("/")[2],
                    item.evaluation.candidate,
                    *(_number(item.evaluation.metrics.get(name)) for name in metrics),
                    item.evaluation.run,
                    "" if item.late is None else late_words(item.late),
                    "superseded" if item.superseded else "newest",
                )
                for item in found.known
            ]
            table(("window", "candidate", *metrics, "run", "known", "state"), rows)
        for watched in found.periods:
            late = _late(watched)
            when = f"{_day(watched.monitored_at, book)}{'' if late is None else f', {late_words(late)}'}"
            click.echo(wrap(f"watched on {when}: {watched.model}: {watched.headline} [{watched.status}]"))
        for state in found.slices:
            held = period_words(state.period, book.zone) if state.period else "rows of it"
            click.echo(
                wrap(
                    f"slice {state.slice} holds {held}: {count(state.rows, 'row')}, taken {_day(state.taken_at, book)}"
                )
            )
        for model in found.models:
            meant = period_words(model.intended_for, book.zone) if model.intended_for else ""
            click.echo(wrap(f"model {model.model} ({model.status}) is intended for {meant}"))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _late(watched: PeriodState) -> dt.timedelta | None:
    """From the end of a watched period to when somebody looked."""
    return None if watched.about is None else watched.monitored_at - watched.about[1]


def _day(moment: dt.datetime, book: ledger.Ledger) -> str:
    return moment.astimezone(book.zone).strftime("%Y-%m-%d")


@tally.command("correct")
@click.argument("handle")
@click.option("--reason", required=True, help="Why it does not count, in words that will be read in a year.")
@ledger_option
@json_option
def correct_command(handle: str, reason: str, ledger_path: Path | None, as_json: bool) -> None:
    """Say that the event HANDLE (#12) does not count any more. Nothing is taken away.

    From now on everything is as if it had not been recorded; at earlier dates it is there as it was. A correction is
    an event, too, and can be corrected.
    """
    if not reason.strip():
        raise InvalidInput("A correction needs a reason.", 'Say it: --reason "promoted to the wrong pipeline"')
    with open_ledger(ledger_path, records=True) as book:
        seq = resolve_event(handle, book.log)
        before = book.now()
        appended = correct(book, seq, reason.strip())
        changes = before.diff(book.now()).changes
        changed = [change for change in changes if change.kind != "correction"]
        if as_json:
            content = {
                "event": {"handle": event_handle(seq, book.log.event(seq).id)},
                "reason": reason.strip(),
                "changed": [change.handle for change in changed],
                "commit": book.commit_handle(appended.n),
                "receipt": receipt_json(book),
            }
            print_json("tally.correct/1", content)
            return
        click.echo(wrap(f"From now on #{seq} does not count ({book.commit_handle(appended.n)})."))
        click.echo(wrap(f"It said: {show(sentence(book.event(seq).event), 400)}"))
        for change in changed:
            click.echo(wrap(change_words(change, book), "  "))
        if not changed:
            click.echo("  No state of any entity followed from it.")
        print_receipt(book)


@tally.command("rebuild")
@click.option("--check", is_flag=True, help="Compare the views with a new fold and change nothing.")
@ledger_option
@json_option
def rebuild_command(check: bool, ledger_path: Path | None, as_json: bool) -> None:
    """Make the views again from the events. They hold nothing of their own; this is never needed for the answers.

    The new views replace the old ones in one transaction. With --check it exits with 1 where they differ.
    """
    with open_ledger(ledger_path) as book:
        total = book.now().as_of.seq + 1
        if not as_json:
            clock_line(book)
        if check:
            with Bar() as bar:
                words = views_differences(book, bar, total)
            if as_json:
                print_json("tally.rebuild/1", {"checked": True, "events": total, "differences": words})
            elif words:
                for line in words:
                    click.echo(wrap(line))
                click.echo("Next: tally rebuild")
            else:
                click.echo(f"The views are what follows from {count(total, 'event')}.")
            exit_with(1 if words else 0)
            return
        with Bar() as bar:
            book.views.on_progress = lambda done, all_: bar("views", done, all_)
            book.views.rebuild()
        if as_json:
            print_json("tally.rebuild/1", {"checked": False, "events": total, "differences": []})
            return
        click.echo(f"The views were made again from {count(total, 'event')}.")
