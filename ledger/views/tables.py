"""What lies in a views file: its tables, their names, and how a state is found in them.

Each state is one *version row* ``(key, from_seq)`` without an end. Asking per entity for the newest row at or before a
position costs one descent of a B-tree, however long the history; rows with an end would not, because a B-tree prunes
only one side of ``from <= s < to``. A row also names the fields that it changed, so that *why is this so* and *what
changed between* need not compare states.

Rows lie in the order in which they were made: their number begins with the position of their event. New ones are
added at the end, which is what a B-tree does fastest, and those between two positions are neighbours. Each names the
row of its entity before it. The index by entity holds names and positions only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from blake3 import blake3

from tallystick.ledger.views import fold
from tallystick.ledger.views.entities import PROJECTIONS
from tallystick.ledger.views.projection import Projection, State

VIEWS_FORMAT = 3
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


def first_row(seq: int) -> int:
    """The number that the first row of an event has, or would have."""
    return seq * ROWS_AN_EVENT


def newest(name: str, seq: str) -> str:
    """Rows of a projection at a position. CROSS JOIN keeps the planner from scanning every version."""
    return (
        f"{name}_keys k CROSS JOIN {name}_versions v\n"
        f"WHERE k.first_seq <= {seq} AND v.state IS NOT NULL AND v.id = (\n"
        f"  SELECT id FROM {name}_versions WHERE key = k.key AND from_seq <= {seq} ORDER BY from_seq DESC LIMIT 1)"
    )


def select(projection: Projection, schema: str, seq: str, source: str) -> str:
    """The states of a projection with one column a field, at the position that ``seq`` names."""
    columns = ",\n  ".join(
        f"json_extract(v.state, '$.{field}') AS \"{field}\"" for field in projection.state.__struct_fields__
    )
    return f"SELECT\n  {columns}\nFROM {source}{newest(schema + projection.name, seq)}"


def index_of(projection: Projection) -> str:
    """The name of the index by entity."""
    return f"{projection.name}_by_key"


def tables(projection: Projection) -> dict[str, str]:
    """The SQL objects of one projection with their exact text."""
    name = projection.name
    return {
        f"{name}_keys": f"CREATE TABLE {name}_keys(\n  key TEXT PRIMARY KEY,\n  first_seq INTEGER NOT NULL\n) "
        "STRICT, WITHOUT ROWID",
        # The state comes last, so that a search through many versions does not read it.
        f"{name}_versions": f"CREATE TABLE {name}_versions(\n  id INTEGER PRIMARY KEY,\n  key TEXT NOT NULL,\n"
        "  from_seq INTEGER NOT NULL,\n  before INTEGER,\n  changed TEXT NOT NULL,\n  state TEXT\n) STRICT",
        index_of(projection): f"CREATE INDEX {index_of(projection)} ON {name}_versions(key, from_seq)",
        # For people with sqlite3 or datasette: `UPDATE asof SET seq = 812; SELECT * FROM models;`
        name: f"CREATE VIEW {name} AS {select(projection, '', 'a.seq', 'asof a CROSS JOIN ')}",
    }


def schema() -> dict[str, str]:
    """Every object of a views file with its exact text."""
    objects = {"cursors": CURSORS, "asof": AS_OF}
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
    return f"SELECT v.state FROM {newest(projection.name, '?')} ORDER BY k.first_seq, k.key"


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
    """Remove what belongs to a projection; an index goes with its table."""
    for kind, suffix in (("VIEW", ""), ("TABLE", "_versions"), ("TABLE", "_keys")):
        connection.execute(f"DROP {kind} IF EXISTS {name}{suffix}")


_encoder = msgspec.json.Encoder(order="deterministic")


def encode_state(state: State | None) -> str | None:
    """How a state is stored: fields in their declared order, in which they are read fastest."""
    return None if state is None else _encoder.encode(state).decode()


def encode_states(states: list[State | None]) -> list[str]:
    """The same of many in one call; ``null`` where there is none."""
    return _encoder.encode_lines(states).decode().split("\n")[:-1]  # JSON has no line break within a text


@cache
def list_decoder(state: type[State]) -> Callable[[str], Any]:
    """Reads a JSON array of states; null where there is none."""
    return msgspec.json.Decoder(list[state | None]).decode  # type: ignore[valid-type]


@cache
def decoder(state: type[State]) -> Callable[[str], Any]:
    """Reads a state as it is stored."""
    return msgspec.json.Decoder(state).decode
