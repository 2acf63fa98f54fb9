"""Predictions of the sample's flights, as another system would deliver them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from tiny import table

KEY = ["time_hour", "carrier", "flight", "origin"]


def scored(since: str = "2013-08-01", flights_there: pa.Table | None = None) -> pd.DataFrame:
    """A prediction for every flight from a day on: the answer seen through noise, so that it is good."""
    flights = (table() if flights_there is None else flights_there).to_pandas()
    local = flights["time_hour"].dt.tz_convert("America/New_York")
    flights = flights[local >= since]
    late = (flights["arr_delay"] > 15).astype(float)
    noise = np.random.default_rng(7).normal(0.0, 0.1, len(flights))
    found = flights[KEY].copy()
    found["prediction"] = np.clip(0.15 + 0.4 * late + noise, 0.01, 0.99)
    found["window"] = local.dt.strftime("%Y-%m")
    found["trained_until"] = pd.to_datetime(found["window"] + "-01").dt.tz_localize("America/New_York")
    found["model"] = "PD_2013"
    return found


def deliver(folder: Path, delivered: pd.DataFrame) -> None:
    (folder / "sas").mkdir(exist_ok=True)
    half = len(delivered) // 2
    delivered[:half].to_parquet(folder / "sas" / "a.parquet", index=False)
    delivered[half:].to_parquet(folder / "sas" / "b.parquet", index=False)
