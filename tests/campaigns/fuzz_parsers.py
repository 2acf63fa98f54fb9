"""Every parser of foreign text against damaged, spliced and invented input: only our own errors come out, quickly.

    python tests/campaigns/fuzz_parsers.py --inputs 1000000 [--seed N] [--only NAME]

The law for each input: the parser returns or raises a `TallyError`, nothing else, within half a second; what it
returns has one written form, which reads back as the same. Inputs begin as valid texts and are then mutated: bits,
bytes, lines, numbers, base64, controls, splices of two. The same seed gives the same inputs.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from ledger import vocabulary  # noqa: E402
from ledger.bundle import _claim  # noqa: E402
from ledger.commit import decode_head  # noqa: E402
from ledger.cosignature import COSIGNATURE, WitnessKey, cosignatures  # noqa: E402
from ledger.errors import TallyError  # noqa: E402
from ledger.note import (  # noqa: E402
    Checkpoint,
    Note,
    SignerKey,
    VerifierKey,
    key_id,
    open_checkpoint,
    parse_checkpoint,
    parse_receipt,
    receipt_line,
    sign_checkpoint,
)
from ledger.policy import parse_policy  # noqa: E402
from ledger.proof import Proof, parse_proof  # noqa: E402

LONGEST_SECONDS = 0.5
NUMBERS = (
    "0", "-1", "00", "01", "1.0", "1e3", "9007199254740993", "9223372036854775808", "18446744073709551616",
    "٣", "１", "1" + "0" * 400, "", " 1", "+1", "0x1",
)  # fmt: skip
PIECES = (
    "\x00", "\x1b[31m", "\r", "\t", "\u00a0", "\u2028", "\u202e", "\u200b", "\ud800", "\U0001f600", "—", "–", "--", "+",
    "=", "==", "\n\n", "\n", " ", "# ", "extra ", "index ", "quorum none", "witness ", "{", "}", "[", "]" * 40,
    "[" * 3000, '{"a":' * 2000, '"\\ud800"', "NaN", "1e999", "null", "A" * 70_000, "_-", "receipt ", "x@1 ",
)  # fmt: skip

SIGNER = SignerKey("example.org/log", bytes(range(32)))
OTHER = SignerKey("другой/журнал", bytes(range(1, 33)))
KEY = SIGNER.verifier
WITNESS = WitnessKey("w1", key_id("w1", COSIGNATURE, OTHER.verifier.public), OTHER.verifier.public)


class Target(NamedTuple):
    """A parser, valid texts to begin from, and how to write what it returned (None where there is no one form)."""

    parse: Callable[[str], object]
    corpus: list[str]
    write: Callable[[object], str] | None = None


class Row(NamedTuple):
    """What came of one parser."""

    inputs: int
    accepted: int
    refused: int
    seconds: float
    longest_milliseconds: float


def _notes() -> list[str]:
    notes = []
    for size in (1, 7, 2**40):
        checkpoint = Checkpoint(SIGNER.name, size, bytes([size % 256]) * 32)
        notes.append(sign_checkpoint(checkpoint, SIGNER))
        notes.append(sign_checkpoint(checkpoint, SIGNER, OTHER))
    return notes


def _pasted() -> list[str]:
    lines = [receipt_line(Checkpoint(name, 12, bytes(32))) for name in (SIGNER.name, OTHER.name)]
    quoted = [f"Dear all,\r\n> {line}\r\n-- \r\nAnn" for line in lines]
    return [*lines, *quoted, *(note.replace("—", "--").replace("\n\n", "\n") for note in _notes())]


def targets() -> dict[str, Target]:
    """Every parser by name."""
    notes = _notes()
    proofs = [Proof(5, (bytes(32), b"\x01" * 32), notes[0]).format(), Proof(0, (), notes[1]).format()]
    policy = (
        f"# us\nlog {KEY.format()} https://log\nwitness w1 {WITNESS.format()} http://w\n"
        f"witness w2 {WITNESS.format()}\ngroup g 2 w1 w2\ngroup h any g\nquorum h\n"
    )
    event = (
        '{"body":{"artifact":"' + "ab" * 32 + '","media_type":"x","role":"model","run":null,"size_bytes":5},'
        '"occurred_at":"2013-01-01T00:00:00Z","salt":"AAAAAAAAAAAAAAAAAAAAAA==","t":"artifact.stored","v":1}'
    )
    head = '{"actor":"a","host":"h","recorded_at":"2013-01-01T12:00:00Z","tool":"t","user":"u"}'
    claim = (
        '{"artifacts":["' + "ab" * 32 + '"],"commits":[{"events":[0,3],"n":2}],"format":"tally.proof/1",'
        '"origin":"o","subject":"model:m"}\n'
    )
    return {
        "note": Target(Note.parse, notes, lambda note: note.format()),  # type: ignore[attr-defined]
        "verifier key": Target(
            VerifierKey.parse,
            [KEY.format(), OTHER.verifier.format()],
            lambda key: key.format(),  # type: ignore[attr-defined]
        ),
        "signer key": Target(SignerKey.parse, [SIGNER.format(), OTHER.format()], lambda key: key.format()),  # type: ignore[attr-defined]
        "witness key": Target(WitnessKey.parse, [WITNESS.format()], lambda key: key.format()),  # type: ignore[attr-defined]
        "checkpoint": Target(parse_checkpoint, [note.split("\n\n")[0] + "\n" for note in notes]),
        "signed checkpoint": Target(lambda text: open_checkpoint(text, KEY), notes),
        "cosignatures": Target(lambda text: cosignatures(Note.parse(text), (WITNESS,)), notes),
        "receipt": Target(lambda text: parse_receipt(text).checkpoint, _pasted(), receipt_line),  # type: ignore[arg-type]
        "proof": Target(parse_proof, proofs),
        "policy": Target(parse_policy, [policy, f"log {KEY.format()}\nquorum none\n"]),
        "event": Target(lambda text: vocabulary.decode(text.encode(errors="surrogatepass")), [event]),
        "commit head": Target(decode_head, [head]),
        "bundle claim": Target(lambda text: _claim(text.encode(errors="surrogatepass")), [claim]),
    }


def mutate(source: random.Random, corpus: list[str]) -> str:
    """One input: usually a valid text with one to six changes."""
    text = source.choice(corpus)
    for _ in range(source.choice((1, 1, 1, 2, 3, 6))):
        text = _change(source, text, corpus)
    return text[:200_000]


def _change(source: random.Random, text: str, corpus: list[str]) -> str:  # noqa: PLR0911 - one line a mutation
    at = source.randrange(len(text) + 1)
    lines = text.split("\n")
    row = source.randrange(len(lines))
    match source.randrange(10):
        case 0 if at < len(text):
            return text[:at] + chr((ord(text[at]) ^ (1 << source.randrange(7))) & 0x10FFFF) + text[at + 1 :]
        case 1:
            return text[:at] + source.choice(PIECES) + text[at:]
        case 2:
            return text[:at] + text[at + source.randrange(1, 9) :]
        case 3:
            lines.insert(source.randrange(len(lines) + 1), lines[row])
        case 4:
            del lines[row]
        case 5:
            other = source.randrange(len(lines))
            lines[row], lines[other] = lines[other], lines[row]
        case 6:
            return text[:at] + source.choice(corpus)[source.randrange(len(text) + 1) :]
        case 7:
            fields = lines[row].split(" ")
            fields[source.randrange(len(fields))] = source.choice(NUMBERS)
            lines[row] = " ".join(fields)
        case 8:
            return text.replace(source.choice(("+", "/", "=", " ", "\n", "A")), source.choice(PIECES[:20]), 1)
        case _:
            return text[:at] + source.choice('ABab09+/=- \n"{}[]:,') + text[at + 1 :]
    return "\n".join(lines)


def fuzz(name: str, inputs: int, seed: int) -> Row:
    """Hold one parser to the law; AssertionError with the input where it does not keep it."""
    target = targets()[name]
    source = random.Random(f"{seed} {name}")
    accepted, longest = 0, 0.0
    started = time.perf_counter()
    for _ in range(inputs):
        text = mutate(source, target.corpus)
        begun = time.perf_counter()
        try:
            found = target.parse(text)
        except TallyError:
            found = None
        except Exception as error:
            raise AssertionError(f"{name}: {type(error).__name__} for {text[:2000]!r}") from error
        taken = time.perf_counter() - begun
        longest = max(longest, taken)
        assert taken < LONGEST_SECONDS, f"{name}: {taken:.2f} s for {len(text)} characters: {text[:2000]!r}"
        if found is not None:
            accepted += 1
            if target.write is not None:
                assert target.parse(target.write(found)) == found, f"{name}: not read back: {text[:2000]!r}"
    return Row(inputs, accepted, inputs - accepted, time.perf_counter() - started, longest * 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=sorted(targets()))
    options = parser.parse_args()
    print(f"{'parser':20}{'inputs':>11}{'accepted':>11}{'refused':>11}{'seconds':>9}{'longest ms':>12}")
    for name in [options.only] if options.only else targets():
        row = fuzz(name, options.inputs, options.seed)
        print(
            f"{name:20}{row.inputs:11,}{row.accepted:11,}{row.refused:11,}{row.seconds:9.1f}"
            f"{row.longest_milliseconds:12.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
