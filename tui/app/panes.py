"""The panes behind the number keys and the pages: each is made when it is first wanted, one is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical

if TYPE_CHECKING:
    from tallystick.tui.app.screens.pane import Pane
    from tallystick.tui.app.widgets.lines import Line, Lines

PANES = ("board", "runs", "lineage", "events", "difference", "integrity")
"""Names of the panes, in the order of their keys."""


class Panes(Vertical):
    """Holds the panes that were wanted so far."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._made: dict[str, Pane] = {}
        self._trouble: Lines | None = None
        self.shown: Pane | None = None
        """The pane whose answer is on the screen."""

    def pane(self, name: str) -> Pane:
        """A pane by its name; one that is new reads the ledger itself, once it is mounted."""
        if name not in self._made:
            from tallystick.tui.app.bindings import pane_class

            pane = self._made[name] = pane_class(name)(id=name)
            pane.display = not self._made.keys() - {name}
            self.mount(pane)
        return self._made[name]

    def show(self, pane: Pane) -> None:
        """Put a pane in front of the others."""
        if self.shown is not None:
            self.shown.mark_changed(frozenset())
        if self._trouble is not None:
            self._trouble.display = False
        for other in self._made.values():
            other.display = other is pane
        self.shown = pane

    def show_trouble(self, lines: list[Line]) -> None:
        """Show no pane, but what is wrong."""
        from tallystick.tui.app.widgets.lines import Lines

        for pane in self._made.values():
            pane.display = False
        self._trouble = Lines(id="trouble")
        self._trouble.begin(lines)
        self.mount(self._trouble)
        self._trouble.focus()
