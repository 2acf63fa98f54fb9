"""The sentences, letter by letter: the same facts must read the same for ever."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.pipeline.evaluate import selection as rule
from tallystick.pipeline.evaluate import sentences
from tallystick.pipeline.evaluate.selection import RuleStep
from tallystick.pipeline.evaluate.sentences import Context, reason_sentence
from tallystick.pipeline.evaluate.stability import Interval, Pair, Score, Scores

CONTEXT = Context(metric="log_loss", reference="base_rate", confidence=0.9, period="month")

LEADER = {"candidate": "small_trees", "mean_gain": 0.0931, "low": 0.0638, "high": 0.1204, "windows": 9, "wins": 9}
EQUALITY = {
    "candidate": "big_trees",
    "leader": "small_trees",
    "difference": 0.0381,
    "low": 0.0214,
    "high": 0.0557,
    "margin": 0.005,
    "because": None,
    "windows": 9,
    "leader_won": 9,
    "sign_flip_p": 2 / 2**9,
    "smallest_p": 2 / 2**9,
    "worst_window": "2013-04",
    "worst_gain": -0.0231,
}
QUARTER = {
    "candidate": "logistic",
    "best": "small_trees",
    "difference": 0.011,
    "low": -0.004,
    "high": 0.026,
    "windows": 9,
    "best_won": 6,
    "complexity": 1,
    "other_complexity": 2,
}
STEADY = {
    "candidate": "small_trees",
    "windows": 9,
    "worse_windows": [],
    "worse_gains": [],
    "worst_quarter": 0.048,
    "low": 0.001,
    "high": 0.081,
    "worst_quarter_windows": ["2013-04", "2013-11", "2013-10"],
}
CHAMPION = {
    "candidate": "small_trees",
    "champion": "logistic",
    "difference": 0.029,
    "low": 0.011,
    "high": 0.047,
    "worst_quarter_difference": 0.012,
    "windows": 9,
    "won": 8,
    "few_windows": False,
}

GOLDEN: list[tuple[str, dict[str, Any], str]] = [
    (
        rule.NOT_ELIGIBLE,
        {"candidate": "big_trees", "why": "it reads dep_delay, which is known too late"},
        "big_trees does not take part: it reads dep_delay, which is known too late.",
    ),
    (
        rule.TOO_FEW_WINDOWS,
        {"windows": 2, "needed": 3, "stays": "base_rate"},
        "There are only 2 windows; a choice needs at least 3. Nobody is chosen: base_rate stays in place.",
    ),
    (
        rule.TOO_FEW_WINDOWS,
        {"windows": 1, "needed": 3, "stays": "logistic"},
        "There is only 1 window; a choice needs at least 3. Nobody is chosen: logistic stays in place.",
    ),
    (
        rule.FEW_WINDOWS,
        {"windows": 4, "full_rule_from": 6},
        "With only 4 windows (the full rule needs 6) no interval is trusted: one candidate counts as better than "
        "another only where every window says so.",
    ),
    (
        rule.NOBODY_ELIGIBLE,
        {"candidates": 3, "stays": "base_rate"},
        "None of 3 candidates takes part. Nobody is chosen: base_rate stays in place.",
    ),
    (
        rule.NOBODY_ELIGIBLE,
        {"candidates": 1, "stays": "base_rate"},
        "The only candidate does not take part. Nobody is chosen: base_rate stays in place.",
    ),
    (
        rule.NOBODY_ELIGIBLE,
        {"candidates": 0, "stays": "base_rate"},
        "There is no candidate. Nobody is chosen: base_rate stays in place.",
    ),
    (
        rule.LEADER,
        LEADER,
        "small_trees leads: 9.3% lower log-loss than base_rate on average over 9 windows (90% interval 6.4% to 12.0%).",
    ),
    (
        rule.LEADER,
        LEADER | {"mean_gain": -0.02, "low": -0.05, "high": 0.01},
        "small_trees leads: 2.0% higher log-loss than base_rate on average over 9 windows "
        "(90% interval -1.0% to 5.0%).",
    ),
    (
        rule.LEADER_NOT_CLEAR,
        {"candidate": "logistic", "windows": 9, "stays": "base_rate", "low": -0.01, "high": 0.03},
        "The interval reaches zero: 9 windows cannot tell logistic apart from base_rate. Nobody is chosen, which is a "
        "valid result: base_rate stays in place until there is better evidence.",
    ),
    (
        rule.LEADER_NOT_CLEAR,
        {"candidate": "logistic", "windows": 9, "stays": "base_rate", "low": -0.05, "high": -0.03},
        "Even the leader is clearly worse than base_rate. Nobody is chosen: base_rate stays in place.",
    ),
    (
        rule.WINDOWS_DISAGREE,
        {"candidate": "logistic", "windows": 4, "wins": 3, "stays": "base_rate"},
        "logistic beats base_rate in only 3 of 4 windows. With so few, all of them would have to agree. "
        "Nobody is chosen: base_rate stays in place.",
    ),
    (
        rule.EQUAL,
        EQUALITY | {"difference": 0.0031, "low": 0.0004, "high": 0.0057, "because": "margin"},
        "big_trees is an equal of small_trees: 0.3 points lower on average [0.04, 0.6], within the margin of "
        "0.5 points that nobody would act on.",
    ),
    (
        rule.EQUAL,
        EQUALITY | {"low": -0.004, "because": "interval", "sign_flip_p": 0.1719},
        "big_trees is an equal of small_trees: 3.8 points lower on average [-0.4, 5.6], which could be chance.",
    ),
    (
        rule.EQUAL,
        EQUALITY | {"windows": 4, "leader_won": 3, "because": "windows"},
        "big_trees is an equal of small_trees: 3.8 points lower on average [2.1, 5.6], but small_trees is better in "
        "only 3 of 4 windows.",
    ),
    (
        rule.NOT_EQUAL,
        EQUALITY,
        "big_trees is not an equal: 3.8 points lower on average [2.1, 5.6], and in April 2013 it was worse than "
        "base_rate (-2.3%).",
    ),
    (
        rule.NOT_EQUAL,
        EQUALITY | {"candidate": "logistic", "worst_gain": 0.01},
        "logistic is not an equal: 3.8 points lower on average [2.1, 5.6].",
    ),
    (
        rule.BEHIND_REFERENCE,
        EQUALITY | {"candidate": "logistic", "mean_gain": -0.093},
        "logistic is not an equal: it is 9.3% worse than base_rate on average, however little it can be told apart "
        "from small_trees.",
    ),
    (
        rule.EXPLODES,
        {"candidate": "linear", "window": "2013-05", "times": 40.38, "loss": 12_747_038.0, "reference_loss": 315_663.0},
        "linear lost 40.4 times as much as base_rate in May 2013: log-loss 12,747,038 instead of 315,663.",
    ),
    (
        rule.BEST_WORST_QUARTER,
        {"candidate": "small_trees", "among": 2, "worst_quarter": 0.048},
        "Among the 2 equals small_trees has the best worst quarter of windows: a gain of 4.8%.",
    ),
    (
        rule.LOWER_WORST_QUARTER,
        QUARTER | {"low": 0.004},
        "The worst quarter of logistic is clearly lower than that of small_trees: by 1.1 points [0.4, 2.6].",
    ),
    (
        rule.SIMPLER,
        QUARTER,
        "The worst quarter of logistic cannot be told apart from that of small_trees (1.1 points lower [-0.4, 2.6]), "
        "and it is the simpler one (complexity 1 instead of 2), so it goes first.",
    ),
    (
        rule.EARLIER_IN_FILE,
        QUARTER | {"other_complexity": 1},
        "The worst quarter of logistic cannot be told apart from that of small_trees (1.1 points lower [-0.4, 2.6]), "
        "and both have complexity 1; it stands earlier in the pipeline file, so it goes first.",
    ),
    (
        rule.REFERENCE_IS_ENOUGH,
        {"candidate": "base_rate", "margin": 0.005, "stays": "base_rate"},
        "The gain is within the margin of 0.5 points that nobody would act on, so base_rate is enough. "
        "Nobody is chosen: base_rate stays in place.",
    ),
    (
        rule.NEVER_WORSE,
        STEADY,
        "small_trees was never worse than base_rate; its worst quarter (April, November, October 2013) still gains "
        "4.8% [0.1%, 8.1%].",
    ),
    (
        rule.SOMETIMES_WORSE,
        STEADY
        | {"worse_windows": ["2013-04", "2013-11"], "worse_gains": [-0.023, -0.004], "worst_quarter": -0.006}
        | {"low": -0.02, "high": 0.01},
        "small_trees was worse than base_rate in 2 of 9 windows, April 2013 (-2.3%) and November 2013 (-0.4%); "
        "its worst quarter (April, November, October 2013) loses 0.6% [-1.0%, 2.0%].",
    ),
    (
        rule.CHAMPION_CONFIRMED,
        {"candidate": "small_trees"},
        "small_trees is already the champion. It is confirmed and stays.",
    ),
    (
        rule.CHAMPION_NOT_ELIGIBLE,
        {"champion": "logistic", "candidate": "small_trees"},
        "The champion, logistic, does not take part, so it cannot be held against small_trees. "
        "A person must weigh the two.",
    ),
    (
        rule.BELOW_CHAMPION_IN_WORST_QUARTER,
        CHAMPION | {"worst_quarter_difference": -0.013},
        "small_trees does not replace the champion, logistic: its worst quarter is 1.3 points lower.",
    ),
    (
        rule.NOT_CLEARLY_BETTER_THAN_CHAMPION,
        CHAMPION | {"low": -0.002},
        "small_trees does not replace the champion, logistic: it is 2.9 points higher on average [-0.2, 4.7], "
        "which could be chance. In doubt the champion stays.",
    ),
    (
        rule.NOT_CLEARLY_BETTER_THAN_CHAMPION,
        CHAMPION | {"difference": -0.029, "low": -0.047, "high": -0.011},
        "small_trees does not replace the champion, logistic: it is 2.9 points lower on average [1.1, 4.7]. "
        "The champion stays.",
    ),
    (
        rule.NOT_CLEARLY_BETTER_THAN_CHAMPION,
        CHAMPION | {"few_windows": True, "windows": 4, "won": 3},
        "small_trees does not replace the champion, logistic: it is 2.9 points higher on average [1.1, 4.7], but "
        "better in only 3 of 4 windows. In doubt the champion stays.",
    ),
    (
        rule.BEATS_CHAMPION,
        CHAMPION,
        "small_trees replaces the champion, logistic: it is 2.9 points higher on average [1.1, 4.7], and its worst "
        "quarter is 1.2 points higher.",
    ),
]


@pytest.mark.parametrize(("code", "facts", "sentence"), GOLDEN)
def test_reason_sentences(code: str, facts: dict[str, Any], sentence: str) -> None:
    assert reason_sentence(RuleStep(code, facts), CONTEXT) == sentence


def test_every_code_has_words() -> None:
    assert {code for code, _, _ in GOLDEN} == set(rule.CODES)


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.0931, "9.3%"), (-0.023, "-2.3%"), (0.0, "0.0%"), (-1e-9, "0.0%"), (0.0003, "0.03%"), (1.0, "100.0%")],
)
def test_percent(share: float, said: str) -> None:
    assert sentences.percent(share) == said


def test_points_and_p_values() -> None:
    assert [sentences.points(value) for value in (0.024, 0.01, -0.01, 0.0)] == [
        "2.4 points",
        "1.0 point",
        "-1.0 point",
        "0.0 points",
    ]
    assert [sentences.p_value(p) for p in (1.0, 0.375, 0.0625, 2 / 2**9, 2 / 2**16, 0.0996)] == [
        "p = 1",
        "p = 0.38",
        "p = 0.062",
        "p = 0.0039",
        "p < 0.0001",
        "p = 0.10",
    ]
    assert [sentences.confidence_words(value) for value in (0.9, 0.975, 0.95)] == ["90%", "97.5%", "95%"]


@given(st.floats(1e-12, 1.0))
def test_p_values_never_read_zero_and_parse_back(p: float) -> None:
    said = sentences.p_value(p)
    assert float(said.rpartition(" ")[2]) == pytest.approx(p, rel=0.06) or said == "p < 0.0001"


def test_windows() -> None:
    named = Context(metric="brier", reference="base", confidence=0.9, labels={"12": "step 12"})
    assert sentences.window_words("2013-04-05") == "5 April 2013"
    assert sentences.window_words("2013") == "2013"
    assert sentences.window_words("2013-13") == "2013-13"
    assert sentences.window_words("12", named) == "step 12"
    assert sentences.windows_words(["2012-12", "2013-04"]) == "December 2012, April 2013"
    assert sentences.windows_words(["2013-04"]) == "April 2013"
    assert sentences.windows_words(["12", "13"], named) == "step 12, 13"
    assert sentences.windows_words([]) == ""
    assert sentences.and_words(["a"]) == "a"
    assert sentences.and_words(["a", "b", "c"]) == "a, b and c"


def a_score(**changes: Any) -> Score:
    fields: dict[str, Any] = {
        "candidate": "small_trees",
        "gains": [0.01, 0.12, 0.08, 0.09, 0.1, 0.07],
        "losses": [0.5] * 6,
        "mean_gain": 0.078,
        "mean_interval": Interval(0.05, 0.1),
        "worst_quarter": 0.04,
        "worst_quarter_interval": Interval(0.0, 0.06),
        "worst_quarter_windows": ["2013-04", "2013-09"],
        "worst_window": "2013-04",
        "worst_gain": 0.01,
        "wins": 6,
        "slope": 0.003,
        "slope_interval": Interval(-0.009, 0.014),
        "residual_sd": 0.02,
        "noise_share": 0.63,
        "trend_penalised": None,
    }
    return Score(**(fields | changes))


LABELS = [f"2013-{month:02}" for month in range(4, 10)]


def test_trajectory() -> None:
    assert sentences.trajectory_words(a_score(), LABELS, CONTEXT) == (
        "The gain of small_trees over base_rate lies between 1.0% (April 2013) and 12.0% (May 2013), without a trend "
        "that can be told from chance (0.3 points a month [-0.9, 1.4])."
    )
    falling = a_score(slope=-0.01, slope_interval=Interval(-0.02, -0.004))
    assert sentences.trajectory_words(falling, LABELS, CONTEXT) == (
        "The gain of small_trees over base_rate lies between 1.0% (April 2013) and 12.0% (May 2013) and falls by "
        "1.0 point a month [0.4, 2.0]."
    )
    short = a_score(gains=[0.01, 0.12, 0.08])
    assert sentences.trajectory_words(short, LABELS[:3], CONTEXT) == (
        "The gain of small_trees over base_rate lies between 1.0% (April 2013) and 12.0% (May 2013); "
        "3 windows cannot show a trend."
    )


def test_noise_share() -> None:
    said = [sentences.noise_share_sentence(a_score(noise_share=share), CONTEXT) for share in (None, 0.31, 0.63, 1.4)]
    assert said == [
        "How much of the month-to-month movement of small_trees is sampling noise cannot be told.",
        "About 31% of the month-to-month movement of small_trees is sampling noise.",
        "Most of the month-to-month movement of small_trees is sampling noise (63%).",
        "All of the month-to-month movement of small_trees could be sampling noise.",
    ]


def test_pair() -> None:
    pair = Pair(
        first="small_trees",
        second="big_trees",
        mean_difference=0.024,
        mean_interval=Interval(0.013, 0.038),
        worst_quarter_difference=0.02,
        worst_quarter_interval=Interval(0.0, 0.04),
        loss_difference=0.012,
        windows_won=9,
        windows_lost=0,
        sign_flip_p=2 / 2**9,
    )
    made = Scores(
        reference="base_rate",
        confidence=0.9,
        seed=1,
        draws=10,
        windows=[str(index) for index in range(9)],
        smallest_p=2 / 2**9,
        candidates=[],
        pairs=[pair],
        regret={},
    )
    evidence = "(90% interval [1.3, 3.8])"
    assert sentences.pair_sentence(pair, made, CONTEXT) == (
        f"small_trees is 2.4 points better than big_trees on average {evidence} and wins 9 of 9 windows "
        "(p = 0.0039; the smallest possible is 0.0039)."
    )
    assert sentences.pair_sentence(pair.turned(), made, CONTEXT) == (
        f"big_trees is 2.4 points worse than small_trees on average {evidence} and wins 0 of 9 windows "
        "(p = 0.0039; the smallest possible is 0.0039)."
    )


def test_smallest_p() -> None:
    assert sentences.smallest_p_sentence(9, 2 / 2**9) == "With 9 windows the smallest possible p is 0.0039."
    assert sentences.smallest_p_sentence(1, 1.0) == (
        "With 1 window the smallest possible p is 1, so no comparison can fall below 0.05."
    )


def test_optimism() -> None:
    gaps = [0.075, 0.08, 0.09, 0.085, 0.08, 0.082, 0.084, 0.085, 0.14]
    assert sentences.optimism_sentence("big_trees", 0.697, 0.786, gaps, "roc_auc") == (
        "A random split would flatter big_trees by 0.089 AUC on average (0.075 to 0.140; positive in 9 of 9 windows): "
        "0.786 instead of 0.697."
    )
    assert sentences.optimism_sentence("logistic", 0.69, 0.699, [0.009], "roc_auc") == (
        "A random split would say nearly the same about logistic: AUC 0.699 instead of 0.690, a small difference."
    )
    assert sentences.optimism_sentence("logistic", 0.7, 0.65, [-0.05], "roc_auc") == (
        "A random split would undersell logistic by 0.050 AUC on average "
        "(-0.050 to -0.050; positive in 0 of 1 window): 0.650 instead of 0.700."
    )
    assert sentences.optimism_sentence("big_trees", 0.6, 0.5, [0.1, 0.1], "log_loss").startswith(
        "A random split would flatter big_trees by 0.100 log-loss on average"
    )
    assert "nearly the same" in sentences.optimism_sentence("big_trees", 0.6, 0.571, [0.029], "log_loss")
    assert sentences.optimism_sentence("logistic", None, None, [], "roc_auc") == (
        "What a random split would promise of logistic is not known: AUC has no value in any window."
    )
    assert sentences.random_choice_sentence("big_trees", "small_trees", "roc_auc") == (
        "By AUC a random split would have chosen big_trees instead of small_trees."
    )
    assert sentences.random_choice_sentence("big_trees", "big_trees", "roc_auc") == ""


def test_data_sentences() -> None:
    assert sentences.one_class_sentence("2013-04", 1234, False) == (
        "AUC has no value in April 2013: all 1,234 rows are negative, so there is nothing to rank."
    )
    assert sentences.one_class_sentence("2013-04", 1, True) == (
        "AUC has no value in April 2013: its only row is positive, so there is nothing to rank."
    )
    assert sentences.partial_window_sentence("2013-12", 120, 1500) == (
        "December 2013 is partial: 120 of 1,500 rows (8.0%) have no mature label yet. It does not count for selection."
    )
    why = "Cancelled and diverted flights have no arrival; they are another question."
    assert sentences.dropped_rows_sentence("arr_delay is missing", 412, 14594, why) == (
        f"412 of 14,594 rows (2.8%) left out where arr_delay is missing: {why}"
    )
    assert sentences.group_overlap_sentence("tailnum", 0.88, 0.701, 0.69, "roc_auc") == (
        "88.0% of the test rows share their tailnum with training rows: AUC is 0.701 on these and 0.690 on the others."
    )
    assert sentences.group_overlap_sentence("tailnum", 1.0, 0.701, None, "roc_auc") == (
        "100.0% of the test rows share their tailnum with training rows; AUC cannot be compared between the two kinds "
        "of rows."
    )
