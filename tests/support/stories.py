"""A small ledger with something of everything, and the ways in which people tamper with one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from histories import decided, finished, promoted, refitted, registered, started, taken

from tallystick import ledger
from tallystick.ledger.events import types as say
from tallystick.ledger.events.commit import commit_text, leaf_entry
from tallystick.ledger.events.event import hashes
from tallystick.ledger.storage.sqlite import SCHEMA
from tallystick.ledger.tlog import merkle


def told(book: ledger.Ledger) -> ledger.Ledger:
    """A run, a promotion, an artifact, two checkpoints, and a commit that is not signed yet."""
    artifact = book.store(b"a model" * 100)
    stored = say.ArtifactStored(
        artifact=artifact.hash, size_bytes=artifact.size_bytes, media_type="x/y", role="model", run="r1"
    )
    book.append(registered("p"), started("r1", "p"))
    book.append(taken("r1", "p"), stored)
    book.append(refitted("p-v1", "r1", "p"), decided("r1", "p", "p-v1"), finished("r1", "p"), sign=True)
    book.append(promoted("p-v1", "p", None), sign=True)
    book.append(started("r2", "p"))
    book.now().pipelines()
    return book


def damage(book: ledger.Ledger, *statements: str) -> None:
    """Change the file as somebody with sqlite3 would: triggers dropped first, and put back afterwards."""
    book.close()
    connection = sqlite3.connect(book.folder / "ledger.db", isolation_level=None)
    triggers = [name for name, text in SCHEMA.items() if text.startswith("CREATE TRIGGER")]
    for name in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        connection.execute(statement)
    for name in triggers:
        connection.execute(SCHEMA[name])
    connection.close()


def rewrite_everything(book: ledger.Ledger, change: Callable[[bytes], bytes]) -> None:
    """Edit a body and recompute ids and the tree's hashes above it, as a careful forger without the key would."""
    commits = list(book.log.commits())
    statements, kept, all_hashes = [], [], {}
    for stored in book.log.events():
        assert stored.data is not None
        data = change(stored.data)
        all_hashes[stored.seq] = hashes(data)
        if data != stored.data:
            event_id, sha256 = all_hashes[stored.seq]
            statements.append(
                f"UPDATE events SET body = CAST(x'{data.hex()}' AS TEXT), id = x'{event_id.hex()}', "
                f"sha256 = x'{sha256.hex()}' WHERE seq = {stored.seq}"
            )
    for commit in commits:
        names = [all_hashes[seq] for seq in range(commit.first_seq, commit.last_seq + 1)]
        leaf = merkle.leaf_hash(leaf_entry(commit_text(commit.head, names)))
        kept.append(merkle.closing_hash(commit.n, leaf, kept.__getitem__))
        statements.append(f"UPDATE commits SET subtree = x'{kept[-1].hex()}' WHERE n = {commit.n}")
    damage(book, *statements)
