"""Check a proof bundle, with nothing but Python 3.11 or later and this file.

    python3 check.py [FOLDER] [--key VERIFIER-KEY]

Whoever made a bundle also supplied the copy of this file in it. Compare that copy's SHA-256 with one that you got
elsewhere, as README.txt says, or use the other copy. Read this file before you run it: it opens only the
files named below, imports nothing from their folder, writes none, and uses no network. What it follows is public:

    RFC 8032            Ed25519 signatures
    RFC 9162, 2.1       the Merkle tree and its inclusion proofs
    BLAKE3              github.com/BLAKE3-team/BLAKE3-specs
    c2sp.org/signed-note, c2sp.org/tlog-checkpoint, c2sp.org/tlog-proof

The bundle: ``proof.json`` says what is claimed; ``log.vkey`` is the key of the log; for each commit n there are
``commit-<n>.txt``, its text, and ``commit-<n>.tlog-proof``, the way from that text to a signed checkpoint;
``event-<n>-<place>.json`` are events that the text lists, ``artifact-<hash>`` files that such events name.
An event's bytes are hashed into a line of its commit's text, the text into a leaf of the tree, and the leaf into the
root that the log's key has signed. A success says that these bytes are that record. It never says that what
was recorded is true, or that nothing was left unrecorded.
"""

import sys

if __name__ == "__main__":
    # Python searches the program's own folder first, and here whoever made the bundle filled that folder. Nothing may
    # be imported before this line, not even from __future__; only `sys` is built in and never read from a file.
    _here = __file__.replace("\\", "/").rpartition("/")[0]
    if not getattr(sys.flags, "safe_path", sys.flags.isolated):
        del sys.path[0]
    sys.path[:] = [entry for entry in sys.path if entry and entry.replace("\\", "/").rstrip("/") != _here]

import argparse
import base64
import contextlib
import hashlib
import io
import itertools
import json
import os
import re
import stat
import struct
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn

COMMIT_CONTEXT = "tallystick 2026-11 commit id v1"
EVENT_CONTEXT = "tallystick 2026-11 event id v1"
MEBIBYTE = 1 << 20
LARGEST_TEXT = 64 * MEBIBYTE
LARGEST_NUMBER = 1 << 53
MOST_SHOWN = 200


class Wrong(Exception):
    """Something in the bundle does not hold; the message says what."""


class Report(NamedTuple):
    """The outcome: proved where ``problems`` is empty, and then ``lines`` says what was. All of it is safe to print."""

    problems: list[str]
    lines: list[str]


# BLAKE3 (the specification's section 2) -----------------------------------------------------------------------
#
# Chunks are independent of each other, so up to LANES of them are hashed at once: one Python integer holds the
# same 32-bit word of every chunk, each in a lane of 64 bits. Sums of three words and shifts of up to 31 bits stay
# inside their lane or land where the mask clears them. With one lane this is the specification's own arithmetic.

IV = [0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19]
PERMUTATION = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8]
COLUMNS = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)]
DIAGONALS = [(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]
QUARTERS = list(enumerate(COLUMNS + DIAGONALS))
CHUNK_START, CHUNK_END, PARENT, ROOT, DERIVE_KEY_CONTEXT, DERIVE_KEY_MATERIAL = 1, 2, 4, 8, 32, 64
CHUNK_BYTES, CHUNK_WORDS, BLOCK_BYTES, BLOCK_WORDS = 1024, 256, 64, 16
LANES = 64


def compress(values: list[int], block: list[int], tail: list[int], ones: int = 1) -> list[int]:
    """The compression function, its first 8 words: ``tail`` is counter (low, high), length, flags; 1 in each lane."""
    mask = ones * 0xFFFFFFFF
    state = [*values, *(word * ones for word in IV[:4]), *tail]
    for _ in range(7):
        for step, (at_a, at_b, at_c, at_d) in QUARTERS:
            a, b, c, d = state[at_a], state[at_b], state[at_c], state[at_d]
            a = (a + b + block[2 * step]) & mask
            d ^= a
            d = (d >> 16 | d << 16) & mask
            c = (c + d) & mask
            b ^= c
            b = (b >> 12 | b << 20) & mask
            a = (a + b + block[2 * step + 1]) & mask
            d ^= a
            d = (d >> 8 | d << 24) & mask
            c = (c + d) & mask
            b ^= c
            b = (b >> 7 | b << 25) & mask
            state[at_a], state[at_b], state[at_c], state[at_d] = a, b, c, d
        block = [block[place] for place in PERMUTATION]
    return [state[i] ^ state[i + 8] for i in range(8)]


def into_lanes(words: Iterable[int]) -> int:
    """One word for each lane, as one integer."""
    return int.from_bytes(b"".join(word.to_bytes(8, "little") for word in words), "little")


class Blake3:
    """Hashing in pieces: ``update`` as often as you like, then ``digest`` for 32 bytes."""

    def __init__(self, key: list[int] = IV, flags: int = 0) -> None:
        self.key = key
        self.flags = flags
        self.buffer = bytearray()
        self.chunks = 0  # how many are done
        self.stack: list[list[int]] = []  # values of complete subtrees, the largest first

    @staticmethod
    def derive_key(context: str) -> "Blake3":
        """The derive-key mode: the hash of the context string takes the place of the IV."""
        inner = Blake3(flags=DERIVE_KEY_CONTEXT)
        inner.update(context.encode())
        return Blake3(list(struct.unpack("<8I", inner.digest())), DERIVE_KEY_MATERIAL)

    def update(self, data: bytes) -> None:
        """Take more bytes. The last chunk waits, since it is hashed in another way if nothing follows."""
        self.buffer += data
        while len(self.buffer) > LANES * CHUNK_BYTES:
            self._absorb(LANES)

    def _absorb(self, count: int) -> None:
        """Hash that many whole chunks side by side, and join complete pairs of subtrees."""
        words = struct.unpack_from(f"<{count * CHUNK_WORDS}I", self.buffer)
        del self.buffer[: count * CHUNK_BYTES]
        ones = into_lanes([1] * count)
        numbers = range(self.chunks, self.chunks + count)
        counter = [into_lanes(n & 0xFFFFFFFF for n in numbers), into_lanes(n >> 32 for n in numbers)]
        values = [word * ones for word in self.key]
        for start in range(0, CHUNK_WORDS, BLOCK_WORDS):
            flags = self.flags
            flags |= CHUNK_START if start == 0 else 0
            flags |= CHUNK_END if start == CHUNK_WORDS - BLOCK_WORDS else 0
            block = [into_lanes(words[start + i :: CHUNK_WORDS]) for i in range(BLOCK_WORDS)]
            values = compress(values, block, [*counter, BLOCK_BYTES * ones, flags * ones], ones)
        lanes = [struct.unpack(f"<{count}Q", value.to_bytes(8 * count, "little")) for value in values]
        for chunk in zip(*lanes, strict=True):
            value, self.chunks = list(chunk), self.chunks + 1
            complete = self.chunks
            while complete % 2 == 0:
                value = compress(self.key, self.stack.pop() + value, [0, 0, BLOCK_BYTES, self.flags | PARENT])
                complete //= 2
            self.stack.append(value)

    def digest(self) -> bytes:
        """The hash of all bytes so far."""
        if len(self.buffer) > CHUNK_BYTES:
            self._absorb((len(self.buffer) - 1) // CHUNK_BYTES)
        values, flags, counter = self.key, self.flags | CHUNK_START, [self.chunks & 0xFFFFFFFF, self.chunks >> 32]
        rest = bytes(self.buffer)
        while len(rest) > BLOCK_BYTES:
            block = list(struct.unpack("<16I", rest[:BLOCK_BYTES]))
            values = compress(values, block, [*counter, BLOCK_BYTES, flags])
            rest, flags = rest[BLOCK_BYTES:], self.flags
        block = list(struct.unpack("<16I", rest.ljust(BLOCK_BYTES, b"\0")))
        tail = [*counter, len(rest), flags | CHUNK_END]
        for left in reversed(self.stack):
            block, tail = left + compress(values, block, tail), [0, 0, BLOCK_BYTES, self.flags | PARENT]
            values = self.key
        return struct.pack("<8I", *compress(values, block, [*tail[:3], tail[3] | ROOT]))


def named_hashes(context: str, data: bytes) -> tuple[bytes, bytes]:
    """BLAKE3 in a context of its own, and SHA-256: the two names of an event or of a commit's text."""
    hasher = Blake3.derive_key(context)
    hasher.update(data)
    return hasher.digest(), hashlib.sha256(data).digest()


# Ed25519 (RFC 8032, 5.1) --------------------------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_MINUS_1 = pow(2, (P - 1) // 4, P)

Point = tuple[int, int, int, int]
"""Extended coordinates (X, Y, Z, T): x = X/Z, y = Y/Z, x * y = T/Z."""
NEUTRAL: Point = (0, 1, 1, 0)


def add(first: Point, second: Point) -> Point:
    """The sum of two points: RFC 8032, 5.1.4."""
    x1, y1, z1, t1 = first
    x2, y2, z2, t2 = second
    a, b = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    c, d = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(scalar: int, point: Point) -> Point:
    """``[scalar]point`` by doubling and adding. Nothing here is secret, so time may depend on the numbers."""
    result = NEUTRAL
    for bit in bin(scalar)[2:]:
        result = add(result, result)
        if bit == "1":
            result = add(result, point)
    return result


def encode_point(point: Point) -> bytes:
    """32 bytes: y, and the lowest bit of x on top: RFC 8032, 5.1.2."""
    inverse = pow(point[2], -1, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decode_point(data: bytes) -> Point | None:
    """Decode a point from 32 bytes (RFC 8032, 5.1.3); None if the bytes encode no point."""
    number = int.from_bytes(data, "little")
    y, sign = number & ((1 << 255) - 1), number >> 255
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * SQRT_MINUS_1 % P
    if x * x % P != square or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


# y is 4/5, x the even root: RFC 8032, 5.1.
BASE = decode_point((4 * pow(5, -1, P) % P).to_bytes(32, "little")) or NEUTRAL


def signature_fits(public: bytes, signature: bytes, message: bytes) -> bool:
    """RFC 8032, 5.1.7, without cofactor, as OpenSSL does it: the R of the signature is recomputed and compared."""
    point = decode_point(public) if len(public) == 32 else None
    if point is None or len(signature) != 64:
        return False
    scalar = int.from_bytes(signature[32:], "little")
    if scalar >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    x, y, z, t = point
    minus = (P - x, y, z, P - t)
    return encode_point(add(multiply(scalar, BASE), multiply(k, minus))) == signature[:32]


# Keys, notes, checkpoints (c2sp.org/signed-note, c2sp.org/tlog-checkpoint) --------------------------------------


class Key(NamedTuple):
    """A verifier key: ``NAME+<key id in hexadecimal>+base64(0x01 || 32 bytes)``."""

    text: str
    name: str
    key_id: bytes
    public: bytes


class Checkpoint(NamedTuple):
    """What the log's key signs: name of the log, number of leaves (here: commits), root of the tree."""

    origin: str
    size: int
    root: bytes


def from_base64(text: str, what: str) -> bytes:
    """Decode RFC 4648, section 4; each value has exactly one accepted text."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise Wrong(f"{what} is not base64.") from None
    if base64.b64encode(data).decode() != text:
        raise Wrong(f"{what} is not base64 in its canonical form.")
    return data


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a key: nothing, blanks, plus signs, control characters, half characters."""
    if not name or any(c == "+" or c.isspace() or c < " " or "\ud800" <= c <= "\udfff" for c in name):
        raise Wrong("The name of a key or log is empty, or holds a blank, a plus sign or a control character.")


def parse_key(text: str) -> Key:
    """Read a verifier key whose id matches, in canonical form, and not one of the few that fit any message."""
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise Wrong("The verifier key has not the form NAME+hash+base64.")
    name, stated_id, encoded = parts
    check_name(name)
    typed = from_base64(encoded, "The verifier key")
    if len(typed) != 33 or typed[0] != 1:
        raise Wrong("The verifier key is not an Ed25519 key of 32 bytes.")
    y = int.from_bytes(typed[1:], "little") & ((1 << 255) - 1)
    if y >= P:
        raise Wrong("The verifier key is not in canonical form.")
    point = decode_point(typed[1:])
    if y in (1, P - 1) or (point is not None and encode_point(multiply(8, point)) == encode_point(NEUTRAL)):
        raise Wrong("The verifier key is a point of small order, with which anybody can sign anything.")
    key_id = hashlib.sha256(name.encode() + b"\n" + typed).digest()[:4]
    if key_id.hex() != stated_id:
        raise Wrong("The verifier key's hash does not match its name and bytes.")
    return Key(text, name, key_id, typed[1:])


def open_note(note: str, key: Key) -> str:
    """The text of a signed note, once the key is seen to have signed it. Signatures by others are ignored."""
    if any(character < " " and character != "\n" for character in note):
        raise Wrong("The checkpoint note holds a control character.")
    # The text may itself hold blank lines; the signatures begin after the last one.
    text, blank, lines = note.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise Wrong("The checkpoint note is not text, a blank line, and signature lines.")
    text += "\n"
    rows = lines[:-1].split("\n")
    if len(rows) > 100:
        raise Wrong("The checkpoint note has more than 100 signatures.")
    by_key = []
    for row in rows:
        match = re.fullmatch("\u2014 (\\S+) (\\S+)", row)
        if match is None:
            raise Wrong("A signature line has not the form: em dash, name, base64.")
        check_name(match[1])
        blob = from_base64(match[2], "A signature")
        if len(blob) < 5:
            raise Wrong("A signature is too short to hold a key id.")
        if (match[1], blob[:4]) == (key.name, key.key_id):
            by_key.append(blob[4:])
    if not by_key:
        raise Wrong("The checkpoint carries no signature by the log's key.")
    if not signature_fits(key.public, by_key[0], text.encode()):
        raise Wrong("The signature by the log's key does not fit the checkpoint.")
    return text


def open_checkpoint(note: str, key: Key) -> Checkpoint:
    """The checkpoint that the key has signed. Extension lines after the third are allowed and say nothing here."""
    lines = open_note(note, key).split("\n")
    if len(lines) < 4 or lines[-1] != "" or "" in lines[:-1]:
        raise Wrong("The checkpoint is not three lines: origin, size, root.")
    origin, size, encoded = lines[:3]
    check_name(origin)
    if not re.fullmatch("0|[1-9][0-9]{0,15}", size):
        raise Wrong("The checkpoint's size is not a plain number.")
    root = from_base64(encoded, "The checkpoint's root")
    if len(root) != 32:
        raise Wrong("The checkpoint's root is not 32 bytes long.")
    if origin != key.name:
        raise Wrong("The checkpoint is of another log than the key.")
    return Checkpoint(origin, int(size), root)


# Proofs of inclusion (c2sp.org/tlog-proof, RFC 9162) ----------------------------------------------------------


def parse_proof(text: str) -> tuple[int, list[bytes], str]:
    """A proof file's index, path (the leaf's sibling first) and checkpoint note."""
    head, blank, note = text.partition("\n\n")
    lines = head.split("\n")
    if not blank or lines.pop(0) != "c2sp.org/tlog-proof@v1":
        raise Wrong("The proof does not begin with c2sp.org/tlog-proof@v1, or has no blank line before its checkpoint.")
    if lines and lines[0].startswith("extra "):
        from_base64(lines.pop(0).removeprefix("extra "), "The proof's extra line")
    match = re.fullmatch("index (0|[1-9][0-9]{0,15})", lines.pop(0)) if lines else None
    if match is None:
        raise Wrong("The proof does not say which index it is for.")
    if len(lines) > 63:
        raise Wrong("The proof has more than 63 hashes.")
    path = [from_base64(line, "A hash of the proof") for line in lines]
    if any(len(step) != 32 for step in path):
        raise Wrong("A hash of the proof is not 32 bytes long.")
    return int(match[1]), path, note


def check_inclusion(index: int, leaf: bytes, path: list[bytes], checkpoint: Checkpoint) -> None:
    """Follow the path from the leaf to the root: RFC 9162, 2.1.3.2."""
    if not 0 <= index < checkpoint.size:
        raise Wrong(f"There is no leaf {index} in a tree of {checkpoint.size}.")
    fn, sn, computed = index, checkpoint.size - 1, leaf
    for sibling in path:
        if sn == 0:
            raise Wrong("The inclusion proof is longer than the tree is deep.")
        if fn & 1 or fn == sn:
            computed = hashlib.sha256(b"\x01" + sibling + computed).digest()
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            computed = hashlib.sha256(b"\x01" + computed + sibling).digest()
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise Wrong("The inclusion proof is shorter than the tree is deep.")
    if computed != checkpoint.root:
        raise Wrong("The commit's text is not in the tree with the checkpoint's root.")


# Files and JSON -----------------------------------------------------------------------------------------------


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file: no symbolic link, and nothing that could block, such as a named pipe."""
    flags = os.O_RDONLY
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):  # not every system has them all
        flags |= getattr(os, name, 0)
    try:
        if path.is_symlink():
            raise Wrong(f"{path.name} is a symbolic link.")
        descriptor = os.open(path, flags)
    except (OSError, ValueError) as error:
        raise Wrong(f"{path.name} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Wrong(f"{path.name} is not a regular file.")
    return os.fdopen(descriptor, "rb")


def read(path: Path, most_bytes: int) -> bytes:
    """All bytes of a regular file that is no larger than expected."""
    with open_regular(path) as file:
        # Reading sets memory aside for all that is asked for, so no more is than there is.
        data = file.read(min(most_bytes, os.fstat(file.fileno()).st_size) + 1)
    if len(data) > most_bytes:
        raise Wrong(f"{path.name} is larger than {most_bytes} bytes.")
    return data


def decode(data: bytes, what: str) -> str:
    """UTF-8, strictly."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Wrong(f"{what} is not UTF-8.") from None


def refuse_number(text: str) -> NoReturn:
    """NaN and Infinity are not JSON."""
    raise ValueError(f"{text} does not belong here")


def refuse_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object whose keys all differ."""
    if len(dict(pairs)) != len(pairs):
        raise ValueError("an object has the same key twice")
    return dict(pairs)


def parse_object(data: bytes, what: str, **strictness: Any) -> dict[str, object]:
    """The JSON object in these bytes."""
    try:
        value = json.loads(decode(data, what), parse_constant=refuse_number, **strictness)
    except (ValueError, RecursionError) as error:
        raise Wrong(f"{what} is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise Wrong(f"{what} is not a JSON object.")
    return value


# The bundle ---------------------------------------------------------------------------------------------------


class Claim(NamedTuple):
    """What ``proof.json`` claims."""

    origin: str
    subject: str
    commits: dict[int, list[int]]
    """For each commit the places of the events that are shown, from 0."""
    artifacts: list[str]


class Event(NamedTuple):
    """What is kept in mind of an event that fits its commit."""

    event_id: str
    line: str
    names_subject: bool
    artifact: tuple[object, object] | None
    named_under: str
    """Of ``commit.imported``: the events after it come from another ledger, and what they name is called so here."""


def ascending(value: object, kind: type) -> bool:
    """Whether this is a list of that type alone (True is not a number), in order and without repetition."""
    if not isinstance(value, list) or any(type(item) is not kind for item in value):
        return False
    return all(first < second for first, second in itertools.pairwise(value))


def parse_claim(data: bytes) -> Claim:
    """Read ``proof.json``; exactly one spelling of it is accepted."""
    claim: Any = parse_object(data, "proof.json", parse_float=refuse_number, object_pairs_hook=refuse_duplicates)
    try:
        spelling = json.dumps(claim, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    except (ValueError, RecursionError):
        spelling = b""
    if spelling != data:
        raise Wrong("proof.json is not written in its one canonical form.")
    if claim.keys() != {"artifacts", "commits", "format", "origin", "subject"} or claim["format"] != "tally.proof/1":
        raise Wrong("proof.json is not of the format tally.proof/1.")
    if type(claim["origin"]) is not str or type(claim["subject"]) is not str:
        raise Wrong("proof.json does not state origin and subject as text.")
    artifacts, commits = claim["artifacts"], claim["commits"]
    if not ascending(artifacts, str) or not all(re.fullmatch("[0-9a-f]{64}", name) for name in artifacts):
        raise Wrong("proof.json does not list artifacts as ascending hashes.")
    if type(commits) is not list or not all(type(c) is dict and c.keys() == {"events", "n"} for c in commits):
        raise Wrong("proof.json does not list commits as objects with `events` and `n`.")
    numbers = [commit["n"] for commit in commits]
    for listed in (numbers, *(commit["events"] for commit in commits)):
        if not listed or not ascending(listed, int) or listed[0] < 0 or listed[-1] > LARGEST_NUMBER:
            raise Wrong("proof.json does not list commits and places of events as ascending numbers, at least one.")
    return Claim(claim["origin"], claim["subject"], {c["n"]: c["events"] for c in commits}, artifacts)


def check_event(data: bytes, what: str, stated: bytes, subject: str, under: str) -> Event:
    """Check an event's bytes against its line in the commit's text, and that they are an event.

    Where it comes from another ledger whose names are read ``under`` another, ``ann/x`` is what it calls ``x``.
    """
    event_id, sha256 = named_hashes(EVENT_CONTEXT, data)
    if f"{event_id.hex()} {sha256.hex()}\n".encode() != stated:
        raise Wrong(f"{what} does not have the hashes that its commit states.")
    event = parse_object(data, what)
    kind, version, body = event.get("t"), event.get("v"), event.get("body")
    if type(kind) is not str or type(version) is not int or not isinstance(body, dict):
        raise Wrong(f"{what} is not an event: it lacks a type, a version or a body.")
    field, _, name = subject.partition(":")
    artifact = (body.get("artifact"), body.get("size_bytes")) if kind == "artifact.stored" else None
    line = f"type {quoted(kind)}, version {version}, id {event_id.hex()}"
    names = [name, name.removeprefix(f"{under}/")] if under else [name]
    said = body.get("named_under") if kind == "commit.imported" else None
    return Event(event_id.hex(), line, body.get(field) in names, artifact, said if isinstance(said, str) else "")


def check_commit(
    folder: Path, n: int, places: list[int], key: Key, subject: str
) -> tuple[Checkpoint, str, list[Event]]:
    """Check one commit and its events; return the checkpoint, the decoded head and the events."""
    text = read(folder / f"commit-{n}.txt", LARGEST_TEXT)
    index, path, note = parse_proof(decode(read(folder / f"commit-{n}.tlog-proof", MEBIBYTE), "The proof"))
    checkpoint = open_checkpoint(note, key)
    if index != n:
        raise Wrong(f"The proof is for leaf {index}.")
    check_inclusion(
        n, hashlib.sha256(b"\x00" + b"".join(named_hashes(COMMIT_CONTEXT, text))).digest(), path, checkpoint
    )

    first, _, rest = text.partition(b"\n")
    head_line, _, listed = rest.partition(b"\n")
    if first != b"tallystick.commit/1":
        raise Wrong("The text does not begin with tallystick.commit/1.")
    head = parse_object(head_line, "The head of the text")
    width = 64 + 1 + 64 + 1
    lines = [listed[start : start + width] for start in range(0, len(listed), width)]
    if not lines or not all(re.fullmatch(rb"[0-9a-f]{64} [0-9a-f]{64}\n", line) for line in lines):
        raise Wrong("The text does not list events, each by two hashes in hexadecimal.")
    events: list[Event] = []
    under = ""
    for place in places:
        if place >= len(lines):
            raise Wrong(f"The text lists {len(lines)} events, so there is no event in place {place}.")
        name = f"event-{n}-{place}.json"
        events.append(check_event(read(folder / name, MEBIBYTE), name, lines[place], subject, under))
        under = events[-1].named_under or under
    said = f"recorded at {quoted(head.get('recorded_at'))} by {quoted(head.get('actor'))}, as its head says"
    return checkpoint, said, events


def check_artifact(folder: Path, name: str, events: list[Event]) -> int:
    """Check a file against its BLAKE3 and an event that names it; returns its size."""
    stated = [e.artifact[1] for e in events if e.artifact and e.artifact[0] == name]
    sizes = {size for size in stated if isinstance(size, int) and type(size) is int}
    if not sizes:
        raise Wrong("No event in the bundle says that a file of this hash was stored.")
    hasher, size = Blake3(), 0
    with open_regular(folder / f"artifact-{name}") as file:
        # Stop within a mebibyte after the signed size: an endless file must not stall this program.
        while size <= max(sizes) and (piece := file.read(MEBIBYTE)):
            hasher.update(piece)
            size += len(piece)
    if size > max(sizes):
        raise Wrong("The file is larger than the event in the bundle says.")
    if hasher.digest().hex() != name:
        raise Wrong("The file does not have the BLAKE3 that is its name.")
    if size not in sizes:
        raise Wrong("No event in the bundle says that a file of this hash and size was stored.")
    return size


def check_subject(claim: Claim, events: list[Event]) -> None:
    """Check that the bundle contains the subject that it claims to prove."""
    kind, colon, _ = claim.subject.partition(":")
    if kind == "event":
        shown = any(claim.subject == f"event:{event.event_id}" for event in events)
    elif kind == "commit":
        shown = any(claim.subject == f"commit:{n}" for n in claim.commits)
    else:
        shown = bool(colon and re.fullmatch("[a-z]+", kind)) and any(event.names_subject for event in events)
    if not shown:
        raise Wrong(f"Nothing in the bundle is about {quoted(claim.subject)}.")


def unclaimed(folder: Path, claim: Claim) -> list[str]:
    """Names in the folder that belong to nothing that was claimed."""
    known = {"README.txt", "check.py", "proof.json", "log.vkey", *(f"artifact-{name}" for name in claim.artifacts)}
    for n, places in claim.commits.items():
        known |= {f"commit-{n}.txt", f"commit-{n}.tlog-proof", *(f"event-{n}-{place}.json" for place in places)}
    return sorted(path.name for path in folder.iterdir() if path.name not in known)


@contextlib.contextmanager
def noting(problems: list[str], where: str = "") -> Iterator[None]:
    """Turn what goes wrong inside into a problem. What cannot be examined is not proved."""
    try:
        yield
    except Wrong as wrong:
        problems.append(f"{where}{wrong}")
    except (OSError, RecursionError, MemoryError) as error:
        problems.append(f"{where}This could not be examined: {type(error).__name__}: {error}.")


def examine(folder: Path, key: str | None = None) -> Report:
    """Check the whole bundle. ``key`` is the log's verifier key as received elsewhere; the bundle's must equal it."""
    problems: list[str] = []
    lines: list[str] = []
    with noting(problems):
        lines = _examine(folder, key, problems)
    return Report([printable(problem) for problem in problems], [] if problems else [printable(line) for line in lines])


def _examine(folder: Path, key: str | None, problems: list[str]) -> list[str]:
    claim = parse_claim(read(folder / "proof.json", LARGEST_TEXT))
    text = decode(read(folder / "log.vkey", MEBIBYTE), "log.vkey")
    if not text.endswith("\n"):
        raise Wrong("log.vkey does not end with a line break.")
    log_key = parse_key(text[:-1])
    if log_key.name != claim.origin:
        raise Wrong("The key in log.vkey is not that of the origin in proof.json.")
    if key is not None and key.strip() != log_key.text:
        raise Wrong(f"The key in the bundle, {log_key.text}, is not the one given, {key.strip()}.")

    events: list[Event] = []
    lines: list[str] = []
    checkpoints: set[Checkpoint] = set()
    for n, places in claim.commits.items():
        with noting(problems, f"Commit {n}: "):
            checkpoint, said, found = check_commit(folder, n, places, log_key, claim.subject)
            checkpoints.add(checkpoint)
            events += found
            lines.append(f"Commit {n} is leaf {n} of that tree: {said}.")
            lines += [f"Event {place} of commit {n}: {e.line}." for place, e in zip(places, found, strict=True)]
    if problems:
        return []
    if len(checkpoints) != 1:
        raise Wrong("The proofs are not all for the same checkpoint.")
    for name in claim.artifacts:
        with noting(problems, f"Artifact {name}: "):
            size = check_artifact(folder, name, events)
            lines.append(f"Artifact {name}: the file has these {size} bytes, and an event above names it.")
    check_subject(claim, events)
    strangers = unclaimed(folder, claim)
    lines += [f"Not part of the proof: {quoted(name)}." for name in strangers[:MOST_SHOWN]]
    if len(strangers) > MOST_SHOWN:
        lines.append(f"Not part of the proof: {len(strangers) - MOST_SHOWN} further names.")

    tree = checkpoints.pop()
    root = base64.b64encode(tree.root).decode()
    origin = f"The log {tree.origin} has signed a checkpoint, with the key of id {log_key.key_id.hex()}."
    if key is None:
        trust = f"The key came with the bundle. Compare it with one received elsewhere: {log_key.text}"
    else:
        trust = f"The key is the one that you gave: {log_key.text}"
    about = f"The bundle is about {quoted(claim.subject)}. Whether the log holds more about it is not proved."
    return [origin, trust, f"The checkpoint is of a tree of {tree.size} commits with the root {root}.", about, *lines]


# Output -------------------------------------------------------------------------------------------------------


def quoted(value: object) -> str:
    """Text from the bundle in quotation marks, shortened; anything else is named, not shown."""
    if not isinstance(value, str):
        return "(not stated)"
    return json.dumps(value if len(value) <= MOST_SHOWN else value[:MOST_SHOWN] + "…", ensure_ascii=False)


def printable(text: str) -> str:
    """No control, format, private or unassigned characters, half characters, or separators of lines."""
    hidden = {c for c in set(text) if unicodedata.category(c)[0] == "C" or unicodedata.category(c) in ("Zl", "Zp")}
    return "".join(c.encode("unicode_escape").decode() if c in hidden else c for c in text)


def main() -> int:
    """The command: 0 if proved, 1 if not, 2 if there is nothing to check."""
    parser = argparse.ArgumentParser(description="Check a proof bundle.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent, help="default: this file's")
    parser.add_argument("--key", help="the log's verifier key, as you received it elsewhere")
    given = parser.parse_args()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if not os.path.lexists(given.folder / "proof.json"):
        print(f"There is no proof.json in {printable(str(given.folder))}, so it is no bundle.", file=sys.stderr)
        return 2
    report = examine(given.folder, given.key)
    if report.problems:
        print(f"NOT PROVED: {report.problems[0]}", *report.problems[1:], sep="\n")
        return 1
    print(*report.lines, sep="\n")
    print("PROVED: under that key, these bytes are the record. Whether what was recorded is true is not proved.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
