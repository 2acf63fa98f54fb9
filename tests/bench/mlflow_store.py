"""MLflow's client on a ledger and on MLflow's own SQLite database, in turns, in one run.

    python -m venv /tmp/beside && /tmp/beside/bin/pip install -q 'mlflow>=3' -e .
    /tmp/beside/bin/python tests/bench/mlflow_store.py

The client is the same on both sides and its own work is in every number. SQLite's database is warm: its tables are
made before anything is measured, except where four processes begin on a fresh store.
"""

from __future__ import annotations

import argparse
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow import MlflowClient
from mlflow.entities import Metric

HISTORY = 100_000
HISTORY_SECONDS_AIM = 0.3
Work = Callable[[MlflowClient], float]

FRESH = """
import sys
from mlflow import MlflowClient
client = MlflowClient(sys.argv[1])
for number in range(20):
    run = client.create_run("0")
    client.log_metric(run.info.run_id, "loss", 1.0, step=number)
    client.set_terminated(run.info.run_id)
    print("done", flush=True)
"""
ENDLESS = """
import sys
from mlflow import MlflowClient
client = MlflowClient(sys.argv[1])
run = client.create_run("0")
print(run.info.run_id, flush=True)
for step in range(1_000_000):
    client.log_metric(run.info.run_id, "loss", 1.0, step=step)
    print(step, flush=True)
"""


def seconds_of(work: Callable[[], object]) -> float:
    """How long something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def log_metric(client: MlflowClient, calls: int = 200) -> float:
    """Microseconds for one number, one call each; what is held is written within the time that is measured."""
    run_id = client.create_run("0").info.run_id

    def work() -> None:
        for step in range(calls):
            client.log_metric(run_id, "loss", 0.5, step=step)
        client.get_run(run_id)

    return seconds_of(work) / calls * 1e6


def log_batch(client: MlflowClient, calls: int = 10) -> float:
    """Microseconds for one number of 1,000 in a batch."""
    run_id = client.create_run("0").info.run_id
    batches = [
        [Metric("loss", 0.5, 1_700_000_000_000, call * 1000 + at) for at in range(1000)] for call in range(calls)
    ]

    def work() -> None:
        for batch in batches:
            client.log_batch(run_id, metrics=batch)
        client.get_run(run_id)

    return seconds_of(work) / calls / 1000 * 1e6


def whole_run(client: MlflowClient, folder: Path) -> float:
    """Milliseconds for a run of 20 parameters, 60 numbers and 3 files of 10 kB, one call each."""
    file = folder / "file.bin"
    file.write_bytes(os.urandom(10_000))

    def work() -> None:
        run_id = client.create_run("0").info.run_id
        for number in range(20):
            client.log_param(run_id, f"p{number}", number)
        for step in range(60):
            client.log_metric(run_id, "loss", 0.5, step=step)
        for number in range(3):
            client.log_artifact(run_id, str(file), f"part {number}")
        client.set_terminated(run_id)

    return seconds_of(work) * 1e3


def long_curve(client: MlflowClient) -> str:
    """A run with 100,000 numbers of one metric."""
    run_id = str(client.create_run("0").info.run_id)
    for start in range(0, HISTORY, 1000):
        numbers = [Metric("long", 0.5, 1_700_000_000_000 + at, at) for at in range(start, start + 1000)]
        client.log_batch(run_id, metrics=numbers)
    return run_id


def read_curve(client: MlflowClient, run_id: str) -> float:
    """Seconds to read it."""
    found: list[Metric] = []
    seconds = seconds_of(lambda: found.extend(client.get_metric_history(run_id, "long")))
    assert len(found) == HISTORY
    return seconds


def many_runs(client: MlflowClient, uri: str, count: int) -> str:
    """An experiment with many small runs: the first as the client writes it, the others as copies of what it wrote.

    Both stores are filled by their own means, because a client takes many minutes for 10,000 runs on SQLite.
    """
    experiment = str(client.create_experiment("many"))
    (fill_ledger if uri.startswith("tally:") else fill_sqlite)(uri.partition("://")[2], experiment, count)
    return experiment


def fill_ledger(folder: str, experiment: str, count: int) -> None:
    """With the events of a run that the client wrote, 1,000 runs a commit."""
    from tallystick import ledger
    from tallystick.ledger.events.types import Body, Series, TrialBegun, TrialNoted, TrialSeries

    with ledger.open(Path(folder)) as book:
        bodies: list[Body] = []
        for number in range(count):
            trial = uuid.uuid4().hex
            series = Series(key="score", steps=[0], at_ms=[1_700_000_000_000], values=[number / count])
            name = f"run {number}"
            tags = {"mlflow.runName": name}
            bodies += [
                TrialBegun(trial=trial, name=name, status="running", user="bench", experiment=experiment, tags=tags),
                TrialNoted(trial=trial, params={"depth": str(number % 10)}),
                TrialSeries(trial=trial, series=[series]),
            ]
            if len(bodies) >= 3000 or number == count - 1:
                book.append(*bodies)
                bodies = []


def fill_sqlite(file: str, experiment: str, count: int) -> None:
    """With the rows of a run that the client wrote."""
    with sqlite3.connect("/" + file.lstrip("/")) as base:
        for number in range(count):
            run_id, name = uuid.uuid4().hex, f"run {number}"
            base.execute(
                "INSERT INTO runs (run_uuid, name, user_id, status, start_time, lifecycle_stage, experiment_id, "
                "artifact_uri) VALUES (?, ?, 'bench', 'RUNNING', 1700000000000, 'active', ?, 'file:///none')",
                (run_id, name, int(experiment)),
            )
            point = (run_id, number / count)
            base.execute(
                "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) "
                "VALUES ('score', ?2, 1700000000000, ?1, 0, 0)", point)  # fmt: skip
            base.execute(
                "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) "
                "VALUES ('score', ?2, 1700000000000, 0, 0, ?1)", point)  # fmt: skip
            base.execute("INSERT INTO params (key, value, run_uuid) VALUES ('depth', ?2, ?1)", (run_id, number % 10))
            base.execute("INSERT INTO tags (key, value, run_uuid) VALUES ('mlflow.runName', ?2, ?1)", (run_id, name))


def search(client: MlflowClient, experiment: str, count: int) -> float:
    """Seconds to find the best hundredth of the runs."""
    condition = f"metrics.score >= {1 - 0.01}"
    found: list[object] = []
    order = ["metrics.score DESC"]
    seconds = seconds_of(lambda: found.extend(client.search_runs([experiment], condition, order_by=order)))
    assert len(found) == count // 100
    return seconds


def four_processes(uri: str) -> int:
    """How many of 80 runs end well on a fresh store on which four processes begin at once."""
    command = [sys.executable, "-W", "ignore", "-c", FRESH, uri]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for _ in range(4)
    ]
    return sum(process.communicate()[0].count("done") for process in processes)


def killed(uri: str, seconds: float = 1.0) -> tuple[int, int]:
    """How many numbers were acknowledged before a kill -9, and how many of them are there afterwards."""
    command = [sys.executable, "-W", "ignore", "-c", ENDLESS, uri]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    lines = process.communicate()[0].split("\n")
    acknowledged = max((int(line) + 1 for line in lines[:-1] if line.isdigit()), default=0)
    there = {metric.step for metric in MlflowClient(uri).get_metric_history(run_id, "loss")}
    return acknowledged, len(there & set(range(acknowledged)))


class Table:
    """Medians of rounds in turns."""

    def __init__(self, clients: dict[str, MlflowClient], rounds: int) -> None:
        self.clients, self.rounds = clients, rounds
        print(f"{'':42}" + "".join(f"{name:>16}" for name in clients), flush=True)

    def row(self, words: str, work: Work, form: str) -> dict[str, float]:
        """Measure and print one line."""
        found: dict[str, list[float]] = {name: [] for name in self.clients}
        for _ in range(self.rounds):
            for name, client in self.clients.items():
                found[name].append(work(client))
        medians = {name: statistics.median(values) for name, values in found.items()}
        self.line(words, [format(value, form) for value in medians.values()])
        return medians

    def line(self, words: str, cells: list[str]) -> None:
        """One line."""
        print(f"{words:42}" + "".join(f"{cell:>16}" for cell in cells), flush=True)


def main() -> int:
    """Measure, print, and say whether the aim for a long curve was met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=10_000, help="Runs to search in.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tally-mlflow-") as name:
        folder = Path(name)
        ledger = f"tally://{folder / 'ledger'}"
        sqlite = f"sqlite:///{folder / 'mlflow.db'}"
        (folder / "ledger").mkdir()
        os.chdir(folder)
        each = MlflowClient(f"{ledger}?sync=each")
        table = Table({"ledger": MlflowClient(ledger), "MLflow SQLite": MlflowClient(sqlite)}, given.rounds)
        for client in (*table.clients.values(), each):
            client.search_experiments()
        table.row("log_metric, held for 2 s at most (µs)", log_metric, ",.0f")
        durable = statistics.median(log_metric(each) for _ in range(given.rounds))
        table.line("log_metric, durable each (µs)", [f"{durable:,.0f}", "as above"])
        table.row("log_batch of 1,000 (µs a number)", log_batch, ",.1f")
        table.row("run of 20 + 60 + 3 files (ms)", lambda client: whole_run(client, folder), ",.0f")
        curves = {id(client): long_curve(client) for client in table.clients.values()}
        short = table.row("history of 100,000 numbers (s)", lambda c: read_curve(c, curves[id(c)]), ".2f")
        experiments = {
            id(client): many_runs(client, uri, given.runs)
            for client, uri in zip(table.clients.values(), (ledger, sqlite), strict=True)
        }
        long = table.row(f"the same, {given.runs:,} runs later (s)", lambda c: read_curve(c, curves[id(c)]), ".2f")
        first = [f"{search(c, experiments[id(c)], given.runs):.2f}" for c in table.clients.values()]
        table.line(f"search in {given.runs:,} runs, first (s)", first)
        table.row("search again (s)", lambda c: search(c, experiments[id(c)], given.runs), ".2f")
        places = [f"tally://{folder / 'fresh'}", f"sqlite:///{folder / 'fresh.db'}"]
        (folder / "fresh").mkdir()
        table.line("4 processes on a fresh store (of 80 runs)", [str(four_processes(place)) for place in places])
        after = [killed(f"tally://{folder / 'ledger'}?sync=each"), killed(sqlite)]
        table.line("kill -9: there, of acknowledged", [f"{there} of {said}" for said, there in after])
    slowest = max(short["ledger"], long["ledger"])
    print(f"history: {slowest:.2f} s, the aim is {HISTORY_SECONDS_AIM} s; load {os.getloadavg()[0]:.0f}")
    return 0 if slowest <= HISTORY_SECONDS_AIM and all(said == there for said, there in after) else 1


if __name__ == "__main__":
    sys.exit(main())
