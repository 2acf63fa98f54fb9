"""MLflow's own clients, server and pages over a ledger, beside the same session on MLflow's own database.

MLflow comes into an environment of its own, made once and kept in the user's cache; where that cannot be made, these
tests are skipped and say why.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mlflow_place import OLDER, SESSION, Said, Server, cached, ended, environment, run, script, served, started
from shell import tally

from tallystick import ledger
from tallystick.ledger.amend.redaction import redact


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with MLflow and this checkout."""
    return environment(tmp_path_factory.mktemp("mlflow") / "venv")


class Lived(NamedTuple):
    """The same session on two stores, and what a client reads of each afterwards."""

    folder: Path
    """Of the ledger."""
    served_folder: Path
    server: Server
    theirs: dict[str, Any]
    ours: dict[str, Any]
    through_server: dict[str, Any]
    said: dict[str, list[str]]


def told(said: Said) -> Any:
    """The JSON that a process printed, which must have ended well."""
    assert said.code == 0, said.err[-4000:]
    return json.loads(said.out)


@pytest.fixture(scope="module")
def lived(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    """Natively on MLflow's SQLite and on a ledger, and through a server on a second ledger."""
    places = {name: tmp_path_factory.mktemp(name) for name in ("sqlite", "ledger", "server")}
    files = f"tally-files://{places['server']}/.tally/-"
    stores = {"sqlite": f"sqlite:///{places['sqlite']}/mlflow.db", "ledger": f"tally://{places['ledger']}"}
    # Keys and marks of this module are kept apart, as those of each test are.
    own = tmp_path_factory.mktemp("home")
    home = {"XDG_CONFIG_HOME": str(own / "config"), "XDG_STATE_HOME": str(own / "state")}
    acting = {name: started(python, SESSION, "act", uri, cwd=places[name], **home) for name, uri in stores.items()}
    with served(python, f"tally://{places['server']}", files, places["server"], **home) as server:
        said = {name: told(ended(process)) for name, process in acting.items()}
        stores["server"] = server.url
        said["server"] = told(run(python, SESSION, "act", server.url, cwd=places["server"], **home))
        showing = {
            name: started(python, SESSION, "show", uri, cwd=places[name], **home) for name, uri in stores.items()
        }
        shown = {name: told(ended(process)) for name, process in showing.items()}
        yield Lived(places["ledger"], places["server"], server, shown["sqlite"], shown["ledger"], shown["server"], said)


def without_documented(shown: dict[str, Any]) -> dict[str, Any]:
    """Without the two differences that ledger/docs/MLFLOW.md names.

    A number of a curve names the kept model that it was measured of, and a kept model lists the newest number of each
    metric, as MLflow's store in files does; MLflow's database names none, and lists all numbers.
    """
    newest: list[dict[str, Any]] = []
    for model in shown["logged"]:
        numbers = {(key, table): [key, step, value, table] for key, step, value, table in sorted(model["metrics"])}
        newest.append({**model, "metrics": sorted(numbers.values())})
    curves = ("curves",)
    runs = [
        {
            **{field: value for field, value in one.items() if field not in curves},
            "curves": {name: sorted(point[:2] for point in points) for name, points in one["curves"].items()},
        }
        for one in shown["runs"]
    ]
    return {**shown, "logged": newest, "runs": runs}


@pytest.mark.parametrize("kind", ["experiments", "runs", "logged", "registered", "versions"])
@pytest.mark.parametrize("way", ["ours", "through_server"])
def test_a_session_leaves_the_same_behind_as_on_mlflows_database(lived: Lived, way: str, kind: str) -> None:
    theirs, ours = without_documented(lived.theirs)[kind], without_documented(getattr(lived, way))[kind]
    assert len(theirs) > 1
    assert ours == theirs


def test_the_documented_differences_are_there(lived: Lived) -> None:
    """Else the page would describe what is not so, and the comparison would leave out what it need not."""
    assert lived.theirs != lived.ours
    models = {model["run"]: model for model in lived.ours["logged"]}
    theirs = {model["run"]: model for model in lived.theirs["logged"]}
    assert len(models["<run lightgbm>"]["metrics"]) == 1
    assert len(theirs["<run lightgbm>"]["metrics"]) == 5


@pytest.mark.parametrize("way", ["ledger", "server"])
def test_a_session_is_answered_as_by_mlflows_database(lived: Lived, way: str) -> None:
    assert len([line for line in lived.said["sqlite"] if line.startswith("refused")]) > 10
    # Over the wire the number of a version is a text.
    answers = [line.replace("['1', '3']", "[1, 3]") for line in lived.said[way]]
    assert answers == lived.said["sqlite"]


def test_a_client_of_mlflow_2_works_through_the_server(lived: Lived, tmp_path: Path) -> None:
    older = cached("mlflow-2", OLDER)
    said = told(run(older, SESSION, "small", lived.server.url, cwd=tmp_path))
    assert said == [
        "downloaded",
        "in production: ['1']",
        "champion: 1",
        "refused with RESOURCE_DOES_NOT_EXIST",
        "refused with RESOURCE_DOES_NOT_EXIST",
    ]


def test_everything_follows_from_the_ledger_and_its_objects(lived: Lived, python: Path, tmp_path: Path) -> None:
    kept = lived.folder / ".tally"
    for name in ("ledger.db", "objects"):
        source = kept / name
        target = tmp_path / ".tally" / name
        target.parent.mkdir(exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    assert any(path.name not in ("ledger.db", "objects") for path in kept.iterdir())
    # Addresses of files hold the folder of the ledger: it takes the place of the first one.
    moved = lived.folder / "moved"
    kept.rename(moved)
    try:
        shutil.copytree(tmp_path / ".tally", kept)
        assert told(run(python, SESSION, "show", f"tally://{lived.folder}", cwd=tmp_path)) == lived.ours
    finally:
        shutil.rmtree(kept)
        moved.rename(kept)


def test_verify_hashes_every_file_of_a_run_and_a_model(lived: Lived, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(lived.folder, folder)
    with ledger.open(folder) as book:
        now = book.now()
        owners = [f"trial:{trial.trial}" for trial in now.trials()]
        owners += [f"logged:{model.logged}" for model in now.logged_models()]
        files = {file.artifact for owner in owners for file in now.filed(owner)}
        assert len(files) > 15
    objects = [path for path in (folder / ".tally" / "objects").rglob("*") if path.is_file()]
    assert len(objects) >= len(files)
    answer = tally(folder, "verify", "--read-data")
    assert answer.code == 0
    assert f"{len(files)} of {len(files)} artifacts" in answer.out
    path = max(objects, key=lambda one: one.stat().st_size)
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert tally(folder, "verify", "--read-data").code == 1


def test_an_alias_is_a_champion_with_who_when_why_and_before(lived: Lived) -> None:
    answer = tally(lived.folder, "champion", "fraud-model", "--alias", "champion")
    assert answer.code == 0
    for words in ("fraud-model version 3", "a still better score", "before: fraud-model/2", "No gates apply"):
        assert words in answer.out
    with ledger.open(lived.folder) as book:
        moves = book.now().alias_moves("fraud-model/champion")
    before = tally(lived.folder, "champion", "fraud-model", "--alias", "champion", "--as-of", f"#{moves[1].seq}")
    assert "fraud-model version 2" in before.out
    assert "a better score" in before.out
    why = tally(lived.folder, "why", "alias:fraud-model/champion")
    assert f"#{moves[2].seq}" in why.out
    assert "from fraud-model/2 to fraud-model/3" in why.out


# A past date ---------------------------------------------------------------------------------------------------

PAST = """
import json, sys
import mlflow
from mlflow.exceptions import MlflowException
mlflow.set_tracking_uri(sys.argv[1])
client = mlflow.MlflowClient()
version = client.get_model_version_by_alias("fraud-model", "champion")
refused = []
for call in (
    lambda: client.set_registered_model_alias("fraud-model", "champion", "1"),
    lambda: client.create_experiment("of the past"),
    lambda: client.create_run(version and "0"),
    lambda: client.log_metric(version.run_id, "late", 1.0),
    lambda: client.delete_run(version.run_id),
):
    try:
        call()
    except MlflowException as error:
        refused.append(error.error_code)
loaded = mlflow.pyfunc.load_model("models:/fraud-model@champion")
print(json.dumps([int(version.version), refused, type(loaded).__name__]))
"""


@pytest.fixture(scope="module")
def past(lived: Lived) -> str:
    """The address of the ledger as it was after the second move of the alias."""
    with ledger.open(lived.folder) as book:
        moves = book.now().alias_moves("fraud-model/champion")
    return f"tally://{lived.folder}?as-of=%23{moves[1].seq}"


def test_a_client_sees_the_registry_as_it_was_and_changes_nothing(
    lived: Lived, python: Path, past: str, tmp_path: Path
) -> None:
    before = (lived.folder / ".tally" / "ledger.db").read_bytes()
    version, refused, model = json.loads(script(python, PAST, past, cwd=tmp_path).splitlines()[-1])
    assert version == 2
    assert refused == ["PERMISSION_DENIED"] * 5
    assert model == "PyFuncModel"
    assert (lived.folder / ".tally" / "ledger.db").read_bytes() == before


def test_the_server_shows_the_past(lived: Lived, python: Path, past: str, tmp_path: Path) -> None:
    files = f"tally-files://{lived.folder}/.tally/-"
    with served(python, past, files, tmp_path) as server:
        status, found = server.ask("GET", "registered-models/alias?name=fraud-model&alias=champion")
        assert (status, found["model_version"]["version"]) == (200, "2")
        status, found = server.ask("GET", "model-versions/get?name=fraud-model&version=2")
        assert (status, found["model_version"]["aliases"]) == (200, ["champion"])
        status, found = server.ask("POST", "experiments/create", {"name": "of the past"})
        assert (status, found["error_code"]) == (403, "PERMISSION_DENIED")
        assert "nothing can be written into the past" in found["message"]
        status, found = server.ask("POST", "experiments/search", {"max_results": 10})
        assert "churn" in {one["name"] for one in found["experiments"]}
        assert "tuning" not in {one["name"] for one in found["experiments"]}  # it came later


# Bad input -----------------------------------------------------------------------------------------------------


def test_what_is_not_recorded_is_refused_and_listed_as_empty(python: Path, tmp_path: Path) -> None:
    code = textwrap.dedent("""
        import sys
        import mlflow
        client = mlflow.MlflowClient(sys.argv[1])
        try:
            client.create_dataset("answers")
        except mlflow.exceptions.MlflowException as error:
            print(error.error_code)
        print(list(client.search_traces(["0"])), list(client.list_webhooks()))
    """)
    assert script(python, code, f"tally://{tmp_path}", cwd=tmp_path).splitlines()[-2:] == ["NOT_IMPLEMENTED", "[] []"]


def test_files_that_a_server_took_are_at_hand_without_it(lived: Lived, python: Path, tmp_path: Path) -> None:
    code = textwrap.dedent("""
        import sys
        import mlflow
        client = mlflow.MlflowClient(sys.argv[1])
        (run,) = client.search_runs([client.get_experiment_by_name("churn").experiment_id], "run_name = 'by hand'")
        assert run.info.artifact_uri.startswith("tally-files:"), run.info.artifact_uri
        print(open(client.download_artifacts(run.info.run_id, "notes/hello.txt")).read())
    """)
    said = script(
        python,
        code,
        f"tally://{lived.served_folder}",
        cwd=tmp_path,
        MLFLOW_TRACKING_URI=f"tally://{lived.served_folder}",
    )
    assert said.splitlines()[-1] == "hello"


def bad_requests(run_id: str, experiment: str) -> list[tuple[str, str, Any]]:
    """Requests that no client of good will sends."""
    metric = {"run_id": run_id, "key": "m", "value": 1, "timestamp": 1, "step": 1}
    late = 10**17
    return [
        ("POST", "runs/create", {"experiment_id": "nowhere"}),
        ("POST", "runs/create", {"experiment_id": experiment, "start_time": late}),
        ("POST", "runs/create", {"experiment_id": experiment, "start_time": -late}),
        ("POST", "runs/create", {"experiment_id": experiment, "run_name": "\x00\x1f" * 200}),
        ("POST", "runs/create", {"experiment_id": experiment, "tags": [{"key": "mlflow.parentRunId", "value": "x"}]}),
        ("POST", "runs/update", {"run_id": run_id, "end_time": late}),
        ("POST", "runs/update", {"run_id": run_id, "status": "NO SUCH STATUS"}),
        ("POST", "runs/update", {"run_id": "x/../y", "status": "FINISHED"}),
        ("POST", "runs/delete", {"run_id": "x"}),
        ("POST", "runs/restore", {"run_id": "x"}),
        ("GET", "runs/get?run_id=%00", None),
        ("POST", "runs/log-metric", {**metric, "timestamp": late}),
        ("POST", "runs/log-metric", {**metric, "timestamp": -1}),
        ("POST", "runs/log-metric", {**metric, "step": -(2**62)}),
        ("POST", "runs/log-metric", {**metric, "key": "m\x1fn"}),
        ("POST", "runs/log-metric", {**metric, "key": "../m"}),
        ("POST", "runs/log-metric", {**metric, "value": "a text"}),
        ("POST", "runs/log-batch", {"run_id": run_id, "metrics": [metric] * 1001}),
        ("POST", "runs/log-batch", {"run_id": run_id, "params": [{"key": "p", "value": "x" * 10**6}]}),
        ("POST", "runs/log-batch", {"run_id": run_id, "params": [{"key": "a\x1fb", "value": "x"}]}),
        ("POST", "runs/set-tag", {"run_id": run_id, "key": "t", "value": "x" * 10**6}),
        ("POST", "runs/set-tag", {"run_id": run_id, "key": "\ud800", "value": "lone half of a pair"}),
        ("POST", "runs/set-tag", {"run_id": run_id, "key": "half", "value": "\udfff"}),
        ("POST", "runs/delete-tag", {"run_id": run_id, "key": "no such tag"}),
        ("POST", "runs/log-inputs", {"run_id": run_id, "datasets": [{"dataset": {"name": "n"}}]}),
        ("POST", "runs/log-inputs", {"run_id": "x", "models": [{"model_id": "y"}]}),
        ("POST", "runs/outputs", {"run_id": run_id, "models": [{"model_id": "no such", "step": -1}]}),
        ("POST", "runs/search", {"experiment_ids": [experiment], "filter": "metrics."}),
        ("POST", "runs/search", {"experiment_ids": [experiment], "order_by": ["nonsense up"]}),
        ("POST", "runs/search", {"experiment_ids": [experiment], "max_results": 10**6}),
        ("POST", "runs/search", {"experiment_ids": [experiment], "page_token": "no token"}),
        ("GET", f"metrics/get-history?run_id={run_id}&metric_key=none", None),
        ("GET", "metrics/get-history?run_id=x&metric_key=m", None),
        ("GET", f"metrics/get-history?run_id={run_id}&metric_key=m&max_results=-4", None),
        ("POST", "experiments/create", {"name": ""}),
        ("POST", "experiments/create", {"name": "x" * 600}),
        ("POST", "experiments/update", {"experiment_id": "x", "new_name": "y"}),
        ("POST", "experiments/search", {"max_results": 0}),
        ("POST", "experiments/search", {"max_results": 10, "filter": "nonsense"}),
        ("POST", "registered-models/create", {"name": "a/b:c"}),
        ("POST", "registered-models/create", {"name": "x" * 300}),
        ("POST", "model-versions/create", {"name": "no such model", "source": "s3://x"}),
        ("GET", "model-versions/get?name=fraud-model&version=none", None),
        ("POST", "registered-models/alias", {"name": "none", "alias": "v1", "version": "1"}),
        ("POST", "registered-models/alias", {"name": "none", "alias": "a/b", "version": "1"}),
        ("GET", "registered-models/search?max_results=10000000", None),
        ("POST", "logged-models", {"experiment_id": "none", "name": "x"}),
        ("GET", "logged-models/none", None),
        ("PATCH", "logged-models/none", {"status": "LOGGED_MODEL_READY"}),
        ("POST", "logged-models/search", {"experiment_ids": [experiment], "filter": "nonsense ="}),
    ]


def test_bad_input_is_answered_with_a_code_and_never_as_an_error_of_the_server(lived: Lived) -> None:
    status, made = lived.server.ask("POST", "experiments/create", {"name": f"bad input {time.time()}"})
    experiment = made["experiment_id"]
    status, made = lived.server.ask("POST", "runs/create", {"experiment_id": experiment})
    run_id = made["run"]["info"]["run_id"]
    wrong: list[Any] = []
    for method, path, body in bad_requests(run_id, experiment):
        status, answer = lived.server.ask(method, path, body)
        if status >= 500 or (status >= 400 and not answer.get("error_code")):
            wrong.append((status, method, path, str(body)[:100], answer))
        status, answer = lived.server.ask("GET", f"runs/get?run_id={run_id}")
        assert status == 200, (path, body, answer)
        status, answer = lived.server.ask("POST", "runs/search", {"experiment_ids": [experiment]})
        assert status == 200, (path, body, answer)
    assert wrong == []


def test_garbage_is_not_collected(lived: Lived, python: Path, tmp_path: Path) -> None:
    uri = f"tally://{lived.folder}"
    said = run(python, "-m", "mlflow", "gc", "--backend-store-uri", uri, cwd=tmp_path, MLFLOW_TRACKING_URI=uri)
    assert said.code != 0
    assert "tally redact" in said.err + said.out


# Processes and threads -----------------------------------------------------------------------------------------

KILLED = """
import sys, time
import mlflow
mlflow.set_tracking_uri(sys.argv[1])
client = mlflow.MlflowClient()
run = client.create_run("0")
print(run.info.run_id, flush=True)
for step in range(100_000):
    client.log_metric(run.info.run_id, "loss", 1.0, step=step)
    print(step, flush=True)
"""


@pytest.mark.parametrize("seconds", [0.3, 1.1])
def test_what_was_acknowledged_as_durable_survives_a_kill(python: Path, tmp_path: Path, seconds: float) -> None:
    process = started(python, "-c", KILLED, f"tally://{tmp_path}?sync=each", cwd=tmp_path)
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGKILL)
    acknowledged = int(process.communicate()[0].split("\n")[-2])
    with ledger.open(tmp_path) as book:
        steps = [point.step for point in book.now().curve(run_id, "loss")]
    assert steps[: acknowledged + 1] == list(range(acknowledged + 1))
    assert len(steps) <= acknowledged + 2
    assert tally(tmp_path, "verify").code == 0


BUFFERED = """
import sys, time
import mlflow
mlflow.set_tracking_uri(sys.argv[1])
client = mlflow.MlflowClient()
run = client.create_run("0")
for step in range(100):
    client.log_metric(run.info.run_id, "loss", 1.0, step=step)
print(run.info.run_id, flush=True)
time.sleep(60)
"""


def test_gathered_numbers_are_on_disk_after_two_seconds(python: Path, tmp_path: Path) -> None:
    process = started(python, "-c", BUFFERED, f"tally://{tmp_path}", cwd=tmp_path)
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    end = time.monotonic() + 20
    found = 0
    while not found and time.monotonic() < end:
        time.sleep(0.5)
        with ledger.open(tmp_path) as book:
            found = book.now().curve_names(run_id).get("loss", 0)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert found == 100


FORKED = """
import os, sys, threading
import mlflow
mlflow.set_tracking_uri(sys.argv[1])
client = mlflow.MlflowClient()
run_id = client.create_run("0").info.run_id
client.log_metric(run_id, "parent", 0.0, step=0)
children = []
for child in range(3):
    pid = os.fork()
    if not pid:
        def log(name):
            for step in range(50):
                client.log_metric(run_id, name, 1.0, step=step)
        threads = [threading.Thread(target=log, args=(f"child {child} thread {number}",)) for number in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        client.get_run(run_id)
        os._exit(0)
    children.append(pid)
for step in range(1, 50):
    client.log_metric(run_id, "parent", 0.0, step=step)
print([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children])
print(run_id)
"""


def test_forks_and_threads_record_each_number_once(python: Path, tmp_path: Path) -> None:
    codes, run_id = script(python, FORKED, f"tally://{tmp_path}", cwd=tmp_path).splitlines()[-2:]
    assert codes == "[0, 0, 0]"
    with ledger.open(tmp_path) as book:
        now = book.now()
        names = now.curve_names(run_id)
        assert names == {"parent": 50} | {f"child {c} thread {t}": 50 for c in range(3) for t in range(4)}
        assert all({point.step for point in now.curve(run_id, name)} == set(range(50)) for name in names)


FRESH = """
import sys
import mlflow
mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("shared")
for number in range(5):
    with mlflow.start_run(run_name=f"{sys.argv[2]} {number}"):
        mlflow.log_metric("loss", number)
client = mlflow.MlflowClient()
try:
    client.create_registered_model("shared")
except mlflow.exceptions.MlflowException as error:
    assert error.error_code == "RESOURCE_ALREADY_EXISTS", error
for _ in range(3):
    print(client.create_model_version("shared", "s3://bucket/model").version)
"""


def test_four_processes_begin_a_fresh_ledger_together(python: Path, tmp_path: Path) -> None:
    uri = f"tally://{tmp_path}"
    processes = [started(python, "-c", FRESH, uri, str(number), cwd=tmp_path) for number in range(4)]
    said = [ended(process) for process in processes]
    assert [one.code for one in said] == [0] * 4, "\n".join(one.err[-1500:] for one in said)
    versions = sorted(int(line) for one in said for line in one.out.split())
    assert versions == list(range(1, 13))
    with ledger.open(tmp_path) as book:
        now = book.now()
        assert sorted(trial.name for trial in now.trials()) == sorted(f"{p} {n}" for p in range(4) for n in range(5))
        assert [one.name for one in now.experiments() if one.name == "shared"] == ["shared"]


def test_threads_of_the_server_record_each_number_once(lived: Lived, python: Path, tmp_path: Path) -> None:
    code = textwrap.dedent("""
        import sys, threading
        import mlflow
        client = mlflow.MlflowClient(sys.argv[1])
        run_id = client.create_run("0").info.run_id
        failed = []
        def log(name):
            try:
                for step in range(20):
                    client.log_metric(run_id, name, 1.0, step=step)
                    client.set_tag(run_id, f"{name} {step}", "x")
                    client.get_run(run_id)
            except Exception as error:
                failed.append(error)
        threads = [threading.Thread(target=log, args=(f"m{number}",)) for number in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert not failed, failed
        run = client.get_run(run_id)
        assert len([tag for tag in run.data.tags if tag.startswith("m") and " " in tag]) == 160
        print(sorted(len(client.get_metric_history(run_id, f"m{number}")) for number in range(8)))
    """)
    assert script(python, code, lived.server.url, cwd=tmp_path).splitlines()[-1] == str([20] * 8)


def test_erased_content_is_shown_as_unknown_and_the_rest_as_before(lived: Lived, python: Path, tmp_path: Path) -> None:
    """It comes last: this account takes the copy for the newer history of the ledger from then on."""
    folder = tmp_path / "copy"
    shutil.copytree(lived.folder, folder)
    kinds = ("experiment.", "trial.", "logged.", "registered.", "version.", "alias.", "file.")
    with ledger.open(folder) as book:
        found: dict[str, list[int]] = {}
        for event in book.now().events():
            if event.type.startswith(kinds):
                found.setdefault(event.type, []).append(event.seq)
        assert len(found) == 15
        for places in found.values():
            redact(book, places[len(places) // 2], "a person asked", "the law")
    shown = told(run(python, SESSION, "show", f"tally://{folder}", cwd=tmp_path))
    erased = [text for text in json.dumps(shown).split('"') if text.startswith("unknown: the content of #")]
    assert len(set(erased)) > 5
    assert {kind: len(listed) for kind, listed in shown.items()} == {
        kind: len(listed) for kind, listed in lived.ours.items()
    }
    champion = tally(folder, "champion", "fraud-model", "--alias", "champion")
    assert (champion.code, "version 3" in champion.out) == (0, True)
