"""Runs in MLflow's tracking store over the ledger: their life, what they note, and what they are linked to."""

from __future__ import annotations

import getpass
import json
import time
import uuid
from typing import Any

from mlflow.entities import Metric, Run, RunStatus
from mlflow.protos import databricks_pb2 as codes
from mlflow.utils.name_utils import _generate_random_name
from mlflow.utils.validation import (
    _validate_batch_log_data,
    _validate_batch_log_limits,
    _validate_metric,
    _validate_param,
    _validate_param_keys_unique,
    _validate_run_id,
    _validate_tag,
)

from tallystick.ledger.events.types import (
    Body,
    Dataset,
    Output,
    TrialBegun,
    TrialChanged,
    TrialLinked,
    TrialNoted,
)
from tallystick.ledger.exchange import mlflow_entities as show
from tallystick.ledger.exchange.erased import readable
from tallystick.ledger.exchange.mlflow_errors import fail, in_mlflows_words
from tallystick.ledger.exchange.mlflow_experiments import DEFAULT, ExperimentStore
from tallystick.ledger.exchange.session import LONG_TEXT, MOST_TEXT, Number, drafted, trial_of
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.entities import TrialState

_NAME_TAG, _PARENT_TAG = "mlflow.runName", "mlflow.parentRunId"


def _now() -> int:
    return int(time.time() * 1000)


@in_mlflows_words
class RunStore(ExperimentStore):
    """What MLflow tells about runs."""

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
            parent=None if parent is None else self._session.ask(lambda now: trial_of(now, parent)),
            artifact_uri=f"{experiment.artifact_location.rstrip('/')}/{run_id}/artifacts",
            tags={**given, _NAME_TAG: name},
        )
        # Several processes on a fresh ledger may each find nothing recorded of the default experiment, and record it.
        self._session.write(*self._beginning(experiment.experiment_id), drafted(begun, start_time or _now()))
        return self.get_run(run_id)

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
        return self._session.ask(lambda now: readable(now.trial(trial)))

    def _active(self, run_id: str) -> str:
        state = self._state(run_id)
        if state.removed:
            fail(f"The run {run_id} must be in the 'active' state. Current state is deleted.")
        return state.trial

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
        if text is None or len(text) <= MOST_TEXT:
            return text
        return LONG_TEXT + self._session.store(text.encode())

    def log_outputs(self, run_id: str, models: list[Any]) -> None:
        """Models that a run made."""
        made = [Output(model=model.model_id, step=model.step) for model in models]
        self._session.write(TrialLinked(trial=self._active(run_id), outputs=made))


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
