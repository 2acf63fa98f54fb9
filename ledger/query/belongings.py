"""What belongs to an entity and is stored as entities of its own, because it grows: shown beside its fields."""

from __future__ import annotations

from typing import Any

from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.entities import DecisionState, TrialState
from tallystick.ledger.views.projection import State


def belongings(snapshot: Snapshot, state: State) -> dict[str, Any]:
    """Values by name, as JSON holds them; empty for entities that nothing belongs to.

    A trial has ``last``, the newest number of each metric, and ``files``, their names; a decision has ``approved_by``.
    """
    match state:
        case TrialState(trial=trial):
            last = {metric.name: metric.value for metric in snapshot.trial_metrics(trial)}
            return {"last": last, "files": [file.name for file in snapshot.trial_files(trial)]}
        case DecisionState(decision=decision):
            return {"approved_by": [approval.approver for approval in snapshot.approvals(decision)]}
        case _:
            return {}
