"""What the gates of a model may rest on: everything recorded of it that counts, and what was set aside.

An event that was corrected or erased is no evidence. A gate that rested on it is open again, and says which event is
missing: otherwise taking a bad month out of the record would be a way to pass.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from tallystick.ledger.errors import TallyError
from tallystick.ledger.events import types as say
from tallystick.ledger.events.approval import check_approval
from tallystick.ledger.events.event import Event
from tallystick.ledger.events.unknown import is_unknown
from tallystick.ledger.query.evidence import ErasedEvent
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.entities import LookState, ModelState, ReproductionState, RunState
from tallystick.pipeline.config.canonical import configuration_in
from tallystick.pipeline.leakage.questions import Given, recorded_answers
from tallystick.pipeline.records.run_record import RunRecord, withdrawn_words

JUDGED = (say.WindowDescribed, say.WindowEvaluated)
RESTS_ON: dict[str, tuple[type[say.Body], ...]] = {
    "beats_reference_in": JUDGED,
    "worst_window_gain": JUDGED,
    "calibration_in_large": JUDGED,
    "optimism_gap": (say.OptimismMeasured,),
    "leakage": (say.LeakageChecked, say.QuestionAnswered),
    "reproduced": (say.RunReproduced, say.CandidateTried),
    "final_test": (say.FinalLooked, say.FinalEvaluated),
    "approved_by": (say.DecisionApproved,),
}
"""Gate -> the events that it is judged by."""
EVIDENCE = frozenset(kind.TYPE for kinds in RESTS_ON.values() for kind in kinds)
"""Their types."""


class Withdrawn(NamedTuple):
    """An event that was evidence and does not count any more."""

    seq: int
    since: int
    """Position of the event that set it aside or erased it: what is recorded later is new evidence."""
    words: str
    """``#50 was set aside on 2013-07-01 by ann``."""


class GateEvidence(NamedTuple):
    """What is recorded of one candidate, as far as a gate may ask."""

    candidate: str
    reference: str
    gains: Mapping[str, float | None]
    """By complete window; None where it has no number."""
    calibration: Mapping[str, float | None]
    """Mean prediction minus observed rate, by complete window."""
    optimism: say.OptimismMeasured | None
    leakage: say.LeakageChecked | None
    run: str
    model: str
    reproduction: ReproductionState | None
    looks: Sequence[LookState]
    """At the sealed windows of the pipeline, whichever model they were for."""
    budget: int
    approvals: Mapping[str, str]
    """Verifier key -> name of each person who signed the model, or the decision that chose it."""
    leak_answers: Mapping[str, Sequence[Given]] = {}
    """Recorded answers to questions of the leakage checks, by feature."""
    withdrawn: Mapping[str, Sequence[Withdrawn]] = {}
    """Gate -> events it rested on that do not count any more."""
    metric: str = ""
    """What gains are counted in; empty where nobody asks."""
    lost_windows: Sequence[str] = ()
    """Labels of windows that the run judged and of which something does not count any more."""
    unsteady: str | None = None
    """The sentence that says so, where it answers differently each time that it is fitted."""


class Measured(NamedTuple):
    """What a run has found out and is about to record in the same commit as the gates."""

    optimism: Sequence[say.OptimismMeasured]
    leakage: say.LeakageChecked


def judged_run(now: Snapshot, model: ModelState) -> RunState:
    """The newest finished run that arrived at this model and is no experiment; else the run that made it."""
    made = now.run(model.made_by_run)
    own = [run for run in now.runs() if run.status == "finished" and (run.model == model.model or run.run == made.run)]
    serious = [run for run in own if not run.experiment]
    return serious[-1] if serious else made


def evidence_of(
    now: Snapshot,
    record: RunRecord,
    model: str,
    candidate: str,
    *,
    measured: Measured | None = None,
    signed_events: Sequence[int] = (),
) -> GateEvidence:
    """Gather what counts of a candidate in a run.

    Parameters
    ----------
    model : str
        Name of its model, which need not be recorded yet.
    measured : Measured, optional
        What is about to be recorded in the same commit; by default what is recorded.
    signed_events : sequence of int
        Events whose signatures count as approvals of the model.
    """
    run = record.state
    complete = [label for label, window in record.windows.items() if window.complete]
    judged = {label: record.evaluations.get((label, candidate)) for label in complete}
    configuration = configuration_in(record.registered)
    optimism = record.optimism if measured is None else measured.optimism
    same_result = _same_result(now, run)
    again = [state for state in now.reproductions() if state.run in same_result]
    ids = {now.event(seq).id.hex() for seq in signed_events}
    return GateEvidence(
        candidate=candidate,
        reference=configuration.reference,
        gains={label: found.gain if found else None for label, found in judged.items()},
        calibration={label: _metric(found, "calibration_in_large") for label, found in judged.items()},
        optimism=next((item for item in optimism if item.candidate == candidate), None),
        leakage=leakage_of(now, run.run) if measured is None else measured.leakage,
        run=run.run,
        model=model,
        reproduction=again[-1] if again else None,
        looks=[look for look in now.looks() if look.pipeline == run.pipeline],
        budget=configuration.time.final.looks,
        approvals=_approvals_of(now, ids),
        leak_answers=recorded_answers(now, run.pipeline),
        withdrawn=_withdrawn(now, record, model, {candidate, configuration.reference}, same_result, ids),
        metric=configuration.selection.metric,
        lost_windows=_lost_windows(record, candidate),
        unsteady=record.unsteady.get(candidate),
    )


def approvals_of(now: Snapshot, signed_events: Sequence[int]) -> dict[str, str]:
    """Who signed one of these events: verifier key -> name; signatures that do not hold do not count."""
    return _approvals_of(now, {now.event(seq).id.hex() for seq in signed_events if not is_unknown(seq)})


def _approvals_of(now: Snapshot, ids: Collection[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    if not ids:
        return found
    log_keys = [identity.key.public for identity in now.identities]
    origins = [identity.key.name for identity in now.identities]
    for entry in now.counted_events(types=[say.DecisionApproved.TYPE]):
        body: say.DecisionApproved = entry.event.body
        if body.event not in ids:
            continue
        try:
            check_approval(body, origins, log_keys)
        except TallyError:
            continue  # `tally verify` names it; here it is simply nobody's word
        found[body.approver_key] = body.approver
    return found


def _metric(judged: say.WindowEvaluated | None, name: str) -> float | None:
    return judged.metrics[name].value if judged and name in judged.metrics else None


def leakage_of(now: Snapshot, run: str) -> say.LeakageChecked | None:
    """The leakage checks of a run; None where none count."""
    found = now.counted_events(types=[say.LeakageChecked.TYPE], names=[run])
    bodies = [body for entry in found if isinstance(body := entry.event.body, say.LeakageChecked)]
    return next((body for body in reversed(bodies) if body.run == run), None)


def _same_result(now: Snapshot, run: RunState) -> set[str]:
    """Runs whose repetition says as much about this one."""
    return {
        state.run
        for state in now.runs()
        if state.run == run.run or (run.result_hash is not None and state.result_hash == run.result_hash)
    }


def _lost_windows(record: RunRecord, candidate: str) -> list[str]:
    """Windows that the run set out to judge, and whose rows or evaluation of a candidate do not count (any more)."""
    if record.started is None:
        return []
    described = {label: record.windows.get(label) for label in record.started.windows}
    return [
        label
        for label, window in described.items()
        if window is None or (window.complete and (label, candidate) not in record.evaluations)
    ]


def _withdrawn(
    now: Snapshot,
    record: RunRecord,
    model: str,
    candidates: Collection[str],
    same_result: Collection[str],
    signed: Collection[str],
) -> dict[str, list[Withdrawn]]:
    """Gate -> what it rested on and does not count any more."""

    def concerns(body: object) -> bool:
        match body:
            case say.WindowEvaluated() | say.OptimismMeasured() | say.CandidateTried():
                return body.run == record.state.run and body.candidate in candidates
            case say.WindowDescribed() | say.LeakageChecked() | say.QuestionAnswered():
                return body.run == record.state.run
            case say.RunReproduced():
                return body.run in same_result
            case say.FinalLooked() | say.FinalEvaluated():
                return body.model == model
            case say.DecisionApproved():
                return body.event in signed
        return False

    found: dict[str, list[Withdrawn]] = {}
    gone: list[tuple[str, Withdrawn]] = []
    for state in now.corrections():
        event = now.event(int(state.correction))
        if event.type in EVIDENCE and isinstance(event.content, Event) and concerns(event.content.body):
            gone.append((event.type, Withdrawn(event.seq, state.seq, withdrawn_words(event, now.zone))))
    for item in now.erased(EVIDENCE):
        if _may_concern(item, record, model, same_result):
            words = withdrawn_words(item.event, now.zone)
            gone.append((item.event.type, Withdrawn(item.event.seq, item.erasure.redaction, words)))
    for event_type, withdrawn in sorted(gone, key=lambda pair: pair[1].seq):
        for gate, kinds in RESTS_ON.items():
            if event_type in {kind.TYPE for kind in kinds}:
                found.setdefault(gate, []).append(withdrawn)
    return found


def _may_concern(item: ErasedEvent, record: RunRecord, model: str, same_result: Collection[str]) -> bool:
    """Whether an erased event may have been evidence of a run or its model; what nobody can rule out, may."""
    known = item.refers_to
    if known is None:
        return item.event.seq > record.began
    run, named = known.get("run", record.state.run), known.get("model", model)
    match item.event.type:
        case say.RunReproduced.TYPE:
            return run in same_result
        case say.FinalLooked.TYPE | say.FinalEvaluated.TYPE:
            return named == model
        case say.DecisionApproved.TYPE:
            return known.get("decision", record.state.decision) == record.state.decision
    return run == record.state.run
