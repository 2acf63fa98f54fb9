"""Every key that anything of the app binds, pressed at NOW and in the past; one that is not tried here fails."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from driving import Driver, driven
from textual.command import CommandPalette
from textual.dom import DOMNode

from tallystick import ledger
from tallystick.tui.app import screens, widgets
from tallystick.tui.app.app import TallyApp
from tallystick.tui.app.bindings import own_bindings
from tallystick.tui.app.panes import PANES
from tallystick.tui.app.reading.time_steps import a_day, a_decision
from tallystick.tui.app.screens.dialogs import AppendForm, Ask, Help
from tallystick.tui.app.widgets.lines import Lines
from tallystick.tui.app.widgets.rows import Rows

THEN = 32
"""A commit of the past, with decisions before and after it."""
GATE = "gate:late-arrivals-v2/calibration_in_large"


class Place:
    """The app, whether it is in the past, and the ledger to compare with."""

    def __init__(self, driver: Driver, book: ledger.Ledger, then: bool) -> None:
        self.driver, self.app, self.book = driver, driver.app, book
        self.start = THEN if then else None
        self.last = book.log.size() - 1
        self.here = THEN if then else self.last

    @property
    def rows(self) -> Rows:
        return self.app.pane.query(Rows).first()

    @property
    def lines(self) -> Lines:
        return self.app.pane.query(Lines).first()

    @property
    def pane(self) -> Any:
        return self.app.pane

    def is_over(self, kind: type) -> bool:
        """Whether a screen of a kind stands above the panes, ready for keys."""
        return isinstance(self.app.screen, kind) and self.app.screen.is_mounted and self.app.screen.focused is not None

    @property
    def is_bare(self) -> bool:
        """Whether nothing stands above the panes, and they have the keys."""
        return len(self.app.screen_stack) == 1 and self.app.focused is not None

    async def key(self, key: str, holds: Callable[[], object]) -> None:
        self.driver.send(key)
        await self.driver.until(holds)

    async def page(self, handle: str) -> None:
        self.app.open(handle)
        await self.driver.until(lambda: self.pane.id == "page" and self.pane.is_mounted and self.pane.shown == handle)
        await self.driver.settle()


Case = Callable[[Place, str], Awaitable[None]]
CASES: dict[str, tuple[str, Case]] = {}
"""``Class.key``: the pane that it is pressed on, and what it does."""


def case(pane: str, *names: str) -> Callable[[Case], Case]:
    def keep(function: Case) -> Case:
        CASES.update(dict.fromkeys(names, (pane, function)))
        return function

    return keep


# Everywhere ------------------------------------------------------------------------------------------------


@case("board", "TallyApp.left")
async def _(at: Place, key: str) -> None:
    await at.key(key, lambda: at.app.moment.as_of.n == at.here - 1)


@case("board", "TallyApp.right")
async def _(at: Place, key: str) -> None:
    await at.key("left", lambda: at.app.moment.as_of.n == at.here - 1)
    await at.key(key, lambda: at.app.moment.as_of.n == at.here)
    assert at.app.moment.at.is_now == (at.start is None)  # the way back ends where it began, also at NOW


@case("board", "TallyApp.shift+left", "TallyApp.shift+right", "TallyApp.left_square_bracket",
      "TallyApp.right_square_bracket")  # fmt: skip
async def _(at: Place, key: str) -> None:
    movement, way = (a_day if "shift" in key else a_decision), 1 if "right" in key else -1
    await at.key("left", lambda: at.app.moment.as_of.n == at.here - 1)
    expected = movement(at.book, at.here - 1, way)
    assert expected != at.here - 1
    await at.key(key, lambda: at.app.moment.as_of.n == expected)


@case("events", "TallyApp.g", "TallyApp.home")
async def _(at: Place, key: str) -> None:
    await at.key(key, lambda: at.app.moment.as_of.n == 0 and "THE PAST" in at.driver.banner)


@case("events", "TallyApp.G", "TallyApp.end")
async def _(at: Place, key: str) -> None:
    await at.key("g", lambda: at.app.moment.as_of.n == 0)
    await at.key(key, lambda: at.app.moment.at.is_now and "NOW" in at.driver.banner)


@case("board", "TallyApp.t", "TallyApp.colon")
async def _(at: Place, key: str) -> None:
    await at.key(key, lambda: at.is_over(Ask) and "Go to which time?" in at.driver.text)
    at.driver.send("c", "5", "enter")
    await at.driver.until(lambda: at.is_bare and at.app.moment.as_of.n == 5)


@case("board", "TallyApp.a")
async def _(at: Place, key: str) -> None:
    await at.key(key, lambda: at.is_over(Ask) and "about which period" in at.driver.text)
    at.driver.send(*"2013-04", "enter")
    await at.driver.until(lambda: at.is_bare and "about 2013-04-01" in at.driver.banner)
    await at.key(key, lambda: at.is_over(Ask))
    at.driver.send("enter")
    await at.driver.until(lambda: at.is_bare and "about" not in at.driver.banner)


@case("board", "TallyApp.slash")
async def _(at: Place, key: str) -> None:
    await at.key(key, lambda: at.app.focused is not None and at.app.focused.id == "filter")
    await at.driver.until(lambda: at.pane.id == "events" and at.pane.is_mounted)


@case("runs", "TallyApp.d")
async def _(at: Place, key: str) -> None:
    await at.key(key, lambda: at.app.mark_a is not None and f"A is c{at.here} (run:" in at.driver.text)
    await at.key(key, lambda: "[5 Difference]" in at.driver.text)


@case("runs", "TallyApp.y")
async def _(at: Place, key: str) -> None:
    await at.key(key, lambda: at.app.clipboard == at.rows.key and "copied run:" in at.driver.text)


@case("runs", "TallyApp.l")
async def _(at: Place, key: str) -> None:
    run = at.rows.key
    await at.key(key, lambda: at.pane.id == "lineage" and at.pane.is_mounted and at.rows.key == run)
    at.pane.wish = type(at.pane.wish)("")


@case("events", "TallyApp.escape")
async def _(at: Place, key: str) -> None:
    await at.page("#25")
    await at.key(key, lambda: not at.app.pages and at.pane.id == "events")


@case("board", *(f"TallyApp.{number}" for number in range(1, 7)))
async def _(at: Place, key: str) -> None:
    name = PANES[int(key) - 1]
    await at.key(key, lambda: f"[{key} {name.capitalize()}]" in at.driver.text and at.pane.display)


@case("board", "TallyApp.tab")
async def _(at: Place, key: str) -> None:
    await at.key(key, lambda: at.app.focused is at.lines)
    await at.key(key, lambda: at.app.focused is at.rows)


@case("events", "TallyApp.x", "TallyApp.A", "TallyApp.W", "AppendForm.escape")
async def _(at: Place, key: str) -> None:
    words = {"A": "Approve #", "W": "Waive calibration_in_large"}.get(key, "Correct #")
    if key == "A":
        await at.page("decision:2013-07-30.1")
    if key == "W":
        await at.page("run:2013-07-30.1")
        at.lines.cursor = next(index for index, line in enumerate(at.lines.lines) if line.key == GATE)
    size = at.last
    if at.start is not None:
        await at.key("x" if key == "escape" else key, lambda: "The past is read-only" in at.driver.text)
        assert len(at.app.screen_stack) == 1
        return
    await at.key("x" if key == "escape" else key, lambda: at.is_over(AppendForm) and words in at.driver.text)
    await at.key("escape", lambda: at.is_bare and "Nothing was recorded" in at.driver.text)
    assert at.book.log.size() - 1 == size


@case("board", "TallyApp.question_mark")
async def _(at: Place, key: str) -> None:
    await at.key(key, lambda: at.is_over(Help))


@case("board", "TallyApp.ctrl+p")
async def _(at: Place, key: str) -> None:
    await at.key(key, lambda: at.is_over(CommandPalette) and "one commit back" in at.driver.text)


@case("board", "TallyApp.q")
async def _(at: Place, key: str) -> None:
    """Pressed last, in the test itself."""


# On one screen ---------------------------------------------------------------------------------------------


@case("runs", "RunsPane.s", "RunsPane.r", "RunsPane.c")
async def _(at: Place, key: str) -> None:
    pane, field = at.pane, {"s": "by", "r": "ascending", "c": "columns"}[key]
    before = getattr(pane.order, field)
    await at.key(key, lambda: getattr(pane.listed, field) != before)
    pane.order = type(pane.order)()


@case("lineage", "LineagePane.space")
async def _(at: Place, key: str) -> None:
    at.rows.select(next(index for index, row in at.rows._rows.items() if row.key.startswith("run:")))
    total, run = at.rows.total, at.rows.key
    await at.key(key, lambda: at.rows.total < total and at.rows.key == run and "[+" in at.driver.text)
    await at.key(key, lambda: at.rows.total == total)


@case("lineage", "LineagePane.c")
async def _(at: Place, key: str) -> None:
    await at.key("up", lambda: at.rows.cursor >= 0)
    key_there = at.rows.key
    await at.key(key, lambda: at.pane.drawn_start == key_there)
    at.pane.wish = type(at.pane.wish)("")


@case("lineage", "LineagePane.u")
async def _(at: Place, key: str) -> None:
    for words in ("what it comes from", "what comes of it", "from its sources to its effects"):
        await at.key(key, lambda words=words: words in at.driver.text)  # type: ignore[misc]


@case("lineage", "LineagePane.plus", "LineagePane.equals_sign", "LineagePane.minus")
async def _(at: Place, key: str) -> None:
    more = key != "minus"
    await at.key(key, lambda: ("3 steps far" if more else "1 step far") in at.driver.text)
    await at.key("minus" if more else "plus", lambda: "2 steps far" in at.driver.text)


@case("lineage", "LineagePane.p")
async def _(at: Place, key: str) -> None:
    await at.key(key, lambda: "Mark the other end first" in at.driver.text)
    at.rows.select(next(index for index, row in at.rows._rows.items() if row.key.startswith("run:")))
    await at.key("d", lambda: at.app.mark_a is not None)
    at.rows.select(next(index for index, row in at.rows._rows.items() if row.key.startswith("model:")))
    await at.key(key, lambda: "all paths to model:late-arrivals-v2" in at.driver.text)
    at.pane.wish = type(at.pane.wish)("")


@case("integrity", "IntegrityPane.v")
async def _(at: Place, key: str) -> None:
    await at.key(key, lambda: "VERDICT   VERIFIED" in at.driver.text)


# In tables, texts and questions ----------------------------------------------------------------------------


@case("events", *(f"Rows.{key}" for key in ("up", "k", "down", "j", "pageup", "pagedown")))
async def _(at: Place, key: str) -> None:
    at.rows.select(40)
    far = at.rows.size.height - 2 if "page" in key else 1
    expected = 40 + (far if key in ("down", "j", "pagedown") else -far)
    await at.key(key, lambda: at.rows.cursor == expected and at.rows.row is not None)


@case("events", "Rows.enter")
async def _(at: Place, key: str) -> None:
    event = at.rows.key
    await at.key(key, lambda: at.app.pages == [event] and "sha256" in at.driver.text)


@case("events", *(f"Lines.{key}" for key in ("up", "k", "down", "j", "pageup", "pagedown")))
async def _(at: Place, key: str) -> None:
    await at.page("#25")
    back = key in ("up", "k", "pageup")
    for pressed in ([{"pageup": "pagedown"}.get(key, "down")] if back else []) + [key]:
        before = (at.lines.cursor, at.lines.scroll_offset.y)
        await at.key(pressed, lambda before=before: (at.lines.cursor, at.lines.scroll_offset.y) != before)  # type: ignore[misc]
    assert ((at.lines.cursor or 0, at.lines.scroll_offset.y) < before) == back


@case("events", "Lines.enter")
async def _(at: Place, key: str) -> None:
    await at.page("#25")
    chosen = at.lines.key
    await at.key(key, lambda: chosen and at.app.pages == ["#25", chosen])
    at.app.pages.clear()


@case("events", "Filter.enter", "Filter.escape")
async def _(at: Place, key: str) -> None:
    await at.key("slash", lambda: at.app.focused is not None and at.app.focused.id == "filter")
    at.driver.send(*"type:promoted")
    await at.driver.until(lambda: " found" in at.driver.text)
    await at.key(key, lambda: at.app.focused is at.rows)
    assert at.app.query_one("#filter").display == (key == "enter")
    await at.driver.until(lambda: (" found" in at.driver.text) == (key == "enter"))


@case("board", "Ask.escape")
async def _(at: Place, key: str) -> None:
    await at.key("t", lambda: at.is_over(Ask))
    await at.key(key, lambda: at.is_bare)
    assert at.app.cursor.n == at.start


@case("board", "Help.escape", "Help.question_mark", "Help.q")
async def _(at: Place, key: str) -> None:
    await at.key("question_mark", lambda: at.is_over(Help))
    await at.key(key, lambda: at.is_bare)


def every_key() -> set[str]:
    """Everything that a class of the app binds."""
    found = {TallyApp}
    for package in (screens, widgets):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            members = vars(importlib.import_module(module.name)).values()
            found |= {cls for cls in members if isinstance(cls, type) and issubclass(cls, DOMNode)}
    own = [cls for cls in found if cls.__module__.startswith("tallystick.tui.")]
    return {f"{cls.__name__}.{key}" for cls in own for binding in own_bindings(cls) for key in binding.key.split(",")}


def test_every_key_is_tried() -> None:
    assert set(CASES) == every_key()


@pytest.mark.parametrize("then", [False, True], ids=["now", "then"])
def test_every_key_does_what_it_says(lived: Path, then: bool) -> None:
    async def go() -> None:
        with ledger.open(lived) as book:
            async with driven(lived, (120, 30)) as driver:
                at = Place(driver, book, then)
                for name, (pane, function) in CASES.items():
                    await driver.show(pane, at.start)
                    try:
                        await function(at, name.partition(".")[2])
                    except AssertionError as error:
                        raise AssertionError(f"{name} {'in the past' if then else 'at NOW'}: {error}") from error
                await driver.show("board", at.start)
                driver.send("q")
                await driver.until(lambda: not driver.app.is_running)

    asyncio.run(go())
