"""One result wherever it is computed: in this process, in processes of this machine, on a real dask cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny import done, tiny

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events import types as say
from tallystick.pipeline.models.executor import engine

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50
    ) as made:
        yield made.scheduler_address


def test_serial_processes_and_dask_come_to_one_result(cluster: str, tmp_path: Path) -> None:
    results = {}
    with ledger.create(tmp_path) as book:
        file = tiny(tmp_path)
        for name, kind, workers in (("serial", "processes", 1), ("loky", "processes", 2), ("dask", "dask", 1)):
            with engine(kind, cluster if kind == "dask" else None, workers) as at_a_time:
                results[name] = done(book, file, at_a_time)
        started = [entry.event.body for entry in book.events() if isinstance(entry.event.body, say.RunStarted)]
    assert len({report.result_hash for report in results.values()}) == 1
    assert {report.model for report in results.values()} == {"late-arrivals-v1"}
    assert [body.workers for body in started] == [1, 2, 2]
    # Whatever computed, one process recorded.
    assert len({body.process for body in started}) == 1


def test_workers_of_several_threads_are_refused_before_anything_begins() -> None:
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50
        ) as made,
        pytest.raises(InvalidInput, match="2 threads"),
        engine("dask", made.scheduler_address, 1),
    ):
        pass


def test_workers_with_another_program_are_refused(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallystick.pipeline.models.environment.source_hash", lambda: "0" * 64)
    with pytest.raises(InvalidInput, match="tallystick's code"), engine("dask", cluster, 1):
        pass


def test_a_worker_that_does_not_see_the_slice_is_named(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its temporary folder is another machine's, as far as it knows."""
    monkeypatch.setattr("tallystick.pipeline.models.executor._is_there", lambda path: False)
    with pytest.raises(InvalidInput, match="does not see the folder"), engine("dask", cluster, 1):
        pass


@pytest.mark.parametrize(
    ("kind", "scheduler", "words"),
    [
        ("dask", None, "needs the address"),
        ("processes", "tcp://127.0.0.1:1", "belongs to --engine dask"),
        ("dask", "nonsense://x", "no dask scheduler"),
    ],
)
def test_what_does_not_fit_together_is_said(kind: str, scheduler: str | None, words: str) -> None:
    with pytest.raises(InvalidInput, match=words), engine(kind, scheduler, 1):  # type: ignore[arg-type]
        pass
