"""`tally answer`: say why a feature that a run asked about is known in time."""

from __future__ import annotations

from pathlib import Path

import click

from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import open_ledger
from tallystick.tui.cli.options import json_option, ledger_option
from tallystick.tui.cli.receipts import print_receipt
from tallystick.tui.output.console import print_json, wrap
from tallystick.tui.output.escape import show


@tally.command("answer")
@click.argument("run")
@click.argument("feature")
@click.option("--why", required=True, help="Where the value comes from, and when it is known; at least 20 characters.")
@click.option("--second", metavar="NAME", help="Who agrees; needed where the feature looks like the answer itself.")
@ledger_option
@json_option
def answer_command(
    run: str, feature: str, why: str, second: str | None, ledger_path: Path | None, as_json: bool
) -> None:
    """Say why FEATURE, which RUN asked about, is known when the prediction is made.

    The answer is recorded under your name and holds for later runs of the pipeline too, until the feature tells much
    more than now. It is refused after a look at the sealed windows. An answer that stands in the pipeline file,
    [leakage.explained.FEATURE], does the same and comes before the run.
    """
    from tallystick.pipeline.governance.answers import answer

    with open_ledger(ledger_path, records=True) as book:
        body, still_open, appended = answer(book, run, feature, why=why, second=second)
        commit = book.commit_handle(appended.n)
        if as_json:
            content = {
                "run": body.run, "feature": body.subject, "checks": body.checks, "why": body.why, "by": body.by,
                "second": body.second, "open_because": still_open, "commit": commit,
            }  # fmt: skip
            print_json("tally.answer/1", content)
            return
        click.echo(wrap(f"Recorded in {commit}: {show(body.by)} says why {show(body.subject)} is known in time."))
        if still_open:
            click.echo(wrap(f"The question stays open. {show(still_open)}"))
        print_receipt(book)
