"""`tally key` and `tally adopt`: the log's key, and what to do when a history was left."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from tallystick.ledger.errors import InvalidInput, Refused
from tallystick.ledger.events.types import ForkAdopted, KeyRotated
from tallystick.ledger.opening import new_origin
from tallystick.ledger.tlog import key_store, pins
from tallystick.ledger.tlog.note import VerifierKey, receipt_line
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import open_ledger
from tallystick.tui.cli.options import json_option, ledger_option
from tallystick.tui.cli.receipts import print_receipt, receipt_json
from tallystick.tui.output.console import clock_line, print_json, wrap
from tallystick.tui.output.escape import show

home_option = click.option(
    "--to",
    "key_home",
    type=click.Choice(["auto", "agent", "file"]),
    default="auto",
    show_default=True,
    help="Where the new private key lives: auto takes an ed25519 key of your ssh-agent where there is one.",
)


@tally.group("key")
def key_command() -> None:
    """The key that signs for the ledger, and the one that this account relies on."""


@key_command.command("show")
@click.option("--vkey", is_flag=True, help="Only the verifier key, to be given to others.")
@ledger_option
@json_option
def key_show_command(vkey: bool, ledger_path: Path | None, as_json: bool) -> None:
    """Show the ledger's verifier key, where its private half is, and every key before it."""
    with open_ledger(ledger_path) as book:
        identities = book.identities
        key = identities[-1].key
        pin = pins.read_pin(key.name)
        path = key_store.key_path(key)
        held = "file" if path.exists() else "agent" if key_store.find_signer(key) else None
        if as_json:
            content = {
                "key": key.format(),
                "key_id": key.key_id.hex(),
                "held": held,
                "key_file": str(path) if held == "file" else None,
                "relied_on_since": pin.since if pin else None,
                "keys": [
                    {
                        "key": identity.key.format(),
                        "from_size": identity.from_size,
                        "how": identity.how,
                        "signed_by_the_one_before": identity.continues,
                    }
                    for identity in identities
                ],
            }
            print_json("tally.key/1", content)
            return
        clock_line(book)
        if vkey:
            click.echo(show(key.format()))
            return
        click.echo(show(key.format()))
        where = {"file": f"in {path}", "agent": "in your ssh-agent", None: "not with this account"}[held]
        click.echo(f"  private half  {show(where)}")
        if pin:
            click.echo(f"  relied on     since {pin.since:%Y-%m-%d}, {show(pin.how)}")
        for identity in identities[:-1]:
            click.echo(f"  before it     {show(identity.key.format())} from size {identity.from_size}")


@key_command.command("rotate")
@click.option("--reason", required=True, help="Why, in words that will be read in a year.")
@click.option("--lost", is_flag=True, help="The old key is lost: only the new one signs, and everybody will be told.")
@click.option(
    "--compromised-from",
    type=click.IntRange(1),
    metavar="SIZE",
    help="Somebody else has had the old key; what it signed from this size on proves nothing by itself.",
)
@home_option
@ledger_option
@json_option
def key_rotate_command(
    reason: str,
    lost: bool,
    compromised_from: int | None,
    key_home: key_store.Home,
    ledger_path: Path | None,
    as_json: bool,
) -> None:
    """Give the ledger a new key. The change is an event, and its checkpoint is signed by both keys."""
    with open_ledger(ledger_path, records=True) as book:
        old = book.identity.key
        if not reason.strip():
            raise InvalidInput("A change of key needs a reason.")
        if not lost and key_store.find_signer(old) is None:
            raise Refused(
                f"This account does not have the key {old.key_id.hex()}, so it cannot sign the change.",
                "Do it where the key is; or, if it is lost for good, say --lost.",
            )
        signer = _new_signer(old, key_home)
        change = KeyRotated(
            old=old.key_id.hex(),
            new=signer.verifier.key_id.hex(),
            old_key=old.format(),
            new_key=signer.verifier.format(),
            signed_by_old=not lost,
            compromised_from=compromised_from,
            reason=reason.strip(),
        )
        appended = book.change_identity(change, signer)
        pins.write_pin(signer.verifier, "rotated here")
        if as_json:
            content = {
                "key": signer.verifier.format(),
                "commit": book.commit_handle(appended.n),
                "receipt": receipt_json(book),
            }
            print_json("tally.key-rotate/1", content)
            return
        click.echo(f"The key of {show(old.name)} is now {change.new} ({book.commit_handle(appended.n)}).")
        click.echo(show(signer.verifier.format()))
        path = key_store.key_path(old)
        if path.exists():
            click.echo(wrap(f"The old private key is still in {path}; nothing needs it any more."), err=True)
        print_receipt(book)


def _new_signer(old: VerifierKey, key_home: key_store.Home) -> key_store.Signer:
    """A key that is not the one it replaces: the agent may hold that very one."""
    home: Literal["auto", "agent", "file"] = key_home
    signer = key_store.new_signer(old.name, home)
    if signer.verifier == old:
        if home == "agent":
            raise Refused("The agent's first ed25519 key is the one that is to be replaced.", "--to file makes one.")
        signer = key_store.new_signer(old.name, "file")
    return signer


@key_command.command("pin")
@click.argument("vkey")
@ledger_option
@json_option
def key_pin_command(vkey: str, ledger_path: Path | None, as_json: bool) -> None:
    """Rely on VKEY from now on, because its owner gave it to you by another way."""
    key = VerifierKey.parse(vkey.strip())
    pins.write_pin(key, "given by hand")
    with open_ledger(ledger_path) as book:
        agrees = book.identity.key == key
    if as_json:
        print_json("tally.key-pin/1", {"key": key.format(), "agrees": agrees})
    elif agrees:
        click.echo(f"This account relies on the key {key.key_id.hex()} of {show(key.name)}, which is this ledger's.")
    else:
        click.echo(f"This account relies on the key {key.key_id.hex()} of {show(key.name)}.")


@tally.command("adopt")
@click.option("--reason", required=True, help="Why this history is the right one.")
@home_option
@ledger_option
@json_option
def adopt_command(reason: str, key_home: key_store.Home, ledger_path: Path | None, as_json: bool) -> None:
    """Go on with a ledger that does not continue what this account has seen of it, under a new name.

    After a backup was restored, say. Two histories must not share a name, because a receipt of one would convict
    the other; so the ledger says in an event that it left, and gets a new name and key. Receipts of the old name
    stay good up to where the two histories part.
    """
    with open_ledger(ledger_path, records=True) as book:
        old = book.identity.key
        seen = pins.read_mark(old.name)
        if seen is None or book.continues(seen):
            raise Refused("This ledger continues what this account has seen of it; there is nothing to adopt.")
        if not reason.strip():
            raise InvalidInput("Adopting needs a reason.")
        readable = old.name.rpartition("-")[0] or old.name
        signer = key_store.new_signer(new_origin(readable), key_home)
        change = ForkAdopted(
            old=old.key_id.hex(),
            new=signer.verifier.key_id.hex(),
            old_key=old.format(),
            new_key=signer.verifier.format(),
            signed_by_old=key_store.find_signer(old) is not None,
            seen=receipt_line(seen),
            reason=reason.strip(),
        )
        appended = book.change_identity(change, signer)
        pins.write_pin(signer.verifier, "adopted here")
        handle = book.commit_handle(appended.n)
        if as_json:
            content = {
                "origin": book.origin,
                "key": signer.verifier.format(),
                "left": receipt_line(seen),
                "commit": handle,
                "receipt": receipt_json(book),
            }
            print_json("tally.adopt/1", content)
            return
        click.echo(f"This ledger is {show(book.origin)} from {handle} on. It left what was seen of {show(old.name)}:")
        click.echo(f"  {receipt_line(seen)}")
        print_receipt(book)
