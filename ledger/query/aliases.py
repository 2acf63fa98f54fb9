"""What an alias of a registered model points to, since when, and what it pointed to before."""

from __future__ import annotations

from typing import NamedTuple

from tallystick.ledger.errors import NotFound
from tallystick.ledger.events.unknown import Unknown
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.entities import AliasState, ModelVersionState, RegisteredModelState


class AliasAnswer(NamedTuple):
    """An alias at one position, with every move that led there."""

    registered: RegisteredModelState
    alias: AliasState
    version: ModelVersionState | None
    """None where the alias was taken away."""
    moves: list[AliasState]
    """Oldest first; the last one is ``alias``."""
    pipeline: str | None
    """The pipeline of the same name, whose gates hold for its own champion; None where there is none."""

    @property
    def versions_before(self) -> list[str]:
        """Versions that the alias pointed to before, oldest first."""
        return [move.version for move in self.moves[:-1] if move.version is not None]


def alias_of(snapshot: Snapshot, model: str, name: str) -> AliasAnswer:
    """The alias ``name`` of a registered model, by the name that the model has at this position.

    Raises
    ------
    NotFound
        When there is no such registered model, or it never had such an alias; the error lists those that there are.
    """
    registered = _registered(snapshot, model)
    aliases = snapshot.aliases(registered.registered)
    # By its key: where the event of a move was erased, the name in it is unknown, and the key is still known.
    alias = next((one for one in aliases if one.alias == f"{registered.registered}/{name}"), None)
    if alias is None:
        listed = ", ".join(one.alias.rpartition("/")[2] for one in aliases) or "none"
        raise NotFound(
            f"{_name(registered)} has no alias {name!r}, {snapshot.as_of.words}.", f"Aliases that it has: {listed}."
        )
    versions = {version.version: version for version in snapshot.model_versions(registered.registered)}
    pipelines = {pipeline.pipeline for pipeline in snapshot.pipelines()}
    return AliasAnswer(
        registered,
        alias,
        None if alias.version is None else versions.get(alias.version),
        snapshot.alias_moves(alias.alias),
        _name(registered) if _name(registered) in pipelines else None,
    )


def _registered(snapshot: Snapshot, name: str) -> RegisteredModelState:
    models = snapshot.registered_models()
    named = [model for model in models if _name(model) == name]
    # A name can be given again after a removal: the model that has it now is meant, else the newest that had it.
    found = [model for model in named if model.removed is not True] or named
    if not found:
        listed = ", ".join(sorted({_name(model) for model in models if model.removed is not True})) or "none"
        raise NotFound(
            f"There is no registered model {name!r}, {snapshot.as_of.words}.", f"Registered models: {listed}."
        )
    return found[-1]


def _name(model: RegisteredModelState) -> str:
    """The name of a model; where that was erased, the one that it was first registered under."""
    return model.registered if isinstance(model.name, Unknown) else model.name
