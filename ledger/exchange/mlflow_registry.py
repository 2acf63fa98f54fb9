"""MLflow's model registry over the ledger: every version, and every move of an alias with who, when and why."""

from __future__ import annotations

import getpass
import os
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
    ALL_STAGES,
    DEFAULT_STAGES_FOR_GET_LATEST_VERSIONS,
    STAGE_ARCHIVED,
    STAGE_NONE,
    get_canonical_stage,
)
from mlflow.protos import databricks_pb2 as codes
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.model_registry.abstract_store import AbstractStore
from mlflow.utils.search_utils import SearchModelUtils, SearchModelVersionUtils, SearchUtils
from mlflow.utils.validation import (
    _validate_model_alias_name,
    _validate_model_name,
    _validate_model_version,
    _validate_model_version_tag,
    _validate_registered_model_tag,
    _validate_tag_name,
)

from tallystick.ledger.errors import Conflict
from tallystick.ledger.events.types import (
    AliasMoved,
    RegisteredChanged,
    RegisteredCreated,
    VersionChanged,
    VersionCreated,
)
from tallystick.ledger.exchange.mlflow_entities import millis
from tallystick.ledger.exchange.mlflow_errors import fail, in_mlflows_words, not_kept
from tallystick.ledger.exchange.session import Session, run_id_of
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.entities import ModelVersionState, RegisteredModelState

REASON_TAG = "tally.reason"
REASON_VARIABLE = "TALLY_REASON"
MOST_TRIES = 100
SEARCH_MOST = 200_000


@in_mlflows_words
class TallyRegistryStore(AbstractStore):
    """See :class:`mlflow.store.model_registry.abstract_store.AbstractStore`."""

    def __init__(self, session: Session) -> None:
        self._session = session
        super().__init__()

    # Registered models -------------------------------------------------------------------------------------

    def create_registered_model(
        self,
        name: str,
        tags: list[Any] | None = None,
        description: str | None = None,
        deployment_job_id: str | None = None,
    ) -> RegisteredModel:
        """A new name for versions of a model."""
        if deployment_job_id:
            not_kept("deployment jobs")
        _validate_model_name(name)
        for tag in tags or ():
            _validate_registered_model_tag(tag.key, tag.value)
        given = {tag.key: str(tag.value) for tag in tags or ()}
        key, before = self._session.ask(lambda now: _free_key(now, name))
        body = RegisteredCreated(registered=key, name=name, description=description, tags=given)
        try:
            self._session.write(body, expected={f"registered:{key}": before}, sign=True)
        except Conflict:
            _taken(name)
        return self.get_registered_model(name)

    def update_registered_model(
        self, name: str, description: str | None, deployment_job_id: str | None = None
    ) -> RegisteredModel:
        """Describe it."""
        if deployment_job_id:
            not_kept("deployment jobs")
        key = self._registered(name).registered
        self._session.write(RegisteredChanged(registered=key, description=description or ""))
        return self.get_registered_model(name)

    def rename_registered_model(self, name: str, new_name: str) -> RegisteredModel:
        """Call it something else; its versions and its past stay with it."""
        _validate_model_name(new_name)
        key = self._registered(name).registered
        if self._session.ask(lambda now: _by_name(now, new_name)) is not None:
            _taken(new_name)
        self._session.write(RegisteredChanged(registered=key, name=new_name), sign=True)
        return self.get_registered_model(new_name)

    def delete_registered_model(self, name: str) -> None:
        """Remove it with its versions; what it was stays in the past."""
        key = self._registered(name).registered
        versions = self._session.ask(lambda now: [v for v in now.model_versions(key) if not v.removed])
        aliases = self._session.ask(lambda now: [a for a in now.aliases(key) if a.version is not None])
        self._session.write(
            *(self._moved(key, alias.name, None, alias.version, None) for alias in aliases),
            *(VersionChanged(version=one.version, registered=key, removed=True) for one in versions),
            RegisteredChanged(registered=key, removed=True),
            sign=True,
        )

    def get_registered_model(self, name: str) -> RegisteredModel:
        """One registered model by its name."""
        return self._session.ask(lambda now: _registered_of(now, _known(now, name)))

    def search_registered_models(
        self,
        filter_string: str | None = None,
        max_results: int | None = None,
        order_by: list[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList:
        """Registered models that fulfil a filter, in pages."""
        most = _most(max_results or 100)
        found = self._session.ask(
            lambda now: [_registered_of(now, state) for state in now.registered_models() if not state.removed]
        )
        found = SearchModelUtils.sort(SearchModelUtils.filter(found, _no_prompts(filter_string)), order_by)
        return PagedList(*_page(found, page_token, most))

    def get_latest_versions(self, name: str, stages: list[str] | None = None) -> list[ModelVersion]:
        """The newest version in each stage."""
        wanted = [get_canonical_stage(stage) for stage in stages] if stages else list(ALL_STAGES)

        def newest(now: Snapshot) -> list[ModelVersion]:
            registered = _known(now, name)
            found: dict[str, ModelVersionState] = {}
            for version in _versions(now, registered.registered):
                found[version.stage or STAGE_NONE] = version
            return [_version_of(now, registered, found[stage]) for stage in wanted if stage in found]

        return self._session.ask(newest)

    def set_registered_model_tag(self, name: str, tag: Any) -> None:
        """Add or replace a tag."""
        _validate_registered_model_tag(tag.key, tag.value)
        key = self._registered(name).registered
        self._session.write(RegisteredChanged(registered=key, tags={tag.key: str(tag.value)}))

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """Take a tag away."""
        _validate_tag_name(key)
        registered = self._registered(name).registered
        if key in self._session.ask(lambda now: now.tags(f"registered:{registered}")):
            self._session.write(RegisteredChanged(registered=registered, removed_tags=[key]))

    def _registered(self, name: str) -> RegisteredModelState:
        _validate_model_name(name)
        return self._session.ask(lambda now: _known(now, name))

    # Versions ----------------------------------------------------------------------------------------------

    def create_model_version(
        self,
        name: str,
        source: str,
        run_id: str | None = None,
        tags: list[Any] | None = None,
        run_link: str | None = None,
        description: str | None = None,
        local_model_path: str | None = None,
        model_id: str | None = None,
    ) -> ModelVersion:
        """The next version of a registered model; numbers are given once, whoever asks at the same moment."""
        for tag in tags or ():
            _validate_model_version_tag(tag.key, tag.value)
        given = {tag.key: str(tag.value) for tag in tags or ()}
        key = self._registered(name).registered
        trial = self._session.ask(lambda now: _trial_named(now, run_id))
        for _ in range(MOST_TRIES):
            number = 1 + self._session.ask(lambda now: max((v.number for v in now.model_versions(key)), default=0))
            version = f"{key}/{number}"
            body = VersionCreated(
                version=version,
                registered=key,
                number=number,
                source=source or "",
                trial=trial,
                logged=model_id or None,
                run_link=run_link or None,
                user=getpass.getuser(),
                description=description,
                status="READY",
                stage=STAGE_NONE,
                tags=given,
            )
            try:
                self._session.write(body, expected={f"version:{version}": None}, sign=True)
            except Conflict:
                continue
            return self.get_model_version(name, str(number))
        return fail(f"Others register versions of {name} all the time; try again.", codes.RESOURCE_CONFLICT)

    def update_model_version(self, name: str, version: str, description: str | None) -> ModelVersion:
        """Describe it."""
        state = self._version(name, version)
        self._session.write(
            VersionChanged(version=state.version, registered=state.registered, description=description or "")
        )
        return self.get_model_version(name, version)

    def transition_model_version_stage(
        self, name: str, version: str, stage: str, archive_existing_versions: bool
    ) -> ModelVersion:
        """Move it to another stage."""
        to = get_canonical_stage(stage)
        if archive_existing_versions and to not in DEFAULT_STAGES_FOR_GET_LATEST_VERSIONS:
            fail(f"Model version transition cannot archive existing model versions because {stage!r} is not an "
                 f"Active stage. Valid stages are {', '.join(DEFAULT_STAGES_FOR_GET_LATEST_VERSIONS)}")  # fmt: skip
        state = self._version(name, version)
        others = self._session.ask(lambda now: _versions(now, state.registered)) if archive_existing_versions else []
        archived = [
            VersionChanged(version=other.version, registered=other.registered, stage=STAGE_ARCHIVED)
            for other in others
            if other.stage == to and other.version != state.version
        ]
        moved = VersionChanged(version=state.version, registered=state.registered, stage=to)
        self._session.write(*archived, moved, sign=True)
        return self.get_model_version(name, version)

    def delete_model_version(self, name: str, version: str) -> None:
        """Remove it; what it was stays in the past."""
        state = self._version(name, version)
        pointing = self._session.ask(
            lambda now: [a for a in now.aliases(state.registered) if a.version == state.version]
        )
        self._session.write(
            *(self._moved(state.registered, alias.name, None, alias.version, None) for alias in pointing),
            VersionChanged(version=state.version, registered=state.registered, removed=True),
            sign=True,
        )

    def get_model_version(self, name: str, version: str) -> ModelVersion:
        """One version."""
        state = self._version(name, version)
        return self._session.ask(lambda now: _version_of(now, _known(now, name), state))

    def get_model_version_download_uri(self, name: str, version: str) -> str:
        """Where its files are."""
        return self._version(name, version).source

    def search_model_versions(
        self,
        filter_string: str | None = None,
        max_results: int | None = None,
        order_by: list[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList:
        """Versions that fulfil a filter, in pages."""
        most = _most(max_results or 10_000)

        def listed(now: Snapshot) -> list[ModelVersion]:
            return [
                _version_of(now, registered, version)
                for registered in now.registered_models()
                if not registered.removed
                for version in _versions(now, registered.registered)
            ]

        found = SearchModelVersionUtils.filter(self._session.ask(listed), _no_prompts(filter_string))
        order = order_by or ["last_updated_timestamp DESC", "name ASC", "version_number DESC"]
        return PagedList(*_page(SearchModelVersionUtils.sort(found, order), page_token, most))

    def set_model_version_tag(self, name: str, version: str, tag: Any) -> None:
        """Add or replace a tag."""
        _validate_model_version_tag(tag.key, tag.value)
        self._change_tags(name, version, tags={tag.key: str(tag.value)})

    def delete_model_version_tag(self, name: str, version: str, key: str) -> None:
        """Take a tag away."""
        _validate_tag_name(key)
        self._change_tags(name, version, removed_tags=[key])

    def _change_tags(self, name: str, version: str, **changes: Any) -> None:
        state = self._version(name, version)
        self._session.write(VersionChanged(version=state.version, registered=state.registered, **changes))

    def _version(self, name: str, version: str) -> ModelVersionState:
        _validate_model_name(name)
        _validate_model_version(version)

        def found(now: Snapshot) -> ModelVersionState | None:
            registered = _by_name(now, name)
            versions = [] if registered is None else _versions(now, registered.registered)
            return next((state for state in versions if state.number == int(version)), None)

        state = self._session.ask(found)
        if state is None:
            fail(f"Model Version (name={name}, version={version}) not found", codes.RESOURCE_DOES_NOT_EXIST)
        return state

    # Aliases -----------------------------------------------------------------------------------------------

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        """Let an alias point to a version; who did it, when, why, and what it pointed to before is kept."""
        _validate_model_alias_name(alias)
        state = self._version(name, version)
        self._move(state.registered, alias, state.version)

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Take an alias away."""
        registered = self._registered(name).registered
        if self._session.ask(lambda now: _pointed(now, registered, alias)) is not None:
            self._move(registered, alias, None)

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """The version that an alias points to."""
        registered = self._registered(name)
        found = self._session.ask(lambda now: _pointed(now, registered.registered, alias))
        if found is None:
            fail(f"Registered model alias {alias} not found.", codes.INVALID_PARAMETER_VALUE)
        return self.get_model_version(name, found.rpartition("/")[2])

    def _move(self, registered: str, alias: str, version: str | None) -> None:
        tags = self._session.ask(lambda now: now.tags(f"version:{version}")) if version else {}
        reason = os.environ.get(REASON_VARIABLE) or tags.get(REASON_TAG)
        entity = f"alias:{registered}/{alias}"
        for _ in range(MOST_TRIES):
            before, previous = self._session.ask(lambda now: _last_move(now, registered, alias))
            try:
                moved = self._moved(registered, alias, version, previous, reason)
                self._session.write(moved, expected={entity: before}, sign=True)
            except Conflict:
                continue
            return
        fail(f"Others move the alias {alias} all the time; try again.", codes.RESOURCE_CONFLICT)

    def _moved(
        self, registered: str, alias: str, version: str | None, previous: str | None, reason: str | None
    ) -> AliasMoved:
        return AliasMoved(
            alias=f"{registered}/{alias}",
            registered=registered,
            name=alias,
            version=version,
            previous=previous,
            reason=reason,
        )

    # What is not recorded ----------------------------------------------------------------------------------

    def _await_model_version_creation(self, *_arguments: Any) -> None:
        """Nothing to wait for: a version is there when it is recorded."""


def _registered_of(now: Snapshot, state: RegisteredModelState) -> RegisteredModel:
    newest: dict[str, ModelVersionState] = {}
    for version in _versions(now, state.registered):
        newest[version.stage or STAGE_NONE] = version
    aliases = [one for one in now.aliases(state.registered) if one.version is not None]
    tags = now.tags(f"registered:{state.registered}")
    return RegisteredModel(
        name=state.name,
        creation_timestamp=millis(state.created_at),
        last_updated_timestamp=millis(state.changed_at),
        description=state.description,
        latest_versions=[_version_of(now, state, version) for version in newest.values()],
        tags=[RegisteredModelTag(name, value) for name, value in tags.items()],
        aliases=[RegisteredModelAlias(one.name, _number(one.version or "")) for one in aliases],
    )


def _version_of(now: Snapshot, registered: RegisteredModelState, state: ModelVersionState) -> ModelVersion:
    aliases = [one.name for one in now.aliases(state.registered) if one.version == state.version]
    tags = now.tags(f"version:{state.version}")
    return ModelVersion(
        name=registered.name,
        version=str(state.number),
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


def _versions(now: Snapshot, registered: str) -> list[ModelVersionState]:
    return sorted((one for one in now.model_versions(registered) if not one.removed), key=lambda one: one.number)


def _by_name(now: Snapshot, name: str) -> RegisteredModelState | None:
    return next((state for state in now.registered_models() if state.name == name and not state.removed), None)


def _known(now: Snapshot, name: str) -> RegisteredModelState:
    found = _by_name(now, name)
    if found is None:
        fail(f"Registered Model with name={name} not found", codes.RESOURCE_DOES_NOT_EXIST)
    return found


def _free_key(now: Snapshot, name: str) -> tuple[str, int | None]:
    """What a model is called in the ledger for ever, and the last event of whatever was called so before."""
    if _by_name(now, name) is not None:
        _taken(name)
    taken = {state.registered: state for state in now.registered_models()}
    key, count = name[:180], 1
    while key in taken:
        count += 1
        key = f"{name[:180]}~{count}"
    return key, None


def _pointed(now: Snapshot, registered: str, alias: str) -> str | None:
    return next((one.version for one in now.aliases(registered) if one.name == alias), None)


def _last_move(now: Snapshot, registered: str, alias: str) -> tuple[int | None, str | None]:
    found = next((one for one in now.aliases(registered) if one.name == alias), None)
    return (None, None) if found is None else (found.seq, found.version)


def _trial_named(now: Snapshot, run_id: str | None) -> str | None:
    if not run_id:
        return None
    return next((trial.trial for trial in now.trials(removed=True) if run_id_of(trial.trial) == run_id), None)


def _number(version: str) -> int:
    return int(version.rpartition("/")[2])


def _taken(name: str) -> NoReturn:
    fail(f"Registered Model (name={name}) already exists.", codes.RESOURCE_ALREADY_EXISTS)


def _most(max_results: int) -> int:
    if not 1 <= max_results <= SEARCH_MOST:
        fail(f"Invalid value for request parameter max_results. It must be at most {SEARCH_MOST}, "
             f"but got value {max_results}")  # fmt: skip
    return max_results


def _page(found: list[Any], page_token: str | None, most: int) -> tuple[list[Any], str | None]:
    start = SearchUtils.parse_start_offset_from_page_token(page_token)
    end = start + most
    return found[start:end], SearchUtils.create_page_token(end) if end < len(found) else None


def _no_prompts(filter_string: str | None) -> str | None:
    """MLflow's pages ask for models that are no prompts; the ledger records no prompts."""
    if not filter_string:
        return filter_string
    try:
        from mlflow.prompt.registry_utils import add_prompt_filter_string
    except ImportError:
        return filter_string
    add: Callable[..., str | None] = add_prompt_filter_string
    return add(filter_string, is_prompt=False)
