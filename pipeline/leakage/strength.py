"""Features that tell more than everything else that could have been known: a leak looks like that, and so does a good
feature, so a person is asked.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np

from tallystick.pipeline.leakage.evidence import Floats, LeakEvidence
from tallystick.pipeline.leakage.uncertainty import Left, alike, left
from tallystick.pipeline.leakage.yardstick import Bench, Single, best_model, whole_model

MUCH = 0.80
"""Of the yardstick's uncertainty at most this share must be left before anybody is asked."""
ANSWER = 0.10
RANKS_BETTER = 0.10
ROUNDS = 3
COPY = 0.9
ADDS = 0.50
"""A whole model that leaves at most this share of what it leaves without a feature. A higher limit asks about honest
tables with two good features, each of which the model needs."""
MOST_IMPORTANT = 2
ROW_NUMBER_DISTINCT = 0.95
ROW_NUMBER_SPREAD = 10


class Strong(NamedTuple):
    """A feature that stands out."""

    name: str
    check: str
    left: Left
    yardstick: float | None
    """Uncertainty that the best of everything else leaves; AUC where it is about the order."""
    copies: tuple[str, ...] = ()


def tells_more(made: Bench, cleared: Collection[str]) -> list[Strong]:
    """Up to three rounds: the strongest feature against all others; then without it and its copies."""
    found: list[Strong] = []
    removed: set[str] = set()
    for _ in range(ROUNDS):
        one = _strongest(made, cleared, removed)
        if one is None:
            break
        found.append(one)
        removed |= {one.name, *one.copies}
    return found


def _strongest(made: Bench, cleared: Collection[str], removed: set[str]) -> Strong | None:
    """The strongest feature that is neither cleared nor removed, where it stands out by uncertainty or by order."""
    asked = {name: single for name, single in made.singles.items() if name not in removed and name not in cleared}
    if not asked:
        return None
    by_share = min(asked, key=lambda name: (asked[name].left.share, name))
    by_order = max(asked, key=lambda name: (asked[name].left.auc or 0.0, name))
    for name in dict.fromkeys((by_share, by_order)):
        copies = _copies(made, name, removed)
        out = {name, *copies, *removed}
        others = [single.left for other, single in made.singles.items() if other not in out]
        others += [single.left for single in made.beside.values()]
        best = asked[name].left
        if not (_beats(best, others) or _ranks(best, others)):
            continue
        others += [share for _, share in best_model(made, out)]
        least = min((item.share for item in others), default=1.0)
        if _beats(best, others):
            answer = best.high <= ANSWER and best.high <= ANSWER * least
            check = "the answer itself" if answer else "tells more than all others"
            return Strong(name, check, best, least, copies)
        if _ranks(best, others):
            return Strong(name, "ranks better", best, max((item.auc or 0.5 for item in others), default=0.5), copies)
    return None


def _beats(best: Left, others: list[Left]) -> bool:
    return best.high <= MUCH * min([1.0, *(item.share for item in others)])


def _ranks(best: Left, others: list[Left]) -> bool:
    return best.auc is not None and best.auc_low >= max([0.5, *(item.auc or 0.5 for item in others)]) + RANKS_BETTER


def _copies(made: Bench, name: str, removed: Collection[str]) -> tuple[str, ...]:
    """Other features whose predictions alone run as these do."""
    own = made.singles[name].predicted
    return tuple(
        other
        for other, single in made.singles.items()
        if other != name and other not in removed and alike(own, single.predicted) >= COPY
    )


def adds_more(made: Bench, cleared: Collection[str], asked: Collection[str]) -> list[Strong]:
    """The two most important features beside those asked about: whether the whole model falls apart without one."""
    able = [
        name
        for name, single in made.singles.items()
        if name not in cleared and name not in asked and single.left.high <= MUCH
    ]
    able.sort(key=lambda name: (made.singles[name].left.share, name))
    if not able or (whole := whole_model(made)) is None:
        return []
    found = []
    for name in able[:MOST_IMPORTANT]:
        copies = _copies(made, name, ())
        without = whole_model(made, {name, *copies})
        if without is None:
            continue
        share = left(made.evidence, whole[0], without[0])
        if share is not None and share.high <= ADDS:
            found.append(Strong(name, "adds more than all others", share, without[1].share, copies))
    return found


def row_numbers(evidence: LeakEvidence, made: Bench, cleared: Collection[str]) -> list[Strong]:
    """Whole numbers of which nearly every row has its own, that tell more than the clock."""
    found = []
    clock = [single.left.share for name, single in made.beside.items() if name.startswith("clock")]
    for name in evidence.columns.numeric:
        single = made.singles.get(name)
        if single is None or name in cleared:
            continue
        values = evidence.frame[name].to_numpy(np.float64)
        values = values[np.isfinite(values)]
        if not len(values) or not numbers_rows(values):
            continue
        least = min([1.0, *clock])
        if single.left.high < 0.98 * least:
            found.append(Strong(name, "number of the row", single.left, least))
    return found


def numbers_rows(values: Floats) -> bool:
    """Whether values count rows: whole, nearly all different, and close together."""
    if (values != np.floor(values)).any():
        return False
    return bool(
        len(np.unique(values)) >= ROW_NUMBER_DISTINCT * len(values) and np.ptp(values) < ROW_NUMBER_SPREAD * len(values)
    )


def facts_of(item: Strong) -> dict[str, Any]:
    """For the record."""
    return {
        "left": item.left.share,
        "left_at_most": item.left.high,
        "left_error": item.left.error,
        "yardstick": item.yardstick,
        "auc": item.left.auc,
        "copies": list(item.copies),
    }


def sentence_of(item: Strong) -> str:
    """What was measured, and what to do."""
    copies = f" (and so do {', '.join(item.copies)}, which run as it does)" if item.copies else ""
    share, high = f"{item.left.share:.0%}", f"{item.left.high:.0%}"
    if item.check == "the answer itself":
        return (
            f"{item.name} alone leaves {share} of the uncertainty (at most {high}){copies}; everything else leaves "
            f"{item.yardstick:.0%}. If it is known in time, prove it with a column of times, or let two people say why."
        )
    if item.check == "ranks better":
        return (
            f"{item.name} alone ranks with an AUC of {item.left.auc:.2f}{copies}; all others, the clock and past "
            f"answers reach {item.yardstick:.2f}. Leaks do that, and good features; numbers cannot tell which."
        )
    if item.check == "adds more than all others":
        return (
            f"With {item.name} a model of all features leaves {share} of what it leaves without it (at most {high})"
            f"{copies}. Leaks do that, and good features; numbers cannot tell which."
        )
    if item.check == "number of the row":
        return (
            f"{item.name} looks like a number of the row and leaves {share} of the uncertainty, where the clock leaves "
            f"{item.yardstick:.0%}. Were the rows numbered when the answers were known?"
        )
    return (
        f"{item.name} alone leaves {share} of the uncertainty{copies}; all others, the clock and past answers leave "
        f"{item.yardstick:.0%}. Leaks do that, and good features; numbers cannot tell which."
    )


def answer_itself(single: Single, yardstick: float) -> bool:
    """The rule for a column that leaves next to nothing."""
    return single.left.high <= ANSWER and single.left.high <= ANSWER * yardstick
