"""Files of trials, kept beside the ledger under their hashes."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant
from tallystick.ledger.views.projection import Change, Lookup, State, projection


class TrialFileState(State, frozen=True, kw_only=True):
    trial_file: str
    """Trial and name: ``churn-notebook/20261125-143005-k3f9a2/model.bin``."""
    trial: str
    name: str
    artifact: str
    """BLAKE3 of the content, hexadecimal."""
    size_bytes: int
    stored_at: Instant
    """When it happened, which may be before it could be recorded."""


def trial_files(entry: Entry, _current: Lookup) -> Iterator[Change]:
    """The newest content under each name."""
    body: say.TrialStored = entry.event.body
    key = f"{body.trial}/{body.name}"
    yield (
        key,
        TrialFileState(
            seq=entry.seq,
            trial_file=key,
            trial=body.trial,
            name=body.name,
            artifact=body.artifact,
            size_bytes=body.size_bytes,
            stored_at=entry.event.occurred_at,
        ),
    )


TRIAL_FILES = projection("trial_files", "trial_file", TrialFileState, (say.TrialStored,), trial_files)
