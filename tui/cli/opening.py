"""Opening the ledger of a command, with what this account remembers of it; remarks beside the answer."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import click

from tallystick import ledger
from tallystick.ledger.errors import NotFound, TallyError
from tallystick.ledger.tlog import key_store
from tallystick.tui.output.escape import show
from tallystick.tui.output.hints import here


def open_ledger(path: Path | None, for_verification: bool = False, *, records: bool = False) -> ledger.Ledger:
    """The ledger named by ``--ledger``, or the nearest one, compared with what this account remembers of it.

    Parameters
    ----------
    records : bool
        Whether the command is going to append what happens today.

    Raises
    ------
    NotFound
        When there is none, with the next step.
    Refused
        When something is to be recorded in a ledger that tells a story: now, not after minutes of work.
    """
    from tallystick.ledger.opening import is_only_verifiable
    from tallystick.ledger.verify.rollback_check import look

    folder = path or ledger.find(Path.cwd())
    if folder is None:
        raise NotFound(
            f"There is no ledger at or above {Path.cwd()}.",
            "Make one with `tally init`, run a pipeline with `tally run FILE.toml`, or say --ledger PATH.",
        )
    jump = os.environ.get("TALLY_ALLOW_JUMP") == "1"
    book = ledger.open(folder, allow_jump=jump, for_verification=for_verification)
    if records:
        try:
            book.refuse_mixed_times()
        except TallyError:
            book.close()
            raise
    book.views.on_trouble = lambda words: say("note", words)
    # The deed is done: the command goes on, names it and ends as it would have ended.
    book.appender.on_trouble = lambda error: say("warning", f"{error.message} {error.hint}".rstrip())
    try:
        if for_verification and is_only_verifiable(book):
            return book
        standing, newer = look(book), book.newer_types()
    except sqlite3.DatabaseError:
        return book  # what is wrong with the file is said by whatever is asked of it
    if newer:
        say("note", f"Newer than this program, so shown but not followed: {', '.join(newer)}. Answers may lack what "
            "they say; a newer tallystick knows it.")  # fmt: skip
    for words in standing.news:
        say("note", words)
    for words in standing.warnings:
        say("warning", words)
    if standing.warnings:
        say("warning", "Do not rely on what follows. To see what is wrong: tally verify")
    return book


def say(kind: str, words: str) -> None:
    """A remark beside the answer, on standard error; as JSON where the answer is."""
    words = here(words)
    context = click.get_current_context(silent=True)
    if context is not None and context.params.get("as_json"):
        click.echo(json.dumps({kind: words}), err=True)
    else:
        click.secho(
            f"{kind.upper() + ': ' if kind == 'warning' else ''}{show(words)}", err=True, bold=kind == "warning"
        )


def name_code() -> list[str]:
    """Name each file beside the pipeline file before its code runs; returns the list to which its path is added."""
    from tallystick.pipeline.recipes import name_before_import

    named: list[str] = []

    def say_it(path: Path) -> None:
        named.append(str(path))
        leads_to = f" (a link to {path.resolve()})" if path.is_symlink() else ""
        say("note", f"The pipeline file names code in {path}{leads_to}, which is imported now.")

    name_before_import(say_it)
    return named


def exit_with(code: int) -> None:
    """End the current command with an exit code."""
    click.get_current_context().exit(code)


def announce(book: ledger.Ledger) -> None:
    """Say what was made and where, on standard error."""
    genesis = book.genesis
    path = key_store.key_path(book.identity.key)
    where = (
        f"Its private key is {show(path)}. Keep a copy of it, never in the ledger's folder."
        if path.exists()
        else "It is signed by the ed25519 key in your ssh-agent, which has to be there whenever something is signed."
    )
    for line in (
        f"Made a ledger in {show(book.folder)}: {show(genesis.origin)}, dates are read in {genesis.timezone}.",
        where,
    ):
        click.echo(line, err=True)
