"""`tally redact` and `tally seal`."""

from __future__ import annotations

import re
from pathlib import Path

import click

from tallystick.ledger.amend import redaction
from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.sentences import commit_range, count
from tallystick.ledger.publish import segments
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import open_ledger
from tallystick.tui.cli.options import json_option, ledger_option
from tallystick.tui.cli.receipts import print_receipt, receipt_json
from tallystick.tui.output.console import print_json, wrap
from tallystick.tui.output.escape import show
from tallystick.tui.output.progress import ProgressBar


@tally.command("redact")
@click.argument("handle")
@click.option("--reason", default="", help="Why the content must go.")
@click.option("--authority", default="", help="Who or what demands it: a law, a court, a person.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@ledger_option
@json_option
def redact_command(
    handle: str, reason: str, authority: str, yes: bool, ledger_path: Path | None, as_json: bool
) -> None:
    """Erase the content of the event HANDLE (#12). Its hashes and place stay, and so does every proof.

    An event says so first; then the content is overwritten. Copies elsewhere are out of reach: backups, exports,
    bundles, whatever was read. This cannot be undone.
    """
    if not re.fullmatch(r"#(\d+)(-[0-9a-z]{4})?", handle):
        raise InvalidInput(f"{handle!r} is not an event.", "Give it as `tally log` shows it: '#12'.")
    with open_ledger(ledger_path, records=True) as book:
        book.when(handle)  # refuses what is not there, and letters that do not match
        seq = int(handle[1:].partition("-")[0])
        if not yes and not as_json:
            click.confirm(f"Erase the content of #{seq} ({show(book.now().event(seq).type)}) for ever?", abort=True)
        done = redaction.redact(book, seq, reason, authority)
        commit = book.commit_handle(done.appended.n) if done.appended else None
        if as_json:
            content = {"redacted": handle, "commit": commit, "also": done.files, "receipt": receipt_json(book)}
            print_json("tally.redact/1", content)
            return
        said = f" ({commit} says so)" if commit else " (finished what was begun)"
        click.echo(f"The content of #{seq} is erased{said}.")
        for name in done.files:
            click.echo(f"  also erased from {show(name)}")
        click.echo(wrap("Out of reach: backups, exports, bundles, and whatever was read before."))
        print_receipt(book)


@tally.command("seal")
@ledger_option
@json_option
def seal_command(ledger_path: Path | None, as_json: bool) -> None:
    """Write every commit that is not sealed yet to .tally/segments/NNNN.jsonl, and record the files' hashes.

    Copy the files to where they cannot be changed; `tally verify --against-segments` compares with them, faster
    than it can check events one by one.
    """
    with open_ledger(ledger_path, records=True) as book, ProgressBar() as bar:
        made = segments.seal(book, bar)
        bar.close()
        if as_json:
            print_json("tally.seal/1", {"segments": made, "receipt": receipt_json(book)})
            return
        for segment in made:
            click.echo(
                f"{segment.segment}.jsonl  {commit_range(segment.first, segment.last)}  "
                f"{count(segment.size_bytes, 'byte')}  {segment.blake3}"
            )
        click.echo(wrap(f"In {book.folder / segments.FOLDER}; `b3sum` gives the same hashes."))
        print_receipt(book)
