"""Where the cells of a run are computed: in processes of this machine, or by the workers of a dask cluster.

Workers get references to the slice and recipes, never frames, and know no ledger; results come back in order and are
recorded by the process that started the run. A result does not depend on the engine, so what could make it depend
is refused before anything begins: workers with several threads (limits on threads hold for a whole process),
workers with other libraries or another program, workers that cannot read the slice.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline.extra import install_line

Engine = Literal["processes", "dask"]
CONNECT_SECONDS = 10
MODEL_DISTRIBUTIONS = ("lightgbm", "xgboost", "xgboost-cpu", "catboost", "onnxruntime")
"""Libraries of models; one that a worker does not have is missed, by name, only when a candidate needs it."""


@contextmanager
def engine(kind: Engine, scheduler: str | None, workers: int) -> Iterator[int]:
    """Compute what follows there; gives the number of workers.

    Parameters
    ----------
    scheduler : str, optional
        Address of the dask scheduler, ``tcp://127.0.0.1:8786``.
    workers : int
        Processes on this machine; a cluster has as many as it has.

    Raises
    ------
    InvalidInput
        Where there is no such cluster, or its workers would compute something else.
    """
    if kind == "processes":
        if scheduler is not None:
            raise InvalidInput("--scheduler belongs to --engine dask.", "Say --engine dask, or leave it out.")
        yield workers
        return
    if scheduler is None:
        raise InvalidInput("--engine dask needs the address of a scheduler.", "Say --scheduler tcp://HOST:8786")
    client = _connected(scheduler)
    from joblib import parallel_config

    try:
        found = _checked(client, scheduler)
        with parallel_config(backend="dask", client=client):
            yield found
    finally:
        client.close()


def _connected(scheduler: str) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise InvalidInput("The package dask is not installed.", f"Type: {install_line('dask')}") from error
    try:
        return Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise InvalidInput(
            f"There is no dask scheduler at {scheduler}: {reason}.",
            "Start one with `dask scheduler`, and workers with `dask worker ADDRESS --nthreads 1`.",
        ) from error


def _checked(client: Any, scheduler: str) -> int:
    """The number of workers, all fit to compute what this process would."""
    threads = client.nthreads()
    if not threads:
        raise InvalidInput(
            f"The scheduler at {scheduler} has no workers.", f"Start some: dask worker {scheduler} --nthreads 1"
        )
    several = [worker for worker, count in threads.items() if count != 1]
    if several:
        raise InvalidInput(
            f"The worker {several[0]} has {threads[several[0]]} threads. A fit is held to one thread by a limit that "
            "is the process's, so fits beside each other in one process would not be repeatable.",
            f"Start more workers of one thread each: dask worker {scheduler} --nthreads 1",
        )
    ours = describe()
    for worker, theirs in client.run(describe).items():
        other = [
            f"{name} {theirs.get(name)} instead of {version}"
            for name, version in ours.items()
            if theirs.get(name, version if name in MODEL_DISTRIBUTIONS else None) != version
        ]
        if other:
            raise InvalidInput(
                f"The worker {worker} would compute with something else than this process: {', '.join(other[:5])}.",
                "Install the same versions there.",
            )
    # Slices are written beside this file.
    with tempfile.NamedTemporaryFile(prefix="tally-seen-") as probe:
        blind = [worker for worker, seen in client.run(_is_there, probe.name).items() if not seen]
    if blind:
        raise InvalidInput(
            f"The worker {blind[0]} does not see the folder {tempfile.gettempdir()}, where the slice is put.",
            "Set TMPDIR to a folder that all machines share.",
        )
    return len(threads)


def describe() -> dict[str, str]:
    """What decides a result in a process: interpreter, libraries, and the program's own source."""
    import sys
    from importlib import metadata

    from tallystick.pipeline.models.environment import source_hash
    from tallystick.pipeline.models.model_file import LIBRARIES, version_of

    versions = {name: metadata.version(name) for name in (*LIBRARIES, "pyarrow")}
    versions |= {name: found for name in MODEL_DISTRIBUTIONS if (found := version_of(name)) is not None}
    return {"python": sys.version.split()[0], **versions, "tallystick's code": source_hash()[:12]}


def _is_there(path: str) -> bool:
    return Path(path).is_file()
