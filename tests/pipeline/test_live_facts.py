"""Facts about live periods: laws of the numbers, and right decisions where the cause is known."""

from __future__ import annotations

import os
from functools import cache

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from periods import CAUSES, RULES, SEGMENTS, history, judged, make
from sklearn.metrics import roc_auc_score

from tallystick.pipeline.evaluate.losses import Measure, row_losses
from tallystick.pipeline.evaluate.metrics import Scored, Units
from tallystick.pipeline.monitoring import sentences as words
from tallystick.pipeline.monitoring.baseline import OwnHistory
from tallystick.pipeline.monitoring.facts import psi
from tallystick.pipeline.monitoring.own_range import stand
from tallystick.pipeline.monitoring.statistics import (
    calm_error,
    episode,
    expected_losses,
    since_when,
    statistics,
    with_level,
)

CONTEXT = words.PeriodContext(metric="log_loss", positive="late", model="late-v1", reference="base_rate")
SEEDS = 6

# Known causes --------------------------------------------------------------------------------------------------


@cache
def past(seed: int) -> OwnHistory:
    return history(seed)


@pytest.mark.parametrize("cause", CAUSES)
def test_a_known_cause_leads_to_the_right_decision(cause: str) -> None:
    found = [judged(make(seed, cause), past(seed)) for seed in range(SEEDS)]
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
    turned = OwnHistory(list(reversed(own.past)), own.edges, own.levels)
    one, other = judged(rows, own), judged(rows, turned)
    assert one.own_windows == other.own_windows[::-1]
    assert all(one.own[name] == other.own[name][::-1] for name in one.own)
    for name in ("standings", "episode", "days", "since", "cause", "decision", "status", "faults", "recoverable"):
        assert getattr(one, name) == getattr(other, name), name
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


def test_no_sentence_says_more_than_its_numbers() -> None:
    """Out of the ordinary is outside 8 of 10 own windows, so it may have been as bad before."""
    facts = judged(make(2, "ranking"), past(2))
    assert facts.cause == "ranking" and facts.auc_standing is not None
    assert "It ranks worse than it ever did" in words.headline(facts, CONTEXT)
    replace = msgspec.structs.replace
    ranking, extra = facts.standings["ranking"], facts.standings["extra_loss"]
    before = replace(facts, standings={**facts.standings, "ranking": replace(ranking, inside=True)})
    within = replace(facts, auc_standing=replace(facts.auc_standing, low=0.0))
    usual = replace(facts, cause="unexplained", recoverable=0.27, worse_than_reference=False,
                    standings={**facts.standings, "extra_loss": replace(extra, bad=False)})  # fmt: skip
    for changed, said in (
        (before, "It ranks worse than it mostly did"),
        (within, "falls farther short of what its own probabilities promise than ever"),
        (usual, "a new intercept would take away only 27.0% of the extra loss."),
        (replace(usual, worse_than_reference=True), "It loses more than base_rate, and"),
    ):
        assert said in words.headline(changed, CONTEXT)
        assert "ever did" not in words.headline(changed, CONTEXT)
        assert "more than it should" not in words.headline(changed, CONTEXT)
    told = {found.code: found.sentence for found in words.findings_of(before, CONTEXT)}
    assert told["ranking"].startswith("It ranks worse than it mostly did: AUC")


@given(probabilities, st.integers(0, 1_000))
@settings(max_examples=40, deadline=None)
def test_a_new_intercept_meets_the_rate_keeps_the_order_and_never_loses_more(p: list[float], seed: int) -> None:
    ours = np.array(p)
    y = (np.random.default_rng(seed).random(len(ours)) < 0.4).astype(np.float64)
    if len(np.unique(y)) < 2:
        return
    moved = with_level(
        "classification", Scored(y, ours, Units(np.zeros(len(y), dtype=np.int64), ("all",)), Measure("log_loss"))
    )
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
    found = statistics("classification", Scored(y, p, units, Measure("log_loss")))
    assert found.estimate == pytest.approx(found.loss, abs=0.02)
    assert found.ranking is not None
    assert found.ranking.value == pytest.approx(0.0, abs=0.03)
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


def test_an_episode_is_at_most_a_tenth_of_the_days_and_at_least_half_of_the_excess() -> None:
    names = tuple(f"d{day:02d}" for day in range(30))
    spread = np.full(30, 1.0)
    assert episode(spread, names) is None
    bad = spread.copy()
    bad[[4, 9]] = 40.0
    found = episode(bad, names)
    assert found is not None
    assert found.units == ("d04", "d09")
    assert found.share == pytest.approx(80 / 108)
    assert episode(-bad, names) is None


def test_one_bad_day_does_not_hide_behind_the_error_that_it_makes() -> None:
    units = Units(np.repeat(np.arange(30), 100), tuple(f"d{n:02d}" for n in range(30)))
    source = np.random.default_rng(5)
    calm = source.normal(size=3_000)
    spoilt = calm + np.where(units.codes == 3, 20.0, 0.0)
    before, after = calm_error(calm, units), calm_error(spoilt, units)
    assert before is not None
    assert after is not None
    assert after == pytest.approx(before, rel=0.3)


def test_levels_are_those_of_the_file() -> None:
    own = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert stand(0.95, 0.01, own, RULES, "upper").level == "notable"  # above nine of ten
    assert stand(0.85, 0.01, own, RULES, "upper").level == "notable"  # above eight of ten
    assert stand(0.79, 0.01, own, RULES, "upper").level == "normal"
    assert stand(1.44, 0.01, own, RULES, "upper").level == "notable"
    assert stand(1.46, 0.01, own, RULES, "upper").level == "alarm"  # by half of 0.9 above all
    assert stand(1.46, 0.40, own, RULES, "upper").level == "normal"  # sampling alone can do that
    assert stand(-0.4, 0.01, own, RULES, "upper").level == "normal"  # better is no news
    assert stand(-0.4, 0.01, own, RULES, "both").level == "alarm"
    assert stand(9.9, 0.01, own[:2], RULES, "upper").level == "normal"  # two windows are no history
