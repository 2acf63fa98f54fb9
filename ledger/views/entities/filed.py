"""Files of trials and kept models under the paths that their recorder gave them."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant
from tallystick.ledger.views.projection import Change, Lookup, State, projection

SEPARATOR = "\x1f"


class FiledState(State, frozen=True, kw_only=True):
    filed: str
    """Owner and path, with a separator between them that no name holds."""
    owner: str
    """With its kind: ``logged:m-1``."""
    path: str
    artifact: str | None
    """BLAKE3 of the content, hexadecimal; None where it was not there to be kept."""
    size_bytes: int | None
    filed_at: Instant
    removed: bool
    uri: str | None


def filed(entry: Entry, _current: Lookup) -> Iterator[Change]:
    """The newest content under each path."""
    body = entry.event.body
    if isinstance(body, say.TrialStored):
        body = say.FileFiled(path=body.name, artifact=body.artifact, size_bytes=body.size_bytes, trial=body.trial)
    owner = f"logged:{body.logged}" if body.logged is not None else f"trial:{body.trial}"
    key = f"{owner}{SEPARATOR}{body.path}"
    yield (
        key,
        FiledState(
            seq=entry.seq,
            filed=key,
            owner=owner,
            path=body.path,
            artifact=body.artifact,
            size_bytes=body.size_bytes,
            filed_at=entry.event.occurred_at,
            removed=body.removed,
            uri=body.uri,
        ),
    )


FILED = projection("filed", "filed", FiledState, (say.FileFiled, say.TrialStored), filed)
