"""One verdict on a period. Status, decision and headline are functions of the cause alone, so they never disagree."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

Cause = Literal[
    "expired", "schema", "declared empty", "rows", "column", "unseen", "class gone", "labels", "few", "day",
    "one class", "ranking", "level", "small level", "spread", "reference", "notice", "note", "blind", "quiet",
]  # fmt: skip
Status = Literal["quiet", "notable", "alarm", "waiting", "not judged"]
Decision = Literal["nothing", "wait", "recalibrate", "challenger", "fix data", "refuse"]
Level = Literal["normal", "notable", "alarm"]
LEVEL_SHARE = 0.5
"""Share of the excess that a new intercept takes away where the level is said to be the cause of it."""

OUTCOMES: dict[Cause, tuple[Status, Decision]] = {
    "expired": ("alarm", "refuse"),
    "schema": ("alarm", "fix data"),
    "declared empty": ("not judged", "nothing"),
    "rows": ("alarm", "fix data"),
    "column": ("alarm", "fix data"),
    "unseen": ("alarm", "fix data"),
    "class gone": ("alarm", "fix data"),
    "labels": ("waiting", "wait"),
    "few": ("not judged", "wait"),
    "day": ("notable", "wait"),
    "one class": ("notable", "wait"),
    "ranking": ("alarm", "challenger"),
    "level": ("alarm", "recalibrate"),
    "small level": ("notable", "nothing"),
    "spread": ("alarm", "challenger"),
    "reference": ("alarm", "challenger"),
    "notice": ("notable", "wait"),
    "note": ("notable", "nothing"),
    "blind": ("not judged", "wait"),
    "quiet": ("quiet", "nothing"),
}
"""Every cause -> what follows from it."""


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """How unusual one statistic is, and with which probability in quiet periods."""

    level: Level = "normal"
    p: float = 1.0


NORMAL = Signal()


class Signals(NamedTuple):
    """All that the verdict depends on."""

    expired: bool = False
    schema: bool = False
    no_rows: bool = False
    declared_empty: bool = False
    """No rows, in a period that the file declares empty."""
    column: bool = False
    unseen: bool = False
    one_class: Literal["gone", "rare"] | None = None
    """Only one class: the other was expected, or it may be missing by chance."""
    waiting: bool = False
    few: bool = False
    days: bool = False
    rest: bool = False
    """Whether the rest of the period is an alarm without those days."""
    level: Signal = NORMAL
    ranking: Signal = NORMAL
    spread: Signal = NORMAL
    reference: Signal = NORMAL
    gain: float = 0.0
    """Share of the loss that a new intercept takes away."""
    excess: float = 0.0
    """Share of the loss beyond that of the own windows."""
    margin: float = 0.0
    noted: bool = False
    blind: bool = False


def cause_of(found: Signals) -> Cause:
    """The first row of the table that fits."""
    level, ranking, spread = (item.level == "alarm" for item in (found.level, found.ranking, found.spread))
    reference = found.reference.level == "alarm"
    first = level and _level_explains(found)
    notice = any(item.level != "normal" for item in (found.level, found.ranking, found.spread, found.reference))
    table: list[tuple[Cause, bool]] = [
        ("expired", found.expired),
        ("schema", found.schema),
        ("declared empty", found.declared_empty),
        ("rows", found.no_rows),
        ("column", found.column),
        ("unseen", found.unseen),
        ("class gone", found.one_class == "gone"),
        ("labels", found.waiting),
        ("few", found.few),
        ("day", found.days and not found.rest),
        ("one class", found.one_class == "rare"),
        ("ranking", ranking and not first),
        ("spread", spread and not first),
        ("level", level and found.gain >= found.margin),
        ("reference", reference),
        ("small level", level),
        ("notice", notice),
        ("blind", found.blind),  # before the notes: what cannot be told must not look as if it had been judged
        ("note", found.noted),
    ]
    return next((cause for cause, holds in table if holds), "quiet")


def _level_explains(found: Signals) -> bool:
    """Whether the level is the cause beside another alarm: the rarer of the two, and at least half of the excess."""
    others = [item.p for item in (found.ranking, found.spread) if item.level == "alarm"]
    if not others:
        return True
    return found.level.p < min(others) and found.gain >= LEVEL_SHARE * max(found.excess, 0.0)
