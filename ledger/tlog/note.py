"""Signed notes, checkpoints and receipts.

A note (c2sp.org/signed-note) is text with signature lines; a checkpoint (c2sp.org/tlog-checkpoint) is a note
whose text is origin, size and root of a tree. A receipt is the same three facts, as the whole note or as one
line for chat and tickets. Notes are malleable, so what is compared is always (origin, size, root).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

from tallystick.ledger.errors import Damaged, InvalidInput

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ED25519 = b"\x01"
EM_DASH = "\u2014"
MOST_SIGNATURES = 100
LONGEST_NOTE_CHARACTERS = 1 << 20

# Public keys whose multiples are so few that one signature verifies for many messages: the eight points of
# small order on edwards25519, in their canonical encodings (y and, where they differ, both signs of x).
_SMALL_ORDER = frozenset(
    bytes.fromhex(text)
    for text in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    )
)
_FIELD_PRIME = 2**255 - 19


class VerifierKey(NamedTuple):
    """The public half of a key: ``NAME+hash+base64(0x01 || 32 bytes)``."""

    name: str
    key_id: bytes
    """The first four bytes of SHA-256(name || 0x0A || 0x01 || public key)."""
    public: bytes

    @staticmethod
    def make(name: str, public: bytes) -> VerifierKey:
        """The key of 32 public bytes under a name."""
        check_name(name)
        return VerifierKey(name, key_id(name, ED25519, public), public)

    def format(self) -> str:
        """The form in which verifier keys are exchanged."""
        return f"{self.name}+{self.key_id.hex()}+{to_base64(ED25519 + self.public)}"

    @staticmethod
    def parse(text: str) -> VerifierKey:
        """Read a verifier key; InvalidInput unless its hash matches and it is a sound Ed25519 key."""
        name, public = parse_key(text, ED25519)
        return VerifierKey.make(name, public)


def parse_key(text: str, kind: bytes) -> tuple[str, bytes]:
    """Name and public bytes of ``NAME+hash+base64(kind || 32 bytes)``; InvalidInput unless all of it fits."""
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise InvalidInput("A verifier key has the form NAME+hash+base64.")
    name, stated_id, encoded = parts
    check_name(name)
    key = from_base64(encoded, "The verifier key")
    if len(key) != 33 or key[:1] != kind:
        raise InvalidInput("The verifier key is not an Ed25519 key of 33 bytes of the right type.")
    _refuse_weak(key[1:])
    if key_id(name, kind, key[1:]).hex() != stated_id:
        raise InvalidInput("The verifier key's hash does not match its name and bytes.")
    return name, key[1:]


class SignerKey(NamedTuple):
    """The private half of a key, as Go's note package writes it: ``PRIVATE+KEY+NAME+hash+base64``."""

    name: str
    seed: bytes

    @staticmethod
    def generate(name: str) -> SignerKey:
        """A new key from the operating system's random source."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        check_name(name)
        return SignerKey(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @property
    def verifier(self) -> VerifierKey:
        """The public half."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        public = Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw()
        return VerifierKey(self.name, key_id(self.name, ED25519, public), public)

    def format(self) -> str:
        """The form in which the private key is kept."""
        return f"PRIVATE+KEY+{self.name}+{self.verifier.key_id.hex()}+{to_base64(ED25519 + self.seed)}"

    @staticmethod
    def parse(text: str) -> SignerKey:
        """Read a private key; InvalidInput unless its hash matches. Messages never quote the key."""
        parts = text.split("+", 4)
        if len(parts) != 5 or parts[:2] != ["PRIVATE", "KEY"]:
            raise InvalidInput("This is not a private key of the form PRIVATE+KEY+NAME+hash+base64.")
        check_name(parts[2])
        key = from_base64(parts[4], "The private key")
        if len(key) != 33 or key[:1] != ED25519:
            raise InvalidInput("The private key is not an Ed25519 key of 33 bytes.")
        signer = SignerKey(parts[2], key[1:])
        if signer.verifier.key_id.hex() != parts[3]:
            raise InvalidInput("The private key's hash does not match its name and bytes.")
        return signer

    def sign(self, text: str) -> Signature:
        """Sign a note's text (RFC 8032, Ed25519)."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        signature = Ed25519PrivateKey.from_private_bytes(self.seed).sign(text.encode())
        return Signature(self.name, self.verifier.key_id, signature)


class Signature(NamedTuple):
    """One signature line of a note."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> str:
        """``— NAME base64(key id || signature)``."""
        return f"{EM_DASH} {self.name} {to_base64(self.key_id + self.signature)}\n"


class Note(NamedTuple):
    """Text and the signatures under it."""

    text: str
    signatures: tuple[Signature, ...]

    def format(self) -> str:
        """The note as it is stored and sent."""
        return self.text + "\n" + "".join(signature.line() for signature in self.signatures)

    @staticmethod
    def parse(note: str) -> Note:
        """Take a note apart; InvalidInput for anything that is not one."""
        if len(note) > LONGEST_NOTE_CHARACTERS:
            raise InvalidInput("A note of more than a million characters is not read.")
        if _UNPRINTABLE.search(note):
            raise InvalidInput("A note holds no control characters but line breaks, and only Unicode text.")
        # The text may itself hold blank lines; the signatures begin after the last one.
        text, blank, lines = note.rpartition("\n\n")
        if not blank or not lines.endswith("\n"):
            raise InvalidInput("A note is text, a blank line, and signature lines that end in a line break.")
        rows = lines[:-1].split("\n")
        if len(rows) > MOST_SIGNATURES:
            raise InvalidInput(f"A note has at most {MOST_SIGNATURES} signatures; this one has {len(rows)}.")
        return Note(text + "\n", tuple(map(_parse_signature, rows)))


def _parse_signature(line: str) -> Signature:
    match = re.fullmatch(rf"{EM_DASH} (\S+) (\S+)", line)
    if match is None:
        raise InvalidInput("A signature line has the form: em dash, name, base64.")
    check_name(match[1])
    blob = from_base64(match[2], "A signature")
    if len(blob) < 5:
        raise InvalidInput("A signature is too short to hold a key id.")
    return Signature(match[1], blob[:4], blob[4:])


def verify_note(note: Note, trusted: Sequence[VerifierKey]) -> tuple[VerifierKey, ...]:
    """The trusted keys that have signed a note, each once.

    Signatures by unknown keys are ignored. A known key's bad signature rejects the whole note, and so does the
    absence of any good one.

    Raises
    ------
    Damaged
    """
    known = {(key.name, key.key_id): key for key in trusted}
    good: dict[VerifierKey, None] = {}
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is None or key in good:
            continue
        if not verifies(key.public, signature.signature, note.text.encode()):
            raise Damaged(f"The signature by {key.name} ({key.key_id.hex()}) does not fit the text.")
        good[key] = None
    if not good:
        raise Damaged("The note carries no signature by a trusted key.")
    return tuple(good)


def is_signed(note: Note, known: Sequence[VerifierKey]) -> bool:
    """Whether one of these keys has signed a note; False where it bears no signature that names any of them.

    Raises
    ------
    Damaged
        When a signature names one of them and does not fit: the note was changed.
    """
    ids = {(key.name, key.key_id) for key in known}
    if not any((signature.name, signature.key_id) in ids for signature in note.signatures):
        return False
    return bool(verify_note(note, known))


def verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether an Ed25519 signature (RFC 8032) fits."""
    from cryptography.exceptions import InvalidSignature

    try:
        _public_key(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(maxsize=64)
def _public_key(public: bytes) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return Ed25519PublicKey.from_public_bytes(public)


class Checkpoint(NamedTuple):
    """Origin, number of leaves and root of a tree: what a receipt says."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The note's text: three lines."""
        return f"{self.origin}\n{self.size}\n{to_base64(self.root)}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Read a checkpoint's text. Extension lines after the third are allowed by the format and ignored here."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] != "" or "" in lines[:-1]:
        raise InvalidInput("A checkpoint is three lines: origin, size, root.")
    origin, size, encoded = lines[:3]
    check_name(origin)
    if not re.fullmatch(r"0|[1-9][0-9]{0,15}", size):
        raise InvalidInput("The checkpoint's size is not a plain number.")
    root = from_base64(encoded, "The checkpoint's root")
    if len(root) != 32:
        raise InvalidInput("The checkpoint's root is not 32 bytes long.")
    return Checkpoint(origin, int(size), root)


class CanSign(Protocol):
    """Anything that signs under a name; see :mod:`ledger.tlog.key_store`."""

    @property
    def name(self) -> str:
        """Name of the key."""

    def sign(self, text: str) -> Signature:
        """Sign a note's text."""


def sign_checkpoint(checkpoint: Checkpoint, *signers: CanSign) -> str:
    """A checkpoint note signed by the log's key, and then by any others.

    Refused for an empty tree, whose root says nothing.
    """
    if checkpoint.size < 1 or len(checkpoint.root) != 32:
        raise InvalidInput("A checkpoint vouches for at least one commit.")
    if checkpoint.origin != signers[0].name:
        raise InvalidInput(f"The key {signers[0].name} does not sign for {checkpoint.origin}.")
    text = checkpoint.text()
    return Note(text, tuple(signer.sign(text) for signer in signers)).format()


def open_checkpoint(note: str, key: VerifierKey) -> Checkpoint:
    """The checkpoint in a note, once the log's own key is seen to have signed it.

    Raises
    ------
    InvalidInput
        When it is no checkpoint note.
    Damaged
        When the signature is missing or does not fit, or the note is of another origin.
    """
    parsed = Note.parse(note)
    verify_note(parsed, (key,))
    checkpoint = parse_checkpoint(parsed.text)
    if checkpoint.origin != key.name:
        raise Damaged(f"The checkpoint is of {checkpoint.origin}, but the key is that of {key.name}.")
    return checkpoint


# Receipts --------------------------------------------------------------------------------------------------


class Receipt(NamedTuple):
    """What somebody kept: the three facts, and the note where it was kept whole."""

    checkpoint: Checkpoint
    note: Note | None


def receipt_line(checkpoint: Checkpoint) -> str:
    """``receipt ORIGIN@SIZE BASE64ROOT``: the form for chat and tickets."""
    return f"receipt {checkpoint.origin}@{checkpoint.size} {to_base64(checkpoint.root)}"


_QUOTES = re.compile(r"^(?:[>|]\s?)+")
_RECEIPT = re.compile(r"receipt\s+(\S+)@([0-9]{1,16})\s+([A-Za-z0-9+/]{43}=)")
_DASHES = re.compile(r"^(?:\u2014|\u2013|--?)\s+(\S+)\s+(\S+)$")


def parse_receipt(text: str) -> Receipt:
    """Find the receipt in a text that was pasted, in either form.

    Forgives line ends, quotation marks of mails, indentation, no-break spaces, trailing blanks, hyphens for the
    em dash, lost blank lines, and words before and after. The note is rebuilt exactly and means what was signed.

    Raises
    ------
    InvalidInput
        When there is none, or more than one that say different things.
    """
    lines = [_unpaste(line) for line in text[:LONGEST_NOTE_CHARACTERS].splitlines()]
    lines = [line for line in lines if line]
    found = [*_line_receipts(lines), *_note_receipts(lines)]
    if not found:
        raise InvalidInput(
            "There is no receipt in this text.",
            "A receipt is a line that begins with `receipt`, or a signed note of three lines and a signature.",
        )
    if len({receipt.checkpoint for receipt in found}) > 1:
        raise InvalidInput("This text holds several different receipts.", "Give them one by one.")
    return max(found, key=lambda receipt: receipt.note is not None)


def _unpaste(line: str) -> str:
    line = line.replace("\u00a0", " ").replace("\ufeff", "").replace("\u200b", "").strip()
    return _QUOTES.sub("", line).strip().strip("`").strip()


def _line_receipts(lines: Sequence[str]) -> list[Receipt]:
    found = []
    for line in lines:
        if match := _RECEIPT.search(line):
            text = f"{match[1]}\n{match[2]}\n{match[3]}\n"
            found.append(Receipt(parse_checkpoint(text), None))
    return found


def _note_receipts(lines: Sequence[str]) -> list[Receipt]:
    found = []
    for index in range(len(lines) - 3):
        origin, size, root = lines[index : index + 3]
        # Asked before the signatures are read: a text of nothing but such lines would be read once for each of them.
        if not size.isdigit():
            continue
        signatures = []
        for line in lines[index + 3 :]:
            match = _DASHES.match(line)
            if match is None:
                break
            signatures.append(f"{EM_DASH} {match[1]} {match[2]}\n")
        if not signatures:
            continue
        note = Note.parse(f"{origin}\n{size}\n{root}\n\n{''.join(signatures)}")
        found.append(Receipt(parse_checkpoint(note.text), note))
    return found


# Small parts -----------------------------------------------------------------------------------------------


def key_id(name: str, kind: bytes, public: bytes) -> bytes:
    """The first four bytes of SHA-256(name || 0x0A || kind || public key)."""
    return hashlib.sha256(name.encode() + b"\n" + kind + public).digest()[:4]


_UNPRINTABLE = re.compile("[\x00-\x09\x0b-\x1f\ud800-\udfff]")
_NOT_IN_NAMES = re.compile("[\x00-\x1f+\ud800-\udfff]|\\s")


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a key."""
    if not name or _NOT_IN_NAMES.search(name):
        raise InvalidInput("The name of a key is not empty and holds neither blanks, `+`, nor control characters.")


def _refuse_weak(public: bytes) -> None:
    """Refuse keys on which libraries disagree: not reduced modulo the field prime, or of small order."""
    y = int.from_bytes(public, "little") & ((1 << 255) - 1)
    if y >= _FIELD_PRIME:
        raise InvalidInput("The verifier key is not in canonical form.")
    if public in _SMALL_ORDER or y in (1, _FIELD_PRIME - 1):
        raise InvalidInput("The verifier key is a point of small order, with which anybody can sign anything.")


def to_base64(data: bytes) -> str:
    """RFC 4648, section 4, with padding."""
    return base64.b64encode(data).decode()


def from_base64(text: str, what: str) -> bytes:
    """Decode RFC 4648, section 4; exactly one text is accepted for each value."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(f"{what} is not base64.") from error
    if to_base64(data) != text:
        raise InvalidInput(f"{what} is not base64 in its canonical form.")
    return data
