"""The walls of the house: who imports whom, what quick commands load, what lies at the top."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("ledger", "pipeline", "tui")
HEAVY = ("pandas", "sklearn", "textual", "numpy", "pyarrow", "sqlite_utils", "cryptography", "rich")


def imported(file: Path) -> set[str]:
    """Every module that a file imports, wherever in it: ``tallystick.ledger.errors``, ``pandas``."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_point_one_way(layer: str) -> None:
    above = LAYERS[LAYERS.index(layer) + 1 :]
    files = sorted((ROOT / layer).rglob("*.py"))
    assert files
    for file in files:
        for name in imported(file):
            assert name.split(".")[0] not in LAYERS, f"{file} imports {name}, which is not what is installed"
            assert not any(f"{name}.".startswith(f"tallystick.{one}.") for one in above), f"{file} imports {name}"


def test_the_ledger_needs_no_data_science() -> None:
    for file in (ROOT / "ledger").rglob("*.py"):
        roots = {name.partition(".")[0] for name in imported(file)}
        assert not roots & {"pandas", "sklearn", "numpy", "pyarrow", "textual", "joblib"}, file


def test_quick_commands_load_nothing_heavy(tmp_path: Path) -> None:
    """`--help`, `log`, `champion`, `status`, `show`: what they import decides how quickly they answer."""
    import histories

    from tallystick import ledger

    with ledger.create(tmp_path, timezone="UTC") as book:
        book.append(histories.registered("p"), histories.refitted("p-v1", "r", "p"))
        book.append(histories.promoted("p-v1", "p", None))
    code = (
        "import sys\nsys.argv = ['tally', *sys.argv[1:]]\nfrom tallystick.tui.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n"
        f"    loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "    print('CODE', end.code, 'LOADED', loaded, file=sys.stderr)\n"
    )
    for command in (["--help"], ["log"], ["champion", "p"], ["status"], ["show", "#3"], ["models", "--json"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *command], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert "CODE 0 LOADED []" in done.stderr, (command, done.stderr)


def test_the_top_level_holds_what_was_agreed() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout, so there is no list of what belongs to it")
    top = {line.partition("/")[0] for line in listed.stdout.splitlines()}
    allowed = {"pyproject.toml", "README.md", "LICENSE", *LAYERS, "tests", "fixtures"}
    assert {name for name in top if not name.startswith(".")} <= allowed


def test_every_public_function_of_the_ledgers_face_explains_itself() -> None:
    from tallystick import ledger

    for name in ledger.__all__:
        assert getattr(ledger, name).__doc__, name


def test_every_package_is_installed() -> None:
    """What setuptools finds below ``.src``: one package, with every folder that holds Python."""
    from setuptools import find_packages

    packages = {
        ".".join(("tallystick", *file.parent.relative_to(ROOT).parts))
        for layer in LAYERS
        for file in (ROOT / layer).rglob("*.py")
    }
    assert set(find_packages(str(ROOT / ".src"))) == {"tallystick", *packages}


def test_the_files_that_are_begun_first_are_there(pytestconfig: pytest.Config) -> None:
    """A renamed file would quietly lose its place, and the suite would wait for it at the end."""
    plugin = pytestconfig.pluginmanager.get_plugin(str(ROOT / "tests" / "conftest.py"))
    assert plugin is not None
    for name in plugin.LONGEST:
        assert (ROOT / "tests" / name).is_file(), name
