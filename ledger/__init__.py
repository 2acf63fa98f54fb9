"""What happened in the life of models, and everything that follows from it alone.

    from tallystick import ledger

    with ledger.open(".") as book:
        print(book.at("2013-06-30").champion("late-arrivals"))

This page is the public face; nothing else is promised to stay as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tallystick.ledger.errors import AfterCommit as AfterCommit
    from tallystick.ledger.errors import Busy as Busy
    from tallystick.ledger.errors import Conflict as Conflict
    from tallystick.ledger.errors import Damaged as Damaged
    from tallystick.ledger.errors import InvalidInput as InvalidInput
    from tallystick.ledger.errors import NewerFormat as NewerFormat
    from tallystick.ledger.errors import NotFound as NotFound
    from tallystick.ledger.errors import Refused as Refused
    from tallystick.ledger.errors import TallyError as TallyError
    from tallystick.ledger.events.encoding import Draft as Draft
    from tallystick.ledger.events.event import About as About
    from tallystick.ledger.events.event import Event as Event
    from tallystick.ledger.importing.importer import import_history as import_history
    from tallystick.ledger.ledger import Ledger as Ledger
    from tallystick.ledger.opening import create as create
    from tallystick.ledger.opening import find as find
    from tallystick.ledger.opening import open as open
    from tallystick.ledger.query.as_of import AsOf as AsOf
    from tallystick.ledger.query.snapshot import Snapshot as Snapshot
    from tallystick.ledger.storage.append import Appended as Appended
    from tallystick.ledger.storage.artifacts import Artifact as Artifact
    from tallystick.ledger.tracking.trial import Trial as Trial
    from tallystick.ledger.tracking.trial import run as run

PLACES = {
    "errors": (
        "AfterCommit", "Busy", "Conflict", "Damaged", "InvalidInput", "NewerFormat", "NotFound", "Refused",
        "TallyError",
    ),
    "events.encoding": ("Draft",),
    "events.event": ("About", "Event"),
    "importing.importer": ("import_history",),
    "ledger": ("Ledger",),
    "opening": ("create", "find", "open"),
    "query.as_of": ("AsOf",),
    "query.snapshot": ("Snapshot",),
    "storage.append": ("Appended",),
    "storage.artifacts": ("Artifact",),
    "tracking.trial": ("Trial", "run"),
}  # fmt: skip
"""Which module holds a public name; the imports above say the same to type checkers, which a test compares. Each is
imported when the name is first used: the typed bodies and states of a ledger take a tenth of a second, for which the
command line's help and the app's first screen need not wait."""

__all__ = sorted(name for names in PLACES.values() for name in names)  # noqa: PLE0605


def __getattr__(name: str) -> object:
    from importlib import import_module

    module = next((module for module, names in PLACES.items() if name in names), None)
    if module is None:
        raise AttributeError(f"module 'ledger' has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = found
    return found
