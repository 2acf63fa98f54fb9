"""`tally verify` and `tally receipt`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput, NotFound
from tallystick.ledger.events.sentences import count
from tallystick.ledger.opening import ledger_folder
from tallystick.ledger.tlog.note import parse_receipt, receipt_line
from tallystick.ledger.tlog.policy import Policy, parse_policy
from tallystick.ledger.verify.report import Asked, Verdict
from tallystick.ledger.verify.verify import verify
from tallystick.tui.cli.main import exit_with, json_option, ledger_option, open_ledger, tally
from tallystick.tui.output.console import clock_line, print_json, wrap
from tallystick.tui.output.escape import show
from tallystick.tui.output.progress import Bar

LARGEST_RECEIPT_BYTES = 1 << 20
MOST_FINDINGS = 10

policy_option = click.option(
    "--policy",
    "policy_path",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="TALLY_POLICY",
    help="File of trusted keys and witnesses, c2sp.org/tlog-policy [or TALLY_POLICY].",
)
shared_option = click.option(
    "--shared",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="TALLY_SHARED",
    help="Folder that a team shares for its marks [or TALLY_SHARED, which also leaves yours there].",
)


@tally.command("verify")
@click.option(
    "--against",
    "receipts",
    multiple=True,
    metavar="RECEIPT",
    help="A receipt kept elsewhere: a file, the line itself, or - for standard input. May be given again.",
)
@click.option("--full", is_flag=True, help="Read everything again, also what you verified before.")
@click.option("--read-data", is_flag=True, help="Hash every artifact, instead of looking for it and its size.")
@click.option("--require-anchor", is_flag=True, help="Exit code 3 where the newest events are not anchored outside.")
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
    3: verified, but less than was asked for (an anchor, a quorum, an artifact).

    A ledger of more than 200,000 events is read from where your last verification ended; --full reads all of it.
    """
    asked = Asked(
        full=full,
        read_data=read_data,
        against=[parse_receipt(read_receipt(text)) for text in receipts],
        require_anchor=require_anchor,
        policy=read_policy(policy_path),
        shared=shared,
        segments=segments,
        backup_of=None if backup_of is None else ledger_folder(backup_of),
        workers=workers,
    )
    with open_ledger(ledger_path, for_verification=True) as book, Bar() as bar:
        verdict = verify(book, asked, progress=bar)
    if as_json:
        print_json("tally.verify/1", verdict_json(verdict))
    else:
        print_verdict(verdict)
    exit_with(verdict.exit_code)


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict for programs."""
    return {
        "verdict": "VERIFIED" if verdict.verified else verdict.findings[0].kind,
        "verified": verdict.verified,
        "exit_code": verdict.exit_code,
        "origin": verdict.origin,
        "commits": verdict.commits,
        "events": verdict.events,
        "read_from": verdict.read_from,
        "anchored_commits": verdict.anchored,
        "unanchored_events": verdict.unanchored_events,
        "unsigned_commits": verdict.unsigned_commits,
        "trusted": verdict.trusted,
        "findings": verdict.findings,
        "warnings": verdict.warnings,
        "shortfalls": verdict.shortfalls,
        "checks": [{"part": part, "result": result} for part, result in verdict.lines],
    }


def print_verdict(verdict: Verdict) -> None:
    """The verdict on standard output."""
    for line, bold in verdict_text(verdict):
        click.secho(line, bold=bold)


def verdict_text(verdict: Verdict) -> Iterator[tuple[str, bool]]:
    """The verdict line by line, and whether a line is the verdict itself: on failure first, with the first bad place;
    on success last."""
    if not verdict.verified:
        yield from _findings_text(verdict)
    for part, result in verdict.lines:
        yield f"{part:<10}{show(result)}", False
    for warning in verdict.warnings:
        yield wrap(f"note: {warning}"), False
    for shortfall in verdict.shortfalls:
        yield wrap(f"short of what was asked: {shortfall}"), False
    if verdict.verified:
        yield f"VERDICT   {_verdict_words(verdict)}", True


def _verdict_words(verdict: Verdict) -> str:
    said = "VERIFIED" + (", but less than was asked for" if verdict.shortfalls else "")
    if verdict.read_from:
        said += f" from c{verdict.read_from} on"
    if verdict.unsigned_commits:
        said += f"; the newest {count(verdict.unsigned_commits, 'commit')} NOT signed"
    if not verdict.anchored:
        return f"{said}; nothing outside this account vouches for it: rollback NOT excluded"
    if not verdict.unanchored_events:
        return f"{said}; anchored outside up to the newest event"
    return f"{said}; the newest {count(verdict.unanchored_events, 'event')} not yet anchored outside"


def _findings_text(verdict: Verdict) -> Iterator[tuple[str, bool]]:
    first = verdict.findings[0]
    yield f"NOT VERIFIED: {first.kind} at {show(first.where)}", True
    for index, finding in enumerate(verdict.findings[:MOST_FINDINGS]):
        yield wrap(finding.words if index == 0 else f"{finding.kind}: {finding.words}", "  "), False
        if finding.expected:
            yield f"    expected {show(finding.expected)}", False
        if finding.actual:
            yield f"    found    {show(finding.actual)}", False
        for line in finding.proof:
            yield f"    {show(line)}", False
        if finding.next:
            yield wrap(f"Next: {finding.next}", "    "), False
    if len(verdict.findings) > MOST_FINDINGS:
        yield f"  … and {len(verdict.findings) - MOST_FINDINGS} more (--json lists all)", False
    yield wrap(f"Still trusted: {'; '.join(verdict.trusted)}.", "  "), False
    yield "", False


def read_receipt(text: str) -> str:
    """The text behind a receipt argument: itself, standard input, or a file."""
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


def read_policy(path: Path | None) -> Policy | None:
    """The policy in a file; None where none is named."""
    if path is None:
        return None
    try:
        return parse_policy(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The policy {path} cannot be read: {error}.") from error


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
        note = _newest_note(book)
        commit = commit_receipt(book, _line(note)) if to_git else None
        if not as_json:
            clock_line(book)
        if as_json:
            print_json("tally.receipt/1", {"line": _line(note), "note": note, "git": commit})
        elif as_note:
            click.echo(note, nl=False)
        else:
            click.echo(_line(note))
        if commit and not as_json:
            click.echo(
                f"committed to receipts.txt as {commit[:12]}; it vouches from outside once it is pushed", err=True
            )


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


def _line(note: str) -> str:
    return receipt_line(parse_receipt(note).checkpoint)


def receipt_json(book: ledger.Ledger) -> dict[str, Any] | None:
    """The newest receipt of a ledger for a JSON answer; None where this account cannot sign."""
    try:
        note = book.checkpoint()
    except NotFound:
        return None
    return {"line": _line(note), "note": note}


def print_receipt(book: ledger.Ledger) -> None:
    """The receipt after something was recorded."""
    try:
        click.echo(_line(book.checkpoint()))
    except NotFound as error:
        click.echo(wrap(f"Recorded, but not signed: {error.message} {error.hint}"), err=True)
