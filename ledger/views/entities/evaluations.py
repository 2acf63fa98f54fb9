"""What each candidate reached in each window, as the newest run found it."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant, Period
from tallystick.ledger.views.projection import Change, Lookup, State, projection


class EvaluationState(State, frozen=True, kw_only=True):
    evaluation: str
    """Window and candidate: ``late-arrivals/2013-04/small_trees``."""
    window: str
    pipeline: str
    candidate: str
    run: str
    """The newest run that evaluated it; what earlier ones found is in earlier states."""
    tested_on: Period | None
    metrics: dict[str, float | None]
    gain: float | None
    """Relative to the reference, on average over resample units; None for the reference itself."""
    evaluated_at: Instant
    recipe_hash: str


def evaluations(entry: Entry, _current: Lookup) -> Iterator[Change]:
    """One state for each time that a candidate was judged in a window."""
    body: say.WindowEvaluated = entry.event.body
    about = entry.event.about
    key = f"{body.window}/{body.candidate}"
    yield (
        key,
        EvaluationState(
            seq=entry.seq,
            evaluation=key,
            window=body.window,
            pipeline=body.pipeline,
            candidate=body.candidate,
            run=body.run,
            tested_on=about.tested_on if about else None,
            metrics={name: metric.value for name, metric in body.metrics.items()},
            gain=body.gain,
            evaluated_at=entry.recorded_at,
            recipe_hash=body.recipe_hash,
        ),
    )


EVALUATIONS = projection(
    "evaluations",
    "evaluation",
    EvaluationState,
    (say.WindowEvaluated,),
    evaluations,
)
