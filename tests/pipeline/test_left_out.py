"""Short pipeline files: what is left out has one meaning, which spelling it out does not change."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline.config.left_out import twice
from tallystick.pipeline.config.load import ConfigurationError, LoadedPipeline, read
from tallystick.pipeline.config.proposed import confirmed, proposed_in

SHORT = """\
schema = 1
name   = "churn"
owner  = "ann@example.org"

[questions]
decision      = "Should we call this customer?"
unit          = "one customer and month"
prediction_at = "month"
cost_of_wrong = "A call costs 5 euros; a customer lost costs 200."

[data]
source = "csv:customers.csv"
target = { column = "left", rule = "== 1", positive = "left" }
key    = ["month", "customer"]
why    = "All customers since 2020."

[data.features]
"age, calls" = { known_at = "month" }

[time]
column      = "month"
timezone    = "Europe/Berlin"
window      = "1 month"
first_test  = 2021-01-01
last_test   = 2021-12-01
label_delay = "31d"
why         = "The list is made each month."

[candidates.base_rate]
estimator  = "sklearn.dummy:DummyClassifier"
complexity = 0
role       = "reference"
why        = "The share so far."

[candidates.linear]
estimator  = "pipeline.recipes:linear"
complexity = 1
why        = "Its coefficients can be read."
"""
SPELT_OUT = {
    'why         = "The list is made each month."': (
        'why = "The list."\ntrain = "expanding"\ngap = "0d"\nrefit = "every window"\n'
        '[time.final]\ntest = ["2021-12"]\nlooks = 1\nwhy = "One honest answer."'
    ),
    'cost_of_wrong = "A call costs 5 euros; a customer lost costs 200."': (
        'cost_of_wrong = "It costs."\nused_for = "a month"\nnot_for = []'
    ),
    'why        = "Its coefficients can be read."\n': """why = "It can be read."
[selection]
metric = "log_loss"
rule = "stable_among_equals"
margin = 0.005
confidence = 0.9
resample = "day"
seed = 1
why = "x"
[gates]
worst_window_gain = { at_least = 0.0, why = "x" }
leakage = { must = "pass", why = "x" }
reproduced = { must = "identical predictions", tolerance = 1e-9, why = "x" }
final_test = { must = "looked at once", drop_at_most = "2 standard errors", why = "x" }
[validity]
valid_for = "62 days"
outside = "refuse"
why = "x"
[automation]
level = "manual"
why = "x"
[monitoring]
every = "1 month"
compare_to = "same windows of the model's own back-test"
segments = []
min_rows = 100
notice = "fewer than 1 in 10 quiet periods"
alarm = "fewer than 1 in 100 quiet periods"
estimate_before_labels = true
why = "x"
""",
}


def reading(folder: Path, text: str) -> LoadedPipeline:
    path = folder / "churn.toml"
    path.write_text(text)
    return read(path)


def spelt_out() -> str:
    text = SHORT
    for short, long in SPELT_OUT.items():
        assert short in text
        text = text.replace(short, long)
    return text


def test_a_file_of_forty_lines_is_sound_and_says_what_it_left_out(tmp_path: Path) -> None:
    assert len(SHORT.splitlines()) <= 40
    short = reading(tmp_path, SHORT)
    assert {"time.final.test", "gates.leakage.must", "selection.metric", "validity.valid_for"} <= set(short.defaulted)
    assert short.settings.time.final.test == ["2021-12"]


def test_spelling_the_defaults_out_changes_no_meaning(tmp_path: Path) -> None:
    short, long = reading(tmp_path, SHORT), reading(tmp_path, spelt_out())
    assert short.meaning == long.meaning
    assert short.meaning_hash == long.meaning_hash
    assert not {"gates.leakage.must", "time.gap", "validity.valid_for"} & set(long.defaulted)


@pytest.mark.parametrize("section", ["selection", "gates", "validity", "automation", "monitoring"])
def test_each_section_can_be_left_out_by_itself(section: str, tmp_path: Path) -> None:
    without = re.sub(rf"^\[{section}\]\n(?:(?!\[).*\n)*", "", spelt_out(), flags=re.MULTILINE)
    assert f"[{section}]" not in without
    loaded = reading(tmp_path, without)
    assert loaded.meaning_hash == reading(tmp_path, SHORT).meaning_hash
    assert any(name.startswith(f"{section}.") for name in loaded.defaulted)


def test_a_section_that_is_there_is_not_completed(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"\[validity\] must say valid_for"):
        reading(tmp_path, SHORT + '[validity]\noutside = "refuse"\nwhy = "x"\n')


def test_a_target_that_is_a_number_is_judged_by_squared_error(tmp_path: Path) -> None:
    text = SHORT.replace(', rule = "== 1", positive = "left"', "").replace("DummyClassifier", "DummyRegressor")
    assert reading(tmp_path, text).settings.selection.metric == "squared_error"


@pytest.mark.parametrize(
    ("window", "length"),
    [("1 month", "62 days"), ("1 week", "14 days"), ("7 steps", "14 steps"), ("1 year", "744 days")],
)
def test_a_model_is_valid_for_twice_a_window(window: str, length: str) -> None:
    assert twice(window) == length


# Proposed settings ------------------------------------------------------------------------------------------

PROPOSED = SHORT + '\n[proposed]   # a remark\nsettings = [\n  "time.label_delay",\n  "candidates.linear",\n]\n'


def test_what_is_proposed_belongs_to_no_configuration(tmp_path: Path) -> None:
    loaded = reading(tmp_path, PROPOSED)
    assert loaded.settings.proposed is not None
    assert loaded.meaning_hash == reading(tmp_path, SHORT).meaning_hash
    assert proposed_in(PROPOSED) == ["time.label_delay", "candidates.linear"]
    assert proposed_in(SHORT) == proposed_in("= = =") == []


def test_a_proposed_setting_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"Did you mean time\.label_delay\?"):
        reading(tmp_path, PROPOSED.replace("time.label_delay", "time.label_dela"))


def test_confirming_takes_a_name_off_the_list_and_changes_nothing_else(tmp_path: Path) -> None:
    once = confirmed(PROPOSED, ["time.label_delay"])
    assert proposed_in(once) == ["candidates.linear"]
    assert once.startswith(SHORT)
    both = confirmed(once, ["candidates.linear"])
    assert proposed_in(both) == []
    assert reading(tmp_path, both).meaning_hash == reading(tmp_path, SHORT).meaning_hash
    with pytest.raises(InvalidInput, match="not listed"):
        confirmed(both, ["candidates.linear"])


# All mistakes at once ---------------------------------------------------------------------------------------


def test_an_absent_section_hides_no_mistake_of_the_others(tmp_path: Path) -> None:
    text = re.sub(r"^\[time\]\n(?:(?!\[).*\n)*", "", SHORT, flags=re.MULTILINE)
    text = text.replace('role       = "reference"\n', "").replace('"== 1"', '"is 1"').replace("linear]", "'lin ear']")
    with pytest.raises(ConfigurationError) as caught:
        reading(tmp_path, text)
    said = "\n".join(mistake.words for mistake in caught.value.mistakes)
    for expected in (
        "the file must say time. Write [time] with column, timezone, window, first_test, last_test",
        "exactly one candidate has role",
        "'is 1' is not a rule",
        "'lin ear' cannot name a candidate",
    ):
        assert expected in said, said
