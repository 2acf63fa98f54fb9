"""A watched period in block characters: trajectories, calibration, and where the loss moved."""

from __future__ import annotations

from typing import Any

from tallystick.ledger.events.types import Reliability
from tallystick.pipeline.evaluate.figures import figure
from tallystick.pipeline.records.period_record import drawable, paths_of
from tallystick.tui.output.console import aligned, sparkline, terminal_columns, wrap

WIDTH = 30
NAMES = {"extra_loss": "extra loss", "auc": "AUC"}
MOST_LEVELS = 6


def plot_lines(facts: dict[str, Any], reliability: list[Reliability]) -> list[str]:
    """Lines to print; none where nothing could be judged."""
    facts = drawable(facts)
    if not facts:
        return []
    columns = max(60, terminal_columns() - 2)
    lines = [f"Own windows {', '.join(facts['own_windows'])}, then {facts['label']}"]
    if empty := facts.get("empty_windows", []):
        lines.append(f"No rows in {', '.join(empty)}, as declared; a dot stands for them")
    rows = []
    paths = paths_of(facts)
    for path in paths:
        ends = ("–" if end is None else figure(end) for end in (path.low, path.high))
        expected = "–" if path.low is None and path.high is None else " to ".join(ends)
        title = NAMES.get(path.name, path.name)
        known = [value for value in path.values if value is not None]
        drawn = sparkline(path.values, min(known), max(known))
        rows.append((title, drawn, figure(known[-1]), expected))
    last = "foretold" if paths and paths[0].foretold else "own range"
    lines += aligned(("", "trajectory", "now", last), rows, columns)
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
        shown = [(name, signed(change), bar(abs(change), highest, "█")) for name, change in changes]
        lines += aligned((part["segment"], "change", ""), shown, columns)
    return lines


def change_words(part: dict[str, Any], most: int) -> str:
    """What a decomposition says in numbers; ``most`` groups of it are drawn."""
    of = len(part["levels"])
    drawn = f"; the {most} of {of} groups that changed most" if of > most else ""
    change, inside, mix = (signed(part[name]) for name in ("change", "inside", "mix"))
    return (
        f"the loss changed by {change} against the own windows: {inside} inside the groups, {mix} by how many rows "
        f"each has{drawn}"
    )


def signed(value: float) -> str:
    """A change with its sign: ``+0.031``, ``-1,240``."""
    text = figure(value)
    return text if text.startswith("-") else f"+{text}"


def bar(value: float, highest: float, block: str) -> str:
    """A bar whose full length stands for ``highest``."""
    return block * max(0, round(value / highest * WIDTH))
