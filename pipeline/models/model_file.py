"""A fitted model as a file: skops in canonical form, checked before anything in it is built.

skops stores types and arrays instead of a pickle's instructions. Its raw output differs from process to process
(object ids, zip dates), so it is rewritten in one canonical form: ids renumbered in order of appearance, sorted
JSON, fixed dates, maximal deflate. Equal models then are equal files with equal hashes.

Loading goes hash → allowed types → build → probe: a stored table of rows on which the model must predict the
same bits as on the day it was made. An allow-list reduces the risk of a hostile file; it does not remove it,
which is why the hash from the ledger comes first.
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Collection
from importlib import metadata
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from blake3 import blake3

from tallystick.ledger.errors import Damaged, Refused, TallyError
from tallystick.pipeline.models.allowed_types import refused_types
from tallystick.pipeline.models.native import libraries_of, walk, with_native, without_native
from tallystick.pipeline.models.sklearn_trees import check_trees
from tallystick.pipeline.own_code import is_own
from tallystick.pipeline.recipes import Columns

MEDIA_TYPE = "application/vnd.skops"
EARLIEST_ZIP_DATE = (1980, 1, 1, 0, 0, 0)
MOST_PROBE_ROWS = 100_000
MOST_MEMBERS = 100_000
LARGEST_UNPACKED_BYTES = 64 << 20
LARGEST_RATIO = 100
"""Bytes unpacked for one packed, beyond 64 MiB that are always allowed; forests of the recipes here have 3 to 10."""
NOT_KEPT = (
    'Say keep = "no" in its table: it is judged then, and cannot be promoted. Or build it from estimators of '
    "scikit-learn, LightGBM, XGBoost or CatBoost."
)
"""The way forward for a candidate whose model cannot be stored."""
LIBRARIES = ("numpy", "pandas", "scikit-learn", "scipy", "skops")


class ModelFile(NamedTuple):
    """A fitted estimator as bytes, and what a loader must know."""

    data: bytes
    trusted_types: list[str]
    """Types in it that skops does not trust by itself, all on the list above."""
    libraries: dict[str, str]


def dump(estimator: Any, packages: Collection[str] = ()) -> ModelFile:
    """Write a fitted estimator.

    Parameters
    ----------
    packages : collection of str
        Packages that its recipe names; see :func:`tallystick.pipeline.models.allowed_types.refused_types`.

    Raises
    ------
    Refused
        When it cannot be written, or contains types that the loader would not build.
    """
    import skops.io

    plain = without_native(estimator)
    try:
        data = canonical(skops.io.dumps(plain))
    except Exception as error:
        # What a library keeps in an estimator may refuse to be taken apart in any way there is.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Refused(f"The model cannot be written as data: {reason}", NOT_KEPT) from error
    unknown = sorted(skops.io.get_untrusted_types(data=data))
    _refuse_untrusted(unknown, packages)
    libraries = {name: metadata.version(name) for name in LIBRARIES}
    return ModelFile(data, unknown, libraries | _package_versions(unknown) | libraries_of(plain))


def _package_versions(types: list[str]) -> dict[str, str]:
    """Distribution -> version, for packages beyond the standard ones that the types come from."""
    found = {}
    for name in {name.partition(".")[0] for name in types} - {"tallystick"}:
        if (version := version_of(name)) is not None:
            found[name] = version
    return found


def version_of(distribution: str) -> str | None:
    """The installed version of a distribution; None where there is none of this name."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def load(data: bytes, expected_hash: str, packages: Collection[str] = ()) -> Any:
    """Build the estimator in a file whose BLAKE3 must be ``expected_hash``.

    Parameters
    ----------
    packages : collection of str
        As for :func:`dump`.

    Raises
    ------
    Damaged
        When the bytes are not those that were recorded, or are no model file.
    Refused
        When the file wants types that are not on the allow-list; nothing of it was built then.
    MissingExtra
        When it needs a library that is not installed.
    """
    import skops.io

    if blake3(data).hexdigest() != expected_hash:
        raise Damaged("The model file is not the one that was recorded; it was not loaded.")
    try:
        _refuse_bomb(data)
        with warnings.catch_warnings():
            # They quote the file, which may hold anything, to the terminal; the recorded libraries say the same.
            warnings.simplefilter("ignore")
            unknown = sorted(skops.io.get_untrusted_types(data=data))
            _refuse_untrusted(unknown, packages)
            estimator = with_native(skops.io.loads(data, trusted=unknown))
            check_trees(walk(estimator))
            return estimator
    except TallyError:
        raise
    except Exception as error:
        # A file that nobody wrote with `dump` makes the libraries that build it fail in any way there is.
        raise Damaged(f"The model file cannot be read: {error or type(error).__name__}.") from error


def types_in(data: bytes) -> frozenset[str]:
    """The types that a model file names, as ``module.name``; nothing of it is built.

    Raises
    ------
    Damaged
        When it is no model file.
    """
    try:
        _refuse_bomb(data)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            schema = json.loads(archive.read("schema.json"))
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, RecursionError, NotImplementedError) as error:
        raise Damaged(f"The model file cannot be read: {error}.") from error
    found: set[str] = set()
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if "__class__" in node and "__module__" in node:
                found.add(f"{node['__module__']}.{node['__class__']}")
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    return frozenset(found)


def _refuse_bomb(data: bytes) -> None:
    """Refuse an archive that unpacks to far more than any model does, before anything of it is unpacked."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
    if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
        raise Damaged("The model file is packed in a way that no model file is; it was not loaded.")
    unpacked = sum(member.file_size for member in members)
    if len(members) > MOST_MEMBERS or unpacked > LARGEST_UNPACKED_BYTES + LARGEST_RATIO * len(data):
        raise Damaged(
            f"The model file would grow from {len(data):,} to {unpacked:,} bytes when unpacked; it was not loaded."
        )


def _refuse_untrusted(types: list[str], packages: Collection[str]) -> None:
    strange = [name for name in refused_types(types, packages) if not is_own(name)]
    if strange:
        raise Refused(
            f"The model contains types that are not on the list of types that may be loaded: {', '.join(strange)}.",
            NOT_KEPT,
        )


def canonical(data: bytes) -> bytes:
    """Rewrite a skops file so that equal content gives equal bytes.

    skops names arrays and shared objects by ``id()``, a memory address that differs from run to run. Ids are
    renumbered in the order of a depth-first walk of the sorted schema, and files are renamed after them.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(members.pop("schema.json"))
    numbers: dict[int, int] = {}
    files: dict[str, str] = {}

    def renumber(node: Any) -> Any:
        if isinstance(node, dict):
            # The id first, so that a node is numbered before its children.
            renewed = dict(sorted(node.items()))
            if isinstance(renewed.get("__id__"), int):
                renewed["__id__"] = numbers.setdefault(renewed["__id__"], len(numbers))
            for key, value in renewed.items():
                if key == "file" and isinstance(value, str) and value in members:
                    ending = value.rpartition(".")[2]
                    renewed[key] = files.setdefault(value, f"{len(files):05d}.{ending}")
                elif key != "__id__":
                    renewed[key] = renumber(value)
            return renewed
        if isinstance(node, list):
            return [renumber(item) for item in node]
        return node

    content = {"schema.json": json.dumps(renumber(schema), sort_keys=True, separators=(",", ":")).encode()}
    content.update(sorted((files[name], body) for name, body in members.items() if name in files))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, body in content.items():
            archive.writestr(zipfile.ZipInfo(name, EARLIEST_ZIP_DATE), body, zipfile.ZIP_DEFLATED, 9)
    return out.getvalue()


def predict(estimator: Any, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Predictions as one float64 a row: the probability of the positive class, or the predicted number."""
    if hasattr(estimator, "predict_proba"):
        # Column of class 1; a model that has seen one class only says 0 or 1 for certain.
        classes = list(estimator.classes_)
        probabilities = estimator.predict_proba(frame)
        if 1 not in classes:
            return np.zeros(len(frame))
        return np.ascontiguousarray(probabilities[:, classes.index(1)], dtype=np.float64)
    return np.ascontiguousarray(estimator.predict(frame), dtype=np.float64)


def prediction_hash(predictions: npt.NDArray[np.float64]) -> str:
    """BLAKE3 of the predictions as little-endian float64 in the order of the rows."""
    return blake3(np.ascontiguousarray(predictions, dtype="<f8").tobytes()).hexdigest()


def probe_frame(data: bytes, columns: Columns) -> pd.DataFrame:
    """The stored probe as the model gets it: numbers with NaN, text as objects with None as missing.

    Raises
    ------
    Damaged
        When the bytes are no table with these columns.
    """
    try:
        with pyarrow.parquet.ParquetFile(io.BytesIO(data)) as file:
            if file.metadata.num_rows > MOST_PROBE_ROWS:
                raise Damaged(f"The probe of the model has {file.metadata.num_rows:,} rows; none has so many.")
            table = file.read(columns=[*columns.numeric, *columns.categorical])
        parts: dict[str, Any] = {
            name: table[name].cast(pa.float64()).to_numpy(zero_copy_only=False) for name in columns.numeric
        }
        for name in columns.categorical:
            parts[name] = pd.Series(np.array([*table[name].to_pylist(), None], dtype=object)[:-1], dtype=object)
    except (pa.ArrowException, OSError, UnicodeError, MemoryError, KeyError, ValueError, TypeError) as error:
        raise Damaged(f"The probe of the model cannot be read: {error}.") from error
    return pd.DataFrame(parts)
