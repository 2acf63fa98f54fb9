"""What was copied in from other ledgers, for whoever reads it: which commit it was there, and what its names are here.

A commit that was imported says so in its head, and holds one ``commit.imported`` beside the events of the other
ledger. With both, the text of the other ledger's commit can be made again, and so its tree; see
:mod:`ledger.verify.imports_check`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tallystick.ledger.errors import Damaged
from tallystick.ledger.events import types
from tallystick.ledger.events.commit import Head, decode_head
from tallystick.ledger.events.event import Event, Hashes
from tallystick.ledger.events.types import CommitImported
from tallystick.ledger.storage.log import UNANSWERED, Commit, Log


class Copied(NamedTuple):
    """A commit of another ledger as it lies here."""

    commit: Commit
    seq: int
    """The position of its ``commit.imported``; the copied events follow."""
    said: CommitImported


def copied_in(log: Log, commit: Commit, head: Head | None = None) -> Copied | None:
    """Which commit of another ledger a commit is; None for the ledger's own.

    Raises
    ------
    Damaged
        When the event that says it is not there: without it, names of the other ledger would be taken for own ones.
    """
    if not (head or decode_head(commit.head)).imported:
        return None
    for stored in log.events(commit.first_seq, commit.last_seq, {CommitImported.TYPE}):
        if stored.data is not None:
            body = types.decode(stored.data, stored.type).body
            if isinstance(body, CommitImported):
                return Copied(commit, stored.seq, body)
    raise Damaged(f"Commit c{commit.n} in {log.path} was imported, but no event in it says from where.", UNANSWERED)


def within(said: CommitImported) -> CommitImported | None:
    """Which commit of a third ledger it was where the other one had imported it itself; None for its own commits.

    Raises
    ------
    Damaged
    """
    if not decode_head(said.head).imported:
        return None
    for item in said.left_out:
        if item.type == CommitImported.TYPE and item.body is not None:
            body = types.decode(item.body.encode()).body
            if isinstance(body, CommitImported):
                return body
    return None


def under_both(outer: str | None, inner: CommitImported | None) -> str | None:
    """What the names of a commit are read under, where the other ledger read them under something as well."""
    return "/".join(filter(None, (outer, inner.named_under if inner else None))) or None


def names_under(log: Log, commit: Commit, head: Head) -> str | None:
    """What the names of a commit are read under; None where they are read as they are."""
    found = copied_in(log, commit, head)
    return None if found is None else found.said.named_under


def told_here(log: Log, commit: Commit, head: Head, event: Event[Any]) -> Event[Any]:
    """An event of a commit with the names that things have here."""
    return types.named_under(event, names_under(log, commit, head))


def walk(log: Log, history: str) -> Iterator[Copied]:
    """Every commit that was imported from one other ledger, in order."""
    newest = 0
    for stored in log.events(types={CommitImported.TYPE}):
        body = None if stored.data is None else types.decode(stored.data, stored.type).body
        if isinstance(body, CommitImported) and body.history == history:
            commit = log.commit_of(stored.seq, newest)
            newest = commit.n
            yield Copied(commit, stored.seq, body)


def names_there(said: CommitImported, copied: Sequence[Hashes]) -> list[Hashes]:
    """The hashes of all events of the other ledger's commit, in its order.

    Parameters
    ----------
    copied : sequence of Hashes
        Of the events that were copied.

    Raises
    ------
    Damaged
        When they do not fit together.
    """
    left = {item.place: item for item in said.left_out}
    total = said.copied + len(said.left_out)
    if len(left) != len(said.left_out) or any(place >= total for place in left) or len(copied) != said.copied:
        raise Damaged("What was copied and what was left out do not fit together.")
    following = iter(copied)
    try:
        return [
            (bytes.fromhex(left[place].id), bytes.fromhex(left[place].sha256)) if place in left else next(following)
            for place in range(total)
        ]
    except ValueError:
        raise Damaged("What was left out is not named by hashes.") from None


class Places:
    """Where the events of another ledger stand here."""

    def __init__(self) -> None:
        self._seqs = array("q")
        self._starts = array("q")
        self._next = 0
        self._left: dict[int, list[tuple[int, int | None]]] = {}

    def __len__(self) -> int:
        """Number of its commits that are here."""
        return len(self._seqs)

    def add(self, said: CommitImported, seq: int = -1) -> None:
        """The next commit; ``seq`` is the position of its ``commit.imported``, where it is known already."""
        if said.left_out:
            self._left[said.n] = [(item.place, item.instead) for item in said.left_out]
        self._seqs.append(seq)
        self._starts.append(self._next)
        self._next += said.copied + len(said.left_out)

    def settle(self, n: int, seq: int) -> None:
        """Say where a commit came to stand."""
        self._seqs[n] = seq

    def here(self, n: int, place: int) -> int | None:
        """The position here of the event at a place of its commit ``n``; None where nothing stands for it."""
        if not 0 <= n < len(self._seqs):
            return None
        before = 0
        for other, instead in self._left.get(n, ()):
            if other == place:
                return None if instead is None else self._seqs[n] + instead
            before += other < place
        return self._seqs[n] + 1 + place - before

    def here_of(self, seq: int) -> int | None:
        """The same for the event at its position ``seq``."""
        if not 0 <= seq < self._next:
            return None
        n = bisect_right(self._starts, seq) - 1
        return self.here(n, seq - self._starts[n])
