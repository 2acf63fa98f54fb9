"""Why the content of an event is missing."""

from __future__ import annotations

from tallystick.ledger.events import types as vocabulary
from tallystick.ledger.events.commit import decode_head, from_micros
from tallystick.ledger.events.entry import Erased, Unreadable
from tallystick.ledger.events.types import EventRedacted
from tallystick.ledger.storage.log import Log


def in_place_of_body(log: Log, seq: int) -> Erased | Unreadable:
    """What stands in place of the body of event ``seq``, which is missing: the erasure, or that there is none."""
    said = log.last_seq_of(f"redaction:{seq}")
    if said is None:
        return Unreadable("its body is not here")
    stored, commit = log.event(said), log.commit_of(said)
    body = None if stored.data is None else vocabulary.decode(stored.data, stored.type).body
    reason, authority = (body.reason, body.authority) if isinstance(body, EventRedacted) else ("", "")
    return Erased(said, decode_head(commit.head).actor, from_micros(commit.recorded_at), reason, authority)
