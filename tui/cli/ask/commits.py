"""A commit with its events, as `log` and `show` print it."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import click

from tallystick import ledger
from tallystick.ledger.events.sentences import count
from tallystick.ledger.query.commits import RecordedCommit
from tallystick.ledger.query.evidence import RecordedEvent
from tallystick.tui.cli.answer import struck_where_corrected
from tallystick.tui.output.console import parsed, wrap
from tallystick.tui.output.escape import show
from tallystick.tui.output.import_label import imported_json, source_words


def print_commit(commit: RecordedCommit, snapshot: ledger.Snapshot, zone: ZoneInfo, longest: int = 12) -> None:
    """When, who, and what each event says; of many events the first ``longest``."""
    moment = commit.recorded_at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z")
    click.secho(f"{snapshot.commit_handle(commit.n)}  {moment}  {show(commit.head.actor)}", bold=True)
    if commit.head.note:
        click.echo(wrap(commit.head.note, "    "))
    events = [found for found in snapshot.events(commit.first_seq, commit.last_seq) if not _is_bookkeeping(found)]
    hidden = commit.last_seq - commit.first_seq + 1 - len(events)
    for found in events[:longest]:
        click.echo(f"    #{found.seq:<6} {struck_where_corrected(show(found.sentence, 400), found)}")
    if len(events) > longest:
        click.echo(f"    … and {len(events) - longest} more: tally show c{commit.n}")
    if hidden:
        click.echo(f"    and {count(hidden, 'schema or artifact', 'schemas and artifacts')}")


def _is_bookkeeping(found: RecordedEvent) -> bool:
    return found.type in ("schema.declared", "artifact.stored")


def commit_json(commit: RecordedCommit, snapshot: ledger.Snapshot) -> dict[str, Any]:
    """The same for programs."""
    return {
        "handle": snapshot.commit_handle(commit.n),
        "n": commit.n,
        "recorded_at": commit.recorded_at,
        "head": parsed(commit.head_text.encode()),
        "imported": imported_json(snapshot, commit.n),
        "events": [
            {
                "handle": found.handle,
                "seq": found.seq,
                "type": found.type,
                "sentence": found.sentence,
                "corrected_by": corrected_by(found),
            }
            for found in snapshot.events(commit.first_seq, commit.last_seq)
        ],
    }


def corrected_by(found: RecordedEvent) -> str | None:
    """The handle of the correction that sets an event aside."""
    return None if found.corrected_by is None else f"#{found.corrected_by.seq}"


def print_source(snapshot: ledger.Snapshot, n: int, zone: ZoneInfo) -> None:
    """Where an imported commit comes from; nothing for the ledger's own."""
    words = source_words(snapshot, n, zone)
    if words:
        click.echo(wrap(words, "  "))
