"""The rule in each of its situations, and the sentences that it speaks."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.selection import CODES, Selection, choose
from pipeline.stability import Trial, WindowLosses
from pipeline.words import Context, headline, optimism_sentence, step_sentence, window_words, windows_words

CONTEXT = Context(metric="log_loss", reference="base_rate", confidence=0.9, pipeline="late-arrivals")


def losses(gains: dict[str, list[float]], noise: float = 0.02) -> list[WindowLosses]:
    """Windows in which each candidate has the given gain on the reference, with some noise by day."""
    count = len(next(iter(gains.values())))
    windows = []
    for index in range(count):
        source = np.random.default_rng(index)
        rows = np.full(30, 100.0)
        base = 0.55 * rows * (1 + 0.05 * source.standard_normal(30))
        made = {"base_rate": base}
        for name, values in gains.items():
            wobble = noise * np.random.default_rng([index, *name.encode()]).standard_normal(30)
            made[name] = base * (1 - values[index] + wobble - (wobble * base).sum() / base.sum())
        windows.append(WindowLosses(f"2013-{index + 1:02d}", rows, made))
    return windows


def decide(
    gains: dict[str, list[float]],
    *,
    complexity: dict[str, int] | None = None,
    champion: str | None = None,
    margin: float = 0.005,
    noise: float = 0.02,
) -> Selection:
    trial = Trial(losses(gains, noise), reference="base_rate", confidence=0.9, seed=1)
    return choose(
        trial,
        {name: trial.score(name) for name in gains},
        complexity=complexity or {name: index + 1 for index, name in enumerate(gains)},
        order=list(gains),
        margin=margin,
        ineligible={},
        champion=champion,
    )


def codes(selection: Selection) -> list[str]:
    return [step.code for step in selection.steps]


STEADY = [0.09, 0.10, 0.11, 0.10, 0.09, 0.10, 0.11]
WILD = [0.22, -0.02, 0.20, 0.21, -0.01, 0.19, -0.03]


def test_a_clear_leader_is_chosen() -> None:
    selection = decide({"small": STEADY, "big": [gain - 0.05 for gain in STEADY]})
    assert (selection.outcome, selection.chosen, selection.leader, selection.runner_up) == (
        "chosen",
        "small",
        "small",
        "big",
    )
    assert codes(selection) == ["leads", "not-equal", "best-worst-quarter", "never-worse"]


def test_the_stable_one_is_taken_although_the_other_leads() -> None:
    selection = decide({"wild": WILD, "steady": STEADY}, complexity={"wild": 1, "steady": 2})
    assert (selection.leader, selection.chosen) == ("wild", "steady")
    assert codes(selection) == ["leads", "equal", "best-worst-quarter", "never-worse"]
    assert headline(selection, CONTEXT) == "steady is chosen for late-arrivals although it does not lead."


def test_of_two_that_cannot_be_told_apart_the_simpler_is_taken() -> None:
    almost = [gain - 0.001 * (-1) ** index for index, gain in enumerate(STEADY)]
    selection = decide({"complex": STEADY, "plain": almost}, complexity={"complex": 3, "plain": 1}, noise=0.1)
    assert selection.chosen == "plain"
    assert "simpler" in codes(selection)


def test_nobody_is_chosen_when_the_leader_could_be_chance() -> None:
    selection = decide({"a": [0.05, -0.06, 0.04, -0.05, 0.02, -0.03, 0.06]})
    assert (selection.outcome, selection.chosen) == ("nobody", None)
    assert codes(selection) == ["leads", "leader-not-above-reference"]


def test_few_windows_must_all_agree() -> None:
    assert decide({"a": [0.1, 0.1, 0.1]}).outcome == "chosen"
    selection = decide({"a": [0.3, 0.3, 0.3, -0.01]})
    assert (selection.outcome, codes(selection)[-1]) == ("nobody", "leader-not-in-every-window")
    assert decide({"a": [0.1, 0.1]}).outcome == "too-few-windows"


def test_without_any_complete_window_nobody_is_chosen() -> None:
    selection = choose(None, {}, complexity={}, order=[], margin=0.0, ineligible={"a": "no window"}, champion=None)
    assert codes(selection) == ["not-eligible", "too-few-windows"]


def test_in_doubt_the_champion_stays() -> None:
    tie = [gain + 0.0001 for gain in STEADY]
    kept = decide({"old": STEADY, "new": tie}, complexity={"old": 2, "new": 1}, champion="old", noise=0.1)
    assert (kept.outcome, kept.chosen) == ("champion-kept", "old")
    confirmed = decide({"old": STEADY, "new": [gain - 0.05 for gain in STEADY]}, champion="old")
    assert (confirmed.outcome, confirmed.chosen) == ("champion-confirmed", "old")
    beaten = decide({"old": [gain - 0.05 for gain in STEADY], "new": STEADY}, champion="old")
    assert (beaten.outcome, beaten.chosen, codes(beaten)[-1]) == ("chosen", "new", "beats-champion")


@pytest.mark.parametrize("seed", range(5))
def test_adding_a_candidate_that_is_worse_than_all_changes_nothing(seed: int) -> None:
    source = np.random.default_rng(seed)
    gains = {name: list(source.normal(0.08, 0.04, 7)) for name in ("a", "b")}
    bad = {**gains, "z": [-0.2] * 7}
    assert decide(gains).chosen == decide(bad).chosen


def test_every_code_has_a_sentence_that_reads_like_one() -> None:
    """The golden sentences: if one changes, somebody should read it aloud before it is released."""
    selection = decide({"small": STEADY, "big": [0.06, -0.02, 0.07, 0.05, 0.06, 0.07, 0.05]})
    said = [step_sentence(step, CONTEXT) for step in selection.steps]
    assert said == [
        "small leads: 10.0% lower log-loss than base_rate on average over 7 windows (90% interval 9.5% to 10.5%).",
        "big is not an equal of small: 5.1 points lower gain on average [3.5, 7.3], and in February 2013 it was "
        "worse than base_rate (−2.0%).",
        "It has no equal. In its worst quarter of windows (January and May 2013) its gain is 9.0% [8.5% to 9.9%].",
        "small was never worse than base_rate.",
    ]
    from pipeline import words

    assert set(words._STEPS) == set(CODES)


def test_optimism_in_words() -> None:
    assert optimism_sentence("big_trees", "roc_auc", 0.697, 0.786, [0.075, 0.14, 0.05]) == (
        "A random split would flatter big_trees by 0.088 AUC on average (0.050 to 0.140; in 3 of 3 windows): "
        "0.786 instead of 0.697."
    )
    assert optimism_sentence("linear", "roc_auc", 0.690, 0.699, [0.009]) == (
        "A random split would say nearly the same of linear: AUC 0.699 instead of 0.690."
    )
    assert "cannot be told" in optimism_sentence("x", "roc_auc", None, None, [])


def test_windows_in_words() -> None:
    assert window_words("2013-04") == "April 2013"
    assert window_words("2013-04-05") == "2013-04-05"
    assert windows_words(["2013-04", "2013-11", "2013-10"]) == "April, November and October 2013"
    assert windows_words(["2013-12", "2014-01"]) == "December 2013 and January 2014"
    assert windows_words(["2013-04"]) == "April 2013"
