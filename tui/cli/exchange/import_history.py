"""`tally import`."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.sentences import commit_range, count, vouched_words
from tallystick.ledger.importing.importer import Imported, brought, import_history
from tallystick.ledger.tlog import pins
from tallystick.ledger.tlog.note import VerifierKey, parse_receipt
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import open_ledger, say
from tallystick.tui.cli.options import json_option, ledger_option
from tallystick.tui.cli.receipts import print_receipt, read_receipt, receipt_json
from tallystick.tui.output.console import print_json, wrap
from tallystick.tui.output.hints import here
from tallystick.tui.output.progress import ProgressBar

MOST_NAMED = 5


class ImportCommand(click.Command):
    """``tally import PATH``, and ``tally import mlflow PATH``: two paths cannot be meant by anything else."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """The context of the command that is meant."""
        if args[:1] == ["mlflow"] and any(arg == "--help" or not arg.startswith("-") for arg in args[1:]):
            from tallystick.tui.cli.exchange.import_mlflow import import_mlflow_command

            return import_mlflow_command.make_context(f"{info_name} mlflow", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@tally.command("import", cls=ImportCommand)
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--against",
    "receipt",
    metavar="RECEIPT",
    help="A receipt kept from the other ledger: a file, the line itself, or - for standard input.",
)
@click.option("--key", "key_text", metavar="VKEY", help="Its verifier key, known from elsewhere (`tally key show`).")
@click.option("--as", "named_under", metavar="NAME", help="Read its names under NAME: run:NAME/2026-11-25.1")
@click.option("--dry-run", is_flag=True, help="Check everything and say what would be copied; append nothing.")
@ledger_option
@json_option
def import_command(
    path: Path,
    receipt: str | None,
    key_text: str | None,
    named_under: str | None,
    dry_run: bool,
    ledger_path: Path | None,
    as_json: bool,
) -> None:
    """Copy the history of the ledger in PATH into this one: its events, with their ids, times and actors.

    PATH is the folder that holds .tally, or .tally itself; it is verified whole first and only read. Given again it
    brings what is new. Whatever contradicts anything is refused whole, with exit code 1 and nothing appended.

    `tally import mlflow PATH` imports an MLflow store instead; see `tally import mlflow --help`.

    A ledger vouches for itself only. With a receipt or key that you got by another way, or where you relied on its
    key before, what comes in is proven to be its history; without, it is labelled UNPROVEN wherever it is shown.
    """
    against = None if receipt is None else parse_receipt(read_receipt(receipt))
    key = None if key_text is None else _key(key_text)
    with open_ledger(ledger_path, records=True) as book, ProgressBar() as bar, _told_where_it_stopped(book, path):
        done = import_history(
            book, path, against=against, key=key, named_under=named_under, dry_run=dry_run, progress=bar
        )
        bar.close()
        if as_json:
            print_json("tally.import/1", _json(book, done, dry_run))
            return
        _print(book, done, path, dry_run)
        if done.first_commit is not None or done.last_commit is not None:
            print_receipt(book)


def _key(text: str) -> VerifierKey:
    try:
        return VerifierKey.parse(text.strip())
    except InvalidInput as error:
        raise InvalidInput(error.message, "Its owner prints it with `tally key show --vkey`.") from error


@contextlib.contextmanager
def _told_where_it_stopped(book: ledger.Ledger, path: Path) -> Iterator[None]:
    before = {state.history: brought(book, state.history) for state in book.now().histories()}
    try:
        yield
    except KeyboardInterrupt:
        for state in book.now().histories():
            here = brought(book, state.history)
            if here != before.get(state.history, 0) or here < state.commits:
                say("note", f"{here:,} of {count(state.commits, 'commit')} of {state.history} are here. To go on: "
                    f"tally import {shlex.quote(str(path))}")  # fmt: skip
        raise


def _json(book: ledger.Ledger, done: Imported, dry_run: bool) -> dict[str, Any]:
    said, plan = done.said, done.plan
    return {
        "dry_run": dry_run,
        "history": {"handle": f"history:{said.history}", "name": said.name},
        "first": said.first,
        "size": said.size,
        "events": plan.events,
        "left_out": plan.left_out,
        "proven": said.vouched != "nothing",
        "vouched": said.vouched,
        "sentence": vouched_words(said),
        "named_under": said.named_under,
        "before": done.before,
        "unsigned_commits": done.unsigned,
        "artifacts": {"named": len(plan.artifacts), "copied": done.artifacts_copied, "missing": sorted(plan.missing)},
        "passed_on": [{"history": name, "proven": proven} for name, proven in plan.passed_on.items()],
        "erased_there": [f"#{seq}" for seq in plan.erased_there],
        "also_here": plan.also_here,
        "commit": None if done.first_commit is None else book.commit_handle(done.first_commit),
        "last_commit": None if done.last_commit is None else book.commit_handle(done.last_commit),
        "receipt": None if done.first_commit is None and done.last_commit is None else receipt_json(book),
    }


def _print(book: ledger.Ledger, done: Imported, path: Path, dry_run: bool) -> None:
    said, plan = done.said, done.plan
    new = said.size - said.first
    if not new:
        what = f"Nothing new: {count(said.size, 'commit')} of {said.history} are here."
    else:
        verb = "Would import" if dry_run else "Imported"
        where = "" if done.last_commit is None else f", up to {book.commit_handle(done.last_commit)}"
        what = (
            f"{verb} {commit_range(said.first, said.size - 1)} of {said.history}: {count(plan.events, 'event')}{where}."
        )
    click.echo(wrap(what))
    for words in _remarks(book, done, path, dry_run):
        click.echo(wrap(here(words), "  "))


def _remarks(book: ledger.Ledger, done: Imported, path: Path, dry_run: bool) -> Iterator[str]:
    """What there is to know about it, a sentence each."""
    said, plan = done.said, done.plan
    place = shlex.quote(str(path))
    yield f"It is {vouched_words(said)}."
    if said.vouched == "pin" and (pin := pins.read_pin(said.name)) is not None and pin.how == "first contact":
        yield "Nobody has compared that key yet: this account took it from the ledger at first contact."
    if said.vouched == "nothing":
        yield f"With a receipt that its owner gives you: tally import {place} --against RECEIPT"
    if said.named_under:
        yield f"Its names are read under {said.named_under}/ here."
    if plan.left_out:
        yield f"{count(plan.left_out, 'event')} about that ledger itself are kept beside its commits, not as events."
    if plan.artifacts or plan.missing:
        copied = "to copy" if dry_run else f"named, {done.artifacts_copied:,} of them copied"
        missing = f", {len(plan.missing):,} not there" if plan.missing else ""
        yield f"{count(len(plan.artifacts), 'artifact')} {copied}{missing}."
    if done.unsigned:
        newest = count(done.unsigned, "commit")
        yield f"Not brought: its newest {newest}, which are not signed there yet. tally receipt --ledger {place} signs."
    for name, proven in plan.passed_on.items():
        yield f"Some of it that ledger had imported itself, from {name}{'' if proven else ': UNPROVEN'}."
    if plan.erased_there:
        listed = ", ".join(f"#{seq}" for seq in plan.erased_there[:MOST_NAMED])
        yield f"What was copied before as {listed} has been erased there since; here it still is: tally redact '#…'"
    if plan.also_here:
        some = ", ".join(plan.also_here[:MOST_NAMED]) + (" …" if len(plan.also_here) > MOST_NAMED else "")
        yield f"Both go on about {some}: it was recorded here since the last import, and there. Look at its story."
