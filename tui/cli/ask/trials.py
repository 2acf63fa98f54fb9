"""`tally trials`: what notebooks and training loops recorded."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from tallystick.ledger.errors import NotFound
from tallystick.ledger.query.belongings import belongings
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.query.trials import number_of
from tallystick.ledger.tracking.presence import ended_without_a_word, status_words
from tallystick.ledger.views.entities import TrialState
from tallystick.tui.cli.answer import head_line, snapshot_of
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import open_ledger
from tallystick.tui.cli.options import as_of_option, axis_option, json_option, ledger_option
from tallystick.tui.output.console import as_of_json, print_json, table
from tallystick.tui.output.import_label import unproven_line
from tallystick.tui.output.values import moment_words


@tally.command("trials")
@click.option(
    "--where",
    metavar="CONDITION",
    help="Only trials for which it holds: 'loss < 0.5 and params.depth = 4'. Metrics by their names, params.NAME, "
    "tags.NAME, name, status, user, experiment.",
)
@click.option(
    "--best", metavar="METRIC", help="Order by the newest value of this metric, smallest first; NaN comes last."
)
@click.option("--largest", is_flag=True, help="With --best: largest first.")
@click.option("-n", "--number", type=click.IntRange(1), default=50, show_default=True, help="How many.")
@ledger_option
@as_of_option
@axis_option
@json_option
def trials_command(
    where: str | None,
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
        trials = snapshot.trials(where)[::-1]
        numbers: dict[str, dict[str, float]] = {}
        for metric in snapshot.trial_metrics():
            if metric.model is None:
                numbers.setdefault(metric.trial, {})[metric.name] = number_of(metric)
        if best:
            names = {name for last in numbers.values() for name in last}
            if trials and best not in names:
                raise NotFound(
                    f"No trial measured {best!r}.", f"They measured {', '.join(sorted(names)) or 'nothing'}."
                )
            ordered = snapshot.trials(where, best, largest_first=largest)
            trials = [trial for trial in ordered if best in numbers.get(trial.trial, {})]
        trials = trials[:number]
        now = as_of is None
        if as_json:
            listed = [
                {
                    "handle": f"trial:{trial.trial}",
                    **msgspec.to_builtins(trial),
                    **belongings(snapshot, trial),
                    "ended_without_a_word": now and ended_without_a_word(trial),
                }
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
        table(headers, [_row(snapshot, trial, numbers.get(trial.trial, {}), shown, now=now) for trial in trials])


def _row(
    snapshot: Snapshot, trial: TrialState, last: dict[str, float], shown: list[str], *, now: bool
) -> tuple[object, ...]:
    numbers = [None if name not in last else f"{last[name]:.6g}" for name in shown]
    params = ", ".join(f"{name}={value}" for name, value in snapshot.trial_params(trial.trial).items())
    return (
        trial.trial,
        status_words(trial, now=now),
        trial.by,
        moment_words(trial.started_at, snapshot.zone),
        *numbers,
        params,
    )
