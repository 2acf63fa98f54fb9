"""An environment with MLflow in it, and MLflow's server over a ledger.

MLflow is not among the development dependencies: it is large, and its two versions cannot share an environment. The
libraries are installed once into a cache; each test module gets an environment of its own with this checkout in it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SESSION = Path(__file__).with_name("mlflow_session.py")
SERVED = (
    "mlflow==3.17.2",
    "optuna>=5",
    "optuna-integration>=5",
    "lightgbm>=4.6",
    "skops>=0.14",
    "setuptools>=77",  # installs this checkout
)
OLDER = ("mlflow-skinny==2.22.5", "pandas")
INSTALL_SECONDS = 540
START_SECONDS = 120
QUIET = {
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "PYTHONWARNINGS": "ignore",
}


def cached(name: str, packages: tuple[str, ...]) -> Path:
    """The interpreter of an environment with some packages, made where there is none; skips where it cannot be."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tallystick-tests"
    folder = home / f"{name}-{sys.version_info.major}.{sys.version_info.minor}"
    python, done = folder / "bin" / "python", folder / "installed.json"
    if done.exists() and json.loads(done.read_text()) == list(packages):
        return python
    home.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True, timeout=120)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    try:
        made = subprocess.run(install, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{packages[0]} could not be installed within {INSTALL_SECONDS} s")
    if made.returncode != 0:
        last = made.stderr.strip().splitlines()[-1:]
        pytest.skip(f"{packages[0]} cannot be installed here: {' '.join(last)}")
    done.write_text(json.dumps(packages))
    return python


def environment(folder: Path) -> Path:
    """The interpreter of a new environment with MLflow and this checkout."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    libraries = cached("mlflow-3", (*SERVED, *project["dependencies"]))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=120)
    (site,) = folder.glob("lib/python*/site-packages")
    (cache,) = libraries.parent.parent.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(f"{cache}\n")
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--ignore-installed", "--no-build-isolation", "--editable", ROOT], check=True, timeout=300)
    return python


class Said(NamedTuple):
    """What a process ended with."""

    code: int
    out: str
    err: str


def started(python: Path, *words: str | Path, cwd: Path, **environment: str) -> subprocess.Popen[str]:
    """A process, begun."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PYTHON"))}
    return subprocess.Popen(
        [str(python), *map(str, words)],
        cwd=cwd, env={**inherited, **QUIET, **environment}, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def ended(process: subprocess.Popen[str], seconds: float = 600) -> Said:
    """The same, once it has ended."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        pytest.fail(f"{process.args} did not end within {seconds} s:\n{out[-2000:]}\n{err[-2000:]}")
    return Said(process.returncode, out, err)


def run(python: Path, *words: str | Path, cwd: Path, **environment: str) -> Said:
    """A process, ended."""
    return ended(started(python, *words, cwd=cwd, **environment))


def script(python: Path, code: str, *words: str | Path, cwd: Path, **environment: str) -> str:
    """What a few lines print, which must end well."""
    said = run(python, "-c", code, *words, cwd=cwd, **environment)
    assert said.code == 0, said.err
    return said.out


class Server(NamedTuple):
    """MLflow's server."""

    url: str

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """The status and the answer of one request below ``/api/2.0/mlflow/``."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/api/2.0/mlflow/{path}", data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return int(answer.status), json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")


@contextmanager
def served(python: Path, uri: str, files: str, folder: Path, **environment: str) -> Iterator[Server]:
    """MLflow's server over a store, until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ("--backend-store-uri", uri, "--artifacts-destination", files, "--workers", "1")
    log = folder / f"server-{port}.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [str(python), "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), *options],
            cwd=folder, env={**os.environ, **QUIET, **environment}, stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
        try:
            server = Server(f"http://127.0.0.1:{port}")
            _await(server, process, log)
            yield server
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _await(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(f"{server.url}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.3)
    pytest.fail(f"the server did not answer within {START_SECONDS} s:\n{log.read_text()[-3000:]}")
