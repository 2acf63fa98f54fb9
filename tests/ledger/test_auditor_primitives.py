"""What ``check.py`` computes by itself, against published answers and the libraries that the product uses."""

from __future__ import annotations

import ast
import random
import sys
from pathlib import Path

import pytest
from blake3 import blake3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tallystick.ledger.publish import auditor

CONTEXT = "tallystick 2026-11 event id v1"
EDGES = [0, 1, 63, 64, 65, 127, 128, 129, 1023, 1024, 1025, 2048, 2049, 3072, 3073, 4096, 5 * 1024 + 7]
BATCH = auditor.LANES * 1024
LENGTHS = [*EDGES, 31 * 1024, BATCH - 1, BATCH, BATCH + 1, 2 * BATCH, 3 * BATCH + 1025]
# RFC 8032, section 7.1: public key, message, signature of TEST 1, 2, 3.
RFC_8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


def hashed(data: bytes, pieces: list[int], context: str | None) -> bytes:
    hasher = auditor.Blake3() if context is None else auditor.Blake3.derive_key(context)
    for start, stop in zip([0, *pieces], [*pieces, len(data)], strict=True):
        hasher.update(data[start:stop])
    assert hasher.digest() == hasher.digest()
    return hasher.digest()


def reference(data: bytes, context: str | None) -> bytes:
    return blake3(data).digest() if context is None else blake3(data, derive_key_context=context).digest()


@pytest.mark.parametrize("context", [None, CONTEXT])
def test_blake3_of_every_shape_of_tree(context: str | None) -> None:
    draw = random.Random(7)
    for length in [*LENGTHS, *(draw.randrange(20_000) for _ in range(30))]:
        data = draw.randbytes(length)
        assert hashed(data, [], context) == reference(data, context), length
        cuts = sorted(draw.randrange(length + 1) for _ in range(draw.randrange(1, 9)))
        assert hashed(data, cuts, context) == reference(data, context), (length, cuts)


def test_blake3_continues_after_a_digest() -> None:
    hasher, data = auditor.Blake3(), bytes(5000)
    for start in range(0, len(data), 777):
        hasher.update(data[start : start + 777])
        assert hasher.digest() == blake3(data[: start + 777]).digest()


@pytest.mark.parametrize(("public", "message", "signature"), RFC_8032)
def test_ed25519_of_the_rfc(public: str, message: str, signature: str) -> None:
    key, text, good = map(bytes.fromhex, (public, message, signature))
    assert auditor.signature_fits(key, good, text)
    assert not auditor.signature_fits(key, good, text + b"\0")
    larger = (int.from_bytes(good[32:], "little") + auditor.L).to_bytes(32, "little")
    assert not auditor.signature_fits(key, good[:32] + larger, text)
    for length in (0, 63, 65):
        assert not auditor.signature_fits(key, good.ljust(65, b"\0")[:length], text)


def openssl_accepts(public: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def test_ed25519_agrees_with_openssl() -> None:
    draw = random.Random(8032)
    for _ in range(20):
        private = Ed25519PrivateKey.from_private_bytes(draw.randbytes(32))
        public, message = private.public_key().public_bytes_raw(), draw.randbytes(draw.randrange(200))
        signature = private.sign(message)
        assert auditor.signature_fits(public, signature, message)
        for _ in range(6):
            parts = [bytearray(public), bytearray(signature), bytearray(message or b"\0")]
            part = draw.choice(parts)
            part[draw.randrange(len(part))] ^= 1 << draw.randrange(8)
            given = [bytes(each) for each in parts]
            assert auditor.signature_fits(given[0], given[1], given[2]) == openssl_accepts(*given)


def test_it_imports_the_standard_library_alone() -> None:
    found: set[str] = set()
    for node in ast.walk(ast.parse(Path(auditor.__file__).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found.add((node.module or "").partition(".")[0])
    assert found
    assert found <= sys.stdlib_module_names
