"""Windows without any row: what a file declares empty is empty, and every other hole between rows is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.sentences import count
from tallystick.pipeline.config.settings import Time
from tallystick.pipeline.config.windows import Window, all_windows, empty_windows, label_order
from tallystick.pipeline.data.timestamps import day_of

Micros = npt.NDArray[np.int64]
MOST_NAMES = 6
FILL_IN = "…"
"""Stands for the reason in a line to write."""


def refuse_holes(time: Time, times: Micros, windows: Sequence[Window]) -> None:
    """Refuse windows that lie between rows and have none, and declared ones that have some.

    Parameters
    ----------
    times : (n,) int64
        Microseconds since 1970-01-01 UTC.

    Raises
    ------
    InvalidInput
        With the labels, and the line to write.
    """
    _, starts = _rows(windows, times)
    holes = [window.label for window in starts if len(times) and times.min() < window.start <= times.max()]
    problems = [*_wrongly_declared(time, times), *([_hole_words(holes, windows)] if holes else [])]
    if problems:
        raise InvalidInput(" ".join(problems), line_to_write(time, holes) if holes else "")


def wrong_windows(time: Time, times: Micros) -> Iterator[str]:
    """Everything that is wrong with the rows of the windows of a file, sealed windows included."""
    yield from _wrongly_declared(time, times)
    windows = all_windows(time)
    _, empty = _rows(windows, times)
    holes = [window.label for window in empty if times.min() < window.start <= times.max()]
    if holes:
        yield f"{_hole_words(holes, windows)} {line_to_write(time, holes)}"
    beyond = [window.label for window in empty if window.label not in holes]
    if beyond:
        first, last = (day_of(int(moment), time.timezone) for moment in (times.min(), times.max()))
        covered = "" if time.unit == "step" else f" The table covers {first} to {last}."
        yield f"{count(len(beyond), 'window')} without any row: {_some(beyond)}.{covered}"


def line_to_write(time: Time, holes: Sequence[str]) -> str:
    """How a file declares these windows empty, beside those that it declares already."""
    labels = sorted({*time.skipped, *holes}, key=label_order)
    written = f'empty_windows = {{ skip = {json.dumps(labels)}, why = "{FILL_IN}" }}'
    return f"If there was nothing to predict then, say so in [time], with the reason: {written}"


def _wrongly_declared(time: Time, times: Micros) -> Iterator[str]:
    full, _ = _rows(empty_windows(time), times)
    for window in full:
        rows = int(window.test_rows(times).sum())
        yield f"{window.label} is declared empty in [time.empty_windows], and has {count(rows, 'row')}."


def _hole_words(holes: Sequence[str], windows: Sequence[Window]) -> str:
    return f"{len(holes)} of {count(len(windows), 'window')} without any row, between others with rows: {_some(holes)}."


def _rows(windows: Sequence[Window], times: Micros) -> tuple[list[Window], list[Window]]:
    """The windows with rows, and those without."""
    has = [bool(window.test_rows(times).any()) for window in windows]
    return (
        [window for window, rows in zip(windows, has, strict=True) if rows],
        [window for window, rows in zip(windows, has, strict=True) if not rows],
    )


def _some(labels: Sequence[str]) -> str:
    return ", ".join(labels[:MOST_NAMES]) + (" …" if labels[MOST_NAMES:] else "")
