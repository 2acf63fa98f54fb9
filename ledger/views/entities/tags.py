"""Tags of experiments, trials, kept models, registered models and their versions: one row each, as they are many."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.views.projection import Change, Lookup, State, projection

SEPARATOR = "\x1f"
_OWNERS = (say.ExperimentCreated, say.ExperimentChanged, say.TrialBegun, say.TrialNoted, say.LoggedCreated,
           say.LoggedChanged, say.RegisteredCreated, say.RegisteredChanged, say.VersionCreated,
           say.VersionChanged)  # fmt: skip


class TagState(State, frozen=True, kw_only=True):
    tag: str
    """Owner and name, with a separator between them that no name holds."""
    owner: str
    """With its kind: ``trial:churn/20261125-143005-k3f9a2``."""
    name: str
    value: str | None
    """None where it was removed."""


def owner_of(body: say.Body) -> str:
    """The entity, with its kind, that tags of an event belong to."""
    match body:
        case say.TrialBegun() | say.TrialNoted():
            return f"trial:{body.trial}"
        case say.LoggedCreated() | say.LoggedChanged():
            return f"logged:{body.logged}"
        case say.RegisteredCreated() | say.RegisteredChanged():
            return f"registered:{body.registered}"
        case say.VersionCreated() | say.VersionChanged():
            return f"version:{body.version}"
        case say.ExperimentCreated() | say.ExperimentChanged():
            return f"experiment:{body.experiment}"
    raise TypeError(type(body).__name__)


def tags(entry: Entry, _current: Lookup) -> Iterator[Change]:
    """The newest value of each tag."""
    body = entry.event.body
    owner = owner_of(body)
    values: dict[str, str | None] = dict.fromkeys(getattr(body, "removed_tags", ()))
    for name, value in {**values, **body.tags}.items():
        key = f"{owner}{SEPARATOR}{name}"
        yield key, TagState(seq=entry.seq, tag=key, owner=owner, name=name, value=value)


TAGS = projection("tags", "tag", TagState, _OWNERS, tags)
