"""Models: made, promoted, replaced, retired; with their three times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant, Period
from tallystick.ledger.views.projection import Change, Lookup, State, amended, follow, projection


class ModelState(State, frozen=True, kw_only=True):
    model: str
    pipeline: str
    candidate: str
    status: Literal["candidate", "champion", "retired"]
    made_at: Instant
    made_by_run: str
    made_by_event: int
    """Position of the ``candidate.refitted`` event that describes it whole."""
    runs: int
    """Runs that arrived at this very file, the first included."""
    last_run: str
    slice: str
    artifact: str
    rows: int
    trained_on: Period | None
    intended_for: Period | None
    promoted_at: Instant | None = None
    promoted_by: str | None = None
    reason: str | None = None
    proposed_by: str | None = None
    """Who put it forward where the rule did not choose it."""
    proposal: str | None = None
    """Why."""


def models(entry: Entry, current: Lookup) -> Iterator[Change]:
    """Models: made, promoted, replaced, retired."""
    match entry.event.body:
        case say.CandidateRefitted() as body:
            before: ModelState | None = current(body.model)
            if before is not None:
                # The same recipe on the same slice gave the same file: another run that confirms this model.
                yield body.model, follow(before, entry, runs=before.runs + 1, last_run=body.run)
                return
            about = entry.event.about
            yield (
                body.model,
                ModelState(
                    seq=entry.seq,
                    model=body.model,
                    pipeline=body.pipeline,
                    candidate=body.candidate,
                    status="candidate",
                    made_at=entry.recorded_at,
                    made_by_run=body.run,
                    made_by_event=entry.seq,
                    runs=1,
                    last_run=body.run,
                    slice=body.slice,
                    artifact=body.artifact,
                    rows=body.rows,
                    trained_on=about.trained_on if about else None,
                    intended_for=about.intended_for if about else None,
                ),
            )
        case say.CandidateProposed() as body:
            if state := current(body.model):
                yield body.model, follow(state, entry, proposed_by=entry.actor, proposal=body.reason)
        case say.ModelPromoted() as body:
            if body.previous is not None and (previous := current(body.previous)):
                yield body.previous, follow(previous, entry, status="retired")
            if state := current(body.model):
                yield (
                    body.model,
                    follow(
                        state,
                        entry,
                        status="champion",
                        promoted_at=entry.recorded_at,
                        promoted_by=entry.actor,
                        reason=body.reason,
                    ),
                )
        case say.ModelRetired() as body:
            if state := current(body.model):
                yield body.model, follow(state, entry, status="retired")


MODELS = amended(
    projection(
        "models",
        "model",
        ModelState,
        (
            say.CandidateRefitted,
            say.CandidateProposed,
            say.ModelPromoted,
            say.ModelRetired,
        ),
        models,
        steady=(
            (
                "model",
                "pipeline",
                "candidate",
                "made_at",
                "made_by_run",
                "made_by_event",
                "slice",
                "artifact",
                "rows",
                "trained_on",
                "intended_for",
            ),
            ("promoted_at", "promoted_by", "reason"),
            ("proposed_by", "proposal"),
        ),
    ),
    writes={
        say.CandidateRefitted: ("runs", "last_run"),
        say.CandidateProposed: ("proposed_by", "proposal"),
        say.ModelPromoted: ("status", "promoted_at", "promoted_by", "reason"),
        say.ModelRetired: ("status",),
    },
)
