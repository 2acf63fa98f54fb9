"""Folding entries into states, corrections included: the one place where that is done.

An ``event.corrected`` sets an earlier event aside from its own position on. The state after it is what follows from
the *live* entries so far: all of them without those that are set aside by a correction which is itself live. That
cannot be computed from the state before, so everything that the correction may touch is folded again, and what comes
out differently is a new state, filed under the correction; an entity that would not exist any more has the state None.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple, Protocol

import msgspec

from ledger import vocabulary as say
from ledger.entities import PROJECTIONS
from ledger.projection import Entry, Projection, State

READ_TYPES = frozenset(event_type for projection in PROJECTIONS for event_type in projection.reads)
Versions = dict[str, dict[str, list[tuple[int, State | None]]]]
"""Projection name -> entity -> from which position on which state, oldest first."""

Readers = Mapping[str, tuple[Projection, ...]]


def readers(projections: Collection[Projection]) -> Readers:
    """Who reads an event type."""
    types = {event_type for projection in projections for event_type in projection.reads}
    return {
        event_type: tuple(projection for projection in projections if event_type in projection.reads)
        for event_type in types
    }


READERS = readers(PROJECTIONS)


class Changed(NamedTuple):
    """A new state of an entity; None where it does not exist any more."""

    projection: Projection
    key: str
    state: State | None


class States(Protocol):
    """The current state of every entity, wherever it is kept."""

    def current(self, projection: Projection, key: str) -> State | None:
        """The newest state of one entity."""
        ...

    def names(self, projection: Projection) -> Iterable[str]:
        """Every entity that there ever was."""
        ...


History = Callable[[int, frozenset[str]], Iterable[Entry]]
"""Entries up to and including a position, of certain types."""


def changes(entry: Entry, states: States, history: History, asked: Readers = READERS) -> list[Changed]:
    """What an entry changes; each entity at most once.

    Parameters
    ----------
    states : States
        What followed from all entries before.
    history : History
        The entries up to this one, for corrections.
    asked : Readers
        The projections that are wanted, by the event types that they read.
    """
    if isinstance(entry.event.body, say.EventCorrected):
        return list(_refolded(entry, states, history, asked))
    found: list[Changed] = []
    for projection in asked.get(entry.event.t, ()):
        made = list(projection.apply(entry, partial(states.current, projection)))
        if len(made) > 1:
            made = list(dict(made).items())  # an entity may be changed twice by one event; what comes out counts
        found += [Changed(projection, key, state) for key, state in made]
    return found


def live(entries: Iterable[Entry]) -> list[Entry]:
    """Entries without those that are set aside by a correction which is not set aside itself."""
    kept = list(entries)
    aside: set[int] = set()
    for entry in reversed(kept):
        if isinstance(entry.event.body, say.EventCorrected) and entry.seq not in aside:
            aside.add(int(entry.event.body.correction))
    return [entry for entry in kept if entry.seq not in aside]


def fold_live(entries: Iterable[Entry], projections: Iterable[Projection] = PROJECTIONS) -> dict[str, dict[str, State]]:
    """The last state of every entity by folding what is live."""
    folded: dict[str, dict[str, State]] = {projection.name: {} for projection in projections}
    wanted = tuple(projections)
    for entry in live(entries):
        for projection in wanted:
            if entry.event.t in projection.reads:
                states = folded[projection.name]
                states.update(dict(list(projection.apply(entry, states.get))))
    return folded


def fold(entries: Iterable[Entry]) -> Versions:
    """All states of all entities by folding entries in memory: the definition that the views must equal."""
    kept = _Memory()
    read: list[Entry] = []
    for entry in entries:
        if not say.is_known(entry.event):
            continue
        read.append(entry)
        for change in changes(entry, kept, lambda last, types: (e for e in read if e.event.t in types)):
            kept.keep(entry.seq, change)
    return kept.versions


class _Memory:
    def __init__(self) -> None:
        self.versions: Versions = {projection.name: {} for projection in PROJECTIONS}

    def current(self, projection: Projection, key: str) -> State | None:
        history = self.versions[projection.name].get(key)
        return history[-1][1] if history else None

    def names(self, projection: Projection) -> Iterable[str]:
        return self.versions[projection.name]

    def keep(self, position: int, change: Changed) -> None:
        self.versions[change.projection.name].setdefault(change.key, []).append((position, change.state))


def _refolded(entry: Entry, states: States, history: History, asked: Readers) -> Iterator[Changed]:
    body: say.EventCorrected = entry.event.body
    if body.type == body.TYPE:
        # What was set aside by the other correction and counts again may be of any type.
        wanted = tuple(projection for projection in PROJECTIONS if any(projection in group for group in asked.values()))
    else:
        wanted = (*asked.get(body.type, ()), *asked.get(body.TYPE, ()))
    types = frozenset({body.TYPE, *(event_type for projection in wanted for event_type in projection.reads)})
    folded = fold_live(history(entry.seq, types), wanted)
    for projection in wanted:
        now = folded[projection.name]
        for key in sorted({*now, *states.names(projection)}):
            before, after = states.current(projection, key), now.get(key)
            if not same(before, after):
                yield Changed(projection, key, None if after is None else _from(entry, after))


def _from(entry: Entry, state: State) -> State:
    return msgspec.structs.replace(state, seq=entry.seq)


def same(before: State | None, after: State | None) -> bool:
    """Whether two states say the same, whichever event made them so."""
    if before is None or after is None:
        return before is after
    return not changed_fields(before, after)


def changed_fields(before: State, after: State) -> tuple[str, ...]:
    """Names of the fields that differ; ``seq`` is no content."""
    return tuple([name for name, _, _ in differing(before, after)])


def differing(before: State, after: State) -> list[tuple[str, Any, Any]]:
    """Each field that differs, with its old and new value."""
    values = zip(after.__struct_fields__, msgspec.structs.astuple(before), msgspec.structs.astuple(after), strict=True)
    return [(name, old, new) for name, old, new in values if old != new and name != "seq"]
