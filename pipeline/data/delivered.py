"""Predictions that were computed elsewhere and delivered as a table: read, checked, and kept beside the slice.

A table of predictions has the key of the pipeline's own table, ``prediction``, and at least one of ``window`` (the
window that a row was predicted for) and ``trained_until`` (the newest moment of which the model behind it knew
anything). ``model`` and ``artifact`` may name the model. Nothing here can prove how a number was computed: with
``trained_until`` it is compared with the cut-off of the window, else the delivery declares it by naming the window.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from blake3 import blake3

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.commit import from_micros
from tallystick.ledger.events.sentences import count
from tallystick.pipeline.config.settings import Pipeline
from tallystick.pipeline.config.windows import Window
from tallystick.pipeline.data.slice import Slice, keyed_rows, numbers, open_table, text_series
from tallystick.pipeline.data.sources import column_names
from tallystick.pipeline.data.timestamps import moments

PREDICTION, WINDOW, UNTIL = "prediction", "window", "trained_until"
INSIDE = "__window"
"""The window that a row's own time lies in."""
OPTIONAL = ("model", "artifact")
Floats = npt.NDArray[np.float64]


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """Predictions as they were delivered, in canonical form."""

    source: str
    declared_by: str
    path: str
    """A Parquet file: the key, ``prediction``, ``window`` and ``trained_until`` (microseconds UTC) where delivered."""
    digests: dict[str, str]
    """Label of a window -> BLAKE3 of its predictions and times of training, in the order of the rows."""
    key: tuple[str, ...]
    judged: tuple[str, ...]
    """Labels of the windows that the run judges; predictions for sealed windows may be there, too."""
    models: tuple[str, ...] = ()
    """Names of models and hashes of their files, as declared."""

    def of_window(self, candidate: str, window: Window, table: pa.Table) -> Floats:
        """The predictions of a window's rows, in their order.

        Raises
        ------
        InvalidInput
            Where some row has none, or one by a model that knew the window.
        """
        found = self._matched(table)
        named = found[WINDOW] == window.label if WINDOW in found else True
        there = (found[PREDICTION].notna() & named).to_numpy()
        if not there.all():
            first = found.loc[~there, list(self.key)].iloc[0]
            raise InvalidInput(
                f"{candidate}: {count(int((~there).sum()), 'row')} of the {len(there):,} in {window.label} have no "
                f"prediction for that window in {self.source}, for example {_shown(first)}.",
                "Deliver one prediction for each row of each window, or end last_test earlier.",
            )
        self._refuse_hindsight(candidate, window, found)
        return found[PREDICTION].to_numpy(dtype=np.float64)

    def of_period(self, table: pa.Table) -> Floats:
        """The predictions of some rows, whatever window they were delivered for; NaN where there is none."""
        return self._matched(table)[PREDICTION].to_numpy(dtype=np.float64)

    @property
    def table(self) -> pd.DataFrame:
        """What was delivered for the windows that the run judges."""
        whole = pd.read_parquet(self.path)
        return whole[whole[INSIDE].isin(self.judged)].reset_index(drop=True)

    def _matched(self, table: pa.Table) -> pd.DataFrame:
        rows = _keys(table, self.key)
        delivered = pd.read_parquet(self.path).drop(columns=INSIDE)
        return rows.merge(delivered, how="left", on=list(self.key), validate="one_to_one")

    def _refuse_hindsight(self, candidate: str, window: Window, found: pd.DataFrame) -> None:
        if UNTIL not in found:
            return
        late = (found[UNTIL] > window.cutoff).to_numpy()
        if late.any():
            until = from_micros(int(found.loc[late, UNTIL].max()))
            raise InvalidInput(
                f"{candidate}: {count(int(late.sum()), 'prediction')} for {window.label} come from a model that was "
                f"trained until {until:%Y-%m-%d %H:%M} UTC, after the cut-off of that window "
                f"({from_micros(window.cutoff):%Y-%m-%d %H:%M} UTC): it may have seen the answers.",
                "Deliver for each window what a model predicted that was trained before its cut-off.",
            )


def read_delivered(
    settings: Pipeline,
    name: str,
    base: Path,
    slice_: Slice,
    windows: Sequence[Window],
    judged: Sequence[str] | None = None,
) -> Delivered:
    """The predictions that a candidate of the pipeline file names, for the rows of some windows.

    Parameters
    ----------
    judged : sequence of str, optional
        Labels of the windows that the run judges; all of ``windows`` where it is None.

    Raises
    ------
    InvalidInput
        With the candidate's name: for columns that are missing, values that are no predictions, keys that occur twice,
        and as :meth:`Delivered.of_window`.
    """
    item = settings.candidates[name]
    assert item.predictions is not None and item.declared_by is not None
    try:
        table = _table(settings, item.predictions, base, slice_)
    except InvalidInput as error:
        raise InvalidInput(f"{name}: {error.message}", error.hint) from error
    _refuse_values(settings, name, item.predictions, table)
    rows = open_table(slice_)
    whole = _keys(rows, slice_.key).assign(position=np.arange(rows.num_rows))
    found = whole.merge(table, how="inner", on=list(slice_.key)).sort_values("position")
    times = numbers(rows, "__time")[found["position"].to_numpy()]
    digests = {}
    found[INSIDE] = None
    for window in windows:
        inside = window.test_rows(times.astype(np.int64))
        digests[window.label] = _digest(found[inside])
        found.loc[inside, INSIDE] = window.label
    kept = found[found[INSIDE].notna()].drop(columns="position").reset_index(drop=True)
    data = _file(kept.drop(columns=[part for part in OPTIONAL if part in kept]))
    path = Path(slice_.path).with_name(f"delivered-{name}.parquet")
    path.write_bytes(data)
    return Delivered(
        source=item.predictions,
        declared_by=item.declared_by,
        path=str(path),
        digests=digests,
        key=slice_.key,
        judged=tuple(window.label for window in windows) if judged is None else tuple(judged),
        models=tuple(sorted({str(value) for part in OPTIONAL if part in kept for value in kept[part].dropna()})),
    )


def _table(settings: Pipeline, source: str, base: Path, slice_: Slice) -> pd.DataFrame:
    there = column_names(source, base)
    if PREDICTION not in there:
        raise InvalidInput(
            f"{source} has no column {PREDICTION}. It has {', '.join(there)}.",
            f"It needs {', '.join(slice_.key)}, {PREDICTION}, and {WINDOW} or {UNTIL}.",
        )
    if WINDOW not in there and UNTIL not in there:
        raise InvalidInput(
            f"{source} has neither a column {WINDOW} nor {UNTIL}: nothing says that its predictions were made without "
            "the windows that they are judged on.",
            "Name the window that each row was predicted for, or the time until which its model was trained.",
        )
    named = [part for part in (WINDOW, *OPTIONAL) if part in there]
    raw = keyed_rows(settings, base, source, [PREDICTION, *named, *([UNTIL] if UNTIL in there else [])], slice_)
    frame, ours = _keys(raw, slice_.key), _keys(open_table(slice_).slice(0, 1), slice_.key)
    other = [part for part in slice_.key if frame[part].dtype != ours[part].dtype]
    if other:
        raise InvalidInput(
            f"{source}: the key {other[0]} is {_kind(frame[other[0]])} there and {_kind(ours[other[0]])} in the data.",
            "Deliver the key as the data has it.",
        )
    twice = frame.duplicated(keep=False)
    if twice.any():
        first = frame[twice].iloc[0]
        raise InvalidInput(
            f"{source} has {count(int(twice.sum()), 'row')} whose key is not unique, as {_shown(first)}."
        )
    frame[PREDICTION] = _as_floats(raw[PREDICTION], source)
    for part in named:
        frame[part] = raw[part].cast(pa.string()).to_pandas()
    if UNTIL in there:
        known = moments(raw[UNTIL], UNTIL, settings.time)
        if known.null_count:
            raise InvalidInput(f"{source}: {UNTIL} is missing in {count(known.null_count, 'row')}.")
        frame[UNTIL] = known.to_numpy(zero_copy_only=False)
    return frame


def _kind(values: pd.Series[Any]) -> str:
    return "text" if values.dtype == object else "a number or time"


def _as_floats(column: pa.ChunkedArray, source: str) -> Floats:
    kind = column.type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)):
        raise InvalidInput(f"{source}: {PREDICTION} holds {kind}, not numbers.")
    found: Floats = column.cast(pa.float64()).to_numpy().astype(np.float64)
    return found


def _refuse_values(settings: Pipeline, name: str, source: str, frame: pd.DataFrame) -> None:
    values = frame[PREDICTION].to_numpy()
    if bad := int((~np.isfinite(values)).sum()):
        raise InvalidInput(
            f"{name}: {count(bad, 'prediction')} of {len(values):,} in {source} are missing or infinite."
        )
    if settings.task == "classification" and (bad := int(((values < 0.0) | (values > 1.0)).sum())):
        raise InvalidInput(
            f"{name}: {count(bad, 'prediction')} of {len(values):,} in {source} are no probabilities between 0 and 1.",
            f"The target is a yes or no, so {PREDICTION} is the probability of a yes.",
        )


def _keys(table: pa.Table, key: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame({name: _plain(table, name) for name in key})


def _plain(table: pa.Table, name: str) -> Any:
    column = table[name]
    if pa.types.is_dictionary(column.type):
        return text_series(table, name)
    return column.to_pandas().astype(object) if pa.types.is_large_string(column.type) else numbers(table, name)


def _digest(frame: pd.DataFrame) -> str:
    parts = [frame[PREDICTION].to_numpy(dtype="<f8").tobytes()]
    parts += [frame[UNTIL].to_numpy(dtype="<i8").tobytes()] if UNTIL in frame else []
    return blake3(b"".join(parts)).hexdigest()


def _file(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pa.Table.from_pandas(frame, preserve_index=False), buffer, compression="zstd")
    return buffer.getvalue()


def _shown(row: pd.Series[Any]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in row.items())
