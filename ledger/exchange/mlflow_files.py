"""MLflow's artifact repository over the ledger: every file is kept under its hash, and who keeps it is an event."""

from __future__ import annotations

import posixpath
from pathlib import Path
from urllib.parse import quote

from mlflow.entities import FileInfo
from mlflow.protos import databricks_pb2 as codes
from mlflow.store.artifact.artifact_repo import ArtifactRepository

from tallystick.ledger.events.types import ArtifactStored, FileFiled
from tallystick.ledger.exchange.location import Location, Place, place_of
from tallystick.ledger.exchange.mlflow_errors import fail, in_mlflows_words
from tallystick.ledger.exchange.session import shared
from tallystick.ledger.views.entities import FiledState


@in_mlflows_words
class TallyFilesRepository(ArtifactRepository):
    """See :class:`mlflow.store.artifact.artifact_repo.ArtifactRepository`.

    The address of a whole ledger's files is that of a server which hands them on: below it, the place of a file is in
    its path.
    """

    def __init__(self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        super().__init__(artifact_uri, tracking_uri, registry_uri)
        place = place_of(artifact_uri)
        self._base = artifact_uri.partition("?")[0]
        self._session = shared(Location(place.folder, place.as_of, each=False))

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Keep one file."""
        file = Path(local_file)
        self._keep([(posixpath.join(artifact_path or "", file.name), file)])

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Keep every file of a folder."""
        root = Path(local_dir)
        found = sorted(file for file in root.rglob("*") if file.is_file())
        self._keep([(posixpath.join(artifact_path or "", file.relative_to(root).as_posix()), file) for file in found])

    def _keep(self, files: list[tuple[str, Path]]) -> None:
        bodies: list[ArtifactStored | FileFiled] = []
        for path, file in files:
            place = self._place(path)
            data = file.read_bytes()
            digest = self._session.store(data)
            bodies.append(
                ArtifactStored(
                    artifact=digest,
                    size_bytes=len(data),
                    media_type="application/octet-stream",
                    role="trial",
                    run=None,
                )
            )
            bodies.append(self._filed(place, digest, len(data)))
        for start in range(0, len(bodies), 1_000):
            self._session.write(*bodies[start : start + 1_000])

    def _filed(self, place: Place, digest: str | None, size: int | None, *, removed: bool = False) -> FileFiled:
        trial = None if place.trial_id is None else self._session.trial_name(place.trial_id)
        if trial is None and place.logged is None:
            fail(f"{place.path} lies in the folder of no run and no model.")
        return FileFiled(
            path=place.path,
            artifact=digest,
            size_bytes=size,
            trial=trial,
            logged=place.logged,
            removed=removed,
        )

    def _place(self, path: str) -> Place:
        return place_of(posixpath.join(self._base, quote(path)) if path else self._base)

    def _files(self, path: str) -> tuple[list[FiledState], str]:
        """The files of whoever owns a place, and the path within."""
        place = self._place(path)
        if place.trial_id is None and place.logged is None:
            return [], place.path
        owner = f"logged:{place.logged}" if place.logged else f"trial:{self._session.trial_name(place.trial_id or '')}"
        found = self._session.ask(lambda now: now.filed(owner))
        return [file for file in found if file.artifact is not None], place.path

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        """Files and folders directly in a folder."""
        files, inner = self._files(path or "")
        before = f"{inner.rstrip('/')}/" if inner else ""
        found: dict[str, FileInfo] = {}
        for file in files:
            if file.path.startswith(before):
                first, slash, _ = file.path[len(before) :].partition("/")
                shown = posixpath.join(path or "", first)
                found[first] = FileInfo(shown, is_dir=bool(slash), file_size=None if slash else file.size_bytes)
        return sorted(found.values(), key=lambda info: str(info.path))

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        files, inner = self._files(remote_file_path)
        file = next((file for file in files if file.path == inner), None)
        if file is None or file.artifact is None:
            fail(f"There is no file {remote_file_path}.", codes.RESOURCE_DOES_NOT_EXIST)
        artifact = file.artifact
        data = self._session.do(lambda book: book.objects.get(artifact))
        Path(local_path).parent.mkdir(parents=True, exist_ok=True)
        Path(local_path).write_bytes(data)

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Say that files are gone; their content stays until it is erased."""
        files, inner = self._files(artifact_path or "")
        gone = [file for file in files if not inner or file.path == inner or file.path.startswith(f"{inner}/")]
        place = self._place(artifact_path or "")
        for file in gone:
            self._session.write(
                self._filed(place._replace(path=file.path), file.artifact, file.size_bytes, removed=True)
            )
