"""A model's own history: the windows in which its recipe was judged on months that it had not seen, and the live
periods in which it was watched. Nothing is computed again from the data; all of it was recorded.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pandas as pd

from tallystick.ledger.events import types as say
from tallystick.ledger.events.commit import from_micros
from tallystick.ledger.events.types import Levels
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.entities import ModelState
from tallystick.pipeline.config.alert_rules import compares_live
from tallystick.pipeline.config.settings import Pipeline
from tallystick.pipeline.config.windows import Window, label_order, periods_between
from tallystick.pipeline.evaluate.backtest import WEIGHT
from tallystick.pipeline.evaluate.losses import measure_of, relative, row_losses
from tallystick.pipeline.evaluate.metrics import THRESHOLD, Scored, Units
from tallystick.pipeline.monitoring.columns import ColumnShares
from tallystick.pipeline.monitoring.interval import Placed
from tallystick.pipeline.monitoring.judgement import Ground, OwnMeasures, OwnWindow, own_measures
from tallystick.pipeline.monitoring.own_range import Earlier, Side
from tallystick.pipeline.monitoring.statistics import PeriodStatistic, expected_losses, weighted
from tallystick.pipeline.records.run_record import record_of
from tallystick.pipeline.records.stored_tables import stored_table

LOSS_COLUMNS = ["segment", "level", "unit", "rows", "sum_y", "sum_p", "sum_loss"]


class Past(NamedTuple):
    """One earlier period of the model."""

    label: str
    statistics: Mapping[str, float]
    """Plain numbers: at least its loss and, of a yes or no, its label-free estimate."""
    losses: pd.DataFrame
    """Sums by segment, level and resample unit, see :func:`pipeline.evaluate.metrics.loss_table`."""
    histograms: Mapping[str, Levels]
    missing: Mapping[str, float]
    new_levels: Mapping[str, float] = {}
    month: float | None = None
    sample: Scored | None = None
    """Targets and predictions by row; of a live period only sums are kept."""
    by_day: bool = True
    """Whether the units of the sample are in the order of time."""
    measured: Mapping[str, PeriodStatistic] = {}
    """Of a live period, as it was recorded."""

    @property
    def columns(self) -> ColumnShares:
        """How its columns arrived."""
        whole = self.losses[self.losses["segment"] == ""]
        outside = {
            name: item.other / max(sum(item.counts) + item.other + item.missing, 1)
            for name, item in self.histograms.items()
            if item.edges is not None
        }
        return ColumnShares(int(whole["rows"].sum()), self.missing, outside, self.new_levels)


class OwnHistory(NamedTuple):
    """Everything that a live period is compared with."""

    past: list[Past]
    edges: dict[str, list[float]]
    levels: dict[str, list[str]]
    """Bins and levels of the histograms, as the run froze them."""
    live: Sequence[Earlier] = ()
    """Earlier live periods of the model, the oldest first, whether or not periods are compared with them."""

    def measured(self, ground: Ground) -> OwnMeasures:
        """The statistics of all own windows."""
        windows = [
            OwnWindow(item.label, item.month, item.sample, item.measured, item.statistics, item.by_day)
            for item in self.past
        ]
        return own_measures(ground, windows)

    def histograms(self) -> list[Mapping[str, Levels]]:
        """How the features of each were distributed."""
        return [item.histograms for item in self.past]

    def columns(self) -> list[ColumnShares]:
        """How the columns of each arrived."""
        return [item.columns for item in self.past]


def history_of(
    now: Snapshot, stored: Callable[[str], bytes], model: ModelState, settings: Pipeline, *, before: Window
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
        if judged is None or not described.complete or not _is_before(label, before.label):
            continue
        past.append(_window(stored, described, judged, settings))
    newest: dict[str, say.PeriodMonitored] = {}
    for state in now.periods():
        looked = state.model == model.model and _is_before(state.label, before.label)
        if looked and state.status != "waiting":
            newest[state.label] = now.event(state.described_by).event.body
    if compares_live(settings.monitoring.compare_to):
        past += [_watched(stored, body) for body in newest.values() if body.losses and body.facts.get("statistics")]
    known_labels = {item.label: item for item in past}  # a period watched live counts once, as it was lived
    first = next(iter(record.windows.values()), None)
    histograms = first.histograms if first else {}
    return OwnHistory(
        past=[known_labels[label] for label in sorted(known_labels, key=label_order)],
        edges={name: list(item.edges) for name, item in histograms.items() if item.edges is not None},
        levels={name: list(item.levels) for name, item in histograms.items() if item.levels is not None},
        live=_earlier([newest[label] for label in sorted(newest, key=label_order)], settings, before),
    )


def _is_before(label: str, other: str) -> bool:
    return label_order(label) < label_order(other)


def month_of(start: dt.datetime) -> float:
    """A local time in months, so that seasons and distances can be told."""
    return start.year * 12 + start.month - 1 + (start.day - 1) / 31.0


def month_of_window(settings: Pipeline, window: Window) -> float | None:
    """When a period is, in months; None where time is counted in steps."""
    if settings.time.unit == "step":
        return None
    from zoneinfo import ZoneInfo

    return month_of(from_micros(window.start).astimezone(ZoneInfo(settings.time.timezone)))


def _window(
    stored: Callable[[str], bytes], described: say.WindowDescribed, judged: say.WindowEvaluated, settings: Pipeline
) -> Past:
    candidate = judged.candidate
    sums = [f"sum_{part}_{candidate}" for part in ("p", "loss")]
    losses = stored_table(stored(judged.losses), ["rows", "sum_y", *sums], ["segment", "level", "unit"])
    losses = losses.rename(columns=dict(zip(sums, ("sum_p", "sum_loss"), strict=True)))
    weight = [WEIGHT] if settings.data.weight else []
    predictions = stored_table(stored(judged.predictions), ["target", f"p_{candidate}", *weight])
    y = predictions["target"].to_numpy(dtype=np.float64)
    p = predictions[f"p_{candidate}"].to_numpy(dtype=np.float64)
    weights = relative(predictions[WEIGHT].to_numpy(dtype=np.float64)) if weight else None
    units, by_day = units_of(p if weights is None else p * weights, losses)
    chosen = judged.metrics.get(THRESHOLD)
    measure = measure_of(settings).by_row.at(None if chosen is None else chosen.value)
    sample = Scored(y, p, units, measure, weights)
    statistics = {"loss": float(weighted(row_losses(measure, y, p), weights).mean())}
    if settings.task == "classification":
        statistics["estimate"] = float(weighted(expected_losses(measure, p), weights).mean())
    month = None if settings.time.unit == "step" else _month_of_text(described.start_local)
    return Past(
        label=judged.label,
        statistics=statistics,
        losses=losses[LOSS_COLUMNS],
        histograms=described.histograms,
        missing=described.missing,
        new_levels=described.new_levels,
        month=month,
        sample=sample,
        by_day=by_day,
    )


def _month_of_text(text: str) -> float | None:
    try:
        return month_of(dt.datetime.fromisoformat(text))
    except ValueError:
        return None  # a stranger's window, which says no time


def units_of(p: np.ndarray, losses: pd.DataFrame) -> tuple[Units, bool]:
    """The unit of each row of a window by its (weighted) predictions, and whether that is known.

    Rows are stored in the order of time and not with their unit. Where units are days, weeks or rows, their numbers of
    rows say which is whose; the sums of each unit prove it. Elsewhere every row counts as a unit of its own.
    """
    whole = losses[losses["segment"] == ""]
    rows = whole["rows"].to_numpy(dtype=np.int64)
    if int(rows.sum()) == len(p):
        codes = np.repeat(np.arange(len(rows)), rows)
        seen = np.bincount(codes, weights=p, minlength=len(rows))
        if np.allclose(seen, whole["sum_p"].to_numpy(dtype=np.float64), rtol=1e-6, atol=1e-9):
            return Units(codes, tuple(map(str, whole["unit"]))), True
    return Units(np.arange(len(p)), tuple(map(str, range(len(p))))), False


def _watched(stored: Callable[[str], bytes], body: say.PeriodMonitored) -> Past:
    assert body.losses is not None
    facts = _recorded(body)
    return Past(
        label=body.label,
        statistics=dict(body.facts["statistics"]),
        losses=stored_table(stored(body.losses), LOSS_COLUMNS[3:], LOSS_COLUMNS[:3]),
        histograms=body.histograms,
        missing=dict(body.facts.get("missing", {})),
        month=facts.month,
        measured=facts.measured,
    )


class _Recorded(msgspec.Struct):
    """What later periods need of a look; looks of the first form have none of it."""

    measured: dict[str, PeriodStatistic] = {}
    noticed: dict[str, Side] = {}
    month: float | None = None


def _recorded(body: say.PeriodMonitored) -> _Recorded:
    try:
        return msgspec.convert(_known_fields(body.facts), _Recorded)
    except msgspec.ValidationError:
        return _Recorded()  # facts are free form: a stranger's ledger may hold anything there


def _known_fields(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: facts[name] for name in ("measured", "noticed", "month") if name in facts}


def _earlier(bodies: Sequence[say.PeriodMonitored], settings: Pipeline, before: Window) -> list[Earlier]:
    found = []
    for body in bodies:
        facts = _recorded(body)
        if facts.measured:
            placed = {name: Placed(item, facts.month) for name, item in facts.measured.items()}
            following = periods_between(settings.time, body.label, before.label)
            adjacent = len([window for window in following if window.label not in settings.time.skipped]) == 1
            found.append(Earlier(body.label, placed, facts.noticed, adjacent))
    return found
