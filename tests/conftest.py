"""Every test has its own home for keys and marks, and a name for who acts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from given import FIXTURES, Ticking, seeded_salts
from once import made_once
from shell import Answer, Demo, Done, home_in, tally

from tallystick import ledger
from tallystick.ledger.system.provenance import this_process

LONGEST = (
    "tui/test_run.py",
    "test_mlflow.py",
    "tui/test_monitor.py",
    "test_readme.py",
    "tui/test_app.py",
    "tui/test_replay.py",
    "tui/test_travel.py",
    "tui/test_gates.py",
    "pipeline/test_reproduce.py",
    "tui/test_pictures.py",
    "tui/test_keys.py",
    "ledger/test_time_travel.py",
    "ledger/test_bundle.py",
    "pipeline/test_checks.py",
    "pipeline/test_predict.py",
)
"""Files whose tests take the most time.

They are begun first, so that at the end no process works through a long file while the other has nothing left to do;
and those that need the same ledger, made once, are not begun together.
"""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest files first when processes share the work; alone, files keep their order."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        ranks = {Path(__file__).parent / name: rank for rank, name in enumerate(LONGEST)}
        items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


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
    """One whole run on the real sample, for all tests that look at it or change a copy.

    The run is made once; each process has a copy of it, because some commands that only answer write as well.
    """

    def make(made: Path) -> Answer:
        (made / "team").mkdir()
        file = str(FIXTURES / "late-arrivals.toml")
        return tally(made / "team", "run", file, "--workers", "1", **home_in(made / "home"))

    made, answer = made_once(tmp_path_factory, "run", make)
    own = tmp_path_factory.mktemp("done")
    shutil.copytree(made, own, dirs_exist_ok=True)
    return own / "team", home_in(own / "home"), answer


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
