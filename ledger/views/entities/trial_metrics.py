"""Metrics of trials: the newest number under each name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.views.projection import Change, Lookup, State, projection

SEPARATOR = "\x1f"


class TrialMetricState(State, frozen=True, kw_only=True):
    trial_metric: str
    """Trial and name: ``churn-notebook/20261125-143005-k3f9a2/loss``; then model and table, where there are."""
    trial: str
    name: str
    value: float | None
    """None where the number is not finite."""
    not_finite: Literal["nan", "inf", "-inf"] | None = None
    step: int | None = None
    at_ms: int = 0
    """Milliseconds since 1970, UTC."""
    model: str | None = None
    """A kept model that it was measured of."""
    dataset: str | None = None
    dataset_digest: str | None = None


def trial_metrics(entry: Entry, current: Lookup) -> Iterator[Change]:
    """The newest number of each name: the one of the highest step, of those the latest."""
    body = entry.event.body
    found = _of_points(body) if isinstance(body, say.TrialMeasured) else _of_series(body)
    for key, new in found.items():
        before: TrialMetricState | None = current(key)
        if before is None or _order(new) >= _order(before):
            yield key, msgspec.structs.replace(new, seq=entry.seq)


def _order(state: TrialMetricState) -> tuple[int, int]:
    return (-1 if state.step is None else state.step, state.at_ms)


def _of_points(body: say.TrialMeasured) -> dict[str, TrialMetricState]:
    newest: dict[str, TrialMetricState] = {}
    for point in body.points:
        for name, value in (*point.values.items(), *point.not_finite.items()):
            key = f"{body.trial}/{name}"
            finite = value if isinstance(value, float) else None
            # Without a step: a trial of this form has always been asked for what was measured last.
            newest[key] = TrialMetricState(
                seq=0,
                trial_metric=key,
                trial=body.trial,
                name=name,
                value=finite,
                not_finite=None if isinstance(value, float) else value,
                at_ms=int(point.at.timestamp() * 1000),
            )
    return newest


def _of_series(body: say.TrialSeries) -> dict[str, TrialMetricState]:
    newest: dict[str, TrialMetricState] = {}
    for series in body.series:
        if not series.values:
            continue
        about = [part or "" for part in (series.model, series.dataset, series.dataset_digest)]
        key = f"{body.trial}/{series.key}" + ("".join(SEPARATOR + part for part in about) if any(about) else "")
        steps = series.steps
        last = max(range(len(steps)), key=lambda i: (-1 if steps[i] is None else steps[i], series.at_ms[i], i))
        made = TrialMetricState(
            seq=0,
            trial_metric=key,
            trial=body.trial,
            name=series.key,
            value=series.values[last],
            not_finite=series.not_finite.get(str(last)),
            step=steps[last],
            at_ms=series.at_ms[last],
            model=series.model,
            dataset=series.dataset,
            dataset_digest=series.dataset_digest,
        )
        if key not in newest or _order(made) >= _order(newest[key]):
            newest[key] = made
    return newest


TRIAL_METRICS = projection(
    "trial_metrics",
    "trial_metric",
    TrialMetricState,
    (say.TrialMeasured, say.TrialSeries),
    trial_metrics,
    steady=(("trial_metric", "trial", "name", "model", "dataset", "dataset_digest"),),
)
