"""Questions that somebody types in SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.query.snapshot import Snapshot
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
        try:
            cursor = connection.execute(question)
            if cursor.description is None:
                raise InvalidInput("The question was not answered: it does not return rows.", hint)
            columns = [column[0] for column in cursor.description]
            return [dict(zip(columns, row, strict=True)) for row in cursor]
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            raise InvalidInput(f"The question was not answered: {str(error).rstrip('.')}.", hint) from error
