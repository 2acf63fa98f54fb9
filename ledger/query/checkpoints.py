"""Signed checkpoints as far as a snapshot holds the commits that they cover."""

from __future__ import annotations

from typing import NamedTuple

from tallystick.ledger.query.snapshot import Snapshot


class StoredCheckpoint(NamedTuple):
    """A signed checkpoint as the log stores it. Storing is not verifying: ``tally verify`` checks the signature."""

    size: int
    """Number of commits that it covers."""
    note: str


def newest_checkpoint(snapshot: Snapshot) -> StoredCheckpoint | None:
    """The checkpoint that covers the most commits of the snapshot; None where nothing is signed."""
    row = snapshot.views.log.reader.execute(
        "SELECT size, note FROM checkpoints WHERE size <= ? ORDER BY size DESC LIMIT 1", (snapshot.as_of.n + 1,)
    ).fetchone()
    return None if row is None else StoredCheckpoint(int(row[0]), str(row[1]))


def first_size_covering(snapshot: Snapshot, n: int) -> int | None:
    """How many commits the first checkpoint that covers commit ``n`` covers; None where it is not signed yet."""
    row = snapshot.views.log.reader.execute(
        "SELECT min(size) FROM checkpoints WHERE size > ? AND size <= ?", (n, snapshot.as_of.n + 1)
    ).fetchone()
    return None if row[0] is None else int(row[0])
