"""What a ledger holds of one look at a period: the event, its findings, and when it was recorded."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from tallystick.ledger.errors import NotFound
from tallystick.ledger.events import types as say
from tallystick.ledger.events.unknown import Unknown
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.entities import PeriodState
from tallystick.pipeline.config.windows import with_empty


class PeriodRecord(NamedTuple):
    """One look, as it was recorded."""

    body: say.PeriodMonitored
    findings: list[say.FindingMade]
    recorded_at: dt.datetime
    actor: str
    seq: int
    commit: str
    looks: int
    """How many looks at this period were recorded up to this one, itself included."""
    first_at: dt.datetime
    """When the first of them was."""
    late: dt.timedelta
    """How long after the end of the period this look was recorded."""


def newest_period(snapshot: Snapshot, pipeline: str, label: str | None = None) -> PeriodState:
    """The period of a pipeline that was looked at last, or the one with a label, as known then.

    Raises
    ------
    NotFound
    """
    known = [state for state in snapshot.periods() if state.pipeline == pipeline]
    if label is not None:
        known = [state for state in known if state.label == label]
    newest = max(known, key=lambda state: state.described_by, default=None)
    # A look of which the label is known was of that period, whatever was erased since.
    if (label is None or newest is None) and (unknown := erased_since(snapshot, pipeline, newest)) is not None:
        raise NotFound(
            f"Which period of {pipeline} was looked at last is {unknown.words}.", f"tally story pipeline:{pipeline}"
        )
    if newest is None:
        names = sorted(state.pipeline for state in snapshot.pipelines())
        if pipeline not in names:
            raise NotFound(f"There is no pipeline {pipeline!r}.", f"There is {', '.join(names) or 'none yet'}.")
        watched = ", ".join(state.label for state in snapshot.periods() if state.pipeline == pipeline)
        raise NotFound(
            f"Nobody has watched {pipeline}{f' in {label}' if label else ''} yet. What is asked for is what was "
            f"{snapshot.as_of.words}.",
            f"Watched were {watched}." if watched else "`tally monitor FILE.toml --period …` watches one.",
        )
    return newest


def erased_since(snapshot: Snapshot, pipeline: str, last: PeriodState | None) -> Unknown | None:
    """What stands in place of the newest look at a pipeline, where it was erased after the last that is known."""
    erased = [item for item in snapshot.erased([say.PeriodMonitored.TYPE]) if item.may_be("pipeline", pipeline)]
    newest = erased[-1] if erased else None
    return newest.erasure.unknown if newest and (last is None or newest.event.seq > last.described_by) else None


def period_record(now: Snapshot, state: PeriodState) -> PeriodRecord:
    """Everything of the look that a state describes; later looks are not seen.

    Raises
    ------
    Damaged
        Where the look was erased.
    """
    entry = now.event(state.described_by).entry
    commit = now.commit_of(state.described_by)
    found = now.counted_events(state.described_by, commit.last_seq, types=[say.FindingMade.TYPE])
    findings = [other.event.body for other in found if other.event.body.period == state.period]
    looks = [look for look in now.versions(PeriodState, state.period) if look.seq <= state.described_by]
    first = looks[0]
    end = entry.event.about.observed_in[1] if entry.event.about and entry.event.about.observed_in else entry.recorded_at
    return PeriodRecord(
        body=entry.event.body,
        findings=findings,
        recorded_at=entry.recorded_at,
        actor=entry.actor,
        seq=entry.seq,
        commit=now.commit_handle(commit.n),
        looks=len(looks),
        first_at=first.monitored_at,
        late=entry.recorded_at - end,
    )


Number = Annotated[float, Meta(ge=-1e12, le=1e12)]


class _Level(msgspec.Struct):
    level: str
    inside: Number
    mix: Number


class _Part(msgspec.Struct):
    segment: str
    change: Number
    inside: Number
    mix: Number
    levels: list[_Level]


class _Movement(msgspec.Struct):
    feature: str
    psi: Number
    own_highest: Number


class _Standing(msgspec.Struct):
    low: Number
    high: Number


class _Drawable(msgspec.Struct):
    label: str
    own_windows: list[str]
    own: dict[str, list[Number]]
    statistics: dict[str, Number | None]
    decompositions: list[_Part]
    movements: list[_Movement]
    standings: dict[str, _Standing] = {}
    rule: str | None = None
    empty_windows: list[str] = []


class Path(NamedTuple):
    """One statistic over the own windows and the period itself, with where it was expected."""

    name: str
    values: list[float | None]
    """By :func:`drawn_labels`, the period last; None where the file declares that there are no rows."""
    low: float | None
    high: float | None
    foretold: bool
    """Whether the ends were foretold; else they are the smallest and largest of the own windows."""


def paths_of(facts: dict[str, Any]) -> list[Path]:
    """The statistics of a look that can be drawn over time, of :func:`drawable` facts.

    Looks of the first form had other statistics and were judged by the range of the own windows.
    """
    if facts.get("rule") is None:
        names = ("loss", "extra_loss", "level", "auc")
        ends = {name: (min(own), max(own)) for name, own in facts["own"].items() if own}
        return [Path(name, values, *ends.get(name, (None, None)), False) for name, values in _series(facts, names)]
    standings, numbers = facts["standings"], facts["statistics"]
    bands: dict[str, tuple[float | None, float | None]] = {}
    if "level" in standings:
        bands["level"] = (standings["level"]["low"], standings["level"]["high"])
    if "spread" in standings:
        bands["spread"] = (None, standings["spread"]["high"])
    ranking = "auc" if numbers.get("auc") is not None else "ranking"
    if "ranking" in standings:
        high = standings["ranking"]["high"]
        bands[ranking] = (numbers.get("expected_auc", 0.0) - high, None) if ranking == "auc" else (None, high)
    names = ("loss", "level", ranking, "spread")
    return [Path(name, values, *bands.get(name, (None, None)), True) for name, values in _series(facts, names)]


def drawn_labels(facts: dict[str, Any]) -> list[str]:
    """The own windows and the period itself, with those between that the file declares empty."""
    return with_empty([*facts["own_windows"], facts["label"]], facts.get("empty_windows", []))


def _series(facts: dict[str, Any], names: tuple[str, ...]) -> list[tuple[str, list[float | None]]]:
    found = []
    for name in names:
        own, now = facts["own"].get(name, []), facts["statistics"].get(name)
        if now is not None and len(own) == len(facts["own_windows"]):
            values = dict(zip([*facts["own_windows"], facts["label"]], [*own, now], strict=True))
            found.append((name, [values.get(label) for label in drawn_labels(facts)]))
    return found


def drawable(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts of a period where they have the shape that pictures are drawn from, else none.

    They are free-form in the ledger, and a ledger may be a stranger's.
    """
    try:
        msgspec.convert(facts, _Drawable)
    except msgspec.ValidationError:
        return {}
    return facts
