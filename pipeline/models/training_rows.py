"""Training rows as an estimator can take them: a column that was not filled in yet must not stop a fit."""

from __future__ import annotations

from typing import Any

import pandas as pd


def trainable(model: Any, frame: pd.DataFrame) -> pd.DataFrame:
    """The training rows, with a constant in each column that has no value at all, where the estimator needs one.

    scikit-learn's histogram boosting cannot bin a column without any value (it fails with "window shape cannot be
    larger than input array shape"). A constant is never split on, so the model is the one that does not know the
    column. Other estimators get the rows as they are.
    """
    if not _is_histogram_boosting(model):
        return frame
    empty = [name for name in frame.columns if not _has_a_value(frame[name])]
    if not empty or frame.empty:
        return frame
    filled = frame.copy()
    for name in empty:
        filled[name] = 0.0 if pd.api.types.is_float_dtype(frame[name]) else ""
    return filled


def _has_a_value(column: pd.Series) -> bool:
    """Whether anything is there; nearly always the first row says so, and the others need no look."""
    return bool(len(column)) and (bool(pd.notna(column.iloc[0])) or not column.isna().all())


def _is_histogram_boosting(model: Any) -> bool:
    steps = getattr(model, "steps", None)
    last = steps[-1][1] if steps else model
    return type(last).__name__ in ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor")
