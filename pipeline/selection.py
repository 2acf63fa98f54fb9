"""The rule ``stable_among_equals``: among candidates that cannot be told apart, the one with the best bad months.

1. Only candidates with every window complete take part.
2. The leader has the highest mean gain. If the interval of that gain includes zero, nobody is chosen.
3. Equals are candidates whose mean gain is within ``margin`` of the leader's, or cannot be told apart from it.
4. Among equals the highest worst quarter wins.
5. Equals whose worst quarters cannot be told apart from the best: the lowest declared complexity wins, then the
   one that stands first in the pipeline file. (Not the shortest fit: a duration is no fact that anybody can
   reproduce, and the decision must come out the same on every machine.)
6. Against a champion in place: the challenger's worst quarter must not be lower, and its mean gain must be better
   beyond doubt; otherwise the champion stays.

With three to five windows no interval deserves trust: the reference or champion stays unless the leader wins in
every window. With fewer than three nobody is chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from pipeline.stability import Pair, Score, Trial

FEWEST_WINDOWS = 3
WINDOWS_FOR_INTERVALS = 6

Outcome = Literal["chosen", "champion-confirmed", "champion-kept", "nobody", "too-few-windows"]

CODES = {
    "not-eligible": "a candidate does not take part, and why",
    "too-few-windows": "fewer than three complete windows",
    "leads": "the candidate with the highest mean gain",
    "leader-not-above-reference": "the leader cannot be told apart from the reference",
    "leader-not-in-every-window": "three to five windows, and they do not all agree",
    "equal": "a candidate that cannot be told apart from the leader, or is within the margin",
    "not-equal": "a candidate that is worse than the leader",
    "best-worst-quarter": "the equal with the best bad months",
    "simpler": "an equal whose bad months cannot be told apart, and which is simpler",
    "never-worse": "whether the chosen candidate was ever worse than the reference",
    "champion-kept": "the challenger does not beat the champion beyond doubt",
    "champion-confirmed": "the rule arrives at the champion's own recipe",
    "beats-champion": "the challenger beats the champion beyond doubt",
}
"""Every reason code with what it stands for; codes are never renamed."""


class Step(msgspec.Struct, frozen=True):
    """One step of the rule: its code and the numbers behind it."""

    code: str
    facts: dict[str, Any]


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What the rule arrives at."""

    outcome: Outcome
    chosen: str | None
    leader: str | None
    runner_up: str | None
    equals: list[str]
    steps: list[Step]


def choose(
    trial: Trial | None,
    scores: Mapping[str, Score],
    *,
    complexity: Mapping[str, int],
    order: Sequence[str],
    margin: float,
    ineligible: Mapping[str, str],
    champion: str | None,
) -> Selection:
    """Apply the rule.

    Parameters
    ----------
    trial : Trial or None
        None where no window is complete.
    scores : candidate -> Score, the reference left out
    complexity : candidate -> declared complexity
    order : candidates as they stand in the pipeline file
    margin : float
        Difference in gain that nobody would act on.
    ineligible : candidate -> reason
    champion : str or None
        The candidate with the champion's recipe, where there is one.
    """
    steps = [Step("not-eligible", {"candidate": name, "reason": reason}) for name, reason in ineligible.items()]
    eligible = [name for name in order if name in scores and name not in ineligible]
    windows = len(trial.labels) if trial else 0
    if trial is None or windows < FEWEST_WINDOWS or not eligible:
        steps.append(Step("too-few-windows", {"windows": windows, "needed": FEWEST_WINDOWS}))
        return Selection(outcome="too-few-windows", chosen=None, leader=None, runner_up=None, equals=[], steps=steps)
    # A stable sort: candidates with the same score keep the order of the file.
    ranked = sorted(eligible, key=lambda name: -scores[name].mean_gain)
    leader, runner_up = ranked[0], ranked[1] if len(ranked) > 1 else None
    steps.append(_leads(scores[leader], trial))
    base = {"leader": leader, "runner_up": runner_up}
    refusal = _leader_refused(scores[leader], trial)
    if refusal is not None:
        steps.append(refusal)
        return Selection(outcome="nobody", chosen=None, equals=[], steps=steps, **base)
    equals = [leader]
    for name in ranked[1:]:
        pair = trial.pair(leader, name)
        is_equal = pair.mean_difference <= margin or not pair.mean_interval.excludes_zero()
        steps.append(Step("equal" if is_equal else "not-equal", _pair_facts(pair, scores[name], margin)))
        if is_equal:
            equals.append(name)
    chosen = _most_stable(equals, scores, trial, complexity, order, steps)
    steps.append(_never_worse(scores[chosen]))
    outcome: Outcome = "chosen"
    if champion is not None:
        outcome = _against_champion(chosen, champion, scores, trial, steps)
        chosen = champion if outcome == "champion-kept" else chosen
    return Selection(outcome=outcome, chosen=chosen, equals=equals, steps=steps, **base)


def _leads(score: Score, trial: Trial) -> Step:
    return Step(
        "leads",
        {
            "candidate": score.candidate,
            "mean_gain": score.mean_gain,
            "low": score.mean_interval.low,
            "high": score.mean_interval.high,
            "windows": len(trial.labels),
            "wins": score.wins,
        },
    )


def _leader_refused(score: Score, trial: Trial) -> Step | None:
    windows = len(trial.labels)
    if windows < WINDOWS_FOR_INTERVALS:
        if score.wins < windows:
            facts = {"candidate": score.candidate, "wins": score.wins, "windows": windows}
            return Step("leader-not-in-every-window", facts)
        return None
    if score.mean_interval.low <= 0:
        facts = {"candidate": score.candidate, "low": score.mean_interval.low, "high": score.mean_interval.high}
        return Step("leader-not-above-reference", facts)
    return None


def _pair_facts(pair: Pair, score: Score, margin: float) -> dict[str, Any]:
    worst = score.worst_windows[0]
    return {
        "candidate": pair.second,
        "leader": pair.first,
        "difference": pair.mean_difference,
        "low": pair.mean_interval.low,
        "high": pair.mean_interval.high,
        "margin": margin,
        "sign_flip_p": pair.sign_flip_p,
        "smallest_p": pair.smallest_p,
        "worst_window": worst,
        "worst_gain": score.gains[worst],
    }


def _most_stable(
    equals: Sequence[str],
    scores: Mapping[str, Score],
    trial: Trial,
    complexity: Mapping[str, int],
    order: Sequence[str],
    steps: list[Step],
) -> str:
    """The equal with the best worst quarter, or a simpler one that cannot be told apart from it there."""
    best = max(equals, key=lambda name: (scores[name].worst_quarter, -order.index(name)))
    steps.append(
        Step(
            "best-worst-quarter",
            {
                "candidate": best,
                "among": len(equals),
                "worst_quarter": scores[best].worst_quarter,
                "low": scores[best].worst_quarter_interval.low,
                "high": scores[best].worst_quarter_interval.high,
                "worst_windows": scores[best].worst_windows,
            },
        )
    )
    pairs = {name: trial.pair(best, name) for name in equals if name != best}
    alike = [best] + [name for name, pair in pairs.items() if not pair.worst_quarter_interval.excludes_zero()]
    simplest = min(alike, key=lambda name: (complexity[name], order.index(name)))
    if simplest == best or complexity[simplest] >= complexity[best]:
        return best
    pair = pairs[simplest]
    steps.append(
        Step(
            "simpler",
            {
                "candidate": simplest,
                "instead_of": best,
                "complexity": complexity[simplest],
                "other_complexity": complexity[best],
                "difference": pair.worst_quarter_difference,
                "low": pair.worst_quarter_interval.low,
                "high": pair.worst_quarter_interval.high,
            },
        )
    )
    return simplest


def _never_worse(score: Score) -> Step:
    worse = {label: gain for label, gain in score.gains.items() if gain < 0}
    return Step(
        "never-worse",
        {
            "candidate": score.candidate,
            "worse": worse,
            "worst_quarter": score.worst_quarter,
            "low": score.worst_quarter_interval.low,
            "high": score.worst_quarter_interval.high,
            "worst_windows": score.worst_windows,
        },
    )


def _against_champion(
    chosen: str, champion: str, scores: Mapping[str, Score], trial: Trial, steps: list[Step]
) -> Outcome:
    if chosen == champion:
        steps.append(Step("champion-confirmed", {"candidate": champion}))
        return "champion-confirmed"
    pair = trial.pair(chosen, champion)
    better = pair.worst_quarter_difference >= 0 and pair.mean_interval.low > 0
    facts = {
        "candidate": chosen,
        "champion": champion,
        "difference": pair.mean_difference,
        "low": pair.mean_interval.low,
        "high": pair.mean_interval.high,
        "worst_quarter_difference": pair.worst_quarter_difference,
    }
    steps.append(Step("beats-champion" if better else "champion-kept", facts))
    return "chosen" if better else "champion-kept"
