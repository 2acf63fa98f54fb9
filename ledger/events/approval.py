"""Approvals: a person signs the id of an event with their own key, in a note that stands apart from the log.

    tallystick.approval/1
    <origin of the ledger>
    <id of the event, 64 hexadecimal digits>

    — <name of the person> <signature>

Who keeps the log can append what they like, but not sign in the name of somebody else. That is worth something only
while the two keys are in different hands, so an approval by the log's own key is none.
"""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.ledger.errors import Damaged, InvalidInput, Refused
from tallystick.ledger.events.types import DecisionApproved, DecisionTaken
from tallystick.ledger.tlog.key_store import Signer
from tallystick.ledger.tlog.note import Note, VerifierKey, verify_note

FIRST_LINE = "tallystick.approval/1"


def approval_text(origin: str, event_id: str) -> str:
    """What is signed."""
    return f"{FIRST_LINE}\n{origin}\n{event_id}\n"


def sign_approval(origin: str, event_id: str, signer: Signer) -> str:
    """The detached note."""
    text = approval_text(origin, event_id)
    return Note(text, (signer.sign(text),)).format()


def approval_event(note: str, key: VerifierKey, event_id: str, body: object) -> DecisionApproved:
    """The event that keeps an approval of another event."""
    return DecisionApproved(
        decision=body.decision if isinstance(body, DecisionTaken) else None,
        event=event_id,
        approver=key.name,
        approver_key=key.format(),
        approval=note,
    )


def check_approval(body: DecisionApproved, origins: Sequence[str], log_keys: Sequence[bytes]) -> None:
    """Check one approval.

    Raises
    ------
    InvalidInput, Damaged
        When it is no note, is of another ledger or event, or its signature does not fit.
    Refused
        When it was signed with the log's own key.
    """
    key = VerifierKey.parse(body.approver_key)
    if key.public in log_keys:
        raise Refused("It is signed with the log's own key, so it is nobody else's word.")
    if key.name != body.approver:
        raise InvalidInput(f"Its key belongs to {key.name}.")
    note = Note.parse(body.approval)
    if note.text not in [approval_text(origin, body.event) for origin in origins]:
        raise Damaged("Its note is about something else.")
    verify_note(note, (key,))
