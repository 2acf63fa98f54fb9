"""The second axis of time: what had happened by a date according to the events themselves.

An imported history is recorded today and happened years ago; asked on the axis of the commits it all appears today.
Here a commit counts from the moment on at which all of its events had occurred, and commits are folded in the order
of those moments. What other trackers recorded counts event by event, as an import puts many runs into one commit. So
what says when something was made, promoted or decided says when that occurred. It is folded in memory and never stored,
at the cost of reading everything that the views follow from.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from tallystick.ledger.errors import InvalidInput, NotFound
from tallystick.ledger.events import types as say
from tallystick.ledger.events.commit import to_micros
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.unknown import is_unknown
from tallystick.ledger.query.as_of import as_of_commit, parse_moment
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.storage.entries import entries
from tallystick.ledger.storage.log import Log
from tallystick.ledger.views.entities.corrections import corrected
from tallystick.ledger.views.fold import READ_TYPES
from tallystick.ledger.views.store import MemoryViews

Axis = Literal["recorded", "occurred"]
_STANDS_ALONE = (
    say.ExperimentCreated,
    say.ExperimentChanged,
    say.TrialBegun,
    say.TrialNoted,
    say.TrialLinked,
    say.TrialSeries,
    say.TrialChanged,
    say.LoggedCreated,
    say.LoggedChanged,
    say.RegisteredCreated,
    say.RegisteredChanged,
    say.VersionCreated,
    say.VersionChanged,
    say.AliasMoved,
    say.FileFiled,
)
"""Types of events that say the whole of a fact, whatever else is in their commit."""


def occurred_by(log: Log, when: str | dt.datetime, zone: ZoneInfo, now: dt.datetime) -> Snapshot:
    """What had happened by the end of a date.

    Parameters
    ----------
    zone : ZoneInfo
        The ledger's zone, in which dates are read.
    now : datetime, time-zone aware
        What "ago" is counted from.

    Raises
    ------
    NotFound
        When nothing had happened yet.
    InvalidInput
        When ``when`` is no date: an event or a commit names a place in the order of recording.
    """
    text = when.isoformat() if isinstance(when, dt.datetime) else when.strip()
    if text.removeprefix("before:")[:1] in ("#", "c"):
        raise InvalidInput(
            f"{text} is a place in the order of recording; on the axis of what occurred a date is needed.",
            f"`tally show '{text.removeprefix('before:')}'` says when it occurred.",
        )
    moment = parse_moment(text, zone, now)
    told: dict[_Part, list[Entry]] = {}
    # What no view follows from, such as the declaration of a type, happened when it was recorded and is no history.
    for entry in entries(log, 0, log.commit(log.size() - 1).last_seq, READ_TYPES, erased=True):
        # When an erased event occurred is not known any more: it counts from when it was recorded.
        occurred = entry.recorded_at if is_unknown(entry.event.occurred_at) else entry.event.occurred_at
        told.setdefault(_part_of(entry, occurred), []).append(entry._replace(recorded_at=occurred))
    happened = _happened(told)
    order = sorted((at, part) for part, at in happened.items() if at <= moment)
    if not order:
        first = min(happened.values()).astimezone(zone)
        raise NotFound(
            f"By {moment:%Y-%m-%d %H:%M:%S} {zone.key} nothing had happened yet: "
            f"the first that the ledger tells of is of {first:%Y-%m-%d %H:%M:%S}.",
            "Ask for a later date.",
        )
    commits = {part.n for _, part in order}
    newest = max(commits)
    supposed = f"by when it occurred: {len(commits)} of {len({part.n for part in told})} commits"
    as_of = as_of_commit(log, newest, moment)._replace(supposed=supposed)
    return Snapshot(MemoryViews(log, [entry for _, part in order for entry in told[part]]), as_of)


class _Part(NamedTuple):
    """What is folded at once: a commit, or those of its events that stand for themselves and occurred together."""

    n: int
    micros: int


def _part_of(entry: Entry, occurred: dt.datetime) -> _Part:
    # An import puts many runs into one commit, each with a beginning and an end of its own.
    alone = isinstance(entry.event.body, _STANDS_ALONE)
    return _Part(entry.n, to_micros(occurred) if alone else 0)


def _happened(told: dict[_Part, list[Entry]]) -> dict[_Part, dt.datetime]:
    """When all events of each part had occurred; a correction never before what it corrects, whatever its clock."""
    happened: dict[_Part, dt.datetime] = {}
    part_of = {entry.seq: part for part, events in told.items() for entry in events}
    for part, events in sorted(told.items(), key=lambda one: one[0]):
        moments = [entry.recorded_at for entry in events]
        aside = [seq for entry in events if (seq := corrected(entry)) is not None]
        moments += [happened[part_of[seq]] for seq in aside if part_of.get(seq, part).n < part.n]
        happened[part] = max(moments)
    return happened
