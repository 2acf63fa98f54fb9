"""Generated histories: sequences of commits such as pipelines, runs and people make, and some that they should not."""

from __future__ import annotations

import datetime as dt

from hypothesis import strategies as st

from ledger import vocabulary as say
from ledger.event import About
from ledger.ledger import Draft

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


_pipeline = st.sampled_from(PIPELINES)
_run = st.sampled_from(RUNS)
_model = st.sampled_from(MODELS)

drafts = st.one_of(
    st.builds(registered, _pipeline, st.sampled_from([HASH, "cd" * 32])),
    st.builds(started, _run, _pipeline),
    st.builds(taken, _run, _pipeline),
    st.builds(refitted, _model, _run, _pipeline),
    st.builds(decided, _run, _pipeline, st.none() | _model),
    st.builds(finished, _run, _pipeline),
    st.builds(failed, _run, _pipeline),
    st.builds(promoted, _model, _pipeline, st.none() | _model),
)
commits = st.lists(st.lists(drafts, min_size=1, max_size=4), min_size=1, max_size=12)
