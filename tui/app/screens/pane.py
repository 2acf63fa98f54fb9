"""What every pane can do: ask the ledger at the time cursor, show the answer, say what is selected."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.containers import Vertical

if TYPE_CHECKING:
    from tallystick import ledger
    from tallystick.tui.app.reading.host import Host
    from tallystick.tui.app.reading.position import Moment
    from tallystick.tui.app.reading.reader_thread import Job

Question = Callable[["ledger.Ledger", "Moment", "Job"], Any]


class Pane(Vertical):
    """One of the screens behind the number keys."""

    TITLE: ClassVar[str] = ""

    def on_mount(self) -> None:
        self.call_later(self.tally.look)

    @property
    def tally(self) -> Host:
        """The app, as far as a pane needs it."""
        return cast("Host", self.app)

    def question(self) -> Question:
        """What to read; called on the screen's thread, so that it may look at widgets, and answered in a reader's."""
        raise NotImplementedError

    def answer(self, moment: Moment, found: Any) -> None:
        """Show what was read."""
        raise NotImplementedError

    def mark_changed(self, handles: frozenset[str]) -> None:
        """Let what the last step changed stand out; nothing with an empty set."""

    @property
    def selected(self) -> str:
        """Handle of what is selected: ``model:late-arrivals-v1``, ``#812``; empty where nothing is."""
        return ""

    def subject(self, action: str) -> str:
        """Handle of what something would be appended about."""
        return self.selected

    @property
    def copied(self) -> str:
        """What `y` copies."""
        return self.selected

    def home(self) -> None:
        """Put the focus where the keys are most useful."""
        for widget in self.query("Rows, Lines"):
            if widget.display:
                widget.focus()
                return
