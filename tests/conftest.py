"""Every test has its own home for keys and marks, and a name for who acts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from given import FIXTURES, Ticking, seeded_salts
from shell import Done, tally

import ledger


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    monkeypatch.setenv("TALLY_ACTOR", "tester@example.org")
    for variable in ("TALLY_LEDGER", "TALLY_SHARED", "TALLY_POLICY", "SSH_AUTH_SOCK"):
        monkeypatch.delenv(variable, raising=False)
    return home


@pytest.fixture
def clock() -> Ticking:
    return Ticking()


@pytest.fixture
def book(tmp_path: Path, clock: Ticking) -> Iterator[ledger.Ledger]:
    with ledger.create(tmp_path / "team", timezone="America/New_York", clock=clock, salts=seeded_salts()) as made:
        yield made


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """One whole run on the real sample, made once for all tests that look at it or change a copy."""
    folder = tmp_path_factory.mktemp("team")
    home = tmp_path_factory.mktemp("home")
    environment = {
        "XDG_CONFIG_HOME": str(home / "c"),
        "XDG_STATE_HOME": str(home / "s"),
        "TALLY_ACTOR": "ann@example.org",
    }
    answer = tally(folder, "run", str(FIXTURES / "late-arrivals.toml"), **environment)
    assert answer.code == 0, answer.err
    return folder, environment, answer


@pytest.fixture(scope="session")
def lived_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The story of two pipelines through most of a year, told once."""
    import lives

    folder = tmp_path_factory.mktemp("lived") / "team"
    home = tmp_path_factory.mktemp("lived-home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(home / "config"))
        patch.setenv("XDG_STATE_HOME", str(home / "state"))
        patch.setenv("TALLY_ACTOR", "tester@example.org")
        patch.delenv("SSH_AUTH_SOCK", raising=False)
        lives.live(folder).close()
    return folder


@pytest.fixture
def lived(lived_template: Path, tmp_path: Path) -> Path:
    """A copy of that story's ledger."""
    shutil.copytree(lived_template / ".tally", tmp_path / "team" / ".tally")
    return tmp_path / "team" / ".tally"
