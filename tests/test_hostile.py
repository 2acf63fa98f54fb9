"""What a stranger's texts, files and folders may do here: nothing but be refused, in time, and without a trace.

The long campaigns are ``tests/campaigns/fuzz_parsers.py``, ``hostile.py`` and ``expressions.py``; each defect that they
found has its row here or in the other tests of this name.
"""

from __future__ import annotations

import os
import pickle
import re
import socket
import subprocess
import time
from argparse import Namespace
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import hostile
import pytest
from expressions import Expression, attack, expressions
from foreign import KEY, WITNESS, target
from law import Trespass, bounded

from tallystick.ledger.errors import InvalidInput, TallyError
from tallystick.ledger.tlog.note import parse_receipt
from tallystick.ledger.tlog.policy import parse_policy
from tallystick.pipeline.config.conditions import parse_condition
from tallystick.pipeline.config.load import parse
from tallystick.pipeline.recipes import resolve


def test_no_regular_expression_takes_more_than_its_share_of_time() -> None:
    known = expressions()
    root = Path(__file__).resolve().parent.parent
    written = [
        use
        for package in ("ledger", "pipeline", "tui")
        for path in (root / package).rglob("*.py")
        for use in re.findall(
            r"\bre\.(?:compile|match|fullmatch|search|sub|split|findall|finditer)\(", path.read_text()
        )
    ]
    # One that is put together at run time would go by unseen.
    assert len(known) >= len(written) > 50
    assert [found for expression in known if (found := attack(expression))] == []


@pytest.mark.parametrize(
    ("pattern", "use"),
    [
        (r"([A-Za-z_]\w*)\s*(.*)", "fullmatch"),
        (r"(x+)+b", "search"),
    ],
)
def test_an_expression_that_does_is_found(pattern: str, use: str) -> None:
    assert attack(Expression("here", pattern, 0, use, False)) is not None


def _toml(text: str) -> Callable[[], object]:
    return lambda: parse(text.encode(), Path("x.toml"))


LONG: dict[str, Callable[[], object]] = {
    # Each took minutes, or ended the program, before it was found.
    "a receipt among a hundred thousand lines like signatures": lambda: parse_receipt("-- a b\n" * 100_000),
    "a quoted header of blanks": _toml('["' + " " * 100_000 + 'x"]\n'),
    "an inline table of blanks": _toml("a = {" + " " * 100_000 + "}\n"),
    "inline tables in one line": _toml("a = [" + "{b = 1}," * 40_000 + "]\n"),
    "a header of many parts, and keys under it": _toml(f"[{'.'.join('a' * 30_000)}]\n" + "".join(
        f"k{n} = 1\n" for n in range(3000))),
    "a dotted key of many parts": _toml(".".join(["'a'"] * 50_000) + " = 1\n"),
    "runs of digits before a number that is too long": _toml(f'a = "{("9" * 4299 + "x") * 200}"\nb = {"9" * 5000}\n'),
    "quotes that are not closed": _toml("a = '''\n" + '"x\\' * 200_000 + "." * 100 + "\n'''\n"),
    "arrays 100,000 deep": _toml("a = " + "[" * 100_000),
    "tables 100,000 deep": _toml("a = " + "{a=" * 100_000),
    "a condition with a line break": lambda: parse_condition("a" * 200_000 + "!\n< 3"),
}  # fmt: skip


@pytest.mark.parametrize("name", LONG)
def test_long_texts_are_refused_in_time(name: str) -> None:
    """In time: the process would otherwise not come to its end while anybody waits."""
    with pytest.raises(TallyError):
        LONG[name]()


def test_groups_of_a_policy_may_be_nested_as_deep_as_the_file_is_long() -> None:
    groups = "".join(f"group g{n} 1 g{n - 1}\n" for n in range(1, 30_000))
    head = f"log {KEY.format()}\nwitness w {WITNESS.format()}\ngroup g0 1 w\n"
    policy = parse_policy(f"{head}{groups}quorum g29999\n")
    assert policy.is_met(["w"])
    assert not policy.is_met(["somebody"])


def test_a_key_in_a_file_may_have_points_where_they_join_nothing() -> None:
    """Prose, rows of points and numbers are no keys, however many points stand in one line."""
    lines = ['a = "' + "One. Two. " * 100 + '"', "# " + "." * 200, "b = [" + "0.5, " * 100 + "]",
             "c = '''\n" + "word, and another. " * 80 + "\n'''"]  # fmt: skip
    with pytest.raises(InvalidInput) as refused:
        parse("\n".join(lines).encode(), Path("x.toml"))
    assert "too many parts" not in refused.value.message


def test_sittings_add_up_until_the_parser_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = Namespace(corpus=tmp_path, inputs=100, seconds=600)
    for sitting in (1, 2):
        watch = hostile.Watch("span", options)
        # What libFuzzer reads again at the beginning was counted before.
        for data in [b"3h"] * watch.known + [b"3h", b"a stranger's", b"\xff"]:
            watch.look(data)
        watch.tell(time.monotonic())
        assert (watch.kept["inputs"], watch.kept["accepted"] > 0, watch.kept["findings"]) == (3 * sitting, True, {})
    before = hostile.fingerprint(target("span"))
    assert before == hostile.fingerprint(target("span")) != hostile.fingerprint(target("moment"))
    monkeypatch.setattr(hostile, "fingerprint", lambda _target: "another")
    assert hostile.Watch("span", options).kept["inputs"] == 0


@pytest.mark.parametrize(
    "act",
    [lambda: os.system("true"), lambda: Path("/tmp/../trespass").touch(), lambda: pickle.loads(pickle.dumps(os.getcwd)),
     lambda: Path("/etc/trespass").unlink(), lambda: subprocess.run(["true"], check=False),
     lambda: socket.create_connection(("localhost", 9))],
)  # fmt: skip
def test_what_no_input_may_do_is_not_done(act: Callable[[], object]) -> None:
    def guarded() -> None:
        with bounded(), suppress(Exception):  # as a library might swallow it
            act()

    with pytest.raises(Trespass):
        guarded()


@pytest.mark.parametrize(
    "estimator",
    ["os:system", "subprocess:Popen", "builtins:eval", "pandas:read_pickle", "joblib:load", "numpy:load", "io:open",
     "pygments.lexers:load_lexer_from_file", "pygments.lexers:PythonLexer", "click:edit", "pip.__main__:x",
     "pytest:main", "sklearn.datasets:load_files", "sklearn.datasets:fetch_openml",
     "IPython.__main__:x", "_pytest.pathlib:import_path",
     "joblib:Memory", "skops.io:load", "tallystick.pipeline.recipes:resolve", "pipeline.recipes:build",
     "tallystick.pipeline.recipes:importlib"],
)  # fmt: skip
def test_what_makes_no_model_is_no_estimator(estimator: str) -> None:
    with pytest.raises(InvalidInput, match="makes no model"):
        resolve(estimator)
