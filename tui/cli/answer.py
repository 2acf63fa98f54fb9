"""What heads an answer, and how it marks what does not count any more."""

from __future__ import annotations

from typing import Any

import click

from tallystick import ledger
from tallystick.ledger.events.sentences import count
from tallystick.ledger.query.evidence import RecordedEvent
from tallystick.ledger.views.projection import State
from tallystick.tui.output.console import heading
from tallystick.tui.output.values import state_builtins

MOST_ERASED = 3
"""Erased events that a heading names."""


def snapshot_of(book: ledger.Ledger, as_of: str | None, axis: str = "recorded") -> ledger.Snapshot:
    """The moment that a command was asked about."""
    if axis == "occurred":
        return book.at("now" if as_of is None else as_of, axis="occurred")
    return book.now() if as_of is None else book.at(as_of)


def head_line(snapshot: ledger.Snapshot, as_of: str | None) -> None:
    """Say what a date was resolved to; now needs no saying, a replayed clock and erased content always do."""
    replayed = "REPLAYED CLOCK · " if snapshot.genesis.clock == "replayed" else ""
    if as_of or replayed or snapshot.as_of.supposed:
        heading(replayed + snapshot.as_of.words)
    erased = snapshot.erased()
    if erased:
        listed = [item.words for item in erased[:MOST_ERASED]]
        if len(erased) > MOST_ERASED:
            listed.append(f"and that of {count(len(erased) - MOST_ERASED, 'more event')}")
        words = "; ".join(listed)
        heading(f"{words[0].upper()}{words[1:]}. What followed from it is unknown.")


def set_aside(snapshot: ledger.Snapshot) -> dict[int, int]:
    """Events that do not count, with the corrections that say so."""
    return {int(state.correction): state.seq for state in snapshot.corrections()}


def struck_where_corrected(text: str, found: RecordedEvent) -> str:
    """Lines about an event that are safe for a terminal, struck through where it does not count."""
    return struck(text, found.seq, {} if found.corrected_by is None else {found.seq: found.corrected_by.seq})


def struck(text: str, seq: int, aside: dict[int, int]) -> str:
    """Lines about an event that are safe for a terminal, struck through where it does not count."""
    if seq not in aside:
        return text
    # A line at a time, and without its indent: a bar through empty space says nothing.
    lines = (line[: len(line) - len(line.lstrip())] + click.style(line.lstrip(), strikethrough=True)
             for line in text.split("\n"))  # fmt: skip
    return "\n".join(lines) + f" (does not count: #{aside[seq]})"


def state_json(snapshot: ledger.Snapshot, state: State | None, handle: str) -> dict[str, Any] | None:
    """The state of an entity for programs, with its handle; None where there is none."""
    return None if state is None else {"handle": handle, **state_builtins(snapshot, state)}
