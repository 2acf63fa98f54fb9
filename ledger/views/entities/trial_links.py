"""What trials read and made, as their recorder describes it."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.views.projection import Change, Lookup, State, projection

SEPARATOR = "\x1f"


class TrialLinkState(State, frozen=True, kw_only=True):
    trial_link: str
    """Trial, role and name, with a separator between them that no name holds."""
    trial: str
    role: str
    """``input`` for a table, ``model input`` and ``output`` for a kept model."""
    name: str
    digest: str | None = None
    source_type: str | None = None
    source: str | None = None
    schema: str | None = None
    profile: str | None = None
    tags: dict[str, str] = {}  # noqa: RUF012 - msgspec copies an empty default
    step: int | None = None


def trial_links(entry: Entry, _current: Lookup) -> Iterator[Change]:
    """One for each table and kept model."""
    body: say.TrialLinked = entry.event.body
    for table in body.inputs:
        key = SEPARATOR.join((body.trial, "input", table.name, table.digest))
        yield (
            key,
            TrialLinkState(
                seq=entry.seq,
                trial_link=key,
                trial=body.trial,
                role="input",
                name=table.name,
                digest=table.digest,
                source_type=table.source_type,
                source=table.source,
                schema=table.schema,
                profile=table.profile,
                tags=table.tags,
            ),
        )
    for model in body.models_read:
        key = SEPARATOR.join((body.trial, "model input", model))
        yield key, TrialLinkState(seq=entry.seq, trial_link=key, trial=body.trial, role="model input", name=model)
    for output in body.outputs:
        key = SEPARATOR.join((body.trial, "output", output.model))
        yield (
            key,
            TrialLinkState(
                seq=entry.seq, trial_link=key, trial=body.trial, role="output", name=output.model, step=output.step
            ),
        )


TRIAL_LINKS = projection("trial_links", "trial_link", TrialLinkState, (say.TrialLinked,), trial_links)
