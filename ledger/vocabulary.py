"""The words of the ledger: what each type of event says, version by version.

A body is a frozen struct; the type declares which of its fields refer to entities, so nobody lists them by
hand. A released ``(type, version)`` is never changed: another shape is another version, another meaning is
another type. Types that this program does not know pass through unread and are shown as they are.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterator
from functools import cached_property
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import msgspec
from msgspec import Meta

from ledger.errors import Damaged
from ledger.event import MAX_INTEGER, Event, Instant, kind

Count = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
HexHash = Annotated[str, Meta(min_length=64, max_length=64)]
Json = dict[str, Any]


def _reference(entity: str) -> Meta:
    return Meta(min_length=1, max_length=200, extra={"entity": entity})


PipelineRef = Annotated[str, _reference("pipeline")]
RunRef = Annotated[str, _reference("run")]
SliceRef = Annotated[str, _reference("slice")]
WindowRef = Annotated[str, _reference("window")]
ModelRef = Annotated[str, _reference("model")]
DecisionRef = Annotated[str, _reference("decision")]
EnvironmentRef = Annotated[str, _reference("environment")]
ArtifactRef = Annotated[str, _reference("artifact")]
SchemaRef = Annotated[str, _reference("schema")]
KeyRef = Annotated[str, _reference("key")]
AnchorRef = Annotated[str, _reference("anchor")]
CorrectionRef = Annotated[str, _reference("correction")]
RedactionRef = Annotated[str, _reference("redaction")]
SegmentRef = Annotated[str, _reference("segment")]
Words = Annotated[str, Meta(min_length=1, max_length=10_000)]


class Fact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Part of a body."""


class Body(Fact, frozen=True, kw_only=True):
    """What one type of event says."""

    TYPE: ClassVar[str]
    VERSION: ClassVar[int]


class Released:
    """One released ``(type, version)``: its struct, its decoder, and the fields that refer to entities."""

    def __init__(self, body: type[Body]) -> None:
        self.body = body

    # Made at first use: a quick command meets a few types and should not pay for all of them.
    @cached_property
    def decoder(self) -> msgspec.json.Decoder[Event[Any]]:
        """Reads an event of this type and version from its bytes."""
        return msgspec.json.Decoder(Event[self.body])  # type: ignore[name-defined]

    @cached_property
    def references(self) -> tuple[tuple[Callable[[Body], str | None], str], ...]:
        """Pairs of how to get a referring field, and the prefix of the entity's name."""
        return tuple((attrgetter(field), f"{entity}:") for field, entity in _references(self.body))

    @cached_property
    def free_form(self) -> bool:
        """Whether some part of the body is untyped JSON, whose values no type bounds."""
        return _holds_any(self.body)

    def entities(self, body: Body) -> list[str]:
        """Names such as ``run:2026-11-23.1`` of the entities that a body refers to."""
        return [prefix + name for get, prefix in self.references if (name := get(body)) is not None]


RELEASED: dict[tuple[str, int], Released] = {}

C = TypeVar("C", bound=type[Body])


def released(name: str, version: int) -> Callable[[C], C]:
    """Declare a struct to be version ``version`` of the type ``name`` (``noun.verbed``)."""

    def declare(body: C) -> C:
        body.TYPE, body.VERSION = name, version
        RELEASED[name, version] = Released(body)
        return body

    return declare


def _references(body: type[Body]) -> Iterator[tuple[str, str]]:
    for field, hint in typing.get_type_hints(body, include_extras=True).items():
        entity = _entity_in(hint)
        if entity:
            yield field, entity


def _entity_in(hint: object) -> str | None:
    """The entity that a type hint refers to, looking through ``X | None``."""
    if typing.get_origin(hint) is Annotated:
        for item in typing.get_args(hint)[1:]:
            if isinstance(item, Meta) and item.extra and "entity" in item.extra:
                return str(item.extra["entity"])
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next((found for part in typing.get_args(hint) if (found := _entity_in(part))), None)
    return None


def _holds_any(hint: object) -> bool:
    if hint is Any:
        return True
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return any(map(_holds_any, typing.get_type_hints(hint).values()))
    return any(map(_holds_any, typing.get_args(hint)))


_decode_unknown = msgspec.json.Decoder(Event[Json])


def decode(data: bytes) -> Event[Any]:
    """An event from its stored bytes: typed where the type is known, else with a plain ``dict`` as its body.

    Raises
    ------
    Damaged
        When the bytes are not an event at all, or contradict the declared shape of their own type.
    """
    try:
        found = kind(data)
        known = RELEASED.get((found.t, found.v))
        return (known.decoder if known else _decode_unknown).decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Damaged(f"These bytes are not an event: {error}") from error


def is_known(event: Event[Any]) -> bool:
    """Whether this program knows the type and version of an event."""
    return (event.t, event.v) in RELEASED


def entities(event: Event[Any]) -> list[str]:
    """Names of the entities that an event refers to; none for unknown types."""
    known = RELEASED.get((event.t, event.v))
    return known.entities(event.body) if known else []


# The ledger itself -----------------------------------------------------------------------------------------


@released("ledger.created", 1)
class LedgerCreated(Body, frozen=True, kw_only=True):
    """The first event: what the rest is read by."""

    format: Literal[1]
    origin: str
    """Name of the log, unique for ever, without a scheme: ``acme/credit/pd-7f3a9c12e4b05d68``."""
    verifier_key: str
    """Public key of the log in the c2sp.org/signed-note form; trust it only if you got it elsewhere too."""
    timezone: str
    """IANA zone in which dates given by people are read."""
    clock: Literal["live", "replayed"]
    event_hash: str
    commit_hash: str
    tree: str


@released("schema.declared", 1)
class SchemaDeclared(Body, frozen=True, kw_only=True):
    """The JSON Schema of a type's body, written when the type is first used: the ledger explains itself."""

    name: SchemaRef
    json_schema: Json


@released("artifact.stored", 1)
class ArtifactStored(Body, frozen=True, kw_only=True):
    """A file put beside the ledger under its BLAKE3 hash."""

    artifact: ArtifactRef
    size_bytes: Count
    media_type: str
    role: str
    """What it is for: ``model``, ``predictions``, ``loss table``, ``probe``."""
    run: RunRef | None


@released("environment.captured", 1)
class EnvironmentCaptured(Body, frozen=True, kw_only=True):
    """The software and machine that computed something; its name is a hash of its content."""

    environment: EnvironmentRef
    python: str
    platform: str
    cpu: str
    packages: dict[str, str]
    thread_pools: list[Json]
    variables: dict[str, str]
    source_hash: HexHash
    """BLAKE3 over the program's own source files."""


# The pipeline's life ---------------------------------------------------------------------------------------


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


# Trust -----------------------------------------------------------------------------------------------------


@released("decision.approved", 1)
class DecisionApproved(Body, frozen=True, kw_only=True):
    """A person signed the id of an event with their own key: whoever keeps the log cannot approve in their name."""

    decision: DecisionRef | None
    event: HexHash
    """Id of the approved event."""
    approver: str
    """Name of the key; a claim until somebody compares the key with the person."""
    approver_key: str
    """Verifier key, c2sp.org/signed-note."""
    approval: str
    """The signed note; its text names the ledger and the event's id."""


@released("key.rotated", 1)
class KeyRotated(Body, frozen=True, kw_only=True):
    """The log has another key from the checkpoint of this very commit on."""

    old: KeyRef
    new: KeyRef
    """Key ids, eight hexadecimal digits."""
    old_key: str
    new_key: str
    """Verifier keys, c2sp.org/signed-note."""
    signed_by_old: bool
    """Whether the checkpoint of this commit carries both signatures; without the old one it is a new beginning
    that only something outside the ledger can vouch for."""
    compromised_from: Count | None
    """Checkpoints by the old key from this size on prove nothing by themselves, because somebody else had it."""
    reason: Words


@released("fork.adopted", 1)
class ForkAdopted(Body, frozen=True, kw_only=True):
    """The ledger goes on although another history of it was seen; from here on it has another name and key."""

    old: KeyRef
    new: KeyRef
    old_key: str
    new_key: str
    signed_by_old: bool
    seen: str
    """Receipt of the history that this ledger does not continue."""
    reason: Words


@released("anchor.recorded", 1)
class AnchorRecorded(Body, frozen=True, kw_only=True):
    """A checkpoint of this ledger is kept somewhere else, by somebody else."""

    anchor: AnchorRef
    kind: Literal["kept", "cosigned"]
    """``kept``: a person says that the receipt stands in a ticket, a mail …; ``cosigned``: a witness signed it."""
    size: Count
    root: HexHash
    where: Words
    """The ticket, or the name of the witness."""
    receipt: str
    """The receipt as it was kept, or the checkpoint note with the witness's cosignature."""
    stated_at: Instant | None
    """When, according to the witness."""
    witness_key: str | None
    url: str | None


@released("event.redacted", 1)
class EventRedacted(Body, frozen=True, kw_only=True):
    """The content of an event is erased; its hashes, its place and everything else stay provable."""

    redaction: RedactionRef
    """Position of the erased event, in decimal."""
    event: HexHash
    type: str
    reason: Words
    authority: Words
    """Who or what demands it."""


@released("event.corrected", 1)
class EventCorrected(Body, frozen=True, kw_only=True):
    """An earlier event does not count from here on, as if it had not been recorded; it stays what it was before.

    A correction can be corrected, too; then what it had set aside counts again.
    """

    correction: CorrectionRef
    """Position of the event that does not count, in decimal."""
    event: HexHash
    type: str
    reason: Words


@released("segment.sealed", 1)
class SegmentSealed(Body, frozen=True, kw_only=True):
    """A closed range of commits was written once as a file of JSON lines."""

    segment: SegmentRef
    """``0000``; the file is ``0000.jsonl``."""
    first: Count
    last: Count
    """Commits, both included."""
    size_bytes: Count
    blake3: HexHash
