"""Many events of one type read at once: their shape, their written form, and what they refer to.

Verification does this for every event of a ledger of millions. So the usual case, events as this program would write
them itself, is judged in whole columns; the unusual is only recognised here, and judged elsewhere one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from tallystick.ledger.events.event import encode_canonical
from tallystick.ledger.events.types import RELEASED
from tallystick.ledger.verify.bounds import are_within

_VERSIONS = Counter(name for name, _ in RELEASED)
"""How many versions of each type were released."""
_type_and_version = attrgetter("t", "v")
_body = attrgetter("body")


def version_written(event_type: str, data: bytes) -> int:
    """The version that an event seems to have, by its last bytes where more than one was released.

    ``v`` is the last key of an event in its written form. A wrong guess costs time and nothing else.
    """
    if _VERSIONS[event_type] < 2:
        return 1
    found = data[data.rfind(b":") + 1 : -1]
    return int(found) if len(found) < 4 and found.isdigit() else 1


class Alike:
    """The events of one type and version; what was read of them adds up here.

    ``under`` is what the names of imported events are read under.
    """

    def __init__(self, event_type: str, version: int, under: str | None = None) -> None:
        self.expected = {(event_type, version)}
        self.known = RELEASED.get((event_type, version))
        # For each referring field: how to get it, the prefix of its entities, and the last event of each name.
        self.references: list[tuple[Callable[[Any], str | None], str, dict[str | None, int]]] = []
        if self.known is not None:
            references = self.known.references if under is None else self.known.references_under(under)
            self.references = [(get, prefix, {}) for get, prefix in references]

    def read(self, seqs: Sequence[int], written: Sequence[bytes]) -> list[Any] | None:
        """The bodies of events at certain positions, ascending; None, and nothing is kept, unless all are as usual.

        As usual are bytes that a program would write for what it reads in them, as this version of the type.
        """
        if self.known is None:
            return None
        try:
            events = list(map(self.known.decoder.decode, written))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        if set(map(_type_and_version, events)) != self.expected or list(map(encode_canonical, events)) != written:
            return None
        if not are_within(events, written, self.known.free_fields):
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
