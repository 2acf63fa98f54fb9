"""What was measured as one table of words and numbers."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

BATCH = 1_000
Values = list[float] | str
"""Everything that was measured of one peer, or why there is nothing."""

MEASURES = (
    ("whole run", "A run handed over at its end: 20 parameters, 12 windows × 5 numbers, 3 files of 100 kB", "time"),
    ("live run", "The same run, each window kept before the next begins", "time"),
    ("single", "One number, kept on return", "time"),
    ("batch", f"{BATCH:,} numbers at once", "time"),
    ("syncs, single", "Waits for the disk: one number", "count"),
    ("syncs, whole run", "Waits for the disk: a run handed over at its end", "count"),
    ("bytes", "Bytes a run beside its files", "bytes"),
    ("files", "Files a run", "count"),
    ("past", "Champion at a past date, of {promotions:,} promotions", "time"),
    ("best, first time", "The 50 best of {listed:,} runs, asked for the first time", "time"),
    ("best", "The 50 best of {listed:,} runs, asked again", "time"),
    ("verify", "Check of all that is recorded, {listed:,} runs", "time"),
    ("import", "Start: import of the library, a new Python included", "time"),
    ("help", "Start: the command's help or version", "time"),
    ("where things stand", "Start: the command that says where things stand", "time"),
    ("race", "4 processes at once, {race:,} numbers each", "words"),
)


def shown(value: float, unit: str) -> str:
    if unit == "bytes":
        return f"{value:,.0f} B"
    if unit == "count":
        return f"{value:,.1f}"
    for least, factor, name in ((1.0, 1.0, "s"), (1e-3, 1e3, "ms")):
        if value >= least:
            return f"{value * factor:,.2f} {name}"
    return f"{value * 1e6:,.0f} µs"


def spread(values: list[float], unit: str) -> str:
    """The median, and the range of the middle half where there are several values."""
    middle = shown(statistics.median(values), unit)
    if len(values) < 3:
        return middle
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle} ({shown(low, unit)} – {shown(high, unit)})"


def table(bench: Any, absent: dict[str, str]) -> Iterator[str]:
    """The lines of a whole measurement (``Bench`` of ``peers.py``)."""
    names = {peer.key: bench.about.get(peer.key, {}).get("name", peer.key) for peer in bench.peers}
    yield "Who"
    for peer in bench.peers:
        about = bench.about.get(peer.key, {})
        yield f"  {names[peer.key]} {about.get('version', '')}: {about.get('durability', '')} [{about.get('docs', '')}]"
    for key, words in [*absent.items(), *bench.found.get("starting", {}).items()]:
        yield f"  {key}: {words}"
    for measure, title, unit in MEASURES:
        if measure not in bench.found:
            continue
        yield ""
        yield title.format(**bench.scale._asdict())
        ours = bench.found[measure].get("tallystick")
        for peer in bench.peers:
            if (kept := bench.found[measure].get(peer.key)) is None:
                continue
            more = [bench.notes.get(measure, {}).get(peer.key, "")]
            if cpu := bench.cpu.get(measure, {}).get(peer.key):
                more.append(f"processor {shown(statistics.median(cpu), 'time')}")
            yield f"  {names[peer.key]:14} {_row(kept, ours, unit, ', '.join(filter(None, reversed(more))))}"


def _row(kept: Values, ours: Values | None, unit: str, note: str) -> str:
    if isinstance(kept, str):
        return kept
    words = f"{spread(kept, unit):46}"
    if isinstance(ours, list) and ours is not kept and statistics.median(ours) > 0:
        words += f" {statistics.median(kept) / statistics.median(ours):8.2f} × ours"
    else:
        words += " " * 16
    return f"{words}  {note}".rstrip()
