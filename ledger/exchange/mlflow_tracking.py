"""MLflow's tracking store over the ledger: its clients write events, and its pages show what follows from them.

The store holds nothing of its own: what is gone from the views is folded again, and at the date of an address
(``tally:///folder?as-of=2026-06-30``) everything is shown as it was then.
"""

from __future__ import annotations

import uuid
from typing import Any, NoReturn

from mlflow.entities import LoggedModel, LoggedModelStatus
from mlflow.protos import databricks_pb2 as codes
from mlflow.store.entities.paged_list import PagedList
from mlflow.utils.name_utils import _generate_random_name
from mlflow.utils.search_utils import SearchLoggedModelsUtils
from mlflow.utils.validation import (
    _validate_param,
)

from tallystick.ledger.events.types import (
    LoggedChanged,
    LoggedCreated,
)
from tallystick.ledger.exchange import mlflow_entities as show
from tallystick.ledger.exchange.erased import readable
from tallystick.ledger.exchange.mlflow_errors import fail, in_mlflows_words, not_kept, refusing_the_rest
from tallystick.ledger.exchange.mlflow_experiments import DEFAULT
from tallystick.ledger.exchange.mlflow_search import SearchStore
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.entities import LoggedModelState

MODELS_SHOWN = 100


@refusing_the_rest
@in_mlflows_words
class TallyTrackingStore(SearchStore):
    """See :class:`mlflow.store.tracking.abstract_store.AbstractStore`.

    Traces, assessments, scorers and the like are not recorded: lists of them are empty, and writing one is refused.
    """

    # Kept models -------------------------------------------------------------------------------------------

    def create_logged_model(
        self,
        experiment_id: str = DEFAULT,
        name: str | None = None,
        source_run_id: str | None = None,
        tags: list[Any] | None = None,
        params: list[Any] | None = None,
        model_type: str | None = None,
    ) -> LoggedModel:
        """A model that a run keeps."""
        experiment = self._active_experiment(experiment_id)
        for param in params or ():
            _validate_param(param.key, param.value)
        model_id = f"m-{uuid.uuid4().hex}"
        body = LoggedCreated(
            logged=model_id,
            name=name or _generate_random_name(),
            experiment=experiment.experiment_id,
            trial=self._session.trial_name(source_run_id) if source_run_id else None,
            artifact_uri=f"{experiment.artifact_location.rstrip('/')}/models/{model_id}/artifacts",
            model_type=model_type or None,
            status="PENDING",
            tags={tag.key: str(tag.value) for tag in tags or ()},
            params={param.key: str(param.value) for param in params or ()},
        )
        self._session.write(*self._beginning(experiment.experiment_id), body)
        return self.get_logged_model(model_id)

    def get_logged_model(self, model_id: str, allow_deleted: bool = False) -> LoggedModel:
        """One kept model."""

        def shown(now: Snapshot) -> LoggedModel:
            found = now.find(f"logged:{model_id}")
            state = readable(found) if isinstance(found, LoggedModelState) else None
            if state is None or (state.removed and not allow_deleted):
                fail(f"Logged model with ID '{model_id}' not found.", codes.RESOURCE_DOES_NOT_EXIST)
            return show.logged_of(now, state, self._session, show.metrics_by_model(now))

        return self._session.ask(shown)

    def finalize_logged_model(self, model_id: str, status: LoggedModelStatus) -> LoggedModel:
        """A kept model is ready, or failed."""
        self.get_logged_model(model_id)
        word = LoggedModelStatus(status).value if not isinstance(status, int) else LoggedModelStatus.from_int(status)
        self._session.write(LoggedChanged(logged=model_id, status=str(getattr(word, "value", word))))
        return self.get_logged_model(model_id)

    def set_logged_model_tags(self, model_id: str, tags: list[Any]) -> None:
        """Add or replace tags."""
        self.get_logged_model(model_id)
        self._session.write(LoggedChanged(logged=model_id, tags={tag.key: str(tag.value) for tag in tags}))

    def delete_logged_model_tag(self, model_id: str, key: str) -> None:
        """Take a tag away."""
        if key not in self.get_logged_model(model_id).tags:
            fail(f"No tag with key {key!r} found for model with ID {model_id!r}.", codes.RESOURCE_DOES_NOT_EXIST)
        self._session.write(LoggedChanged(logged=model_id, removed_tags=[key]))

    def log_logged_model_params(self, model_id: str, params: list[Any]) -> None:
        """Parameters of a kept model."""
        self.get_logged_model(model_id)
        self._session.write(LoggedChanged(logged=model_id, params={p.key: str(p.value) for p in params}))

    def delete_logged_model(self, model_id: str) -> None:
        """Remove it."""
        self.get_logged_model(model_id)
        self._session.write(LoggedChanged(logged=model_id, removed=True))

    def search_logged_models(
        self,
        experiment_ids: list[str],
        filter_string: str | None = None,
        datasets: list[dict[str, Any]] | None = None,
        max_results: int | None = None,
        order_by: list[dict[str, Any]] | None = None,
        page_token: str | None = None,
    ) -> PagedList:
        """Kept models that fulfil a filter, in pages."""
        if datasets and not all(table.get("dataset_name") for table in datasets):
            fail("`dataset_name` in the `datasets` clause must be specified.")
        wanted = set(experiment_ids)

        def listed(now: Snapshot) -> list[LoggedModel]:
            metrics = show.metrics_by_model(now)
            return [
                show.logged_of(now, state, self._session, metrics)
                for state in map(readable, now.logged_models())
                if not state.removed and (state.experiment or DEFAULT) in wanted
            ]

        found = SearchLoggedModelsUtils.filter_logged_models(self._session.ask(listed), filter_string, datasets)
        found = SearchLoggedModelsUtils.sort(found, order_by)
        page, token = SearchLoggedModelsUtils.paginate(found, page_token, max_results or MODELS_SHOWN)
        return PagedList(page, token)

    # Garbage -----------------------------------------------------------------------------------------------

    def _get_deleted_runs(self, older_than: int = 0) -> list[str]:
        """Asked first by ``mlflow gc``, before it deletes any file: refused."""
        _never_erased()

    def _hard_delete_run(self, run_id: str) -> None:
        """Refused."""
        _never_erased()

    def _hard_delete_experiment(self, experiment_id: str) -> None:
        """Refused."""
        _never_erased()

    def _get_deleted_logged_models(self, older_than: int = 0) -> list[str]:
        """Refused."""
        _never_erased()

    def _hard_delete_logged_model(self, model_id: str) -> None:
        """Refused."""
        _never_erased()

    # What is not recorded ----------------------------------------------------------------------------------

    def search_traces(self, *_arguments: Any, **_options: Any) -> tuple[list[Any], None]:
        """None: traces are not recorded."""
        return [], None

    def start_trace(self, *_arguments: Any, **_options: Any) -> Any:
        """Refused."""
        not_kept("traces")

    def log_spans(self, *_arguments: Any, **_options: Any) -> Any:
        """Refused."""
        not_kept("traces")

    def link_traces_to_run(self, trace_ids: list[str], run_id: str) -> None:
        """Refused where there are any."""
        if trace_ids:
            not_kept("traces")

    def search_datasets(self, *_arguments: Any, **_options: Any) -> PagedList:
        """None: tables to evaluate on are not recorded apart from the runs that read them."""
        return PagedList([], None)

    def list_scorers(self, experiment_id: str) -> list[Any]:
        """None: scorers are not recorded."""
        return []

    def get_online_scoring_configs(self, scorer_ids: list[str]) -> list[Any]:
        """None: scorers are not recorded."""
        return []


def _never_erased() -> NoReturn:
    fail(
        "A Tallystick ledger keeps what was deleted, so that the past stays readable; nothing was erased. "
        "To erase the content of one event, with a reason, use: tally redact '#EVENT' --reason REASON --authority WHO",
        codes.INVALID_STATE,
    )
