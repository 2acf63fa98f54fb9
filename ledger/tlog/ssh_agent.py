"""Keys that an ssh-agent holds: the program asks it for a signature and never sees the private key.

The agent's protocol is draft-ietf-sshm-ssh-agent; an ``ssh-ed25519`` signature over some data is the plain
Ed25519 signature of RFC 8032, so it stands in a signed note like any other.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, NamedTuple

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.tlog.note import Signature, VerifierKey

if TYPE_CHECKING:
    import socket

REQUEST_IDENTITIES, IDENTITIES_ANSWER = 11, 12
SIGN_REQUEST, SIGN_RESPONSE = 13, 14
ALGORITHM = b"ssh-ed25519"
LARGEST_ANSWER_BYTES = 1 << 20
TIMEOUT_SECONDS = 60.0  # an agent may ask its owner, or wait for a touch of a hardware key


class AgentKey(NamedTuple):
    """An ed25519 key in the agent, under the name of a log or a person."""

    name: str
    public: bytes
    comment: str

    @property
    def verifier(self) -> VerifierKey:
        """The public half."""
        return VerifierKey.make(self.name, self.public)

    def sign(self, text: str) -> Signature:
        """Have the agent sign a note's text.

        Raises
        ------
        InvalidInput
            When the agent refuses, is gone, or answers with anything but a signature.
        """
        blob = _string(ALGORITHM) + _string(self.public)
        answer = _ask(bytes([SIGN_REQUEST]) + _string(blob) + _string(text.encode()) + struct.pack(">I", 0))
        if answer[:1] != bytes([SIGN_RESPONSE]):
            raise InvalidInput("The ssh-agent refused to sign.", "Unlock it or add the key again: ssh-add")
        algorithm, signature = _strings(_strings(answer[1:], 1)[0], 2)
        if algorithm != ALGORITHM or len(signature) != 64:
            raise InvalidInput("The ssh-agent answered with another kind of signature.")
        return Signature(self.name, self.verifier.key_id, signature)


def agent_keys(name: str) -> list[AgentKey]:
    """The ed25519 keys that the agent of this session holds, as keys called ``name``; none without an agent."""
    if not os.environ.get("SSH_AUTH_SOCK"):
        return []
    try:
        return held_keys(_ask(bytes([REQUEST_IDENTITIES])), name)
    except InvalidInput:
        return []


def held_keys(answer: bytes, name: str) -> list[AgentKey]:
    """The ed25519 keys in an agent's answer; none where it is not one."""
    try:
        if answer[:1] != bytes([IDENTITIES_ANSWER]):
            return []
        (count,) = struct.unpack_from(">I", answer, 1)
        parts = _strings(answer[5:], 2 * count)
        found = []
        for blob, comment in zip(parts[::2], parts[1::2], strict=True):
            algorithm, public = _strings(blob, 2) if blob.startswith(_string(ALGORITHM)) else (b"", b"")
            if algorithm == ALGORITHM and len(public) == 32:
                found.append(AgentKey(name, public, comment.decode(errors="replace")))
    except (InvalidInput, struct.error):
        return []
    return found


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _strings(data: bytes, count: int) -> list[bytes]:
    """The first ``count`` strings of a buffer, each after its length in four bytes (RFC 4251, section 5)."""
    found, at = [], 0
    if count > len(data) // 4:
        raise InvalidInput("The ssh-agent's answer is cut off.")
    for _ in range(count):
        if at + 4 > len(data):
            raise InvalidInput("The ssh-agent's answer is cut off.")
        (length,) = struct.unpack_from(">I", data, at)
        if at + 4 + length > len(data):
            raise InvalidInput("The ssh-agent's answer is cut off.")
        found.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return found


def _ask(request: bytes) -> bytes:
    import socket  # here, for most processes never ask an agent

    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(TIMEOUT_SECONDS)
            connection.connect(os.environ.get("SSH_AUTH_SOCK", ""))
            connection.sendall(_string(request))
            (length,) = struct.unpack(">I", _receive(connection, 4))
            if length > LARGEST_ANSWER_BYTES:
                raise InvalidInput("The ssh-agent's answer is too long.")
            return _receive(connection, length)
    except OSError as error:
        raise InvalidInput(f"The ssh-agent does not answer: {error}.", "Is SSH_AUTH_SOCK right?") from error


def _receive(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise InvalidInput("The ssh-agent closed the connection.")
        data += part
    return data
