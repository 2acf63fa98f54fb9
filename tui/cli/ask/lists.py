"""`tally runs` and `tally models`: lists."""

from __future__ import annotations

from pathlib import Path

import click

from tallystick import ledger
from tallystick.ledger.views.entities import ModelState
from tallystick.tui.cli.answer import head_line, snapshot_of, state_json
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import open_ledger
from tallystick.tui.cli.options import as_of_option, axis_option, json_option, ledger_option
from tallystick.tui.output.console import as_of_json, print_json, table
from tallystick.tui.output.hints import here
from tallystick.tui.output.import_label import unproven_line
from tallystick.tui.output.values import day_words, minute_words, world_words


@tally.command("runs")
@ledger_option
@as_of_option
@axis_option
@json_option
def runs_command(ledger_path: Path | None, as_of: str | None, axis: str, as_json: bool) -> None:
    """All runs, newest first."""
    with open_ledger(ledger_path) as book:
        snapshot = snapshot_of(book, as_of, axis)
        runs = snapshot.runs()[::-1]
        if as_json:
            content = {
                "as_of": as_of_json(snapshot.as_of, book),
                "runs": [state_json(snapshot, run, f"run:{run.run}") for run in runs],
            }
            print_json("tally.runs/1", content)
            return
        head_line(snapshot, as_of)
        unproven_line(snapshot)
        if not runs:
            click.echo(here("There are no runs yet. Next: tally run FILE.toml"), err=True)
            return
        table(
            ("run", "pipeline", "state", "started", "windows", "result"),
            [
                (
                    run.run,
                    run.pipeline,
                    f"{run.status}, experiment" if run.experiment else run.status,
                    minute_words(run.started_at, book.zone),
                    f"{run.windows_evaluated} of {run.windows}",
                    run.headline or run.failure or "",
                )
                for run in runs
            ],
        )


@tally.command("models")
@ledger_option
@as_of_option
@axis_option
@json_option
def models_command(ledger_path: Path | None, as_of: str | None, axis: str, as_json: bool) -> None:
    """All models with their three times: made when, trained on what, intended for when."""
    with open_ledger(ledger_path) as book:
        snapshot = snapshot_of(book, as_of, axis)
        models = snapshot.models()[::-1]
        if as_json:
            content = {
                "as_of": as_of_json(snapshot.as_of, book),
                "models": [state_json(snapshot, model, f"model:{model.model}") for model in models],
            }
            print_json("tally.models/1", content)
            return
        head_line(snapshot, as_of)
        unproven_line(snapshot)
        if not models:
            click.echo(here("There are no models yet. Next: tally run FILE.toml"), err=True)
            return
        table(
            ("model", "state", "candidate", "made", "trained on", "intended for"),
            [_model_row(model, book) for model in models],
        )


def _model_row(model: ModelState, book: ledger.Ledger) -> tuple[object, ...]:
    periods = [
        world_words(book.now(), model.pipeline, period) if period else ""
        for period in (model.trained_on, model.intended_for)
    ]
    return (
        model.model,
        model.status,
        model.candidate,
        day_words(model.made_at, book.zone),
        *periods,
    )
