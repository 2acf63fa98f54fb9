"""What the app can append: for each action what must be said, the event that it would be, and how it is recorded.

The app changes nothing that is there; each of these adds one event, which is shown before it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tallystick import ledger
from tallystick.ledger.amend.correction import UNCORRECTABLE, correct
from tallystick.ledger.errors import InvalidInput, NotFound, Refused
from tallystick.ledger.events.approval import approval_event, sign_approval
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.event import encode_canonical
from tallystick.ledger.events.types import Body, EventCorrected, WaiverGranted
from tallystick.ledger.views.entities import DecisionState, GateState
from tallystick.tui.app.screens.dialogs import Field

Values = dict[str, str]


class Action(NamedTuple):
    """One thing that can be appended about what is selected."""

    title: str
    words: str
    fields: list[Field]
    preview: Callable[[ledger.Ledger, Values], Body]
    """The event as it would be; raises where it would be refused."""
    record: Callable[[ledger.Ledger, Values], int]
    """Append it; the number of the commit."""


def preview_text(body: Body) -> str:
    """The event for people: its type and fields."""
    import msgspec

    pretty = msgspec.json.format(encode_canonical(body), indent=2).decode()
    return f"{body.TYPE}\n{pretty}"


def correction(book: ledger.Ledger, handle: str) -> Action:
    """Say that an event does not count any more."""
    seq = _event_of(book, handle)
    stored = book.now().event(seq)
    if stored.type in UNCORRECTABLE:
        raise Refused(f"Event #{seq} is {stored.type}: others rely on it, so it stays as it is.")

    def preview(now: ledger.Ledger, values: Values) -> Body:
        if now.now().correction(seq) is not None:
            raise Refused(f"Event #{seq} does not count any more already.")
        return EventCorrected(correction=str(seq), event=stored.id.hex(), type=stored.type, reason=values["reason"])

    def record(now: ledger.Ledger, values: Values) -> int:
        return correct(now, seq, values["reason"]).n

    words = f"From then on this does not count any more; at earlier dates it stays as it was: {stored.sentence}"
    return Action(f"Correct #{seq}", words, [Field("reason", "why, in words that will be read in a year")], preview,
                  record)  # fmt: skip


def approval(book: ledger.Ledger, handle: str) -> Action:
    """Sign a decision or an event with one's own key."""
    from tallystick.ledger.tlog.personal_key import personal_signer

    seq = _event_of(book, handle)
    stored = book.now().event(seq)

    def body_of(now: ledger.Ledger, values: Values) -> Body:
        signer, _ = personal_signer(values["name"], [identity.key.public for identity in now.identities])
        note = sign_approval(now.origin, stored.id.hex(), signer)
        return approval_event(note, signer.verifier, stored.id.hex(), now.now().event(seq).event.body)

    def record(now: ledger.Ledger, values: Values) -> int:
        return now.append(Draft(body_of(now, values), cause=(stored.id.hex(),)), sign=True).n

    words = f"Signed with your own key, which is made where you have none: {stored.sentence}"
    return Action(f"Approve #{seq}", words, [Field("name", "in whose name you sign", book.recorder.actor)], body_of,
                  record)  # fmt: skip


def waiver(book: ledger.Ledger, handle: str) -> Action:
    """Excuse a model from one gate for a time."""
    from tallystick.pipeline.config.canonical import configuration_of
    from tallystick.pipeline.governance import waivers

    gate = book.now().find(handle)
    if not isinstance(gate, GateState):
        raise InvalidInput(f"{handle} is not a gate.", "Open a run, go to one of its gates, and press W there.")

    def arguments(now: ledger.Ledger, values: Values) -> dict[str, Any]:
        until = _until(now, values["until"])
        return {"reason": values["reason"], "owner": values["owner"], "approver": values["approver"], "until": until,
                "evidence": None, "ends_when": None}  # fmt: skip

    def preview(now: ledger.Ledger, values: Values) -> Body:
        said = arguments(now, values)
        snapshot = now.now()
        if gate.verdict == "passed":
            raise Refused(f"Gate {gate.name} of {gate.model} passed: {gate.sentence}", "There is nothing to waive.")
        configuration = configuration_of(snapshot, gate.pipeline)
        waivers.refuse_unfit(
            reason=said["reason"], owner=said["owner"], approver=said["approver"], until=said["until"],
            at=now.clock(), most=waivers.longest(configuration.waivers),
        )  # fmt: skip
        earlier = [state for state in snapshot.waivers() if state.gate == gate.gate]
        return WaiverGranted(waiver=f"{gate.gate}/{len(earlier) + 1}", gate=gate.gate, name=gate.name,
                             model=gate.model, pipeline=gate.pipeline, renewal=len(earlier), **said)  # fmt: skip

    def record(now: ledger.Ledger, values: Values) -> int:
        _, appended = waivers.waive(now, gate.name, gate.model, **arguments(now, values))
        return appended.n

    fields = [
        Field("reason", "why, in at least 20 characters"),
        Field("owner", "who answers for it", book.recorder.actor),
        Field("approver", "who agreed; another person than the owner"),
        Field("until", "the last day on which it counts: 2026-12-31"),
    ]
    words = f"Until then this gate does not block: {gate.sentence}"
    return Action(f"Waive {gate.name} of {gate.model}", words, fields, preview, record)


def _until(book: ledger.Ledger, text: str) -> Any:
    from tallystick.ledger.query.as_of import parse_period

    return parse_period(text, book.zone)[1]


ACTIONS: dict[str, Callable[[ledger.Ledger, str], Action]] = {
    "correct": correction,
    "approve": approval,
    "waive": waiver,
}


def _event_of(book: ledger.Ledger, handle: str) -> int:
    if handle.startswith("#"):
        return int(handle[1:].partition("-")[0])
    state = book.now().find(handle)
    if isinstance(state, DecisionState):
        return state.described_by
    if state is None:
        raise NotFound(f"There is no {handle!r}.", "Select an event or a decision first.")
    raise InvalidInput(f"{handle} is not an event.", "Select an event or a decision: 4 shows the events.")
