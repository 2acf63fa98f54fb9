"""A table that holds only what is seen: it asks for rows by their place and draws each line itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, NamedTuple

from rich.cells import set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tallystick.tui.app.widgets.paint import Paint
from tallystick.tui.output.escape import show

PAGE = 120
"""Rows that are asked for at once."""


class ListColumn(NamedTuple):
    """A column; width 0 takes what is left, ``from_width`` hides it on narrower screens."""

    title: str
    width: int
    right: bool = False
    from_width: int = 0


class Row(NamedTuple):
    """A line: what it is the line of, its cells as safe text, and how it is marked."""

    key: str
    cells: tuple[str, ...]
    mark: str = ""
    """``dim``, ``bad``, ``good``, ``struck``."""


def cell(text: object) -> str:
    """A value as one line of safe text."""
    return show("–" if text is None or text == "" else text, 600)


class Rows(ScrollView, can_focus=True, inherit_bindings=False):
    """Rows by place; whoever owns it answers :class:`Wanted` with :meth:`fill`."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "rows--header", "rows--cursor", "rows--blurred", "rows--changed", "rows--dim", "rows--bad", "rows--good",
        "rows--struck",
    }  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "row up", key_display="↑ k", show=False),
        Binding("down,j", "move(1)", "row down", key_display="↓ j", show=False),
        Binding("pageup", "page(-1)", "page up", show=False),
        Binding("pagedown", "page(1)", "page down", show=False),
        Binding("enter", "open", "open", show=False),
    ]

    class Wanted(Message):
        """Rows ``first`` and following are in view and not here."""

        def __init__(self, rows: Rows, first: int) -> None:
            super().__init__()
            self.rows = rows
            self.first = first

        @property
        def control(self) -> Rows:
            return self.rows

    class Moved(Message):
        """Another row is selected."""

        def __init__(self, rows: Rows, key: str) -> None:
            super().__init__()
            self.rows = rows
            self.key = key

        @property
        def control(self) -> Rows:
            return self.rows

    class Opened(Moved):
        """The selected row is to be opened."""

    def __init__(self, columns: Sequence[ListColumn], nothing: str = "", id: str | None = None) -> None:
        super().__init__(id=id)
        self.columns = list(columns)
        self.nothing = nothing
        self.total = 0
        self.cursor = 0
        self.changed: frozenset[str] = frozenset()
        self._rows: dict[int, Row] = {}
        self._paint = Paint(self, "rows")
        self._drawn: list[object] = []
        self._asked: int | None = None

    @property
    def row(self) -> Row | None:
        """The selected row, where it is loaded."""
        return self._rows.get(self.cursor)

    @property
    def key(self) -> str:
        """What the selected row is the line of."""
        return self.row.key if self.row else ""

    @property
    def first_shown(self) -> int:
        """Place of the topmost row in view."""
        return int(self.scroll_offset.y)

    def begin(
        self, total: int, first: int, rows: Iterable[Row], cursor: int | None = None, line: int | None = None
    ) -> None:
        """Everything anew: another time, filter or order. The cursor keeps its line on the screen, or gets ``line``."""
        line = self.cursor - self.first_shown if line is None else line
        self._rows = {first + index: row for index, row in enumerate(rows)}
        self._asked = None
        self.total = total
        self.cursor = max(0, min(self.cursor if cursor is None else cursor, total - 1))
        self.virtual_size = Size(self.size.width, total + 1)
        # Only a table that fits entirely stays at its top; elsewhere the selected row stays where the eye is.
        if (y := max(0, self.cursor - max(0, line))) != self.first_shown:
            self.scroll_to(y=y, animate=False, force=True, immediate=True)
        self._keep_in_view()
        self._redraw()

    def _drawn_from(self) -> list[object]:
        """What each line on the screen is drawn from."""
        places = range(self.first_shown, self.first_shown + self.size.height - 1)
        rows = [(at, self._rows.get(at)) for at in places]
        lines = [(row, at < self.total, at == self.cursor, row and row.key in self.changed) for at, row in rows]
        return [(self.nothing, list(self.columns)), *lines]

    def _redraw(self) -> None:
        """A step changes few lines; to draw the others again would be most of its work."""
        before, self._drawn = self._drawn, self._drawn_from()
        lines = [y for y, drawn in enumerate(self._drawn) if y >= len(before) or drawn != before[y]]
        if lines:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in lines))

    def fill(self, first: int, rows: Iterable[Row], total: int | None = None) -> None:
        """Rows that were asked for."""
        self._rows.update({first + index: row for index, row in enumerate(rows)})
        self._asked = None
        if total is not None and total != self.total:
            self.total = total
            self.virtual_size = Size(self.size.width, total + 1)
        if len(self._rows) > 20 * PAGE:
            near = range(self.first_shown - 5 * PAGE, self.first_shown + 5 * PAGE)
            self._rows = {index: row for index, row in self._rows.items() if index in near}
        self._redraw()

    def mark_changed(self, keys: frozenset[str]) -> None:
        """Rows that the last step changed stand out until this is called again."""
        self.changed = keys
        self._redraw()

    # Drawing -----------------------------------------------------------------------------------------------

    def render_lines(self, crop: Region) -> list[Strip]:
        self._paint.renew()
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width or self.size.width
        if y == 0:
            titles = [column.title for column in self.columns]
            return self._text("  " + "  ".join(self._fitted(titles, width - 2)), width, "header")
        place = y - 1 + self.first_shown
        if place >= self.total:
            if self.total == 0 and y == 1 and self.nothing:
                return self._text(f"  {self.nothing}", width, "dim")
            return Strip.blank(width, self._paint.base)
        row = self._rows.get(place)
        if row is None:
            self._want(place)
            return self._text("  …", width, "dim")
        styles = [self._paint.part(row.mark)] if row.mark else []
        plain, mark = self._paint.base, " "
        if row.key in self.changed:
            styles.append(self._paint.part("changed"))
            mark = "•"
        if place == self.cursor:
            styles.append(self._paint.part("cursor" if self.has_focus else "blurred"))
            plain += styles[-1]
        text = f"{'▶' if place == self.cursor else ' '}{mark}"
        text += "  ".join(self._fitted(row.cells, width - 2))
        return Strip(marked(set_cell_size(text, width), plain, styles), width)

    def _text(self, text: str, width: int, part: str) -> Strip:
        return Strip([Segment(set_cell_size(text, width), self._paint.base + self._paint.part(part))], width)

    def _fitted(self, cells: Sequence[str], width: int) -> Iterable[str]:
        shown = [(c, text) for c, text in zip(self.columns, cells, strict=False) if width + 4 >= c.from_width]
        rest = width - sum(column.width for column, _ in shown) - 2 * (len(shown) - 1)
        for column, text in shown:
            yield fitted(text, column.width or max(4, rest), column.right)

    def _want(self, place: int) -> None:
        first = max(0, place - PAGE // 4)
        if self._asked is None or not self._asked <= place < self._asked + PAGE:
            self._asked = first
            self.post_message(self.Wanted(self, first))

    # Moving ------------------------------------------------------------------------------------------------

    def action_move(self, way: int) -> None:
        self.select(self.cursor + way)

    def action_page(self, way: int) -> None:
        self.select(self.cursor + way * max(1, self.size.height - 2))

    def action_open(self) -> None:
        if self.key:
            self.post_message(self.Opened(self, self.key))

    def select(self, place: int) -> None:
        """Put the cursor on a row."""
        place = max(0, min(place, self.total - 1))
        if place == self.cursor:
            return
        self.cursor = place
        self._keep_in_view()
        self._redraw()
        if self.key:
            self.post_message(self.Moved(self, self.key))

    def _keep_in_view(self) -> None:
        if not self.size.height:
            return  # not laid out yet: done when it is
        height = max(1, self.size.height - 1)
        if self.cursor < self.first_shown:
            self.scroll_to(y=self.cursor, animate=False, force=True, immediate=True)
        elif self.cursor >= self.first_shown + height:
            self.scroll_to(y=self.cursor - height + 1, animate=False, force=True, immediate=True)

    def on_resize(self) -> None:
        self._keep_in_view()

    def on_click(self, event: events.Click) -> None:
        place = event.y - 1 + self.first_shown
        if event.y < 1 or place >= self.total:
            return
        if place == self.cursor:
            self.action_open()
        else:
            self.select(place)


def marked(text: str, plain: Style, styles: Sequence[Style]) -> list[Segment]:
    """A line whose words have styles of their own; the space around them has not, so that nothing strikes it out."""
    core = text.strip(" ▶•")
    if not styles or not core:
        return [Segment(text, plain)]
    start = text.index(core)
    style = plain
    for added in styles:
        style += added
    return [Segment(text[:start], plain), Segment(core, style), Segment(text[start + len(core) :], plain)]


def fitted(text: str, width: int, right: bool = False) -> str:
    """Text in exactly ``width`` cells, clipped with an ellipsis."""
    from rich.cells import cell_len

    length = cell_len(text)
    if length > width:
        return set_cell_size(set_cell_size(text, max(0, width - 1)).rstrip() + "…", width)
    return " " * (width - length) + text if right else text + " " * (width - length)
