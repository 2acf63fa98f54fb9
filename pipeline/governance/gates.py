"""Gates: a model held against what its pipeline asked for, before anybody saw how it does.

Thresholds come from the configuration that the run registered, never from a newer file. Each gate is a pure function
of its threshold and of recorded evidence to *passed*, *failed* or *open* (what it asks for has not been done), with
the number and a sentence. Open holds a promotion back as failed does.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from tallystick.ledger.errors import Damaged, NotFound
from tallystick.ledger.events import types as say
from tallystick.ledger.events.sentences import count
from tallystick.ledger.events.unknown import is_unknown
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.entities import GateState, ModelState, PipelineState, RunState
from tallystick.pipeline.config.canonical import configuration_in, meaning_in, registration_at
from tallystick.pipeline.config.diff import config_changes
from tallystick.pipeline.config.gate_rules import (
    EVERY_WINDOW,
    GATE_NAMES,
    asked,
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
from tallystick.pipeline.evaluate.metric_words import signed_gain
from tallystick.pipeline.governance.evidence import EVIDENCE, GateEvidence, Withdrawn, evidence_of, judged_run
from tallystick.pipeline.leakage.questions import answered, open_questions
from tallystick.pipeline.records.run_record import RunRecord, record_of

Verdict = Literal["passed", "failed", "open"]
WINDOW_GATES = frozenset({"beats_reference_in", "worst_window_gain", "calibration_in_large"})
"""Gates that look at every window of the run."""
MOST_WITHDRAWN = 3
"""Events that a sentence names."""


class Outcome(NamedTuple):
    """How a model stands at one gate."""

    name: str
    verdict: Verdict
    value: float | None
    threshold: str
    facts: dict[str, Any]
    sentence: str
    withdrawn: tuple[Withdrawn, ...] = ()
    """Why it is open, where that is because evidence does not count any more."""


Judgement = tuple[Verdict, float | None, dict[str, Any], str]


def judge(gates: Gates, evidence: GateEvidence) -> list[Outcome]:
    """Every gate that a configuration asks for, in the order of the list below."""
    outcomes = []
    for name, rule, judgement in _judgements(gates, evidence):
        verdict, value, facts, sentence = _if_evidence_counts(name, judgement, evidence)
        withdrawn = tuple(evidence.withdrawn.get(name, ())) if "set_aside" in facts else ()
        outcomes.append(Outcome(name, verdict, value, threshold_words(rule), facts, sentence, withdrawn))
    return outcomes


def _if_evidence_counts(name: str, judgement: Judgement, evidence: GateEvidence) -> Judgement:
    """The judgement; or that the gate is open, where what it rested on was set aside."""
    by_windows = name in WINDOW_GATES
    withdrawn = list(evidence.withdrawn.get(name, ()))
    if by_windows and evidence.lost_windows and not withdrawn:
        lost = ", ".join(evidence.lost_windows)
        sentence = f"Its evidence is not complete: what run {evidence.run} recorded of {lost} does not count any more."
        return "open", None, {"lost_windows": list(evidence.lost_windows)}, sentence
    if not withdrawn or (judgement[0] == "passed" and _closed_since(name, withdrawn, evidence)):
        return judgement
    words = [f"Its evidence, {item.words.replace(' ', ', ', 1)}." for item in withdrawn[:MOST_WITHDRAWN]]
    if len(withdrawn) > MOST_WITHDRAWN:
        words.append(f"So were {len(withdrawn) - MOST_WITHDRAWN} more.")
    facts = {**judgement[2], "set_aside": [item.words for item in withdrawn]}
    return "open", None, facts, " ".join(words)


def _closed_since(name: str, withdrawn: Sequence[Withdrawn], evidence: GateEvidence) -> bool:
    """Whether a gate passed on evidence that is newer than the withdrawal of all that does not count any more.

    Older evidence will not do: the newest repetition decides, and the first answer of the sealed windows, so that
    without one of them another would, which had been passed over.
    """
    since = max(item.since for item in withdrawn)
    if name == "reproduced":
        return evidence.reproduction is not None and evidence.reproduction.seq > since
    if name == "final_test":
        return all(look.seq > since for look in evidence.looks if look.model == evidence.model)
    # A signature that is missing makes no other worth more, and an answer that is missing leaves its question open.
    return name in ("approved_by", "leakage")


# The gates -------------------------------------------------------------------------------------------------


def _known(values: Mapping[str, float | None]) -> dict[str, float]:
    return {label: value for label, value in values.items() if value is not None}


def _wins(rule: WindowShare, evidence: GateEvidence) -> Judgement:
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
        sentence += (
            f" Not in {', '.join(f'{label} ({signed_gain(gain, evidence.metric)})' for label, gain in lost.items())}."
        )
    return ("passed" if won >= needed else "failed"), float(won), facts, sentence


def _worst(rule: AtLeast, evidence: GateEvidence) -> Judgement:
    known = _known(evidence.gains)
    least = rule.at_least
    if not known:
        return "open", None, {}, "No window is complete, so there is no worst one."
    label = min(known, key=lambda name: (known[name], name))
    worst = known[label]
    sentence = (
        f"The worst window of {evidence.candidate} is {label}, with {signed_gain(worst, evidence.metric)} against "
        f"{evidence.reference}; at least {signed_gain(least, evidence.metric)} is asked for."
    )
    return ("passed" if worst >= least else "failed"), worst, {"window": label, "gain": worst}, sentence


def _optimism(rule: AtMost, evidence: GateEvidence) -> Judgement:
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


def _calibration(rule: AtMost, evidence: GateEvidence) -> Judgement:
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


def _leakage(evidence: GateEvidence) -> Judgement:
    checked = evidence.leakage
    if checked is None:
        return "open", None, {}, f"No leakage checks are recorded of run {evidence.run}."
    failed = [check.sentence for check in checked.checks if check.result == "fail"]
    to_look_at = [check.sentence for check in checked.checks if check.result == "look"]
    facts = {"result": checked.result, "checks": len(checked.checks)}
    if checked.result == "fail":
        return "failed", None, facts, f"{count(len(failed), 'leakage check')} failed: {' '.join(failed)}"
    sentence = f"{count(len(checked.checks), 'leakage check')}, none failed."
    if isinstance(checked, say.LeakageJudged):
        return _questions(checked, evidence, facts, sentence)
    if to_look_at:
        sentence += f" Worth a look: {' '.join(to_look_at)}"
    return "passed", None, facts, sentence


def _questions(checked: say.LeakageJudged, evidence: GateEvidence, facts: dict[str, Any], sentence: str) -> Judgement:
    """Whether every question of a run is answered, and somebody else than who answered has approved.

    Runs from before questions were kept are judged by the rule that they were recorded under: what they only looked
    at held nobody back.
    """
    asked = [answered(item, evidence.leak_answers.get(item.subject, ())) for item in checked.questions]
    waiting = open_questions(asked)
    facts = {**facts, "rule": checked.rule, "questions": len(asked), "open": [item.subject for item in waiting]}
    if waiting:
        told = [f"{item.sentence}{f' {item.open_because}' if item.open_because else ''}" for item in waiting]
        return "open", None, facts, f"{count(len(waiting), 'question')} open: {' '.join(told)}"
    people = {answer.by for item in asked for answer in item.answers}
    approvers = sorted(set(evidence.approvals.values()))
    if people and approvers and {name.casefold() for name in approvers} <= {name.casefold() for name in people}:
        words = f"{', '.join(approvers)} answered its questions and nobody else has approved it; another person must."
        return "open", None, facts, words
    if asked:
        sentence += f" {count(len(asked), 'question')} answered by {', '.join(sorted(people))}."
    return "passed", None, facts, sentence


def _reproduced(rule: ReproducedGate, evidence: GateEvidence) -> Judgement:
    done = evidence.reproduction
    if evidence.unsteady is not None:
        return "failed", None, {"unsteady": evidence.candidate}, evidence.unsteady
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


def _final(rule: FinalTestGate, evidence: GateEvidence) -> Judgement:
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


def _approved(rule: ApprovedByGate, evidence: GateEvidence) -> Judgement:
    names = sorted(evidence.approvals.values())
    least = rule.at_least
    signed = f" ({', '.join(names)})" if names else ""
    have = f"{'person has' if len(names) == 1 else 'people have'}"
    sentence = f"{len(names)} {have} signed {evidence.model} with keys of their own{signed}; {least} are asked for."
    # Who has not signed yet has not refused, so it is open and never failed.
    verdict: Verdict = "passed" if len(names) >= least else "open"
    return verdict, float(len(names)), {"approvals": names}, sentence


def _judgements(gates: Gates, evidence: GateEvidence) -> Iterator[tuple[str, Setting, Judgement]]:
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


# Standing -------------------------------------------------------------------------------------------------


def known_gates(now: Snapshot, model: str) -> list[GateState]:
    """The gates of a model as they were evaluated last; open where what one passed on does not count any more.

    Setting evidence aside evaluates nothing, so that what was recorded goes on saying *passed*.
    """
    reopened = reopened_gates(now, model)
    return [
        reopened[state.gate].state if state.gate in reopened else state for state in now.gates() if state.model == model
    ]


class Reopened(NamedTuple):
    """A gate that was recorded as passed, on evidence that does not count any more."""

    state: GateState
    """As it stands without that evidence."""
    because: int
    """The newest event, as far as the snapshot knows, that made it so: what set evidence aside, or what was erased."""


def reopened_gates(now: Snapshot, model: str | None = None) -> dict[str, Reopened]:
    """Those gates of one model, or of all, by their name; see :func:`known_gates`."""
    passed = [state for state in now.gates() if model in (None, state.model) and state.verdict == "passed"]
    if not passed or not (now.corrections() or now.erased(EVIDENCE)):
        return {}
    found: dict[str, Reopened] = {}
    for name in dict.fromkeys(state.model for state in passed):
        recorded = [state for state in passed if state.model == name]
        try:
            _, outcomes, _ = standing(now, now.model(name))
        except (NotFound, Damaged) as error:
            lost: dict[str, tuple[str, int | None]] = {state.name: (error.message, None) for state in recorded}
        else:
            lost = {
                item.name: (item.sentence, _newest_of(item.withdrawn, now.as_of.seq))
                for item in outcomes
                if {"set_aside", "lost_windows"} & item.facts.keys()
            }
        for state in recorded:
            if state.name in lost:
                sentence, because = lost[state.name]
                reopened = msgspec.structs.replace(state, verdict="open", value=None, sentence=sentence)
                found[state.gate] = Reopened(reopened, state.seq if because is None else because)
    return found


def _newest_of(withdrawn: Sequence[Withdrawn], last: int) -> int | None:
    return max((item.since if item.since <= last else item.seq for item in withdrawn), default=None)


def standing(now: Snapshot, model: ModelState) -> tuple[RunState, list[Outcome], list[say.GateEvaluated]]:
    """How a model stands at each gate at this moment: the run judged, all outcomes, and what is new about them."""
    run = judged_run(now, model)
    record = record_of(now, run)
    signed = [model.made_by_event]
    if run.model == model.model and run.decision:
        signed.append(now.decision(run.decision).described_by)
    evidence = evidence_of(now, record, model.model, model.candidate, signed_events=signed)
    outcomes = judge(configuration_in(record.registered).gates, evidence)
    known = {state.name: state for state in now.gates() if state.model == model.model}
    bodies = gate_events(now, record, model.model, outcomes)
    return run, outcomes, [body for body in bodies if _is_news(body, known.get(body.name))]


def _is_news(body: say.GateEvaluated, state: GateState | None) -> bool:
    return state is None or (
        (state.verdict, state.value, state.threshold, state.sentence, state.run, state.loosened)
        != (body.verdict, body.value, body.threshold, body.sentence, body.run, tuple(body.loosened))
    )


def gate_events(now: Snapshot, record: RunRecord, model: str, outcomes: Sequence[Outcome]) -> list[say.GateEvaluated]:
    """Outcomes as they are recorded, with what was loosened after the windows had first been seen."""
    loosened = loosened_after_seen(now, record)
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


def loosened_after_seen(now: Snapshot, record: RunRecord) -> dict[str, list[str]]:
    """Gate -> ``at_most 0.05 → 0.08`` for thresholds laxer than in some configuration whose results had been seen."""
    pipeline = record.state.pipeline
    registrations: dict[int, PipelineState] = {}
    for state in now.versions(PipelineState, pipeline):
        if not is_unknown(state.registered_by):
            registrations.setdefault(state.registered_by, state)
    own = [seq for seq, state in registrations.items() if state.meaning_hash == record.state.meaning_hash]
    found: dict[str, list[str]] = {}
    if not own or not _seen_before(now, pipeline, now.event(own[-1]).recorded_at):
        return found
    erased = [item for item in now.erased([say.PipelineRegistered.TYPE]) if item.may_be("pipeline", pipeline)]
    for item in erased:
        if item.event.seq < own[-1]:
            for name in asked(configuration_in(record.registered).gates):
                found.setdefault(name, []).append(f"unknown: {item.words}")
    said: set[tuple[str, ...]] = set()
    # One that was set aside was asked for all the same, when the results were seen.
    for seq in sorted(registrations):
        registered = registration_at(now, seq)
        if seq >= own[-1]:
            break
        if registered is None:
            continue  # erased, as was said above
        for change in config_changes(meaning_in(registered), meaning_in(record.registered)):
            gate = _gate_of(change.path)
            if gate is not None and change.strictness == "loosened" and change.path not in said:
                said.add(change.path)
                found.setdefault(gate, []).append(f"{change.path[-1]} {change.old} → {change.new}")
    return found


def _seen_before(now: Snapshot, pipeline: str, moment: dt.datetime) -> bool:
    """Whether a window of a pipeline was opened before a moment; what nobody can rule out, may have been."""
    for window in now.windows():
        if is_unknown(window.pipeline) or is_unknown(window.first_opened_at):
            return True
        if window.pipeline == pipeline and window.first_opened_at < moment:
            return True
    erased = now.erased([say.WindowDescribed.TYPE])
    return any(item.may_be("pipeline", pipeline) and item.event.recorded_at < moment for item in erased)


def _gate_of(path: tuple[str, ...]) -> str | None:
    """The gate that a setting belongs to."""
    if path == ("time", "final", "looks"):
        return "final_test"
    return path[1] if path[0] == "gates" and len(path) > 1 and path[1] in GATE_NAMES else None
