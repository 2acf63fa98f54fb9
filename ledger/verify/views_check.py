"""Whether the stored views are what a new fold of all events gives, without holding all of it in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

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
from tallystick.ledger.views.rows import words_of
from tallystick.ledger.views.tables import (
    altered,
    encode_states,
    first_row,
    index_of,
    numbered,
    parts,
    rows_table,
    schema,
    steady_table,
)

MOST_WORDS = 5
UNCOMPARED = "The views cannot be compared."
UNSETTLED = "The views are not what the events give, though each row by itself is; an index of the file may be damaged."


def views_differences(
    ledger: Ledger, progress: Callable[[str, int, int], None], total: int, *, hashed_already: bool
) -> list[str]:
    """How the stored views differ from a fold of the first ``total`` events, in words; at most a few lines.

    Memory holds one state an entity and not its history. Only where something differs are the rows compared one by
    one, to name them.

    Parameters
    ----------
    hashed_already : bool
        Whether this verification compares every body with its hashes anyway, and drops this answer if one is altered.
        Then the first comparison does not hash them a second time.
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
        if not (_same_unchecked if hashed_already else _same)(connection, ledger, progress, total):
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


def _same_unchecked(
    connection: sqlite3.Connection, ledger: Ledger, progress: Callable[[str, int, int], None], total: int
) -> bool:
    """The same without comparing each body with its id; what an altered one leads to says nothing."""
    try:
        with ledger.log.unchecked():
            return _same(connection, ledger, progress, total)
    except Exception:  # noqa: BLE001 - the bodies may say anything; the checked comparison that follows raises the rest
        return False


def _same(
    connection: sqlite3.Connection, ledger: Ledger, progress: Callable[[str, int, int], None], total: int
) -> bool:
    """Whether all rows up to the first ``total`` events are what a fold gives, without saying which are not.

    Both sides are hashed in the order in which the rows were made: one pass over each table takes half the time of
    asking for every row.
    """
    folded = _Digests()
    for seq, made in _folded(ledger, folded.newest, progress, total):
        folded.add(seq, made)
    try:
        return all(folded.is_kept_in(connection, projection, total) for projection in PROJECTIONS)
    except (TypeError, UnicodeEncodeError):
        return False  # something else than a text lies there


BATCH_ROWS = 256
"""So many rows are written as text and hashed in one call. Both sides must take the same number."""


_Row = tuple[int, str, int, int | None, str, tuple[int | None, ...]]
"""A version row as it ought to be, without its state: its number, key, event, the row before, what changed, and which
rows hold its groups of steady fields. A plain tuple, since there are millions."""


def _columns(projection: Projection) -> str:
    groups = "".join(f", steady_{group}" for group in range(len(projection.steady)))
    return f"id, key, from_seq, before, changed, state{groups}"


class _Newest:
    """The newest state of each entity of one projection, and where it is stored."""

    def __init__(self, projection: Projection) -> None:
        self.parts = parts(projection)
        self.states: dict[str, State | None] = {}
        self.held: dict[str, tuple[int, tuple[int | None, ...]]] = {}
        """The row of each, and the rows of its steady fields."""

    def lookup(self) -> Newest:
        """How its states are looked up by name."""
        return Newest(self.states.get, self.states.keys)

    def replace(self, row: int, seq: int, key: str, state: State | None) -> _Row:
        """Take a new state for the newest one; returns its row."""
        earlier = self.states.get(key)
        before, held = self.held.get(key, (None, ()))
        fields = None if earlier is None or state is None else changed_fields(earlier, state)
        steady = self.parts.steady_rows(row, fields, state, held) if self.parts.steady else ()
        self.states[key] = state
        self.held[key] = row, steady
        return row, key, seq, before, words_of(fields), steady


_written = msgspec.msgpack.Encoder().encode
"""Rows as bytes, so that no two different lists of rows have the same: every value has its type and its length."""


class _Hashed:
    """The rows of one projection, hashed in their order and some at a time.

    Its list of names and its index by entity lie in the order of names, which no fold has; of them, and of steady
    fields, the sum of Python's own hashes is kept, whose key is another one in each process.
    """

    def __init__(self, projection: Projection) -> None:
        self.newest = _Newest(projection)
        self.hasher = blake3()
        self.rows: list[_Row] = []
        self.states: list[State | None] = []
        self.steady = [0] * len(projection.steady)
        self.keys = self.index = 0

    def add(self, row: int, seq: int, key: str, state: State | None) -> None:
        self.rows.append(self.newest.replace(row, seq, key, state))
        self.states.append(state)
        if len(self.rows) == BATCH_ROWS:
            self.finish()

    def finish(self) -> None:
        """Hash what waits."""
        divided = self.newest.parts
        texts = [None if text == "null" else text for text in divided.rows(self.states)]
        rows = [(*row[:5], text, *row[5]) for row, text in zip(self.rows, texts, strict=True)]
        self.hasher.update(_written(rows))
        self.index += sum([hash((key, seq, row)) for row, key, seq, *_ in self.rows])
        self.keys += sum([hash((key, seq)) for _, key, seq, before, *_ in self.rows if before is None])
        for group, part in enumerate(divided.steady):
            kept = [
                (row[0], state) for row, state in zip(self.rows, self.states, strict=True) if row[5][group] == row[0]
            ]
            some = encode_states(part.cut([state for _, state in kept]))
            self.steady[group] += sum(map(hash, zip((row for row, _ in kept), some, strict=True)))
        self.rows.clear()
        self.states.clear()


class _Digests:
    """A fold that keeps hashes of its rows."""

    def __init__(self) -> None:
        self.rows = {projection.name: _Hashed(projection) for projection in PROJECTIONS}

    def newest(self, projection: Projection) -> Newest:
        return self.rows[projection.name].newest.lookup()

    def add(self, seq: int, made: list[Changed]) -> None:
        for row, (projection, key, state) in numbered(seq, made):
            self.rows[projection.name].add(row, seq, key, state)

    def is_kept_in(self, connection: sqlite3.Connection, projection: Projection, total: int) -> bool:
        """Whether the tables of a projection hold these rows and no others."""
        name, table = projection.name, rows_table(projection)
        folded, hasher = self.rows[projection.name], blake3()
        folded.finish()
        query = f"SELECT {_columns(projection)} FROM {table} WHERE id < ? ORDER BY id"
        found = connection.execute(query, (first_row(total),))
        while True:
            rows = found.fetchmany(BATCH_ROWS)
            hasher.update(_written(rows))
            if len(rows) < BATCH_ROWS:
                break
        if hasher.digest() != folded.hasher.digest():
            return False
        for group, kept in enumerate(folded.steady):
            query = f"SELECT id, state FROM {steady_table(projection, group)} WHERE id < ?"
            if sum(map(hash, connection.execute(query, (first_row(total),)))) != kept:
                return False
        query = f"SELECT key, from_seq, id FROM {table} INDEXED BY {index_of(projection)} WHERE from_seq < ?"
        if sum(map(hash, connection.execute(query, (total,)))) != folded.index:
            return False
        query = f"SELECT key, first_seq FROM {name}_keys WHERE first_seq < ?"
        return sum(map(hash, connection.execute(query, (total,)))) == folded.keys


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
        self.newest = {projection.name: _Newest(projection) for projection in PROJECTIONS}
        self.rows = {projection.name: 0 for projection in PROJECTIONS}
        self.words: list[str] = []

    def run(self, ledger: Ledger, progress: Callable[[str, int, int], None], total: int) -> list[str]:
        for seq, made in _folded(ledger, lambda projection: self.newest[projection.name].lookup(), progress, total):
            for place, change in numbered(seq, made):
                self._compare(place, seq, change)
            if len(self.words) >= MOST_WORDS:
                return self.words
        for projection in PROJECTIONS:
            name = projection.name
            query = f"SELECT count(*) FROM {rows_table(projection)} WHERE from_seq < ?"
            if self.connection.execute(query, (total,)).fetchone()[0] != self.rows[name]:
                self.words.append(f"The view of {name} holds states that no event made.")
            query = f"SELECT count(*) FROM {name}_keys WHERE first_seq < ?"
            if self.connection.execute(query, (total,)).fetchone()[0] != len(self.newest[projection.name].states):
                self.words.append(f"The list of {name} does not match their versions.")
        return self.words

    def _compare(self, place: int, seq: int, change: Changed) -> None:
        projection, key, state = change
        name, divided = projection.name, parts(projection)
        *row, before, changed, steady = self.newest[projection.name].replace(place, seq, key, state)
        if before is None:
            query = f"SELECT first_seq FROM {name}_keys WHERE key = ?"
            if self.connection.execute(query, (key,)).fetchone() != (seq,):
                self.words.append(f"The list of {name} is wrong about {key}.")
        self.rows[name] += 1
        query = f"SELECT {_columns(projection)} FROM {rows_table(projection)} WHERE key = ? AND from_seq = ?"
        text = None if state is None else divided.rows([state])[0]
        right = self.connection.execute(query, (key, seq)).fetchone() == (*row, before, changed, text, *steady)
        for group, part in enumerate(divided.steady):
            if steady[group] == place:
                query = f"SELECT state FROM {steady_table(projection, group)} WHERE id = ?"
                kept = (encode_states(part.cut([state]))[0],)
                right = right and self.connection.execute(query, (place,)).fetchone() == kept
        if not right:
            self.words.append(f"The view of {name} is wrong about {key}.")


def views_elsewhere(folder: Path, total: int, hashed_already: bool) -> list[str]:
    """Compare the views in another process, while events are still being read here."""
    try:
        with Ledger(folder) as ledger:
            return views_differences(ledger, silent, total, hashed_already=hashed_already)
    except (TallyError, sqlite3.DatabaseError) as error:
        return [f"The views cannot be compared: {error}."]  # what is wrong with the events is found by others
