"""MLflow on its SQLite store, through the client and its batch call, the fastest that it documents.

https://mlflow.org/docs/latest/self-hosting/architecture/backend-store/ and
https://mlflow.org/docs/latest/python_api/mlflow.client.html (``log_batch``, ``search_runs``,
``set_registered_model_alias``).
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from protocol import WINDOWS, Cannot, files, loss, numbers, params, repeated, seconds, serve

os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true", GIT_PYTHON_REFRESH="quiet")
import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param


def now() -> int:
    return int(time.time() * 1000)


class Mlflow:
    def about(self) -> dict[str, str]:
        return {
            "name": "MLflow",
            "version": mlflow.__version__,
            "durability": "SQLite's defaults: rollback journal, synced at every commit; artifacts not synced",
            "docs": "https://mlflow.org/docs/latest/self-hosting/architecture/backend-store/",
        }

    def start(self, folder: str, scratch: str) -> dict[str, bool]:
        self.folder, self.scratch = Path(folder), Path(scratch)
        uri = f"sqlite:///{self.folder}/mlflow.db"
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        self.client = MlflowClient()
        found = self.client.get_experiment_by_name("bench")
        self.experiment = (
            found.experiment_id
            if found
            else self.client.create_experiment("bench", artifact_location=f"file://{self.folder}/artifacts")
        )
        self.runs: dict[str, str] = {}
        return {"ok": True}

    def _begin(self, name: str) -> str:
        return str(self.client.create_run(self.experiment, run_name=name).info.run_id)

    def _run(self, label: str) -> str:
        if label not in self.runs:
            self.runs[label] = self._begin(label)
        return self.runs[label]

    def whole_run(self, number: int) -> dict[str, float]:
        files(number, self.scratch)

        def record() -> None:
            run = self._begin(f"run-{number}")
            told = [
                Metric(name, value, now(), window)
                for window in range(WINDOWS)
                for name, value in numbers(number, window).items()
            ]
            self.client.log_batch(run, told, [Param(name, str(value)) for name, value in params(number).items()])
            self.client.log_artifacts(run, str(self.scratch))
            self.client.set_terminated(run)

        return {"seconds": seconds(record)}

    def live_run(self, number: int) -> dict[str, float]:
        files(number, self.scratch)

        def record() -> None:
            run = self._begin(f"live-{number}")
            self.client.log_batch(run, params=[Param(name, str(value)) for name, value in params(number).items()])
            for window in range(WINDOWS):
                told = numbers(number, window).items()
                self.client.log_batch(run, [Metric(name, value, now(), window) for name, value in told])
            self.client.log_artifacts(run, str(self.scratch))
            self.client.set_terminated(run)

        return {"seconds": seconds(record)}

    def single(self, label: str, count: int) -> dict[str, Any]:
        run = self._run(label)
        return repeated(count, lambda index: self.client.log_metric(run, "loss", 0.5, step=index))

    def batch(self, label: str, count: int) -> dict[str, float]:
        run = self._run(label)

        def record() -> None:
            told = [Metric("loss", 0.5, now(), index) for index in range(count)]
            for first in range(0, count, 1_000):  # more than 1,000 at once are refused
                self.client.log_batch(run, told[first : first + 1_000])

        return {"seconds": seconds(record)}

    def counted(self, label: str) -> dict[str, int]:
        runs = self.client.search_runs([self.experiment], f"run_name LIKE '{label}%'")
        return {"count": sum(len(self.client.get_metric_history(run.info.run_id, "loss")) for run in runs)}

    def fill(self, count: int) -> dict[str, float]:
        def record() -> None:
            for number in range(count):
                run = self._begin(f"fill-{number}")
                given = [Param(f"p{index}", str(number)) for index in range(5)]
                self.client.log_batch(run, [Metric("loss", loss(number), now(), 0)], given)
                self.client.set_terminated(run)

        return {"seconds": seconds(record)}

    def best(self, count: int) -> dict[str, Any]:
        started = time.perf_counter()
        found = self.client.search_runs([self.experiment], order_by=["metrics.loss ASC"], max_results=count)
        return {"seconds": time.perf_counter() - started, "losses": [run.data.metrics["loss"] for run in found]}

    def promotions(self, count: int) -> dict[str, int]:
        raise Cannot("an alias of a registered model says who it is now; who it was is not kept")

    def verify(self) -> dict[str, Any]:
        raise Cannot("has no check of what was recorded")

    def end(self) -> dict[str, bool]:
        return {"ok": True}


if __name__ == "__main__":
    serve(Mlflow())
