"""Small charts as inline SVG, drawn from recorded numbers: no script, no font, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tallystick.tui.output.escape import show

WIDTH = 320
BAR = 22
Band = tuple[float | None, float | None]


def text_of(value: object) -> str:
    """Foreign text, safe in a page: nothing invisible in it, and no markup."""
    return escape(show(value, 20_000), quote=True)


def trajectory(
    title: str,
    labels: Sequence[str],
    values: Sequence[float | None],
    *,
    signed: bool,
    unit: str,
    band: Band | None = None,
) -> str:
    """Own windows as dots, the period itself last and filled, over the band in which it was expected.

    None stands for a window without rows, which has a dashed line of its own and breaks the path. ``unit`` is ``"%"``
    for shares and empty otherwise. A band without a lower or upper end goes to the edge.
    """
    known = [value for value in values if value is not None]
    now = known[-1]
    ends = [end for end in (band or ()) if end is not None]
    low, high = min([*known, *ends]), max([*known, *ends])
    if signed:
        low, high = min(low, 0.0), max(high, 0.0)
    span = (high - low) or 1.0
    left, right, top, bottom = 46.0, 10.0, 12.0, 118.0

    def x(index: int) -> float:
        return left + (WIDTH - left - right) * (index + 0.5) / len(values)

    def y(value: float) -> float:
        return bottom - (bottom - top) * (value - low) / span

    parts = []
    if band is not None:
        above = top if band[1] is None else y(band[1])
        below = bottom if band[0] is None else y(band[0])
        parts.append(
            f'<rect class="band" x="{left:.1f}" y="{above:.1f}" width="{WIDTH - left - right:.1f}" '
            f'height="{max(below - above, 1.0):.1f}"/>'
        )
    if signed:
        parts.append(f'<line class="axis" x1="{left:.1f}" x2="{WIDTH - right:.1f}" y1="{y(0):.1f}" y2="{y(0):.1f}"/>')
    for stretch in _stretches(values):
        points = " ".join(f"{x(index):.1f},{y(value):.1f}" for index, value in stretch)
        parts.append(f'<polyline class="line" points="{points}"/>')
    for index, value in enumerate(values):
        if value is None:
            parts.append(
                f'<line class="axis" stroke-dasharray="2 3" x1="{x(index):.1f}" x2="{x(index):.1f}" y1="{top:.1f}" '
                f'y2="{bottom:.1f}"><title>{text_of(labels[index])}: no rows, as declared</title></line>'
            )
            continue
        kind = "now" if index == len(values) - 1 else "own"
        said = f"{text_of(labels[index])}: {number(value, unit)}"
        parts.append(
            f'<circle class="{kind}" cx="{x(index):.1f}" cy="{y(value):.1f}" r="4"><title>{said}</title></circle>'
        )
    parts += [_tick(left - 6, y(value) + 4, "end", number(value, unit)) for value in (high, low)]
    for index in (0, len(values) - 1) if len(values) > 1 else (0,):
        anchor = "start" if index == 0 else "end"
        at = left if index == 0 else WIDTH - right
        parts.append(_tick(at, 136, anchor, labels[index]))
    words = f"{title}: {number(now, unit)}"
    return _svg(words, 142, parts)


def _stretches(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """Values that follow one another without a gap, with their places."""
    found: list[list[tuple[int, float]]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            found.append([])
        else:
            found[-1].append((index, value))
    return [stretch for stretch in found if stretch]


def calibration(predicted: Sequence[float], observed: Sequence[float], rows: Sequence[int]) -> str:
    """Ten bins of rows: what was predicted to the right, what was observed upwards, and the line of honesty."""
    highest = max(*predicted, *observed, 1e-9)
    lowest = min(*predicted, *observed, 0.0)
    span = (highest - lowest) or 1.0
    left, right, top, bottom = 46.0, 14.0, 12.0, 226.0

    def x(value: float) -> float:
        return left + (WIDTH - left - right) * (value - lowest) / span

    def y(value: float) -> float:
        return bottom - (bottom - top) * (value - lowest) / span

    unit = "%" if highest <= 1.0 and lowest >= 0.0 else ""
    parts = [
        f'<line class="axis" x1="{x(lowest):.1f}" y1="{y(lowest):.1f}" x2="{x(highest):.1f}" y2="{y(highest):.1f}"/>',
    ]
    for ours, seen, count in zip(predicted, observed, rows, strict=True):
        said = f"{count:,} rows: {number(ours, unit)} predicted, {number(seen, unit)} observed"
        parts.append(
            f'<line class="gap" x1="{x(ours):.1f}" x2="{x(ours):.1f}" y1="{y(ours):.1f}" y2="{y(seen):.1f}"/>'
            f'<circle class="now" cx="{x(ours):.1f}" cy="{y(seen):.1f}" r="4"><title>{said}</title></circle>'
        )
    for value in (lowest, highest):
        anchor = "start" if value == lowest else "end"
        parts.append(_tick(left - 6, y(value) + 4, "end", number(value, unit)))
        parts.append(_tick(x(value), 244, anchor, number(value, unit)))
    middle = (left + WIDTH - right) / 2
    parts.append(_tick(middle, 244, "middle", "predicted"))
    return _svg("Calibration: observed against predicted, in ten bins", 250, parts)


def bars(title: str, items: Sequence[tuple[str, float, str]]) -> str:
    """One bar an item to the right of zero or to its left, with its words."""
    highest = max((value for _, value, _ in items), default=0.0)
    lowest = min((value for _, value, _ in items), default=0.0)
    low, high = min(lowest, 0.0), max(highest, 0.0)
    span = (high - low) or 1.0
    left, right = 104.0, 66.0

    def x(value: float) -> float:
        return left + (WIDTH - left - right) * (value - low) / span

    parts = []
    for index, (name, value, words) in enumerate(items):
        top = 4 + index * BAR
        start, end = sorted((x(0.0), x(value)))
        kind = "more" if value >= 0 else "less"
        label = text_of(name if len(name) <= 15 else name[:14] + "…")
        parts.append(
            f'<text class="name" x="{left - 8:.1f}" y="{top + 14}" text-anchor="end">{label}'
            f'<title>{text_of(name)}</title></text><rect class="{kind}" x="{start:.1f}" y="{top + 3}" '
            f'width="{max(end - start, 1.0):.1f}" height="{BAR - 8}"/>'
        )
        parts.append(_tick(WIDTH - right + 8, top + 14, "start", words))
    parts.append(f'<line class="axis" x1="{x(0.0):.1f}" x2="{x(0.0):.1f}" y1="2" y2="{len(items) * BAR + 6}"/>')
    return _svg(title, len(items) * BAR + 10, parts)


def number(value: float, unit: str) -> str:
    """``24.6%``, ``0.537``, ``12,300``."""
    if unit == "%":
        return f"{value * 100:.1f}%"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _tick(x: float, y: float, anchor: str, words: str) -> str:
    return f'<text class="tick" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text_of(words)}</text>'


def _svg(title: str, height: int, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{text_of(title)}">'
        f"<title>{text_of(title)}</title>{''.join(parts)}</svg>"
    )
