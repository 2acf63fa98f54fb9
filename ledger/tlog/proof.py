"""A proof that one commit is in the tree, as a file that stands alone: c2sp.org/tlog-proof.

c2sp.org/tlog-proof@v1
[extra <base64>]              optional and not authenticated
index <n>
<base64 of a hash>            the leaf's sibling first
…

<signed checkpoint>
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.tlog import merkle
from tallystick.ledger.tlog.note import LONGEST_NOTE_CHARACTERS, from_base64, to_base64

HEADER = "c2sp.org/tlog-proof@v1"


class Proof(NamedTuple):
    """Place of a leaf, its path, and the checkpoint note verbatim."""

    n: int
    path: tuple[bytes, ...]
    note: str

    def format(self) -> str:
        """The file."""
        hashes = "".join(f"{to_base64(step)}\n" for step in self.path)
        return f"{HEADER}\nindex {self.n}\n{hashes}\n{self.note}"


def parse_proof(text: str) -> Proof:
    """Take a proof apart; whether it proves anything is another question.

    Raises
    ------
    InvalidInput
    """
    if len(text) > LONGEST_NOTE_CHARACTERS:
        raise InvalidInput("A proof of more than a million characters is not read.")
    head, blank, note = text.partition("\n\n")
    lines = head.split("\n")
    if not blank or lines[0] != HEADER:
        raise InvalidInput(f"A proof begins with {HEADER}, and its checkpoint follows after a blank line.")
    rest = lines[1:]
    if rest and rest[0].startswith("extra "):
        from_base64(rest[0].removeprefix("extra "), "The extra line")
        rest = rest[1:]
    match = re.fullmatch(r"index (0|[1-9][0-9]{0,15})", rest[0], re.ASCII) if rest else None
    if match is None:
        raise InvalidInput("The proof does not say which index it is for.")
    if len(rest) - 1 > merkle.LONGEST_PATH:
        raise InvalidInput(f"A proof has at most {merkle.LONGEST_PATH} hashes.")
    return Proof(int(match[1]), tuple(map(_hash, rest[1:])), note)


def _hash(line: str) -> bytes:
    step = from_base64(line, "A hash of the proof")
    if len(step) != merkle.HASH_BYTES:
        raise InvalidInput("A hash of the proof is not 32 bytes long.")
    return step
