"""Simulated tables, honest and leaking: a sample of `tests/campaigns/leaks.py`, and what each rule turns on."""

from __future__ import annotations

import leaks
import numpy as np
import pandas as pd
import pytest

from tallystick.ledger.events.types import Check
from tallystick.pipeline.leakage import odds, past_answers
from tallystick.pipeline.leakage.evidence import Declared, LeakEvidence
from tallystick.pipeline.leakage.judge import judge
from tallystick.pipeline.leakage.past_answers import AnswerProof
from tallystick.pipeline.leakage.questions import RUN, questions_of
from tallystick.pipeline.recipes import Columns

HONEST = (
    "two_percent_are_yes", "normal_numbers", "traffic_by_the_hour", "bikes_last_week", "panels_that_persist",
    "contract_fee", "list_price_per_article", "coupon_that_had_ended", "missing_income", "payment_schedule",
    "copies_of_a_good_feature", "known_customers",
)  # fmt: skip
LEAKING = (
    "the_answer_with_noise", "the_number_with_noise", "a_delay_before_the_delay", "cost_in_a_rare_event",
    "a_status_of_complaints", "changed_when_the_answer_comes", "numbered_by_answer", "named_by_its_end",
)  # fmt: skip
PROVEN = (
    "yesterdays_answer_too_early", "the_next_answer_of_a_panel", "a_mean_up_to_an_hour_ago", "means_of_forty_levels",
    "smoothed_means_of_a_hundred_levels", "empty_while_waiting",
)  # fmt: skip


def world(name: str, seed: int = 100) -> LeakEvidence:
    make = {**leaks.HONEST, **leaks.LEAKS}[name]
    return make(np.random.default_rng([sum(map(ord, name)), seed])).evidence


def told(name: str) -> list[Check]:
    return judge(world(name))


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_table_is_never_convicted_and_seldom_asked(name: str) -> None:
    made = leaks.HONEST[name](np.random.default_rng([sum(map(ord, name)), 100]))
    found = judge(made.evidence)
    assert [check.sentence for check in found if check.result == "fail"] == []
    assert made.all_signal or not questions_of(found)


@pytest.mark.parametrize("name", LEAKING)
def test_a_leak_is_asked_about(name: str) -> None:
    made = leaks.told_of(leaks.LEAKS[name](np.random.default_rng([sum(map(ord, name)), 100])))
    assert (made.failed, made.asked) == (False, True)


@pytest.mark.parametrize("name", PROVEN)
def test_a_leak_that_time_proves_is_convicted(name: str) -> None:
    assert leaks.told_of(leaks.LEAKS[name](np.random.default_rng([sum(map(ord, name)), 100]))).failed


def test_the_campaign_has_the_conditions_that_are_asked_for() -> None:
    assert len(leaks.HONEST) >= 40
    assert len(leaks.LEAKS) >= 20
    shown = leaks.row("half_are_yes", [leaks.Told(True, False, 1, "x", 0.5)])
    assert shown.split()[:3] == ["half_are_yes", "1", "100.0%"]


# Proof -----------------------------------------------------------------------------------------------------


def test_one_row_that_the_clock_does_not_tell_is_enough() -> None:
    evidence = world("traffic_by_the_hour")
    cleared = {check.subject for check in judge(evidence) if check.check == "clock"}
    assert cleared == {"hour", "weekday"}
    hour = evidence.frame["hour"].to_numpy(copy=True)
    hour[evidence.folds[-1].test[5]] += 1
    changed = evidence._replace(frame=evidence.frame.assign(hour=hour))
    assert {check.subject for check in judge(changed) if check.check == "clock"} == {"weekday"}


def _repeats(evidence: LeakEvidence, name: str) -> AnswerProof | None:
    orders = [past_answers.ordered(codes) for codes in evidence.series]
    return past_answers.repeated_answer(evidence, orders, name, evidence.frame[name].to_numpy())


@pytest.mark.parametrize(("delay_days", "result"), [(1.0, "cleared"), (1.5, "fail")])
def test_an_earlier_answer_is_proof_either_way(delay_days: float, result: str) -> None:
    """The day before yesterday's demand: known where an answer takes a day and predictions are made a day ahead."""
    evidence = world("autocorrelated_demand")
    known = evidence.y.reshape(-1, 20)
    lag = np.vstack([np.full((2, 20), np.nan), known[:-2]]).ravel()
    day = 86_400_000_000
    changed = evidence._replace(frame=evidence.frame.assign(lag=lag), delay=int(delay_days * day), lead=day)
    proof = _repeats(changed, "lag")
    assert proof is not None
    assert (proof.result, proof.facts["rows_before"]) == (result, 2)
    if result == "fail":
        assert "only answers at least 60 hours old were known" in proof.sentence


@pytest.mark.parametrize(("days", "result"), [(14, "cleared"), (13, "fail")])
def test_summer_time_makes_no_answer_too_young(days: int, result: str) -> None:
    """Rows at midnight: 14 days over the change to summer time are an hour less than 14 times 24 hours."""
    midnights = pd.date_range("2021-01-01", periods=600, tz="America/Chicago")
    times = midnights.tz_convert("UTC").tz_localize(None).as_unit("us").astype("int64").to_numpy()
    y = np.random.default_rng(3).normal(size=len(times))
    lag = np.concatenate([np.full(days, np.nan), y[:-days]])
    evidence = leaks.table(y, times, {"lag": lag}, task="regression", delay_days=14)._replace(zone="America/Chicago")
    proof = _repeats(evidence, "lag")
    assert proof is not None
    assert (proof.result, proof.facts["rows_before"]) == (result, days)


def test_the_answer_of_the_row_itself_proves_nothing() -> None:
    evidence = world("normal_numbers")
    changed = evidence._replace(frame=evidence.frame.assign(x0=evidence.y))
    proof = _repeats(changed, "x0")
    assert proof is not None
    assert (proof.result, proof.check) == ("look", "the answer itself")


def test_sums_convict_and_differences_ask() -> None:
    (summed,) = [check for check in told("a_mean_up_to_an_hour_ago") if check.check == "made of answers"]
    assert summed.result == "fail"
    (driver,) = [check for check in told("payment_schedule") if check.check == "made of answers"]
    assert (driver.result, driver.subject) == ("look", "payment")


def test_past_means_are_no_means_over_all_time() -> None:
    assert [check for check in told("past_means_of_a_level") if check.check == "mean answer over all time"] == []
    assert [check for check in told("risk_class_of_a_level") if check.check == "mean answer over all time"] == []
    (coded,) = [check for check in told("means_of_forty_levels") if check.check == "mean answer over all time"]
    assert coded.facts["source"] == "shop"
    assert coded.facts["r2"] > 0.999 > coded.facts["r2_past"]


def test_a_delivery_that_stopped_before_the_answers_did_is_asked_about() -> None:
    evidence = world("empty_while_waiting")
    field = evidence.frame["leak"].to_numpy(copy=True)
    known = np.flatnonzero(~evidence.waiting)
    field[known[-40:]] = np.nan
    (check,) = [
        item
        for item in judge(evidence._replace(frame=evidence.frame.assign(leak=field)))
        if item.check == "empty where the answer is not known"
    ]
    assert (check.result, check.facts["stopped"]) == ("look", True)
    assert "speaks for the delivery" in check.sentence


# Questions -------------------------------------------------------------------------------------------------


def test_odds_do_not_depend_on_the_base_rate() -> None:
    def asked(rows: int, yes: int, others: int, of: int) -> odds.Odd | None:
        column = pd.Series(np.repeat([1.0, 0.0], [rows, others]))
        y = np.concatenate([np.arange(rows) < yes, np.arange(others) < of]).astype(float)
        return odds.filled_afterwards(column, y, odds.Clusters((), ()))

    # Few yes among few filled rows tell nothing where the others have few as well.
    assert asked(2_990, 2, 30_000, 60) is None
    assert asked(207, 0, 20_000, 200) is None
    for of in (10_000, 2_000, 200):
        others = 20_000
        rate = 40 * of / (others - of)
        yes = round(400 * rate / (1 + rate))
        assert asked(400, yes, others, of) is not None
        assert asked(400, round(400 * 3 * of / others / (1 + 2 * of / others)), others, of) is None
    # Rows that belong to one another count as fewer.
    column, y = (
        pd.Series(np.repeat([1.0, 0.0], [40, 4_000])),
        np.concatenate([np.arange(40) < 20, np.arange(4_000) < 100]),
    )
    units = np.concatenate([np.arange(40) // 20, np.arange(4_000) // 20 + 2])
    assert odds.filled_afterwards(column, y.astype(float), odds.Clusters((), ())) is not None
    assert odds.filled_afterwards(column, y.astype(float), odds.Clusters((units,), (0.5,))) is None


def test_one_feature_is_one_question_whatever_stands_out() -> None:
    found = told("the_answer_with_two_percent_flipped")
    about = [check.check for check in found if check.subject == "leak" and check.result == "look"]
    assert len(about) > 1
    assert [*questions_of(found)] == ["leak"]


@pytest.mark.parametrize(
    ("name", "own_time", "why", "asked"),
    [
        ("repair_duration", True, None, True), ("RepairCost", True, None, True), ("tat", True, None, True),
        ("repair_duration", False, None, False), ("repair_duration", True, "It is the planned one.", False),
        ("prev_duration", True, None, False), ("planned_cost", True, None, False),
        ("sched_dep_time", True, None, False), ("costume", True, None, False),
    ],
)  # fmt: skip
def test_a_name_is_asked_about_only_without_a_why(name: str, own_time: bool, why: str | None, asked: bool) -> None:
    evidence = world("half_are_yes")
    frame = evidence.frame[["x0"]].rename(columns={"x0": name})
    changed = evidence._replace(
        frame=frame, columns=Columns((name,), ()), declared={name: Declared(own_time, why)}, folds=()
    )
    assert any(check.check == "name" for check in judge(changed)) is asked


def test_with_too_few_of_the_rarer_answer_the_run_is_asked_once() -> None:
    evidence = world("two_percent_are_yes")
    yes = np.flatnonzero(evidence.y == 1.0)
    y = evidence.y.copy()
    y[yes[::4]], y[np.setdiff1d(yes, yes[::4])] = 1.0, 0.0
    y[np.flatnonzero(y == 1.0)[49:]] = 0.0
    found = judge(evidence._replace(y=y, frame=evidence.frame.assign(x0=y)))
    assert [*questions_of(found)] == [RUN]
    (check,) = [item for item in found if item.subject == RUN]
    assert "silent, not passed" in check.sentence


def test_a_strong_feature_with_a_strong_clock_is_not_asked_about() -> None:
    """Half of the uncertainty gone is much beside noise, and nothing beside an hour that tells as much."""
    evidence = world("traffic_by_the_hour")
    noisy = evidence.frame["hour"] + np.random.default_rng(1).normal(scale=0.2, size=len(evidence.y))
    strong = evidence._replace(frame=evidence.frame.assign(hour=noisy))
    assert not questions_of(judge(strong))
    day = 86_400_000_000
    blind = strong._replace(times=strong.times // day * day)
    assert next(check.check for check in questions_of(judge(blind))["hour"]) == "tells more than all others"
