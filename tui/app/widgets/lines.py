"""Paragraphs of safe text, wrapped to the width and drawn by line; lines that stand for something can be opened."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tallystick.tui.app.widgets.paint import Paint
from tallystick.tui.app.widgets.rows import fitted, marked
from tallystick.tui.output.escape import show


class Line(NamedTuple):
    """A paragraph."""

    text: str
    mark: str = ""
    """``bold``, ``dim``, ``bad``, ``good``, ``struck``."""
    key: str = ""
    """What is opened by it: an event or an entity."""
    indent: int = 0
    as_it_is: bool = False
    """Not wrapped but clipped: tables, JSON, graphs."""


def code_line(text: str, mark: str = "") -> Line:
    """A line of JSON: wrapped within its indentation, so that nothing of it is cut off on a narrow screen."""
    inner = text.lstrip(" ")
    return Line(inner, mark, indent=len(text) - len(inner))


class Lines(ScrollView, can_focus=True, inherit_bindings=False):
    """Text that scrolls; the cursor goes from one line with a key to the next."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "lines--bold", "lines--dim", "lines--bad", "lines--good", "lines--struck", "lines--cursor", "lines--changed",
    }  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "line up", key_display="↑ k", show=False),
        Binding("down,j", "move(1)", "line down", key_display="↓ j", show=False),
        Binding("pageup", "page(-1)", "page up", show=False),
        Binding("pagedown", "page(1)", "page down", show=False),
        Binding("enter", "open", "open", show=False),
    ]

    class Opened(Message):
        """A line is to be opened."""

        def __init__(self, lines: Lines, key: str) -> None:
            super().__init__()
            self.lines = lines
            self.key = key

        @property
        def control(self) -> Lines:
            return self.lines

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.lines: list[Line] = []
        self.changed: frozenset[str] = frozenset()
        self._drawn: list[tuple[str, Line, int]] = []
        self._width = 0
        self._paint = Paint(self, "lines")
        self.cursor: int | None = None
        """Index of the selected line."""
        self._is_chosen = False
        """Whether somebody selected it; else the first one is."""

    @property
    def key(self) -> str:
        """What the selected line stands for."""
        return self.lines[self.cursor].key if self.cursor is not None and self.cursor < len(self.lines) else ""

    def begin(self, lines: Sequence[Line], keep: bool = True) -> None:
        """Other text; where ``keep``, the selected thing stays selected and the place is kept."""
        self._is_chosen &= keep
        key, y = (self.key if self._is_chosen else "", self.scroll_offset.y) if keep else ("", 0)
        if keep and list(lines) == self.lines and self._width == self._room:
            return
        self.lines = list(lines)
        keys = [index for index, line in enumerate(self.lines) if line.key]
        same = [index for index in keys if key and self.lines[index].key == key]
        self.cursor = same[0] if same else keys[0] if keys else None
        self._wrap()
        if y != self.scroll_offset.y:
            self.scroll_to(y=y, animate=False, force=True, immediate=True)

    @property
    def _room(self) -> int:
        return max(8, self.scrollable_content_region.width or self.size.width)

    def mark_changed(self, keys: frozenset[str]) -> None:
        """Lines of what the last step changed."""
        if keys != self.changed:
            self.changed = keys
            self.refresh()

    def _wrap(self) -> None:
        width = self._width = self._room
        self._drawn = []
        for index, line in enumerate(self.lines):
            pad = " " * min(line.indent, width // 3)
            safe = show(line.text, 20_000)
            if line.as_it_is or cell_len(safe) + len(pad) + 2 <= width:
                parts = [pad + safe]
            else:
                parts = wrapped(safe, max(8, min(width, 110) - 2), pad, pad + ("  " if line.key else ""))
            self._drawn += [(part, line, index) for part in parts]
        self.virtual_size = Size(self.size.width, len(self._drawn))
        self.refresh()

    def on_resize(self) -> None:
        if self._room != self._width:
            self._wrap()

    def render_lines(self, crop: Region) -> list[Strip]:
        self._paint.renew()
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width or self.size.width
        place = y + int(self.scroll_offset.y)
        if place >= len(self._drawn):
            return Strip.blank(width, self._paint.base)
        text, line, index = self._drawn[place]
        plain = self._paint.base
        styles = [self._paint.part(line.mark)] if line.mark else []
        if line.key and line.key in self.changed:
            styles.append(self._paint.part("changed"))
        chosen = index == self.cursor and bool(line.key)
        if chosen and self.has_focus:
            styles.append(self._paint.part("cursor"))
            plain += styles[-1]
        first = place == 0 or self._drawn[place - 1][2] != index
        text = fitted(f"{'▶ ' if chosen and first else '  '}{text}", width)
        return Strip(marked(text, plain, styles), width)

    def action_move(self, way: int) -> None:
        y, height = int(self.scroll_offset.y), max(1, self.size.height)
        tops = self._tops()
        here = next((top for top, index in tops if index == self.cursor), -1)
        if not y <= here < y + height:
            here = y - 1 if way > 0 else y + height  # scrolled away from it: on from what is seen
        beyond = [(top, index) for top, index in tops if (top - here) * way > 0]
        if not beyond:
            self.scroll_relative(y=way, animate=False)
            return
        top, following = beyond[0] if way > 0 else beyond[-1]
        if (way > 0 and top >= y + height + 1) or (way < 0 and top < y - 1):
            self.scroll_relative(y=way, animate=False)  # text in between is read before the next line is reached
            return
        self._choose(following)
        if top < y or top >= y + height:
            self.scroll_to(y=top if way < 0 else top - height + 1, animate=False)

    def _tops(self) -> list[tuple[int, int]]:
        """Where each line that stands for something begins, and its index."""
        found: dict[int, int] = {}
        for place, (_, line, index) in enumerate(self._drawn):
            if line.key:
                found.setdefault(index, place)
        return [(place, index) for index, place in found.items()]

    def _choose(self, index: int) -> None:
        self.cursor, self._is_chosen = index, True
        self.refresh()

    def action_page(self, way: int) -> None:
        self.scroll_relative(y=way * max(1, self.size.height - 1), animate=False)

    def action_open(self) -> None:
        if self.key:
            self.post_message(self.Opened(self, self.key))

    def on_click(self, event: events.Click) -> None:
        place = event.y + int(self.scroll_offset.y)
        if place < len(self._drawn) and self._drawn[place][1].key:
            index = self._drawn[place][2]
            if index == self.cursor:
                self.action_open()
            self._choose(index)


FILLER = "\0"
"""The second cell of a wide character, which the standard library does not know of; safe text never holds it."""


def wrapped(text: str, width: int, first: str = "", others: str = "") -> list[str]:
    """Safe text in lines of at most ``width`` cells, also where a character takes two."""
    if is_wide := not text.isascii() and cell_len(text) > len(text):
        text = "".join(character + FILLER * (cell_len(character) - 1) for character in text)
    # One cell is left for a wide character that stands at the end, with its filler on the next line.
    lines = textwrap.wrap(text, width - is_wide, initial_indent=first, subsequent_indent=others,
                          break_on_hyphens=False)  # fmt: skip
    return [line.replace(FILLER, "") for line in lines] or [""]
