"""Decisions as they were taken, and who approved them since."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant
from tallystick.ledger.views.projection import Change, Lookup, State, follow, projection


class DecisionState(State, frozen=True, kw_only=True):
    decision: str
    run: str | None
    pipeline: str
    outcome: str
    chosen: str | None
    model: str | None
    headline: str
    taken_at: Instant
    described_by: int
    """Position of the ``decision.taken`` or ``promotion.decided`` event, which holds the reasons."""
    approved_by: tuple[str, ...] = ()


def decisions(entry: Entry, current: Lookup) -> Iterator[Change]:
    """Decisions as they were taken, and who approved them since."""
    match entry.event.body:
        case say.DecisionTaken() as body:
            yield (
                body.decision,
                DecisionState(
                    seq=entry.seq,
                    decision=body.decision,
                    run=body.run,
                    pipeline=body.pipeline,
                    outcome=body.outcome,
                    chosen=body.chosen,
                    model=body.model,
                    headline=body.headline,
                    taken_at=entry.recorded_at,
                    described_by=entry.seq,
                ),
            )
        case say.PromotionDecided() as body:
            yield (
                body.decision,
                DecisionState(
                    seq=entry.seq,
                    decision=body.decision,
                    run=body.run,
                    pipeline=body.pipeline,
                    outcome=body.kind,
                    chosen=None,
                    model=body.model,
                    headline=body.headline,
                    taken_at=entry.recorded_at,
                    described_by=entry.seq,
                    approved_by=tuple(body.approvals),
                ),
            )
        case say.DecisionApproved() as body:
            state: DecisionState | None = current(body.decision) if body.decision else None
            if state is not None and body.decision and body.approver not in state.approved_by:
                yield body.decision, follow(state, entry, approved_by=(*state.approved_by, body.approver))


DECISIONS = projection(
    "decisions",
    "decision",
    DecisionState,
    (say.DecisionTaken, say.PromotionDecided, say.DecisionApproved),
    decisions,
    __file__,
)
