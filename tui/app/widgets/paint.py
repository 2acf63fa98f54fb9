"""The styles of a widget that draws its own lines, looked up once a drawing instead of once a segment.

Textual works a widget's style out from those of all its ancestors each time it is asked: measured, three tenths of the
time of a step of the cursor.
"""

from __future__ import annotations

from rich.style import Style
from textual.widget import Widget


class Paint:
    """The style of a widget, and those of its parts by name."""

    def __init__(self, widget: Widget, prefix: str) -> None:
        self._widget, self._prefix = widget, prefix
        self.base = Style()
        self._parts: dict[str, Style] = {}

    def renew(self) -> None:
        """Look again: to be called before the lines are drawn."""
        self.base = self._widget.rich_style
        self._parts.clear()

    def part(self, name: str) -> Style:
        """What a part adds to the base."""
        if name not in self._parts:
            self._parts[name] = self._widget.get_component_rich_style(f"{self._prefix}--{name}", partial=True)
        return self._parts[name]
