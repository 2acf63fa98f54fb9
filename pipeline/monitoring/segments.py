"""Where the loss of a period moved: which groups carry the change, and whether they grew or got worse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import msgspec
import numpy as np
import pandas as pd

from tallystick.pipeline.evaluate.metrics import Floats, Scored, loss_table
from tallystick.pipeline.evaluate.stability import cluster_se_of_mean

SMALLEST_SEGMENT_SHARE = 0.2


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """One level of one segment column in the change of the loss."""

    segment: str
    level: str
    rows: int
    share: float
    share_before: float
    loss: float
    loss_before: float
    inside: float
    """Its part of the change because its rows are lost worse: share times the change of its loss."""
    mix: float
    """Its part because there are more or fewer of its rows."""
    part: float
    """Inside and mix together, as a share of the whole change."""
    interval: tuple[float, float] | None
    """90% interval of the change of its own loss."""
    named: bool
    extra_part: float | None
    """Its part of the extra loss of the period; None where that is not positive."""


class Decomposition(msgspec.Struct, frozen=True, kw_only=True):
    """The change of the loss by one segment column: the parts add up to it."""

    segment: str
    change: float
    inside: float
    mix: float
    levels: list[Segment]


def decompose(
    name: str,
    segment: pd.Series[str],
    rows: Scored,
    losses: tuple[Floats, Floats],
    own: Sequence[pd.DataFrame],
    min_rows: int,
) -> Decomposition:
    """The change of the loss against all own windows together, by the levels of one segment column.

    With shares ``w`` and losses ``L`` of the levels, and the reference's with a prime, the change is exactly
    ``sum w (L - L') + sum (w - w') (L' - L'_all)``: worse inside, and another mix. A level that is new has no loss
    of its own before and is given that of all. ``losses`` are those of each row and those beyond its expectation.
    """
    loss, extra = losses
    table = loss_table(rows, {name: segment})
    now = table[table["segment"] == name]
    before = pd.concat([table[table["segment"] == name] for table in own])
    rows_before = float(before["rows"].sum())
    loss_before = float(before["sum_loss"].sum()) / rows_before
    change = float(loss.mean()) - loss_before
    z = NormalDist().inv_cdf(0.95)
    total = float(extra.sum())
    here_of = segment.fillna("(missing)").to_numpy()
    levels = []
    for level in sorted(set(now["level"]) | set(before["level"])):
        here, there = now[now["level"] == level], before[before["level"] == level]
        count, count_before = int(here["rows"].sum()), float(there["rows"].sum())
        theirs = float(there["sum_loss"].sum()) / count_before if count_before else loss_before
        ours = float(here["sum_loss"].sum()) / count if count else theirs
        share, share_before = count / len(loss), count_before / rows_before
        errors = [
            cluster_se_of_mean(part["sum_loss"].to_numpy(np.float64), part["rows"].to_numpy(np.float64))
            for part in (here, there)
            if len(part)
        ]
        interval = None
        if errors and all(error is not None for error in errors):
            error = math.sqrt(math.fsum((error or 0.0) ** 2 for error in errors))
            interval = (ours - theirs - z * error, ours - theirs + z * error)
        inside, mix = share * (ours - theirs), (share - share_before) * (theirs - loss_before)
        part = (inside + mix) / change if change else 0.0
        clear = interval is not None and (interval[0] > 0.0 or interval[1] < 0.0)
        levels.append(
            Segment(
                segment=name,
                level=level,
                rows=count,
                share=share,
                share_before=share_before,
                loss=ours,
                loss_before=theirs,
                inside=inside,
                mix=mix,
                part=part,
                interval=interval,
                named=part >= SMALLEST_SEGMENT_SHARE and count >= min_rows and clear,
                extra_part=float(extra[here_of == level].sum()) / total if total > 0.0 else None,
            )
        )
    return Decomposition(
        segment=name,
        change=change,
        inside=math.fsum(item.inside for item in levels),
        mix=math.fsum(item.mix for item in levels),
        levels=levels,
    )
