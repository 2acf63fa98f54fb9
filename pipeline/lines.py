"""On which line of a TOML file each setting stands.

The standard parser gives values without places. This scan reads no values; it follows headers, keys, strings
and brackets just far enough to know where each key begins.
"""

from __future__ import annotations

import re
import tomllib

Path = tuple[str | int, ...]

_HEADER = re.compile(r"\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(?:#.*)?$")
_KEY_PART = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*""")
DEEPEST = 32
"""Levels of a dotted key that are noted; noting every level of a key of 100,000 parts would fill the memory."""
_DELIMITERS = ('"""', "'''", '"', "'")


def find_lines(text: str) -> dict[Path, int]:
    """Line numbers, from 1, of every table and key; array tables count with their index: ``("data", "drop", 0)``."""
    found: dict[Path, int] = {}
    table: Path = ()
    counts: dict[Path, int] = {}
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        line = lines[number]
        if (header := _HEADER.match(line)) and (names := _keys(header[2])):
            table = names[0]
            if header[1] == "[[":
                index = counts.get(table, 0)
                counts[table] = index + 1
                found.setdefault(table, number + 1)
                table = (*table, index)
            found[table] = number + 1
            number += 1
            continue
        keys = _keys(line)
        if keys and keys[1].startswith("="):
            path = (*table, *keys[0])
            for depth in range(len(table) + 1, min(len(path), len(table) + DEEPEST) + 1):
                found.setdefault(path[:depth], number + 1)
            number = _value(lines, number, len(line) - len(keys[1]) + 1, path, found)
            continue
        number += 1
    return found


def line_of(path: Path, lines: dict[Path, int]) -> int:
    """The line of a setting, or of the nearest table around it; 1 where nothing fits."""
    for depth in range(min(len(path), 2 * DEEPEST), 0, -1):
        if path[:depth] in lines:
            return lines[path[:depth]]
    return 1


def _keys(text: str) -> tuple[Path, str] | None:
    """A dotted key at the beginning of a text, and what follows it."""
    parts: list[str] = []
    position = 0
    while match := _KEY_PART.match(text, position):
        parts.append(next(group for group in match.groups() if group is not None))
        if match[1] is not None and "\\" in match[1]:
            parts[-1] = _unescaped(match[1])
        position = match.end()
        if not text.startswith(".", position):
            return tuple(parts), text[position:]
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
            if (
                expect_key
                and stack
                and stack[-1][0] == "{"
                and (keys := _keys(line[column:]))
                and keys[1].startswith("=")
            ):
                inner = (*stack[-1][1], *keys[0])
                found.setdefault(inner, number + 1)
                stack.append(("=", inner, 0))
                column = len(line) - len(keys[1]) + 1
                expect_key = False
                continue
            character = line[column]
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
