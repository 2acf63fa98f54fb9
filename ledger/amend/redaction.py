"""Erasing what must not be kept, without breaking what was proved.

First an event says which event is erased, why, and on whose authority; it is signed. Only then the body goes, and
with it the salt, so that nobody can test guesses against the hash that stays. The leaf, the tree and every proof of
other events are untouched. A crash in between leaves a promise that ``tally verify`` shows and a second call keeps.

Out of reach: backups, exports, receipts, bundles and what anybody has read or copied. SQLite overwrites the bytes in
its file and the file is written anew, but a disk may keep old blocks.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tallystick.ledger.errors import AfterCommit, InvalidInput, NotFound, Refused
from tallystick.ledger.events import types
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.event import Event
from tallystick.ledger.events.types import ArtifactStored, EventRedacted
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.publish import segments
from tallystick.ledger.storage.append import Appended

KEPT = frozenset(
    {"ledger.created", "schema.declared", "key.rotated", "fork.adopted", "event.redacted", "anchor.recorded",
     "segment.sealed", "history.imported", "commit.imported", "experiment.declared"}
)  # fmt: skip
"""Types without which the rest could not be read or believed; an experiment would pass for a run of production."""


class Redacted(NamedTuple):
    """What was done."""

    seq: int
    appended: Appended | None
    """None where the event that says so was there already."""
    files: list[str]
    """Artifacts and segments that were erased or rewritten, too."""


def redact(ledger: Ledger, seq: int, reason: str, authority: str) -> Redacted:
    """Erase the content of event ``seq``; finishes an erasure that was interrupted.

    Raises
    ------
    NotFound
        When there is no such event.
    Refused
        When it is one that the rest needs, or is erased already.
    """
    try:
        stored = ledger.log.event(seq)
    except IndexError:
        raise NotFound(f"There is no event #{seq}.") from None
    promised = ledger.log.last_seq_of(f"redaction:{seq}") is not None
    if stored.data is None and promised:
        raise Refused(f"Event #{seq} is erased already.", f"tally show '#{seq}' says why.")
    if stored.type in KEPT:
        raise Refused(
            f"Event #{seq} is {stored.type}; without it the rest could not be read or believed.",
            "Events about keys, anchors, imports and other redactions stay, and that a run was an experiment.",
        )
    appended: Appended | None = None
    late: AfterCommit | None = None
    event = None if stored.data is None else ledger.event(seq).event
    body = None if event is None else event.body
    if not promised:
        if not reason.strip() or not authority.strip():
            raise InvalidInput("A redaction says why, and on whose authority.", "--reason … --authority …")
        said = EventRedacted(
            redaction=str(seq),
            event=stored.id.hex(),
            type=stored.type,
            version=0 if event is None else event.v,
            refers_to={} if event is None else _references_kept(ledger, seq, event),
            reason=reason,
            authority=authority,
        )
        # `expected` makes two people who redact at the same moment a conflict instead of two events.
        draft = Draft(said, cause=(stored.id.hex(),))
        try:
            appended = ledger.append(draft, expected={f"redaction:{seq}": None}, sign=True)
        except AfterCommit as error:
            late = error  # the promise is recorded, so it is kept first
    try:
        files = segments.erase(ledger, seq)
        if isinstance(body, ArtifactStored) and (path := _file_of(ledger, body, seq)) is not None:
            path.unlink(missing_ok=True)
            files.append(f"artifact {body.artifact[:12]}…")
        _erase(ledger, seq, body)
    except (OSError, InvalidInput) as error:
        # The event is durable; what is left to erase is found again by the next attempt.
        raise InvalidInput(
            f"The redaction of #{seq} is recorded, but not all of its content could be erased: {error}.",
            "Mend that and give the same command again: it finishes what is left.",
        ) from error
    if late is not None:
        raise late
    return Redacted(seq, appended, files)


def _references_kept(ledger: Ledger, seq: int, event: Event[Any]) -> dict[str, str]:
    """Field -> name of each entity that an erased event referred to, as far as later answers may say it.

    That is what another event names, what is called after it (``late-arrivals/2013-09`` after ``late-arrivals``), and
    positions. A name that only this event holds goes with it: people choose names, and one may be what has to go.
    """
    named = types.references(event)
    known = [
        name
        for _field, kind, name in named
        if kind == "correction"
        or ledger.log.last_seq_of(f"{kind}:{name}") != seq
        or _last_before(ledger, f"{kind}:{name}", seq) is not None
    ]
    return {field: name for field, _kind, name in named if name.startswith(tuple(known))}


def _file_of(ledger: Ledger, body: ArtifactStored, seq: int) -> Path | None:
    """The file that an event names and no other does."""
    try:
        path = ledger.objects.path(body.artifact)
    except InvalidInput:
        return None  # a stranger's program may have written what is no hash; it names no file
    for entry in ledger.events():
        other = entry.event.body
        if entry.seq != seq and isinstance(other, ArtifactStored) and other.artifact == body.artifact:
            return None
    return path


def _erase(ledger: Ledger, seq: int, body: object) -> None:
    names = types.RELEASED[body.TYPE, body.VERSION].entities(body) if isinstance(body, types.Body) else []
    # The index follows from the bodies that are there: what only this event said must go from it, too.
    before = {name: _last_before(ledger, name, seq) for name in names if ledger.log.last_seq_of(name) == seq}
    n = ledger.log.commit_of(seq).n

    def change(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE events SET body = NULL WHERE seq = ?", (seq,))
        for name, last_seq in before.items():
            if last_seq is None:
                connection.execute("DELETE FROM entities WHERE entity = ?", (name,))
            else:
                connection.execute("UPDATE entities SET last_seq = ? WHERE entity = ?", (last_seq, name))
        # The digest of an idempotency key has no salt.
        connection.execute("DELETE FROM keys WHERE n = ?", (n,))

    ledger.views.discard()
    ledger.writer.erase(change)


def _last_before(ledger: Ledger, name: str, seq: int) -> int | None:
    """The newest event before ``seq`` that refers to an entity; read from the end, because nothing indexes it."""
    called = name.partition(":")[2]
    # It stands in a body as JSON writes it.
    held = [msgspec.json.encode(text).decode() for text in types.names_in_bodies(called)]
    holds = " OR ".join("instr(body, ?)" for _ in held)
    rows = ledger.log.reader.execute(
        f"SELECT seq FROM events WHERE seq < ? AND ({holds}) ORDER BY seq DESC", (seq, *held)
    )
    for (earlier,) in rows:
        if name in types.entities(ledger.event(earlier).event):
            return int(earlier)
    return None
