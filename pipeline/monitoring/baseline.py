"""A model's own history: the windows in which its recipe was judged on months that it had not seen, and the live
periods in which it was watched. Nothing is computed again from the data; all of it was recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from tallystick.ledger.events import types as say
from tallystick.ledger.events.types import Levels
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.entities import ModelState
from tallystick.pipeline.config.alert_rules import compares_live
from tallystick.pipeline.config.settings import Pipeline
from tallystick.pipeline.evaluate.backtest import WEIGHT
from tallystick.pipeline.evaluate.losses import measure_of, relative
from tallystick.pipeline.evaluate.metrics import THRESHOLD, Scored, Units
from tallystick.pipeline.monitoring.statistics import statistics
from tallystick.pipeline.records.run_record import record_of
from tallystick.pipeline.records.stored_tables import stored_table

LOSS_COLUMNS = ["segment", "level", "unit", "rows", "sum_y", "sum_p", "sum_loss"]


class Past(NamedTuple):
    """One earlier period of the model."""

    label: str
    live: bool
    """Watched live, not judged in a back-test."""
    statistics: dict[str, float]
    """See :meth:`pipeline.monitoring.statistics.Statistics.known`."""
    losses: pd.DataFrame
    """Sums by segment, level and resample unit, see :func:`pipeline.evaluate.metrics.loss_table`."""
    histograms: dict[str, Levels]
    missing: dict[str, float]


class OwnHistory(NamedTuple):
    """Everything that a live period is compared with."""

    past: list[Past]
    edges: dict[str, list[float]]
    levels: dict[str, list[str]]
    """Bins and levels of the histograms, as the run froze them."""

    @property
    def usual_loss(self) -> float:
        """Mean loss of a row over all own windows; zero without any."""
        whole = [past.losses[past.losses["segment"] == ""] for past in self.past]
        rows = sum(float(table["rows"].sum()) for table in whole)
        return sum(float(table["sum_loss"].sum()) for table in whole) / rows if rows else 0.0


def history_of(
    now: Snapshot, stored: Callable[[str], bytes], model: ModelState, settings: Pipeline, *, before: str
) -> OwnHistory:
    """What is recorded of a model up to now, without the period ``before`` and anything after it.

    Parameters
    ----------
    stored : callable
        Gives the bytes of an artifact by its hash.
    settings : Pipeline
        Say whether periods in which it was watched count beside the windows of its back-test.

    Raises
    ------
    NotFound, Damaged
        When an artifact that holds a window's losses or predictions is not here, or not as it was.
    """
    record = record_of(now, now.run(model.made_by_run))
    past: list[Past] = []
    for label, described in record.windows.items():
        judged = record.evaluations.get((label, model.candidate))
        if judged is None or not described.complete or label >= before:
            continue
        past.append(_window(stored, described, judged, settings))
    newest: dict[str, say.PeriodMonitored] = {}
    for state in now.periods() if compares_live(settings.monitoring.compare_to) else ():
        if state.model == model.model and state.label < before and state.status != "waiting":
            newest[state.label] = now.event(state.described_by).event.body
    past += [_watched(stored, body) for body in newest.values() if body.losses and body.facts.get("statistics")]
    known_labels = {item.label: item for item in past}  # a period watched live counts once, as it was lived
    first = next(iter(record.windows.values()), None)
    histograms = first.histograms if first else {}
    return OwnHistory(
        past=[known_labels[label] for label in sorted(known_labels)],
        edges={name: list(item.edges) for name, item in histograms.items() if item.edges is not None},
        levels={name: list(item.levels) for name, item in histograms.items() if item.levels is not None},
    )


def _window(
    stored: Callable[[str], bytes], described: say.WindowDescribed, judged: say.WindowEvaluated, settings: Pipeline
) -> Past:
    candidate, measure = judged.candidate, measure_of(settings)
    sums = [f"sum_{part}_{candidate}" for part in ("p", "loss")]
    losses = stored_table(stored(judged.losses), ["rows", "sum_y", *sums], ["segment", "level", "unit"])
    losses = losses.rename(columns=dict(zip(sums, ("sum_p", "sum_loss"), strict=True)))
    weight = [WEIGHT] if settings.data.weight else []
    predictions = stored_table(stored(judged.predictions), ["target", f"p_{candidate}", *weight])
    y = predictions["target"].to_numpy(dtype=np.float64)
    p = predictions[f"p_{candidate}"].to_numpy(dtype=np.float64)
    usual = float(judged.metrics[measure.by_row.name].value or 0.0)
    everything = Units(np.zeros(len(y), dtype=np.int64), ("all",))
    chosen = judged.metrics.get(THRESHOLD)
    by_row = measure.by_row.at(None if chosen is None else chosen.value)
    weights = relative(predictions[WEIGHT].to_numpy(dtype=np.float64)) if weight else None
    found = statistics(settings.task, Scored(y, p, everything, by_row, weights), usual)
    return Past(
        label=judged.label,
        live=False,
        statistics=found.known,
        losses=losses[LOSS_COLUMNS],
        histograms=described.histograms,
        missing=described.missing,
    )


def _watched(stored: Callable[[str], bytes], body: say.PeriodMonitored) -> Past:
    assert body.losses is not None
    return Past(
        label=body.label,
        live=True,
        statistics=dict(body.facts["statistics"]),
        losses=stored_table(stored(body.losses), LOSS_COLUMNS[3:], LOSS_COLUMNS[:3]),
        histograms=body.histograms,
        missing=dict(body.facts.get("missing", {})),
    )
