"""Answers about gates, with those that are open again: what one passed on does not count any more.

The views keep what was recorded, and a gate that was recorded as passed stays so until somebody judges it anew. Every
answer that shows a gate goes through here, so that two answers to one question never differ.
"""

from __future__ import annotations

from tallystick.ledger.query.blame import Cause, Why
from tallystick.ledger.query.diff import Difference, EntityChange, FieldChange
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.entities import GateState
from tallystick.ledger.views.fold import differing
from tallystick.ledger.views.projection import State
from tallystick.pipeline.governance.gates import Reopened, reopened_gates


def as_it_counts(now: Snapshot, state: State) -> State:
    """The state of an entity; of a gate, as it stands without evidence that does not count any more."""
    if not isinstance(state, GateState):
        return state
    found = reopened_gates(now, state.model).get(state.gate)
    return state if found is None else found.state


def gates_as_they_count(now: Snapshot) -> list[GateState]:
    """All gates as they stand."""
    reopened = reopened_gates(now)
    return [reopened[state.gate].state if state.gate in reopened else state for state in now.gates()]


def why_it_counts(now: Snapshot, found: Why) -> Why:
    """The answer to *why is this so*; of a gate that is open again, what made it so."""
    state = now.find(f"{found.kind}:{found.name}") if found.kind == "gate" else None
    if not isinstance(state, GateState):
        return found
    reopened = reopened_gates(now, state.model).get(state.gate)
    value = None if reopened is None else getattr(reopened.state, found.field)
    if reopened is None or value == found.value:
        return found
    because = Cause(now.entry(reopened.because), [found.because], 0)
    return found._replace(value=value, before=found.value, was_there=True, because=because)


def difference_that_counts(a: Snapshot, b: Snapshot, found: Difference) -> Difference:
    """What changed between two moments, also by evidence that was set aside in between."""
    before, after = reopened_gates(a), reopened_gates(b)
    if not before and not after:
        return found
    old, new = _by_name(a, before), _by_name(b, after)
    changes = []
    seen = set()
    for change in found.changes:
        if change.kind != "gate":
            changes.append(change)
            continue
        seen.add(change.name)
        changes += _changed(change, old.get(change.name), new.get(change.name), before, after)
    for name in sorted((before.keys() | after.keys()) - seen):
        changes += _changed(None, old.get(name), new.get(name), before, after)
    return found._replace(changes=changes)


def _by_name(now: Snapshot, reopened: dict[str, Reopened]) -> dict[str, GateState]:
    return {state.gate: reopened[state.gate].state if state.gate in reopened else state for state in now.gates()}


def _changed(
    recorded: EntityChange | None,
    old: GateState | None,
    new: GateState | None,
    before: dict[str, Reopened],
    after: dict[str, Reopened],
) -> list[EntityChange]:
    """The change of one gate; none where it stands as before."""
    made = new or old
    assert made is not None
    reopened = after.get(made.gate) or before.get(made.gate)
    seq = recorded.seq if recorded is not None else made.seq
    if reopened is not None:
        seq = max(seq, reopened.because)
    if old is None or new is None:
        return [EntityChange("gate", made.gate, old, new, seq, [])]
    by_field = {field.field: field.seq for field in recorded.fields} if recorded is not None else {}
    fields = [FieldChange(name, left, right, by_field.get(name, seq)) for name, left, right in differing(old, new)]
    return [EntityChange("gate", made.gate, old, new, seq, fields)] if fields else []
