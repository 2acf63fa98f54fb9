"""Samples of the campaigns that kill processes and let system calls fail; see `tests/campaigns`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from blake3 import blake3
from faults import Case, campaign, count_calls, one, template_in
from histories import failed
from kill import campaign as kill_campaign
from power import campaign as power_campaign

from tallystick import ledger
from tallystick.ledger.amend.redaction import redact
from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.system import files


def _traces() -> bool:
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode == 0


strace = pytest.mark.skipif(not _traces(), reason="strace is not here, or may not trace")


def test_nothing_acknowledged_is_lost_when_a_process_is_killed(tmp_path: Path) -> None:
    outcome = kill_campaign(tmp_path, kills=15, seed=7)
    assert outcome.acknowledged > 0
    assert (outcome.lost, outcome.not_verified, outcome.repairs) == (0, 0, 0)


@strace
def test_system_calls_that_fail_are_said_and_do_no_harm(tmp_path: Path) -> None:
    outcomes = campaign(tmp_path, every=60)
    assert sum(outcomes.values()) >= 12
    assert not [outcome for outcome in outcomes if outcome[20:22].isupper()]


@strace
def test_power_cuts_lose_nothing_acknowledged_and_tear_nothing(tmp_path: Path) -> None:
    assert power_campaign(tmp_path, cuts=60, seed=3) == {"whole": 60}


@strace
def test_a_disk_that_only_says_that_it_synced_is_noticed(tmp_path: Path) -> None:
    outcomes = power_campaign(tmp_path, cuts=60, seed=3, lying=True)
    assert outcomes["LOST AND NOTICED"] > 0  # so the campaign above could fail
    assert set(outcomes) <= {"whole", "LOST AND NOTICED", "NOT VERIFIED", "NEEDS REPAIR", "LOST UNSIGNED"}


@strace
def test_views_that_cannot_be_removed_are_said_in_a_redaction(tmp_path: Path) -> None:
    template = template_in(tmp_path)
    assert count_calls(template, tmp_path)["unlink"] >= 1
    assert one(template, tmp_path, Case("unlink", "EIO", 1)) == "said so"


def test_an_erasure_that_failed_is_finished_by_the_same_command(book: ledger.Ledger) -> None:
    seq = book.append(failed("2013-01-01.1", "p")).last_seq
    views = book.views.path
    views.unlink(missing_ok=True)
    views.mkdir(parents=True)  # what cannot be unlinked, for anybody
    (views / "in the way").touch()
    with pytest.raises(InvalidInput, match="not all of its content could be erased"):
        redact(book, seq, "why", "nobody")
    assert book.log.event(seq).data is not None
    (views / "in the way").unlink()
    views.rmdir()
    redact(book, seq, "why", "nobody")
    assert book.log.event(seq).data is None


def test_the_name_of_an_artifact_is_synced_even_where_a_killed_process_left_it(
    book: ledger.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the rename and the sync of the folder: the name is there, but a power cut would take it away."""
    data = b"a model" * 100
    child = os.fork()
    if child == 0:
        files.sync_folder = lambda _folder: os.kill(os.getpid(), signal.SIGKILL)
        book.objects.put(data)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    path = book.objects.path(blake3(data).hexdigest())
    assert path.read_bytes() == data
    synced: list[str] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(str(Path(f"/proc/self/fd/{fd}").readlink())), real(fd)))
    book.objects.put(data)
    for made in (path, path.parent, path.parent.parent, book.folder):
        assert str(made) in synced, made
    synced.clear()
    assert not book.objects.take(book.objects, blake3(data).hexdigest())
    assert str(path.parent) in synced
