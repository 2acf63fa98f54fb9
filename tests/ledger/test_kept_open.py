"""A ledger that stays open while calls follow one another, and no longer."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from histories import finished

from tallystick import ledger
from tallystick.ledger.errors import NotFound
from tallystick.ledger.tracking import worker
from tallystick.ledger.tracking.worker import KeptOpen


@pytest.fixture
def team(tmp_path: Path) -> Path:
    ledger.create(tmp_path / "team", timezone="UTC").close()
    return tmp_path / "team" / ".tally"


def write(kept: KeptOpen, run: str) -> None:
    def work(book: ledger.Ledger) -> None:
        book.append(finished(run, "p"))

    kept.do(work)


def written(folder: Path) -> list[str]:
    with ledger.open(folder) as book:
        return [entry.event.body.run for entry in book.events() if entry.event.t == "run.finished"]


def is_open(folder: Path) -> bool:
    targets = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            targets.append(str(link.readlink()))
    return any(target.startswith(str(folder / "ledger.db")) for target in targets)


def test_it_stays_open_for_the_next_call_and_closes_when_none_comes(
    team: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = KeptOpen(team)
    write(kept, "a")
    assert is_open(team)
    write(kept, "b")
    kept.close()
    assert not is_open(team)
    kept.close()
    monkeypatch.setattr(worker, "IDLE_SECONDS", 0.01)
    write(kept, "c")
    while is_open(team):
        time.sleep(0.005)
    write(kept, "d")
    kept.close()
    assert written(team) == ["a", "b", "c", "d"]


def test_what_was_moved_or_replaced_between_two_calls_is_noticed(team: Path) -> None:
    kept = KeptOpen(team)
    write(kept, "a")
    team.rename(team.with_name("away"))
    with pytest.raises(NotFound):
        write(kept, "b")
    team.with_name("away").rename(team)
    write(kept, "c")
    kept.close()
    assert written(team) == ["a", "c"]


def test_an_error_of_the_work_comes_back_and_the_next_call_works(team: Path) -> None:
    def fail(_book: ledger.Ledger) -> None:
        raise ValueError("as asked")

    kept = KeptOpen(team)
    with pytest.raises(ValueError, match="as asked"):
        kept.do(fail)
    write(kept, "a")
    kept.close()
    assert written(team) == ["a"]


def test_many_threads_that_write_and_close_all_come_back(team: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "IDLE_SECONDS", 0.0005)
    kept = KeptOpen(team)

    def many(name: int) -> None:
        for index in range(10):
            write(kept, f"{name}.{index}")
            if index % 3 == 0:
                kept.close()

    threads = [threading.Thread(target=many, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept.close()
    assert sorted(written(team)) == sorted(f"{name}.{index}" for name in range(4) for index in range(10))


@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_a_forked_child_opens_it_for_itself(team: Path) -> None:
    kept = KeptOpen(team)
    write(kept, "parent")
    child = os.fork()
    if child == 0:
        try:
            write(kept, "child")
            kept.close()
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    write(kept, "parent again")
    kept.close()
    assert written(team) == ["parent", "child", "parent again"]
