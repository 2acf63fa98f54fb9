"""`tally promote`: a person puts a model in charge."""

from __future__ import annotations

from pathlib import Path

import click

from ledger import vocabulary as say
from ledger.errors import InvalidInput, Refused
from ledger.ledger import Draft
from tui.cli import json_option, ledger_option, open_ledger, tally
from tui.page import print_json
from tui.show import show
from tui.trust import print_receipt, receipt_json


@tally.command("promote")
@click.argument("model")
@click.option("--reason", required=True, help="Why, in words that will be read in a year.")
@ledger_option
@json_option
def promote_command(model: str, reason: str, ledger_path: Path | None, as_json: bool) -> None:
    """Make MODEL the champion of its pipeline. A run never does this by itself."""
    reason = reason.strip()
    if not reason:
        raise InvalidInput("A promotion needs a reason.", 'Say it: --reason "lowest worst quarter, two reviewers"')
    with open_ledger(ledger_path) as book:
        now = book.now()
        state = now.model(model)
        champion = now.champion(state.pipeline)
        if champion is not None and champion.model == state.model:
            raise Refused(f"{state.model} is the champion of {state.pipeline} already.", "Nothing was recorded.")
        run = now.run(state.made_by_run)
        chosen_here = run.status == "finished" and run.model == state.model
        body = say.ModelPromoted(
            model=state.model,
            pipeline=state.pipeline,
            previous=champion.model if champion else None,
            run=run.run,
            decision=run.decision if chosen_here else None,
            reason=reason,
        )
        made = book.log.event(state.seq).id.hex()
        # `expected` makes two people who promote at the same moment a conflict instead of a surprise.
        pipeline = f"pipeline:{state.pipeline}"
        appended = book.append(
            Draft(body, cause=(made,)), expected={pipeline: book.log.last_seq_of(pipeline)}, sign=True
        )
        handle = book.commit_handle(appended.n)
        if as_json:
            print_json(
                "tally.promote/1",
                {
                    "pipeline": state.pipeline,
                    "model": {"handle": f"model:{state.model}", "name": state.model},
                    "previous": None if champion is None else {"handle": f"model:{champion.model}"},
                    "reason": reason,
                    "commit": handle,
                    "receipt": receipt_json(book),
                },
            )
            return
        instead = f" instead of {show(champion.model)}" if champion else ""
        click.echo(f"{show(state.model)} is now the champion of {show(state.pipeline)}{instead} ({handle}).")
        click.echo(f"Reason: {show(reason)}")
        print_receipt(book)
