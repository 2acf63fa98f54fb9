"""The ledger of a model's life, readable at any past date.

    import tallystick

    with tallystick.open(".") as book:
        print(book.at("2013-06-30").champion("late-arrivals"))

The names listed in ``__all__`` are public; nothing else is promised to stay as it is. They come from
:mod:`tallystick.ledger`, and each is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.2.0"
"""The one place that says it: the wheel, ``tally --version`` and the head of every commit take it from here."""

if TYPE_CHECKING:
    from tallystick.ledger import (
        About,
        Appended,
        AsOf,
        Busy,
        Conflict,
        Damaged,
        Draft,
        Event,
        InvalidInput,
        Ledger,
        NewerFormat,
        NotFound,
        Refused,
        Snapshot,
        TallyError,
        Trial,
        create,
        find,
        open,
        run,
    )

__all__ = [
    "About",
    "Appended",
    "AsOf",
    "Busy",
    "Conflict",
    "Damaged",
    "Draft",
    "Event",
    "InvalidInput",
    "Ledger",
    "NewerFormat",
    "NotFound",
    "Refused",
    "Snapshot",
    "TallyError",
    "Trial",
    "__version__",
    "create",
    "find",
    "open",
    "run",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'tallystick' has no attribute {name!r}")
    from tallystick import ledger

    found: object = getattr(ledger, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
