"""`tally import mlflow`."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from tallystick import ledger
from tallystick.ledger.events.sentences import commit_range, count
from tallystick.ledger.exchange.from_mlflow.files import Keeping
from tallystick.ledger.exchange.from_mlflow.importer import Brought, ImportOptions, import_store
from tallystick.tui.cli.opening import open_ledger, say
from tallystick.tui.cli.options import json_option, ledger_option
from tallystick.tui.cli.receipts import print_receipt, receipt_json
from tallystick.tui.output.console import print_json, wrap
from tallystick.tui.output.hints import here
from tallystick.tui.output.progress import ProgressBar

MOST_NAMED = 10
KINDS = ("experiment", "run", "kept model", "registered model")


@click.command("mlflow")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--artifacts",
    type=click.Choice(["copy", "reference", "none"]),
    default="copy",
    show_default=True,
    help="Copy the files of runs and models into the ledger, record where they are, or leave them out.",
)
@click.option(
    "--artifacts-from",
    "artifacts_from",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    multiple=True,
    metavar="FOLDER",
    help="Also read files below FOLDER. Without it, only files below the store's own folder are read.",
)
@click.option("--dry-run", is_flag=True, help="Read everything and say what would be imported; append nothing.")
@ledger_option
@json_option
def import_mlflow_command(
    path: Path,
    artifacts: Keeping,
    artifacts_from: tuple[Path, ...],
    dry_run: bool,
    ledger_path: Path | None,
    as_json: bool,
) -> None:
    """Import an MLflow store: an mlruns folder or an mlflow.db. MLflow itself is not needed.

    Experiments, runs, every number, tags, datasets, kept and registered models, versions and aliases keep their ids,
    times and users. The store is only read. Given again, the command adds what is new, and nothing otherwise; after an
    interruption it goes on.

    What cannot be read is listed, and the rest is imported. What MLflow does not record, such as who moved an alias
    and when, is listed as unknown.
    """
    options = ImportOptions(artifacts, artifacts_from, dry_run)
    with open_ledger(ledger_path, records=True) as book, ProgressBar() as bar, _resumable(path):
        done = import_store(book, path, options, bar)
        bar.close()
        if as_json:
            print_json("tally.import-mlflow/1", _json(book, done))
            return
        _print(book, done)
        if done.last_commit is not None:
            print_receipt(book)


@contextlib.contextmanager
def _resumable(path: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        say("note", f"What was read until now is recorded. To go on: tally import mlflow {shlex.quote(str(path))}")
        raise


def _json(book: ledger.Ledger, done: Brought) -> dict[str, Any]:
    kinds = {
        kind.replace(" ", "_"): {"new": done.new[kind], "changed": done.changed[kind], "unchanged": done.same[kind]}
        for kind in KINDS
    }
    return {
        "source": done.source,
        "dry_run": done.dry_run,
        "events": done.events,
        "numbers": done.numbers,
        "entities": kinds,
        "artifacts": {"files": done.files, "size_bytes": done.file_bytes, "absent": done.absent,
                      "remote": done.remote, "outside": done.outside},
        "losses": [{"where": loss.where, "what": loss.what} for loss in done.losses],
        "unknown": done.unknowable,
        "kept": done.kept,
        "remarks": done.remarks,
        "commit": None if done.first_commit is None else book.commit_handle(done.first_commit),
        "last_commit": None if done.last_commit is None else book.commit_handle(done.last_commit),
        "receipt": None if done.last_commit is None else receipt_json(book),
    }  # fmt: skip


def _print(book: ledger.Ledger, done: Brought) -> None:
    if not done.events:
        click.echo(wrap(f"Nothing new in {done.source}."))
    else:
        verb = "Would import" if done.dry_run else "Imported"
        about = "about " if done.dry_run and done.files else ""
        where = ""
        if done.first_commit is not None and done.last_commit is not None:
            where = f", in {commit_range(done.first_commit, done.last_commit)}"
        click.echo(wrap(f"{verb} {done.source}: {about}{count(done.events, 'event')}{where}."))
    for kind in KINDS:
        if done.new[kind] or done.changed[kind] or done.same[kind]:
            parts = [f"{done.new[kind]:,} new", f"{done.changed[kind]:,} changed", f"{done.same[kind]:,} unchanged"]
            click.echo(f"  {kind + 's:':20}{', '.join(part for part in parts if not part.startswith('0 '))}")
    if done.events:
        click.echo(f"  {'numbers:':20}{done.numbers:,}")
        click.echo(f"  {'files:':20}{done.files:,} ({done.file_bytes:,} bytes)")
    for title, found in _lists(done):
        _list(title, found)
    for remark in done.remarks:
        click.echo(wrap(remark, "  "))


def _lists(done: Brought) -> Iterator[tuple[str, list[str]]]:
    yield "Could not be read, and was left out", [f"{loss.where}: {loss.what}" for loss in done.losses]
    yield "Files are not where the store says; recorded as absent", done.absent
    yield "Files are on another machine; only their address is recorded", done.remote
    yield "Files outside of the store were not read; add --artifacts-from FOLDER for", done.outside
    yield "Changed here since the last import, and kept as it is here", done.kept
    yield "Unknown, because MLflow does not record it", done.unknowable


def _list(title: str, found: list[str]) -> None:
    if not found:
        return
    click.echo(wrap(f"{title}:"))
    for line in found[:MOST_NAMED]:
        click.echo(wrap(here(line), "  "))
    if len(found) > MOST_NAMED:
        click.echo(f"  and {len(found) - MOST_NAMED:,} more: all of them with --json")
