"""What other recorders tell, too: experiments, trials as they go on, logged and registered models, aliases, files.

Nothing here is named after one product. What ``with tallystick.run(…)`` records and what a client of another tracker
records are the same events, so both are in the same lists, pages and lineages. Every event says what changed and
leaves out what did not.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from tallystick.ledger.events.event import Instant
from tallystick.ledger.events.types.schema import (
    AliasRef,
    ArtifactRef,
    Body,
    Count,
    ExperimentRef,
    Fact,
    Json,
    LoggedRef,
    RegisteredRef,
    TrialRef,
    VersionRef,
    Words,
    released,
)

Tags = dict[str, str]
TrialStatus = Literal["scheduled", "running", "finished", "failed", "interrupted", "terminated", "vanished"]
"""``interrupted``: by a person; ``terminated``: its process was told to end; ``vanished``: it ended without a word."""


class ExperimentSaid(Body, frozen=True, kw_only=True, omit_defaults=True):
    """An experiment as trackers mean it: a named group of trials."""

    experiment: ExperimentRef
    name: Words | None = None
    artifact_uri: str | None = None
    tags: Tags = msgspec.field(default_factory=dict)
    removed_tags: list[str] = msgspec.field(default_factory=list)


@released("experiment.created", 1)
class ExperimentCreated(ExperimentSaid, frozen=True, kw_only=True, omit_defaults=True):
    """A new group of trials."""


@released("experiment.changed", 1)
class ExperimentChanged(ExperimentSaid, frozen=True, kw_only=True, omit_defaults=True):
    """A group of trials was renamed, tagged, removed or restored."""

    removed: bool | None = None


@released("trial.begun", 1)
class TrialBegun(Body, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody begins to try something, outside of any pipeline."""

    trial: TrialRef
    name: Words
    status: TrialStatus
    user: str
    """As the recorder names the person; who appended it is in the commit."""
    experiment: ExperimentRef | None = None
    parent: TrialRef | None = None
    artifact_uri: str | None = None
    params: Json = msgspec.field(default_factory=dict)
    tags: Tags = msgspec.field(default_factory=dict)
    host: str | None = None
    process: Count | None = None
    process_began: str | None = None
    """What tells a process from a later one of the same number: the machine's boot, and when the process began."""
    program: str | None = None
    imported_from: str | None = None


@released("trial.noted", 1)
class TrialNoted(Body, frozen=True, kw_only=True, omit_defaults=True):
    """Parameters, tags and remarks that were added along the way."""

    trial: TrialRef
    params: Json = msgspec.field(default_factory=dict)
    tags: Tags = msgspec.field(default_factory=dict)
    removed_tags: list[str] = msgspec.field(default_factory=list)
    note: Words | None = None


class Dataset(Fact, frozen=True, kw_only=True, omit_defaults=True):
    """A table that a trial read, as its recorder describes it."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None = None
    profile: str | None = None
    tags: Tags = msgspec.field(default_factory=dict)


class Output(Fact, frozen=True, kw_only=True, omit_defaults=True):
    """A logged model that a trial made, with the step at which it did."""

    model: str
    step: int


@released("trial.linked", 1)
class TrialLinked(Body, frozen=True, kw_only=True, omit_defaults=True):
    """What a trial read and what it made."""

    trial: TrialRef
    inputs: list[Dataset] = msgspec.field(default_factory=list)
    models_read: list[str] = msgspec.field(default_factory=list)
    outputs: list[Output] = msgspec.field(default_factory=list)


@released("trial.changed", 1)
class TrialChanged(Body, frozen=True, kw_only=True, omit_defaults=True):
    """A trial went on to another state, got another name, was removed or restored."""

    trial: TrialRef
    status: TrialStatus | None = None
    name: Words | None = None
    ended_at: Instant | None = None
    error: str | None = None
    late_records: Count | None = None
    """Records that could not be written when they were made, and were delivered later."""
    removed: bool | None = None


class Series(Fact, frozen=True, kw_only=True, omit_defaults=True):
    """Numbers of one metric in the order in which they were measured."""

    key: str
    steps: list[int | None]
    at_ms: list[int]
    """Milliseconds since 1970, UTC."""
    values: list[float | None]
    """None where the number is not finite."""
    not_finite: dict[str, Literal["nan", "inf", "-inf"]] = msgspec.field(default_factory=dict)
    """What stands at an index whose value is None."""
    model: str | None = None
    dataset: str | None = None
    dataset_digest: str | None = None


@released("trial.series", 1)
class TrialSeries(Body, frozen=True, kw_only=True, omit_defaults=True):
    """Numbers along the way, by metric."""

    trial: TrialRef
    series: list[Series]


class LoggedSaid(Body, frozen=True, kw_only=True, omit_defaults=True):
    """A model that a trial made and that is kept beside it."""

    logged: LoggedRef
    status: str | None = None
    tags: Tags = msgspec.field(default_factory=dict)
    params: Tags = msgspec.field(default_factory=dict)


@released("logged.created", 1)
class LoggedCreated(LoggedSaid, frozen=True, kw_only=True, omit_defaults=True):
    """A model of a trial is kept."""

    name: Words
    experiment: ExperimentRef | None = None
    trial: TrialRef | None = None
    artifact_uri: str | None = None
    model_type: str | None = None


@released("logged.changed", 1)
class LoggedChanged(LoggedSaid, frozen=True, kw_only=True, omit_defaults=True):
    """A kept model is ready, tagged, removed or restored."""

    removed_tags: list[str] = msgspec.field(default_factory=list)
    removed: bool | None = None


class RegisteredSaid(Body, frozen=True, kw_only=True, omit_defaults=True):
    """A name under which versions of a model are registered."""

    registered: RegisteredRef
    name: Words | None = None
    description: str | None = None
    tags: Tags = msgspec.field(default_factory=dict)


@released("registered.created", 1)
class RegisteredCreated(RegisteredSaid, frozen=True, kw_only=True, omit_defaults=True):
    """A new name for versions of a model."""


@released("registered.changed", 1)
class RegisteredChanged(RegisteredSaid, frozen=True, kw_only=True, omit_defaults=True):
    """A registered model was renamed, described, tagged, removed or restored."""

    removed_tags: list[str] = msgspec.field(default_factory=list)
    removed: bool | None = None


class VersionSaid(Body, frozen=True, kw_only=True, omit_defaults=True):
    """One version of a registered model."""

    version: VersionRef
    """``fraud-model/3``."""
    registered: RegisteredRef
    description: str | None = None
    status: str | None = None
    stage: str | None = None
    tags: Tags = msgspec.field(default_factory=dict)


@released("version.created", 1)
class VersionCreated(VersionSaid, frozen=True, kw_only=True, omit_defaults=True):
    """A model became the next version of a registered one."""

    number: Count
    source: str
    trial: TrialRef | None = None
    logged: LoggedRef | None = None
    run_link: str | None = None
    user: str | None = None


@released("version.changed", 1)
class VersionChanged(VersionSaid, frozen=True, kw_only=True, omit_defaults=True):
    """A version was described, tagged, moved to a stage, removed or restored."""

    source: str | None = None
    removed_tags: list[str] = msgspec.field(default_factory=list)
    removed: bool | None = None


@released("alias.moved", 1)
class AliasMoved(Body, frozen=True, kw_only=True, omit_defaults=True):
    """An alias points to another version, or to none."""

    alias: AliasRef
    """``fraud-model/champion``."""
    registered: RegisteredRef
    name: Words
    version: VersionRef | None
    previous: VersionRef | None
    reason: str | None = None
    observed: bool = False
    """Seen at an import: since when it points there, and who moved it, is unknown."""


@released("file.filed", 1)
class FileFiled(Body, frozen=True, kw_only=True, omit_defaults=True):
    """A file of a trial or a kept model, under the path that its recorder gave it."""

    path: str
    artifact: ArtifactRef | None
    """None where the content was not there to be kept."""
    size_bytes: Count | None
    trial: TrialRef | None = None
    logged: LoggedRef | None = None
    removed: bool = False
    uri: str | None = None
    """Where the content was left, where it was not copied."""
