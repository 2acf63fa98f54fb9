"""Readers of foreign folders: proofs, tiles, segments, spools, marks, and whole ledgers."""

from __future__ import annotations

import functools
import hashlib
import io
import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import msgspec
from blake3 import blake3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from foreign import NOW, SIGNER, Target, as_bytes, nothing
from given import Ticking, seeded_salts
from law import printable
from scratch import at_home, parts, rewrite, scratch, text_of, text_of_folder, write
from stories import told

from tallystick import ledger as face
from tallystick.ledger.errors import InvalidInput, TallyError
from tallystick.ledger.events import types
from tallystick.ledger.events.commit import commit_text, leaf_entry
from tallystick.ledger.events.event import hashes
from tallystick.ledger.events.types import ArtifactStored, SegmentSealed
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.publish import auditor, bundle, segments
from tallystick.ledger.publish.tiles import export_tiles
from tallystick.ledger.system.provenance import Recorder
from tallystick.ledger.tlog import merkle, pins
from tallystick.ledger.tlog.note import Checkpoint, SignerKey, receipt_line, sign_checkpoint
from tallystick.ledger.tlog.proof import Proof
from tallystick.ledger.tracking import spool

TEAM_KEY = SignerKey("p-" + "0" * 16, bytes(range(32)))


@contextmanager
def a_seeded_key() -> Iterator[None]:
    """Ledgers that are made inside have the same key and the same name each time."""
    with (
        patch("secrets.token_hex", lambda number: "0" * 2 * number),
        patch.object(SignerKey, "generate", lambda _name: TEAM_KEY),
    ):
        yield


def a_team(folder: Path) -> Ledger:
    """A small ledger with something of everything; the same bytes each time, so that an input is the same, too."""
    recorder = Recorder(actor="ann@example.org", user="ann", host="here", tool="tallystick 1")
    with at_home(folder), a_seeded_key():
        return told(face.create(folder / "team", name="p", timezone="America/New_York", key_home="file",
                                recorder=recorder, clock=Ticking(), salts=seeded_salts()))  # fmt: skip


# Proofs ------------------------------------------------------------------------------------------------------


def _quick_arithmetic() -> None:
    """The auditor's pure functions, which take milliseconds, answer from memory or are computed by the libraries.

    That they are equal is what `test_auditor_primitives.py` holds.
    """

    def signature_fits(public: bytes, signature: bytes, message: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True

    def named_hashes(context: str, data: bytes) -> tuple[bytes, bytes]:
        return blake3(data, derive_key_context=context).digest(), hashlib.sha256(data).digest()

    auditor.signature_fits, auditor.named_hashes = signature_fits, named_hashes
    auditor.decode_point = functools.lru_cache(50_000)(auditor.decode_point)
    auditor.multiply = functools.lru_cache(50_000)(auditor.multiply)
    auditor.encode_point = functools.lru_cache(50_000)(auditor.encode_point)


_turns = itertools.count()


def _both(folder: Path) -> object:
    """What both checkers, ours and the auditor's, say of a bundle: the same, in words that are safe to print."""
    refused: TallyError | None = None
    try:
        bundle.check(folder)
    except TallyError as error:
        refused = error
    report = auditor.examine(folder)
    assert (refused is None) is (not report.problems), f"{refused} against {report.problems}"
    assert all(map(printable, (*report.problems, *report.lines)))
    if next(_turns) % 8 == 0:  # the program around it takes longer than all that it does
        said = io.StringIO()
        with redirect_stdout(said), redirect_stderr(said), patch("sys.argv", ["check.py", str(folder)]):
            code = auditor.main()
        assert (code == 0) is (not report.problems)
        assert printable(said.getvalue())
    if refused is not None:
        raise refused
    return report


def _proof() -> Target:
    place = scratch("proof")
    book = a_team(place)
    seqs = [entry.seq for entry in book.events() if isinstance(entry.event.body, ArtifactStored)]
    with at_home(place):
        bundle.prove(book, f"event:{book.log.event(seqs[0]).id.hex()}", seqs, place / "one", True)
        many = [entry.seq for entry in book.events() if "model:p-v1" in types.entities(entry.event)]
        bundle.prove(book, "model:p-v1", many, place / "many", True)
    book.close()
    _quick_arithmetic()
    corpus = [text_of_folder(place / name, "README.txt", "check.py") for name in ("one", "many")]

    def parse(text: str) -> object:
        rewrite(place / "read", text)
        return _both(place / "read")

    return Target(parse, corpus, sample=100)


def _forged_proof() -> Target:
    """Whoever has a key of his own signs whatever he likes: only the contents are drawn, the hashes above them fit."""
    place = scratch("forged")
    _quick_arithmetic()
    artifact = b"forty bytes that stand for a whole model"
    digest = blake3(artifact).hexdigest()
    stored = {"body": {"artifact": digest, "size_bytes": 40}, "t": "artifact.stored", "v": 1}
    run = {"body": {"run": "r", "model": "m"}, "cause": [], "occurred_at": "2013-01-01T00:00:00Z", "t": "x", "v": 7}

    def claim(subject: str, artifacts: list[str], commits: list[tuple[int, list[int]]]) -> bytes:
        told_ = [bundle.CommitPart(events=places, n=n) for n, places in commits]
        made = bundle.Claim(artifacts, told_, "tally.proof/1", SIGNER.name, subject)
        return made.text().removesuffix(b"\n")

    head = b'{"actor":"ann","recorded_at":"2013-01-01T12:00:00Z"}'
    contents = [json.dumps(event).encode() for event in (stored, run)]
    corpus = [
        text_of([("claim", claim("run:r", [digest], [(0, [0, 1])])), ("c0", head), *(("e", one) for one in contents)]),
        text_of([("claim", claim("commit:1", [], [(0, [0]), (1, [0])])), ("c0", head), ("e", contents[1]),
                 ("c1", head), ("e", contents[0])]),
    ]  # fmt: skip

    def parse(text: str) -> object:
        folder = place / "read"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        commits: list[tuple[bytes, list[bytes]]] = []
        for _kind, what, content in parts(text):
            if what == "claim":
                (folder / "proof.json").write_bytes(content + b"\n")
            elif what.startswith("c"):
                commits.append((content, []))
            elif commits:
                commits[-1][1].append(content)
        texts = [
            commit_text(head.decode(errors="replace"), [hashes(event) for event in events]) for head, events in commits
        ][:8]
        leaves = [merkle.leaf_hash(leaf_entry(one)) for one in texts] or [bytes(32)]
        note = sign_checkpoint(Checkpoint(SIGNER.name, len(leaves), merkle.root(leaves)), SIGNER)
        (folder / "log.vkey").write_text(f"{SIGNER.verifier.format()}\n")
        (folder / f"artifact-{digest}").write_bytes(artifact)
        for n, one in enumerate(texts):
            path = tuple(merkle.inclusion_path(n, len(leaves), merkle.subtree_of(leaves)))
            (folder / f"commit-{n}.txt").write_bytes(one)
            (folder / f"commit-{n}.tlog-proof").write_text(Proof(n, path, note).format())
            for at, event in enumerate(commits[n][1]):
                (folder / f"event-{n}-{at}.json").write_bytes(event)
        return _both(folder)

    return Target(parse, corpus, sample=100)


# What lies beside a ledger -----------------------------------------------------------------------------------


def _tiles() -> Target:
    place = scratch("tiles")
    book = a_team(place)
    with at_home(place):
        export_tiles(book, place / "whole")
    corpus = [text_of_folder(place / "whole")]

    def parse(text: str) -> object:
        write(place / "read", text)
        with at_home(place):
            return export_tiles(book, place / "read")

    return Target(parse, corpus, sample=100)


def _segment() -> Target:
    """A sealed file and the event that tells of it, both foreign, against a log in which one event was erased."""
    place = scratch("segment")
    book = a_team(place)
    data = b"".join(segments.lines(book.log, 0, 2))
    body = SegmentSealed(segment="0000", first=0, last=2, size_bytes=len(data), blake3=blake3(data).hexdigest())
    last = book.log.size() - 1

    def parse(text: str) -> object:
        line, _, content = text.partition("\n")
        try:
            segment = msgspec.json.decode(as_bytes(line), type=SegmentSealed)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise InvalidInput("no such event") from error
        if segment.first > segment.last or segment.last > last:
            return nothing()
        folder = place / "read"
        folder.mkdir(exist_ok=True)
        (folder / "0000.jsonl").write_bytes(as_bytes(content))
        words = segments.compare(book.log, segment, folder, {3})
        if words is not None:
            raise InvalidInput(words)
        return segment

    corpus = [f"{msgspec.json.encode(body).decode()}\n{data.decode()}"]
    return Target(parse, corpus, sample=200)


def _spool_folder() -> Target:
    """The spool of a trial, delivered to a ledger that is thrown away as soon as it has grown."""
    place = scratch("spool")
    with at_home(place):
        face.create(place / "first", name="p", timezone="UTC", key_home="file").close()
    content = b"a model"
    digest = blake3(content).hexdigest()
    bodies: list[types.Body] = [
        types.TrialStarted(trial="t", name="n", params={"a": 1}, host="h", process=1, program="x"),
        ArtifactStored(artifact=digest, role="model", media_type="x/y", size_bytes=7, run=None),
        types.TrialStored(trial="t", artifact=digest, name="m", size_bytes=7),
        types.TrialFinished(trial="t", status="finished", error=None, seconds=1.0, late_records=0),
    ]
    lines = [
        spool.Header(trial="t", ledger="/nowhere"),
        spool.record("k", NOW, bodies[:1]),
        spool.record("l", NOW, bodies[1:3], [digest]),
        spool.record("m", NOW, bodies[3:]),
    ]
    records = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    corpus = [
        text_of([("records.jsonl", records), (f"objects/{digest}", content)]),
        text_of([("records.jsonl", records)]),
    ]
    now: dict[str, Ledger] = {}

    def parse(text: str) -> object:
        write(place / "read", text)
        waits = spool.read(place / "read")
        if waits is None:
            return nothing()
        with at_home(place):
            if "book" in now and now["book"].log.size() > 200:
                now.pop("book").close()
            if "book" not in now:
                shutil.rmtree(place / "team", ignore_errors=True)
                shutil.copytree(place / "first", place / "team")
                now["book"] = face.open(place / "team" / ".tally")
            return spool.empty(now["book"], waits)

    return Target(parse, corpus, sample=50)


def _marks() -> Target:
    """Marks of other members in a shared folder."""
    place = scratch("marks")
    corpus = [
        text_of((f"{member}.checkpoint", f"{receipt_line(Checkpoint('o', size, bytes(32)))}\n".encode())
                for size, member in enumerate(("ann@here", "b%2Fn@there"), 1))
    ]  # fmt: skip

    def parse(text: str) -> object:
        rewrite(place / "o", text)
        return list(pins.shared_marks("o", place)) or nothing()

    return Target(parse, corpus, sample=500)


FOLDERS: dict[str, Callable[[], Target]] = {
    "proof folder": _proof,
    "forged proof": _forged_proof,
    "tiles": _tiles,
    "segment": _segment,
    "spool folder": _spool_folder,
    "shared marks": _marks,
}
