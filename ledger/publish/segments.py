"""Sealed segments: a closed range of commits, written once as a file of JSON lines.

    {"commit":0,"head":{…},"subtree":"…"}         the head's text as it is hashed, and the stored subtree in hexadecimal
    {"seq":0,"id":"…","sha256":"…","body":{…}}    one line an event, its body byte for byte; null where it was erased

The file's BLAKE3 stands in an event right after the range, so the tree vouches for it. Comparing the log with its
segments needs one hash a file instead of two an event; and a segment can be read without this program in 50 years.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from blake3 import blake3

from tallystick.ledger.errors import InvalidInput, Refused
from tallystick.ledger.events import types
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.sentences import commit_range
from tallystick.ledger.events.types import SegmentSealed
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.storage.log import Commit, Log
from tallystick.ledger.system.files import read_foreign, write_whole

FOLDER = "segments"
_NAME = re.compile(r"[0-9]{4,12}")
COMMITS_A_SEGMENT = 1 << 14


def sealed(log: Log) -> Iterator[SegmentSealed]:
    """Every segment that the ledger tells of, in order."""
    for entity in log.entities("segment:"):
        seq = log.last_seq_of(entity)
        data = None if seq is None else log.event(seq).data
        body = None if data is None else types.decode(data).body
        # The name becomes that of a file: one that only a stranger's program gives would lead out of the folder.
        if isinstance(body, SegmentSealed) and _NAME.fullmatch(body.segment) and body.first <= body.last < log.size():
            yield body


def seal(ledger: Ledger, progress: Callable[[str, int, int], None] = lambda *_: None) -> list[SegmentSealed]:
    """Write every commit that is in no segment yet, and record the files' hashes in the next commit, signed.

    Raises
    ------
    Refused
        When there is nothing new but the record of the last sealing.
    InvalidInput
        When the files cannot be written.
    """
    known = list(sealed(ledger.log))
    first, size = (known[-1].last + 1 if known else 0), ledger.log.size()
    # The commit that records the last sealing is no news by itself.
    newest = ledger.log.commit(size - 1)
    if first >= size or (first == size - 1 and ledger.log.event(newest.last_seq).type == "segment.sealed"):
        raise Refused("Every commit is sealed already.", "Nothing was written.")
    made: list[SegmentSealed] = []
    expected: dict[str, int | None] = {}
    while first < size:
        last = min(first + COMMITS_A_SEGMENT, size) - 1
        progress("segments", first, size)
        name = f"{len(known) + len(made):04d}"
        data = b"".join(lines(ledger.log, first, last))
        try:
            write_whole(ledger.folder / FOLDER / f"{name}.jsonl", data, mode=0o444)
        except OSError as error:
            raise InvalidInput(
                f"The segment cannot be written in {ledger.folder / FOLDER}: {error.strerror}. Nothing was recorded.",
                "Check free space and rights of the ledger's folder, then try again.",
            ) from error
        made.append(
            SegmentSealed(segment=name, first=first, last=last, size_bytes=len(data), blake3=blake3(data).hexdigest())
        )
        expected[f"segment:{name}"] = None
        first = last + 1
    ledger.append(*map(Draft, made), expected=expected, sign=True)
    return made


def lines(log: Log, first: int, last: int, erased: Collection[int] = ()) -> Iterator[bytes]:
    """The lines of commits ``first`` to ``last``; events in ``erased`` without their body."""
    for commit in log.commits(first, last + 1):
        yield _commit_line(commit)
        for seq, _type, data, event_id, digest in log.events(commit.first_seq, commit.last_seq):
            body = b"null" if data is None or seq in erased else data
            name = f'{{"seq":{seq},"id":"{event_id.hex()}","sha256":"{digest.hex()}","body":'
            yield name.encode() + body + b"}\n"


def _commit_line(commit: Commit) -> bytes:
    return f'{{"commit":{commit.n},"head":{commit.head},"subtree":"{commit.subtree.hex()}"}}\n'.encode()


def compare(log: Log, segment: SegmentSealed, folder: Path, erased: Collection[int]) -> str | None:
    """What is wrong with a segment's file or with the log in its place, in words; None where all is equal.

    Where an event of the range was redacted after it was sealed, the recorded hash cannot be had any more; then the
    file is compared line by line, and may hold the erased body or not.
    """
    path = folder / f"{segment.segment}.jsonl"
    name = f"The segment {segment.segment} ({commit_range(segment.first, segment.last)})"
    if path.is_symlink() or not path.is_file():
        return f"{name} is not in {folder}."
    try:
        # Erasing makes a file smaller, never larger.
        data = read_foreign(path, segment.size_bytes)
    except InvalidInput as error:
        return f"{name} is not as it was sealed: {error.message}"
    expected = b"".join(lines(log, segment.first, segment.last))
    if blake3(data).hexdigest() == segment.blake3 == blake3(expected).hexdigest():
        return None
    first_seq, last_seq = log.commit(segment.first).first_seq, log.commit(segment.last).last_seq
    if any(first_seq <= seq <= last_seq for seq in erased):
        return _differing_line(name, data.split(b"\n"), expected.split(b"\n"))
    if blake3(data).hexdigest() != segment.blake3:
        return f"{name} holds other bytes than when it was sealed."
    return f"{name} is as it was sealed, but the log differs from it."


def _differing_line(name: str, found: list[bytes], expected: list[bytes]) -> str | None:
    if len(found) != len(expected):
        return f"{name} has {len(found) - 1} lines instead of {len(expected) - 1}."
    for mine, theirs in zip(expected, found, strict=True):
        erased = mine.endswith(b'"body":null}') and theirs.startswith(mine[: -len(b"null}")])
        if mine != theirs and not erased:
            return f"{name} differs from the log in the line {mine[:80].decode(errors='replace')}…"
    return None


def erase(ledger: Ledger, seq: int) -> list[str]:
    """Erase a body from the sealed files beside the ledger; names of the files that changed."""
    changed = []
    for segment in sealed(ledger.log):
        log = ledger.log
        if not log.commit(segment.first).first_seq <= seq <= log.commit(segment.last).last_seq:
            continue
        path = ledger.folder / FOLDER / f"{segment.segment}.jsonl"
        if path.is_file():
            start = f'{{"seq":{seq},'.encode()
            kept = [
                line.partition(b'"body":')[0] + b'"body":null}' if line.startswith(start) else line
                for line in path.read_bytes().split(b"\n")
            ]
            write_whole(path, b"\n".join(kept), mode=0o444)
            changed.append(path.name)
    return changed
