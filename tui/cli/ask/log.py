"""`tally log`: the commits, newest first, and new ones as they come."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.sentences import sentence
from tallystick.tui.cli.ask.commits import commit_json, print_commit
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import open_ledger
from tallystick.tui.cli.options import as_of_option, json_option, ledger_option
from tallystick.tui.output.console import clock_line, print_json_line
from tallystick.tui.output.escape import show
from tallystick.tui.output.values import moment_words


@tally.command("log")
@click.option("-n", "--number", type=click.IntRange(1), default=20, show_default=True, help="How many commits.")
@click.option("-f", "--follow", is_flag=True, help="Print new events as they are appended.")
@ledger_option
@as_of_option
@json_option
def log_command(number: int, follow: bool, ledger_path: Path | None, as_of: str | None, as_json: bool) -> None:
    """The commits, newest first: when, who, and what each event says. What was corrected is struck through.

    With --follow each new event is printed as soon as anybody appends it, until Ctrl-C.
    """
    with open_ledger(ledger_path) as book:
        if follow:
            if as_of is not None:
                raise InvalidInput(
                    "The past does not go on: --follow and --as-of exclude each other.", "Leave out one of them."
                )
            _follow(book, as_json)
            return
        snapshot = book.now() if as_of is None else book.at(as_of)
        commits = snapshot.commits(snapshot.as_of.n - number + 1, newest_first=True)
        if as_json:
            for commit in commits:
                print_json_line("tally.log/1", commit_json(commit, snapshot))
            return
        clock_line(book, "" if as_of is None else snapshot.as_of.words)
        for commit in commits:
            print_commit(commit, snapshot, book.zone)


def _follow(book: ledger.Ledger, as_json: bool) -> None:
    if not as_json:
        clock_line(book)
    for entry in book.follow():
        handle = book.now().event_handle(entry.seq)
        said = sentence(entry.event)
        if as_json:
            line = {"handle": handle, "recorded_at": entry.recorded_at, "actor": entry.actor, "type": entry.event.t,
                    "sentence": said}  # fmt: skip
            print_json_line("tally.event/1", line)
        elif entry.event.t not in ("schema.declared", "artifact.stored"):
            click.echo(
                f"{handle}  {moment_words(entry.recorded_at, book.zone)}  {show(entry.actor)}: {show(said, 400)}"
            )
        sys.stdout.flush()
