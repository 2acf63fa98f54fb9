"""What is installed: one package of one name, from wheel, sdist or clone alike, beside whatever names a user has."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import textwrap
import zipfile
from collections.abc import Iterable
from email.parser import Parser
from pathlib import Path

import pytest
from tiny import tiny

import tallystick
from tallystick import ledger

ROOT = Path(__file__).resolve().parent.parent
NAME = f"tallystick-{tallystick.__version__}"


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """A process that must end well; what it printed."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd, capture_output=True, text=True, check=False, timeout=300, env={**clean, **environment},
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of this repository as they are now, in a folder where a build may leave its traces."""
    listed = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True,
                            text=True, check=False)  # fmt: skip
    if listed.returncode != 0:
        pytest.skip("not a git checkout, so there is no list of what belongs to it")
    folder = tmp_path_factory.mktemp("clone")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists() and not name.startswith(("tests/", "fixtures/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
    return folder


@pytest.fixture(scope="module")
def wheel(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(clone, tmp_path_factory.mktemp("wheel"))


def build_wheel(source: Path, into: Path) -> Path:
    """Built with what is installed here, so that nothing is fetched."""
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--quiet")
    run(*pip, "--wheel-dir", into, source, cwd=into)
    (found,) = into.glob("*.whl")
    return found


def files_of(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def environment_with(installed: Path | str, folder: Path, *options: str) -> Path:
    """The interpreter of a new environment with tallystick in it; the libraries are those of this environment."""
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    python = folder / "bin" / "python"
    libraries = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    (libraries / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet")
    run(*pip, "--no-deps", "--no-index", "--ignore-installed", *options, installed, cwd=folder)
    return python


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment in which the wheel is installed."""
    return environment_with(wheel, tmp_path_factory.mktemp("installed") / "venv")


@pytest.fixture(scope="module")
def editable(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment in which the clone is installed as it lies there."""
    folder = tmp_path_factory.mktemp("editable") / "venv"
    return environment_with(clone, folder, "--no-build-isolation", "--editable")


def test_a_wheel_holds_one_package(wheel: Path) -> None:
    names = files_of(wheel)
    assert {name.partition("/")[0] for name in names} == {"tallystick", f"{NAME}.dist-info"}
    # Every Python file of the three folders, and nothing of the tests.
    expected = {
        f"tallystick/{path.relative_to(ROOT)}"
        for layer in ("ledger", "pipeline", "tui")
        for path in (ROOT / layer).rglob("*.py")
    }
    assert {name for name in names if name.endswith(".py")} == {"tallystick/__init__.py", *expected}
    assert names >= {
        "tallystick/py.typed",
        "tallystick/ledger/FORMAT.md",
        "tallystick/ledger/docs/CHANGELOG.md",
        "tallystick/tui/app/theme.tcss",
        "tallystick/pipeline/replay/demo/late-arrivals.toml",
        "tallystick/pipeline/replay/demo/late-arrivals.parquet",
        f"{NAME}.dist-info/licenses/LICENSE",
    }


def test_a_wheel_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        about = Parser().parsestr(archive.read(f"{NAME}.dist-info/METADATA").decode())
    assert about["License-Expression"] == "Apache-2.0"
    assert about["Version"] == tallystick.__version__
    assert about["Author"] == "The Tallystick developers"
    classifiers = about.get_all("Classifier", [])
    assert not [one for one in classifiers if one.startswith("License ::")]
    assert "Typing :: Typed" in classifiers
    needed = [line for line in about.get_all("Requires-Dist", []) if "extra ==" not in line]
    for library in ("pandas", "numpy", "scikit-learn", "scipy", "pyarrow", "joblib", "skops", "threadpoolctl"):
        assert not [line for line in needed if line.startswith(library)]
        assert [
            line
            for line in about.get_all("Requires-Dist", [])
            if line.startswith(library) and 'extra == "pipeline"' in line
        ]


def test_the_changelog_begins_with_this_version() -> None:
    versions = [
        line.split()[1]
        for line in (ROOT / "ledger" / "docs" / "CHANGELOG.md").read_text().splitlines()
        if line.startswith("## ")
    ]
    assert versions[0] == tallystick.__version__


def test_a_source_archive_makes_the_same_wheel(clone: Path, wheel: Path, tmp_path: Path) -> None:
    build = f"from setuptools import build_meta; build_meta.build_sdist({str(tmp_path)!r})"
    run(sys.executable, "-c", build, cwd=clone)
    with tarfile.open(tmp_path / f"{NAME}.tar.gz") as archive:
        assert not [one.name for one in archive.getmembers() if one.issym() or one.islnk()]
        archive.extractall(tmp_path, filter="data")
    (tmp_path / "wheel").mkdir()
    assert files_of(build_wheel(tmp_path / NAME, tmp_path / "wheel")) == files_of(wheel)


@pytest.mark.parametrize("way", ["python", "editable"])
def test_an_installation_works(way: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    python: Path = request.getfixturevalue(way)
    command = python.parent / "tally"
    assert run(command, "--version", cwd=tmp_path).strip() == f"tallystick {tallystick.__version__}"
    run(command, "init", cwd=tmp_path)
    script = "import tallystick\nwith tallystick.run('first') as run: run.log(loss=0.5)\nprint(tallystick.__file__)"
    where = Path(run(python, "-c", script, cwd=tmp_path).strip())
    expected = python.parent.parent if way == "python" else request.getfixturevalue("clone")
    assert where.is_relative_to(expected)
    with ledger.open(tmp_path) as book:
        assert [trial.name for trial in book.now().trials()] == ["first"]


def test_it_verifies_without_the_metadata_of_its_package(python: Path, tmp_path: Path) -> None:
    """Copied as a folder, as tools that bundle or vendor packages do."""
    site = next((python.parent.parent / "lib").glob("python*/site-packages"))
    shutil.copytree(site / "tallystick", tmp_path / "copy" / "tallystick")
    code = (
        "from importlib import metadata\n"
        "assert 'tallystick' not in {found.metadata['Name'] for found in metadata.distributions()}\n"
        "from tallystick.tui.cli.main import main; main()"
    )
    # Without site-packages, where the metadata lies; the libraries come by links of their own.
    links = tmp_path / "libraries"
    links.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if "tallystick" not in path.name and path.suffix != ".pth":
            (links / path.name).symlink_to(path)
    paths = f"{tmp_path / 'copy'}{os.pathsep}{links}"
    (tmp_path / "team").mkdir()
    for arguments in (["init"], ["verify", "--full"], ["status", "--json"]):
        run(sys.executable, "-S", "-c", code, *arguments, cwd=tmp_path / "team", PYTHONPATH=paths)


TYPED = """
    from typing import assert_type

    import tallystick

    with tallystick.open("team") as book:
        assert_type(book, tallystick.Ledger)
        snapshot = book.at("2013-06-30")
        assert_type(snapshot, tallystick.Snapshot)
        champion = snapshot.champion("late-arrivals")
        if champion is not None:
            assert_type(champion.model, str)

    with tallystick.run("notebook", params={"depth": 4}) as trial:
        assert_type(trial, tallystick.Trial)
        trial.log(step=1, loss=0.25)
"""
MISTYPED = """
    import tallystick

    with tallystick.open("team") as book:
        book.at("2013-06-30").champion(7)
"""


def mypy(python: Path, script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A foreign program, checked by a foreign mypy that allows no expression without a type."""
    (folder / "script.py").write_text(textwrap.dedent(script))
    options = ("--strict", "--disallow-any-expr", "--config-file=", f"--cache-dir={folder / 'cache'}")
    return subprocess.run(
        [sys.executable, "-m", "mypy", *options, "--python-executable", str(python), "script.py"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("way", ["python", "editable"])
def test_a_foreign_program_sees_types(way: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    python: Path = request.getfixturevalue(way)
    done = mypy(python, TYPED, tmp_path)
    assert done.returncode == 0, done.stdout
    done = mypy(python, MISTYPED, tmp_path)
    assert done.returncode == 1
    assert 'has incompatible type "int"; expected "str"' in done.stdout


# Names that users have ------------------------------------------------------------------------------------------

RECIPE = """
    from sklearn.dummy import DummyClassifier

    WHO = "theirs"

    def make(columns, task, seed, strategy="prior"):
        return DummyClassifier(strategy=strategy)
"""
NOTEBOOK = """
    import ledger
    import pipeline
    import tui

    import tallystick

    with tallystick.run("notebook", params={"depth": 4}) as run:
        run.log(step=1, loss=0.25)
    print({module.WHO for module in (ledger, pipeline, tui)})
"""


@pytest.fixture
def notebooks(tmp_path: Path) -> Iterable[Path]:
    """A folder of a user whose own modules have the names of our three folders."""
    for name in ("ledger", "pipeline", "tui", "mymodels"):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(RECIPE))
    (tmp_path / "notebook.py").write_text(textwrap.dedent(NOTEBOOK))
    return tmp_path


@pytest.mark.parametrize("theirs", ["mymodels:make", "pipeline:make"])
def test_a_users_own_modules_of_these_names_disturb_nothing(theirs: str, notebooks: Path, python: Path) -> None:
    replaced = {'"sklearn.dummy:DummyClassifier"': f'"{theirs}"'}
    tiny(notebooks, **replaced)
    here = {"PYTHONPATH": str(notebooks)}
    run(python.parent / "tally", "run", "tiny.toml", "--workers", "2", cwd=notebooks, **here)
    assert run(python, "notebook.py", cwd=notebooks, **here).strip() == "{'theirs'}"
    with ledger.open(notebooks) as book:
        now = book.now()
        assert [run_.status for run_ in now.runs()] == ["finished"]
        assert [trial.status for trial in now.trials()] == ["finished"]
    shown = run(python.parent / "tally", "check", "tiny.toml", cwd=notebooks, **here)
    assert theirs in shown
    assert "pipeline.recipes:linear" in shown  # ours, whatever else is called pipeline
