"""Registered models and their versions, as MLflow's types, and how they are found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from mlflow.entities.model_registry import (
    ModelVersion,
    ModelVersionTag,
    RegisteredModel,
    RegisteredModelAlias,
    RegisteredModelTag,
)
from mlflow.entities.model_registry.model_version_stages import (
    STAGE_NONE,
)
from mlflow.protos import databricks_pb2 as codes
from mlflow.utils.search_utils import SearchUtils

from tallystick.ledger.exchange.erased import readable
from tallystick.ledger.exchange.mlflow_entities import millis
from tallystick.ledger.exchange.mlflow_errors import fail
from tallystick.ledger.exchange.session import Session, run_id_of, trial_of
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.entities import LoggedModelState, ModelVersionState, RegisteredModelState

MODELS = "models:/"
SEARCH_MOST = 200_000


def registered_of(now: Snapshot, state: RegisteredModelState) -> RegisteredModel:
    """A registered model with what belongs to it."""
    newest: dict[str, ModelVersionState] = {}
    for version in versions(now, state.registered):
        newest[version.stage or STAGE_NONE] = version
    aliases = [readable(one) for one in now.aliases(state.registered) if one.version is not None]
    tags = now.tags(f"registered:{state.registered}")
    return RegisteredModel(
        name=state.name,
        creation_timestamp=millis(state.created_at),
        last_updated_timestamp=millis(state.changed_at),
        description=state.description,
        latest_versions=[version_of(now, state, version) for version in newest.values()],
        tags=[RegisteredModelTag(name, value) for name, value in tags.items()],
        aliases=[RegisteredModelAlias(one.name, number(one.version or "")) for one in aliases],
    )


def version_of(now: Snapshot, registered: RegisteredModelState, state: ModelVersionState) -> ModelVersion:
    """A version with what belongs to it."""
    aliases = [readable(one).name for one in now.aliases(state.registered) if one.version == state.version]
    tags = now.tags(f"version:{state.version}")
    return ModelVersion(
        name=registered.name,
        version=state.number,
        creation_timestamp=millis(state.created_at),
        last_updated_timestamp=millis(state.changed_at),
        description=state.description,
        user_id=state.user,
        current_stage=state.stage or STAGE_NONE,
        source=state.source,
        run_id=None if state.trial is None else run_id_of(state.trial),
        status=state.status or "READY",
        tags=[ModelVersionTag(name, value) for name, value in tags.items()],
        run_link=state.run_link,
        aliases=aliases,
        model_id=state.logged,
    )


def versions(now: Snapshot, registered: str) -> list[ModelVersionState]:
    """Versions that were not removed, by their number."""
    known = (readable(one) for one in now.model_versions(registered))
    return sorted((one for one in known if not one.removed), key=lambda one: one.number)


def registered_models(now: Snapshot) -> list[RegisteredModelState]:
    """Registered models that were not removed."""
    return [one for one in map(readable, now.registered_models()) if not one.removed]


def by_name(now: Snapshot, name: str) -> RegisteredModelState | None:
    """The registered model that has a name now, or None."""
    return next((state for state in registered_models(now) if state.name == name), None)


def registered_named(now: Snapshot, name: str) -> RegisteredModelState:
    """The registered model that has a name now; an error where there is none."""
    found = by_name(now, name)
    if found is None:
        fail(f"Registered Model with name={name} not found", codes.RESOURCE_DOES_NOT_EXIST)
    return found


def free_key(now: Snapshot, name: str) -> tuple[str, int | None]:
    """What a model is called in the ledger for ever, and the last event of whatever was called so before."""
    if by_name(now, name) is not None:
        taken(name)
    used = {state.registered: state for state in now.registered_models()}
    key, count = name[:180], 1
    while key in used:
        count += 1
        key = f"{name[:180]}~{count}"
    return key, None


def pointed(now: Snapshot, registered: str, alias: str) -> str | None:
    """The version that an alias points to, or None."""
    return next((one.version for one in now.aliases(registered) if one.alias == f"{registered}/{alias}"), None)


def last_move(now: Snapshot, registered: str, alias: str) -> tuple[int | None, str | None]:
    """The last move of an alias: its event, and where it points to."""
    found = next((one for one in now.aliases(registered) if one.alias == f"{registered}/{alias}"), None)
    return (None, None) if found is None else (found.seq, found.version)


def origin(now: Snapshot, source: str, run_id: str | None, model_id: str | None) -> tuple[str | None, str | None]:
    """The trial and the kept model that a version comes from, as far as they are in this ledger.

    A client that registers a kept model names only that; which run made it is recorded there.
    """
    kept = model_id or None
    if kept is None and (source or "").startswith(f"{MODELS}m-"):
        kept = source.removeprefix(MODELS).partition("/")[0]
    state = None if kept is None else now.find(f"logged:{kept}")
    trial = trial_of(now, run_id) if run_id else None
    if trial is None and isinstance(state, LoggedModelState):
        trial = state.trial
    return trial, kept


def files_of(now: Snapshot, state: ModelVersionState, session: Session) -> str:
    """The address of the files of a version; that of the kept model or of the version which it was made from."""
    kept = None if state.logged is None else now.find(f"logged:{state.logged}")
    if isinstance(kept, LoggedModelState) and kept.artifact_uri and state.source.startswith(MODELS):
        return session.files_address(kept.artifact_uri)
    name, slash, version = state.source.removeprefix(MODELS).rpartition("/")
    if state.source.startswith(MODELS) and slash and version.isdigit():
        registered = by_name(now, name)
        earlier = [] if registered is None else versions(now, registered.registered)
        found = next((one for one in earlier if one.number == int(version)), None)
        if found is not None and found.seq < state.seq:
            return files_of(now, found, session)
    return session.files_address(state.source)


def number(version: str) -> int:
    """The number in a version's name."""
    return int(version.rpartition("/")[2])


def taken(name: str) -> NoReturn:
    """Refuse a name that another has."""
    fail(f"Registered Model (name={name}) already exists.", codes.RESOURCE_ALREADY_EXISTS)


def at_most(max_results: int) -> int:
    """How many may be asked for at once."""
    if not 1 <= max_results <= SEARCH_MOST:
        fail(f"Invalid value for request parameter max_results. It must be at most {SEARCH_MOST}, "
             f"but got value {max_results}")  # fmt: skip
    return max_results


def page(found: list[Any], page_token: str | None, most: int) -> tuple[list[Any], str | None]:
    """One page of what was found."""
    start = SearchUtils.parse_start_offset_from_page_token(page_token)
    end = start + most
    return found[start:end], SearchUtils.create_page_token(end) if end < len(found) else None


def no_prompts(filter_string: str | None) -> str | None:
    """MLflow's pages ask for models that are no prompts; the ledger records no prompts."""
    if not filter_string:
        return filter_string
    try:
        from mlflow.prompt.registry_utils import add_prompt_filter_string
    except ImportError:
        return filter_string
    add: Callable[..., str | None] = add_prompt_filter_string
    return add(filter_string, is_prompt=False)
