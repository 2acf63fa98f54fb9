"""A witness for tests: c2sp.org/tlog-witness over real HTTP on loopback, with a tree and notes of its own reading.

It shares no code with the ledger, so that a mistake made on one side cannot be repeated on the other.
"""

from __future__ import annotations

import base64
import hashlib
import struct
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

Answer = tuple[int, str, bytes]
"""Status, content type, body."""


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def consistent(old: int, new: int, old_root: bytes, new_root: bytes, proof: list[bytes]) -> bool:
    """RFC 9162, 2.1.4.2, word for word."""
    if old == 0:
        return not proof
    if old == new:
        return not proof and old_root == new_root
    path = list(proof)
    if not path:
        return False
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    first, second = old - 1, new - 1
    while first & 1:
        first, second = first >> 1, second >> 1
    left = right = path[0]
    for step in path[1:]:
        if second == 0:
            return False
        if first & 1 or first == second:
            left, right = node(step, left), node(step, right)
            while not first & 1 and first:
                first, second = first >> 1, second >> 1
        else:
            right = node(right, step)
        first, second = first >> 1, second >> 1
    return second == 0 and left == old_root and right == new_root


class Witness:
    """Runs as long as the ``with`` block; knows the logs by their verifier keys."""

    def __init__(self, name: str, *log_keys: str, clock: Callable[[], float] = time.time) -> None:
        self.name = name
        self.private = Ed25519PrivateKey.generate()
        self.clock = clock
        self.logs: dict[str, tuple[bytes, bytes]] = {}
        for vkey in log_keys:
            origin, key_id, encoded = vkey.split("+", 2)
            self.logs[origin] = (bytes.fromhex(key_id), base64.b64decode(encoded)[1:])
        self.seen: dict[str, tuple[int, bytes]] = {}
        self.requests: list[bytes] = []
        self.misbehave: Callable[[bytes], Answer] | None = None
        self.lock = threading.Lock()

    @property
    def public(self) -> bytes:
        return self.private.public_key().public_bytes_raw()

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n\x04" + self.public).digest()[:4]

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(bytes([4]) + self.public).decode()}"

    def __enter__(self) -> Witness:
        witness = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                witness.requests.append(body)
                if not self.path.endswith("/add-checkpoint"):
                    status, kind, answer = 404, "text/plain", b""
                else:
                    status, kind, answer = (witness.misbehave or witness.answer)(body)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/w"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, body: bytes) -> Answer:
        """What the specification says."""
        head, _, note = body.decode().partition("\n\n")
        lines = head.split("\n")
        old, proof = int(lines[0].removeprefix("old ")), [base64.b64decode(line) for line in lines[1:]]
        text, _, signatures = note.rpartition("\n\n")
        text += "\n"
        origin, size_text, root_text, _ = text.split("\n")
        size, root = int(size_text), base64.b64decode(root_text)
        if origin not in self.logs:
            return 404, "text/plain", b"unknown log"
        if not self._signed(origin, text, signatures):
            return 403, "text/plain", b"not signed by the log"
        with self.lock:
            known, known_root = self.seen.get(origin, (0, b""))
            if old != known or (old == size and root != known_root):
                return 409, "text/x.tlog.size", f"{known}\n".encode()
            if old > size or not consistent(old, size, known_root, root, proof):
                return 422, "text/plain", b"inconsistent"
            self.seen[origin] = (size, root)
        return 200, "text/plain", self.cosign(text)

    def _signed(self, origin: str, text: str, signatures: str) -> bool:
        key_id, public = self.logs[origin]
        for line in signatures.rstrip("\n").split("\n"):
            _dash, name, encoded = line.split(" ")
            blob = base64.b64decode(encoded)
            if (name, blob[:4]) != (origin, key_id):
                continue
            try:
                Ed25519PublicKey.from_public_bytes(public).verify(blob[4:], text.encode())
                return True
            except InvalidSignature:
                return False
        return False

    def cosign(self, text: str) -> bytes:
        """A signature line over a checkpoint's text, now."""
        seconds = int(self.clock())
        signature = self.private.sign(f"cosignature/v1\ntime {seconds}\n{text}".encode())
        blob = self.key_id + struct.pack(">Q", seconds) + signature
        return f"\u2014 {self.name} {base64.b64encode(blob).decode()}\n".encode()
