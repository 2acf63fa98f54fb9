"""What was ever written must verify for ever: ledgers, receipts, bundles and tiles in `fixtures/frozen`.

A failure here is never mended by writing the files again: they are what people have.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from given import FIXTURES
from shell import tally

from tallystick import ledger
from tallystick.ledger.events import types
from tallystick.ledger.events.event import encode_canonical, hashes
from tallystick.ledger.publish.bundle import check
from tallystick.ledger.publish.tiles import export_tiles
from tallystick.ledger.tlog.note import parse_receipt
from tallystick.ledger.tlog.policy import parse_policy
from tallystick.ledger.verify.report import Asked
from tallystick.ledger.verify.verify import verify

FROZEN = FIXTURES / "frozen"
BEFORE = "version-0.1.0"
"""A ledger with the account that wrote it: its key, what it had seen, and a spool; it has tests of its own below."""
ALL = sorted(path.name for path in FROZEN.iterdir() if path.is_dir())
WITH_IMPORT = ("format-2", "format-3", "format-4", "format-5")
NAMES = [name for name in ALL if name != BEFORE]


@pytest.fixture(params=NAMES)
def frozen(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy, because a ledger that is looked at gets views beside it."""
    folder = tmp_path / str(request.param)
    shutil.copytree(FROZEN / request.param, folder)
    (folder / "tally").rename(folder / ".tally")
    return folder


def test_no_frozen_file_was_ever_changed() -> None:
    listed = [line.split("  ", 1) for line in (FROZEN / "SHA256SUMS").read_text().splitlines()]
    assert {name for _, name in listed} == {
        str(path.relative_to(FROZEN)) for name in ALL for path in (FROZEN / name).rglob("*") if path.is_file()
    }
    for digest, name in listed:
        assert hashlib.sha256((FROZEN / name).read_bytes()).hexdigest() == digest, name


def test_frozen_ledgers_verify(frozen: Path) -> None:
    with ledger.open(frozen) as book:
        verdict = verify(
            book,
            Asked(
                read_data=True,
                against=[parse_receipt((frozen / "receipt.txt").read_text())],
                segments=frozen / ".tally" / "segments",
            ),
        )
        assert verdict.findings == []
        assert verdict.verified
        champion = book.now().champion("late-arrivals")
        assert champion is not None
        assert champion.model == "late-arrivals-v1"
        assert len(book.now().corrections()) == (2 if frozen.name in WITH_IMPORT else 1)
        assert [history.commits > 0 and history.proven for history in book.now().histories()] == (
            [True] if frozen.name in WITH_IMPORT else []
        )
        assert parse_policy((frozen / "policy.txt").read_text()).logs[0].key == book.identities[0].key
    for receipt in (frozen / "receipts.txt").read_text().splitlines():
        if receipt.startswith("receipt "):
            assert tally(frozen, "verify", "--against", "-", given=receipt).code == 0


def test_frozen_bundles_convince_every_checker(frozen: Path) -> None:
    key = (frozen / "bundle" / "log.vkey").read_text().strip()
    ours = Path(ledger.__file__).parent / "publish" / "auditor.py"
    for program in (frozen / "bundle" / "check.py", ours):
        command = [sys.executable, "-I", str(program), "--key", key, str(frozen / "bundle")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "PROVED" in done.stdout
    assert check(frozen / "bundle", key).told


def test_frozen_tiles_are_what_is_exported_today(frozen: Path, tmp_path: Path) -> None:
    with ledger.open(frozen) as book:
        export_tiles(book, tmp_path / "site")
    then, now = (
        {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
        for folder in (frozen / "tiles", tmp_path / "site")
    )
    assert then == now


def test_every_type_ever_released_is_read_and_written_as_it_was() -> None:
    seen = set()
    for name in NAMES:
        for line in (FROZEN / name / "events.txt").read_text().splitlines():
            event_id, sha256, text = line.split(" ", 2)
            data = text.encode()
            assert hashes(data) == (bytes.fromhex(event_id), bytes.fromhex(sha256))
            event = types.decode(data)
            assert types.is_known(event)
            assert encode_canonical(event) == data
            seen.add((event.t, event.v))
    # A new type, or a new version of one, asks for another frozen ledger: see fixtures/README.md.
    assert seen == set(types.RELEASED)


@pytest.fixture
def before(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A copy of the ledger and of the account that version 0.1.0 left, and the environment of that account."""
    folder, home = tmp_path / "team", tmp_path / "home"
    shutil.copytree(FROZEN / BEFORE, folder)
    (folder / "tally").rename(folder / ".tally")
    (folder / "home").rename(home)
    for key in home.rglob("*.key"):
        key.chmod(0o600)  # as it was; git keeps no such right
    (spool,) = (home / "state" / "tallystick" / "spool").rglob("records.jsonl")
    # It names the folder of its ledger, which is another one here.
    spool.write_text(spool.read_text().replace('"/tmp/team/.tally"', f'"{folder / ".tally"}"'))
    return folder, {
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_STATE_HOME": str(home / "state"),
        "TALLY_ACTOR": "ann@example.org",
    }


def test_a_ledger_and_a_spool_of_version_0_1_0_are_gone_on_with(before: tuple[Path, dict[str, str]]) -> None:
    folder, account = before
    receipt = (folder / "receipt.txt").read_text().strip()

    def say(*arguments: str) -> str:
        answer = tally(folder, *arguments, **account)
        assert answer.code == 0, (arguments, answer.out, answer.err)
        assert "WARNING" not in answer.err, (arguments, answer.err)
        return answer.out

    # Read, with the views that the earlier version left beside it.
    assert "late-arrivals-v1" in say("champion", "late-arrivals")
    assert "late-arrivals-v1" in say("explain", "late-arrivals-v1")
    with ledger.open(folder) as book:
        commits = book.log.size()
        assert [trial.status for trial in book.now().trials()] == ["finished"]
    assert "VERIFIED" in say("verify", "--full", "--against", receipt)
    # The spool is delivered, once.
    assert "delivered" in say("doctor")
    assert "nothing waits" in say("doctor")
    with ledger.open(folder) as book:
        assert [trial.status for trial in book.now().trials()] == ["finished", "finished"]
    # Appended to, with the key that the earlier version made.
    say("retire", "late-arrivals-v1", "--reason", "a later version goes on")
    with ledger.open(folder) as book:
        assert book.log.size() > commits + 3
        assert book.now().model("late-arrivals-v1").status == "retired"
    assert "VERIFIED" in say("verify", "--full", "--against", receipt)


def test_a_model_of_version_0_1_0_is_tested_on_its_sealed_windows(before: tuple[Path, dict[str, str]]) -> None:
    """Its recipe is ours, recorded under the name and the hash that it had then."""
    folder, account = before
    answer = tally(folder, "final-test", "late-arrivals-v1", **account)
    assert answer.code == 0, answer.err
    assert "gate final_test passed" in answer.out
