"""Where the files of runs and kept models lie, and which events keep them or say where they are.

A store names its files by absolute addresses, which are wrong after it was moved. They are looked for below the store's
own folder, and below folders that were named for it: an address in a store of somebody else's making must not decide
which files of this machine are copied.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.types import ArtifactStored, FileFiled
from tallystick.ledger.exchange.from_mlflow.changes import draft
from tallystick.ledger.exchange.from_mlflow.held import KeptModel, Loss, Run, Store
from tallystick.ledger.exchange.from_mlflow.known import KnownBefore
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.storage.artifacts import Artifact

Keeping = Literal["copy", "reference", "none"]
LEAST_TAIL = 2
"""So many last steps of an address have to be found again below the store: ``RUN/artifacts``."""


class Owner(NamedTuple):
    """A run or a kept model, as far as its files are concerned."""

    trial: str | None
    model: str | None
    uri: str | None
    from_ms: int | None
    to_ms: int | None
    own_folder: Path | None
    expected: tuple[str, ...]
    """Paths of files that have to be there."""

    @property
    def entity(self) -> str:
        """Its name with its kind."""
        return f"trial:{self.trial}" if self.model is None else f"logged:{self.model}"


class Files:
    """Finds files, and makes the events about them.

    Attributes
    ----------
    count, size_bytes : int
        Files that are kept, or referred to, by the events that were made.
    absent : list of str
        Whose files should be there and are not.
    outside : set of Path
        Folders that hold files and were not named as ones to be read.
    """

    def __init__(
        self, ledger: Ledger, known: KnownBefore, store: Store, keeping: Keeping, extra: tuple[Path, ...]
    ) -> None:
        self._ledger, self._known, self._keeping, self._losses = ledger, known, keeping, store.losses
        self._roots = [root.resolve() for root in (store.root, *extra)]
        self._stored: set[str] = set()
        self.count = 0
        self.size_bytes = 0
        self.absent: list[str] = []
        self.remote: list[str] = []
        self.outside: set[Path] = set()

    def of_run(self, store: Store, run: Run) -> Owner:
        """What is to be known of the files of a run."""
        return Owner(run.id, None, run.artifact_uri, run.started_ms, run.ended_ms, store.run_folder(run), ())

    def of_model(self, store: Store, model: KeptModel) -> Owner:
        """What is to be known of the files of a kept model."""
        expected = ("MLmodel",) if model.status == "READY" and not model.removed else ()
        moments = (model.created_ms, model.changed_ms)
        return Owner(None, model.id, model.artifact_uri, *moments, store.model_folder(model), expected)

    def is_kept(self, owner: Owner) -> bool:
        """Whether the files of an owner come into the ledger, so that their old address means nothing any more."""
        return self._keeping == "copy" and self.folder(owner) is not None

    def folder(self, owner: Owner) -> Path | None:
        """The folder of an owner's files; None where there is none that may be read."""
        if owner.own_folder is not None and owner.own_folder.is_dir():
            return owner.own_folder
        steps = local_steps(owner.uri)
        if steps is None:
            return None
        whole = Path(*steps).resolve() if owner.uri and not owner.uri.startswith("mlflow-artifacts:") else None
        if whole is not None and whole.is_dir():
            if any(whole.is_relative_to(root) for root in self._roots):
                return whole
            self.outside.add(whole.parent)
        for root in self._roots:
            for start in range(1, len(steps) - LEAST_TAIL + 1):
                for base in (root, root / "mlartifacts", root / "mlruns"):
                    place = base.joinpath(*steps[start:])
                    if place.is_dir() and place.resolve().is_relative_to(root):
                        return place
        return None

    def changes(self, owner: Owner, *, dry_run: bool) -> Iterator[Draft]:
        """Events about the files of an owner that the ledger does not have."""
        if self._keeping == "none":
            return
        there = {state.path: state for state in self._known.now.filed(owner.entity)}
        folder = self.folder(owner)
        if folder is None:
            yield from self._absent(owner, set(there))
            return
        found: set[str] = set()
        for path, file, size, changed_ms in self._walk(folder):
            found.add(path)
            at = self._moment(owner, changed_ms)
            before = there.get(path)
            if self._keeping == "reference" or dry_run:
                uri = None if self._keeping == "copy" else file.as_uri()
                if before is None or before.size_bytes != size or (before.artifact is None and before.uri != uri):
                    self._counted(size)
                    yield self._filed(owner, path, None, size, at, uri)
                continue
            try:
                kept = self._ledger.objects.put_file(file)
            except InvalidInput as error:
                self._losses.append(Loss(f"{owner.entity}: {path}", error.message))
                continue
            if before is not None and before.artifact == kept.hash:
                continue
            self._counted(kept.size_bytes)
            if kept.hash not in self._stored and self._ledger.log.last_seq_of(f"artifact:{kept.hash}") is None:
                self._stored.add(kept.hash)
                yield draft(_stored(kept), at)
            yield self._filed(owner, path, kept.hash, kept.size_bytes, at, None)
        yield from self._absent(owner, found | set(there))

    def _absent(self, owner: Owner, there: set[str]) -> Iterator[Draft]:
        if owner.uri is not None and local_steps(owner.uri) is None:
            self.remote.append(owner.entity)
            return
        missing = [path for path in owner.expected if path not in there]
        if missing:
            self.absent.append(owner.entity)
        for path in missing:
            yield self._filed(owner, path, None, None, owner.from_ms, owner.uri)

    def _counted(self, size: int) -> None:
        self.count += 1
        self.size_bytes += size

    @staticmethod
    def _filed(
        owner: Owner, path: str, artifact: str | None, size: int | None, at: int | None, uri: str | None
    ) -> Draft:
        filed = FileFiled(path=path, artifact=artifact, size_bytes=size, trial=owner.trial, logged=owner.model, uri=uri)
        return draft(filed, at)

    @staticmethod
    def _moment(owner: Owner, changed_ms: int) -> int | None:
        """When a file was written, if that was while its owner was at work: a copy of a store has the copy's times."""
        if owner.from_ms is not None and owner.to_ms is not None and owner.from_ms <= changed_ms <= owner.to_ms:
            return changed_ms
        return owner.to_ms if owner.to_ms is not None else owner.from_ms

    def _walk(self, folder: Path) -> Iterator[tuple[str, Path, int, int]]:
        for parent, folders, files in os.walk(folder):
            folders.sort()
            for name in sorted(files):
                file = Path(parent, name)
                path = file.relative_to(folder).as_posix()
                try:
                    path.encode()
                    status = file.lstat()
                except (UnicodeEncodeError, OSError):
                    self._losses.append(Loss(str(folder), f"a file that cannot be read: {path!r}"))
                    continue
                if file.is_symlink() or not file.is_file():
                    self._losses.append(Loss(str(folder), f"{path} is a link, or no file, and is not followed"))
                else:
                    yield path, file, status.st_size, round(status.st_mtime * 1000)


def _stored(kept: Artifact) -> ArtifactStored:
    return ArtifactStored(
        artifact=kept.hash,
        size_bytes=kept.size_bytes,
        media_type="application/octet-stream",
        role="trial",
        run=None,
    )


def local_steps(uri: str | None) -> list[str] | None:
    """The steps of an address that is, or was, one of files on a machine of the store; None for any other."""
    if not uri:
        return None
    parts = urlsplit(uri)
    if parts.scheme in ("", "file", "mlflow-artifacts"):
        steps = Path(unquote(parts.path)).parts
        return None if ".." in steps or "\0" in parts.path else list(steps)
    return None
