"""A model file loaded and asked in a process of its own, before this one loads it.

Libraries of models follow what is in a file with compiled code. The checks beside this file refuse what is known to be
unsound; what they miss ends a process that holds nothing, within limits of memory and time.

    python -P -m tallystick.pipeline.models.separate_process FOLDER
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from blake3 import blake3

from tallystick.ledger.errors import Damaged, InvalidInput, MissingExtra, Refused, TallyError
from tallystick.ledger.system.processes import end_with_parent
from tallystick.pipeline.models.allowed_types import needs_a_process
from tallystick.pipeline.models.model_file import load, predict, probe_frame, types_in
from tallystick.pipeline.own_code import OwnCode, activate, active
from tallystick.pipeline.recipes import Columns

SECONDS = 30
"""Of processor time for every model, and one more for every MiB; loading the libraries takes some of them."""
MOST_BYTES = 8 << 30
BYTES_FOR_ONE = 40
"""Memory for each byte of the model file, beyond what the libraries take."""
MOST_FILES = 512
ERRORS: dict[str, type[TallyError]] = {kind.__name__: kind for kind in (Damaged, InvalidInput, MissingExtra, Refused)}

Floats = npt.NDArray[np.float64]


class EndedProcess(Refused):
    """A model file that ended the process in which it was tried, or took more than its share."""


class TrialOfModel(NamedTuple):
    """A model file and the rows that it is asked about."""

    data: bytes
    frame: pd.DataFrame
    columns: Columns
    packages: frozenset[str] = frozenset()
    code: OwnCode | None = None
    """The modules of the pipeline's own that it is made of; those that are active here where it is None."""


def load_after_trial(trial: TrialOfModel, expected_hash: str) -> Any:
    """The estimator in a file, which was first asked in a process of its own if compiled code follows its content.

    Raises
    ------
    EndedProcess
        When that process did not survive.
    TallyError
        As :func:`tallystick.pipeline.models.model_file.load`.
    """
    if blake3(trial.data).hexdigest() == expected_hash and needs_a_process(types_in(trial.data)):
        (found,) = ask_elsewhere([trial])
        if isinstance(found, TallyError):
            raise found
    return load(trial.data, expected_hash, trial.packages)


def ask_elsewhere(trials: Sequence[TrialOfModel]) -> list[Floats | TallyError | str]:
    """The predictions of every model, made in a new process.

    Returns
    -------
    list of array, TallyError or str
        For each trial the predictions, the reason why there are none, or the error of a library that could not
        predict.
    """
    with tempfile.TemporaryDirectory(prefix="tally-model-") as name:
        folder = Path(name)
        for number, trial in enumerate(trials):
            _write(folder / str(number), trial)
        found: list[Floats | TallyError | str] = []
        while len(found) < len(trials):
            ended = _run(folder, len(found), 2 * sum(SECONDS + (len(one.data) >> 20) for one in trials))
            for number in range(len(found), len(trials)):
                answer = _answer(folder / str(number))
                if answer is None:
                    break
                found.append(answer)
            if len(found) < len(trials):
                # The one that was being tried; those after it get a process of their own.
                found.append(EndedProcess(f"The model file {ended}; it was not used."))
        return found


def _write(folder: Path, trial: TrialOfModel) -> None:
    folder.mkdir()
    (folder / "model").write_bytes(trial.data)
    columns = [*trial.columns.numeric, *trial.columns.categorical]
    trial.frame[columns].to_parquet(folder / "rows.parquet", index=False)
    about: dict[str, Any] = {"columns": [list(part) for part in trial.columns], "packages": sorted(trial.packages)}
    if (code := trial.code or active()) is not None:
        about["code"] = {"main": code.main, "sources": code.sources, "packages": code.packages}
    (folder / "about.json").write_text(json.dumps(about))


def _run(folder: Path, first: int, seconds: int) -> str:
    """How the process ended, in words that follow "The model file"."""
    command = [sys.executable, "-P", "-m", __name__, str(folder), str(first), str(os.getpid())]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, check=False, env=environment, timeout=seconds, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"was not loaded and asked within {seconds} seconds"
    if done.returncode == -signal.SIGXCPU:
        return "took more than its share of the processor before it had answered"
    if done.returncode < 0:
        return f"ended the process that tried it ({signal.Signals(-done.returncode).name})"
    return f"ended the process that tried it (exit code {done.returncode})"


def _answer(folder: Path) -> Floats | TallyError | str | None:
    """What the process wrote about one model; None where it did not come to that."""
    with suppress(FileNotFoundError):
        return np.frombuffer((folder / "predictions").read_bytes(), dtype="<f8").astype(np.float64)
    with suppress(FileNotFoundError, ValueError):
        kind, message, hint = json.loads((folder / "error.json").read_text())
        return ERRORS[kind](message, hint) if kind in ERRORS else str(message)
    return None


# In that process --------------------------------------------------------------------------------------------


def main(folder: Path, first: int) -> None:
    """Try the models of a folder from a number on, and write what each came to."""
    number = first
    while (folder / str(number)).is_dir():
        _limit((folder / str(number) / "model").stat().st_size)
        _try(folder / str(number))
        number += 1


def _limit(size_bytes: int) -> None:
    """Limits for the next model; what the process has used until now does not count."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + SECONDS + (size_bytes >> 20)
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_NOFILE: MOST_FILES,
        resource.RLIMIT_AS: MOST_BYTES + BYTES_FOR_ONE * size_bytes,
    }
    for which, most in limits.items():
        with suppress(ValueError, OSError):  # a system without this limit, or with a lower one
            resource.setrlimit(which, (most, resource.getrlimit(which)[1]))


def _try(folder: Path) -> None:
    about = json.loads((folder / "about.json").read_text())
    columns = Columns(*(tuple(part) for part in about["columns"]))
    data = (folder / "model").read_bytes()
    activate(OwnCode(**about["code"]) if "code" in about else None)
    try:
        estimator = load(data, blake3(data).hexdigest(), frozenset(about["packages"]))
        found = predict(estimator, probe_frame((folder / "rows.parquet").read_bytes(), columns))
    except TallyError as error:
        (folder / "error.json").write_text(json.dumps([type(error).__name__, error.message, error.hint]))
    except Exception as error:  # noqa: BLE001 - a file from elsewhere makes libraries fail in any way there is
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        (folder / "error.json").write_text(json.dumps(["", text, ""]))
    else:
        written = folder / "writing"
        written.write_bytes(np.ascontiguousarray(found, dtype="<f8").tobytes())
        written.rename(folder / "predictions")


if __name__ == "__main__":
    end_with_parent(int(sys.argv[3]))
    main(Path(sys.argv[1]), int(sys.argv[2]))
