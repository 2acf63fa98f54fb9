"""Experiments in MLflow's tracking store over the ledger."""

from __future__ import annotations

import secrets
from typing import Any

from mlflow.entities import Run, ViewType
from mlflow.protos import databricks_pb2 as codes
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.tracking import SEARCH_MAX_RESULTS_DEFAULT
from mlflow.store.tracking.abstract_store import AbstractStore
from mlflow.utils.search_utils import SearchExperimentsUtils, SearchUtils
from mlflow.utils.validation import (
    _validate_experiment_artifact_location,
    _validate_experiment_name,
    _validate_experiment_tag,
)

from tallystick.ledger.errors import Conflict
from tallystick.ledger.events.types import (
    Body,
    ExperimentChanged,
    ExperimentCreated,
    TrialChanged,
)
from tallystick.ledger.exchange import mlflow_entities as show
from tallystick.ledger.exchange.mlflow_errors import fail, in_mlflows_words
from tallystick.ledger.exchange.session import HANDED_ON, Session
from tallystick.ledger.query.snapshot import Snapshot

DEFAULT = show.DEFAULT_EXPERIMENT
SEARCH_MOST = 50_000
NEWEST_FIRST = ["creation_time DESC", "experiment_id ASC"]


@in_mlflows_words
class ExperimentStore(AbstractStore):
    """What MLflow asks and tells about experiments."""

    def __init__(self, session: Session, artifact_uri: str | None = None) -> None:
        self._session = session
        self._artifact_uri = artifact_uri
        session.behind_server = bool(artifact_uri) and str(artifact_uri).startswith(HANDED_ON)
        self._runs: dict[str, Run] = {}
        self._runs_upto = -1
        super().__init__()

    def search_experiments(
        self,
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = SEARCH_MAX_RESULTS_DEFAULT,
        filter_string: str | None = None,
        order_by: list[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList:
        """Experiments that fulfil a filter, in pages."""
        if not isinstance(max_results, int) or not 1 <= max_results <= SEARCH_MOST:
            fail(f"Invalid value {max_results} for parameter 'max_results' supplied. It must be at most {SEARCH_MOST}")
        stages = ViewType.to_lifecycle_stages(view_type) if hasattr(ViewType, "to_lifecycle_stages") else None
        found = [one for one in self._experiments() if is_shown(one.lifecycle_stage, view_type, stages)]
        found = SearchExperimentsUtils.sort(
            SearchExperimentsUtils.filter(found, filter_string), order_by or NEWEST_FIRST
        )
        return PagedList(*SearchUtils.paginate(found, page_token, max_results))

    def _experiments(self) -> list[Any]:
        def listed(now: Snapshot) -> list[Any]:
            found = [show.experiment_of(now, state, self._session) for state in now.experiments()]
            if all(one.experiment_id != DEFAULT for one in found):
                found.insert(0, show.default_experiment(self._session, began(now)))
            return found

        return self._session.ask(listed)

    def create_experiment(self, name: str, artifact_location: str | None = None, tags: list[Any] | None = None) -> str:
        """A new experiment under a name that no other has; its id."""
        _validate_experiment_name(name)
        if artifact_location:
            _validate_experiment_artifact_location(artifact_location)
        key = self._naming(name)
        experiment = str(secrets.randbelow(9 * 10**17) + 10**17)
        base = artifact_location or (f"{self._artifact_uri.rstrip('/')}/{experiment}" if self._artifact_uri else None)
        body = ExperimentCreated(
            experiment=experiment, name=name, artifact_uri=base, tags={tag.key: tag.value for tag in tags or ()}
        )
        try:
            self._session.write(body, key=key)
        except Conflict:
            _exists(name, "active")
        return experiment

    def _naming(self, name: str) -> str:
        """The key under which a name that is free now is given away: who does it at the same moment gets a Conflict.

        How often it was given away before is counted first: a name that is taken after that is found taken, or has the
        same key.
        """
        before = self._session.ask(
            lambda now: sum(
                state.name == name for one in now.experiments() for state in now.versions(type(one), one.experiment)
            )
        )
        same = [one for one in self._experiments() if one.name == name]
        if same:
            _exists(name, same[0].lifecycle_stage)
        return f"experiment named {name} #{before}"

    def get_experiment(self, experiment_id: str) -> Any:
        """One experiment by its id."""
        for one in self._experiments():
            if one.experiment_id == str(experiment_id):
                return one
        return fail(f"No Experiment with id={experiment_id} exists", codes.RESOURCE_DOES_NOT_EXIST)

    def get_experiment_by_name(self, experiment_name: str) -> Any:
        """One experiment by its name, or None."""
        return next((one for one in self._experiments() if one.name == experiment_name), None)

    def delete_experiment(self, experiment_id: str) -> None:
        """Remove it with its runs; both can be restored."""
        self._change_experiment(experiment_id, removed=True)

    def restore_experiment(self, experiment_id: str) -> None:
        """Bring it back."""
        self._change_experiment(experiment_id, removed=False)

    def _change_experiment(self, experiment_id: str, *, removed: bool) -> None:
        one = self.get_experiment(experiment_id)
        if (one.lifecycle_stage == "deleted") == removed:
            state = "deleted" if removed else "active"
            fail(f"Experiment {experiment_id} is already {state}.", codes.RESOURCE_DOES_NOT_EXIST)
        runs = self._session.ask(
            lambda now: [trial for trial in now.trials(removed=True) if (trial.experiment or DEFAULT) == experiment_id]
        )
        affected = [trial for trial in runs if trial.removed != removed]
        bodies = [TrialChanged(trial=trial.trial, removed=removed) for trial in affected]
        self._session.write(
            *self._beginning(experiment_id), ExperimentChanged(experiment=experiment_id, removed=removed), *bodies
        )

    def rename_experiment(self, experiment_id: str, new_name: str) -> None:
        """Give it another name that no other has."""
        _validate_experiment_name(new_name)
        one = self.get_experiment(experiment_id)
        if one.lifecycle_stage != "active":
            fail("Cannot rename experiment in non-active lifecycle stage.", codes.BAD_REQUEST)
        key = self._naming(new_name)
        changed = ExperimentChanged(experiment=experiment_id, name=new_name)
        try:
            self._session.write(*self._beginning(experiment_id), changed, key=key)
        except Conflict:
            _exists(new_name, "active")

    def set_experiment_tag(self, experiment_id: str, tag: Any) -> None:
        """Add or replace a tag."""
        _validate_experiment_tag(tag.key, tag.value)
        self._active_experiment(experiment_id)
        changed = ExperimentChanged(experiment=experiment_id, tags={tag.key: str(tag.value)})
        self._session.write(*self._beginning(experiment_id), changed)

    def delete_experiment_tag(self, experiment_id: str, key: str) -> None:
        """Take a tag away."""
        one = self._active_experiment(experiment_id)
        if key not in one.tags:
            fail(f"No tag with name: {key} in experiment with id {experiment_id}", codes.RESOURCE_DOES_NOT_EXIST)
        self._session.write(ExperimentChanged(experiment=experiment_id, removed_tags=[key]))

    def _active_experiment(self, experiment_id: str) -> Any:
        one = self.get_experiment(experiment_id)
        if one.lifecycle_stage != "active":
            fail(f"The experiment {one.experiment_id} must be in the 'active' state.")
        return one

    def _beginning(self, experiment_id: str) -> list[Body]:
        """What must be recorded first of the experiment that is always there."""
        if experiment_id != DEFAULT:
            return []
        known = self._session.ask(lambda now: now.find(f"experiment:{DEFAULT}") is not None)
        return [] if known else [ExperimentCreated(experiment=DEFAULT, name="Default", artifact_uri=self._default_uri)]

    @property
    def _default_uri(self) -> str | None:
        return f"{self._artifact_uri.rstrip('/')}/{DEFAULT}" if self._artifact_uri else None


def began(now: Snapshot) -> Any:
    """When the ledger was made."""
    return now.commit(0).recorded_at


def is_shown(stage: str, view_type: int, stages: Any) -> bool:
    """Whether something active or deleted is to be shown."""
    if stages is not None:
        return stage in stages
    if view_type == ViewType.ALL:
        return True
    return stage == ("active" if view_type == ViewType.ACTIVE_ONLY else "deleted")


def _exists(name: str, stage: str) -> None:
    if stage == "deleted":
        fail(f"Experiment '{name}' already exists in deleted state. Restore it or choose another name.",
             codes.RESOURCE_ALREADY_EXISTS)  # fmt: skip
    fail(f"Experiment '{name}' already exists.", codes.RESOURCE_ALREADY_EXISTS)
