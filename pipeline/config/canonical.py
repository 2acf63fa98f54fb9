"""A registered configuration as typed values, once it is seen to have the shape that is computed with.

The ledger keeps it as it was written, by this program or by a stranger's; nothing but an event's own bytes says that
there is a candidate, a gate or a number where one is looked for.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tallystick.ledger.errors import Damaged, InvalidInput
from tallystick.ledger.events import types as say
from tallystick.ledger.events.event import Event
from tallystick.ledger.events.unknown import Unknown, is_unknown
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.pipeline.config.gate_rules import check_gates
from tallystick.pipeline.config.settings import Automation, Gates, WaiverRule


class _Candidate(msgspec.Struct, frozen=True):
    role: str


class _Selection(msgspec.Struct, frozen=True):
    metric: str
    confidence: float
    seed: int


class _Final(msgspec.Struct, frozen=True):
    looks: int


class RegisteredTime(msgspec.Struct, frozen=True):
    """How a registered pipeline file counts its windows."""

    timezone: str
    window: str
    label_delay: str
    final: _Final


class _Monitoring(msgspec.Struct, frozen=True):
    every: str


class Configuration(msgspec.Struct, frozen=True):
    """What a registered pipeline file asks for, without its reasons, which are no part of its meaning."""

    candidates: dict[str, _Candidate]
    selection: _Selection
    time: RegisteredTime
    monitoring: _Monitoring
    gates: Gates
    automation: Automation | None = None
    waivers: WaiverRule | None = None

    @property
    def reference(self) -> str:
        """Name of the candidate that the others must beat."""
        return next(name for name, item in self.candidates.items() if item.role == "reference")


def meaning_in(registered: object) -> dict[str, Any]:
    """Every setting that can change a result, as it was registered, to compare it with another.

    Raises
    ------
    Damaged
        As :func:`configuration_in`.
    """
    configuration_in(registered)
    assert isinstance(registered, say.PipelineRegistered)
    return registered.meaning


def configuration_in(registered: object) -> Configuration:
    """What a registration asks for.

    Raises
    ------
    Damaged
        When the event is none, its content is gone, or it holds something else than a configuration.
    """
    if not isinstance(registered, say.PipelineRegistered):
        raise Damaged("The configuration cannot be read any more.", "`tally verify` says whether it was erased.")
    try:
        read = msgspec.convert(_with_reasons(registered.meaning), Configuration)
        check_gates(read.gates)
    except (msgspec.ValidationError, InvalidInput) as error:
        raise Damaged(
            f"The registered configuration of {registered.pipeline} is not one that this program reads: {error}.",
            "It was written by another program; `tally log` says by which.",
        ) from error
    if not any(candidate.role == "reference" for candidate in read.candidates.values()):
        raise Damaged(f"The registered configuration of {registered.pipeline} names no reference.")
    return read


def configuration_of(now: Snapshot, pipeline: str) -> Configuration:
    """What the newest registration of a pipeline asks for, as known then.

    Raises
    ------
    NotFound
        For an unknown pipeline.
    Damaged
        As :func:`configuration_in`.
    """
    state = now.pipeline(pipeline)
    if isinstance(state.registered_by, Unknown):
        raise Damaged(f"The configuration of {state.pipeline} is {state.registered_by}.", "tally run FILE.toml")
    return configuration_in(registration_at(now, state.registered_by))


def registration_at(now: Snapshot, seq: int) -> say.PipelineRegistered | None:
    """The registration at a position; None where its content is gone or the event is another."""
    if is_unknown(seq):  # which event registered it followed from one that was erased
        return None
    content = now.event(seq).content
    body = content.body if isinstance(content, Event) else None
    return body if isinstance(body, say.PipelineRegistered) else None


def _with_reasons(meaning: dict[str, Any]) -> dict[str, Any]:
    """A meaning with a reason wherever the settings ask for one."""
    gates = meaning.get("gates")
    if isinstance(gates, dict):
        gates = {name: _explained(rule) for name, rule in gates.items()}
    return {**meaning, "gates": gates} | {
        name: _explained(meaning[name]) for name in ("automation", "waivers") if name in meaning
    }


def _explained(rule: object) -> object:
    return {**rule, "why": "-"} if isinstance(rule, dict) else rule
