"""Reproductions: runs that were done again, and how the results compare."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant
from tallystick.ledger.views.projection import Change, Lookup, State, projection


class ReproductionState(State, frozen=True, kw_only=True):
    reproduction: str
    run: str
    pipeline: str
    environment: str
    verdict: Literal["identical", "equal", "different", "cannot compare"]
    workers: int
    tolerance: float
    largest_difference: float | None
    changed_decisions: int | None
    first_window: str | None
    first_candidate: str | None
    sentence: str
    by: str
    at: Instant


def reproductions(entry: Entry, _current: Lookup) -> Iterator[Change]:
    """Reproductions as they came out."""
    body: say.RunReproduced = entry.event.body
    yield (
        body.reproduction,
        ReproductionState(
            seq=entry.seq,
            reproduction=body.reproduction,
            run=body.run,
            pipeline=body.pipeline,
            environment=body.environment,
            verdict=body.verdict,
            workers=body.workers,
            tolerance=body.tolerance,
            largest_difference=body.largest_difference,
            changed_decisions=body.changed_decisions,
            first_window=body.first_window,
            first_candidate=body.first_candidate,
            sentence=body.sentence,
            by=entry.actor,
            at=entry.recorded_at,
        ),
    )


REPRODUCTIONS = projection(
    "reproductions",
    "reproduction",
    ReproductionState,
    (say.RunReproduced,),
    reproductions,
)
