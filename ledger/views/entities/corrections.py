"""Corrections that hold: which events do not count any more, since when and why."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant
from tallystick.ledger.events.unknown import is_unknown
from tallystick.ledger.views.projection import Change, Lookup, State, projection


class CorrectionState(State, frozen=True, kw_only=True):
    correction: str
    """Position of the event that does not count."""
    type: str
    reason: str
    by: str
    at: Instant


def corrected(entry: Entry) -> int | None:
    """Position of the earlier event that an entry sets aside; None where it is no correction.

    This program writes no other, but a stranger's may: one that names itself, a later event or no position at all sets
    nothing aside, so that following corrections always comes to an end.
    """
    body = entry.event.body
    if not isinstance(body, say.EventCorrected) or is_unknown(body.correction):
        return None
    if not re.fullmatch("0|[1-9][0-9]{0,15}", body.correction):
        return None
    seq = int(body.correction)
    return seq if seq < entry.seq else None


def corrections(entry: Entry, _current: Lookup) -> Iterator[Change]:
    """One state for each event that does not count."""
    body: say.EventCorrected = entry.event.body
    if corrected(entry) is None:
        return
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
)
