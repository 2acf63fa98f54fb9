"""Models that trials made and that are kept beside them."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant
from tallystick.ledger.views.projection import Change, Lookup, State, follow, projection


class LoggedModelState(State, frozen=True, kw_only=True):
    logged: str
    name: str
    status: str | None
    experiment: str | None
    trial: str | None
    artifact_uri: str | None
    model_type: str | None
    params: dict[str, str]
    created_at: Instant
    changed_at: Instant
    removed: bool = False


def logged_models(entry: Entry, current: Lookup) -> Iterator[Change]:
    """Kept models from their creation on."""
    body, at = entry.event.body, entry.event.occurred_at
    if isinstance(body, say.LoggedCreated):
        made = LoggedModelState(
            seq=entry.seq,
            logged=body.logged,
            name=body.name,
            status=body.status,
            experiment=body.experiment,
            trial=body.trial,
            artifact_uri=body.artifact_uri,
            model_type=body.model_type,
            params=body.params,
            created_at=at,
            changed_at=at,
        )
        yield body.logged, made
        return
    state: LoggedModelState | None = current(body.logged)
    if state is not None:
        yield (
            body.logged,
            follow(
                state,
                entry,
                status=body.status or state.status,
                params={**state.params, **body.params},
                changed_at=at,
                removed=state.removed if body.removed is None else body.removed,
            ),
        )


LOGGED_MODELS = projection(
    "logged_models",
    "logged",
    LoggedModelState,
    (say.LoggedCreated, say.LoggedChanged),
    logged_models,
    steady=(("logged", "name", "experiment", "trial", "artifact_uri", "model_type", "params", "created_at"),),
)
