"""Whole runs judged by what people optimise: money, counts, quantiles, rankings, with weights; and what is refused."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import PoissonRegressor

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline.config.load import ConfigurationError, parse, read
from tallystick.pipeline.data.slice import cut
from tallystick.pipeline.evaluate.fitting import Recipe, TrainingRows, fit, fitted, weight_parameter
from tallystick.pipeline.evaluate.losses import Measure, threshold_by_costs
from tallystick.pipeline.monitoring.monitor import monitor
from tallystick.pipeline.recipes import Columns
from tallystick.pipeline.runs.reproduce import reproduce
from tallystick.pipeline.runs.run import RunReport, run
from tallystick.tui.cli.work.check_page import print_page

FILE = """
schema = 1
name   = "claims"
owner  = "a@example.org"

[questions]
decision      = "What do we charge?"
unit          = "one policy a month"
prediction_at = "day - 1d"
cost_of_wrong = "Money."

[data]
source = "parquet:claims.parquet"
target = TARGET
key    = ["policy"]
why    = "Made up for a test."
WEIGHT

[data.features]
"age, size" = { known_at = "day - 30d" }

[time]
column      = "day"
timezone    = "UTC"
window      = "1 month"
first_test  = 2020-07-01
last_test   = 2021-01-01
label_delay = "1d"
min_rows    = 30
why         = "Monthly."

[time.final]
test  = ["2021-01"]
looks = 1
why   = "One look."

[candidates.reference]
estimator  = "sklearn.dummy:REFERENCE"
complexity = 0
role       = "reference"
why        = "The average."

[candidates.model]
estimator  = "ESTIMATOR"
complexity = 1
why        = "A model."
MORE

[selection]
metric     = METRIC
rule       = "stable_among_equals"
margin     = 0.005
confidence = 0.9
resample   = "day"
seed       = 1
why        = "What we pay for."
"""
YES = '{ column = "claims", rule = "> 0", positive = "claim" }'
NUMBER = '{ column = "claims" }'
LINEAR, COUNTS = "pipeline.recipes:linear", "sklearn.linear_model:PoissonRegressor"
COSTS = '"cost"\ncosts = { currency = "EUR", false_alarm = 1, missed = 1.5 }'


def claims(seed: int = 0) -> pd.DataFrame:
    chance = np.random.default_rng(seed)
    days = np.repeat(pd.date_range("2020-01-01", "2021-03-31"), 5)
    age, size = chance.normal(0, 1, len(days)), chance.normal(0, 1, len(days))
    exposure = chance.uniform(0.1, 1.0, len(days)).round(2)
    return pd.DataFrame(
        {
            "policy": np.arange(len(days)), "day": days, "age": age, "size": size, "exposure": exposure,
            "ones": 1.0, "claims": chance.poisson(np.exp(-0.5 + 0.5 * age - 0.5 * size)).astype(float),
        }
    )  # fmt: skip


WEIGHT = 'weight = { column = "NAME", why = "Policies run for a part of the month." }'


def text(task: str = YES, metric: str = '"log_loss"', estimator: str = LINEAR, weight: str = "", more: str = "") -> str:
    reference = "DummyClassifier" if task == YES else "DummyRegressor"
    found = FILE
    for name, value in (
        ("TARGET", task), ("METRIC", metric), ("ESTIMATOR", estimator), ("REFERENCE", reference), ("MORE", more),
        ("WEIGHT", WEIGHT.replace("NAME", weight) if weight else ""),
    ):  # fmt: skip
        found = found.replace(name, value)
    return found


def done(folder: Path, file: str, table: pd.DataFrame | None = None) -> tuple[ledger.Ledger, RunReport]:
    (claims() if table is None else table).to_parquet(folder / "claims.parquet")
    (folder / "claims.toml").write_text(file)
    book = ledger.create(folder, timezone="UTC")
    found = run(
        book, read(folder / "claims.toml"), workers=1, on_outline=lambda _: None, on_progress=lambda *_: None,
        labels_as_of=dt.datetime(2021, 2, 1, tzinfo=dt.UTC),
    )  # fmt: skip
    return book, found


CASES = {
    "roc_auc": (YES, '"roc_auc"', LINEAR, "points higher AUC"),
    "average_precision": (YES, '"average_precision"', LINEAR, "points higher average precision"),
    "cost": (YES, COSTS, LINEAR, "lower cost (EUR a row)"),
    "pinball": (NUMBER, '"pinball"\nquantile = 0.8', "sklearn.linear_model:QuantileRegressor", "(80% quantile)"),
    "poisson_deviance": (NUMBER, '"poisson_deviance"', COUNTS, "lower Poisson deviance"),
}


@pytest.mark.parametrize("metric", CASES)
def test_whole_life(tmp_path: Path, metric: str) -> None:
    """A run, its repetition and a watched month, weighted by exposure."""
    task, said, estimator, words = CASES[metric]
    more = "params = { quantile = 0.8, alpha = 0.0 }" if metric == "pinball" else ""
    book, found = done(tmp_path, text(task, said, estimator, "exposure", more))
    with book:
        assert found.selection.chosen == "model", found.reasons
        assert words in found.headline
        # What was recorded of each window is what the predictions and weights that were stored with it come to.
        assert all(item.metrics[metric].value is not None for item in found.judged)
        thresholds = [item.metrics["decision_threshold"].value for item in found.judged if metric == "cost"]
        assert all(value is not None and 0.0 < value < 1.0 for value in thresholds)
        again = reproduce(book, found.outline.run, workers=1, on_progress=lambda *_: None)
        assert again.body.verdict == "identical", again.body.sentence
        watched = monitor(
            book, read(tmp_path / "claims.toml"), "2021-02",
            model=found.model, labels_as_of=dt.datetime(2021, 4, 2, tzinfo=dt.UTC),
        )  # fmt: skip
        assert watched.body.metrics[metric].value is not None
        assert watched.body.facts["statistics"].keys() >= {"level", "loss", "expected_loss", "recalibrated_loss"}
        assert len(watched.body.history) == 6


def test_weights_of_one_are_no_weights(tmp_path: Path) -> None:
    """To the last bit, in predictions and in what they come to."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    for metric in ('"log_loss"', '"average_precision"'):
        found = []
        for name, weight in (("a", ""), ("b", "ones")):
            folder = tmp_path / name / metric.strip('"')
            folder.mkdir()
            book, report = done(folder, text(YES, metric, weight=weight))
            book.close()
            found.append([(item.prediction_hash, item.metrics) for item in report.judged])
        assert found[0] == found[1]


def test_weights_are_used_in_fitting_and_in_judging(tmp_path: Path) -> None:
    table = claims()
    table["exposure"] = np.where(table["size"] > 0, 10.0, 0.1)
    for name in ("plain", "weighted"):
        (tmp_path / name).mkdir()
    plain = done(tmp_path / "plain", text(NUMBER, '"squared_error"'), table)[1]
    weighted = done(tmp_path / "weighted", text(NUMBER, '"squared_error"', weight="exposure"), table)[1]
    assert plain.judged[1].prediction_hash != weighted.judged[1].prediction_hash
    slice_ = weighted.outline.slice
    assert "exposure" in [column.name for column in slice_.columns]
    month = table[(table["day"] >= "2020-07-01") & (table["day"] < "2020-08-01")]
    first = weighted.judged[1]
    by_hand = np.average(np.square(first.predictions - month["claims"]), weights=month["exposure"])
    assert first.metrics["squared_error"].value == pytest.approx(by_hand)


def test_unfit_weights_are_counted_and_the_way_out_helps(tmp_path: Path) -> None:
    table = claims()
    table.loc[[3, 7], "exposure"] = [0.0, np.nan]
    with pytest.raises(InvalidInput, match="in 2 of 2,280 rows") as caught:
        done(tmp_path, text(weight="exposure"), table)
    assert '"exposure <= 0"' in caught.value.hint
    drops = "".join(
        f'\n[[data.drop_rows]]\nwhere = "{where}"\nwhy = "They count nothing."\n'
        for where in ("exposure <= 0", "exposure is missing")
    )
    (tmp_path / "mended.toml").write_text(
        text(weight="exposure").replace("\n[data.features]", f"{drops}\n[data.features]")
    )
    table.to_parquet(tmp_path / "claims.parquet")
    assert cut(read(tmp_path / "mended.toml").settings, tmp_path, tmp_path).rows == len(table) - 2


RECIPE = Recipe("model", "sklearn.linear_model:LogisticRegression", {}, 1, Columns(("x",), ()), "classification")


def learnt(n: int = 2_000, seed: int = 0) -> TrainingRows:
    chance = np.random.default_rng(seed)
    x = chance.normal(0, 1, n)
    y = (chance.random(n) < 1 / (1 + np.exp(-x + 1.5))).astype(float)
    times = np.arange(n, dtype=np.int64) * 1_000
    return TrainingRows(pd.DataFrame({"x": x}), y, None, times, times + 5_000)


def test_balanced_answers_count_the_same() -> None:
    rows = learnt()
    yes = rows.y == 1.0
    means = {}
    for name, weight in (("none", None), ("balanced", "balanced"), ("said", {"yes": 1.0, "no": 1.0})):
        recipe = msgspec.structs.replace(RECIPE, class_weight=weight)
        means[name] = fit(recipe, rows.frame, rows.y, 1, "here").predict_proba(rows.frame)[:, 1].mean()
    theirs = msgspec.structs.replace(RECIPE, params={"class_weight": "balanced"})
    assert means["balanced"] == pytest.approx(
        fit(theirs, rows.frame, rows.y, 1, "here").predict_proba(rows.frame)[:, 1].mean(), rel=1e-3
    )
    assert means["none"] == pytest.approx(yes.mean(), abs=0.01)
    assert means["said"] == pytest.approx(means["none"], abs=1e-6)
    assert means["balanced"] > means["none"] + 0.1
    assert len({RECIPE.hash, msgspec.structs.replace(RECIPE, class_weight="balanced").hash}) == 2


def test_the_threshold_never_sees_test_rows_nor_answers_that_came_too_late() -> None:
    """It is chosen on the newest fifth; the model that is asked about them has learnt only what was known by then."""
    costs = parse(text(YES, COSTS).encode(), Path("a.toml")).settings.selection.costs
    assert costs is not None
    measure = Measure("cost", costs=costs)
    rows = learnt()
    found = fitted(RECIPE, rows, measure, 1, "here")
    assert found.threshold is not None
    assert found.remark is None
    # Answers of the older rows that are known only after the newest fifth began change nothing but the model itself.
    late = rows.label_known.copy()
    begin = rows.times[1_600]
    late[1_500:1_600] = begin + 1
    other = rows.y.copy()
    other[1_500:1_600] = 1.0 - other[1_500:1_600]
    thresholds = [
        fitted(RECIPE, rows._replace(label_known=late, y=y), measure, 1, "here").threshold for y in (rows.y, other)
    ]
    assert thresholds[0] == thresholds[1]
    few = fitted(RECIPE, TrainingRows(*(part if part is None else part[:300] for part in rows)), measure, 1, "here")
    assert few.threshold == threshold_by_costs(costs)
    assert few.remark is not None
    assert "Too few training rows" in few.remark


def test_an_estimator_without_weights_is_named() -> None:
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    with pytest.raises(InvalidInput, match="near cannot be fitted with weights: KNeighborsClassifier takes none"):
        weight_parameter(make_pipeline(StandardScaler(), KNeighborsClassifier()), "near")
    assert (
        weight_parameter(make_pipeline(StandardScaler(), PoissonRegressor()), "c") == "poissonregressor__sample_weight"
    )


WRONG = {
    "cost of a number": (text(NUMBER, COSTS), "does not fit a target that is a number", "pinball with quantile"),
    "pinball of a yes or no": (text(YES, '"pinball"\nquantile = 0.5'), "does not fit a target that is a yes or no", ""),
    "no quantile": (text(NUMBER, '"pinball"'), "must say quantile with pinball", ""),
    "a quantile too much": (text(YES, '"brier"\nquantile = 0.5'), "quantile belongs to pinball", ""),
    "no costs": (text(YES, '"cost"'), "Write [selection.costs] with currency, false_alarm, missed", ""),
    "costs too much": (text(YES, COSTS.replace('"cost"', '"brier"')), "costs belong to the metric cost", ""),
    "a cheap mistake": (text(YES, COSTS.replace(" }", ", right_yes = 4 }")), "missed must cost more", ""),
    "a target as weight": (text(weight="claims"), "claims is the target", ""),
    "answers of a number": (
        text(NUMBER, '"squared_error"', more='class_weight = "balanced"'), "[data.weight] weighs rows", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_said(case: str) -> None:
    said, words, more = WRONG[case]
    with pytest.raises(ConfigurationError) as caught:
        parse(said.encode(), Path("claims.toml"))
    assert len(caught.value.mistakes) == 1
    assert words in caught.value.message
    assert more in caught.value.message


def test_lists_and_tables_are_parameters(tmp_path: Path) -> None:
    """They reach the estimator, count for the meaning and are recorded."""
    said = text(
        YES,
        estimator="sklearn.neural_network:MLPClassifier",
        more="params = { hidden_layer_sizes = [4, 3], max_iter = 20 }",
    )
    book, found = done(tmp_path, said)
    with book:
        recipe = next(item for item in found.outline.recipes if item.name == "model")
        assert recipe.params["hidden_layer_sizes"] == [4, 3]
        other = parse(said.replace("[4, 3]", "[4, 4]").encode(), tmp_path / "claims.toml")
        assert other.meaning_hash != found.outline.loaded.meaning_hash
    table = parse(text(more="params = { a = { b = [1, 2], c = 'd' } }").encode(), Path("a.toml"))
    assert table.settings.candidates["model"].params == {"a": {"b": [1, 2], "c": "d"}}
    with pytest.raises(ConfigurationError, match="params"):
        parse(text(more="params = { a = 2020-01-01 }").encode(), Path("a.toml"))


def test_the_page_says_what_a_metric_means(capsys: pytest.CaptureFixture[str]) -> None:
    print_page(parse(text(YES, COSTS, weight="exposure", more='class_weight = "balanced"').encode(), Path("a.toml")))
    said = " ".join(capsys.readouterr().out.split())
    assert "cost (EUR a row): mean cost of a row in EUR: a false alarm costs 1, a missed yes 1.5" in said
    assert "chosen in each window on training rows alone" in said
    assert "exposure: how many rows a row counts as, in fitting and in judging" in said
    assert "in fitting both answers count the same" in said
    for metric, words in (('"average_precision"', "average precision: share of yes"), ('"brier"', "Brier score: mean")):
        print_page(parse(text(YES, metric).encode(), Path("a.toml")))
        assert words in " ".join(capsys.readouterr().out.split())
