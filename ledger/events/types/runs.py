"""How models are made and judged: pipelines, runs, slices, windows, decisions, models."""

from __future__ import annotations

from typing import Literal

from tallystick.ledger.events.event import Instant
from tallystick.ledger.events.types.schema import (
    ArtifactRef,
    Body,
    Count,
    DecisionRef,
    EnvironmentRef,
    Fact,
    HexHash,
    Json,
    ModelRef,
    PipelineRef,
    RunRef,
    SliceRef,
    TrialRef,
    WindowRef,
    Words,
    released,
)


@released("pipeline.registered", 1)
class PipelineRegistered(Body, frozen=True, kw_only=True):
    """A pipeline file as it was when it was first used: before any result of it existed."""

    pipeline: PipelineRef
    owner: str
    questions: Json
    text: str
    text_hash: HexHash
    meaning: Json
    """Every setting that can change a result, defaults included, without the prose."""
    meaning_hash: HexHash
    defaulted: list[str]
    path: str


@released("run.started", 1)
class RunStarted(Body, frozen=True, kw_only=True):
    """A run sets out: what it is going to do, written before anything is computed."""

    run: RunRef
    pipeline: PipelineRef
    environment: EnvironmentRef
    meaning_hash: HexHash
    labels_as_of: Instant
    """Labels known by this time may be used."""
    windows: tuple[str, ...]
    candidates: tuple[str, ...]
    seed: Count
    workers: Count
    process: Count
    host: str
    """Machine of the process; with the process id it tells a run that died in silence."""


@released("candidate.declared", 1)
class CandidateDeclared(Body, frozen=True, kw_only=True):
    """What a candidate of a run is made of, where that is more than installed libraries."""

    run: RunRef
    pipeline: PipelineRef
    candidate: str
    kind: Literal["code", "trial", "delivered", "onnx"]
    estimator: str
    """As the pipeline file names it."""
    source: Json
    """Of code: its modules, each with the hash of its text. Of a trial: the hash of the unfitted copy. Of predictions
    that were delivered: the table, who declares it, the models behind it, and a hash for each window. Of an imported
    model: the hash of its file, the declared end of its training, and the windows that it is not judged in."""
    trial: TrialRef | None = None


@released("candidate.tried", 1)
class CandidateTried(Body, frozen=True, kw_only=True):
    """A candidate that answered differently when it was fitted twice on the same rows with the same seed."""

    run: RunRef
    pipeline: PipelineRef
    candidate: str
    rows: Count
    largest_difference: float
    sentence: str


class Dropped(Fact, frozen=True, kw_only=True):
    where: str
    why: str
    rows: Count


class Column(Fact, frozen=True, kw_only=True):
    name: str
    kind: str
    hash: HexHash


@released("slice.taken", 1)
class SliceTaken(Body, frozen=True, kw_only=True):
    """The data that a run may see, fixed by content."""

    slice: SliceRef
    run: RunRef
    pipeline: PipelineRef
    source: str
    fingerprint: HexHash
    rows: Count
    """Rows of the source."""
    kept_rows: Count
    """Rows left after the declared drops."""
    dropped: list[Dropped]
    columns: list[Column]
    same_as: RunRef | None
    """An earlier run on the same slice, where there is one."""


@released("slice.taken", 2)
class SliceRead(SliceTaken, frozen=True, kw_only=True):
    """The same, with the version that the table was read by; slices of the first form were read by version 1."""

    reading: Count


class Levels(Fact, frozen=True, kw_only=True):
    """A histogram: counts by bin (between ``edges``) or by category (named in ``levels``)."""

    edges: list[float] | None
    levels: list[str] | None
    counts: list[Count]
    other: Count
    """Rows outside the edges or of other categories."""
    missing: Count


class Overlap(Fact, frozen=True, kw_only=True):
    """How far the groups of the test rows were seen in training."""

    column: str
    policy: str
    seen_rows: Count
    unseen_rows: Count


@released("window.described", 1)
class WindowDescribed(Body, frozen=True, kw_only=True):
    """The data of one walk-forward window, before any candidate is judged on it."""

    run: RunRef
    pipeline: PipelineRef
    window: WindowRef
    slice: SliceRef
    label: str
    cutoff: Instant
    start_local: str
    end_local: str
    train_rows: Count
    test_rows: Count
    immature_rows: Count
    removed_for_overlap: Count
    complete: bool
    """Whether the window counts for selection."""
    train_hash: HexHash
    test_hash: HexHash
    test_columns: dict[str, HexHash]
    train_target: Json
    test_target: Json
    overlap: Overlap | None
    new_levels: dict[str, float]
    missing: dict[str, float]
    histograms: dict[str, Levels]
    warnings: list[str]


class Metric(Fact, frozen=True, kw_only=True):
    """A number with its standard error; or no number, and the reason."""

    value: float | None
    standard_error: float | None
    reason: str | None


class Reliability(Fact, frozen=True, kw_only=True):
    """One bin of a reliability table: how many rows, their mean prediction, their observed rate."""

    rows: Count
    mean_predicted: float
    observed: float


@released("window.evaluated", 1)
class WindowEvaluated(Body, frozen=True, kw_only=True):
    """One candidate judged on one window that it had not seen."""

    run: RunRef
    pipeline: PipelineRef
    window: WindowRef
    slice: SliceRef
    label: str
    candidate: str
    recipe_hash: HexHash
    metrics: dict[str, Metric]
    gain: float | None
    """Relative improvement of the selection loss on the reference in the same window."""
    metrics_by_overlap: dict[str, dict[str, Metric]]
    reliability: list[Reliability]
    scores: Levels
    prediction_hash: HexHash
    predictions: ArtifactRef
    losses: ArtifactRef
    """Table of rows, summed loss, summed target and summed prediction by resample unit and by segment."""
    fit_seconds: float
    predict_seconds: float
    warnings: list[str]


class RandomSplit(Fact, frozen=True, kw_only=True):
    label: str
    walk_forward: float | None
    random: float | None


@released("optimism.measured", 1)
class OptimismMeasured(Body, frozen=True, kw_only=True):
    """What a random split would have promised of a candidate, against what time says."""

    run: RunRef
    pipeline: PipelineRef
    candidate: str
    metric: str
    windows: list[RandomSplit]
    mean_walk_forward: float | None
    mean_random: float | None
    mean_gap: float | None
    """Oriented so that positive means that the random split flatters."""
    positive_windows: Count
    sentence: str


class Reason(Fact, frozen=True, kw_only=True):
    """One step of a decision: a stable code, the facts, and the sentence made of them."""

    code: str
    facts: Json
    sentence: str


@released("candidate.refitted", 1)
class CandidateRefitted(Body, frozen=True, kw_only=True):
    """A model: the chosen recipe fitted once more on everything that has matured. It has no test of its own."""

    model: ModelRef
    run: RunRef
    pipeline: PipelineRef
    slice: SliceRef
    environment: EnvironmentRef
    candidate: str
    recipe: Json
    """Estimator, parameters, features and complexity: enough to fit it again in another run."""
    recipe_hash: HexHash
    artifact: ArtifactRef
    media_type: str
    trusted_types: list[str]
    """Classes outside the standard list that the file needs and that the loader may build."""
    libraries: dict[str, str]
    features: list[str]
    rows: Count
    probe: ArtifactRef
    """A small table of stored rows."""
    probe_hash: HexHash
    """Hash of the model's predictions on the probe, checked whenever it is loaded."""


@released("candidate.refitted", 2)
class CandidateDelivered(CandidateRefitted, frozen=True, kw_only=True):
    """A model that lives elsewhere: its predictions are delivered, and ``artifact`` is their table.

    Nothing was fitted here. ``rows`` are the predictions that were judged, and the probe is the table itself.
    """

    declared_by: Words
    """Who says how the predictions were computed."""
    source: str
    models: list[str]
    """Names and hashes of the models behind it, as declared."""


@released("decision.taken", 1)
class DecisionTaken(Body, frozen=True, kw_only=True):
    """What a run concluded and why, complete enough to be read again without the program."""

    decision: DecisionRef
    run: RunRef
    pipeline: PipelineRef
    rule: str
    outcome: str
    chosen: str | None
    model: ModelRef | None
    champion: ModelRef | None
    """The champion at that time."""
    headline: str
    reasons: list[Reason]
    scores: Json
    random_choice: str | None
    """A sentence, where a random split would have put another candidate first."""
    remarks: list[str]
    """Sentences about trend, noise and overlap, on which nothing was decided."""


@released("run.finished", 1)
class RunFinished(Body, frozen=True, kw_only=True):
    """A run came to its end; its result is one hash."""

    run: RunRef
    pipeline: PipelineRef
    decision: DecisionRef
    result_hash: HexHash
    """Over rows, predictions and metrics by window: what configuration and slice alone determine."""
    same_result_as: RunRef | None
    differs_from: RunRef | None
    """An earlier run of the same configuration, slice and environment with another result."""
    seconds: float


@released("run.failed", 1)
class RunFailed(Body, frozen=True, kw_only=True):
    """A run did not come to its end; nothing that it left is to be believed as a result."""

    run: RunRef
    pipeline: PipelineRef
    stage: str
    error: str
    message: str


@released("model.promoted", 1)
class ModelPromoted(Body, frozen=True, kw_only=True):
    """A person made a model the champion of its pipeline."""

    model: ModelRef
    pipeline: PipelineRef
    previous: ModelRef | None
    run: RunRef
    decision: DecisionRef | None
    """The decision that chose this model; null where the promotion goes against or beside the rule."""
    reason: Words
