"""Every bit of a small ledger's file, flipped one after the other: is it noticed, or did it carry nothing?

    python tests/campaigns/flip_bits.py            one bit of every byte; about ten minutes on one core
    python tests/campaigns/flip_bits.py --all      all eight bits of every byte; shared among all cores

The law: after a flip either `verify` ends with a non-zero exit code, or every row of evidence (events, commits,
checkpoints) reads exactly as before, so that the bit carried nothing. A flip for which neither holds is MISSED.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sqlite3
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / ".src"))
sys.path.insert(0, str(ROOT / "tests" / "support"))

from stories import told  # noqa: E402

from tallystick import ledger  # noqa: E402
from tallystick.ledger.verify.report import Asked  # noqa: E402
from tallystick.ledger.verify.verify import verify  # noqa: E402

Flip = tuple[int, int]
"""Byte and bit."""


def small_ledger(folder: Path) -> Path:
    """A ledger with something of everything; its folder."""
    with ledger.create(folder, timezone="UTC") as book:
        told(book)
    return folder / ".tally"


def evidence(path: Path) -> list[object]:
    """Every row that carries evidence, read without any of our code."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        rows: list[object] = []
        for query in (
            "SELECT seq, CAST(body AS BLOB), id, sha256, type FROM events ORDER BY seq",
            "SELECT n, first_seq, last_seq, recorded_at, CAST(head AS BLOB), subtree FROM commits ORDER BY n",
            "SELECT size, CAST(note AS BLOB) FROM checkpoints ORDER BY size",
        ):
            rows += connection.execute(query).fetchall()
        return rows
    finally:
        connection.close()


def outcome(folder: Path) -> str:
    """The class of what `verify` found, or why it could not even begin."""
    try:
        with ledger.open(folder) as book:
            verdict = verify(book, Asked(workers=1))
    except ledger.TallyError as error:
        return f"refused: {error.code}"
    except sqlite3.DatabaseError:
        return "refused: unreadable"
    except Exception as error:  # noqa: BLE001 - counted as a miss, so that one does not hide the next
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return f"CRASH {type(error).__name__} {Path(frame.filename).name}:{frame.lineno}"
    return "verified" if verdict.exit_code == 0 else verdict.findings[0].kind if verdict.findings else "short"


def try_flips(folder: Path, flips: Iterable[Flip]) -> tuple[Counter[str], list[Flip]]:
    """Flip each bit by itself; what came of it, and the flips that were missed."""
    path = folder / "ledger.db"
    pristine, before = path.read_bytes(), evidence(path)
    counted: Counter[str] = Counter()
    missed: list[Flip] = []
    for at, bit in flips:
        changed = bytearray(pristine)
        changed[at] ^= 1 << bit
        path.write_bytes(changed)
        found = outcome(folder)
        if found == "verified":
            if evidence(path) == before:
                found = "carries no evidence"
            else:
                found = "MISSED"
                missed.append((at, bit))
        if found.startswith("CRASH"):
            missed.append((at, bit))
        counted[found] += 1
    path.write_bytes(pristine)
    return counted, missed


def _share(number: int, shares: int, bits: int) -> tuple[Counter[str], list[Flip]]:
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_CONFIG_HOME"], os.environ["XDG_STATE_HOME"] = f"{name}/c", f"{name}/s"
        os.environ.pop("SSH_AUTH_SOCK", None)
        folder = small_ledger(Path(name) / "book")
        size = (folder / "ledger.db").stat().st_size
        flips = [(at, (at + bit) % 8) for at in range(size) for bit in range(bits)]
        return try_flips(folder, flips[number::shares])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="all eight bits of every byte")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    processes = os.cpu_count() or 1 if options.all else options.processes
    started = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        parts = pool.starmap(_share, [(n, processes, 8 if options.all else 1) for n in range(processes)])
    counted: Counter[str] = sum((part for part, _ in parts), Counter())
    missed = [flip for _, part in parts for flip in part]
    for kind, count in counted.most_common():
        print(f"{kind:24} {count:8,}")
    print(f"{'flips':24} {sum(counted.values()):8,}   {time.monotonic() - started:,.0f} s")
    if missed:
        print("MISSED:", missed[:20])
        sys.exit(1)


if __name__ == "__main__":
    main()
