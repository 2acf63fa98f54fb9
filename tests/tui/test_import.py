"""`tally import` as people type it, and what they are shown of it afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from driving import driven
from stories import told
from strangers import FIRST, Filling

from tallystick import ledger
from tallystick.ledger.amend.redaction import KEPT
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.types import RELEASED
from tallystick.ledger.importing.importer import import_history
from tallystick.ledger.system.provenance import Recorder
from tallystick.ledger.tlog.note import parse_receipt, receipt_line
from tallystick.ledger.writing.appender import Copy
from tallystick.tui.cli import main


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path, str]:
    """The team's ledger, Ann's, and a receipt of Ann's; the account that imports has never seen Ann's."""
    stranger = {name: str(tmp_path / "hers" / name) for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME")}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stranger.items():
            patch.setenv(name, value)
        recorder = Recorder(actor="ann@example.org", user="ann", host="laptop", tool="tallystick 0.0.9")
        with ledger.create(tmp_path / "ann", timezone="UTC", key_home="file", recorder=recorder) as book:
            told(book)
            book.checkpoint()
            receipt = receipt_line(parse_receipt(book.checkpoint()).checkpoint)
    with ledger.create(tmp_path / "team", timezone="UTC", key_home="file") as book:
        told(book)
        book.checkpoint()
    return tmp_path / "team", tmp_path / "ann", receipt


class Said:
    """A command in this process, which has imported everything: a new one takes ten times as long."""

    def __init__(self, *words: str, given: str | None = None) -> None:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patch.setattr(sys, "argv", ["tally", *words])
            patch.setattr(sys, "stdin", io.StringIO(given))
            with pytest.raises(SystemExit) as ended:
                main.main()
        self.code, self.out, self.err = ended.value.code, out.getvalue(), err.getvalue()
        assert "a defect of tallystick" not in self.err, self.err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def team(both: tuple[Path, Path, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the commands are given."""
    monkeypatch.chdir(both[0])
    return both[0]


def test_a_history_is_brought_in_and_labelled_until_somebody_vouches(team: Path, both: tuple[Path, Path, str]) -> None:
    receipt = both[2]
    no = Said("import", "../ann")
    assert no.code == 1
    assert "names that mean something else here: pipeline p; run r1" in no.err
    assert "--as ann" in no.err
    would = Said("import", "../ann", "--as", "ann", "--dry-run", "--json").json
    assert (would["schema"], would["dry_run"], would["proven"], would["commit"]) == (
        "tally.import/1", True, False, None,
    )  # fmt: skip
    done = Said("import", "../ann", "--as", "ann")
    assert done.code == 0, done.err
    assert done.out.startswith("Imported c0 to c5 of ann-")
    assert "UNPROVEN" in done.out and "import ../ann --against RECEIPT" in done.out
    assert done.out.rstrip().splitlines()[-1].startswith("receipt team-")
    for command in (
        ("status",),
        ("log",),
        ("show", "c8"),
        ("show", "model:ann/p-v1"),
        ("champion", "ann/p"),
        ("story", "ann/p-v1"),
        ("why", "ann/p.champion"),
        ("diff", "before:c8", "now"),
        ("runs",),
        ("models",),
        ("lineage", "ann/p-v1"),
        ("sql", "select run from runs"),
        ("verify",),
    ):
        said = Said(*command)
        assert said.code == 0, said.err
        assert "UNPROVEN" in said.out + said.err, command
    assert Said("champion", "ann/p").out.startswith("ann/p-v1 (small_trees)\n  promoted ")
    assert Said("champion", "p").out.startswith("p-v1 (small_trees)\n  promoted ")
    (history,) = Said("status", "--json").json["histories"]
    assert (history["commits"], history["proven"], history["named_under"]) == (6, False, "ann")
    again = Said("import", "../ann", "--json").json
    assert (again["first"], again["size"], again["receipt"]) == (6, 6, None)
    proven = Said("import", "../ann", "--against", "-", given=receipt)
    assert proven.code == 0 and "proven by a receipt" in proven.out
    assert "UNPROVEN" not in Said("status").err
    shown = Said("show", "c8", "--json").json["imported"]
    assert (shown["proven"], shown["proven_when_imported"]) == (True, False)
    assert "proven by a receipt that was kept of its first 6 commits" in Said("verify").out
    for command in ("runs", "models"):
        assert "UNPROVEN" not in Said(command).err
    assert "(imported, there 2" in Said("champion", "ann/p").out
    (told_of,) = Said("story", "pipeline:ann/p", "--json").json["events"][:1]
    assert told_of["imported"]["proven"] is True
    story = Said("story", "run:ann/r1").out
    assert "run ann/r1 of ann/p started" in " ".join(story.split())
    assert Said("prove", "ann/p-v1", "-o", "proof").code == 0
    assert Said("check-proof", "proof").code == 0


def test_the_json_form_is_frozen(team: Path, both: tuple[Path, Path, str]) -> None:
    receipt = both[2]
    said = Said("import", "../ann", "--as", "ann", "--against", receipt.strip(), "--json").json
    origin = said["history"]["name"]
    assert said.pop("receipt")["line"].startswith("receipt team-")
    assert said.pop("commit").startswith("c6-") and said.pop("last_commit").startswith("c12-")
    assert said == {
        "schema": "tally.import/1",
        "dry_run": False,
        "history": {"handle": f"history:{origin}", "name": origin},
        "first": 0,
        "size": 6,
        "events": 9,
        "left_out": 11,
        "proven": True,
        "vouched": "receipt",
        "sentence": "proven by a receipt that was kept of its first 6 commits",
        "named_under": "ann",
        "before": 0,
        "unsigned_commits": 0,
        "artifacts": {"named": 1, "copied": 0, "missing": []},
        "passed_on": [],
        "erased_there": [],
        "also_here": [],
    }


def test_what_cannot_be_is_said_with_its_exit_code(team: Path, both: tuple[Path, Path, str]) -> None:
    _, ann, receipt = both
    with ledger.open(team) as book:
        size, key = book.log.size(), book.identity.key.format()
    for arguments, code in (
        (("../nowhere",), 4), ((".",), 1), (("../ann", "--as", "x y"), 2), (("../ann", "--against", "rubbish"), 2),
        (("../ann", "--as", "ann", "--against", receipt.strip().replace("@6 ", "@5 ")), 1),
        (("../ann", "--as", "ann", "--key", key), 1), (("../ann", "--key", "no key"), 2),
    ):  # fmt: skip
        said = Said("import", *arguments)
        assert said.code == code, (arguments, said.err)
        assert said.err.startswith("tally: ") and len(said.err.splitlines()) > 1, arguments
    assert "tally init" not in Said("import", "../nobody").err
    (ann / ".tally" / "ledger.db").write_bytes(b"no database at all")
    assert Said("import", "../ann", "--as", "ann").code in (1, 2)
    with ledger.open(team) as book:
        assert book.log.size() == size


def test_interrupted_it_says_how_to_go_on(team: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C between two transactions; the campaign of kills ends real processes anywhere."""
    monkeypatch.setattr("tallystick.ledger.importing.importer.COMMITS_AT_ONCE", 2)
    real, left = ledger.Ledger.append_copies, iter(range(2))

    def interrupted(self: ledger.Ledger, copies: list[Copy]) -> object:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return real(self, copies)

    with monkeypatch.context() as patch:
        patch.setattr(ledger.Ledger, "append_copies", interrupted)
        said = Said("import", "../ann", "--as", "ann")
    assert said.code == 130
    told_so = " ".join(said.err.split())
    assert "4 of 6 commits of ann-" in told_so and "To go on: tally import ../ann" in told_so
    assert "stopped at c3 of c5" in " ".join(Said("verify").out.split())
    done = Said("import", "../ann", "--json").json
    assert (done["before"], done["first"], done["size"]) == (4, 4, 6)
    verified = Said("verify")
    assert verified.code == 0 and "c0 to c5 of ann-" in verified.out and "stopped" not in verified.out


def test_hostile_texts_come_in_and_act_on_no_terminal(team: Path, both: tuple[Path, Path, str]) -> None:
    with ledger.create(team.parent / "stranger", timezone="UTC", key_home="file") as book:
        filling = Filling()
        for released in RELEASED.values():
            if released.body.TYPE not in KEPT | {"event.corrected", "decision.approved", "artifact.stored"}:
                book.append(Draft(filling.body(released.body), occurred_at=FIRST), note=filling.text)
        book.checkpoint()
    done = Said("import", "../stranger", "--as", "x")
    assert done.code == 0, done.err
    shown = 0
    for said in (done, Said("import", "../stranger"), Said("status"), Said("log", "-n", "99"), Said("verify"),
                 *(Said("show", f"c{n}") for n in range(7, 40)), Said("sql", "select * from histories"),
                 Said("log", "-n", "99", "--json")):  # fmt: skip
        dangerous = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
        assert said.code == 0, said.err
        for text in (said.out, said.err):
            assert not [c for c in text if c not in "\t\n" and unicodedata.category(c) in dangerous]
            shown += "owned" in text
    assert shown > 30


def test_the_app_shows_where_it_comes_from(both: tuple[Path, Path, str]) -> None:
    team, ann, _ = both
    with ledger.open(team) as book:
        import_history(book, ann, named_under="ann")
        seq = next(entry.seq for entry in book.events() if entry.event.t == "model.promoted" and entry.n > 6)

    async def look() -> None:
        async with driven(team) as app:
            assert "ann/p" in app.text
            await app.press("4", "/", *"type:model.promoted entity:model:ann/p-v1", "enter")
            await app.sees("promoted ann/p-v1 to champion of ann/p")
            await app.press("enter")
            page = " ".join((await app.sees("imported: it was c4 of ann-")).split())
            assert f"#{seq}-" in page and "UNPROVEN" in page
            assert "model:ann/p-v1" in page
            await app.press("escape", "6")
            await app.sees("imported: 6 commits of ann-")

    asyncio.run(look())
