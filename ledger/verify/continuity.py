"""Whether a ledger continues what somebody saw of it.

It is answered by a consistency proof (RFC 9162, 2.1.4), not by a comparison of files; where the answer is no, both
sides are kept as evidence that convinces a third party.
"""

from __future__ import annotations

from collections.abc import Mapping

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.storage import tree
from tallystick.ledger.storage.key_history import Identity
from tallystick.ledger.tlog import merkle
from tallystick.ledger.tlog import pins as memory
from tallystick.ledger.tlog.merkle import InvalidProof
from tallystick.ledger.tlog.note import Checkpoint, Receipt, VerifierKey, is_signed, receipt_line, to_base64
from tallystick.ledger.verify.report import Results

_CONVICTS = "Keep both: together they prove that one history was rewritten."
_STATES = (
    "Keep both. What was kept bears no signature of the log, so it convinces whoever knows that it was kept; the "
    "note that `tally receipt --note` prints would convince anybody."
)


class Continuity:
    """One ledger as the continuation of earlier states.

    Attributes
    ----------
    size : int
        Number of commits that were verified.
    root : bytes, optional
        Of the whole tree as it was just recomputed.
    known : mapping of size to root, optional
        Given where the stored tree is damaged: then only these roots, which were recomputed, count.
    unread : int
        Commits at the beginning whose stored hashes were used without being recomputed.
    results : Results
        Where findings and warnings go.
    """

    def __init__(
        self,
        ledger: Ledger,
        identities: list[Identity],
        size: int,
        root: bytes | None,
        known: Mapping[int, bytes] | None,
        *,
        unread: int = 0,
    ) -> None:
        self.ledger = ledger
        self.identities = identities
        self.size = size
        self.root = root
        self.known = known
        self.unread = unread
        self.results = Results()

    @property
    def origin(self) -> str:
        """Name of the log."""
        return self.identities[-1].key.name

    def is_signed(self, receipt: Receipt) -> bool:
        """Whether a log key of the receipt's name, one of the ledger's or the pinned one, has signed it.

        Raises
        ------
        Damaged
            When the signature of such a key does not fit.
        """
        if receipt.note is None:
            return False
        name = receipt.checkpoint.origin
        known = {identity.key for identity in self.identities if identity.key.name == name}
        try:
            if (pin := memory.read_pin(name)) is not None:
                known.add(VerifierKey.parse(pin.key))
        except InvalidInput as error:
            self.results.warnings.append(error.message)
        return is_signed(receipt.note, sorted(known))

    def is_left_behind(self, checkpoint: Checkpoint) -> bool:
        """Whether it belongs to the history from which an adopted ledger parted."""
        for at, identity in enumerate(self.identities):
            if identity.key.name == checkpoint.origin and identity.key.name != self.origin:
                ends = next(
                    (i.from_size for i in self.identities[at + 1 :] if i.key.name != checkpoint.origin), self.size + 1
                )
                return checkpoint.size >= ends or self.root_at(checkpoint.size) != checkpoint.root
        return False

    def holds(self, receipt: Receipt, what: str) -> bool:
        """Whether the ledger continues what a receipt saw; where it does not, that is a finding with its proof."""
        checkpoint = receipt.checkpoint
        if checkpoint.size > self.size:
            self.results.add(
                "TAIL CUT",
                f"c{self.size}",
                f"By {what} there were {checkpoint.size} commits; only {self.size} are here.",
                expected=receipt_line(checkpoint),
                proof=evidence_of(receipt),
                next="Restore the newest backup; keep this file as evidence.",
            )
            return False
        root = self.root_at(checkpoint.size)
        if root is None or self.root is None:
            self.results.warnings.append(f"Not compared with {what}: the tree itself is damaged.")
            return False
        try:
            if checkpoint.size == 0:
                raise InvalidProof("A receipt over nothing proves nothing.")
            path = [] if self.known is not None else self.path(checkpoint.size)
            if self.known is None:
                merkle.check_consistency(checkpoint.size, self.size, checkpoint.root, self.root, path)
            elif root != checkpoint.root:
                raise InvalidProof("Another root.")
        except InvalidProof:
            here = Checkpoint(self.origin, checkpoint.size, root)
            self.results.add(
                "FORK",
                f"c0 to c{checkpoint.size - 1}",
                f"This ledger is not a continuation of {what}: the same number of commits has another root.",
                expected=receipt_line(checkpoint),
                actual=receipt_line(here),
                proof=[*evidence_of(receipt), *self._counter_proof(checkpoint.size)],
                next=_CONVICTS if self.is_signed(receipt) else _STATES,
            )
            return False
        return True

    def root_at(self, size: int) -> bytes | None:
        """The root over the first commits; None where that is not known."""
        if size > self.size or size < 0:
            return None
        return self.known.get(size) if self.known is not None else self.ledger.root_at(size)

    def path(self, size: int) -> list[bytes]:
        """The hashes of the proof that everything continues the first ``size`` commits."""
        return tree.consistency_path(self.ledger.log, size, self.size)

    def _counter_proof(self, size: int) -> list[str]:
        """That a checkpoint which the log signed contains another tree of this size: our side of the fork."""
        if self.known is not None:
            return []
        stored = [(at, note) for at, note in self.ledger.log.checkpoints(size) if at <= self.size]
        if not stored:
            return ["here    no signed checkpoint of this ledger is as large"]
        at, note = stored[0]
        path = tree.consistency_path(self.ledger.log, size, at)
        return [
            *(f"here    {line}" for line in note.splitlines()),
            f"root    of its first {size} commits: {to_base64(self.ledger.root_at(size))}",
            *(f"proof   {to_base64(step)}" for step in path),
        ]


def evidence_of(receipt: Receipt) -> list[str]:
    """What was kept, line by line, for a finding."""
    text = receipt.note.format() if receipt.note else receipt_line(receipt.checkpoint)
    return [f"kept    {line}" for line in text.splitlines()]
