"""The keys that do something here, in one line, from the bindings.

Textual's own footer is a widget for every key, which costs a fifth of the app's start, and cuts the last ones off
where the line is short; here the key for all the others and the way out stay at the right end, whatever the width.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

STAYING = ("help", "quit")
"""Actions whose keys are never left out."""


class Shown(NamedTuple):
    """A key, or several of a group, with its words."""

    displays: tuple[str, ...]
    words: str
    keys: tuple[str, ...]
    action: str

    @property
    def display(self) -> str:
        """``←→``."""
        return "".join(self.displays)

    def key_at(self, x: int) -> str:
        """The key that a click on column ``x`` means: its own sign, else the first one."""
        for display, key in zip(self.displays, self.keys, strict=True):
            if x < cell_len(display):
                return key
            x -= cell_len(display)
        return self.keys[0]


class Keys(Widget):
    """One line; a click presses the key."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"keys--key"}

    def __init__(self) -> None:
        super().__init__()
        self._keys: list[Shown] = []

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, screen: Screen[object]) -> None:
        found: dict[str, Shown] = {}
        typing = screen.focused if screen.focused is not None and screen.focused.id == "filter" else None
        for owner, binding, enabled, _ in screen.active_bindings.values():
            # Where a text is typed, other keys are part of it.
            if not binding.show or not enabled or (typing is not None and owner is not typing):
                continue
            display = self.app.get_key_display(binding)
            name = binding.group.description if binding.group else binding.action
            earlier = found.get(name)
            if earlier is None:
                words = binding.group.description if binding.group else binding.description
                found[name] = Shown((display,), words, (binding.key,), binding.action)
            elif binding.group:
                keys = (*earlier.keys, binding.key)
                found[name] = earlier._replace(displays=(*earlier.displays, display), keys=keys)
        if (shown := list(found.values())) != self._keys:
            self._keys = shown
            self.refresh()

    def spans(self) -> list[tuple[int, Shown]]:
        """Where each key stands that finds room."""
        width = self.size.width
        last = [key for key in self._keys if key.action in STAYING]
        end = width - sum(_length(key) for key in last)
        found, x = [], 1
        for key in self._keys:
            if key not in last and x + _length(key) <= end:
                found.append((x, key))
                x += _length(key)
        for key in last:
            found.append((end, key))
            end += _length(key)
        return found

    def render_line(self, y: int) -> Strip:
        base, x = self.rich_style, 0
        segments: list[Segment] = []
        bold = base + self.get_component_rich_style("keys--key", partial=True)
        for start, key in self.spans():
            segments += [Segment(" " * (start - x), base), Segment(key.display, bold),
                         Segment(f" {key.words}", base)]  # fmt: skip
            x = start + _length(key) - GAP
        return Strip(segments).adjust_cell_length(self.size.width, base)

    def on_click(self, event: events.Click) -> None:
        for start, key in self.spans():
            if start <= event.x < start + _length(key) - GAP:
                self.app.simulate_key(key.key_at(event.x - start))


GAP = 2


def _length(key: Shown) -> int:
    return cell_len(key.display) + 1 + cell_len(key.words) + GAP
