"""The line above the timeline: a remark, what is missing, how far a filter is, and what the commit says."""

from __future__ import annotations

from tallystick.tui.app.widgets.bar import Bar


class StatusLine(Bar):
    """Its parts come and go separately and are shown in one line."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._note = ""
        self._lost = ""
        self._filtering = ""
        self._commit = ""

    def remark(self, words: str) -> None:
        """A remark, until :meth:`forget`."""
        self._note = words
        self._refresh_words()

    def forget(self) -> None:
        """No remark any more, from the next frame on."""
        self._note = ""

    def missing(self, handle: str, exists: bool) -> None:
        """Say with the next frame that the selected thing does not exist at this time."""
        self._lost = "" if exists or not handle else f"{handle} did not exist yet"

    def filter_state(self, words: str) -> None:
        """How far a filter is; nothing without a filter."""
        self._filtering = f"filter: {words}" if words else ""
        self._refresh_words()

    def frame(self, commit: str) -> None:
        """A new frame: what the commit at the cursor says."""
        self._commit = commit
        self._refresh_words()

    def begin_pane(self) -> None:
        """Another pane is in front: its filter is another one."""
        self._filtering = ""

    def _refresh_words(self) -> None:
        self.say(" · ".join(part for part in (self._note, self._lost, self._filtering, self._commit) if part))
