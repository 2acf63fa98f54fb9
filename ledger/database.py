"""The SQLite file of the log: what is in it, word for word, and how it is opened."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ledger.errors import Damaged, InvalidInput, NewerFormat

APPLICATION_ID = 0x54414C59  # "TALY"
FORMAT = 1

SCHEMA: dict[str, str] = {
    "events": """CREATE TABLE events(
  seq INTEGER PRIMARY KEY,
  body TEXT,
  id BLOB NOT NULL,
  sha256 BLOB NOT NULL,
  type TEXT NOT NULL
) STRICT""",
    "commits": """CREATE TABLE commits(
  n INTEGER PRIMARY KEY,
  first_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  recorded_at INTEGER NOT NULL,
  head TEXT NOT NULL,
  subtree BLOB NOT NULL
) STRICT""",
    "checkpoints": """CREATE TABLE checkpoints(
  size INTEGER PRIMARY KEY,
  note TEXT NOT NULL
) STRICT""",
    "entities": """CREATE TABLE entities(
  entity TEXT PRIMARY KEY,
  last_seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID""",
    "keys": """CREATE TABLE keys(
  key TEXT PRIMARY KEY,
  content BLOB NOT NULL,
  n INTEGER NOT NULL
) STRICT, WITHOUT ROWID""",
    "events_kept": """CREATE TRIGGER events_kept BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END""",
    "events_unchanged": """CREATE TRIGGER events_unchanged BEFORE UPDATE ON events
WHEN NEW.body IS NOT NULL OR NEW.seq <> OLD.seq OR NEW.id <> OLD.id OR NEW.sha256 <> OLD.sha256
  OR NEW.type <> OLD.type
  OR NOT EXISTS (SELECT 1 FROM entities WHERE entity = 'redaction:' || OLD.seq)
BEGIN SELECT RAISE(ABORT, 'events are never changed; a body is erased only after an event that says so'); END""",
    "commits_in_order": """CREATE TRIGGER commits_in_order BEFORE INSERT ON commits
WHEN NEW.last_seq < NEW.first_seq
  OR NEW.last_seq IS NOT (SELECT max(seq) FROM events)
  OR CASE NEW.n WHEN 0 THEN NEW.first_seq <> 0 ELSE NOT EXISTS (
    SELECT 1 FROM commits
    WHERE n = NEW.n - 1 AND last_seq = NEW.first_seq - 1 AND recorded_at <= NEW.recorded_at) END
BEGIN SELECT RAISE(ABORT, 'commits are appended one after the other, and time does not go back'); END""",
    "commits_kept": """CREATE TRIGGER commits_kept BEFORE DELETE ON commits
BEGIN SELECT RAISE(ABORT, 'commits are never deleted'); END""",
    "commits_unchanged": """CREATE TRIGGER commits_unchanged BEFORE UPDATE ON commits
BEGIN SELECT RAISE(ABORT, 'commits are never changed'); END""",
}
"""Every object of the file with its exact text; verification refuses any other.

The order of events is checked once a commit, not once an event: a trigger on every row would cost a third of
the time of a large commit and guard against nothing more, because no event counts without its commit.
"""


def connect(path: Path, mode: str) -> sqlite3.Connection:
    # Percent-encoding by as_uri keeps `?` and `#` in folder names from being read as parameters.
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    try:
        return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=10.0)
    except sqlite3.Error as error:
        raise InvalidInput(f"{path} cannot be opened: {error}.") from error


def open_read_only(path: Path) -> sqlite3.Connection:
    """A connection that cannot write and trusts nothing that the file defines.

    Raises
    ------
    InvalidInput, NewerFormat
        Where the file is missing, unreadable, no ledger, or of a later format.
    """
    connection = connect(path, "ro")
    try:
        connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.OperationalError:
        # A folder without the right to write cannot hold the shared memory of a write-ahead log. If there is
        # no such log the file alone is the whole truth and may be read as it lies.
        connection.close()
        if not path.exists():
            raise InvalidInput(f"{path} does not exist.", "Make a ledger with `tally init`.") from None
        if path.with_name(path.name + "-wal").exists():
            raise InvalidInput(
                f"{path} has a write-ahead log but its folder cannot be written, so it cannot be read whole.",
                "Copy the folder to where you may write, or ask its owner to close it cleanly.",
            ) from None
        connection = connect(path, "ro&immutable=1")
    except sqlite3.DatabaseError as error:
        connection.close()
        raise Damaged(f"{path} cannot be read as a database: {error}.") from error
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    check_format(connection, path)
    try:
        # The definitions are read now: one that is damaged would otherwise surface at any later question, and
        # with a message that may not even be text.
        for name, definition in connection.execute("SELECT CAST(name AS BLOB), CAST(sql AS BLOB) FROM sqlite_schema"):
            (name + (definition or b"")).decode()
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        connection.close()
        raise Damaged(f"The definitions in {path} cannot be read.", "Restore the newest backup.") from error
    return connection


def replaced(connection: sqlite3.Connection) -> list[str]:
    """Names of the tables that are not, word for word, what they must be: a view in their place would say anything.

    It might also never end to say it, so whoever asks nothing else of a foreign file asks this first.
    """
    found = {
        str(name): sql
        for kind, name, sql in connection.execute("SELECT type, name, sql FROM sqlite_schema")
        if kind == "table"
    }
    return [name for name, sql in SCHEMA.items() if sql.startswith("CREATE TABLE") and found.get(name) != sql]


def foreign_triggers(connection: sqlite3.Connection) -> list[str]:
    """Names of the triggers that are not, word for word, ours."""
    triggers = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
    return [str(name) for name, sql in triggers if SCHEMA.get(name) != sql]


def integrity(path: Path) -> list[str]:
    """What SQLite itself finds wrong with a file; ``["ok"]`` where nothing is."""
    connection = open_read_only(path)
    try:
        return [str(row[0]) for row in connection.execute("PRAGMA integrity_check(3)")]
    except sqlite3.DatabaseError as error:
        return [str(error)]
    finally:
        connection.close()


def check_format(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse files that are not a ledger, and ledgers of a format that this program does not know."""
    try:
        application_id = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise Damaged(f"{path} cannot be read as a database: {error}.") from error
    if application_id != APPLICATION_ID:
        raise InvalidInput(f"{path} is not a ledger (its application id is {application_id:#x}).")
    if version > FORMAT:
        raise NewerFormat(
            f"{path} has format {version}; this program reads up to {FORMAT}.",
            "Install a newer tallystick; nothing was read or changed.",
        )
    if version < 1:
        raise InvalidInput(f"{path} has format {version}, which never existed.")


def prepare_writer(connection: sqlite3.Connection) -> None:
    """Settings of every connection that appends.

    FULL always: in simulated power cuts it lost no acknowledged event where NORMAL lost some in most runs, for
    0.2 ms a commit. ``recursive_triggers`` makes ``INSERT OR REPLACE`` fire the triggers that refuse deletion.
    """
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise InvalidInput(
            f"This file system does not support a write-ahead log (journal mode {mode!r}).",
            "Keep the ledger on a local disk, not on a network file system.",
        )
    for setting in (
        "synchronous = FULL",
        "fullfsync = ON",
        "checkpoint_fullfsync = ON",
        "recursive_triggers = ON",
        "trusted_schema = OFF",
        "cell_size_check = ON",
    ):
        connection.execute(f"PRAGMA {setting}")
