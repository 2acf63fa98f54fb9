"""Every regular expression of the product against texts that are made to blow it up.

    python tests/campaigns/expressions.py

For each expression a text that it nearly matches is made from its own syntax tree; at every place of that text one of
its own or of the usual characters is repeated, and what follows is spoiled or not. The time for twice the length must
be about twice the time; where it is more than three times, the expression takes at least the square of the length.
"""

from __future__ import annotations

import argparse
import ast
import math
import re
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import sre_constants
    import sre_parse

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("ledger", "pipeline", "tui")
USES = ("compile", "match", "fullmatch", "search", "sub", "split", "findall", "finditer")
PUMPS = (" ", "a", "0", "\n", '"')
LONGEST = 32_000
NOTABLE_SECONDS = 0.004
RATIO = 3.0


class Expression(NamedTuple):
    """One regular expression and where it stands."""

    where: str
    pattern: str
    flags: int
    use: str
    is_bytes: bool


class Blown(NamedTuple):
    """A text that takes more than its share of time."""

    expression: Expression
    prefix: str
    pump: str
    suffix: str
    ratio: float
    seconds: float
    length: int


def expressions() -> list[Expression]:
    """Every expression that is written in the product, once for each way in which it is used."""
    found: list[Expression] = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            found += _in(path)
    return found


def _in(path: Path) -> Iterator[Expression]:
    text_of_file = path.read_text()
    tree = ast.parse(text_of_file)
    names = {
        id(node.value): node.targets[0].id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        where = f"{path.relative_to(ROOT)}:{node.lineno}"
        for keyword in node.keywords:
            if keyword.arg == "pattern" and (text := _text(keyword.value)) is not None:
                yield Expression(where, text[0], 0, "search", text[1])
        function = node.func
        if not (isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name)) or not node.args:
            continue
        if function.value.id == "re" and function.attr in USES and (text := _text(node.args[0])) is not None:
            flags = sum(
                getattr(re, item.attr)
                for item in ast.walk(node)
                if isinstance(item, ast.Attribute) and item.attr in ("ASCII", "IGNORECASE")
            )
            uses = {function.attr}
            if function.attr == "compile":
                uses = set(re.findall(rf"\b{names[id(node)]}\.([a-z]+)\(", text_of_file))
                assert uses, f"{where} is compiled and not used in its own file"
            for use in sorted(uses):
                yield Expression(where, text[0], flags, use, text[1])


def _text(node: ast.expr) -> tuple[str, bool] | None:
    match node:
        case ast.Constant(value=str(text)):
            return text, False
        case ast.Constant(value=bytes(data)):
            return data.decode("latin-1"), True
        case ast.JoinedStr(values=parts):
            return "".join(str(part.value) if isinstance(part, ast.Constant) else "—" for part in parts), False
    return None


def near(pattern: str) -> str:
    """A short text that an expression matches, or nearly."""
    return "".join(_likely(list(sre_parse.parse(pattern))))


def _likely(items: list[Any]) -> Iterator[str]:
    for operator, value in items:
        match operator:
            case sre_constants.LITERAL:
                yield chr(value)
            case sre_constants.NOT_LITERAL:
                yield "x" if value != ord("x") else "y"
            case sre_constants.ANY:
                yield "x"
            case sre_constants.IN:
                yield _one_of(value)
            case sre_constants.MAX_REPEAT | sre_constants.MIN_REPEAT | sre_constants.POSSESSIVE_REPEAT:
                low, high, inner = value
                yield "".join(_likely(list(inner))) * min(max(low, 1), high, 70)
            case sre_constants.SUBPATTERN:
                yield from _likely(list(value[3]))
            case sre_constants.ATOMIC_GROUP:
                yield from _likely(list(value))
            case sre_constants.BRANCH:
                yield from _likely(list(value[1][0]))


def _one_of(choices: list[Any]) -> str:
    if choices[0][0] is sre_constants.NEGATE:
        return "x"
    operator, value = choices[0]
    if operator is sre_constants.LITERAL:
        return chr(value)
    if operator is sre_constants.RANGE:
        return chr(value[0])
    return {"CATEGORY_SPACE": " ", "CATEGORY_DIGIT": "0"}.get(str(value), "a")


def attack(expression: Expression) -> Blown | None:
    """The first text that blows an expression up; None where none of those that are tried does."""
    compiled = re.compile(
        expression.pattern.encode("latin-1") if expression.is_bytes else expression.pattern, expression.flags
    )
    run = getattr(compiled, "search" if expression.use in ("sub", "split", "findall", "finditer") else expression.use)
    if expression.use in ("sub", "split", "findall", "finditer"):
        run = compiled.split
    base = near(expression.pattern)
    places = range(len(base) + 1) if len(base) <= 40 else (*range(20), *range(len(base) - 20, len(base) + 1))
    for place in places:
        pumps = dict.fromkeys((*base[max(0, place - 1) : place + 1], base[:place], *PUMPS))
        for pump in filter(None, pumps):
            for suffix in ("!\n!", base[place:] + "\x00"):
                blown = _grown(expression, run, base[:place], pump, suffix)
                if blown is not None:
                    return blown
    return None


def _grown(expression: Expression, run: Any, prefix: str, pump: str, suffix: str) -> Blown | None:
    def seconds(length: int) -> float:
        text = prefix + pump * (length // len(pump)) + suffix
        given = text.encode("latin-1", errors="replace") if expression.is_bytes else text
        started = time.thread_time()
        run(given)
        return time.thread_time() - started

    if min(seconds(20), seconds(20)) > NOTABLE_SECONDS:
        return Blown(expression, prefix, pump, suffix, math.inf, seconds(20), 20)  # with every way to share them out
    length, taken = 500, seconds(500)
    while taken < NOTABLE_SECONDS and length < LONGEST:
        length, taken = 4 * length, seconds(4 * length)
    if taken < NOTABLE_SECONDS:
        return None
    # The best of three: the machine does other things as well.
    ratio = min(seconds(2 * length) for _ in range(3)) / min(taken, seconds(length), seconds(length))
    return Blown(expression, prefix, pump, suffix, ratio, taken, length) if ratio > RATIO else None


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    known = expressions()
    blown = 0
    for expression in known:
        if found := attack(expression):
            blown += 1
            print(f"{expression.where} {expression.use} {expression.pattern!r}: {found.ratio:.1f} times the time for "
                  f"twice the length, {found.seconds:.3f} s at {found.length:,}: {found.prefix!r} + "
                  f"{found.pump!r} * n + {found.suffix!r}")  # fmt: skip
    print(f"{len(known)} uses of regular expressions, {blown} that take more than three times the time for twice")
    sys.exit(1 if blown else 0)


if __name__ == "__main__":
    main()
