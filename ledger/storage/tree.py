"""The Merkle tree of a log, answered from its stored subtrees."""

from __future__ import annotations

from functools import partial

from tallystick.ledger.events.commit import commit_text, leaf_entry
from tallystick.ledger.storage.log import Log
from tallystick.ledger.tlog import merkle
from tallystick.ledger.tlog.note import Checkpoint


def root_at(log: Log, size: int) -> bytes:
    """Root over the first commits, from the stored subtrees: one read for each bit set in ``size``."""
    return merkle.frontier_from(log.subtree, size).root()


def subtree(log: Log, start: int, stop: int) -> bytes:
    """Merkle hash over a range of commits, for proofs."""

    def leaf(n: int) -> bytes:
        commit = log.commit(n)
        names = log.hashes(commit.first_seq, commit.last_seq)
        return merkle.leaf_hash(leaf_entry(commit_text(commit.head, names)))

    return merkle.subtree_from(log.subtree, leaf, start, stop)


def inclusion_path(log: Log, n: int, size: int) -> list[bytes]:
    """The hashes that lead from commit ``n`` to the root of the first ``size`` commits (RFC 9162, 2.1.3)."""
    return merkle.inclusion_path(n, size, partial(subtree, log))


def consistency_path(log: Log, old: int, new: int) -> list[bytes]:
    """The hashes that show that the first ``new`` commits continue the first ``old`` (RFC 9162, 2.1.4)."""
    return merkle.consistency_path(old, new, partial(subtree, log))


def continues(log: Log, seen: Checkpoint) -> bool:
    """Whether a log, as its stored tree says, continues a state that was seen of it."""
    return 0 < seen.size <= log.size() and root_at(log, seen.size) == seen.root
