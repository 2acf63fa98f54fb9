"""Every kind of entity that follows from the events, one a file, and the list of all."""

from __future__ import annotations

from ledger.views.entities.anchors import ANCHORS, AnchorState
from ledger.views.entities.automations import AUTOMATIONS, AutomationState
from ledger.views.entities.corrections import CORRECTIONS, CorrectionState
from ledger.views.entities.decisions import DECISIONS, DecisionState
from ledger.views.entities.environments import ENVIRONMENTS, EnvironmentState
from ledger.views.entities.evaluations import EVALUATIONS, EvaluationState
from ledger.views.entities.findings import FINDINGS, FindingState
from ledger.views.entities.gates import GATES, GateState
from ledger.views.entities.histories import HISTORIES, HistoryState
from ledger.views.entities.keys import KEYS, KeyState
from ledger.views.entities.links import LINKS, LinkState
from ledger.views.entities.looks import LOOKS, LookState
from ledger.views.entities.models import MODELS, ModelState
from ledger.views.entities.periods import PERIODS, PeriodState
from ledger.views.entities.pipelines import PIPELINES, Championship, PipelineState
from ledger.views.entities.predictions import PREDICTIONS, PredictionState
from ledger.views.entities.reproductions import REPRODUCTIONS, ReproductionState
from ledger.views.entities.runs import RUNS, RunState
from ledger.views.entities.slices import SLICES, SliceState
from ledger.views.entities.trials import TRIALS, TrialState
from ledger.views.entities.waivers import WAIVERS, WaiverState
from ledger.views.entities.windows import WINDOWS, WindowState
from ledger.views.projection import Projection, State

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
