"""Which test runs which function of the product.

Every function of a copy of the repository is given a first statement that reports it. Each Python process of the copy
imports this module when it starts, so a function that a command runs in a process of its own counts for the test that
gave the command. A tracer of lines would say more, and would slow the whole suite down; this costs next to nothing.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("ledger", "pipeline", "tui")
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Coverage(NamedTuple):
    """What one run of the suite found; only tests that passed are in it."""

    seconds: dict[str, float]
    """How long each test function takes, all its parameters together."""
    tests: dict[str, list[str]]
    """The test functions that run a function of the product, such as ``ledger/ledger.py:Ledger.append``."""

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(self._asdict(), indent=1))

    @classmethod
    def load(cls, path: Path) -> Coverage:
        return cls(**json.loads(path.read_text()))


def copy_repository(folder: Path) -> Path:
    """Copy what git knows of the repository, with an environment of its own that imports the copy; its Python."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                            capture_output=True, text=True, check=True)  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_symlink() or (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True)
    # The copy comes first; the files ending in .pth of the other environment, which name the original, are not read.
    start_of_every_process(folder, f"{folder / '.src'}\n{sysconfig.get_path('purelib')}\n")
    return folder / ".venv" / "bin" / "python"


def start_of_every_process(folder: Path, lines: str) -> None:
    """Add lines to the file that each Python process of the copy reads first."""
    (site,) = (folder / ".venv" / "lib").glob("python*/site-packages")
    with (site / "copy.pth").open("a") as file:
        file.write(lines)


def functions(tree: ast.AST, outer: str = "") -> Iterator[tuple[str, Function]]:
    """Every function of a module with its name in it: ``Ledger.append``, ``outer.inner``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{outer}{node.name}"
            if not isinstance(node, ast.ClassDef):
                yield name, node
            yield from functions(node, f"{name}.")
        else:
            yield from functions(node, outer)


def first_statement(body: list[ast.stmt]) -> int:
    """Where a body begins after its docstring."""
    first = body[0]
    return int(isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and type(first.value.value) is str)


def reporting(source: str, name: str) -> str:
    """The source of a module whose functions report when they run."""
    tree = ast.parse(source)
    for function, node in functions(tree):
        report = ast.parse(f"_reports_that_it_ran({f'{name}:{function}'!r})").body
        at = first_statement(node.body)
        node.body[at:at] = report
    at = first_statement(tree.body) if tree.body else 0
    at += sum(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body)
    # A module may also be run alone, far from here: an auditor's script in a proof folder.
    tree.body[at:at] = ast.parse(
        "_reports_that_it_ran = getattr(__import__('sys'), 'reports_ran', lambda name: None)"
    ).body
    return ast.unparse(ast.fix_missing_locations(tree))


_reported: set[str] = set()
_folder = Path()


def begin(folder: str) -> None:
    """From now on functions of this process are reported to files of that folder."""
    global _folder  # noqa: PLW0603 - one process, one folder
    _folder = Path(folder)
    sys.reports_ran = _report  # type: ignore[attr-defined]


def _report(function: str) -> None:
    if function in _reported:
        return
    _reported.add(function)
    # Opened each time: a test may close every file of its process. Nothing of the product may fail because of this.
    with suppress(OSError), (_folder / f"{os.getpid()}.ran").open("a") as file:
        file.write(f"{function}\t{os.environ.get('PYTEST_CURRENT_TEST', '').rpartition(' ')[0]}\n")


def pytest_runtest_setup() -> None:
    """As a plugin of pytest: report each function again for the next test."""
    _reported.clear()


def pytest_runtest_logreport(report: Any) -> None:
    """As a plugin of pytest: how long a phase of a test took, and whether it passed."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        with (_folder / "phases").open("a") as file:
            file.write(json.dumps([report.nodeid, report.duration, report.outcome]) + "\n")


def measured(folder: Path, pytest_options: list[str]) -> Coverage:
    """Run the suite in a copy in that folder, and say which test runs what."""
    python = copy_repository(folder / "copy")
    found = folder / "found"
    found.mkdir()
    for package in PACKAGES:
        for path in (folder / "copy" / package).rglob("*.py"):
            path.write_text(reporting(path.read_text(), str(path.relative_to(folder / "copy"))))
    campaigns = folder / "copy" / "tests" / "campaigns"
    hook = f"{campaigns}\nimport coverage_by_test; coverage_by_test.begin({str(found)!r})\n"
    start_of_every_process(folder / "copy", hook)
    subprocess.run([python, "-m", "pytest", "-p", "coverage_by_test", "-p", "no:cacheprovider", *pytest_options],
                   cwd=folder / "copy", check=False)  # fmt: skip
    return _gathered(found)


def _gathered(found: Path) -> Coverage:
    seconds: dict[str, float] = defaultdict(float)
    spoiled = set()
    for line in (found / "phases").read_text().splitlines():
        test, taken, outcome = json.loads(line)
        seconds[_function_of(test)] += taken
        if outcome != "passed":
            spoiled.add(_function_of(test))
    tests: dict[str, set[str]] = defaultdict(set)
    for path in found.glob("*.ran"):
        for line in path.read_text().splitlines():
            function, _, test = line.partition("\t")
            if test and _function_of(test) not in spoiled:
                tests[function].add(_function_of(test))
    kept = {test: round(taken, 3) for test, taken in sorted(seconds.items()) if test not in spoiled}
    return Coverage(kept, {function: sorted(tests[function]) for function in sorted(tests)})


def _function_of(test: str) -> str:
    """``tests/test_a.py::test_b[c]`` without its parameter, which may hold anything."""
    return test.partition("[")[0]
