"""Reading the files of a folder of MLflow: what cannot be read is named as a loss."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.exchange.from_mlflow.held import LARGEST_EXACT, Loss, Tags
from tallystick.ledger.exchange.from_mlflow.yaml_text import Value, read_mapping
from tallystick.ledger.system.files import read_foreign

META = "meta.yaml"
MOST_FILE_BYTES = 256 << 20
T = TypeVar("T")


class FolderReader:
    """Reads below one folder; links are not followed.

    Attributes
    ----------
    losses : list of Loss
        What could not be read.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.losses: list[Loss] = []

    def said_of(self, place: Path, read: Callable[[Path], T]) -> T | None:
        """What a folder says; None, and a loss with its name, where it cannot be read."""
        try:
            return read(place)
        except InvalidInput as error:
            self.losses.append(Loss(self.where(place), error.message))
            return None

    def meta(self, place: Path, needed: str) -> dict[str, Value]:
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

    def read(self, file: Path) -> str:
        try:
            return read_foreign(file, MOST_FILE_BYTES).decode()
        except UnicodeDecodeError:
            self.losses.append(Loss(self.where(file), "it is not UTF-8"))
        except InvalidInput as error:
            self.losses.append(Loss(self.where(file), error.message))
        return ""

    def texts(self, folder: Path) -> Tags:
        """The content of each file below a folder, by its path."""
        return {name: self.read(file) for name, file in self.files(folder)}

    def files(self, folder: Path) -> Iterator[tuple[str, Path]]:
        """Files below a folder by their paths, which are names with strokes in them; links are not followed."""
        for parent, folders, files in os.walk(folder):
            folders.sort()
            for name in sorted(files):
                file = Path(parent, name)
                path = file.relative_to(folder).as_posix()
                if file.is_symlink() or not path.isprintable():
                    self.losses.append(Loss(self.where(file), "it is a link, or has no readable name"))
                else:
                    yield path, file

    def folders(self, parent: Path) -> list[Path]:
        try:
            return [place for place in listed(parent) if place.is_dir() and not place.is_symlink()]
        except OSError as error:
            self.losses.append(Loss(self.where(parent), str(error.strerror)))
            return []

    def where(self, place: Path) -> str:
        return place.relative_to(self.root).as_posix()

    def moment(self, said: dict[str, Value], field: str, place: Path) -> int | None:
        found = self.whole(said, field, place)
        return None if found is None or found < 0 else found

    def whole(self, said: dict[str, Value], field: str, place: Path) -> int | None:
        text = text_of(said, field)
        if text is None:
            return None
        digits = text.removeprefix("-")
        if not digits.isdecimal() or not digits.isascii() or len(digits) > 16 or int(digits) > LARGEST_EXACT:
            self.losses.append(Loss(self.where(place), f"{field} is {text[:40]!r}"))
            return None
        return int(text)


def text_of(said: dict[str, Value], field: str) -> str | None:
    value = said.get(field)
    return value if isinstance(value, str) else None


def listed(parent: Path) -> list[Path]:
    return sorted(parent.iterdir()) if parent.is_dir() else []
