"""How unusual a statistic is against a model's own history, by the words of ``[monitoring]``.

Two rules can be written there. The newer one is a prediction interval, :mod:`pipeline.monitoring.interval`. The older
one counts own windows; files that registered it keep it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec
from scipy.special import stdtr

from tallystick.pipeline.config.alert_rules import Thresholds
from tallystick.pipeline.monitoring.drift import cusum, drift_scores, drift_verdict
from tallystick.pipeline.monitoring.interval import Foretold, Placed, foretell
from tallystick.pipeline.monitoring.statistics import PeriodStatistic
from tallystick.pipeline.monitoring.verdict import Level, Signal

CLEAR = 2.0
"""Standard errors beyond the own windows that an alarm needs by the older rule."""
FAR = 3.0
"""Standard errors from the middle of the own windows that a notice needs by the older rule."""
SHARES = {"level": 0.3, "ranking": 0.3, "spread": 0.3, "reference": 0.1}
"""How the probability of a false notice or alarm is divided over all that is asked."""
SIDES: dict[str, Literal["upper", "both"]] = {"level": "both", "ranking": "upper", "spread": "upper"}
FEWEST_BY_COUNT = 3
Side = Literal["low", "high"]
By = Literal["interval", "own windows", "twice", "drift"]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A statistic among what the own windows foretell."""

    value: float
    low: float
    """Below it is a notice; for a statistic that is bad on one side only, what is foretold at least."""
    high: float
    centre: float
    p: float | None
    """How rare it is in quiet periods, over everything that is asked; None by the older rule."""
    side: Side
    level: Level
    by: By
    """What the level comes from."""
    windows: int
    half_width: float | None
    """What a notice needs at least, from the centre."""
    drift: float = 0.0
    trend: float | None = None
    season: bool = False

    @property
    def signal(self) -> Signal:
        """As the verdict reads it."""
        return Signal(level=self.level, p=1.0 if self.p is None else self.p)


class Earlier(NamedTuple):
    """One live period before this one, as it was recorded."""

    label: str
    placed: Mapping[str, Placed]
    noticed: Mapping[str, Side]
    """The statistics that were out of the ordinary by themselves, with their side."""
    adjacent: bool
    """Whether it is the period just before."""


class JudgedStatistic(NamedTuple):
    """The statistic of a period that is judged."""

    name: str
    measured: PeriodStatistic
    month: float | None
    ahead: int
    """How many windows after the last own one."""


def judge_by_interval(
    asked: JudgedStatistic, own: Sequence[Placed], live: Sequence[Earlier], rules: Thresholds
) -> Standing | None:
    """A statistic by its prediction interval, by two notices in a row, and by slow drift; None where it is too little.

    ``own`` is what it is compared with; ``live`` only says what had been noticed, and how it went since.
    """
    name, measured = asked.name, asked.measured
    found = foretell(own, measured.rows, measured.units, asked.month, asked.ahead)
    if found is None:
        return None
    both = SIDES[name] == "both"
    part = SHARES[name] * (0.5 if live else 1.0)
    upper = found.tail(measured.value)
    tail = 2.0 * min(upper, 1.0 - upper) if both else upper
    side: Side = "high" if measured.value >= found.centre else "low"
    half = found.quantile(rules.notice_p * part / (2.0 if both else 1.0))
    level: Level = "alarm" if tail < rules.alarm_p * part else "notable" if tail < rules.notice_p * part else "normal"
    by: By = "interval"
    if level == "notable" and any(item.adjacent and item.noticed.get(name) == side for item in live):
        level, by = "alarm", "twice"
    drift = _drift(asked, own, live, side)
    verdict = drift_verdict(drift) if live else "none"
    if verdict == "alarm" and level != "alarm":
        level, by = "alarm", "drift"
    elif verdict == "notice" and level == "normal":
        level, by = "notable", "drift"
    return Standing(
        value=measured.value,
        low=found.centre - half,
        high=found.centre + half,
        centre=found.centre,
        p=min(1.0, tail / part),
        side=side,
        level=level,
        by=by,
        windows=found.windows,
        half_width=half,
        drift=drift,
        trend=found.trend,
        season=found.season,
    )


def _drift(asked: JudgedStatistic, own: Sequence[Placed], live: Sequence[Earlier], side: Side) -> float:
    if not live:
        return 0.0
    series = [item.placed[asked.name] for item in live if asked.name in item.placed]
    sign = -1.0 if SIDES[asked.name] == "both" and side == "low" else 1.0
    scores = drift_scores(own, [*series, Placed(asked.measured, asked.month)])
    return cusum([sign * score for score in scores])


def full_width(found: Foretold, name: str, notice_p: float) -> float:
    """What a notice would need if nothing else were asked."""
    return found.quantile(notice_p / 2.0 if SIDES[name] == "both" else notice_p)


def judge_by_count(asked: JudgedStatistic, own: Sequence[Placed], rules: Thresholds) -> Standing | None:
    """A statistic by the older rule: outside so many own windows, by so much of their range."""
    if len(own) < FEWEST_BY_COUNT:
        return None
    value, values = asked.measured.value, sorted(item.measured.value for item in own)
    sampling = [item.measured.variance * item.measured.rows for item in own]
    by_units = [item.measured.variance * item.measured.units for item in own]
    error = math.sqrt(
        max(
            statistics.fmean(sampling) / max(asked.measured.rows, 1),
            statistics.fmean(by_units) / max(asked.measured.units, 1),
        )
    )
    low, high, middle = values[0], values[-1], statistics.median(values)
    needed = math.ceil(rules.outside * len(values) - 1e-9)
    far_out = alarm = False
    for sign in (1.0, -1.0) if SIDES[asked.name] == "both" else (1.0,):
        ordered = values if sign > 0 else values[::-1]
        past_all = sign * (value - ordered[-1])
        far_out |= sign * (value - ordered[needed - 1]) > 0.0 and sign * (value - middle) > FAR * error
        alarm |= past_all > rules.by_range * (high - low) and past_all > CLEAR * error
    return Standing(
        value=value,
        low=low,
        high=high,
        centre=middle,
        p=None,
        side="high" if value >= middle else "low",
        level="alarm" if alarm else "notable" if far_out else "normal",
        by="own windows",
        windows=len(values),
        half_width=None,
    )


def judge_against_reference(mean: float, error: float | None, units: int, rules: Thresholds, *, live: bool) -> Signal:
    """Whether the model loses more than the reference, paired by unit and one-sided."""
    if error is None or error <= 0.0 or units < 2:
        return Signal()
    part = SHARES["reference"] * (0.5 if live else 1.0)
    p = float(stdtr(units - 1, -mean / error))
    level: Level = "alarm" if p < rules.alarm_p * part else "notable" if p < rules.notice_p * part else "normal"
    return Signal(level=level, p=min(1.0, p / part))
