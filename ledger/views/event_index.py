"""Which events are of which type, as their hashed bodies say: kept beside the views and caught up with them.

The log has such a column, and an index of entities. Neither is hashed, so whoever can write the file can hide an event
from a reader who looks there: an alarm filed as something else, or the redaction of what was erased. This index is
made by this account while it hashes every body once. A later change of the log cannot take an event out of it; such
an event is found, and what is wrong with it is said.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator

from tallystick.ledger.errors import Damaged
from tallystick.ledger.events.commit import leaf_entry, text_of_hashes
from tallystick.ledger.storage.erasures import erasure_of, lost_in, may_hold_lost
from tallystick.ledger.storage.log import UNANSWERED, Commit, Log, Row
from tallystick.ledger.tlog import merkle

EVENT_TYPES = """CREATE TABLE event_types(
  type TEXT NOT NULL,
  seq INTEGER NOT NULL,
  id BLOB NOT NULL,
  PRIMARY KEY(type, seq)
) STRICT, WITHOUT ROWID"""
AT_ONCE = 1_000
HASHES_BYTES = 64
"""Of an event: its id and its SHA-256."""
ID_BYTES = 16
"""As much of an event's id as tells it from any other."""
ERASED_ELSEWHERE = "commit.imported/erased"
"""In place of the types of events that were erased before they were imported: where a commit lists such events."""


class EventIndex:
    """The index in one views file.

    Parameters
    ----------
    upto : int
        The last event that it holds already; -1 for none.
    """

    def __init__(self, connection: sqlite3.Connection, upto: int) -> None:
        self._connection = connection
        self._upto = upto
        self._new: list[tuple[str, int, bytes]] = []
        self._commits: _Commits | None = None

    def taking(self, log: Log, rows: Iterable[Row]) -> Iterator[Row]:
        """The same rows, oldest first, once those that are new are in the index.

        Raises
        ------
        Damaged
            At a body that is missing although no event says that it was erased: nobody can say of what type it was.
            At a commit that is not a leaf of the stored tree: its events, head or limits are other ones.
        """
        if self._commits is None:  # a commit may begin in one batch and end in the next
            self._commits = _Commits(log, self._upto)
        for row in rows:
            if row[0] > self._upto:
                if row[2] is None and erasure_of(log, row[0]) is None:
                    raise Damaged(f"Event #{row[0]} cannot be read: its body is not here.", UNANSWERED)
                self._commits.take(row)
                self._new.append((row[1], row[0], row[3][:ID_BYTES]))
                if may_hold_lost(row) and lost_in(log, row):
                    self._new.append((ERASED_ELSEWHERE, row[0], row[3][:ID_BYTES]))
                self._upto = row[0]
            yield row

    def write(self) -> None:
        """Put into the file what was taken; harmless when nothing was."""
        if self._new:
            self._connection.executemany("INSERT INTO event_types VALUES(?,?,?)", sorted(self._new))
            self._new.clear()

    def rows(self, log: Log, types: Collection[str], first: int, last: int) -> Iterator[Row]:
        """The events ``first`` to ``last`` of some types, oldest first, read from the log and hashed.

        Raises
        ------
        Damaged
            When one of them is not there, or was altered.
        """
        self.write()
        found: dict[int, bytes] = {}
        for event_type in types:
            listed = "SELECT seq, id FROM event_types WHERE type = ? AND seq BETWEEN ? AND ?"
            found.update(self._connection.execute(listed, (event_type, first, last)))
        seqs = sorted(found)
        for start in range(0, len(seqs), AT_ONCE):
            wanted = seqs[start : start + AT_ONCE]
            stored = log.some(wanted)
            if len(stored) != len(wanted):
                missing = min(set(wanted) - {item.seq for item in stored})
                raise Damaged(f"{log.path} has no event #{missing}, which was there before.", UNANSWERED)
            for item in stored:
                if item.id[:ID_BYTES] != found[item.seq]:
                    raise Damaged(f"Event #{item.seq} in {log.path} is another one than before.", UNANSWERED)
                yield item


class _Commits:
    """The commits of events that are read one after the other, each held against the stored tree.

    A reader believes what a commit says of its events: who recorded them, when, and which they are. Only the tree
    holds that, and only a checkpoint holds the tree; see :mod:`ledger.verify`. What was exchanged, moved or renamed
    without the tree is found here.
    """

    def __init__(self, log: Log, upto: int) -> None:
        n = 0 if upto < 0 else log.commit_of(upto).n + 1
        self._path = log.path
        self._frontier = merkle.frontier_from(log.subtree, n)
        self._following = log.commits(n)
        self._commit: Commit | None = None
        self._hashes = bytearray()

    def take(self, row: Row) -> None:
        """The next event; Damaged where it ends a commit that is not a leaf of the tree."""
        if self._commit is None:
            self._commit = next(self._following, None)
        commit = self._commit
        if commit is None:
            raise Damaged(f"Event #{row[0]} of {self._path} is in no commit.", UNANSWERED)
        if row[0] != (wanted := commit.first_seq + len(self._hashes) // HASHES_BYTES):
            raise Damaged(f"{self._path} has no event #{wanted}.", UNANSWERED)
        self._hashes += row[3] + row[4]
        if row[0] < commit.last_seq:
            return
        leaf = merkle.leaf_hash(leaf_entry(text_of_hashes(commit.head, bytes(self._hashes))))
        self._frontier.append(leaf)
        if self._frontier.peaks[-1] != commit.subtree:
            raise Damaged(f"Commit c{commit.n} is not the one that the tree was built from.", UNANSWERED)
        self._commit = None
        self._hashes.clear()
