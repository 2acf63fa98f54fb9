"""`tally rebuild`: the views made again from the events."""

from __future__ import annotations

from pathlib import Path

import click

from tallystick.ledger.events.sentences import count
from tallystick.ledger.verify.views_check import views_differences
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import exit_with, open_ledger
from tallystick.tui.cli.options import json_option, ledger_option
from tallystick.tui.output.console import clock_line, print_json, wrap
from tallystick.tui.output.progress import ProgressBar


@tally.command("rebuild")
@click.option("--check", is_flag=True, help="Compare the views with a new fold and change nothing.")
@ledger_option
@json_option
def rebuild_command(check: bool, ledger_path: Path | None, as_json: bool) -> None:
    """Make the views again from the events. They hold nothing of their own; this is never needed for the answers.

    The new views replace the old ones in one transaction. With --check it exits with 1 where they differ.
    """
    with open_ledger(ledger_path) as book:
        total = book.now().as_of.seq + 1
        if not as_json:
            clock_line(book)
        if check:
            with ProgressBar() as bar:
                words = views_differences(book, bar, total, hashed_already=False)
            if as_json:
                print_json("tally.rebuild/1", {"checked": True, "events": total, "differences": words})
            elif words:
                for line in words:
                    click.echo(wrap(line))
                click.echo("Next: tally rebuild")
            else:
                click.echo(f"The views are what follows from {count(total, 'event')}.")
            exit_with(1 if words else 0)
            return
        with ProgressBar() as bar:
            book.views.on_progress = lambda done, all_: bar("views", done, all_)
            book.views.rebuild()
        if as_json:
            print_json("tally.rebuild/1", {"checked": False, "events": total, "differences": []})
            return
        click.echo(f"The views were made again from {count(total, 'event')}.")
