"""`tally demo`: a story with everything in it, told by the real verbs, and nothing left of one that broke off."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import click.testing
import pytest
from driving import driven
from given import FIXTURES
from shell import PROGRAM, Answer, Demo, tally

from tallystick import ledger
from tallystick.ledger.errors import Refused
from tallystick.pipeline.config.load import read
from tallystick.pipeline.replay.demo import late_arrivals
from tallystick.pipeline.replay.demo.late_arrivals import ANN, BEN
from tallystick.pipeline.replay.demo.stage import FILE, FLIGHTS, Step
from tallystick.tui.cli.start.demo import demo_command

V1, V2 = "late-arrivals-v1", "late-arrivals-v2"
STORY = Path(late_arrivals.__file__).parent


def ask(demo: Demo, *question: str) -> Answer:
    return tally(demo.stand, *question, "--ledger", "tally-demo", **demo.environment)


# What is in it ---------------------------------------------------------------------------------------------


def test_the_story_is_told_while_it_is_made(demo: Demo) -> None:
    said = " ".join(demo.answer.out.split())
    for words in (
        "2013-09-03 Ann runs the pipeline on eight months of flights. logistic is chosen for late-arrivals",
        "Carla does the run again at her own desk. All 9 predictions of 3 windows are the same to the last bit.",
        "Dan asks to promote the one with the better mean. Refused. In 2013-05 small_trees predicted 0.105 too much",
        f"{V1} (logistic) becomes champion of late-arrivals: 7 of 7 gates passed.",
        "September 2013: predicted 27.4% late, 13.2% were; misses as large as in its own windows would give",
        "The level moved; recalibrating saves 15.2% of the loss.",
        f"{V2} is waived until 2013-10-31; then it counts again by itself.",
        "6 of 7 gates passed, calibration_in_large waived.",
        f"{V1} (logistic) is champion again of late-arrivals instead of {V2}: 7 of 7 gates passed.",
        "tally tui --ledger tally-demo",
    ):
        assert words in said, words


def test_the_champion_changes_and_is_rolled_back(demo: Demo) -> None:
    days = ("2013-09-04", "2013-09-30", "2013-10-31", "2013-11-06", "2013-12-31")
    with ledger.open(demo.folder) as book:
        found = [book.at(day).champion("late-arrivals") for day in days]
    assert [champion and champion.model for champion in found] == [None, V1, V2, V1, V1]
    back = ask(demo, "explain", "late-arrivals/rollback-3", "--json").json["decision"]
    assert (back["kind"], back["actor"]) == ("rollback", BEN.address)
    assert all(gate["verdict"] == "passed" and gate["waiver"] is None for gate in back["gates"])


def test_a_promotion_was_refused_and_it_is_kept_who_asked(demo: Demo) -> None:
    told = ask(demo, "explain", V2, "--as-of", "2013-09-05").out
    assert f"{V2} is small_trees, put forward beside this decision" in told
    assert "[calibration_in_large] failed: In 2013-05 small_trees predicted 0.105 too much" in told
    asked = " ".join(told.split())
    assert f"dan@example.org: Asked to promote {V2}: refused, 1 of 7 gates hold it back." in asked
    assert "Asked to promote" not in ask(demo, "explain", V2, "--as-of", "2013-09-04").out


def test_the_waiver_ends_by_itself(demo: Demo) -> None:
    def waived(day: str) -> str:
        return " ".join(ask(demo, "status", "--as-of", day).out.split())

    assert "waived" not in waived("2013-10-03")
    assert "is waived until 2013-10-31 (16 days left), ann@example.org answers for it" in waived("2013-10-15")
    ended = waived("2013-11-01")  # on which nothing was recorded
    assert f"{V2}/calibration_in_large/1, which ended on 2013-10-31: gate calibration_in_large counts again." in ended
    assert "counts again" not in waived("2013-11-06")  # the model that rested on it decides no more


def test_september_is_a_finding_and_it_is_known_how_late(demo: Demo) -> None:
    now = ask(demo, "know", "--about", "2013-09", "--json").json["periods"]
    assert [(item["status"], item["decision"]) for item in now] == [("alarm", "recalibrate")]
    assert now[0]["late_seconds"] == pytest.approx(1.36 * 86_400, rel=0.01)
    text = ask(demo, "know", "--about", "2013-09").out
    assert "watched on 2013-10-02, 1 day late: late-arrivals-v1: September 2013" in text
    assert "watched" not in ask(demo, "know", "--about", "2013-09", "--as-of", "2013-09-30").out
    said = " ".join(ask(demo, "explain", "late-arrivals/2013-09/level").out.split())
    assert "A new intercept alone would take away 15.2% of the loss." in said


def test_the_passengers_name_is_gone_and_the_rest_is_proved(demo: Demo) -> None:
    said = ask(demo, "log", "--json", "-n", "100").out
    for path in demo.folder.rglob("*"):
        # Others look at the same time: what SQLite keeps beside the views comes and goes.
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            content = path.read_bytes()
            assert b"Lopez" not in content and b"seat 14C" not in content, path
    seq = re.search(r"the content of event #(\d+) \(candidate", said)
    assert seq
    told = " ".join(ask(demo, "show", f"#{seq[1]}").out.split())
    assert "candidate.proposed, erased" in told
    assert "Privacy office, request 2013-118" in told
    verdict = ask(demo, "verify")
    assert verdict.code == 0
    assert "REPLAYED: its times are those of the story" in verdict.out
    assert f"1 redacted (#{seq[1]})" in verdict.out
    assert "VERDICT   VERIFIED" in verdict.out


def test_the_app_says_who_had_an_event_erased(demo: Demo) -> None:
    async def go() -> None:
        async with driven(demo.folder / ".tally") as app:
            await app.press("4", "/")
            await app.type("candidate.proposed")
            # The redaction that names it is the newest; what led to it is the erased event.
            page = await app.press("enter", "enter", "enter")
            assert "candidate.proposed" in page and "erased by" in page
            assert "(candidate.proposed) was erased, Privacy office, request 2013-118" in " ".join(page.split())

    asyncio.run(go())


def test_two_models_of_one_run_are_compared_by_their_own_candidates(demo: Demo) -> None:
    answer = ask(demo, "diff", V1, V2, "--exit-code")
    told = answer.out
    assert answer.code == 1
    assert "results of logistic → small_trees" in told
    assert "Over 3 windows the second saves 3.4% of the first one's loss" in told
    assert "the same, to the last bit" not in told
    assert ask(demo, "diff", V1, V1, "--exit-code").code == 0


# What is printed at the end --------------------------------------------------------------------------------


def test_the_printed_commands_answer_the_questions_from_where_one_stands(demo: Demo) -> None:
    commands = re.findall(r"^    (tally .*)$", demo.answer.out, re.MULTILINE)
    assert len(commands) == 4
    *questions, app = commands
    # As typed into a shell; only the name of the program leads to the one that is tested.
    shell = f"tally() {{ '{sys.executable}' -c '{PROGRAM[2]}' \"$@\"; }}\n"
    expected = (V2, "[calibration_in_large] failed", "are what the receipt saw, by a proof of")
    for command, words in zip(questions, expected, strict=True):
        done = subprocess.run(
            ["sh", "-c", shell + command], cwd=demo.stand, env={**os.environ, **demo.environment},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stderr)
        assert words in done.stdout, command
    assert app == "tally tui --ledger tally-demo"


def test_a_second_story_in_the_same_folder_is_refused(demo: Demo) -> None:
    before, log = sorted(demo.stand.iterdir()), (demo.folder / ".tally" / "ledger.db").read_bytes()
    again = tally(demo.stand, "demo", **demo.environment)
    assert again.code == 1
    assert "There is something in tally-demo already" in again.err
    assert "tally status --ledger tally-demo" in again.err
    assert (sorted(demo.stand.iterdir()), (demo.folder / ".tally" / "ledger.db").read_bytes()) == (before, log)


# Breaking off ----------------------------------------------------------------------------------------------


def test_ctrl_c_leaves_nothing(tmp_path: Path, own_home: Path) -> None:
    # What a shell starts in the background ignores SIGINT, and so would everything started from it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    stand = tmp_path / "stand"
    stand.mkdir()
    process = subprocess.Popen(
        [*PROGRAM, "demo"], cwd=stand, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list(stand.glob(".tally-demo-*/flights/2013-08.parquet")):
        assert time.monotonic() < deadline, process.communicate()
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    assert not (stand / "tally-demo").exists()
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Nothing of the story is left." in err
    assert "Traceback" not in err
    assert list(stand.iterdir()) == []
    assert [path for path in own_home.rglob("*") if path.suffix in (".key", ".checkpoint", ".json")] == []


def one_step(monkeypatch: pytest.MonkeyPatch, *steps: Step) -> None:
    monkeypatch.setattr(late_arrivals, "STEPS", steps)


def test_a_story_that_goes_otherwise_leaves_nothing(tmp_path: Path, own_home: Path) -> None:
    def otherwise(*_: object) -> str:
        raise Refused("no gate held it back")

    with pytest.MonkeyPatch.context() as patch:
        one_step(patch, Step("2013-09-03 09:12", ANN, "arrives", otherwise))
        done = click.testing.CliRunner().invoke(demo_command, [str(tmp_path / "story")])
    assert isinstance(done.exception, Refused)
    assert list(tmp_path.iterdir()) == []
    assert list(own_home.rglob("*.key")) == []


def test_as_json_it_is_one_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def arrive(stage: late_arrivals.Stage, book: object) -> str:
        stage.arrive("2013-01")
        return "The flights of January are here."

    one_step(monkeypatch, Step("2013-09-03 09:12", ANN, "arrives", arrive))
    done = click.testing.CliRunner().invoke(demo_command, [str(tmp_path / "story"), "--json"])
    told = json.loads(done.stdout)
    assert told["schema"] == "tally.demo/1"
    assert [(step["by"], step["doing"], step["at"]) for step in told["steps"]] == [
        ("ann@example.org", "arrives", "2013-09-03T09:12:00-04:00")
    ]
    assert len(told["questions"]) == 3
    assert told["receipt"]["line"].startswith(f"receipt {told['origin']}@")
    assert (tmp_path / "story" / "flights" / "2013-01.parquet").is_file()


def test_a_folder_that_cannot_be_made_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    answer = tally(tmp_path, "demo", "file/below")
    assert answer.code == 2
    assert "No folder can be made in file" in answer.err


# What it is made from --------------------------------------------------------------------------------------


def test_the_installed_package_brings_the_flights(tmp_path: Path) -> None:
    """Whoever has only the package has the same bytes as the fixture, whose provenance is written beside it."""
    assert (STORY / FLIGHTS).read_bytes() == (FIXTURES / FLIGHTS).read_bytes()
    assert read(STORY / FILE).settings.data.source == "parquet:flights/*.parquet"
    built = (Path(__file__).parent.parent.parent / "pyproject.toml").read_text()
    assert f'"tallystick.pipeline.replay.demo" = ["{FILE}", "{FLIGHTS}"]' in built
