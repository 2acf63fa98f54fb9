"""What models do once they decide: predictions, watched periods, findings."""

from __future__ import annotations

from typing import Literal

from tallystick.ledger.events.event import Instant
from tallystick.ledger.events.types.runs import Levels, Metric, Reliability
from tallystick.ledger.events.types.schema import (
    ArtifactRef,
    Body,
    Count,
    FindingRef,
    HexHash,
    Json,
    ModelRef,
    PeriodRef,
    PipelineRef,
    PredictionRef,
    WaiverRef,
    released,
)


@released("prediction.made", 1)
class PredictionMade(Body, frozen=True, kw_only=True):
    """A model answered for a file of rows, inside its validity; ``about.observed_in`` is the time of the rows."""

    prediction: PredictionRef
    """Model and number: ``late-arrivals-v1/1``."""
    model: ModelRef
    pipeline: PipelineRef
    rows: Count
    source: str
    input_hash: HexHash
    """BLAKE3 over the rows as the model saw them, independent of the file's format."""
    output: str
    """Name of the file that was written."""
    output_hash: HexHash
    """BLAKE3 of that file's bytes."""
    prediction_hash: HexHash
    mean: float | None
    waiver: WaiverRef | None
    """What allowed rows outside the validity."""
    warnings: list[str]


@released("prediction.refused", 1)
class PredictionRefused(Body, frozen=True, kw_only=True):
    """A model was asked for an answer that it must not give."""

    model: ModelRef
    pipeline: PipelineRef
    code: str
    """``expired``, ``hindsight``, ``wrong-file``, ``probe``, ``not-champion`` …"""
    source: str
    rows: Count | None
    facts: Json
    sentence: str


@released("period.monitored", 1)
class PeriodMonitored(Body, frozen=True, kw_only=True):
    """A live period of a champion, judged against the model's own history; ``about.observed_in`` is the period."""

    period: PeriodRef
    """Pipeline and label: ``late-arrivals/2013-09``."""
    label: str
    pipeline: PipelineRef
    model: ModelRef
    labels_as_of: Instant
    source: str
    fingerprint: HexHash
    rows: Count
    immature_rows: Count
    status: Literal["quiet", "notable", "alarm", "waiting", "not judged"]
    """``waiting``: too many labels are not known yet. ``not judged``, from version 2 on: too little can be told."""
    decision: Literal["nothing", "wait", "recalibrate", "challenger", "fix data", "refuse"]
    metrics: dict[str, Metric]
    reference: dict[str, Metric]
    """What the reference reached in the same period."""
    history: tuple[str, ...]
    """The model's own windows and earlier live periods that it is compared with."""
    estimate: Json | None
    """The label-free estimate, and how far it has been off before."""
    facts: Json
    """Everything that the sentences are made of, typed by :mod:`pipeline` and readable without it."""
    reliability: list[Reliability]
    histograms: dict[str, Levels]
    columns: dict[str, HexHash]
    losses: ArtifactRef | None
    """Table of rows, summed loss, summed target and summed prediction by resample unit and by segment."""
    headline: str
    suggestion: str


@released("period.monitored", 2)
class PeriodJudged(PeriodMonitored, frozen=True, kw_only=True):
    """The same, judged by one verdict: status, decision and headline follow from the cause."""

    cause: str
    """``level``, ``ranking``, ``spread``, ``day``, ``few`` …"""
    rule: str
    """The rule that judged, with its version: ``prediction interval 1``, ``own windows 2``. A period of the first form
    was judged by own windows, version 1."""


@released("finding.made", 1)
class FindingMade(Body, frozen=True, kw_only=True):
    """One thing that a watched period showed, as a sentence with the numbers behind it."""

    finding: FindingRef
    """Period and code: ``late-arrivals/2013-09/level``."""
    period: PeriodRef
    pipeline: PipelineRef
    model: ModelRef
    code: str
    level: Literal["normal", "notable", "alarm"]
    facts: Json
    sentence: str
