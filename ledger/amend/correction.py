"""Corrections: an event that should not have been recorded is set aside by another, and never taken away.

From the correction on, everything is believed as if the event had not been recorded; before it, nothing changes. A
correction is an event like others and can be corrected, which brings back what it had set aside. What can be corrected
is evidence. Decisions of people are undone by new ones; ledgers in which an earlier program corrected one keep that.
"""

from __future__ import annotations

from tallystick.ledger.amend.redaction import KEPT
from tallystick.ledger.amend.undoing import DECISIONS, undone_by
from tallystick.ledger.errors import Damaged, NotFound, Refused
from tallystick.ledger.events import types as say
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.types import EventCorrected
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.storage.append import Appended

JUDGED_ANEW = frozenset({say.GateEvaluated.TYPE})
"""What follows from evidence: the evidence can be corrected, and the verdict is found again."""
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
    if stored.type in JUDGED_ANEW:
        raise Refused(
            f"Event #{seq} is {stored.type}: it follows from evidence, and a gate is judged anew whenever it counts.",
            f"Correct the evidence that it rests on; `tally show '#{seq}'` names the run.",
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
    if stored.type in DECISIONS:
        now = ledger.now()
        raise Refused(
            f"Event #{seq} is {stored.type}: a decision is undone by a new decision, and never by a correction.",
            undone_by(now, now.event(seq)),
        )
    body = EventCorrected(correction=str(seq), event=stored.id.hex(), type=stored.type, reason=reason)
    return ledger.append(Draft(body, cause=(stored.id.hex(),)), expected={entity: last}, sign=True)
