"""`tally audit` and `tally automation`: what is missing, and what may happen by itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tallystick.tui.cli.answer import head_line, snapshot_of
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import exit_with, open_ledger
from tallystick.tui.cli.options import as_of_option, json_option, ledger_option
from tallystick.tui.cli.receipts import print_receipt, receipt_json
from tallystick.tui.output.console import as_of_json, print_json, wrap
from tallystick.tui.output.escape import show
from tallystick.tui.output.hints import here
from tallystick.tui.output.import_label import unproven_line

if TYPE_CHECKING:
    from tallystick.pipeline.governance.automation import Level


@tally.command("audit")
@ledger_option
@as_of_option
@json_option
def audit_command(ledger_path: Path | None, as_of: str | None, as_json: bool) -> None:
    """What should be in the ledger and is not. Ends with 1 where something is missing.

    Models that decide without evaluation or decision, past their validity, or on an exception that is over; runs
    without a slice or an end; periods that nobody watched; gates that the configuration asks for and that have no
    answer; exceptions that end within two weeks.
    """
    from tallystick.pipeline.governance.audit import audit, audit_words

    with open_ledger(ledger_path) as book:
        snapshot = snapshot_of(book, as_of)
        gaps = audit(snapshot, lambda artifact: book.objects.path(artifact).exists())
        missing = any(gap.level == "missing" for gap in gaps)
        if as_json:
            content = {
                "as_of": as_of_json(snapshot.as_of, book),
                "complete": not missing,
                "gaps": [gap._replace(next=here(gap.next))._asdict() for gap in gaps],
            }
            print_json("tally.audit/1", content)
        else:
            head_line(snapshot, as_of)
            click.secho(audit_words(gaps), bold=True)
            for gap in gaps:
                click.echo(wrap(f"[{gap.code}] {gap.sentence}", "  "))
                click.echo(wrap(here(f"next: {gap.next}"), "      "))
        exit_with(1 if missing else 0)


@tally.command("automation")
@click.argument("pipeline")
@click.option("--unlock", type=click.Choice(["suggest", "auto_refit"]), help="Let it do more by itself.")
@click.option("--lock", is_flag=True, help="Give it back to people.")
@click.option("--reason", default="", help="Why.")
@ledger_option
@as_of_option
@json_option
def automation_command(
    pipeline: str,
    unlock: Level | None,
    lock: bool,
    reason: str,
    ledger_path: Path | None,
    as_of: str | None,
    as_json: bool,
) -> None:
    """What PIPELINE may do by itself, and what is missing for more. Nothing is ever promoted by itself."""
    from tallystick.ledger.errors import InvalidInput
    from tallystick.pipeline.governance.automation import automation_of, automation_words, change

    if (unlock or lock) and as_of:
        raise InvalidInput("The past cannot be changed: --unlock and --lock go without --as-of.")
    if unlock and lock:
        raise InvalidInput("Unlock or lock, not both.")
    with open_ledger(ledger_path, records=unlock is not None or lock) as book:
        if unlock or lock:
            changed, appended = change(book, pipeline, unlock or "manual", reason)
            commit = book.commit_handle(appended.n)
            if as_json:
                content = {"pipeline": changed.pipeline, "level": changed.level, "before": changed.before}
                print_json("tally.automation/1", {**content, "commit": commit, "receipt": receipt_json(book)})
                return
            words = f"{changed.pipeline} went from {changed.before} to {changed.level} ({commit})."
            click.echo(show(words))
            print_receipt(book)
            return
        snapshot = snapshot_of(book, as_of)
        standing = automation_of(snapshot, pipeline)
        if as_json:
            document = {
                "as_of": as_of_json(snapshot.as_of, book),
                "pipeline": standing.state.automation,
                "level": standing.state.level,
                "state": standing.state,
                "earliest": standing.earliest,
                "approvers": standing.approvers,
                "missing": standing.missing,
                "words": automation_words(standing, book.zone),
            }
            print_json("tally.automation/1", document)
            return
        head_line(snapshot, as_of)
        unproven_line(snapshot)
        click.echo(wrap(automation_words(standing, book.zone)))
        for words in standing.missing:
            click.echo(wrap(f"missing: {words}", "  "))
