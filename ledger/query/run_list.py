"""The runs as a list that is read a window at a time: filtered, in several orders, at any date."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.query.text_match import containing
from tallystick.ledger.views.entities import RunState

ORDERS = {
    "started": "k.first_seq",
    "pipeline": "json_extract(v.state, '$.pipeline')",
    "state": "json_extract(v.state, '$.status')",
    "windows": "json_extract(v.state, '$.windows')",
    "chosen": "json_extract(v.state, '$.chosen')",
}
"""What runs can be ordered by."""
_RUN = msgspec.json.Decoder(RunState)


class RunQuery(NamedTuple):
    """Which runs are listed, and in which order."""

    by: str = "started"
    """One of :data:`ORDERS`."""
    ascending: bool = False
    filter: str = ""
    """Words, each of which a run's state must contain."""
    among: tuple[str, ...] | None = None
    """Only these runs; all where it is None."""


class ListedRun(NamedTuple):
    """A row of the list."""

    run: str
    state: RunState | None
    """None where what made the run was corrected."""


def count_runs(snapshot: Snapshot, query: RunQuery) -> int:
    """Number of runs in the list."""
    text, values = names_query(query, snapshot.position)
    return int(snapshot.views.caught_up().execute(f"SELECT count(*) FROM ({text})", values).fetchone()[0])


def list_runs(snapshot: Snapshot, query: RunQuery, first: int, most: int) -> list[ListedRun]:
    """At most ``most`` rows of the list, from row ``first`` on, counted from 0."""
    text, values = names_query(query, snapshot.position)
    rows = snapshot.views.caught_up().execute(
        "SELECT n.key, (SELECT state FROM runs_versions WHERE key = n.key AND from_seq <= ? ORDER BY from_seq DESC "
        f"LIMIT 1) FROM ({text} LIMIT ? OFFSET ?) n",
        (snapshot.position, *values, most, first),
    )
    return [ListedRun(key, None if state is None else _RUN.decode(state)) for key, state in rows]


def row_of_run(snapshot: Snapshot, query: RunQuery, run: str) -> int | None:
    """The row of a run in the list, counted from 0; None where the list does not hold it."""
    connection, position = snapshot.views.caught_up(), snapshot.position
    row = connection.execute(
        "SELECT first_seq FROM runs_keys WHERE key = ? AND first_seq <= ?", (run, position)
    ).fetchone()
    if row is None:
        return None
    if query.by == "started" and not query.filter and query.among is None:
        side = "<" if query.ascending else ">"
        counted = f"SELECT count(*) FROM runs_keys WHERE first_seq <= ? AND first_seq {side} ?"
        return int(connection.execute(counted, (position, row[0])).fetchone()[0])
    text, values = names_query(query, position)
    return next((place for place, (key,) in enumerate(connection.execute(text, values)) if key == run), None)


def names_query(query: RunQuery, position: int) -> tuple[str, list[object]]:
    """The names of the runs in order, from which a window is cut, with its parameters."""
    way = "ASC" if query.ascending else "DESC"
    among, values = "", list[object]()
    if query.among is not None:
        among = " AND k.key IN (SELECT value FROM json_each(?))"
        values.append(msgspec.json.encode(query.among).decode())
    if query.by == "started" and not query.filter:
        text = f"SELECT key FROM runs_keys k WHERE first_seq <= ?{among} ORDER BY first_seq {way}, key"
        return text, [position, *values]
    words = query.filter.split()
    conditions = "".join(" AND v.state LIKE ? ESCAPE '\\'" for _ in words) + among
    return (
        "SELECT k.key FROM runs_keys k CROSS JOIN runs_versions v WHERE k.first_seq <= ? AND v.key = k.key "
        "AND v.state IS NOT NULL AND v.from_seq = (SELECT max(from_seq) FROM runs_versions WHERE key = k.key "
        f"AND from_seq <= ?){conditions} ORDER BY {ORDERS[query.by]} {way}, k.first_seq DESC, k.key",
        [position, position, *map(containing, words), *values],
    )
