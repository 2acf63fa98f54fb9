"""Notes, checkpoints and receipts: published examples, every damaged byte, and what pasting does to text."""

import base64
import contextlib
import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.ledger.errors import Damaged, InvalidInput, TallyError
from tallystick.ledger.tlog.note import (
    Checkpoint,
    Note,
    Signature,
    SignerKey,
    VerifierKey,
    open_checkpoint,
    parse_checkpoint,
    parse_receipt,
    receipt_line,
    sign_checkpoint,
    verify_note,
)

# The example of the c2sp.org/signed-note authors' Go implementation (golang.org/x/mod/sumdb/note).
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
SIGNER = SignerKey("example.org/team/log-0123456789abcdef", bytes(range(32)))
CHECKPOINT = Checkpoint(SIGNER.name, 57, bytes(range(100, 132)))
NOTE = sign_checkpoint(CHECKPOINT, SIGNER)


def test_the_published_note_verifies_with_its_published_key() -> None:
    key = VerifierKey.parse(GO_KEY)
    assert verify_note(Note.parse(GO_NOTE), (key,)) == (key,)
    assert key.format() == GO_KEY
    assert Note.parse(GO_NOTE).format() == GO_NOTE


@pytest.mark.parametrize(
    ("seed", "public", "message", "signature"),
    [  # RFC 8032, section 7.1, tests 2 and 3 (messages that are valid text)
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "r",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
    ],
)
def test_rfc_8032_vectors(seed: str, public: str, message: str, signature: str) -> None:
    signer = SignerKey("vector", bytes.fromhex(seed))
    assert signer.verifier.public.hex() == public
    assert signer.sign(message).signature.hex() == signature


def test_keys_survive_writing_and_reading() -> None:
    signer = SignerKey.generate("acme/credit/pd-7f3a9c12e4b05d68")
    assert SignerKey.parse(signer.format()) == signer
    assert VerifierKey.parse(signer.verifier.format()) == signer.verifier


@pytest.mark.parametrize(
    "public",
    [
        "01" + "00" * 31,
        "00" * 32,
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ed" + "ff" * 30 + "7f",  # the field prime itself: zero in a second spelling
        "01" + "00" * 30 + "80",
    ],
)
def test_weak_public_keys_are_refused(public: str) -> None:
    key = bytes.fromhex(public)
    key_id = hashlib.sha256(b"weak\n\x01" + key).digest()[:4]
    text = f"weak+{key_id.hex()}+{base64.b64encode(bytes([1]) + key).decode()}"
    with pytest.raises(InvalidInput):
        VerifierKey.parse(text)


def test_a_checkpoint_opens_only_with_its_own_key() -> None:
    assert open_checkpoint(NOTE, SIGNER.verifier) == CHECKPOINT
    other = SignerKey(SIGNER.name, bytes(32))
    with pytest.raises(Damaged):
        open_checkpoint(NOTE, other.verifier)


def test_every_changed_byte_of_a_checkpoint_is_refused() -> None:
    data = NOTE.encode()
    for index in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[index] ^= 1 << bit
            text = changed.decode(errors="surrogateescape")
            with pytest.raises(TallyError):
                open_checkpoint(text, SIGNER.verifier)


def test_unknown_signatures_are_ignored_and_bad_ones_reject() -> None:
    note = Note.parse(NOTE)
    stranger = SignerKey("stranger", bytes(31) + b"\x01").sign(note.text)
    assert open_checkpoint(Note(note.text, (stranger, *note.signatures)).format(), SIGNER.verifier) == CHECKPOINT
    bad = Signature(SIGNER.name, SIGNER.verifier.key_id, bytes(64))
    with pytest.raises(Damaged):
        open_checkpoint(Note(note.text, (bad, *note.signatures)).format(), SIGNER.verifier)
    twice = Note(note.text, note.signatures * 2)
    assert verify_note(twice, (SIGNER.verifier,)) == (SIGNER.verifier,)
    with pytest.raises(InvalidInput):
        Note.parse(Note(note.text, note.signatures * 101).format())


def test_the_text_of_a_note_may_hold_blank_lines() -> None:
    text = "first\n\nsecond\n"
    note = Note(text, (SIGNER.sign(text),)).format()
    assert Note.parse(note).text == text


@pytest.mark.parametrize("size", ["01", "-1", "+1", "1.0", "", " 1", "1" * 17])
def test_sizes_are_plain_numbers(size: str) -> None:
    with pytest.raises(InvalidInput):
        parse_checkpoint(f"origin\n{size}\n{base64.b64encode(bytes(32)).decode()}\n")


def test_an_empty_tree_gets_no_receipt() -> None:
    with pytest.raises(InvalidInput):
        sign_checkpoint(Checkpoint(SIGNER.name, 0, bytes(32)), SIGNER)


def test_receipts_survive_what_pasting_does() -> None:
    mangles = {
        "crlf": lambda text: text.replace("\n", "\r\n"),
        "quoted": lambda text: "".join(f"> {line}\n" for line in text.splitlines()),
        "quoted twice": lambda text: "".join(f">> {line}\n" for line in text.splitlines()),
        "indented": lambda text: "".join(f"    {line}\n" for line in text.splitlines()),
        "no-break": lambda text: text.replace(" ", "\u00a0"),
        "trailing": lambda text: "".join(f"{line}  \n" for line in text.splitlines()),
        "hyphens": lambda text: text.replace("—", "--"),
        "blank line lost": lambda text: text.replace("\n\n", "\n"),
        "surrounded": lambda text: f"Dear all,\n\nhere it is:\n\n{text}\n\nBest\n",
        "code": lambda text: f"```\n{text}```\n",
    }
    for form in (NOTE, receipt_line(CHECKPOINT) + "\n"):
        for names in itertools.chain(*(itertools.permutations(mangles, n) for n in (0, 1, 2))):
            text = form
            for name in names:
                text = mangles[name](text)
            receipt = parse_receipt(text)
            assert receipt.checkpoint == CHECKPOINT, names
            if receipt.note is not None:
                assert receipt.note.format() == NOTE, names


def test_two_different_receipts_in_one_text_are_refused() -> None:
    other = Checkpoint(CHECKPOINT.origin, 58, CHECKPOINT.root)
    with pytest.raises(InvalidInput):
        parse_receipt(receipt_line(CHECKPOINT) + "\n" + receipt_line(other))


@given(st.text(max_size=400) | st.text(alphabet="receipt @0123456789+/=\n—- abcXYZ", max_size=400))
def test_parsers_raise_nothing_but_their_own_errors(text: str) -> None:
    for parse in (Note.parse, parse_checkpoint, parse_receipt, VerifierKey.parse, SignerKey.parse):
        with contextlib.suppress(TallyError):
            parse(text)


@given(st.data())
def test_damaged_notes_raise_nothing_but_their_own_errors(data: st.DataObject) -> None:
    source = data.draw(st.sampled_from([NOTE, GO_NOTE, GO_KEY, SIGNER.format(), receipt_line(CHECKPOINT)]))
    start, stop = sorted((data.draw(st.integers(0, len(source))), data.draw(st.integers(0, len(source)))))
    text = source[:start] + data.draw(st.text(max_size=8)) + source[stop:]
    for parse in (Note.parse, parse_checkpoint, parse_receipt, VerifierKey.parse, SignerKey.parse):
        with contextlib.suppress(TallyError):
            parse(text)
