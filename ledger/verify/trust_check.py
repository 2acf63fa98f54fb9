"""The part of verification that looks outside the tree: signatures, this account's memory, receipts, anchors.

Everything here answers one question: is the ledger as it is now a continuation of what somebody, somewhere, saw of it?
"""

from __future__ import annotations

from tallystick.ledger.ledger import Ledger
from tallystick.ledger.verify.continuity import Continuity
from tallystick.ledger.verify.imports_check import Imports
from tallystick.ledger.verify.log_check import Contents
from tallystick.ledger.verify.outside_check import OutsideCheck
from tallystick.ledger.verify.report import Asked, Results
from tallystick.ledger.verify.signature_check import SignatureCheck


class TrustCheck:
    """What signatures and outsiders say about one ledger.

    Attributes
    ----------
    results : Results
        What was found.
    signatures : SignatureCheck
    outside : OutsideCheck
    """

    def __init__(self, continuity: Continuity) -> None:
        self.results: Results = continuity.results
        self.signatures = SignatureCheck(continuity)
        self.outside = OutsideCheck(continuity)

    @property
    def key_is_relied_on(self) -> bool:
        """Whether neither this account nor the policy distrusts the log's key."""
        return self.signatures.key_is_relied_on and self.outside.key_is_trusted


def check_trust(
    ledger: Ledger, contents: Contents, asked: Asked, imported: Imports | None, *, tree_is_damaged: bool
) -> TrustCheck:
    """Compare a ledger that was read with everything that was signed or kept of it."""
    root = contents.roots.get(contents.size)
    known = contents.roots if tree_is_damaged else None
    trust = TrustCheck(Continuity(ledger, contents.identities, contents.size, root, known, unread=contents.start))
    trust.signatures.checkpoints(contents.signed, contents.roots, contents.start)
    trust.outside.memory(asked.backup_of)
    trust.outside.receipts(asked.against)
    trust.outside.anchors(asked.policy, asked.shared, trust.signatures.proved_size)
    trust.signatures.approvals(contents.told, imported)
    return trust
