"""The app driven by keys without a terminal, and what stands on its screen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from textual import events
from textual.pilot import Pilot

from tallystick.tui.app.app import TallyApp
from tallystick.tui.app.widgets.rows import Rows

NAMED = {"[": "left_square_bracket", "]": "right_square_bracket", "/": "slash", "?": "question_mark", " ": "space",
         "-": "minus", "#": "number_sign", "+": "plus", ":": "colon", ".": "full_stop", "@": "at",
         "_": "underscore"}  # fmt: skip


class Driver:
    """Keys in, text out."""

    def __init__(self, app: TallyApp, pilot: Pilot[None]) -> None:
        self.app, self.pilot = app, pilot

    async def settle(self) -> None:
        """Until both reader threads have nothing to do and what they found is on the screen."""
        quiet = 0
        for _ in range(600):
            await asyncio.sleep(0.005)
            # A message to every widget and back: whatever was sent before is handled.
            await self.pilot._wait_for_screen()
            await asyncio.sleep(0.005)
            readers = (self.app._front, self.app._back)
            busy = any(reader._pending or reader._running is not None for reader in readers) or self._is_drawing()
            quiet = 0 if busy else quiet + 1
            if quiet >= 3:
                return
        raise AssertionError("the app does not come to rest")

    def _is_drawing(self) -> bool:
        screen = self.app.screen
        return bool(screen._layout_required or screen._scroll_required or screen._dirty_widgets)

    async def until(self, holds: Callable[[], object], seconds: float = 90) -> None:
        """Until something is so: however long a loaded machine, another process or a search takes."""
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, f"it never came to be:\n{self.text}"
            await asyncio.sleep(0.005)

    async def sees(self, words: str) -> str:
        """The screen's text, once these words are in it."""
        await self.until(lambda: words in self.text)
        return self.text

    async def show(self, pane: str, n: int | None) -> None:
        """A pane at a commit, as it is at first, with nothing above it and its first row selected."""
        app = self.app
        while len(app.screen_stack) > 1:
            app.pop_screen()
        app.mark_a = app.mark_b = None
        app.action_leave()
        app.action_show(pane)
        app.cursor.go(n)
        await self.settle()
        app.pane.home()
        for rows in app.pane.query(Rows):
            rows.select(0)
        await self.settle()
        assert app.moment is not None and app.moment.at.is_now == (n is None), self.text
        assert app.pane.id == pane, (app.pane, app.pages)

    def send(self, *keys: str) -> None:
        """Press keys without waiting for what they do."""
        for key in keys:
            self._send(NAMED.get(key, key))

    async def press(self, *keys: str) -> str:
        """Press keys, one after the other; what stands there afterwards."""
        for key in keys:
            self._send(NAMED.get(key, key))
            await self.settle()
        return self.text

    async def type(self, text: str) -> str:
        """Type a text quickly."""
        for character in text:
            self._send(NAMED.get(character, character))
        await self.settle()
        return self.text

    def _send(self, key: str) -> None:
        # Pilot.press waits until the whole process is idle, which takes a second a key on a busy machine.
        character = next((c for c, name in NAMED.items() if name == key), key if len(key) == 1 else None)
        event = events.Key(key, character)
        event.set_sender(self.app)
        driver = self.app._driver
        assert driver is not None
        driver.send_message(event)

    async def go(self, when: str) -> str:
        """To a time, as people do."""
        await self.press("t")
        await self.type(when)
        return await self.press("enter")

    @property
    def text(self) -> str:
        """The screen as text."""
        return "\n".join(strip.text for strip in self.app.screen._compositor.render_strips())

    @property
    def banner(self) -> str:
        """Its first line."""
        return self.text.split("\n")[0]


@asynccontextmanager
async def driven(
    folder: Path | None, size: tuple[int, int] = (120, 36), as_of: str | None = None
) -> AsyncIterator[Driver]:
    """The app on a ledger, at rest."""
    app = TallyApp(folder, as_of)
    async with app.run_test(size=size) as pilot:
        driver = Driver(app, pilot)
        await driver.settle()
        yield driver
