"""The laws of the score, as properties; the errors, against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.stability import (
    Trial,
    WindowLosses,
    auc_with_cluster_se,
    calibration_in_large,
    cluster_se_of_mean,
    sign_flip_p,
)

DRAWS = 100
FAST = settings(max_examples=50, deadline=None)


def world(seed: int, windows: int, names: tuple[str, ...], units: int = 6) -> list[WindowLosses]:
    """Random positive losses; every candidate's own, so that adding one leaves the others as they are."""
    made = []
    for index in range(windows):
        source = np.random.default_rng([seed, index])
        rows = source.integers(20, 60, size=units).astype(float)
        base = source.uniform(0.3, 0.7, size=units) * rows
        losses = {"reference": base}
        for name in names:
            own = np.random.default_rng([seed, index, *name.encode()])
            losses[name] = base * own.uniform(0.7, 1.15, size=units)
        made.append(WindowLosses(f"2013-{index + 1:02d}", rows, losses))
    return made


def trial(windows: list[WindowLosses]) -> Trial:
    return Trial(windows, reference="reference", confidence=0.9, seed=1, draws=DRAWS)


def changed(windows: list[WindowLosses], index: int, name: str, factor: float) -> list[WindowLosses]:
    copy = list(windows)
    losses = {**windows[index].losses, name: windows[index].losses[name] * factor}
    copy[index] = windows[index]._replace(losses=losses)
    return copy


seeds, counts = st.integers(0, 10_000), st.integers(3, 9)


@FAST
@given(seeds, counts, st.data(), st.floats(1.0, 5.0))
def test_worsening_a_window_never_helps(seed: int, count: int, data: st.DataObject, factor: float) -> None:
    windows = world(seed, count, ("a", "b"))
    index = data.draw(st.integers(0, count - 1))
    before = trial(windows).score("a")
    after = trial(changed(windows, index, "a", factor)).score("a")
    assert after.mean_gain <= before.mean_gain
    assert after.worst_quarter <= before.worst_quarter
    assert after.wins <= before.wins


@FAST
@given(seeds, counts)
def test_another_candidate_changes_nobodys_numbers(seed: int, count: int) -> None:
    few, many = trial(world(seed, count, ("a", "b"))), trial(world(seed, count, ("a", "b", "c")))
    for name in ("a", "b"):
        assert few.score(name, 2.0) == many.score(name, 2.0)
    assert few.pair("a", "b") == many.pair("a", "b")


@FAST
@given(seeds, counts, st.floats(0.1, 50.0))
def test_a_shock_to_everybody_changes_no_difference(seed: int, count: int, shock: float) -> None:
    windows = world(seed, count, ("a", "b"))
    shaken = [
        window._replace(losses={name: loss + shock * window.rows for name, loss in window.losses.items()})
        for window in windows
    ]
    for before, after in zip(windows, shaken, strict=True):
        for name in ("a", "b"):
            one = before.losses[name].sum() - before.losses["reference"].sum()
            two = after.losses[name].sum() - after.losses["reference"].sum()
            assert two == pytest.approx(one, rel=1e-6, abs=1e-6)
    signs = [np.sign(list(trial(world_).score("a").gains.values())).tolist() for world_ in (windows, shaken)]
    assert signs[0] == signs[1]


@FAST
@given(seeds, counts, st.randoms(use_true_random=False))
def test_the_order_of_windows_is_irrelevant(seed: int, count: int, shuffler: object) -> None:
    windows = world(seed, count, ("a", "b"))
    shuffled = list(windows)
    shuffler.shuffle(shuffled)  # type: ignore[attr-defined]
    assert trial(windows).score("a") == trial(shuffled).score("a")
    assert trial(windows).pair("a", "b") == trial(shuffled).pair("a", "b")


def test_noise_in_the_early_months_pays_by_a_known_public_score_and_never_by_ours() -> None:
    windows = world(3, 8, ("a",))
    # A candidate that gets worse over time, and the same one with its early months spoilt.
    falling = [
        window._replace(losses={**window.losses, "a": window.losses["reference"] * (0.75 + 0.03 * index)})
        for index, window in enumerate(windows)
    ]
    spoilt = [
        window._replace(losses={**window.losses, "a": window.losses["a"] * (1.15 if index < 4 else 1.0)})
        for index, window in enumerate(falling)
    ]
    before, after = trial(falling).score("a", 8.0), trial(spoilt).score("a", 8.0)
    assert before.trend_penalised is not None
    assert after.trend_penalised is not None
    assert after.trend_penalised > before.trend_penalised + 0.05
    assert after.mean_gain < before.mean_gain
    assert after.worst_quarter <= before.worst_quarter


def test_the_known_gains_come_out() -> None:
    windows = [
        WindowLosses(
            f"2013-0{i}", np.array([10.0, 10.0]), {"reference": np.array([5.0, 5.0]), "a": np.array([loss, loss])}
        )
        for i, loss in enumerate((4.0, 4.5, 5.5, 3.0, 5.0), 1)
    ]
    score = trial(windows).score("a", 2.0)
    assert list(score.gains.values()) == pytest.approx([0.2, 0.1, -0.1, 0.4, 0.0])
    assert score.mean_gain == pytest.approx(0.12)
    assert score.worst_quarter == pytest.approx(-0.05)
    assert score.worst_windows == ["2013-03", "2013-05"]
    assert score.wins == 3
    pair = trial(windows).pair("a", "reference")
    assert (pair.mean_difference, pair.windows_won) == (pytest.approx(0.12), 3)
    assert pair.smallest_p == 2 / 32


def test_a_reference_without_loss_cannot_be_improved_on() -> None:
    zero = np.zeros(2)
    windows = [
        WindowLosses("2013-01", np.ones(2), {"reference": zero, "a": zero, "b": np.ones(2)}),
        WindowLosses("2013-02", np.ones(2), {"reference": zero, "a": zero, "b": np.ones(2)}),
    ]
    assert trial(windows).score("a").mean_gain == 0.0
    assert trial(windows).score("b").mean_gain == -1.0


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    hits = 0
    for seed in range(120):
        source = np.random.default_rng(seed)
        windows = []
        for index in range(9):
            rows = np.full(30, 40.0)
            base = 0.6 * rows * (1 + 0.1 * source.standard_normal(30))
            gain = 0.08 + 0.05 * source.standard_normal() + 0.1 * source.standard_normal(30)
            windows.append(WindowLosses(f"w{index}", rows, {"reference": base, "a": base * (1 - gain)}))
        interval = Trial(windows, reference="reference", confidence=0.9, seed=seed, draws=300).score("a").mean_interval
        hits += interval.low <= 0.08 <= interval.high
    assert 0.78 <= hits / 120 <= 0.99


@given(st.lists(st.floats(-1, 1, allow_nan=False), min_size=1, max_size=9))
def test_sign_flips_are_counted_exactly(differences: list[float]) -> None:
    values = np.array(differences)
    observed = abs(values.mean())
    means = [
        abs(np.mean([s * v for s, v in zip(signs, differences, strict=True)]))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    brute = np.mean([mean >= observed - 1e-12 for mean in means])
    assert sign_flip_p(values, 1) == pytest.approx(brute, abs=2 / 2 ** len(differences) + 1e-9)
    assert sign_flip_p(values, 1) >= 2 / 2 ** len(differences) - 1e-12


def test_more_than_sixteen_windows_are_sampled_the_same_way_each_time() -> None:
    values = np.linspace(0.1, 1, 20)
    assert sign_flip_p(values, 5) == sign_flip_p(values, 5) <= 0.001


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 5_000), st.integers(4, 60), st.booleans())
def test_auc_is_the_share_of_pairs_in_the_right_order(seed: int, count: int, coarse: bool) -> None:
    from sklearn.metrics import roc_auc_score

    source = np.random.default_rng(seed)
    y = (source.random(count) < 0.4).astype(float)
    p = np.round(source.random(count), 1 if coarse else 6)
    units = source.integers(0, 5, count)
    auc, error = auc_with_cluster_se(y, p, units)
    if y.min() == y.max():
        assert (auc, error) == (None, None)
        return
    assert auc == pytest.approx(roc_auc_score(y, p))
    assert error is None or error >= 0


def test_the_clustered_error_of_auc_matches_what_resampling_days_finds() -> None:
    source = np.random.default_rng(5)
    days = np.repeat(np.arange(60), 40)
    shift = np.repeat(source.normal(0, 0.8, 60), 40)
    signal = source.normal(size=len(days))
    y = (source.random(len(days)) < 1 / (1 + np.exp(-(signal + shift - 1)))).astype(float)
    p = 1 / (1 + np.exp(-signal))
    auc, error = auc_with_cluster_se(y, p, days)
    drawn = []
    for _ in range(400):
        chosen = source.integers(0, 60, 60)
        rows = np.concatenate([np.flatnonzero(days == day) for day in chosen])
        drawn.append(auc_with_cluster_se(y[rows], p[rows], days[rows])[0])
    assert error == pytest.approx(np.std([d for d in drawn if d is not None]), rel=0.25)
    assert auc is not None


def test_the_clustered_error_of_a_mean_matches_what_resampling_finds() -> None:
    source = np.random.default_rng(6)
    rows = source.integers(5, 50, 80).astype(float)
    sums = rows * source.normal(1.0, 0.3, 80)
    draws = [(sums[index].sum() / rows[index].sum()) for index in (source.integers(0, 80, 80) for _ in range(2_000))]
    assert cluster_se_of_mean(sums, rows) == pytest.approx(np.std(draws), rel=0.1)
    assert cluster_se_of_mean(sums[:1], rows[:1]) is None


def test_calibration_in_large_is_predicted_minus_observed() -> None:
    value, error = calibration_in_large(
        np.array([1.0, 0, 0, 0]), np.array([0.5, 0.5, 0.5, 0.5]), np.array([0, 0, 1, 1])
    )
    assert value == pytest.approx(0.25)
    assert error is not None
