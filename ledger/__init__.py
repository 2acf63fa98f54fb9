"""What happened in the life of models, and everything that follows from it alone.

    import ledger

    with ledger.open(".") as book:
        print(book.at("2013-06-30").champion("late-arrivals"))

This page is the public face; nothing else is promised to stay as it is.
"""

from ledger.errors import (
    Busy,
    Conflict,
    Damaged,
    InvalidInput,
    NewerFormat,
    NotFound,
    Refused,
    TallyError,
)
from ledger.event import About, Event
from ledger.ledger import Draft, Ledger
from ledger.log import Appended
from ledger.opening import create, find
from ledger.opening import open_ledger as open
from ledger.snapshot import Snapshot
from ledger.trial import Trial, run
from ledger.when import AsOf

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
    "create",
    "find",
    "open",
    "run",
]
