"""What the ledger signs and proves, checked by Go's golang.org/x/mod/sumdb: another program, by other people."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import pytest
from histories import RUNS, decided, finished, promoted, refitted, registered, started, taken

from tallystick import ledger
from tallystick.ledger.events.commit import commit_text, leaf_entry
from tallystick.ledger.tlog import merkle
from tallystick.ledger.tlog.key_store import load_key
from tallystick.ledger.tlog.note import Checkpoint, SignerKey, VerifierKey, open_checkpoint

PROGRAM = Path(__file__).parent / "interop" / "main.go"
GOPATH = Path("/usr/share/gocode")
HERE = shutil.which("go") is not None and (GOPATH / "src/golang.org/x/mod/sumdb/tlog").is_dir()
pytestmark = pytest.mark.skipif(
    not HERE, reason="needs Go and its x/mod: apt-get install golang-go golang-golang-x-mod-dev"
)

DRAFTS = (
    registered("p"),
    started(RUNS[0], "p"),
    taken(RUNS[0], "p"),
    refitted("p-v1", RUNS[0], "p"),
    decided(RUNS[0], "p", "p-v1"),
    finished(RUNS[0], "p"),
    promoted("p-v1", "p", None),
)
HASH_BITS = 256
SIGNATURE_BITS = 8 * (4 + 64)  # key id and Ed25519 signature
Go = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checker, built from Debian's sources alone: no modules, no network, no cache outside of the test."""
    folder = tmp_path_factory.mktemp("go")
    own = {"GOPATH": str(GOPATH), "GOCACHE": str(folder / "cache"), "GOTMPDIR": str(folder), "CGO_ENABLED": "0"}
    offline = {"GO111MODULE": "off", "GOENV": "off", "GOFLAGS": "", "GOPROXY": "off", "GOTOOLCHAIN": "local"}
    built = subprocess.run(
        ["go", "build", "-o", str(folder / "interop"), str(PROGRAM)],
        env={**os.environ, **own, **offline}, cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return folder / "interop"


@pytest.fixture
def go(program: Path, tmp_path: Path) -> Go:
    def run(evidence: dict[str, Any]) -> dict[str, Any]:
        file = tmp_path / "evidence.json"
        file.write_text(json.dumps(evidence))
        done = subprocess.run([program, file], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    return run


def fill(book: ledger.Ledger, sizes: tuple[int, ...]) -> None:
    """Commits of one to three events up to the largest size, signed at each of the sizes."""
    for size in range(book.log.size() + 1, sizes[-1] + 1):
        events = [DRAFTS[(size + k) % len(DRAFTS)] for k in range(1 + size % 3)]
        book.append(*events, sign=size in sizes)


def signer_of(book: ledger.Ledger) -> SignerKey:
    signer = load_key(VerifierKey.parse(book.genesis.verifier_key))
    assert signer is not None, "the private key is in no file of this test's home"
    return signer


def evidence_of(book: ledger.Ledger, sizes: tuple[int, ...]) -> dict[str, Any]:
    """Keys, checkpoints, entries and every proof at these sizes, all made by our code."""
    signer = signer_of(book)
    entries = [leaf_entry(commit_text(c.head, book.log.hashes(c.first_seq, c.last_seq))) for c in book.log.commits()]
    stored = [c.subtree for c in book.log.commits()]

    def subtree(start: int, stop: int) -> bytes:
        return merkle.subtree_from(stored.__getitem__, lambda n: merkle.leaf_hash(entries[n]), start, stop)

    return {
        "verifier": signer.verifier.format(),
        "signer": signer.format(),
        "checkpoints": [note for _, note in book.log.checkpoints()],
        "entries": texts(entries),
        "roots": texts([merkle.frontier_from(stored.__getitem__, n + 1).root() for n in range(len(entries))]),
        "inclusion": [
            {"index": index, "size": size, "path": texts(merkle.inclusion_path(index, size, subtree))}
            for size in sizes
            for index in range(size)
        ],
        "consistency": [
            {"first": first, "second": second, "path": texts(merkle.consistency_path(first, second, subtree))}
            for first, second in combinations_with_replacement(sizes, 2)
        ],
    }


def texts(values: list[bytes]) -> list[str]:
    return [base64.b64encode(value).decode() for value in values]


def bits_of(proofs: list[dict[str, Any]]) -> int:
    """Bits in a proof's hashes and in the two that it is checked against."""
    return sum(HASH_BITS * (2 + len(proof["path"])) for proof in proofs)


def test_go_opens_our_checkpoints_and_accepts_our_proofs_and_nothing_else(book: ledger.Ledger, go: Go) -> None:
    sizes = (1, 2, 7, 8, 13, 32, 41)
    fill(book, sizes)
    evidence = evidence_of(book, sizes)
    summary = go(evidence)
    newest = evidence["checkpoints"][-1]
    # Ed25519 is deterministic: the same root and key make the same note, byte for byte.
    assert summary.pop("signed") == newest
    assert summary == {
        "checkpoints": 7,
        "checkpoints_refused": 7 * (HASH_BITS + SIGNATURE_BITS),
        "roots": 41,
        "inclusion": 1 + 2 + 7 + 8 + 13 + 32 + 41,
        "inclusion_refused": bits_of(evidence["inclusion"]),
        "consistency": 7 * 8 // 2,
        "consistency_refused": bits_of(evidence["consistency"]),
        "tile_records": 0,
        "tiles_refused": 0,
    }


def test_we_open_the_checkpoint_that_go_signs_with_our_key(book: ledger.Ledger, go: Go) -> None:
    """Without a note of ours at that size: the root and the signature are Go's alone."""
    fill(book, (1, 2, 5))
    book.append(*DRAFTS)
    signed = go(evidence_of(book, (1, 2, 5)))["signed"]
    root = merkle.frontier_from(lambda n: book.log.commit(n).subtree, 6).root()
    assert open_checkpoint(signed, signer_of(book).verifier) == Checkpoint(book.genesis.origin, 6, root)
    assert book.checkpoint() == signed


def test_go_reads_exported_tiles(book: ledger.Ledger, go: Go, tmp_path: Path) -> None:
    """Two tiles of leaves and one above them; trees around the border of a tile are read from the same files."""
    from tallystick.ledger.publish.tiles import export_tiles

    sizes = (1, 2, 255, 256, 257, 300)
    fill(book, sizes)
    export_tiles(book, tmp_path / "tiles")
    evidence = evidence_of(book, sizes)
    evidence["inclusion"] = evidence["inclusion"][::20]  # all of them with every bit flipped take seconds
    summary = go({**evidence, "tiles": str(tmp_path / "tiles")})
    assert summary["checkpoints"] == 6
    assert summary["roots"] == 300
    assert summary["tile_records"] == sum(sizes)
    assert summary["tiles_refused"] == 300 + 1
