"""Features against their own past. A moved feature is shown; whether the loss follows it is said; neither is judged."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

import msgspec
import numpy as np
import numpy.typing as npt

from tallystick.ledger.events.types import Levels
from tallystick.pipeline.config.settings import FEWEST_WINDOWS
from tallystick.pipeline.evaluate.metrics import Floats, Units
from tallystick.pipeline.evaluate.stability import cluster_se_of_mean
from tallystick.pipeline.monitoring.statistics import by_unit, rows_by_unit

MOVED_RATIO = 1.5


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """One feature's distribution against its own past."""

    feature: str
    psi: float
    own_highest: float
    outside: bool
    moved_share: float
    """Rows in bins that have become at least half as frequent again."""
    extra_in_moved: float | None
    """Extra loss a row in those bins, less that in the others."""
    z: float | None
    follows: bool
    """The loss follows: rows in the moved bins lose more, beyond chance given how many features were tried."""


def movements_of(
    histograms: Mapping[str, Levels],
    bins: Mapping[str, npt.NDArray[np.int64]],
    units: Units,
    own: Sequence[Mapping[str, Levels]],
    extra: Floats,
) -> list[Movement]:
    """Every watched feature against its own past, the loss beside it; the farthest outside first."""
    found = []
    tried = NormalDist().inv_cdf(1.0 - 0.05 / max(1, len(histograms)))
    for name, histogram in histograms.items():
        past = [_shares(item[name]) for item in own if name in item]
        past = [shares for shares in past if len(shares) == len(_shares(histogram))]
        if len(past) < FEWEST_WINDOWS:
            continue
        now = _shares(histogram)
        together = np.mean(past, axis=0)
        others = [np.mean(past[:index] + past[index + 1 :], axis=0) for index in range(len(past))]
        highest = max(psi(shares, rest) for shares, rest in zip(past, others, strict=True))
        distance = psi(now, together)
        moved = now > MOVED_RATIO * together
        z = difference = None
        if name in bins:
            z, difference = _moved_loss(moved[bins[name]], extra, units)
        found.append(
            Movement(
                feature=name,
                psi=distance,
                own_highest=highest,
                outside=distance > highest,
                moved_share=float(now[moved].sum()),
                extra_in_moved=difference,
                z=z,
                follows=distance > highest and z is not None and z > tried,
            )
        )
    return sorted(found, key=lambda item: (-(item.psi - item.own_highest), item.feature))


def _shares(histogram: Levels) -> Floats:
    counts = np.array([*histogram.counts, histogram.other, histogram.missing], dtype=np.float64)
    return counts / counts.sum() if counts.sum() else counts


def psi(now: Floats, before: Floats) -> float:
    """Population stability index of two histograms; empty bins count as a ten-thousandth."""
    ours, theirs = np.maximum(now, 1e-4), np.maximum(before, 1e-4)
    ours, theirs = ours / ours.sum(), theirs / theirs.sum()
    return float(((ours - theirs) * np.log(ours / theirs)).sum())


def _moved_loss(moved: npt.NDArray[np.bool_], extra: Floats, units: Units) -> tuple[float | None, float | None]:
    """Extra loss in moved bins less that elsewhere, over its standard error by units."""
    if moved.sum() < 2 or (~moved).sum() < 2:
        return None, None
    parts = []
    for mask in (moved, ~moved):
        part = Units(units.codes[mask], units.names)
        sums, count = by_unit(extra[mask], part), rows_by_unit(part)
        parts.append((float(extra[mask].mean()), cluster_se_of_mean(sums, count)))
    (ours, error), (theirs, other) = parts
    difference = ours - theirs
    if error is None or other is None or not math.hypot(error, other):
        return None, difference
    return difference / math.hypot(error, other), difference
