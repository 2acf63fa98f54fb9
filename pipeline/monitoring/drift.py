"""Slow drift: many small steps the same way, none of which is news by itself.

References
----------
Self-starting CUSUM: Hawkins, "Self-starting CUSUM charts for location and scale", The Statistician 36 (1987);
Q-scores: Quesenberry, "SPC Q charts for start-up processes and short or long runs", JQT 23 (1991).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tallystick.pipeline.monitoring.interval import Placed, foretell

LARGEST_STEP = 3.0
ALLOWED = 0.5
NOTICE = 3.2
ALARM = 5.0
Verdict = Literal["none", "notice", "alarm"]


def drift_scores(own: Sequence[Placed], live: Sequence[Placed]) -> list[float]:
    """Each live value as a standard normal one, judged by all own and live values before it.

    Only the own windows can say that the values grow by themselves: of live ones, growth is what is looked for.
    """
    if not live:
        return []
    first = live[0].measured
    begun = foretell(own, first.rows, first.units, live[0].month)
    grows = begun is not None and begun.trend is not None
    scores = []
    for index, item in enumerate(live):
        measured = item.measured
        found = foretell([*own, *live[:index]], measured.rows, measured.units, item.month, trend=grows)
        if found is not None:
            scores.append(found.score(measured.value))
    return scores


def cusum(scores: Sequence[float]) -> float:
    """The sum of rises at the end of a series; steps beyond three count as three."""
    total = 0.0
    for score in scores:
        total = max(0.0, total + min(score, LARGEST_STEP) - ALLOWED)
    return total


def drift_verdict(total: float) -> Verdict:
    """Whether a sum is a notice or an alarm."""
    return "alarm" if total >= ALARM else "notice" if total >= NOTICE else "none"
