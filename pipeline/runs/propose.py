"""A candidate put forward that the rule did not choose: fitted on the run's own slice, recorded with who and why."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tallystick.ledger import Appended
from tallystick.ledger.errors import Conflict, InvalidInput, Refused
from tallystick.ledger.events import types as say
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.ledger import Ledger
from tallystick.pipeline.config.canonical import configuration_in
from tallystick.pipeline.config.durations import parse_span
from tallystick.pipeline.evaluate.fitting import Recipe
from tallystick.pipeline.governance import gates
from tallystick.pipeline.governance.evidence import evidence_of
from tallystick.pipeline.models import environment
from tallystick.pipeline.runs.keeping import refuse_not_kept
from tallystick.pipeline.runs.model_record import refitted
from tallystick.pipeline.runs.refit import Refit, refit
from tallystick.pipeline.runs.reopen import Again, candidate_recipe, taken_up


class Proposed(NamedTuple):
    """What was recorded."""

    body: say.CandidateRefitted
    proposal: say.CandidateProposed
    gates: list[say.GateEvaluated]
    appended: Appended


def propose(book: Ledger, run_name: str, candidate: str, reason: str, file: Path | None = None) -> Proposed:
    """Make a model of a candidate that a finished run judged and did not choose.

    Raises
    ------
    Refused
        When the run did not finish, chose this very candidate, or the data or code is not what it was.
    """
    if not reason.strip():
        raise InvalidInput("A candidate that the rule did not choose needs a reason.", "--reason …")
    run = book.now().run(run_name)
    if run.status != "finished":
        raise Refused(f"Run {run.run} {run.status}; only what a finished run judged can be put forward.")
    if run.chosen == candidate and run.model:
        raise Refused(f"Run {run.run} chose {candidate} itself: it is {run.model}.", "Nothing was recorded.")
    with taken_up(book, run, file) as again:
        refuse_not_kept(again.loaded.settings, candidate)
        recipe = candidate_recipe(again, candidate)
        valid_for = parse_span(again.loaded.settings.validity.valid_for).exact_micros("valid_for")
        made = refit(recipe, again.plan, valid_for=valid_for)
    while True:
        try:
            return _record(book, again, recipe, made, reason.strip())
        except Conflict:
            continue  # another model took the name first


def _record(book: Ledger, again: Again, recipe: Recipe, made: Refit, reason: str) -> Proposed:
    now, run = book.now(), again.record.state
    captured = environment.capture()
    model = refitted(book, made, recipe, run=run.run, slice_name=again.slice.name, environment=captured.environment)
    if model.known_as is not None:
        raise Refused(
            f"{recipe.name} on this slice is {model.known_as} already.", f"tally promote {model.known_as} --reason …"
        )
    name = model.body.model
    proposal = say.CandidateProposed(
        model=name, run=run.run, pipeline=run.pipeline, candidate=recipe.name, chosen=run.chosen, reason=reason
    )
    evidence = evidence_of(now, again.record, name, recipe.name)
    outcomes = gates.judge(configuration_in(again.record.registered).gates, evidence)
    held = gates.gate_events(now, again.record, name, outcomes)
    cause = (now.event(now.decision(run.decision).described_by).id.hex(),) if run.decision else ()
    files: list[Draft | say.Body] = [*model.files]
    if book.log.last_seq_of(f"environment:{captured.environment}") is None:
        files.insert(0, captured)
    appended = book.append(
        *files,
        Draft(model.body, about=model.about, cause=cause),
        Draft(proposal, cause=cause),
        *(Draft(gate, cause=cause) for gate in held),
        expected={f"model:{name}": None},
        sign=True,
    )
    return Proposed(model.body, proposal, held, appended)
