"""The tables that go with judged windows, as files: predictions row by row, losses by unit and segment."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pandas as pd

from tallystick.pipeline.evaluate.backtest import Described, Judged

PARQUET = "application/vnd.apache.parquet"


def predictions_table(described: Described, judged: Sequence[Judged]) -> pd.DataFrame:
    """Key, target and one column of predictions a candidate."""
    return described.keys.assign(**{f"p_{item.candidate}": item.predictions for item in judged})


def losses_table(judged: Sequence[Judged]) -> pd.DataFrame:
    """Sums by segment, level and unit, with one pair of columns a candidate."""
    table = judged[0].losses[["segment", "level", "unit", "rows", "sum_y"]].copy()
    for item in judged:
        table[f"sum_p_{item.candidate}"] = item.losses["sum_p"].to_numpy()
        table[f"sum_loss_{item.candidate}"] = item.losses["sum_loss"].to_numpy()
        if "sum_ranking" in item.losses:
            table[f"sum_ranking_{item.candidate}"] = item.losses["sum_ranking"].to_numpy()
    return table


def parquet(table: pd.DataFrame) -> bytes:
    """The bytes of a table's file."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, engine="pyarrow", compression="zstd", index=False)
    return buffer.getvalue()
