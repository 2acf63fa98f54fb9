"""What programs before this one did, and what their ledgers therefore hold for ever."""

from __future__ import annotations

from tallystick.ledger import Appended, Ledger
from tallystick.ledger.amend.correction import JUDGED_ANEW, correct
from tallystick.ledger.amend.undoing import DECISIONS
from tallystick.ledger.events import types as say
from tallystick.ledger.events.encoding import Draft


def set_aside(book: Ledger, seq: int, reason: str) -> Appended:
    """Correct any event; also a decision, which is undone by a new decision today, and the verdict of a gate."""
    stored = book.log.event(seq)
    if stored.type not in DECISIONS | JUDGED_ANEW or book.now().correction(seq) is not None:
        return correct(book, seq, reason)
    body = say.EventCorrected(correction=str(seq), event=stored.id.hex(), type=stored.type, reason=reason)
    return book.append(Draft(body, cause=(stored.id.hex(),)), sign=True)


def redact(book: Ledger, seq: int, reason: str, authority: str) -> Appended:
    """Erase an event without keeping what it referred to."""
    from unittest import mock

    from tallystick.ledger.amend import redaction

    def before(**said: object) -> say.EventRedactedV1:
        return say.EventRedactedV1(**{name: said[name] for name in say.EventRedactedV1.__struct_fields__})  # type: ignore[arg-type]

    with mock.patch.object(redaction, "EventRedacted", before):
        done = redaction.redact(book, seq, reason, authority)
    assert done.appended is not None
    return done.appended
