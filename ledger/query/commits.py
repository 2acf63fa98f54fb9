"""Commits as a snapshot shows them: up to its position, and from which other ledger each was imported."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from tallystick.ledger.errors import Damaged, NotFound
from tallystick.ledger.events.commit import (
    Head,
    commit_handle,
    commit_text,
    decode_head,
    from_micros,
    leaf_entry,
    to_micros,
)
from tallystick.ledger.events.types import CommitImported
from tallystick.ledger.query.as_of import AsOf
from tallystick.ledger.storage.imported_commits import copied_in, within
from tallystick.ledger.storage.log import Commit, Log


class RecordedCommit(NamedTuple):
    """A commit of the log."""

    n: int
    first_seq: int
    last_seq: int
    recorded_at: dt.datetime
    """UTC."""
    head_text: str
    """Canonical JSON, as it was hashed."""

    @property
    def head(self) -> Head:
        """Who recorded it, when, where and with what; Damaged where that cannot be read."""
        return decode_head(self.head_text)


class Source(NamedTuple):
    """The commit of another ledger that an imported commit is a copy of."""

    said: CommitImported
    head: Head | None
    """Its head there; None where that cannot be read."""
    within: CommitImported | None
    """The commit of a third ledger, where the other ledger had imported it itself."""


class CommitReader:
    """The commits up to one position."""

    def __init__(self, log: Log, as_of: AsOf) -> None:
        self._log = log
        self.as_of = as_of

    def commit(self, n: int) -> RecordedCommit:
        """One commit; NotFound where the snapshot does not hold it."""
        if not 0 <= n <= self.as_of.n:
            raise self._not_known(f"commit c{n}")
        return _recorded(self._log.commit(n))

    def commit_of(self, seq: int) -> RecordedCommit:
        """The commit that holds an event; NotFound where the snapshot does not hold it."""
        if not 0 <= seq <= self.as_of.seq:
            raise self._not_known(f"event #{seq}")
        return _recorded(self._log.commit_of(seq))

    def commits(self, first: int = 0, stop: int | None = None, *, newest_first: bool = False) -> list[RecordedCommit]:
        """Commits ``first`` up to and without ``stop``, as far as the snapshot holds them."""
        end = self.as_of.n + 1 if stop is None else min(stop, self.as_of.n + 1)
        return [_recorded(commit) for commit in self._log.commits(max(0, first), end, newest_first)]

    def last_commit_by(self, moment: dt.datetime) -> RecordedCommit | None:
        """The newest commit that was recorded at or before a moment (time-zone aware); None before the first."""
        found = self._log.last_commit_by(to_micros(moment))
        return (
            None if found is None else _recorded(found if found.n <= self.as_of.n else self._log.commit(self.as_of.n))
        )

    def commit_entry(self, n: int) -> bytes:
        """``BLAKE3(text) || SHA-256(text)`` of a commit, 64 bytes; NotFound where the snapshot does not hold it."""
        commit = self.commit(n)
        return leaf_entry(commit_text(commit.head_text, self._log.hashes(commit.first_seq, commit.last_seq)))

    def commit_handle(self, n: int) -> str:
        """``c55-k3f9``; NotFound where the snapshot does not hold it."""
        return commit_handle(n, self.commit_entry(n))

    def source(self, n: int) -> Source | None:
        """Which commit of another ledger commit ``n`` is a copy of; None for the ledger's own.

        Raises
        ------
        NotFound
            When the snapshot does not hold it.
        Damaged
            When its head cannot be read.
        """
        self.commit(n)
        copied = copied_in(self._log, self._log.commit(n))
        if copied is None:
            return None
        try:
            head = decode_head(copied.said.head)
        except Damaged:
            return Source(copied.said, None, None)
        try:
            return Source(copied.said, head, within(copied.said))
        except Damaged:
            return Source(copied.said, head, None)

    def _not_known(self, what: str) -> NotFound:
        return NotFound(f"There is no {what}, {self.as_of.words}.", "`tally log` lists what there is.")


def _recorded(commit: Commit) -> RecordedCommit:
    return RecordedCommit(commit.n, commit.first_seq, commit.last_seq, from_micros(commit.recorded_at), commit.head)
