"""How models come to decide and stop deciding: checks, gates, waivers, promotions, looks, repeats, automation."""

from __future__ import annotations

from typing import Literal

from tallystick.ledger.events.event import Instant
from tallystick.ledger.events.types.runs import Metric
from tallystick.ledger.events.types.schema import (
    ArtifactRef,
    AutomationRef,
    Body,
    Count,
    DecisionRef,
    EnvironmentRef,
    Fact,
    GateRef,
    HexHash,
    Json,
    LookRef,
    ModelRef,
    PipelineRef,
    ReproductionRef,
    RunRef,
    WaiverRef,
    Words,
    released,
)


class Check(Fact, frozen=True, kw_only=True):
    """One question asked of the data, and its answer."""

    check: str
    """A stable name: ``availability``, ``single feature``, ``canary`` …"""
    subject: str | None
    """The column, feature or window that it is about; null for the whole."""
    result: Literal["pass", "look", "fail"]
    facts: Json
    sentence: str


@released("leakage.checked", 1)
class LeakageChecked(Body, frozen=True, kw_only=True):
    """Whether a run's data tells what could not have been known: every check with its numbers."""

    run: RunRef
    pipeline: PipelineRef
    result: Literal["pass", "look", "fail"]
    """The worst of the checks."""
    checks: list[Check]


class LeakAnswer(Fact, frozen=True, kw_only=True):
    """Why a feature is known in time, by somebody who answers for it."""

    why: str
    by: str
    second: str | None
    """Who agreed, where it takes two."""
    where: Literal["file", "ledger"]


class LeakQuestion(Fact, frozen=True, kw_only=True):
    """What a run asks about one feature."""

    subject: str
    """The feature; ``(run)`` for the run as a whole."""
    checks: list[str]
    """Names of the checks that ask."""
    sentence: str
    left: float | None
    """Share of the uncertainty that the feature alone leaves; null where that was not measured."""
    left_error: float | None
    answers: list[LeakAnswer]
    """What answers it; empty while it is open."""
    open_because: str | None
    """Why it is open although somebody answered; null where it is answered, or nobody did."""


@released("leakage.checked", 2)
class LeakageJudged(LeakageChecked, frozen=True, kw_only=True):
    """The same by rules that prove or ask: a check that says ``look`` is part of a question, and questions wait."""

    rule: Count
    """Version of the rules."""
    questions: list[LeakQuestion]


@released("question.answered", 1)
class QuestionAnswered(Body, frozen=True, kw_only=True):
    """A person says why a feature that a run asked about is known in time."""

    run: RunRef
    pipeline: PipelineRef
    subject: str
    checks: list[str]
    """What is answered; another check asks again."""
    why: Words
    by: str
    second: str | None
    """Who agreed, where it takes two."""
    left: float | None
    """Share of the uncertainty that the feature left then; the answer lapses where it leaves much less."""
    left_error: float | None


@released("experiment.declared", 1)
class ExperimentDeclared(Body, frozen=True, kw_only=True):
    """A run is an experiment: it may try anything, and nothing that it makes can be promoted."""

    run: RunRef
    pipeline: PipelineRef
    reason: Words


@released("experiment.crossed", 1)
class ExperimentCrossed(Body, frozen=True, kw_only=True):
    """Something learnt in an experiment is done again for production, deliberately."""

    run: RunRef
    """The production run that begins."""
    experiment: RunRef
    pipeline: PipelineRef
    reason: Words


@released("candidate.proposed", 1)
class CandidateProposed(Body, frozen=True, kw_only=True):
    """A person puts a candidate forward that the rule did not choose; its model is made in the same commit."""

    model: ModelRef
    run: RunRef
    """The run that judged it."""
    pipeline: PipelineRef
    candidate: str
    chosen: str | None
    """What the rule chose instead; null where it chose nobody."""
    reason: Words


@released("gate.evaluated", 1)
class GateEvaluated(Body, frozen=True, kw_only=True):
    """A model held against one gate of its pipeline."""

    gate: GateRef
    """Model and gate: ``late-arrivals-v1/optimism_gap``."""
    name: str
    model: ModelRef
    run: RunRef
    """The run whose record is judged."""
    pipeline: PipelineRef
    verdict: Literal["passed", "failed", "open"]
    """``open``: what it asks for has not been done yet; it blocks like a failure."""
    value: float | None
    threshold: str
    """As the configuration says it."""
    facts: Json
    sentence: str
    meaning_hash: HexHash
    """The registered configuration whose threshold was applied."""
    loosened: list[str]
    """Settings of this gate that were loosened after the windows had first been seen, old → new."""


@released("waiver.granted", 1)
class WaiverGranted(Body, frozen=True, kw_only=True):
    """A gate that did not pass is excused, by name, for one model, for a time that ends."""

    waiver: WaiverRef
    """Gate and number: ``late-arrivals-v1/optimism_gap/1``."""
    gate: GateRef
    name: str
    model: ModelRef
    pipeline: PipelineRef
    reason: Words
    owner: str
    """Who answers for it."""
    approver: str
    """Who agreed; another person than the owner."""
    until: Instant
    """From this moment on the gate counts again."""
    ends_when: str | None
    """What would end it earlier, in words."""
    evidence: str | None
    """Where the argument is written down."""
    renewal: Count
    """0 for the first, 1 for its first renewal …"""


@released("waiver.ended", 1)
class WaiverEnded(Body, frozen=True, kw_only=True):
    """A waiver is taken back before its time."""

    waiver: WaiverRef
    gate: GateRef
    model: ModelRef
    pipeline: PipelineRef
    reason: Words


class GateSeen(Fact, frozen=True, kw_only=True):
    """A gate as it stood at the moment of a promotion."""

    name: str
    verdict: Literal["passed", "failed", "open"]
    sentence: str
    waiver: str | None


@released("promotion.decided", 1)
class PromotionDecided(Body, frozen=True, kw_only=True):
    """A person decided who is champion; recorded in one commit with the change itself."""

    decision: DecisionRef
    """``late-arrivals/promotion-1``, ``late-arrivals/rollback-2``, ``late-arrivals/retirement-3``."""
    kind: Literal["promotion", "rollback", "retirement"]
    model: ModelRef
    pipeline: PipelineRef
    previous: ModelRef | None
    run: RunRef | None
    """The run whose evidence it rests on."""
    followed: DecisionRef | None
    """The decision of that run, where it chose this very model."""
    gates: list[GateSeen]
    approvals: list[str]
    """Names of those who approved with their own keys."""
    headline: str
    reason: Words


@released("model.retired", 1)
class ModelRetired(Body, frozen=True, kw_only=True):
    """A model decides no more, and no other takes its place."""

    model: ModelRef
    pipeline: PipelineRef
    decision: DecisionRef
    reason: Words


@released("final.looked", 1)
class FinalLooked(Body, frozen=True, kw_only=True):
    """Somebody is about to see results of the sealed windows; written before anything is shown."""

    look: LookRef
    """``late-arrivals/1``."""
    pipeline: PipelineRef
    run: RunRef
    model: ModelRef
    windows: tuple[str, ...]
    number: Count
    """1 for the first look."""
    budget: Count
    command: str
    candidates: tuple[str, ...]
    waiver: WaiverRef | None
    """What allowed it beyond the budget."""


class FinalWindow(Fact, frozen=True, kw_only=True):
    """One sealed window: every candidate that was shown, judged on it."""

    label: str
    test_rows: Count
    metrics: dict[str, dict[str, Metric]]
    """Candidate -> metric -> value."""
    gain: float | None
    """Of the model on the reference."""


@released("final.evaluated", 1)
class FinalEvaluated(Body, frozen=True, kw_only=True):
    """What a look at the sealed windows showed, with the discount that looks deserve."""

    look: LookRef
    pipeline: PipelineRef
    run: RunRef
    model: ModelRef
    windows: list[FinalWindow]
    gain: float | None
    """Mean over the sealed windows."""
    development_gain: float | None
    """The same over the windows that the candidate was chosen on."""
    standard_error: float | None
    """Of the difference between the two."""
    drop: float | None
    """How far the gain fell, in standard errors; negative where it rose."""
    discount: float
    """What the best of as many noise candidates, or looks, would gain by luck; already taken off ``discounted``."""
    discounted: float | None
    prediction_hash: HexHash
    predictions: ArtifactRef
    losses: ArtifactRef
    facts: Json
    sentence: str


@released("run.reproduced", 1)
class RunReproduced(Body, frozen=True, kw_only=True):
    """A run was done again from what was recorded, and compared."""

    reproduction: ReproductionRef
    """Run and number: ``2026-11-23.1/1``."""
    run: RunRef
    pipeline: PipelineRef
    environment: EnvironmentRef
    """Where it was done again."""
    verdict: Literal["identical", "equal", "different", "cannot compare"]
    workers: Count
    tolerance: float
    result_hash: HexHash | None
    largest_difference: float | None
    """Between predictions of the same row."""
    changed_decisions: Count | None
    """Rows that fall on the other side of one half."""
    first_window: str | None
    first_candidate: str | None
    """Where the first difference is, in the order of windows and candidates."""
    missing: list[str]
    """What it cannot be compared without, in words."""
    facts: Json
    sentence: str


@released("automation.changed", 1)
class AutomationChanged(Body, frozen=True, kw_only=True):
    """A person unlocked a level of automation after enough quiet periods, or gave it back."""

    automation: AutomationRef
    """Name of the pipeline."""
    pipeline: PipelineRef
    level: Literal["manual", "suggest", "auto_refit"]
    before: Literal["manual", "suggest", "auto_refit"]
    quiet_periods: Count
    needed: Count
    approvers: list[str]
    reason: Words
