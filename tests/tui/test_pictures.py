"""Every screen, at two sizes, now and in the past, as it was looked at and found good."""

from __future__ import annotations

import asyncio
import difflib
import os
from pathlib import Path

import pictures
import pytest
from pictures import Picture

STORED = Path(__file__).parent / "pictures"
IDS = [f"{columns}x{lines}" for columns, lines in pictures.SIZES]


def compare(found: list[Picture], place: Path) -> None:
    """With the stored ones; what differs is said line by line, and lies as SVG where the message says."""
    differing = []
    for picture in found:
        path = STORED / f"{picture.name}.txt"
        if os.environ.get("TALLY_PICTURES") == "write":
            path.parent.mkdir(exist_ok=True)
            path.write_text(picture.text)
        stored = path.read_text() if path.exists() else ""
        if picture.text != stored:
            (place / f"{picture.name}.svg").write_text(picture.svg)
            lines = difflib.unified_diff(stored.split("\n"), picture.text.split("\n"), "stored", "now", "", "", 0, "")
            differing.append(f"{place / picture.name}.svg\n" + "\n".join(lines))
    assert not differing, "\n\n".join(["TALLY_PICTURES=write stores what is wanted", *differing])


@pytest.mark.parametrize("then", [False, True], ids=["now", "then"])
@pytest.mark.parametrize("size", pictures.SIZES, ids=IDS)
def test_every_screen(lived: Path, tmp_path: Path, size: tuple[int, int], then: bool) -> None:
    compare(asyncio.run(pictures.scenes(lived, size, then)), tmp_path)


@pytest.mark.parametrize("size", pictures.SIZES, ids=IDS)
def test_nothing_to_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    for name in ("broken", "empty", "none"):
        (tmp_path / name).mkdir()
    pictures.broken(tmp_path / "broken" / "team")
    pictures.empty(tmp_path / "empty" / "team")

    async def go() -> list[Picture]:
        found = []
        for name in ("broken", "empty"):
            # Named from where it lies, so that no temporary folder is part of the picture.
            monkeypatch.chdir(tmp_path / name)
            found += await pictures.nothing(Path("team/.tally"), name, size)
        return found

    compare(asyncio.run(go()), tmp_path)


def test_no_picture_is_stored_that_nobody_draws() -> None:
    sizes = len(pictures.SIZES)
    names = {path.name.rpartition("-")[0] for path in STORED.glob("*.txt")}
    assert len(list(STORED.glob("*.txt"))) == len(names) * sizes
    for name in names - {"broken", "empty", "offered-now"}:
        screen, _, when = name.rpartition("-")
        assert {f"{screen}-now", f"{screen}-then"} <= names and when in ("now", "then")
