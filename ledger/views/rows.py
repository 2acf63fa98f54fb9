"""Folding entries into the rows of a views file: what they follow from, and how they are written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from tallystick.ledger.events.entry import Entry
from tallystick.ledger.views.entities import PROJECTIONS
from tallystick.ledger.views.fold import Changed, History, Newest, changed_fields, changes, is_read, readers
from tallystick.ledger.views.projection import Projection, State
from tallystick.ledger.views.tables import (
    NEW,
    ROWS_AN_EVENT,
    decoder,
    encode_states,
    numbered,
    parts,
    rows_table,
    steady_table,
    whole_state,
)

MOST_STATES_HELD = 50_000


class _Current(dict[str, "State | None"]):
    """Newest states of one projection by name: what this catch-up made of them, else what is kept in the file."""

    def __init__(self, connection: sqlite3.Connection, projection: Projection, is_new: bool) -> None:
        super().__init__()
        self.connection = connection
        self.name = projection.name
        self.decode = decoder(projection.state)
        self.is_new = is_new
        self.rows: dict[str, int] = {}
        """The newest row of each entity: of those that were met, which is all of them where the view is built anew.

        Nothing needs to be searched for then; new entities are many, and the index by entity is not there yet.
        """
        self.steady: dict[str, tuple[int | None, ...]] = {}
        """Which row holds each group of steady fields of an entity that was met."""
        groups = "".join(f", v.steady_{group}" for group in range(len(projection.steady)))
        found = "id = ?" if is_new else "key = ? ORDER BY from_seq DESC LIMIT 1"
        self.query = f"SELECT id, {whole_state(projection, 'v')}{groups} FROM {rows_table(projection)} v WHERE {found}"

    def names(self) -> set[str]:
        """Every entity that there is, or was."""
        kept = self.connection.execute(f"SELECT key FROM {self.name}_keys")
        return {*self, *(str(row[0]) for row in kept)}

    def __missing__(self, key: str) -> State | None:
        wanted = self.rows.get(key) if self.is_new else key
        if wanted is None:
            return None
        state = None
        if (row := self.connection.execute(self.query, (wanted,)).fetchone()) is not None:
            self.rows[key], text, *steady = row
            self.steady[key] = tuple(steady)
            state = None if text is None else self.decode(text)
        self[key] = state
        return state


class _Made:
    """New states of one projection that are not written yet, column by column: one call encodes all of them."""

    def __init__(self, projection: Projection) -> None:
        self.projection = projection
        self.parts = parts(projection)
        self.rows: list[int] = []
        self.keys: list[str] = []
        self.rows_before: list[int | None] = []
        self.changed: list[str] = []
        self.after: list[State | None] = []
        self.steady: list[tuple[int | None, ...]] = []
        """Which row holds each group of steady fields; empty where the projection has none."""
        self.new_steady: list[list[tuple[int, State]]] = [[] for _ in projection.steady]
        """Rows of such groups that are new, each with the state that it is a part of."""

    def add(self, row: int, key: str, state: State | None, current: _Current) -> None:
        """Take a new state of an entity."""
        before = current[key]
        fields = None if before is None or state is None else changed_fields(before, state)
        self.changed.append(words_of(fields))
        self.rows_before.append(current.rows.get(key))
        self.rows.append(row)
        self.keys.append(key)
        self.after.append(state)
        if self.parts.steady:
            held = current.steady.get(key, ())
            if fields is None or not self.parts.group_of.keys().isdisjoint(fields):
                held = current.steady[key] = self._steady(row, fields, state, held)
            self.steady.append(held)
        current[key] = state
        current.rows[key] = row

    def _steady(
        self, row: int, changed: list[str] | None, state: State | None, held: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        steady = self.parts.steady_rows(row, changed, state, held)
        if state is not None:
            for group, place in enumerate(steady):
                if place == row:
                    self.new_steady[group].append((row, state))
        return steady

    def write(self, connection: sqlite3.Connection) -> None:
        """Put them into the tables of the projection, and forget them."""
        name = self.projection.name
        placed = zip(self.keys, self.rows, self.rows_before, strict=True)
        new = [(key, row // ROWS_AN_EVENT) for key, row, before in placed if before is None]
        new.sort()  # as the table is, so that neighbours are written together
        connection.executemany(f"INSERT INTO {name}_keys VALUES(?,?)", new)
        for group, part in enumerate(self.parts.steady):
            texts = encode_states(part.cut([state for _, state in self.new_steady[group]]))
            kept = zip((row for row, _ in self.new_steady[group]), texts, strict=True)
            connection.executemany(f"INSERT INTO {steady_table(self.projection, group)} VALUES(?,?)", kept)
            self.new_steady[group].clear()
        groups = "".join(f"?{6 + group}, " for group in range(len(self.parts.steady)))
        connection.executemany(
            f"INSERT INTO {rows_table(self.projection)} "
            f"VALUES(?1, ?2, ?1 / {ROWS_AN_EVENT}, ?3, ?4, {groups}nullif(?5, 'null'))",
            zip(
                self.rows, self.keys, self.rows_before, self.changed, self.parts.rows(self.after),
                *zip(*self.steady, strict=True), strict=True,
            ),
        )  # fmt: skip
        columns: list[list[Any]] = [self.rows, self.keys, self.rows_before, self.changed, self.after, self.steady]
        for column in columns:
            column.clear()


class VersionTables:
    """The current states of a views file, and new rows for it.

    ``anew`` names the projections that are built from the beginning.
    """

    def __init__(self, connection: sqlite3.Connection, anew: frozenset[str] = frozenset()) -> None:
        self.connection = connection
        self.current = {p.name: _Current(connection, p, p.name in anew) for p in PROJECTIONS}
        self.made = {p.name: _Made(p) for p in PROJECTIONS}

    def newest(self, projection: Projection) -> Newest:
        """How current states are looked up by name."""
        current = self.current[projection.name]
        return Newest(current.__getitem__, current.names)

    def keep(self, position: int, changed: list[Changed]) -> None:
        """Hold on to what an event made, to be written later."""
        for row, (projection, key, state) in numbered(position, changed):
            self.made[projection.name].add(row, key, state, self.current[projection.name])

    def write(self) -> None:
        """Put what was kept into the file; the states are held on to, for whatever comes next, while they are few."""
        for made in self.made.values():
            if made.rows:
                made.write(self.connection)
        if sum(map(len, self.current.values())) > MOST_STATES_HELD:
            for current in self.current.values():
                current.clear()


def words_of(changed: list[str] | None) -> str:
    """How a version row names what it changed: ``,status,reason,``; ``*`` if nothing was there before, or is after."""
    return NEW if changed is None else f",{','.join(changed)},"


def advance(
    stored: VersionTables, seen: dict[Projection, int], batch: Iterable[tuple[int, Entry]], history: History
) -> None:
    """Fold entries with their positions into the views, each into those that have not seen it."""
    asked = readers(seen.keys(), stored.newest)
    together = len(set(seen.values())) == 1
    for position, entry in batch:
        if not is_read(entry):
            continue
        if not together:
            asked = readers([projection for projection, seq in seen.items() if seq < position], stored.newest)
        if made := changes(entry, asked, history):
            stored.keep(position, made)
    stored.write()
