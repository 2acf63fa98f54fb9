"""Progress on standard error, for work that lasts: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

import click

from tallystick.ledger.events.sentences import count
from tallystick.tui.output.escape import show

PATIENCE_SECONDS = 0.7
LINE_EVERY_SECONDS = 60.0
"""Between two lines in a log file."""


class ProgressBar:
    """Call it with what was done, how much, of how much; used as a context manager it always cleans up.

    Nothing appears where the work is over before anybody wonders.
    """

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._started = time.monotonic()
        self._last_line = self._started

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __call__(self, what: str, done: int, total: int) -> None:
        if not sys.stderr.isatty():
            self._line(what, done, total)
            return
        if self._bar is None:
            if time.monotonic() - self._started < PATIENCE_SECONDS:
                return
            self._start()
        self._bar.update(self._task, description=show(what), completed=done, total=max(total, 1))

    def _line(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last_line < LINE_EVERY_SECONDS:
            return
        self._last_line = now
        left = _left(now - self._started, done, total)
        click.echo(f"{done:,} of {max(total, done):,} done{left}: {show(what)}", err=True)

    def close(self) -> None:
        """Take the bar away; the next call would show it again."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.description}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task("", total=None)


def _left(seconds: float, done: int, total: int) -> str:
    """About how long the rest takes, if each part of the work takes as long as those before."""
    if not 0 < done < total:
        return ""
    minutes = seconds / done * (total - done) / 60
    return ", less than a minute left" if minutes < 1 else f", about {count(round(minutes), 'minute')} left"
