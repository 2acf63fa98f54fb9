"""Names under which versions of a model are registered."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant
from tallystick.ledger.views.projection import Change, Lookup, State, follow, projection


class RegisteredModelState(State, frozen=True, kw_only=True):
    registered: str
    """What it was called first; a new name does not change it."""
    name: str
    description: str | None
    created_at: Instant
    changed_at: Instant
    by: str
    removed: bool = False


def registered_models(entry: Entry, current: Lookup) -> Iterator[Change]:
    """Registered models from their creation on; one that was removed may be created again."""
    body, at = entry.event.body, entry.event.occurred_at
    if isinstance(body, say.RegisteredCreated):
        made = RegisteredModelState(
            seq=entry.seq,
            registered=body.registered,
            name=body.name or body.registered,
            description=body.description,
            created_at=at,
            changed_at=at,
            by=entry.actor,
        )
        yield body.registered, made
        return
    state: RegisteredModelState | None = current(body.registered)
    if state is not None:
        yield (
            body.registered,
            follow(
                state,
                entry,
                name=body.name or state.name,
                description=state.description if body.description is None else body.description,
                changed_at=at,
                removed=state.removed if body.removed is None else body.removed,
            ),
        )


REGISTERED_MODELS = projection(
    "registered_models",
    "registered",
    RegisteredModelState,
    (say.RegisteredCreated, say.RegisteredChanged),
    registered_models,
    steady=(("registered", "by", "created_at"), ("description",)),
)
