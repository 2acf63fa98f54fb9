"""Gates: a model held against what its pipeline asked for, before anybody saw how it does.

Thresholds come from the configuration that the run registered, never from a newer file. Each gate is a pure function
of its threshold and of recorded evidence to *passed*, *failed* or *open* (what it asks for has not been done), with
the number and a sentence. Open holds a promotion back as failed does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, cast

from tallystick.ledger.errors import TallyError
from tallystick.ledger.events import types as say
from tallystick.ledger.events.approval import check_approval
from tallystick.ledger.events.sentences import count
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.storage.entries import entries
from tallystick.ledger.views.entities import GateState, LookState, ModelState, ReproductionState, RunState
from tallystick.ledger.views.entities.pipelines import PIPELINES, PipelineState
from tallystick.pipeline.config.canonical import configuration_in, meaning_in
from tallystick.pipeline.config.diff import config_changes
from tallystick.pipeline.config.gate_rules import (
    EVERY_WINDOW,
    GATE_NAMES,
    parse_share,
    parse_standard_errors,
    threshold_words,
)
from tallystick.pipeline.config.settings import (
    ApprovedByGate,
    AtLeast,
    AtMost,
    FinalTestGate,
    Gates,
    ReproducedGate,
    Setting,
    WindowShare,
)
from tallystick.pipeline.records.run_record import Record, record_of

Verdict = Literal["passed", "failed", "open"]


class Evidence(NamedTuple):
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


class Outcome(NamedTuple):
    """How a model stands at one gate."""

    name: str
    verdict: Verdict
    value: float | None
    threshold: str
    facts: dict[str, Any]
    sentence: str


Judgement = tuple[Verdict, float | None, dict[str, Any], str]


def judge(gates: Gates, evidence: Evidence) -> list[Outcome]:
    """Every gate that a configuration asks for, in the order of the list below."""
    return [
        Outcome(name, verdict, value, threshold_words(rule), facts, sentence)
        for name, rule, (verdict, value, facts, sentence) in _judgements(gates, evidence)
    ]


# The gates -------------------------------------------------------------------------------------------------


def _known(values: Mapping[str, float | None]) -> dict[str, float]:
    return {label: value for label, value in values.items() if value is not None}


def _wins(rule: WindowShare, evidence: Evidence) -> Judgement:
    known = _known(evidence.gains)
    total = len(evidence.gains)
    lost = {label: gain for label, gain in known.items() if gain <= 0.0}
    won = len(known) - len(lost)
    share = parse_share(rule.at_least)
    needed = total if share is None else share.won
    facts = {"won": won, "windows": total, "needed": needed, "lost": lost}
    if not total:
        return "open", None, facts, "No window is complete, so nothing was compared with the reference."
    sentence = (
        f"{evidence.candidate} was better than {evidence.reference} in {won} of {count(total, 'window')}; "
        f"{EVERY_WINDOW if share is None else f'{needed} of {total}'} is asked for."
    )
    if lost:
        sentence += f" Not in {', '.join(f'{label} ({gain:+.1%})' for label, gain in lost.items())}."
    return ("passed" if won >= needed else "failed"), float(won), facts, sentence


def _worst(rule: AtLeast, evidence: Evidence) -> Judgement:
    known = _known(evidence.gains)
    least = rule.at_least
    if not known:
        return "open", None, {}, "No window is complete, so there is no worst one."
    label = min(known, key=lambda name: (known[name], name))
    worst = known[label]
    sentence = (
        f"The worst window of {evidence.candidate} is {label}, with {worst:+.1%} against {evidence.reference}; "
        f"at least {least:+.1%} is asked for."
    )
    return ("passed" if worst >= least else "failed"), worst, {"window": label, "gain": worst}, sentence


def _optimism(rule: AtMost, evidence: Evidence) -> Judgement:
    most, measured = rule.at_most, evidence.optimism
    if measured is None or measured.mean_gap is None:
        return "open", None, {}, f"What a random split would promise of {evidence.candidate} was not measured."
    metric = rule.metric or measured.metric
    if metric != measured.metric:
        words = f"The gap was measured in {measured.metric}; the gate asks for {metric}."
        return "open", None, {"measured": measured.metric}, words
    gap = measured.mean_gap
    verb, allowed = ("flatters", "at most {} is allowed") if gap >= 0 else ("undersells", "it may flatter by {}")
    sentence = (
        f"A random split {verb} {evidence.candidate} by {abs(gap):.3f} {metric} on average over "
        f"{count(len(measured.windows), 'window')}; {allowed.format(f'{most:g}')}."
    )
    return ("passed" if gap <= most else "failed"), gap, {"metric": metric, "gap": gap}, sentence


def _calibration(rule: AtMost, evidence: Evidence) -> Judgement:
    known = _known(evidence.calibration)
    most = rule.at_most
    if not known:
        return "open", None, {}, f"How far predictions of {evidence.candidate} lie from what happened is not recorded."
    label = max(known, key=lambda name: (abs(known[name]), name))
    worst = known[label]
    over = sorted(name for name, value in known.items() if abs(value) > most)
    sentence = (
        f"In {label} {evidence.candidate} predicted {abs(worst):.3f} too {'much' if worst > 0 else 'little'} on "
        f"average, its largest distance from what happened; at most {most:g} is allowed."
    )
    if len(over) > 1:
        sentence += f" {len(over)} of {count(len(known), 'window')} are over it: {', '.join(over)}."
    facts = {"window": label, "difference": worst, "over": over}
    return ("passed" if abs(worst) <= most else "failed"), abs(worst), facts, sentence


def _leakage(evidence: Evidence) -> Judgement:
    checked = evidence.leakage
    if checked is None:
        return "open", None, {}, f"No leakage checks are recorded of run {evidence.run}."
    failed = [check.sentence for check in checked.checks if check.result == "fail"]
    to_look_at = [check.sentence for check in checked.checks if check.result == "look"]
    facts = {"result": checked.result, "checks": len(checked.checks)}
    if checked.result == "fail":
        return "failed", None, facts, f"{count(len(failed), 'leakage check')} failed: {' '.join(failed)}"
    sentence = f"{count(len(checked.checks), 'leakage check')}, none failed."
    if to_look_at:
        sentence += f" Worth a look: {' '.join(to_look_at)}"
    return "passed", None, facts, sentence


def _reproduced(rule: ReproducedGate, evidence: Evidence) -> Judgement:
    done = evidence.reproduction
    if done is None:
        return "open", None, {}, f"Run {evidence.run} has not been done again."
    facts = {"verdict": done.verdict, "reproduction": done.reproduction}
    sentence = f"Run {done.run} was done again: {done.verdict}. {done.sentence}".strip()
    if done.verdict == "cannot compare":
        return "open", done.largest_difference, facts, sentence
    near = (
        done.verdict == "equal"
        and done.largest_difference is not None
        and done.largest_difference <= rule.tolerance
        and not done.changed_decisions
    )
    enough = done.verdict == "identical" or (near and rule.must == "equal within tolerance")
    return ("passed" if enough else "failed"), done.largest_difference, facts, sentence


def _final(rule: FinalTestGate, evidence: Evidence) -> Judgement:
    own = [look for look in evidence.looks if look.model == evidence.model]
    most = parse_standard_errors(rule.drop_at_most)
    if not own:
        other = f", though it was looked at {count(len(evidence.looks), 'time')} for other models"
        words = f"The sealed windows were not looked at for {evidence.model}{other if evidence.looks else ''}."
        return "open", None, {"looks": len(evidence.looks)}, words
    shown = [look for look in own if look.sentence is not None]
    facts: dict[str, Any] = {"looks": len(evidence.looks), "own": len(own)}
    if not shown:
        return "failed", None, facts, f"Look {own[-1].look} was announced and never came to a result."
    # The first answer counts: a later one was asked for by somebody who had seen it.
    look = shown[0]
    unallowed = [item.look for item in own if item.number > item.budget and item.waiver is None]
    facts |= {"drop": look.drop, "gain": look.gain}
    if unallowed:
        return "failed", look.drop, facts, f"Looked at more often than allowed: {', '.join(unallowed)}."
    if look.drop is None:
        return "open", None, facts, f"{look.sentence} How far it fell cannot be said."
    sentence = f"{look.sentence} A fall of at most {most:g} standard errors is allowed."
    return ("passed" if look.drop <= most else "failed"), look.drop, facts, sentence


def _approved(rule: ApprovedByGate, evidence: Evidence) -> Judgement:
    names = sorted(evidence.approvals.values())
    least = rule.at_least
    signed = f" ({', '.join(names)})" if names else ""
    have = f"{'person has' if len(names) == 1 else 'people have'}"
    sentence = f"{len(names)} {have} signed {evidence.model} with keys of their own{signed}; {least} are asked for."
    # Who has not signed yet has not refused, so it is open and never failed.
    verdict: Verdict = "passed" if len(names) >= least else "open"
    return verdict, float(len(names)), {"approvals": names}, sentence


def _judgements(gates: Gates, evidence: Evidence) -> Iterator[tuple[str, Setting, Judgement]]:
    """Name, threshold and judgement of each gate that is asked for."""
    if gates.beats_reference_in is not None:
        yield "beats_reference_in", gates.beats_reference_in, _wins(gates.beats_reference_in, evidence)
    if gates.worst_window_gain is not None:
        yield "worst_window_gain", gates.worst_window_gain, _worst(gates.worst_window_gain, evidence)
    if gates.optimism_gap is not None:
        yield "optimism_gap", gates.optimism_gap, _optimism(gates.optimism_gap, evidence)
    if gates.calibration_in_large is not None:
        yield "calibration_in_large", gates.calibration_in_large, _calibration(gates.calibration_in_large, evidence)
    if gates.leakage is not None:
        yield "leakage", gates.leakage, _leakage(evidence)
    if gates.reproduced is not None:
        yield "reproduced", gates.reproduced, _reproduced(gates.reproduced, evidence)
    if gates.final_test is not None:
        yield "final_test", gates.final_test, _final(gates.final_test, evidence)
    if gates.approved_by is not None:
        yield "approved_by", gates.approved_by, _approved(gates.approved_by, evidence)


# Evidence --------------------------------------------------------------------------------------------------


def judged_run(now: Snapshot, model: ModelState) -> RunState:
    """The newest finished run that arrived at this model and is no experiment; else the run that made it."""
    made = now.run(model.made_by_run)
    own = [run for run in now.runs() if run.status == "finished" and (run.model == model.model or run.run == made.run)]
    serious = [run for run in own if not run.experiment]
    return serious[-1] if serious else made


def evidence_of(
    book: Ledger,
    now: Snapshot,
    record: Record,
    model: str,
    candidate: str,
    *,
    optimism: Sequence[say.OptimismMeasured] | None = None,
    leakage: say.LeakageChecked | None = None,
    signed_events: Sequence[int] = (),
) -> Evidence:
    """Gather what is recorded of a candidate in a run.

    Parameters
    ----------
    model : str
        Name of its model, which need not be recorded yet.
    optimism, leakage
        What is about to be recorded in the same commit; by default what is recorded.
    signed_events : sequence of int
        Events whose signatures count as approvals of the model.
    """
    run = record.state
    complete = [label for label, window in record.windows.items() if window.complete]
    judged = {label: record.evaluations.get((label, candidate)) for label in complete}
    configuration = configuration_in(record.registered)
    measured = record.optimism if optimism is None else optimism
    same_result = {
        state.run
        for state in now.runs()
        if state.run == run.run or (run.result_hash is not None and state.result_hash == run.result_hash)
    }
    again = [state for state in now.reproductions() if state.run in same_result]
    return Evidence(
        candidate=candidate,
        reference=configuration.reference,
        gains={label: found.gain if found else None for label, found in judged.items()},
        calibration={label: _metric(found, "calibration_in_large") for label, found in judged.items()},
        optimism=next((item for item in measured if item.candidate == candidate), None),
        leakage=leakage or _leakage_of(book, run, now.as_of.seq),
        run=run.run,
        model=model,
        reproduction=again[-1] if again else None,
        looks=[look for look in now.looks() if look.pipeline == run.pipeline],
        budget=configuration.time.final.looks,
        approvals=approvals_of(book, signed_events, now.as_of.seq),
    )


def _metric(judged: say.WindowEvaluated | None, name: str) -> float | None:
    return judged.metrics[name].value if judged and name in judged.metrics else None


def _leakage_of(book: Ledger, run: RunState, known: int) -> say.LeakageChecked | None:
    bodies = [
        entry.event.body for entry in entries(book.log, 0, known, frozenset({say.LeakageChecked.TYPE}))
        if entry.event.body.run == run.run
    ]  # fmt: skip
    return bodies[-1] if bodies else None


def approvals_of(book: Ledger, signed_events: Sequence[int], known: int) -> dict[str, str]:
    """Who signed one of these events: verifier key -> name; signatures that do not hold do not count."""
    ids = {book.log.event(seq).id.hex() for seq in signed_events}
    log_keys = [identity.key.public for identity in book.identities]
    origins = [identity.key.name for identity in book.identities]
    found: dict[str, str] = {}
    if not ids:
        return found
    for entry in entries(book.log, 0, known, frozenset({say.DecisionApproved.TYPE})):
        body: say.DecisionApproved = entry.event.body
        if body.event not in ids or book.now().correction(entry.seq):
            continue
        try:
            check_approval(body, origins, log_keys)
        except TallyError:
            continue  # `tally verify` names it; here it is simply nobody's word
        found[body.approver_key] = body.approver
    return found


def standing(book: Ledger, now: Snapshot, model: ModelState) -> tuple[RunState, list[Outcome], list[say.GateEvaluated]]:
    """How a model stands at each gate at this moment: the run judged, all outcomes, and what is new about them."""
    run = judged_run(now, model)
    record = record_of(book, run, now.as_of.seq)
    signed = [model.made_by_event]
    if run.model == model.model and run.decision:
        signed.append(now.decision(run.decision).described_by)
    evidence = evidence_of(book, now, record, model.model, model.candidate, signed_events=signed)
    outcomes = judge(configuration_in(record.registered).gates, evidence)
    known = {state.name: state for state in now.gates() if state.model == model.model}
    bodies = gate_events(book, now, record, model.model, outcomes)
    return run, outcomes, [body for body in bodies if _is_news(body, known.get(body.name))]


def _is_news(body: say.GateEvaluated, state: GateState | None) -> bool:
    return state is None or (
        (state.verdict, state.value, state.threshold, state.sentence, state.run, state.loosened)
        != (body.verdict, body.value, body.threshold, body.sentence, body.run, tuple(body.loosened))
    )


def gate_events(
    book: Ledger, now: Snapshot, record: Record, model: str, outcomes: Sequence[Outcome]
) -> list[say.GateEvaluated]:
    """Outcomes as they are recorded, with what was loosened after the windows had first been seen."""
    loosened = loosened_after_seen(book, now, record)
    return [
        say.GateEvaluated(
            gate=f"{model}/{outcome.name}",
            name=outcome.name,
            model=model,
            run=record.state.run,
            pipeline=record.state.pipeline,
            verdict=outcome.verdict,
            value=outcome.value,
            threshold=outcome.threshold,
            facts=outcome.facts,
            sentence=outcome.sentence,
            meaning_hash=record.state.meaning_hash,
            loosened=loosened.get(outcome.name, []),
        )
        for outcome in outcomes
    ]


def loosened_after_seen(book: Ledger, now: Snapshot, record: Record) -> dict[str, list[str]]:
    """Gate -> ``at_most 0.05 → 0.08`` for thresholds laxer than in some configuration whose results had been seen."""
    pipeline = record.state.pipeline
    seen = [window.first_opened_at for window in now.windows() if window.pipeline == pipeline]
    registrations: dict[int, PipelineState] = {}
    for version in book.views.history(PIPELINES, pipeline, -1, now.as_of.seq):
        state = cast("PipelineState | None", version.state)
        if state is not None:
            registrations.setdefault(state.registered_by, state)
    own = [seq for seq, state in registrations.items() if state.meaning_hash == record.state.meaning_hash]
    found: dict[str, list[str]] = {}
    if not own or not seen or book.event(own[-1]).recorded_at <= min(seen):
        return found
    said: set[tuple[str, ...]] = set()
    for seq in sorted(registrations):
        if seq >= own[-1]:
            break
        for change in config_changes(meaning_in(book.event(seq).event.body), meaning_in(record.registered)):
            gate = _gate_of(change.path)
            if gate is not None and change.strictness == "loosened" and change.path not in said:
                said.add(change.path)
                found.setdefault(gate, []).append(f"{change.path[-1]} {change.old} → {change.new}")
    return found


def _gate_of(path: tuple[str, ...]) -> str | None:
    """The gate that a setting belongs to."""
    if path == ("time", "final", "looks"):
        return "final_test"
    return path[1] if path[0] == "gates" and len(path) > 1 and path[1] in GATE_NAMES else None
