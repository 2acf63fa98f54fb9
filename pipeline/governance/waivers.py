"""Waivers: a gate excused by name, for one model, by somebody who answers for it, for a time that ends.

A waiver ends by itself: from its last moment on the gate counts again, without any event. That is worked out wherever
it is asked, from the moment that the answer is about (:attr:`ledger.query.snapshot.Snapshot.moment`).
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tallystick.ledger import Appended
from tallystick.ledger.errors import InvalidInput, NotFound, Refused
from tallystick.ledger.events import types as say
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.event import Event
from tallystick.ledger.events.sentences import count
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.entities import GateState, ModelState, WaiverState
from tallystick.pipeline.config.canonical import configuration_of
from tallystick.pipeline.config.durations import parse_span
from tallystick.pipeline.config.gate_rules import GATE_NAMES
from tallystick.pipeline.config.settings import WaiverRule
from tallystick.pipeline.governance.gates import standing

SHORTEST_REASON = 20
"""Characters."""
LONGEST_DAYS = 90
FINAL_LOOKS, VALIDITY = "final_test_looks", "validity"
BESIDE_GATES = (FINAL_LOOKS, VALIDITY)
"""What can be waived beside the gates of promotion: another look at the sealed windows; predictions outside the
validity."""


class Expired(NamedTuple):
    """A gate that a champion stood on a waiver for, and that counts again."""

    gate: GateState
    sentence: str


def in_force(now: Snapshot, model: str, name: str) -> WaiverState | None:
    """The waiver that excuses a model from one gate at the moment of a snapshot, the newest where several do."""
    found = [state for state in now.waivers_in_force(model) if state.name == name]
    return found[-1] if found else None


def excusing(now: Snapshot, model: str, name: str) -> WaiverState | None:
    """The newest waiver in force that people of this ledger gave; what was excused elsewhere opens no gate here."""
    found = [state for state in now.waivers_in_force(model) if state.name == name]
    return next((state for state in reversed(found) if not now.event(state.seq).imported), None)


def that_weigh(now: Snapshot) -> list[WaiverState]:
    """Waivers in force; those of retired models excuse nothing that decides, and are left out."""
    retired = {model.model for model in now.models() if model.status == "retired"}
    return [state for state in now.waivers_in_force() if state.model not in retired]


def longest(rule: WaiverRule | None) -> dt.timedelta:
    """How long a waiver may last under a configuration."""
    if rule is None:
        return dt.timedelta(days=LONGEST_DAYS)
    return dt.timedelta(microseconds=parse_span(rule.longest).exact_micros("longest"))


def refuse_unfit(
    *, reason: str, owner: str, approver: str, at: dt.datetime, until: dt.datetime, most: dt.timedelta
) -> None:
    """What every waiver must have, whoever asks for it.

    Raises
    ------
    Refused
        With every reason at once, in words.
    """
    wrong = []
    if len(" ".join(reason.split())) < SHORTEST_REASON:
        wrong.append(f"its reason has fewer than {SHORTEST_REASON} characters, which explains nothing in a year")
    if not owner.strip() or not approver.strip():
        wrong.append("it needs an owner, who answers for it, and an approver")
    elif owner.strip().casefold() == approver.strip().casefold():
        wrong.append(f"{owner.strip()} cannot approve what they answer for themselves; it takes another person")
    if until <= at:
        wrong.append(f"it would end on {until:%Y-%m-%d}, which is over already")
    elif until - at > most:
        days = most / dt.timedelta(days=1)
        wrong.append(f"it would last until {until:%Y-%m-%d}, longer than {days:g} days: an exception has an end")
    if wrong:
        raise Refused(
            f"This waiver is refused: {'; '.join(wrong)}.",
            "Nothing was recorded. What cannot be fixed in time is a reason to change the configuration, which says "
            "why, or to keep the present champion.",
        )


def waive(
    book: Ledger,
    gate: str,
    model_name: str,
    *,
    reason: str,
    owner: str,
    approver: str,
    until: dt.datetime,
    evidence: str | None,
    ends_when: str | None,
) -> tuple[say.WaiverGranted, Appended]:
    """Excuse a model from one gate until a moment; renewals are counted.

    Raises
    ------
    NotFound
        For a model or gate that does not exist.
    Refused
        For a gate that passed, or a waiver that lacks something.
    """
    now = book.now()
    model = now.model(model_name)
    _, outcomes, news = standing(now, model)
    most = longest(configuration_of(now, model.pipeline).waivers)
    outcome = next((item for item in outcomes if item.name == gate), None)
    if outcome is None and gate not in BESIDE_GATES:
        names = ", ".join((*(item.name for item in outcomes), *BESIDE_GATES))
        asked = " in the configuration of its run" if gate in GATE_NAMES else ""
        raise NotFound(f"{model.model} has no gate {gate!r}{asked}.", f"There are {names}.")
    if outcome is not None and outcome.verdict == "passed":
        raise Refused(f"Gate {gate} of {model.model} passed: {outcome.sentence}", "There is nothing to waive.")
    refuse_unfit(reason=reason, owner=owner, approver=approver, at=now.moment, until=until, most=most)
    earlier = _granted_before(now, f"{model.model}/{gate}")
    body = say.WaiverGranted(
        waiver=f"{model.model}/{gate}/{earlier + 1}",
        gate=f"{model.model}/{gate}",
        name=gate,
        model=model.model,
        pipeline=model.pipeline,
        reason=reason.strip(),
        owner=owner.strip(),
        approver=approver.strip(),
        until=until.astimezone(dt.UTC),
        ends_when=ends_when,
        evidence=evidence,
        renewal=earlier,
    )
    own = [Draft(item) for item in news if item.name == gate]
    described = [now.event(model.made_by_event).id.hex()]
    appended = book.append(
        *own,
        Draft(body, cause=tuple(described)),
        expected={f"waiver:{body.waiver}": None},
        sign=True,
    )
    return body, appended


def _granted_before(now: Snapshot, gate: str) -> int:
    """How often a gate of a model was waived at most, with waivers that were set aside or erased: their names are
    taken, too."""
    recorded = now.events(types=[say.WaiverGranted.TYPE])
    erased = sum(item.may_be("gate", gate) for item in now.erased([say.WaiverGranted.TYPE]))
    known = [found.content.body for found in recorded if isinstance(found.content, Event)]
    return erased + sum(bool(body.gate == gate) for body in known)


def end(book: Ledger, name: str, reason: str) -> tuple[WaiverState, Appended]:
    """Take a waiver back before its time.

    Raises
    ------
    NotFound
        Where there is none in force by that name: a waiver, or a gate of a model (``v1/optimism_gap``).
    """
    now = book.now()
    name = name.removeprefix("waiver:").removeprefix("gate:")
    found = [state for state in now.waivers_in_force() if name in (state.waiver, state.gate)]
    if not found:
        names = ", ".join(state.waiver for state in now.waivers_in_force()) or "none"
        raise NotFound(f"There is no waiver {name!r} in force.", f"In force: {names}.")
    state = found[-1]
    if not reason.strip():
        raise InvalidInput("Taking a waiver back needs a reason.")
    body = say.WaiverEnded(
        waiver=state.waiver, gate=state.gate, model=state.model, pipeline=state.pipeline, reason=reason.strip()
    )
    granted = now.event(state.seq).id.hex()
    entity = f"waiver:{state.waiver}"
    appended = book.append(Draft(body, cause=(granted,)), expected={entity: book.log.last_seq_of(entity)}, sign=True)
    return state, appended


def expired_under(now: Snapshot, model: ModelState, zone: ZoneInfo) -> list[Expired]:
    """Gates of a champion that do not hold and are excused no more, each with what to do; days as in ``zone``."""
    moment, found = now.moment, []
    waivers = {state.gate: state for state in now.waivers() if state.model == model.model}
    for gate in now.gates():
        if gate.model != model.model or gate.stands(moment) or gate.gate not in waivers:
            continue
        last = waivers[gate.gate]
        ended = (
            f"was taken back on {_day(last.ended_at, zone)}" if last.ended_at else f"ended on {_day(last.until, zone)}"
        )
        sentence = (
            f"{model.model} rests on waiver {last.waiver}, which {ended}: gate {gate.name} counts again. "
            f"{gate.sentence} Renew it with a reason, promote another model, or retire this one."
        )
        found.append(Expired(gate, sentence))
    return found


def waiver_words(state: WaiverState, moment: dt.datetime, zone: ZoneInfo) -> str:
    """A waiver in one sentence, with how long it still holds; days as in ``zone``."""
    left = (state.until - moment) / dt.timedelta(days=1)
    ordinal = f", renewed {count(state.renewal, 'time')}" if state.renewal else ""
    early = f"; ends earlier when {state.ends_when}" if state.ends_when else ""
    return (
        f"gate {state.name} of {state.model} is waived until {_day(state.until, zone)} "
        f"({left:.0f} days left{ordinal}), {state.owner} answers for it, approved by {state.approver}: "
        f"“{state.reason}”{early}"
    )


def _day(moment: dt.datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d}"
