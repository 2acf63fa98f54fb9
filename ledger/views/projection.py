"""How states follow from events: what a projection is, and what it may look at.

A projection is one kind of entity. It declares the event types that it reads and turns an entry into new states of
its entities. No clock, no files, no randomness: the same entries give the same states for ever. The kinds are in
:mod:`ledger.views.entities`, one a file; how entries are folded, corrections included, is :mod:`ledger.views.fold`; how
states are kept and asked for at a date is :mod:`ledger.views.store`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
from blake3 import blake3

from tallystick.ledger.events import types as vocabulary
from tallystick.ledger.events.entry import Entry


class State(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is believed of one entity from one event on."""

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
    return Projection(name, key, state, frozenset(t for t, _ in types), apply, blake3(code).hexdigest()[:32], steady)


def follow(state: S, entry: Entry, **changes: Any) -> S:
    """The same state after an entry that changed some of it."""
    return msgspec.structs.replace(state, seq=entry.seq, **changes)
