"""Folding entries into states, corrections included: the one place where that is done.

An ``event.corrected`` sets an earlier event aside from its own position on. The state after it is what follows from
the *live* entries so far: all of them without those that are set aside by a correction which is itself live. That
cannot be computed from the state before, so every entity that the event touches, and no other, is folded again from
the entries that mention a name which the event mentions; what comes out differently is a new state, filed under the
correction; an entity that would not exist any more has the state None. This is why a state may depend on earlier
states of its own entity alone, and why its name is made of names that every event about it refers to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

import msgspec

from ledger import vocabulary as say
from ledger.entities import PROJECTIONS
from ledger.entities.corrections import corrected
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


class History(Protocol):
    """The entries that were told so far, in their order."""

    def one(self, seq: int) -> Entry | None:
        """The event ``seq``; None where its body is not there any more."""
        ...

    def upto(self, last: int, types: frozenset[str], names: frozenset[str]) -> Iterable[Entry]:
        """Entries up to event ``last``, of certain types, that mention one of the names; and all corrections.

        More may come, since names only keep what is read small.
        """
        ...


class Told:
    """The history of entries that are in memory."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries

    def one(self, seq: int) -> Entry | None:
        """See :class:`History`."""
        return next((entry for entry in self.entries if entry.seq == seq), None)

    def upto(self, last: int, types: frozenset[str], _names: frozenset[str]) -> Iterator[Entry]:
        """See :class:`History`."""
        for entry in self.entries:
            if entry.event.t in types:
                yield entry
            if entry.seq == last:
                return


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
        if entry.seq not in aside and (seq := corrected(entry)) is not None:
            aside.add(seq)
    return [entry for entry in kept if entry.seq not in aside]


def fold_live(entries: Iterable[Entry], projections: Iterable[Projection] = PROJECTIONS) -> dict[str, dict[str, State]]:
    """The last state of every entity by folding what is live."""
    folded: dict[str, dict[str, State]] = {projection.name: {} for projection in projections}
    wanted = tuple(projections)
    for entry in live(entries):
        for projection in wanted:
            if entry.event.t in projection.reads and say.is_known(entry.event):
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
        for change in changes(entry, kept, Told(read)):
            kept.keep(entry.seq, change)
    return kept.versions


class _Memory:
    def __init__(self) -> None:
        self.versions: Versions = {projection.name: {} for projection in PROJECTIONS}

    def current(self, projection: Projection, key: str) -> State | None:
        history = self.versions[projection.name].get(key)
        return history[-1][1] if history else None

    def keep(self, position: int, change: Changed) -> None:
        self.versions[change.projection.name].setdefault(change.key, []).append((position, change.state))


def _refolded(entry: Entry, states: States, history: History, asked: Readers) -> Iterator[Changed]:
    # A correction of a correction brings back what that had set aside, which may be a correction again.
    turned = [entry]
    while (seq := corrected(turned[-1])) is not None:
        earlier = history.one(seq)
        if earlier is None or not say.is_known(earlier.event):
            break
        turned.append(earlier)
    touched: dict[str, set[str]] = {}
    for event in turned:
        for projection in asked.get(event.event.t, ()):
            touched.setdefault(projection.name, set()).update(_touched(projection, event, states))
    wanted = tuple(projection for projection in PROJECTIONS if projection.name in touched)
    types = frozenset({entry.event.t, *(event_type for projection in wanted for event_type in projection.reads)})
    keys = {key for touched_keys in touched.values() for key in touched_keys}
    mentioned = {name.partition(":")[2] for name in say.entities(turned[-1].event)}
    # Names that no touched entity is called by, such as that of a slice which every run saw, tell nothing.
    names = frozenset(name for name in mentioned if any(name in key for key in keys)) or frozenset(mentioned)
    folded = fold_live(history.upto(entry.seq, types, names), wanted)
    for projection in wanted:
        for key in sorted(touched[projection.name]):
            before, after = states.current(projection, key), folded[projection.name].get(key)
            if not same(before, after):
                yield Changed(projection, key, None if after is None else _from(entry, after))


def _touched(projection: Projection, entry: Entry, states: States) -> set[str]:
    """Entities that an entry changes, or would change if there were something to change."""
    keys: set[str] = set()

    def current(key: str) -> State | None:
        keys.add(key)
        return states.current(projection, key)

    def nothing(key: str) -> None:
        keys.add(key)

    for lookup in (current, nothing):
        keys.update(key for key, _ in projection.apply(entry, lookup))
    return keys


def _from(entry: Entry, state: State) -> State:
    return msgspec.structs.replace(state, seq=entry.seq)


def same(before: State | None, after: State | None) -> bool:
    """Whether two states say the same, whichever event made them so."""
    if before is None or after is None:
        return before is after
    return not changed_fields(before, after)


def changed_fields(before: State, after: State) -> tuple[str, ...]:
    """Names of the fields that differ; ``seq`` is no content."""
    values = zip(after.__struct_fields__, msgspec.structs.astuple(before), msgspec.structs.astuple(after), strict=True)
    # Most fields are the very objects that they were; comparing a dictionary with itself would walk through it.
    return tuple([name for name, old, new in values if old is not new and old != new and name != "seq"])


def differing(before: State, after: State) -> list[tuple[str, Any, Any]]:
    """Each field that differs, with its old and new value."""
    values = zip(after.__struct_fields__, msgspec.structs.astuple(before), msgspec.structs.astuple(after), strict=True)
    return [(name, old, new) for name, old, new in values if old != new and name != "seq"]
