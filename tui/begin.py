"""`tally init`: making a ledger."""

from __future__ import annotations

from pathlib import Path

import click

import ledger
from ledger import keys
from ledger.errors import Refused
from tui.cli import json_option, tally
from tui.page import print_json
from tui.show import show


@tally.command("init")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=".")
@click.option("--name", help="Beginning of the ledger's name, as acme/credit [default: the folder's name].")
@click.option("--timezone", help="Zone in which dates are read, as Europe/Berlin [default: this machine's].")
@json_option
def init_command(folder: Path, name: str | None, timezone: str | None, as_json: bool) -> None:
    """Make a ledger in FOLDER/.tally, and its private key outside of it."""
    try:
        book = ledger.create(folder, name=name, timezone=timezone)
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
                    "key_file": str(keys.key_path(genesis.origin)),
                },
            )
            return
        announce(book)


def announce(book: ledger.Ledger) -> None:
    """Say what was made and where, on standard error."""
    genesis = book.genesis
    for line in (
        f"Made a ledger in {show(book.folder)}: {show(genesis.origin)}, dates are read in {genesis.timezone}.",
        f"Its private key is {show(keys.key_path(genesis.origin))}. Keep a copy of it, never in the ledger's folder.",
    ):
        click.echo(line, err=True)
