"""The README is true: its tour is typed on a real terminal, and what it prints is what the page says."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import sklearn
from shell import PROGRAM
from terminal import on_a_terminal

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
# What differs from day to day, machine to machine and key to key.
VARIABLE = (
    (r"receipt \S+@(\d+) [A-Za-z0-9+/]{43}=", r"receipt ORIGIN@\1 ROOT"),
    (r"\b(c\d+|#\d+)-[0-9a-z]{4}\b", r"\1-XXXX"),
    (r"20(2[4-9]|[3-9]\d)-\d\d-\d\d( \d\d:\d\d(:\d\d)?( [A-Z]{3,4})?)?", "WHEN"),
    (r"\b[0-9a-f]{64}\b", "HASH"),
    (r"(log key|key of id) [0-9a-f]{8}", "KEY"),
    (r"tour-[0-9a-f]{16}", "ORIGIN"),
)


# The page shows what scikit-learn 1.9 computes; with another version the same lines may hold other numbers.
NUMBERS = ((r"-?\d+\.\d+", "N"), (r"\d+ of \d+", "K of W"), (r"[▁▂▃▄▅▆▇█]+", "SPARKS"), (r" +", " "))
MADE_WITH = "1.9."


def steady(line: str) -> str:
    masks = VARIABLE if sklearn.__version__.startswith(MADE_WITH) else (*VARIABLE, *NUMBERS)
    for pattern, replacement in masks:
        line = re.sub(pattern, replacement, line)
    return line.rstrip()


def tour() -> list[tuple[str, list[str]]]:
    """Commands of the tour with the lines that the README shows for them."""
    steps: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                steps.append((line[2:], []))
            else:
                steps[-1][1].append(line)
    return steps


def test_the_tour_prints_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "tour"
    (folder / "fixtures").mkdir(parents=True)
    for name in ("late-arrivals.toml", "late-arrivals.parquet"):
        shutil.copy(ROOT / "fixtures" / name, folder / "fixtures")
    steps = tour()
    assert len(steps) >= 6
    for command, shown in steps:
        program, *arguments = shlex.split(command)
        command_line = {"tally": PROGRAM, "python3": [sys.executable]}[program] + arguments
        code, out = on_a_terminal(command_line, folder, {"TALLY_ACTOR": "ann@example.org"})
        assert code == 0, out
        printed = [steady(line) for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out).splitlines()]
        position = 0
        for line in map(steady, shown):
            if line == "…":
                continue
            assert line in printed[position:], f"`{command}` does not print, after line {position}: {line}\n\n{out}"
            position += printed[position:].index(line) + 1
    monkeypatch.chdir(folder)
    for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        exec(compile(block, "README.md", "exec"), {})


def test_the_two_commands_are_the_ones_that_are_tested() -> None:
    def command(name: str) -> str:
        found = re.search(rf"<!-- {name} command -->\n\n    (.*)\n\n<!-- end -->", README)
        assert found
        return found[1]

    assert command("run").endswith(".venv/bin/tally run fixtures/late-arrivals.toml")
    assert command("test").endswith(".venv/bin/pytest")
    # The script takes the command from the page instead of repeating it.
    script = (ROOT / ".ci" / "run").read_text()
    assert "<!-- test command -->" in script
    assert "pytest" not in re.sub(r"(?m)^#.*$", "", script)
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert sys.version_info >= (3, 11)


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link


def test_what_the_page_about_tests_names_is_there() -> None:
    page = (ROOT / "tests" / "README.md").read_text()
    names = set(re.findall(r"`(?:python )?(?:tests/)?((?:[a-z]+/)?\w+\.py)\b", page))
    assert len(names) > 40
    folders = ("", "ledger", "pipeline", "tui", "campaigns", "bench", "support")
    for name in names:
        assert any((ROOT / "tests" / folder / name).is_file() for folder in folders), name
    for campaign in (ROOT / "tests" / "campaigns").glob("*.py"):
        if "__main__" in campaign.read_text():
            assert campaign.name in {Path(name).name for name in names}, f"{campaign.name} is not on the page"
