"""Parameters of trials, one row each: some recorders note them one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.views.projection import Change, Lookup, State, projection


class TrialParamState(State, frozen=True, kw_only=True):
    trial_param: str
    """Trial and name: ``churn-notebook/20261125-143005-k3f9a2/depth``."""
    trial: str
    name: str
    value: Any


def trial_params(entry: Entry, _current: Lookup) -> Iterator[Change]:
    """The newest value of each parameter."""
    body = entry.event.body
    for name, value in body.params.items():
        key = f"{body.trial}/{name}"
        yield key, TrialParamState(seq=entry.seq, trial_param=key, trial=body.trial, name=name, value=value)


TRIAL_PARAMS = projection(
    "trial_params",
    "trial_param",
    TrialParamState,
    (say.TrialStarted, say.TrialBegun, say.TrialNoted),
    trial_params,
)
