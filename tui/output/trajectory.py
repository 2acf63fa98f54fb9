"""A line a candidate: a sparkline over the windows, the values, and their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tallystick.pipeline.config.windows import with_empty
from tallystick.pipeline.evaluate.figures import short
from tallystick.tui.output.console import aligned, sparkline, terminal_columns


def trajectory_table(
    labels: Sequence[str],
    candidates: Sequence[str],
    values: Mapping[tuple[str, str], float | None],
    columns: int | None = None,
    empty: Sequence[str] = (),
) -> list[str]:
    """Lines of a table; ``values`` are by label and candidate. Months of one year are written without it.

    Windows that were declared empty have a column that says so.
    """
    labels = with_empty(labels, empty)
    known = [value for value in values.values() if value is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    rows = []
    for candidate in candidates:
        series = [values.get((label, candidate)) for label in labels]
        present = [value for value in series if value is not None]
        # A mean over other windows than those of the rows beside it would mislead.
        whole = all((label, candidate) in values for label in labels if label not in empty)
        mean = short(sum(present) / len(present)) if present and whole else "–"
        cells = ["no rows" if label in empty else short(value) for label, value in zip(labels, series, strict=True)]
        rows.append((candidate, sparkline(series, low, high), mean, *cells))
    common = labels[0][:5] if len({label[:5] for label in labels}) == 1 and len(labels[0]) == 7 else ""
    headers = ("candidate", "trajectory", "mean", *(label.removeprefix(common) for label in labels))
    return ["  " + line for line in aligned(headers, rows, columns or max(60, terminal_columns() - 2))]
