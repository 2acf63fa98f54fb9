"""Pictures of the app as text: what stands on each line, and below it which style each character has.

Kept as text and not as SVG, which `pytest-textual-snapshot` compares byte for byte: there every colour, border and
template of Textual and Rich is part of the picture, so that a newer minor version of either turns all of them red at
once, and what really changed is nowhere to be read. Here a difference is read in the diff. A style is a letter, given
in the order in which styles appear, so that another shade of a colour changes nothing, but two things that looked
different and now look the same do.

    TALLY_PICTURES=write pytest tests/tui/test_pictures.py     # after a change that is wanted
    python tests/support/pictures.py FOLDER                    # every picture as SVG, for the eyes
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import lives
from driving import Driver, driven
from rich.style import Style
from textual.widgets import Input

from tallystick import ledger

SIZES = ((80, 24), (140, 40))
THEN = "2013-08-20"
CHANCE = (
    re.compile(r"(?<=team-)()([0-9a-f]{16})"),  # of the ledger's name
    re.compile(r"\b(c\d+-|#\d+-)([a-z0-9]{4})\b"),  # c41-k3f9
    re.compile(r"(?<=#)(\d+-)([a-z0-9]{4})\b"),
    re.compile(r"\b()([0-9a-f]{64})\b"),
    re.compile(r"(@\d+ )([A-Za-z0-9+/]{43}=)"),
)
"""What differs from ledger to ledger of the same story: it comes from the key."""


class Picture(NamedTuple):
    """A screen with its name."""

    name: str
    text: str
    svg: str


def drawn(app: Driver) -> str:
    """The screen's text and styles."""
    letters: dict[object, str] = {}
    lines = []
    for strip in app.app.screen._compositor.render_strips():
        marks = "".join(_letter(style, letters) * len(text) for text, style, _ in strip)
        lines += [f"|{masked(strip.text).rstrip()}", f":{_short(marks)}"]
    legend = [f"{letter} {look[-1]}" for look, letter in letters.items()]  # type: ignore[index]
    return "\n".join([*lines, *legend, ""])


def masked(text: str) -> str:
    """Without what chance made; of the same length."""
    for pattern in CHANCE:
        text = pattern.sub(lambda found: found[1] + "·" * len(found[2]), text)
    return text


def _letter(style: Style | None, letters: dict[object, str]) -> str:
    style = style or Style()
    look = (str(style.color and style.color.name), str(style.bgcolor and style.bgcolor.name), _attributes(style))
    return letters.setdefault(look, chr(ord("a") + len(letters)))


def _attributes(style: Style) -> str:
    names = ("bold", "dim", "italic", "underline", "reverse", "strike")
    return " ".join(name for name in names if getattr(style, name)) or "plain"


def _short(marks: str) -> str:
    """``aaaabb`` as ``4a 2b``."""
    return " ".join(f"{len(found[0])}{found[0][0]}" for found in re.finditer(r"(.)\1*", marks))


async def scenes(folder: Path, size: tuple[int, int], then: bool) -> list[Picture]:
    """Every screen of the app, at NOW or in the past."""
    found: list[Picture] = []
    when = "then" if then else "now"

    async with driven(folder, size, THEN if then else None) as app:

        async def take(name: str, *keys: str, typed: str = "") -> None:
            await app.press(*keys)
            if typed:
                await app.type(typed)
            found.append(await _picture(app, f"{name}-{when}", size))

        await take("board")
        await app.press("a")
        await app.type("2013-04..2013-06")
        await take("board-about", "enter")
        await take("runs-about", "2")
        await take("events-about", "4")
        await take("lineage-about", "3")
        await app.press("a", "enter")
        await take("runs", "2")
        await take("run", "down", "enter")
        await take("lineage", "escape", "3")
        await take("events", "4")
        await take("filtered", "/", typed="type:promoted")
        await take("event", "escape", "4", "enter")
        await take("integrity", "escape", "6")
        await take("asked", "1", "t")
        await take("help", "escape", "?")
        await app.press("escape", "ctrl+p")
        await app.type("waive")
        await app.until(lambda: "waive a gate" in app.text and "one commit back" not in app.text)
        found.append(await _picture(app, f"palette-{when}", size))
        await app.press("escape")
        if not then:
            await app.press("4", "x")
            await app.type("wrong month")
            await take("offered", "enter")
            await app.press("escape")
        await app.press("1")
        await app.go("2013-07-29")
        await app.press("d")
        await app.go("2013-08-20" if then else "now")
        await take("difference", "d")
    return found


async def nothing(folder: Path | None, name: str, size: tuple[int, int]) -> list[Picture]:
    """The one screen of a ledger that is empty, broken or not there."""
    async with driven(folder, size) as app:
        return [await _picture(app, name, size)]


async def _picture(app: Driver, name: str, size: tuple[int, int]) -> Picture:
    """The screen, once it stays as it is: what was read may be painted a moment later."""
    for box in app.app.screen.query(Input):
        box.cursor_blink = False
    text, same = "", 0
    while same < 3:
        await app.settle()
        before, text = text, drawn(app)
        same = same + 1 if text == before else 0
    return Picture(f"{name}-{size[0]}x{size[1]}", text, app.app.export_screenshot())


def empty(parent: Path) -> Path:
    """A ledger in which nothing is recorded yet."""
    from given import Ticking, seeded_salts

    with ledger.create(
        parent, timezone="America/New_York", clock=Ticking(), salts=seeded_salts(), key_home="file"
    ) as book:
        return book.folder


def broken(parent: Path) -> Path:
    """A ledger whose file is noise."""
    folder = empty(parent)
    (folder / "ledger.db").write_bytes(b"\x17" * 8_192)
    for name in ("ledger.db-wal", "ledger.db-shm"):
        (folder / name).unlink(missing_ok=True)
    return folder


async def _write(target: Path, place: Path) -> None:
    lives.live(place / "team").close()
    folder = place / "team" / ".tally"
    target.mkdir(parents=True, exist_ok=True)
    for size in SIZES:
        found = [picture for then in (False, True) for picture in await scenes(folder, size, then)]
        nowhere = tempfile.mkdtemp(dir=place)
        found += await nothing(empty(Path(nowhere) / "empty"), "empty", size)
        found += await nothing(broken(Path(nowhere) / "broken"), "broken", size)
        found += await nothing(None, "missing", size)
        for picture in found:
            (target / f"{picture.name}.svg").write_text(picture.svg)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        os.environ.update(XDG_STATE_HOME=f"{temporary}/state", XDG_CONFIG_HOME=f"{temporary}/config",
                          TALLY_ACTOR="tester@example.org")  # fmt: skip
        os.environ.pop("SSH_AUTH_SOCK", None)
        target_folder = Path(sys.argv[1]).absolute()
        os.chdir(temporary)
        asyncio.run(_write(target_folder, Path()))
