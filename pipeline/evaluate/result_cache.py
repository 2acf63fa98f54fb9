"""Cells that were judged before on the very same rows, taken over instead of fitted again.

A cell's result follows from its training and test rows, its recipe, the seed and the settings, and from nothing else;
a story that runs a pipeline every month meets most of its windows again with the same rows. Rows are compared by
their hashes as the window was described, not by the window's name. Whoever keeps one of these keeps it for one
pipeline file and one process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tallystick.pipeline.config.windows import Window
from tallystick.pipeline.evaluate import backtest
from tallystick.pipeline.evaluate.backtest import BacktestPlan, Cell, Described, Judged
from tallystick.pipeline.models.workers import parallel

Key = tuple[object, ...]
RowHashes = tuple[str, str]
"""Of the training and the test rows."""


class Remembered:
    """What was judged so far; empty at first."""

    def __init__(self) -> None:
        self._judged: dict[Key, Judged] = {}
        self.taken_over: dict[str, list[str]] = {}
        """In the newest backtest: label of a window -> candidates that were not fitted again."""

    def judge_all(
        self, plan: BacktestPlan, cells: Sequence[Cell], rows: Mapping[str, RowHashes], workers: int
    ) -> Iterator[Judged]:
        """Judge cells in the given order, those that are new in parallel; ``rows`` by the label of the window."""
        from joblib import delayed

        keys = [_key(plan, cell, rows[cell.window.label]) for cell in cells]
        new = [cell for cell, key in zip(cells, keys, strict=True) if key not in self._judged]
        compute = parallel(workers, return_as="generator", batch_size=1)
        computed = iter(compute(delayed(backtest.judge)(plan, cell) for cell in new))
        for key in keys:
            if key not in self._judged:
                self._judged[key] = next(computed)
            yield self._judged[key]
        for _ in computed:
            raise AssertionError("more was computed than asked for")

    def backtest(
        self, plan: BacktestPlan, cells: Sequence[Cell], windows: Sequence[Window], workers: int
    ) -> Iterator[Described | Judged]:
        """As :func:`pipeline.evaluate.backtest.backtest`; all windows are described before the first cell is judged."""
        described = list(backtest.backtest(plan, (), windows, workers))
        known = {item.window.label: item for item in described if isinstance(item, Described)}
        rows = {label: hashes_of(item) for label, item in known.items()}
        ordered = [cell for window in windows for cell in cells if cell.window == window]
        self.taken_over = {label: [] for label in known}
        for cell in ordered:
            if _key(plan, cell, rows[cell.window.label]) in self._judged:
                self.taken_over[cell.window.label].append(cell.recipe.name)
        judged = self.judge_all(plan, ordered, rows, workers)
        for window in windows:
            yield known[window.label]
            for _ in range(sum(cell.window == window for cell in cells)):
                yield next(judged)
        yield from judged  # nothing is left; a generator of joblib that is not read to its end warns


def hashes_of(described: Described) -> RowHashes:
    """The rows of a window, by which a cell is known again."""
    return described.train_hash, described.test_hash


def _key(plan: BacktestPlan, cell: Cell, rows: RowHashes) -> Key:
    # The bins of scores are frozen at the first window, which a later beginning could make another one.
    return rows, cell.window, cell.recipe.hash, cell.recipe.name, cell.random_split, tuple(plan.target_edges)
