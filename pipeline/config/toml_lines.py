"""On which line of a TOML file each setting stands.

The standard parser gives values without places. This scan reads no values; it follows headers, keys, strings
and brackets just far enough to know where each key begins.
"""

from __future__ import annotations

import re
import tomllib

Path = tuple[str | int, ...]

_HEADER = re.compile(r"\s*(\[\[?)")
_KEY_PART = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*""")
# One that is not closed reaches to the end of its line, so that no quote is looked for twice.
_QUOTED = re.compile(r"""\"(?:[^"\\]|\\.?)*+"?|'[^']*+'?""")
_JOINED = re.compile(r"[\w-]\s*+\.(?=\s*+[\w-])")
DEEPEST = 64
"""Levels of keys that are noted; noting every level of a key of 100,000 parts would fill the memory."""
_DELIMITERS = ('"""', "'''", '"', "'")


def overlong_key(text: str) -> int | None:
    """The line of a key of more than ``DEEPEST`` parts; None where there is none.

    The standard parser takes time with the square of their number: half a minute for 200 kilobytes.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") <= DEEPEST:
            continue
        # Outside of quotes and remarks, a point between two words joins parts of a key; prose is full of commas.
        for piece in re.split(r"[^\w\s.-]+", _QUOTED.sub("x", line).partition("#")[0]):
            if len(_JOINED.findall(piece)) > DEEPEST:
                return number
    return None


def find_lines(text: str) -> dict[Path, int]:
    """Line numbers, from 1, of every table and key; array tables count with their index: ``("data", "drop", 0)``."""
    found: dict[Path, int] = {}
    table: Path = ()
    counts: dict[Path, int] = {}
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        line = lines[number]
        if (header := _HEADER.match(line)) and (key := _key(line, header.end())):
            # One part more than is noted stands for all deeper ones.
            table = key[0][: DEEPEST + 1]
            if header[1] == "[[":
                index = counts.get(table, 0)
                counts[table] = index + 1
                found.setdefault(table, number + 1)
                table = (*table, index)
            found[table] = number + 1
            number += 1
            continue
        key = _key(line, 0)
        if key and line.startswith("=", key[1]):
            path = (*table, *key[0][:DEEPEST])
            for depth in range(len(table) + 1, min(len(path), DEEPEST) + 1):
                found.setdefault(path[:depth], number + 1)
            number = _value(lines, number, key[1] + 1, path, found)
            continue
        number += 1
    return found


def line_of(path: Path, lines: dict[Path, int]) -> int:
    """The line of a setting, or of the nearest table around it; 1 where nothing fits."""
    for depth in range(min(len(path), DEEPEST), 0, -1):
        if path[:depth] in lines:
            return lines[path[:depth]]
    return 1


def _key(text: str, start: int) -> tuple[Path, int] | None:
    """A dotted key that begins at a place, and where it ends; nothing is copied, however many stand in one line."""
    parts: list[str] = []
    position = start
    while match := _KEY_PART.match(text, position):
        parts.append(next(group for group in match.groups() if group is not None))
        if match[1] is not None and "\\" in match[1]:
            parts[-1] = _unescaped(match[1])
        position = match.end()
        if not text.startswith(".", position):
            return tuple(parts), position
        position += 1
    return None


def _unescaped(text: str) -> str:
    """The inside of a string in double quotes, as the parser reads it; as it stands where it is none."""
    try:
        return str(tomllib.loads(f'a = "{text}"')["a"])
    except tomllib.TOMLDecodeError:
        return text


def _value(lines: list[str], number: int, column: int, path: Path, found: dict[Path, int]) -> int:
    """Skip the value that begins at a place, noting keys of inline tables; returns the next line's index."""
    stack: list[tuple[str, Path, int]] = []
    quote = ""
    expect_key = False
    while number < len(lines):
        line = lines[number]
        while column < len(line):
            if quote:
                if quote in ('"', '"""') and line[column] == "\\":
                    column += 2
                elif line.startswith(quote, column):
                    column, quote = column + len(quote), ""
                else:
                    column += 1
                continue
            character = line[column]
            if character in " \t":
                column += 1
                continue
            if (
                expect_key
                and stack
                and stack[-1][0] == "{"
                and (key := _key(line, column))
                and line.startswith("=", key[1])
            ):
                inner = (*stack[-1][1], *key[0])[: DEEPEST + 1]
                if len(inner) <= DEEPEST:
                    found.setdefault(inner, number + 1)
                stack.append(("=", inner, 0))
                column = key[1] + 1
                expect_key = False
                continue
            if character == "#":
                break
            if delimiter := next((item for item in _DELIMITERS if line.startswith(item, column)), ""):
                quote, column = delimiter, column + len(delimiter)
                continue
            here = stack[-1][1] if stack else path
            if character == "{":
                if stack and stack[-1][0] == "[":
                    here = (*here, stack[-1][2])
                stack.append(("{", here, 0))
                expect_key = True
            elif character == "[":
                stack.append(("[", here, 0))
            elif character in "}]":
                while stack and stack.pop()[0] not in "{[":
                    pass
            elif character == ",":
                if stack and stack[-1][0] == "=":
                    stack.pop()
                if stack and stack[-1][0] == "[":
                    stack[-1] = ("[", stack[-1][1], stack[-1][2] + 1)
                expect_key = bool(stack) and stack[-1][0] == "{"
            column += 1
        number, column = number + 1, 0
        # A string in one-character quotes ends with its line, brackets may stay open over many.
        if quote in ('"', "'"):
            quote = ""
        if not stack and not quote:
            break
    return number
