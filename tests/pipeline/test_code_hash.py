"""A recipe is the same recipe as long as its code does the same; how it is explained does not count."""

from __future__ import annotations

import ast
import hashlib
import shutil
from pathlib import Path

import pytest
from given import FIXTURES
from hypothesis import given
from hypothesis import strategies as st

from tallystick import ledger
from tallystick.ledger.errors import Refused
from tallystick.ledger.events import types as say
from tallystick.pipeline import recipes
from tallystick.pipeline.models.code_hash import RELEASED, SCHEME, code_hash, equivalent_hashes, syntax_hash
from tallystick.pipeline.own_code import forget
from tallystick.pipeline.recipes import look_beside
from tallystick.pipeline.runs.reopen import recipe_of

SOURCE = '''"""A module of somebody's."""
from sklearn.dummy import DummyClassifier
import sklearn.linear_model as linear_model

DEPTH = 3
TABLE = {"a": 1}
TABLE["b"] = 2

class Kind:
    """What it is."""
    name = "x"

def helper(depth: int) -> int:
    """Twice."""
    return depth * 2

def other():
    return 1

def make(columns, task, seed, *, depth=DEPTH):
    """A recipe."""
    kind = Kind.name
    return DummyClassifier(strategy="prior", random_state=seed + helper(depth) + TABLE["a"])
'''

SAME = [
    ('"""A recipe."""', '"""Quite another text."""'),
    ('    """Twice."""\n', ""),
    ('"""A module of somebody\'s."""\n', ""),
    ('    """What it is."""\n', "    # what it is\n"),
    ("return depth * 2", "return (  # twice\n        depth\n        * 2\n    )"),
    ('strategy="prior"', "strategy='prior'"),
    ("    return 1", "    return 2"),
    ("import sklearn.linear_model as linear_model\n", ""),
    ("DEPTH = 3\n", "DEPTH = 3\nUNUSED = 7\n"),
]
OTHER = [
    ("DEPTH = 3", "DEPTH = 4"),
    ("return depth * 2", "return depth * 3"),
    ('strategy="prior"', 'strategy="uniform"'),
    ('TABLE["b"] = 2', 'TABLE["a"] = 2'),
    ('name = "x"', 'name = "y"'),
    ("depth=DEPTH", "depth=5"),
    ("import DummyClassifier", "import DummyRegressor as DummyClassifier"),
    ("def make(", "@staticmethod\ndef make("),
]


def hash_of(text: str) -> str:
    found = syntax_hash(text.encode(), "make")
    assert found is not None
    return found


@pytest.mark.parametrize(("old", "new"), SAME)
def test_prose_and_what_is_not_used_change_nothing(old: str, new: str) -> None:
    assert old in SOURCE
    assert hash_of(SOURCE.replace(old, new, 1)) == hash_of(SOURCE)


@pytest.mark.parametrize(("old", "new"), OTHER)
def test_code_that_is_used_makes_another_recipe(old: str, new: str) -> None:
    assert old in SOURCE
    assert hash_of(SOURCE.replace(old, new, 1)) != hash_of(SOURCE)


@given(st.lists(st.tuples(st.integers(0, SOURCE.count("\n")), st.text("abc #'", max_size=20)), max_size=5))
def test_no_comment_and_no_empty_line_changes_a_hash(comments: list[tuple[int, str]]) -> None:
    lines = SOURCE.split("\n")
    for place, text in comments:
        lines.insert(place, f"# {text}")
    assert hash_of("\n".join(lines)) == hash_of(SOURCE)


def test_formatting_alone_changes_nothing() -> None:
    assert hash_of(ast.unparse(ast.parse(SOURCE))) == hash_of(SOURCE)


def test_a_module_that_looks_itself_up_is_hashed_whole() -> None:
    dynamic = SOURCE.replace("kind = Kind.name", 'kind = globals()["other"]()')
    assert hash_of(dynamic.replace("return 1", "return 2")) != hash_of(dynamic)
    assert hash_of(dynamic.replace('"""Twice."""', '"""Two times."""')) == hash_of(dynamic)


def test_what_is_no_source_has_no_syntax() -> None:
    assert syntax_hash(b"def make(:", "make") is None
    assert syntax_hash(b"x = 1", "make") is None
    assert syntax_hash(b"\x00\xff", "make") is None


def test_a_module_beside_the_file_is_known_by_its_syntax_and_by_its_bytes(tmp_path: Path) -> None:
    try:
        look_beside(tmp_path)
        (tmp_path / "ours_code.py").write_text(SOURCE)
        first = equivalent_hashes("ours_code:make")
        assert first == [hash_of(SOURCE), hashlib.sha256(SOURCE.encode()).hexdigest()]
        (tmp_path / "ours_code.py").write_text(SOURCE.replace('"""A recipe."""', '"""The recipe."""'))
        assert code_hash("ours_code:make") == first[0]
        assert first[1] not in equivalent_hashes("ours_code:make")
    finally:
        look_beside(None)
        forget()
    assert code_hash("sklearn.dummy:DummyClassifier") == ""


def test_every_released_file_is_known_as_the_code_that_it_held() -> None:
    for name in ("linear", "trees"):
        present = code_hash(f"pipeline.recipes:{name}")
        assert present.startswith(SCHEME)
        assert {held[name] for held in RELEASED.values()} == {present}
        assert set(RELEASED) < set(equivalent_hashes(f"pipeline.recipes:{name}"))


BY_FILE = {"format-1", "format-1-decisions", "format-2", "version-0.1.0"}
"""Frozen ledgers from before recipes were identified by their syntax."""


@pytest.mark.parametrize("folder", sorted(path.name for path in (FIXTURES / "frozen").iterdir() if path.is_dir()))
def test_models_of_frozen_ledgers_can_be_made_again(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `refit` and `final-test` ask first: whether the code is the one that the run recorded."""
    shutil.copytree(FIXTURES / "frozen" / folder / "tally", tmp_path / ".tally")
    with ledger.open(tmp_path) as book:
        found = list(book.now().counted_events(types=[say.CandidateRefitted.TYPE]))
    assert found
    for entry in found:
        recipe = recipe_of(entry.event.body)
        assert entry.event.body.recipe_hash in recipe.hashes
        by_syntax = entry.event.body.recipe_hash == recipe.hash
        assert by_syntax == (folder not in BY_FILE), "recorded by the file, or by its syntax"
    changed = Path(recipes.__file__).read_bytes().replace(b"early_stopping=False", b"early_stopping=True")
    changed = changed.replace(b"max_iter=2000", b"max_iter=2001")
    monkeypatch.setattr("tallystick.pipeline.models.code_hash._source", lambda _estimator: changed)
    with pytest.raises(Refused, match="is not what it was"):
        recipe_of(found[0].event.body)
