"""The client of a witness against a server that answers anything: an error of ours, in time, and nothing recorded."""

from __future__ import annotations

import datetime as dt
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from shell import tally
from witness import Witness

from tallystick import ledger
from tallystick.ledger.errors import Damaged, InvalidInput, TallyError
from tallystick.ledger.publish import witness as client
from tallystick.ledger.publish.witness import ask
from tallystick.ledger.tlog.cosignature import WitnessKey


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A raw server on loopback that does as it likes with every connection; its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(0.05)
    ended = threading.Event()

    def one(connection: socket.socket) -> None:
        with connection:
            connection.settimeout(2)
            try:
                while b"\n\n" not in connection.recv(1 << 16):
                    pass
                answer(connection)
            except OSError:
                pass  # the client has gone

    def serve() -> None:
        while not ended.is_set():
            try:
                connection, _ = listening.accept()
            except TimeoutError:
                continue
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/w"
    finally:
        ended.set()
        thread.join()
        listening.close()


@pytest.fixture
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ledger.Ledger]:
    with ledger.create(tmp_path_factory.mktemp("w") / "team", timezone="UTC") as made:
        yield made


def _drip(piece: bytes, before: bytes = b"") -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.sendall(before)
        while True:
            connection.sendall(piece)
            time.sleep(0.02)

    return answer


DRIPS = {
    "a body": _drip(b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n"),
    "a status line": _drip(b"H"),
    "headers": _drip(b"X: y\r\n", b"HTTP/1.1 200 OK\r\n"),
    "one header": _drip(b"y", b"HTTP/1.1 200 OK\r\nX: "),
    "interim answers": _drip(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "chunks": _drip(b"1\r\nx\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "the body of a refusal": _drip(b"x", b"HTTP/1.1 409 Conflict\r\nContent-Length: 60000\r\n\r\n"),
    "silence": lambda _connection: time.sleep(2),
}


@pytest.mark.parametrize("what", DRIPS)
def test_a_server_that_answers_byte_by_byte_is_given_up(
    live: ledger.Ledger, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(client, "TIMEOUT_SECONDS", 0.4)
    with server(DRIPS[what]) as url:
        begun = time.monotonic()
        with pytest.raises(InvalidInput, match=r"within 0\.4 seconds|cannot be asked"):
            ask(live, url, WitnessKey.parse(Witness("w1").vkey))
        assert time.monotonic() - begun < 1.5


def _pieces(good: bytes) -> list[bytes]:
    return [
        b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 409 Conflict\r\n", b"HTTP/1.1 204 No Content\r\n", b"HTTP/1.1 301 Moved\r\n",
        b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\n", b"HTTP/0.9 200\r\n", b"HTTP/1.1 abc\r\n",
        b"HTTP/1.1 99999 X\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 -1 X\r\n", b"ICY 200 OK\r\n", b"\r\n", b"\n", b"\0" * 70_000,
        b"Content-Length: 5\r\n", b"Content-Length: -5\r\n", b"Content-Length: 99999999999999999999\r\n",
        b"Content-Length: x\r\n", b"Transfer-Encoding: chunked\r\n", b"ffffffffffffffff\r\n", b"zz\r\n", b"-1\r\n",
        b"0\r\n\r\n",
        b"Location: file:///etc/passwd\r\n", b"Location: http://[\r\n", b"Content-Type: \xff\r\n", b": \r\n",
        b" folded\r\n",
        b"X: " + b"y" * 70_000 + b"\r\n", b"X: y\r\n" * 120, b"Content-Encoding: gzip\r\n", b"5\n", b"1e3\n",
        b"\xd9\xa3\n",
        good, good[:-1], good[: len(good) // 2], b"\xe2\x80\x94 w1 \n", b"\xe2\x80\x94  \n", b"\xff\xfe",
        b"\xe2\x80\x94 w1 " + b"A" * 5000 + b"\n",
    ]  # fmt: skip


def test_no_answer_brings_anything_but_an_error_of_ours(live: ledger.Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TIMEOUT_SECONDS", 2.0)
    named = Witness("w1", live.identity.key.format())
    key = WitnessKey.parse(named.vkey)
    text = "\n".join(live.checkpoint().split("\n")[:3]) + "\n"
    pieces, draw, said = _pieces(named.cosign(text)), random.Random(1), b""
    statuses = [piece for piece in pieces if piece.startswith(b"HTTP")]

    def answer(connection: socket.socket) -> None:
        connection.sendall(said)

    ends = {"accepted": 0, "refused": 0}
    with server(answer) as url:
        for _ in range(300):
            said = b"".join([draw.choice(statuses), *draw.choices(pieces, k=draw.randrange(6))])
            if draw.random() < 0.3:
                said = said[: draw.randrange(len(said) + 1)]
            try:
                note, _ = ask(live, url, key)
                assert named.name in note
                ends["accepted"] += 1
            except TallyError:
                ends["refused"] += 1
    assert ends["refused"] > 200
    assert not live.log.entities("anchor:")


@pytest.mark.parametrize(
    ("shift", "words"),
    [
        (dt.timedelta(days=400), "later than now"),
        (dt.timedelta(hours=2), "later than now"),
        (dt.timedelta(days=-400), "earlier than the commit"),
        (dt.timedelta(hours=-2), "earlier than the commit"),
    ],
)
def test_a_time_that_cannot_be_is_not_recorded(live: ledger.Ledger, shift: dt.timedelta, words: str) -> None:
    at = dt.datetime.now(dt.UTC) + shift
    with Witness("w1", live.identity.key.format(), clock=at.timestamp) as witness:
        with pytest.raises(Damaged, match=words):
            ask(live, witness.url, WitnessKey.parse(witness.vkey))
        answer = tally(live.folder.parent, "anchor", "--witness", witness.url, "--witness-key", witness.vkey)
        assert answer.code != 0
    assert not live.log.entities("anchor:")


def test_clocks_may_differ_a_little(live: ledger.Ledger) -> None:
    for minutes in (-50, 50):
        at = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=minutes)
        with Witness("w1", live.identity.key.format(), clock=at.timestamp) as witness:
            _, cosigned = ask(live, witness.url, WitnessKey.parse(witness.vkey))
        assert cosigned.at == at.replace(microsecond=0)
