"""What vouches for a ledger from outside: this account's memory, receipts, anchors and witnesses."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path

from tallystick.ledger.errors import InvalidInput, TallyError
from tallystick.ledger.events.commit import from_micros
from tallystick.ledger.events.sentences import commit_range
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.publish import anchors
from tallystick.ledger.publish.anchors import Anchor
from tallystick.ledger.tlog import pins as memory
from tallystick.ledger.tlog.note import Checkpoint, Receipt, receipt_line
from tallystick.ledger.tlog.policy import Policy
from tallystick.ledger.verify.continuity import Continuity, evidence_of
from tallystick.ledger.verify.rollback_check import CLOCKS_DIFFER_BY

MOST_STATED = 5


class OutsideCheck:
    """What was seen of a ledger elsewhere, and how far it vouches for it.

    Attributes
    ----------
    anchored : int
        Number of commits that a cosignature under the given policy, or a receipt that was handed in, vouches for.
    anchored_by : str
        What that is, in words.
    key_is_trusted : bool
        False where a policy does not trust the log's key.
    """

    def __init__(self, continuity: Continuity) -> None:
        self.continuity = continuity
        self.ledger = continuity.ledger
        self.identities = continuity.identities
        self.origin = continuity.origin
        self.size = continuity.size
        self.results = continuity.results
        self.warnings, self.lines = continuity.results.warnings, continuity.results.lines
        self.key_is_trusted = True
        self.anchored = 0
        self.anchored_by = ""

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
        if self.continuity.holds(Receipt(seen, None), f"what this account saw last ({memory.mark_path(self.origin)})"):
            self.lines.append(("mark", f"continues what this account saw last, {seen.size} commits"))

    def _is_copy(self, copied_from: Path, seen: Checkpoint) -> bool:
        """Whether that ledger continues both what is here and what this account saw last."""
        if self.continuity.root is None:
            return False
        original = Ledger(copied_from)
        try:
            size = original.log.size()
            continued = original.continues(
                Checkpoint(self.origin, self.size, self.continuity.root)
            ) and original.continues(seen)
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
                self.results.add(
                    "FORK",
                    receipt_line(checkpoint),
                    f"The receipt is of another ledger, {checkpoint.origin}.",
                    expected=receipt_line(checkpoint),
                    next="Find the ledger that it belongs to, or ask who gave it to you.",
                )
                continue
            if not self._holds(receipt):
                continue
            if self.continuity.holds(receipt, "the receipt"):
                hashes = len(self.continuity.path(checkpoint.size))
                said = f"{commit_range(0, checkpoint.size - 1)} are what the receipt saw, by a proof of {hashes} hashes"
                if unread := self.continuity.unread:
                    said = (
                        f"the stored tree continues the receipt over {commit_range(0, checkpoint.size - 1)}; "
                        f"{commit_range(0, unread - 1)} were NOT read"
                    )
                self.lines.append(("receipt", said))
                self._vouch(checkpoint.size, "the receipt given")

    def _holds(self, receipt: Receipt) -> bool:
        """Whether a receipt can be compared: a note whose signature does not fit is nobody's word."""
        try:
            if receipt.note is not None and not self.continuity.is_signed(receipt):
                self.warnings.append("The receipt is signed by no key that is known here; only its hash counts.")
        except TallyError as error:
            self.results.add(
                "SIGNATURE",
                receipt_line(receipt.checkpoint),
                f"The receipt was changed after it was signed, so it says nothing about the ledger: {error.message}",
                proof=evidence_of(receipt),
                next="Look for the receipt where it was kept first, and compare again.",
            )
            return False
        return True

    def anchors(self, policy: Policy | None, shared: Path | None, proved_size: int) -> None:
        """Everything else that vouches from outside, and whether it is what the policy asks for."""
        try:
            found = anchors.gather(self.ledger, policy, shared)
        except TallyError as error:
            self.results.add("SIGNATURE", "anchors", f"A recorded anchor does not hold: {error.message}")
            found = []
        stated: list[tuple[int, str]] = []
        cosigned: dict[str, int] = {}
        for anchor in found:
            checkpoint = anchor.checkpoint
            if self.continuity.is_left_behind(checkpoint):
                self.warnings.append(f"{anchor.where} is of the history that was left behind.")
            elif self.continuity.holds(Receipt(checkpoint, None), anchor.where):
                if anchor.cosigner:
                    cosigned[anchor.cosigner] = max(checkpoint.size, cosigned.get(anchor.cosigner, 0))
                said = anchor.where + (f" ({anchor.at:%Y-%m-%d})" if anchor.at else "")
                if (words := self._date_words(anchor)) is not None:
                    self.warnings.append(words)
                if anchor.outside:
                    self._vouch(checkpoint.size, said)
                else:
                    stated.append((checkpoint.size, f"{said}: {anchor.remark}"))
        self._anchor_line(stated)
        if policy is not None:
            self._policy(policy, cosigned, proved_size)

    def _date_words(self, anchor: Anchor) -> str | None:
        """That an anchor has a date at which it cannot have been made; None if it can, or nobody says a date."""
        if anchor.at is None:
            return None
        if anchor.at > dt.datetime.now(dt.UTC) + CLOCKS_DIFFER_BY:
            return f"{anchor.where} is dated {anchor.at:%Y-%m-%d}, which is still to come."
        try:
            newest = from_micros(self.ledger.log.commit(anchor.checkpoint.size - 1).recorded_at)
            if self.ledger.genesis.clock == "live" and anchor.at < newest - CLOCKS_DIFFER_BY:
                return (
                    f"{anchor.where} is dated {anchor.at:%Y-%m-%d}, but it covers commits recorded up to "
                    f"{newest:%Y-%m-%d}: one of the two dates is wrong."
                )
        except TallyError:
            return None  # a commit or the first event is missing, which is said elsewhere
        return None

    def _anchor_line(self, stated: Sequence[tuple[int, str]]) -> None:
        said = [f"up to c{self.anchored - 1}: {self.anchored_by}"] if self.anchored else []
        if self.anchored < self.size:
            rest = commit_range(self.anchored, self.size - 1) if self.anchored else "all of it"
            said.append(f"{rest}: only this account and the ledger's own key")
        self.lines.append(("anchors", "; ".join(said)))
        newest_first = sorted(stated, key=itemgetter(0), reverse=True)
        self.lines += [("stated", f"up to c{size - 1}: {words}") for size, words in newest_first[:MOST_STATED]]
        if len(stated) > MOST_STATED:
            self.lines.append(("stated", f"{len(stated) - MOST_STATED} more, for earlier commits: tally anchors"))

    def _policy(self, policy: Policy, cosigned: Mapping[str, int], proved_size: int) -> None:
        identity = self.identities[-1]
        trusted = [log.key for log in policy.logs]
        if identity.key not in trusted:
            self.key_is_trusted = False
            self.results.add(
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
        if met < proved_size - self._anchoring_commits():
            up_to = f"up to c{met - 1} of c{self.size - 1}" if met else "nowhere"
            self.results.shortfalls.append(f"The quorum {policy.quorum} is reached {up_to}.")

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


def _at_least(cosigned: Mapping[str, int], size: int) -> list[str]:
    return [name for name, largest in cosigned.items() if largest >= size]
