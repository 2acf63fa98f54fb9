"""Receipts and policies as arguments of a command and in its answer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput, NotFound
from tallystick.ledger.events.sentences import count
from tallystick.ledger.query.checkpoints import newest_checkpoint
from tallystick.ledger.tlog.note import parse_receipt, receipt_line
from tallystick.ledger.tlog.policy import Policy, parse_policy
from tallystick.tui.output.console import wrap

LARGEST_RECEIPT_BYTES = 1 << 20
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


def newest_note(book: ledger.Ledger) -> str:
    """A checkpoint of everything where this account can sign; else the newest that somebody signed."""
    try:
        return book.checkpoint()
    except NotFound as error:
        newest = newest_checkpoint(book.now())
        if newest is None:
            raise
        left = book.size() - newest.size
        click.echo(wrap(f"Not covered: the newest {count(left, 'commit')}. {error.message}"), err=True)
        return newest.note


def line_of_receipt(note: str) -> str:
    return receipt_line(parse_receipt(note).checkpoint)


def receipt_json(book: ledger.Ledger) -> dict[str, Any] | None:
    """The newest receipt of a ledger for a JSON answer; None where this account cannot sign."""
    try:
        note = book.checkpoint()
    except NotFound:
        return None
    return {"line": line_of_receipt(note), "note": note}


def print_receipt(book: ledger.Ledger) -> None:
    """The receipt after something was recorded."""
    try:
        click.echo(line_of_receipt(book.checkpoint()))
    except NotFound as error:
        click.echo(wrap(f"Recorded, but not signed: {error.message} {error.hint}"), err=True)
