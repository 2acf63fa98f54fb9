"""Files that are whole or not there: what a crash in the middle of writing must not leave behind is half a file."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ledger.errors import InvalidInput


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
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


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
