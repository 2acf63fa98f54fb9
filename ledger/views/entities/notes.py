"""Remarks on trials, in the words of whoever made them."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant
from tallystick.ledger.views.projection import Change, Lookup, State, projection


class NoteState(State, frozen=True, kw_only=True):
    note: str
    """Trial and position: ``churn-notebook/20261125-143005-k3f9a2/812``."""
    trial: str
    text: str
    by: str
    at: Instant


def notes(entry: Entry, _current: Lookup) -> Iterator[Change]:
    """One for each event that holds one."""
    body: say.TrialNoted = entry.event.body
    if body.note is not None:
        key = f"{body.trial}/{entry.seq:012}"
        at = entry.event.occurred_at
        yield key, NoteState(seq=entry.seq, note=key, trial=body.trial, text=body.note, by=entry.actor, at=at)


NOTES = projection("notes", "note", NoteState, (say.TrialNoted,), notes)
