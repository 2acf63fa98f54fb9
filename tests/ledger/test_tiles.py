"""What is published as tiles is read by a stranger: a reader written from c2sp.org/tlog-tiles, here in the test.

It shares no code with the ledger. ``TALLY_FULL=1 pytest -m slow`` flips every bit of an export, in some minutes;
the suite flips every 97th, and all of the checkpoint.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from histories import finished, promoted
from stories import damage, told

from tallystick import ledger
from tallystick.ledger.amend.redaction import redact
from tallystick.ledger.errors import Damaged, InvalidInput, Refused
from tallystick.ledger.events import types as say
from tallystick.ledger.publish.tiles import export_tiles, tile_path
from tallystick.ledger.tlog import key_store

# A stranger's reader ------------------------------------------------------------------------------------------


class Wrong(Exception):
    """The published files contradict each other, or their signature."""


def expect(holds: bool, what: str) -> None:
    if not holds:
        raise Wrong(what)


def name_of(kind: str, number: int, width: int) -> str:
    """``tile/<L>/<N>[.p/<W>]``: N in groups of three digits, all but the last after an x."""
    digits = str(number).zfill(-(-len(str(number)) // 3) * 3)
    groups = re.findall("...", digits)
    path = "/".join([f"x{group}" for group in groups[:-1]] + groups[-1:])
    return f"tile/{kind}/{path}" + (f".p/{width}" if width < 256 else "")


def rows_of(size: int) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """Level, and names and widths of its tiles, for a tree of a size; the entries come last."""
    level = 0
    while hashes := size // 256**level:
        yield str(level), [(name_of(str(level), at // 256, w), w) for at, w in widths(hashes)]
        level += 1
    yield "entries", [(name_of("entries", at // 256, w), w) for at, w in widths(size)]


def widths(count: int) -> Iterable[tuple[int, int]]:
    return ((start, min(256, count - start)) for start in range(0, count, 256))


def names_of(size: int) -> set[str]:
    return {"checkpoint", *(name for _, row in rows_of(size) for name, _ in row)}


def merkle_hash(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1, as it is written there."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + merkle_hash(leaves[:k]) + merkle_hash(leaves[k:])).digest()


def decoded(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise Wrong("not base64") from None
    expect(base64.b64encode(data).decode() == text, "not canonical base64")
    return data


def opened(note: bytes, name: str, public: bytes) -> tuple[int, bytes]:
    """Size and root of a checkpoint that the key has signed."""
    try:
        body, _, signatures = note.decode().partition("\n\n")
    except UnicodeDecodeError:
        raise Wrong("not UTF-8") from None
    text, lines = body + "\n", signatures.split("\n")
    expect(lines[-1] == "", "no line break at the end")
    key_id = hashlib.sha256(f"{name}\n".encode() + b"\x01" + public).digest()[:4]
    good = 0
    for line in lines[:-1]:
        dash, signer, blob = [*line.split(" "), "", ""][:3]
        expect(dash == "—", "not a signature line")
        if signer == name and decoded(blob)[:4] == key_id:
            try:
                Ed25519PublicKey.from_public_bytes(public).verify(decoded(blob)[4:], text.encode())
            except InvalidSignature:
                raise Wrong("a bad signature") from None
            good += 1
    expect(good == 1, "not signed by the log")
    origin, size, root = text.splitlines()
    expect(origin == name, "another log")
    return int(size), decoded(root)


def audited(files: dict[str, bytes], name: str, public: bytes) -> int:
    """Read an export, every file of it; its size, or Wrong."""
    size, root = opened(files["checkpoint"], name, public)
    rows: dict[str, list[bytes]] = {}
    for kind, row in rows_of(size):
        unit = 66 if kind == "entries" else 32
        rows[kind] = []
        for path, width in row:
            data = files.get(path, b"")
            expect(len(data) == width * unit, f"{path} has another length")
            rows[kind] += [data[at : at + unit] for at in range(0, len(data), unit)]
    entries = rows.pop("entries")
    expect(all(entry[:2] == b"\x00\x40" for entry in entries), "an entry of another length")
    leaves = [hashlib.sha256(b"\x00" + entry[2:]).digest() for entry in entries]
    expect(leaves == rows["0"], "entries do not have the hashes of level 0")
    expect(merkle_hash(rows["0"]) == root, "level 0 does not have the signed root")
    expect(merkle_hash(leaves) == root, "the entries do not have the signed root")
    for level in range(1, len(rows)):
        below = rows[str(level - 1)]
        full = [merkle_hash(below[at : at + 256]) for at in range(0, len(below) - 255, 256)]
        expect(rows[str(level)] == full, f"level {level} does not follow from the one below")
    return size


# Ledgers to publish -------------------------------------------------------------------------------------------


def grown(book: ledger.Ledger, size: int) -> None:
    """Append unsigned commits; nothing is synced, because no power cut is to be survived."""
    book.writer.connection.execute("PRAGMA synchronous=OFF")
    for n in range(book.log.size(), size):
        book.append(finished(f"run.{n}", "p"))


def published(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def audit(book: ledger.Ledger, folder: Path) -> int:
    key = book.identity.key
    return audited(published(folder), key.name, key.public)


def test_a_stranger_finds_the_signed_root_at_every_kind_of_size(book: ledger.Ledger, tmp_path: Path) -> None:
    for size in (1, 2, 3, 255, 256, 257, 513):
        grown(book, size)
        exported = export_tiles(book, tmp_path / str(size))
        files = published(tmp_path / str(size))
        assert audit(book, tmp_path / str(size)) == size == exported.checkpoint.size
        assert files.keys() == names_of(size)
        assert (exported.written, exported.kept) == (len(files) - 1, 0)


def test_names_and_widths_are_those_of_the_specification() -> None:
    rows = dict(rows_of(70_000))
    assert [(level, len(row), row[-1]) for level, row in rows.items()] == [
        ("0", 274, ("tile/0/273.p/112", 112)),
        ("1", 2, ("tile/1/001.p/17", 17)),
        ("2", 1, ("tile/2/000.p/1", 1)),
        ("entries", 274, ("tile/entries/273.p/112", 112)),
    ]
    assert all(width == 256 for row in rows.values() for _, width in row[:-1])
    numbers = [0, 7, 999, 1000, 1067, 999_999, 1_000_000, 1_234_067]
    for number in numbers:
        for kind in ("0", "5", "entries"):
            for width in (1, 255, 256):
                assert tile_path(kind, number, width) == name_of(kind, number, width)
    assert tile_path("0", 1_234_067, 256) == "tile/0/x001/x234/067"


def test_a_later_export_adds_and_changes_nothing_but_the_checkpoint(book: ledger.Ledger, tmp_path: Path) -> None:
    folder, before = tmp_path / "site", {}
    for size in (3, 200, 256, 300, 600):
        grown(book, size)
        export_tiles(book, folder)
        now = published(folder)
        assert audit(book, folder) == size
        assert {name for name in before if before[name] != now[name]} <= {"checkpoint"}
        before = now
    again = export_tiles(book, folder)
    assert (again.written, again.kept) == (0, len(names_of(600)) - 1)
    assert published(folder) == before
    # Erasing content leaves hashes, and so the tiles, as they were.
    redact(book, 9, "asked to", "a court")
    export_tiles(book, folder)
    assert audit(book, folder) == 601
    assert {name for name in before if before[name] != published(folder)[name]} == {"checkpoint"}


def test_a_new_key_goes_on_publishing_the_same_tree(book: ledger.Ledger, tmp_path: Path) -> None:
    grown(book, 5)
    export_tiles(book, tmp_path / "site")
    old, signer = book.identity.key, key_store.new_signer(book.origin, "file")
    change = say.KeyRotated(
        old=old.key_id.hex(),
        new=signer.verifier.key_id.hex(),
        old_key=old.format(),
        new_key=signer.verifier.format(),
        signed_by_old=True,
        compromised_from=None,
        reason="a new year",
    )
    book.change_identity(change, signer)
    export_tiles(book, tmp_path / "site")
    # Signed by both at this one size; afterwards the old key is silent.
    assert audit(book, tmp_path / "site") == audited(published(tmp_path / "site"), old.name, old.public) == 6
    book.append(finished("r9", "p"))
    export_tiles(book, tmp_path / "site")
    assert audit(book, tmp_path / "site") == 7
    with pytest.raises(Wrong):
        audited(published(tmp_path / "site"), old.name, old.public)


@pytest.mark.parametrize(("here", "there"), [(5, 5), (5, 7), (7, 5), (300, 300), (300, 2), (2, 300), (256, 512)])
def test_two_histories_never_share_a_folder(book: ledger.Ledger, tmp_path: Path, here: int, there: int) -> None:
    grown(book, here)
    export_tiles(book, tmp_path / "site")
    before = published(tmp_path / "site")
    with ledger.create(tmp_path / "other", timezone="UTC") as other:
        grown(other, there)
        with pytest.raises(Refused, match="another history"):
            export_tiles(other, tmp_path / "site")
        assert published(tmp_path / "site") == before
        # Not even where the checkpoint is gone and only tiles say whose they are.
        if {*names_of(here)} & {*names_of(there)} != {"checkpoint"}:
            (tmp_path / "site" / "checkpoint").unlink()
            with pytest.raises(Refused, match="another history"):
                export_tiles(other, tmp_path / "site")
            assert "checkpoint" not in published(tmp_path / "site")


def test_a_fork_or_an_older_copy_does_not_replace_what_is_published(
    book: ledger.Ledger, tmp_path: Path, own_home: Path
) -> None:
    book.append(finished("r1", "p"), sign=True)
    book.close()
    shutil.copytree(book.folder, tmp_path / "copy" / ".tally")
    book.append(promoted("p-v1", "p", None), finished("r2", "p"))
    export_tiles(book, tmp_path / "site")
    before = published(tmp_path / "site")
    with ledger.open(tmp_path / "copy", allow_jump=True) as copy:
        # Older than what is published, then a fork of it that is longer; this account remembers neither.
        shutil.rmtree(own_home / "state")
        for index in range(3):
            with pytest.raises(Refused, match="another history"):
                export_tiles(copy, tmp_path / "site")
            shutil.rmtree(own_home / "state", ignore_errors=True)
            copy.append(finished(f"fork.{index}", "p"))
    assert published(tmp_path / "site") == before


def test_a_tree_without_the_signed_root_is_not_published(book: ledger.Ledger, tmp_path: Path) -> None:
    told(book)
    book.checkpoint()
    damage(book, "UPDATE commits SET head = replace(head, 'tester', 'jester') WHERE n = 2")
    with pytest.raises(Damaged, match="do not have the root"):
        export_tiles(book, tmp_path / "site")
    assert "checkpoint" not in published(tmp_path / "site")


def test_a_folder_that_cannot_be_used_is_said_to_be_one(book: ledger.Ledger, tmp_path: Path) -> None:
    for name in ("tile", "checkpoint", ""):
        folder = tmp_path / f"site {name}"
        folder.joinpath(name).parent.mkdir(exist_ok=True)
        folder.joinpath(name).write_bytes(b"\xff mine")
        with pytest.raises(InvalidInput):
            export_tiles(book, folder)
        assert folder.joinpath(name).read_bytes() == b"\xff mine"


def strings(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for key, item in value.items():
                yield from (key, *strings(item))
        case list():
            for item in value:
                yield from strings(item)


def test_nothing_of_the_content_is_published(book: ledger.Ledger, tmp_path: Path) -> None:
    told(book)
    export_tiles(book, tmp_path / "site")
    everything = b"\0".join(published(tmp_path / "site").values())
    secrets: set[bytes] = set()
    for stored in book.log.events():
        assert stored.data is not None
        content = json.loads(stored.data)
        secrets |= {text.encode() for text in strings(content)}
        secrets |= {base64.b64decode(content["salt"]), stored.id, stored.sha256, stored.data}
    for commit in book.log.commits():
        secrets |= {text.encode() for text in strings(json.loads(commit.head))}
    # The name of the log is what a checkpoint begins with; shorter words may occur in any hash by chance.
    secrets = {secret for secret in secrets if len(secret) >= 6} - {book.origin.encode()}
    assert {b"better bad months", b"tester@example.org", b"ops@example.org", b"run.started"} <= secrets
    assert [secret for secret in secrets if secret in everything] == []


def unnoticed(book: ledger.Ledger, folder: Path, stride: int) -> list[tuple[str, int]]:
    """Bits (file and place) whose flip leaves a stranger content: all of the checkpoint, and every so many others."""
    grown(book, 257)
    export_tiles(book, folder)
    files, key = published(folder), book.identity.key
    assert audited(files, key.name, key.public) == 257
    found, tried = [], 0
    for name, data in sorted(files.items()):
        for bit in range(0, 8 * len(data), 1 if name == "checkpoint" else stride):
            changed = bytearray(data)
            changed[bit // 8] ^= 1 << bit % 8
            tried += 1
            try:
                audited({**files, name: bytes(changed)}, key.name, key.public)
                found.append((name, bit))
            except Wrong:
                pass
    assert tried > sum(map(len, files.values())) * 8 // stride
    return found


def test_flipped_bits_do_not_escape_a_stranger(book: ledger.Ledger, tmp_path: Path) -> None:
    assert unnoticed(book, tmp_path / "site", stride=97) == []


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("TALLY_FULL") != "1", reason="minutes; set TALLY_FULL=1")
def test_no_flipped_bit_escapes_a_stranger(book: ledger.Ledger, tmp_path: Path) -> None:
    assert unnoticed(book, tmp_path / "site", stride=1) == []
