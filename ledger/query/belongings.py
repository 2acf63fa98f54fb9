"""What belongs to an entity and is stored as entities of its own, because it grows: shown beside its fields."""

from __future__ import annotations

from typing import Any

from tallystick.ledger.events.unknown import is_unknown
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.entities import DecisionState, TrialState
from tallystick.ledger.views.projection import State


def belongings(snapshot: Snapshot, state: State) -> dict[str, Any]:
    """Values by name, as JSON holds them; empty for entities that nothing belongs to.

    A trial has ``params``, ``last`` (the newest number of each metric; null where
    ``not_finite`` names it), ``tags``, ``files`` (their names) and ``notes``; a decision has ``approved_by``.
    """
    match state:
        case TrialState(trial=trial):
            metrics = [metric for metric in snapshot.trial_metrics(trial) if metric.model is None]
            files = [file.name for file in snapshot.trial_files(trial)]
            return {
                "params": state.params if is_unknown(state.params) else snapshot.trial_params(trial),
                "last": {metric.name: metric.value for metric in metrics},
                "not_finite": {metric.name: metric.not_finite for metric in metrics if metric.not_finite},
                "tags": snapshot.tags(f"trial:{trial}"),
                "files": files + [file.path for file in snapshot.filed(f"trial:{trial}")],
                "notes": [note.text for note in snapshot.notes(trial)],
            }
        case DecisionState(decision=decision):
            return {"approved_by": [approval.approver for approval in snapshot.approvals(decision)]}
        case _:
            return {}
