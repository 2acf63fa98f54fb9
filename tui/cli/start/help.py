"""`tally help`: the terms of the product, and the help of a command."""

from __future__ import annotations

import difflib

import click

from tallystick.ledger.errors import NotFound
from tallystick.tui.cli.options import json_option
from tallystick.tui.output.console import print_json, terminal_columns
from tallystick.tui.output.escape import show
from tallystick.tui.output.glossary import GLOSSARY, definition


@click.command("help")
@click.argument("words", metavar="[TERM]", nargs=-1)
@json_option
def help_command(words: tuple[str, ...], as_json: bool) -> None:
    """Define TERM in one sentence, or print the help of a command; without a TERM list all terms."""
    term = " ".join(words)
    found = definition(term)
    shown = GLOSSARY if term in ("", "glossary") else dict([found]) if found else {}
    if as_json and shown:
        print_json("tally.help/1", {"terms": shown})
        return
    if shown:
        page = click.HelpFormatter(width=min(terminal_columns(), 100))
        page.write_dl(list(shown.items()))
        click.echo(page.getvalue(), nl=False)
    text = _help_of(term)
    if text:
        click.echo(("\n" if shown else "") + text)
    elif not shown:
        near = difflib.get_close_matches(term.casefold(), GLOSSARY, n=1)
        raise NotFound(
            f"There is no term and no command {show(term)!r}.",
            f"tally help {near[0]}" if near else "`tally help` lists the terms, `tally --help` the commands.",
        )


def _help_of(name: str) -> str:
    """The help page of the command with this name; empty where there is none."""
    context = click.get_current_context().find_root()
    group = context.command
    command = group.get_command(context, name) if isinstance(group, click.Group) else None
    return command.get_help(click.Context(command, info_name=name, parent=context)) if command else ""
