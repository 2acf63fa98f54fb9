"""The zone of a ledger: how its dates are read and shown, whatever a stranger's ledger says they are."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tallystick.ledger.errors import Damaged


class Zone(ZoneInfo):
    """A zone in which every moment can be shown.

    The first hours of the year 1 and the last of the year 9999 lie outside of the calendar in zones that are behind or
    ahead of UTC; there a moment is shown as it stands, because an event may hold it and a screen must not fail.
    """

    def fromutc(self, moment: dt.datetime) -> dt.datetime:
        """The local form of a moment; see :meth:`datetime.tzinfo.fromutc`."""
        try:
            return super().fromutc(moment)
        except OverflowError:
            return moment


# Python forgets a zone as soon as nobody holds it, and would read its file again for every line of a screen.
@lru_cache(maxsize=8)
def zone_of(name: str) -> Zone:
    """The zone that a ledger names; Damaged where there is none of this name."""
    try:
        return Zone(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Damaged(f"The ledger's zone {name!r} is not a time zone.") from error
