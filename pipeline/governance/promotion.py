"""Promotion, rollback and retirement: a person decides, the gates hold, and one commit records all of it.

The decision and the change of champion are one commit, so that no reader ever sees one without the other, and what
the gates said at that moment is part of the decision.
"""

from __future__ import annotations

import shlex
from typing import Literal, NamedTuple

from tallystick.ledger import Appended
from tallystick.ledger.errors import InvalidInput, Refused
from tallystick.ledger.events import types as say
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.sentences import count
from tallystick.ledger.events.unknown import Unknown
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.entities import ModelState, RunState
from tallystick.pipeline.config.proposed import proposed_in
from tallystick.pipeline.governance import waivers
from tallystick.pipeline.governance.gates import WINDOW_GATES, Outcome, gate_events, standing
from tallystick.pipeline.leakage.questions import RUN
from tallystick.pipeline.records.run_record import newest_registration, record_of

Kind = Literal["promotion", "rollback", "retirement"]
MOST_NAMES = 6


class Decided(NamedTuple):
    """What was recorded."""

    body: say.PromotionDecided
    previous: ModelState | None
    appended: Appended


class GatesClosed(Refused):
    """Some gate does not let a model through; ``gates`` are all of them, as seen."""

    code = "gates-closed"

    def __init__(self, message: str, hint: str, gates: list[say.GateSeen]) -> None:
        super().__init__(message, hint)
        self.gates = gates


def promote(book: Ledger, name: str, reason: str) -> Decided:
    """Make a model the champion of its pipeline.

    Raises
    ------
    Refused
        Where it is champion already, was made by an experiment, rests on settings that nobody has confirmed, or a
        gate neither passed nor is waived (:class:`GatesClosed`, with a sentence for each). What is new about the
        gates is recorded all the same.
    """
    reason = _reason(reason, "A promotion")
    now = book.now()
    model = now.model(name)
    champion = _champion(now, model.pipeline)
    if champion is not None and champion.model == model.model:
        raise Refused(f"{model.model} is the champion of {model.pipeline} already.", "Nothing was recorded.")
    run, outcomes, news = standing(now, model)
    _refuse_experiment(model, run)
    _refuse_proposed(now, model, run)
    if run.status != "finished":
        raise Refused(
            f"{model.model} was made by run {run.run}, which {run.status}: there is no result to rest on.",
            "Run the pipeline again: tally run FILE.toml",
        )
    seen = _seen(now, model, outcomes)
    pipeline = f"pipeline:{model.pipeline}"
    # Two people who decide at the same moment, or a waiver that is taken back meanwhile, are a conflict, no surprise.
    expected = {pipeline: book.log.last_seq_of(pipeline)}
    drafts = [Draft(body) for body in news]
    closed = [gate for gate in seen if gate.verdict != "passed" and gate.waiver is None]
    if closed:
        elsewhere = [gate.name for gate in closed if waivers.in_force(now, model.model, gate.name)]
        refusal = _closed(model, run, closed, seen, champion, elsewhere)
        _record_refusal(book, now, model, run, outcomes, news, closed, expected)
        raise refusal
    kind: Kind = "rollback" if model.promoted_at is not None else "promotion"
    chose = run.model == model.model and run.decision is not None
    body = say.PromotionDecided(
        decision=_next_decision(now, model.pipeline, kind),
        kind=kind,
        model=model.model,
        pipeline=model.pipeline,
        previous=champion.model if champion else None,
        run=run.run,
        followed=run.decision if chose else None,
        gates=seen,
        approvals=_approvals(outcomes),
        headline=_headline(kind, model, champion, seen),
        reason=reason,
    )
    promoted = say.ModelPromoted(
        model=model.model,
        pipeline=model.pipeline,
        previous=champion.model if champion else None,
        run=run.run,
        decision=run.decision if chose else None,
        reason=reason,
    )
    causes = _causes(now, model, run if chose else None, seen)
    appended = book.append(
        *drafts, Draft(body, cause=causes), Draft(promoted, cause=causes), expected=expected, sign=True
    )
    return Decided(body, champion, appended)


def retire(book: Ledger, name: str, reason: str) -> Decided:
    """Take a model out of use; a pipeline whose champion it was has none then.

    Raises
    ------
    Refused
        Where it is retired already.
    """
    reason = _reason(reason, "A retirement")
    now = book.now()
    model = now.model(name)
    if model.status == "retired":
        raise Refused(f"{model.model} is retired already.", "Nothing was recorded.")
    champion = _champion(now, model.pipeline)
    was = champion is not None and champion.model == model.model
    after = f"{model.pipeline} has no champion" if was else f"it was never champion of {model.pipeline}"
    body = say.PromotionDecided(
        decision=_next_decision(now, model.pipeline, "retirement"),
        kind="retirement",
        model=model.model,
        pipeline=model.pipeline,
        previous=model.model if was else None,
        run=None,
        followed=None,
        gates=[],
        approvals=[],
        headline=f"{model.model} is retired; {after}.",
        reason=reason,
    )
    retired = say.ModelRetired(model=model.model, pipeline=model.pipeline, decision=body.decision, reason=reason)
    cause = (now.event(model.seq).id.hex(),)
    pipeline = f"pipeline:{model.pipeline}"
    appended = book.append(
        Draft(body, cause=cause), Draft(retired, cause=cause),
        expected={pipeline: book.log.last_seq_of(pipeline)}, sign=True,
    )  # fmt: skip
    return Decided(body, champion, appended)


def _champion(now: Snapshot, pipeline: str) -> ModelState | None:
    """The champion that a decision replaces; None where there is none, or where erased content makes it unknown."""
    found = now.champion_if_known(pipeline)
    return None if isinstance(found, Unknown) else found


def _reason(reason: str, what: str) -> str:
    reason = reason.strip()
    if not reason:
        raise InvalidInput(f"{what} needs a reason.", 'Say it: --reason "lowest worst quarter, two reviewers"')
    return reason


def _refuse_experiment(model: ModelState, run: RunState) -> None:
    if run.experiment:
        raise Refused(
            f"{model.model} was made by run {run.run}, which is an experiment; nothing of an experiment is promoted.",
            f"Do it again for production, deliberately: tally run FILE.toml --crosses {run.run} --reason …",
        )


def _refuse_proposed(now: Snapshot, model: ModelState, run: RunState) -> None:
    """A program may propose settings; a person answers for them before anything decides by them."""
    newest = newest_registration(now, run)
    names = proposed_in(newest.text) if newest is not None else []
    if newest is not None and names:
        shown = ", ".join(names[:MOST_NAMES]) + (f" and {len(names) - MOST_NAMES} more" if names[MOST_NAMES:] else "")
        raise Refused(
            f"{model.model} rests on {count(len(names), 'setting')} that a program proposed and no person has "
            f"confirmed: {shown}.",
            f"Read them and confirm them; no new run is needed: tally confirm {shlex.quote(newest.path)}",
        )


def _seen(now: Snapshot, model: ModelState, outcomes: list[Outcome]) -> list[say.GateSeen]:
    held = {outcome.name: waivers.excusing(now, model.model, outcome.name) for outcome in outcomes}
    return [
        say.GateSeen(
            name=outcome.name,
            verdict=outcome.verdict,
            sentence=outcome.sentence,
            waiver=waiver.waiver if (waiver := held[outcome.name]) and outcome.verdict != "passed" else None,
        )
        for outcome in outcomes
    ]


def _record_refusal(
    book: Ledger,
    now: Snapshot,
    model: ModelState,
    run: RunState,
    outcomes: list[Outcome],
    news: list[say.GateEvaluated],
    closed: list[say.GateSeen],
    expected: dict[str, int | None],
) -> None:
    """Keep that somebody asked, and what held the model back; the same person who asks again is no news.

    The reason that they gave is not kept: it would stand in the head of the commit, where nothing can be erased.
    """
    note = f"Asked to promote {model.model}: refused, {len(closed)} of {len(outcomes)} gates hold it back."
    new = {body.name for body in news}
    known = {state.name: state.seq for state in now.gates() if state.model == model.model}
    heads = [now.commit_of(known[gate.name]).head for gate in closed if gate.name in known]
    if not news and all((head.note, head.actor) == (note, book.recorder.actor) for head in heads):
        return
    held = [item for item in outcomes if item.name not in new and item.name in {gate.name for gate in closed}]
    again = gate_events(now, record_of(now, run), model.model, held)
    book.append(*news, *again, note=note, expected=expected)


def _closed(
    model: ModelState,
    run: RunState,
    closed: list[say.GateSeen],
    seen: list[say.GateSeen],
    champion: ModelState | None,
    elsewhere: list[str],
) -> GatesClosed:
    """Every gate that holds it back with its sentence, and the honest ways round."""
    lines = [
        f"{model.model} ({model.candidate}) cannot become champion of {model.pipeline}: "
        f"{len(closed)} of {len(seen)} gates hold it back."
    ]
    lines += [
        f"  {gate.name} {'failed' if gate.verdict == 'failed' else 'is open'}: {gate.sentence}" for gate in closed
    ]
    if elsewhere:
        lines.append(f"  {', '.join(elsewhere)}: waived in the ledger that it comes from, which excuses nothing here.")
    ways = [way for gate in closed if gate.verdict == "open" and (way := _way(gate.name, model, run))]
    failed = [gate.name for gate in closed if gate.verdict == "failed"]
    if failed:
        ways.append(
            f"An exception has an owner, an approver and an end: tally waive {failed[0]} --model {model.model} "
            "--reason … --owner … --approver … --until DATE"
        )
    ways.append(
        f"Or leave {champion.model} in place." if champion else "Or promote another model: tally models lists them."
    )
    return GatesClosed("\n".join(lines), "\n".join(ways), seen)


def _way(gate: str, model: ModelState, run: RunState) -> str | None:
    """What to do about a gate that is open; a gate on windows is open where part of its evidence was set aside."""
    if gate in WINDOW_GATES:
        return "Run the pipeline again, so that every window is judged anew: tally run FILE.toml"
    return {
        "reproduced": f"Do the run again and compare: tally reproduce {run.run}",
        "final_test": f"Look at the sealed windows, once: tally final-test {model.model}",
        "approved_by": f"Have it signed: tally approve {model.model}",
        "leakage": f"Answer each question: tally answer {run.run} FEATURE --why …, with '{RUN}' as FEATURE where it is "
        "about no single one; or take the feature out and run again: tally run FILE.toml",
        "optimism_gap": "Waive it by name, or run again with a candidate for which it is measured.",
    }.get(gate)


def _headline(kind: Kind, model: ModelState, champion: ModelState | None, seen: list[say.GateSeen]) -> str:
    verb = "is champion again" if kind == "rollback" else "becomes champion"
    instead = f" instead of {champion.model}" if champion else ""
    passed = sum(gate.verdict == "passed" for gate in seen)
    waived = [gate.name for gate in seen if gate.waiver is not None]
    excused = f", {', '.join(waived)} waived" if waived else ""
    stood = f"{passed} of {len(seen)} gates passed{excused}" if seen else "its configuration asks for no gate"
    if all(gate.name != "leakage" for gate in seen):
        stood += "; leaks were not judged"
    return f"{model.model} ({model.candidate}) {verb} of {model.pipeline}{instead}: {stood}."


def _approvals(outcomes: list[Outcome]) -> list[str]:
    found = next((outcome for outcome in outcomes if outcome.name == "approved_by"), None)
    return list(found.facts["approvals"]) if found else []


def _next_decision(now: Snapshot, pipeline: str, kind: Kind) -> str:
    taken = sum(state.decision.startswith(f"{pipeline}/") for state in now.decisions())
    return f"{pipeline}/{kind}-{taken + 1}"


def _causes(now: Snapshot, model: ModelState, run: RunState | None, seen: list[say.GateSeen]) -> tuple[str, ...]:
    """What it follows from: the model, the decision that chose it, its gates, and the waivers it rests on."""
    led_here = [model.made_by_event]
    if run is not None and run.decision:
        led_here.append(now.decision(run.decision).described_by)
    led_here += [state.seq for state in now.gates() if state.model == model.model]
    granted = {gate.waiver for gate in seen if gate.waiver}
    led_here += [state.seq for state in now.waivers() if state.waiver in granted]
    return tuple(now.event(seq).id.hex() for seq in sorted(set(led_here)))
