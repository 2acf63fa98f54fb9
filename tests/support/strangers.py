"""A ledger that a stranger filled: every text of every released type is hostile, every time and number extreme."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from tallystick import ledger
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.event import MAX_INTEGER, About
from tallystick.ledger.events.types import RELEASED

HOSTILE = (
    "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x9b2J\u202elive\u2066x\u200b\r\n\t\x00\u2028\ue000\x7f[bold]@click=app.quit[/]"
    "<script>alert(1)</script>'\">"
)
"""Escapes and their eight-bit forms, a window title, reading directions, line breaks of all kinds, our own markup."""
FIRST, LAST = dt.datetime(1, 1, 1, tzinfo=dt.UTC), dt.datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=dt.UTC)


class Filling:
    """Values for the fields of bodies; references by kind agree, so that entities are linked with each other."""

    def __init__(self, text: str = HOSTILE, moment: dt.datetime = FIRST, number: float = 1e308) -> None:
        self.text, self.moment, self.number = text, moment, number

    def body(self, kind: type[msgspec.Struct]) -> Any:
        """A body of this type with every field filled."""
        return msgspec.convert(
            {field.encode_name: self.value(field.type, field.name) for field in inspect.type_info(kind).fields},  # type: ignore[attr-defined]
            kind,
        )

    def value(self, kind: inspect.Type, name: str) -> Any:  # noqa: PLR0911 - one kind of field a line
        """A value that the type allows."""
        match kind:
            case inspect.Metadata():
                reference = (kind.extra or {}).get("entity")
                return f"{reference} {self.text}"[:150] if reference else self.value(kind.type, name)
            case inspect.StrType(min_length=64, max_length=64):
                return "ab" * 32
            case inspect.StrType():
                return (self.text * 2)[: kind.max_length or 10_000]
            case inspect.IntType():
                return kind.le if kind.le is not None else kind.ge if kind.ge is not None else MAX_INTEGER
            case inspect.FloatType():
                return kind.le if kind.le is not None else self.number
            case inspect.BoolType():
                return True
            case inspect.DateTimeType():
                return self.moment
            case inspect.BytesType():
                return b"\xff"
            case inspect.LiteralType():
                return kind.values[0]
            case inspect.UnionType():
                return self.value(next(item for item in kind.types if not isinstance(item, inspect.NoneType)), name)
            case inspect.ListType() | inspect.VarTupleType():
                return [self.value(kind.item_type, name)]
            case inspect.TupleType():
                return [self.value(item, name) for item in kind.item_types]
            case inspect.DictType():
                return {self.text: self.value(kind.value_type, name)}
            case inspect.StructType():
                return {field.encode_name: self.value(field.type, field.name) for field in kind.fields}
            case inspect.AnyType():
                return [self.text, {self.text: [self.text, MAX_INTEGER, -0.0, None, True]}]
        raise AssertionError(kind)


def stranger(parent: Path, filling: Filling, timezone: str) -> list[str]:
    """Make such a ledger; the names of its entities, by kind."""
    first = filling.moment
    span = (first, first) if first == LAST else (first, first + dt.timedelta(days=31))
    about = About(trained_on=span, tested_on=span, intended_for=span, observed_in=span)
    with ledger.create(parent, timezone=timezone, key_home="file") as book:
        for released in RELEASED.values():
            if released.body.TYPE in ("ledger.created", "schema.declared", "key.rotated", "fork.adopted"):
                continue
            book.append(Draft(filling.body(released.body), about=about, occurred_at=first), note=filling.text)
        return sorted(book.log.entities(""))
