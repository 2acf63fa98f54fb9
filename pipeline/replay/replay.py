"""The past lived again, month by month, as it would have been lived: watch, run, decide, and no more than was known.

At nine in the morning after the last label of a month is known, the story's actor looks at how the champion did in
it, runs the pipeline on the rows that there are and the labels that are known, and promotes what the rule chose if
the gates of the file let it through. Every step is a step that a person could have taken with the same command, at
the story's time; each looks first at whether it was taken already, so that a story that broke off goes on.

What takes people is not done for them: gates are excused, and things are signed, only as they said beforehand. The
level of automation matters in one place. At ``auto_refit``, where the rule put nobody forward, the champion's recipe
is refitted on what has matured and put forward; its gates hold as for any other, and nothing is promoted by itself.
"""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from tallystick.ledger.errors import InvalidInput, Refused
from tallystick.ledger.events import types as say
from tallystick.ledger.events.approval import approval_event, sign_approval
from tallystick.ledger.events.commit import from_micros
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.sentences import count
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.system.clock import utc_now
from tallystick.ledger.system.replay_clock import StoryClock
from tallystick.ledger.tlog.key_store import Signer
from tallystick.ledger.views.entities import ModelState, RunState
from tallystick.pipeline.config.load import LoadedPipeline
from tallystick.pipeline.config.proposed import proposed_in
from tallystick.pipeline.config.windows import Window, development_windows, sealed_windows
from tallystick.pipeline.data.timestamps import day_of
from tallystick.pipeline.evaluate.result_cache import Remembered
from tallystick.pipeline.governance import automation, waivers
from tallystick.pipeline.governance.gates import Outcome, standing
from tallystick.pipeline.governance.promotion import promote
from tallystick.pipeline.monitoring.monitor import monitor
from tallystick.pipeline.replay.chapters import (
    WORKDAY,
    Chapter,
    Grants,
    chapter_of,
    looked_at,
    matured,
    next_look,
    opening,
    period_of,
    stands_still,
)
from tallystick.pipeline.runs.final_test import look
from tallystick.pipeline.runs.propose import propose
from tallystick.pipeline.runs.reproduce import reproduce
from tallystick.pipeline.runs.run import run
from tallystick.pipeline.runs.start import champion_of

Progress = Callable[[str, int, int], None]
COMMAND = "tally replay"
WATCH, RUN, REFIT, REPEAT, LOOK, SIGN, DECIDE, AUTOMATE = (dt.timedelta(minutes=10 * step) for step in range(8))
"""When each step of a month is taken, after its opening."""


class Teller(NamedTuple):
    """All that a month needs to be lived."""

    book: Ledger
    clock: StoryClock
    loaded: LoadedPipeline
    grants: Grants
    signers: Sequence[Signer]
    workers: int
    progress: Progress
    remembered: Remembered

    @property
    def pipeline(self) -> str:
        """Its name."""
        return self.loaded.settings.name


def replay(
    book: Ledger,
    clock: StoryClock,
    loaded: LoadedPipeline,
    months: Sequence[Window],
    grants: Grants,
    *,
    signers: Sequence[Signer] = (),
    workers: int,
    on_progress: Progress,
) -> Iterator[Chapter]:
    """Live months one after the other; each is told as soon as it is over, those of an earlier telling at once.

    Parameters
    ----------
    book, clock
        From :func:`pipeline.replay.chapters.begin_story`.
    months : sequence of Window
        Following each other; the first is the one that the story began with.
    signers : sequence of Signer
        Keys of the people in ``grants.signed_by``.

    Raises
    ------
    InvalidInput
        When the data does not fit.
    """
    teller = Teller(book, clock, loaded, grants, signers, workers, on_progress, Remembered())
    for month in months:
        if clock() <= opening(loaded, month) + WORKDAY:
            _live(teller, month)
        yield chapter_of(book, loaded, month)


def refuse_proposed(loaded: LoadedPipeline) -> None:
    """Refused where a program proposed settings that nobody has confirmed: a replay promotes by itself."""
    if names := proposed_in(loaded.text):
        raise Refused(
            f"{loaded.path.name} has {count(len(names), 'setting')} that nobody has confirmed, and a replay promotes.",
            f"Read them and confirm them: tally confirm {shlex.quote(str(loaded.path))}",
        )


def refuse_unlived(loaded: LoadedPipeline, months: Sequence[Window]) -> None:
    """InvalidInput when the last of some months has not matured today."""
    if loaded.settings.time.unit == "step":
        raise InvalidInput(
            "This pipeline counts time in steps, and no date says when each of them was: its past cannot be replayed.",
            "`tally run` judges it in time all the same.",
        )
    last = months[-1]
    if opening(loaded, last) > utc_now():
        raise InvalidInput(
            f"{last.label} cannot be lived again yet: its last label is known on "
            f"{day_of(matured(loaded, last), loaded.settings.time.timezone)}.",
            "Name an earlier --to.",
        )


def _live(teller: Teller, month: Window) -> None:
    """One month, step by step."""
    decision = _watch(teller, month)
    if decision != "fix data" and month.start >= development_windows(teller.loaded.settings.time)[0].start:
        done = _run(teller, month)
        model = _put_forward(teller, month, done)
        if model is not None:
            _decide(teller, month, model)
    _automate(teller, month)


def _at(teller: Teller, month: Window, step: dt.timedelta) -> None:
    """Let the story's clock go on to a step; it stands farther on already where the story broke off later."""
    teller.clock.move_to(max(teller.clock(), opening(teller.loaded, month) + step))


def _known(teller: Teller, month: Window) -> dt.datetime:
    """The last moment that is known of: every label of the month, and none of the next."""
    return from_micros(matured(teller.loaded, month) - 1)


def _told(teller: Teller, month: Window, progress: Progress) -> Progress:
    return lambda what, done, total: progress(f"{month.label}: {what}", done, total)


def _watch(teller: Teller, month: Window) -> str | None:
    """How the champion did in the month; the decision that it suggests."""
    book = teller.book
    if champion_of(book.now(), teller.pipeline) is None:
        return None
    known = period_of(book.now(), teller.pipeline, month)
    if known is not None:
        return known.decision
    if not looked_at(book.now(), teller.loaded, month):
        return None
    _at(teller, month, WATCH)
    teller.progress(f"{month.label}: watching the champion", 0, 1)
    return monitor(book, teller.loaded, month.label, labels_as_of=_known(teller, month)).body.decision


def _run(teller: Teller, month: Window) -> RunState:
    """The month's run: the one that was finished before the story broke off, or a new one."""
    book = teller.book

    def finished() -> RunState | None:
        opened = opening(teller.loaded, month)
        runs = [item for item in book.now().runs() if item.status == "finished" and item.started_at >= opened]
        return runs[-1] if runs else None

    done = finished()
    if done is None:
        _at(teller, month, RUN)
        run(
            book,
            teller.loaded,
            workers=teller.workers,
            on_outline=lambda _outline: None,
            on_progress=_told(teller, month, teller.progress),
            labels_as_of=_known(teller, month),
            remembered=teller.remembered,
        )
        done = finished()
    assert done is not None
    return done


def _put_forward(teller: Teller, month: Window, done: RunState) -> ModelState | None:
    """The model that the rule chose; where it chose nobody and automation allows it, the champion refitted."""
    book, now = teller.book, teller.book.now()
    if done.model is not None:
        return now.model(done.model)
    champion = champion_of(book.now(), teller.pipeline)
    earned = automation.automation_of(now, teller.pipeline)
    if champion is None or earned.state.level != "auto_refit":
        return None
    if champion.candidate not in teller.loaded.settings.candidates:
        return None
    made = [model for model in now.models() if model.made_by_run == done.run]
    if made:
        return made[-1]
    _at(teller, month, REFIT)
    reason = f"Automation is at auto_refit: {automation.automation_words(earned, teller.book.zone)}"
    body = propose(book, done.run, champion.candidate, reason, teller.loaded.path).body
    return book.now().model(body.model)


# Deciding --------------------------------------------------------------------------------------------------


def _decide(teller: Teller, month: Window, model: ModelState) -> None:
    """Promote a model where the rules allow it; do first what they ask for and can be done."""
    book = teller.book
    champion = champion_of(book.now(), teller.pipeline)
    period = period_of(book.now(), teller.pipeline, month)
    if champion is not None and champion.model == model.model:
        return
    if stands_still(period, champion, next_look(teller.loaded, month)):
        return
    for gate, step in STEPS.items():
        held = _held(teller, model)
        # The sealed windows are looked at once, so only where nothing else stands in the way.
        if any(item.name not in teller.grants.waive and not _can_do(teller, month, item, model) for item in held):
            return
        asked = next((item for item in held if item.name == gate), None)
        if asked is not None and _can_do(teller, month, asked, model):
            step(teller, month, model)
    _at(teller, month, DECIDE)
    for item in _held(teller, model):
        if item.name not in teller.grants.waive or not _excuse(teller, model, item.name):
            return
    promote(book, model.model, _why(teller, month, model))


def _held(teller: Teller, model: ModelState) -> list[Outcome]:
    """Gates that hold a model back as it stands."""
    now = teller.book.now()
    _, outcomes, _ = standing(now, now.model(model.model))
    return [
        item for item in outcomes if item.verdict != "passed" and waivers.in_force(now, model.model, item.name) is None
    ]


def _can_do(teller: Teller, month: Window, gate: Outcome, model: ModelState) -> bool:
    """Whether what an open gate asks for can be done now."""
    if gate.verdict != "open" or gate.name not in STEPS:
        return False
    if gate.name == "final_test":
        time = teller.loaded.settings.time
        looks = [item for item in teller.book.now().looks() if item.pipeline == model.pipeline]
        sealed = sealed_windows(time)
        lived = bool(sealed) and matured(teller.loaded, sealed[-1]) <= matured(teller.loaded, month)
        return lived and len(looks) < time.final.looks
    if gate.name == "approved_by":
        return len(set(gate.facts["approvals"]) | {signer.verifier.name for signer in teller.signers}) >= (
            _people_asked_for(teller)
        )
    return True


def _people_asked_for(teller: Teller) -> int:
    rule = teller.loaded.settings.gates.approved_by
    return rule.at_least if rule else 0


def _reproduce(teller: Teller, month: Window, model: ModelState) -> None:
    _at(teller, month, REPEAT)
    reproduce(
        teller.book,
        model.last_run,
        workers=teller.workers,
        data=teller.loaded.path,
        on_progress=_told(teller, month, lambda what, *far: teller.progress(f"again, {what}", *far)),
    )


def _look(teller: Teller, month: Window, model: ModelState) -> None:
    _at(teller, month, LOOK)
    look(
        teller.book,
        model.model,
        command=COMMAND,
        file=teller.loaded.path,
        workers=teller.workers,
        on_progress=_told(teller, month, teller.progress),
    )


def _sign(teller: Teller, month: Window, model: ModelState) -> None:
    _at(teller, month, SIGN)
    _signed(teller, model.made_by_event)


STEPS: dict[str, Callable[[Teller, Window, ModelState], None]] = {
    "reproduced": _reproduce,
    "approved_by": _sign,
    "final_test": _look,
}
"""What can be done about an open gate, cheapest promise first."""


def _signed(teller: Teller, seq: int) -> None:
    """Let everybody who said so beforehand sign an event with their own key."""
    book = teller.book
    signed = book.now().event(seq)
    event = signed.id.hex()
    for signer in teller.signers:
        note = sign_approval(book.origin, event, signer)
        body = approval_event(note, signer.verifier, event, signed.event.body)
        book.append(Draft(body, cause=(event,)), sign=True)


def _excuse(teller: Teller, model: ModelState, gate: str) -> bool:
    """Grant the waiver that people allowed beforehand, once for each model; whether it was granted."""
    book, grants = teller.book, teller.grants
    now = book.now()
    if any(item.model == model.model and item.name == gate for item in now.waivers()):
        return False
    lasting = grants.waive_for or waivers.longest(teller.loaded.settings.waivers)
    waivers.waive(
        book,
        gate,
        model.model,
        reason=grants.reason,
        owner=grants.owner,
        approver=grants.approver,
        until=now.moment + lasting,
        evidence=None,
        ends_when=None,
    )
    return True


def _why(teller: Teller, month: Window, model: ModelState) -> str:
    """The reason of a promotion, in words."""
    now = teller.book.now()
    run_of_it = now.run(model.last_run)
    period = period_of(now, teller.pipeline, month)
    said = [f"As {teller.loaded.path.name} rules after {month.label}: {run_of_it.headline}"]
    if model.proposed_by is not None:
        said = [f"After {month.label} the rule chose nobody; {model.candidate} goes on, refitted on what has matured."]
    if period is not None:
        said.append(f"The champion's month was {period.status}.")
        if period.decision == "wait":
            said.append("The finding asks to wait, but the champion's approval ends before the next look.")
    held = [item.name for item in now.waivers_in_force(model.model)]
    excused = f" but {', '.join(held)}, which {'is' if len(held) == 1 else 'are'} excused" if held else ""
    said.append(f"All its gates let it pass{excused}.")
    return " ".join(said)


# Automation ------------------------------------------------------------------------------------------------


def _automate(teller: Teller, month: Window) -> None:
    """Unlock the next level where the file asks for it, the months were quiet, and people sign."""
    book = teller.book
    earned = automation.automation_of(book.now(), teller.pipeline)
    state, levels = earned.state, automation.LEVELS
    period = period_of(book.now(), teller.pipeline, month)
    if state.level == state.asked or period is None or state.needed is None or state.quiet_periods < state.needed:
        return
    names = set(earned.approvers) | {signer.verifier.name for signer in teller.signers}
    if len(names) < state.approvers_needed or state.last_period != month.label:
        return
    if any(book.now().counted_events(period.described_by, types=[say.AutomationChanged.TYPE])):
        return
    _at(teller, month, AUTOMATE)
    if len(earned.approvers) < state.approvers_needed:
        _signed(teller, period.described_by)
        earned = automation.automation_of(book.now(), teller.pipeline)
    if earned.missing:
        return
    quiet = count(state.quiet_periods, "quiet period")
    reason = f"{quiet} in a row, {state.needed} asked for; signed by {', '.join(earned.approvers)}."
    automation.change(book, teller.pipeline, levels[levels.index(state.level) + 1], reason)
