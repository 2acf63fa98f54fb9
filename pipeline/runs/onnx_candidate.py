"""A candidate in ONNX's format: its file read, and tried in a process of its own before anything here builds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from blake3 import blake3

from tallystick.ledger.errors import InvalidInput, TallyError
from tallystick.pipeline.config.settings import Pipeline
from tallystick.pipeline.config.windows import Window, as_day, midnight
from tallystick.pipeline.data.slice import Slice, frame_of, open_table, rows_of
from tallystick.pipeline.models.model_file import dump
from tallystick.pipeline.models.onnx_file import OnnxFile
from tallystick.pipeline.models.onnx_model import LARGEST_ONNX_BYTES
from tallystick.pipeline.models.separate_process import TrialOfModel, ask_elsewhere

TRIAL_ROWS = 500


def read_onnx(settings: Pipeline, name: str, base: Path, slice_: Slice, windows: Sequence[Window]) -> OnnxFile:
    """The file that a candidate names, after it answered for some rows in a process of its own.

    Raises
    ------
    InvalidInput
        Naming the candidate, where there is no such file, or no window that begins after its training ended.
    TallyError
        As :func:`try_onnx`.
    """
    item = settings.candidates[name]
    assert item.onnx is not None and item.trained_until is not None
    path = base / item.onnx
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_ONNX_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"{name}: {item.onnx} cannot be read: {error.strerror}.") from error
    until = midnight(as_day(item.trained_until), ZoneInfo(settings.time.timezone))
    found = OnnxFile(blake3(data).hexdigest(), data, until, settings.task == "classification")
    knew = tuple(window.label for window in windows if found.knew(window))
    if len(knew) == len(windows):
        raise InvalidInput(
            f"{name} was trained until {item.trained_until}, and the cut-off of no window lies after that: it cannot "
            "be judged.",
            "Give a later last_test, or import a model that was trained on less.",
        )
    found = OnnxFile(found.artifact, data, until, found.classification, knew)
    try_onnx(name, found, slice_)
    return found


def try_onnx(name: str, source: OnnxFile, slice_: Slice) -> None:
    """Ask a model for some rows of the slice in a process of its own.

    Raises
    ------
    TallyError
        Naming the candidate, where the file is not sound, ends that process, does not fit the features, or does not
        predict one number for each row.
    """
    table = open_table(slice_)
    rows = rows_of(table, np.linspace(0, table.num_rows - 1, min(TRIAL_ROWS, table.num_rows)).astype(np.int64))
    frame = frame_of(rows, slice_.features)
    (answer,) = ask_elsewhere([TrialOfModel(dump(source.built()).data, frame, slice_.features)])
    if isinstance(answer, TallyError):
        raise type(answer)(f"{name} cannot be loaded and asked: {answer.message}", answer.hint) from answer
    if isinstance(answer, str):
        raise InvalidInput(
            f"{name} cannot predict {len(frame):,} rows of the data: {answer.rstrip('.')}.",
            "Its inputs are one matrix of all features, or one column named like each feature.",
        )
    if answer.shape != (len(frame),):
        raise InvalidInput(f"{name} predicts {answer.size:,} numbers for {len(frame):,} rows.")
    if bad := int((~np.isfinite(answer)).sum()):
        raise InvalidInput(f"{name} predicts {bad:,} of {len(frame):,} rows with missing or infinite values.")
    if source.classification and (bad := int(((answer < 0.0) | (answer > 1.0)).sum())):
        raise InvalidInput(
            f"{name} predicts {bad:,} of {len(frame):,} rows with numbers outside 0 to 1, which are no probabilities."
        )


def partly_judged(sources: Mapping[str, OnnxFile], labels: Sequence[str]) -> dict[str, str]:
    """Candidate -> why it does not take part in the choice, for those that were not judged in each of these windows."""
    found = {}
    for name, source in sources.items():
        missing = [label for label in labels if label in source.not_judged]
        if missing:
            found[name] = (
                f"it was trained elsewhere until {source.until}, so it was judged in {len(labels) - len(missing)} of "
                f"{len(labels)} windows and not in {', '.join(missing)}"
            )
    return found
