"""Views are this account's own work: what others left in a ledger's folder, or could have changed, is never read."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest
from histories import failed, started
from shell import PROGRAM, tally
from stories import told

from tallystick import ledger
from tallystick.ledger.amend.redaction import redact
from tallystick.ledger.views import cache_file
from tallystick.ledger.views.cache_file import account_file


@pytest.fixture
def team(book: ledger.Ledger) -> Path:
    """A ledger with a champion, whose maker has asked for it."""
    told(book)
    book.now().models()
    book.close()
    return book.folder.parent


def home(folder: Path) -> dict[str, str]:
    """The home of another account."""
    return {"XDG_CONFIG_HOME": str(folder / "c"), "XDG_STATE_HOME": str(folder / "s")}


def files(folder: Path) -> set[str]:
    """Names in a ledger's folder, without what SQLite makes beside the log for readers."""
    names = {path.name for path in folder.iterdir()}
    return names - {"ledger.db-wal", "ledger.db-shm"}


def forge(path: Path) -> None:
    """Views that say that another model was promoted; everything else in them is right."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            if name.startswith(("models_", "pipelines_")) and not name.endswith("_keys"):
                connection.execute(f"UPDATE {name} SET state = replace(state, 'better bad months', 'a bribe')")


def test_a_strangers_views_are_not_believed_at_first_contact(team: Path, tmp_path: Path) -> None:
    """The ledger arrives as a folder in which somebody left views that fit its log and lie."""
    forged = tmp_path / "forged.db"
    shutil.copy(account_file(team / ".tally"), forged)
    forge(forged)
    assert b"a bribe" in forged.read_bytes()
    received = tmp_path / "received"
    shutil.copytree(team, received)
    for place in (received / ".tally" / "views.db", received / ".tally" / account_file(received / ".tally").name):
        shutil.copy(forged, place)
    for command in (
        ("champion", "p"),
        ("status",),
        ("why", "p.champion"),
        ("show", "p-v1"),
        ("champion", "p", "--json"),
    ):
        answer = tally(received, *command, **home(tmp_path / "me"))
        assert answer.code == 0, answer.err
        assert "a bribe" not in answer.out
    assert "better bad months" in tally(received, "why", "p.champion", **home(tmp_path / "me")).out


def test_reading_leaves_nothing_in_the_ledgers_folder(team: Path, tmp_path: Path) -> None:
    before = files(team / ".tally")
    assert before <= {"ledger.db", "lock", "lock.next", "objects"}
    assert tally(team, "status", **home(tmp_path / "ann")).code == 0
    assert files(team / ".tally") <= before | {"lock", "lock.next"}


def test_two_accounts_never_rebuild_each_others_views(team: Path, tmp_path: Path) -> None:
    accounts = [home(tmp_path / name) for name in ("ann", "ben", "ann", "ben")]
    paths = [Path(tally(team, "sql", "--path", **account).out.strip()) for account in accounts]
    assert paths[0] == paths[2] != paths[1] == paths[3]
    assert len({path.stat().st_ino for path in paths}) == 2
    made = {path: path.read_bytes() for path in paths}
    with closing(sqlite3.connect(paths[0], isolation_level=None)) as connection:
        connection.execute("UPDATE cursors SET fingerprint = 'of another version'")
    assert tally(team, "status", **home(tmp_path / "ann")).code == 0
    assert paths[1].read_bytes() == made[paths[1]]


def test_the_second_question_to_a_copy_that_can_only_be_read_folds_nothing(
    team: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "auditor"))
    for file in (team / ".tally").iterdir():
        if file.is_file():
            file.chmod(0o444)
    (team / ".tally").chmod(0o555)
    try:
        folded: list[int] = []
        for expected in (True, False):
            with ledger.open(team) as book:
                book.views.on_progress = lambda done, _all: folded.append(done)
                folded.clear()
                assert book.now().champion("p") is not None
                assert book.views.are_kept()
            assert bool(folded) == expected
    finally:
        (team / ".tally").chmod(0o755)


@pytest.mark.parametrize("who", ["another account", "everybody"])
def test_a_folder_that_others_can_write_is_not_used(team: Path, monkeypatch: pytest.MonkeyPatch, who: str) -> None:
    folder = account_file(team / ".tally").parent
    forge(account_file(team / ".tally"))
    if who == "everybody":
        folder.chmod(0o777)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    with ledger.open(team) as book:
        assert book.now().model("p-v1").reason == "better bad months"
        assert not book.views.are_kept()


def test_what_one_account_erases_is_gone_from_the_views_of_another(book: ledger.Ledger, tmp_path: Path) -> None:
    book.append(started("r1", "p"))
    seq = book.append(failed("r1", "p")).last_seq
    secret = "a name that must not stay"
    seq = book.append(
        failed("r1", "p").__class__(run="r1", pipeline="p", stage="x", error="E", message=secret)
    ).last_seq
    book.close()
    ben = home(tmp_path / "ben")
    path = Path(tally(book.folder.parent, "sql", "--path", **ben).out.strip())
    assert secret in tally(book.folder.parent, "show", "run:r1", **ben).out
    assert secret.encode() in path.read_bytes()
    redact(book, seq, "asked to", "the law")
    book.close()
    assert secret not in tally(book.folder.parent, "show", "run:r1", **ben).out
    for file in path.parent.iterdir():
        assert secret.encode() not in file.read_bytes(), file.name


def test_many_processes_make_the_same_views_at_once(team: Path, tmp_path: Path) -> None:
    environment = {**os.environ, **home(tmp_path / "ann")}
    running = [
        subprocess.Popen([*PROGRAM, "champion", "p"], cwd=team, env=environment, stdout=-1, stderr=-1, text=True)
        for _ in range(4)
    ]
    answers = [(process.communicate(timeout=120), process.returncode) for process in running]
    assert {code for _, code in answers} == {0}, answers
    assert len({out for (out, _), _ in answers}) == 1
    assert tally(team, "rebuild", "--check", **home(tmp_path / "ann")).code == 0


def test_views_that_nobody_asked_for_long_are_removed(
    team: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = account_file(team / ".tally").parent
    now = time.time()
    days = {"today": 0, "last-week": 7, "last-month": 30, "last-year": 365}
    for name, age in days.items():
        for file in (folder / f"{name}.db", folder / f"{name}.db-wal"):
            file.write_bytes(b"x" * 1000)
            os.utime(file, (now - age * 86_400, now - age * 86_400))

    def left() -> set[str]:
        return {path.name.partition(".")[0] for path in folder.iterdir()} & days.keys()

    shutil.copytree(team, tmp_path / "copy")
    with ledger.open(tmp_path / "copy") as book:
        book.now().models()
    assert left() == {"today", "last-week", "last-month"}
    monkeypatch.setattr(cache_file, "MOST_BYTES", 1_500)
    shutil.copytree(team, tmp_path / "another")
    with ledger.open(tmp_path / "another") as book:
        book.now().models()
    assert left() == {"today"}
    assert account_file(team / ".tally").exists()  # it was used today, however large all of it is


def test_the_file_of_the_views_is_named_and_brought_up_to_date(team: Path) -> None:
    with ledger.open(team, allow_jump=True) as book:
        book.append(started("r9", "p"))
    path = tally(team, "sql", "--path").out.strip()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assert connection.execute("SELECT count(*) FROM runs WHERE run = 'r9'").fetchone() == (1,)
    assert tally(team, "sql", "--path", "select 1").code == 2
    assert tally(team, "sql").code == 2
