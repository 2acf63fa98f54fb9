"""Every kind of entity that follows from the events, one a file, and the list of all."""

from __future__ import annotations

from tallystick.ledger.views.entities.aliases import ALIASES, AliasState
from tallystick.ledger.views.entities.anchors import ANCHORS, AnchorState
from tallystick.ledger.views.entities.approvals import APPROVALS, ApprovalState
from tallystick.ledger.views.entities.automations import AUTOMATIONS, AutomationState
from tallystick.ledger.views.entities.corrections import CORRECTIONS, CorrectionState
from tallystick.ledger.views.entities.curves import CURVES, CurveState
from tallystick.ledger.views.entities.decisions import DECISIONS, DecisionState
from tallystick.ledger.views.entities.environments import ENVIRONMENTS, EnvironmentState
from tallystick.ledger.views.entities.evaluations import EVALUATIONS, EvaluationState
from tallystick.ledger.views.entities.experiments import EXPERIMENTS, ExperimentState
from tallystick.ledger.views.entities.filed import FILED, FiledState
from tallystick.ledger.views.entities.findings import FINDINGS, FindingState
from tallystick.ledger.views.entities.gates import GATES, GateState
from tallystick.ledger.views.entities.histories import HISTORIES, HistoryState
from tallystick.ledger.views.entities.keys import KEYS, KeyState
from tallystick.ledger.views.entities.links import LINKS, LinkState
from tallystick.ledger.views.entities.logged_models import LOGGED_MODELS, LoggedModelState
from tallystick.ledger.views.entities.looks import LOOKS, LookState
from tallystick.ledger.views.entities.model_versions import MODEL_VERSIONS, ModelVersionState
from tallystick.ledger.views.entities.models import MODELS, ModelState
from tallystick.ledger.views.entities.notes import NOTES, NoteState
from tallystick.ledger.views.entities.periods import PERIODS, PeriodState
from tallystick.ledger.views.entities.pipelines import PIPELINES, Championship, PipelineState
from tallystick.ledger.views.entities.predictions import PREDICTIONS, PredictionState
from tallystick.ledger.views.entities.registered_models import REGISTERED_MODELS, RegisteredModelState
from tallystick.ledger.views.entities.reproductions import REPRODUCTIONS, ReproductionState
from tallystick.ledger.views.entities.runs import RUNS, RunState
from tallystick.ledger.views.entities.slices import SLICES, SliceState
from tallystick.ledger.views.entities.tags import TAGS, TagState
from tallystick.ledger.views.entities.trial_files import TRIAL_FILES, TrialFileState
from tallystick.ledger.views.entities.trial_links import TRIAL_LINKS, TrialLinkState
from tallystick.ledger.views.entities.trial_metrics import TRIAL_METRICS, TrialMetricState
from tallystick.ledger.views.entities.trial_params import TRIAL_PARAMS, TrialParamState
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
    TRIAL_PARAMS,
    TRIAL_LINKS,
    NOTES,
    CURVES,
    EXPERIMENTS,
    LOGGED_MODELS,
    REGISTERED_MODELS,
    MODEL_VERSIONS,
    ALIASES,
    FILED,
    TAGS,
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
_UNNAMED = (LINKS, TAGS, CURVES, FILED, TRIAL_LINKS, TRIAL_PARAMS)
NAMED = tuple(projection for projection in PROJECTIONS if projection not in _UNNAMED)
"""Those whose entities people name; the others are only walked along, or are parts of an entity."""

__all__ = [
    "BY_KEY",
    "BY_NAME",
    "BY_STATE",
    "NAMED",
    "PROJECTIONS",
    "AliasState",
    "AnchorState",
    "ApprovalState",
    "AutomationState",
    "Championship",
    "CorrectionState",
    "CurveState",
    "DecisionState",
    "EnvironmentState",
    "EvaluationState",
    "ExperimentState",
    "FiledState",
    "FindingState",
    "GateState",
    "HistoryState",
    "KeyState",
    "LinkState",
    "LoggedModelState",
    "LookState",
    "ModelState",
    "ModelVersionState",
    "NoteState",
    "PeriodState",
    "PipelineState",
    "PredictionState",
    "RegisteredModelState",
    "ReproductionState",
    "RunState",
    "SliceState",
    "TagState",
    "TrialFileState",
    "TrialLinkState",
    "TrialMetricState",
    "TrialParamState",
    "TrialState",
    "WaiverState",
    "WindowState",
]  # fmt: skip
