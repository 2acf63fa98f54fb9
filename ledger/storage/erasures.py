"""Events whose content was erased: which event says so, and what is still known of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any, NamedTuple

from tallystick.ledger.errors import Damaged
from tallystick.ledger.events import types as vocabulary
from tallystick.ledger.events.commit import decode_head, from_micros
from tallystick.ledger.events.entry import Erased
from tallystick.ledger.events.event import Event
from tallystick.ledger.events.types import EventRedacted, EventRedactedV1, LedgerCreated
from tallystick.ledger.events.unknown import Unknown
from tallystick.ledger.storage.log import UNANSWERED, Log
from tallystick.ledger.system.timezone import zone_of


class Erasure(NamedTuple):
    """The erasure of one event."""

    event: int
    redaction: int
    """Position of the ``event.redacted``."""
    by: str
    at: dt.datetime
    """UTC."""
    on: str
    """The day in the ledger's zone, ``2013-07-01``."""
    said: EventRedacted | EventRedactedV1

    @property
    def unknown(self) -> Unknown:
        """What stands in place of each value that followed from the event."""
        return Unknown(event=self.event, redaction=self.redaction, on=self.on)


def erasure_of(log: Log, seq: int) -> Erasure | None:
    """The erasure of event ``seq``; None where no event says that its content was erased.

    Only the body of an ``event.redacted`` says so, once it is hashed: the index of entities is not, and anybody who
    takes a body away can write into it that it was erased.
    """
    target = log.event(seq)
    for said in _redactions_of(log, seq):
        body = _redaction_in(log, said)
        if body is None or (body.redaction, body.event) != (str(seq), target.id.hex()):
            continue
        if target.data is None and body.type != target.type:
            raise Damaged(
                f"Event #{seq} in {log.path} is filed as {target.type}; #{said}, which erased it, says {body.type}.",
                UNANSWERED,
            )
        commit = log.commit_of(said)
        at = from_micros(commit.recorded_at)
        on = f"{at.astimezone(_zone(log)):%Y-%m-%d}"
        return Erasure(seq, said, decode_head(commit.head).actor, at, on, body)
    return None


def _redactions_of(log: Log, seq: int) -> Iterator[int]:
    """Where the erasure of an event may be said: where the index has it, or else in any event filed as an erasure."""
    found = log.last_seq_of(f"redaction:{seq}")
    if found is not None:
        yield found
    yield from (stored.seq for stored in log.events(seq + 1, types={EventRedacted.TYPE}) if stored.seq != found)


def _redaction_in(log: Log, seq: int) -> EventRedacted | EventRedactedV1 | None:
    try:
        stored = log.event(seq)
    except IndexError:
        return None
    body = None if stored.data is None else vocabulary.decode(stored.data, stored.type).body
    return body if isinstance(body, EventRedacted | EventRedactedV1) else None


def _zone(log: Log) -> dt.tzinfo:
    first = log.event(0)
    body = None if first.data is None else vocabulary.decode(first.data, first.type).body
    return zone_of(body.timezone) if isinstance(body, LedgerCreated) else dt.UTC


def what_is_left(log: Log, seq: int, event_type: str) -> Event[Any] | None:
    """An erased event as projections read it; None where no event says that it was erased.

    Where the redaction kept its version and what it referred to, the body is of its own type: references are known
    and every other field is :class:`Unknown`. For older redactions the body is an :class:`Erased`.
    """
    found = erasure_of(log, seq)
    if found is None:
        return None
    unknown, said = found.unknown, found.said
    released = vocabulary.RELEASED.get((event_type, said.version)) if isinstance(said, EventRedacted) else None
    times: dict[str, Any] = {"occurred_at": unknown, "about": unknown}
    if released is None or not isinstance(said, EventRedacted):
        body: object = Erased(found.redaction, found.by, found.at, said.reason, said.authority)
        return Event(t=event_type, v=0, salt=b"", body=body, **times)
    fields = {name: said.refers_to.get(name, unknown) for name in released.body.__struct_fields__}
    return Event(t=event_type, v=said.version, salt=b"", body=released.body(**fields), **times)
