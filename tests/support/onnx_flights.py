"""A logistic model of the sample's flights as an ONNX file with one input for each feature, text among them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper, numpy_helper
from sklearn.linear_model import LogisticRegression
from tiny import table

MODEL_FILE = "elsewhere.onnx"
NUMBER, TEXT = "sched_dep_time", "origin"
MISSING = 1200.0


def train(until: str) -> tuple[LogisticRegression, list[str]]:
    """The model as it was fitted elsewhere: the hour, and one column for each airport."""
    flights = table().to_pandas()
    flights = flights[flights["time_hour"].dt.tz_convert("America/New_York") < until]
    airports = sorted(flights[TEXT].unique())
    known = flights[flights["arr_delay"].notna()]
    return LogisticRegression().fit(columns(known, airports), known["arr_delay"] > 15), airports


def columns(flights: pd.DataFrame, airports: list[str]) -> np.ndarray:
    """What the model learns from and is asked with."""
    hours = flights[NUMBER].fillna(MISSING).to_numpy(dtype=np.float64) / 1000.0
    return np.column_stack([hours, *(flights[TEXT].to_numpy() == name for name in airports)]).astype(np.float32)


def export(folder: Path, until: str) -> tuple[LogisticRegression, list[str]]:
    """Write the model beside a pipeline file."""
    model, airports = train(until)
    weights, weight_of = model.coef_[0], {}
    for name, weight in zip(airports, weights[1:], strict=True):
        weight_of[name] = float(weight)
    nodes = [
        helper.make_node(
            "LabelEncoder", [TEXT], ["airport"], domain="ai.onnx.ml",
            keys_strings=list(weight_of), values_floats=list(weight_of.values()), default_float=0.0,
        ),
        helper.make_node("IsNaN", [NUMBER], ["gone"]),
        helper.make_node("Where", ["gone", "typical", NUMBER], ["hours"]),
        helper.make_node("Mul", ["hours", "by_hour"], ["from_hours"]),
        helper.make_node("Add", ["from_hours", "airport"], ["both"]),
        helper.make_node("Add", ["both", "intercept"], ["odds"]),
        helper.make_node("Sigmoid", ["odds"], ["late"]),
        helper.make_node("Sub", ["one", "late"], ["on_time"]),
        helper.make_node("Concat", ["on_time", "late"], ["probabilities"], axis=1),
    ]  # fmt: skip
    numbers = {"typical": MISSING, "by_hour": weights[0] / 1000.0, "intercept": model.intercept_[0], "one": 1.0}
    graph = helper.make_graph(
        nodes,
        "flights",
        [
            helper.make_tensor_value_info(NUMBER, TensorProto.FLOAT, [None, 1]),
            helper.make_tensor_value_info(TEXT, TensorProto.STRING, [None, 1]),
        ],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])],
        [numpy_helper.from_array(np.array([[value]], dtype=np.float32), name) for name, value in numbers.items()],
    )
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=sets, ir_version=8), folder / MODEL_FILE)
    return model, airports
