"""`tally import mlflow` beside MLflow's own reading of the same store, and both readings compared entity by entity.

    python tests/bench/import_mlflow.py --mlflow /tmp/mlf/bin/python [--runs 500] [--numbers 1000] [--folder DIR]

``--mlflow`` is the Python of an environment with MLflow 3 (`pip install mlflow`), which makes the stores, reads them,
and then reads the ledger through the ``tally:`` store. Stores that were made before are kept in ``--folder`` and used
again. Everything is one process each and one after the other; processor time is given beside the time on the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / ".src"))

from tallystick import ledger  # noqa: E402
from tallystick.ledger.exchange.from_mlflow.importer import ImportOptions, import_store  # noqa: E402

THEIRS = """
import json, os, sys, time, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[1])
from make_mlflow_stores import reading
import mlflow
from mlflow.entities import Metric
task, uri, target = sys.argv[2:5]
client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
if task == "make":
    experiment = client.create_experiment("large")
    for number in range(int(sys.argv[5])):
        run = client.create_run(experiment, run_name=f"run {number}").info.run_id
        for key in ("loss", "score"):
            steps = range(int(sys.argv[6]) // 2)
            points = [Metric(key, 1 / (step + 1 + number), 1_700_000_000_000 + step, step) for step in steps]
            for start in range(0, len(points), 1000):
                client.log_batch(run, points[start : start + 1000])
        client.set_terminated(run)
else:
    wall, processor = time.perf_counter(), time.process_time()
    found = reading(client)
    taken = time.perf_counter() - wall, time.process_time() - processor
    with open(target, "w") as file:
        json.dump(found, file)
    print(json.dumps(taken))
"""


def theirs(python: str, *arguments: str) -> str:
    """MLflow, in its own environment, with this program's stores."""
    environment = {**os.environ, "MLFLOW_ALLOW_FILE_STORE": "true", "GIT_PYTHON_REFRESH": "quiet",
                   "PYTHONPATH": str(ROOT / ".src")}  # fmt: skip
    done = subprocess.run(
        [python, "-c", THEIRS, str(ROOT / "fixtures"), *arguments],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout.strip().rpartition("\n")[2]


def differences(want: Any, got: Any, where: str = "") -> list[str]:
    """The places at which two readings differ."""
    if isinstance(want, dict) and isinstance(got, dict):
        keys = sorted({*want, *got})
        return [line for key in keys for line in differences(want.get(key), got.get(key), f"{where}/{key}")]
    return [] if want == got else [f"{where}: {str(want)[:60]} / {str(got)[:60]}"]


def measure(python: str, kind: str, uri: str, store: Path, work: Path) -> None:
    """One store: read by MLflow, imported twice, shown again through MLflow."""
    wall, processor = json.loads(theirs(python, "read", uri, str(work / "theirs.json")))
    print(f"{kind}: MLflow reads it in {wall:.2f} s ({processor:.2f} s of the processor)")
    shutil.rmtree(work / kind, ignore_errors=True)
    with ledger.create(work / kind, timezone="UTC", key_home="file") as book:
        for title in ("imported", "imported again"):
            begun, before = time.perf_counter(), time.process_time()
            done = import_store(book, store, ImportOptions("none"))
            taken, spent = time.perf_counter() - begun, time.process_time() - before
            words = f"{done.numbers:,} numbers, {done.events:,} events, {len(done.losses)} losses"
            print(f"{kind}: {title} in {taken:.2f} s ({spent:.2f} s of the processor): {words}")
    theirs(python, "read", f"tally://{work / kind}", str(work / "ours.json"))
    found = differences(json.loads((work / "theirs.json").read_text()), json.loads((work / "ours.json").read_text()))
    print(f"{kind}: {len(found)} differences between MLflow's reading of the store and of the ledger")
    for line in found[:20]:
        print(f"  {line}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mlflow", required=True, help="the Python of an environment with MLflow 3")
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--numbers", type=int, default=1_000, help="of each run")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        os.environ |= {"XDG_CONFIG_HOME": f"{temporary}/c", "XDG_STATE_HOME": f"{temporary}/s"}
        for kind, uri, store in (
            ("folder", f"file://{folder}/mlruns", folder / "mlruns"),
            ("database", f"sqlite:///{folder}/mlflow.db", folder / "mlflow.db"),
        ):
            if not store.exists():
                theirs(options.mlflow, "make", uri, "-", str(options.runs), str(options.numbers))
            measure(options.mlflow, kind, uri, store, Path(temporary))


if __name__ == "__main__":
    main()
