"""Workers after the process that started them was killed: none is left, whatever it was doing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kill import processes_of
from shell import PROGRAM
from tiny import tiny

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="counts processes by /proc")

SCRIPTS = {
    "idle and busy workers of a run": """
import os, sys, time
from joblib import delayed
from tallystick.pipeline.models.workers import parallel
def work(seconds):
    print("at work", flush=True)
    time.sleep(seconds)
if __name__ == "__main__":
    parallel(3)(delayed(work)(seconds) for seconds in (600, 600, 0))
""",
    "workers of a thread that has ended": """
import threading, time
from joblib import delayed
from tallystick.pipeline.models.workers import parallel
def work(seconds):
    print("at work", flush=True)
    time.sleep(seconds)
def twice():
    parallel(2)(delayed(work)(0) for _ in range(4))
if __name__ == "__main__":
    thread = threading.Thread(target=twice)
    thread.start()
    thread.join()
    parallel(2)(delayed(work)(600) for _ in range(2))
""",
    "workers of a pool that verifies": """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
from tallystick.ledger.system.processes import end_with_parent
def work(seconds):
    print("at work", flush=True)
    time.sleep(seconds)
if __name__ == "__main__":
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn, initializer=end_with_parent, initargs=(os.getpid(),)) as pool:
        list(pool.map(work, (600, 600)))
""",
}


def left_after(session: int, seconds: float = 10) -> list[str]:
    """What is still there of a session's processes after that long."""
    end = time.monotonic() + seconds
    while (found := processes_of(session)) and time.monotonic() < end:
        time.sleep(0.1)
    return found


@pytest.mark.parametrize("what", SCRIPTS)
def test_workers_end_with_a_parent_that_was_killed(what: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPTS[what])
    # Output to a file: a pipe would be held open by whatever is left, and reading it would wait for that.
    with (tmp_path / "out").open("w") as out:
        parent = subprocess.Popen([sys.executable, str(script)], stdout=out, stderr=out, start_new_session=True)
        try:
            end = time.monotonic() + 60
            wanted = 6 if "thread" in what else 2
            while (tmp_path / "out").read_text().count("at work") < wanted and time.monotonic() < end:
                time.sleep(0.05)
            assert len(processes_of(parent.pid)) >= 3, (tmp_path / "out").read_text()
            parent.kill()
            parent.wait()
            assert left_after(parent.pid) == []
        finally:
            _end(parent)


def test_a_run_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    file = tiny(tmp_path)
    parent = subprocess.Popen(
        [*PROGRAM, "run", file.name, "--workers", "3"], cwd=tmp_path, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        end = time.monotonic() + 60
        # The run itself, joblib's tracker of its files, and three workers.
        while len(processes_of(parent.pid)) < 5 and time.monotonic() < end:
            assert parent.poll() is None
            time.sleep(0.02)
        parent.kill()
        parent.wait()
        assert left_after(parent.pid) == []
    finally:
        _end(parent)


def _end(parent: subprocess.Popen[bytes]) -> None:
    if parent.poll() is None or processes_of(parent.pid):
        os.killpg(parent.pid, signal.SIGKILL)
    parent.wait()
