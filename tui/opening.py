"""How the app begins: what it asks of the ledger first, and what stands there instead of panes where it cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ledger
    from tui.desk import Job
    from tui.widgets.lines import Line


def opening(begin_at: str | None) -> Callable[[ledger.Ledger, Job], tuple[str, ledger.AsOf | None]]:
    """The question for the origin, and for what time ``begin_at`` means."""

    def read(book: ledger.Ledger, _job: Job) -> tuple[str, ledger.AsOf | None]:
        import tui.screens.board  # noqa: F401 - imported here, beside the screen's thread, for the first pane

        return book.origin, book.when(begin_at) if begin_at else None

    return read


def standing(book: ledger.Ledger, _job: Job) -> list[str]:
    """Everything that there is to say where the ledger contradicts what this account remembers; else nothing."""
    from ledger.standing import look

    found = look(book)
    return [*found.news, *found.warnings] if found.warnings else []


def trouble_lines(message: str, hint: str, missing: bool) -> list[Line]:
    """What is wrong and what to do."""
    from tui.widgets.lines import Line

    lines = [Line(message, "bold"), Line(hint), Line("")]
    if not missing:
        lines.append(Line("Nothing was changed. The evidence is in ledger.db; views.db may be deleted at any time."))
        lines.append(Line("`tally verify` says what is wrong and what is still trusted.", "dim"))
    return [*lines, Line("q ends it.", "dim")]
