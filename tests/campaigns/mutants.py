"""Small mistakes in the product, one at a time: does a test that runs the line fail?

    nice python tests/campaigns/mutants.py --coverage FILE                   40 mutants; FILE is made if it is missing
    nice python tests/campaigns/mutants.py --coverage FILE --mutants 200 --seed 3 --only ledger/verify

A mutant is one change of one line in a function: a comparison or its boundary, a constant, a condition, `and` for `or`,
an early return, a dropped call. Which ones are tried follows from the seed and from the lines themselves, so that the
same ones are tried again after the tests have changed. Each is tried in a copy of the repository, with the tests that
run its function, the quickest first. FILE holds which tests those are; to make it, the whole suite runs once.

The law: a mutant is killed when a test fails that passes without it, or when its tests do not end. A mutant that
survives is not always a gap (some changes make no difference); a mutant that was killed before a change to the tests
and survives after it is.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))

from coverage_by_test import PACKAGES, ROOT, Coverage, Function, copy_repository, first_statement, functions, measured

FLIPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
SHIFTED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt
}  # fmt: skip
SLOWEST_END_SECONDS = 60.0


class Mutant(NamedTuple):
    """One change of one place in a file."""

    file: str
    function: str
    kind: str
    line: int
    start: int
    """First byte that is replaced."""
    end: int
    before: str
    after: str

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.after.encode() + source[self.end :]

    def __str__(self) -> str:
        before = " ".join(self.before.split()) or "start"
        return f"{self.file}:{self.line} {self.function}: {before[:60]} → {' '.join(self.after.split())[:60]}"


class Outcome(NamedTuple):
    """What became of a mutant."""

    word: str
    """killed, endless or survived."""
    test: str
    """The test that failed, or how many did not."""


def mutants_of(file: str, source: bytes) -> Iterator[Mutant]:
    """Every mutant of a file's functions."""
    lines = source.split(b"\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    for name, node in functions(ast.parse(source)):
        for kind, place, after in _changes(node):
            start = starts[place.lineno - 1] + place.col_offset
            end = starts[(place.end_lineno or 0) - 1] + (place.end_col_offset or 0)
            if kind == "early return":
                end = start
            yield Mutant(file, name, kind, place.lineno, start, end, source[start:end].decode(), after)


def _changes(function: Function) -> Iterator[tuple[str, ast.expr | ast.stmt, str]]:
    """The kinds of changes, where they go, and what is written there."""
    body = function.body[first_statement(function.body) :]
    if not body:
        return
    if body[0].lineno > function.lineno and not isinstance(body[0], ast.Return | ast.Raise | ast.FunctionDef):
        yield "early return", body[0], f"return\n{' ' * body[0].col_offset}"
    for node in _nodes(ast.Module(body, [])):
        match node:
            case ast.Compare(left=left, ops=[first, *others], comparators=right):
                for kind, table in (("comparison", FLIPPED), ("boundary", SHIFTED)):
                    if type(first) in table:
                        changed = ast.Compare(left, [table[type(first)](), *others], right)
                        yield kind, node, f"({ast.unparse(changed)})"
            case ast.BoolOp(op=op, values=values):
                other = ast.And() if isinstance(op, ast.Or) else ast.Or()
                yield "connective", node, f"({ast.unparse(ast.BoolOp(other, values))})"
            case ast.Constant(value=bool(value)):
                yield "constant", node, str(not value)
            case ast.Constant(value=int(value)):
                yield "constant", node, str(value + 1)
            case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
                yield "condition", test, f"(not ({ast.unparse(test)}))"
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield "condition", node, f"({ast.unparse(operand)})"
            case ast.Expr(value=ast.Call()):
                yield "dropped call", node, "pass"
            case _:
                pass


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    """A statement and what is in it, other than annotations, texts with values in them, and functions of its own."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns"):
            continue
        for child in value if isinstance(value, list) else [value]:
            # Python 3.11 gives wrong places for what stands inside of an f-string.
            unwanted = ast.JoinedStr | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
            if isinstance(child, ast.AST) and not isinstance(child, unwanted):
                yield from _nodes(child)


def chosen(found: list[Mutant], count: int, seed: int) -> list[Mutant]:
    """As many of each kind, by a rank that a change elsewhere in the product leaves as it is."""
    seen: Counter[tuple[str, ...]] = Counter()
    ranked: dict[str, list[tuple[bytes, Mutant]]] = defaultdict(list)
    for mutant in found:
        place = (mutant.file, mutant.function, mutant.kind, mutant.before, mutant.after)
        text = f"{seed} {seen[place]} {place}"
        seen[place] += 1
        ranked[mutant.kind].append((hashlib.sha256(text.encode()).digest(), mutant))
    columns = [[mutant for _, mutant in sorted(ranked[kind])] for kind in sorted(ranked)]
    in_turn = [mutant for row in zip_longest(*columns) for mutant in row if mutant]
    return sorted(in_turn[:count])


def quickest(tests: list[str], seconds: dict[str, float], most_seconds: float) -> list[str]:
    """Tests within that time, the quickest first; those of one file together, because they share fixtures."""
    taken, files = 0.0, defaultdict[str, list[str]](list)
    for test in sorted(tests, key=lambda test: (seconds[test], test)):
        taken += seconds[test]
        if taken > most_seconds and files:
            break
        files[test.partition("::")[0]].append(test)
    return [test for file in files.values() for test in file]


class Trials(NamedTuple):
    """A copy of the repository in which mutants are tried."""

    folder: Path
    python: Path

    def fails(self, tests: list[str], most_seconds: float) -> str | None:
        """The first test that fails; an empty text if they do not end, None if all pass."""
        shutil.rmtree(self.folder / ".hypothesis", ignore_errors=True)  # what a mutant taught it is not for the next
        command = [self.python, "-m", "pytest", "-n", "0", "-x", "--tb=no", "-p", "no:cacheprovider", "-rfE"]
        try:
            done = subprocess.run([*command, "--hypothesis-seed=0", *tests], cwd=self.folder, capture_output=True,
                                  text=True, check=False, timeout=most_seconds, errors="replace")  # fmt: skip
        except subprocess.TimeoutExpired:
            return ""
        if done.returncode == 0:
            return None
        failed = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
        return failed[1].partition("[")[0] if failed else f"pytest ended with {done.returncode}"

    def tried(self, mutant: Mutant, tests: list[str], most_seconds: float) -> Outcome:
        """Whether one of the tests notices a mutant."""
        path = self.folder / mutant.file
        source = path.read_bytes()
        left = list(tests)
        while left:
            path.write_bytes(mutant.applied(source))
            try:
                failed = self.fails(left, most_seconds)
            finally:
                path.write_bytes(source)
            if failed is None:
                return Outcome("survived", f"{len(left)} tests")
            if not failed:
                return Outcome("endless", "")
            if failed not in left or self.fails([failed], most_seconds) is None:
                return Outcome("killed", failed)
            left.remove(failed)  # it fails without the mutant as well
        return Outcome("survived", "0 tests")


def known_coverage(path: Path, tests: list[str]) -> Coverage:
    """What the file holds; if there is none, it is made by running these tests, or all."""
    if not path.exists():
        with tempfile.TemporaryDirectory() as name:
            measured(Path(name), tests).save(path)
    return Coverage.load(path)


def all_mutants(only: str, coverage: Coverage) -> list[Mutant]:
    """Every mutant of a function that a test runs."""
    return [
        mutant
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if (file := str(path.relative_to(ROOT))).startswith(only)
        for mutant in mutants_of(file, path.read_bytes())
        if f"{file}:{mutant.function}" in coverage.tests
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coverage", type=Path, required=True, metavar="FILE", help="which test runs what")
    parser.add_argument("--tests", nargs="+", default=[], metavar="TEST", help="make FILE from these tests alone")
    parser.add_argument("--mutants", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", metavar="PATH", help="files whose path begins so")
    parser.add_argument("--seconds", type=float, default=60, help="the most that the tests of one mutant may take")
    options = parser.parse_args()
    coverage = known_coverage(options.coverage, options.tests)
    started = time.monotonic()
    counted: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        trials = Trials(Path(name), copy_repository(Path(name)))
        for mutant in chosen(all_mutants(options.only, coverage), options.mutants, options.seed):
            known = coverage.tests[f"{mutant.file}:{mutant.function}"]
            tests = quickest([test for test in known if test in coverage.seconds], coverage.seconds, options.seconds)
            outcome = trials.tried(mutant, tests, 5 * options.seconds + SLOWEST_END_SECONDS)
            counted[outcome.word] += 1
            print(f"{outcome.word:9} {mutant.kind:12} {mutant}   {outcome.test}", flush=True)
    print(f"{counted.total()} mutants: " + ", ".join(f"{word} {n}" for word, n in sorted(counted.items()))
          + f"; {time.monotonic() - started:,.0f} s")  # fmt: skip


if __name__ == "__main__":
    main()
