"""The SQLite file of the log: what is in it, word for word, and how it is opened."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Literal

from tallystick.ledger.errors import Busy, Damaged, InvalidInput, NewerFormat, TallyError
from tallystick.ledger.storage.beside import beside, refuse_danger
from tallystick.ledger.system.files import network_file_system

APPLICATION_ID = 0x54414C59  # "TALY"
FORMAT = 2
"""The newest that this program reads and writes."""
PLAIN_FORMAT = 1
"""What a ledger has from the beginning."""
NAMED_UNDER_FORMAT = 2
"""What it has once something was imported whose names are read under another. Who knows only the first format would
take such a run for one of the ledger's own, and has to be kept from it."""

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


Circumstance = Literal["no space", "locked", "no right", "disk error", "no memory"]
_CIRCUMSTANCES: dict[int, Circumstance] = {
    sqlite3.SQLITE_FULL: "no space",
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_PROTOCOL: "locked",
    sqlite3.SQLITE_READONLY: "no right",
    sqlite3.SQLITE_PERM: "no right",
    sqlite3.SQLITE_CANTOPEN: "no right",
    sqlite3.SQLITE_IOERR: "disk error",
    sqlite3.SQLITE_NOMEM: "no memory",
}


def circumstance(error: sqlite3.Error) -> Circumstance | None:
    """What outside of the file was in the way; None where the trouble is in the file or in the question."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return None
    if code == sqlite3.SQLITE_IOERR_SHMSIZE:  # the shared memory of a write-ahead log is a file, too
        return "no space"
    return _CIRCUMSTANCES.get(code & 0xFF)


def trouble(error: sqlite3.Error, path: Path | str = "the ledger's file") -> TallyError:
    """What SQLite reports as an error that a person can act on: never damage where the file is not to blame."""
    match circumstance(error):
        case "no space":
            return InvalidInput(
                f"There is no space left for {path}.", "Free some space on that disk, then give the command again."
            )
        case "locked":
            return Busy(
                f"Another program keeps {path} locked.",
                "Close what has it open (`fuser` on that file names it), then try again.",
            )
        case "no right":
            return InvalidInput(
                f"{path} cannot be written here: {error}.",
                "Appending needs the right to write in the ledger's folder; reading does not.",
            )
        case "disk error":
            return InvalidInput(
                f"The disk fails under {path}: {error} ({error.sqlite_errorname}).",
                "Look at the disk and at the system's log, then try again; `tally verify` says whether all is whole.",
            )
        case "no memory":
            return InvalidInput(f"There is not enough memory to work on {path}.", "End other programs, then try again.")
    return Damaged(f"{path} cannot be read: {error}.", "`tally verify` says what is wrong.")


class AsItLies(sqlite3.Connection):
    """A connection that takes for granted that nobody writes; see :func:`stamp`."""


def stamp(path: Path) -> tuple[int, int, int]:
    """What changes when somebody writes after all."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns, _pending_bytes(path)


def _pending_bytes(path: Path) -> int:
    """How much lies in the write-ahead log, which whoever closes the file last takes away at any moment."""
    try:
        return beside(path, "-wal").stat().st_size
    except FileNotFoundError:
        return 0


def connect(path: Path, mode: str, kind: type[sqlite3.Connection] = sqlite3.Connection) -> sqlite3.Connection:
    """Open the file, unless something beside it would change it, or what is read of it.

    Raises
    ------
    Damaged, InvalidInput
    """
    refuse_danger(path)
    # Percent-encoding by as_uri keeps `?` and `#` in folder names from being read as parameters.
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    try:
        return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=10.0, factory=kind)
    except sqlite3.Error as error:
        if path.exists() and not os.access(path, os.R_OK):
            raise _unreadable(path) from error
        raise InvalidInput(
            f"{path} cannot be opened: {error}.", "Check the rights of the ledger's folder, then try again."
        ) from error


def open_read_only(path: Path) -> sqlite3.Connection:
    """A connection that cannot write and trusts nothing that the file defines.

    Raises
    ------
    InvalidInput, NewerFormat
        Where the file is missing, unreadable, no ledger, or of a later format.
    """
    if network_file_system(path) is not None:
        connection = _as_it_lies(path)
    else:
        connection = connect(path, "ro")
        try:
            connection.execute("PRAGMA schema_version").fetchone()
        except sqlite3.OperationalError as error:
            connection.close()
            if circumstance(error) == "locked":
                raise trouble(error, path) from error
            connection = _as_it_lies(path)
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


def _unreadable(path: Path) -> InvalidInput:
    return InvalidInput(f"{path} may not be read by this account.", "Ask its owner for the right to read it.")


def _as_it_lies(path: Path) -> sqlite3.Connection:
    """Read the file alone, where the shared memory of a write-ahead log cannot be had beside it.

    A folder without the right to write, a full disk and a network file system cannot hold it. If there is nothing in
    such a log, the file alone is the whole truth.
    """
    if not path.exists():
        raise InvalidInput(f"{path} does not exist.", "Make a ledger with `tally init`.")
    if not os.access(path, os.R_OK):
        raise _unreadable(path)
    if _pending_bytes(path):
        raise InvalidInput(
            f"{path} has a write-ahead log but its folder cannot be written, so it cannot be read whole.",
            "Copy the folder to a local disk where you may write, or ask its owner to close it cleanly.",
        )
    connection = connect(path, "ro&immutable=1", AsItLies)
    try:
        connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        raise trouble(error, path) from error
    except sqlite3.DatabaseError as error:
        connection.close()
        raise Damaged(f"{path} cannot be read as a database: {error}.") from error
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
        if circumstance(error) in ("no space", "locked", "no memory"):
            raise trouble(error, path) from error
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


def encoding_words(connection: sqlite3.Connection) -> str | None:
    """What is wrong if a file keeps its texts in another encoding than a ledger does; None if it does not."""
    encoding = str(connection.execute("PRAGMA encoding").fetchone()[0])
    if encoding == "UTF-8":
        return None
    return (
        f"The file keeps its texts in {encoding}, but a ledger keeps the exact UTF-8 bytes of its events: this is a "
        "converted copy, in which no event has the bytes that were hashed."
    )


def refuse_encoding(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a converted copy; Damaged where it is one."""
    if (words := encoding_words(connection)) is not None:
        raise Damaged(f"{path}: {words}", "Use the original, or a copy that `tally backup` made.")


def refuse_network(path: Path) -> None:
    """Refuse to write where several machines may write: neither locks nor shared memory reach across them."""
    kind = network_file_system(path)
    if kind is not None:
        raise InvalidInput(
            f"{path.parent} is on a network file system ({kind}), where locks and the write-ahead log cannot be "
            "relied on. Nothing was recorded.",
            "Keep the ledger on a local disk and let others have copies: `tally export`, `tally prove`, a backup.",
        )


def stamp_format(connection: sqlite3.Connection) -> None:
    """Say in a new file what it is, and in which format."""
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {PLAIN_FORMAT}")


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
