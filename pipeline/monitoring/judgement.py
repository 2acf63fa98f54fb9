"""A period whose answers are known, judged against the model's own windows: every number that the verdict needs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from tallystick.pipeline.config.alert_rules import Thresholds
from tallystick.pipeline.evaluate.losses import row_losses
from tallystick.pipeline.evaluate.metrics import Floats, Scored, Units
from tallystick.pipeline.monitoring.days import DaySums, day_sums, strange_days
from tallystick.pipeline.monitoring.interval import FEWEST_OWN_WINDOWS, Foretold, Placed, foretell
from tallystick.pipeline.monitoring.own_range import (
    FEWEST_BY_COUNT,
    SHARES,
    Earlier,
    JudgedStatistic,
    Standing,
    full_width,
    judge_against_reference,
    judge_by_count,
    judge_by_interval,
)
from tallystick.pipeline.monitoring.statistics import (
    STATISTICS,
    Expectation,
    Measures,
    PeriodStatistic,
    each_row,
    expectations,
    keep,
    logits,
    measure,
    rows_by_unit,
    shift_to,
    sigmoid,
    standard_error,
    weighted,
    without,
)
from tallystick.pipeline.monitoring.verdict import NORMAL, Signal, Signals
from tallystick.pipeline.recipes import Task

FEWEST_ROWS = 30
FEWEST_EVENTS = 10.0
MOST_BY_CHANCE = 7.0
"""Expected rows of the other class up to which a period of one class may be chance."""
BLIND_LEVEL: dict[Task, float] = {"classification": 0.7, "regression": 1.0}
"""A level of this size must be seen, or quiet means nothing: odds doubled, or off by a whole usual error."""
BLIND_SPREAD: dict[Task, float] = {"classification": 1.0, "regression": float(np.log(2.0))}
"""The same of errors: doubled."""
UNKNOWN_ODDS = 3.0
"""Rows without an answer may have odds so many times as high or as low as was predicted."""


class OwnWindow(NamedTuple):
    """An own window, or an earlier live period that counts like one: of that, only what was recorded is known."""

    label: str
    month: float | None
    sample: Scored | None
    measured: Mapping[str, PeriodStatistic] = {}
    values: Mapping[str, float] = {}
    by_day: bool = True
    """Whether the units of the sample are in the order of time, so that days can be judged."""


class OwnMeasures(NamedTuple):
    """What all periods of a model are compared with."""

    windows: list[OwnWindow]
    measured: list[Mapping[str, PeriodStatistic]]
    expectation: Expectation | None
    loss: float
    """Mean loss of an own window; zero without any."""
    days: list[DaySums]
    values: list[Mapping[str, float]]
    """The plain numbers of each window by name."""

    def of(self, name: str) -> list[float]:
        """A plain number in all own windows; empty where one of them has none."""
        found = [item[name] for item in self.values if name in item]
        return found if len(found) == len(self.values) else []

    def placed(self, name: str) -> list[Placed]:
        """A statistic in the own windows, in their order."""
        pairs = zip(self.windows, self.measured, strict=True)
        return [Placed(found[name], window.month) for window, found in pairs if name in found]


class Ground(NamedTuple):
    """What a period is judged by."""

    task: Task
    rules: Thresholds
    margin: float
    """Share of the loss that nobody would act on."""


class ComparedWith(NamedTuple):
    """What a period is compared with."""

    own: OwnMeasures
    month: float | None = None
    """When the period is, in months."""
    live: Sequence[Earlier] = ()
    """Earlier live periods, oldest first."""


class Blind(msgspec.Struct, frozen=True, kw_only=True):
    """What could not be told: the smallest level and the smallest growth of errors that a notice would need."""

    level: float | None
    spread: float | None


class Rest(NamedTuple):
    """A period without the days that were missed as no day before."""

    known: Mapping[str, PeriodStatistic]
    standings: Mapping[str, Standing]

    @property
    def bad(self) -> list[str]:
        """The statistics that are an alarm all the same."""
        return [name for name, item in self.standings.items() if item.level == "alarm"]


class Judgement(NamedTuple):
    """All that is known before the verdict."""

    measures: Measures
    standings: dict[str, Standing]
    signals: Signals
    days: list[str]
    rest: Rest | None
    """The period without those days; None where there are none."""
    blind: Blind | None
    foreseen: tuple[float, float] | None
    """Mean outcomes between which the period was expected; None where nothing is foretold of the level."""
    expected_events: float | None
    too_few: str | None
    """Why it cannot be judged, as a code."""
    reference_loss: float | None


def own_measures(ground: Ground, windows: Sequence[OwnWindow]) -> OwnMeasures:
    """Measure the own windows, each against the others where it needs an expectation."""
    windows = _pooled(ground.task, windows)
    samples = [item.sample for item in windows if item.sample is not None]
    each: list[Expectation] = []
    expectation = None
    if ground.task == "regression" and samples:
        each, expectation = expectations(samples)
    clip = expectation.clip if expectation else None
    measured: list[Mapping[str, PeriodStatistic]] = []
    losses: list[float] = []
    days: list[DaySums] = []
    values: list[Mapping[str, float]] = []
    for item in windows:
        if item.sample is None:
            measured.append(item.measured)
            values.append(item.values)
            continue
        sample = item.sample._replace(units=each_row(item.sample.units))
        by = each[len(losses)] if each else None
        found = measure(ground.task, sample, by)
        losses.append(found.loss)
        measured.append(found.known)
        values.append(found.numbers)
        if item.by_day and int((rows_by_unit(item.sample.units) > 0).sum()) >= 2:
            days.append(day_sums(ground.task, item.sample, clip))
    mean = math.fsum(losses) / len(losses) if losses else 0.0
    return OwnMeasures(list(windows), measured, expectation, mean, days, values)


def _pooled(task: Task, windows: Sequence[OwnWindow]) -> list[OwnWindow]:
    """Windows with too few expected events or non-events together with the next, so that each has a level."""
    if task == "regression":
        return list(windows)
    found: list[OwnWindow] = []
    for item in windows:
        last = found[-1] if found else None
        if last is not None and _is_small(last) and item.sample is not None:
            found[-1] = _together(last, item)
        else:
            found.append(item)
    if len(found) > 1 and _is_small(found[-1]) and found[-2].sample is not None:
        found[-2:] = [_together(found[-2], found[-1])]
    return found


def _is_small(item: OwnWindow) -> bool:
    return item.sample is not None and _events(item.sample.p) < FEWEST_EVENTS


def _events(p: Floats) -> float:
    """Expected events or non-events, whichever is fewer."""
    return float(min(p.sum(), (1.0 - p).sum()))


def _together(one: OwnWindow, other: OwnWindow) -> OwnWindow:
    assert one.sample is not None and other.sample is not None
    units = Units(
        np.concatenate([one.sample.units.codes, other.sample.units.codes + len(one.sample.units.names)]),
        (*one.sample.units.names, *other.sample.units.names),
    )
    y, p = (np.concatenate(pair) for pair in zip(one.sample[:2], other.sample[:2], strict=True))
    weights = None
    if one.sample.weights is not None and other.sample.weights is not None:
        weights = np.concatenate([one.sample.weights, other.sample.weights])
    sample = Scored(y, p, units, one.sample.measure, weights)
    month = None if one.month is None or other.month is None else (one.month + other.month) / 2.0
    return OwnWindow(f"{one.label} to {other.label}", month, sample, {}, {}, one.by_day and other.by_day)


def judge(
    ground: Ground,
    rows: Scored,
    to: ComparedWith,
    *,
    reference: Scored | None = None,
    unknown: Floats | None = None,
) -> Judgement:
    """Judge the rows of a period.

    Parameters
    ----------
    to : what it is compared with
    reference : the same rows as the reference predicts them
    unknown : predictions of the rows whose answer is not known
    """
    task, own = ground.task, to.own
    units = rows.units
    rows = rows._replace(units=each_row(units))
    measures = measure(task, rows, own.expectation)
    standings = _standings(ground, measures.known, to)
    days: list[str] = []
    if int((rows_by_unit(units) > 0).sum()) >= 2 and own.days:
        clip = own.expectation.clip if own.expectation else None
        days = strange_days(task, day_sums(task, rows, clip), own.days) or []
    rest = _rest(ground, rows, days, to) if days else None
    signal, theirs = _against_reference(ground, rows, reference, live=bool(to.live))
    too_few = _too_few(ground, rows, own)
    blind = _blind(ground, measures, standings, to) if len(own.windows) >= FEWEST_OWN_WINDOWS else None
    signals = Signals(
        one_class=_one_class(task, rows, own),
        waiting=_is_open(ground, rows, unknown, to, standings),
        few=too_few is not None,
        days=bool(days),
        rest=rest is not None and bool(rest.bad),
        level=_signal(standings, "level"),
        ranking=_signal(standings, "ranking"),
        spread=_signal(standings, "spread"),
        reference=signal,
        gain=_share(measures.loss - measures.recalibrated_loss, measures.loss),
        excess=_share(measures.loss - own.loss, measures.loss),
        margin=ground.margin,
        blind=blind is not None,
    )
    return Judgement(
        measures=measures,
        standings=standings,
        signals=signals,
        days=days,
        rest=rest,
        blind=blind,
        foreseen=_foreseen(task, rows, measures, standings),
        expected_events=_events(rows.p) if task == "classification" else None,
        too_few=too_few,
        reference_loss=theirs,
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0.0 else 0.0


def _signal(standings: Mapping[str, Standing], name: str) -> Signal:
    return standings[name].signal if name in standings else NORMAL


def _standings(ground: Ground, known: Mapping[str, PeriodStatistic], to: ComparedWith) -> dict[str, Standing]:
    found = {}
    for name in STATISTICS:
        if name not in known:
            continue
        placed = to.own.placed(name)
        asked = JudgedStatistic(name, known[name], to.month, _ahead(placed, to.month))
        if ground.rules.counts_windows:
            standing = judge_by_count(asked, placed, ground.rules)
        else:
            standing = judge_by_interval(asked, placed, to.live, ground.rules)
        if standing is not None:
            found[name] = standing
    return found


def _ahead(placed: Sequence[Placed], month: float | None) -> int:
    """How many windows after the last own one a period is."""
    months = [item.month for item in placed if item.month is not None]
    if month is None or len(months) < 2 or months[-1] <= months[0]:
        return 1
    return max(1, round((month - months[-1]) / ((months[-1] - months[0]) / (len(months) - 1))))


def _rest(ground: Ground, rows: Scored, days: Sequence[str], to: ComparedWith) -> Rest:
    left = keep(rows, without(rows.units, days))
    known = measure(ground.task, left, to.own.expectation).known
    return Rest(known, _standings(ground, known, to))


def _against_reference(
    ground: Ground, rows: Scored, reference: Scored | None, *, live: bool
) -> tuple[Signal, float | None]:
    if reference is None:
        return NORMAL, None
    ours, theirs = (
        weighted(row_losses(item.measure.by_row, item.y, item.p), item.weights) for item in (rows, reference)
    )
    difference = ours - theirs
    units = int((rows_by_unit(rows.units) > 0).sum())
    signal = NORMAL
    if ground.rules.worse_than_reference:
        mean, error = float(difference.mean()), standard_error(difference, rows.units)
        signal = judge_against_reference(mean, error, units, ground.rules, live=live)
    return signal, float(theirs.mean())


def _too_few(ground: Ground, rows: Scored, own: OwnMeasures) -> str | None:
    if len(rows.y) < FEWEST_ROWS:
        return "rows"
    if ground.task == "classification" and _events(rows.p) < FEWEST_EVENTS:
        return "events"
    needed = FEWEST_BY_COUNT if ground.rules.counts_windows else FEWEST_OWN_WINDOWS
    if len(own.placed("level")) < needed:
        return "windows"
    if own.expectation is not None and (own.expectation.clip <= 0.0 or not own.expectation.means.any()):
        return "no errors"
    return None


def _one_class(task: Task, rows: Scored, own: OwnMeasures) -> Literal["gone", "rare"] | None:
    """Whether one class is missing, although it was expected even at half the odds that the model itself is used to."""
    if task == "regression" or 0.0 < rows.y.mean() < 1.0:
        return None
    levels = [item.measured.value for item in own.placed("level")]
    usual = math.fsum(levels) / len(levels) if levels else 0.0
    missing = 1.0 if rows.y[0] == 0.0 else -1.0
    other = sigmoid(missing * (logits(rows.p) + usual) - float(np.log(2.0)))
    return "gone" if float(other.sum()) > MOST_BY_CHANCE else "rare"


def _is_open(
    ground: Ground,
    rows: Scored,
    unknown: Floats | None,
    to: ComparedWith,
    standings: Mapping[str, Standing],
) -> bool:
    """Whether the rows without an answer could change what is said of the level: odds three times up or down."""
    if unknown is None or not len(unknown) or ground.task == "regression" or "level" not in standings:
        return False
    p = np.concatenate([rows.p, unknown])
    measured = measure(ground.task, rows, None).known["level"]
    levels = set()
    for odds in (float(np.log(UNKNOWN_ODDS)), -float(np.log(UNKNOWN_ODDS))):
        events = float(rows.y.sum()) + float(sigmoid(logits(unknown) + odds).sum())
        shift, _ = shift_to(events / len(p), p)
        known = {"level": msgspec.structs.replace(measured, value=shift, rows=len(p))}
        standing = _standings(ground, known, to)["level"]
        levels.add((standing.level, standing.side if standing.level != "normal" else None))
    return len(levels) > 1


def _blind(ground: Ground, measures: Measures, standings: Mapping[str, Standing], to: ComparedWith) -> Blind | None:
    """Whether a quiet period could hide a large level or doubled errors; None where it could not."""
    widths = {"level": math.inf, "spread": math.inf}
    for name in widths:
        if name in standings and name in measures.known:
            placed, measured = to.own.placed(name), measures.known[name]
            found = foretell(placed, measured.rows, measured.units, to.month, _ahead(placed, to.month))
            widths[name] = _needed(found, name, ground.rules, standings[name]) if found else math.inf
    level, spread = widths["level"], widths["spread"]
    if level <= BLIND_LEVEL[ground.task] and spread <= BLIND_SPREAD[ground.task]:
        return None
    grown = spread if ground.task == "classification" else math.expm1(min(spread, 50.0))
    return Blind(level=level if math.isfinite(level) else None, spread=grown if math.isfinite(spread) else None)


def _needed(found: Foretold, name: str, rules: Thresholds, standing: Standing) -> float:
    """How far a statistic must be from the centre for a notice.

    Of the level, if nothing else were asked. Of the spread, with the part of the probability that it gets: with five
    windows the difference hides doubled errors.
    """
    if name == "spread":
        return standing.half_width or found.quantile(SHARES[name] * rules.notice_p)
    return full_width(found, name, rules.notice_p)


def _foreseen(
    task: Task, rows: Scored, measures: Measures, standings: Mapping[str, Standing]
) -> tuple[float, float] | None:
    """The mean outcomes between which the level would be ordinary."""
    if "level" not in standings:
        return None
    low, high = standings["level"].low, standings["level"].high
    if task == "regression":
        mean = float(rows.p.mean())
        return mean + low * measures.scale, mean + high * measures.scale
    odds = logits(rows.p)
    return float(sigmoid(odds + low).mean()), float(sigmoid(odds + high).mean())
