"""The tree as static files: a c2sp.org/tlog-tiles directory that any web server can publish.

It reveals no content: its entries are the 64-byte leaf entries, two hashes of each commit's text. Anybody can
audit it with a tlog client of their own::

    checkpoint                     the newest signed checkpoint
    tile/<L>/<N>[.p/<W>]           256 (or W) hashes of level L
    tile/entries/<N>[.p/<W>]       256 (or W) entries, each after its length in two bytes

Hash i of tile N at level L is the Merkle hash over the ``256 ** L`` leaves from ``(N * 256 + i) * 256 ** L`` on.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tallystick.ledger.errors import Damaged, InvalidInput, Refused
from tallystick.ledger.events.commit import commit_text, leaf_entry
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.system.files import read_foreign, write_whole
from tallystick.ledger.tlog import merkle
from tallystick.ledger.tlog.note import LONGEST_NOTE_CHARACTERS, Checkpoint, parse_receipt

WIDTH = 256


class Exported(NamedTuple):
    """What an export holds, and how many files were new."""

    checkpoint: Checkpoint
    written: int
    kept: int


def tile_path(kind: str, number: int, width: int) -> str:
    """``tile/0/x001/067`` or ``tile/entries/000.p/12``.

    Examples
    --------
    >>> tile_path("0", 1234067, 256)
    'tile/0/x001/x234/067'
    >>> tile_path("entries", 0, 12)
    'tile/entries/000.p/12'
    """
    groups = [f"{number % 1000:03d}"]
    while number := number // 1000:
        groups.append(f"x{number % 1000:03d}")
    partial = "" if width == WIDTH else f".p/{width}"
    return f"tile/{kind}/{'/'.join(reversed(groups))}{partial}"


def export_tiles(ledger: Ledger, folder: Path, progress: Callable[[str, int, int], None] = lambda *_: None) -> Exported:
    """Write the tree up to the newest checkpoint, the checkpoint last, so that a reader never meets half.

    Repeating it adds what is new. Full tiles never change: one that does is another history.

    Raises
    ------
    Refused
        When the folder holds the tiles of another history, or of this one at a later time.
    NotFound
        When nothing is signed and this account cannot sign.
    Damaged
        When the commits do not have the root that was signed; the checkpoint is not written then.
    InvalidInput
        When the folder cannot be written.
    """
    note = ledger.checkpoint()
    checkpoint = parse_receipt(note).checkpoint
    _refuse_others(ledger, folder)
    frontier = merkle.Frontier()
    writer = _Writer(folder)
    hashes: list[list[bytes]] = [[]]
    counts = [0]
    entries: list[bytes] = []

    def add(level: int, value: bytes) -> None:
        if level == len(hashes):
            hashes.append([])
            counts.append(0)
        hashes[level].append(value)
        if len(hashes[level]) == WIDTH:
            full, hashes[level] = hashes[level], []
            writer.write(tile_path(str(level), counts[level], WIDTH), b"".join(full))
            counts[level] += 1
            # A full tile is a perfect subtree; its root is one hash of the level above.
            add(level + 1, merkle.root(full))

    try:
        for commit in ledger.log.commits(0, checkpoint.size):
            entry = leaf_entry(commit_text(commit.head, ledger.log.hashes(commit.first_seq, commit.last_seq)))
            entries.append(len(entry).to_bytes(2, "big") + entry)
            if len(entries) == WIDTH:
                writer.write(tile_path("entries", commit.n // WIDTH, WIDTH), b"".join(entries))
                entries = []
                progress("tiles", commit.n, checkpoint.size)
            leaf = merkle.leaf_hash(entry)
            frontier.append(leaf)
            add(0, leaf)
        for level, partial in enumerate(hashes):
            if partial:
                writer.write(tile_path(str(level), counts[level], len(partial)), b"".join(partial))
        if entries:
            writer.write(tile_path("entries", checkpoint.size // WIDTH, len(entries)), b"".join(entries))
        if frontier.root() != checkpoint.root:
            raise Damaged("The commits do not have the root that was signed.", "`tally verify` says where they differ.")
        write_whole(folder / "checkpoint", note.encode())
    except OSError as error:
        raise InvalidInput(f"The tiles cannot be written to {folder}: {error.strerror}.") from error
    return Exported(checkpoint, writer.written, writer.kept)


def _refuse_others(ledger: Ledger, folder: Path) -> None:
    """Go on only from what is published: partial tiles of two histories may have different names and never meet."""
    path = folder / "checkpoint"
    if path.exists():
        published = parse_receipt(read_foreign(path, LONGEST_NOTE_CHARACTERS).decode(errors="replace")).checkpoint
        if not ledger.continues(published):
            raise _another_history(path)


def _another_history(path: Path) -> Refused:
    return Refused(
        f"{path} holds another history than this ledger, or a later state of it.",
        "Export to an empty folder; keep this one, because together they may prove that one was rewritten.",
    )


def _published(path: Path, size_bytes: int) -> bytes | None:
    """What is there already; None where that is no file of this size."""
    try:
        return read_foreign(path, size_bytes)
    except InvalidInput:
        return None


class _Writer:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written = self.kept = 0

    def write(self, name: str, data: bytes) -> None:
        path = self.folder / name
        if path.exists():
            if _published(path, len(data)) != data:
                raise _another_history(path)
            self.kept += 1
            return
        write_whole(path, data, durable=False)
        self.written += 1
