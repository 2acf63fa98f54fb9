"""What every reader does on opening a ledger: compare it with what this account remembers, and remember more.

The check costs a few reads. It notices a restored backup, a rewritten history, another ledger of the same name and
a changed key at the very first command, whichever it is, long before anybody types ``tally verify``.
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from tallystick.ledger.errors import Busy, InvalidInput, TallyError
from tallystick.ledger.events.commit import from_micros
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.storage.key_history import Identity, open_stored
from tallystick.ledger.tlog import pins
from tallystick.ledger.tlog.note import Checkpoint, receipt_line

CLOCKS_DIFFER_BY = dt.timedelta(minutes=10)


class MemoryCheck(NamedTuple):
    """What there is to say."""

    news: list[str]
    """First contact, a key that changed in good order."""
    warnings: list[str]
    """Contradictions to what this account remembers."""


def look(ledger: Ledger, advance: bool = True) -> MemoryCheck:
    """Compare a ledger with this account's pin and mark; move both where nothing contradicts.

    Parameters
    ----------
    advance : bool
        False only looks.
    """
    news: list[str] = []
    warnings: list[str] = []
    try:
        identities = ledger.identities
    except TallyError as error:
        return MemoryCheck([], [f"Its key cannot be told: {error.message}"])
    origin = identities[-1].key.name
    try:
        if (trouble := pin_trouble(ledger, identities)) is not None:
            warnings.append(trouble)
        seen = pins.read_mark(origin)
        size = ledger.log.size()
        if seen is not None and not ledger.continues(seen):
            here = Checkpoint(origin, size, ledger.root_at(size))
            warnings.append(
                "This ledger does not continue what this account has seen of it before; it was rolled back or "
                f"rewritten. Seen: {receipt_line(seen)} . Here: {receipt_line(here)} ."
            )
        if advance and not warnings:
            news += _move_pin(identities)
            if seen is None or seen.size < size:
                pins.move_mark(Checkpoint(origin, size, ledger.root_at(size)), durable=False)
        if (behind := clock_trouble(ledger)) is not None:
            news.append(behind)
    except (InvalidInput, Busy) as error:
        # A reader without a place to remember in still gets an answer.
        news.append(error.message)
    return MemoryCheck(news, warnings)


def clock_trouble(ledger: Ledger) -> str | None:
    """That this machine's clock is behind the newest commit, and what follows; None where it is not.

    A few minutes are what machines differ by. The times of a replayed story are no clock's.
    """
    if ledger.genesis.clock == "replayed":
        return None
    now = ledger.clock().astimezone(dt.UTC)
    newest = from_micros(ledger.log.commit(ledger.log.size() - 1).recorded_at)
    if newest - now <= CLOCKS_DIFFER_BY:
        return None
    return (
        f"This machine's clock says {now:%Y-%m-%d %H:%M} UTC, but the newest commit was recorded "
        f"{newest:%Y-%m-%d %H:%M} UTC. Set the clock: until it is past that time, what is recorded is dated like the "
        "newest commit, and what ends at a date seems not to have ended."
    )


def pin_trouble(ledger: Ledger, identities: list[Identity]) -> str | None:
    """Why the key in force cannot be relied on by what was pinned; None where it can, or nothing was pinned."""
    identity = identities[-1]
    pin = pins.read_pin(identity.key.name)
    if pin is None or pin.key == identity.key.format():
        return None
    pinned = next((at for at, earlier in enumerate(identities) if earlier.key.format() == pin.key), None)
    if pinned is None:
        return (
            f"Its key {identity.key.key_id.hex()} is not the one that this account relies on since "
            f"{pin.since:%Y-%m-%d}: another ledger under the same name, or a key nobody here has vouched for."
        )
    for later in identities[pinned + 1 :]:
        if not later.continues:
            return (
                f"Its key was replaced by {later.key.key_id.hex()} without the old key's signature. If its owner "
                f"confirms the new key, type: tally key pin {later.key.format()}"
            )
        note = next((text for size, text in ledger.log.checkpoints() if size == later.from_size), None)
        try:
            open_stored(note or "", identities, later.from_size)
        except TallyError:
            return f"Its key was replaced by {later.key.key_id.hex()}, but the signatures of both are not there."
    return None


def _move_pin(identities: list[Identity]) -> list[str]:
    identity = identities[-1]
    pin = pins.read_pin(identity.key.name)
    if pin is None:
        pins.write_pin(identity.key, "first contact")
        return [
            f"First contact with {identity.key.name}: from now on this account relies on its key "
            f"{identity.key.key_id.hex()}. Compare it once with its owner's: tally key show"
        ]
    if pin.key != identity.key.format():
        pins.write_pin(identity.key, "rotated, signed by the key before")
        return [
            f"The key of {identity.key.name} is now {identity.key.key_id.hex()}; the key that this account relied on "
            "signed the change."
        ]
    return []
