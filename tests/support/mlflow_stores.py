"""Stores that the real MLflow made (``fixtures/mlflow``), and the ledger in the form of MLflow's reading of them."""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.query.trials import number_of
from tallystick.ledger.views.entities import TrialMetricState

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "mlflow"
STATUS = {"running": "RUNNING", "scheduled": "SCHEDULED", "finished": "FINISHED", "failed": "FAILED",
          "terminated": "KILLED"}  # fmt: skip


def a_store(kind: str, place: Path) -> Path:
    """A store of one kind, ``mlruns`` or ``mlflow.db``, in a folder of its own that a test may change."""
    place.mkdir(parents=True, exist_ok=True)
    if kind == "mlruns":
        return Path(shutil.copytree(FIXTURES / "mlruns", place / "mlruns"))
    shutil.copytree(FIXTURES / "files", place / "files")
    with sqlite3.connect(place / "mlflow.db") as database:
        database.executescript((FIXTURES / "mlflow.sql").read_text())
    return place / "mlflow.db"


def mlflows_reading(kind: str) -> dict[str, Any]:
    """What MLflow itself reads from a store, but for what is known to be wrong or missing in it.

    In a folder MLflow drops the step of a number that was measured on a table. In a database it holds a NaN of a kept
    model as 0, and no kept model of a version, although the version's source names it.
    """
    found: dict[str, Any] = json.loads((FIXTURES / f"{kind.removesuffix('.db')}.json").read_text())
    for model in found["logged_models"].values():
        for metric in model["metrics"]:
            if metric[0] == "gap":
                assert metric[1] == ("nan" if kind == "mlruns" else 0.0)
                metric[1] = "nan"
    for version in found["versions"].values():
        if version["source"].startswith("models:/"):
            version["model"] = version["source"].removeprefix("models:/")
    for run in found["runs"].values():
        if kind == "mlruns" and "accuracy" in run["history"]:
            assert run["history"]["accuracy"] == [[0, 1_700_000_002_000, 0.75], [2, 1_700_000_002_000, 0.5]]
            run["history"]["accuracy"][0][0] = 1
    return found


def ledgers_reading(now: Snapshot) -> dict[str, Any]:
    """What the ledger says, in the same form."""
    return {
        "experiments": {
            state.experiment: {
                "name": state.name, "artifact_uri": state.artifact_uri, "stage": _stage(state.removed),
                "created_ms": _ms(state.created_at), "changed_ms": _ms(state.changed_at),
                "tags": now.tags(f"experiment:{state.experiment}"),
            }
            for state in now.experiments()
        },
        "runs": {state.trial: _run(now, state) for state in now.trials(removed=True)},
        "logged_models": {state.logged: _logged(now, state) for state in now.logged_models()},
        "registered_models": {
            state.name: {
                "created_ms": _ms(state.created_at), "changed_ms": _ms(state.changed_at),
                "description": state.description, "tags": now.tags(f"registered:{state.registered}"),
                "aliases": {alias.name: str(alias.version).rpartition("/")[2]
                            for alias in now.aliases(state.registered) if alias.version is not None},
            }
            for state in now.registered_models() if not state.removed
        },
        "versions": {
            state.version: {
                "created_ms": _ms(state.created_at), "changed_ms": _ms(state.changed_at),
                "description": state.description, "user": state.user, "stage": state.stage, "source": state.source,
                "run": state.trial, "run_link": state.run_link, "status": state.status, "model": state.logged,
                "tags": now.tags(f"version:{state.version}"),
                "aliases": sorted(alias.name for alias in now.aliases(state.registered)
                                  if alias.version == state.version),
            }
            for state in now.model_versions() if not state.removed
        },
    }  # fmt: skip


def _run(now: Snapshot, state: Any) -> dict[str, Any]:
    links = now.trial_links(state.trial)
    history = {
        name: sorted(([point.step, point.at_ms, _number(point.value)] for point in points), key=str)
        for name, points in now.numbers(state.trial).items()
    }
    newest: dict[str, TrialMetricState] = {}
    for metric in now.trial_metrics(state.trial):
        before = newest.get(metric.name)
        if before is None or (metric.step or 0, metric.at_ms) > (before.step or 0, before.at_ms):
            newest[metric.name] = metric
    return {
        "experiment": state.experiment, "name": state.name, "user": state.user, "status": STATUS[state.status],
        "start_ms": _ms(state.started_at), "end_ms": _ms(state.ended_at), "stage": _stage(state.removed),
        "artifact_uri": state.artifact_uri, "params": now.trial_params(state.trial),
        "tags": now.tags(f"trial:{state.trial}"), "history": history,
        "metrics": {name: _number(number_of(metric)) for name, metric in newest.items()},
        "inputs": sorted(
            [link.name, link.digest, link.source_type, link.source, link.schema, link.profile,
             sorted([key, value] for key, value in link.tags.items())]
            for link in links if link.role == "input"
        ),
        "models_read": sorted(link.name for link in links if link.role == "model input"),
        "outputs": sorted([link.name, link.step] for link in links if link.role == "output"),
    }  # fmt: skip


def _logged(now: Snapshot, state: Any) -> dict[str, Any]:
    metrics = [
        [one.name, _number(number_of(one)), one.step, one.at_ms, one.trial, one.dataset, one.dataset_digest]
        for one in now.trial_metrics()
        if one.model == state.logged
    ]
    return {
        "experiment": state.experiment, "name": state.name, "status": state.status,
        "created_ms": _ms(state.created_at), "changed_ms": _ms(state.changed_at), "run": state.trial,
        "type": state.model_type, "artifact_uri": state.artifact_uri, "params": state.params,
        "tags": now.tags(f"logged:{state.logged}"), "metrics": sorted(metrics, key=str),
    }  # fmt: skip


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"


def _ms(moment: Any) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)


def _stage(removed: bool) -> str:
    return "deleted" if removed else "active"
