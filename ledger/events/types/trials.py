"""What notebooks and training loops record as they go: parameters, numbers along the way, files, the end."""

from __future__ import annotations

from typing import Literal

from tallystick.ledger.events.event import Instant
from tallystick.ledger.events.types.schema import ArtifactRef, Body, Count, Fact, Json, TrialRef, Words, released


@released("trial.started", 1)
class TrialStarted(Body, frozen=True, kw_only=True):
    """Somebody begins to try something, outside of any pipeline."""

    trial: TrialRef
    """``churn-notebook/20261125-143005-k3f9a2``; made without asking the ledger, which may be out of reach."""
    name: Words
    params: Json
    host: str
    process: Count
    program: str


class Point(Fact, frozen=True, kw_only=True):
    """Numbers at one moment of a training."""

    at: Instant
    step: int | None
    values: dict[str, float]
    not_finite: dict[str, Literal["nan", "inf", "-inf"]]


@released("trial.measured", 1)
class TrialMeasured(Body, frozen=True, kw_only=True):
    """Numbers along the way, several moments in one event."""

    trial: TrialRef
    points: list[Point]


@released("trial.stored", 1)
class TrialStored(Body, frozen=True, kw_only=True):
    """A file of a trial, kept beside the ledger under its BLAKE3 hash."""

    trial: TrialRef
    artifact: ArtifactRef
    name: str
    size_bytes: Count


@released("trial.modelled", 1)
class TrialModelled(Body, frozen=True, kw_only=True):
    """A fitted model of a trial, as it is, and an unfitted copy that a pipeline can judge in time.

    It was judged by nobody but the trial itself: it is an experiment's model, and cannot be promoted.
    """

    trial: TrialRef
    name: Words
    estimator: str
    """Module and name of its class."""
    artifact: ArtifactRef
    """The fitted model's file."""
    unfitted: ArtifactRef
    media_type: str
    trusted_types: list[str]
    libraries: dict[str, str]
    params: Json
    features: list[str]
    """Columns that it was fitted on, where it knows them."""


@released("trial.finished", 1)
class TrialFinished(Body, frozen=True, kw_only=True):
    """A trial came to its end, or broke off."""

    trial: TrialRef
    status: Literal["finished", "failed"]
    error: str | None
    seconds: float
    late_records: Count
    """Records that could not be written when they were made, and were delivered later."""
