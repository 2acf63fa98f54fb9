"""What lies in a views file: its tables, their names, and how a state is found in them.

Each state is one *version row* ``(key, from_seq)`` without an end. Asking per entity for the newest row at or before a
position costs one descent of a B-tree, however long the history; rows with an end would not, because a B-tree prunes
only one side of ``from <= s < to``. A row also names the fields that it changed, so that *why is this so* and *what
changed between* need not compare states.

Rows lie in the order in which they were made: their number begins with the position of their event. New ones are
added at the end, which is what a B-tree does fastest, and those between two positions are neighbours. Each names the
row of its entity before it. The index by entity holds names and positions only.

An entity with many versions changes little from one to the next, and would repeat its large fields in each: a trial
of 1,000 measurements with 100 kB of parameters took 100 MB. A projection therefore names groups of fields that seldom
change (:attr:`ledger.views.projection.Projection.steady`). Each group has a table of its own, and a version row names
the row there. The SQL view ``NAME_versions`` puts the parts together, so that readers need not know how a projection
is stored. What grows by itself, such as the files of a trial, is a projection of its own.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_type_hints

import msgspec
from blake3 import blake3

from tallystick.ledger.events.unknown import Unknown
from tallystick.ledger.views import fold
from tallystick.ledger.views.entities import PROJECTIONS
from tallystick.ledger.views.event_index import EVENT_TYPES
from tallystick.ledger.views.fold import Changed
from tallystick.ledger.views.projection import Projection, S, State

VIEWS_FORMAT = 6
LAST_SEQ = (1 << 63) - 1
NEW = "*"
"""In place of the changed fields: the entity was not there before."""
ROWS_AN_EVENT = 1 << 20
"""More than any event makes: it has at most as many bytes, and each row of it takes more than one."""

CURSORS = """CREATE TABLE cursors(
  projection TEXT PRIMARY KEY,
  fingerprint TEXT NOT NULL,
  seq INTEGER NOT NULL,
  id BLOB NOT NULL
) STRICT, WITHOUT ROWID"""
AS_OF = "CREATE TABLE asof(seq INTEGER NOT NULL) STRICT"
INDEX = "event_types"
"""The index of events by type, which has a cursor like those of the projections."""
INDEX_FORMAT = 2


def first_row(seq: int) -> int:
    """The number that the first row of an event has, or would have."""
    return seq * ROWS_AN_EVENT


def numbered(seq: int, made: Iterable[Changed]) -> Iterator[tuple[int, Changed]]:
    """What an event changes, each with the number of its row.

    Each projection counts its own rows: one that is built again alone must get the numbers that it has among others.
    """
    counts: dict[str, int] = {}
    for change in made:
        name = change[0].name
        count = counts.get(name, 0)
        counts[name] = count + 1
        yield first_row(seq) + count, change


def rows_table(projection: Projection) -> str:
    """The table of version rows; ``NAME_versions`` is a view over it where states are stored in parts."""
    return f"{projection.name}_{'rows' if projection.steady else 'versions'}"


def steady_table(projection: Projection, group: int) -> str:
    """The table that holds one group of steady fields."""
    return f"{projection.name}_steady_{group}"


def whole_state(projection: Projection, row: str, schema: str = "") -> str:
    """SQL for the JSON of a whole state, where ``row`` names a version row."""
    # Each part is an object with fields of its own, and none is empty: joined as texts they are one object. A group
    # whose fields have their defaults has no row.
    parts = [
        f"coalesce((SELECT substr(s.state, 2, length(s.state) - 2) || ',' "
        f"FROM {schema}{steady_table(projection, group)} s WHERE s.id = {row}.steady_{group}), '')"
        for group in range(len(projection.steady))
    ]
    return " || ".join(["'{'", *parts, f"substr({row}.state, 2)"]) if parts else f"{row}.state"


def newest(projection: Projection, seq: str, schema: str = "") -> str:
    """Rows of a projection at a position. CROSS JOIN keeps the planner from scanning every version."""
    rows = schema + rows_table(projection)
    return (
        f"{schema}{projection.name}_keys k CROSS JOIN {rows} v\n"
        f"WHERE k.first_seq <= {seq} AND v.state IS NOT NULL AND v.id = (\n"
        f"  SELECT id FROM {rows} WHERE key = k.key AND from_seq <= {seq} ORDER BY from_seq DESC LIMIT 1)"
    )


def select(projection: Projection, schema: str, seq: str, source: str) -> str:
    """The states of a projection with one column a field, at the position that ``seq`` names."""
    columns = ",\n  ".join(
        f'{_field(projection, field, schema)} AS "{field}"' for field in projection.state.__struct_fields__
    )
    return f"SELECT\n  {columns}\nFROM {source}{newest(projection, seq, schema)}"


def _field(projection: Projection, field: str, schema: str) -> str:
    for group, fields in enumerate(projection.steady):
        if field in fields:
            table = schema + steady_table(projection, group)
            return f"(SELECT json_extract(s.state, '$.{field}') FROM {table} s WHERE s.id = v.steady_{group})"
    return f"json_extract(v.state, '$.{field}')"


def index_of(projection: Projection) -> str:
    """The name of the index by entity."""
    return f"{projection.name}_by_key"


def tables(projection: Projection) -> dict[str, str]:
    """The SQL objects of one projection with their exact text."""
    name, rows = projection.name, rows_table(projection)
    steady = "".join(f"  steady_{group} INTEGER,\n" for group in range(len(projection.steady)))
    objects = {
        f"{name}_keys": f"CREATE TABLE {name}_keys(\n  key TEXT PRIMARY KEY,\n  first_seq INTEGER NOT NULL\n) "
        "STRICT, WITHOUT ROWID",
        # The state comes last, so that a search through many versions does not read it.
        rows: f"CREATE TABLE {rows}(\n  id INTEGER PRIMARY KEY,\n  key TEXT NOT NULL,\n"
        f"  from_seq INTEGER NOT NULL,\n  before INTEGER,\n  changed TEXT NOT NULL,\n{steady}  state TEXT\n) STRICT",
        index_of(projection): f"CREATE INDEX {index_of(projection)} ON {rows}(key, from_seq)",
    }
    for group in range(len(projection.steady)):
        table = steady_table(projection, group)
        objects[table] = f"CREATE TABLE {table}(\n  id INTEGER PRIMARY KEY,\n  state TEXT NOT NULL\n) STRICT"
    if projection.steady:
        objects[f"{name}_versions"] = (
            f"CREATE VIEW {name}_versions AS SELECT v.id, v.key, v.from_seq, v.before, v.changed,\n"
            f"  {whole_state(projection, 'v')} AS state\nFROM {rows} v"
        )
    # For people with sqlite3 or datasette: `UPDATE asof SET seq = 812; SELECT * FROM models;`
    objects[name] = f"CREATE VIEW {name} AS {select(projection, '', 'a.seq', 'asof a CROSS JOIN ')}"
    return objects


def schema() -> dict[str, str]:
    """Every object of a views file with its exact text."""
    objects = {"cursors": CURSORS, "asof": AS_OF, INDEX: EVENT_TYPES}
    for projection in PROJECTIONS:
        objects.update(tables(projection))
    return objects


@cache
def fingerprint(projection: Projection) -> str:
    """Hash of the tables of a view and of the code that fills them: when it changes, the view is built again."""
    made_of = projection.fingerprint.encode() + "".join(tables(projection).values()).encode() + _folding_code()
    return f"{VIEWS_FORMAT}-{blake3(made_of).hexdigest()[:32]}"


@cache
def _folding_code() -> bytes:
    return Path(fold.__file__).read_bytes()


def all_as_of(projection: Projection) -> str:
    """The query for the states of all entities at a position, which is its two parameters."""
    return f"SELECT {whole_state(projection, 'v')} FROM {newest(projection, '?')} ORDER BY k.first_seq, k.key"


def altered(connection: sqlite3.Connection) -> list[str]:
    """What stands for something else in a views file, or acts by itself when it is written to, in words."""
    expected = schema()
    words = []
    for kind, name in connection.execute("SELECT type, name FROM sqlite_schema"):
        if kind == "trigger":
            words.append(f"{name} is not part of the schema.")
        elif name in expected and not expected[name].startswith(f"CREATE {kind.upper()} "):
            words.append(f"{name} was redefined.")
    return words


def drop(connection: sqlite3.Connection, name: str) -> None:
    """Remove what belongs to a projection, as this or an earlier program kept it; an index goes with its table."""
    found = connection.execute("SELECT name, type FROM sqlite_schema WHERE type IN ('view', 'table')").fetchall()
    suffixes = re.compile(rf"{name}(_versions|_rows|_keys|_steady_[0-9]+)?")
    for found_name, kind in sorted(found, key=lambda row: str(row[1]), reverse=True):  # views first
        if suffixes.fullmatch(found_name):
            connection.execute(f"DROP {kind} {found_name}")


_encoder = msgspec.json.Encoder(order="deterministic")


def encode_states(states: Sequence[object]) -> list[str]:
    """How states, or parts of them, are stored: fields in their declared order; ``null`` where there is none."""
    return _encoder.encode_lines(states).decode().split("\n")[:-1]  # JSON has no line break within a text


class FieldGroup:
    """Some fields of the states of a projection, as they are stored together."""

    def __init__(self, projection: Projection, fields: Sequence[str]) -> None:
        types = get_type_hints(projection.state)
        name = f"{projection.state.__name__}Part"
        self._struct = msgspec.defstruct(name, [(field, types[field]) for field in fields])
        self._decode = msgspec.json.Decoder(self._struct).decode
        self._fields = tuple(fields)
        known = {field.name: field.default for field in msgspec.structs.fields(projection.state)}
        self._defaults = tuple(known[field] for field in fields)
        read = attrgetter(*fields)
        self.of: Callable[[State], tuple[Any, ...]] = read if len(fields) > 1 else lambda state: (read(state),)
        """The values of these fields."""

    def is_default(self, state: State) -> bool:
        """Whether all of these fields have their defaults, which a reader fills in where nothing is stored."""
        return self.of(state) == self._defaults

    def onto(self, state: S, text: str) -> S:
        """A state with this part replaced by what was stored of it."""
        part = self._decode(text) if UNKNOWN not in text else read_with_unknown(self._struct, text)
        return msgspec.structs.replace(state, **{field: getattr(part, field) for field in self._fields})

    def cut(self, states: Sequence[State | None]) -> list[msgspec.Struct | None]:
        """This part of each state."""
        return [None if state is None else self._struct(*self.of(state)) for state in states]


class StateParts(NamedTuple):
    """How the states of a projection are divided."""

    steady: tuple[FieldGroup, ...]
    """In the order of :attr:`Projection.steady`."""
    rest: FieldGroup | None
    """What every version row holds; None for whole states."""
    group_of: dict[str, int]
    """The group of each steady field."""

    def rows(self, states: Sequence[State | None]) -> list[str]:
        """What version rows hold of some states; ``null`` where there is none."""
        return encode_states(states if self.rest is None else self.rest.cut(states))

    def steady_rows(
        self, row: int, changed: Collection[str] | None, state: State | None, held: Sequence[int | None]
    ) -> tuple[int | None, ...]:
        """The rows that hold the groups of a new state: those held before, or ``row`` for groups that changed.

        Parameters
        ----------
        changed : collection of str, optional
            Fields that differ from the state before; None where there was none, or there is none any more.
        held : sequence of int or None
            The rows of the state before; None for a group whose fields have their defaults.
        """
        if state is None or not self.steady:
            return (None,) * len(self.steady)
        if changed is not None and self.group_of.keys().isdisjoint(changed):
            return tuple(held)
        touched = range(len(self.steady)) if changed is None else {self.group_of.get(field) for field in changed}
        return tuple(
            (None if part.is_default(state) else row) if group in touched else held[group]
            for group, part in enumerate(self.steady)
        )


@cache
def parts(projection: Projection) -> StateParts:
    """How the states of a projection are divided."""
    steady = tuple(FieldGroup(projection, fields) for fields in projection.steady)
    group_of = {field: group for group, fields in enumerate(projection.steady) for field in fields}
    rest = [field for field in projection.state.__struct_fields__ if field not in group_of]
    return StateParts(steady, FieldGroup(projection, rest) if steady else None, group_of)


UNKNOWN = '{"unknown":"erased","event":'
"""How an :class:`Unknown` begins in JSON. In a text the quotes would stand behind backslashes."""


@cache
def list_decoder(state: type[State]) -> Callable[[str], list[Any]]:
    """Reads a JSON array of states; null where there is none."""
    decode, one = msgspec.json.Decoder(list[state | None]).decode, decoder(state)  # type: ignore[valid-type]

    def read(text: str) -> list[Any]:
        if UNKNOWN not in text:
            return decode(text)
        parts = msgspec.json.decode(text, type=list[msgspec.Raw])
        return [None if bytes(part) == b"null" else one(bytes(part).decode()) for part in parts]

    return read


@cache
def decoder(state: type[State]) -> Callable[[str], Any]:
    """Reads a state as it is stored."""
    decode = msgspec.json.Decoder(state).decode
    return lambda text: decode(text) if UNKNOWN not in text else read_with_unknown(state, text)


def read_with_unknown(kind: type[msgspec.Struct], text: str | bytes) -> Any:
    """A struct from its JSON, where any field may hold an :class:`Unknown` in place of its value."""
    types = get_type_hints(kind)
    values = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    return kind(**{field: _value(types[field], bytes(raw)) for field, raw in values.items()})


def _value(hint: Any, raw: bytes) -> Any:
    if raw.startswith(UNKNOWN.encode()):
        return msgspec.json.decode(raw, type=Unknown)
    if UNKNOWN.encode() in raw:
        # Of nested values only structs hold unknown ones: a champion whose reason was erased.
        for kind in (hint, *get_args(hint)):
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
                return read_with_unknown(kind, raw)
    return msgspec.json.decode(raw, type=hint)
