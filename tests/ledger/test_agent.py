"""Keys in a real ssh-agent, and agents that lie."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from histories import finished, registered
from shell import tally

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput, NotFound
from tallystick.ledger.tlog import key_store, ssh_agent
from tallystick.ledger.tlog.note import open_checkpoint
from tallystick.ledger.verify.verify import verify

needs_openssh = pytest.mark.skipif(
    not all(map(shutil.which, ("ssh-agent", "ssh-add", "ssh-keygen"))), reason="OpenSSH's client tools are not here"
)


@pytest.fixture
def socket_path(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A real agent of this test alone, without keys."""
    path = tmp_path_factory.mktemp("a") / "s"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    for _ in range(200):
        if path.exists():
            break
        time.sleep(0.02)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    yield path
    process.terminate()
    process.wait()


def add(kind: str, folder: Path) -> None:
    file = folder / f"id_{kind}"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(file)], check=True)
    subprocess.run(["ssh-add", "-q", str(file)], check=True)


@needs_openssh
def test_an_agents_key_signs_and_leaves_no_file(socket_path: Path, tmp_path: Path, own_home: Path) -> None:
    add("ed25519", tmp_path)
    with ledger.create(tmp_path / "team", timezone="UTC") as book:
        book.append(registered("p"), sign=True)
        assert not list((own_home / "config").rglob("*.key"))
        key = book.identity.key
        assert open_checkpoint(book.checkpoint(), key).size == 2
        assert verify(book).findings == []
        assert tally(tmp_path / "team", "key", "show", "--json").json["held"] == "agent"
        # Without the agent everything is still recorded; only the signature is missing, and that is said.
        away = {"SSH_AUTH_SOCK": str(tmp_path / "nowhere")}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSH_AUTH_SOCK", away["SSH_AUTH_SOCK"])
            book.append(finished("r", "p"), sign=True)
        receipt = tally(tmp_path / "team", "receipt", **away)
        assert receipt.code == 0
        assert "@2 " in receipt.out
        assert "does not have the key" in receipt.err
        assert open_checkpoint(book.checkpoint(), key).size == 3
        # Rotating within one agent needs another key than the one it holds: a file.
        done = tally(tmp_path / "team", "key", "rotate", "--reason", "yearly")
        assert done.code == 0, done.err
        assert len(list((own_home / "config").rglob("*.key"))) == 1
        assert verify(book).findings == []


@needs_openssh
def test_an_agent_without_an_ed25519_key_is_no_help(socket_path: Path, tmp_path: Path, own_home: Path) -> None:
    add("ecdsa", tmp_path)
    with pytest.raises(NotFound, match="ed25519"):
        ledger.create(tmp_path / "a", timezone="UTC", key_home="agent")
    assert not (tmp_path / "a" / ".tally").exists()
    with ledger.create(tmp_path / "b", timezone="UTC") as book:
        assert key_store.key_path(book.identity.key).exists()


LIES = {
    "closes at once": b"",
    "cut off": struct.pack(">I", 900) + b"\x0c\x00",
    "huge": struct.pack(">I", 0xFFFFFFFF),
    "another type": struct.pack(">I", 5) + b"\x05\x00\x00\x00\x00",
    "many keys": struct.pack(">I", 5) + b"\x0c" + struct.pack(">I", 0xFFFFFFFF),
    "lengths beyond the end": struct.pack(">I", 13) + b"\x0c" + struct.pack(">II", 1, 4000) + b"abcd",
    "garbage": struct.pack(">I", 40) + bytes(range(40)),
    "empty": struct.pack(">I", 0),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_agent_that_lies_is_no_agent(
    lie: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path_factory.mktemp("l") / "s"
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(path))
    server.listen()

    def answer() -> None:
        for _ in range(2):
            connection, _address = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(LIES[lie])

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    assert ssh_agent.agent_keys("x") == []
    with pytest.raises(InvalidInput):
        ssh_agent.AgentKey("x", bytes(32), "").sign("text")
    thread.join(5)
    server.close()
