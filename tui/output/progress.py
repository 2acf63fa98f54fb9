"""A progress bar on standard error, for work that lasts longer than a moment."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from tallystick.tui.output.escape import show

PATIENCE_SECONDS = 0.7


class ProgressBar:
    """Call it with what was done, how much, of how much; used as a context manager it always cleans up.

    Nothing appears where standard error is no terminal, or where the work is over before anybody wonders.
    """

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._started = time.monotonic()

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __call__(self, what: str, done: int, total: int) -> None:
        if self._bar is None:
            if not sys.stderr.isatty() or time.monotonic() - self._started < PATIENCE_SECONDS:
                return
            self._start()
        self._bar.update(self._task, description=show(what), completed=done, total=max(total, 1))

    def close(self) -> None:
        """Take the bar away; the next call would show it again."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task("", total=None)
