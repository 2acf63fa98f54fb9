"""What a store of MLflow holds, however it was written: plain values that the importer compares with the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from tallystick.ledger.events.types import Dataset, Output, TrialStatus

Tags = dict[str, str]
STATUS: dict[str, TrialStatus] = {
    "RUNNING": "running",
    "SCHEDULED": "scheduled",
    "FINISHED": "finished",
    "FAILED": "failed",
    "KILLED": "terminated",
}
"""MLflow's word for the state of a run, and the ledger's."""
MODEL_STATUS = ("UNSPECIFIED", "PENDING", "READY", "FAILED")
"""A kept model's state by the number that MLflow stores."""
DELETED_STAGE = "Deleted_Internal"
"""The stage that MLflow gives to a version that was deleted."""
LARGEST_EXACT = 1 << 53


class Loss(NamedTuple):
    """Something in the store that could not be read, and was left out."""

    where: str
    what: str


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """A named group of runs."""

    id: str
    name: str
    artifact_uri: str | None
    created_ms: int | None
    changed_ms: int | None
    removed: bool
    tags: Tags


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run without its numbers."""

    id: str
    experiment: str
    name: str
    user: str
    status: TrialStatus
    started_ms: int | None
    ended_ms: int | None
    removed: bool
    removed_ms: int | None
    artifact_uri: str | None
    params: Tags
    tags: Tags
    inputs: list[Dataset]
    models_read: list[str]
    outputs: list[Output]


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of one metric of a run, of one model and table where they were measured of those."""

    key: str
    steps: list[int]
    at_ms: list[int]
    values: list[float]
    """They may be infinite or NaN."""
    model: str | None = None
    dataset: str | None = None
    dataset_digest: str | None = None


class KeptModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that a run made and that is kept beside it."""

    id: str
    experiment: str
    name: str
    status: str
    model_type: str | None
    run: str | None
    artifact_uri: str | None
    created_ms: int | None
    changed_ms: int | None
    removed: bool
    params: Tags
    tags: Tags


class HeldVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a registered model."""

    number: int
    source: str
    run: str | None
    model: str | None
    run_link: str | None
    user: str | None
    description: str | None
    status: str | None
    stage: str | None
    created_ms: int | None
    changed_ms: int | None
    tags: Tags

    @property
    def removed(self) -> bool:
        """Whether MLflow shows it no more."""
        return self.stage == DELETED_STAGE


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """A registered model with its versions and aliases."""

    name: str
    description: str | None
    created_ms: int | None
    changed_ms: int | None
    tags: Tags
    aliases: dict[str, int]
    versions: list[HeldVersion]


class Store(Protocol):
    """A store that is only read.

    Attributes
    ----------
    root : Path
        The folder that its files are looked for in.
    words : str
        What it is: ``a folder of MLflow``.
    remarks : list of str
        What is to be said about it as a whole.
    losses : list of Loss
        What could not be read; it grows as the store is read.
    """

    root: Path
    words: str
    remarks: list[str]
    losses: list[Loss]

    def experiments(self) -> list[Experiment]:
        """Every experiment, removed ones among them."""

    def run_count(self) -> int:
        """About how many runs there are, for showing progress."""

    def runs(self) -> Iterator[tuple[Run, list[Curve]]]:
        """Every run with its numbers, removed ones among them."""

    def kept_models(self) -> list[KeptModel]:
        """Every kept model, removed ones among them."""

    def registered(self) -> list[Registered]:
        """Every registered model."""

    def run_folder(self, run: Run) -> Path | None:
        """Where the files of a run lie in the store itself, if they do."""

    def model_folder(self, model: KeptModel) -> Path | None:
        """Where the files of a kept model lie in the store itself, if they do."""

    def close(self) -> None:
        """Let go of the store."""
