"""Synthetic periods of a model with known causes of trouble, beside an undisturbed past of the same model."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tallystick.pipeline.config.alert_rules import Thresholds
from tallystick.pipeline.evaluate import metrics
from tallystick.pipeline.evaluate.losses import Measure, row_losses
from tallystick.pipeline.evaluate.metrics import Floats, Scored, Units, loss_table
from tallystick.pipeline.monitoring.baseline import OwnHistory, Past
from tallystick.pipeline.monitoring.columns import ColumnShares, LiveColumns
from tallystick.pipeline.monitoring.facts import Facts, JudgedRows, Judging, facts_of
from tallystick.pipeline.monitoring.judgement import Ground
from tallystick.pipeline.monitoring.period_data import bins_of
from tallystick.pipeline.monitoring.statistics import expected_losses

RULES = Thresholds()
LOG_LOSS = Measure("log_loss")
COUNTING = Thresholds(outside=0.8, by_range=0.5, counts_windows=True)
"""The older rule, which counts own windows."""
EDGES = {name: [-6.0, *np.linspace(-1.3, 1.3, 9).tolist(), 6.0] for name in ("x", "w", "v")}
SEGMENTS = ("a", "b", "c")
CAUSES = {
    "level": "recalibrate",
    "ranking": "challenger",
    "column": "fix data",
    "mix": "nothing",
    "day": "wait",
    "nothing": "nothing",
}


def make(seed: int, cause: str, *, days: int = 30, per_day: int = 120, noise_features: int = 0) -> JudgedRows:
    """One period; days differ from each other a little, as days do."""
    source = np.random.default_rng([seed, sorted(CAUSES).index(cause), 7])
    n = days * per_day
    codes = np.repeat(np.arange(days), per_day)
    features = {name: source.normal(size=n) for name in ("x", "w", "v")}
    share = [0.15, 0.15, 0.7] if cause == "mix" else [0.4, 0.35, 0.25]
    segment = source.choice(3, size=n, p=share)
    drift = source.normal(scale=0.15, size=days)[codes]
    score = -1.2 + 0.9 * features["x"] + 0.5 * features["w"] + np.array([-0.3, 0.0, 0.6])[segment]
    truth = score + drift
    if cause == "level":
        truth = truth - 0.7
    if cause == "ranking":
        truth = -1.2 + drift + 0.9 * features["v"] + 0.2 * features["x"] + np.array([-0.3, 0.0, 0.6])[segment]
    if cause == "day":
        truth = truth + np.where(codes == int(source.integers(days)), 3.5, 0.0)
    y = (source.random(n) < 1 / (1 + np.exp(-truth))).astype(np.float64)
    if cause == "column":
        features["x"] = np.full(n, np.nan) if seed % 2 else np.zeros(n)
        score = score - 0.0
        score = -1.2 + 0.9 * np.nan_to_num(features["x"]) + 0.5 * features["w"] + np.array([-0.3, 0, 0.6])[segment]
    p = 1 / (1 + np.exp(-score))
    extra = np.random.default_rng([seed, 99])
    features |= {f"noise_{index}": extra.normal(size=n) for index in range(noise_features)}
    return rows_of(y, p, codes, segment, features)


def rows_of(y: Floats, p: Floats, codes: np.ndarray, segment: np.ndarray, features: dict[str, Floats]) -> JudgedRows:
    edges = {name: EDGES.get(name, EDGES["x"]) for name in features}
    histograms = {name: metrics.histogram(values, edges[name]) for name, values in features.items()}
    units = Units(codes, tuple(f"2013-09-{day + 1:02d}" for day in range(int(codes.max()) + 1)))
    return JudgedRows(
        scored=Scored(y, p, units, LOG_LOSS),
        segments={"origin": pd.Series(np.array(SEGMENTS, dtype=object)[segment])},
        bins={name: bins_of(pd.Series(values), histograms[name]) for name, values in features.items()},
        histograms=histograms,
        columns=LiveColumns(
            ColumnShares(len(y), {name: float(np.isnan(values).mean()) for name, values in features.items()}, {}, {}),
            tuple(name for name, values in features.items() if len(np.unique(values[~np.isnan(values)])) == 1),
            {},
            {},
        ),
        reference=Scored(y, np.full(len(y), 0.27), units, LOG_LOSS),
    )


def past_of(label: str, rows: JudgedRows) -> Past:
    loss = row_losses("log_loss", rows.y, rows.p)
    year, month = label.split("-")
    return Past(
        label=label,
        statistics={"loss": float(loss.mean()), "estimate": float(expected_losses("log_loss", rows.p).mean())},
        losses=loss_table(rows.scored, rows.segments),
        histograms=rows.histograms,
        missing=rows.columns.shares.missing,
        month=int(year) * 12.0 + int(month) - 1.0,
        sample=rows.scored,
    )


def history(seed: int, windows: int = 7, noise_features: int = 0) -> OwnHistory:
    made = [make(1_000 * (seed + 1) + index, "nothing", noise_features=noise_features) for index in range(windows)]
    return OwnHistory([past_of(f"2013-{index + 1:02d}", rows) for index, rows in enumerate(made)], {}, {})


def judged(rows: JudgedRows, past: OwnHistory, seed: int = 1, rules: Thresholds = RULES) -> Facts:
    ground = Ground("classification", rules, 0.005)
    return facts_of("2013-09", rows, past, Judging(ground, min_rows=200, seed=seed, month=2013 * 12.0 + 8.0))
