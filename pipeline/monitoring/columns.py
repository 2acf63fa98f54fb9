"""Columns of a period that do not arrive as they used to: missing, outside of what was trained on, never seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from tallystick.pipeline.evaluate.metrics import Floats

LEAST_MORE = 0.05
"""Share of the rows beyond every own window that a fault needs at least."""
ALPHA = 0.01
UNSEEN_MORE = 0.2
"""The same of rows with values never seen."""
FEWEST_UNSEEN = 20
FEWEST_CONSTANT = 30
NAMED_VALUES = 3
Kind = Literal["missing", "out of range", "unseen", "constant"]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """A column that does not arrive as it used to."""

    feature: str
    kind: Kind
    share: float
    own_highest: float
    names: list[str] = []
    """Values never seen, the most frequent first."""


class Unseen(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one feature with values that the model was not trained on."""

    feature: str
    rows: int
    share: float
    names: list[str]
    loss: float | None
    """Their mean loss, where their answers are known."""


class ColumnShares(NamedTuple):
    """Of one period, by feature; shares of its rows."""

    rows: int
    missing: Mapping[str, float]
    out_of_range: Mapping[str, float]
    unseen: Mapping[str, float]


class LiveColumns(NamedTuple):
    """The columns of a live period."""

    shares: ColumnShares
    constant: tuple[str, ...]
    """Features with one value only, which they never had for nearly as long before the model was made."""
    values: Mapping[str, Sequence[str]]
    """Values never seen, by feature, the most frequent first."""
    unseen: Mapping[str, npt.NDArray[np.bool_]]
    """Which of the rows with a known answer hold one of them."""


def faults_of(now: LiveColumns, own: Sequence[ColumnShares]) -> list[Fault]:
    """Columns whose shares exceed every own window by more than chance."""
    found: list[Fault] = []
    if not own:
        return found
    kinds: tuple[tuple[Kind, Mapping[str, float], list[tuple[int, Mapping[str, float]]]], ...] = (
        ("missing", now.shares.missing, [(item.rows, item.missing) for item in own]),
        ("out of range", now.shares.out_of_range, [(item.rows, item.out_of_range) for item in own]),
    )
    asked = sum(len(shares) for _, shares, _ in kinds)
    for kind, shares, before in kinds:
        for name, share in shares.items():
            known = [(past.get(name, 0.0), rows) for rows, past in before]
            highest, rows = max(known)
            if share > highest + _allowed(highest, rows, now.shares.rows, asked):
                found.append(Fault(feature=name, kind=kind, share=share, own_highest=highest))
    for name, share in now.shares.unseen.items():
        highest = max(item.unseen.get(name, 0.0) for item in own)
        if share >= highest + UNSEEN_MORE:
            names = list(now.values.get(name, ()))[:NAMED_VALUES]
            found.append(Fault(feature=name, kind="unseen", share=share, own_highest=highest, names=names))
    empty = {item.feature for item in found}
    steady = [name for name in now.constant if name not in empty] if now.shares.rows >= FEWEST_CONSTANT else []
    return [*found, *(Fault(feature=name, kind="constant", share=1.0, own_highest=0.0) for name in steady)]


def _allowed(highest: float, own_rows: int, rows: int, asked: int) -> float:
    """How much more than the highest own share chance allows, over all columns and shares that are asked about."""
    middle = (highest * own_rows + 1.0) / (own_rows + 2.0)
    z = -float(ndtri(ALPHA / max(asked, 1)))
    spread = math.sqrt(2.0 * middle * (1.0 - middle) * (1.0 / max(rows, 1) + 1.0 / max(own_rows, 1)))
    return max(LEAST_MORE, z * spread)


def unseen_of(now: LiveColumns, loss: Floats | None, faults: Sequence[Fault]) -> list[Unseen]:
    """Features with enough rows of values never seen that are no fault, with their loss."""
    faulty = {item.feature for item in faults}
    found = []
    for name, share in now.shares.unseen.items():
        rows = round(share * now.shares.rows)
        if rows < FEWEST_UNSEEN or name in faulty:
            continue
        marked = now.unseen.get(name)
        known = loss is not None and marked is not None and bool(marked.any())
        found.append(
            Unseen(
                feature=name,
                rows=rows,
                share=share,
                names=list(now.values.get(name, ()))[:NAMED_VALUES],
                loss=float(loss[marked].mean()) if known and loss is not None else None,
            )
        )
    return found
