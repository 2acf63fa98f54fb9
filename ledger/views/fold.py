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
from typing import Any, NamedTuple, Protocol, cast

import msgspec

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry, Erased
from tallystick.ledger.events.unknown import Unknown, guesses, is_unknown
from tallystick.ledger.views.entities import PROJECTIONS
from tallystick.ledger.views.entities.corrections import CORRECTIONS, corrected
from tallystick.ledger.views.entities.links import LINKS
from tallystick.ledger.views.projection import Change, Lookup, Projection, State

READ_TYPES = frozenset(event_type for projection in PROJECTIONS for event_type in projection.reads)
Versions = dict[str, dict[str, list[tuple[int, State | None]]]]
"""Projection name -> entity -> from which position on which state, oldest first."""


class Newest(NamedTuple):
    """The newest states of one projection, wherever they are kept."""

    current: Lookup
    """By name."""
    names: Callable[[], Iterable[str]]
    """The names of all entities that there are, or were."""


class Reader(NamedTuple):
    """A projection that reads a type of event, beside the states that it looks at: bound once, used for every event."""

    projection: Projection
    apply: Callable[[Entry, Lookup], Iterable[Change]]
    current: Lookup
    """The newest state of an entity by its name, wherever that is kept."""
    names: Callable[[], Iterable[str]]


Readers = Mapping[str, tuple[Reader, ...]]
"""Who reads an event type."""


def readers(projections: Collection[Projection], newest: Callable[[Projection], Newest]) -> Readers:
    """Who of some projections reads an event type, where ``newest`` says how each looks up its current states."""
    found: dict[str, tuple[Reader, ...]] = {}
    for projection in projections:
        reader = Reader(projection, projection.apply, *newest(projection))
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
    if entry.lost:
        return _lost_elsewhere(entry, asked, history)
    if isinstance(event.body, say.EventCorrected):
        return list(_refolded(entry, asked, history))
    if isinstance(event.body, Erased):
        return list(_nothing_known_of(entry, asked))
    # What is left of an erased event is asked for nothing before it is known to be one.
    partial, before = is_unknown(event.about), guesses()
    found: list[Changed] = []
    for projection, apply, current, _names in () if partial else asked.get(event.t, ()):
        made = list(apply(entry, current))
        if len(made) > 1:
            made = list(dict(made).items())  # an entity may be changed twice by one event; what comes out counts
        for key, state in made:
            found.append((projection, key, state))
    if partial or guesses() != before:
        return [change for reader in asked.get(event.t, ()) for change in _doubted(reader, entry)]
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
    wanted = tuple(projections)
    folded: dict[str, dict[str, State]] = {projection.name: {} for projection in wanted}
    told = list(entries)
    counting = {entry.seq for entry in live(told)}

    def newest(projection: Projection) -> Newest:
        states = folded[projection.name]
        return Newest(states.get, states.keys)

    asked = readers(wanted, newest)
    still = readers(
        [projection._replace(apply=projection.set_aside) for projection in wanted if projection.set_aside], newest
    )
    for entry in told:
        if not is_read(entry):
            continue
        if isinstance(entry.event.body, say.EventCorrected):
            made: list[Changed] = []
            if entry.seq in counting and CORRECTIONS.name in folded:
                made += ((CORRECTIONS, key, state) for key, state in CORRECTIONS.apply(entry, lambda _: None))
        else:
            made = changes(entry, asked if entry.seq in counting else still, GivenHistory(()))
        for projection, key, after in made:
            assert after is not None
            folded[projection.name][key] = after
    return folded


def fold(entries: Iterable[Entry]) -> Versions:
    """All states of all entities by folding entries in memory: the definition that the views must equal."""
    versions: Versions = {projection.name: {} for projection in PROJECTIONS}
    newest: dict[str, dict[str, State | None]] = {projection.name: {} for projection in PROJECTIONS}
    asked = readers(PROJECTIONS, lambda p: Newest(newest[p.name].get, newest[p.name].keys))
    read: list[Entry] = []
    for entry in entries:
        if not is_read(entry):
            continue
        read.append(entry)
        for projection, key, state in changes(entry, asked, GivenHistory(read)):
            versions[projection.name].setdefault(key, []).append((entry.seq, state))
            newest[projection.name][key] = state
    return versions


# Erased events ---------------------------------------------------------------------------------------------


def is_read(entry: Entry) -> bool:
    """Whether states follow from an entry: its type is known to this program, or its content was erased."""
    return isinstance(entry.event.body, Erased) or say.is_known(entry.event)


def _lost_elsewhere(entry: Entry, asked: Readers, history: History) -> list[Changed]:
    """What events changed of which something is left, one after the other, all at the commit that lists them."""
    made: dict[tuple[str, str], Changed] = {}

    def after(reader: Reader) -> Reader:
        def current(key: str) -> Any:
            found = made.get((reader.projection.name, key))
            return reader.current(key) if found is None else found[2]

        return reader._replace(current=current)

    for event in entry.lost:
        readers_of = {kind: tuple(map(after, some)) for kind, some in asked.items()}
        for change in changes(entry._replace(event=event, lost=()), readers_of, history):
            made[change[0].name, change[1]] = change
    return list(made.values())


def _doubted(reader: Reader, entry: Entry) -> Iterator[Changed]:
    """What an entry changes where something in it, or in the states that it meets, is unknown.

    Fields that it sets to what is known of it are known; so are those that it cannot change. The others are unknown,
    because the branch that is taken here may not be the one that the whole event would have taken.
    """
    projection, met = reader.projection, dict[str, "State | None"]()

    def current(key: str) -> Any:
        return None if is_unknown(key) else met.setdefault(key, reader.current(key))

    before = guesses()
    made: dict[str, State] = {key: state for key, state in reader.apply(entry, current) if not is_unknown(key)}
    unknown = _unknown_in(entry.event.about, *met.values())
    if guesses() == before or unknown is None:
        yield from ((projection, key, state) for key, state in made.items())
        return
    known = [entry.recorded_at, entry.actor]
    known += [name for _, _, name in say.references(entry.event) if not is_unknown(name)]
    for key in _meant(reader, {*made, *met}, str(unknown)):
        state = made.get(key) or current(key)
        if state is not None:
            values = {field: getattr(state, field) for field in projection.written_by(entry.event.t, state)}
            lost = [
                field for field, value in values.items() if key not in made or is_unknown(value) or value not in known
            ]
            yield projection, key, msgspec.structs.replace(state, seq=entry.seq, **dict.fromkeys(lost, unknown))


def _meant(reader: Reader, keys: Collection[str], unknown: str) -> list[str]:
    """Entities that may be meant by names of which a part is unknown."""
    found = {key for key in keys if unknown not in key}
    if reader.projection.name == LINKS.name:
        return sorted(found)  # an edge is there or not; it has no value that could be unknown
    for begin in {key.partition(unknown)[0] for key in keys if unknown in key} - {""}:
        found.update(name for name in reader.names() if name.startswith(begin))
    return sorted(found)


def _unknown_in(*values: object) -> Unknown | None:
    """The first unknown value among some, or in a part of them."""
    for value in values:
        if isinstance(value, Unknown):
            return value
        if isinstance(value, msgspec.Struct) and (found := _unknown_in(*msgspec.structs.astuple(value))):
            return found
    return None


def _nothing_known_of(entry: Entry, asked: Readers) -> Iterator[Changed]:
    """What an erased event may have changed of which not even the references are kept: anything that its type can.

    An erased correction may have set any earlier event aside.
    """
    unknown = cast("Unknown", entry.event.about)
    every = entry.event.t == say.EventCorrected.TYPE
    found = {reader.projection.name: reader for some in asked.values() for reader in some}
    for reader in found.values() if every else asked.get(entry.event.t, ()):
        projection = reader.projection
        if projection.name == LINKS.name:
            continue  # an edge is there or not; it has no value that could be unknown
        for key in sorted(reader.names()):
            state: State | None = reader.current(key)
            if state is not None:
                fields = projection.written_by("" if every else entry.event.t, state)
                yield projection, key, msgspec.structs.replace(state, seq=entry.seq, **dict.fromkeys(fields, unknown))


# Corrections -----------------------------------------------------------------------------------------------


def _refolded(entry: Entry, asked: Readers, history: History) -> Iterator[Changed]:
    # A correction of a correction brings back what that had set aside, which may be a correction again.
    turned = [entry]
    while (seq := corrected(turned[-1])) is not None:
        earlier = history.one(seq)
        if earlier is None or not is_read(earlier):
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
    mentioned = {name for _, _, name in say.references(turned[-1].event) if not is_unknown(name)}
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
    if isinstance(entry.event.body, Erased):
        return set(reader.names())
    keys: set[str] = set()

    def current(key: str) -> Any:
        keys.add(key)
        return None if is_unknown(key) else reader.current(key)

    def nothing(key: str) -> None:
        keys.add(key)

    for lookup in (current, nothing):
        keys.update(key for key, _ in reader.apply(entry, lookup))
    return {key for key in keys if not is_unknown(key)}


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
