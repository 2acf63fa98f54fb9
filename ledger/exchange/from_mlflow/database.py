"""A store of MLflow in a SQLite database, ``mlflow.db``, opened read-only and read in one transaction."""

from __future__ import annotations

import math
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tallystick.ledger.events.types import Dataset, Output
from tallystick.ledger.exchange.from_mlflow.database_reader import DatabaseReader, is_whole, text_of
from tallystick.ledger.exchange.from_mlflow.held import (
    MODEL_STATUS,
    STATUS,
    Curve,
    Experiment,
    HeldVersion,
    KeptModel,
    Loss,
    Registered,
    Run,
    Tags,
)
from tallystick.ledger.exchange.from_mlflow.metric_lines import MeasuredPoint, joined


class DatabaseStore(DatabaseReader):
    """See :class:`.held.Store`.

    Raises
    ------
    InvalidInput
        When it is no database, or cannot be read.
    Refused
        When a table or column is not there that the reading needs: then it has another schema.
    """

    # Experiments and runs ----------------------------------------------------------------------------------

    def experiments(self) -> list[Experiment]:
        """Every experiment, removed ones among them."""
        tags = self._tags("experiment_tags", "experiment_id")
        rows = self.rows("experiments", "experiment_id", "name", "artifact_location", "lifecycle_stage",
                          "creation_time", "last_update_time")  # fmt: skip
        return [
            Experiment(
                id=str(row["experiment_id"]),
                name=text_of(row["name"]) or str(row["experiment_id"]),
                artifact_uri=text_of(row["artifact_location"]),
                created_ms=self.whole(row["creation_time"]),
                changed_ms=self.whole(row["last_update_time"]),
                removed=row["lifecycle_stage"] == "deleted",
                tags=tags.get(row["experiment_id"], {}),
            )
            for row in rows
        ]

    def _tags(self, table: str, owner: str, key: str = "key", value: str = "value") -> dict[Any, Tags]:
        found: dict[Any, Tags] = defaultdict(dict)
        for row in self.rows(table, owner, key, value):
            found[row[owner]][str(row[key])] = text_of(row[value]) or ""
        return found

    def run_count(self) -> int:
        """How many runs there are."""
        return int(self.db.execute("SELECT count(*) FROM runs").fetchone()[0])

    def runs(self) -> Iterator[tuple[Run, list[Curve]]]:
        """Every run with its numbers, in the order in which they were begun here."""
        params, tags = self._tags("params", "run_uuid"), self._tags("tags", "run_uuid")
        inputs, of_models = self._inputs(), self._measured_of_models()
        rows = self.rows("runs", "run_uuid", "name", "experiment_id", "user_id", "status", "start_time", "end_time",
                          "lifecycle_stage", "deleted_time", "artifact_uri")  # fmt: skip
        for row in rows.fetchall() if isinstance(rows, sqlite3.Cursor) else rows:
            run_id = str(row["run_uuid"])
            status = STATUS.get(row["status"])
            if status is None:
                self.losses.append(Loss(f"run {run_id}", f"its status is {row['status']!r}"))
                continue
            tables, read, made = inputs.get(run_id, ([], [], []))
            run = Run(
                id=run_id,
                experiment=str(row["experiment_id"]),
                name=text_of(row["name"]) or tags.get(run_id, {}).get("mlflow.runName") or "",
                user=text_of(row["user_id"]) or "",
                status=status,
                started_ms=self.whole(row["start_time"]),
                ended_ms=self.whole(row["end_time"]),
                removed=row["lifecycle_stage"] == "deleted",
                removed_ms=self.whole(row["deleted_time"]),
                artifact_uri=text_of(row["artifact_uri"]),
                params=params.get(run_id, {}),
                tags=tags.get(run_id, {}),
                inputs=tables,
                models_read=read,
                outputs=made,
            )
            yield run, self._curves(run_id, of_models.get(run_id, {}))

    def _curves(self, run_id: str, of_models: dict[str, dict[str, list[MeasuredPoint]]]) -> list[Curve]:
        rows = self.db.execute(
            "SELECT key, timestamp, CASE WHEN is_nan THEN 'nan' ELSE value END, step FROM metrics WHERE run_uuid = ? "
            "ORDER BY rowid",
            (run_id,),
        )
        points: dict[str, list[MeasuredPoint]] = {}
        odd = 0
        rows.row_factory = None
        for key, at_ms, value, step in rows:
            if (isinstance(value, float | int) or value == "nan") and is_whole(at_ms) and is_whole(step):
                points.setdefault(str(key), []).append(MeasuredPoint(at_ms, float(value), step))
            else:
                odd += 1
        if odd:
            self.losses.append(
                Loss(f"run {run_id}", f"values that are not numbers, or times and steps beyond 2**53: {odd:,}")
            )
        return [
            curve
            for key in [*points, *(key for key in of_models if key not in points)]
            for curve in joined(key, points.get(key, []), of_models.get(key, {}))
        ]

    def _measured_of_models(self) -> dict[str, dict[str, dict[str, list[MeasuredPoint]]]]:
        """Numbers of kept models by run, metric and model; their NaN, which the table holds as 0, as the run has it."""
        nan = {
            (row["run_uuid"], row["key"], row["timestamp"], row["step"])
            for row in self.rows("metrics", "run_uuid", "key", "timestamp", "step", where="WHERE is_nan")
        }
        found: dict[str, dict[str, dict[str, list[MeasuredPoint]]]] = {}
        rows = self.rows("logged_model_metrics", "model_id", "metric_name", "metric_timestamp_ms", "metric_step",
                          "metric_value", "run_id", "dataset_name", "dataset_digest")  # fmt: skip
        for row in rows:
            key, at_ms, step = str(row["metric_name"]), row["metric_timestamp_ms"], row["metric_step"]
            value = row["metric_value"]
            if value is None or (not value and (row["run_id"], key, at_ms, step) in nan):
                value = math.nan
            if not (is_whole(at_ms) and is_whole(step) and isinstance(value, (int, float))):
                self.losses.append(Loss(f"model {row['model_id']}", f"a number of {key} cannot be read"))
                continue
            point = MeasuredPoint(at_ms, float(value), step, None, row["dataset_name"], row["dataset_digest"])
            by_model = found.setdefault(str(row["run_id"]), {}).setdefault(key, {})
            by_model.setdefault(str(row["model_id"]), []).append(point)
        return found

    def _inputs(self) -> dict[str, tuple[list[Dataset], list[str], list[Output]]]:
        """Tables and models that runs read, and models that they made."""
        tables = {
            row["dataset_uuid"]: row
            for row in self.rows("datasets", "dataset_uuid", "name", "digest", "dataset_source_type", "dataset_source",
                                  "dataset_schema", "dataset_profile")
        }  # fmt: skip
        tags = self._tags("input_tags", "input_uuid", "name")
        found: dict[str, tuple[list[Dataset], list[str], list[Output]]] = defaultdict(lambda: ([], [], []))
        rows = self.rows("inputs", "input_uuid", "source_type", "source_id", "destination_type", "destination_id",
                          "step")  # fmt: skip
        for row in rows:
            kinds = (row["source_type"], row["destination_type"])
            if kinds == ("DATASET", "RUN"):
                table = tables.get(row["source_id"])
                if table is None:
                    self.losses.append(Loss(f"run {row['destination_id']}", "a table that it read is missing"))
                else:
                    found[row["destination_id"]][0].append(_dataset(table, tags.get(row["input_uuid"], {})))
            elif kinds == ("RUN_INPUT", "MODEL_INPUT"):
                found[row["source_id"]][1].append(str(row["destination_id"]))
            elif kinds == ("RUN_OUTPUT", "MODEL_OUTPUT"):
                made = Output(model=str(row["destination_id"]), step=self.whole(row["step"]) or 0)
                found[row["source_id"]][2].append(made)
        return found

    # Models ------------------------------------------------------------------------------------------------

    def kept_models(self) -> list[KeptModel]:
        """Every kept model, removed ones among them."""
        params = self._tags("logged_model_params", "model_id", "param_key", "param_value")
        tags = self._tags("logged_model_tags", "model_id", "tag_key", "tag_value")
        rows = self.rows("logged_models", "model_id", "experiment_id", "name", "artifact_location", "status",
                          "creation_timestamp_ms", "last_updated_timestamp_ms", "lifecycle_stage", "model_type",
                          "source_run_id")  # fmt: skip
        return [
            KeptModel(
                id=str(row["model_id"]),
                experiment=str(row["experiment_id"]),
                name=text_of(row["name"]) or str(row["model_id"]),
                status=MODEL_STATUS[row["status"]] if row["status"] in range(4) else str(row["status"]),
                model_type=text_of(row["model_type"]),
                run=text_of(row["source_run_id"]) or None,
                artifact_uri=text_of(row["artifact_location"]),
                created_ms=self.whole(row["creation_timestamp_ms"]),
                changed_ms=self.whole(row["last_updated_timestamp_ms"]),
                removed=row["lifecycle_stage"] == "deleted",
                params=params.get(row["model_id"], {}),
                tags=tags.get(row["model_id"], {}),
            )
            for row in rows
        ]

    def registered(self) -> list[Registered]:
        """Every registered model with its versions."""
        self._name_other_workspaces()
        only = "WHERE workspace = 'default'" if "workspace" in self.columns.get("registered_models", ()) else ""
        tags, aliases = defaultdict(dict), defaultdict(dict)  # type: ignore[var-annotated]
        for row in self.rows("registered_model_tags", "name", "key", "value", where=only):
            tags[row["name"]][str(row["key"])] = text_of(row["value"]) or ""
        for row in self.rows("registered_model_aliases", "name", "alias", "version", where=only):
            aliases[row["name"]][str(row["alias"])] = row["version"]
        versions = self._versions(only)
        rows = self.rows("registered_models", "name", "description", "creation_time", "last_updated_time", where=only)
        return [
            Registered(
                name=str(row["name"]),
                description=text_of(row["description"]),
                created_ms=self.whole(row["creation_time"]),
                changed_ms=self.whole(row["last_updated_time"]),
                tags=tags[row["name"]],
                aliases=aliases[row["name"]],
                versions=sorted(versions.get(row["name"], ()), key=lambda version: version.number),
            )
            for row in rows
        ]

    def _versions(self, only: str) -> dict[str, list[HeldVersion]]:
        tags: dict[tuple[str, int], Tags] = defaultdict(dict)
        for row in self.rows("model_version_tags", "name", "version", "key", "value", where=only):
            tags[row["name"], row["version"]][str(row["key"])] = text_of(row["value"]) or ""
        found: dict[str, list[HeldVersion]] = defaultdict(list)
        rows = self.rows("model_versions", "name", "version", "source", "run_id", "run_link", "user_id", "description",
                          "status", "current_stage", "creation_time", "last_updated_time", where=only)  # fmt: skip
        for row in rows:
            if not is_whole(row["version"]) or row["version"] < 0:
                self.losses.append(Loss(f"model {row['name']}", f"a version is numbered {row['version']!r}"))
                continue
            found[row["name"]].append(
                HeldVersion(
                    number=row["version"],
                    source=text_of(row["source"]) or "",
                    run=text_of(row["run_id"]) or None,
                    model=None,  # which MLflow's database does not hold
                    run_link=text_of(row["run_link"]),
                    user=text_of(row["user_id"]),
                    description=text_of(row["description"]),
                    status=text_of(row["status"]),
                    stage=text_of(row["current_stage"]),
                    created_ms=self.whole(row["creation_time"]),
                    changed_ms=self.whole(row["last_updated_time"]),
                    tags=tags.get((row["name"], row["version"]), {}),
                )
            )
        return found

    def _name_other_workspaces(self) -> None:
        if "workspace" not in self.columns.get("registered_models", ()):
            return
        others = self.db.execute(
            "SELECT workspace, count(*) FROM registered_models WHERE workspace != 'default' GROUP BY workspace"
        )
        for workspace, number in others.fetchall():
            self.losses.append(
                Loss(f"workspace {workspace}", f"registered models outside of the workspace `default`: {number:,}")
            )

    # Files and values --------------------------------------------------------------------------------------

    def run_folder(self, run: Run) -> Path | None:
        """None: a database holds no files."""
        return None

    def model_folder(self, model: KeptModel) -> Path | None:
        """None: a database holds no files."""
        return None


def _dataset(row: sqlite3.Row, tags: Tags) -> Dataset:
    return Dataset(
        name=str(row["name"]),
        digest=str(row["digest"]),
        source_type=text_of(row["dataset_source_type"]) or "",
        source=text_of(row["dataset_source"]) or "",
        schema=text_of(row["dataset_schema"]),
        profile=text_of(row["dataset_profile"]),
        tags=tags,
    )
