"""Time and chance, given to tests instead of taken from the machine."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from pathlib import Path

FIXTURES = Path(__file__).resolve().parent.parent.parent / "fixtures"


class Ticking:
    """A clock that goes on by a second with every look, from a fixed beginning."""

    is_live = False

    def __init__(self, start: dt.datetime = dt.datetime(2013, 1, 1, 12, tzinfo=dt.UTC)) -> None:
        self.now = start

    def __call__(self) -> dt.datetime:
        self.now += dt.timedelta(seconds=1)
        return self.now


def seeded_salts(seed: int = 0) -> Callable[[int], list[bytes]]:
    source = random.Random(seed)
    return lambda count: [source.randbytes(16) for _ in range(count)]
