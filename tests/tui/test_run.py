"""The main job as a stranger does it: run, look, promote, verify; in real processes on the real sample."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from given import FIXTURES
from judged import let_through
from shell import PROGRAM, Answer, copy_of, tally

from tallystick import ledger
from tallystick.ledger.events import types as say


def slower(folder: Path) -> Path:
    """A pipeline that is surely still at work when a test breaks it off."""
    text = (FIXTURES / "late-arrivals.toml").read_text().replace("max_iter = 300", "max_iter = 20000")
    shutil.copy(FIXTURES / "late-arrivals.parquet", folder)
    (folder / "slow.toml").write_text(text)
    return folder / "slow.toml"


def smaller(folder: Path, name: str = "quick.toml", **changes: str) -> Path:
    """The sample's pipeline without its slow candidate, beside a copy of the sample; with texts replaced."""
    text = (FIXTURES / "late-arrivals.toml").read_text()
    text = re.sub(r"\[candidates\.big_trees\].*?(?=\[selection\])", "", text, flags=re.DOTALL)
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    path = folder / name
    path.write_text(text)
    if not (folder / "late-arrivals.parquet").exists():
        shutil.copy(FIXTURES / "late-arrivals.parquet", folder)
    return path


def test_a_run_says_what_it_does_what_it_found_and_what_to_do_next(
    done: tuple[Path, dict[str, str], Answer],
) -> None:
    out = done[2].out
    for expected in (
        "Should we warn passengers of this flight",
        "13,864 rows of parquet:late-arrivals.parquet",
        "318 of 14,182 rows (2.2%) left out where arr_delay is missing",
        "7 of 1 month, 2013-04 to 2013-10, training set expanding, 2 more stay sealed",
        "small_trees",
        "▁",
        "A random split would",
        "small_trees is chosen for late-arrivals",
        "[leader] small_trees leads:",
        "[not-equal]",
        "worst quarter",
        'tally promote late-arrivals-v1 --reason "…"',
    ):
        assert expected in out, expected
    assert re.search(r"^receipt team\S*@10 [A-Za-z0-9+/]{43}=$", out, re.MULTILINE)
    assert "Made a ledger in" in done[2].err


def test_every_look_answers_on_paper_and_as_json(done: tuple[Path, dict[str, str], Answer]) -> None:
    folder, environment, _ = done
    run = tally(folder, "runs", "--json", **environment).json["runs"][0]
    assert run["status"] == "finished"
    assert run["handle"].startswith("run:")
    assert tally(folder, "models", "--json", **environment).json["models"][0]["status"] == "candidate"
    champion = tally(folder, "champion", "late-arrivals", "--json", **environment).json
    assert champion["champion"] is None
    status = tally(folder, "status", "--json", **environment).json
    assert status["schema"] == "tally.status/1"
    assert status["commits"] == 10
    shown = tally(folder, "show", "#0", "--json", **environment).json
    assert shown["type"] == "ledger.created"
    assert tally(folder, "show", "c3", "--json", **environment).json["n"] == 3
    lines = tally(folder, "log", "--json", **environment).out.splitlines()
    assert len(lines) == 10
    for command, words in (
        (("status",), "late-arrivals"),
        (("runs",), "finished"),
        (("models",), "late-arrivals-v1"),
        (("champion", "late"), "no champion yet"),
        (("log", "-n", "3"), "leakage checks"),
        (("show", "#12"), "BLAKE3"),
        (("show", "c3"), "sha256"),
        (("show", "late-arrivals-v1"), "small_trees"),
        (("show", run["run"]), "[leader]"),
        (("verify",), "VERIFIED; nothing outside this account vouches for it: rollback NOT excluded"),
        (("receipt",), "receipt "),
        (("receipt", "--note"), "— "),
        (("sql", "select count(*) as n from runs"), "n\n1"),
        (("check", str(FIXTURES / "late-arrivals.toml")), "is sound"),
        (("--version",), "tallystick"),
    ):
        answer = tally(folder, *command, **environment)
        assert answer.code == 0, (command, answer.err)
        assert words in answer.out, (command, answer.out)


def test_a_person_promotes_with_a_reason_and_the_past_keeps_its_champion(
    done: tuple[Path, dict[str, str], Answer], tmp_path: Path
) -> None:
    folder, home = copy_of(done, tmp_path)
    assert tally(folder, "promote", "late-arrivals-v1", **home).code == 2
    assert tally(folder, "promote", "late-arrivals-v1", "--reason", "  ", **home).code == 2
    assert tally(folder, "promote", "nobody", "--reason", "x", **home).code == 4
    refused = tally(folder, "promote", "late-arrivals-v1", "--reason", "lowest log-loss in time", **home)
    assert refused.code == 1
    assert "reproduced is open" in refused.err
    let_through(folder, "late-arrivals-v1")
    promoted = tally(folder, "promote", "late-arrivals-v1", "--reason", "lowest log-loss in time", **home)
    assert promoted.code == 0
    assert "is now the champion of late-arrivals" in promoted.out
    assert tally(folder, "promote", "late-arrivals-v1", "--reason", "again", **home).code == 1
    champion = tally(folder, "champion", "late-arrivals", "--json", **home).json
    assert champion["champion"]["model"] == "late-arrivals-v1"
    assert champion["promotion"]["by"] == "ann@example.org"
    assert champion["promotion"]["reason"] == "lowest log-loss in time"
    before = tally(folder, "champion", "late-arrivals", "--as-of", "before:c10", "--json", **home).json
    assert before["champion"] is None
    assert before["as_of"]["commit"].startswith("c9-")
    assert tally(folder, "champion", "late-arrivals", "--as-of", "1999", **home).code == 4
    assert tally(folder, "champion", "late-arrivals", "--as-of", "soon", **home).code == 2
    assert tally(folder, "verify", **home).code == 0


def test_results_do_not_depend_on_workers_or_processes(tmp_path: Path) -> None:
    file = smaller(tmp_path)
    first = tally(tmp_path, "run", str(file), "--workers", "1", "--json").json
    second = tally(tmp_path, "run", str(file), "--workers", "2", "--json").json
    assert first["result_hash"] == second["result_hash"]
    assert (first["same_result_as"], second["same_result_as"]) == (None, first["run"]["name"])
    assert first["model"] == second["model"]
    hashes = [
        {(e["window"], e["candidate"]): e["prediction_hash"] for e in run["evaluations"]} for run in (first, second)
    ]
    assert hashes[0] == hashes[1]
    with ledger.open(tmp_path) as book:
        model = book.now().model(first["model"]["name"])
        assert model.runs == 2
        windows = [e.event.body.label for e in book.events() if isinstance(e.event.body, say.WindowDescribed)]
        assert windows == [f"2013-{month:02d}" for month in range(4, 11)] * 2
        from tallystick.ledger.verify.verify import verify

        assert verify(book).verified
    again = tally(tmp_path, "run", str(file), "--workers", "1")
    assert "ran on the same slice before" in again.out
    assert "The result is the same, to the last bit" in again.out


def test_a_stored_model_predicts_as_on_the_day_it_was_made(
    done: tuple[Path, dict[str, str], Answer],
) -> None:
    import io

    import pandas as pd

    from tallystick.pipeline.models.model_file import load, predict, prediction_hash

    with ledger.open(done[0]) as book:
        model = book.now().models()[0]
        body = book.event(model.made_by_event).event.body
        assert isinstance(body, say.CandidateRefitted)
        estimator = load(book.objects.get(body.artifact), body.artifact)
        probe = pd.read_parquet(io.BytesIO(book.objects.get(body.probe)))
        assert prediction_hash(predict(estimator, probe)) == body.probe_hash
        with pytest.raises(ledger.Damaged):
            load(book.objects.get(body.artifact) + b" ", body.artifact)


def test_what_is_recorded_suffices_to_compute_the_metrics_again(
    done: tuple[Path, dict[str, str], Answer],
) -> None:
    import io

    import pandas as pd
    from sklearn.metrics import log_loss, roc_auc_score

    with ledger.open(done[0]) as book:
        bodies = [e.event.body for e in book.events() if isinstance(e.event.body, say.WindowEvaluated)]
        assert len(bodies) == 7 * 4
        for body in bodies[:8]:
            table = pd.read_parquet(io.BytesIO(book.objects.get(body.predictions)))
            p = table[f"p_{body.candidate}"]
            assert body.metrics["log_loss"].value == pytest.approx(log_loss(table["target"], p))
            assert body.metrics["roc_auc"].value == pytest.approx(roc_auc_score(table["target"], p))
            losses = pd.read_parquet(io.BytesIO(book.objects.get(body.losses)))
            for segment in ("", "origin", "carrier", "hour band"):
                part = losses[losses["segment"] == segment]
                assert part["rows"].sum() == len(table)
                mean = part[f"sum_loss_{body.candidate}"].sum() / part["rows"].sum()
                assert mean == pytest.approx(body.metrics["log_loss"].value)


# Bad input -------------------------------------------------------------------------------------------------

BAD = {
    "a missing file": ({'"parquet:late-arrivals.parquet"': '"parquet:gone.parquet"'}, "There is no file"),
    "a wrong column": ({'column      = "time_hour"': 'column      = "time_hours"'}, "time_hours"),
    "a wrong feature": ({'"plane_year, seats"': '"plane_year, seat"'}, "did you mean seats?"),
    "too few rows": ({"rows_expected = 14182": "rows_expected = 14183"}, "A different table is a different experiment"),
    "duplicate keys": ({'"carrier", "flight", "origin"]': '"carrier"]'}, "rows repeat the key"),
    "unknown answers": ({"arr_delay is missing": "arr_delay > 100000"}, "318 of 14,182 rows have no arr_delay"),
    "an unknown estimator": ({"recipes:linear": "recipes:lineal"}, "There is no pipeline.recipes:lineal"),
    "a wrong parameter": ({"{ C = 1.0 }": "{ c = 1.0 }"}, "does not take these params"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_in_words_and_leaves_no_half_result(name: str, tmp_path: Path) -> None:
    changes, words = BAD[name]
    file = smaller(tmp_path, **changes)
    answer = tally(tmp_path, "run", str(file), "--workers", "1")
    assert answer.code == 2, answer.err
    assert words in answer.err
    if (tmp_path / ".tally").exists():
        with ledger.open(tmp_path) as book:
            assert all(run.status == "failed" for run in book.now().runs())
            assert book.now().models() == []
            from tallystick.ledger.verify.verify import verify

            assert verify(book).verified
    as_json = tally(tmp_path, "run", str(file), "--workers", "1", "--json")
    assert as_json.out == ""
    import json

    assert set(json.loads(as_json.err.splitlines()[-1])["error"]) == {"code", "message", "hint"}


def test_a_file_with_ten_mistakes_gets_ten_lines_and_no_ledger(tmp_path: Path) -> None:
    file = smaller(
        tmp_path,
        **{
            'column      = "time_hour"': 'colum = "time_hour"',
            'label_delay = "1d"': 'label_dely = "1d"',
            "margin     = 0.005": 'margin = "small"',
            'overlap = "allowed"': 'overlap = "alowed"',
            "looks = 1": "looks = 0",
            'rule       = "stable_among_equals"': 'rule = "best"',
            'level     = "manual"': 'level = "auto_promote"',
            "min_rows   = 500": "min_rows = 0",
            "complexity = 2": "complexity = -2",
            'estimator  = "sklearn.dummy:DummyClassifier"': "estimator = 5",
        },
    )
    answer = tally(tmp_path, "run", str(file))
    assert answer.code == 2
    lines = [line for line in answer.err.splitlines() if "quick.toml:" in line and "tally check" not in line]
    assert len(lines) == 10, answer.err
    text = file.read_text().splitlines()
    for line in lines:
        match = re.search(r"quick\.toml:(\d+): ", line)
        assert match
        assert 1 <= int(match[1]) <= len(text)
    assert "Did you mean column?" in answer.err
    assert not (tmp_path / ".tally").exists()


def test_naive_and_impossible_times_are_refused(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.read_parquet(FIXTURES / "late-arrivals.parquet")
    naive = frame.assign(time_hour=frame["time_hour"].dt.tz_convert("America/New_York").dt.tz_localize(None))
    naive.to_parquet(tmp_path / "late-arrivals.parquet")
    # Wall-clock times are read in the declared zone; without a zone the file itself is refused.
    file = smaller(tmp_path, **{'timezone    = "America/New_York"               # months start at local midnight': ""})
    answer = tally(tmp_path, "run", str(file))
    assert answer.code == 2
    assert "must say timezone" in answer.err
    skipped = naive.copy()
    skipped.loc[0, "time_hour"] = pd.Timestamp("2013-03-10 02:30")
    skipped.to_parquet(tmp_path / "late-arrivals.parquet")
    answer = tally(tmp_path, "run", str(smaller(tmp_path)))
    assert answer.code == 2
    assert "never occur" in answer.err


def test_a_month_with_one_class_has_no_auc_and_says_why(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.read_parquet(FIXTURES / "late-arrivals.parquet")
    local = frame["time_hour"].dt.tz_convert("America/New_York")
    frame.loc[(local.dt.month == 6) & frame["arr_delay"].notna(), "arr_delay"] = 0.0
    frame.to_parquet(tmp_path / "late-arrivals.parquet")
    result = tally(tmp_path, "run", str(smaller(tmp_path)), "--workers", "1", "--json").json
    june = [item for item in result["evaluations"] if item["window"] == "2013-06"]
    assert len(june) == 3
    for item in june:
        assert item["metrics"]["roc_auc"]["value"] is None
        assert "Only one class" in item["metrics"]["roc_auc"]["reason"]
    assert any("nothing to rank" in note for w in result["windows"] for note in w["warnings"])


def test_a_ledger_of_a_newer_format_is_not_touched(tmp_path: Path) -> None:
    tally(tmp_path, "init")
    connection = sqlite3.connect(tmp_path / ".tally" / "ledger.db")
    connection.execute("PRAGMA user_version = 3")
    connection.close()
    before = (tmp_path / ".tally" / "ledger.db").read_bytes()
    for command in (("run", str(smaller(tmp_path))), ("status",), ("verify",)):
        answer = tally(tmp_path, *command)
        assert answer.code == 2
        assert "Install a newer tallystick" in answer.err
    assert (tmp_path / ".tally" / "ledger.db").read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_rights_is_said_to_be_one(tmp_path: Path) -> None:
    file = smaller(tmp_path)
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    answer = tally(locked, "run", str(file))
    assert answer.code == 2
    assert "No ledger can be made" in answer.err


def test_a_folder_that_cannot_be_one_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    answer = tally(tmp_path, "init", "file/below")
    assert answer.code == 2
    assert "No ledger can be made" in answer.err


# Breaking off ----------------------------------------------------------------------------------------------


def started_run(folder: Path, file: Path) -> subprocess.Popen[str]:
    """A run in a process group of its own, once it is at work."""
    # What a shell starts in the background ignores SIGINT, and so would everything started from it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [*PROGRAM, "run", str(file)], cwd=folder, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with ledger.open(folder) as book:
                if any(run.status == "running" for run in book.now().runs()):
                    time.sleep(3)  # into the fits, workers and all
                    return process
        except ledger.TallyError:
            pass
        time.sleep(0.05)
    raise AssertionError(process.communicate())


def failures(folder: Path) -> list[Any]:
    with ledger.open(folder) as book:
        return [e.event.body for e in book.events() if isinstance(e.event.body, say.RunFailed)]


def test_ctrl_c_leaves_a_failed_run_and_no_result(tmp_path: Path) -> None:
    process = started_run(tmp_path, slower(tmp_path))
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted. What was recorded before stays recorded." in err
    assert "Traceback" not in err
    (failure,) = failures(tmp_path)
    assert (failure.error, failure.message) == ("KeyboardInterrupt", "interrupted")
    with ledger.open(tmp_path) as book:
        assert book.now().models() == []
        assert [run.status for run in book.now().runs()] == ["failed"]
    assert tally(tmp_path, "verify").code == 0
    assert tally(tmp_path, "run", str(smaller(tmp_path)), "--workers", "1").code == 0


def test_a_killed_run_is_noticed_by_the_next_one(tmp_path: Path) -> None:
    process = started_run(tmp_path, slower(tmp_path))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert tally(tmp_path, "verify").code == 0
    assert "has no end yet" in tally(tmp_path, "status").err
    assert tally(tmp_path, "run", str(smaller(tmp_path)), "--workers", "1").code == 0
    (failure,) = failures(tmp_path)
    assert "is gone without a word" in failure.message
    with ledger.open(tmp_path) as book:
        assert [run.status for run in book.now().runs()] == ["failed", "finished"]


# The command line itself -----------------------------------------------------------------------------------


def test_mistyped_commands_and_missing_ledgers_say_the_next_step(tmp_path: Path) -> None:
    answer = tally(tmp_path, "champoin")
    assert answer.code == 2
    assert "Did you mean `tally champion`?" in answer.err
    answer = tally(tmp_path, "status")
    assert answer.code == 4
    assert "tally init" in answer.err
    assert tally(tmp_path, "show", "--nonsense").code == 2
    answer = tally(tmp_path, "verify", "--against", "nowhere.txt")
    assert answer.code == 2


def test_a_receipt_given_in_any_form_is_checked(done: tuple[Path, dict[str, str], Answer], tmp_path: Path) -> None:
    folder, home = copy_of(done, tmp_path)
    line = tally(folder, "receipt", **home).out.strip()
    note = tally(folder, "receipt", "--note", **home).out
    (tmp_path / "receipt.txt").write_text(f"> {line}\r\n")
    for arguments, given in (
        (("--against", line), None),
        (("--against", str(tmp_path / "receipt.txt")), None),
        (("--against", "-"), note.replace("—", "--")),
    ):
        answer = tally(folder, "verify", *arguments, given=given, **home)
        assert answer.code == 0, answer.err
        assert answer.out.endswith("VERIFIED; anchored outside up to the newest event\n")
    let_through(folder, "late-arrivals-v1")
    assert tally(folder, "promote", "late-arrivals-v1", "--reason", "because", **home).code == 0
    later = tally(folder, "receipt", **home).out.strip()
    # The last commit deleted, as somebody with sqlite3 would.
    connection = sqlite3.connect(folder / ".tally" / "ledger.db", isolation_level=None)
    for name in ("events_kept", "commits_kept"):
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("DELETE FROM events WHERE seq >= (SELECT first_seq FROM commits ORDER BY n DESC LIMIT 1)")
    connection.execute("DELETE FROM commits WHERE n = (SELECT max(n) FROM commits)")
    connection.execute("DELETE FROM checkpoints WHERE size > (SELECT count(*) FROM commits)")
    connection.close()
    answer = tally(folder, "verify", "--against", later, "--json", **home)
    assert answer.code == 1
    assert "TAIL CUT" in {finding["kind"] for finding in answer.json["findings"]}


def test_a_closed_pipe_is_quiet(done: tuple[Path, dict[str, str], Answer]) -> None:
    folder, environment, _ = done
    process = subprocess.run(
        ["bash", "-c", '"$@" log -n 100 | head -1', "bash", *PROGRAM],
        cwd=folder, capture_output=True, text=True, env={**os.environ, **environment}, check=False,
    )  # fmt: skip
    assert process.stderr == ""
    assert process.stdout.startswith("c9-")


def test_runs_that_start_at_once_in_an_empty_folder_all_come_to_their_end(tmp_path: Path) -> None:
    file = smaller(tmp_path)
    runs = [
        subprocess.Popen([*PROGRAM, "run", str(file), "--workers", "1"], cwd=tmp_path, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]  # fmt: skip
    said = [run.communicate(timeout=200) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    with ledger.open(tmp_path) as book:
        states = book.now().runs()
        assert [run.status for run in states] == ["finished"] * 2
        assert len({run.result_hash for run in states}) == 1
        (model,) = book.now().models()
        assert (model.model, model.runs) == ("late-arrivals-v1", 2)
        from tallystick.ledger.verify.verify import verify

        assert verify(book).verified
