"""How states follow from events: what a projection is, and what it may look at.

A projection is one kind of entity. It declares the event types that it reads and turns an entry into new states of
its entities. No clock, no files, no randomness: the same entries give the same states for ever. The kinds are in
:mod:`ledger.views.entities`, one a file; how entries are folded, corrections included, is :mod:`ledger.views.fold`; how
states are kept and asked for at a date is :mod:`ledger.views.store`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
from blake3 import blake3

from tallystick.ledger.events import types as vocabulary
from tallystick.ledger.events.entry import Entry


class State(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is believed of one entity from one event on.

    A field that followed from an erased event holds an :class:`ledger.events.unknown.Unknown`, whatever its type.
    """

    seq: int
    """The event that made it so."""


S = TypeVar("S", bound=State)
Change = tuple[str, State]
Lookup = Callable[[str], Any]
"""The current state of an entity of the same projection by its name, or None."""


class Projection(NamedTuple):
    """A kind of entity: its name in the plural, the struct of its states, and how entries change them."""

    name: str
    key: str
    state: type[State]
    reads: frozenset[str]
    apply: Callable[[Entry, Lookup], Iterable[Change]]
    fingerprint: str
    """Hash of the code that makes the states: when it changes, this view alone is built again."""
    steady: tuple[tuple[str, ...], ...] = ()
    """Groups of fields that seldom change, each stored once for all versions that agree in it.

    The other fields are part of every version; they are small, or new in each version anyway.
    """
    set_aside: Callable[[Entry, Lookup], Iterable[Change]] | None = None
    """What an entry still changes that was set aside by a correction; None for nothing."""
    writes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Event types, each with the fields that it may change; all of them where a type is not named."""
    lowest: tuple[tuple[str, object, str], ...] = ()
    """A field, its lowest value, and the one type of event that can raise it from there."""

    def written_by(self, event_type: str, state: State) -> tuple[str, ...]:
        """The fields of a state that an event of a type may change."""
        every = tuple(field for field in self.state.__struct_fields__ if field not in ("seq", self.key))
        fields = next((fields for named, fields in self.writes if named == event_type), every)
        low = {
            field
            for field, least, raised_by in self.lowest
            if event_type != raised_by and getattr(state, field) == least
        }
        return tuple(field for field in fields if field not in low)


def projection(
    name: str,
    key: str,
    state: type[State],
    reads: Iterable[type[vocabulary.Body]],
    apply: Callable[[Entry, Lookup], Iterable[Change]],
    steady: tuple[tuple[str, ...], ...] = (),
) -> Projection:
    """Declare a projection in the module of ``apply``; ``steady`` are groups of fields that seldom change."""
    grouped = [field for group in steady for field in group]
    assert set(grouped) < set(state.__struct_fields__[1:]) and len(grouped) == len(set(grouped)), name
    types = sorted((body.TYPE, body.VERSION) for body in reads)
    # Types and versions stand for their content, which never changes once they are released.
    file = sys.modules[apply.__module__].__file__
    assert file is not None
    code = Path(file).read_bytes() + Path(__file__).read_bytes() + repr(types).encode()
    reads_types = frozenset(t for t, _ in types)
    return Projection(name, key, state, reads_types, apply, blake3(code).hexdigest()[:32], steady)


def amended(
    made: Projection,
    writes: Mapping[type[vocabulary.Body], tuple[str, ...]],
    set_aside: Callable[[Entry, Lookup], Iterable[Change]] | None = None,
    lowest: tuple[tuple[str, object, str], ...] = (),
) -> Projection:
    """A projection that says what events of its own do when they are corrected or erased.

    ``writes`` are the fields that an event of a type may change; for the others see :class:`Projection`.
    """
    by_type = tuple((body.TYPE, fields) for body, fields in writes.items())
    return made._replace(writes=by_type, set_aside=set_aside, lowest=lowest)


def follow(state: S, entry: Entry, **changes: Any) -> S:
    """The same state after an entry that changed some of it."""
    return msgspec.structs.replace(state, seq=entry.seq, **changes)
