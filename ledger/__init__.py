"""What happened in the life of models, and everything that follows from it alone.

    from tallystick import ledger

    with ledger.open(".") as book:
        print(book.at("2013-06-30").champion("late-arrivals"))

This page is the public face; nothing else is promised to stay as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tallystick.ledger.errors import (
        Busy,
        Conflict,
        Damaged,
        InvalidInput,
        NewerFormat,
        NotFound,
        Refused,
        TallyError,
    )
    from tallystick.ledger.events.encoding import Draft
    from tallystick.ledger.events.event import About, Event
    from tallystick.ledger.ledger import Ledger
    from tallystick.ledger.opening import create, find
    from tallystick.ledger.opening import open_ledger as open
    from tallystick.ledger.query.as_of import AsOf
    from tallystick.ledger.query.snapshot import Snapshot
    from tallystick.ledger.storage.append import Appended
    from tallystick.ledger.storage.artifacts import Artifact
    from tallystick.ledger.tracking.trial import Trial, run

__all__ = [
    "About",
    "Appended",
    "Artifact",
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
    "create",
    "find",
    "open",
    "run",
]

PLACES = {
    "events.event": ("About", "Event"),
    "events.encoding": ("Draft",),
    "ledger": ("Ledger",),
    "storage.append": ("Appended",),
    "storage.artifacts": ("Artifact",),
    "opening": ("create", "find", "open"),
    "query.snapshot": ("Snapshot",),
    "tracking.trial": ("Trial", "run"),
    "query.as_of": ("AsOf",),
    "errors": ("Busy", "Conflict", "Damaged", "InvalidInput", "NewerFormat", "NotFound", "Refused", "TallyError"),
}
"""Which module holds a name. Each is imported when the name is first used: the typed bodies and states of a ledger
take a tenth of a second, for which the command line's help and the app's first screen need not wait."""


def __getattr__(name: str) -> object:
    from importlib import import_module

    module = next((module for module, names in PLACES.items() if name in names), None)
    if module is None:
        raise AttributeError(f"module 'ledger' has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{module}"), "open_ledger" if name == "open" else name)
    globals()[name] = found
    return found
