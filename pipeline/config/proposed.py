"""Settings that a program proposed and no person has confirmed: listed in ``[proposed]``, outside the configuration.

Because the list belongs to no configuration, confirming a setting changes no hash and needs no new run. A promotion
asks for an empty list.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator
from typing import Any

from tallystick.ledger.errors import InvalidInput

_LIST = re.compile(r"^(\s*settings\s*=\s*)\[[^\]]*\]", re.MULTILINE)


def proposed_in(text: str) -> list[str]:
    """The settings that the text of a pipeline file lists as proposed; none where the text cannot be read."""
    try:
        table = tomllib.loads(text).get("proposed")
    except (tomllib.TOMLDecodeError, ValueError, RecursionError):
        return []
    names = table.get("settings") if isinstance(table, dict) else None
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def wrong_names(raw: dict[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The names in ``[proposed]`` that are no setting of the file, each with what to write instead."""
    table = raw.get("proposed")
    names = table.get("settings") if isinstance(table, dict) else None
    known = [name for name in _paths(raw) if not name.startswith("proposed")]
    for name in names if isinstance(names, list) else []:
        if isinstance(name, str) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            meant = f" Did you mean {near[0]}?" if near else " Remove it from the list."
            yield ("proposed", "settings"), f"settings: {name!r} is not a setting of this file.{meant}"


def _paths(table: dict[str, Any], start: str = "", depth: int = 4) -> list[str]:
    found = []
    for name, value in table.items():
        found.append(f"{start}{name}")
        if isinstance(value, dict) and depth:
            found += _paths(value, f"{start}{name}.", depth - 1)
    return found


def confirmed(text: str, names: list[str]) -> str:
    """The text of a pipeline file with these settings taken off the list; nothing else of it changes.

    Raises
    ------
    InvalidInput
        For a setting that is not on the list.
    """
    listed = proposed_in(text)
    for name in names:
        if name not in listed:
            near = difflib.get_close_matches(name, listed, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Still proposed: {', '.join(listed) or 'nothing'}."
            raise InvalidInput(f"{name} is not listed as proposed.", hint)
    left = [name for name in listed if name not in names]
    start = re.search(r"^\s*\[\s*proposed\s*\]", text, re.MULTILINE)
    match = _LIST.search(text, start.end()) if start else None
    if match is None:
        raise InvalidInput("The list of proposed settings is not written as `settings = [...]` below [proposed].")
    written = "[]" if not left else "[\n" + "".join(f'    "{name}",\n' for name in left) + "]"
    changed = text[: match.end(1)] + written + text[match.end() :]
    if proposed_in(changed) != left:
        raise InvalidInput("The list of proposed settings cannot be edited safely.", "Remove the names by hand.")
    return changed
