"""The meaning of a registered configuration, once it is seen to have the shape that is computed with.

The ledger keeps it as it was written, by this program or by a stranger's; nothing but an event's own bytes says that
there is a candidate, a gate or a number where one is looked for.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tallystick.ledger.errors import Damaged
from tallystick.ledger.events import types as say
from tallystick.pipeline.config.settings import Gates


class _Candidate(msgspec.Struct):
    role: str


class _Selection(msgspec.Struct):
    metric: str
    confidence: float
    seed: int


class _Final(msgspec.Struct):
    looks: int


class _Time(msgspec.Struct):
    timezone: str
    label_delay: str
    final: _Final


class _Monitoring(msgspec.Struct):
    every: str


class _Meaning(msgspec.Struct):
    candidates: dict[str, _Candidate]
    selection: _Selection
    time: _Time
    monitoring: _Monitoring
    gates: dict[str, dict[str, Any] | None]


def meaning_in(registered: object) -> dict[str, Any]:
    """What a registration means.

    Raises
    ------
    Damaged
        When the event is none, its content is gone, or it holds something else than a configuration.
    """
    if not isinstance(registered, say.PipelineRegistered):
        raise Damaged("The configuration cannot be read any more.", "`tally verify` says whether it was erased.")
    try:
        read = msgspec.convert(registered.meaning, _Meaning)
        # Reasons are no part of the meaning, and every gate asks for one.
        said = {name: {**rule, "why": "-"} for name, rule in read.gates.items() if rule is not None}
        msgspec.convert(said, Gates)
    except msgspec.ValidationError as error:
        raise Damaged(
            f"The registered configuration of {registered.pipeline} is not one that this program reads: {error}.",
            "It was written by another program; `tally log` says by which.",
        ) from error
    if not any(candidate.role == "reference" for candidate in read.candidates.values()):
        raise Damaged(f"The registered configuration of {registered.pipeline} names no reference.")
    return registered.meaning
