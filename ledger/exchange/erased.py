"""States with erased values, as other trackers can take them: their types know no value that is unknown."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from tallystick.ledger.events.unknown import Unknown
from tallystick.ledger.views.entities import AliasState, ModelVersionState, RegisteredModelState, TrialState
from tallystick.ledger.views.projection import State

S = TypeVar("S", bound=State)

_IN_WORDS = ("name", "user", "description", "reason", "error", "source")
"""Texts that a person reads: they say that the content was erased, and when."""
_INSTEAD: dict[str, Any] = {"removed": False, "observed": False, "params": {}, "points": 0, "file_count": 0}
"""Any other field is None: as if it had not been given."""


def readable(state: S) -> S:
    """The same state with words, or nothing, in place of what was erased."""
    unknown = {field: value for field in state.__struct_fields__ if isinstance(value := getattr(state, field), Unknown)}
    if not unknown:
        return state
    changes = {field: value.words if field in _IN_WORDS else _INSTEAD.get(field) for field, value in unknown.items()}
    return msgspec.structs.replace(state, **(changes | _from_key(state, changes)))


def _from_key(state: State, changes: dict[str, Any]) -> dict[str, Any]:
    """What the name of an entity still says, and what must have some value."""
    found: dict[str, Any] = {}
    match state:
        case AliasState():
            found["name"] = state.alias.rpartition("/")[2]
        case RegisteredModelState():
            found["name"] = state.registered
        case ModelVersionState():
            found["number"] = int(state.version.rpartition("/")[2])
        case TrialState():
            found["status"] = "scheduled"
    return {field: value for field, value in found.items() if field in changes}
