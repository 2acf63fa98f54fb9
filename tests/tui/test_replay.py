"""A few months lived again, as a person tells them: real processes, a third of the real sample.

One story is told once for all tests that look at it. The nine months of the whole sample are a campaign:
``TALLY_FULL=1 pytest -m slow tests/tui/test_replay.py``.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from given import FIXTURES
from shell import PROGRAM, Answer, tally
from tiny import silent, tiny

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput, NotFound
from tallystick.ledger.events import types as say
from tallystick.ledger.events.commit import decode_head, to_micros
from tallystick.ledger.system.replay_clock import StoryClock
from tallystick.pipeline.config.load import read
from tallystick.pipeline.config.windows import periods_between
from tallystick.pipeline.evaluate.result_cache import Remembered
from tallystick.pipeline.replay import replay as telling
from tallystick.pipeline.replay.chapters import Grants, refuse_unfit_grants
from tallystick.pipeline.replay.chapters import telling as telling_of

GRANTS = (
    *("--waive", "beats_reference_in", "--waive", "worst_window_gain", "--waive", "calibration_in_large"),
    *("--waive", "final_test", "--owner", "ann", "--approver", "ben", "--waive-for", "28 days"),
    *("--reason", "a small sample; the sealed month has not been lived yet", "--signed-by", "eve"),
)
MONTHS = ("--from", "2013-07", "--to", "2013-12")
AUTOMATION = 'stable_windows = 1, without = ["alarm"], approved_by = 1'
Story = tuple[Path, dict[str, str], Answer]


def pipeline_file(folder: Path) -> Path:
    """Two candidates, three windows and a sealed one; automation that one quiet month and one signature unlock."""
    final_test = 'final_test = { must = "looked at once", drop_at_most = "2 standard errors", why = "once" }\n'
    changes = {
        "test = []": 'test = ["2013-11"]',
        "last_test   = 2013-10-01": "last_test   = 2013-11-01",
        "reproduced           =": f"{final_test}reproduced           =",
        'level     = "manual"': 'level     = "auto_refit"',
        'stable_windows = 6, without = ["waiver", "alarm"], approved_by = 2': AUTOMATION,
        'relock_on = ["alarm", "schema change", "waiver", "gate failed"]': 'relock_on = ["alarm"]',
    }
    return tiny(folder, **changes)


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """July to December 2013, told once."""
    folder, home = tmp_path_factory.mktemp("story"), tmp_path_factory.mktemp("home")
    environment = {
        "XDG_CONFIG_HOME": str(home / "c"),
        "XDG_STATE_HOME": str(home / "s"),
        "TALLY_ACTOR": "ann@example.org",
    }
    pipeline_file(folder)
    answer = tell(folder, "told", environment)
    assert answer.code == 0, answer.err
    return folder, environment, answer


def tell(folder: Path, into: str, environment: dict[str, str], *arguments: str) -> Answer:
    return tally(
        folder, "replay", "tiny.toml", *MONTHS, *GRANTS, "--workers", "1", "--into", into, *arguments, **environment
    )


def ask(story: Story, *arguments: str) -> Any:
    answer = tally(story[0], *arguments, "--ledger", "told", "--json", **story[1])
    assert answer.code == 0, answer.err
    return answer.json


def test_each_month_says_what_happened_in_it(story: Story) -> None:
    flat = " ".join(story[2].out.split())
    months = dict(zip(("start", "07", "08", "09", "10", "11", "12"), flat.split(", looked at on "), strict=True))
    assert "REPLAYED CLOCK" in months["start"]
    assert "Nothing could happen: 2013-08, the first window that the file tests, has not been lived" in months["07"]
    for month in ("08", "09"):
        assert "a choice needs at least 3" in months[month]
        assert "There is no champion yet, so nothing was watched." in months[month]
        assert months[month].count("Nobody is chosen") == 1
    assert "was done again: identical" in months["10"]
    assert "excused until 2013-11-30 from calibration_in_large, final_test; ann answers" in months["10"]
    assert "late-arrivals-v1 (logistic) becomes champion" in months["10"]
    assert "Look 1" not in months["10"]  # the sealed month had not been lived
    assert "Watched late-arrivals-v1, quiet" in months["11"]
    assert "Look 1 of 1: on the 1 sealed window (2013-11)" in months["11"]
    assert "becomes champion of late-arrivals instead of late-arrivals-v1" in months["11"]
    assert (
        "Automation goes from manual to suggest: 1 quiet period in a row, 1 asked for; signed by eve." in months["11"]
    )
    assert "Watched late-arrivals-v2, alarm" in months["12"]
    # 18% of the pressures are missing, at most 10% in the own windows: up to 20% may be chance in 362 rows, with 30
    # shares asked about, so the data is not at fault. The level is, at 31.8% late, and a new champion is fitted.
    assert (
        "predicted 22.3% late, 31.8% were; misses as large as in its own windows would give 9.2% to 21.3%"
        in months["12"]
    )
    assert "late-arrivals-v3 (logistic) becomes champion of late-arrivals instead of late-arrivals-v2" in months["12"]
    assert "Automation fell back from suggest to manual" in months["12"]


def test_it_ends_with_a_table(story: Story) -> None:
    lines = [line.split("\t") for line in story[2].out.splitlines() if "\t" in line]
    assert lines == [
        ["month", "watched", "run", "champion", "gates not passed, (excused)"],
        ["2013-07", "", "", "nobody", ""],
        ["2013-08", "", "too-few-windows", "nobody", ""],
        ["2013-09", "", "too-few-windows", "nobody", ""],
        ["2013-10", "", "chosen", "late-arrivals-v1, new", "(calibration_in_large), (final_test)"],
        ["2013-11", "quiet", "champion-kept", "late-arrivals-v2, new", "(calibration_in_large)"],
        ["2013-12", "alarm", "champion-kept", "late-arrivals-v3, new", "(calibration_in_large), (final_test)"],
    ]


def test_told_to_its_end_it_is_only_read(story: Story) -> None:
    with ledger.open(story[0] / "told") as book:
        before = book.log.size()
    again = tell(story[0], "told", story[1], "--json").json
    with ledger.open(story[0] / "told") as book:
        assert book.log.size() == before
    assert again["story"][:16] in story[2].out
    assert again["clock"] == "replayed"
    assert [month["champion"] for month in again["months"]] == [
        *[None] * 3,
        "late-arrivals-v1",
        "late-arrivals-v2",
        "late-arrivals-v3",
    ]
    flat = " ".join(story[2].out.split())
    assert all(line in flat for month in again["months"] for line in month["lines"])


@pytest.mark.parametrize(
    ("when", "champion", "excused", "finding"),
    [
        ("2013-10-31", None, [], None),
        ("2013-11-15", "late-arrivals-v1", ["calibration_in_large", "final_test"], None),
        ("2013-12-31", "late-arrivals-v2", [], "quiet"),
        ("2014-01-02", "late-arrivals-v3", ["calibration_in_large", "final_test"], "alarm"),
    ],
)
def test_any_date_inside_it_is_answered(
    story: Story, when: str, champion: str | None, excused: list[str], finding: str | None
) -> None:
    status = ask(story, "status", "--as-of", when)
    assert status["clock"] == "replayed"
    assert [waiver["name"] for waiver in status["waivers"]] == excused
    assert [period["status"] for period in status["watched"]] == ([finding] if finding else [])
    # The exceptions of the second champion ended on 30 December; it rests on one that is over until the third comes.
    assert len(status["expired"]) == (when == "2013-12-31")
    found = ask(story, "champion", "late-arrivals", "--as-of", when)["champion"]
    assert (found and found["model"]) == champion
    if champion is not None:
        why = tally(story[0], "why", "late-arrivals.champion", "--ledger", "told", "--as-of", when, **story[1])
        assert "the replay of ann@example.org" in why.out
        assert "As tiny.toml rules after 2013-1" in " ".join(why.out.split())


def test_it_says_everywhere_that_its_clock_was_replayed(story: Story) -> None:
    verified = tally(story[0], "verify", "--ledger", "told", **story[1])
    assert "REPLAYED" in verified.out
    assert "VERIFIED" in verified.out
    for command in (("status",), ("log",), ("champion", "late-arrivals"), ("models",)):
        answer = tally(story[0], *command, "--ledger", "told", **story[1])
        assert "REPLAYED CLOCK" in answer.err + answer.out, command
    for command in (("champion", "late-arrivals"), ("models",), ("audit",), ("know", "--about", "2013-08")):
        said = tally(story[0], *command, "--ledger", "told", "--json", **story[1])
        assert said.json["as_of"]["clock"] == "replayed", command


def test_nothing_is_known_before_its_time(story: Story) -> None:
    with ledger.open(story[0] / "told") as book:
        runs = 0
        for entry in book.events():
            body, about = entry.event.body, entry.event.about
            if isinstance(body, say.RunStarted):
                runs, known = runs + 1, body.labels_as_of
                assert known < entry.recorded_at
            if isinstance(body, say.SliceTaken):
                assert about.observed_in[1] <= known
            if isinstance(body, say.CandidateRefitted):
                assert about.trained_on[1] <= known
            if isinstance(body, say.PeriodMonitored):
                model = book.at(f"#{entry.seq}").model(body.model)
                assert model.trained_on[1] <= about.observed_in[0] < about.observed_in[1] <= body.labels_as_of
        assert runs == 5


def test_what_was_not_fitted_again_is_said(story: Story) -> None:
    with ledger.open(story[0] / "told") as book:
        notes = [decode_head(book.log.commit(n).head).note for n in range(book.log.size())]
    taken_over = "not fitted again, the same rows were judged before: base_rate, logistic"
    # One window of the second run, two of the third, three each of the fourth and the fifth.
    assert notes.count(taken_over) == 9
    assert "from 2013-07; excused by name" in str(notes[1]).replace(": excused", "; excused")


def test_a_story_that_is_killed_goes_on_and_is_the_same(story: Story) -> None:
    folder, environment, told = story
    command = [*PROGRAM, "replay", "tiny.toml", *MONTHS, *GRANTS, "--workers", "1", "--into", "killed"]
    process = subprocess.Popen(
        command, cwd=folder, env={**os.environ, **environment}, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 240
        while not has_begun(folder / "killed", "2013-10-02.1"):
            assert process.poll() is None, "it was over before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    other = tally(folder, "replay", "tiny.toml", *MONTHS, "--into", "killed", **environment)
    assert other.code == 1
    assert "tells another story" in other.err
    again = tell(folder, "killed", environment, "--json").json
    assert again["story"][:16] in told.out
    september = again["months"][2]
    assert september["run"] == "2013-10-02.2"
    assert any("broke off" in line and "was done again" in line for line in september["lines"])


def test_a_part_of_a_story_has_the_hash_of_that_part(story: Story) -> None:
    """Told to July only, in one folder anew and in the other where December was told already."""
    folder, environment, whole = story
    july = ("--from", "2013-07", "--to", "2013-07", *GRANTS, "--json")
    part, anew = (
        tally(folder, "replay", "tiny.toml", *july, "--workers", "1", "--into", into, **environment).json
        for into in ("told", "july")
    )
    assert part["story"] == anew["story"]
    assert part["story"][:16] not in whole.out


def test_a_month_beyond_the_data_says_so(story: Story) -> None:
    folder, environment, _ = story
    beyond = ("--from", "2014-01", "--to", "2014-01", "--json")
    told = tally(folder, "replay", "tiny.toml", *beyond, "--workers", "1", "--into", "beyond", **environment).json
    said = "The data has no rows of 2014-01: its last is of 2013-12-31."
    assert said in told["months"][0]["lines"]
    assert not any(
        "has no rows" in line for line in tell(folder, "told", environment, "--json").json["months"][-1]["lines"]
    )


def test_two_do_not_tell_one_story_at_once(story: Story) -> None:
    folder, environment, _ = story
    with ledger.open(folder / "told") as book, telling_of(book):
        second = tell(folder, "told", environment)
    assert second.code == 5
    assert "is telling this story just now" in second.err


def test_what_was_told_ends_with_where_to_look(story: Story) -> None:
    """As of the month's name is before the month was looked at."""
    folder, environment, answer = story
    line = next(line for line in answer.out.splitlines() if "tally status" in line)
    assert line.endswith("--ledger told --as-of 2014-01-02")
    assert "tally report late-arrivals --ledger told --as-of 2014-01-02" in answer.out
    shown = tally(folder, *line.split()[1:], "--json", **environment).json
    assert [item["label"] for item in shown["watched"]] == ["2013-12"]


def has_begun(folder: Path, run: str) -> bool:
    try:
        with ledger.open(folder) as book:
            return book.log.last_seq_of(f"run:{run}") is not None
    except ledger.TallyError:
        return False


def test_a_live_ledger_is_refused_and_so_is_what_could_not_be_lived(tmp_path: Path) -> None:
    pipeline_file(tmp_path)
    assert tally(tmp_path, "init", "live").code == 0
    live = tally(tmp_path, "replay", "tiny.toml", *MONTHS, "--into", "live")
    assert live.code == 1
    assert "is a live one" in live.err
    with ledger.open(tmp_path / "live") as book:
        assert book.log.size() == 1
    for arguments, code, words in (
        (("--from", "2013-08", "--to", "2031-07"), 2, "2031-07 cannot be lived again yet"),
        ((*MONTHS, "--reason", "because"), 2, "go with --waive"),
        ((*MONTHS, "--waive", "leakage", "--owner", "ann", "--approver", "Ann"), 1, "cannot approve what they answer"),
    ):
        answer = tally(tmp_path, "replay", "tiny.toml", *arguments, "--into", "none")
        assert answer.code == code, answer.err
        assert words in answer.err
        assert not (tmp_path / "none" / ".tally").exists()


def test_months_follow_each_other_and_gates_have_names(tmp_path: Path) -> None:
    loaded = read(pipeline_file(tmp_path))
    found = periods_between(loaded.settings.time, "2013-11", "2014-02")
    assert [window.label for window in found] == ["2013-11", "2013-12", "2014-01", "2014-02"]
    assert all(one.end == other.start for one, other in itertools.pairwise(found))
    with pytest.raises(InvalidInput, match="lies before"):
        periods_between(loaded.settings.time, "2013-08", "2013-07")
    with pytest.raises(InvalidInput, match="is not a period of 1 month"):
        periods_between(loaded.settings.time, "August", "2013-09")
    weeks = msgspec.structs.replace(loaded.settings.time, window="2 weeks")
    assert [window.label for window in periods_between(weeks, "2013-08-05", "2013-08-19")] == [
        "2013-08-05",
        "2013-08-19",
    ]
    with pytest.raises(InvalidInput, match="no window begins at 2013-08-12"):
        periods_between(weeks, "2013-08-05", "2013-08-12")
    with pytest.raises(NotFound, match="has no gate 'leakige'"):
        refuse_unfit_grants(loaded, Grants(waive=("leakige",)))


def test_at_auto_refit_a_champion_is_refitted_where_the_rule_chose_nobody(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, environment, _ = story
    shutil.copytree(folder / "told", tmp_path / "told")
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, environment[name])
    loaded = read(folder / "tiny.toml")
    september = periods_between(loaded.settings.time, "2013-09", "2013-09")[0]
    with ledger.open(tmp_path / "told") as book:
        clock = StoryClock(book.now().as_of.recorded_at)
    with ledger.open(tmp_path / "told", clock=clock) as book:
        teller = telling.Teller(book, clock, loaded, Grants(), (), 1, silent, Remembered())
        nobody = book.now().run("2013-10-02.1")
        assert telling._put_forward(teller, september, nobody) is None
        unlocked = say.AutomationChanged(
            automation="late-arrivals", pipeline="late-arrivals", level="auto_refit", before="manual",
            quiet_periods=1, needed=1, approvers=["eve"], reason="it was quiet",
        )  # fmt: skip
        book.append(unlocked)
        made = telling._put_forward(teller, september, nobody)
        assert made is not None
        assert (made.candidate, made.status) == ("logistic", "candidate")
        assert "auto_refit" in str(made.proposal)
        assert to_micros(made.trained_on[1]) <= september.end
        # Nothing is promoted by itself, and asked again it is there already.
        assert book.now().champion("late-arrivals").model == "late-arrivals-v3"
        assert telling._put_forward(teller, september, nobody) == made


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("TALLY_FULL") != "1", reason="two tellings of a minute: TALLY_FULL=1 pytest -m slow")
def test_nine_months_of_the_whole_sample_are_the_same_when_told_again(tmp_path: Path) -> None:
    grants = [name for name in GRANTS if name not in ("--signed-by", "eve")]
    file, told = str(FIXTURES / "late-arrivals.toml"), []
    for into in ("one", "two"):
        answer = tally(
            tmp_path, "replay", file, "--from", "2013-04", "--to", "2013-12", *grants, "--into", into, "--json"
        )
        assert answer.code == 0, answer.err
        told.append(answer.json)
    assert told[0]["story"] == told[1]["story"]
    assert told[0]["months"] == told[1]["months"]
    assert [month["champion"] for month in told[0]["months"][4:6]] == [None, "late-arrivals-v1"]
    assert msgspec.json.encode(told[0]["months"]).count(b"identical") >= 2
