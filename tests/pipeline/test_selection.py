"""The rule, step by step, on scores that are made to measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline.evaluate import selection as rule
from tallystick.pipeline.evaluate.selection import ChoiceRule, Selection, choose
from tallystick.pipeline.evaluate.stability import Scores, WindowLosses, scores

REFERENCE = "rate"
COMPLEXITY = {"rate": 0, "plain": 1, "middle": 2, "rich": 3}


def scored(gains: Mapping[str, Sequence[float]], units: int = 3) -> Scores:
    """Scores of candidates with exactly these gains by window, and no noise inside a window."""
    windows = []
    for index in range(len(next(iter(gains.values())))):
        losses = {REFERENCE: np.ones(units)}
        losses |= {name: np.full(units, 1.0 - values[index]) for name, values in gains.items()}
        names = tuple(f"day {unit}" for unit in range(units))
        windows.append(WindowLosses(f"2013-{index + 1:02}", names, np.ones(units), losses))
    return scores(windows, reference=REFERENCE, confidence=0.9, seed=1, draws=500, validity_windows=None)


def chosen(gains: Mapping[str, Sequence[float]], **settings: Any) -> Selection:
    made = scored(gains)
    names = [REFERENCE, *gains]
    defaults: dict[str, Any] = {
        "complexity": COMPLEXITY,
        "order": names,
        "margin": 0.005,
        "confidence": 0.9,
        "reference": REFERENCE,
        "champion": None,
        "eligible": dict.fromkeys(gains),
    }
    return choose(made, ChoiceRule(**(defaults | settings)))


def codes(selection: Selection) -> list[str]:
    return [reason.code for reason in selection.reasons]


def facts(selection: Selection, code: str) -> dict[str, Any]:
    return next(reason.facts for reason in selection.reasons if reason.code == code)


STEADY = [0.10, 0.11, 0.09, 0.10, 0.12, 0.10, 0.11, 0.09]
POOR = [0.05, 0.06, 0.04, 0.05, 0.07, 0.05, 0.06, 0.04]
SWINGING = [0.42, -0.09, 0.40, -0.08, 0.41, -0.07, 0.40, -0.08]
ALTERNATING = [0.1, -0.1, 0.1, -0.1, 0.1, -0.1, 0.1, -0.09]


def test_a_clear_leader_is_chosen() -> None:
    found = chosen({"plain": POOR, "rich": STEADY})
    assert (found.outcome, found.chosen, found.leader, found.runner_up) == ("chosen", "rich", "rich", "plain")
    assert found.equals == ["rich"]
    assert codes(found) == [rule.LEADER, rule.NOT_EQUAL, rule.NEVER_WORSE]
    assert facts(found, rule.NOT_EQUAL)["difference"] == pytest.approx(0.05)
    assert facts(found, rule.NOT_EQUAL)["because"] is None


def test_nobody_is_chosen_when_the_leader_cannot_be_told_apart_from_the_reference() -> None:
    found = chosen({"plain": ALTERNATING})
    assert (found.outcome, found.chosen, found.leader, found.equals) == ("nobody", None, "plain", [])
    assert codes(found) == [rule.LEADER, rule.LEADER_NOT_CLEAR]
    assert facts(found, rule.LEADER_NOT_CLEAR)["stays"] == REFERENCE


def test_nobody_is_chosen_when_everybody_is_worse() -> None:
    found = chosen({"plain": [-gain for gain in STEADY]}, champion="plain")
    assert (found.outcome, found.chosen) == ("nobody", None)
    assert facts(found, rule.LEADER_NOT_CLEAR)["stays"] == "plain"


def test_among_equals_the_best_bad_windows_win_over_the_best_mean() -> None:
    found = chosen({"plain": SWINGING, "rich": STEADY})
    assert found.leader == "plain"
    assert found.equals == ["plain", "rich"]
    assert (found.outcome, found.chosen) == ("chosen", "rich")
    assert codes(found) == [
        rule.LEADER,
        rule.EQUAL,
        rule.BEST_WORST_QUARTER,
        rule.LOWER_WORST_QUARTER,
        rule.NEVER_WORSE,
    ]
    assert facts(found, rule.EQUAL)["because"] == "interval"


def test_worst_quarters_alike_go_to_the_simpler() -> None:
    better = [gain + 0.001 * (-1) ** index for index, gain in enumerate(STEADY)]
    better[2] += 0.0015
    found = chosen({"rich": better, "plain": STEADY})
    assert (found.leader, found.chosen) == ("rich", "plain")
    assert codes(found) == [rule.LEADER, rule.EQUAL, rule.BEST_WORST_QUARTER, rule.SIMPLER, rule.NEVER_WORSE]
    assert facts(found, rule.EQUAL)["because"] == "margin"
    assert facts(found, rule.SIMPLER)["best"] == "rich"


def test_alike_and_equally_complex_go_to_the_earlier_in_the_file() -> None:
    better = [gain + 0.001 * (-1) ** index for index, gain in enumerate(STEADY)]
    better[2] += 0.0015
    same = COMPLEXITY | {"rich": 1}
    found = chosen({"plain": STEADY, "rich": better}, complexity=same)
    assert found.chosen == "plain"
    assert rule.EARLIER_IN_FILE in codes(found)
    other = chosen({"plain": STEADY, "rich": better}, complexity=same, order=["rich", "plain", REFERENCE])
    assert other.chosen == "rich"
    assert rule.EARLIER_IN_FILE not in codes(other)


def test_exact_ties_do_not_depend_on_who_was_scored_first() -> None:
    one = chosen({"plain": STEADY, "rich": STEADY}, order=["rich", "plain", REFERENCE])
    two = chosen({"rich": STEADY, "plain": STEADY}, order=["rich", "plain", REFERENCE])
    assert (one.leader, one.chosen) == (two.leader, two.chosen) == ("rich", "plain")


def test_an_ineligible_candidate_does_not_take_part() -> None:
    found = chosen({"plain": POOR, "rich": STEADY}, eligible={"plain": None, "rich": "it reads a leaking column"})
    assert found.chosen == "plain"
    assert found.runner_up is None
    assert facts(found, rule.NOT_ELIGIBLE) == {"candidate": "rich", "why": "it reads a leaking column"}
    nobody = chosen({"plain": POOR}, eligible={"plain": "it failed"})
    assert (nobody.outcome, codes(nobody)) == ("nobody", [rule.NOT_ELIGIBLE, rule.NOBODY_ELIGIBLE])


def test_a_gain_nobody_would_act_on_does_not_replace_the_reference() -> None:
    tiny = [0.002, 0.003, 0.0001, 0.002, 0.004, -0.001, 0.003, 0.002]
    found = chosen({"plain": tiny})
    assert (found.outcome, found.chosen) == ("nobody", None)
    assert found.equals == ["plain", REFERENCE]
    assert codes(found)[-1] == rule.REFERENCE_IS_ENOUGH
    assert chosen({"plain": tiny}, champion=REFERENCE).outcome == "champion-kept"
    assert chosen({"plain": tiny}, margin=0.0).chosen == "plain"


@pytest.mark.parametrize("windows", [1, 2])
def test_fewer_than_three_windows_choose_nothing(windows: int) -> None:
    found = chosen({"plain": STEADY[:windows]})
    assert (found.outcome, found.chosen, codes(found)) == ("too-few-windows", None, [rule.TOO_FEW_WINDOWS])


@pytest.mark.parametrize("windows", [3, 4, 5])
def test_few_windows_must_all_agree(windows: int) -> None:
    found = chosen({"plain": STEADY[:windows]})
    assert (found.outcome, found.chosen) == ("chosen", "plain")
    assert codes(found) == [rule.FEW_WINDOWS, rule.LEADER, rule.NEVER_WORSE]
    one_bad = [0.5] * (windows - 1) + [-0.001]
    refused = chosen({"plain": one_bad})
    assert (refused.outcome, codes(refused)[-1]) == ("nobody", rule.WINDOWS_DISAGREE)


def test_few_windows_make_equals_of_candidates_that_they_disagree_about() -> None:
    found = chosen({"rich": [0.2, 0.2, 0.2, 0.09], "plain": [0.1, 0.1, 0.1, 0.1]})
    assert facts(found, rule.EQUAL)["because"] == "windows"
    assert found.chosen == "plain"


def test_six_windows_get_the_full_rule() -> None:
    assert rule.FEW_WINDOWS not in codes(chosen({"plain": STEADY[:6]}))


def test_a_challenger_replaces_a_champion_that_it_clearly_beats() -> None:
    found = chosen({"plain": POOR, "rich": STEADY}, champion="plain")
    assert (found.outcome, found.chosen, codes(found)[-1]) == ("chosen", "rich", rule.BEATS_CHAMPION)


def test_the_champion_stays_when_the_rule_arrives_at_it() -> None:
    found = chosen({"plain": POOR, "rich": STEADY}, champion="rich")
    assert (found.outcome, found.chosen, codes(found)[-1]) == ("champion-kept", "rich", rule.CHAMPION_CONFIRMED)


def test_the_champion_stays_when_the_difference_could_be_chance() -> None:
    found = chosen({"plain": STEADY, "rich": SWINGING}, champion="rich")
    assert (found.outcome, found.chosen) == ("champion-kept", "rich")
    assert codes(found)[-1] == rule.NOT_CLEARLY_BETTER_THAN_CHAMPION


def test_the_champion_stays_when_its_bad_windows_are_better() -> None:
    champion = [0.10, 0.10, 0.10, 0.10, 0.10, 0.10, 0.10, 0.10]
    challenger = [0.09, 0.09, 0.20, 0.21, 0.20, 0.22, 0.20, 0.21]
    found = chosen({"plain": champion, "rich": challenger}, champion="plain")
    assert rule.BELOW_CHAMPION_IN_WORST_QUARTER in codes(found)
    assert (found.outcome, found.chosen, found.leader) == ("champion-kept", "plain", "rich")


def test_the_reference_may_be_the_champion() -> None:
    found = chosen({"plain": STEADY}, champion=REFERENCE)
    assert (found.outcome, found.chosen, codes(found)[-1]) == ("chosen", "plain", rule.BEATS_CHAMPION)


def test_an_ineligible_champion_protects_nobody() -> None:
    found = chosen({"plain": POOR, "rich": STEADY}, champion="rich", eligible={"plain": None, "rich": "it leaks"})
    assert (found.outcome, found.chosen, codes(found)[-1]) == ("chosen", "plain", rule.CHAMPION_NOT_ELIGIBLE)


@pytest.mark.parametrize(
    "wrong",
    [
        {"confidence": 0.95},
        {"reference": "plain"},
        {"champion": "stranger"},
        {"eligible": {}},
        {"complexity": {}},
        {"order": ["plain"]},
        {"margin": -0.1},
        {"margin": float("nan")},
    ],
)
def test_settings_of_other_scores_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        chosen({"plain": STEADY}, **wrong)


gain = st.floats(-0.5, 0.5).map(lambda value: round(value, 3))


@st.composite
def races(draw: st.DrawFn) -> dict[str, list[float]]:
    windows = draw(st.integers(1, 9))
    names = draw(st.lists(st.sampled_from(["plain", "middle", "rich"]), min_size=1, unique=True))
    return {name: draw(st.lists(gain, min_size=windows, max_size=windows)) for name in names}


@settings(max_examples=80, deadline=None)
@given(races(), st.sampled_from([None, "rate", "plain", "middle", "rich"]))
def test_every_selection_explains_itself(gains: dict[str, list[float]], champion: str | None) -> None:
    champion = champion if champion in gains or champion == REFERENCE else None
    found = chosen(gains, champion=champion)
    assert found == chosen(gains, champion=champion)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Selection) == found
    assert found.reasons
    assert set(codes(found)) <= set(rule.CODES)
    if found.outcome == "chosen":
        assert found.chosen in found.equals
        assert found.chosen not in (REFERENCE, champion)
    elif found.outcome == "champion-kept":
        assert found.chosen == champion
    else:
        assert found.chosen is None


@settings(max_examples=60, deadline=None)
@given(st.lists(gain, min_size=6, max_size=9), st.integers(0, 8), st.floats(0.001, 0.5))
def test_worsening_a_window_never_gets_a_lone_candidate_chosen(gains: list[float], place: int, worse: float) -> None:
    spoiled = list(gains)
    spoiled[place % len(gains)] -= worse
    if chosen({"plain": spoiled}, margin=0.0).outcome == "chosen":
        assert chosen({"plain": gains}, margin=0.0).outcome == "chosen"


def test_codes_are_unique_words_in_kebab_case() -> None:
    assert len(set(rule.CODES)) == len(rule.CODES)
    constants = {value for name, value in vars(rule).items() if name.isupper() and isinstance(value, str)}
    assert constants == set(rule.CODES)
    assert all(part.isalpha() and part.islower() for code in rule.CODES for part in code.split("-"))


def test_what_loses_more_than_the_reference_is_no_equal() -> None:
    """A candidate that differs from window to window cannot be told apart from any other; that is no merit."""
    steady = [0.04, 0.05, 0.04, 0.03, 0.05, 0.04, 0.04, 0.05]
    wild = [0.5, -0.9, 0.4, -0.8, 0.4, -0.7, 0.3, 0.06]
    found = chosen({"plain": steady, "middle": wild})
    assert found.chosen == "plain"
    assert "middle" not in found.equals
    assert facts(found, rule.BEHIND_REFERENCE)["candidate"] == "middle"
    assert facts(found, rule.BEHIND_REFERENCE)["mean_gain"] < 0.0
    within = chosen({"plain": steady, "rich": [gain - 0.001 for gain in steady]})
    assert "rich" in within.equals


def test_a_candidate_that_explodes_in_one_window_is_said_first() -> None:
    gains = {"plain": [0.2] * 8, "rich": [0.3] * 7 + [-39.0]}
    found = chosen(gains)
    assert codes(found)[0] == rule.EXPLODES
    told = facts(found, rule.EXPLODES)
    assert told["candidate"] == "rich"
    assert told["times"] == pytest.approx(40.0)
    assert told["loss"] == pytest.approx(40.0 * told["reference_loss"])
    assert rule.EXPLODES not in codes(chosen({"plain": [0.2] * 8, "rich": [0.3] * 7 + [-8.5]}))
