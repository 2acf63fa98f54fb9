"""How unusual a number is against a model's own history, by the words of ``[monitoring]``."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline.config.settings import Monitoring

Level = Literal["normal", "notable", "alarm"]
FEWEST_WINDOWS = 3
_NOTICE = re.compile(r"outside (\d{1,6}) of (\d{1,6}) own windows")
_ALARM = re.compile(r"outside every own window by (half|a quarter of|all of|\d{1,6}% of) its range(.*)")
_WORSE = "or worse than the reference"
COMPARED = {
    "same windows of the model's own back-test": False,
    "same windows of the model's own back-test and live periods": True,
}
"""What a period can be compared with -> whether periods that were watched live are part of it."""
CLEAR = 2.0
"""Standard errors beyond the own windows that an alarm needs: what sampling alone can do is no news."""
FAR = 3.0
"""Standard errors from the middle of the own windows from which on something is to be done."""


class Thresholds(NamedTuple):
    """What ``notice`` and ``alarm`` ask for."""

    outside: float
    """Share of own windows that a notable number lies outside of."""
    by_range: float
    """How far outside all of them an alarming one lies, in their range."""
    worse_than_reference: bool


def thresholds(settings: Monitoring) -> Thresholds:
    """Read the two rules.

    Raises
    ------
    InvalidInput
        For words that are not understood, with the forms that are.
    """
    by_range, worse = parse_alarm(settings.alarm)
    return Thresholds(parse_notice(settings.notice), by_range, worse)


def parse_notice(text: str) -> float:
    """The share of own windows in ``outside 8 of 10 own windows``; InvalidInput for other words."""
    notice = _NOTICE.fullmatch(text.strip())
    if notice is None or not 0 < int(notice[1]) <= int(notice[2]):
        raise InvalidInput(f'notice = {text!r} is not a rule. As in "outside 8 of 10 own windows".')
    return int(notice[1]) / int(notice[2])


def parse_alarm(text: str) -> tuple[float, bool]:
    """How far outside, in ranges, and whether being worse than the reference counts; InvalidInput for other words."""
    alarm = _ALARM.fullmatch(text.strip())
    rest = alarm[2].strip(" ,") if alarm else ""
    if alarm is None or rest not in ("", _WORSE):
        raise InvalidInput(
            f'alarm = {text!r} is not a rule. As in "outside every own window by half its range, or worse than the '
            'reference"; also "a quarter of", "all of", "30% of", and without the second part.'
        )
    named = {"half": 0.5, "a quarter of": 0.25, "all of": 1.0}
    return (named[alarm[1]] if alarm[1] in named else int(alarm[1].partition("%")[0]) / 100), rest == _WORSE


def compares_live(text: str) -> bool:
    """Whether ``compare_to`` counts the periods in which a model was watched beside the windows of its back-test.

    Raises
    ------
    InvalidInput
        For other words than the two.
    """
    if text.strip() not in COMPARED:
        forms = " or ".join(f'"{form}"' for form in COMPARED)
        raise InvalidInput(f"compare_to = {text!r} is not something to compare with. Say {forms}.")
    return COMPARED[text.strip()]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A number among the same numbers of own windows."""

    value: float
    standard_error: float | None
    low: float
    """Smallest of the own windows."""
    high: float
    rank: int
    """1 for the largest of all, itself included."""
    of: int
    """Own windows."""
    beyond: float
    """How far outside of ``[low, high]``; negative below, zero inside."""
    level: Level
    bad: bool
    """Not normal, and farther from the middle of the own windows than sampling explains: something to act on."""
    inside: bool
    """Not beyond the own windows on the bad side."""


def stand(
    value: float,
    standard_error: float | None,
    own: Sequence[float],
    rules: Thresholds,
    side: Literal["upper", "lower", "both"],
) -> Standing:
    """Judge a number; with fewer than three own windows nothing is out of the ordinary."""
    low, high = (min(own), max(own)) if own else (value, value)
    beyond = value - high if value > high else value - low if value < low else 0.0
    error = standard_error or 0.0
    judged = len(own) >= FEWEST_WINDOWS
    needed = math.ceil(rules.outside * len(own) - 1e-9)
    ascending = sorted(own)
    middle = statistics.median(own) if own else value
    far_out = alarm = False
    inside = True
    for wrong, sign in (("upper", 1.0), ("lower", -1.0)):
        if side not in (wrong, "both") or not judged:
            continue
        ordered = ascending if sign > 0 else ascending[::-1]
        past_all = sign * (value - ordered[-1])
        far = sign * (value - ordered[needed - 1]) > 0.0 and sign * (value - middle) > FAR * error
        far_out |= far
        alarm |= past_all > rules.by_range * (high - low) and past_all > CLEAR * error
        inside &= past_all <= 0.0
    return Standing(
        value=value,
        standard_error=standard_error,
        low=low,
        high=high,
        rank=1 + sum(other > value for other in own),
        of=len(own),
        beyond=beyond,
        level="alarm" if alarm else "notable" if far_out else "normal",
        bad=alarm or far_out,
        inside=inside,
    )
