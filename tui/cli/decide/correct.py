"""`tally correct`: an event that does not count any more."""

from __future__ import annotations

from pathlib import Path

import click

from tallystick.ledger.amend.correction import correct
from tallystick.ledger.errors import InvalidInput
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import open_ledger
from tallystick.tui.cli.options import json_option, ledger_option
from tallystick.tui.cli.receipts import print_receipt, receipt_json
from tallystick.tui.output.changes import change_words
from tallystick.tui.output.console import print_json, wrap
from tallystick.tui.output.escape import show


@tally.command("correct")
@click.argument("handle")
@click.option("--reason", required=True, help="Why it does not count, in words that will be read in a year.")
@ledger_option
@json_option
def correct_command(handle: str, reason: str, ledger_path: Path | None, as_json: bool) -> None:
    """Say that the event HANDLE (#12) does not count any more. Nothing is taken away.

    From now on everything is as if it had not been recorded; at earlier dates it is there as it was. A correction is
    an event, too, and can be corrected. Only evidence can: a promotion, a retirement, a waiver, an approval and a
    change of automation are undone by a new decision, and the refusal names the command.
    """
    if not reason.strip():
        raise InvalidInput("A correction needs a reason.", 'Say it: --reason "measured on the wrong slice"')
    with open_ledger(ledger_path, records=True) as book:
        before = book.now()
        seq = before.position_of(handle)
        appended = correct(book, seq, reason.strip())
        from tallystick.pipeline.governance.reopened import difference_that_counts

        after = book.now()
        changes = difference_that_counts(before, after, before.diff(after)).changes
        changed = [change for change in changes if change.kind != "correction"]
        if as_json:
            content = {
                "event": {"handle": before.event_handle(seq)},
                "reason": reason.strip(),
                "changed": [change.handle for change in changed],
                "commit": book.commit_handle(appended.n),
                "receipt": receipt_json(book),
            }
            print_json("tally.correct/1", content)
            return
        click.echo(wrap(f"From now on #{seq} does not count ({book.commit_handle(appended.n)})."))
        click.echo(wrap(f"It said: {show(before.event(seq).sentence, 400)}"))
        for change in changed:
            click.echo(wrap(change_words(change, book.now()), "  "))
        if not changed:
            click.echo("  No state of any entity followed from it.")
        print_receipt(book)
