"""A store of MLflow in a folder, ``mlruns``: a folder for each run, and a file for each parameter, metric and tag."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.types import Dataset, Output, TrialStatus
from tallystick.ledger.exchange.from_mlflow.folder_reader import META, FolderReader, listed, text_of
from tallystick.ledger.exchange.from_mlflow.held import (
    MODEL_STATUS,
    STATUS,
    Curve,
    Experiment,
    HeldVersion,
    KeptModel,
    Loss,
    Registered,
    Run,
)
from tallystick.ledger.exchange.from_mlflow.metric_lines import (
    MeasuredPoint,
    NumberLines,
    joined,
    plain_curve,
    read_lines,
)
from tallystick.ledger.exchange.from_mlflow.yaml_text import Value

TRASH = ".trash"
RESERVED = frozenset({"tags", "datasets", "traces", "models"})
"""Folders of an experiment that are no runs."""
MOST_LINES_NAMED = 3
_RUN_STATUS: dict[str, TrialStatus] = {
    str(number): STATUS[word]
    for number, word in enumerate(("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"), start=1)
}


class FolderStore(FolderReader):
    """See :class:`.held.Store`. Ids are the names of folders; what ``meta.yaml`` says of them is not needed."""

    words = "a folder of MLflow"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.remarks: list[str] = []
        self._places = [
            place for parent in (root, root / TRASH) for place in self.folders(parent) if place.name != TRASH
        ]
        self._places = [place for place in self._places if place != root / "models"]
        self._folders_of_runs: dict[str, Path] = {}

    @staticmethod
    def recognizes(folder: Path) -> bool:
        """Whether a folder is such a store."""
        try:
            return any((place / META).is_file() for parent in (folder, folder / TRASH, folder / "models")
                       for place in listed(parent))  # fmt: skip
        except OSError:
            return False

    def close(self) -> None:
        """Nothing is held."""

    def experiments(self) -> list[Experiment]:
        """Every experiment, those in the trash among them."""
        return [found for place in self._places if (found := self.said_of(place, self._experiment)) is not None]

    def _experiment(self, place: Path) -> Experiment:
        said = self.meta(place, "name")
        removed = place.parent.name == TRASH or text_of(said, "lifecycle_stage") == "deleted"
        traces = sum(1 for _ in self.folders(place / "traces"))
        if traces:
            self.losses.append(Loss(f"experiment {place.name}", f"traces are not imported: {traces:,}"))
        return Experiment(
            id=place.name,
            name=text_of(said, "name") or place.name,
            artifact_uri=text_of(said, "artifact_location"),
            created_ms=self.moment(said, "creation_time", place),
            changed_ms=self.moment(said, "last_update_time", place),
            removed=removed,
            tags=self.texts(place / "tags"),
        )

    # Runs --------------------------------------------------------------------------------------------------

    def run_count(self) -> int:
        """Folders that are likely to be runs."""
        return sum(1 for place in self._places for _ in self._run_places(place))

    def _run_places(self, experiment: Path) -> Iterator[Path]:
        return (place for place in self.folders(experiment) if place.name not in RESERVED)

    def runs(self) -> Iterator[tuple[Run, list[Curve]]]:
        """Every run with its numbers, experiment by experiment."""
        for experiment in self._places:
            if not (experiment / META).is_file():
                continue  # said when the experiments were read
            measured = self._measured_of_models(experiment)
            for place in self._run_places(experiment):
                run = self.said_of(place, self._run)
                if run is not None:
                    self._folders_of_runs[run.id] = place
                    yield run, self._curves(place, measured.get(run.id, {}))

    def _run(self, place: Path) -> Run:
        said = self.meta(place, "user_id")
        number = text_of(said, "status") or "1"
        status = _RUN_STATUS.get(number) or STATUS.get(number)
        if status is None:
            raise InvalidInput(f"Its status is {number[:40]!r}.")
        tags = self.texts(place / "tags")
        inputs, models_read = self._inputs(place)
        return Run(
            id=place.name,
            experiment=place.parent.name,
            name=text_of(said, "run_name") or tags.get("mlflow.runName") or "",
            user=text_of(said, "user_id") or "",
            status=status,
            started_ms=self.moment(said, "start_time", place),
            ended_ms=self.moment(said, "end_time", place),
            removed=text_of(said, "lifecycle_stage") == "deleted",
            removed_ms=self.moment(said, "deleted_time", place),
            artifact_uri=text_of(said, "artifact_uri"),
            params=self.texts(place / "params"),
            tags=tags,
            inputs=inputs,
            models_read=models_read,
            outputs=self._outputs(place),
        )

    def _inputs(self, place: Path) -> tuple[list[Dataset], list[str]]:
        tables, models = [], []
        for inner in self.folders(place / "inputs"):
            said = self.said_of(inner, self._link)
            if said is None:
                continue
            source, tags = text_of(said, "source_id") or "", said.get("tags")
            if text_of(said, "source_type") == "MODEL":
                models.append(source)
                continue
            table = self.said_of(place.parent / "datasets" / Path(source).name, self._table)
            if table is not None:
                found = {key: str(value or "") for key, value in tags.items()} if isinstance(tags, dict) else {}
                tables.append(msgspec.structs.replace(table, tags=found))
        return tables, models

    def _link(self, place: Path) -> dict[str, Value]:
        return self.meta(place, "tags")

    def _table(self, place: Path) -> Dataset:
        said = self.meta(place, "source_type")
        return Dataset(
            name=text_of(said, "name") or "",
            digest=text_of(said, "digest") or "",
            source_type=text_of(said, "source_type") or "",
            source=text_of(said, "source") or "",
            schema=text_of(said, "schema"),
            profile=text_of(said, "profile"),
        )

    def _outputs(self, place: Path) -> list[Output]:
        found = []
        for inner in self.folders(place / "outputs"):
            said = self.said_of(inner, self._link)
            if said is not None:
                found.append(Output(model=inner.name, step=self.whole(said, "step", inner) or 0))
        return found

    def _curves(self, place: Path, of_models: dict[str, dict[str, list[MeasuredPoint]]]) -> list[Curve]:
        """The numbers of a run; ``of_models``: those of kept models, by metric and model."""
        found: list[Curve] = []
        files = dict(self.files(place / "metrics"))
        for key in [*files, *(key for key in of_models if key not in files)]:
            text = self.read(files[key]) if key in files else ""
            if not text and key not in of_models:
                self.losses.append(Loss(self.where(files[key]), "it is empty"))
                continue
            curve = None if key in of_models else plain_curve(key, text)
            if curve is None:
                lines = self._numbers(files.get(key), text, of_model=False)
                found += joined(key, lines, of_models.get(key, {}))
            else:
                found.append(curve)
        return found

    def _measured_of_models(self, experiment: Path) -> dict[str, dict[str, dict[str, list[MeasuredPoint]]]]:
        """Numbers of the kept models of an experiment, by run, metric and model."""
        found: dict[str, dict[str, dict[str, list[MeasuredPoint]]]] = {}
        for model in self.folders(experiment / "models"):
            for key, file in self.files(model / "metrics"):
                for point in self._numbers(file, self.read(file), of_model=True):
                    found.setdefault(point.run or "", {}).setdefault(key, {}).setdefault(model.name, []).append(point)
        return found

    def _numbers(self, file: Path | None, text: str, *, of_model: bool) -> list[MeasuredPoint]:
        lines: NumberLines = read_lines(text, of_model=of_model)
        if lines.odd and file is not None:
            some = ", ".join(map(str, lines.odd[:MOST_LINES_NAMED])) + (
                " …" if len(lines.odd) > MOST_LINES_NAMED else ""
            )
            self.losses.append(Loss(self.where(file), f"malformed lines: {len(lines.odd):,} ({some})"))
        return lines.points

    # Models ------------------------------------------------------------------------------------------------

    def kept_models(self) -> list[KeptModel]:
        """Every kept model, removed ones among them."""
        places = [place for experiment in self._places for place in self.folders(experiment / "models")]
        return [found for place in places if (found := self.said_of(place, self._kept)) is not None]

    def _kept(self, place: Path) -> KeptModel:
        said = self.meta(place, "source_run_id")
        status = text_of(said, "status") or "0"
        return KeptModel(
            id=place.name,
            experiment=place.parent.parent.name,
            name=text_of(said, "name") or place.name,
            status=MODEL_STATUS[int(status)] if status in "0123" else status,
            model_type=text_of(said, "model_type"),
            run=text_of(said, "source_run_id"),
            artifact_uri=text_of(said, "artifact_location"),
            created_ms=self.moment(said, "creation_timestamp", place),
            changed_ms=self.moment(said, "last_updated_timestamp", place),
            removed=text_of(said, "lifecycle_stage") == "deleted",
            params=self.texts(place / "params"),
            tags=self.texts(place / "tags"),
        )

    def registered(self) -> list[Registered]:
        """Every registered model with its versions."""
        places = self.folders(self.root / "models")
        return [found for place in places if (found := self.said_of(place, self._one_registered)) is not None]

    def _one_registered(self, place: Path) -> Registered:
        said = self.meta(place, "name")
        aliases: dict[str, int] = {}
        for name, number in self.texts(place / "aliases").items():
            if number.strip().isdecimal() and len(number.strip()) < 16:
                aliases[name] = int(number)
            else:
                self.losses.append(Loss(self.where(place / "aliases" / name), "it names no version"))
        versions = [
            found
            for inner in self.folders(place)
            if inner.name.startswith("version-") and (found := self.said_of(inner, self._version)) is not None
        ]
        return Registered(
            name=place.name,
            description=text_of(said, "description"),
            created_ms=self.moment(said, "creation_timestamp", place),
            changed_ms=self.moment(said, "last_updated_timestamp", place),
            tags=self.texts(place / "tags"),
            aliases=aliases,
            versions=sorted(versions, key=lambda version: version.number),
        )

    def _version(self, place: Path) -> HeldVersion:
        number = place.name.removeprefix("version-")
        if not number.isdecimal() or not number.isascii() or len(number) > 15:
            raise InvalidInput("Its folder's name is no number of a version.")
        said = self.meta(place, "version")
        return HeldVersion(
            number=int(number),
            source=text_of(said, "source") or "",
            run=text_of(said, "run_id"),
            model=text_of(said, "model_id"),
            run_link=text_of(said, "run_link"),
            user=text_of(said, "user_id"),
            description=text_of(said, "description"),
            status=text_of(said, "status"),
            stage=text_of(said, "current_stage"),
            created_ms=self.moment(said, "creation_timestamp", place),
            changed_ms=self.moment(said, "last_updated_timestamp", place),
            tags=self.texts(place / "tags"),
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
