"""The sealed windows: looked at once, announced before anything is computed, and discounted for every look.

Whoever looks learns something that the next choice cannot forget, so a look is recorded before it is taken and counts
even where it never came to a result. Over the budget it is refused.

How far a model fell is measured against what months differ by: with gains g_1 … g_D of the development windows, their
standard deviation s, and F sealed windows, the standard error of the difference of the two means is
``s · sqrt(1/D + 1/F)`` (two independent samples of windows, one spread).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pandas as pd

from tallystick.ledger.errors import Conflict, NotFound, Refused
from tallystick.ledger.events import types as say
from tallystick.ledger.events.commit import from_micros
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.event import About, Event
from tallystick.ledger.events.sentences import count
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.query.evidence import RecordedEvent
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.entities import ModelState, WaiverState
from tallystick.pipeline.config.canonical import configuration_in, configuration_of
from tallystick.pipeline.config.settings import RANKINGS
from tallystick.pipeline.config.windows import Window, sealed_windows
from tallystick.pipeline.evaluate.backtest import Described, Judged, backtest, cells_of
from tallystick.pipeline.evaluate.fitting import Recipe, recipe_for
from tallystick.pipeline.evaluate.losses import gain_of
from tallystick.pipeline.evaluate.metric_words import METRIC_WORDS, signed_gain
from tallystick.pipeline.evaluate.result_tables import PARQUET, losses_table, parquet, predictions_table
from tallystick.pipeline.evaluate.sentences import points
from tallystick.pipeline.governance import waivers
from tallystick.pipeline.governance.evidence import evidence_of, judged_run
from tallystick.pipeline.governance.gates import gate_events, judge
from tallystick.pipeline.models.model_file import prediction_hash
from tallystick.pipeline.runs.reopen import Again, recipe_of, taken_up
from tallystick.pipeline.runs.sources import model_source
from tallystick.pipeline.runs.start import how_made

Progress = Callable[[str, int, int], None]
STUDY_OF = "study of pipeline"
"""The parameter by which a trial of a study says whose windows it was judged on."""


def look(
    book: Ledger, name: str, *, command: str, file: Path | None, workers: int, on_progress: Progress
) -> tuple[say.FinalLooked, say.FinalEvaluated, say.GateEvaluated | None]:
    """Judge a model's recipe and the reference on the sealed windows, walk-forward, and record it.

    Raises
    ------
    Refused
        When the sealed windows were looked at as often as the configuration allows and no waiver allows more; when
        data or code is not what the run saw. Nothing is recorded then.
    NotFound
        When the configuration seals no window.
    """
    now = book.now()
    model = now.model(name)
    run = judged_run(now, model)
    _within_budget(now, model)
    with taken_up(book, run, file) as again:
        windows = sealed_windows(again.loaded.settings.time)
        if not windows:
            raise NotFound(f"The configuration of run {run.run} seals no window.", "[time.final] test names them.")
        made = how_made(now, model)
        source = (again.sources or {}).get(made.candidate) or model_source(
            now, book.objects.get, model.made_by_event, made
        )
        recipes = [_reference(again), recipe_of(made, source)]
        _refuse_hindsight(recipes[1], windows)
        announced = _announce(book, again, model, windows, recipes, command)
        described, judged = _compute(again, windows, recipes, workers, on_progress)
        return _conclude(book, again, model, announced, described, judged)


def _within_budget(now: Snapshot, model: ModelState) -> tuple[int, int, str | None]:
    """Number of the next look, the budget, and the waiver that allows it beyond."""
    budget = configuration_of(now, model.pipeline).time.final.looks
    earlier = _looks_taken(now, model.pipeline)
    number = len(earlier) + 1
    if number <= budget:
        return number, budget, None
    waiver = waivers.excusing(now, model.model, waivers.FINAL_LOOKS)
    used = waiver is not None and [item for item in earlier if _may_have_used(item, waiver)]
    if waiver is not None and not used:
        return number, budget, waiver.waiver
    who = "; ".join(_who_looked(now, item) for item in earlier[-5:])
    certain = waiver is not None and any(isinstance(item.content, Event) for item in used or ())
    verb = "has been" if certain else "may have been"
    spent = f" Waiver {waiver.waiver} {verb} used for a look already." if waiver else ""
    raise Refused(
        f"This would be look {number} at the sealed windows of {model.pipeline}; {budget} "
        f"{'is' if budget == 1 else 'are'} allowed. Looked so far: {who}.{spent} Whoever chooses by what they saw "
        "there has no honest test left.",
        f"Seal newer windows as they come, or have one more look excused: tally waive {waivers.FINAL_LOOKS} "
        f"--model {model.model} --reason … --owner … --approver … --until DATE",
    )


def _looks_taken(now: Snapshot, pipeline: str) -> list[RecordedEvent]:
    """Every look that was announced, also one that was set aside or erased: what was seen cannot be unseen.

    An erased look of which nobody can say for which pipeline it was may have been for this one.
    """
    erased = {item.event.seq: item.refers_to or {} for item in now.erased([say.FinalLooked.TYPE])}

    def concerns(found: RecordedEvent) -> bool:
        if isinstance(found.content, Event):
            return bool(found.content.body.pipeline == pipeline)
        return found.seq in erased and erased[found.seq].get("pipeline", pipeline) == pipeline

    return [found for found in now.events(types=[say.FinalLooked.TYPE]) if concerns(found)]


def _may_have_used(look_taken: RecordedEvent, waiver: WaiverState) -> bool:
    """Whether a look used a waiver, or was erased and may have."""
    if isinstance(look_taken.content, Event):
        return bool(look_taken.content.body.waiver == waiver.waiver)
    return look_taken.seq > waiver.seq


def _who_looked(now: Snapshot, look_taken: RecordedEvent) -> str:
    """``ann on 2013-07-01, for late-arrivals-v1``."""
    if isinstance(look_taken.content, Event):
        whom = str(look_taken.content.body.model)
    else:
        erasure = next(item.erasure for item in now.erased([look_taken.type]) if item.event.seq == look_taken.seq)
        whom = f"a model that is {erasure.unknown}"
    return f"{look_taken.actor} on {look_taken.recorded_at.astimezone(now.zone):%Y-%m-%d}, for {whom}"


def _refuse_hindsight(recipe: Recipe, windows: Sequence[Window]) -> None:
    """Refuse sealed windows whose answers an imported model may have seen."""
    knew = [window.label for window in windows if recipe.knew(window)]
    if knew and recipe.onnx is not None:
        raise Refused(
            f"{recipe.name} was trained elsewhere until {recipe.onnx.until}, after the cut-off of {', '.join(knew)}: "
            "it may have seen the answers.",
            "Import a model that was trained before the sealed windows.",
        )


def _reference(again: Again) -> Recipe:
    settings = again.loaded.settings
    return recipe_for(settings, settings.reference, again.slice.features, again.sources)


def _announce(
    book: Ledger, again: Again, model: ModelState, windows: Sequence[Window], recipes: Sequence[Recipe], command: str
) -> say.FinalLooked:
    """Record the look before anything of it exists; two that come together are two looks."""
    while True:
        now = book.now()
        number, budget, waiver = _within_budget(now, model)
        body = say.FinalLooked(
            look=f"{model.pipeline}/{number}",
            pipeline=model.pipeline,
            run=again.record.state.run,
            model=model.model,
            windows=tuple(window.label for window in windows),
            number=number,
            budget=budget,
            command=command,
            candidates=tuple(recipe.name for recipe in recipes),
            waiver=waiver,
        )
        made = now.event(model.made_by_event).id.hex()
        try:
            book.append(Draft(body, cause=(made,)), expected={f"look:{body.look}": None}, sign=True)
        except Conflict:
            continue  # somebody looked in between; their look counts first
        return body


def _compute(
    again: Again, windows: Sequence[Window], recipes: Sequence[Recipe], workers: int, on_progress: Progress
) -> tuple[list[Described], list[Judged]]:
    cells = cells_of(windows, recipes)
    described: list[Described] = []
    judged: list[Judged] = []
    for result in backtest(again.plan, cells, windows, workers):
        if isinstance(result, Described):
            described.append(result)
        else:
            judged.append(result)
            on_progress(f"judging {result.candidate} in {result.label}", len(judged), len(cells))
    return described, judged


def _conclude(
    book: Ledger,
    again: Again,
    model: ModelState,
    announced: say.FinalLooked,
    described: list[Described],
    judged: list[Judged],
) -> tuple[say.FinalLooked, say.FinalEvaluated, say.GateEvaluated | None]:
    body = _evaluated(book, again, model, announced, described, judged)
    predictions, losses = (book.store(parquet(table)) for table in _tables(described, judged))
    body = _with_files(body, predictions.hash, losses.hash)
    files = [
        say.ArtifactStored(
            artifact=item.hash, size_bytes=item.size_bytes, media_type=PARQUET, role=role, run=announced.run
        )
        for item, role in ((predictions, "predictions"), (losses, "loss table"))
    ]
    seq = book.log.last_seq_of(f"look:{announced.look}")
    assert seq is not None
    cause = (book.now().event(seq).id.hex(),)
    first, last = described[0].window, described[-1].window
    about = About(
        trained_on=(from_micros(again.slice.first_time), from_micros(first.cutoff)),
        tested_on=(from_micros(first.start), from_micros(last.end)),
    )
    book.append(*files, Draft(body, about=about, cause=cause), sign=True)
    # The gate is evaluated on what has just been recorded, as it will be at a promotion.
    now = book.now()
    evidence = evidence_of(now, again.record, model.model, model.candidate)
    outcomes = [
        item for item in judge(configuration_in(again.record.registered).gates, evidence) if item.name == "final_test"
    ]
    gates = gate_events(now, again.record, model.model, outcomes)
    if gates:
        answered = book.log.last_seq_of(f"look:{announced.look}")
        assert answered is not None
        book.append(Draft(gates[0], cause=(book.now().event(answered).id.hex(),)), sign=True)
    return announced, body, gates[0] if gates else None


def _evaluated(
    book: Ledger,
    again: Again,
    model: ModelState,
    announced: say.FinalLooked,
    described: list[Described],
    judged: list[Judged],
) -> say.FinalEvaluated:
    metric = again.plan.metric
    reference = announced.candidates[0]
    own = {item.label: item for item in judged if item.candidate != reference}
    theirs = {item.label: item for item in judged if item.candidate == reference}
    gains = {
        label: gain_of(metric, item.metrics[metric].value, theirs[label].metrics[metric].value)
        for label, item in own.items()
    }
    windows = [
        say.FinalWindow(
            label=item.window.label,
            test_rows=item.test_rows,
            metrics={
                candidate.candidate: candidate.metrics
                for candidate in (theirs[item.window.label], own[item.window.label])
            },
            gain=gains[item.window.label],
        )
        for item in described
    ]
    evidence = evidence_of(book.now(), again.record, model.model, model.candidate)
    before = [gain for gain in evidence.gains.values() if gain is not None]
    known = [gain for gain in gains.values() if gain is not None]
    gain = float(np.mean(known)) if known else None
    development = float(np.mean(before)) if before else None
    error = spread_error(before, len(known))
    drop = None if gain is None or development is None or not error else (development - gain) / error
    sampling = _sampling_error([own[label] for label in gains], [theirs[label] for label in gains])
    discount = sampling * expected_maximum(announced.number)
    discounted = None if gain is None else gain - discount
    compared = _compared(book.now(), again)
    facts: dict[str, Any] = {
        "metric": metric,
        "look": announced.number,
        "budget": announced.budget,
        "sampling_error": sampling,
        "candidates_compared_before": compared,
        "luck_of_the_best_before": None if error is None else _error_of_mean(before) * expected_maximum(compared),
        "development_windows": len(before),
    }
    return say.FinalEvaluated(
        look=announced.look,
        pipeline=announced.pipeline,
        run=announced.run,
        model=model.model,
        windows=windows,
        gain=gain,
        development_gain=development,
        standard_error=error,
        drop=drop,
        discount=discount,
        discounted=discounted,
        prediction_hash=prediction_hash(np.concatenate([own[label].predictions for label in gains])),
        predictions="0" * 64,
        losses="0" * 64,
        facts=facts,
        sentence=final_sentence(
            SealedResult(model.candidate, reference, metric, announced, gain, development, drop, discount, discounted)
        ),
    )


def _with_files(body: say.FinalEvaluated, predictions: str, losses: str) -> say.FinalEvaluated:
    return msgspec.structs.replace(body, predictions=predictions, losses=losses)


def _tables(described: list[Described], judged: list[Judged]) -> tuple[pd.DataFrame, pd.DataFrame]:
    predictions, losses = [], []
    for item in described:
        here = [found for found in judged if found.label == item.window.label]
        predictions.append(predictions_table(item, here))
        losses.append(losses_table(here).assign(window=item.window.label))
    return pd.concat(predictions, ignore_index=True), pd.concat(losses, ignore_index=True)


def _compared(now: Snapshot, again: Again) -> int:
    """How many different recipes the development windows have compared so far, trials of studies among them.

    The reference is left out.
    """
    settings = again.loaded.settings
    recipes = [recipe_for(settings, name, again.slice.features, again.sources) for name in settings.candidates]
    # One recipe may be recorded under two hashes, of its file and of its syntax.
    same = {recorded: recipe.hash for recipe in recipes for recorded in recipe.hashes}
    hashes = {
        same.get(state.recipe_hash, state.recipe_hash)
        for state in now.evaluations()
        if state.pipeline == settings.name and state.gain is not None
    }
    studied = sum(1 for state in now.trials() if state.params.get(STUDY_OF) == settings.name)
    return max(1, len(hashes) + studied)


# Statistics ------------------------------------------------------------------------------------------------


def spread_error(development: Sequence[float], sealed: int) -> float | None:
    """Standard error of the difference between the mean gains of development and sealed windows."""
    if len(development) < 2 or not sealed:
        return None
    return float(np.std(development, ddof=1)) * math.sqrt(1.0 / len(development) + 1.0 / sealed)


def _error_of_mean(gains: Sequence[float]) -> float:
    return float(np.std(gains, ddof=1)) / math.sqrt(len(gains)) if len(gains) > 1 else 0.0


def _sampling_error(own: Sequence[Judged], reference: Sequence[Judged]) -> float:
    """Standard error of the mean gain over windows, with whole resample units (days) drawn.

    The gain of a window is one minus a ratio of two sums over units, or a difference of two means over rows; its error
    is that of the linearised ratio (Cochran, Sampling Techniques, 6.4).
    """
    variance = 0.0
    for ours, theirs in zip(own, reference, strict=True):
        whole = ours.losses["segment"] == ""
        summed = "sum_ranking" if "sum_ranking" in ours.losses else "sum_loss"
        c, r = (item.losses.loc[whole, summed].to_numpy(dtype=np.float64) for item in (ours, theirs))
        if len(c) < 2 or (summed == "sum_loss" and not r.sum()):
            continue
        if summed == "sum_ranking":
            rows = ours.losses.loc[whole, "rows"].to_numpy(dtype=np.float64)
            residual = (c - r - (c - r).sum() / rows.sum() * rows) / rows.sum()
        else:
            residual = (c - c.sum() / r.sum() * r) / r.sum()
        variance += len(c) / (len(c) - 1) * float(residual @ residual)
    return math.sqrt(variance) / max(1, len(own))


def expected_maximum(number: int) -> float:
    """Expected largest of ``number`` independent standard normal draws: what the best of so many gains by luck alone.

    Examples
    --------
    >>> [round(expected_maximum(k), 2) for k in (1, 5, 20, 100)]
    [0.0, 1.16, 1.87, 2.51]
    """
    x = np.linspace(-8.0, 8.0, 16_001)
    below = 0.5 * (1.0 + np.vectorize(math.erf)(x / math.sqrt(2.0)))
    density = np.exp(-x * x / 2.0) / math.sqrt(2.0 * math.pi)
    return max(0.0, float(np.trapezoid(x * number * density * below ** (number - 1), x)))


class SealedResult(NamedTuple):
    """What a look came to, as its sentence says it."""

    candidate: str
    reference: str
    metric: str
    announced: say.FinalLooked
    gain: float | None
    development: float | None
    drop: float | None
    discount: float
    discounted: float | None


def final_sentence(shown: SealedResult) -> str:
    """What a look showed, in words."""
    announced, gain, development = shown.announced, shown.gain, shown.development
    windows = f"{count(len(announced.windows), 'sealed window')} ({', '.join(announced.windows)})"
    look = f"Look {announced.number} of {announced.budget}:"
    if gain is None or shown.discounted is None:
        return f"{look} {shown.candidate} has no number on the {windows}."
    ranks = shown.metric in RANKINGS
    verb = f"had an {METRIC_WORDS[shown.metric]}" if ranks else "lost"

    def size(value: float) -> str:
        return points(value) if ranks else f"{value:.1%}"

    def against(value: float) -> str:
        better = ("higher" if ranks else "less") if value >= 0 else ("lower" if ranks else "more")
        return f"{size(abs(value))} {better}"

    said = [f"{look} on the {windows} {shown.candidate} {verb} {against(gain)} than {shown.reference}"]
    if development is not None:
        said.append(f", on the development windows {against(development)}")
    if shown.drop is not None:
        how = "fell" if shown.drop > 0 else "rose"
        said.append(f": it {how} by {abs(shown.drop):.1f} standard errors of what windows differ by")
    if shown.discount > 0:
        remains = signed_gain(shown.discounted, shown.metric)
        said.append(f". For {announced.number} looks {size(shown.discount)} is taken off: {remains} remains")
    return "".join(said) + "."
