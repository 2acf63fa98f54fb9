"""The tree against RFC 6962's known answers, a naive definition, and every kind of damage."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.ledger.tlog import merkle

CLASSIC_ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CLASSIC_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LARGEST = 130
LEAVES = [merkle.leaf_hash(str(n).encode()) for n in range(LARGEST)]


def naive_root(leaves: list[bytes]) -> bytes:
    """The recursive definition, word for word."""
    n = len(leaves)
    if n == 0:
        return hashlib.sha256(b"").digest()
    if n == 1:
        return leaves[0]
    k = 1
    while k * 2 < n:
        k *= 2
    return hashlib.sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


ROOTS = [naive_root(LEAVES[:size]) for size in range(LARGEST + 1)]


def stored_hashes(leaves: list[bytes]) -> list[bytes]:
    kept: list[bytes] = []
    for n, leaf in enumerate(leaves):
        kept.append(merkle.closing_hash(n, leaf, kept.__getitem__))
    return kept


STORED = stored_hashes(LEAVES)


def from_storage(start: int, stop: int) -> bytes:
    return merkle.subtree_from(STORED.__getitem__, LEAVES.__getitem__, start, stop)


def test_the_eight_classic_leaves_have_their_known_roots() -> None:
    leaves = [merkle.leaf_hash(entry) for entry in CLASSIC_ENTRIES]
    assert [merkle.root(leaves[:size]).hex() for size in range(9)] == CLASSIC_ROOTS


def test_root_and_frontier_from_storage_equal_the_definition_at_every_size() -> None:
    for size in range(LARGEST + 1):
        assert merkle.root(LEAVES[:size]) == ROOTS[size]
        assert merkle.frontier_from(STORED.__getitem__, size).root() == ROOTS[size]


def test_a_frontier_from_storage_goes_on_as_if_it_had_never_stopped() -> None:
    for size in range(LARGEST):
        frontier = merkle.frontier_from(STORED.__getitem__, size)
        frontier.append(LEAVES[size])
        assert frontier.root() == ROOTS[size + 1]
        assert frontier.peaks[-1] == STORED[size]


def test_every_inclusion_proof_up_to_130_leaves_holds_from_memory_and_from_storage() -> None:
    for size in range(1, LARGEST + 1):
        for index in range(size):
            path = merkle.inclusion_path(index, size, from_storage)
            merkle.check_inclusion(index, size, LEAVES[index], path, ROOTS[size])
    assert merkle.inclusion_path(5, 8, merkle.subtree_of(LEAVES[:8])) == merkle.inclusion_path(5, 8, from_storage)


def test_every_consistency_proof_up_to_130_leaves_holds() -> None:
    for second in range(1, LARGEST + 1):
        for first in range(1, second + 1):
            path = merkle.consistency_path(first, second, from_storage)
            merkle.check_consistency(first, second, ROOTS[first], ROOTS[second], path)


@given(st.integers(1, LARGEST), st.data())
def test_any_changed_bit_of_an_inclusion_proof_is_caught(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    path = merkle.inclusion_path(index, size, from_storage)
    parts = [LEAVES[index], ROOTS[size], *path]
    which, bit = data.draw(st.integers(0, len(parts) - 1)), data.draw(st.integers(0, 255))
    changed = bytearray(parts[which])
    changed[bit // 8] ^= 1 << bit % 8
    parts[which] = bytes(changed)
    with pytest.raises(merkle.InvalidProof):
        merkle.check_inclusion(index, size, parts[0], parts[2:], parts[1])


@given(st.integers(2, LARGEST), st.data())
def test_any_changed_bit_of_a_consistency_proof_is_caught(second: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, second - 1))
    path = merkle.consistency_path(first, second, from_storage)
    parts = [ROOTS[first], ROOTS[second], *path]
    which, bit = data.draw(st.integers(0, len(parts) - 1)), data.draw(st.integers(0, 255))
    changed = bytearray(parts[which])
    changed[bit // 8] ^= 1 << bit % 8
    parts[which] = bytes(changed)
    with pytest.raises(merkle.InvalidProof):
        merkle.check_consistency(first, second, parts[0], parts[1], parts[2:])


@given(st.integers(1, LARGEST), st.integers(0, LARGEST), st.data())
def test_an_inclusion_proof_proves_no_other_place_or_size(size: int, other: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    path = merkle.inclusion_path(index, size, from_storage)
    if other != index:
        with pytest.raises(merkle.InvalidProof):
            merkle.check_inclusion(other, size, LEAVES[index], path, ROOTS[size])
    for damaged in (path[:-1], [*path, bytes(32)], [*path, b"short"], [bytes(32)] * 64):
        if damaged != path:
            with pytest.raises(merkle.InvalidProof):
                merkle.check_inclusion(index, size, LEAVES[index], damaged, ROOTS[size])


def test_proofs_of_nothing_are_refused() -> None:
    with pytest.raises(merkle.InvalidProof):
        merkle.check_inclusion(0, 0, LEAVES[0], [], merkle.EMPTY_ROOT)
    with pytest.raises(merkle.InvalidProof):
        merkle.check_consistency(0, 5, merkle.EMPTY_ROOT, ROOTS[5], [])
    with pytest.raises(merkle.InvalidProof):
        merkle.check_consistency(3, 5, ROOTS[3], ROOTS[5], [])
    with pytest.raises(merkle.InvalidProof):
        merkle.check_consistency(5, 5, ROOTS[5], ROOTS[4], [])
    with pytest.raises(merkle.InvalidProof):
        merkle.check_consistency(5, 5, ROOTS[5], ROOTS[5], [bytes(32)])
