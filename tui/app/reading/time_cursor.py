"""The time cursor of the app: where it stands, and what takes it elsewhere."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tallystick import ledger
    from tallystick.ledger.events.event import Period
    from tallystick.tui.app.reading.host import Host
    from tallystick.tui.app.reading.position import At
    from tallystick.tui.app.reading.reader_thread import Failed

DATES = "a date, a month, `2 weeks ago`, an event (#812) or a commit (c55)"


class TimeCursor:
    """Every movement ends with a look at the ledger from the new place."""

    def __init__(self, app: Host) -> None:
        self.app = app
        self.n: int | None = None
        """Commit that the cursor goes to; None at NOW. Written by movements in the reading thread, too."""
        self.typed: dt.datetime | None = None
        self.about: Period | None = None

    @property
    def at(self) -> At:
        """The place to read from, now."""
        from tallystick.tui.app.reading.position import At

        return At(self.n or 0, self.n is None, self.about, self.typed)

    def go(self, n: int | None) -> None:
        """To a commit; None is NOW."""
        self.typed = None
        self.n = n
        self.app.look()

    def step(self, way: int) -> None:
        """One commit back or on."""
        if self.app.moment is None:
            return
        newest = self.app.moment.newest
        there = (newest if self.n is None else self.n) + way
        # The newest commit is NOW, as for every other movement: one step back and one on lead to where one was.
        self.go(None if there >= newest and way > 0 else max(0, there))

    def move(self, name: Literal["a_day", "a_decision"], way: int) -> None:
        """Where a movement leads from the commit at which the one before it ended; none is left out."""
        if self.app.moment is None:
            return

        def read(book: ledger.Ledger, _job: object) -> None:
            from tallystick.tui.app.reading import time_steps

            last = book.size() - 1
            there = getattr(time_steps, name)(book, last if self.n is None else self.n, way)
            self.typed = None
            self.n = None if way > 0 and there >= last else there

        self.app.ask(f"move-{id(read)}", read, lambda _nothing: self.app.look())

    def go_to(self, text: str, failed: Failed) -> None:
        """To what was typed."""
        if text.strip() in ("", "now"):
            self.go(None)
            return

        def done(found: ledger.AsOf) -> None:
            self.n, self.typed = found.n, found.moment
            self.app.look()

        self.app.ask("date", lambda book, _job: book.when(text.strip()), done, failed)

    def point(self, at: dt.datetime) -> None:
        """To a moment of the timeline."""

        def read(book: ledger.Ledger, _job: object) -> int | None:
            now = book.now()
            commit = now.last_commit_by(at)
            return 0 if commit is None else None if commit.n == now.as_of.n else commit.n

        self.app.ask("point", read, self.go)

    def set_about(self, text: str, failed: Failed) -> None:
        """Knowledge about a period that was typed; about everything where nothing was."""

        def read(book: ledger.Ledger, _job: object) -> Period | None:
            from tallystick.ledger.query.as_of import parse_period

            return parse_period(text, book.zone) if text.strip() else None

        def done(period: Period | None) -> None:
            self.about = period
            self.app.look()

        self.app.ask("about", read, done, failed)
