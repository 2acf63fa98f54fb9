"""Files that are whole or not there: what a crash in the middle of writing must not leave behind is half a file."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tallystick.ledger.errors import InvalidInput

MOUNTS = Path("/proc/self/mountinfo")
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "ceph", "lustre", "gpfs", "beegfs", "orangefs", "pvfs2",
     "glusterfs", "gfs2", "ocfs2", "davfs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.cephfs", "fuse.davfs",
     "fuse.curlftpfs", "fuse.s3fs", "fuse.goofys", "fuse.gcsfuse", "fuse.rclone", "fuse.juicefs", "fuse.mount-s3",
     "fuse.smbnetfs", "fuse.moosefs", "fuse.seaweedfs", "fuse.alluxio-fuse", "fuse.blobfuse", "fuse.blobfuse2",
     "fuse.dbxfs", "fuse.google-drive-ocamlfuse"}
)  # fmt: skip
"""Types, as Linux names them, that several machines may mount at once. File systems that a virtual machine shares
with its host (9p, virtiofs) are not among them: one kernel serves all who use the ledger there."""


def network_file_system(path: Path) -> str | None:
    """The type of the network file system that holds ``path``; None on a local one, and where it cannot be told.

    Only Linux says it in a file that anybody can read; elsewhere nothing is told.
    """
    try:
        whole = path.absolute()
        while not whole.exists():  # what is not there yet will be where the nearest folder above it is
            whole = whole.parent
        whole = whole.resolve()
        device = whole.stat().st_dev
    except OSError:
        return None
    # Read once for each place, unless something else is mounted there: with many mounts it takes longer than an append.
    place = (MOUNTS, whole, device)
    if (kind := _types.get(place)) is None:
        kind = _types[place] = _type_at(whole)
    return kind if kind in NETWORK_FILE_SYSTEMS else None


_types: dict[tuple[Path, Path, int], str] = {}
"""The type of a file system by where that was read, the path, and the device that it was on."""


def _type_at(whole: Path) -> str:
    """The type of the file system that holds a path; empty where it cannot be told."""
    try:
        lines = MOUNTS.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ""
    longest, found = -1, ""
    for line in lines:
        # proc(5): fields up to ` - `, of which the fifth is the mount point; then the type. Later mounts hide earlier.
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5:
            continue
        point = _unescaped(fields[4])
        if len(point) >= longest and whole.is_relative_to(point):
            longest, found = len(point), after.split(" ")[0]
    return found


def _unescaped(text: str) -> str:
    """Space, tab, newline and backslash stand as octal numbers there."""
    for number, character in (("040", " "), ("011", "\t"), ("012", "\n"), ("134", "\\")):
        text = text.replace(f"\\{number}", character)
    return text


def write_whole(path: Path, data: bytes, mode: int = 0o644, durable: bool = True) -> None:
    """Write to a temporary name beside ``path``, sync, rename, sync the folder; makes missing folders.

    Parameters
    ----------
    durable : bool
        False leaves out both syncs, for files that can be made again.

    Raises
    ------
    OSError
    """
    write_pieces(path, (data,), mode, durable)


def write_pieces(path: Path, pieces: Iterable[bytes], mode: int = 0o644, durable: bool = True) -> None:
    """The same for what is too large to be held at once; whatever the pieces raise, nothing stays behind."""
    missing = [] if path.parent.exists() else [folder for folder in path.parents if not folder.exists()]
    _durable_folders.difference_update(missing)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_names(path, len(missing))


FOLDERS_UP = 3
"""How many folders above a file this program makes itself, as in ``.tally/objects/ab``."""
_durable_folders: set[Path] = set()
"""Folders whose own names this process has synced, so that it does so once for each."""


def sync_names(path: Path, folders_made: int = 0) -> None:
    """Make the name of a file durable, and the names of the folders that hold it: those just made, and a few more.

    A file that is there may have been renamed, and its folder made, by a process that was killed before it synced
    them. A power cut would then take away what everybody could read before, so a name is never trusted unsynced.
    """
    sync_folder(path.parent)
    for folder in list(path.parents)[: max(FOLDERS_UP, folders_made)]:
        if folder in _durable_folders or folder.parent == folder:
            continue
        try:
            sync_folder(folder.parent)
        except PermissionError:
            return  # a folder that this account may not read is none that it made
        _durable_folders.add(folder)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable; a rename alone may be forgotten by a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def regular_file(path: Path, follow: bool) -> Iterator[BinaryIO]:
    """Open a file for reading, and nothing that is none: a named pipe or a device would be read for ever.

    Raises
    ------
    OSError
        When it is missing, cannot be opened, or is anything else than a regular file.
    """
    # Not blocking, so that a named pipe in a foreign folder cannot hold the program for ever.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    with os.fdopen(os.open(path, flags), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "It is not a regular file")
        yield file


def read_foreign(path: Path, most_bytes: int) -> bytes:
    """The bytes of a file that somebody else prepared: a regular file, no link, no larger than expected.

    Raises
    ------
    InvalidInput
        When it is missing, anything else than a regular file, or larger than ``most_bytes``.
    """
    try:
        with regular_file(path, follow=False) as file:
            # Reading sets memory aside for all that is asked for, and the limit may be a stranger's number.
            data = file.read(min(most_bytes, os.fstat(file.fileno()).st_size) + 1)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error
    if len(data) > most_bytes:
        raise InvalidInput(f"{path} is larger than {most_bytes:,} bytes and was not read.")
    return data
