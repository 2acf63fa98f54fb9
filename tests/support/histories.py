"""Generated histories: sequences of commits such as pipelines, runs and people make, and some that they should not."""

from __future__ import annotations

import datetime as dt

from hypothesis import strategies as st
from living import lives

from tallystick.ledger.events import types as say
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.event import About

HASH = "ab" * 32
PIPELINES = ("late-arrivals", "no-shows")
RUNS = tuple(f"2013-01-0{n}.1" for n in range(1, 6))
MODELS = tuple(f"{pipeline}-v{n}" for pipeline in PIPELINES for n in (1, 2, 3))
PERIOD = (dt.datetime(2013, 1, 1, tzinfo=dt.UTC), dt.datetime(2013, 2, 1, tzinfo=dt.UTC))


def registered(pipeline: str, meaning: str = HASH) -> say.PipelineRegistered:
    return say.PipelineRegistered(
        pipeline=pipeline,
        owner="ops@example.org",
        questions={"decision": "Should we warn?"},
        text="name = 'x'",
        text_hash=HASH,
        meaning={"seed": 1},
        meaning_hash=meaning,
        defaulted=[],
        path="x.toml",
    )


def started(run: str, pipeline: str) -> say.RunStarted:
    return say.RunStarted(
        run=run,
        pipeline=pipeline,
        environment="0123456789ab",
        meaning_hash=HASH,
        labels_as_of=PERIOD[1],
        windows=("2013-04", "2013-05"),
        candidates=("base_rate", "small_trees"),
        seed=1,
        workers=2,
        process=1,
        host="elsewhere",
    )


def taken(run: str, pipeline: str, slice_: str = "0123456789ab") -> Draft:
    body = say.SliceTaken(
        slice=slice_,
        run=run,
        pipeline=pipeline,
        source="csv:x.csv",
        fingerprint=HASH,
        rows=10,
        kept_rows=9,
        dropped=[say.Dropped(where="y is missing", why="no answer", rows=1)],
        columns=[],
        same_as=None,
    )
    return Draft(body, about=About(observed_in=PERIOD))


def refitted(model: str, run: str, pipeline: str) -> Draft:
    body = say.CandidateRefitted(
        model=model,
        run=run,
        pipeline=pipeline,
        slice="0123456789ab",
        environment="0123456789ab",
        candidate="small_trees",
        recipe={"estimator": "pipeline.recipes:trees"},
        recipe_hash=HASH,
        artifact=HASH,
        media_type="application/vnd.skops",
        trusted_types=[],
        libraries={},
        features=["a"],
        rows=9,
        probe=HASH,
        probe_hash=HASH,
    )
    return Draft(body, about=About(trained_on=PERIOD, intended_for=PERIOD))


def decided(run: str, pipeline: str, model: str | None) -> say.DecisionTaken:
    return say.DecisionTaken(
        decision=run,
        run=run,
        pipeline=pipeline,
        rule="stable_among_equals",
        outcome="chosen" if model else "nobody",
        chosen="small_trees" if model else None,
        model=model,
        champion=None,
        headline="small_trees is chosen.",
        reasons=[say.Reason(code="leads", facts={"mean_gain": 0.1}, sentence="It leads.")],
        scores={},
        random_choice=None,
        remarks=[],
    )


def finished(run: str, pipeline: str) -> say.RunFinished:
    return say.RunFinished(
        run=run,
        pipeline=pipeline,
        decision=run,
        result_hash=HASH,
        same_result_as=None,
        differs_from=None,
        seconds=1.5,
    )


def failed(run: str, pipeline: str) -> say.RunFailed:
    return say.RunFailed(run=run, pipeline=pipeline, stage="judging", error="ValueError", message="no")


def promoted(model: str, pipeline: str, previous: str | None, reason: str = "better bad months") -> say.ModelPromoted:
    return say.ModelPromoted(
        model=model, pipeline=pipeline, previous=previous, run=RUNS[0], decision=None, reason=reason
    )


def described(run: str, pipeline: str, label: str) -> Draft:
    body = say.WindowDescribed(
        run=run, pipeline=pipeline, window=f"{pipeline}/{label}", slice="0123456789ab", label=label, cutoff=PERIOD[0],
        start_local="", end_local="", train_rows=1, test_rows=1, immature_rows=0, removed_for_overlap=0, complete=True,
        train_hash=HASH, test_hash=HASH, test_columns={}, train_target={}, test_target={}, overlap=None, new_levels={},
        missing={}, histograms={}, warnings=[],
    )  # fmt: skip
    return Draft(body, about=About(tested_on=PERIOD))


def evaluated(run: str, pipeline: str, label: str, candidate: str) -> Draft:
    metric = say.Metric(value=0.5, standard_error=0.01, reason=None)
    body = say.WindowEvaluated(
        run=run, pipeline=pipeline, window=f"{pipeline}/{label}", slice="0123456789ab", label=label,
        candidate=candidate,
        recipe_hash=HASH, metrics={"log_loss": metric, "roc_auc": metric}, gain=0.1, metrics_by_overlap={},
        reliability=[], scores=say.Levels(edges=None, levels=None, counts=[], other=0, missing=0),
        prediction_hash=HASH, predictions=HASH, losses=HASH, fit_seconds=0.1, predict_seconds=0.1, warnings=[],
    )  # fmt: skip
    return Draft(body, about=About(tested_on=PERIOD))


def approved(decision: str, approver: str) -> say.DecisionApproved:
    return say.DecisionApproved(decision=decision, event=HASH, approver=approver, approver_key="k", approval="n")


_pipeline = st.sampled_from(PIPELINES)
_run = st.sampled_from(RUNS)
_model = st.sampled_from(MODELS)
_label = st.sampled_from(["2013-04", "2013-05"])

drafts = st.one_of(
    st.builds(registered, _pipeline, st.sampled_from([HASH, "cd" * 32])),
    st.builds(started, _run, _pipeline),
    st.builds(taken, _run, _pipeline, st.sampled_from(["0123456789ab", "ba9876543210"])),
    st.builds(described, _run, _pipeline, _label),
    st.builds(evaluated, _run, _pipeline, _label, st.sampled_from(["base_rate", "small_trees"])),
    st.builds(approved, _run, st.sampled_from(["ann", "ben"])),
    st.builds(refitted, _model, _run, _pipeline),
    st.builds(decided, _run, _pipeline, st.none() | _model),
    st.builds(finished, _run, _pipeline),
    st.builds(failed, _run, _pipeline),
    st.builds(promoted, _model, _pipeline, st.none() | _model),
    # Mapped, so that it counts as one of these: a choice of a choice would be flattened and outnumber them.
    lives(_pipeline, _run, _model).map(lambda event: event),
)
commits = st.lists(st.lists(drafts, min_size=1, max_size=4), min_size=1, max_size=12)
