"""Thresholds may be loosened, with a reason that says why: a laxer policy under the old words is refused."""

from __future__ import annotations

import tomllib
from typing import Any

from tallystick.ledger.errors import Refused
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.pipeline.config.canonical import registration_at
from tallystick.pipeline.config.diff import ConfigChange, config_changes
from tallystick.pipeline.config.load import LoadedPipeline

BEYOND_POLICY = (("time", "final", "looks"),)
"""Settings outside of the policy that protect the team all the same."""


def refuse_silent_loosening(now: Snapshot, loaded: LoadedPipeline) -> None:
    """Hold a pipeline file against the one registered last.

    Raises
    ------
    Refused
        When a threshold is laxer and its ``why`` says what it said before, naming each.
    """
    state = next((state for state in now.pipelines() if state.pipeline == loaded.settings.name), None)
    if state is None:
        return
    before = registration_at(now, state.registered_by)
    if before is None or before.text_hash == loaded.text_hash:
        return
    old, new = tomllib.loads(before.text), tomllib.loads(loaded.text)
    silent = [
        change
        for change in config_changes(before.meaning, loaded.meaning)
        if change.strictness == "loosened"
        and (change.group == "policy" or change.path in BEYOND_POLICY)
        and _why(old, change.path) == _why(new, change.path)
    ]
    if silent:
        raise Refused(
            "\n".join(_sentence(change) for change in silent),
            "Nothing was run or recorded. A threshold may be loosened, in the open: change its why so that it says "
            "what was learnt. To get one model past it, leave the file as it is: tally waive GATE --model MODEL …",
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
