"""Whether a database holds exactly the objects that belong there, word for word."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from functools import lru_cache

Object = tuple[str, str, str, str | None]
"""Type, name, table and text of an object, as ``sqlite_schema`` lists it."""


def schema_differences(connection: sqlite3.Connection, expected: dict[str, str]) -> list[str]:
    """How the objects of a database differ from those that belong there.

    SQLite's own are compared as well: with ``writable_schema`` a trigger can be given a name like theirs.
    """
    belonging = _by_name(_objects(tuple(expected.values())))
    found = _by_name(connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema"))
    return (
        [f"{name} is missing from the schema." for name in belonging if name not in found]
        + [f"{name} is not part of the schema." for name in found if name not in belonging]
        + [f"{name} was redefined." for name in belonging if name in found and found[name] != belonging[name]]
    )


@lru_cache
def _objects(statements: tuple[str, ...]) -> tuple[Object, ...]:
    """What SQLite lists once these statements were executed in an empty database."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        for statement in statements:
            connection.execute(statement)
        return tuple(connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema"))
    finally:
        connection.close()


def _by_name(objects: Iterable[Object]) -> dict[str, list[Object]]:
    named: dict[str, list[Object]] = {}
    for kind, name, table, sql in objects:
        named.setdefault(str(name), []).append((str(kind), str(name), str(table), sql))
    return named
