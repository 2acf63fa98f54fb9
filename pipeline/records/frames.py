"""Entities as pandas tables, with times that know their zone and words that are categories."""

from __future__ import annotations

import datetime as dt
import types
import typing
from typing import Any, Literal, get_args, get_origin

import msgspec
import pandas as pd

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.entities import BY_KEY, BY_NAME

DTYPES: dict[Any, Any] = {bool: "boolean", int: "Int64", float: "Float64", str: "string"}


def table(snapshot: Snapshot, kind: str, timezone: str = "UTC") -> pd.DataFrame:
    """All entities of a kind (``"runs"``, ``"models"``, …) as they were known at a moment.

    Returns
    -------
    DataFrame with one row an entity, in the order in which they came to be, indexed by name; columns are the fields.
    Times are ``datetime64[us, timezone]``; a period becomes two columns, ``trained_on_from`` and ``trained_on_to``,
    half-open; fields with few fixed words are categories; whole numbers that may be missing are ``Int64``.

    Raises
    ------
    InvalidInput
        For an unknown kind.

    Examples
    --------
    >>> from tallystick import ledger
    >>> book = ledger.open(".")  # doctest: +SKIP
    >>> table(book.at("2013-06"), "models", book.zone.key)  # doctest: +SKIP
    """
    states = snapshot.states(kind)
    projection = BY_NAME.get(kind) or BY_KEY.get(kind)
    if projection is None:
        raise InvalidInput(f"There is no kind {kind!r}.")
    columns: dict[str, Any] = {}
    for field, hint in typing.get_type_hints(projection.state).items():
        values = [getattr(state, field) for state in states]
        plain = _without_none(hint)
        if _is_period(plain):
            for place, end in enumerate(("from", "to")):
                ends = [None if value is None else value[place] for value in values]
                columns[f"{field}_{end}"] = _times(ends, timezone)
        else:
            columns[field] = _column(values, plain, timezone)
    return pd.DataFrame(columns).set_index(projection.key)


def _column(values: list[Any], hint: Any, timezone: str) -> Any:
    if hint is dt.datetime:
        return _times(values, timezone)
    if get_origin(hint) is Literal:
        return pd.Categorical(values, categories=list(get_args(hint)))
    if hint in DTYPES:
        return pd.array(values, dtype=DTYPES[hint])
    return [msgspec.to_builtins(value) for value in values]


def _times(values: list[dt.datetime | None], timezone: str) -> pd.DatetimeIndex:
    moments: Any = values
    return pd.DatetimeIndex(pd.to_datetime(moments, utc=True)).as_unit("us").tz_convert(timezone)


def _without_none(hint: Any) -> Any:
    if get_origin(hint) in (typing.Union, types.UnionType):
        (hint,) = [part for part in get_args(hint) if part is not type(None)]
    return hint


def _is_period(hint: Any) -> bool:
    return get_origin(hint) is tuple and get_args(hint) == (dt.datetime, dt.datetime)
