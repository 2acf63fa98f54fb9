"""The alert rules of ``[monitoring]``: what is notable, what is an alarm, and what a period is compared with."""

from __future__ import annotations

import re
from typing import NamedTuple

from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline.config.settings import Monitoring

_NOTICE = re.compile(r"outside (\d{1,6}) of (\d{1,6}) own windows")
_ALARM = re.compile(r"outside every own window by (half|a quarter of|all of|\d{1,6}% of) its range(.*)")
_WORSE = "or worse than the reference"
COMPARED = {
    "same windows of the model's own back-test": False,
    "same windows of the model's own back-test and live periods": True,
}
"""What a period can be compared with -> whether periods that were watched live are part of it."""


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
