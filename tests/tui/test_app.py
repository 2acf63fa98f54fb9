"""The terminal app, driven by keys: time, panes, marks, filter, actions."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from pathlib import Path

import pytest
from driving import Driver, driven
from given import FIXTURES
from judged import judged_run

from tallystick import ledger
from tallystick.pipeline.governance.gates import standing
from tallystick.tui.app.app import TallyApp
from tallystick.tui.app.bindings import commands
from tallystick.tui.app.panes import PANES
from tallystick.tui.app.screens.events import EventsPane
from tallystick.tui.app.screens.runs import COLUMN_SETS, RunsPane
from tallystick.tui.app.widgets.lines import Lines
from tallystick.tui.app.widgets.rows import Rows
from tallystick.tui.app.widgets.timeline import Timeline


@pytest.fixture
def folder(lived: Path) -> Path:
    return lived


def test_every_key_of_time_goes_where_it_says(folder: Path) -> None:
    with ledger.open(folder) as book:
        last = book.log.size() - 1
        by_day = book.when("2013-08-20").n
        decided = book.log.commit_of(book.now().decision("2013-07-30.1").described_by).n

    async def go() -> None:
        async with driven(folder) as app:
            assert "NOW" in app.banner and "PAST" not in app.banner
            await app.press("left")
            assert app.app.cursor.n == last - 1 and "THE PAST" in app.banner and "End: back to now" in app.banner
            await app.press("right")
            assert app.app.cursor.n is None and "NOW" in app.banner
            await app.press("g")
            assert app.app.cursor.n == 0 and "No pipeline" in app.text
            await app.press("left")
            assert app.app.cursor.n == 0
            await app.press("end")
            assert app.app.cursor.n is None
            await app.press("g", "G")
            assert app.app.cursor.n is None
            await app.go("2013-08-20")
            assert app.app.cursor.n == by_day and "as of 2013-08-20 23:59 America/New_York" in app.banner
            await app.press("shift+left")
            assert "2013-08-01" in app.banner, app.banner
            await app.press("shift+left")
            assert "2013-07-30" in app.banner
            await app.press("shift+right")
            assert "2013-08-01" in app.banner
            await app.go("2013-07-31")
            await app.press("[")
            assert app.app.cursor.n == decided
            await app.press("]")
            assert "waived until" in app.text and app.app.cursor.n == decided + 2
            await app.press(":")
            await app.type("c5")
            await app.press("enter")
            assert app.app.cursor.n == 5 and " c5-" in app.banner

    asyncio.run(go())


def test_what_is_typed_wrongly_is_said_and_changes_nothing(folder: Path) -> None:
    async def go() -> None:
        async with driven(folder) as app:
            for text, said in (("soon", "not a date"), ("1999", "nothing was known yet"), ("c999", "There is no c999")):
                await app.go(text)
                # What was typed is still there, to be mended.
                assert said in app.text and text in app.text and app.app.cursor.n is None
                await app.press("escape")
                assert said not in app.text
            await app.go("c999")
            await app.press("backspace", "enter")
            await app.press("backspace", "enter")
            assert " c9-" in app.banner
            await app.press("end", "t", "escape")
            assert app.app.cursor.n is None

    asyncio.run(go())


def test_the_board_is_as_it_was(folder: Path) -> None:
    async def go() -> None:
        async with driven(folder) as app:
            now = app.text
            assert "v2 small_trees" in now and "EXPIRED" in now and "level moved" in now
            assert "does not count" in now
            await app.go("2013-06-30")
            then = app.text
            assert "v1 small_trees" in then and "v2" not in then and "2013-06-30" in then
            await app.press("down")
            assert app.app.pane.selected == "pipeline:no-shows" and "registered pipeline no-shows" in app.text
            await app.go("2013-08-01")
            assert "1 (7" in app.text, "the waiver with its days left"

    asyncio.run(go())


def test_a_step_is_told_in_words_and_stands_out_for_a_moment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallystick.tui.app.app.HIGHLIGHT_SECONDS", 600)

    async def go() -> None:
        async with driven(folder) as app:
            with ledger.open(folder) as book:
                n = book.log.commit_of(book.now().pipeline("late-arrivals").champion.seq).n  # type: ignore[union-attr]
            await app.go(f"c{n - 1}")
            await app.press("right")
            assert f"c{n} · " in app.text and "promoted late-arrivals-v2" in app.text
            assert "•late-arrivals" in app.text and "•no-shows" not in app.text
            story = app.app.pane.query_one("#story", Lines)
            assert story.lines[1].key in story.changed, "what came stands out in the story, too"
            assert story.cursor == 1, "and nobody has selected anything else there"
            ending = app.app._fading
            await app.press("left", "right")
            assert ending is not None and ending._task is None, "what an earlier step would end is ended already"
            await app.press("2", "1")
            assert not story.changed
            monkeypatch.setattr("tallystick.tui.app.app.HIGHLIGHT_SECONDS", 0.01)
            await app.press("left")
            await app.until(lambda: "•" not in app.text and not story.changed)

    asyncio.run(go())


@pytest.mark.parametrize("as_of", [None, "2013-08-20"])
@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
def test_every_pane_shows_something_now_and_then(folder: Path, as_of: str | None, size: tuple[int, int]) -> None:
    expected = {
        "board": "late-arrivals", "runs": "2013-07-30.1", "lineage": "was chosen by", "events": "promoted",
        "difference": "Nothing is marked", "integrity": "@",
    }  # fmt: skip

    async def go() -> None:
        async with driven(folder, size, as_of) as app:
            for key, name in enumerate(PANES, 1):
                await app.press(str(key))
                text = await app.sees(expected[name])
                assert ("THE PAST" in app.banner) == (as_of is not None)
                assert f"[{key} {name.capitalize()}]" in text
                assert all(len(line) <= size[0] for line in text.split("\n"))

    asyncio.run(go())


def test_runs_are_sorted_filtered_opened_and_stay_selected(folder: Path) -> None:
    async def go() -> None:
        async with driven(folder) as app:
            await app.press("2", "down")
            pane = app.app.query_one(RunsPane)
            assert pane.selected == "run:2013-07-30.1"
            await app.go("2013-06-30")
            assert "did not exist yet" in app.text
            await app.press("G")
            assert pane.selected == "run:2013-07-30.1" and "did not exist" not in app.text
            await app.press("s")
            assert pane.order.by == "pipeline" and pane.selected == "run:2013-07-30.1"
            await app.press("s", "s", "s", "s", "r")
            assert app.text.index("2013-03-04.1") < app.text.index("2013-10-07.1")
            await app.press("c")
            assert "model" in app.text.split("\n")[2] and "late-arrivals-v2" in app.text
            await app.press("/")
            await app.type("no-shows")
            assert "2013-05-02.1" in app.text and "2013-03-04.1" not in app.text and "1 found" in app.text
            await app.press("escape")
            assert "2013-03-04.1" in app.text
            await app.press("2", "enter")
            page = app.text
            assert "by window" in page and "small_trees is chosen" in page and "Should we warn?" in page
            await app.go("c1")
            assert "did not exist yet" in app.text
            await app.press("G", "escape")
            assert not app.app.pages

    asyncio.run(go())


def test_the_order_of_the_runs_is_seen_and_every_column_finds_room(folder: Path) -> None:
    async def go() -> None:
        async with driven(folder, (80, 24)) as app:
            await app.press("2", "s")
            assert "pipeline ↓" in app.text and "ordered by pipeline, downwards" in app.text
            await app.press("r")
            assert "pipeline ↑" in app.text and "ordered by pipeline, upwards" in app.text
            await app.press("left")
            assert "ordered by" not in app.text
            rows = app.app.pane.rows  # type: ignore[attr-defined]
            for _ in COLUMN_SETS:
                shown = [column for column in rows.columns if app.app.size.width >= column.from_width]
                assert 78 - sum(column.width + 2 for column in shown) >= 9, [column.title for column in shown]
                await app.press("c")
            await app.press("/")
            await app.type("nobody")
            assert "No run matches." in app.text and "No run yet" not in app.text

    asyncio.run(go())


def test_the_run_page_shows_gates_as_they_stood(folder: Path) -> None:
    async def go() -> None:
        async with driven(folder, (120, 50)) as app:
            app.app.open("run:2013-07-30.1")
            await app.settle()
            assert "▲ calibration_in_large" in app.text and "✓ optimism_gap" in app.text
            await app.go("2013-07-31")
            assert "✖ calibration_in_large" in app.text

    asyncio.run(go())


def test_events_are_walked_opened_and_followed(folder: Path) -> None:
    async def go() -> None:
        async with driven(folder, (120, 60)) as app:
            await app.press("4")
            pane = app.app.query_one(EventsPane)
            total = pane.rows.total
            with ledger.open(folder) as book:
                assert total == book.now().as_of.seq + 1
            await app.press("pagedown", "pagedown", "pageup")
            assert pane.selected.startswith("#")
            await app.go("#80")
            await app.press("down", "up")
            await app.press("pageup", "pageup", "enter")
            text = app.text
            assert "sha256" in text and "as it lies in the ledger" in text and "what it is about" in text
            assert "signed with the first" in text or "not signed yet" in text
            await app.press("down", "enter")
            assert len(app.app.pages) == 2
            await app.press("escape", "escape")
            assert not app.app.pages and "[4 Events]" in app.text

    asyncio.run(go())


def test_a_selected_event_is_found_again_where_it_exists(folder: Path) -> None:
    async def go() -> None:
        async with driven(folder) as app:
            await app.press("4", "down", "down")
            pane = app.app.query_one(EventsPane)
            chosen = pane.selected
            await app.go("2013-06-30")
            assert f"{chosen} did not exist yet" in app.text and pane.selected != chosen
            await app.press("G")
            assert pane.selected == chosen

    asyncio.run(go())


@pytest.mark.parametrize(
    "text",
    [
        "type:gate",
        "actor:nobody",
        "actor:TESTER",
        "entity:late-arrivals-v2 type:promoted",
        f"entity:{'ab' * 32}",
        "100%",
        "level moved",
        "_",
    ],
)
def test_the_filter_finds_what_matches_and_nothing_else(folder: Path, text: str) -> None:
    with ledger.open(folder) as book:
        raw = [(e.seq, e.type, (e.data or b"").decode(), "tester@example.org") for e in book.log.events()]

    def matches(kind: str, body: str, actor: str) -> bool:
        for word in text.lower().split():
            name, _, wanted = word.rpartition(":")
            where = {"type": [kind], "actor": [actor], "entity": [body], "": [kind, body, actor]}[name]
            if not any((f'"{wanted}"' if name == "entity" else wanted) in value.lower() for value in where):
                return False
        return True

    expected = [seq for seq, *event in reversed(raw) if matches(*event)]

    async def go() -> None:
        async with driven(folder) as app:
            await app.press("4", "/")
            await app.type(text)
            pane = app.app.query_one(EventsPane)
            assert list(pane.found) == expected
            assert (f"{len(expected)} found" in app.text) or not expected
            await app.press("escape")
            assert pane.rows.total == len(raw)

    asyncio.run(go())


def test_lineage_is_folded_turned_centred_and_walked(folder: Path) -> None:
    async def go() -> None:
        async with driven(folder, (140, 50)) as app:
            await app.press("3")
            assert "model:late-arrivals-v2" in app.text and "was waived by" in app.text
            rows = app.app.pane.query_one(Rows)
            before = rows.total
            await app.press("u")
            assert "what it comes from" in app.text and "was waived by" not in app.text
            await app.press("u")
            assert "what comes of it" in app.text and " fed " not in app.text
            await app.press("u", "+")
            assert rows.total >= before and "3 steps far" in app.text
            await app.press("-", "-")
            assert "1 step far" in app.text and "[+" in app.text
            while rows.key != "run:2013-07-30.1":
                await app.press("up")
            assert "[+" in rows.row.cells[0]  # type: ignore[union-attr]
            count = rows.total
            await app.press(" ")
            assert rows.total > count
            await app.press(" ")
            assert rows.total == count
            await app.press("c")
            assert "run:2013-07-30.1 ·" in app.text and rows.key == "run:2013-07-30.1"
            await app.press("d")
            while not rows.key.startswith("decision:"):
                await app.press("down")
            await app.press("p")
            assert "all paths to decision:2013-07-30.1" in app.text
            await app.press("enter")
            assert app.app.pages == ["decision:2013-07-30.1"]

    asyncio.run(go())


def test_lineage_begins_with_what_it_comes_from_in_view(folder: Path) -> None:
    async def go() -> None:
        async with driven(folder, (80, 16)) as app:
            await app.press("3")
            text = app.text
            assert "▶ ●─ ◆ model:late-arrivals-v2" in text
            assert "├─ made ─ ▸ run:" in text and "├─ was chosen by" in text

    asyncio.run(go())


def test_lineage_with_many_edges_says_what_it_leaves_out(tmp_path: Path) -> None:
    from histories import finished, refitted, registered, started, taken

    with ledger.create(tmp_path / "wide", timezone="UTC", key_home="file") as book:
        book.append(registered("p"))
        for first in range(0, 450, 50):
            names = [(f"r{n}", f"p-v{n}") for n in range(first, first + 50)]
            book.append(*(started(run, "p") for run, _ in names), *(taken(run, "p") for run, _ in names))
            book.append(*(refitted(model, run, "p") for run, model in names), *(finished(run, "p") for run, _ in names))
        folder = book.folder

    async def go() -> None:
        async with driven(folder, (100, 40)) as app:
            app.app.open("slice:0123456789ab")
            await app.settle()
            await app.press("l")
            rows = app.app.pane.query_one(Rows)
            assert "888 older ones are not drawn" in app.text and rows.total < 60
            while "older ones" not in rows.row.cells[0]:  # type: ignore[union-attr]
                await app.press("down")
            await app.press(" ")
            assert rows.total == 403 and "r0 " in app.text, "a line for the source, and one for what is left out"
            rows.select(rows.total - 1)
            await app.until(lambda: "more than 400 lines" in app.text)

    asyncio.run(go())


def test_two_marks_open_the_difference(folder: Path) -> None:
    async def go() -> None:
        async with driven(folder, (140, 60)) as app:
            await app.go("2013-07-31")
            await app.press("d")
            assert "A is c" in app.text
            await app.go("2013-08-20")
            await app.press("d")
            text = app.text
            assert "[5 Difference]" in text and "champion late-arrivals-v1 → late-arrivals-v2" in text
            assert "because of" in text and "lowest worst quarter" in text and "1 new waiver" in text

    asyncio.run(go())


def test_marks_are_seen_on_the_strip_and_their_order_does_not_matter(folder: Path) -> None:
    def strip(app: Driver) -> str:
        return app.text.split("\n")[-3]

    async def go() -> None:
        async with driven(folder, (140, 60)) as app:
            found = []
            for first, second in (("2013-07-31", "2013-08-20"), ("2013-08-20", "2013-07-31")):
                await app.go(first)
                await app.press("d")
                assert "A" in strip(app) and "B" not in strip(app)
                await app.press("left", "left", "1")
                assert "A" in strip(app), "the mark is seen also when nothing speaks of it any more"
                await app.go(second)
                await app.press("d")
                assert "A" in strip(app) and "B" in strip(app)
                assert (strip(app).index("A") < strip(app).index("B")) == (first < second)
                found.append([line[:130] for line in app.text.split("\n")[2:-4]])  # without the scrollbar
                await app.press("1")
            assert found[0] == found[1]
            assert "champion late-arrivals-v1 → late-arrivals-v2" in "\n".join(found[1])

    asyncio.run(go())


def test_a_page_leads_back_to_what_was_filtered(folder: Path) -> None:
    async def go() -> None:
        async with driven(folder) as app:
            await app.press("4", "/")
            await app.type("type:promoted")
            await app.press("enter", "down")
            await app.until(lambda: app.app.pane.selected == "#79" and " 4 found" in app.text)
            filtered = app.text
            await app.press("enter")
            await app.until(lambda: "sha256" in app.text)
            await app.press("escape")
            await app.until(lambda: app.text == filtered)
            await app.press("escape")
            assert " found" not in app.text and not app.app.query_one("#filter").display

    asyncio.run(go())


def test_a_page_is_read_on_from_where_one_is(folder: Path) -> None:
    """Below what can be selected there is more text: a step down does not lead back to the top."""

    async def go() -> None:
        async with driven(folder, (80, 24)) as app:
            await app.press("4", "enter")
            await app.until(lambda: "sha256" in app.text)
            await app.press("pagedown")
            lines = app.app.pane.query_one(Lines)
            y = lines.scroll_offset.y
            assert 1 < y < lines.max_scroll_y - 1
            await app.press("down")
            assert lines.scroll_offset.y == y + 1
            await app.press("up", "up")
            assert lines.scroll_offset.y == y - 1

    asyncio.run(go())


def test_what_does_not_exist_yet_says_when_it_does(folder: Path) -> None:
    with ledger.open(folder) as book:
        promoted = next(e.seq for e in reversed(list(book.log.events(0, 79))) if e.type == "model.promoted")
        n = book.log.commit_of(promoted).n

    async def go() -> None:
        async with driven(folder) as app:
            app.app.open(f"#{promoted}")
            await app.press("g")
            await app.until(lambda: "did not exist yet on 2013-" in app.text and f"It begins with c{n} on " in app.text)
            await app.go(f"c{n}")
            await app.until(lambda: "sha256" in app.text)
            app.app.open("model:late-arrivals-v2")
            await app.press("g")
            await app.until(lambda: "It begins with c" in app.text)

    asyncio.run(go())


def test_two_runs_are_compared_field_by_field(folder: Path) -> None:
    async def go() -> None:
        async with driven(folder, (140, 60)) as app:
            await app.press("2", "down", "d", "down", "d")
            assert "from run:2013-07-30.1" in app.text and "status finished → failed" in app.text

    asyncio.run(go())


def test_integrity_shows_the_receipt_of_then_and_verifies(folder: Path) -> None:
    async def go() -> None:
        async with driven(folder, (140, 60)) as app:
            await app.press("6")
            with ledger.open(folder) as book:
                size = book.log.newest_checkpoint()[0]  # type: ignore[index]
            assert f"@{size} " in app.text
            await app.press("y")
            assert app.app.clipboard.startswith("receipt ") and f"@{size} " in app.app.clipboard
            assert "copied receipt" in app.text
            await app.press("v")
            await app.until(lambda: "VERDICT" in app.text)
            assert "VERDICT   VERIFIED" in app.text
            await app.go("2013-04-30")
            await app.press("y")
            assert f"@{size} " not in app.app.clipboard

    asyncio.run(go())


def test_the_verdict_is_seen_on_a_small_screen(folder: Path) -> None:
    async def go() -> None:
        async with driven(folder, (80, 24)) as app:
            await app.press("6", "v")
            await app.until(lambda: "VERDICT   VERIFIED" in app.text)
            await app.settle()
            await app.press("pagedown")
            assert "never verified" not in app.text and "verified 20" in app.text

    asyncio.run(go())


def test_a_changed_event_is_found_from_here(folder: Path) -> None:
    from stories import damage

    with ledger.open(folder) as book:
        changed = "UPDATE events SET body = replace(body, 'lowest worst', 'highest best')"
        damage(book, f"{changed} WHERE type = 'model.promoted'")

    async def go() -> None:
        async with driven(folder, (140, 60)) as app:
            await app.press("6", "v")
            await app.until(lambda: "NOT VERIFIED" in app.text)
            assert "NOT VERIFIED" in app.text and "Still trusted" in app.text

    asyncio.run(go())


def test_knowledge_about_a_period(folder: Path) -> None:
    async def go() -> None:
        async with driven(folder, (160, 40)) as app:
            await app.go("2013-08-20")
            await app.press("a")
            await app.type("2013-02")
            await app.press("enter")
            assert "known on 2013-08-20 23:59" in app.banner and "about 2013-02-01 to 2013-02-28" in app.banner
            assert "late" in app.text and "run 2013-07-30.1" in app.text and "in 2013-04" not in app.text
            await app.press("a", "enter")
            assert "about" not in app.banner

    asyncio.run(go())


def test_help_names_every_key(folder: Path) -> None:
    async def go() -> None:
        async with driven(folder, (120, 100)) as app:
            text = await app.press("?")
            for _key, words, _action in commands(app.app):
                assert words in text, words
            await app.press("escape")
            assert "[1 Board]" in app.text

    asyncio.run(go())


def test_the_palette_runs_actions_and_opens_entities(folder: Path) -> None:
    async def go() -> None:
        async with driven(folder) as app:
            await app.press("ctrl+p")
            await app.type("late-arrivals-v1")
            await app.until(lambda: "model:late-arrivals-v1" in app.text)
            assert "model:late-arrivals-v1" in app.text
            await app.press("enter")
            await app.settle()
            assert app.app.pages and "late-arrivals-v1" in app.app.pages[0]
            await app.press("escape", "ctrl+p")
            await app.type("beginning")
            await app.until(lambda: "to the beginning" in app.text and "one commit on" not in app.text)
            await app.press("enter")
            await app.settle()
            assert app.app.cursor.n == 0

    asyncio.run(go())


def test_copying_takes_the_name_of_what_is_selected(folder: Path) -> None:
    async def go() -> None:
        async with driven(folder) as app:
            await app.press("y")
            assert app.app.clipboard == "pipeline:late-arrivals"
            await app.press("4", "y")
            assert app.app.clipboard.startswith("#")

    asyncio.run(go())


def test_mouse(folder: Path) -> None:
    async def go() -> None:
        async with driven(folder) as app:
            await app.pilot.click("Menu", offset=(14, 0))
            await app.settle()
            assert app.app.pane_name == "runs"
            await app.pilot.click("#runs Rows", offset=(5, 3))
            await app.settle()
            assert app.app.pane.selected == "run:2013-06-04.1"
            await app.pilot.click("#runs Rows", offset=(5, 3))
            await app.settle()
            assert app.app.pages == ["run:2013-06-04.1"]
            await app.press("escape")
            width = app.app.query_one(Timeline).size.width
            await app.pilot.click("Timeline", offset=(width // 2, 0))
            await app.settle()
            n = app.app.cursor.n
            assert n is not None and "2013-0" in app.banner
            await app.press("1")
            for x, expected in ((1, n - 1), (2, n), (2, n + 1), (5, n)):  # ←, →, →, and their words
                await app.pilot.click("Keys", offset=(x, 0))
                await app.until(lambda expected=expected: app.app.cursor.n == expected)  # type: ignore[misc]

    asyncio.run(go())


# Appending -------------------------------------------------------------------------------------------------


def _live(tmp_path: Path) -> Path:
    """A small ledger with the clock of today, to which can be appended."""
    from histories import decided, finished, promoted, refitted, registered, started, taken

    with ledger.create(tmp_path / "live", timezone="UTC", key_home="file") as book:
        book.append(registered("p"), started("r1", "p"), taken("r1", "p"))
        book.append(refitted("p-v1", "r1", "p"), decided("r1", "p", "p-v1"), finished("r1", "p"))
        book.append(promoted("p-v1", "p", None), sign=True)
        return book.folder


def test_a_correction_is_shown_before_it_is_appended(tmp_path: Path) -> None:
    folder = _live(tmp_path)

    async def go() -> None:
        async with driven(folder) as app:
            with ledger.open(folder) as book:
                size = book.log.size()
                seq = next(found.seq for found in book.now().events(types=["run.finished"]))
            await app.press("4")
            pane = app.app.query_one(EventsPane)
            while pane.selected != f"#{seq}":
                await app.press("down")
            await app.press("x")
            assert f"Correct #{seq}" in app.text
            await app.press("enter")
            assert "reason:" in app.text, "a reason is asked for"
            await app.type("wrong pipeline")
            await app.press("enter")
            assert "event.corrected" in app.text and "wrong pipeline" in app.text and "appends exactly this" in app.text
            with ledger.open(folder) as book:
                assert book.log.size() == size, "nothing is recorded before it was shown"
            await app.press("escape")
            with ledger.open(folder) as book:
                assert book.log.size() == size
            await app.press("x")
            await app.type("wrong pipeline")
            await app.press("enter", "enter")
            with ledger.open(folder) as book:
                await app.until(lambda: book.log.size() > size)
            with ledger.open(folder) as book:
                assert book.now().correction(seq).reason == "wrong pipeline"  # type: ignore[union-attr]

    asyncio.run(go())


def test_an_approval_is_signed_with_ones_own_key(tmp_path: Path) -> None:
    folder = _live(tmp_path)

    async def go() -> None:
        async with driven(folder) as app:
            app.app.open("decision:r1")
            await app.settle()
            await app.press("A", "enter")
            assert "decision.approved" in app.text
            await app.press("enter")
            with ledger.open(folder) as book:
                await app.until(lambda: book.now().decision("r1").last_approver)
            with ledger.open(folder) as book:
                assert book.now().decision("r1").last_approver == "tester@example.org"

    asyncio.run(go())


def test_a_waiver_is_refused_with_every_reason_shown_and_then_recorded(tmp_path: Path) -> None:
    with ledger.create(tmp_path / "live", timezone="UTC", key_home="file") as book:
        judged_run(book, FIXTURES / "late-arrivals.toml", "r1", {"2013-04": 0.03, "2013-05": 0.04}, gap=0.2)
        book.append(*standing(book.now(), book.now().model("late-arrivals-v1"))[2])
        folder, size = book.folder, book.log.size()

    async def go() -> None:
        async with driven(folder, (140, 50)) as app:
            app.app.open("run:r1")
            await app.settle()
            assert "✖ optimism_gap" in app.text
            lines = app.app.pane.query_one(Lines)
            while lines.key != "gate:late-arrivals-v1/optimism_gap":
                await app.press("down")
            await app.press("W")
            assert "Waive optimism_gap of late-arrivals-v1" in app.text
            await app.type("too short")
            for field, text in (("approver", "tester@example.org"), ("until", "2013-01")):
                app.app.screen.query_one(f"#field-{field}").value = text  # type: ignore[attr-defined]
            await app.settle()
            await app.press("enter")
            assert "fewer than 20 characters" in app.text and "over already" in app.text
            assert "Nothing is recorded" in app.text
            app.app.screen.query_one("#field-reason").value = "recalibration is under way, due next month"  # type: ignore[attr-defined]
            app.app.screen.query_one("#field-approver").value = "risk@example.org"  # type: ignore[attr-defined]
            later = dt.datetime.now(dt.UTC) + dt.timedelta(days=20)
            app.app.screen.query_one("#field-until").value = f"{later:%Y-%m-%d}"  # type: ignore[attr-defined]
            await app.settle()
            await app.press("enter")
            assert "waiver.granted" in app.text and "appends exactly this" in app.text
            with ledger.open(folder) as book:
                assert book.log.size() == size, "nothing is recorded before it was shown"
            app.send("enter")
            await app.until(lambda: "▲ optimism_gap" in app.text, 60)

    asyncio.run(go())
    with ledger.open(folder) as book:
        (waiver,) = book.now().waivers()
        assert waiver.gate == "late-arrivals-v1/optimism_gap" and waiver.approver == "risk@example.org"
        assert waiver.reason == "recalibration is under way, due next month"


def test_the_past_is_read_only(tmp_path: Path) -> None:
    folder = _live(tmp_path)

    async def go() -> None:
        async with driven(folder) as app:
            assert re.search(r"EXPIRED \d+ y ", app.text), "not cut off, however long ago"
            await app.press("4", "left", "x")
            assert "read-only" in app.text and "Correct" not in app.text

    asyncio.run(go())


def test_new_commits_appear_now_and_leave_the_past_alone(tmp_path: Path) -> None:
    folder = _live(tmp_path)
    from histories import registered

    async def go() -> None:
        async with driven(folder) as app:
            with ledger.open(folder) as book:
                book.append(registered("brand-new"))
            await app.until(lambda: "brand-new" in app.text)
            await app.press("left")
            here = app.app.cursor.n
            with ledger.open(folder) as book:
                book.append(registered("newer-still"))
            newest = app.app.moment.newest  # type: ignore[union-attr]
            await app.until(lambda: app.app.moment.newest > newest)  # type: ignore[union-attr]
            assert app.app.moment.newest == newest + 1 and app.app.cursor.n == here  # type: ignore[union-attr]
            assert "newer-still" not in app.text
            await app.press("G")
            assert "newer-still" in app.text

    asyncio.run(go())


# Nothing there, or broken ----------------------------------------------------------------------------------


def test_an_empty_ledger_says_what_comes_next(tmp_path: Path) -> None:
    ledger.create(tmp_path / "empty", timezone="UTC", key_home="file").close()

    async def go() -> None:
        async with driven(tmp_path / "empty" / ".tally", (80, 24)) as app:
            assert "tally run FILE.toml" in app.text
            for key in "23456":
                await app.press(key)
            assert "receipt" in app.text
            await app.press("left", "left", "right", "[", "]", "g", "G")
            assert "NOW" in app.banner

    asyncio.run(go())


def test_without_a_ledger_it_says_how_to_make_one(tmp_path: Path) -> None:
    async def go() -> None:
        async with driven(None, (80, 24)) as app:
            await app.until(lambda: "tally init" in app.text)
            await app.press("left", "2", "t", "enter", "/", "d", "y", "x", "l", "a", "g")
            assert "tally init" in app.text

    asyncio.run(go())


@pytest.mark.parametrize(("name", "as_of", "said"), [("nowhere", None, "There is no ledger in"), ("", "1999", "1999")])
def test_what_is_not_there_is_not_called_damaged(
    folder: Path, tmp_path: Path, name: str, as_of: str | None, said: str
) -> None:
    async def go() -> None:
        async with driven(tmp_path / name if name else folder, as_of=as_of) as app:
            await app.until(lambda: said in app.text)
            assert "nothing to show" in app.banner and "evidence" not in app.text

    asyncio.run(go())


@pytest.mark.parametrize("harm", ["empty file", "noise", "torn"])
def test_a_broken_ledger_says_so_and_ends_cleanly(folder: Path, harm: str) -> None:
    path = folder / "ledger.db"
    data = path.read_bytes()
    path.write_bytes({"empty file": b"", "noise": b"\x17" * 8192, "torn": data[:9000]}[harm])
    for name in ("ledger.db-wal", "ledger.db-shm"):
        (folder / name).unlink(missing_ok=True)

    async def go() -> None:
        async with driven(folder, (80, 24)) as app:
            await app.until(lambda: "q ends it" in app.text)
            assert ("The evidence is in ledger.db" in app.text) == (harm != "empty file")
            await app.press("left", "3", "q")

    asyncio.run(go())


def test_starting_needs_no_data_science(folder: Path) -> None:
    import subprocess
    import sys

    code = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom tallystick.tui.app.app import TallyApp\n"
        f"async def go():\n    app = TallyApp(Path({str(folder)!r}))\n"
        "    async with app.run_test():\n        while app.moment is None:\n            await asyncio.sleep(0.05)\n"
        "asyncio.run(go())\n"
        "print([name for name in ('pandas', 'sklearn', 'numpy', 'pyarrow', 'joblib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_app_is_one_of_the_commands() -> None:
    from click.testing import CliRunner

    from tallystick.tui.cli.main import tally

    done = CliRunner().invoke(tally, ["tui", "--help"])
    assert done.exit_code == 0 and "Walk back through time" in done.output
    assert isinstance(TallyApp(None), TallyApp)
