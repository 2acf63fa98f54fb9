"""A run as a ledger holds it, with whatever gains a test wants: real structs, a real configuration, no fitting."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from blake3 import blake3
from histories import HASH, PERIOD, decided, finished, refitted, started, taken

from tallystick import ledger
from tallystick.ledger.events import types as say
from tallystick.ledger.events.encoding import Draft
from tallystick.pipeline.config.load import LoadedPipeline, read
from tallystick.pipeline.governance.gates import standing
from tallystick.pipeline.governance.waivers import waive

ENVIRONMENT = "0123456789ab"


def registration(loaded: LoadedPipeline) -> say.PipelineRegistered:
    """The event that registers a file."""
    return say.PipelineRegistered(
        pipeline=loaded.settings.name,
        owner=loaded.settings.owner,
        questions={"decision": loaded.settings.questions.decision},
        text=loaded.text,
        text_hash=loaded.text_hash,
        meaning=loaded.meaning,
        meaning_hash=loaded.meaning_hash,
        defaulted=loaded.defaulted,
        path=loaded.path.name,
    )


def number(value: float | None) -> say.Metric:
    return say.Metric(value=value, standard_error=None, reason=None if value is not None else "one class")


def judged_run(
    book: ledger.Ledger,
    file: Path,
    run: str,
    gains: Mapping[str, float | None],
    *,
    model: str | None = "late-arrivals-v1",
    calibration: float = 0.01,
    gap: float = 0.01,
    before: tuple[Draft | say.Body, ...] = (),
) -> None:
    """A finished run of a pipeline file whose candidate small_trees has these gains, by window."""
    loaded = read(file)
    name = loaded.settings.name
    known = {state.pipeline: state for state in book.now().pipelines()}
    if name not in known or known[name].meaning_hash != loaded.meaning_hash:
        book.append(registration(loaded))
    begun = _replace(started(run, name), meaning_hash=loaded.meaning_hash, windows=tuple(gains))
    book.append(begun, *before, taken(run, name))
    for label, gain in gains.items():
        book.append(_window(run, name, label), _evaluation(run, name, label, gain, calibration))
    measured = say.OptimismMeasured(
        run=run, pipeline=name, candidate="small_trees", metric="roc_auc", windows=[],
        mean_walk_forward=0.7, mean_random=0.7 + gap, mean_gap=gap, positive_windows=0, sentence="It flatters.",
    )  # fmt: skip
    made = []
    if model:
        made = [_with(refitted(model, run, name), artifact=blake3(model.encode()).hexdigest())]
    book.append(measured, *made, decided(run, name, model), finished(run, name))


def passes_everything(book: ledger.Ledger, run: str, model: str, pipeline: str = "late-arrivals") -> None:
    """What a reproduction, the leakage checks and one look at the sealed windows record when all is well."""
    checks = [say.Check(check="canary", subject=None, result="pass", facts={}, sentence="The canary sings.")]
    book.append(
        say.LeakageChecked(run=run, pipeline=pipeline, result="pass", checks=checks),
        say.RunReproduced(
            reproduction=f"{run}/1", run=run, pipeline=pipeline, environment=ENVIRONMENT, verdict="identical",
            workers=1, tolerance=1e-9, result_hash=HASH, largest_difference=0.0, changed_decisions=0,
            first_window=None, first_candidate=None, missing=[], facts={}, sentence="Every prediction is the same.",
        ),
    )  # fmt: skip
    looked(book, run, model, pipeline, drop=0.5)


def looked(
    book: ledger.Ledger, run: str, model: str, pipeline: str = "late-arrivals", *, drop: float | None, number: int = 1
) -> None:
    """A look at the sealed windows and what it showed; ``drop`` None: it never came to a result."""
    look = f"{pipeline}/{number}"
    book.append(
        say.FinalLooked(
            look=look, pipeline=pipeline, run=run, model=model, windows=("2013-11", "2013-12"), number=number, budget=1,
            command="tally final-test", candidates=("base_rate", "small_trees"), waiver=None,
        )
    )  # fmt: skip
    if drop is not None:
        book.append(
            say.FinalEvaluated(
                look=look, pipeline=pipeline, run=run, model=model, windows=[], gain=0.05, development_gain=0.06,
                standard_error=0.02, drop=drop, discount=0.0, discounted=0.05, prediction_hash=HASH, predictions=HASH,
                losses=HASH, facts={}, sentence="It held.",
            )
        )  # fmt: skip


def let_through(folder: Path, model: str) -> None:
    """Excuse a model from every gate that would hold it back, each by name, as people do it with `tally waive`."""
    with ledger.open(folder) as book:
        now = book.now()
        _, outcomes, _ = standing(now, now.model(model))
        for outcome in outcomes:
            if outcome.verdict != "passed":
                waive(
                    book, outcome.name, model, reason="a test that is about what comes after", owner="ann",
                    approver="ben", until=now.moment + dt.timedelta(days=30), evidence=None, ends_when=None,
                )  # fmt: skip


def _replace(body: say.RunStarted, **changes: Any) -> say.RunStarted:
    return msgspec.structs.replace(body, **changes)


def _with(draft: Draft, **changes: Any) -> Draft:
    return draft._replace(body=msgspec.structs.replace(draft.body, **changes))


def _window(run: str, pipeline: str, label: str) -> say.WindowDescribed:
    return say.WindowDescribed(
        run=run, pipeline=pipeline, window=f"{pipeline}/{label}", slice="0123456789ab", label=label, cutoff=PERIOD[0],
        start_local="", end_local="", train_rows=10, test_rows=10, immature_rows=0, removed_for_overlap=0,
        complete=True, train_hash=HASH, test_hash=HASH, test_columns={}, train_target={}, test_target={}, overlap=None,
        new_levels={}, missing={}, histograms={}, warnings=[],
    )  # fmt: skip


def _evaluation(run: str, pipeline: str, label: str, gain: float | None, calibration: float) -> say.WindowEvaluated:
    empty = say.Levels(edges=[0.0, 1.0], levels=None, counts=[10], other=0, missing=0)
    return say.WindowEvaluated(
        run=run, pipeline=pipeline, window=f"{pipeline}/{label}", slice="0123456789ab", label=label,
        candidate="small_trees", recipe_hash=HASH,
        metrics={"log_loss": number(0.5), "calibration_in_large": number(calibration)}, gain=gain,
        metrics_by_overlap={}, reliability=[], scores=empty, prediction_hash=HASH, predictions=HASH, losses=HASH,
        fit_seconds=0.1, predict_seconds=0.1, warnings=[],
    )  # fmt: skip
