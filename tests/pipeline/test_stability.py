"""The laws of the scores, the bootstrap, and the standard errors over whole units."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.ledger.errors import InvalidInput, NotFound
from tallystick.pipeline.evaluate.stability import (
    Scores,
    WindowLosses,
    auc_with_cluster_se,
    calibration_in_large,
    cluster_se_of_mean,
    gains,
    scores,
    sign_flip_p,
    smallest_p,
)

REFERENCE = "rate"


def a_window(label: str, losses: dict[str, Sequence[float]]) -> WindowLosses:
    size = len(losses[REFERENCE])
    units = tuple(f"day {index:02}" for index in range(size))
    return WindowLosses(label, units, np.full(size, 10.0), {name: np.array(loss) for name, loss in losses.items()})


def score(windows: Sequence[WindowLosses], draws: int = 100, seed: int = 7, horizon: float | None = 2.0) -> Scores:
    return scores(windows, reference=REFERENCE, confidence=0.9, seed=seed, draws=draws, validity_windows=horizon)


def random_windows(seed: int, names: Sequence[str], windows: int = 9, units: int = 12) -> list[WindowLosses]:
    random = np.random.default_rng(seed)
    return [
        a_window(f"2013-{month + 1:02}", {name: random.gamma(9.0, 0.5, units).tolist() for name in (REFERENCE, *names)})
        for month in range(windows)
    ]


def changed(window: WindowLosses, **losses: np.ndarray) -> WindowLosses:
    return WindowLosses(window.label, window.units, window.rows, {**window.losses, **losses})


loss = st.one_of(st.just(0.0), st.floats(1e-3, 1e3))


@st.composite
def trials(draw: st.DrawFn) -> list[WindowLosses]:
    windows, units = draw(st.integers(1, 9)), draw(st.integers(1, 4))
    sums = st.lists(loss, min_size=units, max_size=units)
    return [a_window(f"w{index}", {name: draw(sums) for name in (REFERENCE, "a", "b")}) for index in range(windows)]


# The laws --------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(trials(), st.data())
def test_a_worse_window_never_helps(windows: list[WindowLosses], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(windows) - 1))
    added = np.array(data.draw(st.lists(loss, min_size=len(windows[0].units), max_size=len(windows[0].units))))
    worse = list(windows)
    worse[place] = changed(windows[place], a=windows[place].losses["a"] + added)
    before, after = score(windows).of("a"), score(worse).of("a")
    assert after.mean_gain <= before.mean_gain
    assert after.worst_quarter <= before.worst_quarter
    assert after.wins <= before.wins
    for old, new in (
        (before.mean_interval, after.mean_interval),
        (before.worst_quarter_interval, after.worst_quarter_interval),
    ):
        # The bounds are sums in another order than the observed ones, so they are monotone up to rounding.
        slack = 1e-9 * (1 + abs(old.low) + abs(old.high))
        assert new.low <= old.low + slack
        assert new.high <= old.high + slack


@settings(max_examples=40, deadline=None)
@given(trials(), st.integers(0, 2**31))
def test_another_candidate_changes_no_bit_of_the_others(windows: list[WindowLosses], seed: int) -> None:
    random = np.random.default_rng(seed)
    units = len(windows[0].units)
    more = []
    for window in windows:
        extra = {name: random.gamma(1.0, 1.0, units) for name in ("0", "aa", "z")}
        more.append(WindowLosses(window.label, window.units, window.rows, extra | window.losses))
    before, after = score(windows), score(more)
    for name in ("a", "b"):
        assert msgspec.json.encode(after.of(name)) == msgspec.json.encode(before.of(name))
    for pair in before.pairs:
        assert msgspec.json.encode(after.pair(pair.first, pair.second)) == msgspec.json.encode(pair)
    names = [score.candidate for score in after.candidates]
    for key in ("mean_gain", "worst_quarter"):
        ranked = sorted(names, key=lambda name: getattr(after.of(name), key))
        assert [name for name in ranked if name in "ab"] == sorted("ab", key=lambda name: getattr(before.of(name), key))


@settings(max_examples=40, deadline=None)
@given(trials(), st.floats(0, 100))
def test_a_shock_to_everybody_keeps_the_differences_of_losses(windows: list[WindowLosses], shock: float) -> None:
    place = len(windows) // 2
    shocked = list(windows)
    everybody = {name: values + shock for name, values in windows[place].losses.items()}
    shocked[place] = changed(windows[place], **everybody)
    before, after = score(windows, draws=5), score(shocked, draws=5)
    for pair in before.pairs:
        assert after.pair(pair.first, pair.second).loss_difference == pytest.approx(pair.loss_difference, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(trials(), st.data())
def test_order_of_windows_and_units_is_irrelevant(windows: list[WindowLosses], data: st.DataObject) -> None:
    shuffled = []
    for window in data.draw(st.permutations(windows)):
        order = np.array(data.draw(st.permutations(range(len(window.units)))))
        units = tuple(window.units[index] for index in order)
        losses = {name: values[order] for name, values in window.losses.items()}
        shuffled.append(WindowLosses(window.label, units, window.rows[order], losses))
    before, after = score(windows), score(shuffled)
    for name in ("a", "b"):
        old, new = before.of(name), after.of(name)
        for field in (
            "mean_gain",
            "mean_interval",
            "worst_quarter",
            "worst_quarter_interval",
            "worst_quarter_windows",
            "worst_window",
            "wins",
        ):
            assert getattr(new, field) == getattr(old, field)
        assert dict(zip(after.windows, new.gains, strict=True)) == dict(zip(before.windows, old.gains, strict=True))
    for pair in before.pairs:
        again = after.pair(pair.first, pair.second)
        assert again.mean_interval == pair.mean_interval
        assert again.worst_quarter_interval == pair.worst_quarter_interval
        assert again.sign_flip_p == pair.sign_flip_p


def home_credit(ginis: np.ndarray) -> float:
    """The public competition's score: mean gini + 88 · min(0, slope) - 0.5 · sd of the residuals, least squares."""
    x = np.arange(len(ginis))
    slope, intercept = np.polyfit(x, ginis, 1)
    return float(ginis.mean() + 88.0 * min(0.0, slope) - 0.5 * (ginis - slope * x - intercept).std())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(6, 14))
def test_noise_in_the_first_half_lowers_a_candidate_and_never_its_rivals(seed: int, count: int) -> None:
    windows = random_windows(seed, ["honest", "attacker"], windows=count, units=5)
    random = np.random.default_rng(seed)
    attacked = [
        changed(window, attacker=window.losses["attacker"] + random.uniform(0.1, 5.0, 5)) if early else window
        for early, window in ((index < count // 2, window) for index, window in enumerate(windows))
    ]
    before, after = score(windows), score(attacked)
    for field in ("mean_gain", "worst_quarter"):
        old, new = getattr(before.of("attacker"), field), getattr(after.of("attacker"), field)
        assert new < old if field == "mean_gain" else new <= old
        assert getattr(after.of("honest"), field) == getattr(before.of("honest"), field)
        if getattr(before.of("honest"), field) > old:
            assert getattr(after.of("honest"), field) > new


def test_the_same_attack_raises_a_score_that_rewards_trend() -> None:
    falling = np.linspace(0.14, 0.10, 10)
    noisy = falling - np.where(np.arange(10) < 5, 0.05, 0.0)
    assert home_credit(noisy) > home_credit(falling)
    base = {REFERENCE: [10.0] * 4}
    honest = [a_window(f"{i}", base | {"a": [10.0 * (1 - g)] * 4}) for i, g in enumerate(falling)]
    attacked = [a_window(f"{i}", base | {"a": [10.0 * (1 - g)] * 4}) for i, g in enumerate(noisy)]
    before, after = score(honest, horizon=88.0).of("a"), score(attacked, horizon=88.0).of("a")
    assert before.trend_penalised is not None and after.trend_penalised is not None
    assert after.trend_penalised > before.trend_penalised
    assert after.mean_gain < before.mean_gain
    assert after.worst_quarter < before.worst_quarter


# Numbers ---------------------------------------------------------------------------------------------------------


def test_a_small_case_by_hand() -> None:
    losses = [8.0, 9.0, 11.0, 6.0, 10.0]
    windows = [a_window(f"2013-0{i + 1}", {REFERENCE: [10.0], "a": [value]}) for i, value in enumerate(losses)]
    found = score(windows).of("a")
    assert found.gains == pytest.approx([0.2, 0.1, -0.1, 0.4, 0.0])
    assert found.losses == pytest.approx([0.8, 0.9, 1.1, 0.6, 1.0])
    assert found.mean_gain == pytest.approx(0.12)
    assert found.worst_quarter == pytest.approx(-0.05)
    assert found.worst_quarter_windows == ["2013-03", "2013-05"]
    assert found.worst_window == "2013-03"
    assert found.worst_gain == pytest.approx(-0.1)
    assert found.wins == 3
    assert found.noise_share is None


def test_spread_around_the_line_and_the_penalised_score_by_hand() -> None:
    values = [9.0, 8.8, 8.6, 8.3, 8.3]
    windows = [a_window(str(index), {REFERENCE: [10.0], "a": [value]}) for index, value in enumerate(values)]
    found = score(windows, horizon=3.0).of("a")
    assert found.slope == pytest.approx(0.02)
    # Residuals of 0.10, 0.12, 0.14, 0.17, 0.17 around the line through their median: 0, 0, 0, 0.01, -0.01.
    assert found.residual_sd == pytest.approx(math.sqrt(2e-4 / 3))
    assert found.trend_penalised == pytest.approx(0.14 - 0.5 * math.sqrt(2e-4 / 3))
    falling = score(windows[::-1], horizon=3.0).of("a")
    assert falling.trend_penalised == pytest.approx(0.14 - 3 * 0.02 - 0.5 * math.sqrt(2e-4 / 3))
    assert score(windows, horizon=None).of("a").trend_penalised is None


def test_regret_is_measured_against_the_best_of_each_window() -> None:
    windows = [
        a_window("1", {REFERENCE: [10.0], "a": [8.0], "b": [9.0]}),
        a_window("2", {REFERENCE: [10.0], "a": [8.0], "b": [5.0]}),
    ]
    assert score(windows).regret == {"a": pytest.approx(0.15), "b": pytest.approx(0.05)}


@pytest.mark.parametrize("seed", range(5))
def test_slope_and_noise_agree_with_scipy_and_with_a_simulation(seed: int) -> None:
    from scipy.stats import theilslopes

    windows = random_windows(seed, ["a"], windows=9, units=40)
    found = score(windows, draws=2_000).of("a")
    assert found.slope == pytest.approx(theilslopes(found.gains).slope)
    assert found.slope_interval is not None
    assert found.slope_interval.low < found.slope_interval.high
    random = np.random.default_rng(seed)
    variances = []
    for window in windows:
        drawn = random.integers(0, 40, (4_000, 40))
        ratio = window.losses["a"][drawn].sum(1) / window.losses[REFERENCE][drawn].sum(1)
        variances.append(ratio.var())
    assert found.noise_share == pytest.approx(np.mean(variances) / np.var(found.gains, ddof=1), rel=0.08)


def test_the_interval_is_that_of_a_plain_two_level_bootstrap() -> None:
    windows = random_windows(3, ["a"], windows=8, units=10)
    found = score(windows, draws=4_000).of("a")
    random = np.random.default_rng(0)
    means = []
    for _ in range(4_000):
        gain = []
        for place in random.integers(0, 8, 8):
            units = random.integers(0, 10, 10)
            base, own = (windows[place].losses[name][units].sum() for name in (REFERENCE, "a"))
            gain.append(1 - own / base)
        means.append(np.mean(gain))
    low, high = np.quantile(means, [0.05, 0.95])
    width = high - low
    assert found.mean_interval.low == pytest.approx(low, abs=0.06 * width)
    assert found.mean_interval.high == pytest.approx(high, abs=0.06 * width)


def test_a_pair_turned_round_says_the_same() -> None:
    found = score(random_windows(1, ["a", "b"]))
    forward, back = found.pair("a", "b"), found.pair("b", "a")
    assert back.mean_difference == -forward.mean_difference
    assert (back.mean_interval.low, back.mean_interval.high) == (
        -forward.mean_interval.high,
        -forward.mean_interval.low,
    )
    assert (back.windows_won, back.windows_lost) == (forward.windows_lost, forward.windows_won)
    assert back.turned() == forward
    against = found.pair("a", REFERENCE)
    assert against.mean_interval == found.of("a").mean_interval
    assert against.worst_quarter_difference == found.of("a").worst_quarter


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not() -> None:
    windows = random_windows(5, ["a"])
    assert msgspec.json.encode(score(windows)) == msgspec.json.encode(score(windows))
    assert score(windows, seed=8).of("a").mean_interval != score(windows).of("a").mean_interval


def test_the_draws_are_pinned() -> None:
    # A ledger promises to compute the same interval in ten years; these numbers must never change.
    windows = [a_window(f"2013-0{i + 1}", {REFERENCE: [4.0, 2.0, 8.0], "a": [3.0, float(i), 4.0]}) for i in range(6)]
    found = score(windows, draws=500, seed=20130401).of("a")
    assert [found.mean_interval.low, found.mean_interval.high] == [0.0480952380952381, 0.44047288359788356]


@settings(max_examples=30, deadline=None)
@given(trials())
def test_scores_are_plain_and_finite(windows: list[WindowLosses]) -> None:
    found = score(windows)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Scores) == found

    def walk(value: object) -> None:
        assert value is None or type(value) in (str, int, float, bool, list, dict)
        if isinstance(value, float):
            assert math.isfinite(value)
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(item)

    walk(msgspec.to_builtins(found))


def test_a_reference_without_loss_cannot_be_beaten_and_stays_monotone() -> None:
    found = gains(np.array([0.0, 0.0, 0.0, 2.0, 5e-324]), np.array([0.0, 0.1, 5.0, 1.0, 1.0]))
    assert found.tolist() == [0.0, -1.0, -1.0, 0.5, -1e12]


def test_what_is_refused() -> None:
    good = random_windows(1, ["a"], windows=2, units=2)
    first, second = good
    bad: list[list[WindowLosses]] = [
        [],
        [first, first],
        [first, WindowLosses(second.label, second.units, second.rows, {REFERENCE: second.rows})],
        [changed(first, a=np.array([1.0, math.nan]))],
        [changed(first, a=np.array([1.0, -1.0]))],
        [changed(first, a=np.array([1.0]))],
        [WindowLosses("x", ("d", "d"), first.rows, first.losses)],
        [WindowLosses("x", (), np.array([]), dict.fromkeys(first.losses, np.array([])))],
        [WindowLosses("x", first.units, np.zeros(2), first.losses)],
    ]
    for windows in bad:
        with pytest.raises(InvalidInput):
            score(windows)
    with pytest.raises(InvalidInput):
        scores(good, reference="nobody", confidence=0.9, seed=1, validity_windows=None)
    with pytest.raises(InvalidInput):
        scores(good, reference=REFERENCE, confidence=1.0, seed=1, validity_windows=None)
    with pytest.raises(NotFound):
        score(good).of(REFERENCE)
    with pytest.raises(NotFound):
        score(good).pair("a", "c")


def test_fifty_candidates_take_seconds_not_minutes() -> None:
    windows = random_windows(2, [f"c{index}" for index in range(49)], units=31)
    begin = time.perf_counter()
    score(windows, draws=2_000)
    assert time.perf_counter() - begin < 5.0


# Sign flips ------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-5, 5).map(lambda number: number / 10), min_size=1, max_size=9))
def test_sign_flip_agrees_with_all_patterns(differences: list[float]) -> None:
    # Tenths written as whole numbers, so that the ties of the brute force are exact.
    whole = [round(difference * 10) for difference in differences]
    observed = abs(sum(whole))
    patterns = list(itertools.product((1, -1), repeat=len(whole)))
    hits = sum(abs(sum(s * w for s, w in zip(p, whole, strict=True))) >= observed for p in patterns)
    assert sign_flip_p(np.array(differences), seed=0) == hits / len(patterns)


def test_the_smallest_p_is_reached_by_windows_that_all_agree() -> None:
    for windows in (1, 2, 6, 9, 16, 17, 40):
        assert sign_flip_p(np.linspace(1.0, 2.0, windows), seed=0) == pytest.approx(smallest_p(windows), rel=2.5)
    assert smallest_p(9) == 2 / 2**9
    assert sign_flip_p(np.linspace(1.0, 2.0, 9), seed=0) == smallest_p(9)


def test_random_patterns_come_near_the_exact_answer() -> None:
    differences = np.random.default_rng(1).normal(0.4, 1.0, 17)
    both = np.array(list(itertools.product((1.0, -1.0), repeat=17)))
    exact = float((np.abs(both @ differences) >= abs(differences.sum()) - 1e-9).mean())
    assert sign_flip_p(differences, seed=3) == pytest.approx(exact, abs=0.015)


# Standard errors -------------------------------------------------------------------------------------------------


def brute_auc(y: np.ndarray, p: np.ndarray, units: np.ndarray) -> tuple[float, float | None]:
    """Obuchowski's estimator, written out over all pairs of rows."""
    wins = (p[y == 1][:, None] > p[y == 0]) + 0.5 * (p[y == 1][:, None] == p[y == 0])
    auc, v10, v01 = wins.mean(), wins.mean(axis=1), wins.mean(axis=0)
    u10, u01 = units[y == 1], units[y == 0]
    names = sorted(set(units.tolist()))
    d10 = np.array([(v10[u10 == name] - auc).sum() for name in names])
    d01 = np.array([(v01[u01 == name] - auc).sum() for name in names])
    i10, i01, i, m, n = len(set(u10)), len(set(u01)), len(names), len(u10), len(u01)
    if i10 < 2 or i01 < 2:
        return float(auc), None
    s10 = i10 / ((i10 - 1) * m) * (d10**2).sum()
    s01 = i01 / ((i01 - 1) * n) * (d01**2).sum()
    s11 = i / (i - 1) * (d10 * d01).sum()
    return float(auc), math.sqrt(max(0.0, s10 / m + s01 / n + 2 * s11 / (m * n)))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6), st.integers(-3, 9)), min_size=1, max_size=40))
def test_auc_agrees_with_all_pairs_and_with_sklearn(rows: list[tuple[bool, int, int]]) -> None:
    from sklearn.metrics import roc_auc_score

    y, p, units = (
        np.array([r[0] for r in rows], float),
        np.array([r[1] for r in rows], float),
        np.array([r[2] for r in rows]),
    )
    auc, error = auc_with_cluster_se(y, p, units)
    if len(set(y)) < 2:
        assert (auc, error) == (None, None)
        return
    expected, expected_error = brute_auc(y, p, units)
    assert auc == pytest.approx(expected)
    assert auc == pytest.approx(roc_auc_score(y, p))
    assert (error is None) == (expected_error is None)
    if expected_error is not None:
        # Where the variance is zero by cancellation, its root is only as exact as the root of the rounding.
        assert error == pytest.approx(expected_error, abs=1e-7)


def test_auc_error_covers_what_it_promises_when_rows_come_in_clusters() -> None:
    random = np.random.default_rng(4)
    found, errors, naive = [], [], []
    for _ in range(300):
        day = np.repeat(np.arange(30), 20)
        weather = random.normal(0, 1.0, 30)[day]
        y = (random.normal(0, 1, 600) + weather > 0.5).astype(float)
        p = 0.8 * weather + random.normal(0, 1, 600)
        auc, error = auc_with_cluster_se(y, p, day)
        assert auc is not None and error is not None
        found.append(auc)
        errors.append(error)
        independent = auc_with_cluster_se(y, p, np.arange(600))[1]
        assert independent is not None
        naive.append(independent)
    assert np.mean(errors) == pytest.approx(np.std(found), rel=0.15)
    assert np.mean(naive) < 0.8 * np.std(found)


def test_a_million_rows_are_quick() -> None:
    random = np.random.default_rng(0)
    y, p = (random.random(10**6) < 0.3).astype(float), np.round(random.random(10**6), 4)
    begin = time.perf_counter()
    auc, error = auc_with_cluster_se(y, p, random.integers(0, 30, 10**6))
    assert time.perf_counter() - begin < 3.0
    assert auc == pytest.approx(0.5, abs=0.005)
    assert error is not None


def test_cluster_errors_agree_with_a_simulation() -> None:
    random = np.random.default_rng(2)
    means, errors, calibrations, calibration_errors = [], [], [], []
    for _ in range(1_000):
        rows = random.integers(5, 40, 25)
        unit = np.repeat(np.arange(25), rows)
        values = random.normal(0, 1, 25)[unit] + random.normal(0, 1, rows.sum())
        means.append(values.mean())
        sums = np.bincount(unit, weights=values).astype(np.float64)
        own = cluster_se_of_mean(sums, rows.astype(np.float64))
        assert own is not None
        errors.append(own)
        difference, error = calibration_in_large(values, np.full(len(values), 0.3), unit * 7 - 50)
        calibrations.append(difference)
        calibration_errors.append(error)
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.08)
    assert np.mean(calibrations) == pytest.approx(0.3, abs=0.03)
    assert calibration_errors == pytest.approx(errors)


def test_one_unit_has_no_error_and_empty_units_do_not_count() -> None:
    assert cluster_se_of_mean(np.array([3.0]), np.array([2.0])) is None
    assert cluster_se_of_mean(np.array([3.0, 0.0]), np.array([2.0, 0.0])) is None
    assert cluster_se_of_mean(np.array([1.0, 0.0, 3.0]), np.array([1.0, 0.0, 1.0])) == pytest.approx(1.0)
    with pytest.raises(InvalidInput):
        calibration_in_large(np.array([]), np.array([]), np.array([], dtype=np.int64))
