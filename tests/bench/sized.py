"""Ledgers of several sizes, each asked the same, side by side in one table."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

Measured = dict[str, float]


def compare(
    told: str, sizes: Sequence[int], make: Callable[[Path, int], None], measure: Callable[[Path], Measured]
) -> None:
    """Make a ledger of each size, measure it, and print the table; the last column is the largest by the smallest.

    Parameters
    ----------
    told : str
        What ``--help`` says.
    sizes : sequence of int
        Events, where the command line names none.
    """
    parser = argparse.ArgumentParser(description=told, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", nargs="*", type=lambda text: int(text.replace(",", "")), default=list(sizes))
    asked = parser.parse_args().events
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(os.environ.get("TALLY_BENCH_KEEP", temporary))
        os.environ.update(XDG_STATE_HOME=str(home / "state"), XDG_CONFIG_HOME=str(home / "config"))
        os.environ.pop("SSH_AUTH_SOCK", None)
        columns = []
        for size in asked:
            folder = home / f"book-{size}"
            if not folder.exists():
                make(folder, size)
            columns.append(measure(folder))
    print(f"{'':36}" + "".join(f"{size:>13,}" for size in asked) + f"{'times':>8}")
    for name in columns[0]:
        values = [column[name] for column in columns]
        digits = 0 if max(values) > 1_000 else 2
        print(f"{name:36}" + "".join(f"{v:>13,.{digits}f}" for v in values) + f"{values[-1] / values[0]:>8.2f}")
