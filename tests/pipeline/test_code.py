"""Which code a pipeline file can run: what it names is judged by form, and files beside it are named first."""

from __future__ import annotations

import importlib.util
import os
import py_compile
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from shell import tally
from tiny import done, silent, tiny

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline.config.code import check_code, files_named
from tallystick.pipeline.config.load import ConfigurationError, read
from tallystick.pipeline.own_code import forget
from tallystick.pipeline.recipes import Columns, build, look_beside, resolve
from tallystick.pipeline.runs.reproduce import reproduce

COLUMNS = Columns(("a",), ())
RECIPE = """
from sklearn.dummy import DummyClassifier
def plain(columns, task, seed, *, strategy="prior"):
    "A recipe."
    return DummyClassifier(strategy=strategy, random_state=seed)
"""


@pytest.fixture(autouse=True)
def nowhere() -> Iterator[None]:
    """No folder is left to look in, and no module from it."""
    yield
    look_beside(None)
    forget()


def beside(folder: Path, text: str, name: str = "ours_here") -> str:
    (folder / f"{name}.py").write_text(text)
    look_beside(folder)
    return name


def using(folder: Path, estimator: str, params: str = "") -> Path:
    """The tiny pipeline whose second candidate is another estimator."""
    file = tiny(folder)
    text = file.read_text()
    table = re.search(r"\[candidates\.logistic\].*?(?=\n\[)", text, re.DOTALL)
    assert table is not None
    candidate = (
        f'''[candidates.other]\nestimator = "{estimator}"\nparams = {{ {params} }}\ncomplexity = 1\nwhy = "x"\n'''
    )
    file.write_text(text.replace(table[0], candidate))
    return file


def test_a_file_named_by_a_library_is_not_run(tmp_path: Path) -> None:
    """The function that was seen: it runs the Python file that its parameter names."""
    canary = tmp_path / "canary"
    (tmp_path / "lexer.py").write_text(f"open({str(canary)!r}, 'w')\nclass CustomLexer: pass\n")
    estimator, params = "pygments.lexers:load_lexer_from_file", {"filename": str(tmp_path / "lexer.py")}
    with pytest.raises(InvalidInput, match="makes no model"):
        build(estimator, params, COLUMNS, "classification", 1)
    assert not canary.exists()
    from pygments.lexers import load_lexer_from_file

    load_lexer_from_file(params["filename"])  # the canary itself is alive
    assert canary.exists()


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("def made(columns, task, seed): ...", True),
        ("def made(columns, task, seed, *, depth=1): ...", True),
        ("class made:\n    def fit(self, X, y): ...", True),
        ("from sklearn.dummy import DummyClassifier\ndef made() -> DummyClassifier: ...", True),
        ("from __future__ import annotations\nimport sklearn.dummy\n"
         "def made() -> sklearn.dummy.DummyClassifier: ...", True),
        ("from functools import wraps\ndef deco(f):\n    @wraps(f)\n    def g(*a, **k): return f(*a, **k)\n"
         "    return g\n@deco\ndef made(columns, task, seed): ...", True),
        ("def made(): ...", False),
        ("def made(task, columns, seed): ...", False),
        ("def made() -> int: ...", False),
        ("from __future__ import annotations\ndef made() -> open('canary', 'w'): ...", False),
        ("def made() -> 'no.such.class': ...", False),
        ("class made:\n    fit = 1", False),
        ("class made: ...", False),
        ("class C:\n    def fit(self): ...\n    def __call__(self): ...\nmade = C()", False),
        ("import os\nmade = os.system", False),
        ("from functools import partial\nimport os\nmade = partial(os.system, 'touch canary')", False),
        ("made = 1", False),
    ],
)  # fmt: skip
def test_what_makes_a_model_is_judged_by_its_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, accepted: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    name = beside(tmp_path, text)
    if accepted:
        assert callable(resolve(f"{name}:made"))
    else:
        with pytest.raises(InvalidInput, match="makes no model"):
            resolve(f"{name}:made")
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("text", ["raise SystemExit(0)", "1/0", "def f(:", "raise KeyboardInterrupt_", "\x00"])
def test_a_module_that_cannot_be_imported_is_an_error_of_ours(tmp_path: Path, text: str) -> None:
    name = beside(tmp_path, text)
    with pytest.raises(InvalidInput, match="There is no"):
        resolve(f"{name}:made")


def test_a_function_that_returns_no_model_after_all_is_refused(tmp_path: Path) -> None:
    name = beside(tmp_path, "def made(columns, task, seed): return 1")
    with pytest.raises(InvalidInput, match="returned a int"):
        build(f"{name}:made", {}, COLUMNS, "classification", 1)


def test_check_names_a_file_beside_before_it_is_imported(tmp_path: Path) -> None:
    file = using(tmp_path, "ours_here:plain")
    (tmp_path / "ours_here.py").write_text(f"import sys\nprint('IMPORTED', file=sys.stderr, flush=True)\n{RECIPE}")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    found = tally(elsewhere, "check", str(file))
    assert found.code == 0, found.err
    assert found.err.index(str(tmp_path / "ours_here.py")) < found.err.index("IMPORTED")
    alone = tally(elsewhere, "check", str(file), "--no-data", "--json")
    assert (alone.code, alone.json["code"], alone.json["code_imported"]) == (0, [str(tmp_path / "ours_here.py")], False)
    assert "is not imported" in alone.err
    assert "IMPORTED" not in alone.err
    assert not list(tmp_path.rglob("*.pyc"))


def test_every_command_names_a_file_beside_before_its_code_runs(tmp_path: Path) -> None:
    file = using(tmp_path, "ours_here:plain")
    kept = tmp_path / "kept.txt"
    kept.write_text(f"import sys\nprint('IMPORTED', file=sys.stderr, flush=True)\n{RECIPE}")
    code = tmp_path / "ours_here.py"
    code.symlink_to(kept)
    run = tally(tmp_path, "run", str(file), "--workers", "1", "--json")
    assert run.json["code"] == [str(code)], run.err
    name = run.json["run"]["name"]
    refit = tally(tmp_path, "refit", name, "other", "--reason", "to see")
    again = tally(tmp_path, "reproduce", name, "--workers", "1")
    # A refit and a reproduction run the text that the run stored, by the name that its file had.
    for found, named in ((run, str(code)), (refit, code.name), (again, code.name)):
        assert found.err.index(named) < found.err.index("IMPORTED")
        assert f"a link to {kept}" in found.err
    assert (refit.code, again.code) == (0, 0)


def test_check_reports_estimators_that_are_not_there_and_params_they_do_not_take(tmp_path: Path) -> None:
    for estimator, params, words in (
        ("no_such_module:plain", "", "There is no no_such_module:plain"),
        ("pygments.lexers:load_lexer_from_file", "filename = 'x'", "makes no model"),
        ("pipeline.recipes:linear", "depth = 3", "does not take these params"),
        ("sklearn.dummy:DummyClassifier", "strategi = 'prior'", "does not take these params"),
    ):
        loaded = read(using(tmp_path, estimator, params))
        with pytest.raises(ConfigurationError, match=words) as wrong:
            check_code(loaded)
        (mistake,) = wrong.value.mistakes
        assert (
            mistake.path in loaded.text.split("\n")[mistake.line - 1]
            or mistake.path.rpartition(".")[2] in (loaded.text.split("\n")[mistake.line - 1])
        )


def test_a_run_uses_a_recipe_beside_its_file_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "ours_here.py").write_text(RECIPE)
    file = using(tmp_path, "ours_here:plain")
    with ledger.create(tmp_path, timezone="America/New_York") as book:
        report = done(book, file, workers=2)
        assert "ours_here" not in sys.modules
        look_beside(None)
        again = reproduce(book, report.outline.run, workers=2, on_progress=silent)
    assert again.body.verdict == "identical"


def test_the_text_is_run_and_no_compiled_copy_beside_it(tmp_path: Path) -> None:
    """A compiled copy whose header fits the text's time and size is what Python itself would run."""
    path = tmp_path / "ours_here.py"
    evil = RECIPE.replace('"A recipe."', "raise OSError")
    path.write_text(evil.ljust(len(RECIPE), "#"))
    py_compile.compile(str(path), cfile=importlib.util.cache_from_source(str(path)))
    stat = path.stat()
    path.write_text(RECIPE.ljust(len(evil), "#"))
    assert path.stat().st_size == stat.st_size
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    look_beside(tmp_path)
    assert build("ours_here:plain", {}, COLUMNS, "classification", 1).strategy == "prior"


def test_a_file_beside_hides_no_installed_module_and_is_found_by_nobody_else(tmp_path: Path) -> None:
    """A file called like a library that others look for is not theirs to find, and not ours where it is installed."""
    for name in ("pygments", "psutil_not_installed", "json"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'w')\n{RECIPE}")
    look_beside(tmp_path)
    for estimator in ("pygments:plain", "json:plain"):
        with pytest.raises(InvalidInput):
            resolve(estimator)
    assert importlib.util.find_spec("psutil_not_installed") is None
    assert str(tmp_path) not in sys.path
    assert not (tmp_path / "canary").exists()


def test_files_are_named_without_being_read(tmp_path: Path) -> None:
    (tmp_path / "ours_here.py").write_text("this is no Python")
    assert files_named(read(using(tmp_path, "ours_here:plain"))) == [tmp_path / "ours_here.py"]
    assert files_named(read(tiny(tmp_path))) == []
