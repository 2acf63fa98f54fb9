"""Doing a run again from what was recorded of it, and comparing: environment, configuration, data, predictions.

The comparison goes in that order and names the first place where something is not the same. Equality is of the
content that the ledger hashed: rows as the windows saw them, predictions as float64 in the order of the keys. The
hash of the model's file is not compared, as two libraries may write one model in two ways; what it predicts on its
stored probe is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from blake3 import blake3

from tallystick.ledger.errors import Conflict, Damaged, InvalidInput, NotFound, Refused
from tallystick.ledger.events import types as say
from tallystick.ledger.events.commit import to_micros
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.sentences import count
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.views.entities import RunState
from tallystick.pipeline.config.durations import parse_span
from tallystick.pipeline.config.load import LoadedPipeline
from tallystick.pipeline.config.settings import Pipeline
from tallystick.pipeline.config.windows import development_windows, labels_until
from tallystick.pipeline.data.registered import registered, with_data
from tallystick.pipeline.data.slice import Slice, cut
from tallystick.pipeline.evaluate import backtest
from tallystick.pipeline.evaluate.backtest import BacktestPlan, Described, Judged, cells_of
from tallystick.pipeline.evaluate.fitting import Recipe
from tallystick.pipeline.models import environment
from tallystick.pipeline.models.model_file import load, predict, probe_frame
from tallystick.pipeline.models.separate_process import TrialOfModel, load_after_trial
from tallystick.pipeline.records.run_record import RunRecord, record_of
from tallystick.pipeline.records.stored_tables import stored_table
from tallystick.pipeline.runs.refit import refit
from tallystick.pipeline.runs.reopen import terms_of
from tallystick.pipeline.runs.result_hash import result_hash
from tallystick.pipeline.runs.sources import recorded_sources
from tallystick.pipeline.runs.start import recipes_of, rows_until

DEFAULT_TOLERANCE = 1e-9
"""Largest difference between two predictions that still counts as the same, where no gate says otherwise."""
REFIT = "the final refit"

Progress = Callable[[str, int, int], None]
Verdict = Literal["identical", "equal", "different", "cannot compare"]


class Reproduced(NamedTuple):
    """How a repetition came out."""

    body: say.RunReproduced
    environment_changes: list[str]
    remarks: list[str]
    commit: str


class CandidateDifference(NamedTuple):
    """Where the predictions of a candidate are not the same."""

    window: str
    candidate: str
    largest: float | None
    """None where the rows themselves are others, or the stored predictions are gone."""
    share_over: float | None
    changed: int | None
    metrics: dict[str, tuple[float | None, float | None]]
    """Those that differ: recorded, now."""


class Found:
    """What a repetition has found so far."""

    def __init__(self, tolerance: float) -> None:
        self.tolerance = tolerance
        self.windows: list[str] = []
        """Labels in order."""
        self.data: dict[str, list[str]] = {}
        """Label of a window -> what of its data is not what it was, in words."""
        self.candidates: list[CandidateDifference] = []
        self.missing: list[str] = []
        self.result_hash: str | None = None
        self.slice: Slice | None = None

    def verdict(self) -> Verdict:
        if self.data or any(self._matters(item) for item in self.candidates):
            return "different"
        if self.missing:
            return "cannot compare"
        return "equal" if self.candidates else "identical"

    def first(self) -> tuple[str | None, str | None]:
        """Window and candidate of the first difference that matters; no candidate where it is the data."""
        mattering = [item for item in self.candidates if self._matters(item)] or self.candidates
        places: list[tuple[str, str | None]] = [(label, None) for label in self.data]
        places += [(item.window, item.candidate) for item in mattering]
        order = [*self.windows, REFIT]
        return min(places, key=lambda place: (order.index(place[0]), place[1] is not None), default=(None, None))

    def _matters(self, item: CandidateDifference) -> bool:
        if item.largest is None:
            return False  # the stored predictions are gone, which `missing` says; other rows, which `data` says
        scored = any(
            old is None or new is None or abs(new - old) > self.tolerance * max(1.0, abs(old))
            for old, new in item.metrics.values()
        )
        return item.largest > self.tolerance or bool(item.changed) or scored


def reproduce(book: Ledger, run: str, *, workers: int, on_progress: Progress, data: Path | None = None) -> Reproduced:
    """Do a run again with the configuration, the data and the moment of its labels as recorded, and record how it is.

    Parameters
    ----------
    run : str
        Name of the run, or an unambiguous beginning of it.
    workers : int
        Processes that fit at the same time.
    data : Path, optional
        A pipeline file whose sources are read instead of the recorded ones.

    Raises
    ------
    NotFound
        For an unknown run. What cannot be compared is no error but a verdict.
    """
    now = book.now()
    state = now.run(run)
    captured = environment.capture()
    found = Found(DEFAULT_TOLERANCE)
    record: RunRecord | None = None
    try:
        record = record_of(now, state)
        loaded = registered(record.registered)
        gate = loaded.settings.gates.reproduced
        found.tolerance = gate.tolerance if gate else DEFAULT_TOLERANCE
        found.missing = _unrecorded(record)
        if not found.missing:
            _Repetition(book, record, loaded, found, workers, on_progress).go(data)
    except (InvalidInput, NotFound) as error:
        found.missing.append(f"{error.message} {error.hint}".strip())
    changes = environment.changes(record.environment, captured) if record and record.environment else []
    return _record(book, state, record, found, captured, changes, workers)


def _unrecorded(record: RunRecord) -> list[str]:
    """What of the run itself a comparison would need and the ledger does not have."""
    if record.state.status != "finished":
        return [f"Run {record.state.run} did not come to its end ({record.state.status}): it has no result."]
    started = record.started
    if started is None:
        return ["The beginning of the run was erased from the ledger."]
    missing = [f"window {label}" for label in started.windows if label not in record.windows]
    missing += [
        f"{candidate} in {label}"
        for label in started.windows
        for candidate in started.candidates
        if (label, candidate) not in record.evaluations and label not in record.not_judged.get(candidate, ())
    ]
    if not missing:
        return []
    return [f"The record of {', '.join(missing[:3])}{', …' if len(missing) > 3 else ''} was erased from the ledger."]


class _Repetition:
    """One run on its way for the second time; it records nothing."""

    def __init__(
        self,
        book: Ledger,
        record: RunRecord,
        loaded: LoadedPipeline,
        found: Found,
        workers: int,
        progress: Progress,
    ) -> None:
        assert record.started is not None
        self.book = book
        self.record = record
        self.started = record.started
        self.loaded = loaded
        self.found = found
        self.workers = workers
        self.progress = progress
        self.unsteady = record.unsteady
        self.done = 0
        not_judged = sum(map(len, record.not_judged.values()))
        cells = len(self.started.windows) * len(self.started.candidates) - not_judged
        self.total = cells + (record.model is not None)

    def go(self, data: Path | None) -> None:
        settings, base = with_data(self.loaded, self.book, data, self.record.reading)
        with tempfile.TemporaryDirectory(prefix="tally-slice-", ignore_cleanup_errors=True) as folder:
            as_of = to_micros(self.started.labels_as_of)
            slice_ = cut(settings, base, Path(folder), until=rows_until(self.book, as_of), terms=terms_of(self.record))
            self.found.slice = slice_
            windows = [item for item in development_windows(settings.time) if item.label in self.started.windows]
            self.found.windows = [window.label for window in windows]
            recipes = self._recipes(slice_, settings, base)
            plan = backtest.make_plan(settings, slice_, windows[0], as_of=labels_until(settings.time, as_of))
            cells = cells_of(windows, recipes)
            described, judged = [], []
            for result in backtest.backtest(plan, cells, windows, self.workers):
                if isinstance(result, Described):
                    described.append(result)
                    self._compare_data(result)
                    continue
                if result.candidate not in self.unsteady:
                    judged.append(result)
                    self._compare_predictions(described[-1], result, plan)
                self._step(f"judging {result.candidate} in {result.label}")
            self.found.result_hash = result_hash(described, judged)
            if self.record.model is not None:
                self._compare_model(self.record.model, plan, recipes)

    def _step(self, what: str) -> None:
        self.done += 1
        self.progress(what, self.done, self.total)

    def _recipes(self, slice_: Slice, settings: Pipeline, base: Path) -> list[Recipe]:
        """The candidates of the run, made of what it recorded; the champion is that of the moment, not of today."""
        then, now, stored = self.book.at(f"before:#{self.record.began}"), self.book.now(), self.book.objects.get
        sources = recorded_sources(now, stored, self.started, settings, base, slice_)
        recipes = {recipe.name: recipe for recipe in recipes_of(then, stored, self.loaded, slice_, sources)}
        absent = [name for name in self.started.candidates if name not in recipes]
        if absent:
            raise InvalidInput(f"The candidate {absent[0]} cannot be built from this data: columns are missing.")
        return [recipes[name] for name in self.started.candidates]

    # Comparing

    def _compare_data(self, described: Described) -> None:
        before = self.record.windows[described.window.label]
        said = []
        if before.test_rows != described.test_rows:
            said.append(f"{before.test_rows:,} test rows then, {described.test_rows:,} now")
        if before.test_hash != described.test_hash:
            names = sorted(before.test_columns.keys() | described.test_columns.keys())
            changed = [
                name.lstrip("_").replace("_", " ") if name.startswith("__") else name
                for name in names
                if before.test_columns.get(name) != described.test_columns.get(name)
            ]
            said.append(f"test rows changed in {', '.join(changed)}")
        if before.train_rows != described.train_rows:
            said.append(f"{before.train_rows:,} training rows then, {described.train_rows:,} now")
        elif before.train_hash != described.train_hash:
            said.append("training rows changed")
        if said:
            self.found.data[described.window.label] = said

    def _compare_predictions(self, described: Described, judged: Judged, plan: BacktestPlan) -> None:
        before = self.record.evaluations[judged.label, judged.candidate]
        metrics = {
            name: (old.value, new.value)
            for name, new in judged.metrics.items()
            if (old := before.metrics.get(name)) is not None and old.value != new.value
        }
        if before.prediction_hash == judged.prediction_hash and not metrics:
            return
        if before.prediction_hash == judged.prediction_hash:
            self._differ(judged.label, judged.candidate, judged.predictions, judged.predictions, metrics, plan)
            return
        stored = self._stored(before, described)
        self._differ(judged.label, judged.candidate, stored, judged.predictions, metrics, plan)

    def _stored(self, before: say.WindowEvaluated, described: Described) -> npt.NDArray[np.float64] | None:
        """The recorded predictions of the same rows; None where they are gone or the rows are others."""
        keys = [name for name in described.keys.columns if name != "target"]
        try:
            table = stored_table(self.book.objects.get(before.predictions), [f"p_{before.candidate}"], keys)
        except (NotFound, Damaged) as error:
            where = f"the predictions of {before.candidate} in {before.label}"
            self.found.missing.append(f"How far {where} are apart: {error.message}")
            return None
        same_rows = len(table) == len(described.keys) and all(
            np.array_equal(table[name].astype(str).to_numpy(), described.keys[name].astype(str).to_numpy())
            for name in keys
        )
        return table[f"p_{before.candidate}"].to_numpy(dtype=np.float64) if same_rows else None

    def _compare_model(self, model: say.CandidateRefitted, plan: BacktestPlan, recipes: list[Recipe]) -> None:
        """The refitted model by what it predicts on the rows that were stored with it."""
        recipe = next(recipe for recipe in recipes if recipe.name == model.candidate)
        valid_for = parse_span(self.loaded.settings.validity.valid_for).exact_micros("valid_for")
        made = refit(recipe, plan, valid_for=valid_for)
        self._step("refitting")
        if made.probe_hash == model.probe_hash:
            return
        if recipe.delivered is not None:
            self._differ(REFIT, model.candidate, None, np.zeros(0), {}, plan)
            return
        try:
            probe = probe_frame(self.book.objects.get(model.probe), recipe.columns)
            stored = TrialOfModel(self.book.objects.get(model.artifact), probe, recipe.columns, recipe.packages)
            old = load_after_trial(stored, model.artifact)
        except (NotFound, Damaged, Refused) as error:
            self.found.missing.append(f"How far the refitted models are apart: {error.message}")
            return
        new = load(made.file.data, blake3(made.file.data).hexdigest(), recipe.packages)
        with backtest.one_thread():
            before, after = predict(old, probe), predict(new, probe)
        if not np.array_equal(before, after):
            self._differ(REFIT, model.candidate, before, after, {}, plan)

    def _differ(
        self,
        window: str,
        candidate: str,
        before: npt.NDArray[np.float64] | None,
        after: npt.NDArray[np.float64],
        metrics: dict[str, tuple[float | None, float | None]],
        plan: BacktestPlan,
    ) -> None:
        largest = share = changed = None
        if before is not None:
            apart = np.abs(after - before)
            largest = float(apart.max(initial=0.0))
            share = float((apart > self.found.tolerance).mean()) if len(apart) else 0.0
            if plan.task == "classification":
                changed = int(((before >= 0.5) != (after >= 0.5)).sum())
        self.found.candidates.append(CandidateDifference(window, candidate, largest, share, changed, metrics))


# Saying it -------------------------------------------------------------------------------------------------


def _record(
    book: Ledger,
    state: RunState,
    record: RunRecord | None,
    found: Found,
    captured: say.EnvironmentCaptured,
    changes: list[str],
    workers: int,
) -> Reproduced:
    first_window, first_candidate = found.first()
    known = [item for item in found.candidates if item.largest is not None]
    compared = found.result_hash is not None
    changed = [item.changed for item in found.candidates if item.changed is not None]
    nothing_apart = compared and not found.candidates
    body = say.RunReproduced(
        reproduction=f"{state.run}/1",
        run=state.run,
        pipeline=state.pipeline,
        environment=captured.environment,
        verdict=found.verdict(),
        workers=workers,
        tolerance=found.tolerance,
        result_hash=found.result_hash,
        largest_difference=max((item.largest or 0.0 for item in known), default=0.0 if nothing_apart else None),
        changed_decisions=sum(changed) if changed else 0 if nothing_apart else None,
        first_window=first_window,
        first_candidate=first_candidate,
        missing=found.missing,
        facts=_facts(record, found, changes),
        sentence=_sentence(record, found),
    )
    # The repetition follows from the end of the run, or from its beginning where it has none.
    cause = (book.now().event(state.seq).id.hex(),)
    while True:
        number = 1 + len(book.log.entities(f"reproduction:{state.run}/"))
        body = msgspec.structs.replace(body, reproduction=f"{state.run}/{number}")
        drafts: list[Draft | say.Body] = [Draft(body, cause=cause)]
        if book.log.last_seq_of(f"environment:{captured.environment}") is None:
            drafts.insert(0, captured)
        try:
            appended = book.append(*drafts, expected={f"reproduction:{body.reproduction}": None}, sign=True)
            break
        except Conflict:
            continue  # another process took the number first
    return Reproduced(body, changes, _remarks(record, found), book.commit_handle(appended.n))


def _facts(record: RunRecord | None, found: Found, changes: list[str]) -> dict[str, Any]:
    facts: dict[str, Any] = {"environment": changes, "data": found.data}
    if record is not None and record.slice is not None and found.slice is not None:
        facts["slice"] = {"recorded": record.slice.slice, "now": found.slice.name}
        facts["fingerprint"] = {"recorded": record.slice.fingerprint, "now": found.slice.fingerprint}
        facts["columns"] = _changed_columns(record.slice, found.slice)
    facts["predictions"] = [
        {
            "window": item.window,
            "candidate": item.candidate,
            "largest_difference": item.largest,
            "share_over_tolerance": item.share_over,
            "changed_decisions": item.changed,
            "metrics": {name: {"recorded": old, "now": new} for name, (old, new) in item.metrics.items()},
        }
        for item in found.candidates
    ]
    return facts


def _changed_columns(before: say.SliceTaken, after: Slice) -> list[str]:
    old, new = ({column.name: column.hash for column in columns} for columns in (before.columns, after.columns))
    return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))


def _sentence(record: RunRecord | None, found: Found) -> str:
    verdict = found.verdict()
    if verdict == "cannot compare":
        return " ".join(found.missing)
    assert record is not None
    cells = len(record.evaluations)
    windows = count(len(record.windows), "window")
    if verdict == "identical":
        return f"All {cells} predictions of {windows} are the same to the last bit."
    largest = max((item.largest or 0.0 for item in found.candidates), default=0.0)
    if verdict == "equal":
        return (
            f"{len(found.candidates)} of {cells} predictions of {windows} are apart by at most {largest:.1e}, within "
            f"the tolerance of {found.tolerance:g}, and no decision at one half changed."
        )
    window, candidate = found.first()
    assert window is not None
    if candidate is None:
        more = len(found.data) - 1
        later = f"; {count(more, 'later window')} {'is' if more == 1 else 'are'} touched, too" if more else ""
        apart = f" Predictions of the same rows are apart by up to {largest:.2g}." if largest else ""
        return f"The data of window {window} is not what it was: {'; '.join(found.data[window])}{later}.{apart}"
    item = next(item for item in found.candidates if (item.window, item.candidate) == (window, candidate))
    where = f"{candidate} in {window}" if window != REFIT else f"the model that {candidate} was refitted to"
    if item.largest == 0.0:
        named = ", ".join(item.metrics)
        return f"{where} predicts the same, and is scored differently: {named}."
    said = f"{where} predicts differently: by up to {item.largest:.2g}"
    if item.share_over is not None:
        said += f", more than {found.tolerance:g} in {item.share_over:.1%} of the rows"
    if item.changed is not None:
        said += f", and {count(item.changed, 'decision')} at one half changed"
    return f"{said}."


def _remarks(record: RunRecord | None, found: Found) -> list[str]:
    if record is None or record.slice is None or found.slice is None:
        return []
    if record.slice.fingerprint == found.slice.fingerprint or found.data:
        return []
    columns = ", ".join(_changed_columns(record.slice, found.slice))
    rows = (
        f"{record.slice.rows:,} rows then, {found.slice.source_rows:,} now"
        if (record.slice.rows != found.slice.source_rows)
        else "as many rows as then"
    )
    return [f"The table is another one outside the windows ({rows}; columns {columns}): none of them was touched."]
