"""Signing the tree of a ledger, and never against what this account has signed or seen of it before."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.ledger.errors import NotFound, Refused, TallyError
from tallystick.ledger.storage.append import Sealing
from tallystick.ledger.storage.key_history import Identity, identities_of
from tallystick.ledger.storage.log import Log
from tallystick.ledger.storage.log_writer import LogWriter
from tallystick.ledger.storage.tree import continues, root_at
from tallystick.ledger.tlog import key_store, pins
from tallystick.ledger.tlog.key_store import Signer
from tallystick.ledger.tlog.note import Checkpoint, receipt_line, sign_checkpoint


class CheckpointSigner:
    """Signs checkpoints of one log with the keys that this account has, and remembers what it signed.

    Attributes
    ----------
    signed : Checkpoint or None
        The checkpoint that was signed last; see :meth:`remember`.
    """

    def __init__(self, log: Log, writer: LogWriter) -> None:
        self._log = log
        self._writer = writer
        self._continues_mark = False
        self.signed: Checkpoint | None = None

    @property
    def identity(self) -> Identity:
        """The key in force; its name is the origin."""
        return identities_of(self._log)[-1]

    def keys(self) -> list[Signer]:
        """The key in force, if this account has it."""
        signer = key_store.find_signer(self.identity.key)
        return [signer] if signer else []

    def replaced_key(self) -> Signer:
        """The key in force, for signing its own replacement; Refused where this account does not have it."""
        key = self.identity.key
        old = key_store.find_signer(key)
        if old is None:
            raise Refused(
                f"This account does not have the key {key.key_id.hex()} that is to be replaced.",
                f"It belongs in {key_store.key_path(key)}; if it is lost, say so: --lost",
            )
        return old

    def seal(self, sealing: Sealing, signers: Sequence[Signer]) -> str:
        """Sign a tree, unless it contradicts what this account has signed or seen, or it could not remember it.

        Call :meth:`remember` once the note is durable.
        """
        checkpoint = Checkpoint(origin=signers[0].name, size=sealing.size, root=sealing.root)
        try:
            pins.refuse_unwritable(checkpoint.origin)
        except TallyError as error:
            raise type(error)(f"{error.message} Nothing was recorded.", error.hint) from error
        seen = pins.read_mark(checkpoint.origin)
        if seen is not None:
            # The new commit is not visible to readers yet, but every commit up to the seen size is.
            root = root_at(self._log, seen.size) if seen.size < checkpoint.size else checkpoint.root
            if seen.size > checkpoint.size or root != seen.root:
                raise _not_continued(seen, checkpoint)
        note = sign_checkpoint(checkpoint, *signers)
        self.signed = checkpoint
        return note

    def remember(self) -> None:
        """Move this account's mark to what was signed last.

        Only once that is durable: a mark moved earlier would call a power cut a rollback.
        """
        signed, self.signed = self.signed, None
        if signed is not None:
            pins.move_mark(signed)

    def checkpoint(self) -> str:
        """The signed checkpoint of the whole ledger as it is now; signs and stores one where needed.

        Raises
        ------
        NotFound
            When it is not signed yet and this account does not have the key.
        Refused
            When this ledger is behind what this account has seen of it before.
        """
        newest = self._log.newest_checkpoint()
        if newest is not None and newest[0] == self._log.size():
            return newest[1]

        def seal(sealing: Sealing) -> str:
            signers = self.keys()
            if not signers:
                key = self.identity.key
                signed = f"c0 to c{newest[0] - 1} are" if newest else "nothing is"
                raise NotFound(
                    f"This account does not have the key of {key.name}; {signed} signed.",
                    f"The key belongs in {key_store.key_path(key)}.",
                )
            return self.seal(sealing, signers)

        self.signed = None
        text = self._writer.store_checkpoint(seal)
        self.remember()
        return text

    def refuse_rollback(self) -> None:
        """Never append to a history that is behind or beside the one that this account has seen."""
        if self._continues_mark:
            return
        origin = self.identity.key.name
        seen = pins.read_mark(origin)
        if seen is not None and not continues(self._log, seen):
            size = self._log.size()
            raise _not_continued(seen, Checkpoint(seen.origin, size, root_at(self._log, size)))
        self._continues_mark = True


def _not_continued(seen: Checkpoint, here: Checkpoint) -> Refused:
    return Refused(
        f"This ledger does not continue what this account has seen of {seen.origin}. "
        f"Seen: {receipt_line(seen)} . Here: {receipt_line(here)} . Going on would make two histories of one name.",
        "If a backup was restored, restore the newest one. If this one is right all the same, go on under a new "
        "name: tally adopt --reason … If somebody rewrote it, keep the folder as evidence: tally verify",
    )
