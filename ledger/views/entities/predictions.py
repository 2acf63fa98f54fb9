"""Predictions that models made."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant, Period
from tallystick.ledger.views.projection import Change, Lookup, State, projection


class PredictionState(State, frozen=True, kw_only=True):
    prediction: str
    model: str
    pipeline: str
    rows: int
    source: str
    input_hash: str
    output: str
    output_hash: str
    mean: float | None
    about: Period | None
    """Times of the rows."""
    waiver: str | None
    by: str
    at: Instant


def predictions(entry: Entry, _current: Lookup) -> Iterator[Change]:
    """Predictions as they were made."""
    body: say.PredictionMade = entry.event.body
    about = entry.event.about
    yield (
        body.prediction,
        PredictionState(
            seq=entry.seq,
            prediction=body.prediction,
            model=body.model,
            pipeline=body.pipeline,
            rows=body.rows,
            source=body.source,
            input_hash=body.input_hash,
            output=body.output,
            output_hash=body.output_hash,
            mean=body.mean,
            about=about.observed_in if about else None,
            waiver=body.waiver,
            by=entry.actor,
            at=entry.recorded_at,
        ),
    )


PREDICTIONS = projection(
    "predictions",
    "prediction",
    PredictionState,
    (say.PredictionMade,),
    predictions,
)
