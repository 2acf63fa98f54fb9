"""Every parser of foreign text against damaged, spliced and invented input: only our own errors come out, quickly.

    python tests/campaigns/fuzz_parsers.py --inputs 1000000 [--seed N] [--only NAME]

The law for each input: the parser returns or raises a `TallyError`, nothing else, within half a second of the
processor and 64 MiB; it starts no program, opens no connection, unpickles nothing and writes nowhere else; what it
returns has one written form, which reads back as the same. Inputs begin as valid texts and are then mutated: bits,
bytes, lines, numbers, base64, controls, splices of two, parts repeated until they are long. The same seed gives the
same inputs. `hostile.py` holds the same parsers to the same law, led by coverage.
"""

from __future__ import annotations

import argparse
import random
import time
import tracemalloc
from collections.abc import Callable
from typing import NamedTuple

from foreign import names, target
from law import Trespass, bounded

from tallystick.ledger.errors import TallyError

LONGEST_SECONDS = 0.5
"""Of the processor, for one input, however busy the machine is."""
MOST_BYTES = 64 << 20
"""That Python's allocator hands out for one input; asked of every 50th, and of every long one."""
LONG_CHARACTERS = 50_000
NUMBERS = (
    "0", "-1", "00", "01", "1.0", "1e3", "9007199254740993", "9223372036854775808", "18446744073709551616",
    "٣", "１", "1" + "0" * 400, "", " 1", "+1", "0x1", "0x" + "F" * 5000, "9" * 5000, "0001", "9999", "1e-999",
)  # fmt: skip
PIECES = (
    "\x00", "\x1b[31m", "\r", "\t", "\u00a0", "\u2028", "\u202e", "\u200b", "\ud800", "\U0001f600", "—", "–", "--", "+",
    "=", "==", "\n\n", "\n", " ", "# ", "extra ", "index ", "quorum none", "witness ", "{", "}", "[", "]" * 40,
    "[" * 3000, '{"a":' * 2000, '"\\ud800"', "NaN", "1e999", "null", "A" * 70_000, "_-", "receipt ", "x@1 ",
    "..", " ago", "before:", "#", "%", "a." * 500, "'", '"', '"""', "= ", "0001-01-01T00:00:00Z", "+23:59",
    "9999-12-31T23:59:59.999999Z",
)  # fmt: skip


Change = Callable[[random.Random, str, list[str]], str]


class Row(NamedTuple):
    """What came of one parser."""

    inputs: int
    accepted: int
    refused: int
    seconds: float
    longest_milliseconds: float
    most_bytes: int


def mutate(source: random.Random, corpus: list[str], once: Change | None = None) -> str:
    """One input: usually a valid text with one to six changes."""
    text = source.choice(corpus)
    for _ in range(source.choice((1, 1, 1, 2, 3, 6))):
        text = (once or change)(source, text, corpus)
    return text[:200_000]


def change(source: random.Random, text: str, corpus: list[str]) -> str:  # noqa: PLR0911 - one line a mutation
    """A text with one change."""
    at = source.randrange(len(text) + 1)
    if source.randrange(250) == 0:
        part = text[at : at + source.randrange(1, 40)] or source.choice(PIECES)
        return text[:at] + part * (source.choice((2_000, 20_000, 100_000)) // len(part)) + text[at:]
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
    aim = target(name)
    source = random.Random(f"{seed} {name}")
    accepted, longest, most_bytes = 0, 0.0, 0
    started = time.perf_counter()
    for number in range(inputs):
        # The valid ones first, as they are.
        text = aim.corpus[number] if number < len(aim.corpus) else mutate(source, aim.corpus, aim.change)
        traced = aim.counted and (number % 50 == 0 or len(text) > LONG_CHARACTERS)
        if traced:
            tracemalloc.start()
        begun = time.thread_time()
        try:
            with bounded():
                found = aim.parse(text)
        except TallyError:
            found = None
        except (Exception, Trespass) as error:
            raise AssertionError(f"{name}: {type(error).__name__} for {text[:2000]!r}") from error
        taken = time.thread_time() - begun
        if traced:
            most_bytes = max(most_bytes, tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            assert taken < 4 * LONGEST_SECONDS, f"{name}: {taken:.2f} s for {len(text)} characters: {text[:2000]!r}"
            assert most_bytes < MOST_BYTES, f"{name}: {most_bytes:,} bytes for {len(text)} characters: {text[:2000]!r}"
        else:
            longest = max(longest, taken)
            assert taken < LONGEST_SECONDS, f"{name}: {taken:.2f} s for {len(text)} characters: {text[:2000]!r}"
        if found is not None:
            accepted += 1
            if aim.write is not None:
                assert aim.parse(aim.write(found)) == found, f"{name}: not read back: {text[:2000]!r}"
    seconds = time.perf_counter() - started
    return Row(inputs, accepted, inputs - accepted, seconds, longest * 1000, most_bytes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=names())
    options = parser.parse_args()
    print(f"{'parser':20}{'inputs':>11}{'accepted':>11}{'refused':>11}{'seconds':>9}{'longest ms':>12}{'most KiB':>10}")
    for name in [options.only] if options.only else names():
        row = fuzz(name, options.inputs, options.seed)
        print(
            f"{name:20}{row.inputs:11,}{row.accepted:11,}{row.refused:11,}{row.seconds:9.1f}"
            f"{row.longest_milliseconds:12.2f}{row.most_bytes // 1024:10,}",
            flush=True,
        )


if __name__ == "__main__":
    main()
