"""What others append while the app is open, and the timeline, which grows with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallystick.tui.app.widgets.timeline import Shape, Timeline

if TYPE_CHECKING:
    from tallystick import ledger
    from tallystick.tui.app.reading.host import Host
    from tallystick.tui.app.reading.time_cursor import TimeCursor


class Follower:
    """Looks whether the ledger has grown: a cursor at NOW goes along, one in the past stays."""

    def __init__(self, app: Host, cursor: TimeCursor, timeline: Timeline) -> None:
        self.app, self.cursor, self.timeline = app, cursor, timeline
        self._version: int | None = None
        self._drawn = (0, 0)
        """Width and newest commit of the timeline."""

    def poll(self) -> None:
        """Ask for SQLite's counter of commits, which is cheaper than any table, and for the rest where it moved."""

        def read(book: ledger.Ledger, _job: object) -> tuple[int, int]:
            version = book.change_counter()
            return version, (book.size() - 1 if version != self._version else -1)

        def done(found: tuple[int, int]) -> None:
            self._version, newest = found
            moment = self.app.moment
            if moment is None or newest <= moment.newest:
                return
            if self.cursor.n is None:
                self.app.look()
            else:
                self.app.moment = moment._replace(newest=newest)
            self.draw_timeline()

        self.app.ask("poll", read, done)

    def draw_timeline(self) -> None:
        """Count and mark anew, where there is more to show or another width to show it in."""
        width = max(10, self.app.size.width - 2)
        newest = self.app.moment.newest if self.app.moment else -1
        if (width, newest) == self._drawn:
            return
        self._drawn = (width, newest)

        def read(book: ledger.Ledger, _job: object) -> Shape:
            from tallystick.tui.app.reading.timeline_data import read_shape

            return read_shape(book, width)

        self.app.ask_slowly("timeline", read, self.timeline.draw)
