"""Whether a database holds exactly the objects that belong there, word for word."""

from __future__ import annotations

import sqlite3


def schema_differences(connection: sqlite3.Connection, expected: dict[str, str]) -> list[str]:
    """How the objects of a database differ from those that belong there; SQLite's own are left out."""
    found = {
        str(name): str(sql)
        for name, sql in connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
        if not str(name).startswith("sqlite_")
    }
    return (
        [f"{name} is missing from the schema." for name in expected if name not in found]
        + [f"{name} is not part of the schema." for name in found if name not in expected]
        + [f"{name} was redefined." for name in expected if name in found and found[name] != expected[name]]
    )
