"""The database as a file: what lies beside it, how it is written, and whether everything in it belongs there."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tallystick.ledger.storage.beside import danger_beside, length_words, wal_words
from tallystick.ledger.storage.schema_check import schema_differences
from tallystick.ledger.storage.sqlite import SCHEMA, encoding_words, replaced
from tallystick.ledger.verify.report import Results
from tallystick.ledger.verify.scan import Contradiction

CONVERTED_NEXT = "Look for the original; a backup is made with `tally backup`, not by converting the database."
BESIDE_NEXT = "Find out who put it there. `tally backup` copies the ledger without it; keep this folder as evidence."


def danger_finding(path: Path) -> Contradiction | None:
    """What lies beside the database and keeps it from being opened; None where nothing does."""
    if (danger := danger_beside(path)) is None:
        return None
    words = f"{danger.words} So nothing else was read."
    return Contradiction(kind="FILE", where=str(path), words=words, next=danger.next)


def check_file(connection: sqlite3.Connection, path: Path, results: Results) -> bool:
    """Judge the file before its rows are read; False if they cannot be judged, because they are not a ledger's."""
    for words in schema_differences(connection, SCHEMA):
        results.add(
            "SCHEMA",
            str(path),
            words,
            next="Find out who changed the file; readers may have been shown something else.",
        )
    if (converted := encoding_words(connection)) is not None:
        results.add("FILE", str(path), converted, next=CONVERTED_NEXT)
        return False
    # Nothing is asked of what stands in a table's place: it would say anything, perhaps for ever.
    if replaced(connection):
        return False
    for beside in (length_words(connection, path), wal_words(path, _page_size(connection))):
        if beside is not None:
            results.add("FILE", str(path), beside, next=BESIDE_NEXT)
    return True


def not_looked_at(connection: sqlite3.Connection) -> str:
    """What of the file no check reads, because no reader of a ledger does either."""
    free = int(connection.execute("PRAGMA freelist_count").fetchone()[0])
    pages = f"{free:,} free page{'' if free == 1 else 's'} and " if free else ""
    return f"not looked at: {pages}unused space within pages"


def _page_size(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA page_size").fetchone()[0])
