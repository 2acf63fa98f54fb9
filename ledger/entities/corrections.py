"""Corrections that hold: which events do not count any more, since when and why."""

from __future__ import annotations

from collections.abc import Iterator

from ledger import vocabulary as say
from ledger.event import Instant
from ledger.projection import Change, Entry, Lookup, State, projection


class CorrectionState(State, frozen=True, kw_only=True):
    correction: str
    """Position of the event that does not count."""
    type: str
    reason: str
    by: str
    at: Instant


def corrections(entry: Entry, _current: Lookup) -> Iterator[Change]:
    """One state for each event that does not count."""
    body: say.EventCorrected = entry.event.body
    yield (
        body.correction,
        CorrectionState(
            seq=entry.seq,
            correction=body.correction,
            type=body.type,
            reason=body.reason,
            by=entry.actor,
            at=entry.recorded_at,
        ),
    )


CORRECTIONS = projection(
    "corrections",
    "correction",
    CorrectionState,
    (say.EventCorrected,),
    corrections,
    __file__,
)
