"""The command palette: every action, and every entity as of the time cursor."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from tallystick import ledger
from tallystick.ledger.query.names import names_containing
from tallystick.tui.app.bindings import commands, run_command
from tallystick.tui.app.reading.reader_thread import Job
from tallystick.tui.output.escape import show

if TYPE_CHECKING:
    from tallystick.tui.app.reading.host import Host

MOST = 25
BY_NAME = ("pipelines", "models", "runs", "decisions", "slices", "waivers", "gates", "periods", "findings", "windows",
           "predictions", "environments")  # fmt: skip
"""Kinds that are searched, in the order of what people look for."""


def _app(provider: Provider) -> Host:
    return cast("Host", provider.app)


class Actions(Provider):
    """What the keys do, by its words."""

    async def discover(self) -> Hits:
        app = _app(self)
        for key, words, action in commands(app):
            yield DiscoveryHit(Content(f"{words}  ({key})"), partial(run_command, app, action), text=words)

    async def search(self, query: str) -> Hits:
        app, matcher = _app(self), self.matcher(query)
        for key, words, action in commands(app):
            score = matcher.match(words)
            if score > 0:
                # The words are the program's own; what is highlighted is text all the same, never markup.
                yield Hit(score, Content(f"{words}  ({key})"), partial(run_command, app, action), text=words)


class Entities(Provider):
    """Whatever there is at the time cursor, by its name."""

    async def search(self, query: str) -> Hits:
        app = _app(self)
        if app.moment is None or not query.strip():
            return
        as_of = app.moment.as_of
        for handle in await app.wait_for("palette", lambda book, job: names(book, job, query.strip(), as_of)):
            yield Hit(0.5, Content(show(handle, 200)), partial(app.open, handle), text=handle)


def names(book: ledger.Ledger, job: Job, text: str, as_of: ledger.AsOf) -> list[str]:
    """Handles that hold a text, the newest of each kind first."""
    found: list[str] = []
    for handle in names_containing(ledger.Snapshot(book.views, as_of), text, BY_NAME):
        if job.stale or len(found) >= MOST:
            break
        found.append(handle)
    if text.lstrip("#").isdigit() and int(text.lstrip("#")) <= as_of.seq:
        found.insert(0, f"#{int(text.lstrip('#'))}")
    return found
