"""Registered models in MLflow's registry over the ledger."""

from __future__ import annotations

from typing import Any

from mlflow.entities.model_registry import (
    ModelVersion,
    RegisteredModel,
)
from mlflow.entities.model_registry.model_version_stages import (
    ALL_STAGES,
    STAGE_NONE,
    get_canonical_stage,
)
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.model_registry.abstract_store import AbstractStore
from mlflow.utils.search_utils import SearchModelUtils
from mlflow.utils.validation import (
    _validate_model_name,
    _validate_registered_model_tag,
    _validate_tag_name,
)

from tallystick.ledger.errors import Conflict
from tallystick.ledger.events.types import (
    AliasMoved,
    RegisteredChanged,
    RegisteredCreated,
    VersionChanged,
)
from tallystick.ledger.exchange.erased import readable
from tallystick.ledger.exchange.mlflow_errors import in_mlflows_words, not_kept
from tallystick.ledger.exchange.mlflow_versions import (
    at_most,
    by_name,
    free_key,
    no_prompts,
    page,
    registered_models,
    registered_named,
    registered_of,
    taken,
    version_of,
    versions,
)
from tallystick.ledger.exchange.session import Session
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.entities import ModelVersionState, RegisteredModelState


@in_mlflows_words
class RegisteredStore(AbstractStore):
    """What MLflow asks and tells about registered models."""

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
        key, before = self._session.ask(lambda now: free_key(now, name))
        body = RegisteredCreated(registered=key, name=name, description=description, tags=given)
        try:
            self._session.write(body, expected={f"registered:{key}": before}, sign=True)
        except Conflict:
            taken(name)
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
        if self._session.ask(lambda now: by_name(now, new_name)) is not None:
            taken(new_name)
        self._session.write(RegisteredChanged(registered=key, name=new_name), sign=True)
        return self.get_registered_model(new_name)

    def delete_registered_model(self, name: str) -> None:
        """Remove it with its versions; what it was stays in the past."""
        key = self._registered(name).registered
        versions = self._session.ask(lambda now: [v for v in map(readable, now.model_versions(key)) if not v.removed])
        aliases = self._session.ask(lambda now: [readable(a) for a in now.aliases(key) if a.version is not None])
        self._session.write(
            *(self._moved(key, alias.name, None, alias.version, None) for alias in aliases),
            *(VersionChanged(version=one.version, registered=key, removed=True) for one in versions),
            RegisteredChanged(registered=key, removed=True),
            sign=True,
        )

    def get_registered_model(self, name: str) -> RegisteredModel:
        """One registered model by its name."""
        return self._session.ask(lambda now: registered_of(now, registered_named(now, name)))

    def search_registered_models(
        self,
        filter_string: str | None = None,
        max_results: int | None = None,
        order_by: list[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList:
        """Registered models that fulfil a filter, in pages."""
        most = at_most(max_results or 100)
        found = self._session.ask(lambda now: [registered_of(now, state) for state in registered_models(now)])
        found = SearchModelUtils.sort(SearchModelUtils.filter(found, no_prompts(filter_string)), order_by)
        return PagedList(*page(found, page_token, most))

    def get_latest_versions(self, name: str, stages: list[str] | None = None) -> list[ModelVersion]:
        """The newest version in each stage."""
        wanted = [get_canonical_stage(stage) for stage in stages] if stages else list(ALL_STAGES)

        def newest(now: Snapshot) -> list[ModelVersion]:
            registered = registered_named(now, name)
            found: dict[str, ModelVersionState] = {}
            for version in versions(now, registered.registered):
                found[version.stage or STAGE_NONE] = version
            return [version_of(now, registered, found[stage]) for stage in wanted if stage in found]

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
        return self._session.ask(lambda now: registered_named(now, name))

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
