"""`tally know`: what was known about a period, and how late it came."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import click

from tallystick.ledger.events.sentences import count
from tallystick.ledger.query.as_of import parse_period
from tallystick.ledger.views.entities import PeriodState
from tallystick.tui.cli.answer import head_line, snapshot_of
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import open_ledger
from tallystick.tui.cli.options import as_of_option, axis_option, json_option, ledger_option
from tallystick.tui.output.changes import late_words
from tallystick.tui.output.console import as_of_json, print_json, table, wrap
from tallystick.tui.output.import_label import unproven_line
from tallystick.tui.output.values import day_words, period_words, state_builtins, world_words


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
                        **state_builtins(snapshot, item.evaluation),
                        "late_seconds": None if item.late is None else item.late.total_seconds(),
                        "superseded": item.superseded,
                    }
                    for item in found.known
                ],
                "slices": [
                    {"handle": f"slice:{state.slice}", **state_builtins(snapshot, state)} for state in found.slices
                ],
                "models": [
                    {"handle": f"model:{state.model}", **state_builtins(snapshot, state)} for state in found.models
                ],
                "periods": [
                    {
                        "handle": f"period:{state.period}",
                        **state_builtins(snapshot, state),
                        "late_seconds": None if (late := _late(state)) is None else late.total_seconds(),
                    }
                    for state in found.periods
                ],
            }
            print_json("tally.know/1", content)
            return
        head_line(snapshot, as_of)
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
            when = f"{day_words(watched.monitored_at, book.zone)}{'' if late is None else f', {late_words(late)}'}"
            click.echo(wrap(f"watched on {when}: {watched.model}: {watched.headline} [{watched.status}]"))
        for state in found.slices:
            held = world_words(snapshot, state.pipeline, state.period) if state.period else "rows of it"
            taken = day_words(state.taken_at, book.zone)
            click.echo(wrap(f"slice {state.slice} holds {held}: {count(state.rows, 'row')}, taken {taken}"))
        for model in found.models:
            meant = world_words(book.now(), model.pipeline, model.intended_for) if model.intended_for else ""
            click.echo(wrap(f"model {model.model} ({model.status}) is intended for {meant}"))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _late(watched: PeriodState) -> dt.timedelta | None:
    """From the end of a watched period to when somebody looked."""
    return None if watched.about is None else watched.monitored_at - watched.about[1]
