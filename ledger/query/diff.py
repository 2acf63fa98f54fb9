"""What changed between two positions: entity by entity, field by field, and which event made it so."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from tallystick.ledger.query.as_of import AsOf
from tallystick.ledger.views.entities import NAMED
from tallystick.ledger.views.fold import differing
from tallystick.ledger.views.projection import Projection, State
from tallystick.ledger.views.store import Views
from tallystick.ledger.views.tables import NEW


class FieldChange(msgspec.Struct, frozen=True, gc=False):
    """A field that says something else, and the event between the two positions that last changed it."""

    field: str
    old: Any
    new: Any
    seq: int


class EntityChange(msgspec.Struct, frozen=True, gc=False):
    """An entity that is new, gone, or different."""

    kind: str
    name: str
    before: State | None
    after: State | None
    seq: int
    """The event that made it what it is at the later position."""
    fields: list[FieldChange]
    """What differs, where it is there on both sides."""

    @property
    def handle(self) -> str:
        """``model:late-arrivals-v1``."""
        return f"{self.kind}:{self.name}"


class Difference(NamedTuple):
    """Everything that is different at ``b``, compared with ``a``."""

    a: AsOf
    b: AsOf
    changes: list[EntityChange]

    def applied_to(self, states: dict[str, State]) -> dict[str, State]:
        """The states of ``b`` by handle, from those of ``a``."""
        result = dict(states)
        for change in self.changes:
            if change.after is None:
                result.pop(change.handle, None)
            else:
                result[change.handle] = change.after
        return result


def difference(views: Views, a: AsOf, b: AsOf) -> Difference:
    """Compare two positions of the same views; the cost is that of what changed in between.

    ``a`` may be the later one; then the answer says what going back undoes, and names the same events.
    """
    low, high = sorted((a.seq, b.seq))
    forwards = a.seq <= b.seq
    changes = []
    for touched in views.touched(low, high):
        earlier, later = touched.before, touched.after
        if earlier is None and later is None:
            continue
        fields = _fields(earlier, later, touched.rows, forwards)
        if earlier is not None and later is not None and not fields:
            continue  # there and back again
        before, after = (earlier, later) if forwards else (later, earlier)
        seq = touched.rows[-1][0]
        changes.append(EntityChange(touched.projection.key, touched.key, before, after, seq, fields))
    return Difference(a, b, changes)


def compare(left: Views, a: AsOf, at_left: int, right: Views, b: AsOf, at_right: int) -> Difference:
    """The same between views that do not share their positions, such as a what-if and what is: by reading both."""
    changes = []
    for projection in NAMED:
        before, after = by_name(left, projection, at_left), by_name(right, projection, at_right)
        for name in sorted(before.keys() | after.keys()):
            old, new = before.get(name), after.get(name)
            made = new or old
            assert made is not None
            fields = [
                FieldChange(field, earlier, later, _made_so(right, projection, name, field, at_right))
                for field, earlier, later in (differing(old, new) if old is not None and new is not None else ())
            ]
            if fields or old is None or new is None:
                changes.append(EntityChange(projection.key, name, old, new, made.seq, fields))
    return Difference(a, b, changes)


def _made_so(views: Views, projection: Projection, name: str, field: str, position: int) -> int:
    since = views.last_change(projection, name, field, position)
    assert since is not None
    return views.event_at(since)


def by_name(views: Views, projection: Projection, position: int) -> dict[str, State]:
    """All states of a kind by their name."""
    return {getattr(state, projection.key): state for state in views.all(projection, position)}


def _fields(
    earlier: State | None, later: State | None, rows: list[tuple[int, str]], forwards: bool
) -> list[FieldChange]:
    if earlier is None or later is None:
        return []
    before, after = (earlier, later) if forwards else (later, earlier)
    made: dict[str, int] = {}
    for position, changed in rows:
        # Only what a row says that it changed can be different: most states have many fields and change few.
        for name in earlier.__struct_fields__[1:] if changed == NEW else changed[1:-1].split(","):
            made[name] = position
    found = []
    for name, position in made.items():
        old, new = getattr(before, name, None), getattr(after, name, None)
        if old != new:
            found.append(FieldChange(name, old, new, position))
    return found
