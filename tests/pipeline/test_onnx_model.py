"""A model in ONNX's format as an estimator: stored, loaded in another process, asked the same; crafted ones refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from blake3 import blake3
from onnx import TensorProto, helper, numpy_helper

from tallystick.ledger.errors import Damaged, InvalidInput
from tallystick.pipeline.models import model_file
from tallystick.pipeline.models.onnx_model import OnnxModel
from tallystick.pipeline.models.separate_process import TrialOfModel, ask_elsewhere
from tallystick.pipeline.recipes import Columns

COLUMNS = Columns(("a", "b"), ())
WEIGHTS = np.array([[2.0], [-1.0]], dtype=np.float32)


def frame() -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(2).random((40, 2)), columns=["a", "b"])


def linear(**changes: Any) -> Any:
    """``2 a - b`` as an ONNX graph of one matrix."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["X", "W"], ["Y"], **changes)],
        "linear",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(WEIGHTS, "W")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)


def test_a_model_of_numbers_is_kept_and_asked_in_another_process() -> None:
    model = OnnxModel(linear().SerializeToString(), classification=False).fit(frame(), None)
    before = model_file.predict(model, frame())
    np.testing.assert_allclose(before, 2 * frame()["a"] - frame()["b"], atol=1e-6)
    data = model_file.dump(model).data
    again = model_file.load(data, blake3(data).hexdigest())
    np.testing.assert_array_equal(model_file.predict(again, frame()), before)
    (elsewhere,) = ask_elsewhere([TrialOfModel(data, frame(), COLUMNS)])
    assert isinstance(elsewhere, np.ndarray), elsewhere
    np.testing.assert_array_equal(elsewhere, before)


def test_a_model_without_probabilities_is_no_model_of_a_yes_or_no() -> None:
    with pytest.raises(InvalidInput, match="probabilities of two classes"):
        model_file.predict(OnnxModel(linear().SerializeToString(), classification=True), frame())


def test_crafted_models_are_refused_before_they_are_built() -> None:
    outside = linear()
    tensor = outside.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    own = linear()
    own.opset_import.append(helper.make_opsetid("com.example", 1))
    own.graph.node[0].domain = "com.example"
    for data in (b"", b"x" * 100, outside.SerializeToString(), own.SerializeToString()):
        with pytest.raises(Damaged):
            OnnxModel(data, classification=False).check()
    onnx.checker.check_model(linear())
    OnnxModel(linear().SerializeToString(), classification=False).check()
