"""The terminal app. The time cursor is the app: every pane shows the ledger as of it."""

from __future__ import annotations

import asyncio
import datetime as dt
import inspect
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import ContentSwitcher, Footer, Input

import ledger
from ledger.commit import to_micros
from ledger.errors import TallyError
from ledger.event import Period
from ledger.standing import look as look_at
from ledger.when import parse_period
from tui.desk import Desk, Work
from tui.moment import At, Moment, a_day, a_decision, read_moment
from tui.screens.asking import Ask, Help, Offer
from tui.screens.board import BoardPane
from tui.screens.difference import DifferencePane, Mark
from tui.screens.events import HELP, EventsPane
from tui.screens.integrity import IntegrityPane
from tui.screens.lineage import LineagePane
from tui.screens.page import PagePane
from tui.screens.pane import Pane
from tui.screens.runs import RunsPane
from tui.show import show
from tui.widgets.bar import Bar, Menu
from tui.widgets.lines import Line, Lines
from tui.widgets.rows import Rows
from tui.widgets.timeline import Shape, Timeline, read_shape

if TYPE_CHECKING:
    from textual.command import Provider

    from tui.appending import Action

POLL_SECONDS = 0.4
HIGHLIGHT_SECONDS = 1.5
PANES = ("board", "runs", "lineage", "events", "difference", "integrity")
COMMIT, DAY, DECISION = (Binding.Group(words, compact=True) for words in ("commit", "day", "decision"))
DATES = "a date, a month, `2 weeks ago`, an event (#812) or a commit (c55)"


def actions() -> type[Provider]:
    """The palette's actions, imported when the palette is opened."""
    from tui.palette import Actions

    return Actions


def entities() -> type[Provider]:
    """The palette's entities."""
    from tui.palette import Entities

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
        Binding("shift+left", "day(-1)", "a day back", key_display="⇧←", group=DAY),
        Binding("shift+right", "day(1)", "a day on", key_display="⇧→", group=DAY),
        Binding("left_square_bracket", "decision(-1)", "the decision before", key_display="[", group=DECISION),
        Binding("right_square_bracket", "decision(1)", "the next decision", key_display="]", group=DECISION),
        Binding("g", "first", "to the beginning", show=False),
        Binding("G,end", "now", "now", key_display="G End", show=False),
        Binding("t,colon", "date", "date", key_display="t"),
        Binding("a", "about", "about which period", show=False),
        Binding("slash", "filter", "filter", key_display="/"),
        Binding("d", "mark", "diff"),
        Binding("y", "copy", "copy"),
        Binding("l", "lineage_of", "lineage of the selected", show=False),
        Binding("enter", "open_selected", "open", show=False),
        Binding("escape", "leave", "back", key_display="Esc", show=False),
        *(Binding(str(at + 1), f"show('{name}')", name, show=False) for at, name in enumerate(PANES)),
        Binding("tab", "app.focus_next", "next pane", show=False),
        Binding("x", "append('correct')", "correct: it does not count any more", show=False),
        Binding("A", "append('approve')", "approve with your own key", show=False),
        Binding("W", "append('waive')", "waive a gate", show=False),
        Binding("question_mark", "help", "keys", key_display="?"),
        Binding("ctrl+p", "command_palette", "palette", show=False, priority=True),
        Binding("q", "quit", "quit"),
    ]

    def __init__(self, folder: Path | None, as_of: str | None = None) -> None:
        super().__init__()
        self.folder = folder or Path()
        self._missing = folder is None
        self._begin_at = as_of
        self.target: int | None = None
        """Commit that the cursor goes to; None at NOW. Written by movements in the reading thread, too."""
        self.typed: dt.datetime | None = None
        self.about: Period | None = None
        self.moment: Moment | None = None
        """What is on the screen."""
        self.mark_a: Mark | None = None
        self.mark_b: Mark | None = None
        self.pages: list[str] = []
        self.pane_name = "board"
        self._note = ""
        self._lost = ""
        self._filtering = ""
        self._shape_size = (0, 0)
        self._version: int | None = None
        self._offer: Action | None = None
        self._front = Desk("front", self.folder, self.tell)
        self._back = Desk("back", self.folder, self.tell)
        self._loading = 0.0

    # Screen ------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield Bar(id="banner")
        yield Menu([pane.capitalize() for pane in PANES])
        with ContentSwitcher(initial="board", id="panes"):
            yield BoardPane(id="board")
            yield RunsPane(id="runs")
            yield LineagePane(id="lineage")
            yield EventsPane(id="events")
            yield DifferencePane(id="difference")
            yield IntegrityPane(id="integrity")
            yield PagePane(id="page")
            yield Lines(id="trouble")
        yield Bar(id="said")
        yield Input(id="filter", placeholder=HELP)
        yield Timeline()
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self.query_one("#filter").display = False
        self.query_one("#banner", Bar).say("tally · opening the ledger …")
        self.pane.home()
        if self._missing:
            self._trouble(
                f"There is no ledger at or above {Path.cwd()}.",
                "Make one with `tally init` and run a pipeline with `tally run FILE.toml`; or name one: "
                "tally tui --ledger PATH",
            )
            return
        self._front.on_progress = self._views_progress
        self._front.start()
        self._front.ask("open", self._opening, self._opened, self._failed)
        self.set_interval(POLL_SECONDS, self._poll)

    def _opening(self, book: ledger.Ledger, _job: object) -> tuple[str, list[str], int | None]:
        standing = look_at(book)
        n = book.when(self._begin_at).n if self._begin_at else None
        return book.origin, [*standing.news, *standing.warnings] if standing.warnings else [], n

    def _opened(self, found: tuple[str, list[str], int | None]) -> None:
        origin, warnings, n = found
        self.title = f"tally · {origin}"
        if warnings:
            words = f"DO NOT RELY ON WHAT FOLLOWS: {' '.join(warnings)} v on 6 says what is wrong."
            self.query_one("#banner", Bar).warn(words)
            self.notify(show(words, 400), severity="error", timeout=15, markup=False)
        self.target = n
        self._back.start()
        self.look()
        self._draw_strip()

    def _failed(self, error: TallyError) -> None:
        if self.moment is None:
            self._trouble(error.message, error.hint)
        else:
            self.say(f"{error.message} {error.hint}")

    def _trouble(self, message: str, hint: str) -> None:
        """Instead of the panes: what is wrong and what to do."""
        self.query_one("#panes", ContentSwitcher).current = "trouble"
        self.query_one("#banner", Bar).say("tally · there is nothing to show")
        lines = [Line(message, "bold"), Line(hint), Line("")]
        if not self._missing:
            lines.append(
                Line("Nothing was changed. The evidence is in ledger.db; views.db may be deleted at any time.")
            )
            lines.append(Line("`tally verify` says what is wrong and what is still trusted.", "dim"))
        lines.append(Line("q ends it.", "dim"))
        trouble = self.query_one("#trouble", Lines)
        trouble.begin(lines)
        trouble.focus()

    def _views_progress(self, done: int, total: int) -> None:
        share = done / max(1, total)
        if share - self._loading >= 0.01 or done >= total:
            self._loading = 0.0 if done >= total else share
            self.tell(self.query_one("#said", Bar).say, f"reading the ledger for the first time: {share:.0%}")

    @property
    def pane(self) -> Pane:
        """What is shown."""
        return self.query_one(f"#{'page' if self.pages else self.pane_name}", Pane)

    def tell(self, function: Callable[..., object], *values: object) -> None:
        """Have something done on the screen's thread, from any thread."""
        if self.is_running:
            self.call_later(self._while_shown, function, *values)

    def _while_shown(self, function: Callable[..., object], *values: object) -> object:
        # What was put off may come up while the app ends, when its widgets are gone already.
        return function(*values) if self.is_running else None

    def ask(self, slot: str, work: Work, done: Callable[[Any], None]) -> None:
        """Have something read for the screen; a newer question of the same slot replaces this one."""
        self._front.ask(slot, work, done, self._failed)

    def ask_slowly(self, slot: str, work: Work, done: Callable[[Any], None]) -> None:
        """The same for what may take long, beside the frames."""
        self._back.ask(slot, work, done, self._failed)

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
        if self._missing:
            return
        pane = self.pane
        question = pane.question()

        def read(book: ledger.Ledger, job: Any) -> tuple[Moment, Any]:
            # Read here and not when it was asked: several movements may have been made since.
            target = self.target
            moment = read_moment(book, At(target or 0, target is None, self.about, self.typed))
            return moment, question(book, moment, job)

        def done(found: tuple[Moment, Any]) -> None:
            self._show_frame(pane, *found)

        self._front.ask("frame", read, done, self._failed)

    def _show_frame(self, pane: Pane, moment: Moment, found: Any) -> None:
        if pane is not self.pane:
            return
        before, self.moment = self.moment, moment
        pane.loaded = moment
        self._lost = ""
        panes = self.query_one("#panes", ContentSwitcher)
        wanted = pane.id
        if panes.current != wanted:
            panes.current = wanted
            pane.home()
        banner = self.query_one("#banner", Bar)
        past = not moment.at.is_now
        banner.say(*moment.heads, right="End: back to now" if past else "")
        self.set_class(past, "past")
        timeline = self.query_one(Timeline)
        timeline.point(moment.as_of.recorded_at, moment.at.is_now)
        pane.answer(moment, found)
        self._say_line()
        if before is not None and abs(before.as_of.n - moment.as_of.n) == 1:
            pane.mark_changed(moment.touched)
            self.set_timer(HIGHLIGHT_SECONDS, partial(self._while_shown, pane.mark_changed, frozenset()))
        self.query_one(Menu).choose(PANES.index(self.pane_name))

    def missing(self, handle: str, exists: bool) -> None:
        """Say that what was selected is not there at this time; it is selected again where it is."""
        self._lost = "" if exists or not handle else f"{handle} did not exist yet"

    def say(self, words: str) -> None:
        """A remark in the line above the strip, until the next step."""
        self._note = words
        self._say_line()
        self._note = ""

    def _say_line(self) -> None:
        said = self.moment.said if self.moment else ""
        text = " · ".join(part for part in (self._note, self._lost, self._filtering, said) if part)
        self.query_one("#said", Bar).say(text)

    def filter_state(self, words: str) -> None:
        """How far a filter is."""
        self._filtering = f"filter: {words}" if words else ""
        self._say_line()

    def _draw_strip(self) -> None:
        width = max(10, self.size.width - 2)
        newest = self.moment.newest if self.moment else -1
        if (width, newest) == self._shape_size:
            return
        self._shape_size = (width, newest)

        def done(shape: Shape) -> None:
            self.query_one(Timeline).draw(shape)

        self.ask_slowly("strip", lambda book, _job: read_shape(book, width), done)

    def on_resize(self, _event: events.Resize) -> None:
        if self.moment is not None:
            self._draw_strip()
            self.look()

    def _poll(self) -> None:
        """Whether anybody appended something; cheaper to ask than any table."""
        if self.moment is None:
            return

        def read(book: ledger.Ledger, _job: object) -> tuple[int, int]:
            version = int(book.log.reader.execute("PRAGMA data_version").fetchone()[0])
            return version, (book.log.size() - 1 if version != self._version else -1)

        def done(found: tuple[int, int]) -> None:
            self._version, newest = found
            moment = self.moment
            if moment is None or newest <= moment.newest:
                return
            if self.target is None:
                self.look()
            else:
                # A cursor in the past stays where it is; the world behind it grows.
                self.moment = moment._replace(newest=newest)
            self._draw_strip()

        self._front.ask("poll", read, done, self._failed)

    # Time --------------------------------------------------------------------------------------------------

    def go(self, n: int | None) -> None:
        """Put the cursor on a commit; None is NOW."""
        self.typed = None
        self.target = n
        self.look()

    def action_step(self, way: int) -> None:
        """One commit back or on."""
        if self.moment is None:
            return
        here = self.moment.newest if self.target is None else self.target
        there = here + way
        self.go(None if there > self.moment.newest else max(0, there))

    def _move(self, movement: Callable[[ledger.Ledger, int, int], int], way: int) -> None:
        if self.moment is None:
            return
        slot = f"move-{id(object())}-{way}"

        def read(book: ledger.Ledger, _job: object) -> None:
            last = book.log.size() - 1
            here = last if self.target is None else self.target
            there = movement(book, here, way)
            self.typed = None
            self.target = None if way > 0 and there >= last else there

        self._front.ask(slot, read, lambda _nothing: self.look(), self._failed)

    def action_day(self, way: int) -> None:
        """To the end of the nearest day on which something was recorded."""
        self._move(a_day, way)

    def action_decision(self, way: int) -> None:
        """To the nearest decision, promotion or waiver."""
        self._move(a_decision, way)

    def action_first(self) -> None:
        """To the first commit."""
        self.go(0)

    def action_now(self) -> None:
        """To the newest commit, and on with it."""
        self.go(None)

    def action_date(self) -> None:
        """To a date that is typed."""
        if self.moment is not None:
            self.push_screen(Ask("Go to which time?", f"{DATES}; empty: now"), self._go_to)

    def _go_to(self, text: str | None) -> None:
        if text is None:
            return
        if not text.strip() or text.strip() == "now":
            self.go(None)
            return

        def done(found: ledger.AsOf) -> None:
            self.target, self.typed = found.n, found.moment
            self.look()

        self._front.ask("date", lambda book, _job: book.when(text.strip()), done, self._failed)

    def on_timeline_pointed(self, event: Timeline.Pointed) -> None:
        """A click on the strip."""
        micros = to_micros(event.at)

        def read(book: ledger.Ledger, _job: object) -> int | None:
            commit = book.log.last_commit_by(micros)
            last = book.log.size() - 1
            return 0 if commit is None else None if commit.n == last else commit.n

        self._front.ask("point", read, self.go, self._failed)

    def action_about(self) -> None:
        """The period that knowledge is about."""
        if self.moment is not None:
            self.push_screen(
                Ask("Knowledge about which period?", "a day, month or year, or 2013-04..2013-06; empty: all"),
                self._set_about,
            )

    def _set_about(self, text: str | None) -> None:
        if text is None:
            return

        def read(book: ledger.Ledger, _job: object) -> Period | None:
            return parse_period(text, book.zone) if text.strip() else None

        def done(period: Period | None) -> None:
            self.about = period
            self.look()

        self._front.ask("about", read, done, self._failed)

    # Panes -------------------------------------------------------------------------------------------------

    def action_show(self, name: str) -> None:
        """Another pane."""
        if self._missing or (self.moment is None and self.query_one("#panes", ContentSwitcher).current == "trouble"):
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
        self.query_one("#page", PagePane).handle = handle
        self.look()

    def action_open_selected(self) -> None:
        """The page of what is selected."""
        if self.pane.selected and not self.pages:
            self.open(self.pane.selected)

    def action_leave(self) -> None:
        """Out of the filter, or of the page."""
        if self.query_one("#filter").display:
            self._close_filter()
        elif self.pages:
            self.pages.pop()
            if self.pages:
                self.query_one("#page", PagePane).handle = self.pages[-1]
            self.look()

    def action_lineage_of(self) -> None:
        """The lineage around what is selected."""
        handle = self.pane.selected
        if not handle:
            self.say("Nothing is selected.")
            return
        self.pages.clear()
        self.pane_name = "lineage"
        self.query_one(LineagePane).centre(handle)

    def on_menu_chosen(self, event: Menu.Chosen) -> None:
        """A click on the menu."""
        self.action_show(PANES[event.place])

    # Filter ------------------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Only what holds a text; in the events, where nothing else can be filtered."""
        if self.pages or not hasattr(self.pane, "set_filter"):
            self.action_show("events")
        box = self.query_one("#filter", Input)
        box.display = True
        box.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input.id == "filter":
            self._filtered(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.input.id == "filter":
            self.pane.home()

    def _filtered(self, text: str) -> None:
        pane = self.query_one(f"#{self.pane_name}", Pane)
        if hasattr(pane, "set_filter"):
            pane.set_filter(text)

    def _close_filter(self) -> None:
        box = self.query_one("#filter", Input)
        if box.display:
            box.display = False
            box.value = ""
            self.pane.home()

    # Marks, copying, appending -----------------------------------------------------------------------------

    def action_mark(self) -> None:
        """Mark A, then B: the second opens the difference."""
        if self.moment is None:
            return
        mark = Mark(self.moment.as_of.n, self.pane.selected)
        if self.mark_a is None or self.mark_b is not None:
            self.mark_a, self.mark_b = mark, None
            self.say(f"A is {mark.words}; go elsewhere and press d for B")
            return
        self.mark_b = mark
        self.action_show("difference")

    def action_copy(self) -> None:
        """Copy the id of what is selected, or the receipt."""
        text = self.pane.copied
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
        if self.target is not None:
            self.say("The past is read-only. End goes back to now; what is recorded there says that it is said now.")
            return
        handle = self.pane.selected
        if isinstance(self.pane, PagePane):
            handle = self.pane.query_one(Lines).key if name == "waive" else self.pane.handle
        if not handle:
            self.say("Nothing is selected.")
            return

        from tui.appending import ACTIONS

        def done(action: Action) -> None:
            self._offer = action
            self.push_screen(Offer(action.title, action.fields, action.words), self._append)

        self.ask_slowly("offer", lambda book, _job: ACTIONS[name](book, handle), done)

    def preview_offer(self, offer: Offer) -> None:
        """Show the event that would be appended."""
        from tui.appending import preview_text

        action, values = self._offer, offer.values
        if action is None:
            return

        def failed(error: TallyError) -> None:
            offer.show_event(f"{error.message} {error.hint}", trouble=True)

        self._back.ask("offer", lambda book, _job: preview_text(action.preview(book, values)), offer.show_event, failed)

    def _append(self, values: dict[str, str] | None) -> None:
        action, self._offer = self._offer, None
        if values is None or action is None:
            self.say("Nothing was recorded.")
            return

        def read(book: ledger.Ledger, _job: object) -> str:
            return book.commit_handle(action.record(book, values))

        def done(handle: str) -> None:
            self.look()
            self.notify(f"recorded in {handle}", markup=False)

        self.ask_slowly("append", read, done)

    # Help --------------------------------------------------------------------------------------------------

    def commands(self) -> Iterator[tuple[str, str, str]]:
        """Every action that a key does here: the key, its words, the action."""
        for binding in (*_bindings(type(self)), *_bindings(type(self.pane))):
            yield self.get_key_display(binding), binding.description, binding.action

    async def run_command(self, action: str) -> None:
        """Do what a key does."""
        name = action.partition("(")[0]
        where = self.pane if hasattr(self.pane, f"action_{name}") else self
        result = self.run_action(action, where)
        if inspect.isawaitable(result):
            await result

    def action_help(self) -> None:
        """Every key, from the bindings."""
        groups = [("everywhere", _keys(self, type(self)))]
        groups += [
            (cls.TITLE, _keys(self, cls))
            for cls in (RunsPane, LineagePane, EventsPane, IntegrityPane)
            if _bindings(cls)
        ]
        groups.append(("in tables and texts", _keys(self, Rows)))
        more = (
            "◆ a promotion  ▲ a waiver  ✖ a failed gate  ! an alarm  ✓ a signed checkpoint; the bars are events.",
            f"Filter: {HELP}.",
            "Mouse: click a line to select it, again to open it; click the strip to go there.",
        )
        self.push_screen(Help(groups, more))

    def on_unmount(self) -> None:
        self._front.close()
        self._back.close()


def _bindings(cls: type) -> list[Binding]:
    own = cls.__dict__.get("BINDINGS", [])
    return [binding for binding in own if isinstance(binding, Binding)]


def _keys(app: TallyApp, cls: type) -> list[tuple[str, str]]:
    return [(app.get_key_display(binding), binding.description) for binding in _bindings(cls)]
