"""A replayed ledger as a story: where it is told, what its actor was allowed beforehand, and what each month came to.

The story is in the ledger and nowhere else. What a month came to is read from its events, so that a story that was
interrupted, or read in a year, says the same as the one that is being told.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from blake3 import blake3

from tallystick.ledger.errors import Busy, Conflict, NotFound, Refused
from tallystick.ledger.events import types as say
from tallystick.ledger.events.commit import from_micros, to_micros
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Event, encode_canonical
from tallystick.ledger.events.sentences import count
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.opening import FOLDER, create, open_ledger
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.system.file_lock import FileLock
from tallystick.ledger.system.provenance import this_process
from tallystick.ledger.system.replay_clock import StoryClock
from tallystick.ledger.views.entities import ModelState, PeriodState
from tallystick.pipeline.config.durations import parse_span, windows_between_looks
from tallystick.pipeline.config.gate_rules import asked
from tallystick.pipeline.config.load import LoadedPipeline
from tallystick.pipeline.config.registration import registration
from tallystick.pipeline.config.windows import Window, development_windows, periods_between
from tallystick.pipeline.governance import waivers

OPENING = dt.timedelta(hours=9)
"""From the moment when the last label of a month is known until somebody looks: nine in the morning of that day."""
WORKDAY = dt.timedelta(hours=10)
"""From then on nothing more is done about that month."""
LOCK_FILE = "replay.lock"


class Grants(msgspec.Struct, frozen=True, kw_only=True):
    """What people allow the story's actor beforehand; it may nothing else that takes a person."""

    waive: tuple[str, ...] = ()
    """Gates that are excused, by name, for every model that would be promoted otherwise."""
    reason: str = ""
    owner: str = ""
    approver: str = ""
    waive_for: dt.timedelta | None = None
    """How long each waiver lasts; None: as long as the file allows."""
    signed_by: tuple[str, ...] = ()
    """People who sign, with keys of their own, what the rules want signed."""

    def words(self) -> str:
        """In one sentence, as it is kept in the ledger before anything happens."""
        said = []
        if self.waive:
            days = "as long as the file allows" if self.waive_for is None else f"{self.waive_for.days} days"
            said.append(
                f"excused by name: {', '.join(self.waive)}, each model for {days}; {self.owner} answers, "
                f"{self.approver} approved: {self.reason}"
            )
        if self.signed_by:
            said.append(f"signed by {', '.join(self.signed_by)} what the rules want signed")
        return "; ".join(said) or "nothing is excused and nobody signs"


class Chapter(msgspec.Struct, frozen=True, kw_only=True):
    """What one month of a story came to."""

    label: str
    at: dt.datetime
    """When it was looked at, in the ledger's zone."""
    lines: list[str]
    """What happened, in words, in order."""
    watched: str | None
    """The status of the watched period; None where nobody decided."""
    model_watched: str | None
    finding: str | None
    """What was found, in one sentence."""
    run: str | None
    decision: str | None
    """The outcome of the run; None where there was none."""
    put_forward: str | None
    """The model that could have been promoted."""
    gates_failed: list[str]
    """Gates that did not let it pass by themselves."""
    waived: list[str]
    """Those of them that were excused."""
    promoted: bool
    champion: str | None
    level: str
    """Of automation, at the end of the month."""
    quiet_periods: int


# Where it is told ------------------------------------------------------------------------------------------


def matured(loaded: LoadedPipeline, window: Window) -> int:
    """The moment from which on every label of a window is known (microseconds UTC)."""
    return window.end + parse_span(loaded.settings.time.label_delay).exact_micros("label_delay")


def opening(loaded: LoadedPipeline, window: Window) -> dt.datetime:
    """When a month is looked at in the story, UTC."""
    return from_micros(matured(loaded, window)) + OPENING


def begin_story(folder: Path, loaded: LoadedPipeline, first: Window, grants: Grants) -> tuple[Ledger, StoryClock]:
    """Make the story's ledger in ``folder``, or open it where it broke off; its clock stands where the story is.

    Raises
    ------
    Refused
        When the ledger there is a live one, or tells another story: another file, beginning or other grants.
    """
    note = f"replay of {loaded.settings.name} from {first.label}: {grants.words()}"
    process = this_process()
    recorder = msgspec.structs.replace(process, actor=f"the replay of {process.actor}")
    if not (folder / FOLDER).exists():
        clock = StoryClock(from_micros(first.start))
        create(
            folder,
            name=f"replay/{loaded.settings.name}",
            timezone=loaded.settings.time.timezone,
            clock_kind="replayed",
            recorder=recorder,
            clock=clock,
        ).close()
    else:
        clock = _clock_of(folder)
    # Where a window is a year its months lie farther apart than a clock may jump; this one is moved deliberately.
    book = open_ledger(folder, recorder=recorder, clock=clock, allow_jump=True)
    try:
        _same_story(book, loaded, note)
    except BaseException:
        book.close()
        raise
    return book, clock


@contextlib.contextmanager
def telling(book: Ledger) -> Iterator[None]:
    """Hold the lock of whoever tells a story; two at once would tell two.

    Raises
    ------
    Busy
        When another process is telling it.
    """
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(FileLock(book.folder / LOCK_FILE, 0.2))
        except Busy as error:
            raise Busy(
                f"Another process is telling this story just now, into {book.folder.parent}. Nothing was done.",
                "Let it end, or tell another one beside it: --into FOLDER",
            ) from error
        yield


def _clock_of(folder: Path) -> StoryClock:
    with open_ledger(folder) as book:
        if book.genesis.clock != "replayed":
            raise Refused(
                f"The ledger in {folder} is a live one: {book.origin}. What is lived again does not belong there.",
                "Name a folder of its own: --into FOLDER",
            )
        return StoryClock(book.now().as_of.recorded_at)


def _same_story(book: Ledger, loaded: LoadedPipeline, note: str) -> None:
    """Record the pipeline file and the grants before anything happens; or refuse where others were recorded."""
    now = book.now()
    if now.as_of.n == 0:
        pipeline = f"pipeline:{loaded.settings.name}"
        try:
            book.append(registration(book, loaded), note=note, expected={pipeline: None}, sign=True)
        except Conflict:
            raise Refused(f"Somebody else began a story in {book.folder.parent} just now.", "Let it end.") from None
        return
    told = now.commit(1).head.note
    known = next((state for state in now.pipelines() if state.pipeline == loaded.settings.name), None)
    if told == note and known is not None and known.meaning_hash == loaded.meaning_hash:
        return
    what = "with another configuration of it" if told == note else f"“{told or 'no replay at all'}”"
    raise Refused(
        f"The ledger in {book.folder.parent} tells another story: {what}. This would be: “{note}”.",
        "Go on with the same file, --from and grants; or tell the new story in a folder of its own: --into FOLDER",
    )


def refuse_unfit_grants(loaded: LoadedPipeline, grants: Grants) -> None:
    """Look at what is allowed beforehand, so that no story breaks off in its sixth month.

    Raises
    ------
    NotFound
        For a gate that the file does not have.
    Refused
        For a waiver that would be refused.
    """
    gates = asked(loaded.settings.gates)
    for name in grants.waive:
        if name not in gates:
            raise NotFound(f"{loaded.path.name} has no gate {name!r}.", f"It has {', '.join(gates)}.")
    if grants.waive:
        at = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
        most = waivers.longest(loaded.settings.waivers)
        waivers.refuse_unfit(
            reason=grants.reason,
            owner=grants.owner,
            approver=grants.approver,
            at=at,
            until=at + (grants.waive_for or most),
            most=most,
        )


# What it came to -------------------------------------------------------------------------------------------


def closing(book: Ledger, loaded: LoadedPipeline, window: Window) -> Snapshot:
    """The ledger as it stood at the end of a month of the story."""
    moment = opening(loaded, window) + WORKDAY
    commit = book.now().last_commit_by(moment)
    assert commit is not None
    return book.at_commit(commit.n, moment.astimezone(book.zone))


def chapter_of(book: Ledger, loaded: LoadedPipeline, window: Window) -> Chapter:
    """What a month came to, from what was recorded."""
    settings = loaded.settings
    at = opening(loaded, window)
    then = closing(book, loaded, window)
    before = then.last_commit_by(at - dt.timedelta(microseconds=1))
    assert before is not None  # the story begins when its first month does, before that is looked at
    entries = list(then.counted_events(before.last_seq + 1))
    bodies = [entry.event.body for entry in entries]
    deciding = book.at_commit(before.n).champion(settings.name)
    watched = next((body for body in bodies if isinstance(body, say.PeriodMonitored)), None)
    decided = next((body for body in reversed(bodies) if isinstance(body, say.DecisionTaken)), None)
    proposed = next((body for body in bodies if isinstance(body, say.CandidateProposed)), None)
    promotion = next((body for body in bodies if isinstance(body, say.PromotionDecided)), None)
    champion = then.champion(settings.name)
    forward = proposed.model if proposed else decided.model if decided else None
    model = then.model(forward) if forward else None
    failing = [gate for gate in then.gates() if gate.model == forward and gate.verdict != "passed"]
    state = next(item for item in then.automations() if item.automation == settings.name)
    lines = _lines(entries, book)
    if watched is None:
        if deciding is None:
            lines.insert(0, "There is no champion yet, so nothing was watched.")
        else:
            lines.insert(0, f"Nothing was watched: the file wants a look every {settings.monitoring.every}.")
        if decided is None and deciding is None:
            lines = [f"Nothing could happen: {_no_run(loaded, window)}, and there is no champion to watch."]
    elif decided is None:
        lines.append("No run: what is wrong with the data comes first.")
    if decided is not None:
        lines += _data_over(then, decided.run, window)
    if model is not None and promotion is None and (champion is None or champion.model != model.model):
        lines.append(_not_promoted(then, loaded, window, model))
    if promotion is not None and deciding is not None and watched is not None and watched.decision == "wait":
        lines.append(_not_waited(loaded, window, deciding, book))
    if champion is not None:
        lines += _what_ends(then, loaded, window, champion)
    lines += _fallen_back(entries, book, settings.name)
    return Chapter(
        label=window.label,
        at=at.astimezone(book.zone),
        lines=lines,
        watched=watched.status if watched else None,
        model_watched=watched.model if watched else None,
        finding=watched.headline if watched else None,
        run=decided.run if decided else None,
        decision=decided.outcome if decided else None,
        put_forward=forward,
        gates_failed=[gate.name for gate in failing],
        waived=[gate.name for gate in failing if forward and waivers.in_force(then, forward, gate.name)],
        promoted=promotion is not None,
        champion=champion.model if champion else None,
        level=state.level,
        quiet_periods=state.quiet_periods,
    )


def _no_run(loaded: LoadedPipeline, window: Window) -> str:
    first = development_windows(loaded.settings.time)[0]
    if window.start < first.start:
        return f"{first.label}, the first window that the file tests, has not been lived yet"
    return "there was no run"


def _data_over(then: Snapshot, run: str, window: Window) -> list[str]:
    """That nothing of a month is in the data, where that is so: the run had no more than the one before."""
    seen = then.run(run).slice
    period = then.slice(seen).period if seen else None
    if period is None or to_micros(period[1]) > window.start:
        return []
    last = from_micros(to_micros(period[1]) - 1).astimezone(then.zone)
    return [f"The data has no rows of {window.label}: its last is of {last:%Y-%m-%d}."]


def _lines(entries: Sequence[Entry], book: Ledger) -> list[str]:
    """What happened, in words; waivers that were granted together are one exception."""
    said = []
    for kind, same in itertools.groupby(entries, lambda entry: type(entry.event.body)):
        bodies = [entry.event.body for entry in same]
        if kind is say.WaiverGranted:
            said.append(_excused(bodies, book))
        elif kind in LINES:
            said += [LINES[kind](body) for body in bodies]
    return said


def _decided(body: say.DecisionTaken) -> str:
    # Where nobody is chosen, what stood last among the reasons is why, and says both.
    return f"Run {body.run}: {body.reasons[-1].sentence if body.model is None and body.reasons else body.headline}"


def _excused(bodies: Sequence[say.WaiverGranted], book: Ledger) -> str:
    first = bodies[0]
    until = f"{first.until.astimezone(book.zone):%Y-%m-%d}"
    names = ", ".join(body.name for body in bodies)
    return (
        f"{first.model} is excused until {until} from {names}; {first.owner} answers for it, {first.approver} "
        f"approved: “{first.reason}”"
    )


LINES: dict[type, Callable[[Any], str]] = {
    **dict.fromkeys(
        (say.PeriodMonitored, say.PeriodJudged),
        lambda body: f"Watched {body.model}, {body.status}: {body.headline} {body.suggestion}",
    ),
    say.RunFailed: lambda body: f"Run {body.run} broke off ({body.message}); it was done again.",
    say.DecisionTaken: _decided,
    say.CandidateProposed: lambda body: (
        f"By itself: {body.model}, {body.candidate} refitted on what has matured. {body.reason}"
    ),
    say.RunReproduced: lambda body: f"Run {body.run} was done again: {body.verdict}.",
    say.FinalEvaluated: lambda body: body.sentence,
    say.DecisionApproved: lambda body: f"{body.approver} signed.",
    say.PromotionDecided: lambda body: body.headline,
    say.AutomationChanged: lambda body: f"Automation goes from {body.before} to {body.level}: {body.reason}",
}
"""Events that are told, each in its words."""


def stands_still(period: PeriodState | None, champion: ModelState | None, following: int) -> bool:
    """Whether a finding asks to wait and waiting is possible: the champion holds until the next look, ``following``."""
    if period is None or period.decision != "wait" or champion is None:
        return False
    return champion.intended_for is None or to_micros(champion.intended_for[1]) > following


def _not_promoted(then: Snapshot, loaded: LoadedPipeline, window: Window, model: ModelState) -> str:
    champion = then.champion(model.pipeline)
    period = period_of(then, model.pipeline, window)
    if stands_still(period, champion, next_look(loaded, window)):
        return f"{model.model} is not promoted: the finding asks to wait, and the champion holds until the next look."
    held = [
        f"{gate.name} ({gate.verdict})"
        for gate in then.gates()
        if gate.model == model.model and gate.verdict != "passed" and not waivers.in_force(then, model.model, gate.name)
    ]
    verb = "holds" if len(held) == 1 else "hold"
    return f"{model.model} is not promoted: {', '.join(held)} {verb} it back."


def _not_waited(loaded: LoadedPipeline, window: Window, champion: ModelState, book: Ledger) -> str:
    """Why a champion was replaced although the finding asked to wait."""
    assert champion.intended_for is not None  # else it would hold for ever
    last = f"{champion.intended_for[1].astimezone(book.zone) - dt.timedelta(microseconds=1):%Y-%m-%d}"
    following = f"{from_micros(next_look(loaded, window)).astimezone(book.zone):%Y-%m-%d}"
    return (
        f"It could not be waited for: {champion.model} was approved for use until {last} only, and the next look is on "
        f"{following}."
    )


def period_of(then: Snapshot, pipeline: str, window: Window) -> PeriodState | None:
    """The look at a month, where there was one."""
    return next((item for item in then.periods() if (item.pipeline, item.label) == (pipeline, window.label)), None)


def looked_at(then: Snapshot, loaded: LoadedPipeline, window: Window) -> bool:
    """Whether a month is one that the file wants watched: ``[monitoring] every`` counts from the last one that was.

    The first whole month of a champion is always watched where nobody watched any before it.
    """
    settings = loaded.settings
    known = [item for item in then.periods() if item.pipeline == settings.name and item.label != window.label]
    if not known:
        return True
    newest = max(known, key=lambda item: item.described_by)
    apart = windows_between_looks(parse_span(settings.monitoring.every), parse_span(settings.time.window)) or 1
    return len(periods_between(settings.time, newest.label, window.label)) > apart


def next_look(loaded: LoadedPipeline, window: Window) -> int:
    """About when the following month will be looked at (microseconds UTC): a window's length later."""
    return matured(loaded, window) + window.end - window.start


def _what_ends(then: Snapshot, loaded: LoadedPipeline, window: Window, champion: ModelState) -> list[str]:
    """Exceptions that are over and a validity that runs out: what the champion rests on no more."""
    ended = [item.gate.name for item in waivers.expired_under(then, champion, then.zone)]
    said = []
    if ended:
        verb = "counts" if len(ended) == 1 else "count"
        said.append(
            f"{champion.model} rests on {count(len(ended), 'exception')} that {'is' if len(ended) == 1 else 'are'} "
            f"over: {', '.join(ended)} {verb} again. It stays champion until somebody decides otherwise."
        )
    if champion.intended_for is None:
        return said
    until = to_micros(champion.intended_for[1])
    day = f"{from_micros(until - 1).astimezone(then.zone):%Y-%m-%d}"
    refuses = loaded.settings.validity.outside == "refuse"
    then_what = "it answers nothing after that" if refuses else "after that its answers carry a warning"
    if until <= to_micros(then.moment):
        over = "it answers nothing any more" if refuses else "its answers carry a warning"
        said.append(f"{champion.model} was approved for use until {day}, so {over}; only a promotion changes that.")
    elif until <= next_look(loaded, window):
        said.append(f"{champion.model} is approved for use until {day}: {then_what}.")
    return said


def _fallen_back(entries: list[Entry], book: Ledger, pipeline: str) -> list[str]:
    """Automation that was lost this month, without anybody's doing."""
    if not entries or entries[0].seq == 0:
        return []
    before = book.at_commit(entries[0].n - 1)
    after = book.at_commit(entries[-1].n)
    levels = [
        next((item for item in snapshot.automations() if item.automation == pipeline), None)
        for snapshot in (before, after)
    ]
    old, new = levels
    changed = any(isinstance(entry.event.body, say.AutomationChanged) for entry in entries)
    if old is None or new is None or old.level == "manual" or new.level != "manual" or changed:
        return []
    return [f"Automation fell back from {old.level} to manual: {(new.locked_by or 'its file').rstrip('.')}."]


# Whether it is the same ------------------------------------------------------------------------------------

NOT_TOLD = frozenset(
    {"process", "host", "workers", "seconds", "fit_seconds", "predict_seconds", "environment", "path", "same_as"}
)
"""What a second telling has otherwise: durations, what computed and how, and where the file lies."""
LEFT_OUT = (say.LedgerCreated, say.SchemaDeclared, say.EnvironmentCaptured, say.DecisionApproved, say.RunFailed)
"""Names and keys of this one ledger, its machine, and what an interruption leaves behind."""
_RUN = re.compile(r"\b(\d{4}-\d{2}-\d{2})\.\d+\b")


def story_hash(book: Ledger, loaded: LoadedPipeline, last: Window) -> str:
    """BLAKE3 over everything that happened in a story up to a month, in order: equal for two tellings of it.

    What an earlier telling has of later months is not part of it.

    Over each event's type, time, period and body, artifacts by their hashes. Left out is what cannot be equal: the
    ledger's name and key, salts and the ids that follow from them, durations, processes and machines; and broken-off
    runs with the number that a repeated run has after its day, so that a story that was interrupted counts as the
    same.
    """
    then = closing(book, loaded, last)
    entries = [found.entry for found in then.events() if isinstance(found.content, Event)]
    broken = {entry.event.body.run for entry in entries if isinstance(entry.event.body, say.RunFailed)}
    hasher = blake3()
    for entry in entries:
        body = entry.event.body
        if isinstance(body, LEFT_OUT) or getattr(body, "run", None) in broken:
            continue
        if isinstance(body, say.LeakageChecked):
            body = msgspec.structs.replace(body, checks=[_without_earlier_runs(check) for check in body.checks])
        told = [entry.event.t, entry.event.occurred_at, entry.event.about, _told(msgspec.to_builtins(body))]
        hasher.update(_RUN.sub(r"\1", encode_canonical(told).decode()).encode())
    return hasher.hexdigest()


def _without_earlier_runs(check: say.Check) -> say.Check:
    """A check without how many runs came before, broken-off ones among them."""
    return msgspec.structs.replace(check, facts={}, sentence="") if check.check == "history" else check


def _told(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _told(item) for key, item in value.items() if key not in NOT_TOLD}
    return [_told(item) for item in value] if isinstance(value, list | tuple) else value
