"""Decisions of people, and the new decision that undoes each: a correction undoes none of them.

A correction says that a record was wrong, and what followed from it never was. A decision did happen, whether it was
right or not; taking it out of the record could bring back a champion, a waiver or an approval that nobody decided on.
"""

from __future__ import annotations

from tallystick.ledger.events import types as say
from tallystick.ledger.events.event import Event
from tallystick.ledger.query.evidence import RecordedEvent
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.entities import ModelState

DECISIONS = frozenset(
    body.TYPE
    for body in (
        say.ModelPromoted, say.PromotionDecided, say.ModelRetired, say.WaiverGranted, say.WaiverEnded,
        say.DecisionApproved, say.AutomationChanged,
    )
)  # fmt: skip


def undone_by(now: Snapshot, decision: RecordedEvent) -> str:  # noqa: PLR0911 - one kind of decision a line
    """The command that undoes a decision, to be given as it stands; or that nothing rests on it any more."""
    reason = f"--reason 'undoes #{decision.seq}'"
    match decision.content.body if isinstance(decision.content, Event) else None:
        case say.ModelPromoted(model=model) | say.PromotionDecided(model=model, kind="promotion" | "rollback"):
            return _retire(now, model, reason)
        case say.ModelRetired(model=model) | say.PromotionDecided(model=model):
            return f"A new promotion, if the gates let it through: tally promote {model} {reason}"
        case say.WaiverGranted(waiver=waiver):
            if any(state.waiver == waiver for state in now.waivers_in_force()):
                return f"Take it back: tally waive {waiver} --end {reason}"
            return f"It is not in force any more: tally story waiver:{waiver}"
        case say.WaiverEnded(gate=gate, model=model):
            name = gate.removeprefix(f"{model}/")
            return f"A new waiver, with owner, approver and end: tally waive {name} --model {model} …"
        case say.AutomationChanged(pipeline=pipeline, level=level, before=before):
            if level == "manual":
                return f"Once it is earned again: tally automation {pipeline} --unlock {before} {reason}"
            return _lock(now, pipeline, reason)
        case say.DecisionApproved(event=approved):
            return _unapproved(now, approved, reason)
    return f"tally show '#{decision.seq}' says what it was."


def _retire(now: Snapshot, model: str, reason: str) -> str:
    if _status(now, model) == "retired":
        return f"{model} is retired already: tally story model:{model}"
    return f"Take {model} out of use: tally retire {model} {reason}"


def _lock(now: Snapshot, pipeline: str, reason: str) -> str:
    if any(state.automation == pipeline and state.level == "manual" for state in now.automations()):
        return f"It is at level manual again: tally automation {pipeline}"
    return f"Give it back to people: tally automation {pipeline} --lock {reason}"


def _unapproved(now: Snapshot, approved: str, reason: str) -> str:
    seq = now.positions([approved]).get(approved)
    content = None if seq is None else now.event(seq).content
    match content.body if isinstance(content, Event) else None:
        case say.PeriodMonitored(pipeline=pipeline):
            return _lock(now, pipeline, reason)
        case say.CandidateRefitted(model=str(model)) | say.DecisionTaken(model=str(model)):
            return _retire(now, model, reason)
        case say.PromotionDecided(model=model, kind="promotion" | "rollback"):
            return _retire(now, model, reason)
    return "Nothing rests on this approval."


def _status(now: Snapshot, model: str) -> str | None:
    found = now.find(f"model:{model}")
    return found.status if isinstance(found, ModelState) else None
