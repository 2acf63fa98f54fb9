"""Events whose content was erased: which event says so, and what is still known of them."""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

from tallystick.ledger.events import types as vocabulary
from tallystick.ledger.events.commit import decode_head, from_micros
from tallystick.ledger.events.entry import Erased
from tallystick.ledger.events.event import Event
from tallystick.ledger.events.types import EventRedacted, EventRedactedV1, LedgerCreated
from tallystick.ledger.events.unknown import Unknown
from tallystick.ledger.storage.log import Log
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
    said: EventRedacted | EventRedactedV1 | None
    """None where it cannot be read itself."""

    @property
    def unknown(self) -> Unknown:
        """What stands in place of each value that followed from the event."""
        return Unknown(event=self.event, redaction=self.redaction, on=self.on)


def erasure_of(log: Log, seq: int) -> Erasure | None:
    """The erasure of event ``seq``; None where no event says that its content was erased."""
    said = log.last_seq_of(f"redaction:{seq}")
    if said is None:
        return None
    stored, commit = log.event(said), log.commit_of(said)
    body = None if stored.data is None else vocabulary.decode(stored.data, stored.type).body
    at = from_micros(commit.recorded_at)
    return Erasure(
        seq,
        said,
        decode_head(commit.head).actor,
        at,
        f"{at.astimezone(_zone(log)):%Y-%m-%d}",
        body if isinstance(body, EventRedacted | EventRedactedV1) else None,
    )


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
        reason, authority = (said.reason, said.authority) if said else ("", "")
        body: object = Erased(found.redaction, found.by, found.at, reason, authority)
        return Event(t=event_type, v=0, salt=b"", body=body, **times)
    fields = {name: said.refers_to.get(name, unknown) for name in released.body.__struct_fields__}
    return Event(t=event_type, v=said.version, salt=b"", body=released.body(**fields), **times)
