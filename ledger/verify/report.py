"""What is asked of a verification, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tallystick.ledger.tlog.note import Receipt
from tallystick.ledger.tlog.policy import Policy
from tallystick.ledger.verify.scan import Class, Contradiction

Progress = Callable[[str, int, int], None]
"""What is being checked, how much is done, of how much."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What verification found.

    Attributes
    ----------
    holds : bool
        True if nothing that this run read contradicts anything.
    findings : list of Contradiction
        In the order of importance; the first is the first bad event where there is one.
    warnings : list of str
        What contradicts nothing and still wants to be known.
    shortfalls : list of str
        What was asked for and is not there: an anchor, a quorum, an artifact.
    lines : list of (str, str)
        One line for each part that was checked.
    trusted : list of str
        What is still proved, and by what.
    anchored : int
        Number of commits that something outside this account vouches for, as found just now.
    unanchored_events : int
        Events after those.
    unsigned_commits : int
        Commits at the end that no good checkpoint covers: anybody who can write to the file may have made them.
    read_from : int
        The first commit that was read; 0 unless the quick form was asked for.
    """

    holds: bool
    origin: str
    commits: int
    events: int
    findings: list[Contradiction]
    warnings: list[str]
    shortfalls: list[str]
    lines: list[tuple[str, str]]
    trusted: list[str]
    anchored: int
    unanchored_events: int
    unsigned_commits: int
    read_from: int

    @property
    def verified(self) -> bool:
        """Whether this run read everything and found no contradiction."""
        return self.holds and not self.read_from

    @property
    def exit_code(self) -> int:
        """0 verified, 1 contradicted, 3 verified but below what was asked for, 4 not everything was read."""
        if not self.holds:
            return 1
        if self.read_from:
            return 4
        return 3 if self.shortfalls else 0


class Results:
    """The answer while it is being found; see :class:`Verdict` for what is in it."""

    def __init__(self) -> None:
        self.findings: list[Contradiction] = []
        self.warnings: list[str] = []
        self.shortfalls: list[str] = []
        self.lines: list[tuple[str, str]] = []

    def add(self, kind: Class, where: str, words: str, **more: Any) -> None:
        """Note a contradiction."""
        self.findings.append(Contradiction(kind=kind, where=where, words=words, **more))

    def has(self, *kinds: Class) -> bool:
        """Whether something of a kind was found."""
        return any(finding.kind in kinds for finding in self.findings)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """How thorough a verification is, and what it is held against.

    Attributes
    ----------
    since_last : bool
        Read only the commits after this account's last verification. The answer says what was not read, and is never
        that the ledger is verified.
    read_data : bool
        Hash every artifact instead of comparing presence and size.
    against : sequence of Receipt
        Receipts that were kept outside; the ledger must be a continuation of each.
    require_anchor : bool
        Fall short where the newest events are not anchored outside.
    policy : Policy, optional
        Keys and witnesses that the verifier trusts.
    shared : Path, optional
        Folder of the marks of a team.
    segments : Path, optional
        Folder of sealed segments to compare with.
    backup_of : Path, optional
        The ``.tally`` that this is a copy of: it may be behind what this account saw, if that ledger continues both.
    workers : int, optional
        Processes to share the reading; as many as there are processors if not given.
    of_a_stranger : bool
        A ledger that is only looked at: nothing is written beside it, and how far it was verified is not remembered.
    """

    since_last: bool = False
    read_data: bool = False
    against: Sequence[Receipt] = ()
    require_anchor: bool = False
    policy: Policy | None = None
    shared: Path | None = None
    segments: Path | None = None
    backup_of: Path | None = None
    workers: int | None = None
    of_a_stranger: bool = False


def silent(_what: str, _done: int, _total: int) -> None:
    """Show no progress."""
