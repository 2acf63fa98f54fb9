"""`tally backup`."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from tallystick.ledger.events.sentences import count
from tallystick.ledger.publish.backup import back_up
from tallystick.ledger.tlog.note import receipt_line
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import exit_with, open_ledger
from tallystick.tui.cli.options import json_option, ledger_option
from tallystick.tui.output.console import clock_line, print_json, wrap
from tallystick.tui.output.escape import show
from tallystick.tui.output.progress import ProgressBar


@tally.command("backup")
@click.argument("folder", type=click.Path(path_type=Path))
@ledger_option
@json_option
def backup_command(folder: Path, ledger_path: Path | None, as_json: bool) -> None:
    """Copy the whole ledger to FOLDER/.tally, or bring the copy there up to date, while others go on writing.

    The copy is a ledger: every command reads it with --ledger FOLDER. A copy that holds what the ledger lacks is left
    alone, because then the ledger went back and the copy did not. To go back to a copy put its .tally in the old
    place; an account that has seen newer commits is warned, and `tally adopt` goes on from there. Ends with 1 where
    an artifact of the ledger is damaged.
    """
    with open_ledger(ledger_path) as book, ProgressBar() as bar:
        done = back_up(book, folder, bar)
        bar.close()
        newest = book.commit_handle(done.checkpoint.size - 1)
        if as_json:
            content = {
                "folder": str(done.folder),
                "commits": done.checkpoint.size,
                "events": done.events,
                "artifacts": done.artifacts,
                "copied": done.copied,
                "damaged": done.damaged,
                "before": done.before,
                "receipt": receipt_line(done.checkpoint),
            }
            print_json("tally.backup/1", content)
            exit_with(1 if done.damaged else 0)
        clock_line(book)
        size, artifacts = done.checkpoint.size, count(done.artifacts, "artifact")
        since = "" if done.before is None else f", {count(size - done.before, 'commit')} more than before"
        holds = f"{count(done.events, 'event')} in {count(size, 'commit')}, up to {newest}{since}"
        click.echo(wrap(f"{show(str(done.folder))} holds {holds}, and {artifacts}, {done.copied:,} of them new."))
        for name in done.damaged:
            said = f"Artifact {name[:12]}… is damaged here and was not copied: tally verify --read-data"
            click.echo(wrap(said), err=True)
        there, here = shlex.quote(show(str(folder))), shlex.quote(show(str(book.folder.parent)))
        click.echo(wrap(f"Check it where it lies: tally verify --ledger {there} --backup-of {here}"))
        click.echo(receipt_line(done.checkpoint))
        exit_with(1 if done.damaged else 0)
