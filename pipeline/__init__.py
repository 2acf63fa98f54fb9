"""How a model is made and judged, in time: slice, train, evaluate, decide.

    from tallystick import pipeline

    loaded = pipeline.read(Path("late-arrivals.toml"))

What this page names is the public face; nothing else is promised to stay as it is. Each name is imported when it is
first used, because the libraries below take a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tallystick.pipeline.begin.new import new
    from tallystick.pipeline.config.load import LoadedPipeline, read
    from tallystick.pipeline.governance.audit import audit
    from tallystick.pipeline.governance.promotion import promote, retire
    from tallystick.pipeline.governance.waivers import waive
    from tallystick.pipeline.monitoring.monitor import monitor
    from tallystick.pipeline.monitoring.predict import answer as predict
    from tallystick.pipeline.records.frames import table
    from tallystick.pipeline.runs.confirm import confirm_here as confirm
    from tallystick.pipeline.runs.final_test import look as final_test
    from tallystick.pipeline.runs.propose import propose
    from tallystick.pipeline.runs.reproduce import reproduce
    from tallystick.pipeline.runs.run import RunReport, run
    from tallystick.pipeline.runs.study import Studied, study

PLACES = {
    "LoadedPipeline": "config.load:LoadedPipeline",
    "RunReport": "runs.run:RunReport",
    "Studied": "runs.study:Studied",
    "audit": "governance.audit:audit",
    "confirm": "runs.confirm:confirm_here",
    "final_test": "runs.final_test:look",
    "monitor": "monitoring.monitor:monitor",
    "new": "begin.new:new",
    "predict": "monitoring.predict:answer",
    "promote": "governance.promotion:promote",
    "propose": "runs.propose:propose",
    "read": "config.load:read",
    "reproduce": "runs.reproduce:reproduce",
    "retire": "governance.promotion:retire",
    "run": "runs.run:run",
    "study": "runs.study:study",
    "table": "records.frames:table",
    "waive": "governance.waivers:waive",
}
"""Name -> the module that holds it, and what it is called there."""

__all__ = [
    "LoadedPipeline",
    "RunReport",
    "Studied",
    "audit",
    "confirm",
    "final_test",
    "monitor",
    "new",
    "predict",
    "promote",
    "propose",
    "read",
    "reproduce",
    "retire",
    "run",
    "study",
    "table",
    "waive",
]


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name not in PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, own = PLACES[name].partition(":")
    found: object = getattr(import_module(f"{__name__}.{module}"), own)
    globals()[name] = found
    return found
