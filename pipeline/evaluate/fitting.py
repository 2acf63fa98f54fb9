"""A candidate's recipe, and its fit: with the weights of rows and of answers, and a threshold where costs need one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from blake3 import blake3

from tallystick.ledger.errors import InvalidInput, TallyError
from tallystick.ledger.events.event import encode_canonical
from tallystick.pipeline.config.settings import Pipeline
from tallystick.pipeline.config.windows import Window
from tallystick.pipeline.data.delivered import Delivered
from tallystick.pipeline.data.slice import LABEL_KNOWN, TARGET, TIME, frame_of, numbers
from tallystick.pipeline.evaluate.losses import Measure, chosen_threshold, relative, threshold_by_costs
from tallystick.pipeline.models.allowed_types import packages_named
from tallystick.pipeline.models.code_hash import code_hash, equivalent_hashes
from tallystick.pipeline.models.conduct import watched
from tallystick.pipeline.models.model_file import predict
from tallystick.pipeline.models.onnx_file import OnnxFile
from tallystick.pipeline.models.settle import settle
from tallystick.pipeline.models.template import Template
from tallystick.pipeline.models.training_rows import trainable
from tallystick.pipeline.own_code import OwnCode
from tallystick.pipeline.recipes import Columns, Task, build, own_code

Source = OwnCode | Template | Delivered | OnnxFile
"""What a candidate is made of beside installed libraries."""
Floats = npt.NDArray[np.float64]

HELD_OUT_SHARE = 0.2
"""The newest training rows, on which a threshold is chosen."""
FEWEST_HELD_OUT = 100
FEWEST_OF_AN_ANSWER = 10


class Recipe(msgspec.Struct, frozen=True):
    """How a candidate is built; equal recipes have equal hashes."""

    name: str
    estimator: str
    params: dict[str, Any]
    complexity: int
    columns: Columns
    task: Task
    class_weight: str | dict[str, float] | None = None
    """``"balanced"``, or the weights of ``yes`` and ``no``; in fitting alone."""
    source: Source | None = None
    """What it is made of beside installed libraries: it travels with the recipe to whatever process needs it."""

    @property
    def content(self) -> dict[str, Any]:
        """What the hash is taken of, and enough to build it again."""
        more: dict[str, Any] = {} if self.class_weight is None else {"class_weight": self.class_weight}
        if isinstance(self.source, Template):
            more["file"] = self.source.artifact
        if isinstance(self.source, OnnxFile):
            more |= {"file": self.source.artifact, "trained_until": self.source.trained_until}
        if isinstance(self.source, Delivered):
            more["declared_by"] = self.source.declared_by
        return {
            "estimator": self.estimator,
            "params": self.params,
            "numeric": list(self.columns.numeric),
            "categorical": list(self.columns.categorical),
            "task": self.task,
            "code": code_hash(self.estimator, self.code) if self.is_coded else "",
            **more,
        }

    @property
    def code(self) -> OwnCode | None:
        """The modules of the pipeline's own that it is made of."""
        return self.source if isinstance(self.source, OwnCode) else None

    @property
    def is_coded(self) -> bool:
        """Whether its estimator names code."""
        return not isinstance(self.source, Template | Delivered | OnnxFile)

    @property
    def delivered(self) -> Delivered | None:
        """Its predictions, where they were computed elsewhere."""
        return self.source if isinstance(self.source, Delivered) else None

    @property
    def onnx(self) -> OnnxFile | None:
        """Its model, where it was imported."""
        return self.source if isinstance(self.source, OnnxFile) else None

    @property
    def is_fitted(self) -> bool:
        """Whether it is fitted anew in every window."""
        return not isinstance(self.source, Delivered | OnnxFile)

    def knew(self, window: Window) -> bool:
        """Whether it may not be judged in a window, because it was fitted elsewhere and later than that."""
        return isinstance(self.source, OnnxFile) and self.source.knew(window)

    @property
    def hash(self) -> str:
        """BLAKE3 of estimator, parameters, features, task and the recipe's own code."""
        return blake3(encode_canonical(self.content)).hexdigest()

    @property
    def packages(self) -> frozenset[str]:
        """The packages that it names; see :func:`tallystick.pipeline.models.allowed_types.packages_named`."""
        named = packages_named(self.estimator, self.params)
        return named | self.source.packages if isinstance(self.source, Template) else named

    @property
    def hashes(self) -> frozenset[str]:
        """Every hash under which this recipe has been recorded; earlier ones were taken of the whole source file."""
        content = self.content
        codes = equivalent_hashes(self.estimator, self.code) if self.is_coded else [""]
        return frozenset(blake3(encode_canonical({**content, "code": code})).hexdigest() for code in codes)

    def built(self, seed: int) -> Any:
        """The unfitted estimator."""
        if isinstance(self.source, Template):
            return self.source.built(seed, self.params)
        if isinstance(self.source, OnnxFile):
            return self.source.built()
        return build(self.estimator, self.params, self.columns, self.task, seed, self.code)


def recipe_for(settings: Pipeline, name: str, columns: Columns, sources: Mapping[str, Source] | None = None) -> Recipe:
    """The recipe of a candidate of the pipeline file, on these features.

    Parameters
    ----------
    sources : mapping, optional
        What its candidates are made of, as it was recorded. Without it, code is taken from beside the file as it is.
    """
    item = settings.candidates[name]
    source = own_code(item.estimator) if sources is None and item.estimator else (sources or {}).get(name)
    if isinstance(source, Delivered):
        columns = Columns((), ())
    weighted = item.class_weight
    if isinstance(weighted, msgspec.Struct):
        weighted = msgspec.to_builtins(weighted)
    return Recipe(name, item.made_of, dict(item.params), item.complexity, columns, settings.task, weighted, source)


def recipe_from(name: str, content: dict[str, Any], task: Task, source: Source | None = None) -> Recipe:
    """A recipe from its recorded content.

    Parameters
    ----------
    source : optional
        What it was made of, as recorded; else code is taken from beside the pipeline file as it is.
    """
    return Recipe(
        name,
        content["estimator"],
        content["params"],
        int(content["complexity"]),
        Columns(tuple(content["numeric"]), tuple(content["categorical"])),
        task,
        content.get("class_weight"),
        own_code(content["estimator"]) if source is None else source,
    )


class TrainingRows(NamedTuple):
    """What a candidate learns from, in the order of time."""

    frame: pd.DataFrame
    y: Floats
    weights: Floats | None
    """One a row, with a mean of one; None where every row counts the same."""
    times: npt.NDArray[np.int64]
    label_known: npt.NDArray[np.int64]


class Fitted(NamedTuple):
    """A fitted candidate."""

    model: Any
    threshold: float | None
    """From which probability on it says yes; None where nothing is judged by costs."""
    remark: str | None
    """What is unusual about the threshold."""


def training_rows(table: pa.Table, columns: Columns, weight: str | None) -> TrainingRows:
    """Rows of a slice, as a candidate learns from them."""
    return TrainingRows(
        frame_of(table, columns),
        numbers(table, TARGET),
        weights_in(table, weight),
        numbers(table, TIME).astype(np.int64),
        numbers(table, LABEL_KNOWN).astype(np.int64),
    )


def weights_in(table: pa.Table, weight: str | None) -> Floats | None:
    """The weights of rows, with a mean of one; None without such a column, or where all are equal."""
    return None if weight is None else relative(numbers(table, weight))


def fitted(recipe: Recipe, rows: TrainingRows, measure: Measure, seed: int, where: str) -> Fitted:
    """Fit a candidate, and choose its threshold where it is judged by costs.

    The threshold is chosen on training rows alone: a second model learns from the older four fifths of them, as far as
    their answers were known by then, and says what it would have said of the newest fifth. On rows that a model has
    learnt from, its probabilities are too sure.
    """
    model = fit(recipe, rows.frame, rows.y, seed, where, rows.weights)
    if measure.costs is None:
        return Fitted(model, None, None)
    if recipe.onnx is not None:  # it has learnt from the rows that a threshold would be chosen on
        return Fitted(model, threshold_by_costs(measure.costs), None)
    held_out = _held_out(rows)
    if held_out is None:
        plain = threshold_by_costs(measure.costs)
        remark = f"Too few training rows to choose a threshold on: {plain:.3f}, what the costs alone say, is used."
        return Fitted(model, plain, remark)
    older, newest = held_out
    part = None if rows.weights is None else rows.weights[older]
    before = fit(recipe, rows.frame.iloc[older], rows.y[older], seed, where, part)
    p = asked(recipe, before, rows.frame.iloc[newest], where)
    part = None if rows.weights is None else rows.weights[newest]
    return Fitted(model, chosen_threshold(measure.costs, rows.y[newest], p, part), None)


def _held_out(rows: TrainingRows) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
    """Older rows to learn from and newest rows to choose on; None where one of them is too few to say anything."""
    size = int(len(rows.y) * HELD_OUT_SHARE)
    if size < FEWEST_HELD_OUT:
        return None
    newest = np.arange(len(rows.y) - size, len(rows.y))
    begin = rows.times[newest[0]]
    older = np.flatnonzero((rows.times < begin) & (rows.label_known <= begin))
    for part in (older, newest):
        yes = int(rows.y[part].sum())
        if min(yes, len(part) - yes) < FEWEST_OF_AN_ANSWER:
            return None
    return older, newest


def fit(recipe: Recipe, frame: pd.DataFrame, y: Floats, seed: int, where: str, weights: Floats | None = None) -> Any:
    """A fitted estimator; InvalidInput naming candidate and window where the library refuses.

    Raises
    ------
    InvalidInput
        Also where the code behind the candidate writes a file or uses the network.
    """
    target = y.astype(np.int8) if recipe.task == "classification" else y
    weights = None if recipe.onnx is not None else _with_answers(recipe, y, weights)
    try:
        with watched(recipe.name, f"it is fitted in {where}"):
            model = settle(recipe.built(seed))
            if weights is None:
                return model.fit(trainable(model, frame), target)
            return model.fit(trainable(model, frame), target, **{weight_parameter(model, recipe.name): weights})
    except TallyError:
        raise
    except Exception as error:
        # Libraries of models have errors of their own, which are no ValueErrors.
        raise InvalidInput(
            f"{recipe.name} cannot be fitted in {where}: {_first_line(error)}",
            "Look at that candidate's params and at the training rows of that window.",
        ) from error


def asked(recipe: Recipe, model: Any, frame: pd.DataFrame, where: str) -> Floats:
    """The predictions of a fitted estimator.

    Raises
    ------
    InvalidInput
        Naming candidate and window, where it fails, gives no number for each row, or does what :func:`fit` refuses.
    """
    try:
        with watched(recipe.name, f"it predicts {where}"):
            p = predict(model, frame)
    except (ValueError, KeyError, AttributeError, TypeError, IndexError) as error:
        raise InvalidInput(f"{recipe.name} cannot predict {where}: {_first_line(error)}") from error
    if p.shape != (len(frame),):
        raise InvalidInput(f"{recipe.name} predicts {where} with {p.shape} numbers for {len(frame):,} rows.")
    if bad := int((~np.isfinite(p)).sum()):
        raise InvalidInput(
            f"{recipe.name} predicts {where} with {bad:,} of {len(p):,} values missing or infinite.",
            "Look at how that candidate treats missing values and values that it has not seen.",
        )
    return p


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _with_answers(recipe: Recipe, y: Floats, weights: Floats | None) -> Floats | None:
    """The weights of rows times those of their answers."""
    if recipe.class_weight is None:
        return weights
    w = np.ones(len(y)) if weights is None else weights
    yes = y == 1.0
    if isinstance(recipe.class_weight, dict):
        return np.asarray(w * np.where(yes, recipe.class_weight["yes"], recipe.class_weight["no"]))
    all_yes, all_no = float(w[yes].sum()), float(w[~yes].sum())
    if all_yes == 0.0 or all_no == 0.0:
        return weights
    return np.asarray(w * np.where(yes, 0.5 * w.sum() / all_yes, 0.5 * w.sum() / all_no))


def weight_parameter(model: Any, candidate: str) -> str:
    """By what name an estimator's ``fit`` takes the weights of rows: a pipeline's last step takes them.

    Raises
    ------
    InvalidInput
        Where it takes none.
    """
    from sklearn.pipeline import Pipeline as Steps
    from sklearn.utils.validation import has_fit_parameter

    name, last = "sample_weight", model
    while isinstance(last, Steps):
        step, last = last.steps[-1]
        name = f"{step}__{name}"
    if not has_fit_parameter(last, "sample_weight"):
        raise InvalidInput(
            f"{candidate} cannot be fitted with weights: {type(last).__name__} takes none.",
            "Name another estimator, or leave out [data.weight] and class_weight.",
        )
    return name
