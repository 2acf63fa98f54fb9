"""Trials, experiments and registered models: what notebooks, training loops and other recorders told."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import repeat, starmap
from typing import Any, NamedTuple, cast

from tallystick.ledger.errors import NotFound
from tallystick.ledger.events import types as say
from tallystick.ledger.events.event import Event
from tallystick.ledger.query.entities import EntityReader
from tallystick.ledger.query.trial_filter import parse
from tallystick.ledger.views.entities import (
    AliasState,
    CurveState,
    ExperimentState,
    FiledState,
    LoggedModelState,
    ModelVersionState,
    NoteState,
    RegisteredModelState,
    TagState,
    TrialFileState,
    TrialLinkState,
    TrialMetricState,
    TrialParamState,
    TrialState,
)
from tallystick.ledger.views.entities.curves import CURVES
from tallystick.ledger.views.entities.filed import FILED
from tallystick.ledger.views.entities.tags import TAGS
from tallystick.ledger.views.entities.trial_links import TRIAL_LINKS

SEPARATOR = "\x1f"
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class CurvePoint(NamedTuple):
    """One number of a curve."""

    step: int | None
    value: float
    """It may be infinite or NaN."""
    at_ms: int
    """Milliseconds since 1970, UTC."""
    model: str | None = None
    dataset: str | None = None
    dataset_digest: str | None = None


def number_of(metric: TrialMetricState) -> float:
    """The newest number of a metric, as a float that may be infinite or NaN."""
    return metric.value if metric.value is not None else _NOT_FINITE[metric.not_finite or "nan"]


class TrialReader(EntityReader):
    """What trackers ask, beside the entities of pipelines."""

    def trials(
        self, where: str | None = None, order: str | None = None, *, largest_first: bool = False, removed: bool = False
    ) -> list[TrialState]:
        """What notebooks and training loops tried, in the order in which it was recorded.

        Parameters
        ----------
        where : str, optional
            Conditions such as ``loss < 0.5 and params.depth = 4``; see :mod:`ledger.query.trial_filter`.
        order : str, optional
            A metric: smallest first. A trial whose newest number is NaN comes last, before those without any.
        removed : bool, optional
            With those that were removed.

        Raises
        ------
        InvalidInput
            For a condition that cannot be read.
        """
        found = [state for state in self._all(TrialState) if removed or not state.removed]
        if where:
            conditions = parse(where)
            values = self._values(found)
            found = [state for state in found if all(one.holds(values[state.trial]) for one in conditions)]
        if order is not None:
            found = self._ordered(found, order, largest_first)
        return found

    def _ordered(self, trials: list[TrialState], metric: str, largest_first: bool) -> list[TrialState]:
        newest: dict[str, float] = {}
        for state in self._all(TrialMetricState):
            if state.name == metric and state.model is None:
                newest[state.trial] = number_of(state)

        def rank(trial: TrialState) -> tuple[int, float]:
            value = newest.get(trial.trial)
            if value is None:
                return 2, 0.0
            return (1, 0.0) if math.isnan(value) else (0, -value if largest_first else value)

        return sorted(trials, key=rank)

    def _values(self, trials: list[TrialState]) -> dict[str, dict[str, Mapping[str, Any]]]:
        """What conditions are held against, by trial."""
        metrics: dict[str, dict[str, Any]] = {}
        for metric in self._all(TrialMetricState):
            metrics.setdefault(metric.trial, {})[metric.name] = number_of(metric)
        params: dict[str, dict[str, Any]] = {}
        for param in self._all(TrialParamState):
            params.setdefault(param.trial, {})[param.name] = param.value
        tags: dict[str, dict[str, Any]] = {}
        for tag in self._all(TagState):
            tags.setdefault(tag.owner, {})[tag.name] = tag.value
        names = {state.experiment: state.name for state in self._all(ExperimentState)}
        return {
            trial.trial: {
                "metric": metrics.get(trial.trial, {}),
                "params": params.get(trial.trial, {}),
                "tags": tags.get(f"trial:{trial.trial}", {}),
                "field": {
                    "name": trial.name,
                    "trial": trial.trial,
                    "status": trial.status,
                    "user": trial.user or trial.by,
                    "by": trial.by,
                    "experiment": names.get(trial.experiment or "", trial.experiment),
                    "started": trial.started_at.isoformat(),
                },
            }
            for trial in trials
        }

    def trials_changed_since(self, seq: int) -> set[str] | None:
        """Whole names of trials about which anything was recorded after event ``seq``.

        None where that may be any of them: what was corrected or erased is not named by who says so.
        """
        found: set[str] = set()
        for event in self.events(seq + 1):
            if event.type in (say.EventCorrected.TYPE, say.EventRedacted.TYPE) or not isinstance(event.content, Event):
                return None
            found |= {name for _, kind, name in say.references(event.content) if kind == "trial"}
        return found

    def trial(self, name: str) -> TrialState:
        """One trial by its name or an unambiguous beginning of it; NotFound otherwise."""
        return self._names.one(TrialState, name)

    def trial_metrics(self, trial: str | None = None) -> list[TrialMetricState]:
        """The newest number of each name, of one trial by its whole name or of all."""
        found = self._all(TrialMetricState) if trial is None else self._within(TrialMetricState, trial)
        return [state for state in found if trial in (None, state.trial)]

    def trial_params(self, trial: str) -> dict[str, Any]:
        """The parameters of a trial by its whole name, those that were noted along the way among them."""
        found = self._within(TrialParamState, trial)
        return {state.name: state.value for state in found if state.trial == trial}

    def trial_files(self, trial: str | None = None) -> list[TrialFileState]:
        """Files that trials stored, of one trial by its whole name or of all."""
        found = self._all(TrialFileState) if trial is None else self._within(TrialFileState, trial)
        return [state for state in found if trial in (None, state.trial)]

    def trial_links(self, trial: str) -> list[TrialLinkState]:
        """Tables and kept models that a trial read or made."""
        found = self._views.beginning(TRIAL_LINKS, f"{trial}{SEPARATOR}", self._position)
        return cast("list[TrialLinkState]", found)

    def notes(self, trial: str) -> list[NoteState]:
        """Remarks on a trial, oldest first."""
        return [state for state in self._within(NoteState, trial) if state.trial == trial]

    def curve_names(self, trial: str) -> dict[str, int]:
        """How many numbers of each metric a trial measured."""
        found: dict[str, int] = {}
        for state in self._curves(f"{trial}{SEPARATOR}"):
            found[state.name] = found.get(state.name, 0) + state.points
        return found

    def curve(self, trial: str, metric: str) -> list[CurvePoint]:
        """Every number of a metric of one trial, in the order in which it was recorded.

        Raises
        ------
        NotFound
            When the trial measured nothing of that name; it lists what was measured.
        """
        name = self.trial(trial).trial
        events = [state.seq for state in self._curves(SEPARATOR.join((name, metric, "")))]
        if not events:
            measured = sorted(self.curve_names(name))
            raise NotFound(f"Trial {name} measured no {metric!r}.", f"It measured {', '.join(measured) or 'nothing'}.")
        points: list[CurvePoint] = []
        for event in self.some_events(events):
            if isinstance(event.content, Event) and event.counts:
                points += _points(event.content.body, metric)
        return points

    def numbers(self, trial: str) -> dict[str, list[CurvePoint]]:
        """Every number of a trial by its whole name, by metric, in the order in which it was recorded."""
        found: dict[str, list[CurvePoint]] = {}
        curves = self._curves(f"{trial}{SEPARATOR}")
        names = {state.name for state in curves}
        for event in self.some_events(sorted({state.seq for state in curves})):
            if isinstance(event.content, Event) and event.counts:
                for name in names:
                    found.setdefault(name, []).extend(_points(event.content.body, name))
        return found

    def _curves(self, prefix: str) -> list[CurveState]:
        return cast("list[CurveState]", self._views.beginning(CURVES, prefix, self._position))

    # Experiments and registered models ---------------------------------------------------------------------

    def experiments(self) -> list[ExperimentState]:
        """Named groups of trials, removed ones among them, oldest first."""
        return self._all(ExperimentState)

    def logged_models(self) -> list[LoggedModelState]:
        """Models that trials made and that are kept, removed ones among them, oldest first."""
        return self._all(LoggedModelState)

    def registered_models(self) -> list[RegisteredModelState]:
        """Names under which versions are registered, removed ones among them, oldest first."""
        return self._all(RegisteredModelState)

    def model_versions(self, registered: str | None = None) -> list[ModelVersionState]:
        """Versions, removed ones among them, of one registered model or of all, oldest first."""
        found = self._all(ModelVersionState) if registered is None else self._within(ModelVersionState, registered)
        return [state for state in found if registered in (None, state.registered)]

    def aliases(self, registered: str | None = None) -> list[AliasState]:
        """Where aliases point, of one registered model or of all; one that was taken away points nowhere."""
        found = self._all(AliasState) if registered is None else self._within(AliasState, registered)
        return [state for state in found if registered in (None, state.registered)]

    def alias_moves(self, alias: str) -> list[AliasState]:
        """Every move of an alias ``fraud-model/champion`` by its whole name, oldest first."""
        return self.versions(AliasState, alias)

    def tags(self, owner: str) -> dict[str, str]:
        """Tags of an entity by its name with its kind, ``version:fraud-model/3``."""
        found = cast("list[TagState]", self._views.beginning(TAGS, f"{owner}{SEPARATOR}", self._position))
        return {state.name: state.value for state in found if state.value is not None}

    def tag_states(self, owner: str) -> dict[str, TagState]:
        """The same with the event that each follows from, and with those that were removed."""
        found = cast("list[TagState]", self._views.beginning(TAGS, f"{owner}{SEPARATOR}", self._position))
        return {state.name: state for state in found}

    def filed(self, owner: str) -> list[FiledState]:
        """Files of an entity by its name with its kind, ``logged:m-1``."""
        found = cast("list[FiledState]", self._views.beginning(FILED, f"{owner}{SEPARATOR}", self._position))
        return [state for state in found if not state.removed]

    def table(self, kind: str) -> list[dict[str, Any]]:
        """All entities of a kind as rows, ``snapshot.table("trials")``; ``pandas.DataFrame`` takes them as they are.

        Rows of trials have their parameters, newest numbers and tags as ``params.NAME``, ``metrics.NAME``,
        ``tags.NAME``.
        """
        rows = [{field: getattr(state, field) for field in state.__struct_fields__} for state in self.states(kind)]
        if kind not in ("trial", "trials"):
            return rows
        values = self._values(self._all(TrialState))
        for row in rows:
            del row["params"]
            for group, title in (("params", "params"), ("metric", "metrics"), ("tags", "tags")):
                row |= {f"{title}.{name}": value for name, value in values[row["trial"]][group].items()}
        return rows


def _points(body: object, metric: str) -> Iterable[CurvePoint]:
    if isinstance(body, say.TrialMeasured):
        for point in body.points:
            at = int(point.at.timestamp() * 1000)
            if metric in point.values:
                yield CurvePoint(point.step, point.values[metric], at)
            elif metric in point.not_finite:
                yield CurvePoint(point.step, _NOT_FINITE[point.not_finite[metric]], at)
    elif isinstance(body, say.TrialSeries):
        for series in body.series:
            if series.key == metric:
                yield from _series_points(series)


def _series_points(series: say.Series) -> Iterable[CurvePoint]:
    values = cast("list[float]", series.values)
    if series.not_finite:
        values = [_NOT_FINITE[series.not_finite.get(str(index), "nan")] if value is None else value
                  for index, value in enumerate(series.values)]  # fmt: skip
    # A curve of 100,000 numbers is one page of another tracker: without a Python frame for each.
    about = (repeat(series.model), repeat(series.dataset), repeat(series.dataset_digest))
    return starmap(CurvePoint, zip(series.steps, values, series.at_ms, *about, strict=False))
