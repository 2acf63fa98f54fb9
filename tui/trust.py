"""`tally verify` and `tally receipt`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

import ledger
from ledger.errors import InvalidInput, NotFound
from ledger.note import VerifierKey, open_checkpoint, parse_receipt, receipt_line
from ledger.verify import Verdict, verify
from ledger.words import count
from tui.cli import exit_with, json_option, ledger_option, open_ledger, tally
from tui.page import print_json, wrap
from tui.progress import Bar
from tui.show import show

LARGEST_RECEIPT_BYTES = 1 << 20


@tally.command("verify")
@click.option(
    "--against",
    "receipts",
    multiple=True,
    metavar="RECEIPT",
    help="A receipt kept elsewhere: a file, the line itself, or - for standard input. May be given again.",
)
@ledger_option
@json_option
def verify_command(receipts: tuple[str, ...], ledger_path: Path | None, as_json: bool) -> None:
    """Check every event, commit, signature, artifact and view.

    Exit code 0: verified. 1: something contradicts; the first line says what. 2: nothing could be checked.
    """
    checkpoints = [parse_receipt(_read_receipt(text)).checkpoint for text in receipts]
    with open_ledger(ledger_path) as book, Bar() as bar:
        verdict = verify(book, against=checkpoints, progress=bar)
    if as_json:
        print_json("tally.verify/1", _verdict_json(verdict))
    else:
        print_verdict(verdict)
    exit_with(0 if verdict.verified else 1)


def _verdict_json(verdict: Verdict) -> dict[str, Any]:
    return {
        "verdict": "VERIFIED" if verdict.verified else verdict.findings[0].kind,
        "verified": verdict.verified,
        "origin": verdict.origin,
        "commits": verdict.commits,
        "events": verdict.events,
        "anchored": verdict.anchored,
        "trusted": verdict.trusted,
        "findings": verdict.findings,
        "checks": [{"part": part, "result": result} for part, result in verdict.lines],
    }


def print_verdict(verdict: Verdict) -> None:
    """The verdict as text: on failure first, with the first bad place; on success last."""
    if not verdict.verified:
        first = verdict.findings[0]
        click.secho(f"NOT VERIFIED: {first.kind} at {show(first.where)}", bold=True)
        for index, finding in enumerate(verdict.findings[:10]):
            click.echo(wrap(finding.words if index == 0 else f"{finding.kind}: {finding.words}", "  "))
            if finding.expected:
                click.echo(f"    expected {show(finding.expected)}")
            if finding.actual:
                click.echo(f"    found    {show(finding.actual)}")
            if finding.next:
                click.echo(wrap(finding.next, "    "))
        if len(verdict.findings) > 10:
            click.echo(f"  … and {len(verdict.findings) - 10} more (--json lists all)")
        click.echo(wrap(f"Still trusted: {verdict.trusted}", "  "))
        click.echo()
    for part, result in verdict.lines:
        click.echo(f"{part:<9}{show(result)}")
    if verdict.verified:
        anchor = "" if verdict.anchored else "; nothing outside this account vouches for it: rollback NOT excluded"
        click.secho(f"VERDICT  VERIFIED{anchor}", bold=True)


def _read_receipt(text: str) -> str:
    if text == "-":
        return sys.stdin.read(LARGEST_RECEIPT_BYTES)
    if text.startswith("receipt "):
        return text
    try:
        with Path(text).open(encoding="utf-8", errors="replace") as file:
            return file.read(LARGEST_RECEIPT_BYTES)
    except OSError as error:
        raise InvalidInput(
            f"The receipt {text} cannot be read: {error.strerror}.",
            "Give a file, the line that begins with `receipt`, or - for standard input.",
        ) from error


@tally.command("receipt")
@click.option("--note", "as_note", is_flag=True, help="The whole signed note instead of the one line.")
@ledger_option
@json_option
def receipt_command(as_note: bool, ledger_path: Path | None, as_json: bool) -> None:
    """Print the signed state of the ledger. Kept elsewhere, it is the other half of the stick.

    Paste it into a ticket, a mail, a git commit. `tally verify --against` later proves that nothing which it
    covers was changed.
    """
    with open_ledger(ledger_path) as book:
        note = _newest_note(book)
        if as_json:
            print_json("tally.receipt/1", {"line": _line(book, note), "note": note})
        elif as_note:
            click.echo(note, nl=False)
        else:
            click.echo(_line(book, note))


def _newest_note(book: ledger.Ledger) -> str:
    """A checkpoint of everything where this account can sign; else the newest that somebody signed."""
    try:
        return book.checkpoint()
    except NotFound as error:
        newest = book.log.newest_checkpoint()
        if newest is None:
            raise
        left = book.log.size() - newest[0]
        click.echo(wrap(f"Not covered: the newest {count(left, 'commit')}. {error.message}"), err=True)
        return newest[1]


def _line(book: ledger.Ledger, note: str) -> str:
    return receipt_line(open_checkpoint(note, VerifierKey.parse(book.genesis.verifier_key)))


def receipt_json(book: ledger.Ledger) -> dict[str, Any] | None:
    """The newest receipt of a ledger for a JSON answer; None where this account cannot sign."""
    try:
        note = book.checkpoint()
    except NotFound:
        return None
    return {"line": _line(book, note), "note": note}


def print_receipt(book: ledger.Ledger) -> None:
    """The receipt after something was recorded."""
    try:
        click.echo(_line(book, book.checkpoint()))
    except NotFound as error:
        click.echo(wrap(f"Recorded, but not signed: {error.message} {error.hint}"), err=True)
