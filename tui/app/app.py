"""The terminal app. The time cursor is the app: every pane shows the ledger as of it.

Nothing is imported here that the first screen does not need: the ledger, its views and the panes come while it is
looked at already.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from tallystick.ledger.errors import TallyError
from tallystick.tui.app.follow import Following
from tallystick.tui.app.reader_thread import Desk, Work
from tallystick.tui.app.startup import is_damage, opening, standing, trouble_lines
from tallystick.tui.app.time_cursor import DATES, Cursor
from tallystick.tui.app.widgets.bar import Bar, Menu
from tallystick.tui.app.widgets.keys import STAYING, Keys
from tallystick.tui.app.widgets.timeline import Timeline
from tallystick.tui.output.escape import show

if TYPE_CHECKING:
    from textual.command import Provider
    from textual.timer import Timer
    from textual.widgets import Input

    from tallystick import ledger
    from tallystick.tui.app.position import Moment
    from tallystick.tui.app.screens.difference import Mark
    from tallystick.tui.app.screens.pane import Pane
    from tallystick.tui.app.widgets.filter import Filter

Failed = Callable[[TallyError], None]
POLL_SECONDS = 0.25
"""Between two looks at whether others appended something."""
HIGHLIGHT_SECONDS = 1.5
PANES = ("board", "runs", "lineage", "events", "difference", "integrity")
COMMIT, DAY, DECISION = (Binding.Group(words, compact=True) for words in ("commit", "day", "decision"))


def actions() -> type[Provider]:
    """The palette's actions, imported when the palette is opened."""
    from tallystick.tui.app.palette import Actions

    return Actions


def entities() -> type[Provider]:
    """The palette's entities."""
    from tallystick.tui.app.palette import Entities

    return Entities


class TallyApp(App[None]):
    """`tally tui`."""

    CSS_PATH = "theme.tcss"
    TITLE = "tally"
    COMMANDS = {actions, entities}  # noqa: RUF012 - the type that Textual declares
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "step(-1)", "one commit back", key_display="←", group=COMMIT),
        Binding("right", "step(1)", "one commit on", key_display="→", group=COMMIT),
        Binding("left_square_bracket", "decision(-1)", "the decision before", key_display="[", group=DECISION),
        Binding("right_square_bracket", "decision(1)", "the next decision", key_display="]", group=DECISION),
        Binding("t,colon", "date", "date", key_display="t", tooltip="to a date, a month, 2 weeks ago, #812, c55"),
        Binding("slash", "filter", "filter", key_display="/", tooltip="only what holds a text"),
        Binding("d", "mark", "diff", tooltip="mark A, then B: their difference"),
        Binding("a", "about", "about", tooltip="only what is about a period"),
        Binding("y", "copy", "copy", tooltip="copy the name of what is selected, or the receipt"),
        Binding("shift+left", "day(-1)", "a day back", key_display="⇧←", group=DAY),
        Binding("shift+right", "day(1)", "a day on", key_display="⇧→", group=DAY),
        Binding("g,home", "first", "to the beginning", key_display="g Home", show=False),
        Binding("G,end", "now", "to now, and on with it", key_display="G End", show=False),
        Binding("l", "lineage_of", "lineage of the selected", show=False),
        Binding("escape", "leave", "back", key_display="Esc", show=False),
        *(Binding(str(at + 1), f"show('{name}')", name.capitalize(), show=False) for at, name in enumerate(PANES)),
        Binding("tab", "app.focus_next", "to the list below, and back", show=False),
        Binding("x", "append('correct')", "correct: it does not count any more", show=False),
        Binding("A", "append('approve')", "approve with your own key", show=False),
        Binding("W", "append('waive')", "waive a gate", show=False),
        Binding("question_mark", "help", "keys", key_display="?", tooltip="every key"),
        Binding("ctrl+p", "command_palette", "everything by name", show=False, priority=True),
        Binding("q", "quit", "quit", tooltip="end the app; nothing is lost"),
    ]

    def __init__(self, folder: Path | None, as_of: str | None = None) -> None:
        super().__init__()
        self.folder = folder or Path()
        self._missing = folder is None
        self._begin_at = as_of
        self.cursor = Cursor(self)
        """Where the time cursor goes."""
        self.moment: Moment | None = None
        """What is on the screen."""
        self.mark_a: Mark | None = None
        self.mark_b: Mark | None = None
        self.pages: list[str] = []
        self.pane_name = "board"
        self._panes: dict[str, Pane] = {}
        self._shown: Pane | None = None
        self._is_open = self._is_broken = False
        self._filter: Filter | None = None
        self._note = ""
        self._lost = ""
        self._filtering = ""
        self._fading: Timer | None = None
        self._following = Following(self)
        self._front = Desk("front", self.folder, self.tell)
        self._back = Desk("back", self.folder, self.tell)
        self._loading = 0.0

    # Screen ------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield Bar(id="banner")
        yield Menu([pane.capitalize() for pane in PANES])
        yield Vertical(id="panes")
        yield Bar(id="said")
        yield Timeline()
        yield Keys()

    def on_mount(self) -> None:
        self._banner = self.query_one("#banner", Bar)
        self._said = self.query_one("#said", Bar)
        self._menu = self.query_one(Menu)
        self._strip = self.query_one(Timeline)
        self._banner.say("tally · opening the ledger …")
        if self._missing:
            self._trouble(
                f"There is no ledger at or above {Path.cwd()}.",
                "Make one with `tally init` and run a pipeline with `tally run FILE.toml`; or name one: "
                "tally tui --ledger PATH",
            )
            return
        self._front.on_progress = self._views_progress
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
        self.mount(self._filter, before=self._strip)
        self._back.start()
        self.ask("standing", standing, self._warn)
        self._following.draw_strip()
        self.set_interval(POLL_SECONDS, self._following.poll)

    def _warn(self, warnings: list[str]) -> None:
        if warnings:
            words = f"DO NOT RELY ON WHAT FOLLOWS: {' '.join(warnings)} v on 6 says what is wrong."
            self._banner.warn(words)
            self.notify(show(words, 400), severity="error", timeout=15, markup=False)

    def _failed(self, error: TallyError) -> None:
        if self.moment is None:
            self._trouble(error.message, error.hint, is_damage(error))
        else:
            self.say(f"{error.message} {error.hint}")

    def _trouble(self, message: str, hint: str, is_damaged: bool = False) -> None:
        """Instead of the panes: what is wrong and what to do."""
        from tallystick.tui.app.widgets.lines import Lines

        self._is_open, self._is_broken = False, True
        self._banner.say("tally · there is nothing to show")
        for pane in self._panes.values():
            pane.display = False
        trouble = Lines(id="trouble")
        trouble.begin(trouble_lines(message, hint, is_damaged))
        self.query_one("#panes").mount(trouble)
        trouble.focus()
        self.refresh_bindings()

    def _views_progress(self, done: int, total: int) -> None:
        share = done / max(1, total)
        if share - self._loading >= 0.01 or done >= total:
            self._loading = 0.0 if done >= total else share
            self.tell(self._said.say, f"reading the ledger for the first time: {share:.0%}")

    @property
    def pane(self) -> Pane:
        """What is shown, or will be with the next frame."""
        return self._pane("page" if self.pages else self.pane_name)

    def _pane(self, name: str) -> Pane:
        """A pane; one that is wanted for the first time is made, and looks at the ledger once it stands."""
        if name not in self._panes:
            from tallystick.tui.app.bindings import pane_class

            pane = self._panes[name] = pane_class(name)(id=name)
            pane.display = not self._panes.keys() - {name}
            self.query_one("#panes").mount(pane)
        return self._panes[name]

    @property
    def selected(self) -> str:
        """Handle of what is selected in the pane; empty where nothing is."""
        return self.pane.selected if self._is_open and self.pane.is_mounted else ""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Where there is nothing to show, only what works without it."""
        return not self._is_broken or action in STAYING

    def tell(self, function: Callable[..., object], *values: object) -> None:
        """Have something done on the screen's thread, from any thread."""
        if self.is_running:
            self.call_later(self._while_shown, function, *values)

    def _while_shown(self, function: Callable[..., object], *values: object) -> object:
        # What was put off may come up while the app ends, when its widgets are gone already.
        return function(*values) if self.is_running else None

    def ask(self, slot: str, work: Work, done: Callable[[Any], None], failed: Failed | None = None) -> None:
        """Have something read for the screen; a newer question of the same slot replaces this one."""
        self._front.ask(slot, work, done, failed or self._failed)

    def ask_slowly(self, slot: str, work: Work, done: Callable[[Any], None], failed: Failed | None = None) -> None:
        """The same for what may take long, beside the frames."""
        self._back.ask(slot, work, done, failed or self._failed)

    def cancel_slow(self, slot: str) -> None:
        """Nobody waits for it any more."""
        self._back.cancel(slot)

    async def wait_for(self, slot: str, work: Work) -> Any:
        """The answer to a question, where a coroutine wants it; an empty list where it failed."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def done(found: Any) -> None:
            if not future.done():
                future.set_result(found)

        self._back.ask(slot, work, done, lambda _error: done([]))
        return await future

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
            from tallystick.tui.app.position import read_moment

            # Read here and not when it was asked: several movements may have been made since.
            moment = read_moment(book, self.cursor.at)
            return moment, question(book, moment, job)

        def done(found: tuple[Moment, Any]) -> None:
            self._show_frame(pane, *found)

        self._front.ask("frame", read, done, self._failed)

    def _show_frame(self, pane: Pane, moment: Moment, found: Any) -> None:
        if pane is not self.pane:
            return
        before, self.moment = self.moment, moment
        self._lost = ""
        if before is None or pane is not self._shown or before.at != moment.at:
            self._note = ""
        if pane is not self._shown:
            if self._shown is not None:
                self._shown.mark_changed(frozenset())
            for other in self._panes.values():
                other.display = other is pane
            self._shown = pane
            self._filtering = ""
            if self._filter is None or self.focused is not self._filter:
                pane.home()
        past = not moment.at.is_now
        self._banner.say(*moment.heads, right="End: back to now" if past else "")
        self.set_class(past, "past")
        self._strip.point(moment.as_of.recorded_at, moment.at.is_now)
        pane.answer(moment, found)
        self._say_line()
        self._menu.choose(PANES.index(self.pane_name))
        if before is None:
            self.call_after_refresh(self._while_shown, self._furnish)
        elif abs(before.as_of.n - moment.as_of.n) == 1:
            if self._fading is not None:
                self._fading.stop()  # the step before must not end what this one shows
            pane.mark_changed(moment.touched)
            end = partial(self._while_shown, pane.mark_changed, frozenset())
            self._fading = self.set_timer(HIGHLIGHT_SECONDS, end)

    def missing(self, handle: str, exists: bool) -> None:
        """Say that what was selected is not there at this time; it is selected again where it is."""
        self._lost = "" if exists or not handle else f"{handle} did not exist yet"

    def say(self, words: str) -> None:
        """A remark in the line above the strip, until the next step or another pane."""
        self._note = words
        self._say_line()

    def _say_line(self) -> None:
        said = self.moment.said if self.moment else ""
        self._said.say(" · ".join(part for part in (self._note, self._lost, self._filtering, said) if part))

    def filter_state(self, words: str = "") -> None:
        """How far a filter is; nothing where there is none."""
        self._filtering = f"filter: {words}" if words else ""
        self._say_line()

    def on_resize(self, _event: events.Resize) -> None:
        if self.moment is not None:
            self._following.draw_strip()
            self.look()

    # Time --------------------------------------------------------------------------------------------------

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
        from tallystick.tui.app.screens.asking import Ask

        def typed(text: str | None) -> None:
            if text is not None:
                # What was typed wrongly is there to be mended, with what is wrong with it.
                done(text, lambda error: self._ask_for(title, f"{error.message} {error.hint}", done, text))

        if self.moment is not None:
            self.push_screen(Ask(title, hint, value), typed)

    def on_timeline_pointed(self, event: Timeline.Pointed) -> None:
        """A click on the strip."""
        self.cursor.point(event.at)

    # Panes -------------------------------------------------------------------------------------------------

    def action_show(self, name: str) -> None:
        """Another pane."""
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
        if event.input is self._filter and hasattr(pane := self._pane(self.pane_name), "set_filter"):
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
        from tallystick.tui.app.screens.difference import Mark

        if self.moment is None:
            return
        mark = Mark(self.moment.as_of.n, self.selected)
        if self.mark_a is None or self.mark_b is not None:
            self.mark_a, self.mark_b = mark, None
            self._strip.pin(A=self.moment.as_of.recorded_at)
            self.say(f"A is {mark.words}; go elsewhere and press d for B")
            return
        self.mark_b = mark
        self._strip.pin(**self._strip.pins, B=self.moment.as_of.recorded_at)
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
        from tallystick.tui.app.action_dialog import offer

        offer(self, name, handle)

    # Help --------------------------------------------------------------------------------------------------

    def action_help(self) -> None:
        """Every key, from the bindings."""
        from tallystick.tui.app.bindings import help_screen

        self.push_screen(help_screen(self, PANES))

    async def run_command(self, action: str) -> None:
        """Do what a key does."""
        name = action.partition("(")[0]
        where = self.pane if hasattr(self.pane, f"action_{name}") else self
        result = self.run_action(action, where)
        if inspect.isawaitable(result):
            await result

    def on_unmount(self) -> None:
        self._front.close()
        self._back.close()
