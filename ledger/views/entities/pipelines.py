"""Pipelines with their champion."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Instant
from tallystick.ledger.views.projection import Change, Lookup, State, amended, follow, projection


class Championship(msgspec.Struct, frozen=True, kw_only=True):
    """Who is champion, since when, put there by whom and why."""

    model: str
    since: Instant
    by: str
    reason: str
    seq: int


class PipelineState(State, frozen=True, kw_only=True):
    pipeline: str
    owner: str
    question: str
    meaning_hash: str
    registered_at: Instant
    registered_by: int
    """Position of the newest ``pipeline.registered`` event."""
    champion: Championship | None = None
    former_champions: int = 0
    runs: int = 0
    last_run: str | None = None


def pipelines(entry: Entry, current: Lookup) -> Iterator[Change]:
    """Pipelines with their champion."""
    match entry.event.body:
        case say.PipelineRegistered() as body:
            before: PipelineState | None = current(body.pipeline)
            yield (
                body.pipeline,
                PipelineState(
                    seq=entry.seq,
                    pipeline=body.pipeline,
                    owner=body.owner,
                    question=str(body.questions.get("decision", "")),
                    meaning_hash=body.meaning_hash,
                    registered_at=before.registered_at if before else entry.recorded_at,
                    registered_by=entry.seq,
                    champion=before.champion if before else None,
                    former_champions=before.former_champions if before else 0,
                    runs=before.runs if before else 0,
                    last_run=before.last_run if before else None,
                ),
            )
        case say.RunStarted() as body:
            if state := current(body.pipeline):
                yield body.pipeline, follow(state, entry, runs=state.runs + 1, last_run=body.run)
        case say.ModelPromoted() as body:
            if state := current(body.pipeline):
                champion = Championship(
                    model=body.model,
                    since=entry.recorded_at,
                    by=entry.actor,
                    reason=body.reason,
                    seq=entry.seq,
                )
                former = state.former_champions + (state.champion is not None)
                yield body.pipeline, follow(state, entry, champion=champion, former_champions=former)
        case say.ModelRetired() as body:
            state = current(body.pipeline)
            if state and state.champion and state.champion.model == body.model:
                yield (
                    body.pipeline,
                    follow(state, entry, champion=None, former_champions=state.former_champions + 1),
                )


PIPELINES = amended(
    projection(
        "pipelines",
        "pipeline",
        PipelineState,
        (
            say.PipelineRegistered,
            say.RunStarted,
            say.ModelPromoted,
            say.ModelRetired,
        ),
        pipelines,
        steady=(
            ("pipeline", "owner", "question", "meaning_hash", "registered_at", "registered_by"),
            ("champion",),
        ),
    ),
    writes={
        say.PipelineRegistered: ("owner", "question", "meaning_hash", "registered_at", "registered_by"),
        say.RunStarted: ("runs", "last_run"),
        say.ModelPromoted: ("champion", "former_champions"),
        say.ModelRetired: ("champion", "former_champions"),
    },
)
