"""Events whose content was erased: which event says so, and what is still known of them."""

from __future__ import annotations

import datetime as dt
import re
import weakref
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from tallystick.ledger.errors import Damaged
from tallystick.ledger.events import types as vocabulary
from tallystick.ledger.events.commit import decode_head, from_micros
from tallystick.ledger.events.entry import Erased
from tallystick.ledger.events.event import Event
from tallystick.ledger.events.types import (
    CommitImported,
    EventCorrected,
    EventRedacted,
    EventRedactedV1,
    LedgerCreated,
    LeftOut,
    SchemaDeclared,
)
from tallystick.ledger.events.unknown import Unknown
from tallystick.ledger.storage.log import UNANSWERED, Log, Row
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
    return None if found is None else _what_is_left(found, event_type)


def _what_is_left(found: Erasure, event_type: str) -> Event[Any]:
    unknown, said = found.unknown, found.said
    released = vocabulary.RELEASED.get((event_type, said.version)) if isinstance(said, EventRedacted) else None
    times: dict[str, Any] = {"occurred_at": unknown, "about": unknown}
    if released is None or not isinstance(said, EventRedacted):
        body: object = Erased(found.redaction, found.by, found.at, said.reason, said.authority)
        return Event(t=event_type, v=0, salt=b"", body=body, **times)
    fields = {name: said.refers_to.get(name, unknown) for name in released.body.__struct_fields__}
    return Event(t=event_type, v=said.version, salt=b"", body=released.body(**fields), **times)


# Erased elsewhere ------------------------------------------------------------------------------------------


class Lost(NamedTuple):
    """An event of another ledger that was erased there before it was imported."""

    type: str
    id: str
    """64 hexadecimal digits."""
    erasure: Erasure
    """Its ``event`` is the ``commit.imported`` in whose list it stands, with the names that things have here."""

    @property
    def left(self) -> Event[Any]:
        """What is left of it, as projections read it."""
        return _what_is_left(self.erasure, self.type)


def lost_in(log: Log, row: Row) -> list[Lost]:
    """Events that were erased before the commit was imported that a row, a ``commit.imported``, tells of."""
    said = _commit_in(row)
    if said is None:
        return []
    commit, found = log.commit_of(row[0]), list[Lost]()
    elsewhere: dict[str, _Elsewhere] | None = None
    for inner, item in _listed(said):
        # A correction is said again; the schema of a known type is left out without its text, and nothing is lost.
        if item.body is not None or item.instead is not None or item.type == SchemaDeclared.TYPE:
            continue
        elsewhere = _redacted_elsewhere(log) if elsewhere is None else elsewhere
        known = elsewhere.get(item.id)
        where, at = (row[0], from_micros(commit.recorded_at)) if known is None else (known.seq, known.at)
        body = _named_here(item, None if known is None else known.said, said.named_under)
        on = f"{at.astimezone(_zone(log)):%Y-%m-%d}"
        erasure = Erasure(row[0], where, decode_head(inner.head).actor if known is None else known.by, at, on, body)
        found.append(Lost(item.type, item.id, erasure))
    return found


def may_hold_lost(row: Row) -> bool:
    """Whether a row may tell of such events; quick to ask of every row."""
    return row[1] == CommitImported.TYPE and row[2] is not None and _NO_BODY.search(row[2]) is not None


_NO_BODY = re.compile(rb'body\\*":null')
"""In a list, or in the text of a list within one, where the quotes stand behind backslashes."""


def _listed(said: CommitImported) -> Iterator[tuple[CommitImported, LeftOut]]:
    """What a commit leaves out, also of a commit that the other ledger had imported itself."""
    for item in said.left_out:
        yield said, item
        if item.type == CommitImported.TYPE and item.body is not None:
            inner = vocabulary.decode(item.body.encode()).body
            if isinstance(inner, CommitImported):
                yield from _listed(inner)


class _Elsewhere(NamedTuple):
    """An erasure that another ledger recorded."""

    seq: int
    """The ``commit.imported`` here whose list holds it."""
    by: str
    at: dt.datetime
    said: EventRedacted | EventRedactedV1


_known: weakref.WeakKeyDictionary[Log, tuple[int, dict[str, _Elsewhere]]] = weakref.WeakKeyDictionary()


def _redacted_elsewhere(log: Log) -> dict[str, _Elsewhere]:
    """Erasures that imported histories tell of, by the id of the erased event; kept until something is appended."""
    size, known = _known.get(log, (0, {}))
    if size == log.size():
        return known
    known = {}
    for stored in log.events(types={CommitImported.TYPE}):
        if stored.data is None or EventRedacted.TYPE.encode() not in stored.data:
            continue
        said = _commit_in(stored)
        for inner, item in () if said is None else _listed(said):
            if item.type == EventRedacted.TYPE and item.body is not None:
                body = vocabulary.decode(item.body.encode()).body
                if isinstance(body, EventRedacted | EventRedactedV1):
                    head = decode_head(inner.head)
                    known[body.event] = _Elsewhere(stored.seq, head.actor, head.recorded_at, body)
    _known[log] = (log.size(), known)
    return known


def _commit_in(row: Row) -> CommitImported | None:
    body = None if row[2] is None else vocabulary.decode(row[2], row[1]).body
    return body if isinstance(body, CommitImported) else None


def _named_here(
    item: LeftOut, said: EventRedacted | EventRedactedV1 | None, under: str | None
) -> EventRedacted | EventRedactedV1:
    """A redaction of another ledger with the names that things have here."""
    if said is None or said.type != item.type:
        return EventRedactedV1(redaction="0", event=item.id, type=item.type, reason="-", authority="-")
    known = vocabulary.RELEASED.get((said.type, said.version)) if isinstance(said, EventRedacted) else None
    if not isinstance(said, EventRedacted) or said.type == EventCorrected.TYPE or known is None:
        # What a correction names by its position there is not what stands at that position here.
        return EventRedactedV1(
            redaction=said.redaction, event=said.event, type=said.type, reason=said.reason, authority=said.authority
        )
    own = known.own_names if under is not None else ()
    names = {field: f"{under}/{name}" if field in own else name for field, name in said.refers_to.items()}
    return msgspec.structs.replace(said, refers_to=names)
