"""Why the content of an event is missing."""

from __future__ import annotations

from tallystick.ledger.events.entry import Erased, Unreadable
from tallystick.ledger.storage.erasures import erasure_of
from tallystick.ledger.storage.log import Log


def in_place_of_body(log: Log, seq: int) -> Erased | Unreadable:
    """What stands in place of the body of event ``seq``, which is missing: the erasure, or that there is none."""
    found = erasure_of(log, seq)
    if found is None:
        return Unreadable("its body is not here")
    return Erased(found.redaction, found.by, found.at, found.said.reason, found.said.authority)
