"""Lines of one row: the banner, what a step said, the menu."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tallystick.tui.app.widgets.rows import fitted
from tallystick.tui.output.escape import show


class Bar(Widget):
    """One line of safe text, and what stands at its right end."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"bar--warning"}

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._texts: tuple[str, ...] = ("",)
        self._right = ""
        self._warning = ""

    @property
    def text(self) -> str:
        """What is said, in full."""
        return self._texts[0]

    def say(self, *texts: str, right: str = "") -> None:
        """Show other words: the first of ``texts`` that fits beside ``right``, or the last one clipped."""
        said = tuple(show(text, 1_000) for text in texts), show(right, 100)
        if said != (self._texts, self._right):
            self._texts, self._right = said
            self.refresh()

    def warn(self, text: str) -> None:
        """From now on this stands before whatever is said here."""
        self._warning = f"! {show(text, 1_000)} · "
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        right = f" · {self._right} " if self._right else " "
        room = max(0, width - cell_len(right))
        texts = [f" {self._warning}{text}" for text in self._texts]
        left = next((text for text in texts if cell_len(text) <= room), texts[-1])
        style = self.rich_style
        if self._warning:
            style += self.get_component_rich_style("bar--warning", partial=True)
        return Strip([Segment(set_cell_size(fitted(left, room) + right, width), style)], width)


class Menu(Widget):
    """``1 Board  2 Runs …``; a click chooses."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"menu--chosen"}

    class Chosen(Message):
        """Another pane is wanted."""

        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = list(names)
        self.chosen = 0

    def choose(self, place: int) -> None:
        """Show which one is in front."""
        if place != self.chosen:
            self.chosen = place
            self.refresh()

    def _spans(self) -> list[tuple[int, int, str]]:
        spans, x = [], 1
        # Where not all names find room, those of the others make way for the one in front.
        is_short = 1 + sum(len(name) + 4 for name in self.names) > self.size.width
        for place, name in enumerate(self.names):
            other = f" {place + 1} " if is_short else f" {place + 1} {name} "
            text = f"[{place + 1} {name}]" if place == self.chosen else other
            spans.append((x, x + len(text), text))
            x += len(text)
        return spans

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        base = self.rich_style
        segments = [Segment(" ", base)]
        for place, (_, _, text) in enumerate(self._spans()):
            style = base
            if place == self.chosen:
                style += self.get_component_rich_style("menu--chosen", partial=True)
            segments.append(Segment(text, style))
        return Strip(segments).adjust_cell_length(width, base)

    def on_click(self, event: events.Click) -> None:
        for place, (start, end, _) in enumerate(self._spans()):
            if start <= event.x < end:
                self.post_message(self.Chosen(place))
