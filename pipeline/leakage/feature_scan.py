"""Whether a feature tells more than it could have known: each feature alone, against a model without it.

A threshold on one feature's score alone misses the leaks that matter: in data where the best honest model reaches an
AUC of 0.70, a feature with 0.90 is a leak, and passes for a good one by any absolute rule. So a feature is compared
with what all the others together can do.

What is fitted here is small and only for comparison. The sample: the first, the middle and the last complete window;
of each at most 20,000 training rows and 10,000 test rows, evenly spaced in time. A feature alone is scored by the
smoothed mean target of its bin or level in the training rows; a model is boosted trees of 7 leaves. Every number is
the mean over the sampled windows, measured on test rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from tallystick.ledger.events.types import Check
from tallystick.pipeline.config.windows import Window
from tallystick.pipeline.data.slice import TARGET, frame_of, numbers, open_table, rows_of
from tallystick.pipeline.evaluate import backtest
from tallystick.pipeline.evaluate.backtest import BacktestPlan
from tallystick.pipeline.evaluate.fitting import Recipe, fit
from tallystick.pipeline.evaluate.losses import row_losses
from tallystick.pipeline.evaluate.stability import auc_with_cluster_se
from tallystick.pipeline.models.model_file import predict
from tallystick.pipeline.recipes import Columns, Task

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

MOST_WINDOWS = 3
MOST_TRAIN_ROWS = 20_000
MOST_TEST_ROWS = 10_000
MOST_BINS = 64
FEWEST_ROWS_IN_BIN = 100
SMOOTHING_ROWS = 10.0
TOO_GOOD = 0.95
# The honest sched_dep_time of all flights is 0.03 better alone than everything else together; dep_delay is 0.24.
TOO_MUCH_BETTER = 0.10
STRANGELY_BETTER = 0.02
LARGE_SHARE_OF_GAIN = 0.6
SAME_SCORE = 0.9
"""Rank correlation of two features' scores above which one is taken for a copy of the other."""
PERMUTATIONS = 3
PLANTED = "(planted)"
# Few leaves: with more, models of a few thousand rows lose so much to chance that a single feature looks large beside
# them (measured on the flights: 63 % of the gain beside trees of 15 leaves and 50 rows, 44 % beside these).
MODEL: dict[str, Any] = {"max_iter": 60, "max_leaf_nodes": 7, "learning_rate": 0.08}
CANARY_MODEL: dict[str, Any] = {"max_iter": 20, "max_leaf_nodes": 15}
MOST_ROWS_IN_LEAF = 100


class Sample(NamedTuple):
    """Some rows of one window."""

    label: str
    train: pd.DataFrame
    y_train: Floats
    test: pd.DataFrame
    y: Floats
    task: Task
    columns: Columns
    seed: int


class FeatureScore(NamedTuple):
    """How well something foretells the target in test rows."""

    value: float | None
    """AUC, or R² for a number; None where a window has only one class or one value."""
    gain: float
    """Relative improvement of log-loss, or of squared error, on the training mean."""


class Compared(NamedTuple):
    """Models of one window, fitted for comparison."""

    whole: FeatureScore
    without_best: FeatureScore
    without_copies: FeatureScore
    permuted: list[float]
    """How far models of permuted labels are from chance: AUC - 0.5, or the correlation."""


def sampled_windows(windows: Sequence[Window]) -> list[Window]:
    """The first, the middle and the last."""
    if len(windows) <= MOST_WINDOWS:
        return list(windows)
    return [windows[0], windows[len(windows) // 2], windows[-1]]


def sample(plan: BacktestPlan, window: Window) -> Sample:
    """At most 20,000 training and 10,000 test rows of a window, evenly spaced in time."""
    table = open_table(plan.slice)
    forbidden = plan.slice.group if plan.group_overlap == "forbidden" else None
    rows = backtest.split(table, window, plan.as_of, forbidden)
    train = rows_of(table, _evenly(rows.train, MOST_TRAIN_ROWS))
    test = rows_of(table, _evenly(rows.test, MOST_TEST_ROWS))
    columns = plan.slice.features
    return Sample(
        label=window.label,
        train=frame_of(train, columns),
        y_train=numbers(train, TARGET),
        test=frame_of(test, columns),
        y=numbers(test, TARGET),
        task=plan.task,
        columns=columns,
        seed=backtest.seed_for(plan.seed, "leakage checks", window.label),
    )


def _evenly(rows: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def bins_of(values: pd.Series, other: pd.Series) -> tuple[Codes, Codes, int]:
    """Bins or levels of one column, learnt from ``values``: codes of both series, and how many codes there are.

    Numbers: at most 64 bins of equal numbers of rows, and one for missing. Text: a code for each level, one for
    missing, one (the last) for levels that ``values`` does not have.
    """
    if pd.api.types.is_numeric_dtype(values.dtype):
        numeric = values.to_numpy(dtype=np.float64)
        present = numeric[~np.isnan(numeric)]
        bins = max(2, min(MOST_BINS, len(present) // FEWEST_ROWS_IN_BIN))
        shares = np.linspace(0.0, 1.0, bins + 1)[1:-1]
        # Edges are values that occur, so the bins are the same in any other units.
        edges = np.unique(np.quantile(present, shares, method="lower")) if len(present) else present
        found = []
        for column in (numeric, other.to_numpy(dtype=np.float64)):
            codes = np.searchsorted(edges, column, side="right").astype(np.int64)
            codes[np.isnan(column)] = len(edges) + 1
            found.append(codes)
        return found[0], found[1], len(edges) + 2
    levels = pd.Index(values.dropna().unique())
    named = []
    for text in (values, other):
        level = np.asarray(levels.get_indexer(pd.Index(text)), dtype=np.int64)
        level[level < 0] = len(levels) + 1
        level[text.isna().to_numpy()] = len(levels)
        named.append(level)
    return named[0], named[1], len(levels) + 2


def alone(train: pd.Series, y_train: Floats, test: pd.Series) -> Floats:
    """What one feature alone foretells for test rows: the smoothed mean target of its bin in training."""
    codes, test_codes, size = bins_of(train, test)
    rows = np.bincount(codes, minlength=size)
    sums = np.bincount(codes, weights=y_train, minlength=size)
    means = (sums + SMOOTHING_ROWS * y_train.mean()) / (rows + SMOOTHING_ROWS)
    return np.asarray(means[test_codes], dtype=np.float64)


def score(task: Task, y_train: Floats, y: Floats, predicted: Floats) -> FeatureScore:
    """AUC or R², and the gain on saying the mean of the training rows."""
    loss = "log_loss" if task == "classification" else "squared_error"
    naive = float(row_losses(loss, y, np.full(len(y), y_train.mean())).mean())
    ours = float(row_losses(loss, y, predicted).mean())
    gain = (naive - ours) / naive if naive > 0 else 0.0
    if task == "classification":
        value, _ = auc_with_cluster_se(y, predicted, np.arange(len(y)))
        return FeatureScore(value, gain)
    spread = float(np.square(y - y.mean()).sum())
    return FeatureScore(1.0 - float(np.square(y - predicted).sum()) / spread if spread > 0 else None, gain)


def planted(chosen: Sample, honest: float | None) -> tuple[pd.Series, pd.Series]:
    """A column from the future, for training and test rows: the target under noise.

    It is made to score 0.9, or clearly more than an honest model that reaches that by itself; so it is the kind that
    an absolute threshold would let pass.
    """
    from scipy.stats import norm

    goal = min(0.97, max(0.9, (honest or 0.0) + 0.15))
    random = np.random.default_rng(chosen.seed)
    if chosen.task == "classification":
        noise = 1.0 / (np.sqrt(2.0) * norm.ppf(goal))
    else:
        noise = float(np.std(chosen.y_train)) * np.sqrt((1.0 - goal) / goal)
    made = [pd.Series(y + noise * random.standard_normal(len(y))) for y in (chosen.y_train, chosen.y)]
    return made[0], made[1]


def compared(chosen: Sample, best: str | None, copies: Sequence[str]) -> Compared:
    """Models with all features, without the best one, and without it and its copies; and with permuted labels."""
    names = [*chosen.columns.numeric, *chosen.columns.categorical]

    def without(left_out: Sequence[str]) -> FeatureScore:
        kept = [name for name in names if name not in left_out]
        if not kept:
            mean = np.full(len(chosen.y), chosen.y_train.mean())
            return score(chosen.task, chosen.y_train, chosen.y, mean)
        return score(chosen.task, chosen.y_train, chosen.y, _predicted(chosen, kept, chosen.y_train, MODEL, 0))

    with backtest.one_thread():
        whole = without([])
        without_best = without([best]) if best is not None else whole
        without_copies = without([best, *copies]) if best is not None and copies else without_best
        permuted = []
        for turn in range(PERMUTATIONS):
            shuffled = np.random.default_rng(chosen.seed + turn).permutation(chosen.y_train)
            distance = _from_chance(chosen, _predicted(chosen, names, shuffled, CANARY_MODEL, turn))
            permuted += [] if distance is None else [distance]
    return Compared(whole, without_best, without_copies, permuted)


def _predicted(chosen: Sample, names: Sequence[str], y: Floats, params: dict[str, Any], turn: int) -> Floats:
    columns = Columns(
        tuple(name for name in chosen.columns.numeric if name in names),
        tuple(name for name in chosen.columns.categorical if name in names),
    )
    if len(np.unique(y)) == 1:
        return np.full(len(chosen.y), y[0])
    leaf = max(5, min(MOST_ROWS_IN_LEAF, len(y) // 50))
    params = {**params, "min_samples_leaf": leaf}
    recipe = Recipe("leakage checks", "pipeline.recipes:trees", params, 0, columns, chosen.task)
    model = fit(recipe, chosen.train[list(names)], y, chosen.seed + turn, chosen.label)
    return predict(model, chosen.test[list(names)])


def _from_chance(chosen: Sample, predicted: Floats) -> float | None:
    if chosen.task == "classification":
        value = score(chosen.task, chosen.y_train, chosen.y, predicted).value
        return None if value is None else value - 0.5
    if np.ptp(predicted) == 0.0 or np.ptp(chosen.y) == 0.0:
        return 0.0
    return float(np.corrcoef(predicted, chosen.y)[0, 1])


# The checks ------------------------------------------------------------------------------------------------


class Single(NamedTuple):
    """One feature alone, as the mean over the sampled windows."""

    name: str
    value: float | None
    gain: float


def single_scores(samples: Sequence[Sample]) -> tuple[list[Single], list[str]]:
    """Every feature alone, best first; and which others carry the same scores as the best one."""
    names = [*samples[0].columns.numeric, *samples[0].columns.categorical] if samples else []
    predictions = {name: [alone(item.train[name], item.y_train, item.test[name]) for item in samples] for name in names}
    found = [
        mean_of(
            name,
            [score(item.task, item.y_train, item.y, p) for item, p in zip(samples, predictions[name], strict=True)],
        )
        for name in names
    ]
    found.sort(key=lambda item: -(item.value if item.value is not None else -np.inf))
    if not found or found[0].value is None:
        return found, []
    best = found[0].name
    copies = [
        item.name
        for item in found[1:]
        if _alike(np.concatenate(predictions[best]), np.concatenate(predictions[item.name])) >= SAME_SCORE
    ]
    return found, copies


def _alike(one: Floats, other: Floats) -> float:
    if np.ptp(one) == 0.0 or np.ptp(other) == 0.0:
        return 0.0
    first, second = (pd.Series(values).rank().to_numpy(dtype=np.float64) for values in (one, other))
    return abs(float(np.corrcoef(first, second)[0, 1]))


def mean_of(name: str, scores: Sequence[FeatureScore]) -> Single:
    """Mean over windows; windows in which nothing can be ranked do not count for the value."""
    known = [item.value for item in scores if item.value is not None]
    value = float(np.mean(known)) if known else None
    return Single(name, value, float(np.mean([item.gain for item in scores])))


def judge_single(
    item: Single, whole: Single, without: Single | None, task: Task, left_out: Sequence[str] = ()
) -> Check:
    """The verdict on one feature.

    Parameters
    ----------
    whole : the model of all features
    without : the model without this feature, where it was fitted. It is for the best feature alone: a model without
        any other holds the best one and is at least as good as that, so no other can exceed it.
    left_out : copies of the feature that were left out with it
    """
    name = "AUC" if task == "classification" else "R²"
    share = item.gain / whole.gain if whole.gain > 0 else None
    facts: dict[str, Any] = {
        "metric": name,
        "alone": item.value,
        "all_features": whole.value,
        "without_it": None if without is None else without.value,
        "copies": list(left_out),
        "share_of_gain": share,
    }

    def found(result: Any, sentence: str) -> Check:
        return Check(check="single feature", subject=item.name, result=result, facts=facts, sentence=sentence)

    if item.value is None:
        return found("pass", f"{item.name}: nothing to rank in the sampled windows, which hold one class only.")
    if item.value >= TOO_GOOD:
        return found(
            "fail",
            f"{item.name} alone reaches {name} {item.value:.3f} on windows it has not seen. Nothing that is known in "
            "advance tells that much: it looks like the answer itself.",
        )
    if without is not None and without.value is not None and item.value >= without.value + TOO_MUCH_BETTER:
        copies = f" and its near copies ({', '.join(left_out)})" if left_out else ""
        return found(
            "fail",
            f"{item.name} alone reaches {name} {item.value:.3f}; all other features together, without it{copies}, "
            f"reach {without.value:.3f}. A feature that beats everything else by itself was probably written down "
            "afterwards.",
        )
    if without is not None and without.value is not None and item.value >= without.value + STRANGELY_BETTER:
        return found(
            "look",
            f"{item.name} alone reaches {name} {item.value:.3f}, more than all other features together without it "
            f"({without.value:.3f}). Make sure that it is known in time.",
        )
    if share is not None and share > LARGE_SHARE_OF_GAIN:
        return found(
            "look",
            f"{item.name} alone brings {share:.0%} of the gain of all features together. Make sure that it is known "
            "in time.",
        )
    return found("pass", f"{item.name} alone reaches {name} {item.value:.3f}.")


def judge_canary(distances: Sequence[float], task: Task) -> Check:
    """Permuted training labels must score at chance.

    The threshold is as rare as three standard errors of a normal distribution; since the error is estimated from the
    few permutations themselves, it is taken from Student's t.
    """
    from scipy.stats import norm, t

    what = "AUC - 0.5" if task == "classification" else "correlation"
    if len(distances) < 3:
        sentence = "Too few windows hold both classes to try permuted labels."
        return Check(check="canary", subject="permuted labels", result="look", facts={}, sentence=sentence)
    mean = float(np.mean(distances))
    error = float(np.std(distances, ddof=1) / np.sqrt(len(distances)))
    most = float(t.ppf(norm.cdf(3.0), len(distances) - 1)) * error
    facts = {"what": what, "mean": mean, "standard_error": error, "at_most": most, "permutations": len(distances)}
    passed = abs(mean) <= most + 1e-12
    centre = 0.5 if task == "classification" else 0.0
    name = "AUC" if task == "classification" else "correlation"
    at = f"{name} {centre + mean:.3f} ± {error:.3f} over {len(distances)} permutations"
    sentence = (
        f"Models of permuted labels score at chance ({at})."
        if passed
        else f"Models of permuted labels do not score at chance ({at}): test rows are known to the training somehow."
    )
    return Check(
        check="canary", subject="permuted labels", result="pass" if passed else "fail", facts=facts, sentence=sentence
    )


def judge_planted(samples: Sequence[Sample], honest: Single) -> Check:
    """A planted column from the future goes through the same rule, and must be caught by it."""
    scores = []
    for item in samples:
        train, test = planted(item, honest.value)
        scores.append(score(item.task, item.y_train, item.y, alone(train, item.y_train, test)))
    seen = mean_of(PLANTED, scores)
    task: Task = samples[0].task if samples else "classification"
    # The honest model is the model without the planted one.
    verdict = judge_single(seen, honest, honest, task)
    if seen.value is None or honest.value is None:
        sentence = "No sampled window has two different answers, so a planted column cannot be tried."
        return Check(check="canary", subject="planted column", result="look", facts={}, sentence=sentence)
    caught = verdict.result == "fail"
    name = verdict.facts["metric"]
    sentence = (
        f"A planted column from the future ({name} {seen.value:.3f}) was caught."
        if caught
        else f"A planted column from the future ({name} {seen.value:.3f}) was not caught: these checks cannot be "
        "trusted here."
    )
    return Check(
        check="canary",
        subject="planted column",
        result="pass" if caught else "fail",
        facts={"metric": name, "alone": seen.value, "all_others": honest.value},
        sentence=sentence,
    )
