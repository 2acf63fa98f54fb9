"""Automation of a pipeline: earned by quiet periods, unlocked by people, lost by itself.

There are three levels, manual, suggest and auto_refit. None of them promotes: that stays with a person.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from tallystick.ledger import Appended
from tallystick.ledger.errors import InvalidInput, NotFound, Refused
from tallystick.ledger.events import types as say
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.sentences import count
from tallystick.ledger.events.unknown import Unknown, is_unknown
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.entities import AutomationState, ModelState
from tallystick.pipeline.config.canonical import configuration_of
from tallystick.pipeline.governance.evidence import approvals_of

Level = Literal["manual", "suggest", "auto_refit"]
LEVELS: tuple[Level, ...] = ("manual", "suggest", "auto_refit")


class Earned(NamedTuple):
    """What a pipeline may do by itself, and what is missing for more."""

    state: AutomationState
    earliest: str | None
    """Label of the period whose quiet end completes the row, where labels are months."""
    approvers: list[str]
    """Who signed the newest watched period."""
    missing: list[str]
    """What is missing for the level that the file asks for, in words."""


def automation_of(now: Snapshot, pipeline: str) -> Earned:
    """Where the automation of a pipeline stands at a moment.

    Raises
    ------
    NotFound
        For an unknown pipeline.
    """
    name = now.pipeline(pipeline).pipeline
    state = next((state for state in now.automations() if state.automation == name), None)
    if state is None:
        raise NotFound(f"Nothing is recorded about the automation of {name}.")
    periods = [period for period in now.periods() if period.pipeline == name]
    newest = next((period for period in reversed(periods) if period.label == state.last_period), None)
    approvals = approvals_of(now, [newest.described_by] if newest else [])
    names = sorted(approvals.values())
    missing = []
    if isinstance(state.quiet_periods, Unknown):
        missing.append(f"how many quiet periods there were is {state.quiet_periods}")
    elif state.needed is None:
        missing.append("its file names no way to unlock: [automation] unlock says what has to be stable")
    elif state.quiet_periods < state.needed:
        missing.append(f"{state.quiet_periods} of {state.needed} quiet periods")
    if len(names) < state.approvers_needed:
        what = f"tally approve '#{newest.described_by}'" if newest else "once a period was watched"
        missing.append(f"{len(names)} of {count(state.approvers_needed, 'person', 'people')} signed ({what})")
    rule = configuration_of(now, name).automation
    if rule is not None and rule.unlock is not None and "waiver" in rule.unlock.without:
        champion = now.champion_if_known(name)
        held = now.waivers_in_force(champion.model) if isinstance(champion, ModelState) else []
        if isinstance(champion, Unknown):
            missing.append(f"which waivers its champion rests on is {champion}")
        missing += [
            f"waiver {waiver.waiver} is in force until {waiver.until.astimezone(now.zone):%Y-%m-%d}" for waiver in held
        ]
    return Earned(state, _earliest(state), names, missing)


def automation_words(earned: Earned, zone: ZoneInfo) -> str:
    """``manual. 4 of 6 quiet periods; unlock earliest 2013-12.``, days as in ``zone``."""
    state = earned.state
    said = [f"{state.automation} is at level {state.level}; its file allows up to {state.asked}."]
    if state.needed is not None:
        earliest = f"; unlock earliest {earned.earliest}" if earned.earliest else ""
        said.append(f"{state.quiet_periods} of {state.needed} quiet periods{earliest}.")
    if state.locked_by is not None:
        when = f" on {state.locked_at.astimezone(zone):%Y-%m-%d}" if state.locked_at else ""
        said.append(f"The last quiet row ended{when}: {state.locked_by.rstrip('.')}.")
    if state.unlocked_by is not None and state.level != "manual":
        when = f" on {state.unlocked_at.astimezone(zone):%Y-%m-%d}" if state.unlocked_at else ""
        said.append(f"Unlocked by {state.unlocked_by}{when}.")
    return " ".join(said)


def change(book: Ledger, pipeline: str, level: Level, reason: str) -> tuple[say.AutomationChanged, Appended]:
    """Unlock a level, or give one back.

    Raises
    ------
    Refused
        When the file does not allow the level, or what it takes is missing; giving back is never refused.
    """
    if not reason.strip():
        raise InvalidInput("A change of automation needs a reason.", "--reason …")
    now = book.now()
    earned = automation_of(now, pipeline)
    state = earned.state
    if level == state.level:
        raise Refused(f"{state.automation} is at level {level} already.", "Nothing was recorded.")
    # What an erased event left of the level is at least manual.
    before: Level = state.level if state.level in LEVELS else "manual"
    if LEVELS.index(level) > LEVELS.index(before):
        if state.asked not in LEVELS or LEVELS.index(level) > LEVELS.index(state.asked):
            raise Refused(
                f"The file of {state.automation} allows at most {state.asked}; {level} is beyond it.",
                "Change [automation] level in the file, with its why, and run it.",
            )
        if earned.missing:
            raise Refused(
                f"{level} stays locked for {state.automation}: {'; '.join(earned.missing)}.",
                "Nothing is automated before it has been quiet long enough."
                + (f" Earliest {earned.earliest}." if earned.earliest else ""),
            )
    body = say.AutomationChanged(
        automation=state.automation,
        pipeline=state.automation,
        level=level,
        before=before,
        quiet_periods=_known(state.quiet_periods),
        needed=_known(state.needed),
        approvers=earned.approvers,
        reason=reason.strip(),
    )
    entity = f"pipeline:{state.automation}"
    cause = (now.event(state.seq).id.hex(),)
    return body, book.append(Draft(body, cause=cause), expected={entity: book.log.last_seq_of(entity)}, sign=True)


def _known(number: int | None) -> int:
    """A number of a state for an event: 0 where there is none, or where erased content makes it unknown."""
    return 0 if number is None or is_unknown(number) else number


def _earliest(state: AutomationState) -> str | None:
    if is_unknown(state.last_period) or is_unknown(state.quiet_periods) or is_unknown(state.needed):
        return None
    match = re.fullmatch(r"(\d{4})-(\d{2})", state.last_period or "")
    if match is None or state.needed is None or state.quiet_periods >= state.needed:
        return None
    index = int(match[1]) * 12 + int(match[2]) - 1 + state.needed - state.quiet_periods
    return f"{index // 12:04d}-{index % 12 + 1:02d}"
