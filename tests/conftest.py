"""Every test has its own home for keys and marks, and a name for who acts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from given import Ticking, seeded_salts

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
