"""Standard output and error that never undo what a command has done.

A terminal or log file may know fewer letters than we print, a pipe may have lost its reader, a disk may be full, and
standard output may be closed altogether. None of that changes what is recorded, so it must not change the exit code.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from typing_extensions import Buffer


class NobodyReads(Exception):
    """The reader of an answer has left; click would take the error of the pipe for a failure of its own."""


class _Lasting(io.RawIOBase):
    """A file that drops what cannot be written once its reader is gone or its disk is full."""

    def __init__(self, raw: io.RawIOBase, owner: TextIO) -> None:
        self._raw = raw
        self._owner = owner  # a stream that nobody holds any more closes its file
        self.stops = False
        """Whether a command is to end as soon as nobody reads its output."""
        self.error: OSError | None = None

    def write(self, data: Buffer) -> int:
        size = memoryview(data).nbytes
        if self.error is None:
            try:
                return self._raw.write(data) or 0
            except OSError as error:
                self.error = error
        if self.stops and isinstance(self.error, BrokenPipeError):
            raise NobodyReads from self.error
        return size

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._raw.isatty()

    def fileno(self) -> int:
        return self._raw.fileno()


def protect() -> None:
    """Make printing safe for the rest of this process; call it before anything is printed."""
    for name in ("stdout", "stderr"):
        stream: TextIO | None = getattr(sys, name)
        if stream is None:
            # Closed by whoever started us. The number of its descriptor must not fall to a file of the ledger.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif isinstance(stream, io.TextIOWrapper) and isinstance(raw := _file_under(stream), io.FileIO):
            stream.flush()
            made = io.TextIOWrapper(
                io.BufferedWriter(_Lasting(raw, stream)),
                encoding=stream.encoding,
                errors="replace" if name == "stdout" else "backslashreplace",
                line_buffering=stream.line_buffering or stream.write_through or stream.isatty(),
            )
            setattr(sys, name, made)


def _file_under(stream: io.TextIOWrapper) -> object:
    """The file that a stream writes to; without a buffer between them where PYTHONUNBUFFERED is set."""
    return getattr(stream.buffer, "raw", stream.buffer)


def end_when_unread() -> None:
    """Let a command that only answers end when nobody reads its answer any more."""
    raw = _lasting(sys.stdout)
    if raw is not None:
        raw.stops = True


def flush() -> OSError | None:
    """Write out what was printed; the error where some of it was lost to anything but a reader who left."""
    for stream in (sys.stdout, sys.stderr):
        raw = _lasting(stream)
        if raw is not None:
            raw.stops = False
        stream.flush()
    raw = _lasting(sys.stdout)
    error = raw.error if raw is not None else None
    return None if isinstance(error, BrokenPipeError) else error


def _lasting(stream: TextIO) -> _Lasting | None:
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw if isinstance(raw, _Lasting) else None
