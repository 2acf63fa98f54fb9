"""Where the states of entities are asked for at a date; how they are kept is :mod:`ledger.views.tables`."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, cast

import msgspec

from tallystick.ledger.errors import Damaged, NotFound
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.unknown import Unknown
from tallystick.ledger.storage.erasures import may_hold_lost
from tallystick.ledger.storage.log import Log, Row
from tallystick.ledger.views.cache_file import ViewsFile
from tallystick.ledger.views.entities import NAMED, PROJECTIONS, LinkState
from tallystick.ledger.views.entities.links import LINKS, SEPARATOR
from tallystick.ledger.views.event_index import ERASED_ELSEWHERE
from tallystick.ledger.views.fold import GivenHistory, Versions
from tallystick.ledger.views.projection import Projection, State
from tallystick.ledger.views.rows import VersionTables, advance
from tallystick.ledger.views.tables import (
    LAST_SEQ,
    NEW,
    all_as_of,
    decoder,
    encode_states,
    first_row,
    list_decoder,
    newest,
    parts,
    rows_table,
    select,
    tables,
    whole_state,
)


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
    """A name as SQLite is asked for it; one whose bytes are not text matches nothing.

    Raises
    ------
    NotFound
        For a name that is unknown because what held it was erased.
    """
    if isinstance(key, Unknown):
        raise NotFound(f"What it is called is {key}.", f"tally show '#{key.event}' says why.")
    try:
        key.encode()
    except UnicodeEncodeError:
        return key.encode(errors="surrogatepass")
    return key


class Views(ViewsFile):
    """The states of one ledger at any position of its log."""

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
        return None if row is None or row[0] is None else decoder(projection.state)(row[0])

    def some(self, projection: Projection, keys: Iterable[str], seq: int) -> dict[str, State]:
        """The states of those of some entities that exist after event ``seq``, by name; names hold no zero byte."""
        query = (
            f"SELECT names.value, (SELECT state FROM {projection.name}_versions WHERE key = names.value "
            "AND from_seq <= ? ORDER BY from_seq DESC LIMIT 1) FROM json_each(?) names"
        )
        decode = decoder(projection.state)
        rows = self.caught_up().execute(query, (seq, msgspec.json.encode(list(keys)).decode()))
        return {key: decode(text) for key, text in rows if text is not None}

    def all(self, projection: Projection, seq: int) -> list[State]:
        """The states of all entities after event ``seq``, in the order in which they came to be."""
        decode = decoder(projection.state)
        return [decode(row[0]) for row in self.caught_up().execute(all_as_of(projection), (seq, seq))]

    def history(self, projection: Projection, key: str, after: int, seq: int) -> list[Version]:
        """The versions of one entity from behind ``after`` up to ``seq``, oldest first."""
        decode, rest, rows = decoder(projection.state), parts(projection).rest, rows_table(projection)
        groups = "".join(f", v.steady_{group}" for group in range(len(projection.steady)))
        connection, found = self.caught_up(), []
        held: tuple[list[int | None], State] | None = None
        listed = connection.execute(
            f"SELECT v.id, v.from_seq, v.changed, v.state{groups} FROM {rows} v "
            "WHERE v.key = ? AND v.from_seq > ? AND v.from_seq <= ? ORDER BY v.from_seq",
            (_named(key), after, seq),
        )
        for row, from_seq, changed, text, *steady in listed:
            state: State | None = None
            if text is not None and rest is not None and held is not None and held[0] == steady:
                state = rest.onto(held[1], text)  # large fields that stay the same are read, and kept, once
            elif text is not None:
                query = f"SELECT {whole_state(projection, 'v')} FROM {rows} v WHERE v.id = ?"
                state = decode(connection.execute(query, (row,)).fetchone()[0] if rest else text)
            held = None if state is None else (steady, state)
            found.append(Version(from_seq, changed, state))
        return found

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
            table = f"{projection.name}_versions"
            query = f"SELECT id, key, from_seq, before, changed FROM {table} WHERE id >= ? AND id < ? ORDER BY id"
            found: dict[str, list[tuple[int, str]]] = {}
            latest: dict[str, int] = {}
            rows_before: list[int | None] = []
            for row, key, from_seq, before, changed in connection.execute(query, _rows(after, seq)):
                if key not in found:
                    found[key] = []
                    rows_before.append(before)
                found[key].append((from_seq, changed))
                latest[key] = row
            if not found:
                continue
            # One question for all states at either end; thousands of small ones would take longer than all else.
            query = f"SELECT v.id, v.state FROM json_each(?) rows CROSS JOIN {table} v WHERE v.id = rows.value"
            asked = msgspec.json.encode([*rows_before, *latest.values()]).decode()
            texts: dict[int | None, str] = dict(connection.execute(query, (asked,)).fetchall())
            decode = list_decoder(projection.state)
            befores = decode(_array(map(texts.get, rows_before)))
            afters = decode(_array(map(texts.get, latest.values())))
            for key, before_, after_ in zip(found, befores, afters, strict=True):
                yield Touched(projection, key, found[key], before_, after_)

    def event_at(self, position: int) -> int:
        """The event that stands at a position."""
        return position

    def links(self, node: str, towards: str, seq: int) -> list[LinkState]:
        """Edges of a node after event ``seq``, downwards or upwards, oldest first."""
        return cast("list[LinkState]", self.beginning(LINKS, f"{node}{SEPARATOR}{towards}{SEPARATOR}", seq))

    def beginning(self, projection: Projection, prefix: str, seq: int) -> list[State]:
        """The states of entities whose names begin with ``prefix`` after event ``seq``, oldest first."""
        query = (
            f"SELECT {whole_state(projection, 'v')} FROM {newest(projection, '?1')} "
            "AND k.key >= ?2 AND k.key < ?3 ORDER BY k.first_seq, k.key"
        )
        decode = decoder(projection.state)
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        return [decode(row[0]) for row in self.caught_up().execute(query, (seq, _named(prefix), _named(end)))]

    def versions(self, last_seq: int = LAST_SEQ) -> Versions:
        """Everything that is kept up to a position, for comparison with a fold."""
        kept: Versions = {}
        connection = self.caught_up()
        for projection in PROJECTIONS:
            decode = decoder(projection.state)
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

    def sql(self, seq: int, instead: Mapping[Projection, Sequence[State]] | None = None) -> sqlite3.Connection:
        """A connection for questions in SQL: one view a projection, as of position ``seq``; it cannot write.

        ``instead`` are all states of some projections, where those that are kept are not what is to be answered.
        """
        source = self.caught_up()
        connection = sqlite3.connect("file::memory:", uri=True, isolation_level=None)
        if source is self._memory:
            source.backup(connection)
            schema = "main."
        else:
            connection.execute("ATTACH ? AS kept", (f"{self.path.absolute().as_uri()}?mode=ro",))
            schema = "kept."
        for projection in PROJECTIONS:
            states = select(projection, schema, str(int(seq)), "")
            if instead is not None and projection in instead:
                states = _given(connection, projection, instead[projection])
            connection.execute(f"CREATE TEMP VIEW {projection.name} AS {states}")
        connection.execute("PRAGMA query_only = ON")
        return connection


class MemoryViews(Views):
    """The same questions about entries that are not the log's own: a what-if, or another order of time.

    Positions count the entries as they are given; the states say which event made them.
    """

    def __init__(self, log: Log, told: Sequence[Entry]) -> None:
        super().__init__(log.path.parent, log)
        self.told = told
        connection = self._in_memory()
        for projection in PROJECTIONS:
            for statement in tables(projection).values():
                connection.execute(statement)

        advance(VersionTables(connection), dict.fromkeys(PROJECTIONS, -1), enumerate(told), GivenHistory(told))

    def caught_up(self) -> sqlite3.Connection:
        """What was folded at the beginning."""
        assert self._memory is not None
        return self._memory

    def rows_of(self, types: Collection[str], first: int, last: int) -> Iterator[Row]:
        """The same from the log itself, of which every event is read and hashed."""
        for row in self.log.rows(first, last):
            if row[1] in types or (ERASED_ELSEWHERE in types and may_hold_lost(row)):
                yield row

    def event_at(self, position: int) -> int:
        """The event that stands at a position of this order."""
        return self.told[position].seq


def _given(connection: sqlite3.Connection, projection: Projection, states: Sequence[State]) -> str:
    """The query for states that are given and not kept, with one column a field."""
    table = f"{projection.name}_given"
    connection.execute(f"CREATE TEMP TABLE {table}(state TEXT NOT NULL)")
    connection.executemany(f"INSERT INTO {table} VALUES(?)", ((text,) for text in encode_states(states)))
    fields = ", ".join(
        f"json_extract(state, '$.{field}') AS \"{field}\"" for field in projection.state.__struct_fields__
    )
    return f"SELECT {fields} FROM {table}"


def _rows(after: int, seq: int) -> tuple[int, int]:
    """The rows of the events behind ``after`` and up to ``seq``: the first, and the first that is none of them."""
    return first_row(after + 1), first_row(seq + 1)


def _array(texts: Iterable[str | None]) -> str:
    """One JSON array of many values: a single call reads them faster than a call for each."""
    return f"[{','.join('null' if text is None else text for text in texts)}]"
