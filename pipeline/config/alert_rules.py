"""The alert rules of ``[monitoring]``: what is notable, what is an alarm, and what a period is compared with."""

from __future__ import annotations

import re
from typing import NamedTuple

from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline.config.settings import Monitoring

_NOTICE = re.compile(r"outside (\d{1,6}) of (\d{1,6}) own windows")
_ALARM = re.compile(r"outside every own window by (half|a quarter of|all of|\d{1,6}% of) its range(.*)")
_RARE = re.compile(r"fewer than 1 in (\d{1,6}) quiet periods(.*)")
_WORSE = "or worse than the reference"
NEW_NOTICE = "fewer than 1 in 10 quiet periods"
NEW_ALARM = "fewer than 1 in 100 quiet periods, or worse than the reference"
COMPARED = {
    "same windows of the model's own back-test": False,
    "same windows of the model's own back-test and live periods": True,
}
"""What a period can be compared with -> whether periods that were watched live are part of it."""


class Thresholds(NamedTuple):
    """What ``notice`` and ``alarm`` ask for: the rule by rarity, or the older one that counts own windows."""

    notice_p: float = 0.1
    """Largest share of quiet periods with a notice."""
    alarm_p: float = 0.01
    """The same of alarms."""
    outside: float = 0.8
    """Older rule: share of own windows that a notable number lies outside of."""
    by_range: float = 0.5
    """Older rule: how far outside all of them an alarming one lies, in their range."""
    worse_than_reference: bool = True
    counts_windows: bool = False
    """Whether the older rule is meant."""


def thresholds(settings: Monitoring) -> Thresholds:
    """Read the two rules.

    Raises
    ------
    InvalidInput
        For words that are not understood, with the forms that are, and for a rule of each kind.
    """
    notice, alarm = parse_notice(settings.notice), parse_alarm(settings.alarm)
    if notice.counts_windows != alarm.counts_windows:
        raise InvalidInput(
            f"notice = {settings.notice!r} and alarm = {settings.alarm!r} are rules of two kinds. "
            f'Say notice = "{NEW_NOTICE}" and alarm = "{NEW_ALARM}".'
        )
    if not notice.counts_windows and alarm.alarm_p > notice.notice_p:
        raise InvalidInput(f"alarm = {settings.alarm!r} is less rare than notice = {settings.notice!r}.")
    return alarm._replace(notice_p=notice.notice_p, outside=notice.outside)


def parse_notice(text: str) -> Thresholds:
    """``fewer than 1 in 10 quiet periods``, or ``outside 8 of 10 own windows``; InvalidInput for other words."""
    text = text.strip()
    rare, notice = _RARE.fullmatch(text), _NOTICE.fullmatch(text)
    if rare is not None and not rare[2] and int(rare[1]) > 1:
        return Thresholds(notice_p=1.0 / int(rare[1]))
    if notice is None or not 0 < int(notice[1]) <= int(notice[2]):
        raise InvalidInput(
            f'notice = {text!r} is not a rule. As in "{NEW_NOTICE}"; or, as before, "outside 8 of 10 own windows".'
        )
    return Thresholds(outside=int(notice[1]) / int(notice[2]), counts_windows=True)


def parse_alarm(text: str) -> Thresholds:
    """How rare, or how far outside in ranges, and whether being worse than the reference counts; or InvalidInput."""
    text = text.strip()
    rare, alarm = _RARE.fullmatch(text), _ALARM.fullmatch(text)
    rest = next((found[2].strip(" ,") for found in (rare, alarm) if found), "")
    if (rare is None and alarm is None) or rest not in ("", _WORSE) or (rare and int(rare[1]) < 2):
        raise InvalidInput(
            f'alarm = {text!r} is not a rule. As in "{NEW_ALARM}"; or, as before, "outside every own window by half '
            'its range, or worse than the reference", also "a quarter of", "all of", "30% of". The second part may be '
            "left out."
        )
    if rare is not None:
        return Thresholds(alarm_p=1.0 / int(rare[1]), worse_than_reference=rest == _WORSE)
    assert alarm is not None
    named = {"half": 0.5, "a quarter of": 0.25, "all of": 1.0}
    by_range = named[alarm[1]] if alarm[1] in named else int(alarm[1].partition("%")[0]) / 100
    return Thresholds(by_range=by_range, worse_than_reference=rest == _WORSE, counts_windows=True)


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
