"""Metrics of trials: the newest finite number under each name."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.views.projection import Change, Lookup, State, projection


class TrialMetricState(State, frozen=True, kw_only=True):
    trial_metric: str
    """Trial and name: ``churn-notebook/20261125-143005-k3f9a2/loss``."""
    trial: str
    name: str
    value: float


def trial_metrics(entry: Entry, _current: Lookup) -> Iterator[Change]:
    """The last number of each name in an event."""
    body: say.TrialMeasured = entry.event.body
    newest: dict[str, float] = {}
    for point in body.points:
        newest |= point.values
    for name, value in newest.items():
        key = f"{body.trial}/{name}"
        yield key, TrialMetricState(seq=entry.seq, trial_metric=key, trial=body.trial, name=name, value=value)


TRIAL_METRICS = projection(
    "trial_metrics",
    "trial_metric",
    TrialMetricState,
    (say.TrialMeasured,),
    trial_metrics,
    steady=(("trial_metric", "trial", "name"),),
)
