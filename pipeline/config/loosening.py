"""Thresholds may be loosened, with a reason that says why: a laxer policy under the old words is refused."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from tallystick.ledger.errors import Refused
from tallystick.ledger.events.event import Event
from tallystick.ledger.events.types import PipelineRegistered
from tallystick.ledger.events.unknown import is_unknown
from tallystick.ledger.query.evidence import RecordedEvent
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.entities import PipelineState
from tallystick.pipeline.config.diff import ConfigChange, config_changes
from tallystick.pipeline.config.load import LoadedPipeline

BEYOND_POLICY = (("time", "final", "looks"),)
"""Settings outside of the policy that protect the team all the same."""


def refuse_silent_loosening(now: Snapshot, loaded: LoadedPipeline) -> None:
    """Hold a pipeline file against the one registered last, and against those registered later that do not count.

    Raises
    ------
    Refused
        When a threshold is laxer and its ``why`` says what it said before, naming each; or when a registration was
        erased, so that nobody can tell, and the file does not say that it is known.
    """
    new = tomllib.loads(loaded.text)
    silent: dict[tuple[str, ...], ConfigChange] = {}
    for found in _registered_last(now, loaded.settings.name):
        before = found.content.body if isinstance(found.content, Event) else None
        if not isinstance(before, PipelineRegistered):
            _refuse_unknown(found, new, now)
            continue
        if before.text_hash == loaded.text_hash:
            continue
        old = tomllib.loads(before.text)
        for change in config_changes(before.meaning, loaded.meaning):
            if (
                change.strictness == "loosened"
                and (change.group == "policy" or change.path in BEYOND_POLICY)
                and _why(old, change.path) == _why(new, change.path)
            ):
                silent.setdefault(change.path, change)
    if silent:
        raise Refused(
            "\n".join(_sentence(change) for change in silent.values()),
            "Nothing was run or recorded. A threshold may be loosened, in the open: change its why so that it says "
            "what was learnt. To get one model past it, leave the file as it is: tally waive GATE --model MODEL …",
        )


def _registered_last(now: Snapshot, pipeline: str) -> list[RecordedEvent]:
    """The newest registration that counts, and newer ones that were set aside or erased; newest first.

    Those were asked for once. Taking one out of the record is no way to ask for less without saying so.
    """
    erased = [item for item in now.erased([PipelineRegistered.TYPE]) if item.may_be("pipeline", pipeline)]
    known = [state.registered_by for state in now.versions(PipelineState, pipeline)]
    seqs = {seq for seq in known if not is_unknown(seq)}
    found = []
    for event in reversed(now.some_events(sorted(seqs | {item.event.seq for item in erased}))):
        found.append(event)
        if event.counts:
            break
    return found


def _refuse_unknown(erased: RecordedEvent, new: dict[str, Any], now: Snapshot) -> None:
    """Refuse where an erased registration may have asked for more, until the file says that this is known."""
    gates = new.get("gates")
    said = str(gates.get("why", "")) if isinstance(gates, dict) else ""
    if re.search(rf"#{erased.seq}(?![0-9])", said):
        return
    item = next(item for item in now.erased([PipelineRegistered.TYPE]) if item.event.seq == erased.seq)
    raise Refused(
        f"Whether the thresholds are laxer than those registered before is unknown: {item.words}.",
        f'Nothing was run or recorded. Say that you know, in the open: [gates] why = "… #{erased.seq} was erased …"',
    )


def _sentence(change: ConfigChange) -> str:
    gate = change.path[0] == "gates"
    name = change.path[1] if gate else ".".join(change.path)
    what = f"Gate {name}" if gate else name
    if change.removed:
        return f'{what} was taken away; nothing says why. Say it: [gates] why = "…"'
    return f"{what} loosened {_shown(change.old)} -> {_shown(change.new)}; its why did not change - say why."


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) or "nothing" if isinstance(value, list) else str(value)


def _why(content: Any, path: tuple[str, ...]) -> object:
    """The nearest ``why`` above a setting; that of the whole table of gates where the gate is gone."""
    found, here = None, content
    for part in path:
        if not isinstance(here, dict):
            break
        found = here.get("why", found)
        here = here.get(part)
    return found
