"""Synthetic periods of a model with known causes of trouble, beside an undisturbed past of the same model."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tallystick.pipeline.config.alert_rules import Thresholds
from tallystick.pipeline.evaluate import metrics
from tallystick.pipeline.evaluate.losses import Measure
from tallystick.pipeline.evaluate.metrics import Floats, Units, loss_table
from tallystick.pipeline.monitoring.baseline import OwnHistory, Past
from tallystick.pipeline.monitoring.facts import Facts, JudgedRows, Judging, facts_of
from tallystick.pipeline.monitoring.period_data import bins_of
from tallystick.pipeline.monitoring.statistics import statistics

RULES = Thresholds(0.8, 0.5, True)
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
    return JudgedRows(
        y=y,
        p=p,
        units=Units(codes, tuple(f"2013-09-{day + 1:02d}" for day in range(int(codes.max()) + 1))),
        segments={"origin": pd.Series(np.array(SEGMENTS, dtype=object)[segment])},
        bins={name: bins_of(pd.Series(values), histograms[name]) for name, values in features.items()},
        histograms=histograms,
        missing={name: float(np.isnan(values).mean()) for name, values in features.items()},
        constant=tuple(name for name, values in features.items() if len(np.unique(values[~np.isnan(values)])) == 1),
        reference=np.full(len(y), 0.27),
    )


def past_of(label: str, rows: JudgedRows) -> Past:
    scored = rows.by(Measure("log_loss"))
    return Past(
        label=label,
        live=False,
        statistics=statistics("classification", scored).known,
        losses=loss_table(scored, rows.segments),
        histograms=rows.histograms,
        missing=rows.missing,
    )


def history(seed: int, windows: int = 7, noise_features: int = 0) -> OwnHistory:
    made = [make(1_000 * (seed + 1) + index, "nothing", noise_features=noise_features) for index in range(windows)]
    return OwnHistory([past_of(f"2013-{index + 1:02d}", rows) for index, rows in enumerate(made)], {}, {})


def judged(rows: JudgedRows, past: OwnHistory, seed: int = 1) -> Facts:
    return facts_of(
        "2013-09",
        rows,
        past,
        Judging(task="classification", measure=Measure("log_loss"), rules=RULES, min_rows=200, margin=0.005, seed=seed),
    )
