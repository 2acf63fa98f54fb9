"""A commit with its events, as `log` and `show` print it."""

from __future__ import annotations

from typing import Any

import click

from tallystick import ledger
from tallystick.ledger.errors import Damaged
from tallystick.ledger.events.commit import decode_head, event_handle, from_micros
from tallystick.ledger.events.sentences import count, sentence
from tallystick.ledger.storage.imported_commits import read_here
from tallystick.ledger.storage.log import Commit, Stored
from tallystick.tui.cli.answer import struck
from tallystick.tui.output.changes import corrected_by
from tallystick.tui.output.console import parsed, wrap
from tallystick.tui.output.escape import show
from tallystick.tui.output.import_label import imported_json, source_words


def print_commit(commit: Commit, book: ledger.Ledger, aside: dict[int, int], longest: int = 12) -> None:
    """When, who, and what each event says; of many events the first ``longest``."""
    head = decode_head(commit.head)
    moment = from_micros(commit.recorded_at).astimezone(book.zone).strftime("%Y-%m-%d %H:%M:%S %Z")
    click.secho(f"{book.commit_handle(commit.n)}  {moment}  {show(head.actor)}", bold=True)
    if head.note:
        click.echo(wrap(head.note, "    "))
    told = [stored for stored in book.log.events(commit.first_seq, commit.last_seq) if not _is_bookkeeping(stored)]
    hidden = commit.last_seq - commit.first_seq + 1 - len(told)
    for stored in told[:longest]:
        click.echo(f"    #{stored.seq:<6} {struck(show(event_words(stored, book), 400), stored.seq, aside)}")
    if len(told) > longest:
        click.echo(f"    … and {len(told) - longest} more: tally show c{commit.n}")
    if hidden:
        click.echo(f"    and {count(hidden, 'schema or artifact', 'schemas and artifacts')}")


def _is_bookkeeping(stored: Stored) -> bool:
    return stored.type in ("schema.declared", "artifact.stored")


def event_words(stored: Stored, book: ledger.Ledger) -> str:
    """The sentence of an event; one that was erased or damaged is said to be so instead of ending the list."""
    if stored.data is None:
        said = book.log.last_seq_of(f"redaction:{stored.seq}")
        return f"{stored.type}: its body is not here" if said is None else f"{stored.type}, erased (#{said} says why)"
    try:
        return sentence(read_here(book.log, stored.seq, stored.data))
    except Damaged as error:
        return f"{stored.type}: {error.message}"


def commit_json(commit: Commit, book: ledger.Ledger, aside: dict[int, int]) -> dict[str, Any]:
    """The same for programs."""
    return {
        "handle": book.commit_handle(commit.n),
        "n": commit.n,
        "recorded_at": from_micros(commit.recorded_at),
        "head": parsed(commit.head.encode()),
        "imported": imported_json(book, commit),
        "events": [
            {
                "handle": event_handle(stored.seq, stored.id),
                "seq": stored.seq,
                "type": stored.type,
                "sentence": event_words(stored, book),
                "corrected_by": corrected_by(stored.seq, aside),
            }
            for stored in book.log.events(commit.first_seq, commit.last_seq)
        ],
    }


def print_source(book: ledger.Ledger, commit: Commit) -> None:
    """Where an imported commit comes from; nothing for the ledger's own."""
    words = source_words(book, commit)
    if words:
        click.echo(wrap(words, "  "))
