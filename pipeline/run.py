"""A run: slice → train and judge in time → decide → refit, with every step recorded before the next begins.

What the run is about to do is in the ledger before any result exists. Windows are recorded in order, one commit
each, by this process alone; workers only compute. The decision, the model and the end of the run are one commit,
so a reader sees either all of them or none; a run that breaks off leaves ``run.failed`` or an open end, and
nothing that looks like a result.
"""

from __future__ import annotations

import datetime as dt
import io
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pandas as pd
from blake3 import blake3

from ledger import vocabulary as say
from ledger.commit import from_micros, to_micros
from ledger.errors import Conflict, TallyError
from ledger.event import About, encode_canonical
from ledger.ledger import Draft, Ledger
from ledger.log import Appended
from ledger.objects import Artifact
from ledger.projections import ModelState, RunState
from pipeline import backtest, environment, words
from pipeline.backtest import Cell, Described, Judged, Plan, Recipe
from pipeline.config import LoadedPipeline
from pipeline.model_file import MEDIA_TYPE, dump, predict, prediction_hash
from pipeline.recipes import Columns
from pipeline.selection import Selection, choose
from pipeline.slice import LABEL_KNOWN, TARGET, TIME, Slice, cut, frame_of, numbers, open_table, rows_of
from pipeline.spans import parse_span
from pipeline.stability import Score, Trial, WindowLosses
from pipeline.windows import Window, development_windows

PROBE_ROWS = 1_000
PARQUET = "application/vnd.apache.parquet"
CHAMPION = "champion"

Progress = Callable[[str, int, int], None]
"""What was just done, how much is done, of how much."""


class Outline(NamedTuple):
    """What a run is going to do, told before it does it."""

    loaded: LoadedPipeline
    slice: Slice
    windows: list[Window]
    recipes: list[Recipe]
    workers: int
    run: str
    earlier: RunState | None
    """A finished run of the same configuration on the same slice."""


class Optimism(NamedTuple):
    """A candidate by walk-forward and by random split, window by window."""

    candidate: str
    metric: str
    windows: list[say.RandomSplit]
    walk_forward: float | None
    random: float | None
    gaps: list[float]
    sentence: str


class Report(NamedTuple):
    """What a run came to."""

    outline: Outline
    described: list[Described]
    judged: list[Judged]
    scores: dict[str, Score]
    selection: Selection
    headline: str
    reasons: list[say.Reason]
    optimism: list[Optimism]
    random_choice: str | None
    model: str | None
    result_hash: str
    same_result_as: str | None
    differs_from: str | None
    seconds: float
    commit: str


def run(
    book: Ledger,
    loaded: LoadedPipeline,
    *,
    workers: int,
    on_outline: Callable[[Outline], None],
    on_progress: Progress,
) -> Report:
    """Do a whole run and record it.

    Parameters
    ----------
    workers : int
        Processes that fit at the same time; results do not depend on it.
    on_outline, on_progress : callable
        Told what is going to happen, and how far it is.

    Raises
    ------
    TallyError
        For input that does not fit; nothing is recorded then. What breaks after the run has started is recorded
        as ``run.failed`` and raised.
    """
    started = time.monotonic()
    close_dead_runs(book)
    with tempfile.TemporaryDirectory(prefix="tally-slice-", ignore_cleanup_errors=True) as folder:
        slice_ = cut(loaded.settings, loaded.path.parent, Path(folder))
        as_of = to_micros(dt.datetime.now(dt.UTC))
        outline, cause = _begin(book, loaded, slice_, workers, as_of)
        stage = "starting"

        def progress(what: str, done: int, total: int) -> None:
            nonlocal stage
            stage = what
            on_progress(what, done, total)

        try:
            on_outline(outline)
            return _Running(book, outline, as_of, cause, progress, started).go()
        except BaseException as error:
            _record_failure(book, outline, stage, error)
            raise


# Beginning and breaking off --------------------------------------------------------------------------------


def close_dead_runs(book: Ledger) -> None:
    """Record the end of runs whose process on this machine is gone without a word."""
    for state in book.now().runs():
        if state.status == "running" and state.host == platform.node() and not _is_alive(state.process):
            done = f"{state.windows_evaluated} of {state.windows} windows were recorded"
            body = say.RunFailed(
                run=state.run,
                pipeline=state.pipeline,
                stage="unknown",
                error="ProcessGone",
                message=f"the process {state.process} is gone without a word; {done}",
            )
            try:
                run = f"run:{state.run}"
                book.append(body, expected={run: book.log.last_seq_of(run)})
            except Conflict:
                continue  # somebody else noticed at the same moment


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _record_failure(book: Ledger, outline: Outline, stage: str, error: BaseException) -> None:
    interrupted = isinstance(error, KeyboardInterrupt)
    message = "interrupted" if interrupted else str(error).splitlines()[0] if str(error) else type(error).__name__
    body = say.RunFailed(
        run=outline.run,
        pipeline=outline.loaded.settings.name,
        stage=stage,
        error=type(error).__name__,
        message=message[:2_000],
    )
    try:
        book.append(body)
    except TallyError as second:
        # The first error is the one to report; the open run is closed by the next one on this machine.
        error.add_note(f"The failure itself could not be recorded: {second}")


def _begin(
    book: Ledger, loaded: LoadedPipeline, slice_: Slice, workers: int, as_of: int
) -> tuple[Outline, tuple[str, ...]]:
    """Record what is going to happen; returns it with the ids of the events that say so."""
    settings = loaded.settings
    now = book.now()
    captured = environment.capture()
    windows = development_windows(settings.time)
    recipes = _recipes(book, loaded, slice_)
    earlier = [
        state
        for state in now.runs()
        if state.status == "finished"
        and state.pipeline == settings.name
        and state.meaning_hash == loaded.meaning_hash
        and state.slice == slice_.name
    ]
    same_slice = next((state.last_run for state in now.slices() if state.slice == slice_.name), None)
    drafts: list[Draft | say.Body] = []
    if book.log.last_seq_of(f"environment:{captured.environment}") is None:
        drafts.append(captured)
    if _registered_text(book, settings.name) != loaded.text_hash:
        drafts.append(_registration(loaded))
    while True:
        run_name = _next_run(book)
        started = say.RunStarted(
            run=run_name,
            pipeline=settings.name,
            environment=captured.environment,
            meaning_hash=loaded.meaning_hash,
            labels_as_of=from_micros(as_of),
            windows=tuple(window.label for window in windows),
            candidates=tuple(recipe.name for recipe in recipes),
            seed=settings.selection.seed,
            workers=workers,
            process=os.getpid(),
            host=platform.node(),
        )
        taken = Draft(_slice_taken(slice_, run_name, settings.name, same_slice), about=_observed(slice_))
        try:
            appended = book.append(*drafts, started, taken, expected={f"run:{run_name}": None})
            break
        except Conflict:
            continue  # another process took the number first
    outline = Outline(loaded, slice_, windows, recipes, workers, run_name, earlier[-1] if earlier else None)
    return outline, _ids(book, appended)[-2:]


def _next_run(book: Ledger) -> str:
    today = dt.datetime.now(dt.UTC).astimezone(book.zone).strftime("%Y-%m-%d")
    taken = [int(name.rpartition(".")[2]) for name in book.log.entities(f"run:{today}.")]
    return f"{today}.{max(taken, default=0) + 1}"


def _registered_text(book: Ledger, name: str) -> str | None:
    """Hash of the pipeline file as it was registered last."""
    state = next((state for state in book.now().pipelines() if state.pipeline == name), None)
    if state is None:
        return None
    body = book.event(state.registered_by).event.body
    assert isinstance(body, say.PipelineRegistered)
    return body.text_hash


def _registration(loaded: LoadedPipeline) -> say.PipelineRegistered:
    return say.PipelineRegistered(
        pipeline=loaded.settings.name,
        owner=loaded.settings.owner,
        questions=msgspec.to_builtins(loaded.settings.questions),
        text=loaded.text,
        text_hash=loaded.text_hash,
        meaning=loaded.meaning,
        meaning_hash=loaded.meaning_hash,
        defaulted=loaded.defaulted,
        path=loaded.path.name,
    )


def _recipes(book: Ledger, loaded: LoadedPipeline, slice_: Slice) -> list[Recipe]:
    """The candidates of the file, and the champion's recipe where it is not among them."""
    task = "regression" if loaded.settings.data.target.rule is None else "classification"
    recipes = [
        Recipe(name, item.estimator, dict(item.params), item.complexity, slice_.features, task)  # type: ignore[arg-type]
        for name, item in loaded.settings.candidates.items()
    ]
    champion = _champion(book, loaded.settings.name)
    if champion is None:
        return recipes
    body = book.event(champion.made_by_event).event.body
    assert isinstance(body, say.CandidateRefitted)
    if body.recipe_hash in {recipe.hash for recipe in recipes}:
        return recipes
    content = body.recipe
    columns = Columns(tuple(content["numeric"]), tuple(content["categorical"]))
    if not set(columns.numeric) <= set(slice_.numeric) or not set(columns.categorical) <= set(slice_.categorical):
        return recipes  # the champion needs columns that this slice does not have; it cannot be compared
    complexity = int(content["complexity"])
    return [*recipes, Recipe(CHAMPION, content["estimator"], content["params"], complexity, columns, task)]  # type: ignore[arg-type]


def _champion(book: Ledger, pipeline: str) -> ModelState | None:
    now = book.now()
    return now.champion(pipeline) if any(state.pipeline == pipeline for state in now.pipelines()) else None


def _slice_taken(slice_: Slice, run_name: str, pipeline: str, same_as: str | None) -> say.SliceTaken:
    return say.SliceTaken(
        slice=slice_.name,
        run=run_name,
        pipeline=pipeline,
        source=slice_.source,
        fingerprint=slice_.fingerprint,
        rows=slice_.source_rows,
        kept_rows=slice_.rows,
        dropped=slice_.dropped,
        columns=slice_.columns,
        same_as=same_as,
    )


def _observed(slice_: Slice) -> About:
    return About(observed_in=(from_micros(slice_.first_time), from_micros(slice_.last_time + 1)))


def _ids(book: Ledger, appended: Appended) -> tuple[str, ...]:
    return tuple(event_id.hex() for event_id, _ in book.log.hashes(appended.first_seq, appended.last_seq))


# The work --------------------------------------------------------------------------------------------------


class _Running:
    """One run on its way: what it has computed and recorded so far."""

    def __init__(
        self,
        book: Ledger,
        outline: Outline,
        as_of: int,
        cause: tuple[str, ...],
        progress: Progress,
        started: float,
    ) -> None:
        self.book = book
        self.outline = outline
        self.settings = outline.loaded.settings
        self.name = outline.run
        self.pipeline = self.settings.name
        self.as_of = as_of
        self.cause = cause
        self.progress = progress
        self.started = started
        self.reference = next(name for name, item in self.settings.candidates.items() if item.role == "reference")
        self.context = words.Context(
            metric=self.settings.selection.metric,
            reference=self.reference,
            confidence=self.settings.selection.confidence,
            pipeline=self.pipeline,
        )
        self.described: list[Described] = []
        self.judged: list[Judged] = []
        self.evidence: list[str] = []
        """Ids of the events that the decision rests on."""
        self.done = 0
        self.total = len(outline.windows) * len(outline.recipes)

    def go(self) -> Report:
        plan = self._plan()
        cells = [Cell(window, recipe) for window in self.outline.windows for recipe in self.outline.recipes]
        # The optimism of up to three candidates, and the refit.
        self.total += len(self.outline.windows) * min(3, len(self.outline.recipes) - 1) + 1
        self._record_windows(plan, cells)
        trial, scores = self._scores()
        selection = self._choose(trial, scores)
        optimism = self._optimism(plan, selection, scores)
        return self._conclude(plan, trial, scores, selection, optimism)

    def _plan(self) -> Plan:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return backtest.make_plan(
            self.settings,
            self.outline.slice,
            self.outline.windows[0],
            as_of=self.as_of,
            threads=max(1, cores // self.outline.workers),
        )

    def _step(self, what: str) -> None:
        self.done += 1
        self.progress(what, self.done, self.total)

    # Windows

    def _record_windows(self, plan: Plan, cells: Sequence[Cell]) -> None:
        """Compute all cells; record each window as one commit, in order, as soon as it is complete."""
        per_window = len(self.outline.recipes)
        open_window: Described | None = None
        judged: list[Judged] = []
        for result in backtest.backtest(plan, cells, self.outline.windows, self.outline.workers):
            if isinstance(result, Described):
                open_window = result
                continue
            judged.append(result)
            self._step(f"judging {result.candidate} in {result.label}")
            if len(judged) == per_window and open_window is not None:
                self._record_window(open_window, judged)
                judged = []

    def _record_window(self, described: Described, judged: list[Judged]) -> None:
        window = described.window
        about = self._about(described)
        predictions = self._store(_predictions_table(described, judged))
        losses = self._store(_losses_table(judged))
        reference = next(item for item in judged if item.candidate == self.reference)
        drafts: list[Draft | say.Body] = [
            Draft(self._window_body(described), about=about, cause=self.cause),
            self._artifact(predictions, "predictions"),
            self._artifact(losses, "loss table"),
        ]
        hashes = {recipe.name: recipe.hash for recipe in self.outline.recipes}
        for item in judged:
            body = say.WindowEvaluated(
                run=self.name,
                pipeline=self.pipeline,
                window=f"{self.pipeline}/{window.label}",
                slice=self.outline.slice.name,
                label=window.label,
                candidate=item.candidate,
                recipe_hash=hashes[item.candidate],
                metrics=item.metrics,
                gain=self._gain(item, reference),
                metrics_by_overlap=item.metrics_by_overlap,
                reliability=item.reliability,
                scores=item.scores,
                prediction_hash=item.prediction_hash,
                predictions=predictions.hash,
                losses=losses.hash,
                fit_seconds=round(item.fit_seconds, 3),
                predict_seconds=round(item.predict_seconds, 3),
                warnings=item.warnings,
            )
            drafts.append(Draft(body, about=about, cause=self.cause))
        appended = self.book.append(*drafts, key=f"{self.name}/{window.label}")
        self.evidence += _ids(self.book, appended)[-len(judged) :]
        self.described.append(described)
        self.judged += judged

    def _gain(self, item: Judged, reference: Judged) -> float | None:
        ours, theirs = (found.metrics[self.context.metric].value for found in (item, reference))
        if ours is None or theirs is None or item.candidate == self.reference or theirs == 0.0:
            return None
        return (theirs - ours) / theirs

    def _about(self, described: Described) -> About:
        window = described.window
        begin = self.outline.slice.first_time if window.train_start is None else window.train_start
        return About(
            trained_on=(from_micros(min(begin, window.cutoff)), from_micros(window.cutoff)),
            tested_on=(from_micros(window.start), from_micros(window.end)),
        )

    def _window_body(self, described: Described) -> say.WindowDescribed:
        window = described.window
        zone = ZoneInfo(self.settings.time.timezone)
        return say.WindowDescribed(
            run=self.name,
            pipeline=self.pipeline,
            window=f"{self.pipeline}/{window.label}",
            slice=self.outline.slice.name,
            label=window.label,
            cutoff=from_micros(window.cutoff),
            start_local=from_micros(window.start).astimezone(zone).isoformat(),
            end_local=from_micros(window.end).astimezone(zone).isoformat(),
            train_rows=described.train_rows,
            test_rows=described.test_rows,
            immature_rows=described.immature_rows,
            removed_for_overlap=described.removed_for_overlap,
            complete=described.complete,
            train_hash=described.train_hash,
            test_hash=described.test_hash,
            test_columns=described.test_columns,
            train_target=described.train_target,
            test_target=described.test_target,
            overlap=described.overlap,
            new_levels=described.new_levels,
            missing=described.missing,
            histograms=described.histograms,
            warnings=described.warnings,
        )

    def _store(self, table: pd.DataFrame) -> Artifact:
        return self.book.store(_parquet(table))

    def _artifact(self, artifact: Artifact, role: str, media_type: str = PARQUET) -> say.ArtifactStored:
        return say.ArtifactStored(
            artifact=artifact.hash, size_bytes=artifact.size_bytes, media_type=media_type, role=role, run=self.name
        )

    # Deciding

    def _scores(self) -> tuple[Trial | None, dict[str, Score]]:
        complete = {item.window.label for item in self.described if item.complete}
        windows = []
        for label in sorted(complete):
            of_window = [item for item in self.judged if item.label == label]
            whole = {item.candidate: item.losses[item.losses["segment"] == ""] for item in of_window}
            windows.append(
                WindowLosses(
                    label,
                    whole[self.reference]["rows"].to_numpy(dtype=np.float64),
                    {name: table["sum_loss"].to_numpy(dtype=np.float64) for name, table in whole.items()},
                )
            )
        if not windows:
            return None, {}
        rule = self.settings.selection
        trial = Trial(windows, reference=self.reference, confidence=rule.confidence, seed=rule.seed)
        horizon = self._horizon_windows()
        return trial, {name: trial.score(name, horizon) for name in trial.candidates}

    def _horizon_windows(self) -> float:
        """The validity, counted in windows of average length."""
        windows = self.outline.windows
        length = (windows[-1].end - windows[0].start) / len(windows)
        return parse_span(self.settings.validity.valid_for).exact_micros("valid_for") / length

    def _choose(self, trial: Trial | None, scores: dict[str, Score]) -> Selection:
        champion = _champion(self.book, self.pipeline)
        champion_name = None
        if champion is not None:
            body = self.book.event(champion.made_by_event).event.body
            champion_name = next(
                (recipe.name for recipe in self.outline.recipes if recipe.hash == body.recipe_hash), None
            )
        return choose(
            trial,
            scores,
            complexity={recipe.name: recipe.complexity for recipe in self.outline.recipes},
            order=[recipe.name for recipe in self.outline.recipes],
            margin=self.settings.selection.margin,
            ineligible={},
            champion=champion_name,
        )

    def _optimism(self, plan: Plan, selection: Selection, scores: dict[str, Score]) -> list[Optimism]:
        """Random splits for the leader, the runner-up and the most complex candidate: it has most to remember."""
        others = [recipe for recipe in self.outline.recipes if recipe.name in scores]
        names = [name for name in (selection.leader, selection.runner_up) if name is not None]
        if others:
            names.append(max(others, key=lambda recipe: recipe.complexity).name)
        wanted = [recipe for recipe in others if recipe.name in names]
        complete = [item.window for item in self.described if item.complete]
        self.total = self.done + len(wanted) * len(complete) + 1
        cells = [Cell(window, recipe, random_split=True) for window in complete for recipe in wanted]
        random: dict[tuple[str, str], Judged] = {}
        from joblib import Parallel, delayed

        parallel = Parallel(n_jobs=self.outline.workers, return_as="generator", batch_size=1)
        for item in parallel(delayed(backtest.judge)(plan, cell) for cell in cells):
            random[item.candidate, item.label] = item
            self._step(f"random split of {item.candidate} in {item.label}")
        forward = {(item.candidate, item.label): item for item in self.judged}
        return [_optimism_of(recipe.name, plan, complete, forward, random) for recipe in wanted]

    # Concluding

    def _conclude(
        self,
        plan: Plan,
        trial: Trial | None,
        scores: dict[str, Score],
        selection: Selection,
        optimism: list[Optimism],
    ) -> Report:
        reasons = [
            say.Reason(code=step.code, facts=step.facts, sentence=words.step_sentence(step, self.context))
            for step in selection.steps
        ]
        headline = words.headline(selection, self.context)
        random_choice = _random_choice(optimism)
        champion = _champion(self.book, self.pipeline)
        refit = self._refit(plan, selection.chosen) if selection.chosen is not None else None
        self._step("refitting" if refit else "concluding")
        result_hash = self._result_hash(selection)
        same, differs = self._compare(result_hash)
        decided = say.DecisionTaken(
            decision=self.name,
            run=self.name,
            pipeline=self.pipeline,
            rule=self.settings.selection.rule,
            outcome=selection.outcome,
            chosen=selection.chosen,
            model=refit.model if refit else None,
            champion=champion.model if champion else None,
            headline=headline,
            reasons=reasons,
            scores={
                "candidates": {name: msgspec.to_builtins(score) for name, score in scores.items()},
                "regret": trial.regret() if trial else {},
                "random_choice": random_choice,
            },
        )
        finished = say.RunFinished(
            run=self.name,
            pipeline=self.pipeline,
            decision=self.name,
            result_hash=result_hash,
            same_result_as=same,
            differs_from=differs,
            seconds=round(time.monotonic() - self.started, 3),
        )
        evidence = tuple(self.evidence)
        drafts: list[Draft | say.Body] = [Draft(self._optimism_body(item), cause=evidence) for item in optimism]
        if refit:
            drafts += refit.drafts
        drafts += [Draft(decided, cause=evidence), finished]
        expected: dict[str, int | None] = {f"model:{refit.model}": refit.last_seq} if refit else {}
        appended = self.book.append(*drafts, expected=expected, sign=True)
        return Report(
            outline=self.outline,
            described=self.described,
            judged=self.judged,
            scores=scores,
            selection=selection,
            headline=headline,
            reasons=reasons,
            optimism=optimism,
            random_choice=random_choice,
            model=refit.model if refit else None,
            result_hash=result_hash,
            same_result_as=same,
            differs_from=differs,
            seconds=finished.seconds,
            commit=self.book.commit_handle(appended.n),
        )

    def _optimism_body(self, item: Optimism) -> say.OptimismMeasured:
        return say.OptimismMeasured(
            run=self.name,
            pipeline=self.pipeline,
            candidate=item.candidate,
            metric=item.metric,
            windows=item.windows,
            mean_walk_forward=item.walk_forward,
            mean_random=item.random,
            mean_gap=float(np.mean(item.gaps)) if item.gaps else None,
            positive_windows=sum(gap > 0 for gap in item.gaps),
            sentence=item.sentence,
        )

    def _refit(self, plan: Plan, chosen: str) -> _Refit:
        """Fit the chosen recipe on everything that has matured, on one thread so that the file comes out the same."""
        recipe = next(recipe for recipe in self.outline.recipes if recipe.name == chosen)
        table = open_table(self.outline.slice)
        label_known = numbers(table, LABEL_KNOWN)
        rows = np.flatnonzero(label_known <= self.as_of)
        train = rows_of(table, rows)
        frame = frame_of(train, recipe.columns)
        seed = backtest.seed_for(plan.seed, recipe.name, "refit")
        with backtest.limited_threads(1):
            model = backtest.fit(recipe, frame, numbers(train, TARGET), seed, "the final refit")
            probe = frame.iloc[np.linspace(0, len(frame) - 1, min(PROBE_ROWS, len(frame))).astype(int)]
            probe_hash = prediction_hash(predict(model, probe))
        file = dump(model)
        stored = self.book.store(file.data)
        probe_stored = self._store(probe.reset_index(drop=True))
        name, last_seq = self._model_name(stored.hash)
        last_label = int(label_known[rows].max())
        valid_for = parse_span(self.settings.validity.valid_for).exact_micros("valid_for")
        times = numbers(train, TIME)
        about = About(
            trained_on=(from_micros(int(times.min())), from_micros(int(times.max()) + 1)),
            intended_for=(from_micros(last_label), from_micros(last_label + valid_for)),
        )
        body = say.CandidateRefitted(
            model=name,
            run=self.name,
            pipeline=self.pipeline,
            slice=self.outline.slice.name,
            environment=self.book.now().run(self.name).environment,
            candidate=chosen,
            recipe={**recipe.content, "complexity": recipe.complexity},
            recipe_hash=recipe.hash,
            artifact=stored.hash,
            media_type=MEDIA_TYPE,
            trusted_types=file.trusted_types,
            libraries=file.libraries,
            features=[*recipe.columns.numeric, *recipe.columns.categorical],
            rows=len(rows),
            probe=probe_stored.hash,
            probe_hash=probe_hash,
        )
        drafts: list[Draft | say.Body] = [
            self._artifact(stored, "model", MEDIA_TYPE),
            self._artifact(probe_stored, "probe"),
            Draft(body, about=about, cause=tuple(self.evidence)),
        ]
        return _Refit(name, last_seq, drafts)

    def _model_name(self, artifact: str) -> tuple[str, int | None]:
        """The model that this file already is, or the next free version; with its newest event."""
        models = [model for model in self.book.now().models() if model.pipeline == self.pipeline]
        known = next((model.model for model in models if model.artifact == artifact), None)
        name = known or f"{self.pipeline}-v{len(models) + 1}"
        return name, self.book.log.last_seq_of(f"model:{name}")

    def _result_hash(self, selection: Selection) -> str:
        """Over everything that must come out the same again; not over durations."""
        windows = [
            [
                item.window.label,
                item.train_hash,
                item.test_hash,
                [
                    [found.candidate, found.prediction_hash, found.metrics]
                    for found in self.judged
                    if found.label == item.window.label
                ],
            ]
            for item in self.described
        ]
        content = [
            windows,
            selection.outcome,
            selection.chosen,
            [msgspec.to_builtins(step) for step in selection.steps],
        ]
        return blake3(encode_canonical(content)).hexdigest()

    def _compare(self, result_hash: str) -> tuple[str | None, str | None]:
        """The earlier run of the same configuration and slice, if its result was the same, or if it was not."""
        earlier = self.outline.earlier
        if earlier is None:
            return None, None
        return (earlier.run, None) if earlier.result_hash == result_hash else (None, earlier.run)


class _Refit(NamedTuple):
    model: str
    last_seq: int | None
    drafts: list[Draft | say.Body]


def _optimism_of(
    candidate: str,
    plan: Plan,
    windows: Sequence[Window],
    forward: dict[tuple[str, str], Judged],
    random: dict[tuple[str, str], Judged],
) -> Optimism:
    metric = "roc_auc" if plan.task == "classification" else plan.metric
    rows = [
        say.RandomSplit(
            label=window.label,
            walk_forward=forward[candidate, window.label].metrics[metric].value,
            random=random[candidate, window.label].metrics[metric].value,
        )
        for window in windows
    ]
    pairs = [(row.walk_forward, row.random) for row in rows if row.walk_forward is not None and row.random is not None]
    sign = 1.0 if metric == "roc_auc" else -1.0
    gaps = [sign * (by_chance - in_time) for in_time, by_chance in pairs]
    mean_forward = float(np.mean([pair[0] for pair in pairs])) if pairs else None
    mean_random = float(np.mean([pair[1] for pair in pairs])) if pairs else None
    sentence = words.optimism_sentence(candidate, metric, mean_forward, mean_random, gaps)
    return Optimism(candidate, metric, rows, mean_forward, mean_random, gaps, sentence)


def _random_choice(optimism: Sequence[Optimism]) -> str | None:
    """A sentence, where a random split would have put another candidate first."""
    known = [item for item in optimism if item.random is not None and item.walk_forward is not None]
    if len(known) < 2:
        return None
    sign = 1.0 if known[0].metric == "roc_auc" else -1.0
    by_random = max(known, key=lambda item: sign * (item.random or 0.0))
    by_time = max(known, key=lambda item: sign * (item.walk_forward or 0.0))
    if by_random.candidate == by_time.candidate:
        return None
    return words.random_choice_sentence(by_random.candidate, by_time.candidate, by_time.metric)


def _predictions_table(described: Described, judged: Sequence[Judged]) -> pd.DataFrame:
    """Key, target and one column of predictions a candidate."""
    return described.keys.assign(**{f"p_{item.candidate}": item.predictions for item in judged})


def _losses_table(judged: Sequence[Judged]) -> pd.DataFrame:
    """Sums by segment, level and unit, with one pair of columns a candidate."""
    table = judged[0].losses[["segment", "level", "unit", "rows", "sum_y"]].copy()
    for item in judged:
        table[f"sum_p_{item.candidate}"] = item.losses["sum_p"].to_numpy()
        table[f"sum_loss_{item.candidate}"] = item.losses["sum_loss"].to_numpy()
    return table


def _parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer, engine="pyarrow", compression="zstd", index=False)
    return buffer.getvalue()
