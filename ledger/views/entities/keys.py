"""Keys of the log: which one signs, since when, and how it was handed on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant
from tallystick.ledger.views.projection import Change, Lookup, State, follow, projection


class KeyState(State, frozen=True, kw_only=True):
    key: str
    """Key id, eight hex digits."""
    verifier_key: str
    status: Literal["in force", "replaced", "left"]
    """``left``: its history was left for another name."""
    since: Instant
    until: Instant | None = None
    by: str
    reason: str | None = None
    vouched_for: bool
    """Whether the key before it signed the change; true for the first."""
    replaced_by: str | None = None


def keys(entry: Entry, current: Lookup) -> Iterator[Change]:
    """Keys: made with the ledger, rotated, or taken on with another name."""
    body = entry.event.body
    if isinstance(body, say.LedgerCreated):
        # NAME+ID+KEY; what is no key, which only a stranger's program says, is called by all of it.
        key = [*body.verifier_key.split("+"), body.verifier_key][1]
        yield key, _in_force(entry, key, body.verifier_key, None, True)
        return
    if before := current(body.old):
        status = "left" if isinstance(body, say.ForkAdopted) else "replaced"
        yield body.old, follow(before, entry, status=status, until=entry.recorded_at, replaced_by=body.new)
    yield body.new, _in_force(entry, body.new, body.new_key, body.reason, body.signed_by_old)


def _in_force(entry: Entry, key: str, verifier_key: str, reason: str | None, vouched_for: bool) -> KeyState:
    return KeyState(
        seq=entry.seq,
        key=key,
        verifier_key=verifier_key,
        status="in force",
        since=entry.recorded_at,
        by=entry.actor,
        reason=reason,
        vouched_for=vouched_for,
    )


KEYS = projection(
    "keys",
    "key",
    KeyState,
    (say.LedgerCreated, say.KeyRotated, say.ForkAdopted),
    keys,
    steady=(("key", "verifier_key", "since", "by", "reason", "vouched_for"),),
)
