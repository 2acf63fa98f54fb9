"""Approvals: who approved a decision, one row a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant
from tallystick.ledger.events.unknown import is_unknown
from tallystick.ledger.views.projection import Change, Lookup, State, projection


class ApprovalState(State, frozen=True, kw_only=True):
    approval: str
    """Decision and person: ``2013-11-02.3/ann@example.org``; the event where the person is unknown."""
    decision: str
    approver: str
    approved_at: Instant
    """When it was recorded first."""


def approvals(entry: Entry, current: Lookup) -> Iterator[Change]:
    """The first approval by each person."""
    match entry.event.body:
        case say.DecisionApproved(decision=str(decision), approver=approver):
            people = [approver]
        case say.PromotionDecided(decision=decision, approvals=given):
            people = [cast("str", given)] if is_unknown(given) else list(given)
        case _:
            return
    for approver in people:
        # Where it is erased who approved, it is still known that somebody did.
        key = f"{decision}/#{entry.seq}" if is_unknown(approver) else f"{decision}/{approver}"
        if current(key) is None:
            state = ApprovalState(
                seq=entry.seq, approval=key, decision=decision, approver=approver, approved_at=entry.recorded_at
            )
            yield key, state


APPROVALS = projection(
    "approvals",
    "approval",
    ApprovalState,
    (say.DecisionApproved, say.PromotionDecided),
    approvals,
)
