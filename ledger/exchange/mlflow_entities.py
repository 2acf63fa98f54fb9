"""What the ledger knows, as the types of MLflow. Imported only where MLflow is."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from typing import Any

from mlflow.entities import (
    Dataset,
    DatasetInput,
    Experiment,
    ExperimentTag,
    InputTag,
    LifecycleStage,
    LoggedModel,
    LoggedModelInput,
    LoggedModelOutput,
    LoggedModelStatus,
    Metric,
    Param,
    Run,
    RunData,
    RunInfo,
    RunInputs,
    RunOutputs,
    RunTag,
)

from tallystick.ledger.events.types import TrialStatus
from tallystick.ledger.exchange.erased import readable
from tallystick.ledger.exchange.session import LONG_TEXT, Session, run_id_of
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.query.trials import number_of
from tallystick.ledger.storage.artifacts import Objects
from tallystick.ledger.views.entities import ExperimentState, LoggedModelState, TrialMetricState, TrialState

DEFAULT_EXPERIMENT = "0"

STATUS: dict[str, TrialStatus] = {
    "RUNNING": "running",
    "SCHEDULED": "scheduled",
    "FINISHED": "finished",
    "FAILED": "failed",
    "KILLED": "terminated",
}
_SHOWN = {status: word for word, status in STATUS.items()} | {"interrupted": "KILLED", "vanished": "KILLED"}


def stage(removed: bool) -> str:
    """``active`` or ``deleted``."""
    return str(LifecycleStage.DELETED if removed else LifecycleStage.ACTIVE)


def millis(moment: Any) -> int | None:
    """Milliseconds since 1970, UTC."""
    return None if moment is None else round(moment.timestamp() * 1000)


def experiment_of(snapshot: Snapshot, state: ExperimentState, session: Session) -> Experiment:
    """An experiment with its tags."""
    state = readable(state)
    tags = snapshot.tags(f"experiment:{state.experiment}")
    return Experiment(
        experiment_id=state.experiment,
        name=state.name,
        artifact_location=session.location.then(state.artifact_uri or f"{session.location.files}/{state.experiment}"),
        lifecycle_stage=stage(state.removed),
        tags=[ExperimentTag(name, value) for name, value in tags.items()],
        creation_time=millis(state.created_at),
        last_update_time=millis(state.changed_at),
    )


def default_experiment(session: Session, began: Any) -> Experiment:
    """The one that is there before anything is recorded in it: as old as the ledger."""
    return Experiment(
        experiment_id=DEFAULT_EXPERIMENT,
        name="Default",
        artifact_location=session.location.then(f"{session.location.files}/{DEFAULT_EXPERIMENT}"),
        lifecycle_stage=LifecycleStage.ACTIVE,
        tags=[],
        creation_time=millis(began),
        last_update_time=millis(began),
    )


def shown_number(value: float) -> float:
    """A number as MLflow's own database shows it: its pages fail on a run with an infinite one."""
    return math.copysign(sys.float_info.max, value) if math.isinf(value) else value


def metric_of(state: TrialMetricState) -> Metric:
    """The newest number of a metric."""
    return Metric(
        key=state.name,
        value=shown_number(number_of(state)),
        timestamp=state.at_ms,
        step=state.step or 0,
        model_id=state.model,
        dataset_name=state.dataset,
        dataset_digest=state.dataset_digest,
        run_id=run_id_of(state.trial),
    )


def newest(metrics: Iterable[TrialMetricState]) -> list[Metric]:
    """One number for each name: the newest, whichever model or table it was measured of."""
    found: dict[str, TrialMetricState] = {}
    for state in metrics:
        before = found.get(state.name)
        if before is None or _order(state) >= _order(before):
            found[state.name] = state
    return [
        Metric(key=state.name, value=shown_number(number_of(state)), timestamp=state.at_ms, step=state.step or 0)
        for state in found.values()
    ]


def _order(state: TrialMetricState) -> tuple[int, int, float]:
    value = number_of(state)
    return (state.step or 0, state.at_ms, value if value == value else float("-inf"))  # noqa: PLR0124 - NaN


def run_of(snapshot: Snapshot, trial: TrialState, session: Session, objects: Objects) -> Run:
    """A trial with all that belongs to it."""
    trial = readable(trial)
    run_id = run_id_of(trial.trial)
    experiment = trial.experiment or DEFAULT_EXPERIMENT
    tags = tags_of(snapshot, trial)
    info = RunInfo(
        run_id=run_id,
        experiment_id=experiment,
        user_id=trial.user or trial.by,
        status=_SHOWN[trial.status],
        start_time=millis(trial.started_at) or 0,  # MLflow demands one, also where it was erased
        end_time=millis(trial.ended_at),
        lifecycle_stage=stage(trial.removed),
        artifact_uri=session.files_address(
            trial.artifact_uri or f"{session.location.files}/{experiment}/{run_id}/artifacts",
        ),
        run_name=tags.get("mlflow.runName", trial.name),
    )
    data = RunData(
        metrics=newest(snapshot.trial_metrics(trial.trial)),
        params=[Param(name, _text(value)) for name, value in snapshot.trial_params(trial.trial).items()],
        tags=[RunTag(name, value) for name, value in tags.items()],
    )
    return Run(info, data, *_linked(snapshot, trial.trial, objects))


def tags_of(snapshot: Snapshot, trial: TrialState) -> dict[str, str]:
    """The tags of a trial, and what other recorders say in tags."""
    tags = snapshot.tags(f"trial:{trial.trial}")
    if "mlflow.runName" not in tags:  # of another recorder: MLflow's own clients set the user's tag, or leave it out
        tags.setdefault("mlflow.user", trial.user or trial.by)
    tags["mlflow.runName"] = trial.name
    if trial.parent is not None:
        tags.setdefault("mlflow.parentRunId", run_id_of(trial.parent))
    notes = [str(note.text) for note in snapshot.notes(trial.trial)]
    if notes:
        tags.setdefault("mlflow.note.content", "\n\n".join(notes))
    return tags


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def _linked(snapshot: Snapshot, trial: str, objects: Objects) -> tuple[RunInputs, RunOutputs]:
    tables, read, made = [], [], []
    for link in snapshot.trial_links(trial):
        if link.role == "input":
            table = Dataset(
                name=link.name,
                digest=link.digest,
                source_type=link.source_type,
                source=long_text(link.source, objects),
                schema=long_text(link.schema, objects),
                profile=long_text(link.profile, objects),
            )
            tables.append(DatasetInput(dataset=table, tags=[InputTag(key, text) for key, text in link.tags.items()]))
        elif link.role == "output":
            made.append(LoggedModelOutput(model_id=link.name, step=link.step or 0))
        else:
            read.append(LoggedModelInput(model_id=link.name))
    return RunInputs(dataset_inputs=tables, model_inputs=read), RunOutputs(model_outputs=made)


def long_text(text: str | None, objects: Objects) -> str | None:
    """A text, wherever it is kept."""
    if text is None or not text.startswith(LONG_TEXT):
        return text
    return objects.get(text.removeprefix(LONG_TEXT)).decode()


def metrics_by_model(snapshot: Snapshot, trial: str | None = None) -> dict[str, list[Metric]]:
    """The newest numbers that were measured of kept models, by model; of one trial by its whole name or of all."""
    found: dict[str, list[Metric]] = {}
    for state in snapshot.trial_metrics(trial):
        if state.model is not None:
            found.setdefault(state.model, []).append(metric_of(state))
    return found


def logged_of(
    snapshot: Snapshot, state: LoggedModelState, session: Session, metrics: dict[str, list[Metric]]
) -> LoggedModel:
    """A kept model with its tags, parameters and numbers."""
    state = readable(state)
    experiment = state.experiment or DEFAULT_EXPERIMENT
    location = f"{session.location.files}/{experiment}/models/{state.logged}/artifacts"
    return LoggedModel(
        experiment_id=experiment,
        model_id=state.logged,
        name=state.name,
        artifact_location=session.files_address(state.artifact_uri or location),
        creation_timestamp=millis(state.created_at),
        last_updated_timestamp=millis(state.changed_at),
        model_type=state.model_type,
        source_run_id=None if state.trial is None else run_id_of(state.trial),
        status=LoggedModelStatus(state.status or "READY"),
        tags=snapshot.tags(f"logged:{state.logged}"),
        params=state.params,
        metrics=metrics.get(state.logged, []),
    )
