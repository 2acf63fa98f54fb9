"""The ledger of a model's life, readable at any past date.

    import tallystick

    with tallystick.open(".") as book:
        print(book.at("2013-06-30").champion("late-arrivals"))

The names listed in ``__all__`` are public; nothing else is promised to stay as it is. They come from
:mod:`tallystick.ledger`, and ``new`` and ``confirm``, which begin a pipeline file, from :mod:`tallystick.pipeline`.
Each is imported when it is first used; ``new`` needs the extra ``pipeline``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallystick import ledger

__version__ = "0.2.0"
"""The one place that says it: the wheel, ``tally --version`` and the head of every commit take it from here."""

if TYPE_CHECKING:
    from tallystick.ledger import About as About
    from tallystick.ledger import AfterCommit as AfterCommit
    from tallystick.ledger import Appended as Appended
    from tallystick.ledger import Artifact as Artifact
    from tallystick.ledger import AsOf as AsOf
    from tallystick.ledger import Busy as Busy
    from tallystick.ledger import Conflict as Conflict
    from tallystick.ledger import Damaged as Damaged
    from tallystick.ledger import Draft as Draft
    from tallystick.ledger import Event as Event
    from tallystick.ledger import InvalidInput as InvalidInput
    from tallystick.ledger import Ledger as Ledger
    from tallystick.ledger import NewerFormat as NewerFormat
    from tallystick.ledger import NotFound as NotFound
    from tallystick.ledger import Refused as Refused
    from tallystick.ledger import Snapshot as Snapshot
    from tallystick.ledger import TallyError as TallyError
    from tallystick.ledger import Trial as Trial
    from tallystick.ledger import create as create
    from tallystick.ledger import find as find
    from tallystick.ledger import import_history as import_history
    from tallystick.ledger import open as open
    from tallystick.ledger import run as run
    from tallystick.pipeline import confirm as confirm
    from tallystick.pipeline import new as new

FROM_PIPELINE = ("confirm", "new")
__all__ = sorted(["__version__", *FROM_PIPELINE, *ledger.__all__])  # noqa: PLE0605


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module 'tallystick' has no attribute {name!r}")
    if name == "run":
        import_module("tallystick.pipeline.notebook")  # what makes files of a trial's models
    found: object = _from_pipeline(name) if name in FROM_PIPELINE else getattr(ledger, name)
    globals()[name] = found
    return found


def _from_pipeline(name: str) -> object:
    from tallystick import pipeline
    from tallystick.pipeline.extra import missing_extra

    try:
        found: object = getattr(pipeline, name)
    except ModuleNotFoundError as error:
        raise missing_extra(error, f"tallystick.{name}") or error from error
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
