"""The pictures in the guide are what the app shows, and refer to nobody."""

from __future__ import annotations

import importlib.util
import re
from xml.etree import ElementTree

import pytest
from given import FIXTURES
from shell import Demo

PICTURE = FIXTURES / "pictures" / "board-in-the-past.svg"
SVG = "{http://www.w3.org/2000/svg}"


def lines(svg: str) -> list[str]:
    """The text of a picture line by line; the letters of a handle, which differ from ledger to ledger, left out."""
    found: dict[float, list[tuple[float, str]]] = {}
    for text in ElementTree.fromstring(svg).iter(f"{SVG}text"):
        if "clip-path" in text.attrib:
            found.setdefault(float(text.attrib["y"]), []).append((float(text.attrib["x"]), text.text or ""))
    said = [
        "".join(part for _, part in sorted(parts)).replace("\xa0", " ").rstrip() for _, parts in sorted(found.items())
    ]
    return [re.sub(r"(c\d+)-[0-9a-z]{4}", r"\1", line) for line in said]


def test_the_picture_is_what_the_app_shows(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in demo.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    source = importlib.util.spec_from_file_location("make_pictures", FIXTURES / "make_pictures.py")
    assert source and source.loader
    pictures = importlib.util.module_from_spec(source)
    source.loader.exec_module(pictures)
    shown, kept = lines(pictures.board(demo.folder / ".tally")), lines(PICTURE.read_text())
    assert "REPLAYED CLOCK · THE PAST · as of 2013-10-15 23:59 America/New_York · c18 · read-only" in kept[0]
    # The last line names keys, which its own tests compare.
    assert shown[:-1] == kept[:-1], "The app shows something else by now: python fixtures/make_pictures.py"


def test_the_picture_refers_to_no_host() -> None:
    text = PICTURE.read_text()
    assert re.findall(r"https?://[^\"' )]*", text) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"@font-face|@import|url\((?!#)|<image|<script|href", text)
