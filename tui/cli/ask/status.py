"""`tally status`: where things stand."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

import click

from tallystick import ledger
from tallystick.ledger.events.sentences import count
from tallystick.ledger.events.types import PipelineRegistered
from tallystick.ledger.events.unknown import Unknown
from tallystick.ledger.query.checkpoints import newest_checkpoint
from tallystick.ledger.query.steps import STEP, counts_in_steps, step_of
from tallystick.ledger.views.entities import PeriodState, PipelineState, RunState
from tallystick.pipeline.records.period_record import erased_since
from tallystick.tui.cli.answer import head_line, snapshot_of, state_json
from tallystick.tui.cli.ask.waivers import expired, print_waivers
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import open_ledger
from tallystick.tui.cli.options import as_of_option, axis_option, json_option, ledger_option
from tallystick.tui.output.console import as_of_json, heading, print_json, table, wrap
from tallystick.tui.output.escape import show
from tallystick.tui.output.hints import here
from tallystick.tui.output.import_label import history_words
from tallystick.tui.output.values import day_words, last_day_words


@tally.command("status")
@ledger_option
@as_of_option
@axis_option
@json_option
def status_command(ledger_path: Path | None, as_of: str | None, axis: str, as_json: bool) -> None:
    """Where things stand: each pipeline, its champion, its last run."""
    with open_ledger(ledger_path) as book:
        snapshot = snapshot_of(book, as_of, axis)
        pipelines, runs = snapshot.pipelines(), snapshot.runs()
        # What was signed then, or the answer would change with every later signature.
        newest = newest_checkpoint(snapshot)
        signed = newest.size if newest else 0
        unknown = None if pipelines else _unknown_pipelines(snapshot)
        if as_json:
            print_json(
                "tally.status/1",
                {
                    "as_of": as_of_json(snapshot.as_of, book),
                    "origin": book.origin,
                    "clock": book.genesis.clock,
                    "commits": snapshot.as_of.n + 1,
                    "events": snapshot.as_of.seq + 1,
                    "signed_commits": min(signed, snapshot.as_of.n + 1),
                    "pipelines": unknown
                    or [state_json(snapshot, state, f"pipeline:{state.pipeline}") for state in pipelines],
                    "watched": [
                        last if isinstance(last, Unknown) else state_json(snapshot, last, f"period:{last.period}")
                        for state in pipelines
                        if (last := newest_look(state.pipeline, snapshot)) is not None
                    ],
                    "histories": [
                        state_json(snapshot, state, f"history:{state.history}") for state in snapshot.histories()
                    ],
                    "running": [state_json(snapshot, run, f"run:{run.run}") for run in runs if run.status == "running"],
                    "waivers": [
                        state_json(snapshot, waiver, f"waiver:{waiver.waiver}")
                        for waiver in snapshot.waivers_in_force()
                    ],
                    "expired": [
                        {"handle": f"gate:{item.gate.gate}", "sentence": item.sentence} for item in expired(snapshot)
                    ],
                },
            )
            return
        head_line(snapshot, as_of)
        events, commits = snapshot.as_of.seq + 1, snapshot.as_of.n + 1
        heading(f"{book.origin} · {count(events, 'event')} in {count(commits, 'commit')}")
        for state in snapshot.histories():
            click.echo(wrap(history_words(state)), err=not sys.stdout.isatty())
        if unknown is not None:
            click.echo(wrap(f"Which pipelines there are is {unknown.words}."))
            return
        if not pipelines:
            click.echo(here("No pipeline has run yet. Next: tally run FILE.toml"))
            return
        table(
            ("pipeline", "champion", "since", "intended until", "watched", "last run", "it said"),
            [_status_row(state, snapshot) for state in pipelines],
        )
        print_waivers(snapshot)
        for run in runs:
            if run.status == "running":
                click.echo(f"run {show(run.run)} has no end yet: {_progress_words(run)}", err=True)
        unsigned = commits - signed
        if unsigned > 0:
            click.echo(here(f"{count(unsigned, 'commit')} not signed yet: `tally receipt` signs."), err=True)


def _unknown_pipelines(snapshot: ledger.Snapshot) -> Unknown | None:
    """What stands in place of all pipelines, where what registered them was erased with their names."""
    erased = snapshot.erased([PipelineRegistered.TYPE])
    return erased[-1].erasure.unknown if erased else None


def _status_row(state: PipelineState, snapshot: ledger.Snapshot) -> tuple[object, ...]:
    found = snapshot.champion_if_known(state.pipeline)
    champion = None if isinstance(found, Unknown) else found
    last = snapshot.run(state.last_run) if state.last_run else None
    until = champion.intended_for[1] if champion and champion.intended_for else None
    return (
        state.pipeline,
        found.words
        if isinstance(found, Unknown)
        else champion.model
        if champion
        else "none any more"
        if state.former_champions
        else "none yet",
        day_words(state.champion.since if state.champion else None, snapshot.zone),
        _until(snapshot, state.pipeline, until) if until else "",
        _watched(state.pipeline, snapshot),
        last.run if last else "",
        (last.headline or last.failure or last.status) if last else "",
    )


def _until(snapshot: ledger.Snapshot, pipeline: str, until: dt.datetime) -> str:
    if counts_in_steps(snapshot, pipeline):
        return f"step {step_of(until - STEP)}"
    return last_day_words(until, snapshot.zone)


def _watched(pipeline: str, snapshot: ledger.Snapshot) -> str:
    """The period that was looked at last, and what to do: ``2013-09 notable: recalibrate``."""
    last = newest_look(pipeline, snapshot)
    if isinstance(last, Unknown):
        return last.words
    return "" if last is None else f"{last.label} {last.status}: {last.decision}"


def newest_look(pipeline: str, snapshot: ledger.Snapshot) -> PeriodState | Unknown | None:
    """The period of a pipeline that was looked at last; None before the first, and unknown where that was erased."""
    known = [state for state in snapshot.periods() if state.pipeline == pipeline]
    last = max(known, key=lambda state: state.described_by, default=None)
    return erased_since(snapshot, pipeline, last) or last


def _progress_words(run: RunState) -> str:
    return (
        f"{run.windows_evaluated} of {count(run.windows, 'window')} recorded, process {run.process} on {show(run.host)}"
    )
