"""What should be in a ledger and is not: omissions are a bigger risk than edits.

A ledger can prove that nothing in it was changed, and not that everything was written down. Here is what can be seen
of the second from within: steps without the step that belongs before them, time that passed without the look that was
promised, exceptions and models that are past their end.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from tallystick.ledger.events import types as say
from tallystick.ledger.events.sentences import count
from tallystick.ledger.events.unknown import is_unknown
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.query.steps import counts_in_steps
from tallystick.ledger.views.entities import ModelState, PipelineState
from tallystick.pipeline.config.canonical import RegisteredTime, configuration_of, meaning_in, registration_at
from tallystick.pipeline.config.diff import config_changes
from tallystick.pipeline.config.durations import parse_span, windows_between_looks
from tallystick.pipeline.config.gate_rules import asked
from tallystick.pipeline.governance.gates import known_gates
from tallystick.pipeline.governance.waivers import expired_under, that_weigh

SOON = dt.timedelta(days=14)
MOST_PERIODS = 1_000
LOOKED_AT = frozenset(
    body.TYPE
    for body in (
        say.PipelineRegistered, say.RunStarted, say.RunFinished, say.RunFailed, say.SliceTaken, say.WindowDescribed,
        say.WindowEvaluated, say.CandidateRefitted, say.PromotionDecided, say.ModelPromoted, say.ModelRetired,
        say.GateEvaluated, say.WaiverGranted, say.WaiverEnded, say.PeriodMonitored, say.EventCorrected,
    )
)  # fmt: skip
"""Types of events that the gaps below follow from."""


class Gap(NamedTuple):
    """One thing that is missing, or will be soon."""

    code: str
    level: Literal["missing", "soon"]
    handle: str
    sentence: str
    next: str


def audit(now: Snapshot, has_file: Callable[[str], bool]) -> list[Gap]:
    """Every gap at a moment, in the order of the ledger's kinds.

    Parameters
    ----------
    has_file : callable
        Whether an artifact is in the ledger's folder today, by its hash.
    """
    gaps = [*_erased(now), *_unregistered(now), *_runs(now, now.zone), *_waivers(now, now.zone)]
    for pipeline in now.pipelines():
        # Erased: named above, and what it asked for cannot be missed.
        is_readable = registration_at(now, pipeline.registered_by) is not None
        if is_readable:
            gaps += _configuration(now, pipeline)
        champion = now.champion_if_known(pipeline.pipeline)
        if isinstance(champion, ModelState):
            gaps += _champion(now, has_file, pipeline, champion)
            if is_readable:
                gaps += _questions(now, pipeline, champion)
                gaps += _unwatched(now, pipeline, champion)
    return gaps


def _erased(now: Snapshot) -> Iterator[Gap]:
    """Erased content: whatever was missing there cannot be seen any more."""
    for item in now.erased(LOOKED_AT):
        words = f"{item.words[0].upper()}{item.words[1:]}; nobody can say any more what it held."
        yield Gap("erased", "missing", f"#{item.event.seq}", words, f"tally show '#{item.event.seq}'")


def _unregistered(now: Snapshot) -> Iterator[Gap]:
    """Pipelines with runs whose configuration does not count any more: nothing can be held against it."""
    registered = {pipeline.pipeline for pipeline in now.pipelines()}
    for name in sorted({run.pipeline for run in now.runs() if not is_unknown(run.pipeline)} - registered):
        words = f"Runs of {name} are recorded, and no configuration of it that counts."
        yield Gap("no-registration", "missing", f"pipeline:{name}", words, "tally run FILE.toml")


def _runs(now: Snapshot, zone: ZoneInfo) -> Iterator[Gap]:
    for run in now.runs():
        handle = f"run:{run.run}"
        if run.status != "running" and run.slice is None:
            yield Gap("no-slice", "missing", handle, f"Run {run.run} recorded no data slice.", "tally run FILE.toml")
        if run.status == "running" and now.moment - run.started_at > dt.timedelta(days=1):
            words = f"Run {run.run} began on {run.started_at.astimezone(zone):%Y-%m-%d} and never ended."
            yield Gap("no-end", "missing", handle, words, "The next run on that machine closes it.")


def _waivers(now: Snapshot, zone: ZoneInfo) -> Iterator[Gap]:
    moment = now.moment
    for waiver in that_weigh(now):
        if waiver.until - moment <= SOON:
            words = (
                f"Waiver {waiver.waiver} ends on {waiver.until.astimezone(zone):%Y-%m-%d}; from then on gate "
                f"{waiver.name} of {waiver.model} counts again. {waiver.owner} answers for it."
            )
            yield Gap("waiver-ends", "soon", f"waiver:{waiver.waiver}", words, f"tally waive {waiver.name} …")


def _champion(
    now: Snapshot, has_file: Callable[[str], bool], pipeline: PipelineState, champion: ModelState
) -> Iterator[Gap]:
    handle, name = f"model:{champion.model}", champion.model
    run = now.run(champion.made_by_run)
    if not run.windows_evaluated:
        yield Gap(
            "no-evaluation", "missing", handle, f"{name} decides and was never judged on any window.",
            "tally run FILE.toml",
        )  # fmt: skip
    decided = [state for state in now.decisions() if state.model == name and state.outcome in ("promotion", "rollback")]
    if not decided:
        words = f"{name} was made champion without a decision that says what its gates were."
        yield Gap("no-decision", "missing", handle, words, f"tally explain {run.run}")
    # What an erasure made unknown is missing once, as erased.
    if not is_unknown(champion.artifact) and not has_file(champion.artifact):
        words = f"The file of {name} ({champion.artifact[:12]}…) is not in this ledger's folder."
        yield Gap("no-file", "missing", handle, words, "tally verify --read-data")
    intended_for = None if is_unknown(champion.intended_for) else champion.intended_for
    by_calendar = not counts_in_steps(now, pipeline.pipeline)
    if by_calendar and intended_for is not None and intended_for[1] <= now.moment:
        until = intended_for[1].astimezone(now.zone)
        words = f"{name} decides for {pipeline.pipeline} and was intended for times before {until:%Y-%m-%d}."
        yield Gap("past-validity", "missing", handle, words, "Run the pipeline on newer data: tally run FILE.toml")
    for item in expired_under(now, champion, now.zone):
        yield Gap("waiver-ended", "missing", f"gate:{item.gate.gate}", item.sentence, f"tally waive {item.gate.name} …")


def _questions(now: Snapshot, pipeline: PipelineState, champion: ModelState) -> Iterator[Gap]:
    """What the configuration asks of a champion and the ledger has no answer to."""
    gates = {state.name: state for state in known_gates(now, champion.model)}
    for name in asked(configuration_of(now, pipeline.pipeline).gates):
        if name not in gates:
            words = f"The configuration asks for gate {name}; {champion.model} was never held against it."
            yield Gap("no-answer", "missing", f"model:{champion.model}", words, f"tally promote {champion.model} …")
        elif gates[name].verdict == "open":
            words = f"Gate {name} of {champion.model} has no answer yet: {gates[name].sentence}"
            yield Gap("no-answer", "missing", f"gate:{gates[name].gate}", words, f"tally show gate:{gates[name].gate}")


def _configuration(now: Snapshot, pipeline: PipelineState) -> Iterator[Gap]:
    """Gates that were taken away after results had been seen."""
    seen = [window.first_opened_at for window in now.windows() if window.pipeline == pipeline.pipeline]
    newest = meaning_in(registration_at(now, pipeline.registered_by))
    found: set[str] = set()
    for state in now.versions(PipelineState, pipeline.pipeline):
        if state.registered_by == pipeline.registered_by or not seen:
            continue
        body = registration_at(now, state.registered_by)
        if body is None:
            continue
        found |= {
            change.path[1]
            for change in config_changes(body.meaning, newest)
            if change.path[0] == "gates" and len(change.path) == 2 and change.removed
        }
    for gate in sorted(found):
        words = f"Gate {gate} was asked for before and is not any more."
        yield Gap("gate-gone", "missing", f"pipeline:{pipeline.pipeline}", words, f"tally story {pipeline.pipeline}")


def _unwatched(now: Snapshot, pipeline: PipelineState, champion: ModelState) -> Iterator[Gap]:
    """Whole periods in which the champion decided, that are over, and that nobody watched as often as the file says."""
    configuration = configuration_of(now, pipeline.pipeline)
    time = configuration.time
    assert pipeline.champion is not None
    begin = pipeline.champion.since
    if is_unknown(begin):
        return
    if champion.intended_for is not None and not is_unknown(champion.intended_for):
        begin = max(begin, champion.intended_for[0])
    zone = ZoneInfo(time.timezone)
    window = parse_span(time.window)
    # A file of an earlier version may say what is no multiple of a window: then every window is meant.
    together = windows_between_looks(parse_span(configuration.monitoring.every), window) or 1
    watched = {period.label for period in now.periods() if period.pipeline == pipeline.pipeline}
    labels = list(_periods(begin.astimezone(zone), now.moment, time, zone))
    for first in range(0, len(labels) - together + 1, together):
        row = labels[first : first + together]
        if watched.isdisjoint(row):
            which = f"{row[0]} is over" if together == 1 else f"{row[0]} to {row[-1]} are over"
            words = f"{which}, {champion.model} decided in {'it' if together == 1 else 'them'}, and nobody looked how "
            yield Gap(
                "not-watched", "missing", f"pipeline:{pipeline.pipeline}", f"{words}it did.",
                f"tally monitor FILE.toml --period {row[-1]}",
            )  # fmt: skip


def _periods(begin: dt.datetime, moment: dt.datetime, time: RegisteredTime, zone: ZoneInfo) -> Iterator[str]:
    """Windows, by their labels, that lie wholly between two moments, labels mature included."""
    step = parse_span(time.window)
    delay = dt.timedelta(microseconds=parse_span(time.label_delay).exact_micros("label_delay"))
    day = begin.date() + dt.timedelta(days=1)
    if step.months:
        day = dt.date(begin.year + begin.month // 12, begin.month % 12 + 1, 1)
    for _ in range(MOST_PERIODS):
        if step.months:
            index = day.year * 12 + day.month - 1 + step.months
            following = dt.date(index // 12, index % 12 + 1, 1)
        else:
            following = day + dt.timedelta(microseconds=step.micros)
        end = dt.datetime.combine(following, dt.time(), zone)
        if end + delay > moment or following <= day:
            return
        yield f"{day:%Y-%m}" if step.months == 1 else day.isoformat()
        day = following


def audit_words(gaps: list[Gap]) -> str:
    """How it stands, in one sentence."""
    missing = sum(gap.level == "missing" for gap in gaps)
    soon = len(gaps) - missing
    said = f"{count(missing, 'thing')} should be here and {'is' if missing == 1 else 'are'} not" if missing else ""
    later = f"{count(soon, 'exception')} about to end" if soon else ""
    if not gaps:
        return "Nothing that should be here is missing, as far as a ledger can tell."
    return "; ".join(part for part in (said, later) if part) + "."
