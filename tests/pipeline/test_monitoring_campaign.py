"""The simulation of the monitoring rules, sampled: it fails where quiet periods alarm or large causes are missed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "campaigns"))
import monitoring as campaign

SAMPLED = ("0.2 / 8 windows / 3,000 rows", "0.02 / 8 windows / 3,000 rows", "squared normal / 8 windows / 3,000 rows",
           "absolute t(4) / 5 windows / 300 rows", "squared, loss grows, 8 windows", "0.2, one cluster")  # fmt: skip
WORLDS = {world.name: world for world in campaign.worlds() if world.name in SAMPLED}


def test_quiet_periods_are_hardly_ever_an_alarm() -> None:
    """Of 72 periods at most 2 alarms and 14 notices: with the rates of the law, fewer than 1 in 30 samples has more."""
    found = [campaign.quiet(world, range(1_000, 1_012)) for world in WORLDS.values()]
    assert len(found) == len(SAMPLED)
    assert sum(item["alarm"] for item in found) <= 2
    assert sum(item["false notice"] for item in found) <= 14


@pytest.mark.parametrize("name", ["0.2 / 8 windows / 3,000 rows", "squared normal / 8 windows / 3,000 rows"])
def test_large_causes_are_decided_right(name: str) -> None:
    for cause, found in campaign.causes(WORLDS[name], range(1_000, 1_006)).items():
        assert found["detectable"] >= 5, cause
        assert found["right"] >= 5, (cause, found)


def test_a_year_of_quiet_periods_rarely_has_an_alarm() -> None:
    """Of 10 series at most 3 with an alarm."""
    world = WORLDS["0.2 / 8 windows / 3,000 rows"]._replace(rows=1_000)
    assert campaign.series(world, range(2_000, 2_010))["any"] <= 3


def test_the_bounds_of_the_campaign_can_be_broken() -> None:
    """What the tables rest on: a rule that alarms at one in three is found out."""
    assert campaign.lower_bound(30, 90) > 0.10
    assert campaign.upper_bound(0, 1_000) < 0.01
    assert campaign.upper_bound(9, 10) < 1.0
    loose = campaign.World("loose", 0.2, 6, 600)
    alarms = 0
    for seed in range(20):
        life = campaign.live_a_life(loose, seed)
        rules = campaign.Thresholds(notice_p=0.9, alarm_p=0.8)
        own = campaign.own_of(life)
        judged = campaign.judge(
            loose.ground._replace(rules=rules), campaign.month_of(life, 6), campaign.ComparedWith(own, 6.0)
        )
        alarms += campaign.OUTCOMES[campaign.verdict_of(judged)][0] == "alarm"
    assert alarms >= 5
