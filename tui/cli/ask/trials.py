"""`tally trials`: what notebooks and training loops recorded."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from tallystick import ledger
from tallystick.ledger.errors import NotFound
from tallystick.ledger.query.belongings import belongings
from tallystick.ledger.views.entities import TrialState
from tallystick.tui.cli.answer import head_line, snapshot_of
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import open_ledger
from tallystick.tui.cli.options import as_of_option, axis_option, json_option, ledger_option
from tallystick.tui.output.console import as_of_json, print_json, table
from tallystick.tui.output.import_label import unproven_line
from tallystick.tui.output.values import moment_words


@tally.command("trials")
@click.option("--best", metavar="NAME", help="Order by the last value of this number, smallest first.")
@click.option("--largest", is_flag=True, help="With --best: largest first.")
@click.option("-n", "--number", type=click.IntRange(1), default=50, show_default=True, help="How many.")
@ledger_option
@as_of_option
@axis_option
@json_option
def trials_command(
    best: str | None,
    largest: bool,
    number: int,
    ledger_path: Path | None,
    as_of: str | None,
    axis: str,
    as_json: bool,
) -> None:
    """What notebooks and training loops tried (`with tallystick.run(…)` in Python), newest first."""
    with open_ledger(ledger_path) as book:
        snapshot = snapshot_of(book, as_of, axis)
        trials = snapshot.trials()[::-1]
        numbers: dict[str, dict[str, float]] = {}
        for metric in snapshot.trial_metrics():
            numbers.setdefault(metric.trial, {})[metric.name] = metric.value
        if best:
            names = {name for last in numbers.values() for name in last}
            if trials and best not in names:
                raise NotFound(
                    f"No trial measured {best!r}.", f"They measured {', '.join(sorted(names)) or 'nothing'}."
                )
            measured = [trial for trial in trials if best in numbers.get(trial.trial, {})]
            trials = sorted(measured, key=lambda trial: numbers[trial.trial][best], reverse=largest)
        trials = trials[:number]
        if as_json:
            listed = [
                {"handle": f"trial:{trial.trial}", **msgspec.to_builtins(trial), **belongings(snapshot, trial)}
                for trial in trials
            ]
            print_json("tally.trials/1", {"as_of": as_of_json(snapshot.as_of, book), "trials": listed})
            return
        head_line(snapshot, as_of)
        unproven_line(snapshot)
        if not trials:
            click.echo(
                "There are no trials yet. In Python: with tallystick.run('name') as run: run.log(loss=…)", err=True
            )
            return
        shown = [best] if best else sorted({name for trial in trials for name in numbers.get(trial.trial, {})})[:4]
        headers = ("trial", "state", "by", "began", *shown, "parameters")
        table(headers, [_row(trial, numbers.get(trial.trial, {}), shown, book) for trial in trials])


def _row(trial: TrialState, last: dict[str, float], shown: list[str], book: ledger.Ledger) -> tuple[object, ...]:
    numbers = [None if name not in last else f"{last[name]:.6g}" for name in shown]
    params = ", ".join(f"{name}={value}" for name, value in trial.params.items())
    return (trial.trial, trial.status, trial.by, moment_words(trial.started_at, book.zone), *numbers, params)
