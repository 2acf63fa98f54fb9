"""Facts about a live period, typed, before any sentence: what moved, where, since when, and what to do about it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from tallystick.ledger.events.types import Levels
from tallystick.pipeline.config.alert_rules import Thresholds
from tallystick.pipeline.config.settings import FEWEST_WINDOWS
from tallystick.pipeline.evaluate.losses import Measure, row_losses
from tallystick.pipeline.evaluate.metrics import Floats, Scored, Units, loss_table
from tallystick.pipeline.evaluate.stability import cluster_se_of_mean
from tallystick.pipeline.monitoring.baseline import OwnHistory
from tallystick.pipeline.monitoring.own_range import OwnRange, stand
from tallystick.pipeline.monitoring.statistics import (
    STATISTICS,
    Episode,
    SinceWhen,
    Statistic,
    Statistics,
    by_unit,
    calm_error,
    episode,
    rows_by_unit,
    since_when,
    statistics,
    weighted,
    without,
)
from tallystick.pipeline.recipes import Task

Decision = Literal["nothing", "wait", "recalibrate", "challenger", "fix data", "refuse"]
Cause = Literal["nothing", "data", "level", "ranking", "episode", "unexplained"]
SMALLEST_SEGMENT_SHARE = 0.2
LEVEL_SHARE = 0.5
FEWEST_DAYS = 10
MISSING_MORE = 0.05
"""Share of rows that must be missing beyond every own window before it is called a fault of the data."""
MOVED_RATIO = 1.5


class JudgedRows(NamedTuple):
    """The mature rows of a period, with what the model said of them."""

    y: Floats
    p: Floats
    units: Units
    segments: dict[str, pd.Series[str]]
    bins: dict[str, npt.NDArray[np.int64]]
    """Bin of each row by feature, the order of the histogram with ``other`` and missing last."""
    histograms: dict[str, Levels]
    missing: dict[str, float]
    constant: tuple[str, ...]
    """Features with one value only."""
    reference: Floats | None
    """Predictions of the reference; None where it could not be fitted."""
    reference_threshold: float | None = None
    """From which probability on the reference says yes, where costs are judged."""
    weights: Floats | None = None
    """One a row, with a mean of one; None where every row counts the same."""

    def by(self, measure: Measure) -> Scored:
        """The rows as they are judged by a measure."""
        return Scored(self.y, self.p, self.units, measure, self.weights)


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """One level of one segment column in the change of the loss."""

    segment: str
    level: str
    rows: int
    share: float
    share_before: float
    loss: float
    loss_before: float
    inside: float
    """Its part of the change because its rows are lost worse: share times the change of its loss."""
    mix: float
    """Its part because there are more or fewer of its rows."""
    part: float
    """Inside and mix together, as a share of the whole change."""
    interval: tuple[float, float] | None
    """90% interval of the change of its own loss."""
    named: bool
    extra_part: float | None
    """Its part of the extra loss of the period; None where that is not positive."""


class Decomposition(msgspec.Struct, frozen=True, kw_only=True):
    """The change of the loss by one segment column: the parts add up to it."""

    segment: str
    change: float
    inside: float
    mix: float
    levels: list[Segment]


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """One feature's distribution against its own past."""

    feature: str
    psi: float
    own_highest: float
    outside: bool
    moved_share: float
    """Rows in bins that have become at least half as frequent again."""
    extra_in_moved: float | None
    """Extra loss a row in those bins, less that in the others."""
    z: float | None
    follows: bool
    """The loss follows: rows in the moved bins lose more, beyond chance given how many features were tried."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """A column that does not arrive as it used to."""

    feature: str
    kind: Literal["missing", "constant"]
    share: float
    own_highest: float


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """One of the days of an episode."""

    unit: str
    rows: int
    observed: float
    predicted: float
    share: float
    """Of the period's extra loss."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All that the sentences of a watched period are made of."""

    label: str
    rows: int
    observed: float
    predicted: float
    own_windows: list[str]
    statistics: dict[str, float]
    standings: dict[str, OwnRange]
    own: dict[str, list[float]]
    """The same statistics in the own windows, in their order."""
    loss_standing: OwnRange
    auc_standing: OwnRange | None
    recoverable: float | None
    """Share of the extra loss that a new intercept takes away; None where there is none."""
    worse_than_reference: bool
    reference_loss: float | None
    decompositions: list[Decomposition]
    episode: Episode | None
    days: list[Day]
    bad_without_episode: list[str]
    since: SinceWhen
    movements: list[Movement]
    expected_by_chance: float
    faults: list[Fault]
    missing: dict[str, float]
    estimate: float | None
    estimate_error: float | None
    """Mean distance of the label-free estimate from what was lost, in the own windows."""
    cause: Cause
    decision: Decision
    status: Literal["quiet", "notable", "alarm"]


class Judging(NamedTuple):
    """What a period is judged by."""

    task: Task
    measure: Measure
    """What gives a row its loss, at the threshold of the model where it is a cost."""
    rules: Thresholds
    min_rows: int
    """Fewest rows of a segment that is named."""
    margin: float
    """Share of the loss that nobody would act on; a level that costs less is no reason to do anything."""
    seed: int
    """Of the permutations of days."""


def facts_of(label: str, rows: JudgedRows, history: OwnHistory, by: Judging) -> Facts:
    """Judge a period whose labels are known against the model's own history."""
    task, measure, rules, min_rows, margin, seed = by
    usual = history.usual_loss
    scored = rows.by(measure)
    found = statistics(task, scored, usual)
    own = {
        name: [past.statistics[name] for past in history.past if name in past.statistics]
        for name in (*STATISTICS, "loss", "auc")
    }
    standings = _standings(found, own, rules)
    loss = weighted(row_losses(measure, rows.y, rows.p), rows.weights)
    extra = loss - found.expected
    daily = by_unit(extra, rows.units)
    bad = [name for name, standing in standings.items() if standing.bad]
    few = episode(daily, rows.units.names) if bad else None
    strange = _strange_days(rows, history, rules, daily)
    if few is None or (strange is not None and not set(strange.units) <= set(few.units)):
        few = strange
    rest = _bad_without(few, rows, own, usual, by) if few else bad
    recoverable = _recoverable(found)
    faults = _faults(rows, history)
    worse, reference_loss = _against_reference(rows, loss, measure)
    gained = found.loss - found.recalibrated_loss > margin * abs(found.loss)
    cause = _cause(faults, [*bad, *(["day"] if strange else [])], rest, few, recoverable, worse, gained)
    gaps = by_unit(weighted(rows.p - rows.y, rows.weights), rows.units)
    movements = movements_of(rows, history, extra)
    return Facts(
        label=label,
        rows=len(rows.y),
        observed=float(weighted(rows.y, rows.weights).mean()),
        predicted=float(weighted(rows.p, rows.weights).mean()),
        own_windows=[past.label for past in history.past],
        statistics=found.known,
        standings=standings,
        own=own,
        loss_standing=stand(found.loss, calm_error(loss, rows.units), own["loss"], rules, "upper"),
        auc_standing=None if found.auc is None else stand(found.auc, None, own["auc"], rules, "lower"),
        recoverable=recoverable,
        worse_than_reference=worse,
        reference_loss=reference_loss,
        decompositions=[
            decompose(name, scored, rows.segments[name], extra, history, min_rows)
            for name in rows.segments
            if history.past
        ],
        episode=few,
        days=_days(few, rows, daily),
        bad_without_episode=rest,
        since=since_when(gaps if cause == "level" else daily, rows_by_unit(rows.units), rows.units.names, seed),
        movements=movements,
        expected_by_chance=len(movements) / (len(history.past) + 1) if history.past else 0.0,
        faults=faults,
        missing=rows.missing,
        estimate=found.estimate,
        estimate_error=estimate_error(history),
        cause=cause,
        decision=DECISIONS[cause],
        status=_status(cause, standings, worse and rules.worse_than_reference, faults),
    )


DECISIONS: dict[str, Decision] = {
    "nothing": "nothing",
    "data": "fix data",
    "level": "recalibrate",
    "ranking": "challenger",
    "episode": "wait",
    "unexplained": "challenger",
}


def _standings(found: Statistics, own: Mapping[str, Sequence[float]], rules: Thresholds) -> dict[str, OwnRange]:
    sides: dict[str, tuple[Statistic | None, Literal["upper", "both"]]] = {
        "extra_loss": (found.extra_loss, "upper"),
        "level": (found.level, "both"),
        "ranking": (found.ranking, "upper"),
    }
    return {
        name: stand(item.value, item.standard_error, own[name], rules, side)
        for name, (item, side) in sides.items()
        if item is not None
    }


def _strange_days(rows: JudgedRows, history: OwnHistory, rules: Thresholds, daily: Floats) -> Episode | None:
    """Days, at most a tenth, that were missed as no day of the own windows was; None without any."""
    whole = [past.losses[past.losses["segment"] == ""] for past in history.past]
    own = [((table["sum_p"] - table["sum_y"]) / table["rows"]).to_numpy(np.float64) for table in whole]
    if len(own) < FEWEST_WINDOWS or min(map(len, own)) < FEWEST_DAYS or len(rows.units.names) < FEWEST_DAYS:
        return None
    days = np.concatenate(own)
    low, high = float(days.min()), float(days.max())
    gaps = by_unit(weighted(rows.p - rows.y, rows.weights), rows.units) / rows_by_unit(rows.units)
    margin = rules.by_range * (high - low)
    found = np.flatnonzero((gaps > high + margin) | (gaps < low - margin))
    if not 0 < len(found) <= 0.1 * len(gaps):
        return None
    total = float(daily.sum())
    share = float(daily[found].sum()) / total if total > 0.0 else 1.0
    return Episode(tuple(rows.units.names[index] for index in found), share)


def _bad_without(
    few: Episode,
    rows: JudgedRows,
    own: Mapping[str, Sequence[float]],
    usual: float,
    by: Judging,
) -> list[str]:
    """What lies beyond the own windows even when the days of an episode are left out."""
    keep = without(rows.units, few.units)
    codes, names = pd.factorize(np.asarray(rows.units.names, dtype=object)[rows.units.codes[keep]], sort=True)
    units = Units(codes.astype(np.int64), tuple(names))
    rest = statistics(by.task, rows.by(by.measure).only(keep)._replace(units=units), usual)
    return [name for name, standing in _standings(rest, own, by.rules).items() if standing.bad and not standing.inside]


def _recoverable(found: Statistics) -> float | None:
    """Share of the extra loss that a new intercept takes away."""
    gained = found.loss - found.recalibrated_loss
    return gained / found.extra_loss.value if found.extra_loss.value > 0.0 and gained > 0.0 else None


def _faults(rows: JudgedRows, history: OwnHistory) -> list[Fault]:
    found = []
    for name, share in rows.missing.items():
        highest = max((past.missing.get(name, 0.0) for past in history.past), default=share)
        if share > highest + MISSING_MORE:
            found.append(Fault(feature=name, kind="missing", share=share, own_highest=highest))
        elif name in rows.constant and history.past and all(_varied(past.histograms[name]) for past in history.past):
            found.append(Fault(feature=name, kind="constant", share=1.0, own_highest=0.0))
    return found


def _varied(histogram: Levels) -> bool:
    return sum(count > 0 for count in (*histogram.counts, histogram.other)) > 1


def _against_reference(rows: JudgedRows, loss: Floats, measure: Measure) -> tuple[bool, float | None]:
    """Whether the model loses more than the reference in the period, beyond two standard errors."""
    if rows.reference is None:
        return False, None
    theirs = weighted(row_losses(measure.at(rows.reference_threshold), rows.y, rows.reference), rows.weights)
    difference = loss - theirs
    error = cluster_se_of_mean(by_unit(difference, rows.units), rows_by_unit(rows.units))
    mean = float(difference.mean())
    return bool(error is not None and mean > 2.0 * error), float(theirs.mean())


def _cause(
    faults: list[Fault],
    bad: list[str],
    rest: list[str],
    few: Episode | None,
    recoverable: float | None,
    worse: bool,
    gained: bool,
) -> Cause:
    """The decision table, in its order."""
    costs = [name for name in bad if name != "level"] + (["level"] if "level" in bad and gained else [])
    table: list[tuple[Cause, bool]] = [
        ("data", bool(faults)),
        ("nothing", not costs and not worse),
        ("episode", few is not None and not rest),
        ("level", "level" in costs and (recoverable is None or recoverable >= LEVEL_SHARE)),
        ("ranking", "ranking" in bad),
        ("episode", few is not None and "level" not in rest),
    ]
    return next((cause for cause, holds in table if holds), "unexplained")


def _status(
    cause: str, standings: dict[str, OwnRange], worse: bool, faults: list[Fault]
) -> Literal["quiet", "notable", "alarm"]:
    levels = {standing.level for standing in standings.values()}
    if faults or worse or ("alarm" in levels and cause != "nothing"):
        return "alarm"
    return "notable" if cause != "nothing" or levels != {"normal"} else "quiet"


def _days(few: Episode | None, rows: JudgedRows, daily: Floats) -> list[Day]:
    if few is None:
        return []
    total = float(daily.sum())
    found = []
    for unit in few.units:
        code = rows.units.names.index(unit)
        here = rows.units.codes == code
        share = float(daily[code]) / total if total else 0.0
        day = Day(
            unit=unit,
            rows=int(here.sum()),
            observed=float(rows.y[here].mean()),
            predicted=float(rows.p[here].mean()),
            share=share,
        )
        found.append(day)
    return found


def estimate_error(history: OwnHistory) -> float | None:
    """How far the label-free estimate has been off, on average over the own windows."""
    missed = [
        abs(past.statistics["estimate"] - past.statistics["loss"])
        for past in history.past
        if "estimate" in past.statistics
    ]
    return math.fsum(missed) / len(missed) if missed else None


# Where the loss moved ------------------------------------------------------------------------------------------


def decompose(
    name: str, rows: Scored, segment: pd.Series[str], extra: Floats, history: OwnHistory, min_rows: int
) -> Decomposition:
    """The change of the loss against all own windows together, by the levels of one segment column.

    With shares ``w`` and losses ``L`` of the levels, and the reference's with a prime, the change is exactly
    ``sum w (L - L') + sum (w - w') (L' - L'_all)``: worse inside, and another mix. A level that is new has no loss
    of its own before and is given that of all.
    """
    table = loss_table(rows, {name: segment})
    loss = weighted(row_losses(rows.measure, rows.y, rows.p), rows.weights)
    now = table[table["segment"] == name]
    before = pd.concat([past.losses[past.losses["segment"] == name] for past in history.past])
    rows_before = float(before["rows"].sum())
    loss_before = float(before["sum_loss"].sum()) / rows_before
    change = float(loss.mean()) - loss_before
    z = NormalDist().inv_cdf(0.95)
    total = float(extra.sum())
    here_of = segment.fillna("(missing)").to_numpy()
    levels = []
    for level in sorted(set(now["level"]) | set(before["level"])):
        here, there = now[now["level"] == level], before[before["level"] == level]
        count, count_before = int(here["rows"].sum()), float(there["rows"].sum())
        theirs = float(there["sum_loss"].sum()) / count_before if count_before else loss_before
        ours = float(here["sum_loss"].sum()) / count if count else theirs
        share, share_before = count / len(loss), count_before / rows_before
        errors = [
            cluster_se_of_mean(part["sum_loss"].to_numpy(np.float64), part["rows"].to_numpy(np.float64))
            for part in (here, there)
            if len(part)
        ]
        interval = None
        if errors and all(error is not None for error in errors):
            error = math.sqrt(math.fsum((error or 0.0) ** 2 for error in errors))
            interval = (ours - theirs - z * error, ours - theirs + z * error)
        inside, mix = share * (ours - theirs), (share - share_before) * (theirs - loss_before)
        part = (inside + mix) / change if change else 0.0
        clear = interval is not None and (interval[0] > 0.0 or interval[1] < 0.0)
        levels.append(
            Segment(
                segment=name,
                level=level,
                rows=count,
                share=share,
                share_before=share_before,
                loss=ours,
                loss_before=theirs,
                inside=inside,
                mix=mix,
                part=part,
                interval=interval,
                named=part >= SMALLEST_SEGMENT_SHARE and count >= min_rows and clear,
                extra_part=float(extra[here_of == level].sum()) / total if total > 0.0 else None,
            )
        )
    return Decomposition(
        segment=name,
        change=change,
        inside=math.fsum(item.inside for item in levels),
        mix=math.fsum(item.mix for item in levels),
        levels=levels,
    )


# Features ------------------------------------------------------------------------------------------------------


def movements_of(rows: JudgedRows, history: OwnHistory, extra: Floats) -> list[Movement]:
    """Every watched feature against its own past, the loss beside it; the farthest outside first."""
    found = []
    tried = NormalDist().inv_cdf(1.0 - 0.05 / max(1, len(rows.histograms)))
    for name, histogram in rows.histograms.items():
        past = [_shares(item.histograms[name]) for item in history.past if name in item.histograms]
        past = [shares for shares in past if len(shares) == len(_shares(histogram))]
        if len(past) < FEWEST_WINDOWS:
            continue
        now = _shares(histogram)
        together = np.mean(past, axis=0)
        others = [np.mean(past[:index] + past[index + 1 :], axis=0) for index in range(len(past))]
        highest = max(psi(shares, rest) for shares, rest in zip(past, others, strict=True))
        distance = psi(now, together)
        moved = now > MOVED_RATIO * together
        z = difference = None
        if name in rows.bins:
            z, difference = _moved_loss(moved[rows.bins[name]], extra, rows.units)
        found.append(
            Movement(
                feature=name,
                psi=distance,
                own_highest=highest,
                outside=distance > highest,
                moved_share=float(now[moved].sum()),
                extra_in_moved=difference,
                z=z,
                follows=distance > highest and z is not None and z > tried,
            )
        )
    return sorted(found, key=lambda item: (-(item.psi - item.own_highest), item.feature))


def _shares(histogram: Levels) -> Floats:
    counts = np.array([*histogram.counts, histogram.other, histogram.missing], dtype=np.float64)
    return counts / counts.sum() if counts.sum() else counts


def psi(now: Floats, before: Floats) -> float:
    """Population stability index of two histograms; empty bins count as a ten-thousandth."""
    ours, theirs = np.maximum(now, 1e-4), np.maximum(before, 1e-4)
    ours, theirs = ours / ours.sum(), theirs / theirs.sum()
    return float(((ours - theirs) * np.log(ours / theirs)).sum())


def _moved_loss(moved: npt.NDArray[np.bool_], extra: Floats, units: Units) -> tuple[float | None, float | None]:
    """Extra loss in moved bins less that elsewhere, over its standard error by units."""
    if moved.sum() < 2 or (~moved).sum() < 2:
        return None, None
    parts = []
    for mask in (moved, ~moved):
        part = Units(units.codes[mask], units.names)
        sums, count = by_unit(extra[mask], part), rows_by_unit(part)
        parts.append((float(extra[mask].mean()), cluster_se_of_mean(sums, count)))
    (ours, error), (theirs, other) = parts
    difference = ours - theirs
    if error is None or other is None or not math.hypot(error, other):
        return None, difference
    return difference / math.hypot(error, other), difference
