"""A SQLite database of MLflow, opened read-only, with the check that it has the columns which are read."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tallystick.ledger.errors import InvalidInput, Refused
from tallystick.ledger.exchange.from_mlflow.held import LARGEST_EXACT, Loss

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


class DatabaseReader:
    """One database in one transaction.

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
            self.db = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, isolation_level=None)
            self.db.row_factory = sqlite3.Row
            self.db.text_factory = lambda data: data.decode(errors="replace")
            self.db.execute("BEGIN")
            self.columns = {
                name: {row["name"] for row in self.db.execute(f"PRAGMA table_info({name!r})")}
                for (name,) in self.db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            }
            heads = [row["version_num"] for row in self.rows("alembic_version", "version_num")]
        self._refuse_unfit()
        self.words = f"a database of MLflow, schema {', '.join(map(str, heads)) or 'unknown'}"
        if heads != [TESTED_SCHEMA]:
            self.remarks.append("This version of its schema was not tested; the columns that are read are there.")
        for table, words in NOT_IMPORTED.items():
            number = self.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] if table in self.columns else 0
            if number:
                self.losses.append(Loss(str(path.name), f"{words} are not imported: {number:,}"))
        if self._limits():
            self.remarks.append(
                f"Numbers of ±{LARGEST_FLOAT} stay as they are: MLflow's database holds them in place of infinity."
            )

    def _refuse_unfit(self) -> None:
        for table, columns in NEEDED.items():
            absent = [column for column in columns if column not in self.columns.get(table, ())]
            if absent:
                what = f"the column {absent[0]} of {table}" if table in self.columns else f"the table {table}"
                self.close()
                raise Refused(
                    f"{self.path} has no schema of MLflow that is known here: {what} is missing. Nothing was imported.",
                    "MLflow brings an old database up to date: mlflow db upgrade sqlite:///PATH",
                )

    def _limits(self) -> bool:
        row = self.db.execute("SELECT 1 FROM metrics WHERE abs(value) >= ? LIMIT 1", (LARGEST_FLOAT,)).fetchone()
        return row is not None

    def close(self) -> None:
        """Close the database."""
        self.db.close()

    def rows(self, table: str, *columns: str, where: str = "", given: tuple[Any, ...] = ()) -> Iterator[sqlite3.Row]:
        """Rows of a table in the order in which they were written; a column that an older schema lacks is NULL."""
        there = self.columns.get(table)
        if not there:
            return iter(())
        named = [column if column in there else f"NULL AS {column}" for column in columns]
        return self.db.execute(f"SELECT {', '.join(named)} FROM {table} {where} ORDER BY rowid", given)

    def whole(self, value: Any) -> int | None:
        return value if is_whole(value) and value >= 0 else None


def is_whole(value: Any) -> bool:
    return isinstance(value, int) and abs(value) <= LARGEST_EXACT


def text_of(value: Any) -> str | None:
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
