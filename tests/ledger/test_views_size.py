"""Views never outgrow the ledger: what does not change is stored once, for every kind of entity."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parent.parent / "bench" / "views_size.py"
SPEC = importlib.util.spec_from_file_location("bench_views_size", BENCH)
assert SPEC is not None and SPEC.loader is not None
bench = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = bench
SPEC.loader.exec_module(bench)

from tallystick.ledger.views.entities import PROJECTIONS  # noqa: E402

ONCE = frozenset(
    {"reproductions", "predictions", "findings", "environments", "anchors", "histories", "corrections", "links",
     "approvals", "trial_metrics", "trial_files", "trial_params", "trial_links", "notes", "curves", "aliases", "filed",
     "tags"}
)  # fmt: skip
"""Entities whose every version comes whole from one event, or which have one version; the bench needs no row for
them, but makes many of them on the way."""


@pytest.mark.parametrize("name", bench.kinds())
def test_a_long_history_of_one_entity_makes_views_of_its_own_size(name: str, tmp_path: Path) -> None:
    assert bench.marginal(bench.kinds()[name], tmp_path / "team", 120) <= bench.MOST_BYTES


def test_every_kind_of_entity_is_measured() -> None:
    measured = {name.partition(",")[0] for name in bench.kinds()}
    assert measured | ONCE == {projection.name for projection in PROJECTIONS}
    assert not measured & ONCE
    assert not [projection.name for projection in PROJECTIONS if projection.name in ONCE and projection.steady[1:]]


def test_a_copy_of_the_large_part_would_be_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the tests above can fail: without what is stored once, the parameters of a trial are in every version."""
    from tallystick.ledger.views import cache_file, fold, rows, tables

    whole = tuple(projection._replace(steady=()) for projection in PROJECTIONS)
    for module in (cache_file, fold, rows, tables):
        monkeypatch.setattr(module, "PROJECTIONS", whole)
    assert bench.marginal(bench.kinds()["trials, by metrics"], tmp_path / "team", 60) > 10 * bench.MOST_BYTES
