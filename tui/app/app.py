"""The terminal app. The time cursor is the app: every pane shows the ledger as of it.

Nothing is imported here that the first screen does not need: the ledger, its views and the panes come while it is
looked at already.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType

from tallystick.ledger.errors import TallyError
from tallystick.tui.app.follow import Follower
from tallystick.tui.app.keys import KEYS
from tallystick.tui.app.panes import PANES, Panes
from tallystick.tui.app.reading.time_cursor import TimeCursor
from tallystick.tui.app.startup import FirstReading, is_damage, no_ledger, opening, rollback_warnings, trouble_lines
from tallystick.tui.app.time_cursor_app import TimeCursorApp
from tallystick.tui.app.widgets.bar import Bar, Menu
from tallystick.tui.app.widgets.keys import STAYING, Keys
from tallystick.tui.app.widgets.status_line import StatusLine
from tallystick.tui.app.widgets.timeline import Timeline
from tallystick.tui.output.escape import show

if TYPE_CHECKING:
    from textual.command import Provider
    from textual.timer import Timer
    from textual.widgets import Input

    from tallystick import ledger
    from tallystick.tui.app.reading.position import Mark, Moment
    from tallystick.tui.app.screens.pane import Pane
    from tallystick.tui.app.widgets.filter import Filter

POLL_SECONDS = 0.25
"""Between two looks at whether others appended something."""
HIGHLIGHT_SECONDS = 1.5


def actions() -> type[Provider]:
    """The palette's actions, imported when the palette is opened."""
    from tallystick.tui.app.palette import Actions

    return Actions


def entities() -> type[Provider]:
    """The palette's entities."""
    from tallystick.tui.app.palette import Entities

    return Entities


class TallyApp(TimeCursorApp):
    """`tally tui`."""

    CSS_PATH = "theme.tcss"
    TITLE = "tally"
    COMMANDS = {actions, entities}  # noqa: RUF012 - the type that Textual declares
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [*KEYS]

    def __init__(self, folder: Path | None, as_of: str | None = None) -> None:
        super().__init__(folder or Path())
        self._missing = folder is None
        self._begin_at = as_of
        self.cursor = TimeCursor(self)
        self.mark_a: Mark | None = None
        self.mark_b: Mark | None = None
        self.pages: list[str] = []
        self.pane_name = "board"
        self._is_open = self._is_broken = self._is_damaged = False
        self._filter: Filter | None = None
        self._fading: Timer | None = None

    # Screen ------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield Bar(id="banner")
        yield Menu([pane.capitalize() for pane in PANES])
        yield Panes(id="panes")
        yield StatusLine(id="said")
        yield Timeline()
        yield Keys()

    def on_mount(self) -> None:
        self._banner = self.query_one("#banner", Bar)
        self._status = self.query_one(StatusLine)
        self._menu = self.query_one(Menu)
        self._panes = self.query_one(Panes)
        self._timeline = self.query_one(Timeline)
        self._follower = Follower(self, self.cursor, self._timeline)
        self._banner.say("tally · opening the ledger …")
        if self._missing:
            self._trouble(*no_ledger(Path.cwd()))
            return
        self._front.on_progress = FirstReading(lambda words: self.call_on_screen(self._status.say, words))
        self.ask("open", opening(self._begin_at), self._opened)
        # The first screen is drawn before anything else asks for the processor.
        self.call_after_refresh(self._front.start)

    def _opened(self, found: tuple[str, ledger.AsOf | None]) -> None:
        origin, begin_at = found
        if begin_at is not None:
            self.cursor.n, self.cursor.typed = begin_at.n, begin_at.moment
        self.title = f"tally · {origin}"
        self._is_open = True
        self.look()

    def _furnish(self) -> None:
        """What can wait until the first frame is on the screen."""
        from tallystick.tui.app.widgets.filter import Filter

        self._filter = Filter()
        self._filter.display = False
        self.mount(self._filter, before=self._timeline)
        self._back.start()
        self.ask("warnings", rollback_warnings, self._warn)
        self._follower.draw_timeline()
        self.set_interval(POLL_SECONDS, self._follower.poll)

    def _warn(self, warnings: list[str]) -> None:
        if warnings:
            words = f"DO NOT RELY ON WHAT FOLLOWS: {' '.join(warnings)} v on 6 says what is wrong."
            self._banner.warn(words)
            self.notify(show(words, 400), severity="error", timeout=15, markup=False)

    def failed(self, error: TallyError) -> None:
        if self.moment is None:
            self._trouble(error.message, error.hint, is_damage(error))
        else:
            self.say(f"{error.message} {error.hint}")

    def _trouble(self, message: str, hint: str, is_damaged: bool = False) -> None:
        """Instead of the panes: what is wrong and what to do."""
        self._is_open, self._is_broken, self._is_damaged = False, True, is_damaged
        self._banner.say("tally · there is nothing to show")
        self._panes.show_trouble(trouble_lines(message, hint, is_damaged))
        self.refresh_bindings()

    @property
    def pane(self) -> Pane:
        """What is shown, or will be with the next frame."""
        return self._panes.pane("page" if self.pages else self.pane_name)

    @property
    def selected(self) -> str:
        """Handle of what is selected in the pane; empty where nothing is."""
        return self.pane.selected if self._is_open and self.pane.is_mounted else ""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Where there is nothing to show, only what works without it; of a damaged ledger, its verification."""
        verifies = self._is_damaged and (action, parameters) == ("show", ("integrity",))
        return not self._is_broken or action in STAYING or verifies

    # The frame ---------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Read and show the pane in front, as of the cursor."""
        if not self._is_open:
            return
        pane = self.pane
        if not pane.is_mounted:
            return  # it looks itself, once it stands
        question = pane.question()

        def read(book: ledger.Ledger, job: Any) -> tuple[Moment, Any]:
            from tallystick.tui.app.reading.position import read_moment

            # Read here and not when it was asked: several movements may have been made since.
            moment = read_moment(book, self.cursor.at)
            return moment, question(book, moment, job)

        def done(found: tuple[Moment, Any]) -> None:
            self._show_frame(pane, *found)

        self._front.ask("frame", read, done, self.failed)

    def _show_frame(self, pane: Pane, moment: Moment, found: Any) -> None:
        if pane is not self.pane:
            return
        before, self.moment = self.moment, moment
        self._status.missing("", True)
        if before is None or pane is not self._panes.shown or before.at != moment.at:
            self._status.forget()
        if pane is not self._panes.shown:
            self._panes.show(pane)
            self._status.begin_pane()
            if self._filter is None or self.focused is not self._filter:
                pane.home()
        past = not moment.at.is_now
        self._banner.say(*moment.heads, right="End: back to now" if past else "")
        self.set_class(past, "past")
        self._timeline.point(moment.as_of.recorded_at, moment.at.is_now)
        pane.answer(moment, found)
        self._status.frame(moment.said)
        self._menu.choose(PANES.index(self.pane_name))
        if before is None:
            self.call_after_refresh(self.while_shown, self._furnish)
        elif abs(before.as_of.n - moment.as_of.n) == 1:
            if self._fading is not None:
                self._fading.stop()  # the step before must not end what this one shows
            pane.mark_changed(moment.touched)
            end = partial(self.while_shown, pane.mark_changed, frozenset())
            self._fading = self.set_timer(HIGHLIGHT_SECONDS, end)

    def missing(self, handle: str, exists: bool) -> None:
        """Say that what was selected is not there at this time; it is selected again where it is."""
        self._status.missing(handle, exists)

    def say(self, words: str) -> None:
        """A remark in the line above the timeline, until the next step or another pane."""
        self._status.remark(words)

    def filter_state(self, words: str = "") -> None:
        """How far a filter is; nothing where there is none."""
        self._status.filter_state(words)

    def on_resize(self, _event: events.Resize) -> None:
        if self.moment is not None:
            self._follower.draw_timeline()
            self.look()

    # Panes -------------------------------------------------------------------------------------------------

    def action_show(self, name: str) -> None:
        """Another pane."""
        if self._is_broken:
            pane = self._panes.pane(name)
            self._panes.show(pane)
            self._menu.choose(PANES.index(name))
            self.say("v verifies everything that is stored")
            self.call_after_refresh(self.while_shown, pane.home)
            return
        if self.pane_name != name:
            self._close_filter()
        self.pages.clear()
        self.pane_name = name
        self.look()

    def open(self, handle: str) -> None:
        """The page of a thing."""
        if self.pages[-1:] == [handle]:
            return
        self.pages.append(handle)
        self.look()

    def action_leave(self) -> None:
        """Out of the page, and back to what was filtered; then out of the filter."""
        is_typing = self._filter is not None and self.focused is self._filter
        if self.pages and not is_typing:
            self.pages.pop()
            self.look()
        else:
            self._close_filter()

    def action_lineage_of(self) -> None:
        """The lineage around what is selected."""
        from tallystick.tui.app.screens.lineage import LineagePane

        handle = self.selected
        if not handle:
            self.say("Nothing is selected.")
            return
        self.pages.clear()
        self.pane_name = "lineage"
        if isinstance(pane := self.pane, LineagePane):
            pane.centre(handle)

    def on_menu_chosen(self, event: Menu.Chosen) -> None:
        """A click on the menu."""
        self.action_show(PANES[event.place])

    # Filter ------------------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Only what holds a text; in the events, where nothing else can be filtered."""
        if self._filter is None:
            return
        if self.pages or not hasattr(self.pane, "set_filter"):
            self.action_show("events")
        self._filter.display = True
        self._filter.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input is self._filter and hasattr(pane := self._panes.pane(self.pane_name), "set_filter"):
            pane.set_filter(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.input is self._filter:
            self.pane.home()

    def _close_filter(self) -> None:
        if self._filter is not None and self._filter.display:
            self._filter.display = False
            self._filter.value = ""
            self.pane.home()

    # Marks, copying, appending -----------------------------------------------------------------------------

    def action_mark(self) -> None:
        """Mark A, then B: the second opens the difference."""
        from tallystick.tui.app.reading.position import Mark

        if self.moment is None:
            return
        mark = Mark(self.moment.as_of.n, self.selected)
        if self.mark_a is None or self.mark_b is not None:
            self.mark_a, self.mark_b = mark, None
            self._timeline.pin(A=self.moment.as_of.recorded_at)
            self.say(f"A is {mark.words}; go elsewhere and press d for B")
            return
        self.mark_b = mark
        self._timeline.pin(**self._timeline.pins, B=self.moment.as_of.recorded_at)
        self.action_show("difference")

    def action_copy(self) -> None:
        """Copy the id of what is selected, or the receipt."""
        text = self.pane.copied if self.moment is not None and self.pane.is_mounted else ""
        if not text:
            self.say("There is nothing to copy here.")
            return
        # What goes to the clipboard is pasted somewhere: it holds nothing that acts there either.
        self.copy_to_clipboard(show(text))
        self.say(f"copied {show(text, 300)}")

    def action_append(self, name: str) -> None:
        """Ask for a reason, show the event, append it."""
        if self.moment is None:
            return
        if self.cursor.n is not None:
            self.say("The past is read-only. End goes back to now; what is recorded there says that it is said now.")
            return
        handle = self.pane.subject(name) if self.pane.is_mounted else ""
        if not handle:
            self.say("Nothing is selected.")
            return
        from tallystick.tui.app.action_dialog import ask_and_append

        ask_and_append(self, name, handle)

    # Help --------------------------------------------------------------------------------------------------

    def action_help(self) -> None:
        """Every key, from the bindings."""
        from tallystick.tui.app.bindings import help_screen

        self.push_screen(help_screen(self, PANES))
