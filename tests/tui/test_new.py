"""`tally new` as people use it: typed through on a terminal, by options, from a file; then run, confirmed, promoted."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from shell import PROGRAM, home_in, tally
from tables import customers
from terminal import typed_on_a_terminal

from tallystick.pipeline.config.load import read


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "team").mkdir()
    customers().to_csv(tmp_path / "team" / "customers.csv", index=False)
    return tmp_path / "team"


def test_the_questions_typed_through(folder: Path) -> None:
    code, text = typed_on_a_terminal(
        [*PROGRAM, "new", "customers.csv"],
        folder,
        home_in(folder.parent),
        [
            ("Which column holds the answer?", "churnd"),
            ("did you mean churned?", "churned"),
            ("What counts as yes? churned holds", ""),
            ("When must the prediction exist?", ""),
            ("Which columns are written after that moment?", ""),
            ("How long after signup is churned known?", "soon"),
            ("is not a length of time", "14d"),
            ("Which decision does the answer support", "Should we call this customer?"),
            ("What does a mistake cost", "A call costs 5 euros."),
        ],
    )
    assert code == 0, text
    assert "refund_paid: its name says 'paid'" in text.replace("\n", " ")
    assert "Wrote customers.toml" in text
    loaded = read(folder / "customers.toml")
    settings = loaded.settings
    assert (settings.time.label_delay, settings.questions.decision) == ("14d", "Should we call this customer?")
    assert settings.data.features.forbidden is not None
    assert settings.proposed is not None
    said = {"data.target.rule", "time.label_delay", "data.features", "questions.prediction_at"}
    assert not said & set(settings.proposed.settings), "what a person confirmed by Enter is no proposal"
    assert {"time.column", "data.key", "gates"} <= set(settings.proposed.settings)
    checked = tally(folder, "check", "customers.toml", "--json")
    assert checked.code == 0, checked.err


def test_by_options_and_from_a_file_of_answers(folder: Path) -> None:
    (folder / "answers.toml").write_text(
        'target = "churned"\nlabel_delay = "30d"\nafterwards = ["refund_paid"]\ndecision = "Call?"\n'
    )
    answer = tally(
        folder, "new", "customers.csv", "--from-answers", "answers.toml", "--label-delay", "7d", "--known",
        "age = signup - 1d", "-o", "churn.toml", "--json", **home_in(folder.parent),
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert answer.json["pipeline"] == "churn"
    assert answer.json["answers"]["label_delay"] == "7d"
    text = (folder / "churn.toml").read_text()
    assert tomllib.loads(text)["data"]["features"]["age"] == {"known_at": "signup - 1d"}
    assert "questions.decision" not in answer.json["proposed"]
    again = tally(folder, "new", "customers.csv", "--target", "churned", "-o", "churn.toml", **home_in(folder.parent))
    assert (again.code, "is there already" in again.err) == (1, True)


def test_a_csv_file_in_doubt_is_said_and_settled_by_an_option(folder: Path) -> None:
    frame = customers().assign(plan=lambda found: found.plan.replace("gold", "größer"))
    frame.to_csv(folder / "visits.csv", index=False, encoding="cp1252")
    said = tally(folder, "new", "visits.csv", "--target", "churned")
    assert said.code == 0, said.err
    assert 'Read so: encoding = "cp1252". Or say --csv.' in " ".join(said.out.split())
    assert '"data.csv"' in (folder / "visits.toml").read_text()
    own = ("new", "visits.csv", "--target", "churned", "--csv", 'encoding = "latin-1"', "-o", "own.toml")
    said = tally(folder, *own)
    assert said.code == 0, said.err
    text = (folder / "own.toml").read_text()
    assert 'encoding = "latin-1"' in text
    assert '"data.csv"' not in text
    wrong = tally(folder, *own[:5], "encodings = 3", "-o", "other.toml")
    assert wrong.code == 2
    assert "--csv" in wrong.err


def test_without_a_terminal_what_is_missing_is_named_with_its_option(folder: Path) -> None:
    frame = customers().rename(columns={"churned": "gone"})
    frame.to_csv(folder / "customers.csv", index=False)
    answer = tally(folder, "new", "customers.csv", **home_in(folder.parent))
    assert answer.code == 2
    assert "--target" in answer.err
    wrong = tally(folder, "new", "customers.csv", "--target", "gone", "--known", "age", **home_in(folder.parent))
    assert "--known 'COLUMN, COLUMN = TIME - 3h'" in wrong.err


def test_run_then_confirm_then_promote_without_a_new_run(folder: Path) -> None:
    home = home_in(folder.parent)
    made = tally(folder, "new", "customers.csv", "--target", "churned", "--label-delay", "14d", **home)
    assert made.code == 0, made.err
    ran = tally(folder, "run", "customers.toml", **home)
    assert ran.code == 0, ran.err
    assert "is chosen for customers" in ran.out
    before = read(folder / "customers.toml")

    refused = tally(folder, "promote", "customers-v1", "--reason", "steady", **home)
    assert refused.code == 1
    assert "that a program proposed and no person has confirmed" in refused.err
    assert "tally confirm customers.toml" in refused.err

    listed = tally(folder, "confirm", "customers.toml", "--json", **home)
    assert listed.json["open"] == before.settings.proposed.settings if before.settings.proposed else False
    one = tally(folder, "confirm", "customers.toml", "gates", "--json", **home)
    assert one.json["confirmed"] == ["gates"]
    assert one.json["commit"] is not None
    unknown = tally(folder, "confirm", "customers.toml", "gats", **home)
    assert (unknown.code, "is not listed" in unknown.err) == (2, True)
    assert "no person has confirmed" in tally(folder, "promote", "customers-v1", "--reason", "steady", **home).err

    confirmed = tally(folder, "confirm", "customers.toml", "--all", **home)
    assert confirmed.code == 0, confirmed.err
    after = read(folder / "customers.toml")
    assert after.meaning_hash == before.meaning_hash
    assert "[proposed]" in after.text
    held = tally(folder, "promote", "customers-v1", "--reason", "steady", **home)
    assert "no person has confirmed" not in held.err
    assert "reproduced is open" in held.err, "the gates are judged now"
    assert len(tally(folder, "runs", "--json", **home).json["runs"]) == 1
    nothing = tally(folder, "confirm", "customers.toml", **home)
    assert "Nothing was left to confirm" in nothing.out


def test_a_replay_asks_for_the_confirmation_first(folder: Path) -> None:
    home = home_in(folder.parent)
    tally(folder, "new", "customers.csv", "--target", "churned", **home)
    answer = tally(folder, "replay", "customers.toml", "--from", "2020-08", "--to", "2020-09", **home)
    assert answer.code == 1
    assert "tally confirm customers.toml" in answer.err
    assert not (folder / "replay-customers").exists()
