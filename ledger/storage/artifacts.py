"""Artifacts: files kept beside the ledger under the BLAKE3 hash of their content.

``b3sum FILE`` gives the same hash, so anybody can check a file without this program. An artifact is on disk,
whole and synced, before an event names it; a crash in between leaves an unnamed file, never a dangling name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from blake3 import blake3

from tallystick.ledger.errors import Damaged, InvalidInput, NotFound
from tallystick.ledger.system.files import regular_file, sync_names, write_pieces, write_whole

LARGE_BYTES = 64 << 20
_HASH = re.compile("[0-9a-f]{64}")


class Artifact(NamedTuple):
    """Name and size of a stored file."""

    hash: str
    """BLAKE3, 64 hexadecimal digits."""
    size_bytes: int


class Objects:
    """The folder of artifacts of one ledger: ``objects/ab/cdef…``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._folder = os.fspath(folder)

    def path(self, artifact: str) -> Path:
        """Where an artifact lies, whether or not it is there.

        Raises
        ------
        InvalidInput
            For anything but 64 hexadecimal digits, so that no name can lead out of the folder.
        """
        return Path(self._place(artifact))

    def _place(self, artifact: str) -> str:
        # A plain text, because verification asks for the place of every artifact of a ledger: making a path of parts
        # takes longer than the question to the file system.
        if _HASH.fullmatch(artifact) is None:
            raise InvalidInput(f"{artifact!r} is not the hash of an artifact.")
        return f"{self._folder}/{artifact[:2]}/{artifact[2:]}"

    def size_bytes(self, artifact: str) -> int:
        """How large the file of an artifact is.

        Raises
        ------
        NotFound, InvalidInput
        """
        try:
            return os.stat(self._place(artifact)).st_size  # noqa: PTH116
        except FileNotFoundError:
            raise _not_here(artifact) from None
        except OSError as error:
            raise InvalidInput(f"Artifact {artifact[:12]}… cannot be read: {error.strerror}.") from error

    def put(self, data: bytes) -> Artifact:
        """Store bytes once; durable on return."""
        artifact = Artifact(blake3(data).hexdigest(), len(data))
        path = self.path(artifact.hash)
        # Trust what lies there only after reading it: a damaged old copy is replaced by the good new one.
        try:
            with regular_file(path, follow=True) as file:
                if os.fstat(file.fileno()).st_size == len(data) and file.read() == data:
                    # Whoever stored it may have been killed before the name was durable, or copied it unsynced.
                    os.fsync(file.fileno())
                    sync_names(path)
                    return artifact
        except OSError:
            pass  # missing, no file at all, or not to be synced: it is replaced as well
        try:
            write_whole(path, data, mode=0o444)
        except OSError as error:
            raise InvalidInput(
                f"The artifact could not be stored in {self.folder}: {error.strerror}.",
                "Check free space and rights of the ledger's folder, then try again.",
            ) from error
        return artifact

    def put_file(self, source: Path) -> Artifact:
        """Store the content of a file once, however large it is; durable on return. A link is not followed.

        Raises
        ------
        InvalidInput
            When it cannot be read, changes meanwhile, or cannot be stored.
        """
        try:
            with regular_file(source, follow=False) as file:
                artifact = Artifact(_hash_of(file), file.tell())
                path = self.path(artifact.hash)
                if not _is_kept(path, artifact):
                    file.seek(0)
                    write_pieces(path, _pieces_of(file, artifact.hash), mode=0o444)
                sync_names(path)
        except OSError as error:
            raise InvalidInput(f"{source} could not be stored in {self.folder}: {error.strerror or error}.") from error
        return artifact

    def take(self, other: Objects, artifact: str) -> bool:
        """Copy a file from another folder, hashed while it is copied; False where it is here already.

        Raises
        ------
        Damaged
            When it holds other bytes than its name says.
        InvalidInput
            When it cannot be read there, or not be written here.
        """
        path = self.path(artifact)
        hasher = blake3()
        try:
            with regular_file(other.path(artifact), follow=False) as file:
                size_bytes = os.fstat(file.fileno()).st_size
                if path.is_file() and path.stat().st_size == size_bytes:
                    sync_names(path)
                    return False

                def pieces() -> Iterator[bytes]:
                    while piece := file.read(1 << 20):
                        hasher.update(piece)
                        yield piece
                    if hasher.hexdigest() != artifact:
                        raise Damaged(
                            f"Artifact {artifact[:12]}… of {other.folder} holds other bytes than its name says. "
                            "It was not copied.",
                            "Restore it there from a backup, then give the same command again.",
                        )

                write_pieces(path, pieces(), mode=0o444)
        except OSError as error:
            raise InvalidInput(
                f"Artifact {artifact[:12]}… could not be copied from {other.folder} to {self.folder}: "
                f"{error.strerror or error}.",
                "Check free space and rights, then give the same command again.",
            ) from error
        return True

    def get(self, artifact: str) -> bytes:
        """The content of an artifact, checked against its hash before it is returned.

        Raises
        ------
        NotFound, Damaged
        """
        path = self.path(artifact)
        try:
            with regular_file(path, follow=True) as file:
                # One that is too large to be kept in memory is most often not the one that was stored.
                if os.fstat(file.fileno()).st_size > LARGE_BYTES and not _is_named(file, artifact):
                    raise _changed(artifact)
                file.seek(0)
                data = file.read()
        except FileNotFoundError:
            raise _not_here(artifact) from None
        except OSError as error:
            raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error
        if blake3(data).hexdigest() != artifact:
            raise _changed(artifact)
        return data


def _hash_of(file: BinaryIO) -> str:
    hasher = blake3()
    while piece := file.read(1 << 20):
        hasher.update(piece)
    return hasher.hexdigest()


def _is_kept(path: Path, artifact: Artifact) -> bool:
    """Whether the content of an artifact is there already, undamaged."""
    try:
        with regular_file(path, follow=True) as file:
            kept = os.fstat(file.fileno()).st_size == artifact.size_bytes and _hash_of(file) == artifact.hash
            if kept:
                # Whoever stored it may have been killed before it was durable.
                os.fsync(file.fileno())
            return kept
    except OSError:
        return False


def _pieces_of(file: BinaryIO, name: str) -> Iterator[bytes]:
    hasher = blake3()
    while piece := file.read(1 << 20):
        hasher.update(piece)
        yield piece
    if hasher.hexdigest() != name:
        raise InvalidInput("A file changed while it was stored.", "Try again when nobody writes it.")


def _is_named(file: BinaryIO, artifact: str) -> bool:
    """Whether a file is the one that its name says; reads it in pieces."""
    hasher = blake3()
    while piece := file.read(1 << 20):
        hasher.update(piece)
    return hasher.hexdigest() == artifact


def _not_here(artifact: str) -> NotFound:
    return NotFound(f"Artifact {artifact[:12]}… is not here.", "Copy it from a backup of the ledger's folder.")


def _changed(artifact: str) -> Damaged:
    return Damaged(
        f"Artifact {artifact[:12]}… holds other bytes than its name says; it was not used.",
        "Restore it from a backup; `tally verify` lists everything that is affected.",
    )
