"""A model in ONNX's exchange format as an estimator: it was fitted elsewhere and cannot be fitted here.

Stored model files hold :class:`OnnxModel` by its path, so neither the class nor its attributes are ever renamed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tallystick.ledger.errors import Damaged, InvalidInput
from tallystick.pipeline.extra import missing_library

LARGEST_ONNX_BYTES = 512 << 20
MOST_NODES = 100_000
DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
"""Operators of the standard; others are code of somebody's own."""
KINDS = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64, "tensor(string)": object}


class OnnxModel:
    """A model in ONNX's format that predicts tables.

    Parameters
    ----------
    data : bytes
        The ONNX file. Its inputs are one matrix of all features in their order, or one column for each feature, named
        as the feature is. Its outputs are the predicted number, or the probabilities of the two classes.
    classification : bool
        Whether it predicts the probability of a yes.
    """

    def __init__(self, data: bytes, classification: bool) -> None:
        self.data = data
        self.classification = classification

    def __getstate__(self) -> dict[str, Any]:
        return {"data": self.data, "classification": self.classification}

    @property
    def classes_(self) -> list[int]:
        """The classes in the order of the probabilities; AttributeError for a model of numbers."""
        if not self.classification:
            raise AttributeError("classes_")
        return [0, 1]

    def fit(self, frame: pd.DataFrame, target: object) -> OnnxModel:
        """Check the model; nothing of it changes, because it was fitted where it was made."""
        self.check()
        self._session()
        return self

    def predict(self, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
        """The predicted number of each row, or the more probable class."""
        found = self._outputs(frame)
        if self.classification:
            return np.asarray(_probabilities(found, len(frame)).argmax(axis=1), dtype=np.float64)
        number = next((item for item in found if _is_numbers(item, len(frame))), None)
        if number is None:
            raise InvalidInput("The ONNX model has no output with one number for each row.")
        return np.asarray(number, dtype=np.float64).reshape(-1)

    def __getattr__(self, name: str) -> Any:
        # Only a model of a yes or no has probabilities, and callers ask by `hasattr`.
        if name == "predict_proba" and self.__dict__.get("classification"):
            return self._predict_proba
        raise AttributeError(name)

    def _predict_proba(self, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
        return _probabilities(self._outputs(frame), len(frame))

    def check(self) -> None:
        """Check the file before ONNX Runtime builds it.

        Raises
        ------
        Damaged
            When it is no ONNX model, is too large, or refers to other files or to operators outside the standard.
        """
        data = self.__dict__.get("data")
        if not isinstance(data, bytes) or len(data) > LARGEST_ONNX_BYTES:
            raise Damaged("The ONNX model is not there, or too large.")
        if not isinstance(self.__dict__.get("classification"), bool):
            raise Damaged("The ONNX model does not say what it predicts.")
        try:
            import onnx
        except ModuleNotFoundError as error:
            raise missing_library("onnx", "This model") from error
        try:
            model = onnx.load_model_from_string(data)
            onnx.checker.check_model(model, full_check=False)
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise Damaged(f"The ONNX model is not sound: {reason}.") from error
        _check_content(model)

    def _session(self) -> Any:
        import onnxruntime

        known = self.__dict__.get("_ready")
        if known is None:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            options.log_severity_level = 4
            known = onnxruntime.InferenceSession(self.data, options, providers=["CPUExecutionProvider"])
            self.__dict__["_ready"] = known
        return known

    def _outputs(self, frame: pd.DataFrame) -> list[Any]:
        session = self._session()
        found: list[Any] = session.run(None, _inputs(session.get_inputs(), frame))
        return found


def _inputs(wanted: list[Any], frame: pd.DataFrame) -> dict[str, Any]:
    """The table as the model's inputs."""
    unknown = sorted({item.type for item in wanted} - KINDS.keys())
    if unknown:
        raise InvalidInput(f"The ONNX model has an input of the kind {unknown[0]}, which no column has.")
    if len(wanted) == 1 and wanted[0].name not in frame.columns:
        texts = [str(name) for name in frame.columns if frame[name].dtype == object]
        if texts and wanted[0].type != "tensor(string)":
            raise InvalidInput(
                f"The ONNX model takes one matrix of numbers, and these features are text: {', '.join(texts)}.",
                "Export it with one input for each feature, named as the feature is.",
            )
        return {wanted[0].name: frame.to_numpy(dtype=KINDS[wanted[0].type])}
    missing = [item.name for item in wanted if item.name not in frame.columns]
    if missing:
        raise InvalidInput(
            f"The ONNX model asks for {', '.join(missing)}; the features are {', '.join(map(str, frame.columns))}.",
            "Name its inputs as the features are named, or give it one matrix.",
        )
    found = {}
    for item in wanted:
        values = frame[item.name]
        if item.type == "tensor(string)":
            values = values.where(values.notna(), "")
        found[item.name] = values.to_numpy(dtype=KINDS[item.type]).reshape(-1, 1)
    return found


def _is_numbers(item: object, rows: int) -> bool:
    return isinstance(item, np.ndarray) and item.size == rows and item.dtype.kind == "f"


def _probabilities(found: list[Any], rows: int) -> npt.NDArray[np.float64]:
    """Two columns, of a no and of a yes."""
    for item in found:
        if isinstance(item, np.ndarray) and item.shape == (rows, 2) and item.dtype.kind == "f":
            return np.asarray(item, dtype=np.float64)
        if isinstance(item, list) and len(item) == rows and all(isinstance(row, dict) for row in item):
            keys = sorted(item[0]) if item else []
            if len(keys) == 2:
                return np.array([[row[key] for key in keys] for row in item], dtype=np.float64)
    raise InvalidInput(
        "The ONNX model has no output with the probabilities of two classes.", "Export it with its probabilities."
    )


def _check_content(model: Any) -> None:
    if model.functions:
        raise Damaged("The ONNX model defines operators of its own; it was not loaded.")
    count = 0
    for graph in _graphs(model.graph):
        for tensor in (*graph.initializer, *(item.values for item in graph.sparse_initializer)):
            _check_tensor(tensor)
        for node in graph.node:
            count += 1
            if node.domain not in DOMAINS:
                raise Damaged(f"The ONNX model uses the operator {node.op_type!r} of {node.domain!r}.")
            for attribute in node.attribute:
                for tensor in (attribute.t, *attribute.tensors):
                    _check_tensor(tensor)
            if node.op_type.startswith("TreeEnsemble"):
                _check_ensemble(node)
    if count > MOST_NODES:
        raise Damaged(f"The ONNX model has {count:,} operators; at most {MOST_NODES:,} are read.")


def _graphs(graph: Any) -> Iterator[Any]:
    """A graph and those inside its operators."""
    waiting = [graph]
    while waiting:
        found = waiting.pop()
        yield found
        for node in found.node:
            for attribute in node.attribute:
                waiting += [attribute.g] if attribute.HasField("g") else []
                waiting += list(attribute.graphs)


def _check_tensor(tensor: Any) -> None:
    if tensor.external_data or tensor.data_location == tensor.EXTERNAL:
        raise Damaged("The ONNX model keeps numbers in another file; it was not loaded.")


def _check_ensemble(node: Any) -> None:
    """Trees of an operator whose splits lead to nodes that are there, and never in a circle."""
    fields = {item.name: list(item.ints) or [text.decode() for text in item.strings] for item in node.attribute}
    trees, nodes = fields.get("nodes_treeids", []), fields.get("nodes_nodeids", [])
    modes = fields.get("nodes_modes", [])
    children = [fields.get(f"nodes_{side}nodeids", []) for side in ("true", "false")]
    if not trees and not nodes:
        return  # a later form of the operator, which only the process that tries it can judge
    if len({len(trees), len(nodes), len(modes), *map(len, children)}) != 1:
        raise Damaged("The ONNX model has trees of unequal parts.")
    places = {key: place for place, key in enumerate(zip(trees, nodes, strict=True))}
    parents: set[int] = set()
    for place, mode in enumerate(modes):
        if mode == "LEAF":
            continue
        for side in children:
            child = places.get((trees[place], side[place]), -1)
            # Exporters number a tree from its root, so a child comes after its parent.
            if child <= place or child in parents:
                raise Damaged("The ONNX model has a tree whose splits lead nowhere, or in a circle.")
            parents.add(child)
