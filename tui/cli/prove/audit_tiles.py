"""`tally audit-tiles`: what a ledger publishes, recomputed from outside."""

from __future__ import annotations

import click

from tallystick.ledger.errors import InvalidInput, TallyError
from tallystick.ledger.events.sentences import count
from tallystick.ledger.publish.tile_audit import audit, reader
from tallystick.ledger.tlog import pins
from tallystick.ledger.tlog.note import Checkpoint, VerifierKey, open_checkpoint, parse_receipt, receipt_line
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import say
from tallystick.tui.cli.options import json_option
from tallystick.tui.cli.receipts import read_receipt
from tallystick.tui.output.console import print_json, wrap
from tallystick.tui.output.escape import show
from tallystick.tui.output.progress import ProgressBar


@tally.command("audit-tiles")
@click.argument("place", metavar="URL-or-DIR")
@click.option("--key", required=True, metavar="VKEY", help="The log's verifier key, as you received it by another way.")
@click.option(
    "--against", multiple=True, metavar="RECEIPT", help="A receipt that was kept: file, line, or -; repeatable."
)
@json_option
def audit_tiles_command(place: str, key: str, against: tuple[str, ...], as_json: bool) -> None:
    """Recompute the tree that `tally export tiles` published, in a folder or on a web server.

    Needs no ledger, only the key. Uses the network if an address is given, and then only that address. This account
    remembers the last audit under a key, and the next one must continue it. Exit code 0: the tree has the signed root
    and continues every receipt. 1: something contradicts that. 2: not all could be read.
    """
    verifier = VerifierKey.parse(key.strip())
    kept, seen = [_kept(text, verifier) for text in against], pins.read_audit(verifier)
    if seen is not None:
        say("note", f"It must continue what this account audited last: {receipt_line(seen)}")
    with ProgressBar() as bar:
        audited = audit(reader(place), verifier, [*kept, *([] if seen is None else [seen])], bar)
        bar.close()
    try:
        pins.keep_audit(verifier, audited.checkpoint)
    except TallyError as error:
        say("warning", f"{error.message} The next audit has nothing of this one to compare with.")
    line = receipt_line(audited.checkpoint)
    if as_json:
        content = {
            "place": place,
            "receipt": line,
            "files": audited.tiles,
            "continued": len(kept),
            "continues_last_audit": None if seen is None else receipt_line(seen),
        }
        print_json("tally.audit-tiles/1", content)
        return
    commits = count(audited.checkpoint.size, "commit")
    click.secho(f"HOLDS: {show(place)} is the tree of {commits} that the key has signed.", bold=True)
    click.echo(f"Under {show(line)}")
    if kept:
        click.echo(f"It continues {count(len(kept), 'receipt')}.")
    if seen is not None:
        click.echo(f"It continues the {count(seen.size, 'commit')} that this account audited last.")
    if not kept and seen is None:
        words = (
            "It was compared with no receipt: whether others were shown the same tree is not known. This account "
            "remembers it, and the next audit must continue it. Elsewhere, give the line above with --against."
        )
        click.echo(wrap(words))


def _kept(text: str, key: VerifierKey) -> Checkpoint:
    """The checkpoint of a receipt; of a whole note only if the key has signed it."""
    receipt = parse_receipt(read_receipt(text))
    if receipt.checkpoint.size == 0:
        raise InvalidInput("A receipt of no commits says nothing.")
    return receipt.checkpoint if receipt.note is None else open_checkpoint(receipt.note.format(), key)
