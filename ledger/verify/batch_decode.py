"""Many events of one type read at once: their shape, their written form, and what they refer to.

Verification does this for every event of a ledger of millions. So the usual case, events as this program would write
them itself, is judged in whole columns; the unusual is only recognised here, and judged elsewhere one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from tallystick.ledger.events.event import encode_canonical
from tallystick.ledger.events.types import RELEASED
from tallystick.ledger.verify.bounds import are_within

_type_and_version = attrgetter("t", "v")
_body = attrgetter("body")


class Alike:
    """The events of one type, as its newest version says; what was read of them adds up here.

    ``under`` is what the names of imported events are read under.
    """

    def __init__(self, event_type: str, under: str | None = None) -> None:
        self.version = max((version for name, version in RELEASED if name == event_type), default=0)
        self.expected = {(event_type, self.version)}
        self.known = RELEASED.get((event_type, self.version))
        # For each referring field: how to get it, the prefix of its entities, and the last event of each name.
        self.references: list[tuple[Callable[[Any], str | None], str, dict[str | None, int]]] = []
        if self.known is not None:
            references = self.known.references if under is None else self.known.references_under(under)
            self.references = [(get, prefix, {}) for get, prefix in references]

    def read(self, seqs: Sequence[int], written: Sequence[bytes]) -> list[Any] | None:
        """The bodies of events at certain positions, ascending; None, and nothing is kept, unless all are as usual.

        As usual are bytes that this program would write for what it reads in them, as the newest version of the type.
        """
        if self.known is None:
            return None
        try:
            events = list(map(self.known.decoder.decode, written))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        if set(map(_type_and_version, events)) != self.expected or list(map(encode_canonical, events)) != written:
            return None
        if not are_within(events, written, self.known.free_form):
            return None
        bodies = list(map(_body, events))
        for get, _prefix, last_seqs in self.references:
            last_seqs.update(zip(map(get, bodies), seqs, strict=True))
        return bodies

    def entities(self) -> Iterable[tuple[str, int]]:
        """Each entity that an event referred to, with the last of these events; an entity may come several times."""
        for _get, prefix, last_seqs in self.references:
            for name, seq in last_seqs.items():
                if name is not None:
                    yield prefix + name, seq
