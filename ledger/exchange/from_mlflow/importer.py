"""Importing a store of MLflow: what it holds beyond the ledger becomes events, in commits of a moderate size.

Nothing here needs MLflow. The store is only read, and compared entity by entity with the ledger: the second import of
a store adds nothing, that of a store which grew adds what is new, and one that was interrupted goes on.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec

from tallystick.ledger.errors import Conflict, InvalidInput, NotFound, Refused
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.types import (
    RELEASED,
    AliasMoved,
    Body,
    Dataset,
    ExperimentChanged,
    ExperimentCreated,
    TrialSeries,
)
from tallystick.ledger.exchange.from_mlflow.changes import (
    differing,
    experiment_changes,
    kept_model_changes,
    run_changes,
)
from tallystick.ledger.exchange.from_mlflow.database import DatabaseStore
from tallystick.ledger.exchange.from_mlflow.files import Files, Keeping, Owner, local_steps
from tallystick.ledger.exchange.from_mlflow.folder import FolderStore
from tallystick.ledger.exchange.from_mlflow.held import Curve, Experiment, KeptModel, Loss, Registered, Run, Store, Tags
from tallystick.ledger.exchange.from_mlflow.known import NOTE, KnownBefore
from tallystick.ledger.exchange.from_mlflow.registry_changes import conflict, registered_changes
from tallystick.ledger.exchange.session import LONG_TEXT, MOST_TEXT
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.verify.report import Progress, silent

EVENTS_A_COMMIT = 500
NUMBERS_A_COMMIT = 50_000
LONGEST_NAME = 200
"""Of an entity, in an event."""
MOST_VALUE_BYTES = 400_000
"""Of a tag or a parameter."""
LONGEST_WORDS = 10_000


class ImportOptions(NamedTuple):
    """How a store is imported."""

    artifacts: Keeping = "copy"
    artifacts_from: tuple[Path, ...] = ()
    """Folders, beside the store's own, whose files may be read."""
    dry_run: bool = False


IN_FULL = ImportOptions()


class Brought(msgspec.Struct, kw_only=True):
    """What was imported, or would be."""

    source: str
    dry_run: bool
    new: Counter[str] = msgspec.field(default_factory=Counter)
    """How many of each kind."""
    changed: Counter[str] = msgspec.field(default_factory=Counter)
    same: Counter[str] = msgspec.field(default_factory=Counter)
    events: int = 0
    numbers: int = 0
    files: int = 0
    file_bytes: int = 0
    first_commit: int | None = None
    last_commit: int | None = None
    losses: list[Loss] = msgspec.field(default_factory=list)
    """What could not be read."""
    absent: list[str] = msgspec.field(default_factory=list)
    """Whose files are not where the store says."""
    remote: list[str] = msgspec.field(default_factory=list)
    """Whose files are in a place that is not of this machine."""
    outside: list[str] = msgspec.field(default_factory=list)
    """Folders that hold files and were not named as ones to be read."""
    unknowable: list[str] = msgspec.field(default_factory=list)
    """What no store of MLflow says."""
    remarks: list[str] = msgspec.field(default_factory=list)
    kept: list[str] = msgspec.field(default_factory=list)
    """What was changed here since the last import, and stays as it is here."""


def import_store(
    ledger: Ledger, path: Path | str, options: ImportOptions = IN_FULL, progress: Progress = silent
) -> Brought:
    """Import the ``mlruns`` folder or the ``mlflow.db`` at a path, or what is new in it since the last time.

    Raises
    ------
    NotFound
        When there is no store.
    InvalidInput
        When it cannot be read at all.
    Refused
        When its schema is not known, or it calls something by a name that means something else here. Nothing was
        appended then.
    Conflict
        When another process records about the same entities meanwhile.
    """
    ledger.refuse_mixed_times()
    with contextlib.closing(open_store(path)) as store:
        try:
            return _Import(ledger, store, options, progress).run()
        except sqlite3.Error as error:
            raise InvalidInput(
                f"{path} cannot be read to its end: {error}. What was read until then was imported.",
                "Repair it, then give the same command again; it goes on from there.",
            ) from error


def open_store(path: Path | str) -> Store:
    """The store at a path, or at an address such as ``sqlite:///mlflow.db``.

    Raises
    ------
    NotFound, InvalidInput, Refused
    """
    text = str(path)
    scheme = urlsplit(text).scheme
    if scheme in ("sqlite", "file"):
        place = Path(unquote(text.partition("://")[2]).removeprefix("/" if scheme == "sqlite" else ""))
    else:
        place = Path(path)
    if place.is_dir():
        return _open_folder(place)
    if not place.exists():
        raise NotFound(f"There is no store of MLflow at {place}.", "Name an mlruns folder or an mlflow.db.")
    return DatabaseStore(place)


def _open_folder(place: Path) -> Store:
    folder = next((one for one in (place, place / "mlruns") if FolderStore.recognizes(one)), None)
    database = place / "mlflow.db"
    if database.is_file() and folder is not None:
        raise InvalidInput(
            f"{place} holds two stores of MLflow: {database.name} and {folder.relative_to(place.parent)}.",
            "Name the one to import: tally import mlflow PATH/mlflow.db",
        )
    if database.is_file():
        return DatabaseStore(database)
    if folder is None:
        raise NotFound(f"{place} holds no store of MLflow.", "Name an mlruns folder or an mlflow.db.")
    return FolderStore(folder)


class _Import:
    """One import on its way."""

    def __init__(self, ledger: Ledger, store: Store, options: ImportOptions, progress: Progress) -> None:
        self._ledger, self._store, self._options, self._progress = ledger, store, options, progress
        self._known = KnownBefore(ledger)
        self._files = Files(ledger, self._known, store, options.artifacts, options.artifacts_from)
        self._where = str(store.root if isinstance(store, FolderStore) else getattr(store, "path", store.root))
        self._brought = Brought(source=f"{store.words}, {self._where}", dry_run=options.dry_run)
        self._waiting: list[Draft] = []
        self._numbers_waiting = 0
        self._written: dict[str, int] = {}
        self._relocated: list[tuple[str, str]] = []
        self._aliases = 0
        self._undated = 0

    def run(self) -> Brought:
        """Compare, append, and say what came of it."""
        experiments, registered = self._store.experiments(), self._store.registered()
        self._refuse_conflicts(experiments, registered)
        for experiment in experiments:
            self._experiment(experiment)
        total = self._store.run_count()
        for done, (run, curves) in enumerate(self._store.runs()):
            self._progress("runs", done, total)
            self._run(run, curves)
        for model in self._store.kept_models():
            self._kept_model(model)
        for one in registered:
            self._registered(one)
        self._flush(last=True)
        return self._said()

    def _refuse_conflicts(self, experiments: list[Experiment], registered: list[Registered]) -> None:
        taken = [
            f"experiment {held.id} is {state.name!r} here and {held.name!r} there"
            for held in experiments
            if (state := self._known.experiments.get(held.id)) is not None
            and state.name != held.name
            and (held.created_ms is None or differing(held.created_ms, state.created_at))
        ]
        taken += [
            f"{words} was created at another time here" for held in registered if (words := conflict(self._known, held))
        ]
        if taken:
            raise Refused(
                f"Names of this store mean something else in the ledger: {'; '.join(taken[:5])}. Nothing was imported.",
                "Import it into a ledger of its own: run tally init in another folder, then this command there.",
            )

    # One entity at a time ------------------------------------------------------------------------------------

    def _experiment(self, held: Experiment) -> None:
        if self._is_unfit("experiment", held.id, held.name):
            return
        held = msgspec.structs.replace(held, tags=self._bounded(held.tags, f"experiment {held.id}"))
        if held.created_ms is None and held.id not in self._known.experiments:
            self._undated += 1
        self._count("experiment", held.id in self._known.experiments, experiment_changes(self._known, held))

    def _run(self, held: Run, curves: list[Curve]) -> None:
        where = f"run {held.id}"
        if self._is_unfit("run", held.id, held.name or held.id):
            return
        is_known = held.id in self._known.trials
        self._undated += held.started_ms is None and not is_known
        owner = self._files.of_run(self._store, held)
        imported_from = f"MLflow, {held.artifact_uri or self._where}"[:LONGEST_WORDS]
        held = msgspec.structs.replace(
            held,
            params=self._bounded(held.params, where),
            tags=self._bounded(held.tags, where),
            inputs=[self._with_long_texts(table) for table in held.inputs],
            artifact_uri=self._address(owner, f"runs:/{held.id}"),
        )
        found = run_changes(self._known, held, curves, imported_from)
        self._count("run", is_known, [*found, *self._files.changes(owner, dry_run=self._options.dry_run)])

    def _kept_model(self, held: KeptModel) -> None:
        if self._is_unfit("kept model", held.id, held.name):
            return
        owner, where = self._files.of_model(self._store, held), f"kept model {held.id}"
        held = msgspec.structs.replace(
            held,
            params=self._bounded(held.params, where),
            tags=self._bounded(held.tags, where),
            artifact_uri=self._address(owner, f"models:/{held.id}"),
        )
        found = kept_model_changes(self._known, held)
        is_known = held.id in self._known.kept_models
        self._count("kept model", is_known, [*found, *self._files.changes(owner, dry_run=self._options.dry_run)])

    def _registered(self, held: Registered) -> None:
        if self._is_unfit("registered model", held.name, held.name):
            return
        held = msgspec.structs.replace(
            held,
            tags=self._bounded(held.tags, f"registered model {held.name}"),
            versions=[msgspec.structs.replace(one, source=self._new_source(one.source)) for one in held.versions],
        )
        is_known = any(state.name == held.name and not state.removed for state in self._known.registered.values())
        found = registered_changes(self._known, held, self._store.losses)
        self._aliases += sum(isinstance(one.body, AliasMoved) for one in found)
        self._count("registered model", is_known, found)

    def _address(self, owner: Owner, instead: str) -> str | None:
        """The address of an owner's files; None where they come into the ledger, whose own address they then have."""
        if not self._files.is_kept(owner):
            return owner.uri
        if owner.uri is not None:
            self._relocated.append((owner.uri.rstrip("/"), instead))
        return None

    def _new_source(self, source: str) -> str:
        """Where the files of a version are: by the name of their run or model, where they came into the ledger."""
        if local_steps(source) is None:
            return source
        for before, instead in self._relocated:
            if source == before or source.startswith(f"{before}/"):
                return instead + source.removeprefix(before)
        return source

    # What an event can hold ----------------------------------------------------------------------------------

    def _is_unfit(self, kind: str, name: str, title: str) -> bool:
        """Whether an entity has a name that no event holds; that is a loss."""
        if 0 < len(name) <= LONGEST_NAME and 0 < len(title) <= LONGEST_WORDS:
            return False
        self._store.losses.append(Loss(f"{kind} {name[:60]}", f"its name has {len(name):,} characters"))
        return True

    def _bounded(self, values: Tags, where: str) -> Tags:
        found: Tags = {}
        for name, value in values.items():
            if len(value.encode()) + len(name) > MOST_VALUE_BYTES:
                self._store.losses.append(Loss(where, f"{name[:60]} has {len(value):,} characters and was left out"))
            else:
                found[name] = value
        return found

    def _with_long_texts(self, table: Dataset) -> Dataset:
        """A table whose long descriptions are kept as files."""
        long = {
            field: LONG_TEXT + self._ledger.store(text.encode()).hash
            for field in ("source", "schema", "profile")
            if (text := getattr(table, field)) is not None and len(text) > MOST_TEXT and not self._options.dry_run
        }
        return msgspec.structs.replace(table, **long)

    # Appending -----------------------------------------------------------------------------------------------

    def _count(self, kind: str, is_known: bool, found: Iterable[Draft]) -> None:
        drafts = list(found)
        counter = (
            self._brought.changed if is_known and drafts else self._brought.same if is_known else self._brought.new
        )
        counter[kind] += 1
        for one in drafts:
            if isinstance(one.body, TrialSeries):
                size = sum(len(series.values) for series in one.body.series)
                self._brought.numbers += size
                self._numbers_waiting += size
            self._waiting.append(one)
            if len(self._waiting) >= EVENTS_A_COMMIT or self._numbers_waiting >= NUMBERS_A_COMMIT:
                self._flush()

    def _flush(self, *, last: bool = False) -> None:
        drafts, self._waiting, self._numbers_waiting = self._waiting, [], 0
        self._brought.events += len(drafts)
        if self._options.dry_run or not (drafts or (last and self._brought.last_commit is not None)):
            return
        if not drafts:
            self._ledger.checkpoint()
            return
        expected = {entity: self._last_seq(entity) for one in drafts for entity in _own(one.body)}
        done = self._ledger.append(*drafts, note=f"{NOTE}{self._where}"[:LONGEST_NAME], expected=expected, sign=last)
        for entity in expected:
            self._written[entity] = done.n
        if self._brought.first_commit is None:
            self._brought.first_commit = done.n
        self._brought.last_commit = done.n

    def _last_seq(self, entity: str) -> int | None:
        """The last event about an entity, which has to be one that this import knows."""
        last = self._ledger.log.last_seq_of(entity)
        if last is not None and last > self._known.seq:
            commit = self._ledger.log.commit_of(last).n
            if self._written.get(entity) != commit:
                raise Conflict(
                    f"Another process records about {entity} at the same time.",
                    "Give the same command again; it goes on from there.",
                )
        return last

    def _said(self) -> Brought:
        brought, files = self._brought, self._files
        brought.files, brought.file_bytes = files.count, files.size_bytes
        brought.losses, brought.remarks, brought.kept = self._store.losses, self._store.remarks, self._known.kept
        brought.absent, brought.remote = files.absent, files.remote
        brought.outside = sorted(map(str, files.outside))
        if self._aliases:
            brought.unknowable.append(
                "since when aliases point where they point, and who moved them: seen at this import"
            )
        if brought.new:
            brought.unknowable.append("when a parameter or tag was set: it has the time at which its run began")
        if self._undated:
            brought.unknowable.append(f"when {self._undated:,} of them began: they have the time of this import")
        return brought


def _own(body: Body) -> list[str]:
    """The entities that an event is about, and that nobody else may change meanwhile."""
    shared = ("artifact:",) if isinstance(body, ExperimentCreated | ExperimentChanged) else ("artifact:", "experiment:")
    return [name for name in RELEASED[body.TYPE, body.VERSION].entities(body) if not name.startswith(shared)]
