"""An app that reads a ledger beside its screen: two threads, one for frames and one for what may take long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.app import App

from tallystick.ledger.errors import TallyError
from tallystick.tui.app.reading.reader_thread import Failed, ReaderThread, Work


class ReadingApp(App[None]):
    """Asks questions, and gets the answers on the screen's thread."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self._front = ReaderThread("front", self.folder, self.call_on_screen)
        self._back = ReaderThread("back", self.folder, self.call_on_screen)

    def failed(self, error: TallyError) -> None:
        """What happens with the error of a question that has no answer for it of its own."""
        raise NotImplementedError

    def call_on_screen(self, function: Callable[..., object], *values: object) -> None:
        """Call a function on the screen's thread, from any thread."""
        if self.is_running:
            self.call_later(self.while_shown, function, *values)

    def while_shown(self, function: Callable[..., object], *values: object) -> object:
        """Call a function unless the app is ending, when its widgets are gone already."""
        return function(*values) if self.is_running else None

    def ask(self, slot: str, work: Work, done: Callable[[Any], None], failed: Failed | None = None) -> None:
        """Read something for the screen; a newer question of the same slot replaces this one."""
        self._front.ask(slot, work, done, failed or self.failed)

    def ask_slowly(self, slot: str, work: Work, done: Callable[[Any], None], failed: Failed | None = None) -> None:
        """Read something that may take long, beside the frames."""
        self._back.ask(slot, work, done, failed or self.failed)

    def cancel_slow(self, slot: str) -> None:
        """Drop a slow question: its answer is not needed any more."""
        self._back.cancel(slot)

    async def wait_for(self, slot: str, work: Work) -> Any:
        """The answer to a slow question, for a coroutine; an empty list if it failed."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def done(found: Any) -> None:
            if not future.done():
                future.set_result(found)

        self._back.ask(slot, work, done, lambda _error: done([]))
        return await future

    def on_unmount(self) -> None:
        self._front.close()
        self._back.close()
