"""Folding entries into states, corrections included: the one place where that is done.

An ``event.corrected`` sets an earlier event aside from its own position on. The state after it is what follows from
the *live* entries so far: all of them without those that are set aside by a correction which is itself live. That
cannot be computed from the state before, so every entity that the event touches, and no other, is folded again from
the entries that mention a name which the event mentions; what comes out differently is a new state, filed under the
correction; an entity that would not exist any more has the state None. This is why a state may depend on earlier
states of its own entity alone, and why its name is made of names that every event about it refers to.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import compress
from operator import is_not, ne
from typing import Any, NamedTuple, Protocol

import msgspec

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.views.entities import PROJECTIONS
from tallystick.ledger.views.entities.corrections import corrected
from tallystick.ledger.views.projection import Change, Lookup, Projection, State

READ_TYPES = frozenset(event_type for projection in PROJECTIONS for event_type in projection.reads)
Versions = dict[str, dict[str, list[tuple[int, State | None]]]]
"""Projection name -> entity -> from which position on which state, oldest first."""


class Reader(NamedTuple):
    """A projection that reads a type of event, beside the states that it looks at: bound once, used for every event."""

    projection: Projection
    apply: Callable[[Entry, Lookup], Iterable[Change]]
    current: Lookup
    """The newest state of an entity by its name, wherever that is kept."""


Readers = Mapping[str, tuple[Reader, ...]]
"""Who reads an event type."""


def readers(projections: Collection[Projection], newest: Callable[[Projection], Lookup]) -> Readers:
    """Who of some projections reads an event type, where ``newest`` says how each looks up its current states."""
    found: dict[str, tuple[Reader, ...]] = {}
    for projection in projections:
        reader = Reader(projection, projection.apply, newest(projection))
        for event_type in projection.reads:
            found[event_type] = (*found.get(event_type, ()), reader)
    return found


Changed = tuple[Projection, str, State | None]
"""A new state of an entity, with its name; None where it does not exist any more."""


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


class GivenHistory:
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


def changes(entry: Entry, asked: Readers, history: History) -> list[Changed]:
    """What an entry changes; each entity at most once.

    Parameters
    ----------
    asked : Readers
        The projections that are wanted, with what followed from all entries before.
    history : History
        The entries up to this one, for corrections.
    """
    event = entry.event
    if isinstance(event.body, say.EventCorrected):
        return list(_refolded(entry, asked, history))
    found: list[Changed] = []
    for projection, apply, current in asked.get(event.t, ()):
        made = list(apply(entry, current))
        if len(made) > 1:
            made = list(dict(made).items())  # an entity may be changed twice by one event; what comes out counts
        for key, state in made:
            found.append((projection, key, state))
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
    versions: Versions = {projection.name: {} for projection in PROJECTIONS}
    newest: dict[str, dict[str, State | None]] = {projection.name: {} for projection in PROJECTIONS}
    asked = readers(PROJECTIONS, lambda projection: newest[projection.name].get)
    read: list[Entry] = []
    for entry in entries:
        if not say.is_known(entry.event):
            continue
        read.append(entry)
        for projection, key, state in changes(entry, asked, GivenHistory(read)):
            versions[projection.name].setdefault(key, []).append((entry.seq, state))
            newest[projection.name][key] = state
    return versions


def _refolded(entry: Entry, asked: Readers, history: History) -> Iterator[Changed]:
    # A correction of a correction brings back what that had set aside, which may be a correction again.
    turned = [entry]
    while (seq := corrected(turned[-1])) is not None:
        earlier = history.one(seq)
        if earlier is None or not say.is_known(earlier.event):
            break
        turned.append(earlier)
    touched: dict[str, set[str]] = {}
    newest: dict[str, Lookup] = {}
    for event in turned:
        for reader in asked.get(event.event.t, ()):
            touched.setdefault(reader.projection.name, set()).update(_touched(reader, event))
            newest[reader.projection.name] = reader.current
    wanted = tuple(projection for projection in PROJECTIONS if projection.name in touched)
    types = frozenset({entry.event.t, *(event_type for projection in wanted for event_type in projection.reads)})
    keys = {key for touched_keys in touched.values() for key in touched_keys}
    mentioned = {name.partition(":")[2] for name in say.entities(turned[-1].event)}
    # Names that no touched entity is called by, such as that of a slice which every run saw, tell nothing.
    names = frozenset(name for name in mentioned if any(name in key for key in keys)) or frozenset(mentioned)
    folded = fold_live(history.upto(entry.seq, types, names), wanted)
    for projection in wanted:
        for key in sorted(touched[projection.name]):
            before, after = newest[projection.name](key), folded[projection.name].get(key)
            if not same(before, after):
                yield projection, key, None if after is None else _from(entry, after)


def _touched(reader: Reader, entry: Entry) -> set[str]:
    """Entities that an entry changes, or would change if there were something to change."""
    keys: set[str] = set()

    def current(key: str) -> Any:
        keys.add(key)
        return reader.current(key)

    def nothing(key: str) -> None:
        keys.add(key)

    for lookup in (current, nothing):
        keys.update(key for key, _ in reader.apply(entry, lookup))
    return keys


def _from(entry: Entry, state: State) -> State:
    return msgspec.structs.replace(state, seq=entry.seq)


def same(before: State | None, after: State | None) -> bool:
    """Whether two states say the same, whichever event made them so."""
    if before is None or after is None:
        return before is after
    return not changed_fields(before, after)


def changed_fields(before: State, after: State) -> list[str]:
    """Names of the fields that differ; ``seq``, the first of them, is no content."""
    old, new = msgspec.structs.astuple(before), msgspec.structs.astuple(after)
    # The same object first, which most fields are: thousands of parameters would be compared one by one.
    fields = zip(after.__struct_fields__, old, new, strict=True)
    found = [field for field, was, now in compress(fields, map(is_not, old, new)) if was != now]
    return found[1:] if found and found[0] == "seq" else found


def differing(before: State, after: State) -> list[tuple[str, Any, Any]]:
    """Each field that differs, with its old and new value."""
    old, new = msgspec.structs.astuple(before), msgspec.structs.astuple(after)
    found = list(compress(zip(after.__struct_fields__, old, new, strict=True), map(ne, old, new)))
    return found[1:] if found and found[0][0] == "seq" else found
