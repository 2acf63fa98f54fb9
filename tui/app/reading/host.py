"""What the screens and the parts of the app need of the app, so that none of them imports it back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

from textual.binding import Binding
from textual.dom import DOMNode
from textual.geometry import Size
from textual.screen import Screen
from textual.widget import Widget

from tallystick.tui.app.reading.position import Mark, Moment
from tallystick.tui.app.reading.reader_thread import Failed, Work


class Host(Protocol):
    """The app, as its screens, its time cursor, its palette and its dialogs see it."""

    folder: Path
    """Folder of the ledger."""
    moment: Moment | None
    """The position on the screen; None before the first frame."""
    pages: list[str]
    """Handles of the open pages, the one in front last."""
    mark_a: Mark | None
    mark_b: Mark | None

    @property
    def size(self) -> Size:
        """Columns and rows of the terminal."""

    @property
    def pane(self) -> Widget:
        """The pane in front."""

    def look(self) -> None:
        """Read and show the pane in front, as of the cursor."""

    def ask(self, slot: str, work: Work, done: Callable[[Any], None], failed: Failed | None = None) -> None:
        """Read something for the screen; a newer question of the same slot replaces this one."""

    def ask_slowly(self, slot: str, work: Work, done: Callable[[Any], None], failed: Failed | None = None) -> None:
        """Read something that may take long, beside the frames."""

    def cancel_slow(self, slot: str) -> None:
        """Drop a slow question: its answer is not needed any more."""

    def wait_for(self, slot: str, work: Work) -> Awaitable[Any]:
        """The answer to a slow question, for a coroutine; an empty list if it failed."""

    def call_on_screen(self, function: Callable[..., object], *values: object) -> None:
        """Call a function on the screen's thread, from any thread."""

    def open(self, handle: str) -> None:
        """Open the page of a thing."""

    def say(self, words: str) -> None:
        """Show a remark until the next step or another pane."""

    def missing(self, handle: str, exists: bool) -> None:
        """Say that the selected thing does not exist at this time."""

    def filter_state(self, words: str = "") -> None:
        """Say how far a filter is; nothing without a filter."""

    def notify(self, message: str, *, markup: bool = True) -> None:
        """Show a message in the corner for some seconds."""

    def push_screen(self, screen: Screen[Any], callback: Callable[[Any], None] | None = None) -> object:
        """Open a dialog; ``callback`` gets its result."""

    def get_key_display(self, binding: Binding) -> str:
        """A key as people write it: ``⇧←``."""

    async def run_action(self, action: str, default_namespace: DOMNode | None = None) -> object:
        """Do an action by its text: ``step(-1)``."""
