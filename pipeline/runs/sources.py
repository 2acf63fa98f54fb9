"""What the candidates of a run are made of: gathered when it begins, recorded with it, and taken from there later.

Code is taken from beside the pipeline file once, when a run begins. Whatever does that run again, refits, judges on the
sealed windows or predicts uses the text that the run recorded, wherever it happens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from blake3 import blake3

from tallystick.ledger import Artifact
from tallystick.ledger.errors import Damaged, InvalidInput, Refused
from tallystick.ledger.events import types as say
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.pipeline.config.load import LoadedPipeline
from tallystick.pipeline.config.settings import Pipeline
from tallystick.pipeline.config.windows import Window, all_windows
from tallystick.pipeline.data.delivered import Delivered, read_delivered
from tallystick.pipeline.data.slice import Slice, open_table, rows_of
from tallystick.pipeline.evaluate.backtest import split
from tallystick.pipeline.evaluate.fitting import Recipe, Source
from tallystick.pipeline.models.allowed_types import packages_named
from tallystick.pipeline.models.onnx_file import MEDIA_TYPE, OnnxFile
from tallystick.pipeline.models.template import Template
from tallystick.pipeline.own_code import OwnCode, activate
from tallystick.pipeline.recipes import own_code
from tallystick.pipeline.runs.onnx_candidate import read_onnx, try_onnx

Stored = Callable[[str], bytes]
TEXT = "text/x-python"


# A run that begins -------------------------------------------------------------------------------------------


def new_sources(
    now: Snapshot, stored: Stored, loaded: LoadedPipeline, slice_: Slice, windows: Sequence[Window], as_of: int
) -> dict[str, Source]:
    """What the candidates of a pipeline file are made of now; those of installed libraries are left out.

    Predictions that were computed elsewhere are checked for every window, before anything is computed.

    Raises
    ------
    InvalidInput, NotFound
        Naming the candidate.
    """
    found: dict[str, Source] = {}
    settings, base = loaded.settings, loaded.path.parent
    for name, item in settings.candidates.items():
        if item.predictions is not None:
            delivered = read_delivered(settings, name, base, slice_, windows)
            check_windows(name, delivered, slice_, windows, as_of)
            found[name] = delivered
        elif item.onnx is not None:
            found[name] = read_onnx(settings, name, base, slice_, windows)
        elif item.trial is not None:
            found[name] = template_of(now, stored, name, item.trial)
        elif item.estimator is not None and (code := own_code(item.estimator)) is not None:
            found[name] = code
    return found


def check_windows(name: str, delivered: Delivered, slice_: Slice, windows: Sequence[Window], as_of: int) -> None:
    """Refuse predictions that leave out a row of a window, or were made by a model that knew it."""
    table = open_table(slice_)
    for window in windows:
        rows = split(table, window, as_of, None).test
        delivered.of_window(name, window, rows_of(table, np.asarray(rows)))


def template_of(now: Snapshot, stored: Stored, candidate: str, named: str) -> Template:
    """The unfitted copy of a trial's model, from ``trial:NAME`` or ``trial:NAME#MODEL``.

    Raises
    ------
    InvalidInput
        Naming the candidate, where the trial has no such model or several.
    """
    trial, _, model = named.removeprefix("trial:").partition("#")
    fitting = [state.trial for state in now.trials() if state.trial.startswith(trial)]
    if len(fitting) != 1 and trial not in fitting:
        found = ", ".join(fitting[:3]) or "none"
        raise InvalidInput(f"{candidate}: from = {named!r} names no one trial; found {found}.", "tally trials")
    known = trial if trial in fitting else fitting[0]
    entries = now.counted_events(types=[say.TrialModelled.TYPE], names=[known])
    bodies = [entry.event.body for entry in entries if entry.event.body.trial == known]
    fits = [body for body in bodies if not model or body.name == model]
    names = ", ".join(dict.fromkeys(body.name for body in bodies))
    if not fits:
        raise InvalidInput(
            f"{candidate}: trial {known} stored no model{f' {model!r}' if model else ''}.",
            f"It stored {names}." if names else "A notebook stores one with run.model(fitted, name=…).",
        )
    if len({body.name for body in fits}) > 1:
        raise InvalidInput(f"{candidate}: trial {known} stored several models: {names}.", f'from = "{named}#NAME"')
    chosen = fits[-1]
    packages = packages_named(chosen.estimator, {})
    return Template(chosen.unfitted, stored(chosen.unfitted), known, packages)


# Recording ---------------------------------------------------------------------------------------------------


def facts_of(source: Source) -> dict[str, Any]:
    """A source as events hold it: hashes in place of content."""
    match source:
        case OwnCode():
            hashes = {name: blake3(text.encode()).hexdigest() for name, text in source.sources.items()}
            return {"main": source.main, "modules": hashes, "packages": list(source.packages)}
        case Template():
            return {"file": source.artifact, "trial": source.trial, "packages": sorted(source.packages)}
        case OnnxFile():
            return {
                "file": source.artifact,
                "trained_until": source.trained_until,
                "classification": source.classification,
                "not_judged": list(source.not_judged),
            }
        case Delivered():
            return {
                "source": source.source,
                "declared_by": source.declared_by,
                "windows": {label: source.digests[label] for label in source.judged},
                "models": list(source.models),
            }


def declared(book: Ledger, run: str, pipeline: str, recipes: Sequence[Recipe]) -> list[Draft | say.Body]:
    """What is recorded of what the candidates of a run are made of; the text of modules is stored first."""
    drafts: list[Draft | say.Body] = []
    texts: dict[str, Artifact] = {}
    imported: dict[str, Artifact] = {}
    for recipe in recipes:
        if recipe.source is None:
            continue
        if isinstance(recipe.source, OwnCode):
            texts |= {item.hash: item for item in map(book.store, _texts(recipe.source))}
        if isinstance(recipe.source, OnnxFile):
            imported[recipe.source.artifact] = book.store(recipe.source.data)
        drafts.append(
            say.CandidateDeclared(
                run=run,
                pipeline=pipeline,
                candidate=recipe.name,
                kind=_kind(recipe.source),
                estimator=recipe.estimator,
                source=facts_of(recipe.source),
                trial=recipe.source.trial if isinstance(recipe.source, Template) else None,
            )
        )
    files: list[Draft | say.Body] = [
        say.ArtifactStored(artifact=item.hash, size_bytes=item.size_bytes, media_type=kind, role="source", run=run)
        for kind, stored in ((TEXT, texts), (MEDIA_TYPE, imported))
        for item in stored.values()
    ]
    return [*files, *drafts]


def _texts(code: OwnCode) -> list[bytes]:
    return [text.encode() for text in code.sources.values()]


def _kind(source: Source) -> Literal["code", "trial", "delivered", "onnx"]:
    match source:
        case OwnCode():
            return "code"
        case Template():
            return "trial"
        case OnnxFile():
            return "onnx"
        case Delivered():
            return "delivered"


# A run that was -----------------------------------------------------------------------------------------------


def recorded_sources(
    now: Snapshot, stored: Stored, started: say.RunStarted, settings: Pipeline, base: Path, slice_: Slice
) -> dict[str, Source] | None:
    """What the candidates of a run were made of; None for a run from before that was recorded, if it had code.

    Predictions that were computed elsewhere are read again from where the file says.

    Raises
    ------
    Refused
        Where the run was imported: the code of another ledger is not run.
    NotFound, Damaged
        Where what was recorded is not here, or not as it was.
    """
    found: dict[str, Source] = {}
    windows = all_windows(settings.time)
    for body in _declarations(now, started.run):
        if body.kind == "delivered":
            name = body.candidate
            found[name] = read_delivered(settings, name, base, slice_, windows, judged=started.windows)
        else:
            source = found[body.candidate] = source_from(body.source, stored)
            if isinstance(source, OnnxFile):
                try_onnx(body.candidate, source, slice_)
    if not found and any(item.estimator and own_code(item.estimator) for item in settings.candidates.values()):
        return None
    return found


def _declarations(now: Snapshot, run: str) -> list[say.CandidateDeclared]:
    found = []
    for recorded in now.events(types=[say.CandidateDeclared.TYPE]):
        body = getattr(recorded.content, "body", None)
        if not recorded.counts or not isinstance(body, say.CandidateDeclared) or body.run != run:
            continue
        if recorded.imported and body.kind == "code":
            raise Refused(
                f"Candidate {body.candidate} of run {run} is code that another ledger recorded; it is not run here.",
                "Read it with `tally show`, put it beside a pipeline file of your own, and run that.",
            )
        found.append(body)
    return found


def source_from(facts: Mapping[str, Any], stored: Stored) -> OwnCode | Template | OnnxFile:
    """Code, an unfitted copy or an imported model, from what an event holds of it.

    Raises
    ------
    NotFound, Damaged
        Where a file is not here, or not as it was.
    """
    modules = facts.get("modules")
    try:
        if isinstance(modules, dict):
            sources = {str(name): stored(str(artifact)).decode() for name, artifact in modules.items()}
            main = str(facts["main"])
            if main not in sources:
                raise Damaged(f"The recorded code names no module {main}.")
            return OwnCode(main, sources, tuple(map(str, facts.get("packages") or ())))
        artifact = str(facts["file"])
        if "trained_until" in facts:
            not_judged = tuple(map(str, facts["not_judged"]))
            until, classification = int(facts["trained_until"]), facts["classification"] is True
            return OnnxFile(artifact, stored(artifact), until, classification, not_judged)
        packages = frozenset(map(str, facts.get("packages") or ()))
        return Template(artifact, stored(artifact), str(facts.get("trial")), packages)
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(f"What a candidate is made of cannot be read: {type(error).__name__} {error}.") from error


def same_deliveries(record_run: str, now: Snapshot, sources: Mapping[str, Source]) -> list[str]:
    """Sentences for predictions that are not those that a run judged; empty where all are."""
    said = []
    for body in _declarations(now, record_run):
        source = sources.get(body.candidate)
        before = body.source.get("windows")
        if body.kind != "delivered" or not isinstance(source, Delivered) or not isinstance(before, dict):
            continue
        other = [label for label, digest in before.items() if source.digests.get(label) != digest]
        if other:
            said.append(f"the predictions of {body.candidate} for {', '.join(other)} are not those that were delivered")
    return said


def model_source(now: Snapshot, stored: Stored, made_by_event: int, made: say.CandidateRefitted) -> Source | None:
    """What a recorded model is made of beside installed libraries, and its code active, so that its file can be read.

    Raises
    ------
    Refused
        Where another ledger recorded it and it is code.
    """
    facts = made.recipe.get("source")
    if not isinstance(facts, dict) or "declared_by" in facts:
        activate(None)
        return None
    if "modules" in facts and now.event(made_by_event).imported:
        raise Refused(
            f"{made.model} is made of code that another ledger recorded; it is not run here.",
            "Read it with `tally show`, put it beside a pipeline file of your own, and run that.",
        )
    source = source_from(facts, stored)
    activate(source if isinstance(source, OwnCode) else None)
    return source
