"""Where the numbers of a curve lie: positions of events by trial and metric.

Reading one curve costs as much as the curve is long, however long the ledger is.
"""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.views.projection import Change, Lookup, State, projection

SEPARATOR = "\x1f"


class CurveState(State, frozen=True, kw_only=True):
    curve: str
    """Trial, metric and position, with a separator between them that no name holds."""
    trial: str
    name: str
    points: int
    """How many numbers of this metric the event holds."""


def curves(entry: Entry, _current: Lookup) -> Iterator[Change]:
    """One for each metric in an event."""
    body = entry.event.body
    found: dict[str, int] = {}
    if isinstance(body, say.TrialMeasured):
        for point in body.points:
            for name in (*point.values, *point.not_finite):
                found[name] = found.get(name, 0) + 1
    else:
        for series in body.series:
            found[series.key] = found.get(series.key, 0) + len(series.values)
    for name, points in found.items():
        key = SEPARATOR.join((body.trial, name, f"{entry.seq:012}"))
        yield key, CurveState(seq=entry.seq, curve=key, trial=body.trial, name=name, points=points)


CURVES = projection("curves", "curve", CurveState, (say.TrialMeasured, say.TrialSeries), curves)
