"""Whether a trial that says it is running still is: only the machine that runs it can know."""

from __future__ import annotations

from tallystick.ledger.system.processes import has_gone
from tallystick.ledger.views.entities import TrialState


def ended_without_a_word(trial: TrialState) -> bool:
    """Whether its process, on this machine, has gone without recording an end: killed, or the power failed."""
    return trial.status == "running" and has_gone(trial.host, trial.process, trial.process_began)


def status_words(trial: TrialState, *, now: bool) -> str:
    """How it stands; ``now`` is False for an answer about the past, when nobody knows what this machine ran."""
    if trial.status == "vanished" or (now and ended_without_a_word(trial)):
        return "ended without a word"
    return trial.status
