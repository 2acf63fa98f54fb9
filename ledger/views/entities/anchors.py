"""Anchors: what was recorded about receipts that are kept elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant
from tallystick.ledger.views.projection import Change, Lookup, State, projection


class AnchorState(State, frozen=True, kw_only=True):
    anchor: str
    kind: str
    size: int
    """Number of commits that it vouches for."""
    where: str
    stated_at: Instant | None
    recorded_at: Instant
    by: str


def anchors(entry: Entry, _current: Lookup) -> Iterator[Change]:
    """Anchors as they were recorded."""
    body: say.AnchorRecorded = entry.event.body
    yield (
        body.anchor,
        AnchorState(
            seq=entry.seq,
            anchor=body.anchor,
            kind=body.kind,
            size=body.size,
            where=body.where,
            stated_at=body.stated_at,
            recorded_at=entry.recorded_at,
            by=entry.actor,
        ),
    )


ANCHORS = projection(
    "anchors",
    "anchor",
    AnchorState,
    (say.AnchorRecorded,),
    anchors,
)
