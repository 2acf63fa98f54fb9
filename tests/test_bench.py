"""That the comparison with other programs still runs; none of them is needed for that, and no number counts."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parent / "bench" / "peers.py"


def test_the_comparison_with_peers_measures_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path[:1], str(BENCH.parent), *sys.path[1:]])
    spec = importlib.util.spec_from_file_location("bench_peers", BENCH)
    assert spec is not None and spec.loader is not None
    peers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(peers)
    wanted = [peer for peer in peers.PEERS if peer.key in ("tallystick", "mlflow")]
    there, absent = peers.present(wanted, tmp_path, installs=False)
    bench = peers.Bench(there, tmp_path, tmp_path, peers.QUICK._replace(listed=5, starts=1))
    for step in (bench.who, bench.past, bench.list_and_verify):
        step()
    lines = list(peers.table(bench, absent))
    assert "  mlflow: it is not installed in the cache (--install does it)" in lines
    assert not [line for line in lines if "FAILED" in line]
    assert set(bench.found) == {"past", "best, first time", "best", "verify"}
