"""MLflow's tracking store over the ledger: its clients write events, and its pages show what follows from them.

The store holds nothing of its own: what is gone from the views is folded again, and at the date of an address
(``tally:///folder?as-of=2026-06-30``) everything is shown as it was then.
"""

from __future__ import annotations

import getpass
import json
import secrets
import time
import uuid
from typing import Any

from mlflow.entities import LoggedModel, LoggedModelStatus, Metric, Run, RunStatus, ViewType
from mlflow.entities.metric import MetricWithRunId
from mlflow.protos import databricks_pb2 as codes
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.tracking import SEARCH_MAX_RESULTS_DEFAULT
from mlflow.store.tracking.abstract_store import AbstractStore
from mlflow.utils.name_utils import _generate_random_name
from mlflow.utils.search_utils import SearchExperimentsUtils, SearchLoggedModelsUtils, SearchUtils
from mlflow.utils.validation import (
    _validate_batch_log_data,
    _validate_batch_log_limits,
    _validate_experiment_artifact_location,
    _validate_experiment_name,
    _validate_experiment_tag,
    _validate_metric,
    _validate_param,
    _validate_param_keys_unique,
    _validate_run_id,
    _validate_tag,
)

from tallystick.ledger.errors import Conflict
from tallystick.ledger.events.types import (
    Body,
    Dataset,
    ExperimentChanged,
    ExperimentCreated,
    LoggedChanged,
    LoggedCreated,
    Output,
    TrialBegun,
    TrialChanged,
    TrialLinked,
    TrialNoted,
)
from tallystick.ledger.exchange import mlflow_entities as show
from tallystick.ledger.exchange.mlflow_errors import fail, in_mlflows_words, not_kept
from tallystick.ledger.exchange.session import Number, Session, drafted, run_id_of
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.entities import LoggedModelState, TrialState

DEFAULT = show.DEFAULT_EXPERIMENT
SEARCH_MOST = 50_000
MODELS_SHOWN = 100
_NAME_TAG, _PARENT_TAG = "mlflow.runName", "mlflow.parentRunId"


def _now() -> int:
    return int(time.time() * 1000)


@in_mlflows_words
class TallyTrackingStore(AbstractStore):
    """See :class:`mlflow.store.tracking.abstract_store.AbstractStore`.

    Traces, assessments, scorers and the like are not recorded: lists of them are empty, and writing one is refused.
    """

    def __init__(self, session: Session, artifact_uri: str | None = None) -> None:
        self._session = session
        self._artifact_uri = artifact_uri
        self._runs: dict[str, Run] = {}
        self._runs_upto = -1
        super().__init__()

    # Experiments -------------------------------------------------------------------------------------------

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
        found = [one for one in self._experiments() if _is_shown(one.lifecycle_stage, view_type, stages)]
        found = SearchExperimentsUtils.sort(SearchExperimentsUtils.filter(found, filter_string), order_by)
        return PagedList(*SearchUtils.paginate(found, page_token, max_results))

    def _experiments(self) -> list[Any]:
        def listed(now: Snapshot) -> list[Any]:
            found = [show.experiment_of(now, state, self._session) for state in now.experiments()]
            if all(one.experiment_id != DEFAULT for one in found):
                found.insert(0, show.default_experiment(self._session))
            return found

        return self._session.ask(listed)

    def create_experiment(self, name: str, artifact_location: str | None = None, tags: list[Any] | None = None) -> str:
        """A new experiment under a name that no other has; its id."""
        _validate_experiment_name(name)
        if artifact_location:
            _validate_experiment_artifact_location(artifact_location)
        same = [one for one in self._experiments() if one.name == name]
        if same:
            _exists(name, same[0].lifecycle_stage)
        experiment = str(secrets.randbelow(9 * 10**17) + 10**17)
        base = artifact_location or (f"{self._artifact_uri.rstrip('/')}/{experiment}" if self._artifact_uri else None)
        body = ExperimentCreated(
            experiment=experiment, name=name, artifact_uri=base, tags={tag.key: tag.value for tag in tags or ()}
        )
        try:
            # Whoever else takes the name at this moment writes other content under the same key.
            self._session.write(body, key=f"experiment named {name} #{self._taken(name)}")
        except Conflict:
            _exists(name, "active")
        return experiment

    def _taken(self, name: str) -> int:
        """How often a name was given away again."""
        return self._session.ask(
            lambda now: sum(
                state.name == name for one in now.experiments() for state in now.versions(type(one), one.experiment)
            )
        )

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
        same = [other for other in self._experiments() if other.name == new_name]
        if same:
            _exists(new_name, same[0].lifecycle_stage)
        self._session.write(*self._beginning(experiment_id), ExperimentChanged(experiment=experiment_id, name=new_name))

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

    # Runs --------------------------------------------------------------------------------------------------

    def create_run(
        self, experiment_id: str, user_id: str | None, start_time: int | None, tags: list[Any], run_name: str | None
    ) -> Run:
        """Begin a run."""
        experiment = self._active_experiment(experiment_id or DEFAULT)
        given = {tag.key: str(tag.value) for tag in tags or ()}
        if run_name and given.get(_NAME_TAG, run_name) != run_name:
            fail(f"Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values "
                 f"(run_name='{run_name}', mlflow.runName='{given[_NAME_TAG]}').")  # fmt: skip
        name = run_name or given.get(_NAME_TAG) or _generate_random_name()
        run_id = uuid.uuid4().hex
        parent = given.get(_PARENT_TAG)
        begun = TrialBegun(
            trial=run_id,
            name=name,
            status="running",
            user=user_id or getpass.getuser(),
            experiment=experiment.experiment_id,
            parent=None if parent is None else self._parent(parent),
            artifact_uri=f"{experiment.artifact_location.rstrip('/')}/{run_id}/artifacts",
            tags={**given, _NAME_TAG: name},
        )
        # An end without a beginning: several processes on a fresh ledger all find nothing recorded of the default one.
        self._session.write(*self._beginning(experiment.experiment_id), drafted(begun, start_time or _now()))
        return self.get_run(run_id)

    def _parent(self, run_id: str) -> str | None:
        return self._session.ask(
            lambda now: next((t.trial for t in now.trials(removed=True) if run_id_of(t.trial) == run_id), None)
        )

    def get_run(self, run_id: str) -> Run:
        """One run with all that belongs to it."""
        _validate_run_id(run_id)
        trial = self._session.trial_name(run_id)
        self._session.flush()

        def shown(book: Ledger) -> Run:
            now = self._snapshot(book)
            return show.run_of(now, now.trial(trial), self._session, book.objects)

        return self._session.do(shown)

    def _snapshot(self, book: Ledger) -> Snapshot:
        as_of = self._session.location.as_of
        return book.now() if as_of is None else book.at(as_of)

    def update_run_info(self, run_id: str, run_status: int | None, end_time: int | None, run_name: str | None) -> Any:
        """Another state, end or name."""
        trial = self._active(run_id)
        status = None if run_status is None else show.STATUS[RunStatus.to_string(run_status)]
        changed = TrialChanged(
            trial=trial,
            status=status,
            name=run_name or None,
            ended_at=None if end_time is None else drafted(TrialChanged(trial=trial), end_time).occurred_at,
        )
        tags = [TrialNoted(trial=trial, tags={_NAME_TAG: run_name})] if run_name else []
        ended = status in ("finished", "failed", "terminated")
        self._session.write(changed, *tags, sign=ended)
        return self.get_run(run_id).info

    def delete_run(self, run_id: str) -> None:
        """Remove it; it can be restored."""
        self._session.forget(run_id)
        self._session.write(TrialChanged(trial=self._session.trial_name(run_id), removed=True))

    def restore_run(self, run_id: str) -> None:
        """Bring it back."""
        self._session.write(TrialChanged(trial=self._session.trial_name(run_id), removed=False))

    def _state(self, run_id: str) -> TrialState:
        _validate_run_id(run_id)
        trial = self._session.trial_name(run_id)
        return self._session.ask(lambda now: now.trial(trial))

    def _active(self, run_id: str) -> str:
        state = self._state(run_id)
        if state.removed:
            fail(f"The run {run_id} must be in the 'active' state. Current state is deleted.")
        return state.trial

    # What runs note ----------------------------------------------------------------------------------------

    def log_metric(self, run_id: str, metric: Metric) -> None:
        """A number of a run, on disk within two seconds."""
        _validate_metric(metric.key, metric.value, metric.timestamp, metric.step)
        self._session.measure(self._measured(run_id), [_number(metric)])

    def _measured(self, run_id: str) -> str:
        """The trial of a run, known to be there: asked of the ledger once."""
        known = self._session.known(run_id)
        if known is None:
            known = self._active(run_id)
            self._session.remember(run_id, known)
        return known

    def log_param(self, run_id: str, param: Any) -> None:
        """A parameter of a run, which never changes."""
        self.log_batch(run_id, metrics=[], params=[_validate_param(param.key, param.value) or param], tags=[])

    def set_tag(self, run_id: str, tag: Any) -> None:
        """Add or replace a tag."""
        _validate_tag(tag.key, tag.value)
        self.log_batch(run_id, metrics=[], params=[], tags=[tag])

    def delete_tag(self, run_id: str, key: str) -> None:
        """Take a tag away."""
        trial = self._active(run_id)
        if key not in self._session.ask(lambda now: now.tags(f"trial:{trial}")):
            fail(f"No tag with name: {key} in run with id {run_id}", codes.RESOURCE_DOES_NOT_EXIST)
        self._session.write(TrialNoted(trial=trial, removed_tags=[key]))

    def log_batch(self, run_id: str, metrics: list[Metric], params: list[Any], tags: list[Any]) -> None:
        """Numbers, parameters and tags of a run, in one commit, or nothing of them."""
        _validate_run_id(run_id)
        _validate_batch_log_data(metrics, params, tags)
        _validate_batch_log_limits(metrics, params, tags)
        _validate_param_keys_unique(params)
        trial = self._active(run_id)
        if params or tags:
            noted = self._new_params(trial, {param.key: str(param.value) for param in params}, run_id)
            given = {tag.key: str(tag.value) for tag in tags}
            bodies: list[Body] = [TrialNoted(trial=trial, params=noted, tags=given)] if noted or given else []
            if _NAME_TAG in given:
                bodies.append(TrialChanged(trial=trial, name=given[_NAME_TAG]))
            if bodies:
                self._session.write(*bodies)
        if metrics:
            self._session.measure(trial, [_number(metric) for metric in metrics])

    def _new_params(self, trial: str, params: dict[str, str], run_id: str) -> dict[str, str]:
        """Those that are not recorded yet; a changed one is refused, as MLflow refuses it."""
        known = self._session.ask(lambda now: now.trial_params(trial)) if params else {}
        for name, value in params.items():
            if name in known and str(known[name]) != value:
                fail(
                    f"Changing param values is not allowed. Param with key='{name}' was already logged with "
                    f"value='{known[name]}' for run ID='{run_id}'. Attempted logging new value '{value}'."
                )
        return {name: value for name, value in params.items() if name not in known}

    def record_logged_model(self, run_id: str, mlflow_model: Any) -> None:
        """What MLflow 2 notes of a model in a tag of the run."""
        trial = self._active(run_id)
        tags = self._session.ask(lambda now: now.tags(f"trial:{trial}"))
        described = [*json.loads(tags.get("mlflow.log-model.history", "[]")), mlflow_model.get_tags_dict()]
        self._session.write(TrialNoted(trial=trial, tags={"mlflow.log-model.history": json.dumps(described)}))

    def log_inputs(self, run_id: str, datasets: list[Any] | None = None, models: list[Any] | None = None) -> None:
        """Tables and models that a run reads."""
        trial = self._active(run_id)
        tables = [self._table(one) for one in datasets or ()]
        self._session.write(
            TrialLinked(trial=trial, inputs=tables, models_read=[model.model_id for model in models or ()])
        )

    def _table(self, given: Any) -> Dataset:
        table = given.dataset
        return Dataset(
            name=table.name,
            digest=table.digest,
            source_type=table.source_type or "",
            source=self._kept_text(table.source) or "",
            schema=self._kept_text(table.schema),
            profile=self._kept_text(table.profile),
            tags={tag.key: str(tag.value) for tag in given.tags or ()},
        )

    def _kept_text(self, text: str | None) -> str | None:
        if text is None or len(text) <= show.MOST_TEXT:
            return text
        return show.LONG_TEXT + self._session.store(text.encode())

    def log_outputs(self, run_id: str, models: list[Any]) -> None:
        """Models that a run made."""
        made = [Output(model=model.model_id, step=model.step) for model in models]
        self._session.write(TrialLinked(trial=self._active(run_id), outputs=made))

    # Reading runs ------------------------------------------------------------------------------------------

    def get_metric_history(
        self, run_id: str, metric_key: str, max_results: int | None = None, page_token: str | None = None
    ) -> PagedList:
        """Every number of a metric."""
        trial = self._session.trial_name(run_id)

        def curve(now: Snapshot) -> list[Metric]:
            if metric_key not in now.curve_names(trial):
                return []
            return [
                Metric(
                    key=metric_key,
                    value=point.value,
                    timestamp=point.at_ms,
                    step=point.step or 0,
                    model_id=point.model,
                    dataset_name=point.dataset,
                    dataset_digest=point.dataset_digest,
                    run_id=run_id,
                )
                for point in now.curve(trial, metric_key)
            ]

        found = sorted(self._session.ask(curve), key=lambda metric: (metric.timestamp, metric.step))
        # A client says a number again when it learns of which model it was measured.
        found = list({(m.timestamp, m.step, repr(m.value)): m for m in reversed(found)}.values())[::-1]
        if max_results is None and page_token is None:
            return PagedList(found, None)
        return PagedList(*SearchUtils.paginate(found, page_token, max_results or SEARCH_MOST))

    def get_metric_history_bulk_interval_from_steps(
        self, run_id: str, metric_key: str, steps: list[int], max_results: int
    ) -> list[MetricWithRunId]:
        """The numbers of a metric at some steps."""
        wanted = set(steps)
        found = [metric for metric in self.get_metric_history(run_id, metric_key) if metric.step in wanted]
        found.sort(key=lambda metric: (metric.step, metric.timestamp))
        return [MetricWithRunId(run_id=run_id, metric=metric) for metric in found[:max_results]]

    def _search_runs(
        self,
        experiment_ids: list[str],
        filter_string: str | None,
        run_view_type: int,
        max_results: int,
        order_by: list[str] | None,
        page_token: str | None,
    ) -> tuple[list[Run], str | None]:
        if max_results > SEARCH_MOST:
            fail(f"Invalid value for request parameter max_results. It must be at most {SEARCH_MOST}, "
                 f"but got value {max_results}")  # fmt: skip
        wanted = set(experiment_ids)
        runs = [
            run
            for run in self._all_runs()
            if run.info.experiment_id in wanted and _is_shown(run.info.lifecycle_stage, run_view_type, None)
        ]
        found = SearchUtils.sort(SearchUtils.filter(runs, filter_string), order_by)
        page, token = SearchUtils.paginate(found, page_token, max_results)
        return page, token

    def _all_runs(self) -> list[Run]:
        """Every run; those that nothing happened to since the last question are not made again."""
        self._session.flush()

        def made(book: Ledger) -> list[Run]:
            now = self._snapshot(book)
            changed = now.trials_changed_since(self._runs_upto) if self._runs_upto < now.as_of.seq else set()
            for trial in now.trials(removed=True):
                if changed is None or trial.trial not in self._runs or trial.trial in changed:
                    self._runs[trial.trial] = show.run_of(now, trial, self._session, book.objects)
            self._runs_upto = now.as_of.seq
            return list(self._runs.values())

        return self._session.do(made)

    def _search_datasets(self, experiment_ids: list[str]) -> list[Any]:
        from mlflow.entities import _DatasetSummary

        wanted = set(experiment_ids)
        found = {}
        for run in self._all_runs():
            if run.info.experiment_id in wanted:
                for table in run.inputs.dataset_inputs:
                    context = next((tag.value for tag in table.tags if tag.key == "mlflow.data.context"), None)
                    key = (run.info.experiment_id, table.dataset.name, table.dataset.digest, context)
                    found[key] = _DatasetSummary(experiment_id=key[0], name=key[1], digest=key[2], context=context)
        return list(found.values())[:1000]

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
            state = now.find(f"logged:{model_id}")
            if not isinstance(state, LoggedModelState) or (state.removed and not allow_deleted):
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
                for state in now.logged_models()
                if not state.removed and (state.experiment or DEFAULT) in wanted
            ]

        found = SearchLoggedModelsUtils.filter_logged_models(self._session.ask(listed), filter_string, datasets)
        found = SearchLoggedModelsUtils.sort(found, order_by)
        page, token = SearchLoggedModelsUtils.paginate(found, page_token, max_results or MODELS_SHOWN)
        return PagedList(page, token)

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


def _number(metric: Metric) -> Number:
    return Number(
        key=metric.key,
        step=int(metric.step or 0),
        at_ms=int(metric.timestamp),
        value=float(metric.value),
        # Over REST what is absent arrives as an empty text.
        model=metric.model_id or None,
        dataset=metric.dataset_name or None,
        dataset_digest=metric.dataset_digest or None,
    )


def _is_shown(stage: str, view_type: int, stages: Any) -> bool:
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
