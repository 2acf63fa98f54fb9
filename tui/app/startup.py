"""How the app begins: what it asks of the ledger first, and what stands there instead of panes where it cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tallystick.ledger.errors import Busy, InvalidInput, NewerFormat, NotFound, TallyError

if TYPE_CHECKING:
    from tallystick import ledger
    from tallystick.tui.app.reading.reader_thread import Job
    from tallystick.tui.app.widgets.lines import Line


def opening(begin_at: str | None) -> Callable[[ledger.Ledger, Job], tuple[str, ledger.AsOf | None]]:
    """The question for the origin, and for what time ``begin_at`` means."""

    def read(book: ledger.Ledger, _job: Job) -> tuple[str, ledger.AsOf | None]:
        import tallystick.tui.app.screens.board  # noqa: F401 - imported here, beside the screen's thread, for the first pane

        return book.origin, book.when(begin_at) if begin_at else None

    return read


def rollback_warnings(book: ledger.Ledger, _job: Job) -> list[str]:
    """Everything that there is to say where the ledger contradicts what this account remembers; else nothing."""
    from tallystick.ledger.verify.rollback_check import look

    found = look(book)
    return [*found.news, *found.warnings] if found.warnings else []


def is_damage(error: TallyError) -> bool:
    """Whether a ledger is there and cannot be read; not where it is missing, in use, newer, or asked wrongly."""
    return not isinstance(error, NotFound | InvalidInput | NewerFormat | Busy)


def trouble_lines(message: str, hint: str, is_damaged: bool) -> list[Line]:
    """What is wrong and what to do; of evidence, only where there is a ledger that cannot be read."""
    from tallystick.tui.app.widgets.lines import Line

    lines = [Line(message, "bold"), Line(hint), Line("")]
    if is_damaged:
        lines.append(Line("Nothing was changed. The evidence is in ledger.db; views are made from it again."))
        lines.append(Line("`tally verify` says what is wrong and what is still trusted.", "dim"))
    return [*lines, Line("q ends it.", "dim")]


def no_ledger(folder: Path) -> tuple[str, str]:
    """What is wrong where no ledger was found, and what to do."""
    return (
        f"There is no ledger at or above {folder}.",
        "Make one with `tally init` and run a pipeline with `tally run FILE.toml`; or name one: "
        "tally tui --ledger PATH",
    )


class FirstReading:
    """Says how far the views are, while they are made for the first time: at each percent, and not more often."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say
        self._share = 0.0

    def __call__(self, done: int, total: int) -> None:
        share = done / max(1, total)
        if share - self._share >= 0.01 or done >= total:
            self._share = 0.0 if done >= total else share
            self._say(f"reading the ledger for the first time: {share:.0%}")
