"""What an overview shows of one pipeline: its champion's trajectory, its newest periods, and its notable events."""

from __future__ import annotations

import msgspec

from tallystick.ledger.events.event import Period
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.tables import first_row

SEARCHED = 3_000
"""States of a kind that are searched for those of one pipeline, newest first."""

GAINS = (
    "SELECT (SELECT state FROM evaluations_versions v WHERE v.key = k.key AND v.from_seq <= ?1 "
    "ORDER BY v.from_seq DESC LIMIT 1) FROM evaluations_keys k WHERE k.key >= ?2 AND k.key < ?3 "
    "AND k.first_seq <= ?1 AND substr(k.key, ?4) = ?5 ORDER BY k.key DESC LIMIT ?6"
)
PERIODS = (
    "SELECT (SELECT state FROM periods_versions v WHERE v.key = k.key AND v.from_seq <= ?1 "
    "ORDER BY v.from_seq DESC LIMIT 1) FROM periods_keys k WHERE k.key >= ?2 AND k.key < ?3 "
    "AND k.first_seq <= ?1 ORDER BY k.key DESC LIMIT ?4"
)
PIPELINE_CHANGES = (
    "SELECT from_seq FROM pipelines_versions WHERE key = ? AND from_seq <= ? "
    "AND (changed = '*' OR instr(changed, ',champion,') OR instr(changed, ',meaning_hash,')) "
    "ORDER BY from_seq DESC LIMIT ?"
)
NOTABLE = {
    "decisions": "changed = '*'",
    "waivers": "1",
    "periods": "1",
    "findings": "json_extract(state, '$.level') <> 'normal'",
    "gates": "json_extract(state, '$.verdict') <> 'passed'",
    "automations": "instr(changed, ',level,')",
}
"""The kinds of entities whose new states are notable, and which of their states."""


class WindowGain(msgspec.Struct, frozen=True):
    """A candidate's result in one window."""

    gain: float | None = None
    """Relative improvement of the selection loss on the reference in the same window; None for the reference."""
    tested_on: Period | None = None


class WatchedPeriod(msgspec.Struct, frozen=True):
    """A period in which a champion was monitored."""

    label: str
    headline: str
    status: str
    decision: str
    described_by: int
    """Position of the event."""
    about: Period | None = None


_GAIN = msgspec.json.Decoder(WindowGain)
_PERIOD = msgspec.json.Decoder(WatchedPeriod)


def newest_gains(snapshot: Snapshot, pipeline: str, candidate: str, most: int) -> list[WindowGain]:
    """A candidate's results in the windows of a pipeline, the last window first, at most ``most``."""
    ending = f"/{candidate}"
    asked = (snapshot.position, *_names_below(pipeline), -len(ending), ending, most)
    return [_GAIN.decode(text) for (text,) in snapshot.views.caught_up().execute(GAINS, asked) if text is not None]


def newest_periods(snapshot: Snapshot, pipeline: str, most: int) -> list[WatchedPeriod]:
    """The monitored periods of a pipeline, the last period first, at most ``most``."""
    asked = (snapshot.position, *_names_below(pipeline), most)
    return [_PERIOD.decode(text) for (text,) in snapshot.views.caught_up().execute(PERIODS, asked) if text is not None]


def notable_events(snapshot: Snapshot, pipeline: str, most: int) -> list[int]:
    """Positions of the events that matter in the history of a pipeline, newest first, at most ``most``.

    Of each kind only the newest :data:`SEARCHED` states of all pipelines are searched.
    """
    connection, position = snapshot.views.caught_up(), snapshot.position
    found: set[int] = set()
    for name in NOTABLE:
        rows = connection.execute(notable_query(name), (first_row(position + 1), pipeline, most))
        found |= {int(row[0]) for row in rows}
    found |= {int(row[0]) for row in connection.execute(PIPELINE_CHANGES, (pipeline, position, most))}
    return sorted(found, reverse=True)[:most]


def notable_query(name: str) -> str:
    """The newest notable states of one kind: a walk back along the rows, which lie in the order of their events."""
    whose = "key = ?2" if name == "automations" else "json_extract(state, '$.pipeline') = ?2"
    return (
        f"SELECT from_seq FROM (SELECT * FROM {name}_versions WHERE id < ?1 ORDER BY id DESC LIMIT {SEARCHED}) "
        f"WHERE state IS NOT NULL AND {whose} AND {NOTABLE[name]} LIMIT ?3"
    )


def _names_below(pipeline: str) -> tuple[str, str]:
    """The range of names that begin with the pipeline's and a slash; ``0`` is the character behind it."""
    return f"{pipeline}/", f"{pipeline}0"
