"""Whether the stored views are what a new fold of all events gives, without holding all of it in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec
from blake3 import blake3

from tallystick.ledger.errors import Damaged, TallyError
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.storage.entries import Recorded, entries
from tallystick.ledger.storage.schema_check import schema_differences
from tallystick.ledger.storage.sqlite import circumstance
from tallystick.ledger.verify.report import silent
from tallystick.ledger.views.entities import PROJECTIONS
from tallystick.ledger.views.fold import READ_TYPES, Changed, Newest, changed_fields, changes, is_read, readers
from tallystick.ledger.views.projection import Projection, State
from tallystick.ledger.views.rows import changed_words
from tallystick.ledger.views.tables import (
    altered,
    encode_states,
    first_row,
    index_of,
    parts,
    rows_table,
    schema,
    steady_table,
)

MOST_WORDS = 5
UNCOMPARED = "The views cannot be compared."
UNSETTLED = "The views are not what the events give, though each row by itself is; an index of the file may be damaged."


def views_differences(ledger: Ledger, progress: Callable[[str, int, int], None], total: int) -> list[str]:
    """How the stored views differ from a fold of the first ``total`` events, in words; at most a few lines.

    Memory holds one state an entity and not its history. Only where something differs are the rows compared one by
    one, to name them.
    """
    progress("views", 0, total)
    words: list[str] = []
    path = ledger.views.path
    try:
        # Asked first: whoever asks the views something makes such a file anew.
        if path.is_file():
            words += _altered_as_it_lies(path)
        connection = ledger.views.caught_up()
        if not ledger.views.are_kept():
            return []  # nobody is shown what lies in the file, if there is one: each answer is folded anew
        words += schema_differences(connection, schema())
    except (msgspec.MsgspecError, sqlite3.DatabaseError) as error:
        return [f"The views cannot be read: {error}."]
    except Damaged as error:  # an event cannot be read, so that no views can be made; others say which
        return [f"{UNCOMPARED} {error.message}"]
    try:
        if not _same(connection, ledger, progress, total):
            words += _Comparison(connection).run(ledger, progress, total) or [UNSETTLED]
    except sqlite3.DatabaseError as error:
        words.append(f"The views cannot be read: {error}.")
    except Damaged as error:  # an event that an earlier verification read, and this one did not read again
        words.append(f"{UNCOMPARED} {error.message}")
    return words[:MOST_WORDS]


def _folded(
    ledger: Ledger, newest: Callable[[Projection], Newest], progress: Callable[[str, int, int], None], total: int
) -> Iterator[tuple[int, list[Changed]]]:
    """What each of the first ``total`` events changes; ``newest`` must know of it before the next is asked for."""
    asked, history = readers(PROJECTIONS, newest), Recorded(ledger.log)
    for entry in entries(ledger.log, 0, total - 1, READ_TYPES, erased=True):
        if entry.n & 255 == 0:
            progress("views", entry.seq, total)
        if is_read(entry):
            yield entry.seq, changes(entry, asked, history)


def _same(
    connection: sqlite3.Connection, ledger: Ledger, progress: Callable[[str, int, int], None], total: int
) -> bool:
    """Whether all rows up to the first ``total`` events are what a fold gives, without saying which are not.

    Both sides are hashed in the order in which the rows were made: one pass over each table takes half the time of
    asking for every row.
    """
    folded = _Digests()
    for seq, made in _folded(ledger, folded.newest.of, progress, total):
        folded.add(seq, made)
    try:
        return all(folded.is_kept_in(connection, projection, total) for projection in PROJECTIONS)
    except (TypeError, UnicodeEncodeError):
        return False  # something else than a text lies there


class _Row(NamedTuple):
    """A version row as it ought to be."""

    row: int
    key: str
    seq: int
    before: int | None
    changed: str
    state: str | None
    steady: tuple[int | None, ...]
    """Which row holds each group of steady fields."""


def _line(row: int, key: str, seq: int, before: int | None, changed: str, state: str | None, *steady: int) -> bytes:
    """One row, so that no two different rows have the same bytes: the lengths come first."""
    lengths = f"{row},{len(key)},{seq},{before},{len(changed)},{-1 if state is None else len(state)},{steady}"
    return f"{lengths}:{key}{changed}{state or ''}".encode()


def _columns(projection: Projection) -> str:
    groups = "".join(f", steady_{group}" for group in range(len(projection.steady)))
    return f"id, key, from_seq, before, changed, state{groups}"


class _Newest:
    """The newest state of each entity, and where it is stored."""

    def __init__(self) -> None:
        self.states: dict[str, dict[str, State | None]] = {projection.name: {} for projection in PROJECTIONS}
        self.rows: dict[str, dict[str, _Row]] = {projection.name: {} for projection in PROJECTIONS}

    def of(self, projection: Projection) -> Newest:
        """How its states are looked up by name."""
        states = self.states[projection.name]
        return Newest(states.get, states.keys)

    def replace(self, row: int, seq: int, change: Changed) -> tuple[_Row, list[tuple[int, str]]]:
        """Take a new state for the newest one; returns its row, and new rows of steady fields with their groups."""
        projection, key, state = change
        states, rows = self.states[projection.name], self.rows[projection.name]
        earlier, held = states.get(key), rows.get(key)
        divided = parts(projection)
        fields = None if earlier is None or state is None else changed_fields(earlier, state)
        steady = divided.steady_rows(row, fields, state, () if held is None else held.steady)
        new = [
            (group, encode_states(part.cut([state]))[0])
            for group, part in enumerate(divided.steady)
            if steady[group] == row
        ]
        text = None if state is None else divided.rows([state])[0]
        before = None if held is None else held.row
        made = _Row(row, key, seq, before, changed_words(earlier, state), text, steady)
        # Memory holds one state an entity; its text is not needed again.
        states[key], rows[key] = state, made._replace(state=None)
        return made, new


class _Digests:
    """A fold that keeps hashes of its rows.

    Lists of names and the index by entity lie in the order of names, which no fold has; of them, and of steady fields,
    the sum of Python's own hashes is kept, whose key is another one in each process.
    """

    def __init__(self) -> None:
        self.newest = _Newest()
        self.rows = {projection.name: blake3() for projection in PROJECTIONS}
        self.steady = {projection.name: [0] * len(projection.steady) for projection in PROJECTIONS}
        self.keys = dict.fromkeys(self.rows, 0)
        self.index = dict.fromkeys(self.rows, 0)

    def add(self, seq: int, made: list[Changed]) -> None:
        for place, change in enumerate(made, first_row(seq)):
            name, key = change[0].name, change[1]
            row, steady = self.newest.replace(place, seq, change)
            if row.before is None:
                self.keys[name] += hash((key, seq))
            self.index[name] += hash((key, seq, place))
            self.rows[name].update(_line(*row[:-1], *row.steady))  # type: ignore[arg-type]
            for group, text in steady:
                self.steady[name][group] += hash((place, text))

    def is_kept_in(self, connection: sqlite3.Connection, projection: Projection, total: int) -> bool:
        """Whether the tables of a projection hold these rows and no others."""
        name, rows, table = projection.name, blake3(), rows_table(projection)
        query = f"SELECT {_columns(projection)} FROM {table} WHERE id < ? ORDER BY id"
        for row in connection.execute(query, (first_row(total),)):
            rows.update(_line(*row))
        if rows.digest() != self.rows[name].digest():
            return False
        for group, kept in enumerate(self.steady[name]):
            query = f"SELECT id, state FROM {steady_table(projection, group)} WHERE id < ?"
            if sum(map(hash, connection.execute(query, (first_row(total),)))) != kept:
                return False
        query = f"SELECT key, from_seq, id FROM {table} INDEXED BY {index_of(projection)} WHERE from_seq < ?"
        if sum(map(hash, connection.execute(query, (total,)))) != self.index[name]:
            return False
        query = f"SELECT key, first_seq FROM {name}_keys WHERE first_seq < ?"
        return sum(map(hash, connection.execute(query, (total,)))) == self.keys[name]


def _altered_as_it_lies(path: Path) -> list[str]:
    """Tables that are not part of the schema; empty if the file cannot be opened beside its write-ahead log."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as untouched:
            return altered(untouched)
    except sqlite3.DatabaseError as error:
        if circumstance(error) is None:
            raise
        return []  # for want of space or right, for which readers fold each answer anew


class _Comparison:
    """The same row by row, to name what is wrong."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.newest = _Newest()
        self.rows = {projection.name: 0 for projection in PROJECTIONS}
        self.words: list[str] = []

    def run(self, ledger: Ledger, progress: Callable[[str, int, int], None], total: int) -> list[str]:
        for seq, made in _folded(ledger, self.newest.of, progress, total):
            for place, change in enumerate(made, first_row(seq)):
                self._compare(place, seq, change)
            if len(self.words) >= MOST_WORDS:
                return self.words
        for projection in PROJECTIONS:
            name = projection.name
            query = f"SELECT count(*) FROM {rows_table(projection)} WHERE from_seq < ?"
            if self.connection.execute(query, (total,)).fetchone()[0] != self.rows[name]:
                self.words.append(f"The view of {name} holds states that no event made.")
            query = f"SELECT count(*) FROM {name}_keys WHERE first_seq < ?"
            if self.connection.execute(query, (total,)).fetchone()[0] != len(self.newest.states[name]):
                self.words.append(f"The list of {name} does not match their versions.")
        return self.words

    def _compare(self, place: int, seq: int, change: Changed) -> None:
        projection, key, _ = change
        name = projection.name
        row, steady = self.newest.replace(place, seq, change)
        if row.before is None:
            query = f"SELECT first_seq FROM {name}_keys WHERE key = ?"
            if self.connection.execute(query, (key,)).fetchone() != (seq,):
                self.words.append(f"The list of {name} is wrong about {key}.")
        self.rows[name] += 1
        query = f"SELECT {_columns(projection)} FROM {rows_table(projection)} WHERE key = ? AND from_seq = ?"
        right = self.connection.execute(query, (key, seq)).fetchone() == (*row[:-1], *row.steady)
        for group, text in steady:
            query = f"SELECT state FROM {steady_table(projection, group)} WHERE id = ?"
            right = right and self.connection.execute(query, (place,)).fetchone() == (text,)
        if not right:
            self.words.append(f"The view of {name} is wrong about {key}.")


def views_elsewhere(folder: Path, total: int) -> list[str]:
    """Compare the views in another process, while events are still being read here."""
    try:
        with Ledger(folder) as ledger:
            return views_differences(ledger, silent, total)
    except (TallyError, sqlite3.DatabaseError) as error:
        return [f"The views cannot be compared: {error}."]  # what is wrong with the events is found by others
