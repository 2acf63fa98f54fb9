"""A store of MLflow in a folder, ``mlruns``: a folder for each run, and a file for each parameter, metric and tag."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.types import Dataset, Output, TrialStatus
from tallystick.ledger.exchange.from_mlflow.held import (
    LARGEST_EXACT,
    MODEL_STATUS,
    STATUS,
    Curve,
    Experiment,
    KeptModel,
    Loss,
    Registered,
    Run,
    Tags,
    Version,
)
from tallystick.ledger.exchange.from_mlflow.metric_lines import Lines, Point, joined, plain_curve, read_lines
from tallystick.ledger.exchange.from_mlflow.yaml_text import Value, read_mapping
from tallystick.ledger.system.files import read_foreign

META = "meta.yaml"
TRASH = ".trash"
RESERVED = frozenset({"tags", "datasets", "traces", "models"})
"""Folders of an experiment that are no runs."""
MOST_FILE_BYTES = 256 << 20
MOST_LINES_NAMED = 3
_RUN_STATUS: dict[str, TrialStatus] = {
    str(number): STATUS[word]
    for number, word in enumerate(("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"), start=1)
}
T = TypeVar("T")


class FolderStore:
    """See :class:`.held.Store`. Ids are the names of folders; what ``meta.yaml`` says of them is not needed."""

    words = "a folder of MLflow"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.remarks: list[str] = []
        self.losses: list[Loss] = []
        self._places = [
            place for parent in (root, root / TRASH) for place in self._folders(parent) if place.name != TRASH
        ]
        self._places = [place for place in self._places if place != root / "models"]
        self._folders_of_runs: dict[str, Path] = {}

    @staticmethod
    def recognizes(folder: Path) -> bool:
        """Whether a folder is such a store."""
        try:
            return any((place / META).is_file() for parent in (folder, folder / TRASH, folder / "models")
                       for place in _listed(parent))  # fmt: skip
        except OSError:
            return False

    def close(self) -> None:
        """Nothing is held."""

    def experiments(self) -> list[Experiment]:
        """Every experiment, those in the trash among them."""
        return [found for place in self._places if (found := self._said_of(place, self._experiment)) is not None]

    def _experiment(self, place: Path) -> Experiment:
        said = self._meta(place, "name")
        removed = place.parent.name == TRASH or _text(said, "lifecycle_stage") == "deleted"
        traces = sum(1 for _ in self._folders(place / "traces"))
        if traces:
            self.losses.append(Loss(f"experiment {place.name}", f"traces are not imported: {traces:,}"))
        return Experiment(
            id=place.name,
            name=_text(said, "name") or place.name,
            artifact_uri=_text(said, "artifact_location"),
            created_ms=self._moment(said, "creation_time", place),
            changed_ms=self._moment(said, "last_update_time", place),
            removed=removed,
            tags=self._texts(place / "tags"),
        )

    # Runs --------------------------------------------------------------------------------------------------

    def run_count(self) -> int:
        """Folders that are likely to be runs."""
        return sum(1 for place in self._places for _ in self._run_places(place))

    def _run_places(self, experiment: Path) -> Iterator[Path]:
        return (place for place in self._folders(experiment) if place.name not in RESERVED)

    def runs(self) -> Iterator[tuple[Run, list[Curve]]]:
        """Every run with its numbers, experiment by experiment."""
        for experiment in self._places:
            if not (experiment / META).is_file():
                continue  # said when the experiments were read
            measured = self._measured_of_models(experiment)
            for place in self._run_places(experiment):
                run = self._said_of(place, self._run)
                if run is not None:
                    self._folders_of_runs[run.id] = place
                    yield run, self._curves(place, measured.get(run.id, {}))

    def _run(self, place: Path) -> Run:
        said = self._meta(place, "user_id")
        number = _text(said, "status") or "1"
        status = _RUN_STATUS.get(number) or STATUS.get(number)
        if status is None:
            raise InvalidInput(f"Its status is {number[:40]!r}.")
        tags = self._texts(place / "tags")
        inputs, models_read = self._inputs(place)
        return Run(
            id=place.name,
            experiment=place.parent.name,
            name=_text(said, "run_name") or tags.get("mlflow.runName") or "",
            user=_text(said, "user_id") or "",
            status=status,
            started_ms=self._moment(said, "start_time", place),
            ended_ms=self._moment(said, "end_time", place),
            removed=_text(said, "lifecycle_stage") == "deleted",
            removed_ms=self._moment(said, "deleted_time", place),
            artifact_uri=_text(said, "artifact_uri"),
            params=self._texts(place / "params"),
            tags=tags,
            inputs=inputs,
            models_read=models_read,
            outputs=self._outputs(place),
        )

    def _inputs(self, place: Path) -> tuple[list[Dataset], list[str]]:
        tables, models = [], []
        for inner in self._folders(place / "inputs"):
            said = self._said_of(inner, self._link)
            if said is None:
                continue
            source, tags = _text(said, "source_id") or "", said.get("tags")
            if _text(said, "source_type") == "MODEL":
                models.append(source)
                continue
            table = self._said_of(place.parent / "datasets" / Path(source).name, self._table)
            if table is not None:
                found = {key: str(value or "") for key, value in tags.items()} if isinstance(tags, dict) else {}
                tables.append(msgspec.structs.replace(table, tags=found))
        return tables, models

    def _link(self, place: Path) -> dict[str, Value]:
        return self._meta(place, "tags")

    def _table(self, place: Path) -> Dataset:
        said = self._meta(place, "source_type")
        return Dataset(
            name=_text(said, "name") or "",
            digest=_text(said, "digest") or "",
            source_type=_text(said, "source_type") or "",
            source=_text(said, "source") or "",
            schema=_text(said, "schema"),
            profile=_text(said, "profile"),
        )

    def _outputs(self, place: Path) -> list[Output]:
        found = []
        for inner in self._folders(place / "outputs"):
            said = self._said_of(inner, self._link)
            if said is not None:
                found.append(Output(model=inner.name, step=self._whole(said, "step", inner) or 0))
        return found

    def _curves(self, place: Path, of_models: dict[str, dict[str, list[Point]]]) -> list[Curve]:
        """The numbers of a run; ``of_models``: those of kept models, by metric and model."""
        found: list[Curve] = []
        files = dict(self._files(place / "metrics"))
        for key in [*files, *(key for key in of_models if key not in files)]:
            text = self._read(files[key]) if key in files else ""
            if not text and key not in of_models:
                self.losses.append(Loss(self._where(files[key]), "it is empty"))
                continue
            curve = None if key in of_models else plain_curve(key, text)
            if curve is None:
                lines = self._numbers(files.get(key), text, of_model=False)
                found += joined(key, lines, of_models.get(key, {}))
            else:
                found.append(curve)
        return found

    def _measured_of_models(self, experiment: Path) -> dict[str, dict[str, dict[str, list[Point]]]]:
        """Numbers of the kept models of an experiment, by run, metric and model."""
        found: dict[str, dict[str, dict[str, list[Point]]]] = {}
        for model in self._folders(experiment / "models"):
            for key, file in self._files(model / "metrics"):
                for point in self._numbers(file, self._read(file), of_model=True):
                    found.setdefault(point.run or "", {}).setdefault(key, {}).setdefault(model.name, []).append(point)
        return found

    def _numbers(self, file: Path | None, text: str, *, of_model: bool) -> list[Point]:
        lines: Lines = read_lines(text, of_model=of_model)
        if lines.odd and file is not None:
            some = ", ".join(map(str, lines.odd[:MOST_LINES_NAMED])) + (
                " …" if len(lines.odd) > MOST_LINES_NAMED else ""
            )
            self.losses.append(Loss(self._where(file), f"malformed lines: {len(lines.odd):,} ({some})"))
        return lines.points

    # Models ------------------------------------------------------------------------------------------------

    def kept_models(self) -> list[KeptModel]:
        """Every kept model, removed ones among them."""
        places = [place for experiment in self._places for place in self._folders(experiment / "models")]
        return [found for place in places if (found := self._said_of(place, self._kept)) is not None]

    def _kept(self, place: Path) -> KeptModel:
        said = self._meta(place, "source_run_id")
        status = _text(said, "status") or "0"
        return KeptModel(
            id=place.name,
            experiment=place.parent.parent.name,
            name=_text(said, "name") or place.name,
            status=MODEL_STATUS[int(status)] if status in "0123" else status,
            model_type=_text(said, "model_type"),
            run=_text(said, "source_run_id"),
            artifact_uri=_text(said, "artifact_location"),
            created_ms=self._moment(said, "creation_timestamp", place),
            changed_ms=self._moment(said, "last_updated_timestamp", place),
            removed=_text(said, "lifecycle_stage") == "deleted",
            params=self._texts(place / "params"),
            tags=self._texts(place / "tags"),
        )

    def registered(self) -> list[Registered]:
        """Every registered model with its versions."""
        places = self._folders(self.root / "models")
        return [found for place in places if (found := self._said_of(place, self._one_registered)) is not None]

    def _one_registered(self, place: Path) -> Registered:
        said = self._meta(place, "name")
        aliases: dict[str, int] = {}
        for name, number in self._texts(place / "aliases").items():
            if number.strip().isdecimal() and len(number.strip()) < 16:
                aliases[name] = int(number)
            else:
                self.losses.append(Loss(self._where(place / "aliases" / name), "it names no version"))
        versions = [
            found
            for inner in self._folders(place)
            if inner.name.startswith("version-") and (found := self._said_of(inner, self._version)) is not None
        ]
        return Registered(
            name=place.name,
            description=_text(said, "description"),
            created_ms=self._moment(said, "creation_timestamp", place),
            changed_ms=self._moment(said, "last_updated_timestamp", place),
            tags=self._texts(place / "tags"),
            aliases=aliases,
            versions=sorted(versions, key=lambda version: version.number),
        )

    def _version(self, place: Path) -> Version:
        number = place.name.removeprefix("version-")
        if not number.isdecimal() or not number.isascii() or len(number) > 15:
            raise InvalidInput("Its folder's name is no number of a version.")
        said = self._meta(place, "version")
        return Version(
            number=int(number),
            source=_text(said, "source") or "",
            run=_text(said, "run_id"),
            model=_text(said, "model_id"),
            run_link=_text(said, "run_link"),
            user=_text(said, "user_id"),
            description=_text(said, "description"),
            status=_text(said, "status"),
            stage=_text(said, "current_stage"),
            created_ms=self._moment(said, "creation_timestamp", place),
            changed_ms=self._moment(said, "last_updated_timestamp", place),
            tags=self._texts(place / "tags"),
        )

    # Files -------------------------------------------------------------------------------------------------

    def run_folder(self, run: Run) -> Path | None:
        """The folder ``artifacts`` of a run."""
        place = self._folders_of_runs.get(run.id)
        return None if place is None else place / "artifacts"

    def model_folder(self, model: KeptModel) -> Path | None:
        """The folder ``artifacts`` of a kept model."""
        for parent in (self.root, self.root / TRASH):
            place = parent / model.experiment / "models" / model.id
            if place.is_dir():
                return place / "artifacts"
        return None

    def _said_of(self, place: Path, read: Callable[[Path], T]) -> T | None:
        """What a folder says; None, and a loss with its name, where it cannot be read."""
        try:
            return read(place)
        except InvalidInput as error:
            self.losses.append(Loss(self._where(place), error.message))
            return None

    def _meta(self, place: Path, needed: str) -> dict[str, Value]:
        """What ``meta.yaml`` says; ``needed``: the last of the fields that MLflow always writes."""
        file = place / META
        if not file.is_file():
            raise InvalidInput(f"{META} is missing")
        try:
            text = read_foreign(file, MOST_FILE_BYTES).decode()
            if not text.endswith("\n"):
                raise InvalidInput("it is half written" if text else "it is empty")
            found = read_mapping(text)
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{META} is not UTF-8") from error
        except InvalidInput as error:
            raise InvalidInput(f"{META}: {error.message}") from error
        if needed not in found:
            raise InvalidInput(f"{META}: it is half written")
        return found

    def _read(self, file: Path) -> str:
        try:
            return read_foreign(file, MOST_FILE_BYTES).decode()
        except UnicodeDecodeError:
            self.losses.append(Loss(self._where(file), "it is not UTF-8"))
        except InvalidInput as error:
            self.losses.append(Loss(self._where(file), error.message))
        return ""

    def _texts(self, folder: Path) -> Tags:
        """The content of each file below a folder, by its path."""
        return {name: self._read(file) for name, file in self._files(folder)}

    def _files(self, folder: Path) -> Iterator[tuple[str, Path]]:
        """Files below a folder by their paths, which are names with strokes in them; links are not followed."""
        for parent, folders, files in os.walk(folder):
            folders.sort()
            for name in sorted(files):
                file = Path(parent, name)
                path = file.relative_to(folder).as_posix()
                if file.is_symlink() or not path.isprintable():
                    self.losses.append(Loss(self._where(file), "it is a link, or has no readable name"))
                else:
                    yield path, file

    def _folders(self, parent: Path) -> list[Path]:
        try:
            return [place for place in _listed(parent) if place.is_dir() and not place.is_symlink()]
        except OSError as error:
            self.losses.append(Loss(self._where(parent), str(error.strerror)))
            return []

    def _where(self, place: Path) -> str:
        return place.relative_to(self.root).as_posix()

    def _moment(self, said: dict[str, Value], field: str, place: Path) -> int | None:
        found = self._whole(said, field, place)
        return None if found is None or found < 0 else found

    def _whole(self, said: dict[str, Value], field: str, place: Path) -> int | None:
        text = _text(said, field)
        if text is None:
            return None
        digits = text.removeprefix("-")
        if not digits.isdecimal() or not digits.isascii() or len(digits) > 16 or int(digits) > LARGEST_EXACT:
            self.losses.append(Loss(self._where(place), f"{field} is {text[:40]!r}"))
            return None
        return int(text)


def _text(said: dict[str, Value], field: str) -> str | None:
    value = said.get(field)
    return value if isinstance(value, str) else None


def _listed(parent: Path) -> list[Path]:
    return sorted(parent.iterdir()) if parent.is_dir() else []
