"""The events of a log with their place, as everything that is folded from them is told of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tallystick.ledger.errors import Damaged
from tallystick.ledger.events import types as vocabulary
from tallystick.ledger.events.commit import decode_head, from_micros
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Event
from tallystick.ledger.events.types import LedgerCreated
from tallystick.ledger.storage.erasures import what_is_left
from tallystick.ledger.storage.imported_commits import names_under, told_here
from tallystick.ledger.storage.log import Commit, Log


class Recorded:
    """The history that a log holds, for folding it again; see :class:`ledger.views.fold.History`."""

    def __init__(self, log: Log) -> None:
        self.log = log

    def one(self, seq: int) -> Entry | None:
        """The event ``seq``; None where its body is missing and no event says that it was erased."""
        return next(entries(self.log, seq, seq, erased=True), None)

    def upto(self, last: int, types: frozenset[str], names: frozenset[str]) -> Iterator[Entry]:
        """Entries up to event ``last``, of certain types, that mention one of the names; and all corrections."""
        held = frozenset(held for name in names for held in vocabulary.names_in_bodies(name))
        return entries(self.log, 0, last, types, held, erased=True)


def entries(
    log: Log,
    first: int,
    last: int,
    types: frozenset[str] = frozenset(),
    names: frozenset[str] = frozenset(),
    *,
    erased: bool = False,
) -> Iterator[Entry]:
    """Events ``first`` to ``last`` with their place; other types are left out where some are named.

    Where names are given, only events that hold one of them as a text, and corrections.

    Parameters
    ----------
    erased : bool
        Whether erased events come, too, as :func:`ledger.storage.erasures.what_is_left` reads them; otherwise they
        are left out.
    """
    if first > last:
        return
    commit = log.commit(log.size() - 1)
    if commit.first_seq > first:  # whoever follows the log asks for its newest commit
        commit = log.commit_of(first)
    commits = log.commits(commit.n + 1)
    decoded: Commit | None = None
    for seq, filed_as, data, _id, _sha256 in log.rows(first, last, types, names):
        event = None if data is None and not erased else _event(log, seq, filed_as, data)
        if event is None:
            continue
        while seq > commit.last_seq:
            following = next(commits, None)
            if following is None:
                raise Damaged(f"Event #{seq} of {log.path} is in no commit.", "`tally verify` says what is wrong.")
            commit = following
        if decoded is not commit:
            head, moment, decoded = decode_head(commit.head), from_micros(commit.recorded_at), commit
            under = names_under(log, commit, head)
        # What a redaction kept is named as in this ledger already.
        here = event if under is None or data is None else vocabulary.named_under(event, under)
        yield Entry(seq, commit.n, moment, head.actor, here)


def _event(log: Log, seq: int, filed_as: str, data: bytes | None) -> Event[Any] | None:
    return what_is_left(log, seq, filed_as) if data is None else vocabulary.decode(data, filed_as)


def entry_at(log: Log, seq: int) -> Entry:
    """One event with its place; IndexError beyond the end, Damaged where it cannot be read."""
    stored = log.event(seq)
    commit = log.commit_of(seq)
    if stored.data is None:
        raise Damaged(f"The body of event #{seq} is not here.")
    head = decode_head(commit.head)
    event = told_here(log, commit, head, vocabulary.decode(stored.data))
    return Entry(seq, commit.n, from_micros(commit.recorded_at), head.actor, event)


def genesis_of(log: Log) -> LedgerCreated:
    """The body of the first event; Damaged where it cannot be read."""
    try:
        body = entry_at(log, 0).event.body
    except IndexError:
        raise Damaged(f"{log.path} holds no event at all.") from None
    if not isinstance(body, LedgerCreated):
        raise Damaged(f"{log.path} does not begin with ledger.created.")
    return body
