"""`tally reproduce`: a run again, and whether it comes out the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tallystick import ledger
from tallystick.ledger.system.processors import cores
from tallystick.ledger.views.entities import ModelState
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import exit_with, name_code, open_ledger
from tallystick.tui.cli.options import FILE, json_option, ledger_option
from tallystick.tui.cli.receipts import print_receipt, receipt_json
from tallystick.tui.output.console import print_json, wrap
from tallystick.tui.output.escape import show
from tallystick.tui.output.progress import ProgressBar

if TYPE_CHECKING:
    from tallystick.pipeline.runs.reproduce import Reproduced

EXIT_CODES = {"identical": 0, "equal": 0, "different": 1, "cannot compare": 3}
HEADLINES = {
    "identical": "identical",
    "equal": "equal within tolerance, no decision changed",
    "different": "DIFFERENT",
    "cannot compare": "cannot compare",
}
MOST_SHOWN = 8


@tally.command("reproduce")
@click.argument("run")
@click.option(
    "--workers", type=click.IntRange(1), help="Processes that fit at the same time [default: the cores here]."
)
@click.option("--data", type=FILE, metavar="FILE.toml", help="A pipeline file that says where the data is today.")
@ledger_option
@json_option
def reproduce_command(
    run: str, workers: int | None, data: Path | None, ledger_path: Path | None, as_json: bool
) -> None:
    """Do RUN, or the run that made a model, again from what was registered, and compare.

    The data is read from where the pipeline file said, seen from the ledger's folder or this one; --data names a
    pipeline file whose sources are read instead. The verdict is recorded. It ends with 0 where the run is identical
    or equal within tolerance, with 1 where it is different, with 3 where it cannot be compared.
    """
    from tallystick.pipeline.runs.reproduce import reproduce

    with ProgressBar() as progress, open_ledger(ledger_path, records=True) as book:
        code, made = name_code(), book.now().find(run)
        name = made.made_by_run if isinstance(made, ModelState) else run
        done = reproduce(book, name, workers=workers or cores(), data=data, on_progress=progress)
        progress.close()
        if as_json:
            print_json("tally.reproduce/1", {**_json(done, book), "code": code})
        else:
            _print(done, book)
        exit_with(EXIT_CODES[done.body.verdict])


def _print(done: Reproduced, book: ledger.Ledger) -> None:
    body = done.body
    click.secho(f"Run {show(body.run)} done again: {HEADLINES[body.verdict]}", bold=True)
    click.echo(wrap(body.sentence, "  "))
    for remark in done.remarks:
        click.echo(wrap(remark, "  "))
    if body.verdict == "different" and body.missing:
        for words in body.missing:
            click.echo(wrap(words, "  "))
    where = "the environment is the same" if not done.environment_changes else "the environment is another one"
    click.echo(wrap(f"{where[0].upper()}{where[1:]} ({show(body.environment)}).", "  "))
    for change in done.environment_changes[:MOST_SHOWN]:
        click.echo(wrap(f"· {change}", "    "))
    if len(done.environment_changes) > MOST_SHOWN:
        click.echo(f"    and {len(done.environment_changes) - MOST_SHOWN} more: --json")
    click.echo(f"recorded in {done.commit} as {show(body.reproduction)}")
    print_receipt(book)


def _json(done: Reproduced, book: ledger.Ledger) -> dict[str, Any]:
    body = done.body
    return {
        "reproduction": {"handle": f"reproduction:{body.reproduction}", "name": body.reproduction},
        "run": {"handle": f"run:{body.run}", "name": body.run},
        "environment": {"handle": f"environment:{body.environment}", "name": body.environment},
        "verdict": body.verdict,
        "sentence": body.sentence,
        "remarks": done.remarks,
        "workers": body.workers,
        "tolerance": body.tolerance,
        "result_hash": body.result_hash,
        "largest_difference": body.largest_difference,
        "changed_decisions": body.changed_decisions,
        "first_window": body.first_window,
        "first_candidate": body.first_candidate,
        "missing": body.missing,
        "facts": body.facts,
        "commit": done.commit,
        "receipt": receipt_json(book),
    }
