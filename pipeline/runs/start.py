"""The beginning of a run, and its end where it breaks off: what is recorded before anything is computed."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from typing import NamedTuple

from tallystick.ledger import Appended
from tallystick.ledger.errors import Conflict, InvalidInput, NotFound, TallyError
from tallystick.ledger.events import types as say
from tallystick.ledger.events.commit import from_micros
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.event import About, Event
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.entities import ModelState, RunState
from tallystick.pipeline.config.canonical import registration_at
from tallystick.pipeline.config.durations import parse_span
from tallystick.pipeline.config.load import LoadedPipeline
from tallystick.pipeline.config.loosening import refuse_silent_loosening
from tallystick.pipeline.config.registration import registration
from tallystick.pipeline.config.settings import Pipeline
from tallystick.pipeline.config.windows import Window, development_windows, labels_until
from tallystick.pipeline.data.slice import Slice
from tallystick.pipeline.data.timestamps import day_of
from tallystick.pipeline.evaluate.fitting import Recipe, Source, recipe_for, recipe_from
from tallystick.pipeline.models import environment
from tallystick.pipeline.recipes import look_beside
from tallystick.pipeline.runs.keeping import check_kept
from tallystick.pipeline.runs.sources import Stored, model_source, new_sources
from tallystick.pipeline.runs.sources import declared as sources_declared
from tallystick.pipeline.runs.steadiness import Unsteady, try_candidates

CHAMPION = "champion"
"""Name of the champion's recipe where no candidate of the file has it."""


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
    unsteady: list[Unsteady] = []  # noqa: RUF012 - never changed
    """Candidates that answer differently when they are fitted twice: judged, never chosen."""


class Purpose(NamedTuple):
    """In which of the two worlds a run happens."""

    experiment: bool = False
    """Nothing that it makes can be promoted."""
    crosses: str | None = None
    """The experiment that is done again for production."""
    reason: str = ""


def rows_until(book: Ledger, as_of: int) -> int | None:
    """From which time on rows do not exist yet (microseconds UTC): a replayed ledger is told nothing of its future."""
    return as_of if book.genesis.clock == "replayed" else None


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


def record_failure(book: Ledger, outline: Outline, stage: str, error: BaseException) -> None:
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


def begin(
    book: Ledger,
    loaded: LoadedPipeline,
    slice_: Slice,
    workers: int,
    as_of: int,
    purpose: Purpose = Purpose(),  # noqa: B008 - a value, frozen
) -> tuple[Outline, tuple[str, ...]]:
    """Record what is going to happen; returns it with the ids of the events that say so."""
    settings = loaded.settings
    now = book.now()
    refuse_silent_loosening(now, loaded)
    look_beside(loaded.path.parent)
    captured = environment.capture()
    windows, until = windows_with_labels(settings, as_of), labels_until(settings.time, as_of)
    sources = new_sources(now, book.objects.get, loaded, slice_, windows, until)
    recipes = recipes_of(now, book.objects.get, loaded, slice_, sources)
    tried = try_candidates(recipes, slice_, windows[0], settings, until)
    check_kept(settings, tried.fitted)
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
    if _registered_text(now, settings.name) != loaded.text_hash:
        drafts.append(registration(book, loaded))
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
            declared = _purpose(book, run_name, settings.name, purpose)
            made_of = [
                *sources_declared(book, run_name, settings.name, recipes),
                *_tried(run_name, settings, tried.unsteady),
            ]
            appended = book.append(*drafts, started, *declared, taken, *made_of, expected={f"run:{run_name}": None})
            break
        except Conflict:
            continue  # another process took the number first
    before = earlier[-1] if earlier else None
    outline = Outline(loaded, slice_, windows, recipes, workers, run_name, before, tried.unsteady)
    first = len(drafts)
    return outline, ids_of(book, appended)[first : first + 2 + len(declared)]


def _tried(run: str, settings: Pipeline, unsteady: list[Unsteady]) -> list[say.CandidateTried]:
    return [
        say.CandidateTried(
            run=run,
            pipeline=settings.name,
            candidate=item.candidate,
            rows=item.rows,
            largest_difference=item.largest_difference,
            sentence=item.sentence,
        )
        for item in unsteady
    ]


def _purpose(book: Ledger, run: str, pipeline: str, purpose: Purpose) -> list[Draft | say.Body]:
    """What sets a run apart from an ordinary one, recorded before it has any result."""
    if not purpose.experiment and purpose.crosses is None:
        return []
    if not purpose.reason.strip():
        raise InvalidInput("An experiment, and a crossing into production, need a reason.", "--reason …")
    reason = purpose.reason.strip()
    if purpose.crosses is None:
        return [say.ExperimentDeclared(run=run, pipeline=pipeline, reason=reason)]
    if purpose.experiment:
        raise InvalidInput("A run is an experiment or crosses from one into production, not both.")
    crossed = book.now().run(purpose.crosses)
    if not crossed.experiment:
        raise InvalidInput(f"Run {crossed.run} is no experiment, so there is nothing to cross over from.")
    return [say.ExperimentCrossed(run=run, experiment=crossed.run, pipeline=pipeline, reason=reason)]


def windows_with_labels(settings: Pipeline, as_of: int) -> list[Window]:
    """The windows to develop on, as far as labels of them can be known by ``as_of``."""
    delay = parse_span(settings.time.label_delay).exact_micros("label_delay")
    development = development_windows(settings.time)
    windows = [window for window in development if window.start + delay <= labels_until(settings.time, as_of)]
    if not windows:
        raise InvalidInput(
            f"On {day_of(as_of, settings.time.timezone)} no label of {development[0].label}, the first window, was "
            "known.",
            "Give a later --labels-as-of, or an earlier first_test.",
        )
    return windows


def _next_run(book: Ledger) -> str:
    today = book.clock().astimezone(book.zone).strftime("%Y-%m-%d")
    taken = [int(name.rpartition(".")[2]) for name in book.log.entities(f"run:{today}.")]
    return f"{today}.{max(taken, default=0) + 1}"


def _registered_text(now: Snapshot, name: str) -> str | None:
    """Hash of the pipeline file as it was registered last."""
    state = next((state for state in now.pipelines() if state.pipeline == name), None)
    if state is None:
        return None
    body = registration_at(now, state.registered_by)
    return body.text_hash if body is not None else None


def recipes_of(
    known: Snapshot, stored: Stored, loaded: LoadedPipeline, slice_: Slice, sources: Mapping[str, Source] | None
) -> list[Recipe]:
    """The candidates of the file, and the recipe of the champion at that moment where it is not among them.

    Parameters
    ----------
    sources
        What the candidates are made of; see :func:`pipeline.evaluate.backtest.recipe_for`.
    """
    settings = loaded.settings
    recipes = [recipe_for(settings, name, slice_.features, sources) for name in settings.candidates]
    champion = champion_of(known, settings.name)
    if champion is None:
        return recipes
    body = how_made(known, champion)
    if any(body.recipe_hash in recipe.hashes for recipe in recipes) or isinstance(body, say.CandidateDelivered):
        return recipes  # predictions that the file does not name any more are delivered no more
    content = body.recipe
    made = recipe_from(CHAMPION, content, settings.task)
    columns = made.columns
    if not set(columns.numeric) <= set(slice_.numeric) or not set(columns.categorical) <= set(slice_.categorical):
        return recipes  # the champion needs columns that this slice does not have; it cannot be compared
    source = model_source(known, stored, champion.made_by_event, body)
    return [*recipes, recipe_from(CHAMPION, content, settings.task, source)]


def how_made(now: Snapshot, model: ModelState) -> say.CandidateRefitted:
    """The event that recorded a model; NotFound where it was erased."""
    content = now.event(model.made_by_event).content
    body = content.body if isinstance(content, Event) else None
    if not isinstance(body, say.CandidateRefitted):
        raise NotFound(f"How {model.model} was made was erased from the ledger; nobody can say what it needs.")
    return body


def champion_of(known: Snapshot, pipeline: str) -> ModelState | None:
    """The model that decides; None for a pipeline without one, or one that is not registered yet.

    Raises
    ------
    NotFound
        Where erased content makes it unknown: a run against no champion would be judged more mildly.
    """
    return known.champion(pipeline) if any(state.pipeline == pipeline for state in known.pipelines()) else None


def _slice_taken(slice_: Slice, run_name: str, pipeline: str, same_as: str | None) -> say.SliceRead:
    return say.SliceRead(
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
        reading=slice_.reading,
    )


def _observed(slice_: Slice) -> About:
    return About(observed_in=(from_micros(slice_.first_time), from_micros(slice_.last_time + 1)))


def ids_of(book: Ledger, appended: Appended) -> tuple[str, ...]:
    """Ids of the events of a commit, in order."""
    return tuple(found.id.hex() for found in book.now().events(appended.first_seq, appended.last_seq))
