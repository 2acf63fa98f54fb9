"""Facts on their way into a ledger: bodies in their envelopes, as canonical bytes with their hashes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from blake3 import blake3

from tallystick.ledger.events.event import (
    About,
    Event,
    Hashes,
    encode,
    encode_canonical,
    hashes_of_many,
    refuse_unrepresentable,
)
from tallystick.ledger.events.types import RELEASED, Body


class Draft(NamedTuple):
    """A body on its way into the ledger, with what the envelope needs to know."""

    body: Body
    about: About | None = None
    cause: tuple[str, ...] = ()
    """Ids (hexadecimal) of the events that led here."""
    occurred_at: dt.datetime | None = None
    """None: now."""


class Encoded(msgspec.Struct, frozen=True, gc=False):
    """An event ready to be written: canonical bytes, their hashes, and the entities they refer to."""

    type: str
    data: bytes
    hashes: Hashes
    entities: list[str]


def encoded(drafts: Sequence[Draft], salts: Sequence[bytes], now: dt.datetime) -> list[Encoded]:
    """Canonical bytes, hashes and entities of each draft; bulk appends spend their time here.

    Parameters
    ----------
    salts : sequence of bytes
        16 random bytes for each draft.
    now : datetime, UTC
        When those occurred that do not say it.

    Raises
    ------
    InvalidInput
        For what cannot be kept exactly.
    """
    written, entities = [], []
    for (body, about, cause, occurred_at), salt in zip(drafts, salts, strict=True):
        known = RELEASED[body.TYPE, body.VERSION]
        event = Event(
            t=body.TYPE,
            v=body.VERSION,
            salt=salt,
            occurred_at=now if occurred_at is None else occurred_at.astimezone(dt.UTC),
            body=body,
            about=about,
            cause=cause,
        )
        if known.free_form:
            refuse_unrepresentable(msgspec.to_builtins(body), body.TYPE)
        written.append(encode(event, known.decoder))
        entities.append(known.entities(body))
    types = [draft.body.TYPE for draft in drafts]
    return list(map(Encoded, types, written, zip(*hashes_of_many(written), strict=True), entities))


def content_digest(drafts: Sequence[Draft]) -> bytes:
    """What makes two appends the same content: everything but salts and unstated times."""
    content = [
        [draft.body.TYPE, draft.body.VERSION, draft.body, draft.about, draft.cause, draft.occurred_at]
        for draft in drafts
    ]
    return blake3(encode_canonical(content)).digest()
