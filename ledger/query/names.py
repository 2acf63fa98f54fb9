"""Entities by a part of their name, and the events at which one began or changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.query.text_match import containing
from tallystick.ledger.views.entities import BY_KEY, BY_NAME, RunState
from tallystick.ledger.views.projection import Projection

MOST_OF_A_KIND = 8


def names_containing(snapshot: Snapshot, text: str, kinds: Sequence[str]) -> Iterator[str]:
    """Handles such as ``model:late-arrivals-v1`` whose name contains a text, the newest of each kind first.

    Each kind is asked for when the names of the one before have been taken: a caller that has enough stops.

    Parameters
    ----------
    kinds : sequence of str
        Names of kinds, ``models``, in the order in which they are searched; at most :data:`MOST_OF_A_KIND` of each.
    """
    connection = snapshot.views.caught_up()
    for kind in kinds:
        projection = BY_NAME[kind]
        asked = (snapshot.position, containing(text), MOST_OF_A_KIND)
        for row in connection.execute(names_query(projection), asked).fetchall():
            yield f"{projection.key}:{row[0]}"


def names_query(projection: Projection) -> str:
    """The names of one kind that match a pattern."""
    return (
        f"SELECT key FROM {projection.name}_keys WHERE first_seq <= ? AND key LIKE ? ESCAPE '\\' "
        "ORDER BY first_seq DESC LIMIT ?"
    )


def first_event(snapshot: Snapshot, handle: str) -> int | None:
    """The position of the event at which ``model:late-arrivals-v1`` began; None where the snapshot does not know it.

    An entity whose first event was corrected began there all the same.
    """
    kind, _, name = handle.partition(":")
    if kind not in BY_KEY:
        return None
    query = f"SELECT first_seq FROM {BY_KEY[kind].name}_keys WHERE key = ? AND first_seq <= ?"
    row = snapshot.views.caught_up().execute(query, (name, snapshot.position)).fetchone()
    return None if row is None else int(row[0])


def newest_changes(snapshot: Snapshot, handle: str, most: int) -> list[int]:
    """Positions of the events that changed ``model:late-arrivals-v1``, newest first, at most ``most``."""
    kind, _, name = handle.partition(":")
    rows = snapshot.views.caught_up().execute(changes_query(BY_KEY[kind]), (name, snapshot.position, most))
    return [int(row[0]) for row in rows]


def changes_query(projection: Projection) -> str:
    """The newest states of one entity."""
    return (
        f"SELECT from_seq FROM {projection.name}_versions WHERE key = ? AND from_seq <= ? "
        "ORDER BY from_seq DESC LIMIT ?"
    )


def end_of_run(snapshot: Snapshot, run: str) -> int:
    """The position of the event that ended a run; that of the snapshot where it has not ended."""
    ended = (state.seq for state in snapshot.versions(RunState, run) if state.status != "running")
    return next(ended, snapshot.position)
