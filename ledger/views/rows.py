"""Folding entries into the rows of a views file: what they follow from, and how they are written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from tallystick.ledger.events import types
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.views.entities import PROJECTIONS
from tallystick.ledger.views.fold import Changed, History, changed_fields, changes, readers
from tallystick.ledger.views.projection import Lookup, Projection, State
from tallystick.ledger.views.tables import NEW, ROWS_AN_EVENT, decoder, encode_states, first_row

MOST_STATES_HELD = 50_000


class _Current(dict[str, "State | None"]):
    """Newest states of one projection by name: what this catch-up made of them, else what is kept in the file."""

    def __init__(self, connection: sqlite3.Connection, projection: Projection, is_new: bool) -> None:
        super().__init__()
        self.connection = connection
        self.decode = decoder(projection.state)
        self.is_new = is_new
        self.rows: dict[str, int] = {}
        """The newest row of each entity: of those that were met, which is all of them where the view is built anew.

        Nothing needs to be searched for then; new entities are many, and the index by entity is not there yet.
        """
        found = "id = ?" if is_new else "key = ? ORDER BY from_seq DESC LIMIT 1"
        self.query = f"SELECT id, state FROM {projection.name}_versions WHERE {found}"

    def __missing__(self, key: str) -> State | None:
        wanted = self.rows.get(key) if self.is_new else key
        if wanted is None:
            return None
        state = None
        if (row := self.connection.execute(self.query, (wanted,)).fetchone()) is not None:
            self.rows[key], text = row
            state = None if text is None else self.decode(text)
        self[key] = state
        return state


class _Made(NamedTuple):
    """New states of one projection that are not written yet, column by column: one call encodes all of them."""

    rows: list[int]
    keys: list[str]
    rows_before: list[int | None]
    before: list[State | None]
    after: list[State | None]

    def write(self, connection: sqlite3.Connection, name: str) -> None:
        """Put them into the tables of a projection, and forget them."""
        placed = zip(self.keys, self.rows, self.rows_before, strict=True)
        new = [(key, row // ROWS_AN_EVENT) for key, row, before in placed if before is None]
        new.sort()  # as the table is, so that neighbours are written together
        connection.executemany(f"INSERT INTO {name}_keys VALUES(?,?)", new)
        changed = map(changed_words, self.before, self.after)
        connection.executemany(
            f"INSERT INTO {name}_versions VALUES(?1, ?2, ?1 / {ROWS_AN_EVENT}, ?3, ?4, nullif(?5, 'null'))",
            zip(self.rows, self.keys, self.rows_before, changed, encode_states(self.after), strict=True),
        )
        for column in self:
            column.clear()


class Stored:
    """The current states of a views file, and new rows for it.

    ``anew`` names the projections that are built from the beginning.
    """

    def __init__(self, connection: sqlite3.Connection, anew: frozenset[str] = frozenset()) -> None:
        self.connection = connection
        self.current = {p.name: _Current(connection, p, p.name in anew) for p in PROJECTIONS}
        self.made = {p.name: _Made([], [], [], [], []) for p in PROJECTIONS}

    def newest(self, projection: Projection) -> Lookup:
        """How current states are looked up by name."""
        return self.current[projection.name].__getitem__

    def keep(self, position: int, changed: list[Changed]) -> None:
        """Hold on to what an event made, to be written later."""
        row = first_row(position)
        for projection, key, state in changed:
            current, made = self.current[projection.name], self.made[projection.name]
            made.before.append(current[key])
            made.rows_before.append(current.rows.get(key))
            made.rows.append(row)
            made.keys.append(key)
            made.after.append(state)
            current[key] = state
            current.rows[key] = row
            row += 1

    def write(self) -> None:
        """Put what was kept into the file; the states are held on to, for whatever comes next, while they are few."""
        for name, made in self.made.items():
            if made.rows:
                made.write(self.connection, name)
        if sum(map(len, self.current.values())) > MOST_STATES_HELD:
            for current in self.current.values():
                current.clear()


def changed_words(before: State | None, after: State | None) -> str:
    """How a version row names what it changed: ``,status,reason,``, or ``*`` where there was nothing before."""
    return NEW if before is None or after is None else f",{','.join(changed_fields(before, after))},"


def advance(stored: Stored, seen: dict[Projection, int], batch: Iterable[tuple[int, Entry]], history: History) -> None:
    """Fold entries with their positions into the views, each into those that have not seen it."""
    asked = readers(seen.keys(), stored.newest)
    together = len(set(seen.values())) == 1
    for position, entry in batch:
        if not types.is_known(entry.event):
            continue
        if not together:
            asked = readers([projection for projection, seq in seen.items() if seq < position], stored.newest)
        if made := changes(entry, asked, history):
            stored.keep(position, made)
    stored.write()
