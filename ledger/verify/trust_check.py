"""The part of verification that looks outside the tree: signatures, this account's memory, receipts, anchors.

Everything here is one question: is the ledger as it stands a continuation of what somebody, somewhere, saw of it? It
is answered by a consistency proof (RFC 9162, 2.1.4), not by a comparison of files; where the answer is no, both
sides are kept as evidence that convinces a third party.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tallystick.ledger.errors import InvalidInput, TallyError
from tallystick.ledger.events import types as vocabulary
from tallystick.ledger.events.approval import check_approval
from tallystick.ledger.events.commit import event_handle
from tallystick.ledger.events.sentences import commit_range, count
from tallystick.ledger.events.types import DecisionApproved
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.publish import anchors
from tallystick.ledger.storage import tree
from tallystick.ledger.storage.key_history import Identity, in_force, open_stored
from tallystick.ledger.storage.log import LEDGER_FILE
from tallystick.ledger.tlog import key_store, merkle
from tallystick.ledger.tlog import pins as memory
from tallystick.ledger.tlog.merkle import InvalidProof
from tallystick.ledger.tlog.note import Checkpoint, Receipt, VerifierKey, is_signed, receipt_line, to_base64
from tallystick.ledger.tlog.policy import Policy
from tallystick.ledger.verify.imports_check import Imports
from tallystick.ledger.verify.rollback_check import pin_trouble
from tallystick.ledger.verify.scan import Class, Finding, Told
from tallystick.ledger.views.cache_file import FORMER_VIEWS_FILE

_CONVICTS = "Keep both: together they prove that one history was rewritten."
_STATES = (
    "Keep both. What was kept bears no signature of the log, so it convinces whoever knows that it was kept; the "
    "note that `tally receipt --note` prints would convince anybody."
)


class Vouching:
    """What signatures and outsiders say about one ledger.

    Parameters
    ----------
    root : bytes, optional
        Of the whole tree as it was just recomputed.
    known : mapping of size to root, optional
        Given where the stored tree is damaged: then only these roots, which were recomputed, count.
    """

    def __init__(
        self,
        ledger: Ledger,
        identities: list[Identity],
        size: int,
        root: bytes | None,
        known: Mapping[int, bytes] | None,
    ) -> None:
        self.ledger = ledger
        self.identities = identities
        self.size = size
        self.root = root
        self.known = known
        self.findings: list[Finding] = []
        self.warnings: list[str] = []
        self.shortfalls: list[str] = []
        self.lines: list[tuple[str, str]] = []
        self.proved_size = 0
        self.key_is_relied_on = True
        self.anchored = 0
        self.anchored_by = ""

    @property
    def origin(self) -> str:
        """Name of the log."""
        return self.identities[-1].key.name

    def _add(self, kind: Class, where: str, words: str, **more: Any) -> None:
        self.findings.append(Finding(kind=kind, where=where, words=words, **more))

    # Signatures --------------------------------------------------------------------------------------------

    def checkpoints(self, signed: Mapping[int, Checkpoint], roots: Mapping[int, bytes], start: int) -> None:
        """Every stored checkpoint whose signatures are good, against the tree."""
        log = self.ledger.log
        stored = [size for size, _ in log.checkpoints()]
        good, previous = sum(size <= start for size in stored), max((s for s in stored if s <= start), default=0)
        self.proved_size = previous
        for size in stored:
            if size < 1:
                self._add("SIGNATURE", f"checkpoint {size}", f"A checkpoint is filed under the size {size}.")
            elif size > self.size:
                self._cut_off(size)
            elif size in signed and size in roots:
                if roots[size] == signed[size].root:
                    good, previous, self.proved_size = good + 1, size, size
                elif self.known is None and not any(finding.kind == "LEAF REWRITTEN" for finding in self.findings):
                    # Where the tree itself convicts a commit, that is the closer place.
                    self._bracket(previous, size, signed[size].root, roots[size])
        self._beginnings(stored)
        up_to = f", up to c{self.proved_size - 1}" if self.proved_size else ""
        self.lines.append(("tree", f"{good} of {len(stored)} signed checkpoints match the recomputed tree{up_to}"))
        unsigned = self.size - self.proved_size
        if unsigned and not self.findings:
            self.lines.append(("unsigned", f"the newest {count(unsigned, 'commit')} not yet: `tally receipt` signs"))
        self._keys()

    def _beginnings(self, stored: Sequence[int]) -> None:
        """Every key signs the commit that brings it, so whoever takes those signatures away is seen to have."""
        for identity in self.identities:
            size = identity.from_size
            if size not in stored and size <= self.size:
                self._add(
                    "SIGNATURE",
                    f"checkpoint {size}",
                    f"The checkpoint of size {size} is gone: the key {identity.key.key_id.hex()} signed the commit "
                    "that names it, as every key of a ledger does.",
                    next="Without it nothing shows that the key's owner signed this; ask for a receipt or a backup.",
                )

    def _cut_off(self, size: int) -> None:
        note = dict(self.ledger.log.checkpoints(size, size))[size]
        try:
            open_stored(note, self.identities, size)
        except TallyError as error:
            self._add("SIGNATURE", f"checkpoint {size}", f"The checkpoint of size {size}: {error.message}")
            return
        self._add(
            "TAIL CUT",
            f"c{self.size}",
            f"A signed checkpoint vouches for {size} commits; only {self.size} are here.",
            proof=note.splitlines(),
            next="Restore the newest backup; keep this file as evidence.",
        )

    def _bracket(self, previous: int, size: int, root: bytes, found: bytes) -> None:
        where = commit_range(previous, size - 1)
        self._add(
            "LEAF REWRITTEN",
            where,
            f"The signed checkpoint of size {size} does not match: something in {where} was rewritten.",
            expected=root.hex(),
            actual=found.hex(),
            next="Compare with a backup from before; the checkpoint proves what it must contain.",
        )

    def _keys(self) -> None:
        identity = self.identities[-1]
        key = identity.key
        said = f"log key {key.key_id.hex()}"
        try:
            trouble = pin_trouble(self.ledger, self.identities)
            pin = memory.read_pin(key.name)
        except InvalidInput as error:
            if isinstance(error.__cause__, OSError):
                raise  # what may not be read contradicts nothing
            trouble, pin = error.message, None
        if trouble is not None:
            self._add("SIGNATURE", f"key {key.key_id.hex()}", trouble, actual=key.format())
            self.key_is_relied_on = False
            said += ", NOT the one this account relies on"
        elif pin is None:
            said += ", as the ledger itself names it: compare it with its owner's"
        else:
            said += f" (relied on since {pin.since:%Y-%m-%d}, {pin.how})"
        if len(self.identities) > 1:
            said += f", after {len(self.identities) - 1} before it"
        for earlier, later in zip(self.identities, self.identities[1:], strict=False):
            self._change(earlier, later)
        self.lines.append(("keys", said))
        self._key_file(key)

    def _change(self, earlier: Identity, later: Identity) -> None:
        where = f"c{later.from_size - 1}"
        if later.how == "adopted":
            self.warnings.append(
                f"At {where} this ledger left the history of {earlier.key.name} that had been seen elsewhere, "
                f"and took the name {later.key.name}."
            )
        elif not later.continues:
            self.warnings.append(
                f"At {where} the key {later.key.key_id.hex()} replaced {earlier.key.key_id.hex()} without its "
                "signature: only something outside the ledger can vouch for what came before."
            )
        if later.compromised_from is not None:
            self.warnings.append(
                f"The key {earlier.key.key_id.hex()} was not safe: what it signed from size "
                f"{later.compromised_from} on counts only where something outside vouches for it."
            )

    def _key_file(self, key: VerifierKey) -> None:
        place = self.ledger.folder.resolve()
        inside = key_store.key_path(key).resolve().is_relative_to(place.parent) and key_store.key_path(key).exists()
        lying = [path for path in place.glob("*") if _holds_key(path)]
        if inside or lying:
            path = lying[0] if lying else key_store.key_path(key)
            self.warnings.append(
                f"The private key {path} lies with the ledger: its signatures add nothing against whoever can "
                "write here."
            )

    # What others saw ---------------------------------------------------------------------------------------

    def memory(self, copied_from: Path | None = None) -> None:
        """This account's own memory of the ledger; of a copy that is behind it the ledger itself tells."""
        try:
            seen = memory.read_mark(self.origin)
        except InvalidInput as error:
            self.warnings.append(error.message)
            return
        if seen is None:
            self.lines.append(("mark", "this account has not seen this ledger before"))
            return
        if copied_from is not None and self._is_copy(copied_from, seen):
            return
        if self._continues(Receipt(seen, None), f"what this account saw last ({memory.mark_path(self.origin)})"):
            self.lines.append(("mark", f"continues what this account saw last, {seen.size} commits"))

    def _is_copy(self, copied_from: Path, seen: Checkpoint) -> bool:
        """Whether that ledger continues both what is here and what this account saw last."""
        if self.root is None:
            return False
        original = Ledger(copied_from)
        try:
            size = original.log.size()
            continued = original.continues(Checkpoint(self.origin, self.size, self.root)) and original.continues(seen)
            same = original.origin == self.origin
        finally:
            original.close()
        if not continued or not same:
            return False
        self.lines.append(("copy", f"the first {self.size} of {size} commits of {copied_from}, which has them all"))
        return True

    def receipts(self, given: Sequence[Receipt]) -> None:
        """Receipts that were kept outside."""
        for receipt in given:
            checkpoint = receipt.checkpoint
            if checkpoint.origin not in [identity.key.name for identity in self.identities]:
                self._add(
                    "FORK",
                    receipt_line(checkpoint),
                    f"The receipt is of another ledger, {checkpoint.origin}.",
                    expected=receipt_line(checkpoint),
                    next="Find the ledger that it belongs to, or ask who gave it to you.",
                )
                continue
            if not self._holds(receipt):
                continue
            if self._continues(receipt, "the receipt"):
                hashes = len(self._path(checkpoint.size))
                self.lines.append(
                    (
                        "receipt",
                        f"c0 to c{checkpoint.size - 1} are what the receipt saw, by a proof of {hashes} hashes",
                    )
                )
                self._vouch(checkpoint.size, "the receipt given")

    def _holds(self, receipt: Receipt) -> bool:
        """Whether a receipt can be compared: a note whose signature does not fit is nobody's word."""
        try:
            if receipt.note is not None and not self._signed(receipt):
                self.warnings.append("The receipt is signed by no key that is known here; only its hash counts.")
        except TallyError as error:
            self._add(
                "SIGNATURE",
                receipt_line(receipt.checkpoint),
                f"The receipt was changed after it was signed, so it says nothing about the ledger: {error.message}",
                proof=_evidence(receipt),
                next="Look for the receipt where it was kept first, and compare again.",
            )
            return False
        return True

    def _signed(self, receipt: Receipt) -> bool:
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
            self.warnings.append(error.message)
        return is_signed(receipt.note, sorted(known))

    def anchors(self, policy: Policy | None, shared: Path | None) -> None:
        """Everything else that vouches from outside, and whether it is what the policy asks for."""
        try:
            found = anchors.gather(self.ledger, policy, shared)
        except TallyError as error:
            self._add("SIGNATURE", "anchors", f"A recorded anchor does not hold: {error.message}")
            found = []
        stated: dict[int, str] = {}
        cosigned: dict[str, int] = {}
        for anchor in found:
            checkpoint = anchor.checkpoint
            if self._left_behind(checkpoint):
                self.warnings.append(f"{anchor.where} is of the history that was left behind.")
            elif self._continues(Receipt(checkpoint, None), anchor.where):
                if anchor.cosigner:
                    cosigned[anchor.cosigner] = max(checkpoint.size, cosigned.get(anchor.cosigner, 0))
                said = anchor.where + (f" ({anchor.at:%Y-%m-%d})" if anchor.at else "")
                if anchor.outside:
                    self._vouch(checkpoint.size, said)
                else:
                    stated[checkpoint.size] = f"{said}, {anchor.remark}"
        self._anchor_line(stated)
        if policy is not None:
            self._policy(policy, cosigned)

    def _anchor_line(self, stated: Mapping[int, str]) -> None:
        said = f"up to c{self.anchored - 1}: {self.anchored_by}" if self.anchored else ""
        beyond = {size: words for size, words in stated.items() if size > self.anchored}
        if beyond:
            size = max(beyond)
            said += f"{'; ' if said else ''}up to c{size - 1}: {beyond[size]}"
        if self.anchored < self.size:
            certain = max([self.anchored, *beyond])
            if certain < self.size:
                rest = commit_range(certain, self.size - 1) if certain else "all of it"
                said += f"{'; ' if said else ''}{rest}: only this account and the ledger's own key"
        self.lines.append(("anchors", said))

    def _policy(self, policy: Policy, cosigned: Mapping[str, int]) -> None:
        identity = self.identities[-1]
        trusted = [log.key for log in policy.logs]
        if identity.key not in trusted:
            self.key_is_relied_on = False
            self._add(
                "SIGNATURE",
                f"key {identity.key.key_id.hex()}",
                "The log's key is not one that the policy trusts.",
                expected=", ".join(key.format() for key in trusted),
                actual=identity.key.format(),
                next="Ask the ledger's owner for the key by another way, and change the policy only then.",
            )
        newest = max(cosigned.values(), default=0)
        for name, size in sorted(cosigned.items()):
            if size < newest:
                self.warnings.append(
                    f"The witness {name} has cosigned nothing since size {size}; others have up to {newest}."
                )
        met = max((size for size in cosigned.values() if policy.is_met(_at_least(cosigned, size))), default=0)
        count = f"{len(cosigned)} of {len(policy.witnesses)} witnesses have cosigned"
        if policy.quorum is None:
            self.lines.append(("quorum", f"none asked for; {count}"))
            return
        self.lines.append(
            ("quorum", f"{policy.quorum} reached up to c{met - 1}; {count}" if met else f"NOT reached; {count}")
        )
        if met < self.proved_size - self._anchoring_commits():
            up_to = f"up to c{met - 1} of c{self.size - 1}" if met else "nowhere"
            self.shortfalls.append(f"The quorum {policy.quorum} is reached {up_to}.")

    def _anchoring_commits(self) -> int:
        """Commits at the end that only record anchors: nobody can cosign the record of his own cosignature."""
        newest = self.size
        while newest and self._only_anchors(newest - 1):
            newest -= 1
        return self.size - newest

    def _only_anchors(self, n: int) -> bool:
        try:
            commit = self.ledger.log.commit(n)
        except IndexError:
            return False  # it is missing, which is told elsewhere
        types = {stored.type for stored in self.ledger.log.events(commit.first_seq, commit.last_seq)}
        return types <= {"anchor.recorded", "schema.declared"}

    def unanchored_events(self) -> int:
        """Events that nothing outside vouches for, without the commits at the end that only record anchors."""
        newest = self.size - self._anchoring_commits()
        if newest <= self.anchored:
            return 0
        try:
            before = self.ledger.log.commit(self.anchored - 1).last_seq + 1 if self.anchored else 0
            return self.ledger.log.commit(newest - 1).last_seq + 1 - before
        except IndexError:
            return 0  # a commit is missing, which is told elsewhere; nothing is counted in what is damaged

    def _vouch(self, size: int, by: str) -> None:
        if size > self.anchored:
            self.anchored, self.anchored_by = size, by
        elif size == self.anchored:
            self.anchored_by += f", {by}"

    def _left_behind(self, checkpoint: Checkpoint) -> bool:
        """Whether it belongs to the history from which an adopted ledger parted."""
        for at, identity in enumerate(self.identities):
            if identity.key.name == checkpoint.origin and identity.key.name != self.origin:
                ends = next(
                    (i.from_size for i in self.identities[at + 1 :] if i.key.name != checkpoint.origin), self.size + 1
                )
                return checkpoint.size >= ends or self._root(checkpoint.size) != checkpoint.root
        return False

    def _continues(self, receipt: Receipt, what: str) -> bool:
        checkpoint = receipt.checkpoint
        if checkpoint.size > self.size:
            self._add(
                "TAIL CUT",
                f"c{self.size}",
                f"By {what} there were {checkpoint.size} commits; only {self.size} are here.",
                expected=receipt_line(checkpoint),
                proof=_evidence(receipt),
                next="Restore the newest backup; keep this file as evidence.",
            )
            return False
        root = self._root(checkpoint.size)
        if root is None or self.root is None:
            self.warnings.append(f"Not compared with {what}: the tree itself is damaged.")
            return False
        try:
            if checkpoint.size == 0:
                raise InvalidProof("A receipt over nothing proves nothing.")
            path = [] if self.known is not None else self._path(checkpoint.size)
            if self.known is None:
                merkle.check_consistency(checkpoint.size, self.size, checkpoint.root, self.root, path)
            elif root != checkpoint.root:
                raise InvalidProof("Another root.")
        except InvalidProof:
            here = Checkpoint(self.origin, checkpoint.size, root)
            self._add(
                "FORK",
                f"c0 to c{checkpoint.size - 1}",
                f"This ledger is not a continuation of {what}: the same number of commits has another root.",
                expected=receipt_line(checkpoint),
                actual=receipt_line(here),
                proof=[*_evidence(receipt), *self._counter_proof(checkpoint.size)],
                next=_CONVICTS if self._signed(receipt) else _STATES,
            )
            return False
        return True

    def _root(self, size: int) -> bytes | None:
        if size > self.size or size < 0:
            return None
        return self.known.get(size) if self.known is not None else self.ledger.root_at(size)

    def _path(self, size: int) -> list[bytes]:
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

    # Approvals ---------------------------------------------------------------------------------------------

    def approvals(self, told: Iterable[Told], imported: Imports | None) -> None:
        """Approvals by people: signed by them, for an event that is here, and not with the log's own key.

        One that was imported was signed for the log that it comes from, and must not be by a key of that one.
        """
        good = 0
        log_keys = [identity.key.public for identity in self.identities]
        for item in told:
            body = vocabulary.decode(item.data).body
            if not isinstance(body, DecisionApproved):
                continue
            try:
                origins = [in_force(self.identities, item.n + 1).key.name, in_force(self.identities, item.n).key.name]
                there = imported.signers_of(item.n) if imported else None
                if there is None:
                    check_approval(body, origins, log_keys)
                else:
                    check_approval(body, there.origins, [*log_keys, *there.keys])
                good += 1
            except TallyError as error:
                self._add(
                    "SIGNATURE",
                    event_handle(item.seq, item.id),
                    f"The approval by {body.approver} does not hold: {error.message}",
                )
        if good:
            self.lines.append(("approved", f"{count(good, 'approval')} signed by other keys than the log's"))


def _evidence(receipt: Receipt) -> list[str]:
    text = receipt.note.format() if receipt.note else receipt_line(receipt.checkpoint)
    return [f"kept    {line}" for line in text.splitlines()]


def _at_least(cosigned: Mapping[str, int], size: int) -> list[str]:
    return [name for name, largest in cosigned.items() if largest >= size]


def _holds_key(path: Path) -> bool:
    # Closing any descriptor of a database drops this process's locks on it (sqlite.org/howtocorrupt.html, 2.2),
    # and others would then delete a write-ahead log that is in use: databases are told by their names alone.
    if path.name.startswith((LEDGER_FILE, FORMER_VIEWS_FILE)):
        return False
    try:
        return path.is_file() and path.stat().st_size < 4096 and path.read_bytes().startswith(b"PRIVATE+KEY+")
    except OSError:
        return False
