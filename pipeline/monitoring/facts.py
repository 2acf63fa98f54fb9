"""Facts about a live period, typed, before any sentence: what moved, where, since when, and what to do about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from tallystick.ledger.events.types import Levels
from tallystick.pipeline.evaluate.losses import row_losses
from tallystick.pipeline.evaluate.metrics import Floats, Scored, Units
from tallystick.pipeline.monitoring.baseline import OwnHistory
from tallystick.pipeline.monitoring.columns import Fault, LiveColumns, Unseen, faults_of, unseen_of
from tallystick.pipeline.monitoring.days import SinceWhen, since_when
from tallystick.pipeline.monitoring.judgement import Blind, ComparedWith, Ground, Judgement, judge
from tallystick.pipeline.monitoring.movements import Movement, movements_of
from tallystick.pipeline.monitoring.own_range import Standing
from tallystick.pipeline.monitoring.segments import Decomposition, decompose
from tallystick.pipeline.monitoring.statistics import PeriodStatistic, by_unit, rows_by_unit, weighted
from tallystick.pipeline.monitoring.verdict import OUTCOMES, Cause, Decision, Signals, Status, cause_of

Side = Literal["low", "high"]
NOT_COMPARED = ("column", "unseen", "class gone", "labels", "few")
"""Causes for which a period is no measure for later ones."""
RULES = {True: "own windows 2", False: "prediction interval 1"}
"""Whether own windows are counted -> the name of the rule and its version, as it is recorded."""


class JudgedRows(NamedTuple):
    """The mature rows of a period, with what the model said of them."""

    scored: Scored
    segments: dict[str, pd.Series[str]]
    bins: dict[str, npt.NDArray[np.int64]]
    """Bin of each row by feature, the order of the histogram with ``other`` and missing last."""
    histograms: dict[str, Levels]
    columns: LiveColumns
    """Of all rows of the period, also those without an answer."""
    reference: Scored | None
    """The same rows as the reference predicts them; None where it could not be fitted."""
    unknown: Floats | None = None
    """Predictions of the rows whose answer is not known."""

    @property
    def y(self) -> Floats:
        """Targets."""
        return self.scored.y

    @property
    def p(self) -> Floats:
        """Predictions."""
        return self.scored.p

    @property
    def units(self) -> Units:
        """Resample units."""
        return self.scored.units


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """One of the days that were missed as no day before."""

    unit: str
    rows: int
    observed: float
    predicted: float


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All that the sentences of a watched period are made of."""

    label: str
    rows: int
    observed: float
    predicted: float
    own_windows: list[str]
    statistics: dict[str, float]
    measured: dict[str, PeriodStatistic]
    """The statistics that are judged, with their sampling variance: later periods are compared with them."""
    noticed: dict[str, Side]
    """Those that were out of the ordinary by themselves, with their side: a second time in a row is an alarm."""
    standings: dict[str, Standing]
    own: dict[str, list[float]]
    """The same statistics in the own windows, in their order."""
    foreseen: tuple[float, float] | None
    """Mean outcomes between which the period was to be expected."""
    gain: float
    """Share of the loss that a new intercept takes away."""
    excess: float
    """Share of the loss beyond that of the own windows."""
    margin: float
    expected_events: float | None
    too_few: str | None
    blind: Blind | None
    worse_than_reference: bool
    reference_loss: float | None
    decompositions: list[Decomposition]
    days: list[Day]
    bad_without_days: list[str]
    since: SinceWhen
    movements: list[Movement]
    expected_by_chance: float
    faults: list[Fault]
    unseen: list[Unseen]
    notes: list[str]
    missing: dict[str, float]
    estimate: float | None
    estimate_error: float | None
    """Mean distance of the label-free estimate from what was lost, in the own windows."""
    month: float | None
    rule: str
    """What judged, with its version."""
    cause: Cause

    @property
    def status(self) -> Status:
        """Follows from the cause."""
        return OUTCOMES[self.cause][0]

    @property
    def decision(self) -> Decision:
        """Follows from the cause."""
        return OUTCOMES[self.cause][1]


class Judging(NamedTuple):
    """What a period is judged by."""

    ground: Ground
    min_rows: int
    """Fewest rows of a segment that is named."""
    seed: int
    """Of the permutations of days."""
    month: float | None = None
    """When the period is, in months."""
    notes: tuple[str, ...] = ()
    """Sentences from elsewhere: on coverage, new columns, the validity."""


def facts_of(label: str, rows: JudgedRows, history: OwnHistory, by: Judging) -> Facts:
    """Judge a period whose labels are known against the model's own history."""
    ground = by.ground
    own = history.measured(ground)
    judged = judge(
        ground,
        rows.scored,
        ComparedWith(own, by.month, history.live),
        reference=rows.reference,
        unknown=rows.unknown,
    )
    weights = rows.scored.weights
    loss = weighted(row_losses(rows.scored.measure.by_row, rows.y, rows.p), weights)
    extra = loss - judged.measures.expected
    faults = faults_of(rows.columns, history.columns())
    unseen = unseen_of(rows.columns, loss, faults)
    cause = cause_of(with_columns(judged.signals, faults, noted=bool(by.notes or unseen)))
    of_level = cause in ("level", "small level")
    changes = by_unit(weighted(rows.p - rows.y, weights) if of_level else extra, rows.units)
    movements = movements_of(rows.histograms, rows.bins, rows.units, history.histograms(), extra)
    numbers = judged.measures.numbers
    return Facts(
        label=label,
        rows=len(rows.y),
        observed=float(weighted(rows.y, weights).mean()),
        predicted=float(weighted(rows.p, weights).mean()),
        own_windows=[item.label for item in own.windows],
        statistics=numbers,
        measured=_compared(judged, cause),
        noticed=_noticed(judged, cause),
        standings=judged.standings,
        own={name: found for name in numbers if (found := own.of(name))},
        foreseen=judged.foreseen,
        gain=judged.signals.gain,
        excess=judged.signals.excess,
        margin=ground.margin,
        expected_events=judged.expected_events,
        too_few=judged.too_few,
        blind=judged.blind,
        worse_than_reference=judged.signals.reference.level == "alarm",
        reference_loss=judged.reference_loss,
        decompositions=_decompositions(rows, loss, extra, history, by.min_rows),
        days=_days(judged, rows),
        bad_without_days=judged.rest.bad if judged.rest else [],
        since=since_when(changes, rows_by_unit(rows.units), rows.units.names, by.seed),
        movements=movements,
        expected_by_chance=len(movements) / (len(history.past) + 1) if history.past else 0.0,
        faults=faults,
        unseen=unseen,
        notes=list(by.notes),
        missing=dict(rows.columns.shares.missing),
        estimate=judged.measures.estimate,
        estimate_error=estimate_error(history),
        month=by.month,
        rule=RULES[ground.rules.counts_windows],
        cause=cause,
    )


def _compared(judged: Judgement, cause: Cause) -> dict[str, PeriodStatistic]:
    """What later periods are compared with: without missed days, and nothing of a period that is no measure."""
    if cause in NOT_COMPARED:
        return {}
    return dict(judged.rest.known) if cause == "day" and judged.rest else judged.measures.known


def _noticed(judged: Judgement, cause: Cause) -> dict[str, Side]:
    if cause in NOT_COMPARED:
        return {}
    standings = judged.rest.standings if cause == "day" and judged.rest else judged.standings
    return {name: item.side for name, item in standings.items() if item.level != "normal" and item.by != "drift"}


def with_columns(signals: Signals, faults: Sequence[Fault], *, noted: bool) -> Signals:
    """The signals of a period together with those of its columns."""
    return signals._replace(
        column=any(item.kind != "unseen" for item in faults),
        unseen=any(item.kind == "unseen" for item in faults),
        noted=noted,
    )


def _decompositions(
    rows: JudgedRows, loss: Floats, extra: Floats, history: OwnHistory, min_rows: int
) -> list[Decomposition]:
    if not history.past:
        return []
    tables = [item.losses for item in history.past]
    return [
        decompose(name, series, rows.scored, (loss, extra), tables, min_rows) for name, series in rows.segments.items()
    ]


def _days(judged: Judgement, rows: JudgedRows) -> list[Day]:
    found = []
    for unit in judged.days:
        here = rows.units.codes == rows.units.names.index(unit)
        found.append(
            Day(
                unit=unit,
                rows=int(here.sum()),
                observed=float(rows.y[here].mean()),
                predicted=float(rows.p[here].mean()),
            )
        )
    return found


def estimate_error(history: OwnHistory) -> float | None:
    """How far the label-free estimate has been off, on average over the own windows."""
    missed = [
        abs(past.statistics["estimate"] - past.statistics["loss"])
        for past in history.past
        if "estimate" in past.statistics
    ]
    return math.fsum(missed) / len(missed) if missed else None
