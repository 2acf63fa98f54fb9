"""What a released type of event is: its struct, its version, and which of its fields refer to entities.

The types themselves are in the other files of this folder, by what they are about.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterator
from functools import cached_property
from operator import attrgetter
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec
from msgspec import Meta

from tallystick.ledger.errors import Damaged
from tallystick.ledger.events.event import MAX_INTEGER, Event, kind

Count = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
HexHash = Annotated[str, Meta(min_length=64, max_length=64)]
Json = dict[str, Any]


KINDS: list[str] = []
"""Every kind of entity that events refer to."""


def _reference(entity: str) -> Meta:
    KINDS.append(entity)
    return Meta(min_length=1, max_length=200, extra={"entity": entity})


PipelineRef = Annotated[str, _reference("pipeline")]
RunRef = Annotated[str, _reference("run")]
SliceRef = Annotated[str, _reference("slice")]
WindowRef = Annotated[str, _reference("window")]
ModelRef = Annotated[str, _reference("model")]
DecisionRef = Annotated[str, _reference("decision")]
EnvironmentRef = Annotated[str, _reference("environment")]
ArtifactRef = Annotated[str, _reference("artifact")]
SchemaRef = Annotated[str, _reference("schema")]
KeyRef = Annotated[str, _reference("key")]
AnchorRef = Annotated[str, _reference("anchor")]
CorrectionRef = Annotated[str, _reference("correction")]
RedactionRef = Annotated[str, _reference("redaction")]
SegmentRef = Annotated[str, _reference("segment")]
GateRef = Annotated[str, _reference("gate")]
WaiverRef = Annotated[str, _reference("waiver")]
LookRef = Annotated[str, _reference("look")]
ReproductionRef = Annotated[str, _reference("reproduction")]
AutomationRef = Annotated[str, _reference("automation")]
PredictionRef = Annotated[str, _reference("prediction")]
PeriodRef = Annotated[str, _reference("period")]
FindingRef = Annotated[str, _reference("finding")]
TrialRef = Annotated[str, _reference("trial")]
ExperimentRef = Annotated[str, _reference("experiment")]
LoggedRef = Annotated[str, _reference("logged")]
RegisteredRef = Annotated[str, _reference("registered")]
VersionRef = Annotated[str, _reference("version")]
AliasRef = Annotated[str, _reference("alias")]
HistoryRef = Annotated[str, _reference("history")]
Words = Annotated[str, Meta(min_length=1, max_length=10_000)]

BY_CONTENT = frozenset({"slice", "artifact", "environment", "schema"})
"""Kinds whose names are made of what they hold: the same name is the same thing in every ledger."""
OF_THE_LOG = frozenset({"key", "anchor", "redaction", "correction", "segment", "history"})
"""Kinds that are about a log itself and its positions."""


class Fact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Part of a body."""


class Body(Fact, frozen=True, kw_only=True):
    """What one type of event says."""

    TYPE: ClassVar[str]
    VERSION: ClassVar[int]


B = TypeVar("B", bound=Body)


class Released:
    """One released ``(type, version)``: its struct, its decoder, and the fields that refer to entities."""

    def __init__(self, body: type[Body]) -> None:
        self.body = body

    # Made at first use: a quick command meets a few types and should not pay for all of them.
    @cached_property
    def decoder(self) -> msgspec.json.Decoder[Event[Any]]:
        """Reads an event of this type and version from its bytes."""
        return msgspec.json.Decoder(Event[self.body])  # type: ignore[name-defined]

    @cached_property
    def references(self) -> tuple[tuple[Callable[[Body], str | None], str], ...]:
        """Pairs of how to get a referring field, and the prefix of the entity's name."""
        return tuple((attrgetter(field), f"{entity}:") for field, entity in _references(self.body))

    @cached_property
    def free_form(self) -> bool:
        """Whether some part of the body is untyped JSON, whose values no type bounds."""
        return _holds_any(self.body)

    @cached_property
    def free_fields(self) -> tuple[str, ...]:
        """Fields of the body that hold untyped JSON somewhere."""
        return tuple(name for name, hint in typing.get_type_hints(self.body).items() if _holds_any(hint))

    @cached_property
    def own_names(self) -> tuple[str, ...]:
        """Fields that refer to entities which every ledger names by itself."""
        return tuple(field for field, entity in _references(self.body) if entity not in BY_CONTENT | OF_THE_LOG)

    def named(self, body: Body) -> list[tuple[str, str, str]]:
        """Field, kind and name of each entity that a body refers to."""
        found = ((field, entity, getattr(body, field)) for field, entity in _references(self.body))
        return [(field, entity, name) for field, entity, name in found if name is not None]

    def references_under(self, under: str) -> tuple[tuple[Callable[[Body], str | None], str], ...]:
        """The same where names are read under another: ``run:ann/2026-11-23.1``."""
        return tuple(
            (get, prefix if prefix[:-1] in BY_CONTENT | OF_THE_LOG else f"{prefix}{under}/")
            for get, prefix in self.references
        )

    def named_under(self, body: B, under: str) -> B:
        """A body whose names are those that it has under another; see :func:`named_under`."""
        names = {field: f"{under}/{name}" for field in self.own_names if (name := getattr(body, field)) is not None}
        return msgspec.structs.replace(body, **names)

    def entities(self, body: Body) -> list[str]:
        """Names such as ``run:2026-11-23.1`` of the entities that a body refers to."""
        return [prefix + name for get, prefix in self.references if (name := get(body)) is not None]


RELEASED: dict[tuple[str, int], Released] = {}
_NEWEST: dict[str, Released] = {}
"""The newest version of each type."""

C = TypeVar("C", bound=type[Body])


def released(name: str, version: int) -> Callable[[C], C]:
    """Declare a struct to be version ``version`` of the type ``name`` (``noun.verbed``)."""

    def declare(body: C) -> C:
        body.TYPE, body.VERSION = name, version
        RELEASED[name, version] = made = Released(body)
        if name not in _NEWEST or version > _NEWEST[name].body.VERSION:
            _NEWEST[name] = made
        return body

    return declare


def _references(body: type[Body]) -> Iterator[tuple[str, str]]:
    for field, hint in typing.get_type_hints(body, include_extras=True).items():
        entity = _entity_in(hint)
        if entity:
            yield field, entity


def _entity_in(hint: object) -> str | None:
    """The entity that a type hint refers to, looking through ``X | None``."""
    if typing.get_origin(hint) is Annotated:
        for item in typing.get_args(hint)[1:]:
            if isinstance(item, Meta) and item.extra and "entity" in item.extra:
                return str(item.extra["entity"])
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next((found for part in typing.get_args(hint) if (found := _entity_in(part))), None)
    return None


def _holds_any(hint: object) -> bool:
    if hint is Any:
        return True
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return any(map(_holds_any, typing.get_type_hints(hint).values()))
    return any(map(_holds_any, typing.get_args(hint)))


_decode_unknown = msgspec.json.Decoder(Event[Json])


def decode(data: bytes, filed_as: str = "") -> Event[Any]:
    """An event from its stored bytes: typed where the type is known, else with a plain ``dict`` as its body.

    Parameters
    ----------
    filed_as : str, optional
        The type that the log files it under, a hint and no more: mostly right, it saves reading the bytes twice.

    Raises
    ------
    Damaged
        When the bytes are not an event at all, or contradict the declared shape of their own type.
    """
    if (usual := _NEWEST.get(filed_as)) is not None:
        try:
            event = usual.decoder.decode(data)
            if event.t == filed_as and event.v == usual.body.VERSION:
                return event
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass  # an earlier version, or not what it is filed as: found out below
    try:
        found = kind(data)
        known = RELEASED.get((found.t, found.v))
        return (known.decoder if known else _decode_unknown).decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Damaged(f"These bytes are not an event: {error}") from error


def is_known(event: Event[Any]) -> bool:
    """Whether this program knows the type and version of an event."""
    return (event.t, event.v) in RELEASED


def entities(event: Event[Any]) -> list[str]:
    """Names of the entities that an event refers to; none for unknown types."""
    known = RELEASED.get((event.t, event.v))
    return known.entities(event.body) if known else []


def references(event: Event[Any]) -> list[tuple[str, str, str]]:
    """Field, kind and name of each entity that an event refers to; none for unknown types."""
    known = RELEASED.get((event.t, event.v))
    return known.named(event.body) if known else []


def names_in_bodies(name: str) -> list[str]:
    """How an entity may be called in the body of an event: as here, or without what it is read under here.

    That may be several names, one inside the other: ``ann/carl/r1`` was ``carl/r1`` for Ann and ``r1`` for Carl.
    """
    found = [name]
    while "/" in name:
        name = name.partition("/")[2]
        found.append(name)
    return found


def named_under(event: Event[Any], under: str | None) -> Event[Any]:
    """An event of an imported history as it is read here: what it names is called ``under/name``.

    What has its name from its content, and what is about the log itself, keeps its name.
    """
    known = RELEASED.get((event.t, event.v))
    if known is None or under is None:
        return event
    return msgspec.structs.replace(event, body=known.named_under(event.body, under))
