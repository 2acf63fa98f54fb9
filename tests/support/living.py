"""Generated events of decisions and of the life after them, in any order, also in those that make no sense."""

from __future__ import annotations

import datetime as dt

from hypothesis import strategies as st

from tallystick.ledger.events import types as say
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.event import About

HASH = "ab" * 32
APRIL = (dt.datetime(2013, 4, 1, tzinfo=dt.UTC), dt.datetime(2013, 5, 1, tzinfo=dt.UTC))
GATES = ("worst_window_gain", "reproduced")


def metric(value: float | None) -> say.Metric:
    return say.Metric(value=value, standard_error=None, reason=None if value is not None else "one class")


def gate(model: str, name: str, run: str, pipeline: str, verdict: str) -> say.GateEvaluated:
    return say.GateEvaluated(
        gate=f"{model}/{name}", name=name, model=model, run=run, pipeline=pipeline, verdict=verdict, value=None,
        threshold="at least 0", facts={}, sentence="As it was.", meaning_hash=HASH, loosened=[],
    )  # fmt: skip


def waiver(model: str, name: str, pipeline: str, renewal: int) -> say.WaiverGranted:
    return say.WaiverGranted(
        waiver=f"{model}/{name}/{renewal + 1}", gate=f"{model}/{name}", name=name, model=model, pipeline=pipeline,
        reason="a small sample", owner="ann", approver="ben", until=APRIL[1], ends_when=None, evidence=None,
        renewal=renewal,
    )  # fmt: skip


def waiver_ended(model: str, name: str, pipeline: str, renewal: int) -> say.WaiverEnded:
    return say.WaiverEnded(
        waiver=f"{model}/{name}/{renewal + 1}", gate=f"{model}/{name}", model=model, pipeline=pipeline, reason="over"
    )


def promotion(kind: str, model: str, pipeline: str, previous: str | None, number: int) -> say.PromotionDecided:
    return say.PromotionDecided(
        decision=f"{model}/{kind}/{number}", kind=kind, model=model, pipeline=pipeline, previous=previous, run=None,
        followed=None, gates=[say.GateSeen(name=GATES[0], verdict="passed", sentence="It holds.", waiver=None)],
        approvals=[], headline="So it was decided.", reason="steady",
    )  # fmt: skip


def retired(model: str, pipeline: str, number: int) -> say.ModelRetired:
    return say.ModelRetired(
        model=model, pipeline=pipeline, decision=f"{model}/retirement/{number}", reason="its time is over"
    )


def looked(model: str, run: str, pipeline: str, number: int) -> say.FinalLooked:
    return say.FinalLooked(
        look=f"{pipeline}/final/{number}", pipeline=pipeline, run=run, model=model, windows=("2013-12",),
        number=number, budget=2, command="tally final-test", candidates=("small_trees",), waiver=None,
    )  # fmt: skip


def seen(model: str, run: str, pipeline: str, number: int) -> say.FinalEvaluated:
    return say.FinalEvaluated(
        look=f"{pipeline}/final/{number}", pipeline=pipeline, run=run, model=model, windows=[], gain=0.1,
        development_gain=0.08, standard_error=None, drop=None, discount=1.0, discounted=None, prediction_hash=HASH,
        predictions=HASH, losses=HASH, facts={}, sentence="It held.",
    )  # fmt: skip


def reproduced(run: str, pipeline: str, number: int, verdict: str) -> say.RunReproduced:
    return say.RunReproduced(
        reproduction=f"{run}/{number}", run=run, pipeline=pipeline, environment="0123456789ab", verdict=verdict,
        workers=2, tolerance=0.0, result_hash=HASH, largest_difference=None, changed_decisions=None,
        first_window=None, first_candidate=None, missing=[], facts={}, sentence="Done again.",
    )  # fmt: skip


def automation(pipeline: str, before: str, level: str) -> say.AutomationChanged:
    return say.AutomationChanged(
        automation=pipeline, pipeline=pipeline, level=level, before=before, quiet_periods=3, needed=3,
        approvers=["ann"], reason="three quiet months",
    )  # fmt: skip


def predicted(model: str, pipeline: str, number: int) -> Draft:
    body = say.PredictionMade(
        prediction=f"{model}/{number}", model=model, pipeline=pipeline, rows=3, source="csv:x.csv", input_hash=HASH,
        output="y.csv", output_hash=HASH, prediction_hash=HASH, mean=0.2, waiver=None, warnings=[],
    )  # fmt: skip
    return Draft(body, about=About(observed_in=APRIL))


def not_predicted(model: str, pipeline: str) -> say.PredictionRefused:
    return say.PredictionRefused(
        model=model, pipeline=pipeline, code="too-late", source="csv:x.csv", rows=3, facts={}, sentence="Too late."
    )


def watched(model: str, pipeline: str, label: str, status: str) -> Draft:
    body = say.PeriodMonitored(
        period=f"{pipeline}/{label}", label=label, pipeline=pipeline, model=model, labels_as_of=APRIL[1],
        source="csv:x.csv", fingerprint=HASH, rows=9, immature_rows=0, status=status, decision="wait",
        metrics={"log_loss": metric(0.5)}, reference={"log_loss": metric(None)}, history=("2013-03",), estimate=None,
        facts={}, reliability=[], histograms={}, columns={}, losses=None, headline="As usual.", suggestion="Wait.",
    )  # fmt: skip
    return Draft(body, about=About(observed_in=APRIL))


def found(model: str, pipeline: str, label: str, level: str) -> say.FindingMade:
    return say.FindingMade(
        finding=f"{pipeline}/{label}/level", period=f"{pipeline}/{label}", pipeline=pipeline, model=model,
        code="level", level=level, facts={}, sentence="It moved.",
    )  # fmt: skip


def experiment(run: str, pipeline: str) -> say.ExperimentDeclared:
    return say.ExperimentDeclared(run=run, pipeline=pipeline, reason="to learn")


def crossed(run: str, experiment_: str, pipeline: str) -> say.ExperimentCrossed:
    return say.ExperimentCrossed(run=run, experiment=experiment_, pipeline=pipeline, reason="it was worth it")


def proposed(model: str, run: str, pipeline: str) -> say.CandidateProposed:
    return say.CandidateProposed(
        model=model, run=run, pipeline=pipeline, candidate="logistic", chosen="small_trees", reason="easier to explain"
    )


def leaks(run: str, pipeline: str, result: str) -> say.LeakageChecked:
    check = say.Check(check="alone", subject="x", result=result, facts={}, sentence="As it was.")
    return say.LeakageChecked(run=run, pipeline=pipeline, result=result, checks=[check])


def trial_started(trial: str) -> say.TrialStarted:
    return say.TrialStarted(trial=trial, name="churn", params={"depth": 3}, host="h", process=1, program="p.py")


def measured(trial: str, step: int, value: float) -> say.TrialMeasured:
    point = say.Point(at=APRIL[0], step=step, values={"loss": value}, not_finite={})
    return say.TrialMeasured(trial=trial, points=[point])


def trial_finished(trial: str, status: str) -> say.TrialFinished:
    error = "ValueError: no" if status == "failed" else None
    return say.TrialFinished(trial=trial, status=status, error=error, seconds=1.0, late_records=0)


def lives(
    pipelines: st.SearchStrategy[str], runs: st.SearchStrategy[str], models: st.SearchStrategy[str]
) -> st.SearchStrategy[say.Body | Draft]:
    """Any event of the life of a model after its run, about the given names."""
    number, name = st.integers(0, 2), st.sampled_from(GATES)
    label, trial = st.sampled_from(["2013-04", "2013-05"]), st.sampled_from(["t1", "t2"])
    level = st.sampled_from(["manual", "suggest", "auto_refit"])
    return st.one_of(
        st.builds(gate, models, name, runs, pipelines, st.sampled_from(["passed", "failed", "open"])),
        st.builds(waiver, models, name, pipelines, number),
        st.builds(waiver_ended, models, name, pipelines, number),
        st.builds(
            promotion,
            st.sampled_from(["promotion", "rollback", "retirement"]),
            models,
            pipelines,
            st.none() | models,
            number,
        ),
        st.builds(retired, models, pipelines, number),
        st.builds(looked, models, runs, pipelines, number),
        st.builds(seen, models, runs, pipelines, number),
        st.builds(reproduced, runs, pipelines, number, st.sampled_from(["identical", "different"])),
        st.builds(automation, pipelines, level, level),
        st.builds(predicted, models, pipelines, number),
        st.builds(not_predicted, models, pipelines),
        st.builds(watched, models, pipelines, label, st.sampled_from(["quiet", "notable", "alarm", "waiting"])),
        st.builds(found, models, pipelines, label, st.sampled_from(["normal", "notable", "alarm"])),
        st.builds(experiment, runs, pipelines),
        st.builds(crossed, runs, runs, pipelines),
        st.builds(proposed, models, runs, pipelines),
        st.builds(leaks, runs, pipelines, st.sampled_from(["pass", "look", "fail"])),
        st.builds(trial_started, trial),
        st.builds(measured, trial, number, st.floats(0, 1)),
        st.builds(trial_finished, trial, st.sampled_from(["finished", "failed"])),
    )
