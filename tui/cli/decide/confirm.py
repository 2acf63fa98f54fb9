"""`tally confirm`: a person confirms settings that a program proposed."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.sentences import count
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import open_ledger
from tallystick.tui.cli.options import FILE, json_option, ledger_option
from tallystick.tui.output.console import print_json, wrap
from tallystick.tui.output.escape import show


@tally.command("confirm")
@click.argument("file", type=FILE)
@click.argument("settings", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Confirm every setting that is listed.")
@ledger_option
@json_option
def confirm_command(
    file: Path, settings: tuple[str, ...], everything: bool, ledger_path: Path | None, as_json: bool
) -> None:
    """Confirm SETTINGS that were proposed in the pipeline FILE; without any, list what is open.

    A confirmed setting is taken off the list [proposed] of the file. Where the ledger knows the configuration, the
    file is recorded again, with who confirmed it and when. The configuration stays the same, so no new run is needed.
    """
    from tallystick.pipeline.config.load import read
    from tallystick.pipeline.config.proposed import proposed_in

    if settings and everything:
        raise InvalidInput("Settings are named or --all is said, not both.", "`tally confirm --help` explains it.")
    open_settings = proposed_in(read(file).text)
    if not settings and not everything and open_settings:
        _list(file, open_settings, as_json)
        return
    folder = ledger_path or ledger.find(Path.cwd())
    if folder is None:
        _confirm(None, file, settings, as_json)
        return
    with open_ledger(ledger_path, records=True) as book:
        _confirm(book, file, settings, as_json)


def _list(file: Path, names: list[str], as_json: bool) -> None:
    if as_json:
        print_json("tally.confirm/1", {"file": str(file), "confirmed": [], "open": names, "commit": None})
        return
    click.echo(f"{show(str(file))} has {count(len(names), 'setting')} that nobody has confirmed:")
    for name in names:
        click.echo(f"  {show(name)}")
    shown = shlex.quote(str(file))
    click.echo(wrap(f"`tally check {shown}` prints what each of them says and why."))
    click.echo(f"Confirm one with `tally confirm {shown} {show(names[0])}`, or all with `tally confirm {shown} --all`.")


def _confirm(book: ledger.Ledger | None, file: Path, settings: tuple[str, ...], as_json: bool) -> None:
    from tallystick.pipeline.runs.confirm import confirm

    done = confirm(book, file, list(settings) or None)
    commit = book.commit_handle(done.appended.n) if book is not None and done.appended is not None else None
    if as_json:
        content = {"file": str(file), "confirmed": done.names, "open": done.left, "commit": commit}
        print_json("tally.confirm/1", content)
        return
    said = f"{count(len(done.names), 'setting')} confirmed" if done.names else "Nothing was left to confirm"
    where = f", recorded in {commit}" if commit else "; the next run records it"
    click.echo(f"{said} in {show(str(file))}{where}.")
    if done.left:
        click.echo(wrap(f"Still open: {', '.join(done.left)}.", "  "))
