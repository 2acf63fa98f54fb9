"""What was known, at one time, about another: two axes, and how late each piece of knowledge came."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple, cast

from tallystick.ledger.events.event import Period
from tallystick.ledger.views.entities.corrections import CORRECTIONS, CorrectionState
from tallystick.ledger.views.entities.evaluations import EVALUATIONS, EvaluationState
from tallystick.ledger.views.entities.models import MODELS, ModelState
from tallystick.ledger.views.entities.periods import PERIODS, PeriodState
from tallystick.ledger.views.entities.slices import SLICES, SliceState
from tallystick.ledger.views.store import Views


class Known(NamedTuple):
    """What one run found of one candidate in one window."""

    evaluation: EvaluationState
    late: dt.timedelta | None
    """From the end of the window to when it was recorded; None where the window has no period."""
    superseded: bool
    """Whether a later run evaluated the same candidate in the same window again."""


class Knowledge(NamedTuple):
    """Everything that touches a period."""

    about: Period
    known: list[Known]
    slices: list[SliceState]
    """Data that holds rows of the period."""
    models: list[ModelState]
    """Models that are intended for some of it."""
    periods: list[PeriodState]
    """What was seen where a champion was watched in some of it."""


def know(views: Views, about: Period, position: int, pipeline: str | None = None) -> Knowledge:
    """What was known at a position about a period, of one pipeline or all; each run's finding stands for itself."""
    known: list[Known] = []
    aside = {int(state.correction) for state in cast("list[CorrectionState]", views.all(CORRECTIONS, position))}
    for state in cast("list[EvaluationState]", views.all(EVALUATIONS, position)):
        if not _wanted(state.tested_on, about) or pipeline not in (None, state.pipeline):
            continue
        by_run: dict[str, EvaluationState] = {}
        for version in views.history(EVALUATIONS, state.evaluation, -1, position):
            # What was set aside is no finding any more, and not one that a later run took the place of.
            if version.state is not None and version.state.seq not in aside:
                evaluation = cast("EvaluationState", version.state)
                by_run[evaluation.run] = evaluation
        for run, evaluation in by_run.items():
            late = evaluation.evaluated_at - evaluation.tested_on[1] if evaluation.tested_on else None
            known.append(Known(evaluation, late, run != state.run))
    known.sort(key=lambda item: (item.evaluation.tested_on or about, item.evaluation.window, item.evaluation.candidate,
                                 item.evaluation.evaluated_at))  # fmt: skip
    slices = [
        state
        for state in cast("list[SliceState]", views.all(SLICES, position))
        if _wanted(state.period, about) and pipeline in (None, state.pipeline)
    ]
    models = [
        state
        for state in cast("list[ModelState]", views.all(MODELS, position))
        if _wanted(state.intended_for, about) and pipeline in (None, state.pipeline)
    ]
    periods = [
        state
        for state in cast("list[PeriodState]", views.all(PERIODS, position))
        if _wanted(state.about, about) and pipeline in (None, state.pipeline)
    ]
    return Knowledge(about, known, slices, models, periods)


def _wanted(period: Period | None, about: Period) -> bool:
    return period is not None and period[0] < about[1] and about[0] < period[1]
