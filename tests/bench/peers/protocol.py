"""What every adapter does alike: one program that speaks JSON lines, and the same things to record.

An adapter runs in the virtual environment of its peer, so this file needs Python alone. The bench writes one object a
line, ``{"ask": "whole_run", "number": 3}``, and reads one back: the answer, ``{"cannot": "why"}`` where the peer has no
such thing, or ``{"failed": "what it said"}``. Seconds are taken in here, around the peer's own calls, so that neither
the start of Python nor this protocol is in any figure.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

WINDOWS = 12
NUMBERS = ("log_loss", "brier", "roc_auc", "calibration", "gain")
FILES = 3
FILE_BYTES = 100_000


class Cannot(Exception):
    """The peer has no such thing; the words say what it has instead."""


def params(number: int) -> dict[str, Any]:
    """Twenty parameters as people have them."""
    named = {f"learner.option_{index:02d}": round(0.01 * (number + index), 4) for index in range(12)}
    words = {f"features.group_{index}": f"column_{number % 7}_{index}" for index in range(7)}
    return {**named, **words, "seed": number}


def numbers(number: int, window: int) -> dict[str, float]:
    """Five numbers of one window."""
    chance = random.Random(number * 100 + window)
    return {name: chance.random() for name in NUMBERS}


def loss(number: int) -> float:
    """The number by which runs are ordered; all of them differ."""
    return (number * 7_919 % 1_000_003) / 1_000_003


def files(number: int, scratch: Path) -> list[Path]:
    """Three files that the training has written somewhere; no two runs have the same."""
    chance = random.Random(number)
    paths = [scratch / f"file-{index}.bin" for index in range(FILES)]
    for path in paths:
        path.write_bytes(chance.randbytes(FILE_BYTES))
    return paths


spent: list[float] = []
"""Processor seconds of what was timed since the last answer: others on the machine hardly move them."""


def seconds(do: Callable[[], object]) -> float:
    cpu, started = time.process_time(), time.perf_counter()
    do()
    took = time.perf_counter() - started
    spent.append(time.process_time() - cpu)
    return took


def repeated(count: int, do: Callable[[int], object]) -> dict[str, Any]:
    """Seconds of each that was acknowledged, and what was said of the others."""
    took: list[float] = []
    errors: Counter[str] = Counter()
    cpu = time.process_time()
    for index in range(count):
        started = time.perf_counter()
        try:
            do(index)
        except Exception as error:  # noqa: BLE001 - whatever a peer says is what is counted
            errors[f"{type(error).__name__}: {error}".splitlines()[0][:90]] += 1
        else:
            took.append(time.perf_counter() - started)
    spent.append((time.process_time() - cpu) / max(1, count))
    return {"seconds": took, "errors": dict(errors)}


def serve(peer: object) -> None:
    """Answer until the bench closes its end."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a peer prints for people must not stand between the answers
    for line in sys.stdin:
        asked, cpu = json.loads(line), time.process_time()
        try:
            answer = getattr(peer, asked.pop("ask"))(**asked)
        except Cannot as why:
            answer = {"cannot": str(why)}
        except Exception as error:  # noqa: BLE001 - said in the table
            answer = {"failed": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
        if spent:
            answer["cpu"] = spent.pop()
            spent.clear()
        elif isinstance(answer.get("seconds"), float):  # a question that does nothing else
            answer["cpu"] = time.process_time() - cpu
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
