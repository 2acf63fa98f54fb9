"""Which key speaks for the log at which size: the first key, rotations, and forks that were adopted.

A change of key is an event, and it takes effect with the checkpoint of the very commit that holds it: smaller
trees are signed by the old key, that one by both, larger ones by the new key alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from tallystick.ledger.errors import Damaged
from tallystick.ledger.events import types
from tallystick.ledger.events.types import ForkAdopted, KeyRotated, LedgerCreated
from tallystick.ledger.storage.log import Log
from tallystick.ledger.tlog.note import Checkpoint, Note, VerifierKey, parse_checkpoint, verify_note

Change = KeyRotated | ForkAdopted


class Identity(NamedTuple):
    """A key of the log, and from which tree size on it signs."""

    key: VerifierKey
    """Its name is the origin of the log."""
    from_size: int
    how: Literal["created", "rotated", "adopted"]
    continues: bool
    """Whether the key before it signed the change, too."""
    compromised_from: int | None = None
    """Checkpoints *by the key before* of at least this size prove nothing by themselves."""


def chain(genesis: LedgerCreated, changes: Iterable[tuple[int, Change]]) -> list[Identity]:
    """Every key in order; ``changes`` are pairs of commit number and event body, in order.

    Raises
    ------
    Damaged
        When a change does not name the key that was in force.
    """
    identities = [Identity(VerifierKey.parse(genesis.verifier_key), 1, "created", True)]
    for n, body in changes:
        before = identities[-1].key
        if VerifierKey.parse(body.old_key) != before:
            raise Damaged(f"Commit c{n} replaces a key that was not the log's.")
        key = VerifierKey.parse(body.new_key)
        if isinstance(body, KeyRotated):
            if key.name != before.name:
                raise Damaged(f"Commit c{n} rotates to a key of another name.")
            identities.append(Identity(key, n + 1, "rotated", body.signed_by_old, body.compromised_from))
        else:
            identities.append(Identity(key, n + 1, "adopted", body.signed_by_old))
    return identities


def identities_of(log: Log) -> list[Identity]:
    """The keys of a log, found through its index of entities: a few reads, however long the log is."""
    genesis = _body(log, 0)
    if not isinstance(genesis, LedgerCreated):
        raise Damaged(f"{log.path} does not begin with ledger.created.")
    changes: list[tuple[int, Change]] = []
    key_id = VerifierKey.parse(genesis.verifier_key).key_id.hex()
    # The newest event about a key is the one that retires it; the key in force was only introduced.
    while (seq := log.last_seq_of(f"key:{key_id}")) is not None:
        body = _body(log, seq)
        if not isinstance(body, KeyRotated | ForkAdopted) or body.old != key_id or len(changes) > seq:
            break
        changes.append((log.commit_of(seq).n, body))
        key_id = body.new
    return chain(genesis, changes)


def _body(log: Log, seq: int) -> object:
    try:
        data = log.event(seq).data
    except IndexError:
        raise Damaged(f"{log.path} holds no event #{seq}.") from None
    if data is None:
        raise Damaged(f"The body of event #{seq}, which names a key, is not here.")
    return types.decode(data).body


def in_force(identities: Sequence[Identity], size: int) -> Identity:
    """The identity that signs the tree of a size."""
    return next(identity for identity in reversed(identities) if identity.from_size <= max(size, 1))


def leads_on(identities: Sequence[Identity], size: int) -> bool:
    """Whether every key after a size was brought in by the one before it, when that was safe."""
    return all(key.continues and key.compromised_from is None for key in identities if key.from_size > size)


def leads_from(identities: Sequence[Identity], key: VerifierKey) -> bool:
    """Whether the key in force is this one, or was brought in by it."""
    return any(identity.key == key and leads_on(identities, identity.from_size) for identity in identities)


def open_stored(note: str, identities: Sequence[Identity], size: int) -> Checkpoint:
    """The checkpoint in a note that is filed under ``size``, once all keys that must have signed it are seen to have.

    Raises
    ------
    InvalidInput
        When it is no checkpoint note.
    Damaged
        When a signature is missing or does not fit, or it is of another log or size.
    """
    parsed = Note.parse(note)
    checkpoint = parse_checkpoint(parsed.text)
    at = identities.index(in_force(identities, size))
    key = identities[at].key
    verify_note(parsed, (key,))
    if at and identities[at].from_size == size and identities[at].continues:
        verify_note(parsed, (identities[at - 1].key,))
    if checkpoint.origin != key.name or checkpoint.size != size:
        raise Damaged(f"It is of {checkpoint.origin} with {checkpoint.size} commits.")
    return checkpoint
