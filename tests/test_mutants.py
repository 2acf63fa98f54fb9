"""The yardstick of the suite: ``tests/campaigns/mutants.py`` changes what it says, and the same mutants each time."""

from __future__ import annotations

import ast
import sys

import coverage_by_test
import mutants
import pytest

SOURCE = b'''"""A module."""
from __future__ import annotations

LIMIT = 3


class Box:
    """With a method."""

    def holds(self, items: list[int]) -> bool:
        """Whether it holds them."""
        self.note()
        if not items or len(items) > 2 and True:
            return False
        \xc2\xa0 = 0
        return all(item == 1 for item in items)

    def note(self) -> None: ...


def outer() -> int:
    def inner(x: int = 3) -> int:
        return x + 1
    return inner()
'''.replace(b"\xc2\xa0", "é".encode())  # a letter of two bytes, before the rest of its line


def test_every_mutant_is_python_and_differs_in_one_place() -> None:
    found = list(mutants.mutants_of("box.py", SOURCE))
    assert {mutant.kind for mutant in found} == {
        "boundary", "comparison", "condition", "connective", "constant", "dropped call", "early return",
    }  # fmt: skip
    seen = set()
    for mutant in found:
        changed = mutant.applied(SOURCE)
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(SOURCE)), mutant
        assert changed.startswith(SOURCE[: mutant.start])
        assert changed.endswith(SOURCE[mutant.end :])
        seen.add(changed)
    assert len(seen) == len(found)
    texts = {f"{mutant.function} {mutant.before} {mutant.after}" for mutant in found}
    assert "Box.holds len(items) > 2 (len(items) >= 2)" in texts
    assert "Box.holds self.note() pass" in texts
    assert "Box.holds item == 1 (item != 1)" in texts
    assert "outer.inner 1 2" in texts
    assert not any(mutant.line == 4 for mutant in found)  # only what a function does


@pytest.mark.parametrize("seed", [0, 1])
def test_a_change_elsewhere_changes_no_choice(seed: int) -> None:
    """So that the mutants of before a change to the suite can be tried again after it."""
    found = list(mutants.mutants_of("box.py", SOURCE))
    chosen = mutants.chosen(found, 7, seed)
    assert len({mutant.kind for mutant in chosen}) == 7
    longer = SOURCE.replace(b"LIMIT = 3", b"LIMIT = 3\n\n\ndef other() -> None:\n    print(LIMIT)")
    moved = mutants.chosen(list(mutants.mutants_of("box.py", longer)), 40, seed)
    without_places = {mutant[:3] + mutant[6:] for mutant in moved}
    assert {mutant[:3] + mutant[6:] for mutant in chosen} <= without_places


def test_a_function_reports_that_it_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    source = coverage_by_test.reporting(SOURCE.decode(), "box.py")
    heard: list[str] = []
    monkeypatch.setattr(sys, "reports_ran", heard.append, raising=False)
    names: dict[str, object] = {"__name__": "box"}
    exec(compile(source, "box.py", "exec"), names)
    assert names["outer"]() == 4  # type: ignore[operator]
    assert names["Box"]().holds([1]) is True  # type: ignore[operator]
    assert heard == ["box.py:outer", "box.py:outer.inner", "box.py:Box.holds", "box.py:Box.note"]
    assert names["Box"].__doc__ == "With a method."


def test_the_quickest_tests_come_first_and_those_of_a_file_together() -> None:
    seconds = {"a::1": 1.0, "a::2": 5.0, "b::1": 2.0, "c::1": 90.0}
    assert mutants.quickest(list(seconds), seconds, 10) == ["a::1", "a::2", "b::1"]
    assert mutants.quickest(["c::1"], seconds, 10) == ["c::1"]
