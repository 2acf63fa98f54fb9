"""What a feature is measured against: all other features, the clock and past answers, whichever does best.

A feature that tells more than everything that could have been known is asked about; one that only beats weak
companions, where the hour of the day or last week's answer tell as much, is not.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tallystick.pipeline.evaluate import backtest
from tallystick.pipeline.leakage.evidence import Floats, LeakEvidence
from tallystick.pipeline.leakage.uncertainty import Left, alone, left

TREES: dict[str, Any] = {"max_iter": 60, "max_leaf_nodes": 7, "learning_rate": 0.1, "early_stopping": False}
CODING_FOLDS = 5
CODING_ROWS = 10.0
RIDGE = 1e-2


class Single(NamedTuple):
    """One column alone."""

    predicted: list[Floats]
    left: Left


class Bench(NamedTuple):
    """Everything that models are fitted on, by fold."""

    evidence: LeakEvidence
    singles: dict[str, Single]
    """Features alone."""
    beside: dict[str, Single]
    """Columns of the clock and of past answers alone."""
    train: list[dict[str, Floats]]
    test: list[dict[str, Floats]]


def bench(evidence: LeakEvidence, beside: dict[str, Floats]) -> Bench:
    """Each column alone, and all columns as numbers; text is coded by mean answers, out of fold in training."""
    singles, others = {}, {}
    for name in evidence.names:
        if (single := _single(evidence, evidence.frame[name])) is not None:
            singles[name] = single
    for name, values in beside.items():
        if (single := _single(evidence, pd.Series(values))) is not None:
            others[name] = single
    train: list[dict[str, Floats]] = []
    test: list[dict[str, Floats]] = []
    for place in range(len(evidence.folds)):
        first, second = _coded(evidence, place, beside)
        train.append(first)
        test.append(second)
    return Bench(evidence, singles, others, train, test)


def _single(evidence: LeakEvidence, values: pd.Series) -> Single | None:
    predicted = alone(evidence, values)
    found = left(evidence, predicted)
    return None if found is None else Single(predicted, found)


def _coded(
    evidence: LeakEvidence, place: int, beside: dict[str, Floats]
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    fold = evidence.folds[place]
    train: dict[str, Floats] = {}
    test: dict[str, Floats] = {}
    for name in evidence.columns.numeric:
        values = evidence.frame[name].to_numpy(np.float64)
        train[name], test[name] = values[fold.train], values[fold.test]
    y = evidence.y[fold.train]
    parts = np.random.default_rng(evidence.seed + place).integers(CODING_FOLDS, size=len(y))
    for name in evidence.columns.categorical:
        codes = pd.factorize(evidence.frame[name], use_na_sentinel=False)[0]
        size = int(codes.max()) + 1
        own, asked = codes[fold.train], codes[fold.test]
        found = np.empty(len(y))
        for part in range(CODING_FOLDS):
            found[parts == part] = _level_means(own[parts != part], y[parts != part], size)[own[parts == part]]
        train[name], test[name] = found, _level_means(own, y, size)[asked]
    for name, values in beside.items():
        train[name], test[name] = values[fold.train], values[fold.test]
    return train, test


def _level_means(codes: Any, y: Floats, size: int) -> Floats:
    rows = np.bincount(codes, minlength=size)
    mean = y.mean() if len(y) else 0.0
    return np.asarray((np.bincount(codes, weights=y, minlength=size) + CODING_ROWS * mean) / (rows + CODING_ROWS))


def best_model(made: Bench, without: Collection[str] = ()) -> list[tuple[list[Floats], Left]]:
    """Models of all features but some: trees and a straight line, without and with the clock and past answers."""
    features = [name for name in made.evidence.names if name not in without]
    found = []
    for columns in (features, [*features, *made.beside]):
        if not columns or (columns == features and not made.beside):
            continue
        for kind in (_trees, _straight):
            predicted = fitted(made, columns, kind)
            if (share := left(made.evidence, predicted)) is not None:
                found.append((predicted, share))
    return found


def whole_model(made: Bench, without: Collection[str] = ()) -> tuple[list[Floats], Left] | None:
    """Trees of all features but some, the clock and past answers."""
    columns = [*(name for name in made.evidence.names if name not in without), *made.beside]
    predicted = fitted(made, columns, _trees)
    share = left(made.evidence, predicted)
    return None if share is None else (predicted, share)


def fitted(made: Bench, columns: Sequence[str], kind: Any = None) -> list[Floats]:
    """Predictions of the test rows, fold by fold, by models of some columns."""
    found = []
    with backtest.one_thread():
        for place, fold in enumerate(made.evidence.folds):
            y = made.evidence.y[fold.train]
            train = np.column_stack([made.train[place][name] for name in columns])
            test = np.column_stack([made.test[place][name] for name in columns])
            if len(np.unique(y)) < 2:
                found.append(np.full(len(test), y[0]))
            else:
                found.append((kind or _trees)(made.evidence, train, y, test))
    return found


def _trees(evidence: LeakEvidence, train: Floats, y: Floats, test: Floats) -> Floats:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    params = {**TREES, "min_samples_leaf": max(5, min(50, len(y) // 50)), "random_state": 0}
    # A column without any value in training breaks the binning.
    there = np.isfinite(train).any(axis=0)
    train, test = train[:, there], test[:, there]
    if not train.shape[1]:
        return np.full(len(test), y.mean())
    if evidence.task == "classification":
        model = HistGradientBoostingClassifier(**params).fit(train, y.astype(np.int8))
        return np.asarray(model.predict_proba(test)[:, 1], dtype=np.float64)
    return np.asarray(HistGradientBoostingRegressor(**params).fit(train, y).predict(test), dtype=np.float64)


def _straight(evidence: LeakEvidence, train: Floats, y: Floats, test: Floats) -> Floats:
    """Ridge regression on standardized columns, with missing values at the mean; as a probability it is clipped."""
    with np.errstate(invalid="ignore", divide="ignore"):
        there = np.isfinite(train).any(axis=0)
        train, test = train[:, there], test[:, there]
        centre = np.nanmean(train, axis=0)
        scale = np.nanstd(train, axis=0)
    scale[~(scale > 0)] = 1.0
    first, second = (np.nan_to_num((rows - centre) / scale, nan=0.0) for rows in (train, test))
    second = np.clip(second, -10.0, 10.0)
    gram = first.T @ first + RIDGE * len(y) * np.eye(first.shape[1]) * 0.01
    weights = np.linalg.solve(gram, first.T @ (y - y.mean()))
    found = y.mean() + second @ weights
    if evidence.task == "classification":
        found = np.clip(found, 0.5 / len(y), 1 - 0.5 / len(y))
    return np.asarray(found, dtype=np.float64)
