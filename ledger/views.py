"""Where the states of entities are kept and asked for at a date.

A separate file that may be deleted at any time: it is rebuilt from the log, and nothing in it is evidence. Each
state is one *version row* ``(entity, from_seq)`` without an end. Asking per entity for the newest row at or
before a position costs one descent of a B-tree, however long the history; rows with an end would not, because
a B-tree prunes only one side of ``from <= s < to``. A row also names the fields that it changed, so that *why is
this so* and *what changed between* need not compare states.

A view whose code has changed is emptied and folded again in one transaction, so that nobody ever sees half of it;
SQLite's own transaction is safer here than another file renamed into place, whose write-ahead log would be the old
one's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from blake3 import blake3

from ledger import folding, vocabulary
from ledger.commit import decode_head, from_micros
from ledger.database import circumstance, trouble
from ledger.entities import NAMED, PROJECTIONS, LinkState
from ledger.entities.links import SEPARATOR
from ledger.errors import Damaged, InvalidInput
from ledger.event import encode_canonical
from ledger.files import network_file_system
from ledger.folding import Changed, History, Told, Versions, changed_fields, changes, readers
from ledger.imported import names_under
from ledger.log import Commit, Log
from ledger.projection import Entry, Projection, State

VIEWS_FILE = "views.db"
VIEWS_FORMAT = 2
BATCH_EVENTS = 20_000
CACHE_KIB = 64 * 1024
PAGE_BYTES = 8192
"""Rows are long; on SQLite's own 4,096 bytes a rebuild takes a fifth longer. Counts for new files only."""
MOST_STATES_HELD = 50_000
LAST_SEQ = (1 << 63) - 1
NEW = "*"
"""In place of the changed fields: the entity was not there before."""

CURSORS = """CREATE TABLE cursors(
  projection TEXT PRIMARY KEY,
  fingerprint TEXT NOT NULL,
  seq INTEGER NOT NULL,
  id BLOB NOT NULL
) STRICT, WITHOUT ROWID"""
AS_OF = "CREATE TABLE asof(seq INTEGER NOT NULL) STRICT"


def _newest(name: str, seq: str) -> str:
    """Rows of a projection at a position. CROSS JOIN keeps the planner from scanning every version."""
    return (
        f"{name}_keys k CROSS JOIN {name}_versions v\n"
        f"WHERE k.first_seq <= {seq} AND v.key = k.key AND v.state IS NOT NULL AND v.from_seq = (\n"
        f"  SELECT max(from_seq) FROM {name}_versions WHERE key = k.key AND from_seq <= {seq})"
    )


def _select(projection: Projection, schema: str, seq: str, source: str) -> str:
    """The states of a projection with one column a field, at the position that ``seq`` names."""
    columns = ",\n  ".join(
        f"json_extract(v.state, '$.{field}') AS \"{field}\"" for field in projection.state.__struct_fields__
    )
    return f"SELECT\n  {columns}\nFROM {source}{_newest(schema + projection.name, seq)}"


def index_of(projection: Projection) -> str:
    """The name of the index by position."""
    return f"{projection.name}_by_seq"


def _tables(projection: Projection) -> dict[str, str]:
    """The SQL objects of one projection with their exact text."""
    name = projection.name
    return {
        f"{name}_keys": f"CREATE TABLE {name}_keys(\n  key TEXT PRIMARY KEY,\n  first_seq INTEGER NOT NULL\n) "
        "STRICT, WITHOUT ROWID",
        # The state comes last, so that a search through many versions does not read it.
        f"{name}_versions": f"CREATE TABLE {name}_versions(\n  key TEXT,\n  from_seq INTEGER,\n"
        "  changed TEXT NOT NULL,\n  state TEXT,\n  PRIMARY KEY(key, from_seq)\n) STRICT, WITHOUT ROWID",
        index_of(projection): f"CREATE INDEX {index_of(projection)} ON {name}_versions(from_seq)",
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
def fingerprint(projection: Projection) -> str:
    """Hash of the code that makes a view: when it changes, the view is built again."""
    return f"{VIEWS_FORMAT}-{blake3(projection.fingerprint.encode() + _folding_code()).hexdigest()[:32]}"


@cache
def _folding_code() -> bytes:
    return Path(folding.__file__).read_bytes()


class Version(NamedTuple):
    """A state of an entity from a position on; None where it does not exist from there on."""

    position: int
    changed: str
    """Fields that differ from the version before: ``,status,reason,``; ``*`` for all of them."""
    state: State | None


class Touched(msgspec.Struct, frozen=True, gc=False):
    """An entity that has new states between two positions."""

    projection: Projection
    key: str
    rows: list[tuple[int, str]]
    """Position and changed fields of each new state, oldest first."""
    before: State | None
    """Its state before the first of them."""
    after: State | None


def _named(key: str) -> str | bytes:
    """A name as SQLite is asked for it: one that was typed in bytes which are no text is equal to none."""
    try:
        key.encode()
    except UnicodeEncodeError:
        return key.encode(errors="surrogatepass")
    return key


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
        self._seen: tuple[int, int] | None = None
        self.on_progress: Callable[[int, int], None] = lambda _done, _total: None
        """Told how many events are read, of how many, while many are."""
        self.on_trouble: Callable[[str], None] = lambda _words: None
        """Told in a sentence why an answer takes longer than it would."""

    def discard(self) -> None:
        """Remove the file; the next question builds it again from the log."""
        self.close()
        self._discard()

    def close(self) -> None:
        self._seen = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # Asking ------------------------------------------------------------------------------------------------

    def get(self, projection: Projection, key: str, seq: int) -> State | None:
        """The state of one entity after event ``seq``; None where it does not exist then."""
        row = (
            self.caught_up()
            .execute(
                f"SELECT state FROM {projection.name}_versions WHERE key = ? AND from_seq <= ? "
                "ORDER BY from_seq DESC LIMIT 1",
                (_named(key), seq),
            )
            .fetchone()
        )
        return None if row is None or row[0] is None else _decoder(projection.state)(row[0])

    def all(self, projection: Projection, seq: int) -> list[State]:
        """The states of all entities after event ``seq``, in the order in which they came to be."""
        decode = _decoder(projection.state)
        return [decode(row[0]) for row in self.caught_up().execute(all_as_of(projection), (seq, seq))]

    def history(self, projection: Projection, key: str, after: int, seq: int) -> list[Version]:
        """The versions of one entity from behind ``after`` up to ``seq``, oldest first."""
        decode = _decoder(projection.state)
        rows = self.caught_up().execute(
            f"SELECT from_seq, changed, state FROM {projection.name}_versions "
            "WHERE key = ? AND from_seq > ? AND from_seq <= ? ORDER BY from_seq",
            (_named(key), after, seq),
        )
        return [Version(row[0], row[1], None if row[2] is None else decode(row[2])) for row in rows]

    def last_change(self, projection: Projection, key: str, field: str, seq: int) -> int | None:
        """From which position on a field has the value that it has at ``seq``; None where the entity is unknown."""
        row = (
            self.caught_up()
            .execute(
                f"SELECT from_seq FROM {projection.name}_versions WHERE key = ? AND from_seq <= ? "
                "AND (changed = ? OR instr(changed, ?)) ORDER BY from_seq DESC LIMIT 1",
                (_named(key), seq, NEW, _named(f",{field},")),
            )
            .fetchone()
        )
        return None if row is None else int(row[0])

    def touched(self, after: int, seq: int) -> Iterator[Touched]:
        """Entities with a new state behind ``after`` and up to ``seq``; links are left out."""
        connection = self.caught_up()
        for projection in NAMED:
            query = (
                f"SELECT key, from_seq, changed, state FROM {projection.name}_versions "
                f"INDEXED BY {index_of(projection)} WHERE from_seq > ? AND from_seq <= ? ORDER BY from_seq"
            )
            decode = _list_decoder(projection.state)
            found: dict[str, list[tuple[int, str]]] = {}
            newest: dict[str, str | None] = {}
            for key, from_seq, changed, state in connection.execute(query, (after, seq)):
                found.setdefault(key, []).append((from_seq, changed))
                newest[key] = state
            if not found:
                continue
            # One question for all earlier states; a thousand small ones would take longer than everything else.
            query = (
                f"SELECT names.value, (SELECT state FROM {projection.name}_versions WHERE key = names.value "
                "AND from_seq <= ? ORDER BY from_seq DESC LIMIT 1) FROM json_each(?) names"
            )
            whole = [key for key in found if "\0" not in key]
            earlier = dict(connection.execute(query, (after, msgspec.json.encode(whole).decode())))
            # SQLite's JSON ends a text at a zero byte; only a stranger's program gives names with one in them.
            for key in found.keys() - set(whole):
                row = connection.execute(query.replace("json_each(?)", "(SELECT ? AS value)"), (after, key)).fetchone()
                earlier[key] = row[1]
            befores = decode(_array(earlier[key] for key in found))
            afters = decode(_array(newest[key] for key in found))
            for (key, rows), before, after_ in zip(found.items(), befores, afters, strict=True):
                yield Touched(projection, key, rows, before, after_)

    def event_at(self, position: int) -> int:
        """The event that stands at a position."""
        return position

    def links(self, node: str, towards: str, seq: int) -> list[LinkState]:
        """Edges of a node after event ``seq``, downwards or upwards, oldest first."""
        first = f"{node}{SEPARATOR}{towards}{SEPARATOR}"
        query = (
            f"SELECT v.state FROM {_newest('links', '?1')} AND k.key >= ?2 AND k.key < ?3 ORDER BY k.first_seq, k.key"
        )
        decode = _decoder(LinkState)
        rows = self.caught_up().execute(query, (seq, first, first[:-1] + chr(ord(SEPARATOR) + 1)))
        return [decode(row[0]) for row in rows]

    def versions(self, last_seq: int = LAST_SEQ) -> Versions:
        """Everything that is kept up to a position, for comparison with a fold."""
        kept: Versions = {}
        connection = self.caught_up()
        for projection in PROJECTIONS:
            decode = _decoder(projection.state)
            states: dict[str, list[tuple[int, State | None]]] = {}
            query = f"SELECT key, from_seq, state FROM {projection.name}_versions WHERE from_seq <= ? ORDER BY 1, 2"
            for key, from_seq, text in connection.execute(query, (last_seq,)):
                states.setdefault(key, []).append((from_seq, None if text is None else decode(text)))
            query = f"SELECT key, first_seq FROM {projection.name}_keys WHERE first_seq <= ?"
            first_seqs = dict(connection.execute(query, (last_seq,)))
            if first_seqs != {key: history[0][0] for key, history in states.items()}:
                raise Damaged(f"The list of {projection.name} does not match their versions.")
            kept[projection.name] = states
        return kept

    def sql(self, seq: int) -> sqlite3.Connection:
        """A connection for questions in SQL: one view a projection, as of position ``seq``; it cannot write."""
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
        # Both numbers change when anybody else commits; while they stand still there is nothing to catch up with.
        seen = (_data_version(self.log.reader), _data_version(connection))
        if seen == self._seen:
            return connection
        connection = self._caught_up(connection)
        self._seen = seen if connection is self._connection and self._memory is not connection else None
        return connection

    def _caught_up(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        try:
            self._catch_up(connection)
        except sqlite3.DatabaseError as error:
            # A question that cannot be asked (OperationalError without a circumstance) is no damage of the file.
            mended = circumstance(error) is not None or not isinstance(error, sqlite3.OperationalError)
            if connection is self._memory or not mended:
                raise
            connection.close()
            connection = self._connection = self._instead(error)
            self._catch_up(connection)
        return connection

    def _instead(self, error: sqlite3.DatabaseError) -> sqlite3.Connection:
        """Where to go on after an error: a new file for a damaged one; memory, where no file can be had."""
        found = circumstance(error)
        if found is None:
            try:
                self._discard()
            except OSError:
                return self._in_memory()
            return self._open()
        if found != "no right":  # who may only read knows it, and need not be told with every answer
            said = trouble(error, self.path).message
            self.on_trouble(f"{said} The views were made in memory for this answer; nothing is missing from it.")
        return self._in_memory()

    def _open(self) -> sqlite3.Connection:
        if network_file_system(self.path) is not None:
            return self._in_memory()
        try:
            # A link that came with a ledger must not have another file written to; what is not ours is made anew.
            if self.path.is_symlink() or (self.path.exists() and not self.path.is_file()):
                self._discard()
            connection = sqlite3.connect(self.path, isolation_level=None, timeout=10.0)
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            connection.execute("PRAGMA trusted_schema = OFF")
            if altered(connection):
                connection.close()
                self._discard()
                return self._open()
            # Disposable, but not allowed to be silently wrong after a power cut: hence not OFF.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            # SQLite's own 2 MB hold no more than a few thousand states; a difference then reads most pages twice.
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        except OSError:
            return self._in_memory()
        except sqlite3.DatabaseError as error:
            return self._instead(error)
        return connection

    def _in_memory(self) -> sqlite3.Connection:
        self._memory = sqlite3.connect(":memory:", isolation_level=None)
        return self._memory

    def _discard(self) -> None:
        for suffix in ("", "-wal", "-shm", "-journal"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def rebuild(self) -> None:
        """Empty every view and fold all events again, in one transaction: others see the old ones until it is done.

        Raises
        ------
        InvalidInput, Busy
            Where the file cannot be written; the old views stay.
        """
        if not self.are_kept():
            raise InvalidInput(
                f"The views in {self.path} cannot be written, so they were not made again.",
                "Nothing needs them: every answer is made from the events. `tally doctor` looks at rights and space.",
            )
        try:
            self._catch_up(self.caught_up(), anew=True)
        except sqlite3.OperationalError as error:
            raise trouble(error, self.path) from error

    def are_kept(self) -> bool:
        """Whether the views are in their file; False where they are made in memory for want of right, space or lock."""
        return self.caught_up() is not self._memory

    def _catch_up(self, connection: sqlite3.Connection, anew: bool = False) -> None:
        head_seq = self._head_seq()
        if not anew and not self._is_behind(connection, head_seq):
            return
        with _immediate(connection):
            if anew:
                connection.execute("UPDATE cursors SET seq = -1, id = x''")
            # Asked again inside the transaction: another reader may have been faster.
            cursors = self._valid_cursors(connection)
            first = min((cursor.seq + 1 for cursor in cursors.values()), default=0)
            known: dict[str, set[str]] = {name: set() for name, cursor in cursors.items() if cursor.seq < 0}
            stored = _Stored(connection, known)
            while first <= head_seq:
                last = min(first + BATCH_EVENTS - 1, head_seq)
                late = [projection for projection in PROJECTIONS if cursors[projection.name].seq < last]
                types = frozenset(event_type for projection in late for event_type in projection.reads)
                batch = ((entry.seq, entry) for entry in entries(self.log, first, last, types))
                _advance(stored, {p: cursors[p.name].seq for p in late}, batch, Recorded(self.log))
                event_id = self.log.event(last).id
                for projection in late:
                    cursors[projection.name] = Cursor(fingerprint(projection), last, event_id)
                first = last + 1
                self.on_progress(first, head_seq + 1)
            for projection in PROJECTIONS:
                if projection.name in known:
                    connection.execute(f"DROP INDEX IF EXISTS {index_of(projection)}")
                    connection.execute(_tables(projection)[index_of(projection)])
            connection.executemany(
                "INSERT INTO cursors VALUES(?,?,?,?) ON CONFLICT(projection) DO UPDATE SET "
                "fingerprint = excluded.fingerprint, seq = excluded.seq, id = excluded.id",
                [(name, *cursor) for name, cursor in cursors.items()],
            )

    def _head_seq(self) -> int:
        row = self.log.reader.execute("SELECT max(seq) FROM events").fetchone()
        return -1 if row[0] is None else int(row[0])

    def _is_behind(self, connection: sqlite3.Connection, head_seq: int) -> bool:
        """Whether some projection has not seen all events, or cannot be trusted any more."""
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'cursors'").fetchone():
            return head_seq >= 0
        cursors = _read_cursors(connection)
        if cursors.keys() != {projection.name for projection in PROJECTIONS}:
            return True
        if any(cursors[projection.name].fingerprint != fingerprint(projection) for projection in PROJECTIONS):
            return True
        if not all(map(self._is_ours, {cursor[1:]: cursor for cursor in cursors.values()}.values())):
            return True
        return min(cursor.seq for cursor in cursors.values()) < head_seq

    def _is_ours(self, cursor: Cursor) -> bool:
        """Whether the event at the cursor is the one that the views were built from."""
        row = self.log.reader.execute("SELECT id FROM events WHERE seq = ?", (cursor.seq,)).fetchone()
        return row is not None and row[0] == cursor.id

    def _valid_cursors(self, connection: sqlite3.Connection) -> dict[str, Cursor]:
        """Cursors to go on from; views that cannot be trusted any more are emptied and start again."""
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'cursors'").fetchone():
            for statement in (CURSORS, AS_OF):
                connection.execute(statement)
            connection.execute(f"INSERT INTO asof VALUES({LAST_SEQ})")
        stored = _read_cursors(connection)
        for name in stored.keys() - {projection.name for projection in PROJECTIONS}:
            connection.execute("DELETE FROM cursors WHERE projection = ?", (name,))
            _drop(connection, name)
        cursors: dict[str, Cursor] = {}
        for projection in PROJECTIONS:
            cursor = stored.get(projection.name)
            if cursor and cursor.fingerprint == fingerprint(projection) and self._is_ours(cursor):
                cursors[projection.name] = cursor
                continue
            _drop(connection, projection.name)
            for name, statement in _tables(projection).items():
                if name != index_of(projection):  # made at the end, when it costs least
                    connection.execute(statement)
            cursors[projection.name] = Cursor(fingerprint(projection), -1, b"")
        return cursors


class MemoryViews(Views):
    """The same questions about entries that are not the log's own: a what-if, or another order of time.

    Positions count the entries as they are given; the states say which event made them.
    """

    def __init__(self, log: Log, told: Sequence[Entry]) -> None:
        super().__init__(log.path.parent, log)
        self.told = told
        connection = self._in_memory()
        for projection in PROJECTIONS:
            for statement in _tables(projection).values():
                connection.execute(statement)

        _advance(_Stored(connection, {}), dict.fromkeys(PROJECTIONS, -1), enumerate(told), Told(told))

    def caught_up(self) -> sqlite3.Connection:
        """What was folded at the beginning."""
        assert self._memory is not None
        return self._memory

    def event_at(self, position: int) -> int:
        """The event that stands at a position of this order."""
        return self.told[position].seq


def all_as_of(projection: Projection) -> str:
    """The query for the states of all entities at a position, which is its two parameters."""
    return f"SELECT v.state FROM {_newest(projection.name, '?')} ORDER BY k.first_seq, k.key"


def altered(connection: sqlite3.Connection) -> list[str]:
    """What stands for something else in a views file, or acts by itself when it is written to, in words."""
    expected = schema()
    words = []
    for kind, name in connection.execute("SELECT type, name FROM sqlite_schema"):
        if kind == "trigger":
            words.append(f"{name} does not belong into the schema.")
        elif name in expected and not expected[name].startswith(f"CREATE {kind.upper()} "):
            words.append(f"{name} was redefined.")
    return words


class Recorded:
    """The history that a log holds, for folding it again; see :class:`ledger.folding.History`."""

    def __init__(self, log: Log) -> None:
        self.log = log

    def one(self, seq: int) -> Entry | None:
        """The event ``seq``; None where its body is not there any more."""
        return next(entries(self.log, seq, seq), None)

    def upto(self, last: int, types: frozenset[str], names: frozenset[str]) -> Iterator[Entry]:
        """Entries up to event ``last``, of certain types, that mention one of the names; and all corrections."""
        # What an imported event names stands there without what it is read under here.
        return entries(self.log, 0, last, types, names | {name.partition("/")[2] for name in names if "/" in name})


def entries(
    log: Log, first: int, last: int, types: frozenset[str] = frozenset(), names: frozenset[str] = frozenset()
) -> Iterator[Entry]:
    """Events ``first`` to ``last`` with their place; erased ones are left out, and other types where some are named.

    Where names are given, only events that hold one of them as a text, and corrections.
    """
    if first > last:
        return
    commit = log.commit_of(first)
    commits = log.commits(commit.n + 1)
    decoded: Commit | None = None
    for seq, filed_as, data, _id, _sha256 in log.rows(first, last, types, names):
        if data is None:
            continue
        while seq > commit.last_seq:
            following = next(commits, None)
            if following is None:
                raise Damaged(f"Event #{seq} of {log.path} is in no commit.", "`tally verify` says what is wrong.")
            commit = following
        if decoded is not commit:
            head, moment, decoded = decode_head(commit.head), from_micros(commit.recorded_at), commit
            under = names_under(log, commit, head)
        event = vocabulary.decode(data, filed_as)
        yield Entry(seq, commit.n, moment, head.actor, event if under is None else vocabulary.named_under(event, under))


class _Stored:
    """Current states: what this catch-up made of them, else what is kept in the file.

    ``known`` holds the names of entities where all of them were met in this catch-up, so that new ones, which are
    many when a view is built anew, are not searched for in the file.
    """

    def __init__(self, connection: sqlite3.Connection, known: dict[str, set[str]]) -> None:
        self.connection = connection
        self.known = known
        self.overlays: dict[str, dict[str, State | None]] = {projection.name: {} for projection in PROJECTIONS}
        self.rows: dict[str, list[tuple[str, int, str, str | None]]] = {p.name: [] for p in PROJECTIONS}

    def current(self, projection: Projection, key: str) -> State | None:
        overlay = self.overlays[projection.name]
        try:
            return overlay[key]
        except KeyError:
            known = self.known.get(projection.name)
            if known is not None and key not in known:
                return overlay.setdefault(key, None)
            query = f"SELECT state FROM {projection.name}_versions WHERE key = ? ORDER BY from_seq DESC LIMIT 1"
            row = self.connection.execute(query, (key,)).fetchone()
            stored = None if row is None or row[0] is None else _decoder(projection.state)(row[0])
            return overlay.setdefault(key, stored)

    def keep(self, position: int, change: Changed) -> None:
        projection, key, state = change
        name = projection.name
        before = self.current(projection, key)
        text = None if state is None else encode_canonical(state).decode()
        self.rows[name].append((key, position, changed_words(before, state), text))
        self.overlays[name][key] = state
        if (known := self.known.get(name)) is not None:
            known.add(key)

    def write(self) -> None:
        """Put what was kept into the file; the states are held on to, for whatever comes next, while they are few."""
        for name, rows in self.rows.items():
            if rows:
                self.connection.executemany(
                    f"INSERT INTO {name}_keys VALUES(?,?) ON CONFLICT(key) DO NOTHING",
                    [row[:2] for row in rows if row[2] == NEW],
                )
                # In the order of the table, so that neighbours are written together.
                rows.sort(key=itemgetter(0, 1))
                self.connection.executemany(f"INSERT INTO {name}_versions VALUES(?,?,?,?)", rows)
                rows.clear()
        if sum(map(len, self.overlays.values())) > MOST_STATES_HELD:
            for overlay in self.overlays.values():
                overlay.clear()


def changed_words(before: State | None, after: State | None) -> str:
    """How a version row names what it changed: ``,status,reason,``, or ``*`` where there was nothing before."""
    return NEW if before is None or after is None else f",{','.join(changed_fields(before, after))},"


def _advance(
    stored: _Stored, seen: dict[Projection, int], batch: Iterable[tuple[int, Entry]], history: History
) -> None:
    """Fold entries with their positions into the views, each into those that have not seen it."""
    asked = readers(seen.keys())
    together = len(set(seen.values())) == 1
    for position, entry in batch:
        if not vocabulary.is_known(entry.event):
            continue
        if not together:
            asked = readers([projection for projection, seq in seen.items() if seq < position])
        for change in changes(entry, stored, history, asked):
            stored.keep(position, change)
    stored.write()


def _drop(connection: sqlite3.Connection, name: str) -> None:
    for kind, suffix in (("VIEW", ""), ("TABLE", "_versions"), ("TABLE", "_keys")):
        connection.execute(f"DROP {kind} IF EXISTS {name}{suffix}")


def _read_cursors(connection: sqlite3.Connection) -> dict[str, Cursor]:
    rows = connection.execute("SELECT projection, fingerprint, seq, id FROM cursors")
    return {row[0]: Cursor(*row[1:]) for row in rows}


def _data_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


def _array(texts: Iterable[str | None]) -> str:
    """One JSON array of many values: a single call reads them faster than a call for each."""
    return f"[{','.join('null' if text is None else text for text in texts)}]"


@cache
def _list_decoder(state: type[State]) -> Callable[[str], Any]:
    return msgspec.json.Decoder(list[state | None]).decode  # type: ignore[valid-type]


@cache
def _decoder(state: type[State]) -> Callable[[str], Any]:
    return msgspec.json.Decoder(state).decode


@contextmanager
def _immediate(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite has rolled back by itself where the disk was full
            connection.execute("ROLLBACK")
        raise
