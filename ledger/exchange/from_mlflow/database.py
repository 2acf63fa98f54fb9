"""A store of MLflow in a SQLite database, ``mlflow.db``, opened read-only and read in one transaction."""

from __future__ import annotations

import contextlib
import math
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tallystick.ledger.errors import InvalidInput, Refused
from tallystick.ledger.events.types import Dataset, Output
from tallystick.ledger.exchange.from_mlflow.held import (
    LARGEST_EXACT,
    MODEL_STATUS,
    STATUS,
    Curve,
    Experiment,
    KeptModel,
    Loss,
    Registered,
    Run,
    Tags,
    Version,
)
from tallystick.ledger.exchange.from_mlflow.metric_lines import Point, joined

TESTED_SCHEMA = "dc11669786a5"
"""The schema's version of MLflow 3.17, with which this was tested; another is read where the columns are there."""
NEEDED = {
    "experiments": ("experiment_id", "name", "lifecycle_stage"),
    "runs": ("run_uuid", "experiment_id", "status", "start_time", "end_time", "lifecycle_stage"),
    "metrics": ("run_uuid", "key", "value", "timestamp", "step", "is_nan"),
    "params": ("run_uuid", "key", "value"),
    "tags": ("run_uuid", "key", "value"),
}
NOT_IMPORTED = {
    "trace_info": "traces",
    "assessments": "assessments",
    "scorers": "scorers",
    "webhooks": "webhooks",
    "evaluation_datasets": "evaluation datasets",
}
LARGEST_FLOAT = 1.7976931348623157e308
"""MLflow's databases hold this in place of infinity."""


class DatabaseStore:
    """See :class:`.held.Store`.

    Raises
    ------
    InvalidInput
        When it is no database, or cannot be read.
    Refused
        When a table or column is not there that the reading needs: then it has another schema.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root = path.parent
        self.remarks: list[str] = []
        self.losses: list[Loss] = []
        with _explained(path):
            self._db = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            self._db.text_factory = lambda data: data.decode(errors="replace")
            self._db.execute("BEGIN")
            self._columns = {
                name: {row["name"] for row in self._db.execute(f"PRAGMA table_info({name!r})")}
                for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            }
            heads = [row["version_num"] for row in self._rows("alembic_version", "version_num")]
        self._refuse_unfit()
        self.words = f"a database of MLflow, schema {', '.join(map(str, heads)) or 'unknown'}"
        if heads != [TESTED_SCHEMA]:
            self.remarks.append("This version of its schema was not tested; the columns that are read are there.")
        for table, words in NOT_IMPORTED.items():
            number = self._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] if table in self._columns else 0
            if number:
                self.losses.append(Loss(str(path.name), f"{words} are not imported: {number:,}"))
        if self._limits():
            self.remarks.append(
                f"Numbers of ±{LARGEST_FLOAT} stay as they are: MLflow's database holds them in place of infinity."
            )

    def _refuse_unfit(self) -> None:
        for table, columns in NEEDED.items():
            absent = [column for column in columns if column not in self._columns.get(table, ())]
            if absent:
                what = f"the column {absent[0]} of {table}" if table in self._columns else f"the table {table}"
                self.close()
                raise Refused(
                    f"{self.path} has no schema of MLflow that is known here: {what} is missing. Nothing was imported.",
                    "MLflow brings an old database up to date: mlflow db upgrade sqlite:///PATH",
                )

    def _limits(self) -> bool:
        row = self._db.execute("SELECT 1 FROM metrics WHERE abs(value) >= ? LIMIT 1", (LARGEST_FLOAT,)).fetchone()
        return row is not None

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def _rows(self, table: str, *columns: str, where: str = "", given: tuple[Any, ...] = ()) -> Iterator[sqlite3.Row]:
        """Rows of a table in the order in which they were written; a column that an older schema lacks is NULL."""
        there = self._columns.get(table)
        if not there:
            return iter(())
        named = [column if column in there else f"NULL AS {column}" for column in columns]
        return self._db.execute(f"SELECT {', '.join(named)} FROM {table} {where} ORDER BY rowid", given)

    # Experiments and runs ----------------------------------------------------------------------------------

    def experiments(self) -> list[Experiment]:
        """Every experiment, removed ones among them."""
        tags = self._tags("experiment_tags", "experiment_id")
        rows = self._rows("experiments", "experiment_id", "name", "artifact_location", "lifecycle_stage",
                          "creation_time", "last_update_time")  # fmt: skip
        return [
            Experiment(
                id=str(row["experiment_id"]),
                name=_text(row["name"]) or str(row["experiment_id"]),
                artifact_uri=_text(row["artifact_location"]),
                created_ms=self._whole(row["creation_time"]),
                changed_ms=self._whole(row["last_update_time"]),
                removed=row["lifecycle_stage"] == "deleted",
                tags=tags.get(row["experiment_id"], {}),
            )
            for row in rows
        ]

    def _tags(self, table: str, owner: str, key: str = "key", value: str = "value") -> dict[Any, Tags]:
        found: dict[Any, Tags] = defaultdict(dict)
        for row in self._rows(table, owner, key, value):
            found[row[owner]][str(row[key])] = _text(row[value]) or ""
        return found

    def run_count(self) -> int:
        """How many runs there are."""
        return int(self._db.execute("SELECT count(*) FROM runs").fetchone()[0])

    def runs(self) -> Iterator[tuple[Run, list[Curve]]]:
        """Every run with its numbers, in the order in which they were begun here."""
        params, tags = self._tags("params", "run_uuid"), self._tags("tags", "run_uuid")
        inputs, of_models = self._inputs(), self._measured_of_models()
        rows = self._rows("runs", "run_uuid", "name", "experiment_id", "user_id", "status", "start_time", "end_time",
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
                name=_text(row["name"]) or tags.get(run_id, {}).get("mlflow.runName") or "",
                user=_text(row["user_id"]) or "",
                status=status,
                started_ms=self._whole(row["start_time"]),
                ended_ms=self._whole(row["end_time"]),
                removed=row["lifecycle_stage"] == "deleted",
                removed_ms=self._whole(row["deleted_time"]),
                artifact_uri=_text(row["artifact_uri"]),
                params=params.get(run_id, {}),
                tags=tags.get(run_id, {}),
                inputs=tables,
                models_read=read,
                outputs=made,
            )
            yield run, self._curves(run_id, of_models.get(run_id, {}))

    def _curves(self, run_id: str, of_models: dict[str, dict[str, list[Point]]]) -> list[Curve]:
        rows = self._db.execute(
            "SELECT key, timestamp, CASE WHEN is_nan THEN 'nan' ELSE value END, step FROM metrics WHERE run_uuid = ? "
            "ORDER BY rowid",
            (run_id,),
        )
        points: dict[str, list[Point]] = {}
        odd = 0
        rows.row_factory = None
        for key, at_ms, value, step in rows:
            if (isinstance(value, float | int) or value == "nan") and _is_whole(at_ms) and _is_whole(step):
                points.setdefault(str(key), []).append(Point(at_ms, float(value), step))
            else:
                odd += 1
        if odd:
            self.losses.append(Loss(f"run {run_id}", f"numbers that are none, or beyond what is kept exactly: {odd:,}"))
        return [
            curve
            for key in [*points, *(key for key in of_models if key not in points)]
            for curve in joined(key, points.get(key, []), of_models.get(key, {}))
        ]

    def _measured_of_models(self) -> dict[str, dict[str, dict[str, list[Point]]]]:
        """Numbers of kept models by run, metric and model; their NaN, which the table holds as 0, as the run has it."""
        nan = {
            (row["run_uuid"], row["key"], row["timestamp"], row["step"])
            for row in self._rows("metrics", "run_uuid", "key", "timestamp", "step", where="WHERE is_nan")
        }
        found: dict[str, dict[str, dict[str, list[Point]]]] = {}
        rows = self._rows("logged_model_metrics", "model_id", "metric_name", "metric_timestamp_ms", "metric_step",
                          "metric_value", "run_id", "dataset_name", "dataset_digest")  # fmt: skip
        for row in rows:
            key, at_ms, step = str(row["metric_name"]), row["metric_timestamp_ms"], row["metric_step"]
            value = row["metric_value"]
            if value is None or (not value and (row["run_id"], key, at_ms, step) in nan):
                value = math.nan
            if not (_is_whole(at_ms) and _is_whole(step) and isinstance(value, (int, float))):
                self.losses.append(Loss(f"model {row['model_id']}", f"a number of {key} cannot be read"))
                continue
            point = Point(at_ms, float(value), step, None, row["dataset_name"], row["dataset_digest"])
            by_model = found.setdefault(str(row["run_id"]), {}).setdefault(key, {})
            by_model.setdefault(str(row["model_id"]), []).append(point)
        return found

    def _inputs(self) -> dict[str, tuple[list[Dataset], list[str], list[Output]]]:
        """Tables and models that runs read, and models that they made."""
        tables = {
            row["dataset_uuid"]: row
            for row in self._rows("datasets", "dataset_uuid", "name", "digest", "dataset_source_type", "dataset_source",
                                  "dataset_schema", "dataset_profile")
        }  # fmt: skip
        tags = self._tags("input_tags", "input_uuid", "name")
        found: dict[str, tuple[list[Dataset], list[str], list[Output]]] = defaultdict(lambda: ([], [], []))
        rows = self._rows("inputs", "input_uuid", "source_type", "source_id", "destination_type", "destination_id",
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
                made = Output(model=str(row["destination_id"]), step=self._whole(row["step"]) or 0)
                found[row["source_id"]][2].append(made)
        return found

    # Models ------------------------------------------------------------------------------------------------

    def kept_models(self) -> list[KeptModel]:
        """Every kept model, removed ones among them."""
        params = self._tags("logged_model_params", "model_id", "param_key", "param_value")
        tags = self._tags("logged_model_tags", "model_id", "tag_key", "tag_value")
        rows = self._rows("logged_models", "model_id", "experiment_id", "name", "artifact_location", "status",
                          "creation_timestamp_ms", "last_updated_timestamp_ms", "lifecycle_stage", "model_type",
                          "source_run_id")  # fmt: skip
        return [
            KeptModel(
                id=str(row["model_id"]),
                experiment=str(row["experiment_id"]),
                name=_text(row["name"]) or str(row["model_id"]),
                status=MODEL_STATUS[row["status"]] if row["status"] in range(4) else str(row["status"]),
                model_type=_text(row["model_type"]),
                run=_text(row["source_run_id"]) or None,
                artifact_uri=_text(row["artifact_location"]),
                created_ms=self._whole(row["creation_timestamp_ms"]),
                changed_ms=self._whole(row["last_updated_timestamp_ms"]),
                removed=row["lifecycle_stage"] == "deleted",
                params=params.get(row["model_id"], {}),
                tags=tags.get(row["model_id"], {}),
            )
            for row in rows
        ]

    def registered(self) -> list[Registered]:
        """Every registered model with its versions."""
        self._name_other_workspaces()
        only = "WHERE workspace = 'default'" if "workspace" in self._columns.get("registered_models", ()) else ""
        tags, aliases = defaultdict(dict), defaultdict(dict)  # type: ignore[var-annotated]
        for row in self._rows("registered_model_tags", "name", "key", "value", where=only):
            tags[row["name"]][str(row["key"])] = _text(row["value"]) or ""
        for row in self._rows("registered_model_aliases", "name", "alias", "version", where=only):
            aliases[row["name"]][str(row["alias"])] = row["version"]
        versions = self._versions(only)
        rows = self._rows("registered_models", "name", "description", "creation_time", "last_updated_time", where=only)
        return [
            Registered(
                name=str(row["name"]),
                description=_text(row["description"]),
                created_ms=self._whole(row["creation_time"]),
                changed_ms=self._whole(row["last_updated_time"]),
                tags=tags[row["name"]],
                aliases=aliases[row["name"]],
                versions=sorted(versions.get(row["name"], ()), key=lambda version: version.number),
            )
            for row in rows
        ]

    def _versions(self, only: str) -> dict[str, list[Version]]:
        tags: dict[tuple[str, int], Tags] = defaultdict(dict)
        for row in self._rows("model_version_tags", "name", "version", "key", "value", where=only):
            tags[row["name"], row["version"]][str(row["key"])] = _text(row["value"]) or ""
        found: dict[str, list[Version]] = defaultdict(list)
        rows = self._rows("model_versions", "name", "version", "source", "run_id", "run_link", "user_id", "description",
                          "status", "current_stage", "creation_time", "last_updated_time", where=only)  # fmt: skip
        for row in rows:
            if not _is_whole(row["version"]) or row["version"] < 0:
                self.losses.append(Loss(f"model {row['name']}", f"a version is numbered {row['version']!r}"))
                continue
            found[row["name"]].append(
                Version(
                    number=row["version"],
                    source=_text(row["source"]) or "",
                    run=_text(row["run_id"]) or None,
                    model=None,  # which MLflow's database does not hold
                    run_link=_text(row["run_link"]),
                    user=_text(row["user_id"]),
                    description=_text(row["description"]),
                    status=_text(row["status"]),
                    stage=_text(row["current_stage"]),
                    created_ms=self._whole(row["creation_time"]),
                    changed_ms=self._whole(row["last_updated_time"]),
                    tags=tags.get((row["name"], row["version"]), {}),
                )
            )
        return found

    def _name_other_workspaces(self) -> None:
        if "workspace" not in self._columns.get("registered_models", ()):
            return
        others = self._db.execute(
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

    def _whole(self, value: Any) -> int | None:
        return value if _is_whole(value) and value >= 0 else None


def _dataset(row: sqlite3.Row, tags: Tags) -> Dataset:
    return Dataset(
        name=str(row["name"]),
        digest=str(row["digest"]),
        source_type=_text(row["dataset_source_type"]) or "",
        source=_text(row["dataset_source"]) or "",
        schema=_text(row["dataset_schema"]),
        profile=_text(row["dataset_profile"]),
        tags=tags,
    )


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and abs(value) <= LARGEST_EXACT


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return None if value is None else str(value)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise InvalidInput(
            f"{path} cannot be read as a database of SQLite: {error}.",
            "Name an mlflow.db, or an mlruns folder.",
        ) from error
