"""One session of a data scientist with MLflow, and everything that MLflow then shows of it, as plain JSON.

Run by an interpreter that has MLflow, so that one session can be compared between stores:

    python mlflow_session.py act URI      a training, a registration, a search, a deletion
    python mlflow_session.py show URI     what a client reads afterwards, printed without ids and times
    python mlflow_session.py small URI    what a client of MLflow 2 can do through a server

Ids and times differ between two sessions, so each id is replaced by the name of what it stands for and each time by
whether it is there.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException

EXPERIMENT = "churn"
REGISTERED = "fraud-model"
said: list[str] = []
"""What calls in the session answered; it is compared too."""


def refused(call: Any, *arguments: Any, **options: Any) -> None:
    """Note the error code of a call that must fail."""
    try:
        call(*arguments, **options)
    except MlflowException as error:
        said.append(f"refused with {error.error_code}")
    else:
        said.append("not refused")


# The session ---------------------------------------------------------------------------------------------------


def act() -> None:
    """The whole session."""
    client = MlflowClient()
    mlflow.set_experiment(EXPERIMENT)
    run_id = everything_by_hand(client)
    automatically()
    registration(client)
    tuning()
    searching(client)
    removing(client, run_id)


def everything_by_hand(client: MlflowClient) -> str:
    """Every kind of ``log_*``."""
    import numpy as np
    import pandas as pd

    mlflow.set_experiment_tag("team", "risk")
    with mlflow.start_run(run_name="by hand", tags={"kind": "manual"}, description="A first look.") as run:
        mlflow.log_param("depth", 4)
        mlflow.log_params({"rate": 0.1, "words": "ä ö \N{GRINNING FACE}", "nothing": None})
        for step in range(20):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metric("loss", 0.9, step=3)
        mlflow.log_metrics({"auc": 0.8, "not a number": float("nan"), "huge": float("inf")}, step=7)
        mlflow.set_tags({"stage": "draft", "owner": "ann"})
        mlflow.set_tag("stage", "final")
        mlflow.delete_tag("owner")
        mlflow.log_text("hello", "notes/hello.txt")
        mlflow.log_dict({"a": [1, 2]}, "settings.json")
        mlflow.log_table({"x": [1, 2], "y": ["a", "b"]}, "table.json")
        mlflow.log_image(np.zeros((4, 4, 3), dtype=np.uint8), "black.png")
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "inner").mkdir()
            (Path(folder) / "inner" / "data.bin").write_bytes(bytes(range(256)))
            (Path(folder) / "top.txt").write_text("top")
            mlflow.log_artifacts(folder, "folder")
            mlflow.log_artifact(str(Path(folder) / "top.txt"))
        frame = pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [0, 1, 0]})
        table = mlflow.data.from_pandas(frame, name="customers", source="s3://bucket/customers.csv", targets="y")
        mlflow.log_input(table, context="training", tags={"origin": "crm"})
        client.log_batch(
            run.info.run_id,
            metrics=[Metric("batch", float(at), 1_700_000_000_000 + at, at) for at in range(50)],
            params=[Param("from batch", "1")],
            tags=[RunTag("from batch", "yes")],
        )
        with mlflow.start_run(run_name="inside", nested=True):
            mlflow.log_metric("inner", 1)
        refused(client.log_param, run.info.run_id, "depth", 5)
        refused(client.log_metric, run.info.run_id, "bad\x00name", 1.0)
        refused(client.set_tag, "0" * 32, "a", "b")
    try:
        with mlflow.start_run(run_name="fails"):
            raise ValueError("no data")
    except ValueError:
        pass
    return str(run.info.run_id)


def numbers() -> tuple[Any, Any]:
    """Something to learn from, always the same."""
    import numpy as np

    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 4))
    return features, (features[:, 0] + features[:, 1] > 0).astype(int)


def automatically() -> None:
    """Autologging of scikit-learn and LightGBM."""
    import lightgbm
    from sklearn.linear_model import LogisticRegression

    features, answers = numbers()
    mlflow.sklearn.autolog(log_datasets=True)
    with mlflow.start_run(run_name="scikit-learn"):
        LogisticRegression(C=0.5).fit(features, answers)
    mlflow.sklearn.autolog(disable=True)
    mlflow.lightgbm.autolog()
    with mlflow.start_run(run_name="lightgbm"):
        data = lightgbm.Dataset(features, label=answers)
        settings = {"objective": "binary", "num_leaves": 4, "verbose": -1, "num_threads": 1, "seed": 1}
        lightgbm.train(settings, data, num_boost_round=5, valid_sets=[data], valid_names=["train"])
    mlflow.lightgbm.autolog(disable=True)


def registration(client: MlflowClient) -> None:
    """Three versions, and an alias that moves twice."""
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression

    features, answers = numbers()
    for strength in (0.1, 1.0, 10.0):
        with mlflow.start_run(run_name=f"strength {strength}"):
            model = LogisticRegression(C=strength).fit(features, answers)
            mlflow.log_param("C", strength)
            mlflow.log_metric("score", float(model.score(features, answers)))
            mlflow.sklearn.log_model(
                model,
                name="model",
                registered_model_name=REGISTERED,
                signature=infer_signature(features, model.predict(features)),
                pip_requirements=["scikit-learn"],
                serialization_format="cloudpickle",
            )
    client.update_registered_model(REGISTERED, "Says who cheats.")
    client.set_registered_model_tag(REGISTERED, "risk", "high")
    client.update_model_version(REGISTERED, "2", "The second.")
    for version, reason in (("1", "the first"), ("2", "a better score"), ("3", "a still better score")):
        client.set_model_version_tag(REGISTERED, version, "tally.reason", reason)
        client.set_registered_model_alias(REGISTERED, "champion", version)
    client.set_registered_model_alias(REGISTERED, "challenger", "1")
    client.set_registered_model_alias(REGISTERED, "gone", "1")
    client.delete_registered_model_alias(REGISTERED, "gone")
    client.transition_model_version_stage(REGISTERED, "2", "Staging")
    client.transition_model_version_stage(REGISTERED, "3", "Staging", archive_existing_versions=True)
    refused(client.set_registered_model_alias, REGISTERED, "champion", "9")
    refused(client.get_model_version, REGISTERED, "9")
    refused(client.create_registered_model, REGISTERED)
    refused(client.get_model_version_by_alias, REGISTERED, "nobody")
    loaded = mlflow.pyfunc.load_model(f"models:/{REGISTERED}@champion")
    said.append(f"predicted {loaded.predict(features)[:20].tolist()}")
    client.create_registered_model("other", {"a": "b"}, "to be renamed")
    client.rename_registered_model("other", "renamed")
    client.create_registered_model("short-lived")
    client.delete_registered_model("short-lived")
    client.delete_model_version(REGISTERED, "2")


def tuning() -> None:
    """Optuna with its callback for MLflow."""
    import optuna
    from optuna_integration.mlflow import MLflowCallback

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(study_name="tuning", sampler=optuna.samplers.RandomSampler(seed=1))
    callback = MLflowCallback(tracking_uri=mlflow.get_tracking_uri(), metric_name="error")
    study.optimize(lambda trial: (trial.suggest_float("x", -1, 1) - 0.5) ** 2, n_trials=3, callbacks=[callback])


FILTERS = (
    "metrics.score > 0.5",
    "params.C = '10.0'",
    "tags.kind = 'manual' and attributes.status = 'FINISHED'",
    "attributes.run_name LIKE 'strength%'",
    "attributes.status != 'FINISHED'",
    "metrics.loss < 0.1 and params.depth = '4'",
    "datasets.name = 'customers'",
)


def searching(client: MlflowClient) -> None:
    """Filters, orders, pages."""
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    for condition in FILTERS:
        found = client.search_runs([experiment], condition, order_by=["attributes.run_name ASC"])
        said.append(f"{condition}: {[run.info.run_name for run in found]}")
    ordered = client.search_runs([experiment], order_by=["metrics.score DESC", "attributes.run_name ASC"])
    said.append(f"by score: {[run.info.run_name for run in ordered]}")
    page = client.search_runs([experiment], max_results=4, order_by=["attributes.run_name ASC"])
    second = client.search_runs(
        [experiment], max_results=4, order_by=["attributes.run_name ASC"], page_token=page.token
    )
    said.append(f"pages: {[run.info.run_name for run in [*page, *second]]}")
    models = client.search_logged_models([experiment], filter_string="metrics.score > 0.1")
    said.append(f"kept models with a score: {len(models)}")
    versions = client.search_model_versions(f"name = '{REGISTERED}'", order_by=["version_number ASC"])
    said.append(f"versions: {[version.version for version in versions]}")
    found = client.search_registered_models("name LIKE 'fraud%'")
    said.append(f"registered: {[one.name for one in found]}")
    refused(client.search_runs, [experiment], "metrics.score >")
    refused(client.search_runs, [experiment], "nonsense = 3")
    refused(client.search_experiments, max_results=-1)


def removing(client: MlflowClient, run_id: str) -> None:
    """What is removed can be restored."""
    experiment = client.get_run(run_id).info.experiment_id
    before = len(client.search_runs([experiment]))
    client.delete_run(run_id)
    said.append(f"removed: {len(client.search_runs([experiment])) - before}")
    refused(client.log_metric, run_id, "late", 1.0)
    client.restore_run(run_id)
    said.append(f"restored: {len(client.search_runs([experiment])) - before}")
    gone = client.create_experiment("gone")
    client.create_run(gone, run_name="in it")
    client.delete_experiment(gone)
    refused(client.create_experiment, "gone")
    refused(client.create_run, gone)
    refused(client.delete_experiment, gone)
    back = client.create_experiment("back")
    client.delete_experiment(back)
    client.restore_experiment(back)
    client.rename_experiment(back, "back again")


def small() -> None:
    """What a client of MLflow 2 does, through a server."""
    client = MlflowClient()
    mlflow.set_experiment("older client")
    with mlflow.start_run(run_name="of an older client") as run:
        mlflow.log_params({"a": 1})
        mlflow.log_metric("loss", 0.5, step=1)
        mlflow.log_text("older", "older.txt")
    said.append(client.download_artifacts(run.info.run_id, "older.txt") and "downloaded")
    client.create_registered_model("older")
    version = client.create_model_version("older", f"runs:/{run.info.run_id}/model", run.info.run_id)
    client.set_registered_model_alias("older", "champion", version.version)
    client.transition_model_version_stage("older", version.version, "Production")
    said.append(f"in production: {[one.version for one in client.get_latest_versions('older', ['Production'])]}")
    said.append(f"champion: {client.get_model_version_by_alias('older', 'champion').version}")
    refused(client.get_model_version, "older", "5")
    refused(client.get_run, "0" * 32)


# What is shown -------------------------------------------------------------------------------------------------


class Shown:
    """All that a client reads, with names in place of ids."""

    def __init__(self) -> None:
        self.client = MlflowClient()
        self.names: dict[str, str] = {}

    def everything(self) -> dict[str, Any]:
        """All entities."""
        experiments = sorted(self.client.search_experiments(ViewType.ALL), key=lambda one: one.name)
        for one in experiments:
            self.names[one.experiment_id] = f"<experiment {one.name}>"
        ids = [one.experiment_id for one in experiments]
        runs = self.client.search_runs(ids, run_view_type=ViewType.ALL, max_results=1000)
        for run in runs:
            self.names[run.info.run_id] = f"<run {run.info.run_name}>"
        logged = self.client.search_logged_models(ids) if hasattr(self.client, "search_logged_models") else []
        for model in logged:
            self.names[model.model_id] = f"<model of {self.names.get(model.source_run_id, 'nobody')}>"
        return {
            "experiments": [self.experiment(one) for one in experiments],
            "runs": sorted((self.run(run) for run in runs), key=lambda run: str(run["name"])),
            "logged": sorted((self.logged(model) for model in logged), key=str),
            "registered": [
                self.registered(one) for one in sorted(self.client.search_registered_models(), key=lambda m: m.name)
            ],
            "versions": [
                self.version(one)
                for one in sorted(self.client.search_model_versions(), key=lambda v: (v.name, int(v.version)))
            ],
        }

    def plain(self, text: Any) -> Any:
        """A text without ids and without the folder of a store."""
        if not isinstance(text, str):
            return text
        for known, name in sorted(self.names.items(), key=lambda item: -len(item[0])):
            if len(known) > 3:
                text = text.replace(known, name)
        return text

    def experiment(self, one: Any) -> dict[str, Any]:
        """One experiment."""
        return {
            "name": one.name,
            "stage": one.lifecycle_stage,
            "tags": dict(one.tags),
            "created": bool(one.creation_time),
            "changed": bool(one.last_update_time),
        }

    def run(self, found: Any) -> dict[str, Any]:
        """One run, asked for by its id."""
        run = self.client.get_run(found.info.run_id)
        assert run.data.metrics.keys() == found.data.metrics.keys()
        run_id = run.info.run_id
        hidden = ("mlflow.source.git", "mlflow.log-model.history", "datetime_")
        return {
            "name": run.info.run_name,
            "experiment": self.names[run.info.experiment_id],
            "status": run.info.status,
            "stage": run.info.lifecycle_stage,
            "user": run.info.user_id,
            "started": bool(run.info.start_time),
            "ended": bool(run.info.end_time),
            "params": {name: self.plain(text) for name, text in run.data.params.items()},
            "tags": {name: self.plain(text) for name, text in run.data.tags.items() if not name.startswith(hidden)},
            "metrics": {name: repr(value) for name, value in run.data.metrics.items()},
            "curves": {name: self.curve(run_id, name) for name in run.data.metrics},
            "inputs": [self.table(one) for one in run.inputs.dataset_inputs],
            "outputs": [self.names.get(one.model_id) for one in getattr(run.outputs, "model_outputs", None) or ()],
            "files": self.files(run_id, ""),
        }

    def curve(self, run_id: str, name: str) -> list[list[Any]]:
        """Every number of a metric."""
        history = self.client.get_metric_history(run_id, name)
        found = [[m.step, repr(m.value), self.names.get(getattr(m, "model_id", None) or "")] for m in history]
        return sorted(found, key=str)

    def table(self, given: Any) -> dict[str, Any]:
        """A table that a run read."""
        table = given.dataset
        about = {"name": table.name, "digest": table.digest, "type": table.source_type, "profile": table.profile}
        source = None if table.source_type == "code" else table.source
        return {**about, "source": source, "schema": table.schema, "tags": {tag.key: tag.value for tag in given.tags}}

    def files(self, run_id: str, folder: str) -> dict[str, Any]:
        """Paths, sizes and, of what does not name ids in its content, hashes."""
        found: dict[str, Any] = {}
        for one in self.client.list_artifacts(run_id, folder or None):
            if one.is_dir:
                found |= self.files(run_id, one.path)
            else:
                data = Path(self.client.download_artifacts(run_id, one.path)).read_bytes()
                assert one.file_size in (None, len(data))
                same = one.path.endswith((".txt", ".bin", "settings.json", ".csv"))
                found[one.path] = hashlib.sha256(data).hexdigest() if same else True
        return found

    def logged(self, model: Any) -> dict[str, Any]:
        """A model that a run kept."""
        return {
            "name": model.name,
            "run": self.names.get(model.source_run_id),
            "status": str(model.status),
            "type": model.model_type or None,  # an empty text over the wire
            "params": model.params,
            "tags": {name: self.tag(name, text) for name, text in model.tags.items() if "git" not in name},
            "metrics": sorted([m.key, m.step, repr(m.value), m.dataset_name] for m in model.metrics or ()),
        }

    def tag(self, name: str, text: str) -> Any:
        """A tag's text; of versions that a client lists, their numbers, which are texts over the wire."""
        if name == "mlflow.modelVersions":
            return sorted({f"{one['name']} {one['version']}" for one in json.loads(text)})
        return self.plain(text)

    def registered(self, one: Any) -> dict[str, Any]:
        """A registered model."""
        return {
            "name": one.name,
            "description": one.description or "",
            "tags": dict(one.tags),
            "aliases": {name: str(version) for name, version in one.aliases.items()},
            "latest": sorted([version.current_stage, str(version.version)] for version in one.latest_versions),
        }

    def version(self, found: Any) -> dict[str, Any]:
        """A version, asked for by its number."""
        one = self.client.get_model_version(found.name, found.version)
        return {
            "name": one.name,
            "version": str(one.version),
            "description": one.description or "",
            "stage": one.current_stage,
            "status": one.status,
            "run": self.names.get(one.run_id),
            "source": self.plain(one.source),
            "tags": dict(one.tags),
            "aliases": sorted(one.aliases),
        }


def main() -> None:
    """See the first lines of this file."""
    what, uri = sys.argv[1:3]
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    mlflow.set_tracking_uri(uri)
    with redirect_stdout(sys.stderr):  # MLflow prints addresses of pages
        if what == "show":
            answer: Any = Shown().everything()
        else:
            (act if what == "act" else small)()
            answer = said
    print(json.dumps(answer, indent=1, sort_keys=True))


if __name__ == "__main__":
    main()
