"""Versions of registered models."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant
from tallystick.ledger.views.projection import Change, Lookup, State, follow, projection


class ModelVersionState(State, frozen=True, kw_only=True):
    version: str
    """``fraud-model/3``."""
    registered: str
    number: int
    source: str
    trial: str | None
    logged: str | None
    run_link: str | None
    user: str | None
    by: str
    description: str | None
    status: str | None
    stage: str | None
    created_at: Instant
    changed_at: Instant
    removed: bool = False


def model_versions(entry: Entry, current: Lookup) -> Iterator[Change]:
    """Versions from their creation on."""
    body, at = entry.event.body, entry.event.occurred_at
    if isinstance(body, say.VersionCreated):
        made = ModelVersionState(
            seq=entry.seq,
            version=body.version,
            registered=body.registered,
            number=body.number,
            source=body.source,
            trial=body.trial,
            logged=body.logged,
            run_link=body.run_link,
            user=body.user,
            by=entry.actor,
            description=body.description,
            status=body.status,
            stage=body.stage,
            created_at=at,
            changed_at=at,
        )
        yield body.version, made
        return
    state: ModelVersionState | None = current(body.version)
    if state is not None:
        yield (
            body.version,
            follow(
                state,
                entry,
                source=body.source or state.source,
                description=state.description if body.description is None else body.description,
                status=body.status or state.status,
                stage=body.stage or state.stage,
                changed_at=at,
                removed=state.removed if body.removed is None else body.removed,
            ),
        )


MODEL_VERSIONS = projection(
    "model_versions",
    "version",
    ModelVersionState,
    (say.VersionCreated, say.VersionChanged),
    model_versions,
    steady=(
        ("version", "registered", "number", "source", "trial", "logged", "run_link", "user", "by", "created_at"),
        ("description",),
    ),
)
