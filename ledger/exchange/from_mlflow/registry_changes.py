"""Which events bring the ledger to the registered models, versions and aliases of a store."""

from __future__ import annotations

import re

import msgspec

from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.types import (
    AliasMoved,
    RegisteredChanged,
    RegisteredCreated,
    VersionChanged,
    VersionCreated,
)
from tallystick.ledger.exchange.from_mlflow.changes import differing, draft, millis
from tallystick.ledger.exchange.from_mlflow.held import HeldVersion, Loss, Registered
from tallystick.ledger.exchange.from_mlflow.known import KnownBefore
from tallystick.ledger.views.entities import ModelVersionState, RegisteredModelState

LONGEST_KEY = 180
_OF_MODEL = re.compile(r"models:/(m-[0-9a-zA-Z]{1,60})/?")


def named(known: KnownBefore, name: str) -> RegisteredModelState | None:
    """The registered model of the ledger that has a name now."""
    return next((state for state in known.registered.values() if state.name == name and not state.removed), None)


def registered_changes(known: KnownBefore, held: Registered, losses: list[Loss]) -> list[Draft]:
    """Events for one registered model, its versions and its aliases.

    A version that the store holds in part, or an alias of none, is among the ``losses``.
    """
    state = named(known, held.name)
    key = _free_key(known, held.name) if state is None else state.registered
    found = _new(held, key) if state is None else _further(known, held, state)
    there = {} if state is None else {version.number: version for version in known.now.model_versions(key)}
    for version in held.versions:
        old = there.get(version.number)
        found += _new_version(version, key) if old is None else _further_version(known, version, old)
    return found + _aliases(known, held, key, losses)


def _free_key(known: KnownBefore, name: str) -> str:
    key, count = name[:LONGEST_KEY], 1
    while key in known.registered:
        count += 1
        key = f"{name[:LONGEST_KEY]}~{count}"
    return key


def _new(held: Registered, key: str) -> list[Draft]:
    created = RegisteredCreated(registered=key, name=held.name, description=held.description, tags=held.tags)
    found = [draft(created, held.created_ms)]
    if held.changed_ms not in (None, held.created_ms):
        found.append(draft(RegisteredChanged(registered=key), held.changed_ms))
    return found


def _further(known: KnownBefore, held: Registered, state: RegisteredModelState) -> list[Draft]:
    tags, removed_tags = known.tag_changes(f"registered:{state.registered}", held.tags)
    changed = RegisteredChanged(registered=state.registered, tags=tags, removed_tags=removed_tags)
    described = held.description is not None and held.description != state.description
    differs = described or (held.changed_ms or 0) > (millis(state.changed_at) or 0)
    if differs and known.may_follow(state.seq, f"registered model {held.name}"):
        if described:
            changed = msgspec.structs.replace(changed, description=held.description)
        return [draft(changed, held.changed_ms)]
    return [draft(changed)] if tags or removed_tags else []


def _new_version(held: HeldVersion, key: str) -> list[Draft]:
    version = f"{key}/{held.number}"
    of_model = _OF_MODEL.fullmatch(held.source)
    created = VersionCreated(
        version=version,
        registered=key,
        number=held.number,
        source=held.source,
        trial=held.run,
        logged=held.model or (of_model[1] if of_model else None),
        run_link=held.run_link,
        user=held.user,
        description=held.description,
        status=held.status,
        stage=None if held.removed else held.stage,
        tags=held.tags,
    )
    found = [draft(created, held.created_ms)]
    if held.removed or held.changed_ms not in (None, held.created_ms):
        changed = VersionChanged(version=version, registered=key, removed=True if held.removed else None)
        found.append(draft(changed, held.changed_ms, held.created_ms))
    return found


def _further_version(known: KnownBefore, held: HeldVersion, state: ModelVersionState) -> list[Draft]:
    tags, removed_tags = known.tag_changes(f"version:{state.version}", held.tags)
    changed = VersionChanged(version=state.version, registered=state.registered, tags=tags, removed_tags=removed_tags)
    stage = state.stage if held.removed else held.stage or state.stage
    described = held.description is not None and held.description != state.description
    later = (held.changed_ms or 0) > (millis(state.changed_at) or 0)
    differs = described or later or (stage, held.removed, held.status) != (state.stage, state.removed, state.status)
    if differs and known.may_follow(state.seq, f"version {state.version}"):
        changed = msgspec.structs.replace(
            changed,
            description=held.description if described else None,
            stage=stage if stage != state.stage else None,
            status=held.status if held.status != state.status else None,
            removed=held.removed if held.removed != state.removed else None,
        )
        return [draft(changed, held.changed_ms)]
    return [draft(changed)] if tags or removed_tags else []


def _aliases(known: KnownBefore, held: Registered, key: str, losses: list[Loss]) -> list[Draft]:
    """Aliases as they point at this import; since when, and who moved them, no store of MLflow says."""
    there = {state.name: state for state in known.now.aliases(key)} if key in known.registered else {}
    numbers = {version.number for version in held.versions if not version.removed}
    found: list[Draft] = []
    for name, number in held.aliases.items():
        version = f"{key}/{number}"
        state = there.get(name)
        if number not in numbers or len(f"{key}/{name}") > 200:
            losses.append(Loss(f"alias {name} of {held.name}", f"it points to version {number}, which is not there"))
        elif state is None or (
            state.version != version and known.may_follow(state.seq, f"alias {name} of {held.name}")
        ):
            found.append(_moved(key, name, version, None if state is None else state.version))
    for name, state in there.items():
        if state.version is not None and name not in held.aliases and known.is_imported(state.seq):
            found.append(_moved(key, name, None, state.version))
    return found


def _moved(key: str, name: str, version: str | None, previous: str | None) -> Draft:
    return Draft(
        AliasMoved(alias=f"{key}/{name}", registered=key, name=name, version=version, previous=previous, observed=True)
    )


def conflict(known: KnownBefore, held: Registered) -> str | None:
    """In words, why a name cannot be imported: the ledger calls another model so."""
    state = named(known, held.name)
    if state is None or held.created_ms is None or not differing(held.created_ms, state.created_at):
        return None
    return f"registered model {held.name}"
