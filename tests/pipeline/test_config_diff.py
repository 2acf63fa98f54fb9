"""Differences between pipeline files: classes, and which way a threshold went."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest
from given import FIXTURES
from hypothesis import given
from hypothesis import strategies as st

from tallystick.pipeline.config.diff import config_changes
from tallystick.pipeline.config.load import read

PLAIN: dict[str, Any] = msgspec.to_builtins(read(FIXTURES / "late-arrivals.toml").settings)


def changed(path: str, value: Any) -> dict[str, Any]:
    other = copy.deepcopy(PLAIN)
    *parents, last = path.split(".")
    table: Any = other
    for key in parents:
        table = table[key]
    table[last] = value
    return other


@pytest.mark.parametrize(
    ("path", "value", "group", "strictness"),
    [
        ("questions.decision", "Should we cancel?", "question", None),
        ("data.source", "csv:x.csv", "evidence", None),
        ("time.gap", "1d", "evidence", "tightened"),
        ("time.min_rows", 1, "evidence", "loosened"),
        ("time.final.looks", 3, "evidence", "loosened"),
        ("candidates.logistic.complexity", 9, "candidates", None),
        ("data.target.rule", "> 30", "question", None),
        ("selection.confidence", 0.99, "evidence", "tightened"),
        ("gates.beats_reference_in.at_least", "5 of 7 windows", "policy", "loosened"),
        ("gates.worst_window_gain.at_least", 0.1, "policy", "tightened"),
        ("gates.worst_window_gain.at_least", -0.1, "policy", "loosened"),
        ("gates.optimism_gap.at_most", 0.5, "policy", "loosened"),
        ("gates.calibration_in_large", None, "policy", "loosened"),
        ("gates.reproduced.must", "equal within tolerance", "policy", "loosened"),
        ("gates.final_test.drop_at_most", "1 standard error", "policy", "tightened"),
        ("validity.valid_for", "10 years", "policy", "loosened"),
        ("validity.outside", "warn", "policy", "loosened"),
        ("automation.level", "auto_refit", "policy", "loosened"),
        ("automation.unlock.approved_by", 1, "policy", "loosened"),
        ("automation.relock_on", ["alarm"], "policy", "loosened"),
        ("monitoring.alarm", "never", "policy", None),
        ("gates.optimism_gap.why", "because", "words", None),
        ("owner", "somebody@example.org", "words", None),
    ],
)
def test_each_change_has_its_class_and_direction(path: str, value: Any, group: str, strictness: str | None) -> None:
    (change,) = config_changes(PLAIN, changed(path, value))
    assert (change.name, change.group, change.strictness) == (path, group, strictness)
    assert change.new == value
    (back,) = config_changes(changed(path, value), PLAIN)
    assert back.strictness == {"loosened": "tightened", "tightened": "loosened", None: None}[strictness]


def test_a_parameter_may_bear_any_name() -> None:
    other = copy.deepcopy(PLAIN)
    other["candidates"]["logistic"]["params"]["why"] = 1
    (change,) = config_changes(PLAIN, other)
    assert (change.group, change.added, change.removed) == ("candidates", True, False)


def test_a_new_candidate_and_a_dropped_one() -> None:
    other = copy.deepcopy(PLAIN)
    other["candidates"]["forest"] = other["candidates"].pop("big_trees")
    changes = {change.name: change for change in config_changes(PLAIN, other)}
    assert changes["candidates.big_trees"].removed
    assert changes["candidates.forest"].added


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["gates", "time", "data", "x"]), values, max_size=4))
def test_nothing_differs_from_itself_and_any_change_is_found(config: dict[str, Any]) -> None:
    assert config_changes(config, copy.deepcopy(config)) == []
    assert config_changes(config, {**config, "name": object})
