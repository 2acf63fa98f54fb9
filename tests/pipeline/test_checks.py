"""Leaks, planted in real flights one by one: each must be found, by the check that is there for it."""

from __future__ import annotations

import datetime as dt
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from given import FIXTURES
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick import ledger
from tallystick.ledger.events import types as say
from tallystick.ledger.events.commit import to_micros
from tallystick.pipeline.config.load import read
from tallystick.pipeline.config.settings import Pipeline
from tallystick.pipeline.config.windows import Window, development_windows, sealed_windows
from tallystick.pipeline.data.slice import cut, open_table
from tallystick.pipeline.evaluate import backtest
from tallystick.pipeline.evaluate.backtest import BacktestPlan, Described
from tallystick.pipeline.evaluate.fitting import Recipe
from tallystick.pipeline.leakage import canary, checks, odds, uncertainty, yardstick
from tallystick.pipeline.leakage.evidence import LeakEvidence, gather
from tallystick.pipeline.leakage.questions import asked
from tallystick.pipeline.runs.run import RunReport, run

FLIGHTS = "late-arrivals.parquet"


class Ready(NamedTuple):
    """Everything that the checks of a run look at."""

    settings: Pipeline
    plan: BacktestPlan
    table: pa.Table
    windows: list[Window]
    described: list[Described]
    recipes: list[Recipe]

    @property
    def evidence(self) -> LeakEvidence:
        return gather(self.plan, self.settings, self.table, self.windows, sealed_windows(self.settings.time))

    def all(self) -> list[say.Check]:
        return checks.run_checks(self.plan, self.settings, self.recipes, self.described, [], ())


def written(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame] | None = None, **texts: str) -> Path:
    """The sample's pipeline without its slow candidate, its flights changed, its texts replaced."""
    text = (FIXTURES / "late-arrivals.toml").read_text()
    text = re.sub(r"\[candidates\.big_trees\].*?(?=\[selection\])", "", text, flags=re.DOTALL)
    text = re.sub(r"rows_expected = .*\n", "", text)
    for old, new in texts.items():
        assert old in text, old
        text = text.replace(old, new)
    path = folder / "late-arrivals.toml"
    path.write_text(text)
    if change is None:
        shutil.copy(FIXTURES / FLIGHTS, folder)
    else:
        change(pd.read_parquet(FIXTURES / FLIGHTS)).to_parquet(folder / FLIGHTS, index=False)
    return path


def ready(path: Path) -> Ready:
    loaded = read(path).settings
    slice_ = cut(loaded, path.parent, path.parent)
    windows = development_windows(loaded.time)
    plan = backtest.make_plan(loaded, slice_, windows[0], as_of=to_micros(dt.datetime.now(dt.UTC)))
    recipes = [
        Recipe(name, item.estimator, dict(item.params), item.complexity, slice_.features, plan.task)
        for name, item in loaded.candidates.items()
    ]
    described = [backtest.describe(plan, window) for window in windows]
    return Ready(loaded, plan, open_table(slice_), windows, described, recipes)


def only(found: list[say.Check], check: str, subject: str | None = None) -> say.Check:
    (one,) = [item for item in found if item.check == check and (subject is None or item.subject == subject)]
    return one


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Ready:
    return ready(written(tmp_path_factory.mktemp("honest")))


PLANE = '"plane_year, seats"  '


def test_the_honest_flights_pass_every_check(honest: Ready) -> None:
    found = honest.all()
    assert [item.sentence for item in found if item.result != "pass"] == []
    assert checks.worst_of(found) == "pass"
    assert checks.summary(found) == [f"leakage: all {len(found)} checks passed"]
    assert checks.why_not_eligible(found) is None
    assert {item.check for item in found} == {
        "availability", "declared columns", "row overlap", "keys", "groups", "order in time", "history", "canary",
        "self-test", "values",
    }  # fmt: skip
    # A record must hold it, and doing it again must not change it.
    say.LeakageJudged(run="r", pipeline="p", result="pass", checks=found, rule=2, questions=[])
    assert honest.all() == found


def test_answers_of_sealed_windows_are_never_looked_at(honest: Ready) -> None:
    evidence = honest.evidence
    shut = np.zeros(len(evidence.times), dtype=bool)
    for window in sealed_windows(honest.settings.time):
        shut |= window.test_rows(evidence.times)
    assert shut.sum() > 1000
    assert not evidence.known[shut].any()
    assert not evidence.waiting[shut].any()
    assert evidence.known[~shut].all()


def test_the_departure_delay_is_asked_about_below_any_absolute_threshold(tmp_path: Path) -> None:
    texts = {'"dep_delay", ': "", PLANE: '"plane_year, seats, dep_delay"  '}
    found = ready(written(tmp_path, **texts)).all()
    caught = only(found, "tells more than all others", "dep_delay")
    assert caught.result == "look"
    assert 0.3 < caught.facts["left"] < 0.6
    assert caught.facts["yardstick"] > 0.85
    assert "all others, the clock and past answers leave" in caught.sentence
    # Numbers convict nobody, and there is one question, whatever else stands out about the feature.
    assert checks.why_not_eligible(found) is None
    (question,) = asked(found, {})
    assert (question.subject, question.checks[0]) == ("dep_delay", "tells more than all others")
    assert checks.summary(found, [question])[0].startswith("leakage QUESTION, tells more than all others: dep_delay")


def test_a_leak_does_not_hide_behind_its_own_copy(tmp_path: Path) -> None:
    def doubled(flights: pd.DataFrame) -> pd.DataFrame:
        return flights.assign(turnaround=flights["dep_delay"] / 60 + 7)

    texts = {'"dep_delay", ': "", PLANE: '"plane_year, seats, dep_delay, turnaround"  '}
    found = ready(written(tmp_path, doubled, **texts)).all()
    (question,) = asked(found, {})
    told = only(found, "tells more than all others")
    assert {question.subject, *told.facts["copies"]} == {"dep_delay", "turnaround"}
    assert "which run as it does" in told.sentence


def test_moments_of_knowledge_are_counted_row_by_row(tmp_path: Path) -> None:
    def observed(flights: pd.DataFrame) -> pd.DataFrame:
        at = flights["time_hour"] - pd.Timedelta(hours=3)
        at[flights.index % 100 == 0] += pd.Timedelta(hours=5)
        at[flights.index % 1000 == 1] = pd.NaT
        return flights.assign(observed_at=at)

    texts = {'known_at = "time_hour - 3h", why': 'known_at = "observed_at", why'}
    made = ready(written(tmp_path, observed, **texts))
    found = only(checks.availability(made.settings, made.table), "availability", "temp")
    flights = observed(pd.read_parquet(FIXTURES / FLIGHTS)).dropna(subset=["arr_delay", "temp"])
    late = int((flights["observed_at"] > flights["time_hour"] - pd.Timedelta(hours=3)).sum())
    assert late > 100
    assert found.result == "fail"
    assert found.facts["late_rows"] == late
    assert found.facts["rows_of_unknown_time"] == int(flights["observed_at"].isna().sum()) > 0
    assert f"{late:,} of {len(flights):,} rows" in found.sentence
    assert "at worst 5 hours after" in found.sentence


def test_nothing_undeclared_or_forbidden_reaches_a_model(honest: Ready) -> None:
    columns = honest.recipes[0].columns
    for extra, kind in (("dep_delay", "forbidden"), ("tailnum", "undeclared"), ("arr_delay", "forbidden")):
        more = columns._replace(numeric=(*columns.numeric, extra))
        recipes = [msgspec.structs.replace(honest.recipes[0], columns=more)]
        found = checks.declared(honest.settings, recipes)
        assert found.result == "fail"
        assert extra in found.facts[kind]


def test_a_value_that_decides_alone_is_caught(tmp_path: Path) -> None:
    def closed(flights: pd.DataFrame) -> pd.DataFrame:
        late = (flights["arr_delay"] > 15).to_numpy()
        complaint = late & (np.arange(len(flights)) % 10 == 0)
        return flights.assign(desk=np.where(complaint, "complaints", flights["origin"]))

    found = ready(written(tmp_path, closed, **{PLANE: '"plane_year, seats, desk"  '})).all()
    caught = only(found, "a value tells", "desk")
    assert caught.result == "look"
    assert caught.facts["value"] == "= complaints"
    assert caught.facts["rate"] == 1.0
    assert caught.facts["odds_times"] > odds.TIMES
    # Its uncertainty alone is modest: no threshold on the whole feature would see it.
    assert caught.facts["left"] > 0.8


def test_rows_that_were_copied_into_the_future_are_caught(tmp_path: Path) -> None:
    def copied(flights: pd.DataFrame) -> pd.DataFrame:
        january = flights[flights["time_hour"].dt.month == 1]
        later = january.assign(time_hour=january["time_hour"] + pd.Timedelta(days=150), flight=january["flight"] + 9000)
        return pd.concat([flights, later], ignore_index=True)

    made = ready(written(tmp_path, copied))
    found = checks.row_overlap(made.plan, made.table, made.windows)
    assert found.result == "fail"
    assert "rows were copied" in found.sentence


def test_rows_without_a_key_of_their_own_are_counted(honest: Ready) -> None:
    plan = msgspec.structs.replace(honest.plan, slice=msgspec.structs.replace(honest.plan.slice, key=("carrier",)))
    assert checks.unique_keys(honest.plan, honest.table).result == "pass"
    found = checks.unique_keys(plan, honest.table)
    carriers = len(set(honest.table["carrier"].to_pylist()))
    assert (found.result, found.facts["repeated"]) == ("fail", honest.table.num_rows - carriers)


def test_groups_are_held_to_their_policy(tmp_path: Path, honest: Ready) -> None:
    made = ready(written(tmp_path, **{'overlap = "allowed"': 'overlap = "forbidden"'}))
    (found,) = checks.groups(made.described)
    assert (found.result, found.facts["seen_rows"]) == ("pass", 0)
    assert sum(item.removed_for_overlap for item in made.described) > 0
    (allowed,) = checks.groups(honest.described)
    assert allowed.result == "pass"
    # Were the same seen rows forbidden, they would be a failure.
    overlaps = [msgspec.structs.replace(item.overlap, policy="forbidden") for item in honest.described if item.overlap]
    forbidden = [item._replace(overlap=overlap) for item, overlap in zip(honest.described, overlaps, strict=True)]
    assert checks.groups(forbidden)[0].result == "fail"


def test_training_beyond_the_cut_off_is_seen(honest: Ready) -> None:
    assert checks.order_in_time(honest.plan, honest.table, honest.windows).result == "pass"
    wrong = msgspec.structs.replace(honest.windows[2], cutoff=honest.windows[2].end)
    found = checks.order_in_time(honest.plan, honest.table, [*honest.windows[:2], wrong])
    assert (found.result, found.facts["wrong"]) == ("fail", [wrong.label])


def test_an_id_that_counts_up_is_a_note_and_no_question(tmp_path: Path) -> None:
    def numbered(flights: pd.DataFrame) -> pd.DataFrame:
        return flights.assign(booking=flights["time_hour"].rank(method="first") * 3 + 100_000)

    found = ready(written(tmp_path, numbered, **{PLANE: '"plane_year, seats, booking"  '})).all()
    note = only(found, "rises with time")
    assert (note.subject, note.result) == ("booking", "pass")
    assert asked(found, {}) == []
    assert f"leakage note: {note.sentence}" in checks.summary(found)


def test_answers_that_were_not_shuffled_kill_the_canary(honest: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    made = yardstick.bench(honest.evidence, {})
    assert canary.canary(made).result == "pass"

    class Still:
        def permutation(self, y: np.ndarray) -> np.ndarray:
            return y

    monkeypatch.setattr(canary.np.random, "default_rng", lambda *_: Still())
    dead = canary.canary(made)
    assert (dead.result, dead.facts["shuffles"]) == ("fail", 18)
    assert "not in one feature" in dead.sentence


def test_the_canary_listens_on_one_side_only() -> None:
    assert canary.judge_canary([-0.3 + 0.001 * turn for turn in range(9)]).mean < 0
    low = canary.judge_canary([0.015, 0.016, 0.014] * 3)
    assert low.mean < low.bound == canary.LEAST
    high = canary.judge_canary([0.05, 0.06, 0.055] * 3)
    assert high.mean > high.bound


def test_a_checker_that_catches_nothing_says_so(honest: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    made = yardstick.bench(honest.evidence, {})
    assert [(check.subject, check.result) for check in canary.self_tests(made)] == [
        (canary.ANSWERS, "pass"), (canary.LAG, "pass"), (canary.FILLED, "pass"),
    ]  # fmt: skip
    # Rules that never find anything must be noticed, each by its own test.
    monkeypatch.setattr(canary, "answer_itself", lambda *_: False)
    monkeypatch.setattr(canary, "alone", lambda evidence, _: [np.full(len(f.test), 0.3) for f in evidence.folds])
    monkeypatch.setattr(canary, "repeated_answer", lambda *_: None)
    monkeypatch.setattr(canary.odds, "filled_afterwards", lambda *_: None)
    monkeypatch.setattr(canary.odds, "telling_value", lambda *_: None)
    blind = canary.self_tests(made)
    assert [check.result for check in blind] == ["fail"] * 3
    assert all("cannot be trusted here" in check.sentence for check in blind)


@given(st.lists(st.sampled_from(["pass", "look", "fail"]), min_size=1))
def test_the_worst_check_is_the_result(results: list[str]) -> None:
    made = [say.Check(check="c", subject=None, result=result, facts={}, sentence="s.") for result in results]  # type: ignore[arg-type]
    rank = ["pass", "look", "fail"]
    assert checks.worst_of(made) == max(results, key=rank.index)
    assert (checks.why_not_eligible(made) is None) == ("fail" not in results)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), power=st.integers(-20, 20), shift=st.integers(-1000, 1000))
def test_a_leak_in_other_units_is_the_same_leak(seed: int, power: int, shift: int) -> None:
    random = np.random.default_rng(seed)
    x = pd.Series(random.integers(-500, 500, size=800).astype(float))
    x[random.random(800) < 0.1] = np.nan
    y = (random.random(800) < 0.3).astype(float)
    # Whole numbers and powers of two, so that the change of units itself rounds nothing.
    moved = (x + shift) * 2.0**power
    plain = uncertainty.bins_of(x[:600], x[600:], y[:600])
    again = uncertainty.bins_of(moved[:600], moved[600:], y[:600])
    assert [part.tolist() for part in again[:2]] == [part.tolist() for part in plain[:2]]


def test_a_level_that_training_never_saw_is_apart() -> None:
    train, test = pd.Series(["a", "b", None] * 50, dtype=object), pd.Series(["a", "new", None], dtype=object)
    codes, (seen, new, missing), size = uncertainty.bins_of(train, test)
    assert seen == codes[0]
    assert missing == codes[2]
    assert new == size - 1 not in codes


# In a run --------------------------------------------------------------------------------------------------


def _run(book: ledger.Ledger, path: Path) -> RunReport:
    return run(book, read(path), workers=2, on_outline=lambda _: None, on_progress=lambda *_: None)


def test_history_rewritten_under_a_run_is_caught_and_nothing_is_chosen(tmp_path: Path) -> None:
    with ledger.create(tmp_path / "team", timezone="America/New_York") as book:
        (tmp_path / "before").mkdir()
        first = _run(book, written(tmp_path / "before"))
        assert first.selection.chosen == "small_trees"
        assert book.now().run(first.outline.run).leakage == "pass"

        def backfilled(flights: pd.DataFrame) -> pd.DataFrame:
            june = (flights["time_hour"].dt.tz_convert("America/New_York").dt.month == 6) & flights[
                "wind_speed"
            ].notna()
            return flights.assign(wind_speed=flights["wind_speed"].where(~june, flights["wind_speed"] + 1))

        (tmp_path / "after").mkdir()
        second = _run(book, written(tmp_path / "after", backfilled))
        found = only(second.checks, "history")
        assert (found.result, found.subject) == ("fail", "wind_speed")
        assert found.facts == {"back_filled": {"2013-06": first.outline.run}}
        assert "wind_speed was back-filled: in 2013-06" in found.sentence
        assert second.selection.chosen is None
        assert second.model is None
        assert {reason.code for reason in second.reasons} == {"not-eligible", "nobody-eligible"}
        state = book.now().run(second.outline.run)
        assert (state.status, state.leakage) == ("finished", "fail")
        (event,) = [
            stored for stored in book.log.events()
            if stored.data and b'"leakage.checked"' in stored.data and second.outline.run.encode() in stored.data
        ]  # fmt: skip
        assert say.decode(event.data or b"").body.checks == second.checks


def test_a_number_as_target_is_checked_too(tmp_path: Path) -> None:
    texts = {
        ', rule = "> 15", positive = "late"': "",
        'metric     = "log_loss"': 'metric     = "absolute_error"',
        "sklearn.dummy:DummyClassifier": "sklearn.dummy:DummyRegressor",
        'strategy = "prior"': 'strategy = "median"',
        'optimism_gap         = { at_most = 0.05, metric = "roc_auc"': "optimism_gap         = { at_most = 0.05",
        '"dep_delay", ': "",
        PLANE: '"plane_year, seats, dep_delay"  ',
    }
    made = ready(written(tmp_path, **texts))
    assert made.plan.task == "regression"
    found = made.all()
    caught = only(found, "tells more than all others", "dep_delay")
    assert caught.result == "look"
    assert caught.facts["auc"] is None
    assert {item.subject: item.result for item in found if item.check in ("canary", "self-test")} == {
        "shuffled answers": "pass", canary.ANSWERS: "pass", canary.LAG: "pass",
    }  # fmt: skip
