"""Appending from the app: ask for what must be said, show the very event, and append it only then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallystick.tui.app.actions import ACTIONS, Action, Values, preview_text
from tallystick.tui.app.screens.dialogs import AppendForm

if TYPE_CHECKING:
    from tallystick import ledger
    from tallystick.tui.app.reading.host import Host


def ask_and_append(app: Host, name: str, handle: str) -> None:
    """Do one of :data:`tui.app.actions.ACTIONS` about what is selected."""

    def preview(action: Action, screen: AppendForm) -> None:
        values = screen.values
        app.ask_slowly(
            "preview",
            lambda book, _job: preview_text(action.preview(book, values)),
            screen.show_event,
            lambda error: screen.show_event(f"{error.message} {error.hint}", trouble=True),
        )

    def append(action: Action, values: Values | None) -> None:
        if values is None:
            app.say("Nothing was recorded.")
            return

        def record(book: ledger.Ledger, _job: object) -> str:
            return book.commit_handle(action.record(book, values))

        def done(recorded: str) -> None:
            app.look()
            app.notify(f"recorded in {recorded}", markup=False)

        app.ask_slowly("append", record, done)

    def ask(action: Action) -> None:
        screen = AppendForm(action.title, action.fields, action.words, lambda shown: preview(action, shown))
        app.push_screen(screen, lambda values: append(action, values))

    app.ask_slowly("form", lambda book, _job: ACTIONS[name](book, handle), ask)
