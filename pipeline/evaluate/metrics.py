"""Numbers about one candidate on one window, from its predictions alone.

Every metric comes with a standard error over whole resample units (days, say), because errors of one unit move
together; or with no value and the reason. The loss table keeps sums by unit and segment: enough for every later
bootstrap and decomposition, without the data.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from tallystick.ledger.events.types import Levels, Metric, Reliability
from tallystick.pipeline.evaluate.stability import auc_with_cluster_se, calibration_in_large, cluster_se_of_mean
from tallystick.pipeline.recipes import Task

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

SMALLEST_PROBABILITY = 1e-15
RELIABILITY_BINS = 10
SCORE_EDGES = tuple(round(0.05 * index, 2) for index in range(21))


class Units(NamedTuple):
    """The resample unit of each row."""

    codes: Codes
    """One a row, into ``names``."""
    names: tuple[str, ...]


def row_losses(metric: str, y: Floats, p: Floats) -> Floats:
    """Loss of each row; smaller is better.

    Parameters
    ----------
    metric : {"log_loss", "brier", "squared_error", "absolute_error"}
    y : (n,) targets; 0 or 1 for the first two
    p : (n,) predictions; probabilities for the first two, clipped to [1e-15, 1 - 1e-15] for the logarithm
    """
    if metric == "log_loss":
        clipped = np.clip(p, SMALLEST_PROBABILITY, 1.0 - SMALLEST_PROBABILITY)
        return -np.where(y == 1.0, np.log(clipped), np.log1p(-clipped))
    if metric in ("brier", "squared_error"):
        return np.square(p - y)
    if metric == "absolute_error":
        return np.abs(p - y)
    raise ValueError(metric)


def losses_of(task: Task) -> tuple[str, ...]:
    """Losses that are reported for a kind of target."""
    return ("log_loss", "brier") if task == "classification" else ("squared_error", "absolute_error")


def metrics(task: Task, y: Floats, p: Floats, units: Units) -> dict[str, Metric]:
    """All metrics of one set of rows, each with its standard error or its reason for having no value."""
    if len(y) == 0:
        none = Metric(value=None, standard_error=None, reason="There are no such rows.")
        ranking = ("roc_auc",) if task == "classification" else ()
        return dict.fromkeys((*losses_of(task), *ranking, "calibration_in_large"), none)
    rows = np.bincount(units.codes, minlength=len(units.names)).astype(np.float64)
    present = rows > 0
    found: dict[str, Metric] = {}
    for name in losses_of(task):
        loss = row_losses(name, y, p)
        sums = np.bincount(units.codes, weights=loss, minlength=len(units.names)).astype(np.float64)
        found[name] = _metric(float(loss.mean()), cluster_se_of_mean(sums[present], rows[present]))
    if task == "classification":
        auc, error = auc_with_cluster_se(y, p, units.codes)
        if auc is None:
            only = "positive" if y[0] == 1.0 else "negative"
            reason = f"Only one class: all {len(y):,} labels are {only}, so nothing can be ranked."
            found["roc_auc"] = Metric(value=None, standard_error=None, reason=reason)
        else:
            found["roc_auc"] = _metric(auc, error)
    difference, error = calibration_in_large(y, p, units.codes)
    found["calibration_in_large"] = _metric(difference, error)
    return found


def _metric(value: float, standard_error: float | None) -> Metric:
    """A metric; a standard error that one unit alone cannot give stays empty."""
    known = standard_error is not None and np.isfinite(standard_error)
    return Metric(value=value, standard_error=float(standard_error) if known else None, reason=None)  # type: ignore[arg-type]


def reliability(y: Floats, p: Floats) -> list[Reliability]:
    """Ten bins of equal numbers of rows by rising prediction: what was predicted, what was observed."""
    order = np.argsort(p, kind="stable")
    return [
        Reliability(rows=len(part), mean_predicted=float(p[part].mean()), observed=float(y[part].mean()))
        for part in np.array_split(order, RELIABILITY_BINS)
        if len(part)
    ]


def histogram(values: Floats, edges: npt.ArrayLike) -> Levels:
    """Counts between ``edges`` (the last bin closed), outside of them, and missing."""
    bounds = np.asarray(edges, dtype=np.float64)
    present = values[~np.isnan(values)]
    counts, _ = np.histogram(present, bounds)
    return Levels(
        edges=[float(edge) for edge in bounds],
        levels=None,
        counts=[int(count) for count in counts],
        other=int(len(present) - counts.sum()),
        missing=int(len(values) - len(present)),
    )


def level_counts(values: pd.Series[str], levels: list[str]) -> Levels:
    """Counts of the named levels, of all others together, and missing."""
    counts = values.value_counts()
    named = [int(counts.get(level, 0)) for level in levels]
    return Levels(
        edges=None,
        levels=levels,
        counts=named,
        other=int(counts.sum()) - sum(named),
        missing=int(values.isna().sum()),
    )


def loss_table(y: Floats, p: Floats, loss: Floats, units: Units, segments: dict[str, pd.Series[str]]) -> pd.DataFrame:
    """Rows, summed target, summed prediction and summed loss by resample unit and segment level.

    Returns
    -------
    DataFrame with columns ``segment`` (empty for the whole window), ``level``, ``unit``, ``rows`` (int64),
    ``sum_y``, ``sum_p``, ``sum_loss`` (float64), sorted by the first three.
    """
    unit_names = np.asarray(units.names, dtype=object)[units.codes]
    parts = []
    base = pd.DataFrame({"unit": unit_names, "rows": 1, "sum_y": y, "sum_p": p, "sum_loss": loss})
    for segment, levels in {"": pd.Series("", index=range(len(y))), **segments}.items():
        frame = base.assign(segment=segment, level=levels.fillna("(missing)").to_numpy())
        parts.append(frame.groupby(["segment", "level", "unit"], sort=True).sum().reset_index())
    return pd.concat(parts, ignore_index=True)
