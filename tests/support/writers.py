"""What other processes do in tests; a module of its own, so that a new process can import it."""

from __future__ import annotations

from pathlib import Path

from histories import finished

from tallystick import ledger


def write_many(folder: str, name: str, count: int) -> None:
    """Append ``count`` commits of one event."""
    with ledger.open(Path(folder)) as book:
        for index in range(count):
            book.append(finished(f"{name}.{index}", "p"))
