"""The optimism of a random split: what it promises of a candidate, against what time says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tallystick.ledger.events import types as say
from tallystick.pipeline.config.windows import Window
from tallystick.pipeline.evaluate import sentences
from tallystick.pipeline.evaluate.backtest import BacktestPlan, Cell, Judged
from tallystick.pipeline.evaluate.fitting import Recipe
from tallystick.pipeline.evaluate.result_cache import Remembered, RowHashes


class Optimism(NamedTuple):
    """A candidate by walk-forward and by random split, window by window."""

    candidate: str
    metric: str
    windows: list[say.RandomSplit]
    walk_forward: float | None
    random: float | None
    gaps: list[float]
    sentence: str


def measure_optimism(
    plan: BacktestPlan,
    windows: Sequence[Window],
    recipes: Sequence[Recipe],
    in_time: Sequence[Judged],
    workers: int,
    remembered: Remembered,
    rows: Mapping[str, RowHashes],
    on_step: Callable[[str], None],
) -> list[Optimism]:
    """Judge each recipe on a random split of each window's rows, with a training set of the same size.

    The same split for every recipe; ``in_time`` holds what walk-forward said of them, ``rows`` the hashes of each
    window's rows by label.
    """
    cells = [Cell(window, recipe, random_split=True) for window in windows for recipe in recipes]
    random: dict[tuple[str, str], Judged] = {}
    for item in remembered.judge_all(plan, cells, rows, workers):
        random[item.candidate, item.label] = item
        on_step(f"random split of {item.candidate} in {item.label}")
    forward = {(item.candidate, item.label): item for item in in_time}
    return [_optimism_of(recipe.name, plan, windows, forward, random) for recipe in recipes]


def _optimism_of(
    candidate: str,
    plan: BacktestPlan,
    windows: Sequence[Window],
    forward: dict[tuple[str, str], Judged],
    random: dict[tuple[str, str], Judged],
) -> Optimism:
    metric = "roc_auc" if plan.task == "classification" else plan.metric
    rows = [
        say.RandomSplit(
            label=window.label,
            walk_forward=forward[candidate, window.label].metrics[metric].value,
            random=random[candidate, window.label].metrics[metric].value,
        )
        for window in windows
    ]
    pairs = [(row.walk_forward, row.random) for row in rows if row.walk_forward is not None and row.random is not None]
    sign = 1.0 if metric == "roc_auc" else -1.0
    gaps = [sign * (by_chance - in_time) for in_time, by_chance in pairs]
    mean_forward = float(np.mean([pair[0] for pair in pairs])) if pairs else None
    mean_random = float(np.mean([pair[1] for pair in pairs])) if pairs else None
    sentence = sentences.optimism_sentence(candidate, mean_forward, mean_random, gaps, metric)
    return Optimism(candidate, metric, rows, mean_forward, mean_random, gaps, sentence)


def random_choice(optimism: Sequence[Optimism]) -> str | None:
    """A sentence, where a random split would have put another candidate first."""
    known = [item for item in optimism if item.random is not None and item.walk_forward is not None]
    if len(known) < 2:
        return None
    sign = 1.0 if known[0].metric == "roc_auc" else -1.0
    by_random = max(known, key=lambda item: sign * (item.random or 0.0))
    by_time = max(known, key=lambda item: sign * (item.walk_forward or 0.0))
    if by_random.candidate == by_time.candidate:
        return None
    return sentences.random_choice_sentence(by_random.candidate, by_time.candidate, by_time.metric)
