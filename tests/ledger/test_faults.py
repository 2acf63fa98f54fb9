"""Samples of the campaigns that kill processes and let system calls fail; see `tests/campaigns`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from faults import Case, campaign, count_calls, one, template_in
from histories import failed
from kill import campaign as kill_campaign

import ledger
from ledger.errors import InvalidInput
from ledger.redaction import redact


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
def test_views_that_cannot_be_removed_are_said_in_a_redaction(tmp_path: Path) -> None:
    template = template_in(tmp_path)
    assert count_calls(template, tmp_path)["unlink"] >= 1
    assert one(template, tmp_path, Case("unlink", "EIO", 1)) == "said so"


def test_an_erasure_that_failed_is_finished_by_the_same_command(book: ledger.Ledger) -> None:
    seq = book.append(failed("2013-01-01.1", "p")).last_seq
    views = book.views.path
    views.unlink(missing_ok=True)
    views.mkdir()  # what cannot be unlinked, for anybody
    (views / "in the way").touch()
    with pytest.raises(InvalidInput, match="not all of its content could be erased"):
        redact(book, seq, "why", "nobody")
    assert book.log.event(seq).data is not None
    (views / "in the way").unlink()
    views.rmdir()
    redact(book, seq, "why", "nobody")
    assert book.log.event(seq).data is None
