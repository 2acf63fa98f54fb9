"""`tally verify` and `tally receipt`."""

from __future__ import annotations

from pathlib import Path

import click

from tallystick.ledger.opening import ledger_folder
from tallystick.ledger.tlog.note import parse_receipt
from tallystick.ledger.verify.report import Asked, Verdict
from tallystick.ledger.verify.verify import verify
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import exit_with, open_ledger
from tallystick.tui.cli.options import json_option, ledger_option
from tallystick.tui.cli.receipts import (
    line_of_receipt,
    newest_note,
    policy_option,
    read_policy,
    read_receipt,
    shared_option,
)
from tallystick.tui.output.console import clock_line, print_json
from tallystick.tui.output.progress import ProgressBar
from tallystick.tui.output.verdict import verdict_json, verdict_text


@tally.command("verify")
@click.option(
    "--against",
    "receipts",
    multiple=True,
    metavar="RECEIPT",
    help="A receipt kept elsewhere: a file, the line itself, or - for standard input. May be given again.",
)
@click.option("--since-last", is_flag=True, help="Read only what is newer than your last verification; exit code 4.")
@click.option("--full", is_flag=True, hidden=True, help="Read everything, as is the default by now.")
@click.option("--read-data", is_flag=True, help="Hash every artifact, instead of looking for it and its size.")
@click.option(
    "--require-anchor",
    is_flag=True,
    help="Exit code 3 unless a cosignature (--policy) or a receipt (--against) covers all.",
)
@click.option(
    "--against-segments",
    "segments",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Compare with the sealed segments in this folder.",
)
@click.option(
    "--backup-of",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The ledger that this is a copy of: then it may lack the newest commits, if that one continues it.",
)
@policy_option
@shared_option
@click.option("--workers", type=click.IntRange(1, 64), help="Processes to share the work [default: one a processor].")
@ledger_option
@json_option
def verify_command(
    receipts: tuple[str, ...],
    since_last: bool,
    full: bool,
    read_data: bool,
    require_anchor: bool,
    segments: Path | None,
    backup_of: Path | None,
    policy_path: Path | None,
    shared: Path | None,
    workers: int | None,
    ledger_path: Path | None,
    as_json: bool,
) -> None:
    """Check every event, commit, signature, artifact and view, and what outside vouches for them.

    Exit code 0: verified. 1: something contradicts; the first line says what. 2: nothing could be checked.
    3: verified, but less than was asked for (an anchor, a quorum, an artifact). 4: not everything was read.

    Everything is read, however large the ledger is. --since-last leaves out what your last verification has read, and
    says so: somebody may have changed it since.
    """
    if since_last and full:
        raise click.UsageError("--full reads everything, --since-last does not: give one of them.")
    asked = Asked(
        since_last=since_last,
        read_data=read_data,
        against=[parse_receipt(read_receipt(text)) for text in receipts],
        require_anchor=require_anchor,
        policy=read_policy(policy_path),
        shared=shared,
        segments=segments,
        backup_of=None if backup_of is None else ledger_folder(backup_of),
        workers=workers,
    )
    with open_ledger(ledger_path, for_verification=True) as book, ProgressBar() as bar:
        verdict = verify(book, asked, progress=bar)
    if as_json:
        print_json("tally.verify/1", verdict_json(verdict))
    else:
        print_verdict(verdict)
    exit_with(verdict.exit_code)


def print_verdict(verdict: Verdict) -> None:
    """The verdict on standard output."""
    for line, bold in verdict_text(verdict):
        click.secho(line, bold=bold)


@tally.command("receipt")
@click.option("--note", "as_note", is_flag=True, help="The whole signed note instead of the one line.")
@click.option("--git", "to_git", is_flag=True, help="Also commit it to receipts.txt in the git repository here.")
@ledger_option
@json_option
def receipt_command(as_note: bool, to_git: bool, ledger_path: Path | None, as_json: bool) -> None:
    """Print the signed state of the ledger. Kept elsewhere, it is the other half of the stick.

    Paste it into a ticket, a mail, a git commit. `tally verify --against` later proves that nothing which it
    covers was changed.
    """
    from tallystick.ledger.publish.anchors import commit_receipt

    with open_ledger(ledger_path) as book:
        note = newest_note(book)
        commit = commit_receipt(book, line_of_receipt(note)) if to_git else None
        if not as_json:
            clock_line(book)
        if as_json:
            print_json("tally.receipt/1", {"line": line_of_receipt(note), "note": note, "git": commit})
        elif as_note:
            click.echo(note, nl=False)
        else:
            click.echo(line_of_receipt(note))
        if commit and not as_json:
            click.echo(f"committed to receipts.txt as {commit[:12]}; push it, and compare it there later", err=True)
