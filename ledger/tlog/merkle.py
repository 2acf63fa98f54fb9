"""The Merkle tree of RFC 6962, section 2.1 (RFC 9162, section 2.1 is the same tree), and its proofs.

    MTH({}) = SHA-256("")        leaf = SHA-256(0x00 || entry)        node = SHA-256(0x01 || left || right)
    MTH(D[n]) = node(MTH(D[0:k]), MTH(D[k:n]))   with k the largest power of two smaller than n

What the log stores. For each leaf ``n`` one hash: that of the largest perfect subtree that *ends* at leaf n, which
has ``2 ** trailing_zeros(n + 1)`` leaves. That is enough for everything:

- The tree over the first ``s`` leaves is a row of perfect subtrees, one for each bit set in ``s``, large to
  small (the "peaks"). The subtree of bit b ends at the leaf whose number plus one is ``s`` with all lower bits
  cleared; that number has exactly b trailing zeros, so the peak *is* the largest perfect subtree ending there.
- Appending leaf n merges it with the peaks of size 1, 2, 4 … as long as the bits of n are set; the result is by
  construction the largest perfect subtree that ends at n, the one to store.
- Any perfect subtree is stored, or is a right half: then its own left half is stored (it is a left child, hence
  the largest one ending there), and its right half is the same question again, one level lower.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from tallystick.ledger.errors import Damaged

HASH_BYTES = 32
LONGEST_PATH = 63
EMPTY_ROOT = hashlib.sha256(b"").digest()

NodeReader = Callable[[int], bytes]
"""Leaf number -> hash of the largest perfect subtree that ends there."""


class InvalidProof(Damaged):
    """A proof does not prove what it claims."""

    code = "invalid-proof"


def leaf_hash(entry: bytes) -> bytes:
    """``SHA-256(0x00 || entry)``: RFC 6962, 2.1."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """``SHA-256(0x01 || left || right)``: RFC 6962, 2.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The peaks of a growing tree: all that is needed to append and to tell the root.

    Examples
    --------
    >>> frontier = Frontier()
    >>> frontier.append(leaf_hash(b""))
    >>> frontier.root().hex()[:16]
    '6e340b9cffb37a98'
    """

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        if len(peaks) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} peaks, not {len(peaks)}")
        self.size = size
        self.peaks = list(peaks)

    def append(self, subtree: bytes, leaves: int = 1) -> None:
        """Add the hash of one more leaf, or of a perfect subtree of ``leaves`` leaves that divide the size."""
        merged, remaining = subtree, self.size // leaves
        while remaining & 1:
            merged = node_hash(self.peaks.pop(), merged)
            remaining >>= 1
        self.peaks.append(merged)
        self.size += leaves

    def root(self) -> bytes:
        """Hash of the whole tree; peaks are folded from the right, because the left one is the larger half."""
        return fold(self.peaks)


def fold(peaks: Sequence[bytes]) -> bytes:
    """The root over a row of perfect subtrees, large to small; also where two neighbours could still be merged."""
    if not peaks:
        return EMPTY_ROOT
    folded = peaks[-1]
    for peak in reversed(peaks[:-1]):
        folded = node_hash(peak, folded)
    return folded


def frontier_from(stored: NodeReader, size: int) -> Frontier:
    """The peaks of the tree over the first ``size`` leaves, by one read for each bit set in ``size``."""
    peaks, end = [], 0
    for bit in reversed(range(size.bit_length())):
        if size >> bit & 1:
            end += 1 << bit
            peaks.append(stored(end - 1))
    return Frontier(size, peaks)


def closing_hash(n: int, leaf: bytes, stored: NodeReader) -> bytes:
    """What to store for the new leaf ``n``: the largest perfect subtree that it completes."""
    merged, bit = leaf, 1
    while n & bit:
        # The left sibling has `bit` leaves and ends right before this subtree begins.
        merged = node_hash(stored(n - bit), merged)
        bit <<= 1
    return merged


def subtree_from(stored: NodeReader, leaf: Callable[[int], bytes], start: int, stop: int) -> bytes:
    """MTH over leaves ``start`` up to and without ``stop``, for ranges that occur in proofs.

    ``leaf(n)`` gives a leaf's own hash; it is asked at most once for each perfect subtree on the right.
    """
    width = stop - start
    if width == 1:
        return leaf(start) if stop & 1 == 0 else stored(start)
    if width & (width - 1) == 0 and start % width == 0 and stop // width & 1:
        return stored(stop - 1)
    k = _split(width)
    return node_hash(subtree_from(stored, leaf, start, start + k), subtree_from(stored, leaf, start + k, stop))


def _split(width: int) -> int:
    """The largest power of two smaller than ``width``."""
    return 1 << (width - 1).bit_length() - 1


def root(leaves: Sequence[bytes]) -> bytes:
    """MTH over leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def subtree_of(leaves: Sequence[bytes]) -> Callable[[int, int], bytes]:
    """``subtree(start, stop)`` over leaf hashes in memory, for the two path functions."""
    return lambda start, stop: root(leaves[start:stop])


def inclusion_path(index: int, size: int, subtree: Callable[[int, int], bytes]) -> list[bytes]:
    """The hashes that lead from leaf ``index`` to the root of the first ``size`` leaves; leaf's sibling first.

    ``subtree(start, stop)`` gives MTH over a range of leaves. RFC 6962, 2.1.1.
    """
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    path = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            path.append(subtree(middle, stop))
            stop = middle
        else:
            path.append(subtree(start, middle))
            start = middle
    return path[::-1]


def consistency_path(first: int, second: int, subtree: Callable[[int, int], bytes]) -> list[bytes]:
    """The hashes that show that the tree of ``first`` leaves begins the tree of ``second``. RFC 6962, 2.1.2."""
    if not 0 < first <= second:
        raise ValueError(f"no consistency between {first} and {second} leaves")
    path = []
    start, stop, whole = 0, second, True
    # SUBPROOF(m, D[n], b): as long as the old tree ends inside, note the half that it does not reach into.
    while first != stop:
        middle = start + _split(stop - start)
        if first <= middle:
            path.append(subtree(middle, stop))
            stop = middle
        else:
            path.append(subtree(start, middle))
            start, whole = middle, False
    if not whole:
        path.append(subtree(start, stop))
    return path[::-1]


def check_inclusion(index: int, size: int, leaf: bytes, path: Sequence[bytes], expected_root: bytes) -> None:
    """Check that ``leaf`` is leaf ``index`` of the tree with this root: RFC 9162, 2.1.3.2.

    Raises
    ------
    InvalidProof
    """
    _check_hashes(leaf, expected_root, *path)
    _check_length(path)
    if not 0 <= index < size:
        raise InvalidProof(f"There is no leaf {index} in a tree of {size}.")
    fn, sn, computed = index, size - 1, leaf
    for sibling in path:
        if sn == 0:
            raise InvalidProof("The inclusion proof is longer than the tree is deep.")
        if fn & 1 or fn == sn:
            computed = node_hash(sibling, computed)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            computed = node_hash(computed, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise InvalidProof("The inclusion proof is shorter than the tree is deep.")
    if computed != expected_root:
        raise InvalidProof(f"Leaf {index} is not in the tree of {size} leaves with this root.")


def check_consistency(first: int, second: int, first_root: bytes, second_root: bytes, path: Sequence[bytes]) -> None:
    """Check that the second tree continues the first: RFC 9162, 2.1.4.2.

    Raises
    ------
    InvalidProof
    """
    _check_hashes(first_root, second_root, *path)
    _check_length(path)
    if not 0 < first <= second:
        raise InvalidProof(f"There is no consistency to prove between {first} and {second} leaves.")
    if first == second:
        if path:
            raise InvalidProof("A proof between trees of the same size is empty; this one is not.")
        if first_root != second_root:
            raise InvalidProof(f"Two trees of {first} leaves have different roots.")
        return
    if not path:
        raise InvalidProof("The consistency proof is empty.")
    # A first tree of 2**k leaves is a subtree of the second and therefore its own first step.
    steps = [first_root, *path] if first & (first - 1) == 0 else list(path)
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first_computed = second_computed = steps[0]
    for step in steps[1:]:
        if sn == 0:
            raise InvalidProof("The consistency proof is longer than the tree is deep.")
        if fn & 1 or fn == sn:
            first_computed = node_hash(step, first_computed)
            second_computed = node_hash(step, second_computed)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            second_computed = node_hash(second_computed, step)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise InvalidProof("The consistency proof is shorter than the tree is deep.")
    if first_computed != first_root:
        raise InvalidProof(f"The proof does not lead to the root of {first} leaves.")
    if second_computed != second_root:
        raise InvalidProof(f"The tree of {second} leaves does not continue the tree of {first}.")


def _check_hashes(*given: bytes) -> None:
    if any(len(item) != HASH_BYTES for item in given):
        raise InvalidProof("A hash in the proof is not 32 bytes long.")


def _check_length(path: Sequence[bytes]) -> None:
    if len(path) > LONGEST_PATH:
        raise InvalidProof(f"A proof has at most {LONGEST_PATH} hashes; this one has {len(path)}.")
