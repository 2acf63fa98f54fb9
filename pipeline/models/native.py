"""LightGBM, XGBoost and CatBoost inside a model file: their own data formats instead of their objects.

Wherever in an estimator such a part is, in a step of a pipeline or in the wrapper class of the library, it is replaced
by a :class:`NativePart` before the file is written, and built again from it after the file is read.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from tallystick.ledger.errors import Damaged, Refused
from tallystick.pipeline.extra import missing_library
from tallystick.pipeline.models import lightgbm_text, xgboost_json
from tallystick.pipeline.models.native_part import NativePart
from tallystick.pipeline.models.onnx_model import OnnxModel

FORMATS = {"lightgbm-text": "lightgbm", "xgboost-json": "xgboost", "catboost-cbm": "catboost"}
"""Each format with the module of its library."""
DISTRIBUTIONS = {"lightgbm": ("lightgbm",), "xgboost": ("xgboost", "xgboost-cpu"), "catboost": ("catboost",)}
CATBOOST_CLASSES = ("CatBoostClassifier", "CatBoostRegressor")
CBM = b"CBM1"
LARGEST_PART_BYTES = 1 << 30
NO_GUID = "00000000-00000000-00000000-00000000"
NO_TIME = "1970-01-01T00:00:00Z"


def without_native(estimator: Any) -> Any:
    """The estimator with its native parts replaced; itself where it has none."""
    parts = {id(found): written for found in walk(estimator) if (written := _written(found)) is not None}
    return copy.deepcopy(estimator, dict(parts)) if parts else estimator


def with_native(estimator: Any) -> Any:
    """The estimator with its native parts built again, each after a check of ours.

    Raises
    ------
    Damaged
        When a part is not sound, or its library cannot read it.
    MissingExtra
        When its library is not installed.
    """
    found = list(walk(estimator))
    for item in found:
        if isinstance(item, OnnxModel):
            item.check()
    parts = {id(item): _built(item) for item in found if isinstance(item, NativePart)}
    return copy.deepcopy(estimator, dict(parts)) if parts else estimator


def libraries_of(estimator: Any) -> dict[str, str]:
    """The native libraries that an estimator needs, with their versions."""
    return {
        _distribution(FORMATS[item.format]): item.version for item in walk(estimator) if isinstance(item, NativePart)
    }


def walk(estimator: Any) -> Iterator[Any]:
    """Every object that an estimator holds, itself first, each once; modules, classes and functions are not entered."""
    waiting, seen = [estimator], set()
    kept = []  # so that no id is given to another object meanwhile
    while waiting:
        item = waiting.pop()
        if item is None or isinstance(item, str | bytes | int | float | type | ModuleType | FunctionType):
            continue
        if id(item) in seen:
            continue
        seen.add(id(item))
        kept.append(item)
        yield item
        if isinstance(item, dict):
            waiting += [*item.values()]
        elif isinstance(item, list | tuple | set | frozenset):
            waiting += [*item]
        elif isinstance(item, np.ndarray):
            waiting += [*item.ravel()] if item.dtype == object else []
        elif isinstance(getattr(item, "__dict__", None), dict) and native_format(item) is None:
            waiting += [*vars(item).values()]


def native_format(item: object) -> str | None:
    """The format in which an object is stored; None for anything that is not of these libraries."""
    names = {(base.__module__, base.__name__) for base in type(item).__mro__}
    if ("lightgbm.basic", "Booster") in names:
        return "lightgbm-text"
    if ("xgboost.core", "Booster") in names:
        return "xgboost-json"
    return "catboost-cbm" if ("catboost.core", "CatBoost") in names else None


def _distribution(library: str) -> str:
    """The distribution that brings a library; its module's name where none is found."""
    for name in DISTRIBUTIONS[library]:
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        return name
    return library


def _written(item: Any) -> NativePart | None:
    kind = native_format(item)
    if kind is None:
        return None
    version = metadata.version(_distribution(FORMATS[kind]))
    facts: dict[str, str | int] = {}
    if kind == "lightgbm-text":
        data = item.model_to_string(num_iteration=-1).encode()
        lightgbm_text.check(data)
        facts["best_iteration"] = int(item.best_iteration)
    elif kind == "xgboost-json":
        data = bytes(item.save_raw("json"))
        xgboost_json.checked(data)
    else:
        facts["class"] = type(item).__name__
        if type(item).__module__ != "catboost.core" or facts["class"] not in CATBOOST_CLASSES:
            raise Refused(f"A {type(item).__name__} is not kept; {' and '.join(CATBOOST_CLASSES)} are.")
        data = _cbm(item)
    return NativePart(kind, version, data, facts)


def _cbm(model: Any) -> bytes:
    """CatBoost's binary form without the time and the random name that it gives to every model."""
    with tempfile.TemporaryDirectory(prefix="tally-model-") as folder:
        path = Path(folder) / "model.cbm"
        model.save_model(str(path), format="cbm")
        named = type(model)()
        named.load_model(blob=path.read_bytes())
        about = named.get_metadata()
        about["model_guid"], about["train_finish_time"] = NO_GUID, NO_TIME
        named.save_model(str(path), format="cbm")
        return path.read_bytes()


def _built(part: NativePart) -> Any:
    """The object that a part stands for."""
    kind, data, facts = vars(part).get("format"), vars(part).get("data"), vars(part).get("facts")
    if kind not in FORMATS or not isinstance(data, bytes) or not isinstance(facts, dict):
        raise Damaged("The model file has a part of an unknown format.")
    if len(data) > LARGEST_PART_BYTES:
        raise Damaged(f"A part of the model file has {len(data):,} bytes; the largest that is read has 1 GiB.")
    build = {"lightgbm-text": _lightgbm, "xgboost-json": _xgboost, "catboost-cbm": _catboost}[kind]
    library = FORMATS[kind]
    try:
        return build(data, facts)
    except ModuleNotFoundError as error:
        raise missing_library(library, "This model") from error
    except Exception as error:
        if isinstance(error, Damaged):
            raise
        made, here = str(vars(part).get("version"))[:40], metadata.version(_distribution(library))
        raise Damaged(
            f"{library} {here} cannot read its part of the model file, which {library} {made} wrote: "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}.",
            f"Install {library} {made}." if made != here else "",
        ) from error


def _lightgbm(data: bytes, facts: dict[str, Any]) -> Any:
    lightgbm_text.check(data)
    from lightgbm import Booster

    booster = Booster(model_str=data.decode(), params={"verbosity": -1})
    booster.best_iteration = int(facts["best_iteration"])
    return booster


def _xgboost(data: bytes, facts: dict[str, Any]) -> Any:
    sound = xgboost_json.checked(data)
    from xgboost import Booster

    booster = Booster({"nthread": 1})
    booster.load_model(bytearray(sound))
    return booster


def _catboost(data: bytes, facts: dict[str, Any]) -> Any:
    if data[:4] != CBM or int.from_bytes(data[4:8], "little") > len(data) - 8:
        raise Damaged("The CatBoost model in the file is not sound: it is cut off.")
    if facts.get("class") not in CATBOOST_CLASSES:
        raise Damaged("The CatBoost model in the file is of an unknown class.")
    import catboost

    model = getattr(catboost, facts["class"])()
    model.load_model(blob=data)
    return model
