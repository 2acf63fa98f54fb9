"""The time line of a pipeline, drawn in text: what trains, what waits for its label, what tests, what stays sealed."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

from tallystick.ledger.events.commit import from_micros
from tallystick.pipeline.config.durations import STEP_MICROS, parse_span
from tallystick.pipeline.config.settings import Time
from tallystick.pipeline.config.windows import Window, all_windows, empty_windows

COLUMNS = 60
MOST_LINES = 24
TRAIN, WAIT, TEST, SEALED, VALID = "━", "·", "█", "▒", "░"
LEGEND = (
    f"{TRAIN} trains   {WAIT} label not yet known, or gap   {TEST} tests   {SEALED} sealed   "
    f"{VALID} may be used: the model that is made after the last window"
)


def timeline(time: Time, valid_for: str) -> list[str]:
    """One line a window, and one for the model that comes out; at most 24 windows, from both ends.

    Data may begin earlier than the drawing; it then says so with ``«``.
    """
    empty = empty_windows(time)
    windows = sorted([*all_windows(time), *empty], key=lambda window: window.start)
    length = windows[0].end - windows[0].start
    starts = [window.train_start for window in windows if window.train_start is not None]
    left = min(starts) if starts else windows[0].start - 3 * length
    valid = parse_span(valid_for).exact_micros("valid_for")
    delay = parse_span(time.label_delay).exact_micros("label_delay")
    end = windows[-1].end
    right = end + valid
    scale = COLUMNS / (right - left)

    def at(moment: int) -> int:
        # The last column is the validity's, however short it is.
        return min(COLUMNS - 1, max(0, round((moment - left) * scale)))

    width = max(len("model"), *(len(window.label) for window in windows))
    lines = [f"{''.ljust(width)}  {_axis(time, left, right, at(windows[0].start))}"]
    shown: list[Window | None] = list(windows)
    if len(windows) > MOST_LINES:
        shown = [*windows[: MOST_LINES // 2], None, *windows[-MOST_LINES // 2 :]]
    for window in shown:
        if window is None:
            lines.append(f"{'…'.ljust(width)}  ({len(windows) - MOST_LINES} more)")
            continue
        if window in empty:
            lines.append(f"{window.label.ljust(width)}  (no rows, as declared)")
            continue
        drawn = [" "] * COLUMNS
        begin = 0 if window.train_start is None else at(window.train_start)
        # Room for the past and the wait, however far the validity reaches beside a short window.
        first = max(2, min(at(window.start), COLUMNS - 2))
        last = max(at(window.end), first + 1)
        waits = max(1, first - at(window.cutoff - delay)) if delay or window.cutoff < window.start else 0
        _fill(drawn, begin, first - waits, TRAIN)
        _fill(drawn, first - waits, first, WAIT)
        _fill(drawn, first, last, SEALED if window.label in time.final.test else TEST)
        if window.train_start is None:
            drawn[0] = "«"
        lines.append(f"{window.label.ljust(width)}  {''.join(drawn).rstrip()}")
    drawn = [" "] * COLUMNS
    _fill(drawn, 0, at(end), TRAIN)
    _fill(drawn, at(end), COLUMNS, VALID)
    drawn[0] = "«"
    lines.append(f"{'model'.ljust(width)}  {''.join(drawn)}")
    return lines


def _fill(drawn: list[str], begin: int, end: int, mark: str) -> None:
    for index in range(max(0, begin), min(end, COLUMNS)):
        drawn[index] = mark


def _axis(time: Time, left: int, right: int, first: int) -> str:
    """Dates of the left edge, the first test and the right edge."""
    zone = ZoneInfo(time.timezone)

    def day(moment: int) -> str:
        if time.unit == "step":
            return str(round(moment / STEP_MICROS))
        local: dt.datetime = from_micros(moment).astimezone(zone)
        return local.date().isoformat()

    text = day(left).ljust(max(first, 12))
    text += str(time.first_test)
    end = day(right)
    return text.ljust(COLUMNS - len(end)) + end if len(text) < COLUMNS - len(end) else text
