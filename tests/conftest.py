"""Every test has its own home for keys and marks, and a name for who acts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from given import FIXTURES, Ticking, seeded_salts
from once import made_once
from shell import Answer, Demo, Done, tally

from tallystick import ledger
from tallystick.ledger.system.provenance import this_process


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    monkeypatch.setenv("TALLY_ACTOR", "tester@example.org")
    for variable in ("TALLY_LEDGER", "TALLY_SHARED", "TALLY_POLICY", "SSH_AUTH_SOCK"):
        monkeypatch.delenv(variable, raising=False)
    # A process asks once who it is; a fixture that many tests share may have asked before the name was set.
    this_process.cache_clear()
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
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The story of `tally demo`, told once; nothing can be appended to it, so it may be looked at without a copy."""

    def environment(made: Path) -> dict[str, str]:
        return {"XDG_CONFIG_HOME": str(made / "config"), "XDG_STATE_HOME": str(made / "state")}

    def make(made: Path) -> Answer:
        (made / "stand").mkdir()
        return tally(made / "stand", "demo", **environment(made))

    made, answer = made_once(tmp_path_factory, "demo", make)
    return Demo(made / "stand", made / "stand" / "tally-demo", environment(made), answer)


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
