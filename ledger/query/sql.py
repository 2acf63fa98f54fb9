"""Questions that somebody types in SQL.

Beside what SQLite has, a question may use two functions for pipelines that count time in whole numbers: ``in_steps``
(1 for such a pipeline, else 0), and ``step`` (the step that a time of the views is kept for).
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.query.steps import counts_in_steps, step_of
from tallystick.ledger.views.entities import NAMED
from tallystick.ledger.views.projection import State


def answer(
    snapshot: Snapshot, question: str, instead: Mapping[type[State], Sequence[State]] | None = None
) -> list[dict[str, Any]]:
    """The rows of one ``select`` over the entities as the snapshot knows them, each by its columns' names.

    Parameters
    ----------
    instead : mapping, optional
        All states of some kinds, to be answered in place of those that were recorded.

    Raises
    ------
    InvalidInput
        When SQLite cannot answer it, or it is not a query. Nothing can be written: the connection refuses it.
    """
    hint = f"One select over these: {', '.join(projection.name for projection in NAMED)}, links."
    with closing(snapshot.sql(instead)) as connection:
        _add_step_functions(connection, snapshot)
        try:
            cursor = connection.execute(question)
            if cursor.description is None:
                raise InvalidInput("The question was not answered: it does not return rows.", hint)
            columns = [column[0] for column in cursor.description]
            return [dict(zip(columns, row, strict=True)) for row in cursor]
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            raise InvalidInput(f"The question was not answered: {str(error).rstrip('.')}.", hint) from error


def _add_step_functions(connection: sqlite3.Connection, snapshot: Snapshot) -> None:
    stepped = {state.pipeline for state in snapshot.pipelines() if counts_in_steps(snapshot, state.pipeline)}
    connection.create_function("in_steps", 1, lambda pipeline: int(pipeline in stepped), deterministic=True)
    connection.create_function("step", 1, _step, deterministic=True)


def _step(text: object) -> int | None:
    """The step of a time as the views write it; None for anything else, as SQLite's own functions of time do."""
    if not isinstance(text, str):
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return step_of(moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC))
