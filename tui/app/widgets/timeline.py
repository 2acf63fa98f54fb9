"""The timeline at the bottom: how much was recorded when, what was decided, and where the cursor stands."""

from __future__ import annotations

import datetime as dt
from typing import ClassVar, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tallystick.tui.app.widgets.paint import Paint

BARS = "▁▂▃▄▅▆▇"
MARKS = {"✖": "bad", "!": "bad", "▲": "waived", "◆": "good", "✓": "dim"}
"""What is drawn over a column, the most pressing first."""


class Shape(NamedTuple):
    """The timeline as it is drawn for one width."""

    first_at: dt.datetime
    last_at: dt.datetime
    counts: list[int]
    """Events recorded in each column."""
    marks: dict[int, str]
    zone: dt.tzinfo

    def column(self, at: dt.datetime) -> int:
        """Where a moment lies."""
        return column_of(at, self.first_at, self.last_at, len(self.counts))

    def moment(self, column: int) -> dt.datetime:
        """The end of a column."""
        return self.first_at + (self.last_at - self.first_at) * (column + 1) / max(1, len(self.counts))


def column_of(at: dt.datetime, first: dt.datetime, last: dt.datetime, width: int) -> int:
    """The column of a moment on a timeline from ``first`` to ``last``."""
    span = (last - first).total_seconds()
    if span <= 0:
        return width - 1
    return max(0, min(width - 1, int((at - first).total_seconds() / span * width)))


class Timeline(Widget):
    """Two lines: the timeline, and its dates."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "timeline--good", "timeline--bad", "timeline--waived", "timeline--dim", "timeline--pin",
        "timeline--cursor",
    }  # fmt: skip

    class Pointed(Message):
        """Somebody clicked on a time."""

        def __init__(self, at: dt.datetime) -> None:
            super().__init__()
            self.at = at

    def __init__(self) -> None:
        super().__init__()
        self.shape: Shape | None = None
        self.at: dt.datetime | None = None
        self.is_now = True
        self.pins: dict[str, dt.datetime] = {}
        """What was marked, by its letter."""
        self._paint = Paint(self, "timeline")

    def draw(self, shape: Shape | None) -> None:
        self.shape = shape
        self.refresh()

    def point(self, at: dt.datetime, is_now: bool) -> None:
        self.at, self.is_now = at, is_now
        self.refresh()

    def pin(self, **pins: dt.datetime) -> None:
        """Show where the marks A and B are, and no others."""
        self.pins = pins
        self.refresh()

    def render_lines(self, crop: Region) -> list[Strip]:
        self._paint.renew()
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        shape = self.shape
        if shape is None:
            return Strip([Segment(" " * width, self._paint.base)], width)
        if y == 1:
            return self._dates(shape, width)
        most = max(shape.counts) or 1
        cursor = None if self.at is None else len(shape.counts) - 1 if self.is_now else shape.column(self.at)
        pinned = {shape.column(at): letter for letter, at in self.pins.items()}
        segments = [Segment(" ", self._paint.base)]
        for column, number in enumerate(shape.counts):
            mark = shape.marks.get(column)
            text = mark or (BARS[min(6, 7 * number // (most + 1))] if number else " ")
            style = self._paint.base + self._paint.part(MARKS[mark] if mark else "dim")
            if column in pinned:
                mark = text = pinned[column]
                style = self._paint.base + self._paint.part("pin")
            if column == cursor:
                text, style = mark or "│", style + self._paint.part("cursor")
            segments.append(Segment(text, style))
        return Strip(segments).adjust_cell_length(width, self._paint.base)

    def _dates(self, shape: Shape, width: int) -> Strip:
        ends = [at.astimezone(shape.zone) for at in (shape.first_at, shape.last_at)]
        first, last = (f"{at:%Y-%m-%d}" for at in ends)
        if first == last:
            first, last = f"{first} {ends[0]:%H:%M}", f"{ends[1]:%H:%M}"
        legend = "◆ promoted  ▲ waiver  ✖ gate failed  ! alarm  ✓ signed"
        room = width - 2 - len(first) - len(last) - 6
        middle = legend if cell_len(legend) <= room else "◆▲✖!✓ ? explains" if room > 18 else ""
        gap = width - 2 - len(first) - len(last) - cell_len(middle)
        text = f" {first}{' ' * (gap // 2)}{middle}{' ' * (gap - gap // 2)}{last} "
        return Strip([Segment(set_cell_size(text, width), self._paint.base + self._paint.part("dim"))], width)

    def on_click(self, event: events.Click) -> None:
        if self.shape is not None and event.y == 0:
            self.post_message(self.Pointed(self.shape.moment(max(0, event.x - 1))))
