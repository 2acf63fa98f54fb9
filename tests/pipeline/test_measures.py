"""What a candidate is judged by: the numbers of scikit-learn, monotone, and equal weights change nothing."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as theirs

from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline.config.settings import RANKINGS, Costs
from tallystick.pipeline.config.validate import CLASSIFICATION_METRICS, REGRESSION_METRICS
from tallystick.pipeline.evaluate import losses, metrics
from tallystick.pipeline.evaluate.bootstrap import WindowLosses
from tallystick.pipeline.evaluate.losses import Measure, chosen_threshold, gain_of, parts_of, relative
from tallystick.pipeline.evaluate.metrics import Scored, Units
from tallystick.pipeline.evaluate.stability import cluster_se_of_mean, scores

Floats = npt.NDArray[np.float64]
COSTS = Costs(currency="EUR", false_alarm=2.0, missed=7.0, right_yes=0.5)
MEASURES = {
    **{name: Measure(name) for name in (*CLASSIFICATION_METRICS, *REGRESSION_METRICS)},
    "pinball": Measure("pinball", quantile=0.8),
    "cost": Measure("cost", costs=COSTS, threshold=0.3),
}


def _cost(y: Floats, p: Floats, sample_weight: Floats | None = None) -> float:
    (no_no, no_yes), (yes_no, yes_yes) = theirs.confusion_matrix(
        y, p >= 0.3, sample_weight=sample_weight, labels=[0, 1]
    )
    total = 2.0 * no_yes + 7.0 * yes_no + 0.5 * yes_yes
    return float(total / (no_no + no_yes + yes_no + yes_yes))


THEIRS: dict[str, Any] = {
    "log_loss": lambda y, p, **kw: theirs.log_loss(y, p, labels=[0, 1], **kw),
    "brier": theirs.brier_score_loss,
    "roc_auc": theirs.roc_auc_score,
    "average_precision": theirs.average_precision_score,
    "cost": _cost,
    "squared_error": theirs.mean_squared_error,
    "absolute_error": theirs.mean_absolute_error,
    "pinball": lambda y, p, **kw: theirs.mean_pinball_loss(y, p, alpha=0.8, **kw),
    "poisson_deviance": theirs.mean_poisson_deviance,
}


def rows(metric: str, seed: int, n: int = 400, ties: bool = True) -> tuple[Floats, Floats, Floats]:
    """Targets, predictions and weights that fit a metric."""
    chance = np.random.default_rng(seed)
    p = chance.uniform(0.02, 0.98, n)
    if ties:
        p = np.round(p, 2)
    weights = chance.exponential(1.0, n) + 0.01
    if metric in CLASSIFICATION_METRICS:
        y = (chance.random(n) < p).astype(float)
        y[:2] = 0.0, 1.0
    else:
        y = chance.poisson(3 * p).astype(float)
        p = 3 * p + chance.normal(0, 0.01, n)
        p = np.abs(p) + 0.01
    return y, p, weights


def units(n: int, count: int = 20) -> Units:
    return Units(np.arange(n, dtype=np.int64) * count // n, tuple(f"day {index:02d}" for index in range(count)))


def judged(metric: str, y: Floats, p: Floats, weights: Floats | None = None) -> Any:
    task = "classification" if metric in CLASSIFICATION_METRICS else "regression"
    return metrics.metrics(task, Scored(y, p, units(len(y)), MEASURES[metric], relative(weights)))  # type: ignore[arg-type]


@pytest.mark.parametrize("metric", MEASURES)
@given(seed=st.integers(0, 2**32 - 1), weighted=st.booleans())
@settings(max_examples=25, deadline=None)
def test_values_are_those_of_scikit_learn(metric: str, seed: int, weighted: bool) -> None:
    y, p, weights = rows(metric, seed)
    expected = THEIRS[metric](y, p, **({"sample_weight": weights} if weighted else {}))
    assert judged(metric, y, p, weights if weighted else None)[metric].value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("metric", MEASURES)
@given(seed=st.integers(0, 2**32 - 1), weight=st.floats(0.01, 1e6))
@settings(max_examples=10, deadline=None)
def test_equal_weights_change_nothing(metric: str, seed: int, weight: float) -> None:
    y, p, _ = rows(metric, seed)
    assert judged(metric, y, p, np.full(len(y), weight)) == judged(metric, y, p)


@pytest.mark.parametrize("metric", MEASURES)
def test_a_row_of_weight_two_is_two_rows(metric: str) -> None:
    y, p, _ = rows(metric, 5)
    counts = np.random.default_rng(6).integers(1, 4, len(y))
    once = judged(metric, y, p, counts.astype(float))[metric].value
    assert once == pytest.approx(judged(metric, np.repeat(y, counts), np.repeat(p, counts))[metric].value, rel=1e-9)


@pytest.mark.parametrize("metric", MEASURES)
def test_the_table_of_losses_gives_the_metric_back(metric: str) -> None:
    """Sums by resample unit are all that a bootstrap needs, with weights and without."""
    for y, p, weights in (rows(metric, 1), (*rows(metric, 2)[:2], None)):
        scored = Scored(y, p, units(len(y)), MEASURES[metric], relative(weights))
        table = metrics.loss_table(scored, {})
        value = judged(metric, y, p, weights)[metric].value
        if metric in RANKINGS:
            assert 1.0 - table["sum_ranking"].sum() / table["rows"].sum() == pytest.approx(value, rel=1e-9)
            plain = judged("log_loss", y, p, weights)["log_loss"].value
            assert table["sum_loss"].sum() / table["rows"].sum() == pytest.approx(plain, rel=1e-9)
        else:
            assert "sum_ranking" not in table
            assert table["sum_loss"].sum() / table["rows"].sum() == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("metric", RANKINGS)
def test_parts_of_a_ranking_are_its_derivative_by_the_weights(metric: str) -> None:
    y, p, weights = rows(metric, 3, n=60)
    parts = losses.ranking_losses(metric, y, p, weights)
    assert parts is not None
    value = THEIRS[metric](y, p, sample_weight=weights)
    for row in range(0, 60, 7):
        moved = weights.copy()
        moved[row] *= 1.0 + 1e-6
        slope = (THEIRS[metric](y, p, sample_weight=moved) - value) / 1e-6
        assert (1.0 - value - parts[row]) / len(y) == pytest.approx(slope, abs=1e-6)


@pytest.mark.parametrize("metric", RANKINGS)
def test_the_error_of_a_ranking_is_what_resampling_gives(metric: str) -> None:
    """The linearised error against the spread of the metric itself over redrawn days."""
    y, p, _ = rows(metric, 11, n=3_000, ties=False)
    days = units(len(y), 60)
    parts = losses.ranking_losses(metric, y, p)
    assert parts is not None
    by_day = [np.flatnonzero(days.codes == day) for day in range(60)]
    sums = np.array([parts[part].sum() for part in by_day])
    error = cluster_se_of_mean(sums, np.array([float(len(part)) for part in by_day]))
    chance = np.random.default_rng(0)
    drawn = [np.concatenate([by_day[day] for day in chance.integers(0, 60, 60)]) for _ in range(400)]
    assert error == pytest.approx(float(np.std([THEIRS[metric](y[part], p[part]) for part in drawn])), rel=0.15)


def window(metric: str, label: str, y: Floats, predictions: dict[str, Floats]) -> WindowLosses:
    days = units(len(y))
    sums = {}
    for name, p in predictions.items():
        parts = parts_of(MEASURES[metric], y, p)
        assert parts is not None
        sums[name] = np.bincount(days.codes, weights=parts)
    return WindowLosses(label, days.names, np.bincount(days.codes).astype(float), sums, metric in RANKINGS)


@pytest.mark.parametrize("metric", MEASURES)
@given(seed=st.integers(0, 2**32 - 1), which=st.integers(0, 3))
@settings(max_examples=15, deadline=None)
def test_worsening_a_window_never_helps(metric: str, seed: int, which: int) -> None:
    """Predictions of one window are replaced by worse ones; neither the mean nor the worst quarter rises."""
    good, bad = [], []
    for index in range(4):
        y, p, _ = rows(metric, seed + index)
        reference = np.full(len(y), float(y.mean()))
        worse = np.random.default_rng(seed).permutation(p)
        before, after = (judged(metric, y, item)[metric].value for item in (p, worse))
        if (after > before) == (metric in RANKINGS):
            worse = p
        label = f"2013-{index + 1:02}"
        good.append(window(metric, label, y, {"r": reference, "c": p}))
        bad.append(window(metric, label, y, {"r": reference, "c": worse if index == which else p}))
    found = [
        scores(part, reference="r", confidence=0.9, seed=1, draws=20, validity_windows=None).of("c")
        for part in (good, bad)
    ]
    assert found[1].mean_gain <= found[0].mean_gain + 1e-12
    assert found[1].worst_quarter <= found[0].worst_quarter + 1e-12


@pytest.mark.parametrize("metric", RANKINGS)
def test_gains_of_a_ranking_are_differences(metric: str) -> None:
    y, p, _ = rows(metric, 8)
    reference = np.random.default_rng(9).permutation(p)
    found = scores(
        [window(metric, "2013-01", y, {"r": reference, "c": p})],
        reference="r", confidence=0.9, seed=1, validity_windows=None,
    ).of("c")  # fmt: skip
    values = [THEIRS[metric](y, item) for item in (p, reference)]
    assert found.mean_gain == pytest.approx(values[0] - values[1])
    assert gain_of(metric, *values) == pytest.approx(found.gains[0])
    low, high = found.mean_interval.low, found.mean_interval.high
    assert low < found.mean_gain < high


def test_losses_and_rankings_are_not_mixed() -> None:
    y, p, _ = rows("roc_auc", 8)
    one = window("roc_auc", "2013-01", y, {"r": p, "c": p})
    other = window("log_loss", "2013-02", y, {"r": p, "c": p})
    with pytest.raises(InvalidInput, match="others by a ranking"):
        scores([one, other], reference="r", confidence=0.9, seed=1, validity_windows=None)


@pytest.mark.parametrize("metric", RANKINGS)
def test_one_class_has_no_ranking(metric: str) -> None:
    y, p, _ = rows(metric, 8)
    for only in (0.0, 1.0):
        found = judged(metric, np.full(len(y), only), p)[metric]
        assert found.value is None
        assert "Only one class" in found.reason


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.50000001, 1.0]), st.booleans()), min_size=1, max_size=12),
    st.floats(0.1, 20.0),
    st.floats(0.1, 20.0),
)
@settings(deadline=None)
def test_no_threshold_is_clearly_cheaper(found: list[tuple[float, bool]], false_alarm: float, missed: float) -> None:
    costs = Costs(currency="EUR", false_alarm=false_alarm, missed=missed)
    p, y = np.array([item[0] for item in found]), np.array([float(item[1]) for item in found])

    def cost(threshold: float, y: Floats, p: Floats) -> Floats:
        return losses.row_losses(Measure("cost", costs=costs, threshold=threshold), y, p)

    for copies in (1, 10_000):
        many_y, many_p = np.tile(y, copies), np.tile(p, copies)
        ours = cost(chosen_threshold(costs, many_y, many_p), many_y, many_p)
        others = [cost(other, many_y, many_p) for other in (*p, -1.0, 2.0, 0.1, 0.3, 0.7, 0.5000001)]
        cheapest = min(float(other.sum()) for other in others)
        # Several may be the cheapest; it is one of them that decides.
        clearly = [
            float((ours - other).sum()) > np.sqrt(np.square(ours - other).sum()) + 1e-6
            for other in others
            if other.sum() <= cheapest + 1e-9
        ]
        assert not all(clearly)


def test_costs_alone_name_a_threshold() -> None:
    costs = Costs(currency="EUR", false_alarm=1.0, missed=9.0)
    assert losses.threshold_by_costs(costs) == pytest.approx(0.1)
    y, p = np.array([0.0, 1.0] * 10), np.array([0.0, 1.0] * 10)
    assert chosen_threshold(costs, y, p) == 0.5
    # Probabilities that are right need no other threshold, those that are not do.
    chance = np.random.default_rng(1)
    p = chance.uniform(0, 1, 50_000)
    y = (chance.random(50_000) < p).astype(float)
    assert chosen_threshold(costs, y, p) == pytest.approx(0.1, abs=0.01)
    assert chosen_threshold(costs, y, p / 4) == pytest.approx(0.1 / 4, abs=0.01)


def test_counts_below_zero_are_refused_and_predictions_below_zero_are_not() -> None:
    y, p = np.array([0.0, 2.0]), np.array([-1.0, -1.0])
    deviance = losses.row_losses("poisson_deviance", y, p)
    assert np.isfinite(deviance).all()
    assert deviance[1] > 100.0
    with pytest.raises(InvalidInput, match="1 of 2 targets are negative"):
        losses.row_losses("poisson_deviance", np.array([-1.0, 2.0]), p)


@pytest.mark.parametrize("metric", REGRESSION_METRICS)
def test_a_new_level_never_loses_more(metric: str) -> None:
    """What a recalibration could gain is measured by the loss itself."""
    from tallystick.pipeline.monitoring.statistics import number_with_level

    for seed, weighted in itertools.product(range(5), (False, True)):
        y, p, weights = rows(metric, seed)
        scored = Scored(y, p * 1.4 + 0.3, units(len(y)), MEASURES[metric], relative(weights) if weighted else None)
        moved = number_with_level(scored)
        before, after = (
            judged(metric, y, item, weights if weighted else None)[metric].value for item in (scored.p, moved)
        )
        assert after < before


def test_tables_of_weighted_rows_hold_weighted_sums() -> None:
    y, p, weights = rows("squared_error", 4)
    scored = Scored(y, p, units(len(y)), Measure("squared_error"), relative(weights))
    table = metrics.loss_table(scored, {"half": pd.Series(np.where(np.arange(len(y)) % 2, "a", "b"))})
    whole = table[table["segment"] == ""]
    assert whole["rows"].sum() == len(y)
    assert whole["sum_y"].sum() / len(y) == pytest.approx(np.average(y, weights=weights))
    assert table[table["segment"] == "half"]["sum_loss"].sum() == pytest.approx(whole["sum_loss"].sum())


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_tables_are_sums_by_name_to_the_last_bit(seed: int) -> None:
    """They are summed by number; recorded tables were summed by the names of segment, level and unit."""
    y, p, _ = rows("log_loss", seed, n=120)
    days = Units(np.sort(np.random.default_rng(seed).integers(0, 9, len(y))), tuple("abcdefghi"))
    levels = pd.Series(np.random.default_rng(seed).choice(np.array(["x", "Y", None, "(z"], dtype=object), len(y)))
    table = metrics.loss_table(Scored(y, p, days, Measure("log_loss")), {"s": levels})
    loss = losses.row_losses("log_loss", y, p)
    names = np.asarray(days.names, dtype=object)[days.codes]
    base = pd.DataFrame({"unit": names, "rows": 1, "sum_y": y, "sum_p": p, "sum_loss": loss})
    parts = [
        base.assign(segment=segment, level=level).groupby(["segment", "level", "unit"]).sum().reset_index()
        for segment, level in (("", ""), ("s", levels.fillna("(missing)").to_numpy()))
    ]
    pd.testing.assert_frame_equal(table, pd.concat(parts, ignore_index=True), check_exact=True)
