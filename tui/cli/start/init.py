"""`tally init`: making a ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from tallystick import ledger
from tallystick.ledger.errors import Refused
from tallystick.ledger.tlog import key_store
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import announce
from tallystick.tui.cli.options import json_option
from tallystick.tui.output.console import print_json


@tally.command("init")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=".")
@click.option("--name", help="Beginning of the ledger's name, as acme/credit [default: the folder's name].")
@click.option("--timezone", help="Zone in which dates are read, as Europe/Berlin [default: this machine's].")
@click.option(
    "--key",
    "key_home",
    type=click.Choice(["auto", "agent", "file"]),
    default="auto",
    show_default=True,
    help="Where its private key lives: auto takes an ed25519 key of your ssh-agent where there is one.",
)
@json_option
def init_command(
    folder: Path, name: str | None, timezone: str | None, key_home: Literal["auto", "agent", "file"], as_json: bool
) -> None:
    """Make a ledger in FOLDER/.tally, and its private key outside of it."""
    try:
        book = ledger.create(folder, name=name, timezone=timezone, key_home=key_home)
    except Refused as error:
        raise Refused(error.message, "`tally status` shows it.") from error
    with book:
        genesis = book.genesis
        if as_json:
            print_json(
                "tally.init/1",
                {
                    "folder": str(book.folder),
                    "origin": genesis.origin,
                    "verifier_key": genesis.verifier_key,
                    "timezone": genesis.timezone,
                    "key_file": str(path) if (path := key_store.key_path(book.identity.key)).exists() else None,
                },
            )
            return
        announce(book)
