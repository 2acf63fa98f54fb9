"""Every kind of entity that follows from the events, one a file, and the list of all."""

from __future__ import annotations

from tallystick.ledger.views.entities.anchors import ANCHORS, AnchorState
from tallystick.ledger.views.entities.approvals import APPROVALS, ApprovalState
from tallystick.ledger.views.entities.automations import AUTOMATIONS, AutomationState
from tallystick.ledger.views.entities.corrections import CORRECTIONS, CorrectionState
from tallystick.ledger.views.entities.decisions import DECISIONS, DecisionState
from tallystick.ledger.views.entities.environments import ENVIRONMENTS, EnvironmentState
from tallystick.ledger.views.entities.evaluations import EVALUATIONS, EvaluationState
from tallystick.ledger.views.entities.findings import FINDINGS, FindingState
from tallystick.ledger.views.entities.gates import GATES, GateState
from tallystick.ledger.views.entities.histories import HISTORIES, HistoryState
from tallystick.ledger.views.entities.keys import KEYS, KeyState
from tallystick.ledger.views.entities.links import LINKS, LinkState
from tallystick.ledger.views.entities.looks import LOOKS, LookState
from tallystick.ledger.views.entities.models import MODELS, ModelState
from tallystick.ledger.views.entities.periods import PERIODS, PeriodState
from tallystick.ledger.views.entities.pipelines import PIPELINES, Championship, PipelineState
from tallystick.ledger.views.entities.predictions import PREDICTIONS, PredictionState
from tallystick.ledger.views.entities.reproductions import REPRODUCTIONS, ReproductionState
from tallystick.ledger.views.entities.runs import RUNS, RunState
from tallystick.ledger.views.entities.slices import SLICES, SliceState
from tallystick.ledger.views.entities.trial_files import TRIAL_FILES, TrialFileState
from tallystick.ledger.views.entities.trial_metrics import TRIAL_METRICS, TrialMetricState
from tallystick.ledger.views.entities.trials import TRIALS, TrialState
from tallystick.ledger.views.entities.waivers import WAIVERS, WaiverState
from tallystick.ledger.views.entities.windows import WINDOWS, WindowState
from tallystick.ledger.views.projection import Projection, State

PROJECTIONS: tuple[Projection, ...] = (
    PIPELINES,
    RUNS,
    MODELS,
    SLICES,
    WINDOWS,
    EVALUATIONS,
    DECISIONS,
    APPROVALS,
    GATES,
    WAIVERS,
    LOOKS,
    REPRODUCTIONS,
    PREDICTIONS,
    PERIODS,
    FINDINGS,
    AUTOMATIONS,
    TRIALS,
    TRIAL_METRICS,
    TRIAL_FILES,
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
    "ApprovalState",
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
    "TrialFileState",
    "TrialMetricState",
    "TrialState",
    "WaiverState",
    "WindowState",
]  # fmt: skip
