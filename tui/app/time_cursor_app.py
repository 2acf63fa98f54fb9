"""An app with a time cursor: the actions that take it elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tallystick.tui.app.reading.time_cursor import DATES, TimeCursor
from tallystick.tui.app.reading_app import ReadingApp

if TYPE_CHECKING:
    from tallystick.tui.app.reading.position import Moment
    from tallystick.tui.app.reading.reader_thread import Failed
    from tallystick.tui.app.widgets.timeline import Timeline


class TimeCursorApp(ReadingApp):
    """Keys, dates that are typed, and clicks on the timeline move the cursor; each movement ends with a new frame."""

    cursor: TimeCursor
    """The position that is wanted."""
    moment: Moment | None = None
    """The position on the screen; None before the first frame."""

    def action_step(self, way: int) -> None:
        """One commit back or on."""
        self.cursor.step(way)

    def action_day(self, way: int) -> None:
        """To the end of the nearest day on which something was recorded."""
        self.cursor.move("a_day", way)

    def action_decision(self, way: int) -> None:
        """To the nearest decision, promotion or waiver."""
        self.cursor.move("a_decision", way)

    def action_first(self) -> None:
        """To the first commit."""
        self.cursor.go(0)

    def action_now(self) -> None:
        """To the newest commit, and on with it."""
        self.cursor.go(None)

    def action_date(self) -> None:
        """To a date that is typed."""
        self._ask_for("Go to which time?", f"{DATES}; empty: now", self.cursor.go_to)

    def action_about(self) -> None:
        """The period that knowledge is about."""
        hint = "a day, month or year, or 2013-04..2013-06; empty: all"
        self._ask_for("Knowledge about which period?", hint, self.cursor.set_about)

    def _ask_for(self, title: str, hint: str, done: Callable[[str, Failed], None], value: str = "") -> None:
        from tallystick.tui.app.screens.dialogs import Ask

        def typed(text: str | None) -> None:
            if text is not None:
                # A wrong date is shown again to be mended, with what is wrong with it.
                done(text, lambda error: self._ask_for(title, f"{error.message} {error.hint}", done, text))

        if self.moment is not None:
            self.push_screen(Ask(title, hint, value), typed)

    def on_timeline_pointed(self, event: Timeline.Pointed) -> None:
        """A click on the timeline."""
        self.cursor.point(event.at)
