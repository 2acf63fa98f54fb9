"""Facts about live periods: laws of the numbers, and right decisions where the cause is known."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from periods import CAUSES, COUNTING, LOG_LOSS, RULES, SEGMENTS, history, judged, make, past_of
from sklearn.metrics import roc_auc_score

from tallystick.pipeline.config.alert_rules import Thresholds
from tallystick.pipeline.data.slice import TIME
from tallystick.pipeline.evaluate.losses import Measure, row_losses
from tallystick.pipeline.evaluate.metrics import Scored, Units
from tallystick.pipeline.monitoring import sentences as words
from tallystick.pipeline.monitoring.baseline import OwnHistory
from tallystick.pipeline.monitoring.columns import ColumnShares, LiveColumns, faults_of
from tallystick.pipeline.monitoring.days import day_sums, since_when, strange_days
from tallystick.pipeline.monitoring.drift import cusum
from tallystick.pipeline.monitoring.interval import Placed, foretell
from tallystick.pipeline.monitoring.judgement import ComparedWith, Ground, OwnWindow, judge, own_measures
from tallystick.pipeline.monitoring.movements import psi
from tallystick.pipeline.monitoring.own_range import Earlier, JudgedStatistic, judge_by_count, judge_by_interval
from tallystick.pipeline.monitoring.period_data import _arrived
from tallystick.pipeline.monitoring.statistics import (
    PeriodStatistic,
    expected_losses,
    measure,
    shift_to,
)
from tallystick.pipeline.monitoring.verdict import OUTCOMES, Signal, Signals, cause_of
from tallystick.pipeline.recipes import Columns

CONTEXT = words.PeriodContext(metric="log_loss", positive="late", model="late-v1", reference="base_rate")
SEEDS = 6

# Known causes --------------------------------------------------------------------------------------------------


@cache
def past(seed: int) -> OwnHistory:
    return history(seed)


@pytest.mark.parametrize("rules", [RULES, COUNTING], ids=["interval", "own windows"])
@pytest.mark.parametrize("cause", CAUSES)
def test_a_known_cause_leads_to_the_right_decision(cause: str, rules: Thresholds) -> None:
    found = [judged(make(seed, cause), past(seed), rules=rules) for seed in range(SEEDS)]
    right = [facts.decision for facts in found].count(CAUSES[cause])
    assert right >= SEEDS - 1, [(facts.decision, facts.cause) for facts in found]
    if cause == "nothing":
        assert [facts.status for facts in found].count("alarm") == 0


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("TALLY_FULL") != "1", reason="the full campaign: TALLY_FULL=1 pytest -m slow")
@pytest.mark.parametrize("cause", CAUSES)
def test_it_does_so_for_95_of_100_seeds_and_hardly_ever_cries_wolf(cause: str) -> None:
    found = [judged(make(seed, cause), past(seed)) for seed in range(100)]
    assert [facts.decision for facts in found].count(CAUSES[cause]) >= 95
    if cause == "nothing":
        assert [facts.status for facts in found].count("alarm") <= 5


# What must not matter ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", ["level", "day", "nothing"])
def test_the_order_of_the_own_windows_changes_nothing_but_their_order(cause: str) -> None:
    rows, own = make(3, cause), past(3)
    # Without their months: windows that stand in another order are another trend.
    own = own._replace(past=[item._replace(month=None) for item in own.past[:5]])
    turned = OwnHistory(list(reversed(own.past)), own.edges, own.levels)
    one, other = judged(rows, own), judged(rows, turned)
    assert one.own_windows == other.own_windows[::-1]
    assert all(one.own[name] == other.own[name][::-1] for name in one.own)
    for name in ("days", "since", "cause", "decision", "status", "faults", "gain", "blind"):
        assert getattr(one, name) == getattr(other, name), name
    for name, standing in one.standings.items():
        same = msgspec.structs.asdict(other.standings[name])
        assert msgspec.structs.asdict(standing) == pytest.approx(same), name
    for ours, theirs in zip(one.decompositions, other.decompositions, strict=True):
        assert ours.change == pytest.approx(theirs.change, abs=1e-12)
    for moved, same in zip(one.movements, other.movements, strict=True):
        assert moved.feature == same.feature
        assert moved.psi == pytest.approx(same.psi, abs=1e-12)
    assert words.headline(one, CONTEXT) == words.headline(other, CONTEXT)


def test_relabelled_segments_are_the_same_segments_under_other_names() -> None:
    names = dict(zip(SEGMENTS, ("zebra", "yak", "wolf"), strict=True))
    rows, own = make(4, "level"), past(4)

    def renamed(losses: pd.DataFrame) -> pd.DataFrame:
        return losses.assign(level=losses["level"].map(lambda level: names.get(level, level)))

    other_rows = rows._replace(segments={"origin": rows.segments["origin"].map(names)})
    other_own = own._replace(past=[item._replace(losses=renamed(item.losses)) for item in own.past])
    one, other = judged(rows, own), judged(other_rows, other_own)
    (ours,), (theirs,) = one.decompositions, other.decompositions
    by_name = {level.level: level for level in theirs.levels}
    for level in ours.levels:
        assert msgspec.structs.replace(by_name[names[level.level]], level=level.level) == level
    assert msgspec.structs.replace(one, decompositions=[]) == msgspec.structs.replace(other, decompositions=[])


def test_features_of_pure_noise_change_what_is_watched_and_nothing_else() -> None:
    rows, own = make(5, "level"), past(5)
    noisy, noisy_own = make(5, "level", noise_features=3), history(5, noise_features=3)
    one, other = judged(rows, own), judged(noisy, noisy_own)
    assert len(other.movements) == len(one.movements) + 3
    assert other.expected_by_chance == pytest.approx(one.expected_by_chance * 2)
    kept = {item.feature: (item.psi, item.own_highest) for item in other.movements}
    assert all(kept[item.feature] == (item.psi, item.own_highest) for item in one.movements)
    same = {name: getattr(one, name) for name in one.__struct_fields__}
    for name in ("movements", "expected_by_chance", "missing"):
        del same[name]
    assert same == {name: getattr(other, name) for name in same}


def test_equal_facts_are_told_in_equal_bytes_and_every_sentence_keeps_its_numbers() -> None:
    for cause in CAUSES:
        facts = judged(make(2, cause), past(2))
        again = msgspec.convert(msgspec.json.decode(msgspec.json.encode(facts)), type(facts))
        assert words.findings_of(facts, CONTEXT) == words.findings_of(again, CONTEXT)
        assert words.headline(facts, CONTEXT) == words.headline(again, CONTEXT)
        for finding in words.findings_of(facts, CONTEXT):
            assert finding.facts, finding.code
            assert finding.sentence.endswith("."), finding.sentence


# Laws ----------------------------------------------------------------------------------------------------------

probabilities = st.lists(st.floats(0.01, 0.99), min_size=20, max_size=80)


def test_no_finding_is_more_serious_than_the_verdict_or_gives_advice() -> None:
    for cause in CAUSES:
        for rules in (RULES, COUNTING):
            for seed in range(3):
                facts = judged(make(seed, cause), past(seed), rules=rules)
                order = ["normal", "notable", "alarm"]
                most = {"alarm": 2, "notable": 1}.get(facts.status, 0)
                for finding in words.findings_of(facts, CONTEXT):
                    assert order.index(finding.level) <= most, (facts.cause, finding)
                    assert "Suggest" not in finding.sentence and "No action" not in finding.sentence
                    assert "highest of" not in finding.sentence and "lowest of" not in finding.sentence
                if facts.status == "alarm":
                    assert words.findings_of(facts, CONTEXT)[0].level == "alarm", facts.cause


levels = st.sampled_from(["normal", "notable", "alarm"])
signals = st.builds(Signal, level=levels, p=st.floats(0.0, 1.0))
flags = st.booleans()


@given(
    st.builds(
        Signals, expired=flags, schema=flags, no_rows=flags, declared_empty=flags, column=flags, unseen=flags,
        one_class=st.sampled_from([None, "gone", "rare"]), waiting=flags, few=flags, days=flags, rest=flags,
        level=signals, ranking=signals, spread=signals, reference=signals, gain=st.floats(-0.5, 0.9),
        excess=st.floats(-0.5, 0.9), margin=st.sampled_from([0.0, 0.01]), noted=flags, blind=flags,
    )
)  # fmt: skip
@settings(max_examples=400, deadline=None)
def test_the_verdict_says_one_thing_of_all_combinations(found: Signals) -> None:
    cause = cause_of(found)
    status, decision = OUTCOMES[cause]
    assert cause in words.SUGGESTIONS
    model = (found.level, found.ranking, found.spread, found.reference)
    before = found.expired or found.schema or found.no_rows or found.column or found.unseen
    if found.declared_empty and not (found.expired or found.schema):
        assert (status, decision) == ("not judged", "nothing")
    elif before or found.one_class == "gone":
        assert decision in ("refuse", "fix data")
    elif found.waiting or found.few:
        assert decision == "wait" and status in ("waiting", "not judged")
    elif (found.days and not found.rest) or found.one_class:
        assert (status, decision) == ("notable", "wait")
    elif any(item.level == "alarm" for item in model):
        assert decision in ("challenger", "recalibrate", "nothing")
        # Nothing to do is said of an alarm only where the level alone is out and hardly costs anything.
        only = [item.level == "alarm" for item in model] == [True, False, False, False]
        assert (decision == "nothing") <= (only or found.gain < found.margin)
    elif any(item.level == "notable" for item in model):
        assert (status, decision) == ("notable", "wait")
    elif found.blind:
        assert (status, decision) == ("not judged", "wait")
    else:
        assert (status == "quiet") == (not found.noted)
        assert decision == "nothing"


@given(probabilities, st.integers(0, 1_000))
@settings(max_examples=40, deadline=None)
def test_a_new_intercept_meets_the_rate_keeps_the_order_and_never_loses_more(p: list[float], seed: int) -> None:
    ours = np.array(p)
    y = (np.random.default_rng(seed).random(len(ours)) < 0.4).astype(np.float64)
    if len(np.unique(y)) < 2:
        return
    shift, moved = shift_to(float(y.mean()), ours)
    odds = np.log(ours / (1.0 - ours))
    assert np.log(moved / (1.0 - moved)) == pytest.approx(odds + shift, abs=1e-6)
    assert moved.mean() == pytest.approx(y.mean(), abs=1e-6)
    order = np.argsort(ours, kind="stable")
    assert (np.diff(moved[order]) >= 0).all()
    before, after = (row_losses("log_loss", y, values).mean() for values in (ours, moved))
    assert after <= before + 1e-9


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_what_the_probabilities_expect_is_what_happens_when_they_are_right(seed: int) -> None:
    source = np.random.default_rng(seed)
    p = np.clip(source.beta(2, 5, size=20_000), 0.001, 0.999)
    y = (source.random(len(p)) < p).astype(np.float64)
    units = Units(np.repeat(np.arange(20), 1_000), tuple(f"d{n:02d}" for n in range(20)))
    found = measure("classification", Scored(y, p, units, LOG_LOSS))
    assert found.estimate == pytest.approx(found.loss, abs=0.02)
    assert found.known["ranking"].value == pytest.approx(0.0, abs=0.03)
    assert found.known["spread"].value == pytest.approx(0.0, abs=0.05)
    assert found.known["level"].value == pytest.approx(0.0, abs=0.1)
    assert found.auc == pytest.approx(roc_auc_score(y, p))
    assert expected_losses("brier", p) == pytest.approx(p * (1 - p))


@given(st.integers(0, 10_000), st.sampled_from(sorted(CAUSES)))
@settings(max_examples=12, deadline=None)
def test_the_parts_of_a_change_add_up_to_it(seed: int, cause: str) -> None:
    facts = judged(make(seed, cause), past(0))
    for item in facts.decompositions:
        assert item.inside + item.mix == pytest.approx(item.change, abs=1e-9)
        assert sum(level.share for level in item.levels) == pytest.approx(1.0)
        assert sum(level.part for level in item.levels) == pytest.approx(1.0)


@given(st.lists(st.floats(0.0, 100.0), min_size=3, max_size=12), st.integers(0, 100))
@settings(deadline=None)
def test_an_index_of_stability_is_zero_for_equals_positive_else_and_symmetric(shares: list[float], seed: int) -> None:
    one = np.array(shares) + 0.01
    one = one / one.sum()
    other = np.random.default_rng(seed).permutation(one)
    assert psi(one, one) == 0.0
    assert psi(one, other) >= 0.0
    assert psi(one, other) == pytest.approx(psi(other, one))


def test_a_change_inside_a_period_is_dated_and_none_is_invented() -> None:
    source = np.random.default_rng(1)
    names = tuple(f"2013-09-{day:02d}" for day in range(1, 31))
    rows = np.full(30, 100.0)
    calm = source.normal(scale=3.0, size=30)
    broken = calm + np.where(np.arange(30) >= 17, 30.0, 0.0)
    assert since_when(broken, rows, names, 7).unit == "2013-09-18"
    invented = sum(since_when(source.normal(size=30), rows, names, 7).unit is not None for _ in range(200))
    assert invented <= 20  # 5% are expected


def numbers(
    seed: int, measure: str, *, months: int = 8, noise: float = 1.0, slope: float = 1.0, level: float = 0.0
) -> list[Scored]:
    """Months of a regression whose last is made worse."""
    source = np.random.default_rng(seed)
    found = []
    for index in range(months + 1):
        last = index == months
        x, codes = source.normal(size=900), np.repeat(np.arange(30), 30)
        y = x * (slope if last else 1.0) + source.normal(scale=noise if last else 1.0, size=900)
        units = Units(codes, tuple(f"d{n:02d}" for n in range(30)))
        found.append(
            Scored(y + (level if last else 0.0), x, units, Measure(measure, 0.8 if measure == "pinball" else None))
        )
    return found


@pytest.mark.parametrize("metric", ["squared_error", "absolute_error", "pinball"])
@pytest.mark.parametrize(
    ("change", "cause"),
    [({}, "quiet"), ({"noise": 1.6}, "spread"), ({"slope": 0.2}, "ranking"), ({"level": 1.0}, "level")],
)
def test_a_regression_is_judged_by_what_changed(metric: str, change: dict[str, float], cause: str) -> None:
    found = []
    ground = Ground("regression", RULES, 0.005)
    for seed in range(4):
        *own, now = numbers(seed, metric, **change)
        windows = [OwnWindow(f"{index}", float(index), item) for index, item in enumerate(own)]
        found.append(cause_of(judge(ground, now, ComparedWith(own_measures(ground, windows), 8.0)).signals))
    assert found.count(cause) >= 3, found


def measured(value: float, variance: float = 1e-4) -> PeriodStatistic:
    return PeriodStatistic(value=value, variance=variance, rows=900, units=30)


def placed(values: list[float], variance: float = 1e-4) -> list[Placed]:
    return [Placed(measured(value, variance), float(index)) for index, value in enumerate(values)]


@given(st.lists(st.floats(-1.0, 1.0), min_size=5, max_size=5), st.floats(0.0, 0.5), st.floats(0.0, 5.0))
@settings(max_examples=60, deadline=None)
def test_a_worse_statistic_is_never_less_serious(values: list[float], start: float, more: float) -> None:
    """What is worse than an alarm is an alarm: nobody gains by making a month worse."""
    order = ["normal", "notable", "alarm"]
    for rule in (RULES, COUNTING):
        judge_one = judge_by_count if rule.counts_windows else lambda a, b, r: judge_by_interval(a, b, [], r)
        one, other = (
            judge_one(JudgedStatistic("spread", measured(value), 5.0, 1), placed(values), rule)
            for value in (start, start + more)
        )
        if one is not None and other is not None:
            assert order.index(other.level) >= order.index(one.level)


def test_a_prediction_interval_widens_with_few_windows_and_small_periods() -> None:
    four, eight = placed([0.1, -0.1, 0.05, -0.05]), placed([0.1, -0.1, 0.05, -0.05] * 2)
    wide, narrow, small = foretell(four, 900, 30, 4.0), foretell(eight, 900, 30, 8.0), foretell(eight, 9, 3, 8.0)
    assert wide is not None and narrow is not None and small is not None
    assert wide.quantile(0.01) > narrow.quantile(0.01) < small.quantile(0.01)
    assert foretell(four[:3], 900, 30, 3.0) is None
    assert foretell(placed([0.2] * 6, 0.0), 900, 30, 6.0) is None


def test_what_the_own_windows_do_by_themselves_is_continued() -> None:
    growing = foretell(placed([0.1 * index for index in range(8)]), 900, 30, 8.0)
    assert growing is not None and growing.trend == pytest.approx(0.1)
    assert growing.centre == pytest.approx(0.8)
    two_years = [0.5 * np.sin(2 * np.pi * index / 12) + 0.01 * (-1) ** index for index in range(24)]
    seasonal = foretell(placed(two_years), 900, 30, 27.0)
    assert seasonal is not None and seasonal.season
    assert seasonal.centre == pytest.approx(0.5 * np.sin(2 * np.pi * 27 / 12), abs=0.05)


def test_where_the_noise_of_the_own_windows_grows_the_interval_grows_with_it() -> None:
    """The variance doubles every four windows: by the ninth it is about 2.3 times the mean of the eight."""
    even, growing, shrinking = ([1e-4 * factor**index for index in range(8)] for factor in (1.0, 2**0.25, 2**-0.25))
    values = [0.001, -0.001] * 4
    spreads = []
    for variances in (even, growing, shrinking):
        own = [
            Placed(measured(value, v * sum(even) / sum(variances)), float(index))
            for index, (value, v) in enumerate(zip(values, variances, strict=True))
        ]
        found = foretell(own, 900, 30, 8.0)
        assert found is not None
        spreads.append(found.spread)
    assert spreads[1] > 1.3 * spreads[0]
    assert spreads[2] == pytest.approx(spreads[0])


def growing_windows(growth: float = 0.0, noise: float = 0.0, count: int = 9, seed: int = 1) -> list[OwnWindow]:
    """Windows of numbers whose level grows by so much each, and the logarithm of whose noise does."""
    source = np.random.default_rng(seed)
    windows = []
    for index in range(count):
        codes = np.repeat(np.arange(30), 60)
        p = source.normal(size=len(codes))
        y = p + growth * index + np.exp(noise * index) * source.normal(size=len(codes))
        units = Units(codes, tuple(f"d{day:02d}" for day in range(30)))
        windows.append(OwnWindow(f"w{index}", float(index), Scored(y, p, units, Measure("squared_error"))))
    return windows


def test_a_level_that_grows_evenly_is_measured_as_growing_evenly() -> None:
    """Each window in the same unit, and no window clipped because its level has grown."""
    ground = Ground("regression", Thresholds(), 0.005)
    windows = growing_windows(growth=0.3, count=16)
    own = own_measures(ground, windows)
    levels = np.array([item.measured.value for item in own.placed("level")])
    middle = np.array([float((item.sample.y - item.sample.p).mean()) for item in windows if item.sample is not None])
    assert np.ptp(levels[1:] / middle[1:]) < 0.01
    bend = np.polyfit(np.arange(16.0), levels, 2)[0]
    assert abs(bend) < 0.001


def test_errors_that_grow_on_all_days_are_no_episode_of_some() -> None:
    found = []
    for noise in (0.0, 0.15):
        for seed in range(20):
            *windows, last = growing_windows(noise=noise, seed=seed)
            assert last.sample is not None
            own = [day_sums("regression", item.sample, 100.0) for item in windows if item.sample is not None]
            now = day_sums("regression", last.sample, 100.0)
            found.append(bool(strange_days("regression", now, own)))
            one_day = last.sample.units.codes == 7
            struck = last.sample._replace(y=last.sample.y + np.where(one_day, 6.0, 0.0))
            assert strange_days("regression", day_sums("regression", struck, 100.0), own) == ["d07"]
    assert sum(found) <= 3, found


def test_two_notices_in_a_row_are_an_alarm_and_so_is_slow_drift() -> None:
    own = placed([0.1, -0.1, 0.05, -0.05, 0.08, -0.08, 0.0, 0.02])
    asked = JudgedStatistic("level", measured(0.26), 9.0, 2)
    earlier = Earlier("a", {"level": Placed(measured(0.4), 8.0)}, {"level": "high"}, adjacent=True)

    def level(live: list[Earlier]) -> tuple[str, str]:
        found = judge_by_interval(asked, own, live, RULES)
        assert found is not None
        return found.level, found.by

    assert level([]) == ("notable", "interval")
    assert level([earlier]) == ("alarm", "twice")
    assert level([earlier._replace(adjacent=False)])[1] != "twice"
    assert level([earlier._replace(noticed={"level": "low"})])[1] != "twice"
    steps = [Earlier(f"{n}", {"level": Placed(measured(0.12), 8.0 + n)}, {}, False) for n in range(12)]
    found = judge_by_interval(JudgedStatistic("level", measured(0.12), 20.0, 13), own, steps, RULES)
    alone = judge_by_interval(JudgedStatistic("level", measured(0.12), 20.0, 13), own, [], RULES)
    assert found is not None and alone is not None
    assert alone.level == "normal"
    assert found.drift > 3.2 and (found.level, found.by) != ("normal", "interval")
    assert cusum([0.4] * 50) == 0.0
    assert cusum([9.0]) == cusum([3.0])


def test_levels_by_the_older_rule_are_those_of_the_file() -> None:
    own = placed([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])

    def level(value: float, name: str = "spread", error: float = 0.01, windows: int = 10) -> str | None:
        noisy = [Placed(measured(item.measured.value, error**2), item.month) for item in own[:windows]]
        found = judge_by_count(JudgedStatistic(name, measured(value), 11.0, 1), noisy, COUNTING)
        return found.level if found else None

    assert level(0.95) == level(0.85) == "notable"  # above nine and eight of ten
    assert level(0.79) == "normal"
    assert level(1.44) == "notable"
    assert level(1.46) == "alarm"  # by half of 0.9 above all
    assert level(1.46, error=0.40) == "normal"  # sampling alone can do that
    assert level(-0.4) == "normal"  # better is no news
    assert level(-0.4, "level") == "alarm"
    assert level(9.9, windows=2) is None  # two windows are no history


def shares(rows: int, missing: float = 0.0, outside: float = 0.0, unseen: float = 0.0) -> ColumnShares:
    return ColumnShares(rows, {"a": missing}, {"a": outside}, {"b": unseen})


@pytest.mark.parametrize(
    ("now", "kinds"),
    [
        (shares(1_000), []),
        (shares(1_000, missing=0.05), []),  # the own windows had 2%
        (shares(1_000, missing=0.12), ["missing"]),
        (shares(20, missing=0.12), []),  # two rows of twenty
        (shares(1_000, outside=0.30), ["out of range"]),
        (shares(1_000, unseen=0.19), []),
        (shares(1_000, unseen=0.25), ["unseen"]),
    ],
)
def test_columns_are_faulty_beyond_their_own_past_and_chance(now: ColumnShares, kinds: list[str]) -> None:
    own = [shares(1_000, missing=0.02, outside=0.01) for _ in range(6)]
    found = faults_of(LiveColumns(now, (), {"b": ["Rome"]}, {}), own)
    assert [item.kind for item in found] == kinds
    assert all(item.names == ["Rome"] for item in found if item.kind == "unseen")
    assert faults_of(LiveColumns(shares(29), ("a",), {}, {}), own) == []  # constant only from 30 rows
    assert [item.kind for item in faults_of(LiveColumns(shares(30), ("a",), {}, {}), own)] == ["constant"]


@pytest.mark.parametrize(
    ("rate", "rows", "all_of", "cause"),
    [(0.3, 600, 0.0, "class gone"), (0.3, 25, 0.0, "few"), (0.02, 600, None, "quiet or blind"), (0.5, 20, None, "few")],
)
def test_what_cannot_be_judged_is_not(rate: float, rows: int, all_of: float | None, cause: str) -> None:
    source = np.random.default_rng(4)

    def month(size: int) -> Scored:
        p = np.clip(source.beta(2, 2 / rate - 2, size=size), 0.001, 0.999)
        y = (source.random(size) < p).astype(np.float64)
        return Scored(y, p, Units(np.arange(size) % 30, tuple(f"d{n:02d}" for n in range(30))), LOG_LOSS)

    ground = Ground("classification", RULES, 0.005)
    own = own_measures(ground, [OwnWindow(f"{n}", float(n), month(1_000)) for n in range(6)])
    now = month(rows)
    if all_of is not None:
        now = now._replace(y=np.full(rows, all_of))
    found = cause_of(judge(ground, now, ComparedWith(own, 6.0)).signals)
    assert found in (("quiet", "blind", "notice", "day") if cause == "quiet or blind" else (cause,))
    few = judge(ground, month(900), ComparedWith(own_measures(ground, own.windows[:3]), 6.0))
    assert few.too_few == "windows" and cause_of(few.signals) == "few"


def test_rows_without_an_answer_leave_the_level_open() -> None:
    rows, own = make(0, "nothing"), past(0)
    open_rows = rows._replace(unknown=rows.p[:1200])
    facts = judged(open_rows, own)
    assert (facts.cause, facts.status) == ("labels", "waiting")
    assert judged(rows._replace(unknown=rows.p[:5]), own).cause == judged(rows, own).cause
    assert "depends on those that have none" in words.headline(facts, CONTEXT)


def test_windows_of_too_few_events_are_judged_together() -> None:
    source = np.random.default_rng(8)
    windows = []
    for index in range(8):
        p = np.full(400, 0.015) * source.uniform(0.5, 1.5, size=400)
        y = (source.random(400) < p).astype(np.float64)
        units = Units(np.arange(400) % 20, tuple("abcdefghijklmnopqrst"))
        windows.append(OwnWindow(f"{index}", float(index), Scored(y, p, units, LOG_LOSS)))
    found = own_measures(Ground("classification", RULES, 0.005), windows)
    assert [item.label for item in found.windows] == ["0 to 1", "2 to 3", "4 to 5", "6 to 7"]
    assert sum(len(item.sample.y) for item in found.windows if item.sample) == 3_200


def test_a_million_rows_are_judged_in_ten_seconds() -> None:
    import time

    own = past(0)
    rows = make(7, "nothing", days=30, per_day=33_334)
    began = time.monotonic()
    facts = judged(rows, own)
    assert len(rows.y) > 1_000_000 and facts.rows == len(rows.y)
    assert time.monotonic() - began < 10.0


def test_a_past_period_is_kept_with_its_months() -> None:
    assert past_of("2013-09", make(0, "nothing")).month == 2013 * 12 + 8


@pytest.mark.parametrize(("frozen", "constant"), [("sensor", ("sensor", "state")), ("month", ())])
def test_a_column_is_frozen_only_if_it_never_was_for_so_long(frozen: str, constant: tuple[str, ...]) -> None:
    """Two years of days; a month of the year is the same all month, each month."""
    days = pd.date_range("2021-01-01", "2022-12-31", tz="UTC")
    random = np.random.default_rng(1)
    names = np.array(["a", "b"])
    sensor, state = random.normal(size=len(days)), names[random.integers(2, size=len(days))]
    month, season = days.month.to_numpy(np.float64), names[days.month.to_numpy() // 7]

    def rows(where: Any, values: Any, texts: Any) -> pa.Table:
        times = pa.array(days[where].as_unit("us").astype("int64").to_numpy())
        text = pa.array(texts[where], pa.string()).dictionary_encode()
        return pa.table({TIME: times, "x": pa.array(values[where]), "c": text})

    held, texts = (sensor, state) if frozen == "sensor" else (month, season)
    last = np.asarray(days >= "2022-12-01")
    values = np.where(last, held[-1], held)
    texts = np.where(last, texts[-1], texts)
    arrived = _arrived(
        rows(last, values, texts), rows(~last, values, texts), Columns(("x",), ("c",)), np.ones(31, dtype=np.bool_)
    )
    assert arrived.constant == tuple({"sensor": "x", "state": "c"}[name] for name in constant)
