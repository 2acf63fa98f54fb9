"""Events are checked by the hundred where nothing is wrong; what is found is what looking at each would find."""

from __future__ import annotations

import pytest
from histories import HASH, finished, started
from stories import damage, told

from tallystick import ledger
from tallystick.ledger.events import types
from tallystick.ledger.events.commit import from_micros, head_text
from tallystick.ledger.events.encoding import Encoded
from tallystick.ledger.events.event import hashes
from tallystick.ledger.events.types import AnchorRecorded, EventRedacted
from tallystick.ledger.storage.append import Piece
from tallystick.ledger.storage.log_writer import WriteOptions
from tallystick.ledger.verify.batch_decode import Alike
from tallystick.ledger.verify.scan import BATCH_BYTES, BATCH_ROWS, Range, Scanned, next_rows, scan
from tallystick.ledger.verify.verify import verify

UNKNOWN = (
    b'{"body":{"anything":1},"occurred_at":"2013-01-01T00:00:00Z","salt":"AAAAAAAAAAAAAAAAAAAAAA==",'
    b'"t":"thing.happened","v":7}'
)


def written(book: ledger.Ledger, events: int) -> list[Encoded]:
    """Two types in turn, as the ledger would write them: more than are checked together."""
    book.append(*(started(f"r{n}", "p") if n % 2 else finished(f"r{n}", "p") for n in range(events)))
    newest = book.log.commit(book.log.size() - 1)
    assert newest.last_seq - newest.first_seq > 2 * BATCH_ROWS
    return [encoded(entry.data, entry.type) for entry in book.log.events(newest.last_seq - events + 1) if entry.data]


def encoded(data: bytes, filed_as: str) -> Encoded:
    try:
        entities = types.entities(types.decode(data))
    except ledger.Damaged:
        entities = []
    return Encoded(filed_as, data, hashes(data), entities)


def append_as_it_is(book: ledger.Ledger, events: list[Encoded]) -> int:
    """One commit of a stranger's program, which keeps to the format of commits alone; where its events begin."""
    appended = book.writer.append(
        Piece(events, lambda micros: head_text(book.recorder, from_micros(micros), None, imported=False)),
        WriteOptions(now_micros=lambda: book.log.commit(book.log.size() - 1).recorded_at),
    )
    return appended.first_seq


def scanned(book: ledger.Ledger) -> Scanned:
    size = book.log.size()
    return scan(book.log, Range(0, size, 0, frozenset(range(size + 1)), book.identities))


def one_by_one(book: ledger.Ledger, monkeypatch: pytest.MonkeyPatch) -> Scanned:
    with monkeypatch.context() as patched:
        patched.setattr(Alike, "read", lambda *_: None)
        return scanned(book)


def test_what_is_unusual_among_hundreds_is_found_and_said_in_its_order(
    book: ledger.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = written(book, 700)
    # In one of the two batches the type that comes first is written otherwise later than the other.
    for place in (80, 91, 601, 610):
        events[place] = encoded(events[place].data.replace(b'":', b'": ', 1), events[place].type)
    events[300] = encoded(UNKNOWN, "thing.happened")
    events[310] = encoded(events[310].data.replace(b'"result_hash"', b'"result_hush"'), "run.finished")
    events[320] = encoded(events[320].data, "run.started")
    events[330] = encoded(events[330].data.replace(b'"v":1}', b'"v":9}'), "run.finished")
    first = append_as_it_is(book, events)
    verdict = verify(book)
    assert [(finding.kind, finding.where.partition("-")[0]) for finding in verdict.findings] == [
        ("BODY ALTERED", f"#{first + 310}"),
        ("INDEX", f"#{first + 320}"),
    ]
    assert "is no event" in verdict.findings[0].words
    assert verdict.warnings[0].startswith(
        f"4 events in another written form than this program's, the first #{first + 80}-"
    )
    found = scanned(book)
    assert [handle.partition("-")[0] for handle in found.strange] == [f"#{first + n}" for n in (80, 91, 601, 610)]
    assert found == one_by_one(book, monkeypatch)


def test_few_large_events_are_read_together() -> None:
    small, large = (0, "x.y", b"small", b"", b""), (0, "x.y", b"l" * (BATCH_BYTES // 4), b"", b"")
    erased = (0, "x.y", None, b"", b"")
    rows = iter([small, erased] * 300 + [large] * 60)
    taken = [len(some) for some in iter(lambda: next_rows(rows), [])]
    assert sum(taken) == 660
    assert taken[:2] == [BATCH_ROWS] * 2
    assert len(taken) > 5


DAMAGES = [
    "UPDATE events SET body = NULL WHERE seq % 97 = 9",
    "UPDATE events SET body = replace(body, 'p', 'q') WHERE seq % 101 = 9",
    "UPDATE events SET id = zeroblob(32) WHERE seq = 400",
    "UPDATE events SET sha256 = id WHERE seq = 401",
    "UPDATE events SET id = sha256, sha256 = id WHERE seq BETWEEN 300 AND 302",
    "DELETE FROM events WHERE seq BETWEEN 255 AND 258 OR seq = 512",
    "DELETE FROM commits WHERE n = 3",
    "UPDATE commits SET last_seq = last_seq - 1 WHERE n = 6",
    "UPDATE entities SET last_seq = last_seq - 1 WHERE entity = 'run:r17'",
    "DELETE FROM entities WHERE entity = 'pipeline:p'",
]


def test_together_and_one_by_one_find_the_same(book: ledger.Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    written(told(book), 700)
    # Of the types that verification itself needs, in an order that is not that of the types.
    kept = AnchorRecorded(
        anchor="a",
        kind="kept",
        size=2,
        root=HASH,
        where="a ticket",
        receipt="?",
        stated_at=None,
        witness_key=None,
        url=None,
    )
    book.append(
        kept,
        EventRedacted(redaction="5", event=HASH, type="x.y", version=1, refers_to={}, reason="r", authority="a"),
        kept,
    )
    whole = scanned(book)
    assert whole == one_by_one(book, monkeypatch)
    assert (whole.findings, whole.missing) == ([], [])
    assert [told.seq for told in whole.told] == [whole.events - 3, whole.events - 2, whole.events - 1]
    assert whole.indexed == book.log.reader.execute("SELECT count(*) FROM entities").fetchone()[0]
    book.close()
    pristine = book.log.path.read_bytes()
    for statement in DAMAGES:
        damage(book, statement)
        found = scanned(book)
        assert found.findings or found.missing, statement
        assert found == one_by_one(book, monkeypatch), statement
        book.close()
        book.log.path.write_bytes(pristine)
