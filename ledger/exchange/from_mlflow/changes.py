"""Which events bring the ledger to what a store holds: pure functions of both, which give nothing where they agree.

A moment that the store does not know is not made up: what has none is recorded as of the beginning of the entity that
it belongs to, or as of now where it was seen for the first time in a later import.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.types import (
    Body,
    ExperimentChanged,
    ExperimentCreated,
    LoggedChanged,
    LoggedCreated,
    Series,
    TrialBegun,
    TrialChanged,
    TrialLinked,
    TrialNoted,
    TrialSeries,
)
from tallystick.ledger.exchange.from_mlflow.held import Curve, Experiment, KeptModel, Run, Tags
from tallystick.ledger.exchange.from_mlflow.known import KnownBefore
from tallystick.ledger.query.trials import CurvePoint
from tallystick.ledger.tracking.cleaning import chunks
from tallystick.ledger.tracking.series import series_of
from tallystick.ledger.views.entities import ExperimentState, LoggedModelState, TrialState

MOST_NUMBERS_AN_EVENT = 12_000
"""At their longest, times, steps and values of so many take less than the 1 MiB that an event holds."""
LAST_MS = 253_402_300_799_000
Sameness = tuple[int, int, float | str, str | None, str | None, str | None]


def draft(body: Body, *moments_ms: int | None) -> Draft:
    """A fact that happened at the first of the moments that is one; now where none is."""
    at_ms = next((at for at in moments_ms if at is not None and 0 <= at <= LAST_MS), None)
    return Draft(body, occurred_at=None if at_ms is None else dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC))


def millis(moment: dt.datetime | None) -> int | None:
    """Milliseconds since 1970, UTC."""
    return None if moment is None else round(moment.timestamp() * 1000)


def differing(held: int | None, known: dt.datetime | None) -> bool:
    """Whether the store knows another moment."""
    return held is not None and held != millis(known)


def parts(values: Tags) -> tuple[Tags, list[Tags]]:
    """Tags or parameters as the first event holds them, and as those do that follow."""
    found = list(chunks(values)) or [{}]
    return found[0], found[1:]


# Experiments -----------------------------------------------------------------------------------------------


def experiment_changes(known: KnownBefore, held: Experiment) -> list[Draft]:
    """Events for one experiment."""
    state = known.experiments.get(held.id)
    if state is None:
        return _new_experiment(held)
    if held.created_ms is not None and differing(held.created_ms, state.created_at):
        return []  # the one that every store has, under the same name: it is the ledger's own
    tags, removed_tags = known.tag_changes(f"experiment:{held.id}", held.tags)
    changed = ExperimentChanged(experiment=held.id, tags=tags, removed_tags=removed_tags)
    differs = held.name != state.name or held.removed != state.removed or _later(held.changed_ms, state)
    if differs and known.may_follow(state.seq, f"experiment {held.name}"):
        changed = msgspec.structs.replace(
            changed,
            name=held.name if held.name != state.name else None,
            removed=held.removed if held.removed != state.removed else None,
        )
        return [draft(changed, held.changed_ms)]
    return [draft(changed)] if tags or removed_tags else []


def _later(changed_ms: int | None, state: ExperimentState | LoggedModelState) -> bool:
    known = millis(state.changed_at)
    return changed_ms is not None and known is not None and changed_ms > known


def _new_experiment(held: Experiment) -> list[Draft]:
    tags, more = parts(held.tags)
    created = ExperimentCreated(experiment=held.id, name=held.name, artifact_uri=held.artifact_uri, tags=tags)
    found = [draft(created, held.created_ms)]
    found += [draft(ExperimentChanged(experiment=held.id, tags=part), held.created_ms) for part in more]
    if held.removed or held.changed_ms not in (None, held.created_ms):
        changed = ExperimentChanged(experiment=held.id, removed=True if held.removed else None)
        found.append(draft(changed, held.changed_ms, held.created_ms))
    return found


# Runs ------------------------------------------------------------------------------------------------------


def run_changes(known: KnownBefore, held: Run, curves: list[Curve], imported_from: str) -> list[Draft]:
    """Events for one run and its numbers."""
    state = known.trials.get(held.id)
    if state is None:
        return [*_new_run(held, imported_from), *_series(held, curves), *_end(held)]
    found = _noted(known, held)
    linked = _missing_links(known, held)
    found += [draft(linked)] if linked is not None else []
    if curves:
        found += _series(held, _missing_numbers(known.now.numbers(held.id), curves))
    return found + _changed(known, held, state)


def _new_run(held: Run, imported_from: str) -> Iterator[Draft]:
    going_on = held.status in ("running", "scheduled")
    params, more_params = parts(held.params)
    tags, more_tags = parts(held.tags)
    parent = held.tags.get("mlflow.parentRunId")
    begun = TrialBegun(
        trial=held.id,
        name=held.name or held.id,
        status=held.status if going_on else "running",
        user=held.user,
        experiment=held.experiment,
        parent=parent if parent and len(parent) <= 200 else None,
        artifact_uri=held.artifact_uri,
        params=params,
        tags=tags,
        imported_from=imported_from,
    )
    yield draft(begun, held.started_ms, held.ended_ms)
    for part in more_params:
        yield draft(TrialNoted(trial=held.id, params=part), held.started_ms)
    for part in more_tags:
        yield draft(TrialNoted(trial=held.id, tags=part), held.started_ms)
    if held.inputs or held.models_read:
        yield draft(TrialLinked(trial=held.id, inputs=held.inputs, models_read=held.models_read), held.started_ms)
    if held.outputs:
        yield draft(TrialLinked(trial=held.id, outputs=held.outputs), held.ended_ms, held.started_ms)


def _end(held: Run) -> Iterator[Draft]:
    if held.status not in ("running", "scheduled"):
        ended = None if held.ended_ms is None else draft(TrialChanged(trial=held.id), held.ended_ms).occurred_at
        changed = TrialChanged(trial=held.id, status=held.status, ended_at=ended)
        yield draft(
            changed, None if held.ended_ms is None else max(held.ended_ms, held.started_ms or 0), held.started_ms
        )
    if held.removed:
        yield draft(TrialChanged(trial=held.id, removed=True), held.removed_ms, held.ended_ms, held.started_ms)


def _noted(known: KnownBefore, held: Run) -> list[Draft]:
    there = known.now.trial_params(held.id)
    params = {name: value for name, value in held.params.items() if name not in there}
    known.kept += [
        f"trial {held.id}: parameter {name}"
        for name, value in held.params.items()
        if name in there and str(there[name]) != value
    ]
    tags, removed = known.tag_changes(f"trial:{held.id}", held.tags)
    found = [draft(TrialNoted(trial=held.id, params=part)) for part in chunks(params)]
    found += [draft(TrialNoted(trial=held.id, tags=part)) for part in chunks(tags)]
    return found + ([draft(TrialNoted(trial=held.id, removed_tags=removed))] if removed else [])


def _changed(known: KnownBefore, held: Run, state: TrialState) -> list[Draft]:
    name, ended = held.name or held.id, differing(held.ended_ms, state.ended_at)
    if (held.status, name, held.removed) == (state.status, state.name, state.removed) and not ended:
        return []
    if not known.may_follow(state.seq, f"trial {held.id}: its state"):
        return []
    at = None if held.ended_ms is None else draft(TrialChanged(trial=held.id), held.ended_ms).occurred_at
    changed = TrialChanged(
        trial=held.id,
        status=held.status if held.status != state.status else None,
        name=name if name != state.name else None,
        ended_at=at if ended else None,
        removed=held.removed if held.removed != state.removed else None,
    )
    return [draft(changed, held.ended_ms if ended else held.removed_ms if held.removed else None)]


def _missing_links(known: KnownBefore, held: Run) -> TrialLinked | None:
    there = {(link.role, link.name, link.digest) for link in known.now.trial_links(held.id)}
    linked = TrialLinked(
        trial=held.id,
        inputs=[table for table in held.inputs if ("input", table.name, table.digest) not in there],
        models_read=[model for model in held.models_read if ("model input", model, None) not in there],
        outputs=[output for output in held.outputs if ("output", output.model, None) not in there],
    )
    return linked if linked.inputs or linked.models_read or linked.outputs else None


# Numbers ---------------------------------------------------------------------------------------------------


def _series(held: Run, curves: Iterable[Curve]) -> Iterator[Draft]:
    """Events with the numbers of a run, as few as hold them."""
    part: list[Series] = []
    began = held.started_ms or 0  # nothing of a run occurred before it, whatever the clock of a number says
    count, newest = 0, began
    for curve in curves:
        for start in range(0, len(curve.values), MOST_NUMBERS_AN_EVENT):
            piece = _piece(curve, start)
            if part and count + len(piece.values) > MOST_NUMBERS_AN_EVENT:
                yield draft(TrialSeries(trial=held.id, series=part), newest, held.ended_ms, held.started_ms)
                part, count, newest = [], 0, began
            part.append(piece)
            count += len(piece.values)
            newest = max(newest, *piece.at_ms)
    if part:
        yield draft(TrialSeries(trial=held.id, series=part), newest, held.ended_ms, held.started_ms)


def _piece(curve: Curve, start: int) -> Series:
    part = slice(start, start + MOST_NUMBERS_AN_EVENT)
    measured_of = (curve.model, curve.dataset, curve.dataset_digest)
    return series_of(curve.key, curve.steps[part], curve.at_ms[part], curve.values[part], measured_of)


def _missing_numbers(known: dict[str, list[CurvePoint]], curves: Iterable[Curve]) -> Iterator[Curve]:
    """Those that the ledger does not have, each as often as it is missing."""
    there: dict[str, Counter[Sameness]] = {}
    for curve in curves:
        if curve.key not in there:
            there[curve.key] = Counter(_same(*point) for point in known.get(curve.key, ()))
        left, missing = there[curve.key], []
        about = (curve.model, curve.dataset, curve.dataset_digest)
        for at, (step, value, at_ms) in enumerate(zip(curve.steps, curve.values, curve.at_ms, strict=True)):
            same = _same(step, value, at_ms, *about)
            if left[same]:
                left[same] -= 1
            else:
                missing.append(at)
        if missing:
            yield msgspec.structs.replace(
                curve,
                steps=[curve.steps[at] for at in missing],
                at_ms=[curve.at_ms[at] for at in missing],
                values=[curve.values[at] for at in missing],
            )


def _same(
    step: int | None, value: float, at_ms: int, model: str | None, dataset: str | None, digest: str | None
) -> Sameness:
    return (step or 0, at_ms, "nan" if math.isnan(value) else value, model, dataset, digest)


# Kept models -----------------------------------------------------------------------------------------------


def kept_model_changes(known: KnownBefore, held: KeptModel) -> list[Draft]:
    """Events for one kept model."""
    state = known.kept_models.get(held.id)
    if state is None:
        return _new_kept_model(held)
    tags, removed_tags = known.tag_changes(f"logged:{held.id}", held.tags)
    params = {name: value for name, value in held.params.items() if name not in state.params}
    changed = LoggedChanged(logged=held.id, tags=tags, removed_tags=removed_tags, params=params)
    differs = (held.status, held.removed) != (state.status, state.removed) or _later(held.changed_ms, state)
    if differs and known.may_follow(state.seq, f"kept model {held.id}"):
        changed = msgspec.structs.replace(
            changed,
            status=held.status if held.status != state.status else None,
            removed=held.removed if held.removed != state.removed else None,
        )
        return [draft(changed, held.changed_ms)]
    return [draft(changed)] if tags or removed_tags or params else []


def _new_kept_model(held: KeptModel) -> list[Draft]:
    went_on = held.removed or held.changed_ms not in (None, held.created_ms)
    pending = went_on and held.status == "READY"
    created = LoggedCreated(
        logged=held.id,
        name=held.name,
        experiment=held.experiment,
        trial=held.run,
        artifact_uri=held.artifact_uri,
        model_type=held.model_type,
        status="PENDING" if pending else held.status,
        tags=held.tags,
        params=held.params,
    )
    found = [draft(created, held.created_ms)]
    if went_on:
        changed = LoggedChanged(
            logged=held.id, status=held.status if pending else None, removed=True if held.removed else None
        )
        found.append(draft(changed, held.changed_ms, held.created_ms))
    return found
