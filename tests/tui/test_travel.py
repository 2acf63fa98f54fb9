"""The life of the flights' models, told at dates of our own, and asked about from its past."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path

import histories
import msgspec
import pandas as pd
import pytest
from given import FIXTURES
from older import set_aside
from shell import PROGRAM, Answer, tally
from terminal import on_a_terminal

from tallystick import ledger
from tallystick.ledger.events import types as say
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.system.provenance import Recorder
from tallystick.pipeline.config.load import read
from tallystick.pipeline.records.frames import table
from tallystick.pipeline.runs.run import run


class Calendar:
    """A clock that is set to a day and goes on by a second with every look."""

    is_live = False

    def __init__(self) -> None:
        self.now = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)

    def __call__(self) -> dt.datetime:
        self.now += dt.timedelta(seconds=1)
        return self.now

    def set(self, day: str) -> None:
        self.now = dt.datetime.fromisoformat(f"{day}T12:00:00+00:00")


def smaller(folder: Path) -> tuple[Path, Path]:
    """The sample's pipeline without its slow candidate; and one that stops one leaf earlier, with a gate loosened."""
    text = re.sub(
        r"\[candidates\.big_trees\].*?(?=\[selection\])",
        "",
        (FIXTURES / "late-arrivals.toml").read_text(),
        flags=re.DOTALL,
    )
    shutil.copy(FIXTURES / "late-arrivals.parquet", folder)
    (folder / "first.toml").write_text(text)
    changed = text.replace("max_leaf_nodes = 15", "max_leaf_nodes = 14").replace(
        "optimism_gap         = { at_most = 0.05", "optimism_gap         = { at_most = 0.08"
    )
    # Without another reason a looser gate is refused.
    changed = changed.replace("A larger gap means that", "One window more has shown that a larger gap means that")
    assert changed.count("14") and "0.08" in changed
    (folder / "second.toml").write_text(changed)
    return folder / "first.toml", folder / "second.toml"


def promote(book: ledger.Ledger, model: str, previous: str | None, reason: str) -> int:
    state = book.now().model(model)
    body = say.ModelPromoted(
        model=model, pipeline="late-arrivals", previous=previous, run=state.made_by_run, decision=state.made_by_run,
        reason=reason,
    )  # fmt: skip
    cause = (book.log.event(state.made_by_event).id.hex(),)
    return book.append(Draft(body, cause=cause), sign=True).last_seq


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str], int]:
    """A ledger of the flights:

    2026-03-01  run 1 chooses small_trees: late-arrivals-v1
    2026-04-10  ann promotes late-arrivals-v1
    2026-05-20  run 2, a leaf fewer and a gate loosened: late-arrivals-v2
    2026-06-15  ben promotes late-arrivals-v2
    2026-07-01  ben's promotion is corrected: it was meant for another pipeline
    """
    folder, home = tmp_path_factory.mktemp("flights"), tmp_path_factory.mktemp("home")
    environment = {
        "XDG_CONFIG_HOME": str(home / "c"),
        "XDG_STATE_HOME": str(home / "s"),
        "TALLY_ACTOR": "eve@example.org",
    }
    clock = Calendar()
    first, second = smaller(folder)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.delenv("SSH_AUTH_SOCK", raising=False)

        def recorder(name: str) -> Recorder:
            return Recorder(actor=f"{name}@example.org", user="u", host="h", tool="t")

        def acting(name: str) -> ledger.Ledger:
            return ledger.open(folder, clock=clock, recorder=recorder(name))

        ledger.create(folder, timezone="America/New_York", clock=clock, recorder=recorder("ann")).close()
        with acting("ann") as book:
            run(book, read(first), workers=1, on_outline=lambda _: None, on_progress=lambda *_: None)
            clock.set("2026-04-10")
            promote(book, "late-arrivals-v1", None, "steady from May on")
            clock.set("2026-05-20")
            run(book, read(second), workers=1, on_outline=lambda _: None, on_progress=lambda *_: None)
        with acting("ben") as book:
            clock.set("2026-06-15")
            mistake = promote(book, "late-arrivals-v2", "late-arrivals-v1", "by mistake")
        with acting("ann") as book:
            clock.set("2026-07-01")
            set_aside(book, mistake, "meant for another pipeline")
    return folder, environment, mistake


def ask(told: tuple[Path, dict[str, str], int], *arguments: str) -> Answer:
    folder, environment, _ = told
    return tally(folder, *arguments, **environment)


def test_three_dates_of_the_flights_are_answered_rightly(told: tuple[Path, dict[str, str], int]) -> None:
    # By hand from the events above: nobody before 10 April; v1 from that day's promotion on; v2 from 15 June on; and,
    # known since 1 July, v1 again, by the promotion of 10 April.
    expected = {
        "2026-03": None,
        "2026-05-31": ("late-arrivals-v1", "ann@example.org", "steady from May on"),
        "2026-06-30": ("late-arrivals-v2", "ben@example.org", "by mistake"),
        "2026-07": ("late-arrivals-v1", "ann@example.org", "steady from May on"),
    }
    for date, answer in expected.items():
        found = ask(told, "champion", "late-arrivals", "--as-of", date, "--json").json
        if answer is None:
            assert found["champion"] is None
            continue
        assert (found["champion"]["model"], found["promotion"]["by"], found["promotion"]["reason"]) == answer
    words = ask(told, "champion", "late-arrivals", "--as-of", "2026-06-30")
    assert re.search(r"known on 2026-06-30 23:59:59 America/New_York \(c\d+-[0-9a-z]{4}\)", words.err)
    early = ask(told, "champion", "late-arrivals", "--as-of", "2025")
    assert (early.code, "nothing was known yet" in early.err) == (4, True)
    # Two models existed in June, one in April, none of them champion or retired wrongly.
    models = {m["model"]: m["status"] for m in ask(told, "models", "--as-of", "2026-06-30", "--json").json["models"]}
    assert models == {"late-arrivals-v1": "retired", "late-arrivals-v2": "champion"}
    models = {m["model"]: m["status"] for m in ask(told, "models", "--as-of", "2026-04-30", "--json").json["models"]}
    assert models == {"late-arrivals-v1": "champion"}
    models = {m["model"]: m["status"] for m in ask(told, "models", "--json").json["models"]}
    assert models == {"late-arrivals-v1": "champion", "late-arrivals-v2": "candidate"}


def test_why_names_the_event_and_what_led_to_it(told: tuple[Path, dict[str, str], int]) -> None:
    mistake = told[2]
    answer = ask(told, "why", "pipeline:late-arrivals.champion", "--json").json
    assert answer["because"]["type"] == "event.corrected"
    assert answer["before"]["model"] == "late-arrivals-v2"
    assert [cause["seq"] for cause in answer["because"]["causes"]] == [mistake]
    then = ask(told, "why", "late-arrivals.champion", "--as-of", "2026-06-30", "--json").json
    assert (then["because"]["seq"], then["because"]["actor"]) == (mistake, "ben@example.org")
    (refit,) = then["because"]["causes"]
    assert refit["type"] == "candidate.refitted"
    assert {cause["type"] for cause in refit["causes"]} == {"window.evaluated"}
    words = ask(told, "why", "late-arrivals.champion").out
    assert "champion is late-arrivals-v1 (before: late-arrivals-v2)" in words
    assert "ben@example.org: promoted late-arrivals-v2" in words
    unclear = ask(told, "why", "late-arrivals")
    assert (unclear.code, "It has owner, question" in unclear.err) == (4, True)
    assert ask(told, "why", "nobody.champion").code == 4
    assert ask(told, "why", "late-arrivals.wage").code == 4


def test_diff_shows_who_had_approved_a_decision_at_each_date(tmp_path: Path) -> None:
    with ledger.create(tmp_path, timezone="UTC") as book:
        book.append(histories.registered("p"), histories.started("r1", "p"), histories.decided("r1", "p", None))
        book.append(histories.approved("r1", "ann@example.org"))
        book.append(histories.approved("r1", "ben@example.org"))
    (change,) = (
        change
        for change in tally(tmp_path, "diff", "c2", "c3", "--json").json["changes"]
        if change["handle"] == "decision:r1"
    )
    assert change["before"]["approved_by"] == ["ann@example.org"]
    assert change["after"]["approved_by"] == ["ann@example.org", "ben@example.org"]


def test_diff_of_two_dates_says_what_changed_and_by_whom(told: tuple[Path, dict[str, str], int]) -> None:
    mistake = told[2]
    found = ask(told, "diff", "2026-06-01", "2026-06-30", "--json").json
    fields = {
        (c["handle"], f["field"]): (f["old"], f["new"], f["event"]) for c in found["changes"] for f in c["fields"]
    }
    assert fields["model:late-arrivals-v1", "status"] == ("champion", "retired", f"#{mistake}")
    assert fields["model:late-arrivals-v2", "status"] == ("candidate", "champion", f"#{mistake}")
    assert {change["handle"] for change in found["changes"]} == {
        "pipeline:late-arrivals", "model:late-arrivals-v1", "model:late-arrivals-v2",
    }  # fmt: skip
    words = ask(told, "diff", "2026-06-01", "2026-06-30").out
    assert f"champion late-arrivals-v1 → late-arrivals-v2  (#{mistake})" in words
    assert "ben@example.org: promoted late-arrivals-v2" in words
    assert ask(told, "diff", "2026-06-30", "2026-06-30").out == "Nothing is different.\n"
    assert ask(told, "diff", "2026-06-30", "2026-06-30", "--exit-code").code == 0
    assert ask(told, "diff", "2026-06-01", "2026-06-30", "--exit-code").code == 1
    # Ben's promotion and its correction cancel out but for the correction itself.
    around = ask(told, "diff", "2026-06-01", "2026-07-31", "--json").json["changes"]
    assert [change["handle"] for change in around] == [f"correction:{mistake}"]


def test_diff_of_two_runs_says_what_was_asked_and_what_came_out(told: tuple[Path, dict[str, str], int]) -> None:
    folder, _, _ = told
    runs = [state["run"] for state in ask(told, "runs", "--json").json["runs"]][::-1]
    found = ask(told, "diff", *runs, "--json").json
    changes = {change["setting"]: change for change in found["configuration"]}
    assert set(changes) == {"gates.optimism_gap.at_most", "candidates.small_trees.params.max_leaf_nodes"}
    assert changes["gates.optimism_gap.at_most"]["strictness"] == "loosened"
    assert changes["candidates.small_trees.params.max_leaf_nodes"]["class"] == "candidates"
    assert found["data"] == []
    # A leaf fewer is no better than the champion's recipe, so the second run stays with that.
    assert found["candidates"] == ["small_trees", "champion"]
    assert len(found["windows"]) == 7
    for window in found["windows"]:
        assert window["unpaired"] is None
        gain = 1 - window["b"] / window["a"]
        assert window["gain"] == pytest.approx(gain, abs=1e-12)
        assert window["interval"]["low"] <= gain <= window["interval"]["high"]
    assert found["overall"]["mean_gain"] == pytest.approx(sum(w["gain"] for w in found["windows"]) / 7)
    models = ask(told, "diff", "late-arrivals-v1", "late-arrivals-v2", "--json").json
    assert models == found
    words = ask(told, "diff", *runs).out
    assert "gates.optimism_gap.at_most: 0.05 → 0.08  [loosened]" in words
    assert "Over 7 windows the second saves" in words
    assert ask(told, "diff", runs[0], "late-arrivals").code in (2, 4)
    files = ask(told, "diff", "first.toml", "second.toml", "--json").json
    # Files hold words as well; what a run is compared by has none.
    assert {change["setting"] for change in files["changes"]} == {*changes, "gates.optimism_gap.why"}
    assert not files["same_meaning"]
    (folder / "third.toml").write_text("# a remark\n" + (folder / "first.toml").read_text())
    assert ask(told, "diff", "first.toml", "third.toml", "--exit-code").code == 0
    assert ask(told, "diff", "first.toml", "now").code == 2


def test_explain_is_the_same_whenever_it_is_asked(told: tuple[Path, dict[str, str], int], tmp_path: Path) -> None:
    folder, environment, _ = told
    run_name = ask(told, "runs", "--json").json["runs"][-1]["run"]
    answers = {ask(told, "explain", name).out for name in (run_name, f"decision:{run_name}", "late-arrivals-v1")}
    assert len(answers) == 1
    (answer,) = answers
    assert "Should we warn passengers of this flight" in answer
    assert "318 rows left out where arr_delay is missing" in answer
    assert "[leader] small_trees leads" in answer
    assert re.search(r"small_trees +[▁-█]+ +0\.520", answer)
    # Again in a copy that was rebuilt, and to which more was appended.
    shutil.copytree(folder, tmp_path / "copy")
    shutil.copytree(Path(environment["XDG_CONFIG_HOME"]).parent, tmp_path / "home")
    own = {"XDG_CONFIG_HOME": str(tmp_path / "home" / "c"), "XDG_STATE_HOME": str(tmp_path / "home" / "s")}
    again = tally(tmp_path / "copy", "explain", run_name, **own)
    assert tally(tmp_path / "copy", "rebuild", **own).code == 0
    assert again.out == answer == tally(tmp_path / "copy", "explain", run_name, **own).out
    # The same configuration in other words, as it stands after somebody edits a question and runs again.
    with ledger.open(tmp_path / "copy") as book:
        first = next(entry.event.body for entry in book.events() if entry.event.t == "pipeline.registered")
        book.append(msgspec.structs.replace(first, questions={"decision": "Another one?"}, owner="zoe@example.org"))
    assert tally(tmp_path / "copy", "explain", run_name, **own).out == answer
    assert "[leader]" in ask(told, "explain", run_name, "--as-of", "2026-03-31").out
    assert ask(told, "explain", run_name, "--as-of", "c1").code == 4
    assert ask(told, "explain", "late-arrivals").code == 4
    assert ask(told, "explain", run_name, "--json").json["decision"]["handle"] == f"decision:{run_name}"


def test_lineage_answers_both_questions(told: tuple[Path, dict[str, str], int]) -> None:
    mistake = told[2]
    first, second = [state["run"] for state in ask(told, "runs", "--json").json["runs"]][::-1]
    behind = ask(told, "lineage", f"decision:{second}", "--up", "--json").json
    handles = {node["handle"] for node in behind["nodes"]}
    (slice_,) = [handle for handle in handles if handle.startswith("slice:")]
    assert handles == {
        f"decision:{second}", f"run:{second}", "model:late-arrivals-v2", slice_, "pipeline:late-arrivals",
        "source:parquet:late-arrivals.parquet", f"run:{first}",
        *(f"window:late-arrivals/2013-{month:02d}" for month in range(4, 11)),
        *(handle for handle in handles if handle.startswith("environment:")),
    }  # fmt: skip
    touched = {node["handle"] for node in ask(told, "lineage", slice_, "--down", "--json").json["nodes"]}
    assert {f"run:{first}", f"run:{second}", "model:late-arrivals-v1", "model:late-arrivals-v2"} <= touched
    assert sum(handle.startswith("window:") for handle in touched) == 7
    # Ben's promotion does not count any more; in June it did.
    assert f"#{mistake}" not in touched
    june = {
        n["handle"] for n in ask(told, "lineage", slice_, "--down", "--as-of", "2026-06-30", "--json").json["nodes"]
    }
    assert f"#{mistake}" in june
    for edge in ask(told, "lineage", slice_, "--json").json["edges"]:
        shown = ask(told, "show", f"#{edge['seq']}", "--json") if edge["seq"] % 7 == 0 else None
        assert shown is None or shown.code == 0
    path = ask(told, "lineage", slice_, f"decision:{first}", "--json").json
    windows = {f"window:late-arrivals/2013-{month:02d}" for month in range(4, 11)}
    assert {edge["upper"] for edge in path["edges"]} >= {slice_, f"run:{first}", "model:late-arrivals-v1", *windows}
    tree = ask(told, "lineage", "late-arrivals-v1").out
    assert "comes from" in tree
    assert "└─" in tree
    assert re.search(r"was promoted in → #\d+ promoted late-arrivals-v1", tree)
    mermaid = ask(told, "lineage", slice_, "--format", "mermaid").out
    assert mermaid.startswith("flowchart TD\n")
    assert mermaid.count("-->") == len(ask(told, "lineage", slice_, "--json").json["edges"])
    dot = ask(told, "lineage", slice_, "--format", "dot").out
    if shutil.which("dot"):
        drawn = subprocess.run(["dot", "-Tsvg"], input=dot, capture_output=True, text=True, check=True)
        assert drawn.stdout.count('<g id="node') == mermaid.count('["')
    assert ask(told, "lineage", "nobody").code == 4
    few = ask(told, "lineage", slice_, "--most", "3")
    assert "more nodes beyond" in few.err


def test_know_shows_both_findings_and_how_late_they_came(told: tuple[Path, dict[str, str], int]) -> None:
    may = ask(told, "know", "--about", "2013-05", "--json").json["evaluations"]
    # Three candidates in two runs, and the champion's recipe in the second.
    assert len(may) == 7
    assert sum(item["superseded"] for item in may) == 3
    trees = [item for item in may if item["candidate"] == "small_trees"]
    # The window ended at midnight of 1 June 2013 in New York; run 1 was recorded on 1 March 2026 at noon UTC.
    assert int(trees[0]["late_seconds"] // 86_400) == (dt.date(2026, 3, 1) - dt.date(2013, 6, 1)).days
    assert trees[1]["late_seconds"] - trees[0]["late_seconds"] == pytest.approx(80 * 86_400, abs=3_600)
    then = ask(told, "know", "--about", "2013-05", "--as-of", "2026-04-30", "--json").json["evaluations"]
    assert len(then) == 3
    assert not any(item["superseded"] for item in then)
    words = ask(told, "know", "late-arrivals", "--about", "2013-05..2013-06").out
    assert "4,656 days late" in words
    assert "superseded" in words
    assert ask(told, "know", "--about", "1999").out.endswith("Nothing was known.\n")
    assert ask(told, "know", "--about", "yesterday").code == 2
    assert ask(told, "know", "nobody", "--about", "2013").code == 4


def test_story_and_log_strike_out_what_was_corrected(told: tuple[Path, dict[str, str], int]) -> None:
    mistake = told[2]
    events = ask(told, "story", "model:late-arrivals-v2", "--json").json["events"]
    assert [event["type"] for event in events] == ["candidate.refitted", "model.promoted", "event.corrected"]
    assert f"(does not count: #{mistake + 2})" in ask(told, "log").out
    assert "does not count" not in ask(told, "log", "--as-of", "2026-06-30").out
    assert "It does not count since" in ask(told, "show", f"#{mistake}").out
    # Struck through from then on, and untouched before.
    assert "does not count" not in ask(told, "show", f"#{mistake}", "--as-of", "2026-06-30").out
    commit = ask(told, "show", f"#{mistake}", "--json").json["commit"]
    assert "does not count" in ask(told, "show", commit).out
    assert "does not count" not in ask(told, "show", commit, "--as-of", "2026-06-30").out
    for question in (("story", "model:late-arrivals-v2"), ("why", "late-arrivals.champion")):
        assert f"(does not count: #{mistake + 2})" in ask(told, *question).out, question
        assert "(does not count" not in ask(told, *question, "--as-of", "2026-06-30").out, question
    logged = [json.loads(line) for line in ask(told, "log", "-n", "100", "--json").out.splitlines()]
    corrected = {e["seq"]: e["corrected_by"] for commit in logged for e in commit["events"] if e["corrected_by"]}
    assert corrected == {mistake: f"#{mistake + 2}"}
    code, out = on_a_terminal([*PROGRAM, "story", "model:late-arrivals-v2"], told[0], {**told[1], "NO_COLOR": ""})
    struck = [line for line in out.splitlines() if "\x1b[9m" in line]
    assert code == 0
    assert struck and all("\\x1b" not in line for line in struck)
    late = ask(told, "show", f"#{mistake}", "--as-of", "2026-05")
    assert (late.code, "not recorded yet" in late.err) == (4, True)


def test_no_date_is_not_the_same_as_now(told: tuple[Path, dict[str, str], int]) -> None:
    # As from a shell variable that is not set.
    for question in (("champion", "late-arrivals"), ("log",), ("show", "#12"), ("models",), ("explain", "late-arr")):
        answer = ask(told, *question, "--as-of", "")
        assert (answer.code, "not a date" in answer.err) == (2, True), question


def test_sql_is_asked_on_either_axis(told: tuple[Path, dict[str, str], int]) -> None:
    question = "select status from models where model = 'late-arrivals-v2'"
    for axis in ("recorded", "occurred"):
        for date, status in (("2026-06-30", "champion"), ("2026-07-31", "candidate")):
            rows = ask(told, "sql", question, "--as-of", date, "--axis", axis, "--json").json["rows"]
            assert rows == [{"status": status}], (axis, date)
    refused = ask(told, "sql", "select * from wages")
    assert (refused.code, "evaluations" in refused.err) == (2, True)


def test_correct_on_the_command_line(told: tuple[Path, dict[str, str], int], tmp_path: Path) -> None:
    folder, environment, mistake = told
    shutil.copytree(folder, tmp_path / "copy")
    shutil.copytree(Path(environment["XDG_CONFIG_HOME"]).parent, tmp_path / "home")
    own = {"XDG_CONFIG_HOME": str(tmp_path / "home" / "c"), "XDG_STATE_HOME": str(tmp_path / "home" / "s")}
    again = tally(tmp_path / "copy", "correct", f"#{mistake}", "--reason", "x", **own)
    assert (again.code, "already" in again.err) == (1, True)
    promotion = tally(tmp_path / "copy", "why", "late-arrivals-v1.promoted_by", "--json", **own).json["because"]["seq"]
    refused = tally(tmp_path / "copy", "correct", f"#{promotion}", "--reason", "nobody had looked at it", **own)
    assert (refused.code, "tally retire late-arrivals-v1" in refused.err) == (1, True), refused.err
    made = tally(tmp_path / "copy", "why", "late-arrivals-v2.made_at", "--json", **own).json["because"]["seq"]
    done = tally(tmp_path / "copy", "correct", f"#{made}", "--reason", "it was fitted on other rows", **own)
    assert done.code == 0, done.err
    assert "model:late-arrivals-v2" in done.out
    assert re.search(r"receipt \S+@\d+ ", done.out)
    assert tally(tmp_path / "copy", "verify", **own).code == 0
    assert tally(tmp_path / "copy", "rebuild", "--check", **own).code == 0
    for handle, code in (("#0", 1), ("#999999", 4), ("nonsense", 2), (f"#{promotion}-zzzz", 4)):
        assert tally(tmp_path / "copy", "correct", handle, "--reason", "x", **own).code == code, handle
    assert tally(tmp_path / "copy", "correct", "#12", "--reason", " ", **own).code == 2


def test_rebuild_check_notices_a_changed_view(told: tuple[Path, dict[str, str], int], tmp_path: Path) -> None:
    import sqlite3

    folder, environment, _ = told
    shutil.copytree(folder, tmp_path / "copy")
    path = tally(tmp_path / "copy", "sql", "--path", **environment).out.strip()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("UPDATE models_rows SET state = replace(state, 'champion', 'retired')")
    connection.close()
    checked = tally(tmp_path / "copy", "rebuild", "--check", **environment)
    assert (checked.code, "wrong about late-arrivals-v" in checked.out) == (1, True)
    assert tally(tmp_path / "copy", "rebuild", **environment).code == 0
    assert tally(tmp_path / "copy", "rebuild", "--check", "--json", **environment).json["differences"] == []


def test_tables_have_proper_types(told: tuple[Path, dict[str, str], int]) -> None:
    with ledger.open(told[0]) as book:
        models = table(book.at("2026-06-30"), "models", book.zone.key)
        assert list(models.index) == ["late-arrivals-v1", "late-arrivals-v2"]
        assert isinstance(models["status"].dtype, pd.CategoricalDtype)
        assert list(models["status"].cat.categories) == ["candidate", "champion", "retired"]
        for column in ("made_at", "promoted_at", "trained_on_from", "intended_for_to"):
            assert str(models[column].dtype) == "datetime64[us, America/New_York]", column
        assert models["made_at"].iloc[0].date() == dt.date(2026, 3, 1)
        assert str(models["rows"].dtype) == "Int64"
        evaluations = table(book.now(), "evaluations")
        assert len(evaluations) == 28
        assert evaluations["metrics"].iloc[0]["log_loss"] == pytest.approx(0.6019, abs=1e-4)
        assert table(book.at("c0"), "runs").empty
        with pytest.raises(ledger.TallyError):
            table(book.now(), "wages")
        for kind in (
            "pipelines",
            "runs",
            "slices",
            "windows",
            "decisions",
            "environments",
            "keys",
            "anchors",
            "corrections",
        ):
            table(book.now(), kind)


def test_log_follow_prints_what_others_append(tmp_path: Path) -> None:
    assert tally(tmp_path, "init", "--timezone", "UTC").code == 0
    following = subprocess.Popen(
        [*PROGRAM, "log", "--follow", "--json"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    shown: list[tuple[int, str]] = []

    def read() -> None:
        assert following.stdout is not None
        for text in following.stdout:
            line = json.loads(text)
            shown.append((int(line["handle"][1:].partition("-")[0]), line["type"]))

    reading = threading.Thread(target=read, daemon=True)
    failed = say.RunFailed(run="r", pipeline="p", stage="judging", error="E", message="no")
    try:
        with ledger.open(tmp_path) as book:
            reading.start()
            # It follows from where it began, whenever that is: go on until it shows something, then say the last.
            while not shown and following.poll() is None:
                book.append(failed)
                time.sleep(0.2)
            last = book.append(failed).last_seq
        while shown[-1][0] < last:
            assert following.poll() is None
            time.sleep(0.02)
        assert [seq for seq, _ in shown] == list(range(shown[0][0], last + 1))
        assert shown[-1][1] == "run.failed"
    finally:
        following.kill()
        following.wait()
        reading.join()
    assert tally(tmp_path, "log", "-f", "--as-of", "now").code == 2
