"""The options that commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tallystick.tui.output.hints import name_ledger

if TYPE_CHECKING:
    import datetime as dt

    from tallystick.ledger import Ledger

FILE = click.Path(path_type=Path)

F = TypeVar("F", bound=Callable[..., Any])


def _remember_ledger(ctx: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    said = option.name and ctx.get_parameter_source(option.name)
    # What TALLY_LEDGER says holds for the next command as well.
    name_ledger(path if said is click.core.ParameterSource.COMMANDLINE else None)
    return path


def ledger_option(command: F) -> F:
    """``--ledger``: where the ledger is."""
    return click.option(
        "--ledger",
        "ledger_path",
        metavar="PATH",
        envvar="TALLY_LEDGER",
        callback=_remember_ledger,
        type=click.Path(path_type=Path, readable=False),  # what may not be read is said in words of our own
        help="The ledger's folder [default: the nearest .tally at or above this folder; or TALLY_LEDGER].",
    )(command)


def json_option(command: F) -> F:
    """``--json``: one JSON document on standard output, errors as JSON on standard error."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def as_of_option(command: F) -> F:
    """``--as-of``: answer as it was known then."""
    return click.option("--as-of", "as_of", metavar="WHEN", help="Answer as it was known at WHEN.")(command)


def axis_option(command: F) -> F:
    """``--axis``: which time a date is on."""
    return click.option(
        "--axis",
        type=click.Choice(["recorded", "occurred"]),
        default="recorded",
        show_default=True,
        help="Whether WHEN is about when things were recorded, or when they happened according to the events.",
    )(command)


def labels_option(command: F) -> F:
    """``--labels-as-of``: which labels were known."""
    return click.option(
        "--labels-as-of",
        "labels_as_of",
        metavar="WHEN",
        help="Use only labels known by the end of WHEN (a date, a month, a time), as if it were then [default: now].",
    )(command)


def moment_of(text: str | None, book: Ledger) -> dt.datetime | None:
    """What a person means by a date, in the ledger's zone; None where nothing was said."""
    if text is None:
        return None
    from tallystick.ledger.query.as_of import parse_moment

    return parse_moment(text, book.zone, book.clock())
