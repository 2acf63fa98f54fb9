"""Histories of other ledgers that were imported: how far, by whom, and who vouches for them."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant
from tallystick.ledger.events.sentences import vouched_words
from tallystick.ledger.views.projection import Change, Lookup, State, projection


class HistoryState(State, frozen=True, kw_only=True):
    history: str
    """Name of the other ledger when it began."""
    name: str
    """Its name when it was imported last."""
    commits: int
    """How many of its commits are here, or on their way where an import was interrupted."""
    proven: bool
    """Whether anything but that ledger itself says that this is its history."""
    vouched: str
    """By what, in words."""
    named_under: str | None
    imported_at: Instant
    """When it was imported last."""
    by: str
    """Who imported it last."""
    first_imported: int
    """Position of the event that says so first."""


def histories(entry: Entry, current: Lookup) -> Iterator[Change]:
    """One state for each import of a history."""
    body: say.HistoryImported = entry.event.body
    before: HistoryState | None = current(body.history)
    yield (
        body.history,
        HistoryState(
            seq=entry.seq,
            history=body.history,
            name=body.name,
            commits=body.size,
            proven=body.vouched != "nothing",
            vouched=vouched_words(body),
            named_under=body.named_under,
            imported_at=entry.recorded_at,
            by=entry.actor,
            first_imported=before.first_imported if before else entry.seq,
        ),
    )


HISTORIES = projection("histories", "history", HistoryState, (say.HistoryImported,), histories)
