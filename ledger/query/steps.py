"""Pipelines whose time is a whole number: what is kept as a date of theirs is shown as the step that it means."""

from __future__ import annotations

import datetime as dt

from tallystick.ledger.events import types as say
from tallystick.ledger.events.commit import EPOCH
from tallystick.ledger.events.event import Event
from tallystick.ledger.events.unknown import is_unknown
from tallystick.ledger.query.snapshot import Snapshot

STEP = dt.timedelta(days=1)
"""Step ``n`` is kept as ``n`` days after 1970-01-01 UTC."""


def counts_in_steps(snapshot: Snapshot, pipeline: str) -> bool:
    """Whether the newest registration of a pipeline counts time in whole numbers; no for one that cannot be read."""
    state = next((state for state in snapshot.pipelines() if state.pipeline == pipeline), None)
    if state is None or is_unknown(state.registered_by):
        return False
    content = snapshot.event(state.registered_by).content
    body = content.body if isinstance(content, Event) else None
    time = body.meaning.get("time") if isinstance(body, say.PipelineRegistered) else None
    return isinstance(time, dict) and time.get("unit") == "step"


def step_of(moment: dt.datetime) -> int:
    """The step that a moment is kept for."""
    return (moment - EPOCH) // STEP
