"""How often the judgement of a watched period is wrong, by simulation: worlds × causes × seeds, on one core.

    python tests/campaigns/monitoring.py                    all three tables, 40 seeds, more where they are needed
    python tests/campaigns/monitoring.py --only quiet --seeds 1000 --world "0.2 / 8 windows / 3,000 rows"

``quiet`` watches one period in which nothing happened: every alarm and every notice is false. ``causes`` makes one
period worse in a known way and counts right decisions. ``series`` watches twelve quiet periods in a row, each with
what was recorded of the earlier ones. Exit code 1 where a law of the table is broken:
upper 95% bounds (Clopper and Pearson) of false alarms <= 1% pooled and <= 3% in a world; of false notices <= 10% in a
world; of any false alarm in a series <= 10%. Right decisions >= 95% where the cause is large enough to be seen. Where
the first seeds decide neither way, a world is run with up to ``--most`` seeds (``--most-series`` series); a bound that
is not shown by then is broken.
"""

from __future__ import annotations

import argparse
import functools
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv, stdtrit

from tallystick.pipeline.config.alert_rules import Thresholds
from tallystick.pipeline.evaluate.losses import Measure
from tallystick.pipeline.evaluate.metrics import Scored, Units
from tallystick.pipeline.monitoring.interval import Placed, foretell
from tallystick.pipeline.monitoring.judgement import (
    ComparedWith,
    Ground,
    Judgement,
    OwnMeasures,
    OwnWindow,
    judge,
    own_measures,
)
from tallystick.pipeline.monitoring.own_range import SHARES, Earlier
from tallystick.pipeline.monitoring.statistics import logits, measure, sigmoid
from tallystick.pipeline.monitoring.verdict import OUTCOMES, Cause, cause_of
from tallystick.pipeline.recipes import Task

MARGIN = 0.005
SERIES = 12
DAYS = 30
LARGE = 0.9
"""Share of the seeds in which a cause must be large enough, to be one that has to be decided right."""
RIGHT: dict[str, set[str]] = {
    "level": {"recalibrate"},
    "ranking": {"challenger"},
    "spread": {"challenger"},
    "day": {"wait"},
}


class World(NamedTuple):
    """What the months of a model are like while nothing happens."""

    name: str
    rate: float | None = None
    """Of events; None: numbers are predicted."""
    windows: int = 8
    rows: int = 3_000
    day: float = 0.15
    """Standard deviation of what all rows of a day have in common."""
    month: float = 0.05
    metric: str = "log_loss"
    tail: float | None = None
    """Degrees of freedom of Student's t for the noise of numbers; None: normal."""
    season: float = 0.0
    growth: float = 0.0
    """What each window adds to the level, in units of the noise, or to the logit."""
    loss_growth: float = 0.0
    """What each window adds to the logarithm of the noise."""
    correlation: float = 0.0
    """Of the effects of successive months."""
    clusters: int = DAYS
    """Resample units; 1: all rows are one cluster."""
    unequal: bool = False
    zeros: float = 0.0
    """Share of targets that are exactly zero."""
    signal: float = 1.0
    steps: float = 0.0
    """A break inside the own windows: what the first half of them has more."""
    outside_law: bool = False
    """Reported with its figures and not held to the bounds: the page says why."""

    @property
    def task(self) -> Task:
        return "regression" if self.rate is None else "classification"

    @property
    def ground(self) -> Ground:
        return Ground(self.task, Thresholds(), MARGIN)


def worlds() -> list[World]:
    """The conditions of the design, those that attacked it, and those that are reported only."""
    found = []
    for rate, rows in ((0.5, 3_000), (0.2, 3_000), (0.2, 300), (0.02, 3_000), (0.005, 3_000)):
        for windows in (4, 6, 8, 12, 24):
            if windows in (4, 8, 24) or rate == 0.2:
                name = f"{rate:.3g} / {windows} windows / {rows:,} rows"
                found.append(World(name, rate, windows, rows))
    for metric, tail in (("squared_error", None), ("squared_error", 4.0), ("absolute_error", 4.0)):
        for windows, rows in ((4, 3_000), (5, 300), (8, 3_000), (12, 300), (24, 3_000)):
            noise = "normal" if tail is None else f"t({tail:g})"
            name = f"{metric.partition('_')[0]} {noise} / {windows} windows / {rows:,} rows"
            found.append(World(name, None, windows, rows, metric=metric, tail=tail))
    squared = World("", None, 8, 3_000, metric="squared_error")
    yes = World("", 0.2, 8, 3_000)
    found += [
        yes._replace(name="0.2, Brier score", metric="brier"),
        yes._replace(name="0.2, large months", month=0.4),
        squared._replace(name="squared, large months", month=0.4),
        yes._replace(name="0.2, seasons, 24 windows", windows=24, season=0.5),
        squared._replace(name="squared, seasons, 24 windows", windows=24, season=0.5),
        yes._replace(name="0.2, one cluster", clusters=1, day=0.0),
        squared._replace(name="squared, one cluster", clusters=1, day=0.0),
        yes._replace(name="0.2, five clusters", clusters=5),
        yes._replace(name="0.2, windows of unequal size", unequal=True),
        squared._replace(name="squared, windows of unequal size", unequal=True),
        yes._replace(name="0.2, AUC 0.52", signal=0.06),
        yes._replace(name="0.5, AUC 0.99", rate=0.5, signal=6.0),
        squared._replace(name="squared, two thirds zero", zeros=0.67),
        yes._replace(name="0.2, a break in the own windows", steps=0.5),
        squared._replace(name="squared, a break in the own windows", steps=0.5),
        squared._replace(name="squared, loss grows, 8 windows", loss_growth=0.06),
        squared._replace(name="squared, loss grows, 12 windows", loss_growth=0.06, windows=12),
        squared._replace(name="squared, level grows, 8 windows", growth=0.15),
        yes._replace(name="0.2, level grows, 8 windows", growth=0.10),
        yes._replace(name="0.2, level grows, 12 windows", growth=0.10, windows=12),
        squared._replace(name="squared, loss grows, 5 windows", loss_growth=0.06, windows=5, outside_law=True),
        yes._replace(name="0.2, level grows, 5 windows", growth=0.10, windows=5, outside_law=True),
        yes._replace(name="0.2, months correlated 0.8", month=0.2, correlation=0.8, outside_law=True),
        squared._replace(name="squared, months correlated 0.8", month=0.2, correlation=0.8, outside_law=True),
    ]  # fmt: skip
    return found


# Months ----------------------------------------------------------------------------------------------------------


class Life(NamedTuple):
    """A model's own windows and what follows them."""

    world: World
    months: np.ndarray
    """The effect of each month."""
    source: np.random.Generator


def live_a_life(world: World, seed: int) -> Life:
    source = np.random.default_rng([seed, len(world.name), sum(map(ord, world.name))])
    count = world.windows + SERIES
    shocks = source.normal(size=count)
    for index in range(1, count):
        kept = math.sqrt(1.0 - world.correlation**2)
        shocks[index] = world.correlation * shocks[index - 1] + kept * shocks[index]
    return Life(world, shocks * world.month, source)


def month_of(life: Life, index: int, cause: str | None = None, strength: float = 0.0) -> Scored:
    """One month: targets, predictions, days."""
    world, source = life.world, life.source
    rows = world.rows
    if world.unequal:
        rows = int(rows * math.exp(source.normal(scale=0.8)))
    rows = max(rows, 60)
    codes = np.sort(source.integers(world.clusters, size=rows))
    names = tuple(f"d{day:03d}" for day in range(world.clusters))
    x = source.normal(size=rows)
    effect = life.months[index] + world.season * math.sin(2.0 * math.pi * index / 12.0) + world.growth * index
    effect += world.steps if index < world.windows // 2 else 0.0
    common = effect + source.normal(scale=world.day, size=world.clusters)[codes]
    seen = x if cause != "ranking" else math.sqrt(1.0 - strength) * x + math.sqrt(strength) * source.normal(size=rows)
    if cause == "level":
        common = common + strength
    if cause == "day":
        common = common + np.where(codes == int(source.integers(world.clusters)), strength, 0.0)
    if world.rate is not None:
        start = math.log(world.rate / (1.0 - world.rate))
        p = sigmoid(start + world.signal * x)
        y = (source.random(rows) < sigmoid(start + world.signal * seen + common)).astype(np.float64)
        return Scored(y, p, Units(codes, names), Measure(world.metric))
    noise = source.normal(size=rows) if world.tail is None else source.standard_t(world.tail, size=rows)
    grown = math.exp(world.loss_growth * index) * (strength if cause == "spread" else 1.0)
    y = 10.0 + world.signal * seen + common + noise * grown
    p = 10.0 + world.signal * x
    if world.zeros:
        none = source.random(rows) < world.zeros
        y, p = np.where(none, 0.0, y), (1.0 - world.zeros) * p
    return Scored(y, p, Units(codes, names), Measure(world.metric))


def own_of(life: Life) -> OwnMeasures:
    world = life.world
    windows = [OwnWindow(f"w{index:02d}", float(index), month_of(life, index)) for index in range(world.windows)]
    return own_measures(world.ground, windows)


def verdict_of(found: Judgement) -> Cause:
    return cause_of(found.signals)


def watch(life: Life, own: OwnMeasures, cause: str | None = None, strength: float = 0.0) -> Judgement:
    index = life.world.windows
    return judge(life.world.ground, month_of(life, index, cause, strength), ComparedWith(own, float(index)))


# The three tables ------------------------------------------------------------------------------------------------


def quiet(world: World, seeds: Sequence[int]) -> Counter[str]:
    """Statuses of one quiet period after the own windows."""
    found: Counter[str] = Counter()
    for seed in seeds:
        life = live_a_life(world, seed)
        cause = verdict_of(watch(life, own_of(life)))
        status, _ = OUTCOMES[cause]
        found[status] += 1
        found["false notice"] += status == "alarm" or cause in ("notice", "day", "small level")
        found[f"cause {cause}"] += 1
    return found


def series(world: World, seeds: Sequence[int]) -> Counter[str]:
    """How many series of twelve quiet periods had a false alarm."""
    found: Counter[str] = Counter()
    for seed in seeds:
        alarms = [status for status in watch_on(live_a_life(world, seed)) if status == "alarm"]
        found["any"] += bool(alarms)
        found["alarms"] += len(alarms)
    return found


def watch_on(life: Life) -> Iterator[str]:
    own, live = own_of(life), list[Earlier]()
    for index in range(life.world.windows, life.world.windows + SERIES):
        rows = month_of(life, index)
        live = [item._replace(adjacent=False) for item in live]
        if live:
            live[-1] = live[-1]._replace(adjacent=True)
        found = judge(life.world.ground, rows, ComparedWith(own, float(index), live))
        noticed = {
            name: item.side
            for name, item in found.standings.items()
            if item.level != "normal" and item.by in ("interval", "twice")
        }
        placed = {name: Placed(item, float(index)) for name, item in found.measures.known.items()}
        live.append(Earlier(f"w{index:02d}", placed, noticed, False))
        yield OUTCOMES[verdict_of(found)][0]


STRENGTHS = {"level": (0.7, 1.0), "ranking": (0.6, 0.6), "spread": (0.0, 1.5), "day": (3.0, 3.0)}
"""Cause -> its strength for a yes or no, and for numbers: a shift of the logit or in units of the noise, the share of
the signal's variance that is lost, the growth of the noise, what one day has more."""


def causes(world: World, seeds: Sequence[int]) -> dict[str, Counter[str]]:
    """Decisions by cause, with how often the cause was large enough to be seen."""
    table: dict[str, Counter[str]] = {}
    for cause, (of_classes, of_numbers) in STRENGTHS.items():
        strength = of_classes if world.rate is not None else of_numbers
        if not strength or (cause == "day" and world.clusters < DAYS):
            continue
        found = table[cause] = Counter()
        for seed in seeds:
            life = live_a_life(world, seed)
            own = own_of(life)
            seen = watch(life, own, cause, strength)
            decision = OUTCOMES[verdict_of(seen)][1]
            found[decision] += 1
            found["right"] += decision in RIGHT[cause]
            found["detectable"] += _can_be_seen(life, own, seen, cause, strength)
            found["all"] += 1
    return table


def _can_be_seen(life: Life, own: OwnMeasures, seen: Judgement, cause: str, strength: float) -> bool:
    """Whether the effect, measured without any sampling, exceeds what an alarm needs by two standard deviations."""
    world = life.world
    if cause == "day":
        calm = month_of(life, world.windows)
        grown = strength * (1.0 - world.zeros)
        if world.rate is not None:
            grown = float((sigmoid(logits(calm.p) + strength) - calm.p).mean())
        return grown * math.sqrt(world.rows / DAYS) > 8.0 * float((calm.y - calm.p).std())
    calm = world._replace(rows=60_000, day=0.0, month=0.0, unequal=False, clusters=DAYS)
    big = Life(calm, life.months * 0.0, np.random.default_rng(1))
    index = world.windows
    values = [
        measure(world.task, month_of(big, index, *what), own.expectation).known
        for what in ((None, 0.0), (cause, strength))
    ]
    if cause not in values[0] or cause not in values[1] or cause not in seen.measures.known:
        return False
    effect = values[1][cause].value - values[0][cause].value
    measured = seen.measures.known[cause]
    found = foretell(own.placed(cause), measured.rows, measured.units, float(index))
    if found is None:
        return False
    part = SHARES[cause] * Thresholds().alarm_p / (2.0 if cause == "level" else 1.0)
    return bool(effect > (-float(stdtrit(found.degrees, part)) + 2.0) * found.spread)


# Bounds ------------------------------------------------------------------------------------------------------------


def upper_bound(count: int, of: int) -> float:
    """Upper 95% bound of a share (Clopper and Pearson)."""
    return 1.0 if count >= of else float(betaincinv(count + 1, of - count, 0.95))


def lower_bound(count: int, of: int) -> float:
    """Lower 95% bound of a share: what the share exceeds for certain."""
    return 0.0 if not count else float(betaincinv(count, of - count + 1, 0.05))


class Extent(NamedTuple):
    """How many seeds a world gets at first, and at most where those do not decide."""

    first: int
    most: int


def until_decided(
    count: Callable[[Sequence[int]], Counter[str]], limits: Mapping[str, float], extent: Extent
) -> tuple[Counter[str], int]:
    """Counts of the first seeds, or of all where a limit lies between the bounds of its share."""
    found, of = count(range(extent.first)), extent.first
    if extent.most > of and any(
        lower_bound(found[name], of) <= limit < upper_bound(found[name], of) for name, limit in limits.items()
    ):
        found, of = found + count(range(of, extent.most)), extent.most
    return found, of


def beyond(world: World, found: Counter[str], of: int, limits: Mapping[str, float]) -> list[str]:
    """The limits that a world is not shown to keep."""
    return [
        f"{world.name}: {name} {found[name]} of {of}, at most {upper_bound(found[name], of):.1%} and not {limit:.0%}"
        for name, limit in limits.items()
        if upper_bound(found[name], of) > limit
    ]


def report_quiet(chosen: Sequence[World], extent: Extent) -> list[str]:
    print(f"{'quiet periods; at most: upper 95% bound':<42} seeds  alarm at most notice at most  not judged")
    broken, alarms, judged = list[str](), 0, 0
    limits = {"alarm": 0.03, "false notice": 0.10}
    for world in chosen:
        found, of = until_decided(functools.partial(quiet, world), limits, extent)
        shares = " ".join(f"{found[name] / of:6.1%} {upper_bound(found[name], of):7.1%}" for name in limits)
        only = "reported only" if world.outside_law else ""
        print(f"{world.name:<42} {of:5} {shares}  {found['not judged'] / of:10.1%}   {only}", flush=True)
        if not world.outside_law:
            alarms, judged = alarms + found["alarm"], judged + of
            broken += beyond(world, found, of, limits)
    if judged:
        bound = upper_bound(alarms, judged)
        print(f"pooled: {alarms} alarms of {judged:,} ({alarms / judged:.2%}, at most {bound:.2%})")
        if bound > 0.01:
            broken.append(f"pooled false alarms may be {bound:.2%}")
    return broken


def report_causes(chosen: Sequence[World], extent: Extent) -> list[str]:
    seeds = range(extent.first)
    print(f"{'known causes, ' + str(len(seeds)) + ' seeds a world':<46} cause    right  large enough")
    broken, cells = [], [0, 0]
    for world in chosen:
        if world.outside_law:
            continue
        for cause, found in causes(world, seeds).items():
            of = found["all"]
            seen = found["detectable"] >= LARGE * of
            right = found["right"] / of
            cells[0] += seen and right >= 0.95
            cells[1] += seen
            mark = "" if not seen or right >= 0.95 else "   MISSED: " + ", ".join(
                f"{name} {found[name]}" for name in ("nothing", "wait", "recalibrate", "challenger") if found[name]
            )  # fmt: skip
            print(f"{world.name:<46} {cause:<8} {right:5.0%}  {'yes' if seen else 'no'}{mark}", flush=True)
    print(f"right in at least 95% of the seeds: {cells[0]} of {cells[1]} causes that are large enough")
    if cells[1] and cells[0] / cells[1] < 0.95:
        broken.append(f"only {cells[0]} of {cells[1]} causes are decided right")
    return broken


def report_series(chosen: Sequence[World], extent: Extent) -> list[str]:
    print(f"{'twelve quiet periods in a row':<42} series any alarm at most  alarms a series")
    broken, limits = list[str](), {"any": 0.10}
    for world in chosen:
        found, of = until_decided(functools.partial(series, world), limits, extent)
        note = "reported only" if world.outside_law else ""
        bound = upper_bound(found["any"], of)
        print(
            f"{world.name:<42} {of:6} {found['any'] / of:9.1%} {bound:7.1%}  {found['alarms'] / of:8.2f}   {note}",
            flush=True,
        )
        if not world.outside_law:
            broken += beyond(world, found, of, limits)
    return broken


TABLES = {"quiet": report_quiet, "causes": report_causes, "series": report_series}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--most", type=int, default=1000, help="quiet seeds of a world that the first do not decide")
    parser.add_argument("--most-series", type=int, default=400, help="the same of series")
    parser.add_argument("--only", choices=TABLES, action="append")
    parser.add_argument("--world", action="append", help="part of a world's name")
    asked = parser.parse_args()
    chosen = [world for world in worlds() if not asked.world or any(part in world.name for part in asked.world)]
    began, broken = time.monotonic(), list[str]()
    for name in asked.only or TABLES:
        most = asked.most_series if name == "series" else asked.most
        broken += TABLES[name](chosen, Extent(asked.seeds, most))
        print(f"{time.monotonic() - began:,.0f} s\n", flush=True)
    print("\n".join(f"BROKEN {line}" for line in broken) or "no law is broken")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
