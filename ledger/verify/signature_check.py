"""The signatures of a ledger: its checkpoints against the tree, its keys, and the approvals by people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tallystick.ledger.errors import Damaged, InvalidInput, TallyError
from tallystick.ledger.events import types as vocabulary
from tallystick.ledger.events.approval import check_approval
from tallystick.ledger.events.commit import event_handle
from tallystick.ledger.events.sentences import commit_range, count
from tallystick.ledger.events.types import DecisionApproved
from tallystick.ledger.storage.key_history import Identity, in_force, open_stored
from tallystick.ledger.storage.log import LEDGER_FILE
from tallystick.ledger.tlog import key_store
from tallystick.ledger.tlog import pins as memory
from tallystick.ledger.tlog.note import Checkpoint, VerifierKey
from tallystick.ledger.verify.continuity import Continuity
from tallystick.ledger.verify.imports_check import Imports
from tallystick.ledger.verify.rollback_check import pin_trouble
from tallystick.ledger.verify.scan import NeededEvent
from tallystick.ledger.views.cache_file import FORMER_VIEWS_FILE


class SignatureCheck:
    """The log's own signatures, and its keys.

    Attributes
    ----------
    proved_size : int
        Number of commits that a good checkpoint covers.
    key_is_relied_on : bool
        False where this account relies on another key.
    """

    def __init__(self, continuity: Continuity) -> None:
        self.ledger = continuity.ledger
        self.identities = continuity.identities
        self.size = continuity.size
        self.known = continuity.known
        self.results = continuity.results
        self.warnings, self.lines = continuity.results.warnings, continuity.results.lines
        self.proved_size = 0
        self.key_is_relied_on = True

    def checkpoints(self, signed: Mapping[int, Checkpoint], roots: Mapping[int, bytes], start: int) -> None:
        """Every stored checkpoint whose signatures are good, against the tree."""
        log = self.ledger.log
        stored = [size for size, _ in log.checkpoints(-(1 << 62))]
        good, previous = 0, self._newest_unread(stored, start)
        self.proved_size = previous
        judged = [size for size in stored if size < 1 or size > start]
        for size in judged:
            if size < 1:
                self.results.add("SIGNATURE", f"checkpoint {size}", f"A checkpoint is filed under the size {size}.")
            elif size > self.size:
                self._cut_off(size)
            elif size in signed and size in roots:
                if roots[size] == signed[size].root:
                    good, previous, self.proved_size = good + 1, size, size
                elif self.known is None and not any(
                    finding.kind == "LEAF REWRITTEN" for finding in self.results.findings
                ):
                    # Where the tree itself convicts a commit, that is the closer place.
                    self._bracket(previous, size, signed[size].root, roots[size])
        self._beginnings(stored)
        up_to = f", up to c{self.proved_size - 1}" if self.proved_size else ""
        of, tree = ("signed checkpoints", "recomputed tree")
        if start:
            of, tree = (f"signed checkpoints after c{start - 1}", f"tree, recomputed from c{start} on")
        self.lines.append(("tree", f"{good} of {len(judged)} {of} match the {tree}{up_to}"))
        unsigned = self.size - self.proved_size
        if unsigned and not self.results.findings:
            self.lines.append(("unsigned", f"the newest {count(unsigned, 'commit')} not yet: `tally receipt` signs"))
        self.keys()

    def _newest_unread(self, stored: Sequence[int], start: int) -> int:
        """Size of the newest checkpoint over commits that were not read; its signature must fit the stored tree."""
        size = max((size for size in stored if 0 < size <= start), default=0)
        if size:
            note = dict(self.ledger.log.checkpoints(size, size))[size]
            try:
                if open_stored(note, self.identities, size).root != self.ledger.root_at(size):
                    raise Damaged("It is of another tree than the stored one.")
            except TallyError as error:
                self.results.add("SIGNATURE", f"checkpoint {size}", f"The checkpoint of size {size}: {error.message}")
        return size

    def _beginnings(self, stored: Sequence[int]) -> None:
        """Every key signs the commit that brings it, so whoever takes those signatures away is seen to have."""
        for identity in self.identities:
            size = identity.from_size
            if size not in stored and size <= self.size:
                self.results.add(
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
            self.results.add("SIGNATURE", f"checkpoint {size}", f"The checkpoint of size {size}: {error.message}")
            return
        self.results.add(
            "TAIL CUT",
            f"c{self.size}",
            f"A signed checkpoint vouches for {size} commits; only {self.size} are here.",
            proof=note.splitlines(),
            next="Restore the newest backup; keep this file as evidence.",
        )

    def _bracket(self, previous: int, size: int, root: bytes, found: bytes) -> None:
        where = commit_range(previous, size - 1)
        self.results.add(
            "LEAF REWRITTEN",
            where,
            f"The signed checkpoint of size {size} does not match: something in {where} was rewritten.",
            expected=root.hex(),
            actual=found.hex(),
            next="Compare with a backup from before; the checkpoint proves what it must contain.",
        )

    def keys(self) -> None:
        """The key in force against the one this account relies on, and every change of key."""
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
            self.results.add("SIGNATURE", f"key {key.key_id.hex()}", trouble, actual=key.format())
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

    def approvals(self, told: Iterable[NeededEvent], imported: Imports | None) -> None:
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
                self.results.add(
                    "SIGNATURE",
                    event_handle(item.seq, item.id),
                    f"The approval by {body.approver} does not hold: {error.message}",
                )
        if good:
            self.lines.append(("approved", f"{count(good, 'approval')} signed by other keys than the log's"))


def _holds_key(path: Path) -> bool:
    # Closing any descriptor of a database drops this process's locks on it (sqlite.org/howtocorrupt.html, 2.2),
    # and others would then delete a write-ahead log that is in use: databases are told by their names alone.
    if path.name.startswith((LEDGER_FILE, FORMER_VIEWS_FILE)):
        return False
    try:
        return path.is_file() and path.stat().st_size < 4096 and path.read_bytes().startswith(b"PRIVATE+KEY+")
    except OSError:
        return False
