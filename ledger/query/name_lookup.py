"""EntityReader by the names that people type: whole, with or without their kind, or by an unambiguous beginning."""

from __future__ import annotations

from typing import NamedTuple, TypeVar, cast

from tallystick.ledger.errors import InvalidInput, NotFound
from tallystick.ledger.views.entities import (
    BY_KEY,
    BY_NAME,
    BY_STATE,
    NAMED,
)
from tallystick.ledger.views.projection import Projection, State
from tallystick.ledger.views.store import Views

S = TypeVar("S", bound=State)


class NamedEntity(NamedTuple):
    """An entity that a name means."""

    projection: Projection
    name: str
    state: State


class Names:
    """The names of all entities at one position.

    Parameters
    ----------
    position : int
        As ``views`` counts positions.
    words : str
        The position in words, for the error of a name that is not there.
    """

    def __init__(self, views: Views, position: int, words: str) -> None:
        self._views = views
        self._position = position
        self._words = words

    def find(self, handle: str, field: str | None = None) -> NamedEntity | None:
        """The entity with exactly this name, with or without its kind; of several, the first that has the field."""
        kind, colon, name = handle.partition(":")
        for projection in NAMED:
            if colon and projection.key != kind:
                continue
            wanted = name if colon else handle
            if field is not None and field not in projection.state.__struct_fields__:
                continue
            state = self._views.get(projection, wanted, self._position)
            if state is not None:
                return NamedEntity(projection, wanted, state)
        return None

    def named(self, handle: str, field: str | None = None) -> NamedEntity:
        """The same, where an unambiguous beginning of the name will do; NotFound where there is none."""
        found = self.find(handle, field) or self.find(handle)
        if found is not None:
            return found
        kind, colon, name = handle.partition(":")
        wanted = name if colon else handle
        begins = [
            (projection, name)
            for projection in NAMED
            if wanted and (not colon or projection.key == kind)
            for name in self._names(projection)
            if name.startswith(wanted)
        ]
        # Only a pipeline has a champion: a field that is asked for may say which kind is meant.
        begins = [one for one in begins if field in one[0].state.__struct_fields__] or begins
        # One name may belong to several kinds, as that of a run and its decision: then the first kind is meant.
        if begins and len({name for _, name in begins}) == 1:
            projection, name = begins[0]
            state = self._views.get(projection, name, self._position)
            assert state is not None
            return NamedEntity(projection, name, state)
        if begins:
            some = ", ".join(f"{projection.key}:{name}" for projection, name in begins[:5])
            raise NotFound(
                f"{handle!r} could be any of {len(begins)}: {some}{', …' if len(begins) > 5 else ''}.",
                "Type a few letters more, or the kind before it: model:late-arrivals-v1.",
            )
        raise self._nothing(handle)

    def _nothing(self, handle: str) -> NotFound:
        kind, colon, name = handle.partition(":")
        for projection in NAMED:
            if not colon or projection.key == kind:
                versions = self._views.history(projection, name if colon else handle, -1, self._position)
                if versions:
                    gone = self._views.event_at(versions[-1].position)
                    return NotFound(
                        f"There is no {handle!r} any more: what it followed from does not count since #{gone}.",
                        f"Ask for it as it was: --as-of 'before:#{gone}'",
                    )
        return NotFound(
            f"There is no {handle!r}, {self._words}.",
            "Give a name from `tally runs`, `tally models` or `tally status`, with its kind where it could be several: "
            "model:late-arrivals-v1.",
        )

    def _names(self, projection: Projection) -> list[str]:
        return [getattr(state, projection.key) for state in self._views.all(projection, self._position)]

    def one(self, state: type[S], name: str) -> S:
        """One entity of a kind by its name or an unambiguous beginning of it; NotFound otherwise."""
        projection = BY_STATE[state]
        name = name.removeprefix(f"{projection.key}:")
        found = self._views.get(projection, name, self._position)
        if found is not None:
            return cast("S", found)
        names = self._names(projection)
        begins = [candidate for candidate in names if candidate.startswith(name)]
        if name and len(begins) == 1:
            return self.one(state, begins[0])
        if name and begins:
            raise NotFound(
                f"{name!r} could be any of {len(begins)} {projection.name}: {', '.join(begins[:5])}"
                f"{', …' if len(begins) > 5 else ''}.",
                "Type a few letters more.",
            )
        known = (
            f"Known {projection.name}: {', '.join(names[-5:])}." if names else f"There are no {projection.name} yet."
        )
        raise NotFound(f"There is no {projection.key} {name!r}, {self._words}. {known}")


def projection_of(kind: str) -> Projection:
    """The kind of entity by its name, ``models`` or ``model``; InvalidInput for an unknown one."""
    found = BY_NAME.get(kind) or BY_KEY.get(kind)
    if found is None or found not in NAMED:
        raise InvalidInput(f"There is no kind {kind!r}.", f"There are {', '.join(p.name for p in NAMED)}.")
    return found
