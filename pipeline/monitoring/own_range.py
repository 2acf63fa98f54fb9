"""How unusual a number is against a model's own history, by the words of ``[monitoring]``."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Literal

import msgspec

from tallystick.pipeline.config.alert_rules import Thresholds
from tallystick.pipeline.config.settings import FEWEST_WINDOWS

Level = Literal["normal", "notable", "alarm"]
CLEAR = 2.0
"""Standard errors beyond the own windows that an alarm needs: what sampling alone can do is no news."""
FAR = 3.0
"""Standard errors from the middle of the own windows from which on something is to be done."""


class OwnRange(msgspec.Struct, frozen=True, kw_only=True):
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
) -> OwnRange:
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
    return OwnRange(
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
