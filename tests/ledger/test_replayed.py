"""A ledger that tells a story is written at the story's times, never at the wall clock's."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from given import FIXTURES
from histories import registered
from shell import tally

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput, Refused
from tallystick.ledger.publish import bundle
from tallystick.ledger.system.replay_clock import StoryClock
from tallystick.tui.cli.main import tally as command

APRIL = dt.datetime(2013, 4, 1, tzinfo=dt.UTC)


def story(folder: Path) -> tuple[ledger.Ledger, StoryClock]:
    clock = StoryClock(APRIL)
    return ledger.create(folder, timezone="UTC", key_home="file", clock_kind="replayed", clock=clock), clock


def test_its_commits_carry_the_times_of_the_story(tmp_path: Path) -> None:
    book, clock = story(tmp_path)
    with book:
        clock.move_to(APRIL + dt.timedelta(days=30))
        book.append(registered("late-arrivals"))
        assert book.now().as_of.recorded_at == APRIL + dt.timedelta(days=30)


def test_the_wall_clock_never_writes_into_a_story(tmp_path: Path) -> None:
    story(tmp_path)[0].close()
    with ledger.open(tmp_path) as book:
        before = book.log.size()
        with pytest.raises(Refused, match="replayed story"):
            book.append(registered("late-arrivals"))
        assert book.log.size() == before
    refused = tally(tmp_path, "key", "rotate", "--to", "file", "--reason", "somebody left us")
    assert refused.code == 1 and "replayed story" in refused.err


def test_a_story_goes_forward_in_times_with_a_zone() -> None:
    clock = StoryClock(APRIL)
    with pytest.raises(InvalidInput, match="does not go back"):
        clock.move_to(APRIL - dt.timedelta(seconds=1))
    with pytest.raises(InvalidInput, match="no time zone"):
        StoryClock(APRIL.replace(tzinfo=None))
    assert clock() == APRIL


RECORDS = (
    ("run", "FILE.toml"),
    ("monitor", "FILE.toml", "--period", "2013-05"),
    ("reproduce", "2013-05-01.1"),
    ("predict", "late-arrivals-v1", "rows.csv", "-o", "answers.csv"),
    ("refit", "2013-05-01.1", "small_trees", "--reason", "to see how it would have done"),
    ("final-test", "late-arrivals-v1"),
    ("promote", "late-arrivals-v1", "--reason", "it leads"),
    ("retire", "late-arrivals-v1", "--reason", "it is old"),
    ("waive", "leakage", "--model", "late-arrivals-v1", "--reason", "a month without one of the columns",
     "--owner", "ann", "--approver", "ben", "--until", "2013-06-01"),
    ("approve", "#1"),
    ("automation", "late-arrivals", "--lock", "--reason", "a holiday"),
    ("correct", "#1", "--reason", "another pipeline was meant"),
    ("redact", "#1", "--reason", "a name", "--authority", "ben", "--yes"),
    ("seal",),
    ("import", "../nowhere"),
    ("anchor", "receipt story@1 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "--where", "ticket RISK-88"),
    ("adopt", "--reason", "restored from the copy of Monday"),
)  # fmt: skip


@pytest.mark.parametrize("words", RECORDS, ids=lambda words: words[0])
def test_what_records_refuses_a_story_before_it_does_anything_else(
    words: tuple[str, ...], told: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most of these name what is not there: whoever looked at that first would say so, or work for minutes."""
    (told / "FILE.toml").write_bytes((FIXTURES / "late-arrivals.toml").read_bytes())
    monkeypatch.chdir(told)
    refused = CliRunner().invoke(command, [*words])
    assert isinstance(refused.exception, Refused) and "replayed story" in refused.exception.message, refused.output
    with ledger.open(told) as book:
        assert book.log.size() == 2


LOOKS = (
    ("receipt",),
    ("anchors",),
    ("anchors", "#1"),
    ("key", "show"),
    ("rebuild", "--check"),
    ("doctor",),
    ("backup", "copy"),
    ("export", "tiles", "tiles"),
    ("prove", "#1", "-o", "proof"),
    ("log",),
    ("status",),
    ("runs",),
)


@pytest.mark.parametrize("words", LOOKS, ids=" ".join)
def test_what_looks_at_a_story_says_that_its_clock_is_replayed(
    words: tuple[str, ...], told: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(told)
    answer = CliRunner().invoke(command, [*words])
    assert answer.exit_code == 0 and "REPLAYED" in answer.output
    live = told / "live"
    ledger.create(live, timezone="UTC", key_home="file").close()
    monkeypatch.chdir(live)
    assert "REPLAYED" not in CliRunner().invoke(command, [*words]).output


def test_a_proof_from_a_story_proves_that_it_is_one(told: Path) -> None:
    """An auditor sees the folder and nothing else."""
    with ledger.open(told) as book:
        made = bundle.prove(book, f"event:{book.log.event(2).id.hex()}", [2], told / "proof", with_artifacts=False)
    assert made.events == 2
    assert "REPLAYED CLOCK" in (told / "proof" / "README.txt").read_text()
    assert "with a replayed clock" in bundle.check(told / "proof").told[0]
    alone = subprocess.run(
        [sys.executable, "-I", "check.py", "."], cwd=told / "proof", capture_output=True, text=True, check=False
    )
    assert alone.returncode == 0, alone.stderr


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """A folder with a story of one commit after its beginning."""
    book, clock = story(tmp_path)
    with book:
        clock.move_to(APRIL + dt.timedelta(days=30))
        book.append(registered("late-arrivals"), sign=True)
    return tmp_path
