"""Whether the stored views are what a new fold of all events gives, without holding all of it in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec

from ledger.entities import PROJECTIONS
from ledger.errors import Damaged, TallyError
from ledger.event import encode_canonical
from ledger.folding import READ_TYPES, Changed, changes
from ledger.ledger import Ledger
from ledger.projection import Projection, State
from ledger.schema_check import schema_differences
from ledger.verdict import silent
from ledger.views import Recorded, altered, changed_words, entries, schema

MOST_WORDS = 5


def views_differences(ledger: Ledger, path: Path, progress: Callable[[str, int, int], None], total: int) -> list[str]:
    """How the stored views differ from a fold of the first ``total`` events, in words; at most a few lines.

    Each new state is compared with its stored row as it comes to be, and the rows are counted at the end, so memory
    holds one state an entity and not its history.
    """
    progress("views", 0, total)
    words: list[str] = []
    try:
        # Asked first: whoever asks the views something makes such a file anew.
        if path.is_file():
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as untouched:
                words += altered(untouched)
        connection = ledger.views.caught_up()
    except (msgspec.MsgspecError, sqlite3.DatabaseError, Damaged) as error:
        return [f"The views cannot be read: {error}."]
    if path.is_file():
        checked = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            words += schema_differences(checked, schema())
        finally:
            checked.close()
    try:
        words += _Comparison(connection).run(ledger, progress, total)
    except sqlite3.DatabaseError as error:
        words.append(f"The views cannot be read: {error}.")
    return words[:MOST_WORDS]


class _Comparison:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.states: dict[str, dict[str, State | None]] = {projection.name: {} for projection in PROJECTIONS}
        self.rows = {projection.name: 0 for projection in PROJECTIONS}
        self.words: list[str] = []

    def current(self, projection: Projection, key: str) -> State | None:
        return self.states[projection.name].get(key)

    def run(self, ledger: Ledger, progress: Callable[[str, int, int], None], total: int) -> list[str]:
        history = Recorded(ledger.log)
        for entry in entries(ledger.log, 0, total - 1, READ_TYPES):
            if entry.n & 255 == 0:
                progress("views", entry.seq, total)
            for change in changes(entry, self, history):
                self._compare(entry.seq, change)
            if len(self.words) >= MOST_WORDS:
                return self.words
        for projection in PROJECTIONS:
            name = projection.name
            query = f"SELECT count(*) FROM {name}_versions WHERE from_seq < ?"
            if self.connection.execute(query, (total,)).fetchone()[0] != self.rows[name]:
                self.words.append(f"The view of {name} holds states that no event made.")
            query = f"SELECT count(*) FROM {name}_keys WHERE first_seq < ?"
            if self.connection.execute(query, (total,)).fetchone()[0] != len(self.states[name]):
                self.words.append(f"The list of {name} does not match their versions.")
        return self.words

    def _compare(self, seq: int, change: Changed) -> None:
        projection, key, state = change
        states = self.states[projection.name]
        if key not in states:
            query = f"SELECT first_seq FROM {projection.name}_keys WHERE key = ?"
            if self.connection.execute(query, (key,)).fetchone() != (seq,):
                self.words.append(f"The list of {projection.name} is wrong about {key}.")
        self.rows[projection.name] += 1
        query = f"SELECT changed, state FROM {projection.name}_versions WHERE key = ? AND from_seq = ?"
        expected = (changed_words(states.get(key), state), None if state is None else encode_canonical(state).decode())
        if self.connection.execute(query, (key, seq)).fetchone() != expected:
            self.words.append(f"The view of {projection.name} is wrong about {key}.")
        states[key] = state


def views_elsewhere(folder: Path, total: int) -> list[str]:
    """Compare the views in another process, while events are still being read here."""
    try:
        with Ledger(folder) as ledger:
            return views_differences(ledger, ledger.views.path, silent, total)
    except (TallyError, sqlite3.DatabaseError) as error:
        return [f"The views cannot be compared: {error}."]  # what is wrong with the events is found by others
