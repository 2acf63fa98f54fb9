"""MLflow's model registry over the ledger: every version, and every move of an alias with who, when and why."""

from __future__ import annotations

import getpass
import os
from typing import Any

from mlflow.entities.model_registry import (
    ModelVersion,
)
from mlflow.entities.model_registry.model_version_stages import (
    DEFAULT_STAGES_FOR_GET_LATEST_VERSIONS,
    STAGE_ARCHIVED,
    STAGE_NONE,
    get_canonical_stage,
)
from mlflow.protos import databricks_pb2 as codes
from mlflow.store.entities.paged_list import PagedList
from mlflow.utils.search_utils import SearchModelVersionUtils
from mlflow.utils.validation import (
    _validate_model_alias_name,
    _validate_model_name,
    _validate_model_version,
    _validate_model_version_tag,
    _validate_tag_name,
)

from tallystick.ledger.errors import Conflict
from tallystick.ledger.events.types import (
    VersionChanged,
    VersionCreated,
)
from tallystick.ledger.exchange.erased import readable
from tallystick.ledger.exchange.mlflow_errors import fail, in_mlflows_words, refusing_the_rest
from tallystick.ledger.exchange.mlflow_registered import RegisteredStore
from tallystick.ledger.exchange.mlflow_versions import (
    at_most,
    by_name,
    files_of,
    last_move,
    no_prompts,
    origin,
    page,
    pointed,
    registered_models,
    registered_named,
    version_of,
    versions,
)
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.entities import ModelVersionState

REASON_TAG = "tally.reason"
REASON_VARIABLE = "TALLY_REASON"
MOST_TRIES = 100
SEARCH_MOST = 200_000


@refusing_the_rest
@in_mlflows_words
class TallyRegistryStore(RegisteredStore):
    """See :class:`mlflow.store.model_registry.abstract_store.AbstractStore`."""

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
        trial, logged = self._session.ask(lambda now: origin(now, source, run_id, model_id))
        for _ in range(MOST_TRIES):
            number = 1 + self._session.ask(lambda now: max((v.number for v in now.model_versions(key)), default=0))
            version = f"{key}/{number}"
            body = VersionCreated(
                version=version,
                registered=key,
                number=number,
                source=source or "",
                trial=trial,
                logged=logged,
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
        others = self._session.ask(lambda now: versions(now, state.registered)) if archive_existing_versions else []
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
            lambda now: [readable(a) for a in now.aliases(state.registered) if a.version == state.version]
        )
        self._session.write(
            *(self._moved(state.registered, alias.name, None, alias.version, None) for alias in pointing),
            VersionChanged(version=state.version, registered=state.registered, removed=True),
            sign=True,
        )

    def get_model_version(self, name: str, version: str) -> ModelVersion:
        """One version."""
        state = self._version(name, version)
        return self._session.ask(lambda now: version_of(now, registered_named(now, name), state))

    def get_model_version_download_uri(self, name: str, version: str) -> str:
        """Where its files are."""
        state = self._version(name, version)
        return self._session.ask(lambda now: files_of(now, state, self._session))

    def search_model_versions(
        self,
        filter_string: str | None = None,
        max_results: int | None = None,
        order_by: list[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList:
        """Versions that fulfil a filter, in pages."""
        most = at_most(max_results or 10_000)

        def listed(now: Snapshot) -> list[ModelVersion]:
            return [
                version_of(now, registered, version)
                for registered in registered_models(now)
                for version in versions(now, registered.registered)
            ]

        found = SearchModelVersionUtils.filter(self._session.ask(listed), no_prompts(filter_string))
        order = order_by or ["last_updated_timestamp DESC", "name ASC", "version_number DESC"]
        return PagedList(*page(SearchModelVersionUtils.sort(found, order), page_token, most))

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
            registered = by_name(now, name)
            listed = [] if registered is None else versions(now, registered.registered)
            return next((state for state in listed if state.number == int(version)), None)

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
        if self._session.ask(lambda now: pointed(now, registered, alias)) is not None:
            self._move(registered, alias, None)

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """The version that an alias points to."""
        registered = self._registered(name)
        found = self._session.ask(lambda now: pointed(now, registered.registered, alias))
        if found is None:
            fail(f"Registered model alias {alias} not found.", codes.INVALID_PARAMETER_VALUE)
        return self.get_model_version(name, found.rpartition("/")[2])

    def _move(self, registered: str, alias: str, version: str | None) -> None:
        tags = self._session.ask(lambda now: now.tags(f"version:{version}")) if version else {}
        reason = os.environ.get(REASON_VARIABLE) or tags.get(REASON_TAG)
        entity = f"alias:{registered}/{alias}"
        for _ in range(MOST_TRIES):
            before, previous = self._session.ask(lambda now: last_move(now, registered, alias))
            try:
                moved = self._moved(registered, alias, version, previous, reason)
                self._session.write(moved, expected={entity: before}, sign=True)
            except Conflict:
                continue
            return
        fail(f"Others move the alias {alias} all the time; try again.", codes.RESOURCE_CONFLICT)

    # What is not recorded ----------------------------------------------------------------------------------

    def _await_model_version_creation(self, *_arguments: Any) -> None:
        """Nothing to wait for: a version is there when it is recorded."""
