"""Decisions as they were taken, and who approved them last; all approvals are entities of their own."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant
from tallystick.ledger.views.projection import Change, Lookup, State, amended, follow, projection


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
    last_approver: str | None = None
    """Who approved it last."""


def decisions(entry: Entry, current: Lookup) -> Iterator[Change]:
    """Decisions as they were taken, and who approved them last; all approvals are entities of their own."""
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
                    last_approver=body.approvals[-1] if body.approvals else None,
                ),
            )
        case say.DecisionApproved() as body:
            state: DecisionState | None = current(body.decision) if body.decision else None
            if state is not None and body.decision and body.approver != state.last_approver:
                yield body.decision, follow(state, entry, last_approver=body.approver)


DECISIONS = amended(
    projection(
        "decisions",
        "decision",
        DecisionState,
        (say.DecisionTaken, say.PromotionDecided, say.DecisionApproved),
        decisions,
        steady=(("decision", "run", "pipeline", "outcome", "chosen", "model", "headline", "taken_at", "described_by"),),
    ),
    writes={
        say.DecisionApproved: ("last_approver",),
    },
)
