"""The ledger itself: its beginning, what it holds besides events, who vouches for it, what was erased or set aside."""

from __future__ import annotations

from typing import Literal

from tallystick.ledger.events.event import Instant
from tallystick.ledger.events.types.schema import (
    AnchorRef,
    ArtifactRef,
    Body,
    CorrectionRef,
    Count,
    DecisionRef,
    EnvironmentRef,
    Fact,
    HexHash,
    HistoryRef,
    Json,
    KeyRef,
    RedactionRef,
    RunRef,
    SchemaRef,
    SegmentRef,
    Words,
    released,
)


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
class EventRedactedV1(Body, frozen=True, kw_only=True):
    """The content of an event is erased, and nothing is kept of what it referred to."""

    redaction: RedactionRef
    """Position of the erased event, in decimal."""
    event: HexHash
    type: str
    reason: Words
    authority: Words
    """Who or what demands it."""


@released("event.redacted", 2)
class EventRedacted(Body, frozen=True, kw_only=True):
    """The content of an event is erased; its hashes, its place and everything else stay provable."""

    redaction: RedactionRef
    """Position of the erased event, in decimal."""
    event: HexHash
    type: str
    version: Count
    """Version of the erased event's type."""
    refers_to: dict[str, str]
    """Field of the erased event -> name of the entity that it referred to, as far as another event names it, too.

    Later evaluation needs it: that a model was promoted stays known, and why it was does not.
    """
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


@released("history.imported", 1)
class HistoryImported(Body, frozen=True, kw_only=True):
    """The history of another ledger is going to be copied in, commit by commit; who vouches for it."""

    history: HistoryRef
    """Origin of the other ledger when it began, unique for ever."""
    name: str
    """Its origin now; another one where it left a history that had been seen elsewhere."""
    first: Count
    size: Count
    """Commits ``first`` up to and without ``size`` are copied in what follows; none where only the vouching is new."""
    root: HexHash
    """Over its first ``size`` commits."""
    checkpoint: str
    """Its own signed checkpoint of that size, c2sp.org/tlog-checkpoint."""
    vouched: Literal["receipt", "key", "pin", "import", "nothing"]
    """What besides that ledger itself says that this is its history: a receipt or a key that was given, the key that
    the importing account relied on, or an earlier import that was vouched for; ``nothing``: it is unproven."""
    receipt: str | None
    """The receipt that was given, in one line."""
    key: str | None
    """The verifier key that was relied on, c2sp.org/signed-note."""
    relied_since: Instant | None
    """Since when the importing account relied on that key by itself."""
    named_under: str | None
    """``ann``: what its events name is called ``ann/NAME`` here; null: as they call it."""
    events: Count
    """How many of its events are copied."""
    left_out: Count
    """How many are listed in their commits instead."""
    artifacts: Count
    """Files that its events name and that are kept here as well."""
    missing_artifacts: Count
    """Files that its events name and that it does not have."""


class LeftOut(Fact, frozen=True, kw_only=True):
    """An event of the other ledger that is about that ledger itself, or was erased there, and is not copied."""

    place: Count
    """In its commit, from 0."""
    id: HexHash
    sha256: HexHash
    type: str
    body: str | None
    """Its exact text; null where it was erased, and for a schema."""
    instead: Count | None
    """How many events after this one the correction stands that says the same here."""


@released("commit.imported", 1)
class CommitImported(Body, frozen=True, kw_only=True):
    """This commit is one of another ledger: with what stands here its text there can be made again, byte for byte."""

    history: HistoryRef
    n: Count
    """Its number there."""
    head: str
    """Its head there, the exact text: who recorded it, when, where, with what."""
    copied: Count
    """So many events right after this one are its events; what is left out stood between them."""
    left_out: list[LeftOut]
    proven: bool
    """Whether anything but that ledger itself vouched for it when it was imported."""
    named_under: str | None
