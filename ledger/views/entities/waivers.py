"""Waivers: dated, owned exceptions from one gate for one model."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant
from tallystick.ledger.views.projection import Change, Lookup, State, amended, follow, projection


class WaiverState(State, frozen=True, kw_only=True):
    waiver: str
    gate: str
    name: str
    """Of the gate, without the model."""
    model: str
    pipeline: str
    reason: str
    owner: str
    approver: str
    granted_at: Instant
    until: Instant
    """It counts before this moment, and is expired from then on without any event."""
    ends_when: str | None
    evidence: str | None
    renewal: int
    ended_at: Instant | None = None
    """When it was taken back before its time."""
    ended_by: str | None = None
    ended_reason: str | None = None

    def holds(self, at: Instant) -> bool:
        """Whether it excuses its gate at a moment."""
        return self.granted_at <= at < self.until and (self.ended_at is None or at < self.ended_at)


def waivers(entry: Entry, current: Lookup) -> Iterator[Change]:
    """Waivers as they were granted and taken back."""
    match entry.event.body:
        case say.WaiverGranted() as body:
            yield (
                body.waiver,
                WaiverState(
                    seq=entry.seq,
                    waiver=body.waiver,
                    gate=body.gate,
                    name=body.name,
                    model=body.model,
                    pipeline=body.pipeline,
                    reason=body.reason,
                    owner=body.owner,
                    approver=body.approver,
                    granted_at=entry.recorded_at,
                    until=body.until,
                    ends_when=body.ends_when,
                    evidence=body.evidence,
                    renewal=body.renewal,
                ),
            )
        case say.WaiverEnded() as body:
            state: WaiverState | None = current(body.waiver)
            if state is not None and state.ended_at is None:
                ended = {"ended_at": entry.recorded_at, "ended_by": entry.actor, "ended_reason": body.reason}
                yield body.waiver, follow(state, entry, **ended)


WAIVERS = amended(
    projection(
        "waivers",
        "waiver",
        WaiverState,
        (say.WaiverGranted, say.WaiverEnded),
        waivers,
        steady=(
            (
                "waiver",
                "gate",
                "name",
                "model",
                "pipeline",
                "reason",
                "owner",
                "approver",
                "granted_at",
                "until",
                "ends_when",
                "evidence",
                "renewal",
            ),
        ),
    ),
    writes={
        say.WaiverEnded: ("ended_at", "ended_by", "ended_reason"),
    },
)
