"""What the machine can do at best, and what we make of it: the disk, SQLite by hand, msgspec, BLAKE3."""

from __future__ import annotations

import datetime as dt
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import append
import msgspec
from blake3 import blake3
from table import spread

from tallystick.ledger.events.event import Event, encode, hashes
from tallystick.ledger.events.types import RELEASED


def limits(work: Path, rounds: int) -> list[str]:
    """One line each."""
    return [disk(work, 20 * rounds), *appends(work, rounds), one_event()]


def disk(work: Path, rounds: int) -> str:
    data, took = os.urandom(4096), []
    descriptor = os.open(work / "disk", os.O_RDWR | os.O_CREAT)
    for index in range(rounds):
        started = time.perf_counter()
        os.pwrite(descriptor, data, index * 4096)
        os.fdatasync(descriptor)
        took.append(time.perf_counter() - started)
    os.close(descriptor)
    return f"  disk: 4 KiB written and synced {spread(took, 'time')}"


def appends(work: Path, rounds: int) -> list[str]:
    return [
        f"  {count:>5} events a commit: bare SQLite {spread(bare, 'time')}, ours {spread(ours, 'time')}, "
        f"ratio {statistics.median(bare) / statistics.median(ours):.2f} (target {append.TARGETS[count]})"
        for count, bare, ours in append.measure(work, {1: 60 * rounds, 12: 30 * rounds, 1_000: 2 * rounds})
    ]


def one_event() -> str:
    body, now = append.body(1), dt.datetime.now(dt.UTC)
    known, plain = RELEASED[body.TYPE, body.VERSION], msgspec.json.Encoder()
    event: Event[Any] = Event(t=body.TYPE, v=body.VERSION, salt=os.urandom(16), occurred_at=now, body=body)
    data = encode(event, known.decoder)
    ours, limit = per_call(lambda: encode(event, known.decoder)), per_call(lambda: plain.encode(event))
    both, blake = per_call(lambda: hashes(data)), per_call(lambda: blake3(data).digest())
    return (
        f"  an event of {len(data)} bytes: msgspec encodes in {limit:.1f} µs, we encode, sort, read back and compare "
        f"in {ours:.1f} µs; BLAKE3 hashes in {blake:.1f} µs, both our hashes take {both:.1f} µs"
    )


def per_call(do: Callable[[], object], calls: int = 2_000) -> float:
    """Microseconds of one call, the best of five rows of calls."""
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(calls):
            do()
        best = min(best, time.perf_counter() - started)
    return best / calls * 1e6
