"""A recorded run taken up again: its configuration from the ledger, its slice from the data, checked to be the same."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from tallystick.ledger.errors import NotFound, Refused
from tallystick.ledger.events import types as say
from tallystick.ledger.events.commit import to_micros
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.views.entities import RunState
from tallystick.pipeline.config.load import LoadedPipeline
from tallystick.pipeline.config.settings import Pipeline
from tallystick.pipeline.config.windows import development_windows, labels_until
from tallystick.pipeline.data.answers import Terms
from tallystick.pipeline.data.registered import registered, with_data
from tallystick.pipeline.data.slice import Slice, cut
from tallystick.pipeline.evaluate.backtest import BacktestPlan, make_plan
from tallystick.pipeline.evaluate.fitting import Recipe, Source, recipe_for, recipe_from
from tallystick.pipeline.records.run_record import RunRecord, record_of
from tallystick.pipeline.runs.sources import recorded_sources, same_deliveries
from tallystick.pipeline.runs.start import rows_until


class Again(NamedTuple):
    """A run's configuration and data, as they were."""

    record: RunRecord
    loaded: LoadedPipeline
    slice: Slice
    plan: BacktestPlan
    as_of: int
    """Labels known by this moment were used, microseconds UTC."""
    sources: Mapping[str, Source] | None
    """What its candidates were made of, as recorded; predictions from elsewhere are read again."""


@contextmanager
def taken_up(book: Ledger, run: RunState, file: Path | None) -> Iterator[Again]:
    """The run's slice cut once more, for the length of a ``with`` block.

    Parameters
    ----------
    file : Path, optional
        A pipeline file that says where the data is today; see :func:`pipeline.data.registered.with_data`.

    Raises
    ------
    Refused
        When the data is not what the run saw.
    """
    record = record_of(book.now(), run)
    if record.slice is None or record.started is None:
        raise NotFound(f"Run {run.run} recorded no slice; there is nothing to read again.")
    loaded = registered(record.registered)
    settings, base = with_data(loaded, book, file, record.reading)
    loaded = msgspec.structs.replace(loaded, settings=settings)
    with tempfile.TemporaryDirectory(prefix="tally-again-", ignore_cleanup_errors=True) as folder:
        as_of = to_micros(record.started.labels_as_of)
        slice_ = _cut_again(settings, base, Path(folder), record, until=rows_until(book, as_of))
        if slice_.name != record.slice.slice:
            raise Refused(
                f"The data in {base} is not what run {run.run} saw: it is slice {slice_.name}, and the run took "
                f"{record.slice.slice}. {_difference(record.slice, slice_)}",
                "Bring the data of that time back, or run the pipeline again on the new data: tally run FILE.toml",
            )
        sources = _sources_again(book, record, settings, base, slice_)
        first = development_windows(loaded.settings.time)[0]
        until = labels_until(loaded.settings.time, as_of)
        plan = make_plan(loaded.settings, slice_, first, as_of=until)
        yield Again(record, loaded, slice_, plan, until, sources)


def _sources_again(
    book: Ledger, record: RunRecord, settings: Pipeline, base: Path, slice_: Slice
) -> Mapping[str, Source] | None:
    """What the run's candidates were made of; Refused where predictions are not those that were delivered then."""
    now, run = book.now(), record.state.run
    assert record.started is not None
    sources = recorded_sources(now, book.objects.get, record.started, settings, base, slice_)
    if other := same_deliveries(run, now, sources or {}):
        raise Refused(f"{other[0][0].upper()}{other[0][1:]} then.", "Bring the table of that time back.")
    return sources


def terms_of(record: RunRecord) -> Terms:
    """On what terms the slice of a run was cut."""
    assert record.started is not None
    return Terms(reading=record.reading, labels_as_of=to_micros(record.started.labels_as_of))


def _cut_again(settings: Pipeline, base: Path, folder: Path, record: RunRecord, *, until: int | None) -> Slice:
    """The run's slice from the source of today, of which rows that came later are left out.

    Answers that have come since are no change either, as long as the run could not know them.
    """
    terms = terms_of(record)
    taken = record.slice
    assert taken is not None
    found = cut(settings, base, folder, until=until, terms=terms)
    if found.name == taken.slice:
        return found
    grown = found.source_rows > taken.rows
    then = msgspec.structs.replace(terms, rows=taken.rows) if grown else terms
    attempts = []
    for attempt in (then, msgspec.structs.replace(then, hide_later_answers=True)):
        attempts.append(cut(settings, base, folder, until=until, terms=attempt))
        if attempts[-1].name == taken.slice:
            return attempts[-1]
    return min(attempts, key=lambda attempt: len(_changed_columns(taken, attempt)))


def recipe_of(model: say.CandidateRefitted, source: Source | None = None) -> Recipe:
    """The recipe of a recorded model, provided that its code is still the same.

    Parameters
    ----------
    source : optional
        What it was made of, as recorded; else code is taken from beside the pipeline file as it is.

    Raises
    ------
    Refused
        When the code that the recipe is made of has changed since.
    """
    recipe = recipe_from(model.candidate, model.recipe, model.recipe["task"], source)
    return _same_code(recipe, model.recipe_hash)


def candidate_recipe(again: Again, name: str) -> Recipe:
    """The recipe of a candidate as the run judged it.

    Raises
    ------
    NotFound
        For a candidate that the run did not judge.
    Refused
        When the code that the recipe is made of has changed since.
    """
    judged = next((item for (_, known), item in again.record.evaluations.items() if known == name), None)
    if judged is None or name not in again.loaded.settings.candidates:
        names = ", ".join(dict.fromkeys(known for _, known in again.record.evaluations))
        raise NotFound(f"Run {again.record.state.run} judged no candidate {name!r}.", f"It judged {names}.")
    return _same_code(recipe_for(again.loaded.settings, name, again.slice.features, again.sources), judged.recipe_hash)


def _same_code(recipe: Recipe, recorded: str) -> Recipe:
    if recorded not in recipe.hashes:
        raise Refused(
            f"The code of {recipe.name} ({recipe.estimator}) is not what it was when the run judged it.",
            "Go back to that version, or run the pipeline again with this one: tally run FILE.toml",
        )
    return recipe


def _difference(recorded: say.SliceTaken, now: Slice) -> str:
    if recorded.rows != now.source_rows:
        return f"It has {now.source_rows:,} rows instead of {recorded.rows:,}."
    changed = _changed_columns(recorded, now)
    return f"These columns differ: {', '.join(changed)}." if changed else "Rows or labels are counted differently."


def _changed_columns(recorded: say.SliceTaken, now: Slice) -> list[str]:
    before = {column.name: column.hash for column in recorded.columns}
    after = {column.name: column.hash for column in now.columns}
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
