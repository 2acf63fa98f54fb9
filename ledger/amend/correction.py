"""Corrections: an event that should not have been recorded is set aside by another, and never taken away.

From the correction on, everything is believed as if the event had not been recorded; before it, nothing changes. A
correction is an event like others and can be corrected, which brings back what it had set aside.
"""

from __future__ import annotations

from tallystick.ledger.amend.redaction import KEPT
from tallystick.ledger.errors import Damaged, NotFound, Refused
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.types import EventCorrected
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.storage.append import Appended

UNCORRECTABLE = KEPT
"""About evidence itself: that a key signed, that content was erased, is so whatever anybody says later."""


def correct(ledger: Ledger, seq: int, reason: str) -> Appended:
    """Say that event ``seq`` does not count any more.

    Raises
    ------
    NotFound
        When there is no such event.
    Refused
        When it does not count already, or the rest must be able to rely on it.
    """
    try:
        stored = ledger.log.event(seq)
    except IndexError:
        raise NotFound(f"There is no event #{seq}.", "`tally log` lists what there is.") from None
    if stored.type in UNCORRECTABLE:
        raise Refused(
            f"Event #{seq} is {stored.type}: what depends on it must be able to rely on it, so it stays as it is.",
            "What can be corrected is what was said about pipelines, runs, models, decisions and promotions.",
        )
    if stored.data is None:
        raise Damaged(
            f"The body of event #{seq} is not here, so nothing follows from it that could be set aside.",
            "`tally verify` says whether it was erased or is missing.",
        )
    # Whether it counts is looked up and held: of two corrections at once only one is recorded.
    entity = f"correction:{seq}"
    last = ledger.log.last_seq_of(entity)
    if ledger.now().correction(seq) is not None:
        raise Refused(f"Event #{seq} does not count any more already.", f"tally story correction:{seq}")
    body = EventCorrected(correction=str(seq), event=stored.id.hex(), type=stored.type, reason=reason)
    return ledger.append(Draft(body, cause=(stored.id.hex(),)), expected={entity: last}, sign=True)
