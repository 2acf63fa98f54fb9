"""A run: slice → train and judge in time → decide → refit, with every step recorded before the next begins.

What the run is about to do is in the ledger before any result exists. Windows are recorded in order, one commit
each, by this process alone; workers only compute. The decision, the model and the end of the run are one commit,
so a reader sees either all of them or none; a run that breaks off leaves ``run.failed`` or an open end, and
nothing that looks like a result.
"""

from __future__ import annotations

import datetime as dt
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import pandas as pd

from tallystick.ledger import Appended, Artifact
from tallystick.ledger.errors import AfterCommit, Conflict
from tallystick.ledger.events import types as say
from tallystick.ledger.events.commit import to_micros
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.ledger import Ledger
from tallystick.pipeline.begin.rules import refuse_idle_rules
from tallystick.pipeline.config.durations import parse_span
from tallystick.pipeline.config.load import LoadedPipeline
from tallystick.pipeline.config.settings import FEWEST_WINDOWS, Pipeline
from tallystick.pipeline.config.windows import labels_until, refuse_date_of_steps, window_names
from tallystick.pipeline.data.answers import Terms
from tallystick.pipeline.data.empty_windows import refuse_holes
from tallystick.pipeline.data.slice import TIME, columns_there, cut, numbers, open_table
from tallystick.pipeline.evaluate import backtest, sentences
from tallystick.pipeline.evaluate.backtest import BacktestPlan, Cell, Described, Judged, cells_of
from tallystick.pipeline.evaluate.metric_words import metric_detail
from tallystick.pipeline.evaluate.optimism import Optimism, measure_optimism, random_choice
from tallystick.pipeline.evaluate.remarks import remarks_on
from tallystick.pipeline.evaluate.result_cache import Remembered, hashes_of
from tallystick.pipeline.evaluate.result_tables import PARQUET, losses_table, parquet, predictions_table
from tallystick.pipeline.evaluate.selection import (
    NOT_ELIGIBLE,
    TOO_FEW_WINDOWS,
    ChoiceRule,
    Fact,
    RuleStep,
    Selection,
    choose,
)
from tallystick.pipeline.evaluate.stability import Scores
from tallystick.pipeline.governance import gates
from tallystick.pipeline.governance.evidence import Measured, evidence_of
from tallystick.pipeline.leakage import checks, questions
from tallystick.pipeline.records.run_record import record_of
from tallystick.pipeline.runs.keeping import JUDGED_ONLY, is_kept
from tallystick.pipeline.runs.model_record import Refitted, named, refitted
from tallystick.pipeline.runs.onnx_candidate import partly_judged
from tallystick.pipeline.runs.refit import refit
from tallystick.pipeline.runs.result_hash import result_hash as result_hash_of
from tallystick.pipeline.runs.start import (
    Outline,
    Purpose,
    begin,
    champion_of,
    close_dead_runs,
    how_made,
    ids_of,
    record_failure,
    rows_until,
    windows_with_labels,
)
from tallystick.pipeline.runs.steadiness import UNSTEADY, Unsteady
from tallystick.pipeline.runs.window_record import (
    about_window,
    described_body,
    evaluated,
    leakage_body,
    optimism_body,
    scores_of,
)

Progress = Callable[[str, int, int], None]
"""What was just done, how much is done, of how much."""


class RunReport(NamedTuple):
    """What a run came to."""

    outline: Outline
    described: list[Described]
    judged: list[Judged]
    scores: Scores | None
    selection: Selection
    headline: str
    reasons: list[say.Reason]
    checks: list[say.Check]
    questions: list[say.LeakQuestion]
    optimism: list[Optimism]
    random_choice: str | None
    remarks: list[str]
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
    purpose: Purpose = Purpose(),  # noqa: B008 - a value, frozen
    labels_as_of: dt.datetime | None = None,
    remembered: Remembered | None = None,
) -> RunReport:
    """Do a whole run and record it.

    Parameters
    ----------
    workers : int
        Processes that fit at the same time; results do not depend on it.
    on_outline, on_progress : callable
        Told what is going to happen, and how far it is.
    purpose : Purpose
        Whether it is an experiment, or does one again for production.
    labels_as_of : datetime, time-zone aware, optional
        Use only labels known by then, and no window of which none was: the run as it would have been at that time.
        Now, where it is not given. In a replayed ledger rows from then on do not exist either.
    remembered : Remembered, optional
        Results of earlier runs of the same file in this process; what has the same rows is taken over, and the
        commit of its window says so.

    Raises
    ------
    TallyError
        For input that does not fit; nothing is recorded then. What breaks after the run has started is recorded
        as ``run.failed`` and raised.
    """
    refuse_date_of_steps(loaded.settings.time, labels_as_of)
    started = time.monotonic()
    close_dead_runs(book)
    with tempfile.TemporaryDirectory(prefix="tally-slice-", ignore_cleanup_errors=True) as folder:
        as_of = to_micros(labels_as_of or book.clock())
        slice_ = cut(
            loaded.settings,
            loaded.path.parent,
            Path(folder),
            until=rows_until(book, as_of),
            terms=Terms(labels_as_of=as_of),
        )
        if rows_until(book, as_of) is None:
            # A table that is replayed may not have got so far yet.
            refuse_idle_rules(loaded.settings, loaded.path.parent, slice_)
        windows = windows_with_labels(loaded.settings, as_of)
        refuse_holes(loaded.settings.time, numbers(open_table(slice_), TIME), windows)
        outline, cause = begin(book, loaded, slice_, workers, as_of, purpose)
        stage = "starting"

        def progress(what: str, done: int, total: int) -> None:
            nonlocal stage
            stage = what
            on_progress(what, done, total)

        try:
            on_outline(outline)
            return _Running(book, outline, as_of, cause, progress, started, remembered).go()
        except AfterCommit:
            raise  # the run is finished and recorded; it did not fail
        except BaseException as error:
            record_failure(book, outline, stage, error)
            raise


def _context(outline: Outline) -> sentences.Context:
    settings = outline.loaded.settings
    return sentences.Context(
        metric=settings.selection.metric,
        reference=settings.reference,
        confidence=settings.selection.confidence,
        period=_period(settings.time.window),
        labels=window_names(settings.time, [*(window.label for window in outline.windows), *settings.time.skipped]),
        detail=metric_detail(settings.selection),
    )


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
        remembered: Remembered | None,
    ) -> None:
        self.book = book
        self.remembered = remembered
        self.outline = outline
        self.settings = outline.loaded.settings
        self.name = outline.run
        self.pipeline = self.settings.name
        self.as_of = labels_until(self.settings.time, as_of)
        self.cause = cause
        self.progress = progress
        self.started = started
        self.reference = self.settings.reference
        self.context = _context(outline)
        self.described: list[Described] = []
        self.judged: list[Judged] = []
        self.evidence: list[str] = []
        """Ids of the events that the decision rests on."""
        self.checks: list[say.Check] = []
        self.questions: list[say.LeakQuestion] = []
        self.done = 0
        self.total = len(cells_of(outline.windows, outline.recipes))

    def go(self) -> RunReport:
        plan = self._plan()
        cells = cells_of(self.outline.windows, self.outline.recipes)
        # The leakage checks, the optimism of up to three candidates, and the refit.
        self.total += 1 + len(self.outline.windows) * min(3, len(self.outline.recipes) - 1) + 1
        self._record_windows(plan, cells)
        self._check(plan)
        scores = scores_of(self.outline, self.described, self.judged)
        selection = self._choose(scores)
        optimism = self._optimism(plan, selection)
        return self._conclude(plan, scores, selection, optimism)

    def _plan(self) -> BacktestPlan:
        return backtest.make_plan(self.settings, self.outline.slice, self.outline.windows[0], as_of=self.as_of)

    def _step(self, what: str) -> None:
        self.done += 1
        self.progress(what, self.done, self.total)

    # Windows

    def _record_windows(self, plan: BacktestPlan, cells: Sequence[Cell]) -> None:
        """Compute all cells; record each window as one commit, in order, as soon as it is complete."""
        per_window = Counter(cell.window.label for cell in cells)
        open_window: Described | None = None
        judged: list[Judged] = []
        judge = self.remembered.backtest if self.remembered is not None else backtest.backtest
        for result in judge(plan, cells, self.outline.windows, self.outline.workers):
            if isinstance(result, Described):
                open_window = result
                continue
            judged.append(result)
            self._step(f"judging {result.candidate} in {result.label}")
            if open_window is not None and len(judged) == per_window[open_window.window.label]:
                self._record_window(open_window, judged)
                judged = []

    def _record_window(self, described: Described, judged: list[Judged]) -> None:
        window = described.window
        about = about_window(self.outline, described)
        predictions = self._store(predictions_table(described, judged))
        losses = self._store(losses_table(judged))
        reference = next(item for item in judged if item.candidate == self.reference)
        drafts: list[Draft | say.Body] = [
            Draft(described_body(self.outline, described), about=about, cause=self.cause),
            self._artifact(predictions, "predictions"),
            self._artifact(losses, "loss table"),
        ]
        for item in judged:
            body = evaluated(self.outline, item, reference, predictions, losses)
            drafts.append(Draft(body, about=about, cause=self.cause))
        appended = self.book.append(*drafts, key=f"{self.name}/{window.label}", note=self._taken_over(described))
        self.evidence += ids_of(self.book, appended)[-len(judged) :]
        self.described.append(described)
        self.judged += judged

    def _taken_over(self, described: Described) -> str | None:
        """A remark where results were not computed for this run."""
        label = described.window.label
        names = self.remembered.taken_over.get(label, ()) if self.remembered is not None else ()
        return f"not fitted again, the same rows were judged before: {', '.join(names)}" if names else None

    def _store(self, table: pd.DataFrame) -> Artifact:
        return self.book.store(parquet(table))

    def _artifact(self, artifact: Artifact, role: str) -> say.ArtifactStored:
        return say.ArtifactStored(
            artifact=artifact.hash, size_bytes=artifact.size_bytes, media_type=PARQUET, role=role, run=self.name
        )

    # Deciding

    def _check(self, plan: BacktestPlan) -> None:
        """Whether the data tells what could not have been known."""
        labels = [window.label for window in self.outline.windows]
        earlier = checks.seen_before(self.book.now(), self.pipeline, self.name, labels)
        self.checks = checks.run_checks(
            plan,
            self.settings,
            self.outline.recipes,
            self.described,
            earlier,
            columns_there(self.settings.data, self.outline.loaded.path.parent),
        )
        self.questions = questions.asked(self.checks, questions.given_answers(self.book.now(), self.settings))
        self._step("checking for leaks")

    def _choose(self, scores: Scores | None) -> Selection:
        if scores is None:
            facts: dict[str, Fact] = {"windows": 0, "needed": FEWEST_WINDOWS, "stays": self.reference}
            return Selection(
                chosen=None,
                leader=None,
                equals=[],
                runner_up=None,
                outcome="too-few-windows",
                reasons=[RuleStep(TOO_FEW_WINDOWS, facts)],
            )
        champion = champion_of(self.book.now(), self.pipeline)
        champion_name = None
        if champion is not None:
            made = how_made(self.book.now(), champion)
            same = (recipe.name for recipe in self.outline.recipes if made.recipe_hash in recipe.hashes)
            champion_name = next((name for name in same if _is_scored(name, scores)), None)
        why = checks.why_not_eligible(self.checks) if self.settings.gates.leakage is not None else None
        rule = ChoiceRule(
            complexity={recipe.name: recipe.complexity for recipe in self.outline.recipes},
            order=[recipe.name for recipe in self.outline.recipes],
            margin=self.settings.selection.margin,
            confidence=scores.confidence,
            reference=self.reference,
            champion=champion_name,
            eligible=_eligible(self.settings, scores, self.outline.unsteady, why),
        )
        return _with_partly_judged(choose(scores, rule), self.outline, scores.windows)

    def _optimism(self, plan: BacktestPlan, selection: Selection) -> list[Optimism]:
        """Measured for the leader, the runner-up and the most complex candidate: it has most to remember."""
        others = [item for item in self.outline.recipes if item.name != self.reference and item.is_fitted]
        names = [name for name in (selection.leader, selection.runner_up) if name is not None]
        if others:
            names.append(max(others, key=lambda recipe: recipe.complexity).name)
        wanted = [recipe for recipe in others if recipe.name in names]
        complete = [item.window for item in self.described if item.complete]
        # What was allowed for and is not needed counts as done: the total stays where it was.
        self.done = self.total - 1 - len(wanted) * len(complete)
        if not complete:
            return []
        known = Remembered() if self.remembered is None else self.remembered
        rows = {item.window.label: hashes_of(item) for item in self.described}
        workers = self.outline.workers
        return measure_optimism(plan, complete, wanted, self.judged, workers, known, rows, self._step)

    def _conclude(
        self, plan: BacktestPlan, scores: Scores | None, selection: Selection, optimism: list[Optimism]
    ) -> RunReport:
        reasons = [
            say.Reason(code=reason.code, facts=reason.facts, sentence=sentences.reason_sentence(reason, self.context))
            for reason in selection.reasons
        ]
        headline = sentences.headline(selection, self.pipeline, scores, self.context)
        if self.settings.gates.leakage is not None and selection.chosen is not None:
            headline += questions.provisional(self.questions)
        by_chance = random_choice(optimism)
        remarks = remarks_on(scores, selection, self.described, self.judged, self.settings, self.context)
        remarks += sentences.empty_between(
            self.settings.time, [item.window.label for item in self.described], self.context
        )
        if self.settings.gates.leakage is None:
            remarks = [questions.not_judged(self.checks, self.questions), *remarks]
        champion = champion_of(self.book.now(), self.pipeline)
        model = self._model(plan, selection.chosen) if selection.chosen is not None else None
        self._step("refitting" if model else "concluding")
        result_hash = result_hash_of(self.described, _steady(self.judged, self.outline))
        same, differs = self._compare(result_hash)
        decided = say.DecisionTaken(
            decision=self.name,
            run=self.name,
            pipeline=self.pipeline,
            rule=self.settings.selection.rule,
            outcome=selection.outcome,
            chosen=selection.chosen,
            model=model.body.model if model else None,
            champion=champion.model if champion else None,
            headline=headline,
            reasons=reasons,
            scores={} if scores is None else msgspec.to_builtins(scores),
            random_choice=by_chance,
            remarks=remarks,
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
        appended, model = self._record(decided, finished, optimism, model)
        return RunReport(
            outline=self.outline,
            described=self.described,
            judged=self.judged,
            scores=scores,
            selection=selection,
            headline=headline,
            reasons=reasons,
            checks=self.checks,
            questions=self.questions,
            optimism=optimism,
            random_choice=by_chance,
            remarks=remarks,
            model=model.body.model if model else None,
            result_hash=result_hash,
            same_result_as=same,
            differs_from=differs,
            seconds=finished.seconds,
            commit=self.book.commit_handle(appended.n),
        )

    def _record(
        self,
        decided: say.DecisionTaken,
        finished: say.RunFinished,
        optimism: list[Optimism],
        model: Refitted | None,
    ) -> tuple[Appended, Refitted | None]:
        """Decision, model and end of the run as one commit; the model under the name that was free then."""
        evidence = tuple(self.evidence)
        leakage = leakage_body(self.name, self.pipeline, self.checks, self.questions)
        bodies = [optimism_body(self.outline, item) for item in optimism]
        measured = [Draft(leakage, cause=evidence), *(Draft(body, cause=evidence) for body in bodies)]
        while True:
            made: list[Draft | say.Body] = []
            if model:
                held = self._gates(model.body, bodies, leakage)
                made = [*model.files, Draft(model.body, about=model.about, cause=evidence), *held]
            expected = {f"model:{model.body.model}": model.last_seq} if model else {}
            try:
                conclusion: list[Draft | say.Body] = [*measured, *made, Draft(decided, cause=evidence), finished]
                return self.book.append(*conclusion, expected=expected, sign=True), model
            except Conflict:
                if model is None:
                    raise
                # Another run, or a promotion, was faster: take the model's name as it is now.
                model = named(self.book, model)
                decided = msgspec.structs.replace(decided, model=model.body.model)

    def _gates(
        self,
        model: say.CandidateRefitted,
        optimism: list[say.OptimismMeasured],
        leakage: say.LeakageChecked,
    ) -> list[Draft]:
        """The model held against the gates that this run registered before it had any result."""
        now = self.book.now()
        record = record_of(now, now.run(self.name))
        measured = Measured(optimism, leakage)
        evidence = evidence_of(now, record, model.model, model.candidate, measured=measured)
        outcomes = gates.judge(self.settings.gates, evidence)
        bodies = gates.gate_events(now, record, model.model, outcomes)
        return [Draft(body, cause=tuple(self.evidence)) for body in bodies]

    def _model(self, plan: BacktestPlan, chosen: str) -> Refitted:
        """The model of the chosen candidate, its files stored, ready to be recorded."""
        recipe = next(recipe for recipe in self.outline.recipes if recipe.name == chosen)
        valid_for = parse_span(self.settings.validity.valid_for).exact_micros("valid_for")
        made = refit(recipe, plan, valid_for=valid_for)
        environment = self.book.now().run(self.name).environment
        slice_name = self.outline.slice.name
        return refitted(self.book, made, recipe, run=self.name, slice_name=slice_name, environment=environment)

    def _compare(self, result_hash: str) -> tuple[str | None, str | None]:
        """The earlier run of the same configuration and slice, if its result was the same, or if it was not."""
        earlier = self.outline.earlier
        if earlier is None:
            return None, None
        return (earlier.run, None) if earlier.result_hash == result_hash else (None, earlier.run)


def _eligible(
    settings: Pipeline, scores: Scores, unsteady: Sequence[Unsteady], for_all: str | None
) -> dict[str, str | None]:
    """Candidate -> why it cannot be chosen; None where it can."""
    why = {item.candidate: UNSTEADY for item in unsteady}
    names = [score.candidate for score in scores.candidates]
    return {name: why.get(name) or for_all or (None if is_kept(settings, name) else JUDGED_ONLY) for name in names}


def _is_scored(name: str, scores: Scores) -> bool:
    return name == scores.reference or any(score.candidate == name for score in scores.candidates)


def _with_partly_judged(selection: Selection, outline: Outline, labels: Sequence[str]) -> Selection:
    """The choice, with a reason for each imported model that was not judged in every window."""
    imported = {recipe.name: recipe.onnx for recipe in outline.recipes if recipe.onnx is not None}
    steps = [
        RuleStep(NOT_ELIGIBLE, {"candidate": name, "why": why}) for name, why in partly_judged(imported, labels).items()
    ]
    return msgspec.structs.replace(selection, reasons=[*steps, *selection.reasons])


def _steady(judged: Sequence[Judged], outline: Outline) -> list[Judged]:
    """What can be done again: the cells of candidates that answer the same each time."""
    unsteady = {item.candidate for item in outline.unsteady}
    return [item for item in judged if item.candidate not in unsteady]


def _period(window: str) -> str:
    """What one window is called: ``month`` for ``1 month``, ``window`` for anything of several units."""
    count, _, unit = window.partition(" ")
    return unit if count == "1" and unit in ("day", "week", "month", "year") else "window"
