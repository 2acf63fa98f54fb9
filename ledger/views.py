"""Where the states of :mod:`ledger.projections` are kept and asked for at a date.

A separate file that may be deleted at any time: it is rebuilt from the log, and nothing in it is evidence. Each
state is one *version row* ``(entity, from_seq)`` without an end. Asking per entity for the newest row at or
before a position costs one descent of a B-tree, however long the history; rows with an end would not, because
a B-tree prunes only one side of ``from <= s < to``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from blake3 import blake3

from ledger import projections, vocabulary
from ledger.commit import decode_head, from_micros
from ledger.errors import Damaged
from ledger.event import encode_canonical
from ledger.log import Commit, Log, Stored
from ledger.projections import PROJECTIONS, Entry, Projection, State, Versions

VIEWS_FILE = "views.db"
VIEWS_FORMAT = 1
BATCH_EVENTS = 20_000
LAST_SEQ = (1 << 63) - 1

CURSORS = """CREATE TABLE cursors(
  projection TEXT PRIMARY KEY,
  fingerprint TEXT NOT NULL,
  seq INTEGER NOT NULL,
  id BLOB NOT NULL
) STRICT, WITHOUT ROWID"""
AS_OF = "CREATE TABLE asof(seq INTEGER NOT NULL) STRICT"


def _select(projection: Projection, schema: str, seq: str, source: str) -> str:
    """The states of a projection with one column a field, at the position that ``seq`` names."""
    name = f"{schema}{projection.name}"
    columns = ",\n  ".join(
        f"json_extract(v.state, '$.{field}') AS \"{field}\"" for field in projection.state.__struct_fields__
    )
    return (
        f"SELECT\n  {columns}\nFROM {source}{name}_keys k CROSS JOIN {name}_versions v\n"
        f"WHERE k.first_seq <= {seq} AND v.key = k.key AND v.from_seq = (\n"
        f"  SELECT max(from_seq) FROM {name}_versions WHERE key = k.key AND from_seq <= {seq})"
    )


def _tables(projection: Projection) -> dict[str, str]:
    """The SQL objects of one projection with their exact text."""
    name = projection.name
    return {
        f"{name}_keys": f"CREATE TABLE {name}_keys(\n  key TEXT PRIMARY KEY,\n  first_seq INTEGER NOT NULL\n) "
        "STRICT, WITHOUT ROWID",
        f"{name}_versions": f"CREATE TABLE {name}_versions(\n  key TEXT,\n  from_seq INTEGER,\n"
        "  state TEXT NOT NULL,\n  PRIMARY KEY(key, from_seq)\n) STRICT, WITHOUT ROWID",
        # For people with sqlite3 or datasette: `UPDATE asof SET seq = 812; SELECT * FROM models;`
        name: f"CREATE VIEW {name} AS {_select(projection, '', 'a.seq', 'asof a CROSS JOIN ')}",
    }


def schema() -> dict[str, str]:
    """Every object of a views file with its exact text."""
    objects = {"cursors": CURSORS, "asof": AS_OF}
    for projection in PROJECTIONS:
        objects.update(_tables(projection))
    return objects


@cache
def fingerprint() -> str:
    """Hash of the reducers' source: when their code changes, their views are built again."""
    source = Path(projections.__file__).read_bytes() + Path(vocabulary.__file__).read_bytes()
    return f"{VIEWS_FORMAT}-{blake3(source).hexdigest()[:32]}"


_READ = frozenset(event_type for projection in PROJECTIONS for event_type in projection.reads)


class Cursor(NamedTuple):
    fingerprint: str
    seq: int
    id: bytes


class Views:
    """The states of one ledger, caught up with its log whenever they are asked for."""

    def __init__(self, folder: Path, log: Log) -> None:
        self.path = folder / VIEWS_FILE
        self.log = log
        self._connection: sqlite3.Connection | None = None
        self._memory: sqlite3.Connection | None = None

    def discard(self) -> None:
        """Remove the file; the next question builds it again from the log."""
        self.close()
        self._discard()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # Asking ------------------------------------------------------------------------------------------------

    def get(self, projection: Projection, key: str, seq: int) -> State | None:
        """The state of one entity after event ``seq``; None where it did not exist yet."""
        row = (
            self.caught_up()
            .execute(
                f"SELECT state FROM {projection.name}_versions WHERE key = ? AND from_seq <= ? "
                "ORDER BY from_seq DESC LIMIT 1",
                (key, seq),
            )
            .fetchone()
        )
        return None if row is None else _decoder(projection.state)(row[0])

    def all(self, projection: Projection, seq: int) -> list[State]:
        """The states of all entities after event ``seq``, in the order in which they came to be."""
        decode = _decoder(projection.state)
        return [decode(row[0]) for row in self.caught_up().execute(all_as_of(projection), (seq, seq))]

    def versions(self, last_seq: int = LAST_SEQ) -> Versions:
        """Everything that is kept up to an event, for comparison with a fold."""
        kept: Versions = {}
        connection = self.caught_up()
        for projection in PROJECTIONS:
            decode = _decoder(projection.state)
            states: dict[str, list[State]] = {}
            query = f"SELECT key, from_seq, state FROM {projection.name}_versions WHERE from_seq <= ? ORDER BY 1, 2"
            for key, from_seq, text in connection.execute(query, (last_seq,)):
                state = decode(text)
                if state.seq != from_seq:
                    raise Damaged(f"The view of {key} is filed under event #{from_seq} but says #{state.seq}.")
                states.setdefault(key, []).append(state)
            query = f"SELECT key, first_seq FROM {projection.name}_keys WHERE first_seq <= ?"
            first_seqs = dict(connection.execute(query, (last_seq,)))
            if first_seqs != {key: history[0].seq for key, history in states.items()}:
                raise Damaged(f"The list of {projection.name} does not match their versions.")
            kept[projection.name] = states
        return kept

    def sql(self, seq: int) -> sqlite3.Connection:
        """A connection for questions in SQL: one view a projection, as of event ``seq``; it cannot write."""
        source = self.caught_up()
        connection = sqlite3.connect("file::memory:", uri=True, isolation_level=None)
        if source is self._memory:
            source.backup(connection)
            schema = "main."
        else:
            connection.execute("ATTACH ? AS kept", (f"{self.path.absolute().as_uri()}?mode=ro",))
            schema = "kept."
        for projection in PROJECTIONS:
            select = _select(projection, schema, str(int(seq)), "")
            connection.execute(f"CREATE TEMP VIEW {projection.name} AS {select}")
        connection.execute("PRAGMA query_only = ON")
        return connection

    # Catching up -------------------------------------------------------------------------------------------

    def caught_up(self) -> sqlite3.Connection:
        """A connection whose views include every event of the log."""
        connection = self._connection
        if connection is None:
            connection = self._connection = self._open()
        try:
            self._catch_up(connection)
        except sqlite3.OperationalError as error:
            if "readonly" not in str(error) and "read-only" not in str(error):
                raise
            # No right to write here: the answer is computed in memory instead of being refused.
            connection.close()
            connection = self._connection = self._in_memory()
            self._catch_up(connection)
        except sqlite3.DatabaseError:
            connection.close()
            self._discard()
            connection = self._connection = self._open()
            self._catch_up(connection)
        return connection

    def _open(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(self.path, isolation_level=None, timeout=10.0)
            # Disposable, but not allowed to be silently wrong after a power cut: hence not OFF.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.OperationalError:
            return self._in_memory()
        except sqlite3.DatabaseError:
            self._discard()
            return self._open()
        return connection

    def _in_memory(self) -> sqlite3.Connection:
        self._memory = sqlite3.connect(":memory:", isolation_level=None)
        return self._memory

    def _discard(self) -> None:
        for suffix in ("", "-wal", "-shm", "-journal"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def _catch_up(self, connection: sqlite3.Connection) -> None:
        head_seq = self._head_seq()
        while (first := self._next_seq(connection, head_seq)) is not None:
            with _immediate(connection):
                # Asked again inside the transaction: another reader may have been faster.
                cursors = self._valid_cursors(connection)
                first = min((cursor.seq + 1 for cursor in cursors.values()), default=0)
                if first <= head_seq:
                    last = min(first + BATCH_EVENTS - 1, head_seq)
                    _advance(connection, cursors, entries(self.log, first, last, _READ), self.log.event(last))

    def _head_seq(self) -> int:
        row = self.log.reader.execute("SELECT max(seq) FROM events").fetchone()
        return -1 if row[0] is None else int(row[0])

    def _next_seq(self, connection: sqlite3.Connection, head_seq: int) -> int | None:
        """The first event that some projection has not seen; None where all have seen all."""
        has_tables = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'cursors'").fetchone()
        if not has_tables:
            return 0 if head_seq >= 0 else None
        cursors = _read_cursors(connection)
        if set(cursors) != {projection.name for projection in PROJECTIONS}:
            return 0
        if any(cursor.fingerprint != fingerprint() for cursor in cursors.values()):
            return 0
        if any(not self._is_ours(cursor) for cursor in cursors.values()):
            return 0
        behind = min(cursor.seq for cursor in cursors.values())
        return behind + 1 if behind < head_seq else None

    def _is_ours(self, cursor: Cursor) -> bool:
        """Whether the event at the cursor is the one that the views were built from."""
        row = self.log.reader.execute("SELECT id FROM events WHERE seq = ?", (cursor.seq,)).fetchone()
        return row is not None and row[0] == cursor.id

    def _valid_cursors(self, connection: sqlite3.Connection) -> dict[str, Cursor]:
        """Cursors to go on from; projections that cannot be trusted any more are emptied and start again."""
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'cursors'").fetchone():
            for statement in (CURSORS, AS_OF):
                connection.execute(statement)
            connection.execute(f"INSERT INTO asof VALUES({LAST_SEQ})")
        cursors = _read_cursors(connection)
        for projection in PROJECTIONS:
            cursor = cursors.get(projection.name)
            if cursor and cursor.fingerprint == fingerprint() and self._is_ours(cursor):
                continue
            for name, statement in _tables(projection).items():
                kind = "VIEW" if statement.startswith("CREATE VIEW") else "TABLE"
                connection.execute(f"DROP {kind} IF EXISTS {name}")
                connection.execute(statement)
            cursors[projection.name] = Cursor(fingerprint(), -1, b"")
        return {projection.name: cursors[projection.name] for projection in PROJECTIONS}


def all_as_of(projection: Projection) -> str:
    """The query for all entities at a position. CROSS JOIN keeps the planner from scanning every version."""
    name = projection.name
    return (
        f"SELECT v.state FROM {name}_keys k CROSS JOIN {name}_versions v "
        f"WHERE k.first_seq <= ? AND v.key = k.key AND v.from_seq = ("
        f"SELECT max(from_seq) FROM {name}_versions WHERE key = k.key AND from_seq <= ?) "
        "ORDER BY k.first_seq, k.key"
    )


def entries(log: Log, first: int, last: int, types: frozenset[str] = frozenset()) -> Iterator[Entry]:
    """Events ``first`` to ``last`` with their place; erased ones are left out, and other types where some are named."""
    if first > last:
        return
    commits = iter(log.commits(log.commit_of(first).n))
    commit = next(commits)
    decoded: Commit | None = None
    for seq, _type, data, _id, _sha256 in log.rows(first, last, types):
        if data is None:
            continue
        while seq > commit.last_seq:
            commit = next(commits)
        if decoded is not commit:
            head, moment, decoded = decode_head(commit.head), from_micros(commit.recorded_at), commit
        yield Entry(seq, commit.n, moment, head.actor, vocabulary.decode(data))


def _advance(connection: sqlite3.Connection, cursors: dict[str, Cursor], batch: Iterator[Entry], last: Stored) -> None:
    """Fold a batch of entries into the views and move the cursors, in the caller's transaction."""
    overlays: dict[str, dict[str, State]] = {projection.name: {} for projection in PROJECTIONS}
    rows: dict[str, list[tuple[str, int, str]]] = {projection.name: [] for projection in PROJECTIONS}
    lookups = {projection.name: _lookup(connection, projection, overlays) for projection in PROJECTIONS}
    readers: dict[str, list[Projection]] = {}
    for projection in PROJECTIONS:
        for event_type in projection.reads:
            readers.setdefault(event_type, []).append(projection)
    for entry in batch:
        if not vocabulary.is_known(entry.event):
            continue
        for projection in readers.get(entry.event.t, ()):
            if entry.seq <= cursors[projection.name].seq:
                continue
            for key, state in list(projection.apply(entry, lookups[projection.name])):
                overlays[projection.name][key] = state
                rows[projection.name].append((key, state.seq, encode_canonical(state).decode()))
    for projection in PROJECTIONS:
        _write(connection, projection, rows[projection.name])
        connection.execute(
            "INSERT INTO cursors VALUES(?,?,?,?) ON CONFLICT(projection) DO UPDATE SET "
            "fingerprint = excluded.fingerprint, seq = excluded.seq, id = excluded.id",
            (projection.name, fingerprint(), max(last.seq, cursors[projection.name].seq), last.id),
        )


def _lookup(
    connection: sqlite3.Connection, projection: Projection, overlays: dict[str, dict[str, State]]
) -> Callable[[str], State | None]:
    """Current state of an entity: what this batch made of it, else what is stored."""
    overlay = overlays[projection.name]
    decode = _decoder(projection.state)
    query = f"SELECT state FROM {projection.name}_versions WHERE key = ? ORDER BY from_seq DESC LIMIT 1"

    def current(key: str) -> State | None:
        if key in overlay:
            return overlay[key]
        row = connection.execute(query, (key,)).fetchone()
        if row is None:
            return None
        return overlay.setdefault(key, decode(row[0]))

    return current


def _write(connection: sqlite3.Connection, projection: Projection, rows: Sequence[tuple[str, int, str]]) -> None:
    name = projection.name
    connection.executemany(
        f"INSERT INTO {name}_keys VALUES(?,?) ON CONFLICT(key) DO NOTHING", ((row[0], row[1]) for row in rows)
    )
    connection.executemany(
        f"INSERT INTO {name}_versions VALUES(?,?,?) ON CONFLICT(key, from_seq) DO UPDATE SET state = excluded.state",
        rows,
    )


def _read_cursors(connection: sqlite3.Connection) -> dict[str, Cursor]:
    rows = connection.execute("SELECT projection, fingerprint, seq, id FROM cursors")
    return {row[0]: Cursor(*row[1:]) for row in rows}


@cache
def _decoder(state: type[State]) -> Callable[[str], Any]:
    return msgspec.json.Decoder(state).decode


@contextmanager
def _immediate(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
