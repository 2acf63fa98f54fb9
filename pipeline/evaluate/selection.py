"""The rule ``stable_among_equals``: of the candidates that cannot be told apart, the one with the best bad windows.

Each step leaves a reason, a stable code with the numbers behind it; :mod:`pipeline.evaluate.sentences` makes the
sentences. All numbers come from :class:`pipeline.evaluate.stability.Scores`; nothing is computed here but comparisons.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline.config.settings import FEWEST_WINDOWS
from tallystick.pipeline.evaluate.stability import Interval, Pair, Score, Scores

FULL_RULE_WINDOWS = 6
"""Six windows are the fewest whose sign-flip p can fall below 0.05: 2 / 2^6 = 0.031."""

Scalar = str | int | float | bool | None
Fact = Scalar | list[Scalar]
Outcome = Literal["chosen", "nobody", "champion-kept", "too-few-windows"]

NOT_ELIGIBLE = "not-eligible"
"""A candidate does not take part, and why."""
TOO_FEW_WINDOWS = "too-few-windows"
"""Fewer than three windows: nothing is selected."""
FEW_WINDOWS = "few-windows"
"""Three to five windows: no interval is trusted, and only what every window says counts."""
NOBODY_ELIGIBLE = "nobody-eligible"
"""No candidate takes part."""
LEADER = "leader"
"""The candidate with the highest mean gain."""
LEADER_NOT_CLEAR = "leader-not-clear"
"""The interval of the leader's mean gain includes zero, or lies below it: nobody is selected."""
WINDOWS_DISAGREE = "windows-disagree"
"""Three to five windows, and the leader does not beat the reference in each: nobody is selected."""
EQUAL = "equal"
"""A candidate that is within the margin of the leader, or cannot be told apart from it."""
NOT_EQUAL = "not-equal"
"""A candidate that is clearly worse than the leader."""
BEST_WORST_QUARTER = "best-worst-quarter"
"""The equal with the highest worst quarter."""
LOWER_WORST_QUARTER = "lower-worst-quarter"
"""An equal whose worst quarter is clearly lower than the best."""
SIMPLER = "simpler"
"""An equal with a worst quarter like the best one's, and a lower declared complexity: it is taken."""
EARLIER_IN_FILE = "earlier-in-file"
"""The same with equal complexity, standing earlier in the pipeline file: it is taken."""
EXPLODES = "explodes"
"""A candidate lost many times as much as the reference in one window. It is said before everything else."""
BEHIND_REFERENCE = "behind-reference"
"""A candidate cannot be told apart from the leader and loses more than the reference: it is no equal."""
REFERENCE_IS_ENOUGH = "reference-is-enough"
"""The leader's gain is within the margin, and the rule arrives at the reference: nobody is selected."""
NEVER_WORSE = "never-worse"
"""The candidate that the rule arrives at was worse than the reference in no window."""
SOMETIMES_WORSE = "sometimes-worse"
"""The candidate that the rule arrives at was worse than the reference in some windows."""
CHAMPION_CONFIRMED = "champion-confirmed"
"""The rule arrives at the champion itself."""
CHAMPION_NOT_ELIGIBLE = "champion-not-eligible"
"""The champion does not take part, so its numbers prove nothing against the challenger."""
BELOW_CHAMPION_IN_WORST_QUARTER = "below-champion-in-worst-quarter"
"""The challenger's worst quarter is lower than the champion's: the champion stays."""
NOT_CLEARLY_BETTER_THAN_CHAMPION = "not-clearly-better-than-champion"
"""The challenger's mean gain cannot be told apart from the champion's: the champion stays."""
BEATS_CHAMPION = "beats-champion"
"""The challenger is clearly better on average and not worse in its worst quarter."""

CODES = (
    NOT_ELIGIBLE,
    TOO_FEW_WINDOWS,
    FEW_WINDOWS,
    NOBODY_ELIGIBLE,
    LEADER,
    LEADER_NOT_CLEAR,
    WINDOWS_DISAGREE,
    EQUAL,
    NOT_EQUAL,
    BEHIND_REFERENCE,
    EXPLODES,
    BEST_WORST_QUARTER,
    LOWER_WORST_QUARTER,
    SIMPLER,
    EARLIER_IN_FILE,
    REFERENCE_IS_ENOUGH,
    NEVER_WORSE,
    SOMETIMES_WORSE,
    CHAMPION_CONFIRMED,
    CHAMPION_NOT_ELIGIBLE,
    BELOW_CHAMPION_IN_WORST_QUARTER,
    NOT_CLEARLY_BETTER_THAN_CHAMPION,
    BEATS_CHAMPION,
)
"""Every reason code. Codes stand in ledgers: they are added, never renamed."""


MANY_TIMES = 10.0
"""How many times the loss of the reference in one window is an explosion."""


class RuleStep(msgspec.Struct, frozen=True):
    """One step of the rule: its code and the numbers behind it."""

    code: str
    facts: dict[str, Fact]


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What the rule arrives at, and how."""

    chosen: str | None
    """The candidate to use from now on: the challenger if chosen, the champion if kept, else None."""
    leader: str | None
    equals: list[str]
    """The leader first, then by falling mean gain; may include the reference."""
    runner_up: str | None
    """Second in mean gain among those that take part, equal or not."""
    outcome: Outcome
    reasons: list[RuleStep]


class ChoiceRule(NamedTuple):
    """What a choice goes by, beside the scores."""

    complexity: Mapping[str, int]
    """Name -> declared complexity, reference included."""
    order: Sequence[str]
    """Names as they stand in the pipeline file."""
    margin: float
    """Difference of mean gains, as a share of the reference's loss, that nobody would act on."""
    confidence: float
    """As in the scores; it is said again so that a rule is never applied to the scores of another one."""
    reference: str
    """The same."""
    champion: str | None
    """The name among the scores of the recipe in use, if there is one; it may be the reference."""
    eligible: Mapping[str, str | None]
    """Candidate -> None, or the reason in words why it does not take part."""


def choose(scores: Scores, rule: ChoiceRule) -> Selection:
    """Apply the rule.

    1. Only eligible candidates take part.
    2. The leader has the highest mean gain. If its interval includes zero, nobody is selected.
    3. Equals are within ``margin`` of the leader's mean gain, or cannot be told apart from it.
    4. The best equal has the highest worst quarter.
    5. Of the equals whose worst quarter cannot be told apart from the best one's, the lowest declared complexity is
       taken, then the one that stands first in the pipeline file.
    6. A champion gives way only to a challenger whose worst quarter is not lower and whose mean gain is clearly
       higher.

    With three to five windows "can be told apart" means, instead of an interval, that every window agrees. With
    fewer nothing is selected.

    Raises
    ------
    InvalidInput
        The rule is not that of ``scores``, or a name is missing from one of them.
    """
    names = [score.candidate for score in scores.candidates]
    _agree(scores, names, rule)
    complexity, order, margin, _, reference, champion, eligible = rule
    names.sort(key=order.index)
    reasons = [step for name in names if (step := _explosion(scores, name)) is not None]
    reasons += [
        RuleStep(NOT_ELIGIBLE, {"candidate": ", ".join(name for name in names if eligible[name] == why), "why": why})
        for why in dict.fromkeys(eligible[name] for name in names)
        if why is not None
    ]
    windows = len(scores.windows)
    stays = champion or reference
    if windows < FEWEST_WINDOWS:
        reasons.append(RuleStep(TOO_FEW_WINDOWS, {"windows": windows, "needed": FEWEST_WINDOWS, "stays": stays}))
        return _nobody(reasons, "too-few-windows")
    able = [name for name in names if eligible[name] is None]
    if not able:
        reasons.append(RuleStep(NOBODY_ELIGIBLE, {"candidates": len(names), "stays": stays}))
        return _nobody(reasons, "nobody")

    few = windows < FULL_RULE_WINDOWS
    if few:
        reasons.append(RuleStep(FEW_WINDOWS, {"windows": windows, "full_rule_from": FULL_RULE_WINDOWS}))
    # The sort is stable: candidates with the same mean gain keep the order of the file.
    ranked = sorted(able, key=lambda name: -scores.of(name).mean_gain)
    leader = scores.of(ranked[0])
    runner_up = ranked[1] if len(ranked) > 1 else None
    reasons.append(RuleStep(LEADER, _leader_facts(leader, scores)))
    refusal = _leader_refused(leader, scores, few, stays)
    if refusal is not None:
        return _nobody([*reasons, refusal], "nobody", leader.candidate, runner_up)

    equals = _equals(scores, leader, ranked[1:], margin, reasons)
    best, found = _most_stable(equals, scores, complexity, order, few=few, reasons=reasons)
    if found == reference:
        reasons.append(RuleStep(REFERENCE_IS_ENOUGH, {"candidate": best, "margin": margin, "stays": stays}))
        outcome: Outcome = "champion-kept" if champion == reference else "nobody"
        chosen = champion if champion == reference else None
    else:
        reasons.append(_steadiness(scores.of(found), scores))
        outcome, chosen = _against_champion(found, champion, scores, eligible, few=few, reasons=reasons)
    return Selection(
        chosen=chosen,
        leader=leader.candidate,
        equals=equals,
        runner_up=runner_up,
        outcome=outcome,
        reasons=reasons,
    )


def _equals(scores: Scores, leader: Score, others: Sequence[str], margin: float, reasons: list[RuleStep]) -> list[str]:
    """The leader and who cannot be told apart from it; each comparison leaves a reason."""
    windows = len(scores.windows)
    equals = [leader.candidate]
    for name in [*others, scores.reference]:
        pair = scores.pair(leader.candidate, name)
        because = _equal_because(pair, margin, windows, windows < FULL_RULE_WINDOWS)
        # The reference is compared by the margin alone: that it can be told apart was settled with the leader.
        if name == scores.reference and pair.mean_difference > margin:
            continue
        if because is not None and name != scores.reference and _is_behind(scores, name, margin):
            # A wide interval is no merit: what loses more than the reference is no equal of what beats it.
            reasons.append(RuleStep(BEHIND_REFERENCE, _equal_facts(pair, scores, margin, because)))
            continue
        if because is not None:
            equals.append(name)
        reasons.append(RuleStep(EQUAL if because else NOT_EQUAL, _equal_facts(pair, scores, margin, because)))
    return equals


def _explosion(scores: Scores, name: str) -> RuleStep | None:
    """The window in which a candidate lost at least ten times as much as the reference; the worst, where several."""
    score = scores.of(name)
    worst = min(range(len(score.gains)), key=score.gains.__getitem__, default=None)
    if worst is None or 1.0 - score.gains[worst] < MANY_TIMES:
        return None
    times, loss = 1.0 - score.gains[worst], score.losses[worst]
    facts: dict[str, Fact] = {
        "candidate": name,
        "window": scores.windows[worst],
        "times": times,
        "loss": loss,
        "reference_loss": loss / times,
    }
    return RuleStep(EXPLODES, facts)


def _is_behind(scores: Scores, name: str, margin: float) -> bool:
    """Whether a candidate loses more than the reference on average, by more than the margin."""
    return scores.of(name).mean_gain < -margin


def _agree(scores: Scores, names: Sequence[str], rule: ChoiceRule) -> None:
    """Refuse settings that do not belong to these scores."""
    complexity, order, margin, confidence, reference, champion, eligible = rule
    if (confidence, reference) != (scores.confidence, scores.reference):
        raise InvalidInput(
            f"The scores were made with reference {scores.reference!r} and confidence {scores.confidence}, "
            f"not with {reference!r} and {confidence}."
        )
    if not margin >= 0:
        raise InvalidInput(f"The margin {margin} is not zero or more.")
    everybody = [*names, reference]
    sources: tuple[tuple[str, Callable[[str], bool]], ...] = (
        ("the order", order.__contains__),
        ("the complexities", complexity.__contains__),
        ("the eligibility", lambda name: name in eligible or name == reference),
    )
    for what, knows in sources:
        missing = [name for name in everybody if not knows(name)]
        if missing:
            raise InvalidInput(f"{', '.join(missing)} missing from {what}.")
    if champion is not None and champion not in everybody:
        raise InvalidInput(f"The champion {champion!r} has no scores.")


def _nobody(
    reasons: list[RuleStep], outcome: Outcome, leader: str | None = None, runner_up: str | None = None
) -> Selection:
    return Selection(chosen=None, leader=leader, equals=[], runner_up=runner_up, outcome=outcome, reasons=reasons)


def _leader_facts(leader: Score, scores: Scores) -> dict[str, Fact]:
    return {
        "candidate": leader.candidate,
        "mean_gain": leader.mean_gain,
        **_bounds(leader.mean_interval),
        "windows": len(scores.windows),
        "wins": leader.wins,
    }


def _leader_refused(leader: Score, scores: Scores, few: bool, stays: str) -> RuleStep | None:
    windows = len(scores.windows)
    facts: dict[str, Fact] = {"candidate": leader.candidate, "windows": windows, "stays": stays}
    if few and leader.wins < windows:
        return RuleStep(WINDOWS_DISAGREE, facts | {"wins": leader.wins})
    if not few and leader.mean_interval.low <= 0:
        return RuleStep(LEADER_NOT_CLEAR, facts | _bounds(leader.mean_interval))
    return None


def _clear(pair: Pair, interval: Interval, few: bool, windows: int) -> bool:
    """Whether the two can be told apart; with few windows, whether all of them say the same."""
    return windows in (pair.windows_won, pair.windows_lost) if few else interval.excludes_zero()


def _equal_because(pair: Pair, margin: float, windows: int, few: bool) -> str | None:
    if pair.mean_difference <= margin:
        return "margin"
    if not _clear(pair, pair.mean_interval, few, windows):
        return "windows" if few else "interval"
    return None


def _equal_facts(pair: Pair, scores: Scores, margin: float, because: str | None) -> dict[str, Fact]:
    facts: dict[str, Fact] = {
        "candidate": pair.second,
        "leader": pair.first,
        "difference": pair.mean_difference,
        **_bounds(pair.mean_interval),
        "margin": margin,
        "because": because,
        "windows": len(scores.windows),
        "leader_won": pair.windows_won,
        "sign_flip_p": pair.sign_flip_p,
        "smallest_p": scores.smallest_p,
    }
    if pair.second != scores.reference:
        score = scores.of(pair.second)
        facts |= {
            "worst_window": score.worst_window,
            "worst_gain": score.worst_gain,
            "mean_gain": score.mean_gain,
        }
    return facts


def _most_stable(
    equals: Sequence[str],
    scores: Scores,
    complexity: Mapping[str, int],
    order: Sequence[str],
    *,
    few: bool,
    reasons: list[RuleStep],
) -> tuple[str, str]:
    """The equal with the best worst quarter, and the one that is taken instead of it or is the same."""
    windows = len(scores.windows)

    def plain(name: str) -> tuple[int, int]:
        # Not the shorter fit, as tie-breaks often have it: a duration differs from machine to machine, and the
        # same evidence must always lead to the same decision.
        return complexity[name], order.index(name)

    quarters = {name: 0.0 if name == scores.reference else scores.of(name).worst_quarter for name in equals}
    best = min(equals, key=lambda name: (-quarters[name], plain(name)))
    facts: dict[str, Fact] = {"candidate": best, "among": len(equals), "worst_quarter": quarters[best]}
    if len(equals) > 1:
        reasons.append(RuleStep(BEST_WORST_QUARTER, facts))
    alike: dict[str, Pair] = {}
    for name in equals:
        if name == best:
            continue
        pair = scores.pair(best, name)
        if _clear(pair, pair.worst_quarter_interval, few, windows):
            reasons.append(RuleStep(LOWER_WORST_QUARTER, _quarter_facts(pair, windows)))
        else:
            alike[name] = pair
    taken = min([best, *alike], key=plain)
    if taken != best:
        code = SIMPLER if complexity[taken] < complexity[best] else EARLIER_IN_FILE
        levels: dict[str, Fact] = {"complexity": complexity[taken], "other_complexity": complexity[best]}
        reasons.append(RuleStep(code, _quarter_facts(alike[taken], windows) | levels))
    return best, taken


def _quarter_facts(pair: Pair, windows: int) -> dict[str, Fact]:
    """How much lower the worst quarter of the second is than that of the first, which is the best."""
    return {
        "candidate": pair.second,
        "best": pair.first,
        "difference": pair.worst_quarter_difference,
        **_bounds(pair.worst_quarter_interval),
        "windows": windows,
        "best_won": pair.windows_won,
    }


def _steadiness(score: Score, scores: Scores) -> RuleStep:
    worse = [(label, gain) for label, gain in zip(scores.windows, score.gains, strict=True) if gain < 0]
    facts: dict[str, Fact] = {
        "candidate": score.candidate,
        "windows": len(scores.windows),
        "worse_windows": [label for label, _ in worse],
        "worse_gains": [gain for _, gain in worse],
        "worst_quarter": score.worst_quarter,
        **_bounds(score.worst_quarter_interval),
        "worst_quarter_windows": [*score.worst_quarter_windows],
    }
    return RuleStep(SOMETIMES_WORSE if worse else NEVER_WORSE, facts)


def _against_champion(
    found: str,
    champion: str | None,
    scores: Scores,
    eligible: Mapping[str, str | None],
    *,
    few: bool,
    reasons: list[RuleStep],
) -> tuple[Outcome, str]:
    """Whether what the rule found may replace the champion. In doubt the champion stays."""
    if champion is None:
        return "chosen", found
    if champion == found:
        reasons.append(RuleStep(CHAMPION_CONFIRMED, {"candidate": champion}))
        return "champion-kept", champion
    if eligible.get(champion) is not None:
        reasons.append(RuleStep(CHAMPION_NOT_ELIGIBLE, {"champion": champion, "candidate": found}))
        return "chosen", found
    windows = len(scores.windows)
    pair = scores.pair(found, champion)
    facts: dict[str, Fact] = {
        "candidate": found,
        "champion": champion,
        "difference": pair.mean_difference,
        **_bounds(pair.mean_interval),
        "worst_quarter_difference": pair.worst_quarter_difference,
        "windows": windows,
        "won": pair.windows_won,
        "few_windows": few,
    }
    doubts = []
    if pair.worst_quarter_difference < 0:
        doubts.append(RuleStep(BELOW_CHAMPION_IN_WORST_QUARTER, facts))
    if pair.mean_difference <= 0 or not _clear(pair, pair.mean_interval, few, windows):
        doubts.append(RuleStep(NOT_CLEARLY_BETTER_THAN_CHAMPION, facts))
    reasons += doubts or [RuleStep(BEATS_CHAMPION, facts)]
    return ("champion-kept", champion) if doubts else ("chosen", found)


def _bounds(interval: Interval) -> dict[str, Fact]:
    return {"low": interval.low, "high": interval.high}
