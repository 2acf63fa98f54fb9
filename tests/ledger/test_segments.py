"""Sealed segments hold every commit once, read without us, and convict a log that differs from them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from blake3 import blake3
from histories import finished
from stories import damage, rewrite_everything, told

from tallystick import ledger
from tallystick.ledger.errors import Refused
from tallystick.ledger.events.event import hashes
from tallystick.ledger.publish import segments
from tallystick.ledger.verify.report import Asked
from tallystick.ledger.verify.verify import verify


def test_every_commit_is_sealed_once_and_can_be_read_by_anybody(
    book: ledger.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "COMMITS_A_SEGMENT", 4)
    told(book)
    made = segments.seal(book)
    assert [(part.first, part.last) for part in made] == [(0, 3), (4, 5)]
    with pytest.raises(Refused, match="sealed already"):
        segments.seal(book)
    book.append(finished("r5", "p"))
    made += segments.seal(book)
    assert (made[-1].segment, made[-1].first) == ("0002", 6)
    lines = []
    for part in made:
        data = (book.folder / "segments" / f"{part.segment}.jsonl").read_bytes()
        assert (len(data), blake3(data).hexdigest()) == (part.size_bytes, part.blake3)
        lines += data.splitlines()
    for stored in book.log.events(0, book.log.commit(made[-1].last).last_seq):
        line = next(line for line in lines if line.startswith(b'{"seq":%d,' % stored.seq))
        read = json.loads(line)
        assert (read["id"], read["sha256"]) == (stored.id.hex(), stored.sha256.hex())
        body = line[line.index(b'"body":') + 7 : -1]
        assert body == stored.data
        assert hashes(body) == (stored.id, stored.sha256)
    assert [json.loads(line)["commit"] for line in lines if b'{"commit"' in line[:12]] == list(range(made[-1].last + 1))
    assert verify(book, Asked(segments=book.folder / "segments")).findings == []


def test_a_log_rewritten_with_everything_above_it_differs_from_its_segments(
    book: ledger.Ledger, tmp_path: Path
) -> None:
    told(book)
    segments.seal(book)
    kept = tmp_path / "kept"
    shutil.copytree(book.folder / "segments", kept)
    rewrite_everything(book, lambda data: data.replace(b"better bad months", b"because I said so!"))
    kinds = [finding.kind for finding in verify(book, Asked(segments=kept)).findings]
    assert "SEGMENT" in kinds
    assert "LEAF REWRITTEN" in kinds


@pytest.mark.parametrize("change", ["flip", "cut", "gone", "link"])
def test_a_changed_segment_is_named(book: ledger.Ledger, change: str) -> None:
    told(book)
    segments.seal(book)
    path = book.folder / "segments" / "0000.jsonl"
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    match change:
        case "flip":
            data[len(data) // 2] ^= 1
            path.write_bytes(data)
        case "cut":
            path.write_bytes(data[:-9])
        case "gone":
            path.unlink()
        case "link":
            path.rename(path.with_suffix(".moved"))
            path.symlink_to(path.with_suffix(".moved"))
    verdict = verify(book, Asked(segments=path.parent))
    assert [finding.kind for finding in verdict.findings] == ["SEGMENT"]
    assert verdict.findings[0].where == "segment:0000"


def test_one_changed_event_is_found_by_its_segment(book: ledger.Ledger) -> None:
    told(book)
    segments.seal(book)
    damage(book, "UPDATE events SET body = replace(body, 'tester', 'Tester') WHERE seq = 0")
    damage(book, "UPDATE events SET body = replace(body, '\"p\"', '\"q\"') WHERE seq = 5")
    kinds = {finding.kind for finding in verify(book, Asked(segments=book.folder / "segments")).findings}
    assert {"SEGMENT", "BODY ALTERED"} <= kinds
