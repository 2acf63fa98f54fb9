"""A refitted candidate, its files stored and its facts written down, ready to be recorded as a model."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from tallystick.ledger.events import types as say
from tallystick.ledger.events.event import About
from tallystick.ledger.ledger import Ledger
from tallystick.pipeline.data.delivered import Delivered
from tallystick.pipeline.evaluate.fitting import Recipe
from tallystick.pipeline.evaluate.result_tables import PARQUET, parquet
from tallystick.pipeline.models.model_file import MEDIA_TYPE
from tallystick.pipeline.runs.refit import Refit
from tallystick.pipeline.runs.sources import facts_of


class Refitted(NamedTuple):
    """What is recorded of a model when it is made."""

    body: say.CandidateRefitted
    about: About
    files: list[say.ArtifactStored]
    known_as: str | None
    """The model of this pipeline that this very file is already."""
    last_seq: int | None
    """Newest event of the model of that name; None for a new one."""


def refitted(book: Ledger, made: Refit, recipe: Recipe, *, run: str, slice_name: str, environment: str) -> Refitted:
    """Store the files of a refit and describe the model that they are, under the name that is free now."""
    stored, probe = book.store(made.file.data), book.store(parquet(made.probe))
    pipeline = book.now().run(run).pipeline
    recorded = {**recipe.content, "complexity": recipe.complexity, **_threshold(made)}
    if recipe.source is not None:
        recorded["source"] = facts_of(recipe.source)
    body = say.CandidateRefitted(
        model="unnamed",
        run=run,
        pipeline=pipeline,
        slice=slice_name,
        environment=environment,
        candidate=recipe.name,
        recipe=recorded,
        recipe_hash=recipe.hash,
        artifact=stored.hash,
        media_type=MEDIA_TYPE,
        trusted_types=made.file.trusted_types,
        libraries=made.file.libraries,
        features=[*recipe.columns.numeric, *recipe.columns.categorical],
        rows=made.rows,
        probe=probe.hash,
        probe_hash=made.probe_hash,
    )
    if recipe.delivered is not None:
        body = _elsewhere(body, recipe.delivered)
    files = [
        say.ArtifactStored(artifact=item.hash, size_bytes=item.size_bytes, media_type=media_type, role=role, run=run)
        for item, media_type, role in ((stored, body.media_type, "model"), (probe, PARQUET, "probe"))
    ]
    return named(book, Refitted(body, made.about, files, None, None))


def _elsewhere(body: say.CandidateRefitted, delivered: Delivered) -> say.CandidateDelivered:
    """The same of a model that lives elsewhere."""
    parts = {field: getattr(body, field) for field in body.__struct_fields__}
    return say.CandidateDelivered(
        **{**parts, "media_type": PARQUET},
        declared_by=delivered.declared_by,
        source=delivered.source,
        models=list(delivered.models),
    )


def _threshold(made: Refit) -> dict[str, float]:
    """From which probability on the model says yes, where it is judged by costs."""
    return {} if made.threshold is None else {"threshold": made.threshold}


def named(book: Ledger, model: Refitted) -> Refitted:
    """With the name of the model that this file already is, or the next free version, as of now."""
    models = [known for known in book.now().models() if known.pipeline == model.body.pipeline]
    known_as = next((known.model for known in models if known.artifact == model.body.artifact), None)
    name = known_as or f"{model.body.pipeline}-v{len(models) + 1}"
    return model._replace(
        body=msgspec.structs.replace(model.body, model=name),
        known_as=known_as,
        last_seq=book.log.last_seq_of(f"model:{name}"),
    )
