"""Stores that the real MLflow made, imported without MLflow, against what MLflow itself reads from them."""

from __future__ import annotations

import datetime as dt
import os
import random
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow_stores import a_store, ledgers_reading, mlflows_reading

from tallystick import ledger
from tallystick.ledger.errors import Conflict, InvalidInput, NotFound, Refused
from tallystick.ledger.events.types import AliasMoved, TrialNoted
from tallystick.ledger.exchange.from_mlflow import importer
from tallystick.ledger.exchange.from_mlflow.importer import ImportOptions, import_store
from tallystick.ledger.exchange.from_mlflow.metric_lines import plain_curve, read_lines
from tallystick.ledger.exchange.from_mlflow.yaml_text import read_mapping
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.verify.report import Asked as Checked
from tallystick.ledger.verify.verify import verify

KINDS = ("mlruns", "mlflow.db")
LEFT = ImportOptions("none")


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Ledger]:
    with ledger.create(tmp_path / "team", timezone="UTC", key_home="file") as made:
        yield made


def the_run(store: Path) -> Path:
    """The folder of the run with the most numbers."""
    return next(place.parent for place in store.rglob("lr")).parent


# Exact -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_everything_is_as_mlflow_itself_reads_it(kind: str, book: Ledger, tmp_path: Path) -> None:
    done = import_store(book, a_store(kind, tmp_path / "theirs"), LEFT)
    assert done.losses == []
    assert ledgers_reading(book.now()) == mlflows_reading(kind)
    assert dict(done.new) == {"experiment": 3, "run": 6, "kept model": 1, "registered model": 2}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("artifacts", ["copy", "reference", "none"])
def test_a_second_import_adds_nothing(kind: str, artifacts: importer.Keeping, book: Ledger, tmp_path: Path) -> None:
    store = a_store(kind, tmp_path / "theirs")
    assert import_store(book, store, ImportOptions(artifacts)).events > 0
    size, before = book.size(), ledgers_reading(book.now())
    again = import_store(book, store, ImportOptions(artifacts))
    assert (again.events, again.new.total(), again.changed.total(), book.size()) == (0, 0, 0, size)
    assert ledgers_reading(book.now()) == before


def test_the_source_is_only_read(book: Ledger, tmp_path: Path) -> None:
    store = a_store("mlflow.db", tmp_path / "theirs")
    before = store.read_bytes(), sorted(store.parent.iterdir())
    import_store(book, store)
    assert (store.read_bytes(), sorted(store.parent.iterdir())) == before


def test_a_dry_run_says_the_same_and_appends_nothing(book: Ledger, tmp_path: Path) -> None:
    store = a_store("mlruns", tmp_path / "theirs")
    size = book.size()
    dry = import_store(book, store, LEFT._replace(dry_run=True))
    assert book.size() == size
    assert not list((book.folder / "objects").rglob("*")) if (book.folder / "objects").exists() else True
    done = import_store(book, store, LEFT)
    assert (dry.events, dry.numbers, dry.new) == (done.events, done.numbers, done.new)


def test_the_time_of_the_store_can_be_walked(book: Ledger, tmp_path: Path) -> None:
    import_store(book, a_store("mlruns", tmp_path / "theirs"), LEFT)
    during = book.at(dt.datetime.fromtimestamp(1_700_000_015, dt.UTC), axis="occurred")
    assert {(trial.name, trial.status) for trial in during.trials()} == {("first", "running"), ("0123", "running")}
    after = book.at(dt.datetime.fromtimestamp(1_700_000_070, dt.UTC), axis="occurred")
    names = {trial.name: trial.status for trial in after.trials(removed=True)}
    assert names["first"] == "finished"
    assert names["killed"] == "terminated"
    assert book.at("0 days ago", axis="recorded").trials()


def test_what_mlflow_does_not_say_is_not_made_up(book: Ledger, tmp_path: Path) -> None:
    done = import_store(book, a_store("mlflow.db", tmp_path / "theirs"), LEFT)
    alias = next(state for state in book.now().aliases("fraud-model") if state.name == "champion")
    assert alias.observed
    assert alias.since > dt.datetime.now(dt.UTC) - dt.timedelta(minutes=5)
    assert any("aliases" in words for words in done.unknowable)
    assert any("infinity" in words for words in done.remarks)


# Later imports ---------------------------------------------------------------------------------------------


def test_a_folder_that_grew_adds_what_is_missing(book: Ledger, tmp_path: Path) -> None:
    store = a_store("mlruns", tmp_path / "theirs")
    import_store(book, store, LEFT)
    run = the_run(store)
    with (run / "metrics" / "loss").open("a") as file:
        file.write("1700000050000 0.125 25\n1700000050000 0.125 25\n")
    (run / "metrics" / "late").write_text("1700000050001 nan 0\n")
    (run / "params" / "later").write_text("1")
    (run / "tags" / "stage").write_text("production")
    (run / "tags" / "empty").unlink()
    models = store / "models" / "fraud-model"
    (models / "aliases" / "champion").write_text("1")
    (models / "aliases" / "old_one").unlink()
    running = next(place for place in (store / "0").iterdir() if place.is_dir())
    meta = (running / "meta.yaml").read_text()
    (running / "meta.yaml").write_text(
        meta.replace("status: 1", "status: 3").replace("end_time: null", "end_time: 1700000090000")
    )
    done = import_store(book, store, LEFT)
    assert (done.changed["run"], done.changed["registered model"], done.numbers) == (2, 1, 3)
    now = book.now()
    loss = now.numbers(run.name)["loss"]
    assert [(point.step, point.value) for point in loss[-2:]] == [(25, 0.125)] * 2
    assert len(loss) == 27
    assert now.tags(f"trial:{run.name}")["stage"] == "production"
    assert "empty" not in now.tags(f"trial:{run.name}")
    assert now.trial_params(run.name)["later"] == "1"
    ended = now.trial(running.name)
    assert (ended.status, ended.ended_at) == ("finished", dt.datetime.fromtimestamp(1_700_000_090, dt.UTC))
    pointing = {alias.name: (alias.version, alias.previous) for alias in now.aliases("fraud-model")}
    assert pointing["champion"] == ("fraud-model/1", "fraud-model/2")
    assert pointing["old_one"] == (None, "fraud-model/1")
    assert import_store(book, store, LEFT).events == 0


def test_a_database_that_grew_adds_what_is_missing(book: Ledger, tmp_path: Path) -> None:
    store = a_store("mlflow.db", tmp_path / "theirs")
    import_store(book, store, LEFT)
    with sqlite3.connect(store) as database:
        database.executescript(
            "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) "
            "SELECT 'loss', 0.125, 1600000000000, run_uuid, 99, 0 FROM runs WHERE name = 'first';"
            "UPDATE experiments SET name = 'renamed', last_update_time = last_update_time + 5 WHERE name LIKE 'churn%';"
            "UPDATE registered_models SET description = 'new', last_updated_time = last_updated_time + 5 "
            "WHERE name = 'fraud-model';"
            "UPDATE model_versions SET current_stage = 'Production', last_updated_time = last_updated_time + 5 "
            "WHERE name = 'fraud-model' AND version = 1;"
            "UPDATE runs SET lifecycle_stage = 'deleted', deleted_time = 1700000100000 WHERE name = 'killed';"
        )
    done = import_store(book, store, LEFT)
    assert done.numbers == 1
    now = book.now()
    assert "renamed" in {state.name for state in now.experiments()}
    assert next(trial for trial in now.trials(removed=True) if trial.name == "killed").removed
    assert next(state for state in now.registered_models() if state.name == "fraud-model").description == "new"
    assert now.model_versions("fraud-model")[0].stage == "Production"
    assert import_store(book, store, LEFT).events == 0


def test_what_was_changed_here_since_stays(book: Ledger, tmp_path: Path) -> None:
    store = a_store("mlruns", tmp_path / "theirs")
    import_store(book, store, LEFT)
    run = the_run(store)
    book.append(TrialNoted(trial=run.name, tags={"stage": "kept here"}))
    moved = AliasMoved(
        alias="fraud-model/champion", registered="fraud-model", name="champion", version="fraud-model/1",
        previous="fraud-model/2", reason="better",
    )  # fmt: skip
    book.append(moved)
    done = import_store(book, store, LEFT)
    assert (done.events, len(done.kept)) == (0, 2)
    assert book.now().tags(f"trial:{run.name}")["stage"] == "kept here"
    champion = next(alias for alias in book.now().aliases("fraud-model") if alias.name == "champion")
    assert champion.version == "fraud-model/1"


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_import_goes_on(
    kind: str, book: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importer, "EVENTS_A_COMMIT", 3)
    store = a_store(kind, tmp_path / "theirs")
    for stop in range(1, 6):

        def stopped(_what: str, done: int, _total: int, stop: int = stop) -> None:
            if done == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            import_store(book, store, LEFT, stopped)
    import_store(book, store, LEFT)
    assert ledgers_reading(book.now()) == mlflows_reading(kind)
    assert import_store(book, store, LEFT).events == 0


def test_who_records_meanwhile_is_not_overrun(book: Ledger, tmp_path: Path) -> None:
    store = a_store("mlruns", tmp_path / "theirs")
    import_store(book, store, LEFT)
    run = the_run(store)
    (run / "params" / "later").write_text("1")

    def meanwhile(_what: str, done: int, _total: int) -> None:
        if not done:
            book.append(TrialNoted(trial=run.name, params={"later": "2"}))

    with pytest.raises(Conflict, match="at the same time"):
        import_store(book, store, LEFT, meanwhile)
    done = import_store(book, store, LEFT)
    assert done.kept == [f"trial {run.name}: parameter later"]


# Files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_files_come_into_the_ledger(kind: str, book: Ledger, tmp_path: Path) -> None:
    store = a_store(kind, tmp_path / "theirs")
    done = import_store(book, store)
    now = book.now()
    first = next(trial for trial in now.trials() if trial.name == "first")
    files = {state.path: state for state in now.filed(f"trial:{first.trial}")}
    assert set(files) == {"notes/read me.txt", "settings.json"}
    assert book.objects.get(files["notes/read me.txt"].artifact or "") == "hello, Wörld\n".encode()
    assert (done.files, done.file_bytes) == (2, sum(state.size_bytes or 0 for state in files.values()))
    assert first.artifact_uri is None
    assert first.imported_from is not None
    assert "/store/" in first.imported_from
    assert now.model_versions("fraud-model")[0].source == f"runs:/{first.trial}/model"
    # The kept model is ready, and MLflow's file that describes it was never there.
    model = now.logged_models()[0].logged
    assert done.absent == [f"logged:{model}"]
    assert [(state.path, state.artifact) for state in now.filed(f"logged:{model}")] == [("MLmodel", None)]
    assert verify(book, Checked(read_data=True)).verified


def test_files_can_stay_where_they_are(book: Ledger, tmp_path: Path) -> None:
    store = a_store("mlruns", tmp_path / "theirs")
    import_store(book, store, ImportOptions("reference"))
    run = the_run(store)
    filed = {state.path: state for state in book.now().filed(f"trial:{run.name}")}
    assert filed["settings.json"].artifact is None
    assert filed["settings.json"].uri == (run / "artifacts" / "settings.json").as_uri()
    assert filed["settings.json"].size_bytes == (run / "artifacts" / "settings.json").stat().st_size


def test_an_address_in_the_store_does_not_decide_what_is_read(book: Ledger, tmp_path: Path) -> None:
    store = a_store("mlflow.db", tmp_path / "theirs")
    secret = tmp_path / "elsewhere" / "artifacts"
    secret.mkdir(parents=True)
    (secret / "id_ed25519").write_text("private")
    with sqlite3.connect(store) as database:
        database.execute("UPDATE runs SET artifact_uri = ? WHERE name = 'first'", (secret.as_uri(),))
    done = import_store(book, store)
    assert (done.files, done.outside) == (0, [str(secret.parent)])
    allowed = import_store(book, store, ImportOptions(artifacts_from=(secret.parent,)))
    assert allowed.files == 1


def test_links_among_files_are_not_followed(book: Ledger, tmp_path: Path) -> None:
    store = a_store("mlruns", tmp_path / "theirs")
    (tmp_path / "secret").write_text("private")
    (the_run(store) / "artifacts" / "model.pkl").symlink_to(tmp_path / "secret")
    (the_run(store) / "params" / "linked").symlink_to(tmp_path / "secret")
    done = import_store(book, store)
    assert sorted(loss.what for loss in done.losses) == [
        "it is a link, or has no readable name",
        "model.pkl is a link, or no file, and is not followed",
    ]
    assert "linked" not in book.now().trial_params(the_run(store).name)


# Bad stores ------------------------------------------------------------------------------------------------


def test_each_loss_of_a_half_written_folder_is_named_and_the_rest_is_imported(book: Ledger, tmp_path: Path) -> None:
    store = a_store("mlruns", tmp_path / "theirs")
    run = the_run(store)
    others = sorted(place for place in run.parent.iterdir() if (place / "meta.yaml").is_file() and place != run)
    (others[0] / "meta.yaml").unlink()
    whole = (others[1] / "meta.yaml").read_text()
    (others[1] / "meta.yaml").write_text(whole[: len(whole) // 2])
    (run / "params" / "odd").write_bytes(b"\xff\xfe")
    (run / "metrics" / "loss").write_text("1 0.5 0\n1 0.5\n1 nothing 2\n1 2 3 4\n2 0.25 1\n1700")
    (run / "metrics" / "none").write_text("")
    (store / "models" / "fraud-model" / "aliases" / "lost").write_text("17")
    (store / "models" / "fraud-model" / "aliases" / "odd").write_text("x")
    done = import_store(book, store, LEFT)
    found = {(loss.where.rpartition("/")[2], loss.what) for loss in done.losses}
    assert found == {
        (others[0].name, "meta.yaml is missing"),
        (others[1].name, "meta.yaml: it is half written"),
        ("odd", "it is not UTF-8"),
        ("odd", "it names no version"),
        ("loss", "malformed lines: 3 (3, 4, 6)"),
        ("none", "it is empty"),
        ("alias lost of fraud-model", "it points to version 17, which is not there"),
    }
    values = [(point.step, point.value) for point in book.now().numbers(run.name)["loss"]]
    assert values == [(0, 0.5), (0, 0.5), (1, 0.25)]
    assert len(book.now().trials(removed=True)) == 4


def test_an_unknown_schema_is_said_before_anything_is_appended(book: Ledger, tmp_path: Path) -> None:
    store = a_store("mlflow.db", tmp_path / "theirs")
    size = book.size()
    with sqlite3.connect(store) as database:
        database.execute("ALTER TABLE metrics RENAME COLUMN step TO at_step")
    with pytest.raises(Refused, match="the column step of metrics is missing"):
        import_store(book, store)
    with sqlite3.connect(store) as database:
        database.execute("ALTER TABLE metrics RENAME COLUMN at_step TO step")
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        database.execute("DROP TABLE logged_model_params")
    assert book.size() == size
    done = import_store(book, store, LEFT)
    assert any("not tested" in words for words in done.remarks)
    assert done.new["run"] == 6


def test_what_is_no_store_is_refused(book: Ledger, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("SQLite format 3")
    for path, error in (("empty", NotFound), ("nothing", NotFound), ("text", InvalidInput)):
        with pytest.raises(error):
            import_store(book, tmp_path / path)
    both = a_store("mlflow.db", tmp_path / "both").parent
    a_store("mlruns", both)
    with pytest.raises(InvalidInput, match="two stores"):
        import_store(book, both)
    assert import_store(book, both / "mlruns", LEFT).new["run"] == 6


def test_a_damaged_database_is_imported_as_far_as_it_can_be_read(book: Ledger, tmp_path: Path) -> None:
    store = a_store("mlflow.db", tmp_path / "theirs")
    data = bytearray(store.read_bytes())
    at = data.index(b"1_700", 0) if b"1_700" in data else len(data) // 2
    for start in range(at, len(data) - 4096, 4096):
        data[start : start + 64] = os.urandom(64)
    store.write_bytes(bytes(data))
    with pytest.raises((InvalidInput, Refused)):
        import_store(book, store, LEFT)


def test_names_that_mean_something_else_here_are_refused(book: Ledger, tmp_path: Path) -> None:
    import_store(book, a_store("mlruns", tmp_path / "theirs"), LEFT)
    size = book.size()
    with pytest.raises(Refused, match="registered model fraud-model was created at another time"):
        import_store(book, a_store("mlflow.db", tmp_path / "others"), LEFT)
    assert book.size() == size


# Readers ---------------------------------------------------------------------------------------------------


def test_both_readers_of_metric_lines_agree() -> None:
    source = random.Random(7)
    pieces = ["0", "1700000000000", "-5", "0.25", "1e-3", "nan", "inf", "-inf", "NaN", "1_0", "٣", "", "x", "1 2",
              "99999999999999999", "9007199254740993", "0x1", "1.", ".5", "1e999", "\r", "infinity"]  # fmt: skip
    plain = 0
    for _ in range(20_000):
        lines = [["1700000000000", "0.25", "3"] for _ in range(2)]
        for _ in range(source.randrange(3)):
            line = source.choice(lines)
            line[source.randrange(len(line))] = source.choice(pieces)
        text = "\n".join(" ".join(line) for line in lines) + source.choice(("\n", "\n", ""))
        curve = plain_curve("k", text)
        if curve is None:
            continue
        plain += 1
        slow = read_lines(text, of_model=False)
        assert slow.odd == [], text
        assert list(map(repr, curve.values)) == [repr(point.value) for point in slow.points], text
        assert curve.steps == [point.step for point in slow.points], text
    assert plain > 5_000


def test_yaml_is_read_as_pyyaml_reads_it_but_without_guessing() -> None:
    yaml = pytest.importorskip("yaml")

    only_null = {
        sign: [(tag, rule) for tag, rule in rules if tag == "tag:yaml.org,2002:null"]
        for sign, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    texts = type("Texts", (yaml.SafeLoader,), {"yaml_implicit_resolvers": only_null})

    source = random.Random(11)
    pieces = ["a", "b c", " ", "  ", "\n", "\n\n", ": ", ":", "#", " #", "'", '"', "\\", "-", "- ", "ü", "\t", "\r",
              "😀", "\x00", "\x1b", "null", "~", "true", "1", "0x1", "1e3", "2024-01-01", "word " * 20, "{", "[", "]",
              "}", "!", "&", "*", "%", "@", "`", "|", ">", "?", "? ", "=", "<<", "\ufeff", "\xa0"]  # fmt: skip

    def text() -> str:
        return "".join(source.choice(pieces) for _ in range(source.randrange(source.choice((2, 5, 12)))))

    def value(depth: int) -> object:
        kind = source.random()
        if kind < 0.7 or depth > 2:
            return text()
        if kind < 0.8:
            return None
        if kind < 0.9:
            return {text()[:100]: value(depth + 1) for _ in range(source.randrange(3))}
        return [value(depth + 1) for _ in range(source.randrange(3))]

    compared = 0
    for _ in range(3_000):
        given = {text()[:100]: value(0) for _ in range(source.randrange(1, 4))}
        written = yaml.safe_dump(given, default_flow_style=False, allow_unicode=True)
        if re.search(r"(^|[ \n])\? ", written):
            continue  # keys of several lines, which MLflow's names cannot be
        assert read_mapping(written) == yaml.load(written, Loader=texts), written
        compared += 1
    assert compared > 1_000
