"""Watched periods: how a champion did in each, as the newest look at it found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant, Period
from tallystick.ledger.views.projection import Change, Lookup, State, projection


class PeriodState(State, frozen=True, kw_only=True):
    period: str
    label: str
    pipeline: str
    model: str
    about: Period | None
    rows: int
    immature_rows: int
    status: Literal["quiet", "notable", "alarm", "waiting", "not judged"]
    decision: Literal["nothing", "wait", "recalibrate", "challenger", "fix data", "refuse"]
    metrics: dict[str, float | None]
    headline: str
    suggestion: str
    monitored_at: Instant
    described_by: int
    """Position of the ``period.monitored`` event."""


def periods(entry: Entry, _current: Lookup) -> Iterator[Change]:
    """Periods as they were watched."""
    body: say.PeriodMonitored = entry.event.body
    about = entry.event.about
    yield (
        body.period,
        PeriodState(
            seq=entry.seq,
            period=body.period,
            label=body.label,
            pipeline=body.pipeline,
            model=body.model,
            about=about.observed_in if about else None,
            rows=body.rows,
            immature_rows=body.immature_rows,
            status=body.status,
            decision=body.decision,
            metrics={name: metric.value for name, metric in body.metrics.items()},
            headline=body.headline,
            suggestion=body.suggestion,
            monitored_at=entry.recorded_at,
            described_by=entry.seq,
        ),
    )


PERIODS = projection("periods", "period", PeriodState, (say.PeriodMonitored,), periods)
