"""Simulated tables, honest and leaking, against the leakage rules: how many are convicted, asked about, or missed.

    python tests/campaigns/leaks.py [--conditions NAME,…] [--seeds 10] [--first-seed 0]

An honest table must never have a failure, and on average at most 0.3 questions where no feature has nearly all signal;
95 of 100 leaks of each kind must be failed or asked about. It ends with 1 where that does not hold. One core, one line
for each condition as it is done, and a summary at the end. The suite runs a sample.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from tallystick.ledger.events.types import Check
from tallystick.pipeline.leakage.evidence import Declared, Fold, LeakEvidence
from tallystick.pipeline.leakage.judge import judge
from tallystick.pipeline.leakage.questions import questions_of
from tallystick.pipeline.recipes import Columns

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Random = np.random.Generator
DAY = 86_400_000_000
LEAST_CAUGHT = 0.95
MOST_QUESTIONS = 0.3
START = 1_609_459_200_000_000
"""2021-01-01 UTC."""


class World(NamedTuple):
    """One simulated table."""

    evidence: LeakEvidence
    leak: str | None = None
    """The leaking feature."""
    all_signal: bool = False
    """Whether one honest feature has nearly all of the signal: a question is no fault then."""


class Told(NamedTuple):
    """What the rules said of one table."""

    failed: bool
    """For a leaking table: the leak. For an honest one: anything."""
    asked: bool
    questions: int
    by: str
    seconds: float


# Making tables ---------------------------------------------------------------------------------------------


def days(rng: Random, rows: int, length: int = 300) -> Ints:
    """Times of so many rows, spread over days and hours, in order."""
    return np.sort(START + rng.integers(0, length * 86_400, rows) * 1_000_000)


def hourly(rows: int) -> Ints:
    return START + np.arange(rows, dtype=np.int64) * 3_600_000_000


def chance(score: Floats, rate: float) -> Floats:
    """Probabilities of a logit score, shifted to a mean rate."""
    low, high = -30.0, 30.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if (1 / (1 + np.exp(-score - middle))).mean() < rate else (low, middle)
    return np.asarray(1 / (1 + np.exp(-score - low)))


def yes(rng: Random, score: Floats, rate: float) -> Floats:
    return (rng.random(len(score)) < chance(score, rate)).astype(float)


def table(
    y: Floats,
    times: Ints,
    features: dict[str, Any],
    *,
    task: Any = "classification",
    series: Ints | None = None,
    delay_days: float = 1.0,
    waiting_days: float = 10.0,
    windows: int = 6,
    lead_hours: float = 0.0,
    own_time: bool = False,
) -> LeakEvidence:
    """The evidence of a table: windows of equal length over its newer six tenths, the last days without an answer."""
    frame = pd.DataFrame(features)
    numeric = tuple(name for name in frame if pd.api.types.is_numeric_dtype(frame[name].dtype))
    text = tuple(name for name in frame if name not in numeric)
    frame = frame.astype(dict.fromkeys(numeric, float))
    delay = int(delay_days * DAY)
    waiting = times > times[-1] - int(waiting_days * DAY)
    y = np.where(waiting, np.nan, y)
    answered = np.flatnonzero(~waiting)
    first, last = times[answered[int(0.4 * len(answered))]], times[answered[-1]] + 1
    bounds = np.linspace(first, last, windows + 1).astype(np.int64)
    folds = []
    for start, end in itertools.pairwise(bounds):
        train = np.flatnonzero((times + delay <= start) & ~waiting)
        test = np.flatnonzero((times >= start) & (times < end) & ~waiting)
        folds.append(Fold(str(start), train[-8_000:], test[:4_000]))
    one = np.zeros(len(y), dtype=np.int64)
    return LeakEvidence(
        frame=frame, columns=Columns(numeric, text), task=task, y=y, waiting=waiting, times=times, zone="UTC",
        series=(one,) if series is None else (series, one), units=(times // DAY).astype(np.int64),
        delay=delay, lead=int(lead_hours * 3_600_000_000), folds=tuple(folds),
        declared=dict.fromkeys(frame, Declared(own_time, None)), seed=7,
    )  # fmt: skip


def weak(rng: Random, rows: int, number: int = 5) -> dict[str, Floats]:
    return {f"x{place}": rng.normal(size=rows) for place in range(number)}


def sum_of(features: dict[str, Floats], size: float) -> Floats:
    return np.asarray(size * sum(features.values()) / np.sqrt(len(features)))


HONEST: dict[str, Callable[[Random], World]] = {}
LEAKS: dict[str, Callable[[Random], World]] = {}
MISSED: dict[str, Callable[[Random], World]] = {}
"""Kinds of leak that one delivery does not tell from features: their figures are published, no bound is held."""


def honest(make: Callable[[Random], World]) -> Callable[[Random], World]:
    HONEST[make.__name__] = make
    return make


def leaking(make: Callable[[Random], World]) -> Callable[[Random], World]:
    LEAKS[make.__name__] = make
    return make


def weakly(make: Callable[[Random], World]) -> Callable[[Random], World]:
    MISSED[make.__name__] = make
    return make


# Honest tables ---------------------------------------------------------------------------------------------

ROWS = 5_000


def _classes(rng: Random, rate: float, size: float, rows: int = ROWS) -> World:
    x = weak(rng, rows)
    return World(table(yes(rng, sum_of(x, size), rate), days(rng, rows), x))


@honest
def half_are_yes(rng: Random) -> World:
    return _classes(rng, 0.5, 1.0)


@honest
def a_fifth_are_yes(rng: Random) -> World:
    return _classes(rng, 0.2, 1.5)


@honest
def two_percent_are_yes(rng: Random) -> World:
    return _classes(rng, 0.02, 1.5, 8_000)


@honest
def one_percent_are_yes(rng: Random) -> World:
    return _classes(rng, 0.01, 2.0, 12_000)


@honest
def pure_noise(rng: Random) -> World:
    return World(table((rng.random(ROWS) < 0.3).astype(float), days(rng, ROWS), weak(rng, ROWS, 8)))


@honest
def normal_numbers(rng: Random) -> World:
    x = weak(rng, ROWS)
    return World(table(sum_of(x, 1.0) + rng.normal(size=ROWS), days(rng, ROWS), x, task="regression"))


@honest
def heavy_tailed_numbers(rng: Random) -> World:
    x = weak(rng, ROWS)
    y = np.exp(sum_of(x, 0.7) + 0.8 * rng.standard_t(4, size=ROWS).clip(-6, 6))
    return World(table(y, days(rng, ROWS), x, task="regression"))


@honest
def zero_inflated_numbers(rng: Random) -> World:
    x = weak(rng, ROWS)
    y = np.where(yes(rng, sum_of(x, 1.0), 0.2) == 1, np.exp(sum_of(x, 0.5) + rng.normal(size=ROWS)), 0.0)
    return World(table(y, days(rng, ROWS), x, task="regression"))


@honest
def traffic_by_the_hour(rng: Random) -> World:
    rows = 7_000
    times = hourly(rows)
    hour, day = (times // 3_600_000_000) % 24, (times // DAY) % 7
    temp = rng.normal(size=rows).cumsum() * 0.05
    level = 100 + 80 * np.sin(hour / 24 * 6.28) - 30 * (day >= 5) + 2 * temp
    y = level + rng.normal(scale=12, size=rows)
    x = {"hour": hour, "weekday": day, "temp": temp, "rain": rng.random(rows) < 0.1}
    return World(table(y, times, x, task="regression"))


@honest
def bikes_last_week(rng: Random) -> World:
    rows = 7_000
    times = hourly(rows)
    season = 50 * np.sin(np.arange(rows) / rows * 3) + 40 * np.sin(np.arange(rows) % 168 / 168 * 6.28 * 7)
    slow = np.convolve(rng.normal(size=rows + 500), np.ones(500) / 22, mode="valid")[:rows]
    y = 100 + season + 10 * slow + rng.normal(scale=8, size=rows)
    lag = np.concatenate([np.full(168, np.nan), y[:-168]])
    return World(table(y, times, {"last_week": lag, "temp": slow + rng.normal(size=rows)}, task="regression"))


@honest
def last_months_outcome(rng: Random) -> World:
    people, months = 400, 14
    level = rng.normal(size=people)
    y = np.stack([yes(rng, 2.0 * level, 0.2) for _ in range(months)], axis=1)
    before = np.concatenate([np.full((people, 1), np.nan), y[:, :-1]], axis=1)
    times = np.repeat(START + np.arange(months) * 30 * DAY, people)
    person = np.tile(np.arange(people), months)
    x = {"last_outcome": before.T.ravel(), "age": level[person] + rng.normal(size=len(person))}
    evidence = table(y.T.ravel(), times, x, series=person, delay_days=20, waiting_days=5)
    return World(evidence._replace(units=person.astype(np.int64)))


@honest
def panels_that_persist(rng: Random) -> World:
    people, months = 400, 14
    level = rng.normal(size=people)
    state = np.zeros((people, months))
    state[:, 0] = yes(rng, 2 * level, 0.3)
    for month in range(1, months):
        flips = rng.random(people) < 0.08
        state[:, month] = np.where(flips, yes(rng, 2 * level, 0.3), state[:, month - 1])
    times = np.repeat(START + np.arange(months) * 30 * DAY, people)
    person = np.tile(np.arange(people), months)
    region = np.array(list("abcdefgh"), dtype=object)[rng.integers(8, size=people)]
    x = {"score": level[person], "region": region[person], "noise": rng.normal(size=len(person))}
    evidence = table(state.T.ravel(), times, x, series=person, delay_days=20, waiting_days=5)
    return World(evidence._replace(units=person.astype(np.int64)))


@honest
def contract_fee(rng: Random) -> World:
    """The amount billed is the fee of the contract in 99 of 100 months; fees change now and then."""
    people, months = 400, 14
    fee = rng.integers(10, 90, size=people).astype(float)
    fees = np.empty((people, months))
    for month in range(months):
        fee = np.where(rng.random(people) < 0.03, rng.integers(10, 90, size=people), fee)
        fees[:, month] = fee
    y = np.where(rng.random(fees.shape) < 0.004, fees + rng.normal(scale=20, size=fees.shape), fees)
    times = np.repeat(START + np.arange(months) * 30 * DAY, people)
    person = np.tile(np.arange(people), months)
    x = {"fee": fees.T.ravel(), "tenure": rng.normal(size=len(person))}
    evidence = table(y.T.ravel(), times, x, task="regression", series=person, delay_days=31, waiting_days=5)
    return World(evidence, all_signal=True)


@honest
def quantity_times_rate(rng: Random) -> World:
    quantity = rng.integers(1, 200, size=ROWS).astype(float)
    rate = rng.choice([9.5, 9.9, 10.0, 10.4], size=ROWS)
    x = {"quantity": quantity, "rate": rate, "weight": quantity * rng.uniform(0.5, 2, size=ROWS)}
    return World(table(quantity * rate, days(rng, ROWS), x, task="regression"), all_signal=True)


@honest
def list_price_per_article(rng: Random) -> World:
    price = np.round(rng.lognormal(3, 1, size=60), 2)
    article = rng.integers(60, size=ROWS)
    y = price[article] * np.where(rng.random(ROWS) < 0.1, 0.8, 1.0) + rng.normal(scale=0.2, size=ROWS)
    x = {"article": np.array([f"a{code}" for code in article], dtype=object), "list_price": price[article]}
    x["month"] = rng.integers(1, 13, size=ROWS)
    return World(table(y, days(rng, ROWS), x, task="regression", series=article), all_signal=True)


@honest
def coupon_that_had_ended(rng: Random) -> World:
    """A campaign ended months before the end of the answers: its field is empty since."""
    times = days(rng, ROWS)
    running = times < times[0] + 200 * DAY
    coupon = running & (rng.random(ROWS) < 0.2)
    x = weak(rng, ROWS)
    return World(table(yes(rng, sum_of(x, 1.0) + 1.0 * coupon, 0.2), times, {**x, "coupon": coupon.astype(float)}))


@honest
def coupon_in_waves(rng: Random) -> World:
    times = days(rng, ROWS)
    wave = ((times - times[0]) // (20 * DAY)) % 2 == 0
    coupon = wave & (rng.random(ROWS) < 0.3)
    x = weak(rng, ROWS)
    return World(table(yes(rng, sum_of(x, 1.0) + 1.0 * coupon, 0.2), times, {**x, "coupon": coupon.astype(float)}))


@honest
def many_levels(rng: Random) -> World:
    shop = rng.integers(500, size=ROWS)
    effect = rng.normal(size=500)
    x = weak(rng, ROWS)
    y = yes(rng, sum_of(x, 0.7) + effect[shop], 0.2)
    return World(table(y, days(rng, ROWS), {**x, "shop": np.array([f"s{code}" for code in shop], dtype=object)}))


@honest
def few_windows(rng: Random) -> World:
    x = weak(rng, ROWS)
    return World(table(yes(rng, sum_of(x, 1.5), 0.2), days(rng, ROWS), x, windows=3))


@honest
def copies_of_a_good_feature(rng: Random) -> World:
    x = weak(rng, ROWS)
    y = sum_of(x, 1.0) + rng.normal(scale=1.2, size=ROWS)
    x["copy"] = x["x0"] * 3 + rng.normal(scale=0.05, size=ROWS)
    return World(table(y, days(rng, ROWS), x, task="regression"))


@honest
def missing_income(rng: Random) -> World:
    x = weak(rng, ROWS)
    refused = rng.random(ROWS) < 0.15
    y = yes(rng, sum_of(x, 1.0) + 1.3 * refused, 0.15)
    return World(table(y, days(rng, ROWS), {**x, "income": np.where(refused, np.nan, rng.lognormal(10, 0.5, ROWS))}))


@honest
def past_means_of_a_level(rng: Random) -> World:
    """A category coded by the mean of its earlier answers, as it should be."""
    shop = rng.integers(40, size=ROWS)
    effect = rng.normal(size=40)
    times = days(rng, ROWS)
    y = yes(rng, 1.5 * effect[shop], 0.2)
    frame = pd.DataFrame({"shop": shop, "y": y})
    grouped = frame.groupby("shop")["y"]
    coded = ((grouped.cumsum() - frame["y"]) + 2) / (grouped.cumcount() + 10)
    x = {**weak(rng, ROWS, 3), "shop": np.array([f"s{code}" for code in shop], dtype=object), "coded": coded}
    return World(table(y, times, x), all_signal=True)


@honest
def risk_class_of_a_level(rng: Random) -> World:
    """Each airport has a risk class that was fixed years before."""
    shop = rng.integers(40, size=ROWS)
    effect = np.round(rng.normal(size=40), 1)
    y = yes(rng, 1.2 * effect[shop] + rng.normal(size=ROWS), 0.2)
    x = {**weak(rng, ROWS, 3), "shop": np.array([f"s{code}" for code in shop], dtype=object), "risk": effect[shop]}
    return World(table(y, days(rng, ROWS), x), all_signal=True)


@honest
def payment_schedule(rng: Random) -> World:
    """A balance is the one before plus a payment that was scheduled."""
    people, steps = 60, 100
    paid = rng.normal(size=(people, steps))
    y = paid.cumsum(axis=1)
    times = np.repeat(START + np.arange(steps) * 3 * DAY, people)
    person = np.tile(np.arange(people), steps)
    x = {"payment": paid.T.ravel(), "noise": rng.normal(size=len(person))}
    return World(table(y.T.ravel(), times, x, task="regression", series=person, delay_days=7), all_signal=True)


@honest
def rising_number(rng: Random) -> World:
    x = weak(rng, ROWS)
    return World(table(yes(rng, sum_of(x, 1.0), 0.2), days(rng, ROWS), {**x, "booking": np.arange(ROWS) * 3 + 1000}))


@honest
def field_introduced_halfway(rng: Random) -> World:
    times = days(rng, ROWS)
    value = np.where(times > times[0] + 150 * DAY, rng.normal(size=ROWS), np.nan)
    x = weak(rng, ROWS)
    y = yes(rng, sum_of(x, 1.0) + 0.5 * np.nan_to_num(value), 0.2)
    return World(table(y, times, {**x, "new_field": value}))


@honest
def season_at_the_edge(rng: Random) -> World:
    times = days(rng, ROWS)
    warm = np.sin((times - times[0]) / DAY / 300 * 6.28 - 1.0)
    temp = 10 * warm + rng.normal(scale=3, size=ROWS)
    x = weak(rng, ROWS)
    return World(table(yes(rng, sum_of(x, 1.0) + 0.1 * temp, 0.25), times, {**x, "temp": temp}))


@honest
def steady_growth(rng: Random) -> World:
    times = days(rng, ROWS)
    trend = (times - times[0]) / DAY / 100
    x = weak(rng, ROWS)
    y = 10 * trend + sum_of(x, 1.0) + rng.normal(size=ROWS)
    return World(table(y, times, {**x, "members": 1000 * trend + rng.normal(scale=30, size=ROWS)}, task="regression"))


@honest
def days_that_go_together(rng: Random) -> World:
    times = days(rng, ROWS)
    storm = rng.normal(size=400)[(times - START) // DAY]
    x = weak(rng, ROWS)
    wind = storm + rng.normal(scale=0.3, size=ROWS)
    return World(table(yes(rng, sum_of(x, 1.0) + 1.0 * storm, 0.2), times, {**x, "wind": wind}))


@honest
def delays_in_the_evening(rng: Random) -> World:
    times = days(rng, ROWS)
    hour = (times // 3_600_000_000) % 24
    x = weak(rng, ROWS)
    planned = hour * 100 + (times // 60_000_000) % 60
    return World(table(yes(rng, sum_of(x, 0.5) + 0.15 * hour, 0.25), times, {**x, "planned": planned}))


@honest
def two_good_features(rng: Random) -> World:
    one, two = rng.normal(size=(2, ROWS))
    y = one + two + rng.normal(size=ROWS)
    return World(table(y, days(rng, ROWS), {"one": one, "two": two, **weak(rng, ROWS, 3)}, task="regression"))


@honest
def one_good_feature(rng: Random) -> World:
    x = weak(rng, ROWS)
    y = yes(rng, sum_of(x, 1.0) + 2.5 * x["x0"], 0.3)
    return World(table(y, days(rng, ROWS), x), all_signal=True)


# Of our own


@honest
def holidays(rng: Random) -> World:
    times = days(rng, ROWS)
    off = rng.random(400) < 0.05
    x = weak(rng, ROWS)
    holiday = off[(times - START) // DAY].astype(float)
    return World(table(yes(rng, sum_of(x, 1.0) - 1.5 * holiday, 0.3), times, {**x, "holiday": holiday}))


@honest
def known_customers(rng: Random) -> World:
    """Earlier claims are counted: a strong field that is empty for most."""
    x = weak(rng, ROWS)
    claims = rng.poisson(0.15, size=ROWS).astype(float)
    return World(table(yes(rng, sum_of(x, 1.0) + 1.2 * claims, 0.1), days(rng, ROWS), {**x, "prev_claims": claims}))


@honest
def forecasts(rng: Random) -> World:
    """Another model's forecast, made in time, and the things that it was made of."""
    x = weak(rng, ROWS)
    y = sum_of(x, 1.0) + rng.normal(size=ROWS)
    return World(table(y, days(rng, ROWS), {**x, "forecast": sum_of(x, 1.0) + rng.normal(scale=0.3, size=ROWS)},
                       task="regression"))  # fmt: skip


@honest
def coarse_repeats(rng: Random) -> World:
    x = {f"x{place}": rng.integers(3, size=ROWS).astype(float) for place in range(4)}
    return World(table(yes(rng, sum_of(x, 1.5), 0.3), days(rng, ROWS), x))


@honest
def two_shops_two_levels(rng: Random) -> World:
    shop = rng.integers(6, size=ROWS)
    effect = np.array([0.0, 1.0, -1.0, 0.4, -0.6, 1.6])
    y = yes(rng, effect[shop], 0.3)
    x = {**weak(rng, ROWS), "shop": np.array(list("abcdef"), dtype=object)[shop], "size": np.round(effect[shop], 1)}
    return World(table(y, days(rng, ROWS), x), all_signal=True)


@honest
def slow_answers(rng: Random) -> World:
    """Answers take 60 days, so that a fifth of the rows waits for one."""
    x = weak(rng, ROWS)
    return World(table(yes(rng, sum_of(x, 1.2), 0.2), days(rng, ROWS), x, delay_days=60, waiting_days=60))


@honest
def sensors(rng: Random) -> World:
    rows = 6_000
    machine = np.tile(np.arange(20), rows // 20)
    times = START + np.repeat(np.arange(rows // 20), 20) * DAY
    heat = np.stack([np.convolve(rng.normal(size=rows // 20 + 9), np.ones(10) / 3, mode="valid") for _ in range(20)])
    heat = heat.T.ravel()
    x = {"heat": heat, "noise": rng.normal(size=rows)}
    return World(table(yes(rng, 1.5 * heat, 0.05), times, x, series=machine, delay_days=2), all_signal=True)


@honest
def autocorrelated_demand(rng: Random) -> World:
    """Last known demand of each shop, older than the delay."""
    shops, steps = 20, 300
    y = np.zeros((shops, steps))
    for step in range(1, steps):
        y[:, step] = 0.9 * y[:, step - 1] + rng.normal(size=shops)
    known = np.concatenate([np.full((shops, 3), np.nan), y[:, :-3]], axis=1)
    shop = np.tile(np.arange(shops), steps)
    times = np.repeat(START + np.arange(steps) * DAY, shops)
    x = {"known_demand": known.T.ravel(), "noise": rng.normal(size=len(shop))}
    return World(table(y.T.ravel(), times, x, task="regression", series=shop, delay_days=2))


@honest
def integer_counts(rng: Random) -> World:
    x = weak(rng, ROWS)
    y = rng.poisson(np.exp(sum_of(x, 0.5) + 0.5)).astype(float)
    return World(table(y, days(rng, ROWS), x, task="regression"))


@honest
def rare_category(rng: Random) -> World:
    kind = np.where(rng.random(ROWS) < 0.02, "special", "usual").astype(object)
    x = weak(rng, ROWS)
    return World(table(yes(rng, sum_of(x, 1.0) + 1.5 * (kind == "special"), 0.2), days(rng, ROWS), {**x, "kind": kind}))


@honest
def scheduled_closures(rng: Random) -> World:
    """A field that is filled on announced days only, and there the answer is another."""
    times = days(rng, ROWS)
    closed = (rng.random(400) < 0.1)[(times - START) // DAY]
    note = np.where(closed, "closed", None).astype(object)
    x = weak(rng, ROWS)
    return World(table(yes(rng, sum_of(x, 1.0) + 1.2 * closed, 0.2), times, {**x, "note": note}))


@honest
def defaults_known_early(rng: Random) -> World:
    """A yes is known within days, a no only after two months: the newest answers are nearly all yes."""
    x = weak(rng, ROWS)
    times = days(rng, ROWS)
    y = yes(rng, sum_of(x, 1.5), 0.2)
    evidence = table(y, times, x, delay_days=60, waiting_days=60)
    early = (y == 1.0) & (rng.random(ROWS) < 0.8) & (times <= times[-1] - 5 * DAY)
    return World(evidence._replace(y=np.where(early, 1.0, evidence.y), waiting=evidence.waiting & ~early))


@honest
def small_table(rng: Random) -> World:
    x = weak(rng, 900, 4)
    return World(table(yes(rng, sum_of(x, 1.2), 0.12), days(rng, 900), x))


@honest
def small_table_of_numbers(rng: Random) -> World:
    x = weak(rng, 500, 4)
    y = np.exp(sum_of(x, 0.6) + rng.normal(size=500))
    return World(table(y, days(rng, 500), x, task="regression", windows=4))


@honest
def slow_states(rng: Random) -> World:
    """A state of each machine that hardly ever changes, and a feature that follows it."""
    machines, steps = 40, 120
    state = (rng.random((machines, steps)) < 0.01).cumsum(axis=1) % 2
    machine = np.tile(np.arange(machines), steps)
    times = np.repeat(START + np.arange(steps) * 2 * DAY, machines)
    x = {"heat": state.T.ravel() + rng.normal(scale=1.5, size=len(machine)), "noise": rng.normal(size=len(machine))}
    return World(table(state.T.ravel().astype(float), times, x, series=machine, delay_days=3))


# Leaking tables --------------------------------------------------------------------------------------------


def _with(rng: Random, leak: Callable[[Floats, Ints], Any], *, rate: float = 0.2, rows: int = ROWS) -> World:
    x = weak(rng, rows)
    times = days(rng, rows)
    y = yes(rng, sum_of(x, 1.0), rate)
    return World(table(y, times, {**x, "leak": leak(y, times)}), "leak")


def _number_with(rng: Random, leak: Callable[[Floats], Any], series: bool = False) -> World:
    x = weak(rng, ROWS)
    y = sum_of(x, 1.0) + rng.normal(size=ROWS)
    return World(table(y, days(rng, ROWS), {**x, "leak": leak(y)}, task="regression"), "leak")


@leaking
def the_answer_with_noise(rng: Random) -> World:
    return _with(rng, lambda y, _: y + rng.normal(scale=0.2, size=len(y)))


@leaking
def the_answer_with_two_percent_flipped(rng: Random) -> World:
    return _with(rng, lambda y, _: np.where(rng.random(len(y)) < 0.02, 1 - y, y))


@leaking
def the_number_with_noise(rng: Random) -> World:
    return _number_with(rng, lambda y: 3 * y + rng.normal(scale=0.5, size=len(y)))


@leaking
def half_of_the_number(rng: Random) -> World:
    """A correction of 1.2 standard deviations of the answer's noise."""
    return _number_with(rng, lambda y: y + rng.normal(scale=0.8, size=len(y)))


@leaking
def a_delay_before_the_delay(rng: Random) -> World:
    """A departure delay: below any absolute threshold, and more than everything else."""
    return _with(rng, lambda y, _: 1.8 * y + rng.normal(size=len(y)))


@leaking
def a_delay_with_a_copy(rng: Random) -> World:
    made = _with(rng, lambda y, _: 1.8 * y + rng.normal(size=len(y)))
    frame = made.evidence.frame.assign(copy=made.evidence.frame["leak"] * 60 + 7)
    columns = Columns((*made.evidence.columns.numeric, "copy"), ())
    return World(made.evidence._replace(frame=frame, columns=columns), "leak|copy")


@leaking
def cost_of_the_repair(rng: Random) -> World:
    return _with(
        rng, lambda y, _: np.where(rng.random(len(y)) < np.where(y == 1, 0.8, 0.01), rng.lognormal(5, 1, len(y)), 0.0)
    )


@leaking
def cost_in_a_rare_event(rng: Random) -> World:
    return _with(
        rng,
        lambda y, _: np.where(rng.random(len(y)) < np.where(y == 1, 0.5, 0.004), 1.0, np.nan),
        rate=0.015,
        rows=8_000,
    )


@leaking
def a_status_of_complaints(rng: Random) -> World:
    def status(y: Floats, _: Ints) -> Any:
        usual = rng.choice(["a", "b", "c"], size=len(y))
        return np.where((y == 1) & (rng.random(len(y)) < 0.15), "complaint", usual).astype(object)

    return _with(rng, status)


@leaking
def yesterdays_answer_too_early(rng: Random) -> World:
    """Demand of the day before, where answers take two days."""
    shops, steps = 20, 300
    y = np.zeros((shops, steps))
    for step in range(1, steps):
        y[:, step] = 0.7 * y[:, step - 1] + rng.normal(size=shops)
    before = np.concatenate([np.full((shops, 1), np.nan), y[:, :-1]], axis=1)
    shop = np.tile(np.arange(shops), steps)
    times = np.repeat(START + np.arange(steps) * DAY, shops)
    x = {"leak": before.T.ravel(), "noise": rng.normal(size=len(shop))}
    return World(table(y.T.ravel(), times, x, task="regression", series=shop, delay_days=2), "leak")


@leaking
def an_hour_before_in_one_series(rng: Random) -> World:
    rows = 6_000
    y = np.convolve(rng.normal(size=rows + 9), np.ones(10) / 3, mode="valid")[:rows]
    return World(
        table(y, hourly(rows), {"leak": np.concatenate([[np.nan], y[:-1]]), "noise": rng.normal(size=rows)},
              task="regression", delay_days=2), "leak",
    )  # fmt: skip


@leaking
def the_next_answer_of_a_panel(rng: Random) -> World:
    people, months = 300, 16
    level = rng.normal(size=people)
    y = np.stack([yes(rng, 1.5 * level, 0.3) for _ in range(months)], axis=1)
    later = np.concatenate([y[:, 1:], np.full((people, 1), np.nan)], axis=1)
    times = np.repeat(START + np.arange(months) * 20 * DAY, people)
    person = np.tile(np.arange(people), months)
    x = {"leak": later.T.ravel(), "age": rng.normal(size=len(person))}
    return World(table(y.T.ravel(), times, x, series=person, delay_days=10, waiting_days=3), "leak")


@leaking
def a_mean_of_seven_around_now(rng: Random) -> World:
    rows = 6_000
    y = np.convolve(rng.normal(size=rows + 5), np.ones(6) / 2, mode="valid")[:rows]
    mean = pd.Series(y).rolling(7, center=True).mean()
    return World(
        table(y, hourly(rows), {"leak": mean, "noise": rng.normal(size=rows)}, task="regression", delay_days=1), "leak"
    )


@leaking
def a_mean_up_to_an_hour_ago(rng: Random) -> World:
    rows = 6_000
    y = np.convolve(rng.normal(size=rows + 5), np.ones(6) / 2, mode="valid")[:rows]
    mean = pd.Series(y).shift(1).rolling(24).mean()
    return World(
        table(y, hourly(rows), {"leak": mean, "noise": rng.normal(size=rows)}, task="regression", delay_days=2), "leak"
    )


def _coded(rng: Random, levels: int, prior: float, task: str = "classification") -> World:
    shop = rng.integers(levels, size=ROWS)
    effect = rng.normal(size=levels) * 0.5
    x = weak(rng, ROWS)
    score = sum_of(x, 0.5) + effect[shop]
    y = yes(rng, score, 0.2) if task == "classification" else score + rng.normal(size=ROWS)
    times = days(rng, ROWS)
    evidence = table(y, times, {**x, "shop": np.array([f"s{code}" for code in shop], dtype=object)}, task=task)
    there = evidence.known
    sums = np.bincount(shop[there], weights=y[there], minlength=levels)
    rows = np.bincount(shop[there], minlength=levels)
    coded = (sums + prior * y.mean()) / (rows + max(prior, 1e-9))
    frame = evidence.frame.assign(leak=coded[shop])
    columns = Columns((*evidence.columns.numeric, "leak"), evidence.columns.categorical)
    return World(evidence._replace(frame=frame, columns=columns), "leak")


@leaking
def means_of_forty_levels(rng: Random) -> World:
    return _coded(rng, 40, 0.0)


@leaking
def smoothed_means_of_a_hundred_levels(rng: Random) -> World:
    return _coded(rng, 100, 20.0)


@leaking
def means_of_two_hundred_levels(rng: Random) -> World:
    return _coded(rng, 200, 0.0, "regression")


@leaking
def empty_while_waiting(rng: Random) -> World:
    def field(y: Floats, times: Ints) -> Any:
        return np.where((times <= times[-1] - 10 * DAY) & (rng.random(len(y)) < 0.5), rng.normal(size=len(y)), np.nan)

    return _with(rng, field)


@leaking
def written_for_a_tenth_and_empty_while_waiting(rng: Random) -> World:
    def field(y: Floats, times: Ints) -> Any:
        filled = rng.random(len(y)) < np.where(y == 1, 0.3, 0.1)
        return np.where((times <= times[-1] - 10 * DAY) & filled, 1.0, 0.0)

    return _with(rng, field)


@leaking
def changed_when_the_answer_comes(rng: Random) -> World:
    def field(y: Floats, times: Ints) -> Any:
        stage = np.where(rng.random(len(y)) < np.where(y == 1, 0.55, 0.25), "review", "done")
        return np.where(times > times[-1] - 10 * DAY, "review", stage).astype(object)

    return _with(rng, field)


@leaking
def numbered_by_answer(rng: Random) -> World:
    return _with(rng, lambda y, _: np.lexsort((rng.random(len(y)), -y)).argsort())


@leaking
def named_by_its_end(rng: Random) -> World:
    made = _with(rng, lambda y, _: 0.3 * y + rng.normal(size=len(y)))
    evidence = made.evidence
    frame = evidence.frame.rename(columns={"leak": "repair_duration"})
    columns = Columns(tuple(frame.columns), ())
    return World(
        evidence._replace(frame=frame, columns=columns, declared=dict.fromkeys(frame, Declared(True, None))),
        "repair_duration",
    )


@leaking
def a_rank_among_rare_events(rng: Random) -> World:
    return _with(rng, lambda y, _: 2.2 * y + rng.normal(size=len(y)), rate=0.02, rows=8_000)


# What one delivery does not tell ----------------------------------------------------------------------------


@weakly
def a_soft_correction(rng: Random) -> World:
    return _with(rng, lambda y, _: 0.6 * y + rng.normal(size=len(y)))


@weakly
def a_weak_duration(rng: Random) -> World:
    return _with(rng, lambda y, _: np.exp(0.3 * y + rng.normal(size=len(y))))


@weakly
def means_with_noise(rng: Random) -> World:
    made = _coded(rng, 40, 0.0)
    frame = made.evidence.frame
    spread = float(frame["leak"].std())
    return made._replace(
        evidence=made.evidence._replace(frame=frame.assign(leak=frame["leak"] + rng.normal(scale=spread, size=ROWS)))
    )


@weakly
def means_without_the_row_itself(rng: Random) -> World:
    made = _coded(rng, 40, 0.0)
    evidence = made.evidence
    codes = pd.factorize(evidence.frame["shop"])[0]
    y = np.nan_to_num(evidence.y)
    sums, rows = np.bincount(codes, weights=y), np.bincount(codes, weights=evidence.known.astype(float))
    own = (sums[codes] - y) / np.maximum(1, rows[codes] - evidence.known)
    return made._replace(evidence=evidence._replace(frame=evidence.frame.assign(leak=own)))


# Judging ---------------------------------------------------------------------------------------------------


def told_of(world: World) -> Told:
    """What the rules say of a table."""
    started = time.process_time()
    checks = judge(world.evidence)
    seconds = time.process_time() - started
    asked = questions_of(checks)
    if world.leak is None:
        bad = [check for check in checks if check.result == "fail"]
        return Told(
            bool(bad), bool(asked), len(asked), _by([*bad, *(c for c in checks if c.result == "look")]), seconds
        )
    names = set(world.leak.split("|"))
    about = [check for check in checks if check.subject in names and check.result != "pass"]
    failed = any(check.result == "fail" for check in about)
    return Told(failed, bool(about) and not failed, len(asked), _by(about), seconds)


def _by(checks: list[Check]) -> str:
    return "; ".join(sorted({f"{check.check} ({check.subject})" for check in checks}))


def runs(names: list[str], seeds: range) -> Iterator[tuple[str, list[Told]]]:
    """Every condition with every seed."""
    for name in names:
        make = {**HONEST, **LEAKS, **MISSED}[name]
        place = sum(map(ord, name))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield name, [told_of(make(np.random.default_rng([place, seed]))) for seed in seeds]


def row(name: str, told: list[Told]) -> str:
    """One condition as a row of the table."""
    failed, asked = (np.mean([getattr(item, what) for item in told]) for what in ("failed", "asked"))
    questions, seconds = (np.mean([getattr(item, what) for item in told]) for what in ("questions", "seconds"))
    why = sorted({item.by for item in told if item.by})
    return (
        f"{name:45} {len(told):4} {failed:6.1%} {asked:6.1%} {questions:5.2f} {seconds:6.2f}  {' | '.join(why)[:150]}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--conditions", default="", help="names, separated by commas; all by default")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    options = parser.parse_args()
    names = options.conditions.split(",") if options.conditions else [*HONEST, *LEAKS, *MISSED]
    print(f"{'condition':45} {'runs':>4} {'FAIL':>6} {'LOOK':>6} {'ask':>5} {'cpu s':>6}  by")
    honest_runs: list[Told] = []
    quiet: list[Told] = []
    missed: list[str] = []
    for name, told in runs(names, range(options.first_seed, options.first_seed + options.seeds)):
        print(row(name, told), flush=True)
        if name in HONEST:
            honest_runs += told
            missed += [name] if any(item.failed for item in told) else []
            quiet += [] if HONEST[name](np.random.default_rng(0)).all_signal else told
        elif name in LEAKS and np.mean([item.failed or item.asked for item in told]) < LEAST_CAUGHT:
            missed.append(name)
    if honest_runs:
        print(
            f"honest: {sum(item.failed for item in honest_runs)} of {len(honest_runs)} failed; "
            f"{np.mean([item.questions for item in quiet]):.3f} questions a run where no feature has nearly all signal"
        )
    if quiet and np.mean([item.questions for item in quiet]) > MOST_QUESTIONS:
        missed.append("questions")
    print(f"beyond the bounds: {', '.join(missed) or 'nothing'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
