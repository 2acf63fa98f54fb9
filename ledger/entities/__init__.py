"""Every kind of entity that follows from the events, one a file, and the list of all."""

from __future__ import annotations

from ledger.entities.anchors import ANCHORS, AnchorState
from ledger.entities.automations import AUTOMATIONS, AutomationState
from ledger.entities.corrections import CORRECTIONS, CorrectionState
from ledger.entities.decisions import DECISIONS, DecisionState
from ledger.entities.environments import ENVIRONMENTS, EnvironmentState
from ledger.entities.evaluations import EVALUATIONS, EvaluationState
from ledger.entities.findings import FINDINGS, FindingState
from ledger.entities.gates import GATES, GateState
from ledger.entities.histories import HISTORIES, HistoryState
from ledger.entities.keys import KEYS, KeyState
from ledger.entities.links import LINKS, LinkState
from ledger.entities.looks import LOOKS, LookState
from ledger.entities.models import MODELS, ModelState
from ledger.entities.periods import PERIODS, PeriodState
from ledger.entities.pipelines import PIPELINES, Championship, PipelineState
from ledger.entities.predictions import PREDICTIONS, PredictionState
from ledger.entities.reproductions import REPRODUCTIONS, ReproductionState
from ledger.entities.runs import RUNS, RunState
from ledger.entities.slices import SLICES, SliceState
from ledger.entities.trials import TRIALS, TrialState
from ledger.entities.waivers import WAIVERS, WaiverState
from ledger.entities.windows import WINDOWS, WindowState
from ledger.projection import Projection, State

PROJECTIONS: tuple[Projection, ...] = (
    PIPELINES,
    RUNS,
    MODELS,
    SLICES,
    WINDOWS,
    EVALUATIONS,
    DECISIONS,
    GATES,
    WAIVERS,
    LOOKS,
    REPRODUCTIONS,
    PREDICTIONS,
    PERIODS,
    FINDINGS,
    AUTOMATIONS,
    TRIALS,
    ENVIRONMENTS,
    KEYS,
    ANCHORS,
    HISTORIES,
    CORRECTIONS,
    LINKS,
)
BY_NAME = {projection.name: projection for projection in PROJECTIONS}
BY_KEY = {projection.key: projection for projection in PROJECTIONS}
BY_STATE: dict[type[State], Projection] = {projection.state: projection for projection in PROJECTIONS}
NAMED = tuple(projection for projection in PROJECTIONS if projection is not LINKS)
"""Those whose entities people name; links are only walked along."""

__all__ = [
    "BY_KEY",
    "BY_NAME",
    "BY_STATE",
    "NAMED",
    "PROJECTIONS",
    "AnchorState",
    "AutomationState",
    "Championship",
    "CorrectionState",
    "DecisionState",
    "EnvironmentState",
    "EvaluationState",
    "FindingState",
    "GateState",
    "HistoryState",
    "KeyState",
    "LinkState",
    "LookState",
    "ModelState",
    "PeriodState",
    "PipelineState",
    "PredictionState",
    "ReproductionState",
    "RunState",
    "SliceState",
    "TrialState",
    "WaiverState",
    "WindowState",
]  # fmt: skip
