"""Auditing published tiles from outside: c2sp.org/tlog-tiles in a folder or on a web server.

The auditor has the log's key, and perhaps receipts that were kept; nothing of the ledger itself. Every entry is
hashed into the tree anew, every published tile is compared with what the entries give, and the root with the signed
checkpoint and with each receipt on the way. The entries are hashes, so nothing is learned of the content.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tallystick.ledger.errors import Damaged, InvalidInput
from tallystick.ledger.publish.http_exchange import exchange
from tallystick.ledger.publish.tiles import WIDTH, tile_path
from tallystick.ledger.system.files import read_foreign
from tallystick.ledger.tlog import merkle
from tallystick.ledger.tlog.note import (
    LONGEST_NOTE_CHARACTERS,
    Checkpoint,
    VerifierKey,
    open_checkpoint,
    receipt_line,
)

ENTRY_BYTES = 64
SECONDS_A_FILE = 30.0

Read = Callable[[str, int], bytes]
"""A published file by its name, no larger than some bytes; InvalidInput where it cannot be had."""


class Audited(NamedTuple):
    """Published tiles that are one tree under a signed checkpoint."""

    checkpoint: Checkpoint
    tiles: int
    """Tiles and bundles of entries that were read, each whole."""
    continued: int
    """How many receipts the tree continues."""


def reader(place: str) -> Read:
    """How to read what is published: under an address, or in a folder."""
    if place.startswith(("https://", "http://")):
        return lambda name, most_bytes: _fetched(f"{place.rstrip('/')}/{name}", most_bytes)
    folder = Path(place)
    if not folder.is_dir():
        raise InvalidInput(f"There is no folder {place}.", "Give a folder, or an address that begins with https://.")
    return lambda name, most_bytes: read_foreign(folder / name, most_bytes)


def _fetched(url: str, most_bytes: int) -> bytes:
    status, data = exchange(url, None, most_bytes + 1, SECONDS_A_FILE)
    if status != 200:
        raise InvalidInput(f"{url} is not there: the server answers {status}.")
    if len(data) > most_bytes:
        raise InvalidInput(f"{url} is larger than {most_bytes:,} bytes and was not read.")
    return data


def audit(
    read: Read,
    key: VerifierKey,
    kept: Sequence[Checkpoint] = (),
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Audited:
    """Recompute the published tree.

    Parameters
    ----------
    kept : sequence of Checkpoint
        What was seen or received before; the tree must continue each.

    Raises
    ------
    InvalidInput
        When a file is missing, too large, or not of its form.
    Damaged
        When the signature does not fit, tiles and entries contradict each other or the root, or a kept checkpoint is
        of another history or of a later state.
    """
    note = read("checkpoint", LONGEST_NOTE_CHARACTERS).decode(errors="replace")
    checkpoint = open_checkpoint(note, key)
    if checkpoint.size == 0:
        raise InvalidInput("The published checkpoint is of no commits, so there is nothing to audit.")
    _refuse_later(kept, checkpoint)
    tree = _Tree(read, checkpoint, kept)
    for number in range(-(-checkpoint.size // WIDTH)):
        tree.take_entries(number)
        progress("commits", min((number + 1) * WIDTH, checkpoint.size), checkpoint.size)
    tree.take_the_rest()
    tree.compare()
    return Audited(checkpoint, tree.tiles, len(kept))


def _refuse_later(kept: Sequence[Checkpoint], published: Checkpoint) -> None:
    for one in kept:
        if one.origin != published.origin:
            raise InvalidInput(f"The receipt is of {one.origin}, the checkpoint of {published.origin}.")
        if one.size > published.size:
            raise Damaged(
                f"TAIL CUT: the receipt or last audit is of {one.size:,} commits, the published tree of "
                f"{published.size:,}.",
                f"Ask for the newer state, and keep the receipt: {receipt_line(one)}",
            )


class _Tree:
    """The tree as far as its entries were read, with the hashes of each level that are not yet a whole tile."""

    def __init__(self, read: Read, checkpoint: Checkpoint, kept: Sequence[Checkpoint]) -> None:
        self.read = read
        self.checkpoint = checkpoint
        self.kept = kept
        self.frontier = merkle.Frontier()
        self.size = self.tiles = 0
        self.wanted = {one.size for one in kept}
        self.roots: dict[int, bytes] = {}
        self.levels: list[list[bytes]] = [[]]
        self.counts = [0]

    def take_entries(self, number: int) -> None:
        """Read one bundle of entries and whatever tiles it completes."""
        width = min(WIDTH, self.checkpoint.size - number * WIDTH)
        data = self._published("entries", number, width, ENTRY_BYTES + 2)
        for at in range(0, len(data), ENTRY_BYTES + 2):
            length, entry = data[at : at + 2], data[at + 2 : at + 2 + ENTRY_BYTES]
            if int.from_bytes(length, "big") != ENTRY_BYTES:
                raise InvalidInput(f"{tile_path('entries', number, width)} holds an entry that is not 64 bytes long.")
            leaf = merkle.leaf_hash(entry)
            self.frontier.append(leaf)
            self.size += 1
            if self.size in self.wanted:
                self.roots[self.size] = self.frontier.root()
            self._add(0, leaf)

    def _add(self, level: int, value: bytes) -> None:
        if level == len(self.levels):
            self.levels.append([])
            self.counts.append(0)
        self.levels[level].append(value)
        if len(self.levels[level]) == WIDTH:
            full, self.levels[level] = self.levels[level], []
            self._check_tile(level, self.counts[level], full)
            self.counts[level] += 1
            self._add(level + 1, merkle.root(full))

    def take_the_rest(self) -> None:
        """Compare the tiles that are not full."""
        for level, hashes in enumerate(self.levels):
            if hashes:
                self._check_tile(level, self.counts[level], hashes)

    def _check_tile(self, level: int, number: int, hashes: list[bytes]) -> None:
        if self._published(str(level), number, len(hashes), 32) != b"".join(hashes):
            name = tile_path(str(level), number, len(hashes))
            raise Damaged(f"TILE ALTERED: {name} does not hold the hashes of the published entries.", "Keep a copy.")

    def _published(self, kind: str, number: int, width: int, each_bytes: int) -> bytes:
        """A tile, exact in its size. A full one may stand for the partial one, which servers may delete."""
        name = tile_path(kind, number, width)
        try:
            data = self.read(name, width * each_bytes)
        except InvalidInput:
            if width == WIDTH:
                raise
            full = self.read(tile_path(kind, number, WIDTH), WIDTH * each_bytes)
            data = full[: width * each_bytes] if len(full) == WIDTH * each_bytes else b""
        if len(data) != width * each_bytes:
            raise InvalidInput(f"{name} is not {width * each_bytes:,} bytes long.")
        self.tiles += 1
        return data

    def compare(self) -> None:
        """The root with what was signed, then with each receipt: only a tree that is signed can be called a fork."""
        signed = self.checkpoint
        if self.frontier.root() != signed.root:
            raise Damaged("ROOT: the published entries do not have the root that was signed.", "Keep a copy.")
        for one in self.kept:
            if self.roots[one.size] != one.root:
                raise Damaged(
                    f"FORK: the published tree of {one.size:,} commits is not the one of the receipt or last audit.",
                    f"Keep both, because together they prove it: {receipt_line(one)} and {receipt_line(signed)}",
                )
