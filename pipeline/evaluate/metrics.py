"""Numbers about one candidate on one window, from its predictions alone.

Every metric comes with a standard error over whole resample units (days, say), because errors of one unit move
together; or with no value and the reason. The loss table keeps sums by unit and segment: enough for every later
bootstrap and decomposition, without the data.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from tallystick.ledger.events.types import Levels, Metric, Reliability
from tallystick.pipeline.evaluate.losses import Measure, parts_of, ranking_losses, relative, row_losses
from tallystick.pipeline.evaluate.stability import auc_with_cluster_se, calibration_in_large, cluster_se_of_mean
from tallystick.pipeline.recipes import Task

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

RELIABILITY_BINS = 10
SCORE_EDGES = tuple(round(0.05 * index, 2) for index in range(21))


class Units(NamedTuple):
    """The resample unit of each row."""

    codes: Codes
    """One a row, into ``names``."""
    names: tuple[str, ...]


class Scored(NamedTuple):
    """Rows with their targets and what was predicted of them."""

    y: Floats
    p: Floats
    units: Units
    measure: Measure
    weights: Floats | None = None
    """One a row, with a mean of one; None where every row counts the same."""

    def only(self, mask: npt.NDArray[np.bool_]) -> Scored:
        """Some of the rows; their weights have a mean of one again."""
        weights = None if self.weights is None else relative(self.weights[mask])
        units = Units(self.units.codes[mask], self.units.names)
        return Scored(self.y[mask], self.p[mask], units, self.measure, weights)


def losses_of(task: Task) -> tuple[str, ...]:
    """Losses that are reported for a kind of target."""
    return ("log_loss", "brier") if task == "classification" else ("squared_error", "absolute_error")


THRESHOLD = "decision_threshold"
"""Reported beside a cost: from which probability on the candidate says yes."""


def metrics(task: Task, rows: Scored) -> dict[str, Metric]:
    """All metrics of one set of rows, each with its standard error or its reason for having no value.

    The losses of the task, AUC for a yes or no, the measure that decides, and calibration in the large.
    """
    names = [*losses_of(task), *(("roc_auc",) if task == "classification" else ())]
    if rows.measure.name not in names:
        names.append(rows.measure.name)
    if len(rows.y) == 0:
        none = Metric(value=None, standard_error=None, reason="There are no such rows.")
        return dict.fromkeys((*names, "calibration_in_large"), none)
    found = {name: _one(rows, rows.measure if name == rows.measure.name else Measure(name)) for name in names}
    if rows.measure.threshold is not None:
        found[THRESHOLD] = Metric(value=rows.measure.threshold, standard_error=None, reason=None)
    if rows.weights is None:
        difference, error = calibration_in_large(rows.y, rows.p, rows.units.codes)
        found["calibration_in_large"] = _metric(difference, error)
    else:
        found["calibration_in_large"] = _mean((rows.p - rows.y) * rows.weights, rows.units)
    return found


def _one(rows: Scored, measure: Measure) -> Metric:
    if not measure.ranks:
        loss = row_losses(measure, rows.y, rows.p)
        return _mean(loss if rows.weights is None else loss * rows.weights, rows.units)
    if len(np.unique(rows.y)) < 2:
        only = "positive" if rows.y[0] == 1.0 else "negative"
        reason = f"Only one class: all {len(rows.y):,} labels are {only}, so nothing can be ranked."
        return Metric(value=None, standard_error=None, reason=reason)
    if measure.name == "roc_auc" and rows.weights is None:
        auc, error = auc_with_cluster_se(rows.y, rows.p, rows.units.codes)
        assert auc is not None
        return _metric(auc, error)
    parts = ranking_losses(measure.name, rows.y, rows.p, rows.weights)
    assert parts is not None
    missed = _mean(parts, rows.units)
    assert missed.value is not None
    return msgspec.structs.replace(missed, value=1.0 - missed.value)


def _mean(values: Floats, units: Units) -> Metric:
    """A mean over rows, with its standard error over whole units."""
    rows = np.bincount(units.codes, minlength=len(units.names)).astype(np.float64)
    sums = np.bincount(units.codes, weights=values, minlength=len(units.names)).astype(np.float64)
    present = rows > 0
    return _metric(float(values.mean()), cluster_se_of_mean(sums[present], rows[present]))


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


def loss_table(rows: Scored, segments: dict[str, pd.Series[str]]) -> pd.DataFrame:
    """Rows, summed target, summed prediction and summed loss by resample unit and segment level.

    Where rows have weights, target, prediction and loss are multiplied by them first. Where a ranking decides, the loss
    is the log-loss, and the parts of the rows in the ranking are summed beside it.

    Returns
    -------
    DataFrame with columns ``segment`` (empty for the whole window), ``level``, ``unit``, ``rows`` (int64),
    ``sum_y``, ``sum_p``, ``sum_loss`` (float64), sorted by the first three; also ``sum_ranking`` where a ranking
    decides and both classes are present.
    """
    y, p, units, measure, weights = rows
    loss = row_losses(measure.by_row, y, p)
    if weights is not None:
        y, p, loss = y * weights, p * weights, loss * weights
    base = pd.DataFrame({"rows": 1, "sum_y": y, "sum_p": p, "sum_loss": loss})
    if measure.ranks and (ranking := parts_of(measure, rows.y, rows.p, weights)) is not None:
        base["sum_ranking"] = ranking
    parts = [_sums(base, units, "", np.zeros(len(y), dtype=np.int64), np.array([""], dtype=object))]
    for segment, levels in segments.items():
        codes, names = pd.factorize(levels.fillna("(missing)").to_numpy(), sort=True)
        parts.append(_sums(base, units, segment, codes.astype(np.int64), np.asarray(names, dtype=object)))
    return pd.concat(parts, ignore_index=True)


def _sums(
    base: pd.DataFrame, units: Units, segment: str, levels: Codes, names: npt.NDArray[np.object_]
) -> pd.DataFrame:
    """Sums by level and unit. Grouped by one number: names as keys took longer than all other numbers of a window."""
    size = len(units.names)
    found = base.groupby(levels * size + units.codes, sort=True).sum()
    place = found.index.to_numpy()
    named = pd.DataFrame(
        {
            "segment": segment,
            "level": names[place // size],
            "unit": np.asarray(units.names, dtype=object)[place % size],
        }
    )
    return pd.concat([named, found.reset_index(drop=True)], axis=1)
