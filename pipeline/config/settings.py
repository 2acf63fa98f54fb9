"""What a pipeline file says, as typed values: one frozen struct per table of the file.

The reading of the file (all mistakes at once, with line numbers) is in :mod:`pipeline.config.load`; here is only
the shape that the rest of the package computes with.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tallystick.pipeline.recipes import Task

Words = Annotated[str, Meta(min_length=1)]
Share = Annotated[float, Meta(gt=0.0, lt=1.0)]
Count = Annotated[int, Meta(ge=0)]
Scalar = str | int | float | bool
Parameter = Scalar | list[Scalar | list[Scalar]] | dict[str, Scalar | list[Scalar]]
"""What a file can say of a parameter of an estimator: a value, a list, a list of lists, or a table."""
Metric = Literal[
    "log_loss", "brier", "roc_auc", "average_precision", "cost",
    "squared_error", "absolute_error", "pinball", "poisson_deviance",
]  # fmt: skip
RANKINGS = ("roc_auc", "average_precision")
"""Metrics of which more is better and which no single row has."""
ONNX = "onnx:"
"""What ``from`` begins with where a candidate is an imported model."""
FEWEST_WINDOWS = 3
"""Fewer windows are too few to judge anything by."""
HOUR_BAND = "hour band"
"""A segment that is no column: the local hour of the time column, in four bands of six hours."""


class Setting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the pipeline file."""


class Questions(Setting, frozen=True, kw_only=True):
    decision: Words
    unit: Words
    prediction_at: Words
    """A time expression: a column, or a column plus or minus a span, e.g. ``"time_hour - 3h"``."""
    used_for: Words
    cost_of_wrong: Words
    not_for: list[Words]


class Target(Setting, frozen=True, kw_only=True):
    column: Words
    rule: str | None = None
    """``"> 15"``, ``"== 'yes'"``: makes a yes or no of the column. Without it the target is the number itself."""
    positive: str | None = None
    """What a yes is called in sentences; required with a rule."""


class DropRows(Setting, frozen=True, kw_only=True):
    where: Words
    """``"COLUMN is missing"`` or ``"COLUMN OP VALUE"`` with OP one of ``== != < <= > >=``."""
    why: Words


class Group(Setting, frozen=True, kw_only=True):
    column: Words
    overlap: Literal["allowed", "forbidden"]
    why: Words


class Feature(Setting, frozen=True, kw_only=True):
    """One line of ``[data.features]``: the names stand in the key."""

    known_at: Words
    join: str | None = msgspec.field(default=None, name="from")
    """The ``[data.joins.NAME]`` that brings it; written as ``from``."""
    why: str | None = None


class Forbidden(Setting, frozen=True, kw_only=True):
    columns: list[Words]
    why: Words


class Features(msgspec.Struct, frozen=True, kw_only=True):
    """``[data.features]`` taken apart: single feature names in the order of the file."""

    known_at: dict[str, Feature]
    forbidden: Forbidden | None


class Csv(Setting, frozen=True, kw_only=True):
    """``[data.csv]``: how the CSV files are written, where that can be taken in more than one way."""

    encoding: Words | None = None
    separator: Annotated[str, Meta(min_length=1, max_length=1)] | None = None
    decimal: Literal[".", ","] | None = None
    thousands: Literal[",", ".", "'", " "] | None = None
    """The sign between thousands."""
    missing: list[Words] = []
    """Words that mean a missing value, in every column."""
    units: list[Words] = []
    """Signs before or after numbers: ``["€", "%"]``. ``12.5 %`` is then the number 12.5."""
    text: list[Words] = []
    """Columns that are text, whatever stands in them."""


class Join(Setting, frozen=True, kw_only=True):
    """A table joined to the main one, many rows to at most one."""

    source: Words
    on: dict[str, str]
    """Column of the joined table -> column or time expression of the main table."""
    rename: dict[str, str] = {}
    """Column of the joined table -> the name it gets here."""
    why: Words
    csv: Csv | None = None
    """How its files are written, where that is not as in ``[data.csv]``."""


class Weight(Setting, frozen=True, kw_only=True):
    """``[data.weight]``: the column that says how many rows a row counts as, in fitting and in judging."""

    column: Words
    why: Words


class Data(Setting, frozen=True, kw_only=True):
    source: Words
    target: Target
    key: list[Words]
    """Columns whose values together are different in every row. Empty where rows have no name of their own: a row is
    then what is read of it, and equal rows count as often as they are there."""
    features: Features
    why: Words
    group: Group | None = None
    drop_rows: list[DropRows] = []
    joins: dict[str, Join] = {}
    fingerprint: str | None = None
    rows_expected: Count | None = None
    csv: Csv | None = None
    infinite: Literal["refuse", "missing"] = "refuse"
    """What an infinite value of a feature means."""
    unit: Words | None = None
    """Of a target that is a number: ``"bikes"``. Sentences write it."""
    weight: Weight | None = None


class Rolling(Setting, frozen=True, kw_only=True):
    rolling: Words


class Final(Setting, frozen=True, kw_only=True):
    """``[time.final]``: windows that stay shut until promotion."""

    test: list[Words]
    looks: Annotated[int, Meta(ge=1)]
    why: Words


class EmptyWindows(Setting, frozen=True, kw_only=True):
    """``[time.empty_windows]``: periods in which there was nothing to predict, such as a closed season."""

    skip: Annotated[list[Words], Meta(min_length=1)]
    """Labels of windows without any row; no candidate is judged in them."""
    why: Words


class Time(Setting, frozen=True, kw_only=True):
    column: Words
    timezone: Words
    window: Words
    first_test: dt.date | int
    """A date; a whole number where ``unit = "step"``."""
    last_test: dt.date | int
    train: Literal["expanding"] | Rolling
    gap: Words
    label_delay: Words
    refit: Literal["every window"]
    final: Final
    why: Words
    ambiguous: Literal["refuse", "earlier", "later"] = "refuse"
    format: Words | None = None
    """How text holds times where that is not ISO 8601, in the signs of strftime: ``"%m/%d/%Y"``. A column of which
    not all values fit is read as ISO 8601."""
    unit: Literal["calendar", "step"] = "calendar"
    """``step``: the time column holds whole numbers, and every length is in steps."""
    min_rows: Annotated[int, Meta(ge=1)] = 100
    """Fewest test rows that make a window count."""
    labels: Literal["first day", "quarter", "week"] = "first day"
    """How windows are named that are neither days, months nor years: ``2017-07-01``, ``2017-Q3`` or ``2017-W31``.
    It follows from how ``first_test`` is written."""
    empty_windows: EmptyWindows | None = None
    """Without it a window that has no row between others that do is refused."""

    @property
    def skipped(self) -> tuple[str, ...]:
        """Labels of the windows that are declared empty."""
        return tuple(self.empty_windows.skip) if self.empty_windows else ()


class ClassWeight(Setting, frozen=True, kw_only=True):
    """How many rows a row counts as in fitting, by its answer."""

    yes: Annotated[float, Meta(gt=0.0)]
    no: Annotated[float, Meta(gt=0.0)]


class Candidate(Setting, frozen=True, kw_only=True):
    """An estimator that is built, a notebook's model, an imported model, or predictions computed elsewhere."""

    estimator: Words | None = None
    """``"module:callable"``: a module beside the file, or an installed one."""
    origin: Words | None = msgspec.field(default=None, name="from")
    """``"trial:NAME"``, written as ``from``: an unfitted copy of the model that a trial stored. ``"onnx:FILE"``: a
    model that was fitted elsewhere and cannot be fitted here."""
    trained_until: dt.date | int | None = None
    """Of an imported model: its training saw nothing from this day on, or from this step on."""
    predictions: Words | None = None
    """A source as of ``[data] source``: the key, ``prediction``, and ``window`` or ``trained_until``."""
    declared_by: Words | None = None
    """Who says how those predictions were made."""
    complexity: Count
    why: Words
    params: dict[str, Parameter] = {}
    role: Literal["candidate", "reference"] = "candidate"
    keep: Literal["no"] | None = None
    """``"no"``: the candidate is judged, and no model of it is ever stored or promoted."""
    class_weight: Literal["balanced"] | ClassWeight | None = None
    """``"balanced"``: both answers count the same in fitting. Judging does not know of it."""

    @property
    def trial(self) -> str | None:
        """``trial:NAME``, where it is a copy of a notebook's model."""
        return self.origin if self.origin is not None and not self.origin.startswith(ONNX) else None

    @property
    def onnx(self) -> str | None:
        """The path of an imported model, as seen from the pipeline file."""
        return self.origin.removeprefix(ONNX) if self.origin is not None and self.origin.startswith(ONNX) else None

    @property
    def is_fitted(self) -> bool:
        """Whether it is fitted anew in every window."""
        return self.predictions is None and self.onnx is None

    @property
    def made_of(self) -> str:
        """What makes the candidate, as it is shown and recorded."""
        if self.predictions is not None:
            return f"predictions:{self.predictions}"
        return self.estimator or self.origin or ""


class Costs(Setting, frozen=True, kw_only=True):
    """``[selection.costs]``: what an answer costs, by what was said and what was true."""

    currency: Words
    """``"EUR"``, or any unit that the numbers are in."""
    false_alarm: Annotated[float, Meta(ge=0.0)]
    """A yes that was a no."""
    missed: Annotated[float, Meta(ge=0.0)]
    """A no that was a yes."""
    right_yes: Annotated[float, Meta(ge=0.0)] = 0.0
    right_no: Annotated[float, Meta(ge=0.0)] = 0.0


class SelectionRule(Setting, frozen=True, kw_only=True):
    metric: Metric
    rule: Literal["stable_among_equals"]
    margin: Annotated[float, Meta(ge=0.0, lt=1.0)]
    confidence: Share
    resample: Words
    """``"day"``, ``"week"``, ``"row"`` or the name of a column: the unit that is drawn whole in the bootstrap."""
    seed: Count
    why: Words
    quantile: Share | None = None
    """Which quantile is predicted; goes with the metric ``pinball``."""
    costs: Costs | None = None
    """Goes with the metric ``cost``."""


class WindowShare(Setting, frozen=True, kw_only=True):
    at_least: Words
    """``"every window"`` or ``"N of M windows"``."""
    why: Words


class AtLeast(Setting, frozen=True, kw_only=True):
    at_least: float
    why: Words


class AtMost(Setting, frozen=True, kw_only=True):
    at_most: float
    why: Words
    metric: Metric | None = None


class LeakageGate(Setting, frozen=True, kw_only=True):
    must: Literal["pass"]
    why: Words


class Explained(Setting, frozen=True, kw_only=True):
    """``[leakage.explained.FEATURE]``: why a feature that the leakage checks ask about is known in time."""

    checks: Annotated[list[Words], Meta(min_length=1)]
    """Names of the checks that it answers; another one asks again."""
    why: Annotated[str, Meta(min_length=20)]
    by: Words
    second: Words | None = None
    """Who agrees: needed where a feature looks like the answer itself."""


class Leakage(Setting, frozen=True, kw_only=True):
    """``[leakage]``: answers to questions of the leakage checks, given before the run that asks."""

    explained: dict[str, Explained]


class ReproducedGate(Setting, frozen=True, kw_only=True):
    must: Literal["identical predictions", "equal within tolerance"]
    tolerance: Annotated[float, Meta(ge=0.0)]
    why: Words


class FinalTestGate(Setting, frozen=True, kw_only=True):
    must: Literal["looked at once"]
    drop_at_most: Words
    why: Words


class ApprovedByGate(Setting, frozen=True, kw_only=True):
    at_least: Annotated[int, Meta(ge=1)]
    """People who sign the model, or the decision that chose it, each with a key of their own."""
    why: Words


class Gates(Setting, frozen=True, kw_only=True):
    beats_reference_in: WindowShare | None = None
    worst_window_gain: AtLeast | None = None
    optimism_gap: AtMost | None = None
    calibration_in_large: AtMost | None = None
    leakage: LeakageGate | None = None
    reproduced: ReproducedGate | None = None
    final_test: FinalTestGate | None = None
    approved_by: ApprovedByGate | None = None
    why: str | None = None
    """Why a gate was taken away that earlier versions of the file had."""


class WaiverRule(Setting, frozen=True, kw_only=True):
    """``[waivers]``: how long an exception may last, where 90 days do not fit."""

    longest: Words
    why: Words


class Validity(Setting, frozen=True, kw_only=True):
    valid_for: Words
    outside: Literal["refuse", "warn"]
    why: Words


class Unlock(Setting, frozen=True, kw_only=True):
    stable_windows: Annotated[int, Meta(ge=1)]
    without: list[Literal["waiver", "alarm"]]
    approved_by: Annotated[int, Meta(ge=1)]


class Automation(Setting, frozen=True, kw_only=True):
    level: Literal["manual", "suggest", "auto_refit"]
    why: Words
    unlock: Unlock | None = None
    relock_on: list[Literal["alarm", "schema change", "waiver", "gate failed"]] = []


class Monitoring(Setting, frozen=True, kw_only=True):
    every: Words
    """How often the champion is watched: the length of a window, or a multiple of it."""
    compare_to: Words
    """``"same windows of the model's own back-test"``, or the same with ``and live periods``."""
    segments: list[Words]
    """Columns, or :data:`HOUR_BAND`."""
    min_rows: Annotated[int, Meta(ge=1)]
    notice: Words
    """``"fewer than 1 in 10 quiet periods"``; older files count windows: ``"outside 8 of 10 own windows"``."""
    alarm: Words
    """``"fewer than 1 in 100 quiet periods"``, or also ``"…, or worse than the reference"``; older files:
    ``"outside every own window by half its range"``."""
    estimate_before_labels: bool
    why: Words


class ProposedSettings(Setting, frozen=True, kw_only=True):
    """``[proposed]``: settings that a program proposed and no person has confirmed yet. No result depends on it."""

    settings: list[Words]
    """Dotted names, as ``gates.optimism_gap``; a section or table stands for all that is in it."""


class Pipeline(Setting, frozen=True, kw_only=True):
    """The whole file."""

    schema: Literal[1]
    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=60)]
    owner: Words
    questions: Questions
    data: Data
    time: Time
    candidates: dict[str, Candidate]
    selection: SelectionRule
    gates: Gates
    validity: Validity
    automation: Automation
    monitoring: Monitoring
    waivers: WaiverRule | None = None
    proposed: ProposedSettings | None = None
    leakage: Leakage | None = None

    @property
    def task(self) -> Task:
        """A yes or no where the target has a rule, else a number."""
        return "regression" if self.data.target.rule is None else "classification"

    @property
    def reference(self) -> str:
        """Name of the candidate that the others must beat; a sound file has one."""
        return next(name for name, item in self.candidates.items() if item.role == "reference")
