"""`tally final-test` and `tally refit`: what goes back to the data of a run that is over."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from tallystick.ledger.system.processors import cores
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import exit_with, name_code, open_ledger
from tallystick.tui.cli.options import json_option, ledger_option
from tallystick.tui.cli.receipts import print_receipt, receipt_json
from tallystick.tui.output.console import print_json, wrap
from tallystick.tui.output.escape import show
from tallystick.tui.output.progress import ProgressBar

FILE_OPTION = click.option(
    "--data",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE.toml",
    help="The pipeline file, for where its data is today [default: looked for here and below].",
)


@tally.command("final-test")
@click.argument("model")
@FILE_OPTION
@click.option("--workers", type=click.IntRange(1), help="Processes that fit at the same time [default: the cores].")
@ledger_option
@json_option
def final_test_command(
    model: str, file: Path | None, workers: int | None, ledger_path: Path | None, as_json: bool
) -> None:
    """Look at the sealed windows for MODEL, as often as its pipeline file allows; every look is recorded first.

    Its recipe and the reference are fitted walk-forward, as in a run. A look beyond the budget is refused. Ends with 1
    where the model fell further than its gate allows.
    """
    with open_ledger(ledger_path, records=True) as book, ProgressBar() as progress:
        from tallystick.pipeline.runs.final_test import look

        command, code = shlex.join(["tally", *sys.argv[1:]]), name_code()
        announced, body, gate = look(
            book, model, command=command, file=file, workers=workers or cores(), on_progress=progress
        )
        progress.close()
        if as_json:
            content = {
                "look": {"handle": f"look:{announced.look}", "number": announced.number, "budget": announced.budget},
                "model": {"handle": f"model:{body.model}"},
                "windows": body.windows,
                "gain": body.gain,
                "development_gain": body.development_gain,
                "standard_error": body.standard_error,
                "drop": body.drop,
                "discount": body.discount,
                "discounted": body.discounted,
                "sentence": body.sentence,
                "gate": None if gate is None else {"verdict": gate.verdict, "sentence": gate.sentence},
                "code": code,
                "receipt": receipt_json(book),
            }
            print_json("tally.final-test/1", content)
            exit_with(1 if gate is not None and gate.verdict == "failed" else 0)
        from tallystick.pipeline.evaluate.metric_words import signed_gain

        click.secho(wrap(body.sentence), bold=True)
        for window in body.windows:
            gain = "no number" if window.gain is None else signed_gain(window.gain, str(body.facts.get("metric")))
            click.echo(f"  {show(window.label)}  {window.test_rows:,} rows  {gain}")
        if gate is not None:
            click.echo(wrap(f"gate final_test {gate.verdict}: asked is {gate.threshold}", "  "))
        print_receipt(book)
        exit_with(1 if gate is not None and gate.verdict == "failed" else 0)


@tally.command("refit")
@click.argument("run")
@click.argument("candidate")
@click.option("--reason", required=True, help="Why this one, where the rule chose otherwise.")
@FILE_OPTION
@ledger_option
@json_option
def refit_command(
    run: str, candidate: str, reason: str, file: Path | None, ledger_path: Path | None, as_json: bool
) -> None:
    """Make a model of a CANDIDATE that RUN judged and its rule did not choose, to put it forward.

    Its gates are evaluated at once. The override is recorded, with actor and reason.
    """
    with open_ledger(ledger_path, records=True) as book:
        from tallystick.pipeline.runs.propose import propose

        code = name_code()
        made = propose(book, run, candidate, reason, file)
        commit = book.commit_handle(made.appended.n)
        if as_json:
            content = {
                "model": {"handle": f"model:{made.body.model}", "name": made.body.model},
                "run": made.body.run,
                "candidate": made.body.candidate,
                "chosen": made.proposal.chosen,
                "reason": made.proposal.reason,
                "gates": [
                    {"name": gate.name, "verdict": gate.verdict, "sentence": gate.sentence} for gate in made.gates
                ],
                "commit": commit,
                "code": code,
                "receipt": receipt_json(book),
            }
            print_json("tally.refit/1", content)
            return
        rule = f"the rule chose {made.proposal.chosen}" if made.proposal.chosen else "the rule chose nobody"
        click.echo(f"{show(made.body.model)} is {show(candidate)} of run {show(run)}, where {show(rule)} ({commit}).")
        for gate in made.gates:
            click.echo(wrap(f"{gate.name} {gate.verdict}: {gate.sentence}", "  "))
        print_receipt(book)
