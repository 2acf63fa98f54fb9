"""Modules of a pipeline's own: stored with the run, run from there, and held to answer the same each time."""

from __future__ import annotations

import datetime as dt
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from own_modules import HOURS, PARTS, own
from tiny import done, silent, table

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput, Refused
from tallystick.ledger.events import types as say
from tallystick.pipeline import monitor, predict, propose, reproduce, run
from tallystick.pipeline.config.code import files_named
from tallystick.pipeline.config.load import read
from tallystick.pipeline.governance.gates import standing
from tallystick.pipeline.models.code_hash import code_hash
from tallystick.pipeline.own_code import ROOT, forget, gather, main_module
from tallystick.pipeline.recipes import Columns, build, look_beside

COLUMNS = Columns(("a",), ())


@pytest.fixture(autouse=True)
def nowhere() -> Iterator[None]:
    """No folder is left to look in, and no module from it."""
    yield
    look_beside(None)
    forget()


def alone(folder: Path, text: str, **more: str) -> Path:
    """The tiny pipeline with a function of one module as its second candidate."""
    file = own(folder, estimator="single:made", params=more.get("params", ""))
    (folder / "single.py").write_text(text)
    return file


def without_code(folder: Path) -> None:
    for name in ("mymodels.py", "calendar_parts.py", "single.py"):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "rules")


def test_what_a_module_imports_beside_it_is_found_and_named(tmp_path: Path) -> None:
    file = own(tmp_path)
    names = ["calendar_parts.py", "mymodels.py", "rules/__init__.py", "rules/hours.py", "rules/limits.py"]
    assert files_named(read(file)) == sorted(tmp_path / name for name in names)
    assert "mymodels" not in sys.modules and "rules" not in sys.modules


def test_a_run_stores_the_code_and_whatever_comes_later_uses_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = own(tmp_path)
    file.write_text(file.read_text().replace('valid_for = "62 days"', 'valid_for = "9000 days"'))
    known = dt.datetime(2013, 11, 2, 12, tzinfo=dt.UTC)
    with ledger.create(tmp_path, timezone="America/New_York") as book:
        report = run(
            book, read(file), workers=2, on_outline=lambda _: None, on_progress=silent, labels_as_of=known
        )  # fmt: skip
        assert report.selection.chosen == "calendar"
        declared = [entry.event.body for entry in book.now().counted_events(types=["candidate.declared"])]
        assert [(body.candidate, body.kind) for body in declared] == [("calendar", "code")]
        modules = declared[0].source["modules"]
        assert book.objects.get(modules["rules.hours"]).decode() == HOURS
        without_code(tmp_path)
        again = reproduce(book, report.outline.run, workers=1, on_progress=silent)
        assert (again.body.verdict, again.body.result_hash) == ("identical", report.result_hash)
        look_beside(None)
        forget()
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        flights = table().to_pandas()
        local = flights["time_hour"].dt.tz_convert("America/New_York")
        flights[(local >= "2013-11-05") & (local < "2013-11-20")].to_parquet("rows.parquet")
        answered = predict(book, report.model or "", "rows.parquet", Path("out.csv"), challenger=True)
        assert answered.body.rows > 100
        watched = monitor(book, read(file), "2013-12", model=report.model)
        assert watched.body.metrics


def test_the_stored_model_answers_in_another_process_without_the_files(tmp_path: Path) -> None:
    file = own(tmp_path)
    with ledger.create(tmp_path, timezone="America/New_York") as book:
        report = done(book, file)
        made = next(entry.event.body for entry in book.now().counted_events(types=["candidate.refitted"]))
    without_code(tmp_path)
    code = (
        "import sys; from pathlib import Path; from tallystick import ledger\n"
        "from tallystick.pipeline.monitoring.predict import open_model\n"
        "from tallystick.pipeline.runs.start import how_made\n"
        "with ledger.open(sys.argv[1]) as book:\n"
        "    now = book.now(); made = how_made(now, now.model(sys.argv[2]))\n"
        "    print(type(open_model(book, made)).__module__)\n"
    )
    args = [sys.executable, "-c", code, str(tmp_path), report.model or ""]
    found = subprocess.run(args, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert found.stdout.strip() == f"{ROOT}.mymodels", found.stderr
    assert made.recipe["source"]["main"] == "mymodels"


def test_code_of_another_ledger_is_not_run(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.mkdir()
    ours.mkdir()
    with ledger.create(theirs, timezone="America/New_York") as book:
        report = done(book, own(theirs))
    with ledger.create(ours, timezone="America/New_York") as book:
        ledger.import_history(book, theirs, named_under="theirs")
        model = f"theirs/{report.model}"
        with pytest.raises(Refused, match="code that another ledger recorded"):
            predict(book, model, str(theirs / "late-arrivals.parquet"), tmp_path / "out.csv", challenger=True)


def test_the_hash_changes_with_what_it_imports_and_not_with_its_prose(tmp_path: Path) -> None:
    own(tmp_path)
    look_beside(tmp_path)
    first = code_hash("mymodels:CalendarTrees")
    assert first.startswith("modules-1:")
    (tmp_path / "calendar_parts.py").write_text("# a remark\n" + PARTS)
    (tmp_path / "rules" / "limits.py").write_text('"""Hours."""\nEVENING = 1800\n')
    assert code_hash("mymodels:CalendarTrees") == first
    (tmp_path / "rules" / "limits.py").write_text("EVENING = 1900\n")
    assert code_hash("mymodels:CalendarTrees") != first


def test_two_versions_of_a_module_live_beside_each_other(tmp_path: Path) -> None:
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "which.py").write_text("import part\nVALUE = part.VALUE\ndef lazy():\n    import part\n"
                                                     "    return part.VALUE\n")  # fmt: skip
        (tmp_path / version / "part.py").write_text(f"VALUE = {version}\n")
    codes = [gather("which", tmp_path / version) for version in ("1", "2")]
    first, second = (main_module(code) for code in codes if code)
    assert (first.VALUE, second.VALUE) == (1, 2)
    main_module(codes[0])  # type: ignore[arg-type]
    assert first.lazy() == 1
    assert main_module(codes[0]) is first  # type: ignore[arg-type]


def test_a_module_that_would_hide_an_installed_one_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "joblib.py").write_text("raise SystemExit\n")
    look_beside(tmp_path)
    with pytest.raises(InvalidInput, match=r"joblib\.py would hide the installed module joblib"):
        build("joblib:made", {}, COLUMNS, "classification", 1)
    (tmp_path / "uses.py").write_text("import joblib\ndef made(columns, task, seed): ...\n")
    with pytest.raises(InvalidInput, match=r"joblib\.py would hide"):
        build("uses:made", {}, COLUMNS, "classification", 1)
    (tmp_path / "joblib.py").unlink()
    (tmp_path / "json.py").write_text("raise SystemExit\n")
    (tmp_path / "uses.py").write_text("import json\ndef made(columns, task, seed): ...\n")
    with pytest.raises(InvalidInput, match=r"json\.py would hide"):
        build("uses:made", {}, COLUMNS, "classification", 1)


@pytest.mark.parametrize(
    "text",
    [
        "from sklearn.tree import DecisionTreeClassifier\ndef made(**params) -> DecisionTreeClassifier:\n"
        "    return DecisionTreeClassifier(**params)",
        "from sklearn.tree import DecisionTreeClassifier\ndef made(depth=1) -> DecisionTreeClassifier:\n"
        "    return DecisionTreeClassifier(max_depth=depth)",
        "from sklearn.tree import DecisionTreeClassifier\ndef made(seed) -> DecisionTreeClassifier:\n"
        "    return DecisionTreeClassifier(random_state=seed)",
        "from sklearn.tree import DecisionTreeClassifier\nfrom sklearn.pipeline import Pipeline\n"
        "def made() -> Pipeline:\n    return Pipeline([('tree', DecisionTreeClassifier())])",
        "from sklearn.tree import DecisionTreeClassifier\nclass made(DecisionTreeClassifier): pass",
    ],
)
def test_a_seed_reaches_whatever_can_take_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "single.py").write_text(text)
    look_beside(tmp_path)
    params = build("single:made", {}, COLUMNS, "classification", 77).get_params()
    assert params.get("random_state", params.get("tree__random_state")) == 77
    if "**params" in text:
        given = build("single:made", {"random_state": 3}, COLUMNS, "classification", 77)
        assert given.random_state == 3


UNSTEADY = """
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
class made(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_, self.rate_ = [0, 1], float(np.mean(y)) + 0.01 * np.random.default_rng().random()
        return self
    def predict_proba(self, X):
        return np.tile([1 - self.rate_, self.rate_], (len(X), 1))
"""


def test_an_unsteady_candidate_is_named_judged_never_chosen_and_stops_nobody(tmp_path: Path) -> None:
    file = alone(tmp_path, UNSTEADY)
    text = file.read_text()
    good = '[candidates.logistic]\nestimator = "pipeline.recipes:linear"\ncomplexity = 1\nwhy = "x"\n\n[selection]'
    file.write_text(text.replace("[selection]", good))
    with ledger.create(tmp_path, timezone="America/New_York") as book:
        report = done(book, file)
        assert [item.candidate for item in report.outline.unsteady] == ["calendar"]
        tried = next(entry for entry in book.now().counted_events(types=["candidate.tried"]))
        assert isinstance(tried.event.body, say.CandidateTried)
        assert tried.seq < next(book.now().counted_events(types=["window.described"])).seq
        assert "calendar answers differently when it is fitted twice" in tried.event.body.sentence
        assert report.selection.chosen == "logistic"
        assert {item.candidate for item in report.judged} == {"base_rate", "calendar", "logistic"}
        assert any("fitted twice" in reason.sentence for reason in report.reasons)
        assert reproduce(book, report.outline.run, workers=1, on_progress=silent).body.verdict == "identical"
        now = book.now()
        _, outcomes, _ = standing(now, now.model(report.model or ""))
        assert {item.name: item.verdict for item in outcomes}["reproduced"] == "passed"
        put = propose(book, report.outline.run, "calendar", "we want to see what its gates say")
        assert {gate.name: gate.verdict for gate in put.gates}["reproduced"] == "failed"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("open('left.txt', 'w').write('x')", "writes the file left.txt"),
        ("import pathlib; pathlib.Path('left').mkdir()", "changes the file or folder left"),
        ("import socket; socket.create_connection(('127.0.0.1', {port}), 1).close()", "uses the network"),
        ("import socket\n        try: socket.create_connection(('127.0.0.1', {port}), 1).close()\n"
         "        except Exception: pass", "uses the network"),
        ("raise ValueError('Found array with 0 features')", "cannot be fitted in 2013-08.*0 features"),
        ("X['no_such_column']", "cannot be fitted in 2013-08.*no_such_column"),
        ("self.rate_ = float('nan')", "predicts 2013-08.* missing or infinite"),
    ],
)  # fmt: skip
def test_what_a_candidate_does_wrong_is_named_before_the_first_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        wrong = UNSTEADY.replace("        return self\n", f"        {body}\n        return self\n")
        file = alone(tmp_path, wrong.replace("{port}", str(server.getsockname()[1])))
        with ledger.create(tmp_path, timezone="America/New_York") as book:
            with pytest.raises(InvalidInput, match=f"(?s)calendar {words}"):
                done(book, file)
            assert book.now().runs() == []
    assert not (tmp_path / "left.txt").exists()


def test_reading_and_importing_are_no_misconduct(tmp_path: Path) -> None:
    body = "import colorsys, pathlib; pathlib.Path(colorsys.__file__).read_bytes()"
    file = alone(tmp_path, UNSTEADY.replace("        return self\n", f"        {body}\n        return self\n"))
    with ledger.create(tmp_path, timezone="America/New_York") as book:
        assert done(book, file).outline.unsteady
