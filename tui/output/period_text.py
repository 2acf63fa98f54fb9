"""A watched period in block characters: trajectories, calibration, and where the loss moved."""

from __future__ import annotations

from typing import Any

from tallystick.ledger.events.types import Reliability
from tallystick.pipeline.records.period_record import drawable
from tallystick.tui.output.console import aligned, sparkline, terminal_columns, wrap

WIDTH = 30
NAMES = (("loss", "loss"), ("extra_loss", "extra loss"), ("level", "level"), ("auc", "AUC"))
MOST_LEVELS = 6


def plot_lines(facts: dict[str, Any], reliability: list[Reliability]) -> list[str]:
    """Lines to print; none where nothing could be judged."""
    facts = drawable(facts)
    if not facts:
        return []
    columns = max(60, terminal_columns() - 2)
    lines = [f"Own windows {', '.join(facts['own_windows'])}, then {facts['label']}"]
    rows = []
    for name, title in NAMES:
        own, now = facts["own"].get(name, []), facts["statistics"].get(name)
        if now is None:
            continue
        values = [*own, now]
        own_range = f"{min(own):.3f} to {max(own):.3f}" if own else "–"
        rows.append((title, sparkline(values, min(values), max(values)), f"{now:.3f}", own_range))
    lines += aligned(("", "trajectory", "now", "own range"), rows, columns)
    if reliability:
        lines += ["", "Calibration: ░ predicted, █ observed"]
        highest = max(max(item.mean_predicted, item.observed) for item in reliability) or 1.0
        for item in reliability:
            lines.append(f"{item.mean_predicted:>8.3f} ░ {bar(item.mean_predicted, highest, '░')}")
            lines.append(f"{item.observed:>8.3f} █ {bar(item.observed, highest, '█')}")
    for part in facts["decompositions"]:
        lines += ["", *wrap(f"By {part['segment']} {change_words(part, MOST_LEVELS)}").splitlines()]
        levels = sorted(part["levels"], key=lambda level: -abs(level["inside"] + level["mix"]))[:MOST_LEVELS]
        highest = max((abs(level["inside"] + level["mix"]) for level in levels), default=1.0) or 1.0
        changes = [(level["level"], level["inside"] + level["mix"]) for level in levels]
        shown = [(name, f"{change:+.4f}", bar(abs(change), highest, "█")) for name, change in changes]
        lines += aligned((part["segment"], "change", ""), shown, columns)
    return lines


def change_words(part: dict[str, Any], most: int) -> str:
    """What a decomposition says in numbers; ``most`` groups of it are drawn."""
    of = len(part["levels"])
    drawn = f"; the {most} of {of} groups that changed most" if of > most else ""
    return (
        f"the loss changed by {part['change']:+.3f} against the own windows: {part['inside']:+.3f} inside the groups, "
        f"{part['mix']:+.3f} by how many rows each has{drawn}"
    )


def bar(value: float, highest: float, block: str) -> str:
    """A bar whose full length stands for ``highest``."""
    return block * max(0, round(value / highest * WIDTH))
