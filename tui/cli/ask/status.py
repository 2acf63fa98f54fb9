"""The commands that only look: `status`, `champion`, `runs`, `models`, `log`, `show`, `sql`."""

from __future__ import annotations

import datetime as dt
import re
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from tallystick import ledger
from tallystick.ledger.errors import Damaged, InvalidInput, NotFound
from tallystick.ledger.events.commit import commit_text, decode_head, event_handle, from_micros, leaf_entry
from tallystick.ledger.events.sentences import count, sentence
from tallystick.ledger.events.types import decode, is_known
from tallystick.ledger.storage.imported_commits import read_here, was_imported
from tallystick.ledger.storage.log import Commit, Stored
from tallystick.ledger.views.entities import NAMED, ModelState, PeriodState, PipelineState, RunState
from tallystick.ledger.views.projection import State
from tallystick.pipeline.governance.waivers import Expired, expired_under, that_weigh, waiver_words
from tallystick.tui.cli.answer import head_line, set_aside, snapshot_of, struck
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import open_ledger
from tallystick.tui.cli.options import as_of_option, axis_option, json_option, ledger_option
from tallystick.tui.output.changes import corrected_by
from tallystick.tui.output.console import (
    as_of_json,
    clock_line,
    heading,
    parsed,
    print_json,
    print_json_line,
    table,
    wrap,
)
from tallystick.tui.output.escape import show, show_lines
from tallystick.tui.output.hints import here
from tallystick.tui.output.import_label import aside_words, history_words, imported_json, source_words, unproven_line
from tallystick.tui.output.values import field_value_words, field_words, moment_words


def _local(moment: dt.datetime | None, book: ledger.Ledger) -> str:
    return "" if moment is None else moment.astimezone(book.zone).strftime("%Y-%m-%d %H:%M")


def _day(moment: dt.datetime | None, book: ledger.Ledger) -> str:
    return "" if moment is None else moment.astimezone(book.zone).strftime("%Y-%m-%d")


def _last_day(moment: dt.datetime, book: ledger.Ledger) -> str:
    """The last day before an exclusive end, which is what people call the end."""
    return _day(moment - dt.timedelta(microseconds=1), book)


def _as_json(state: State | None, handle: str) -> dict[str, Any] | None:
    return None if state is None else {"handle": handle, **msgspec.to_builtins(state)}


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
        newest = book.log.newest_checkpoint()
        signed = newest[0] if newest else 0
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
                    "pipelines": [_as_json(state, f"pipeline:{state.pipeline}") for state in pipelines],
                    "watched": [
                        _as_json(last, f"period:{last.period}")
                        for state in pipelines
                        if (last := newest_look(state.pipeline, snapshot)) is not None
                    ],
                    "histories": [_as_json(state, f"history:{state.history}") for state in snapshot.histories()],
                    "running": [_as_json(run, f"run:{run.run}") for run in runs if run.status == "running"],
                    "waivers": [_as_json(waiver, f"waiver:{waiver.waiver}") for waiver in snapshot.waivers_in_force()],
                    "expired": [
                        {"handle": f"gate:{item.gate.gate}", "sentence": item.sentence}
                        for item in expired(snapshot, book)
                    ],
                },
            )
            return
        head_line(snapshot, as_of, book)
        events, commits = snapshot.as_of.seq + 1, snapshot.as_of.n + 1
        heading(f"{book.origin} · {count(events, 'event')} in {count(commits, 'commit')}")
        for state in snapshot.histories():
            click.echo(wrap(history_words(state)), err=not sys.stdout.isatty())
        if not pipelines:
            click.echo(here("No pipeline has run yet. Next: tally run FILE.toml"))
            return
        table(
            ("pipeline", "champion", "since", "intended until", "watched", "last run", "it said"),
            [_status_row(state, snapshot, book) for state in pipelines],
        )
        print_waivers(snapshot, book)
        for run in runs:
            if run.status == "running":
                click.echo(f"run {show(run.run)} has no end yet: {_progress_words(run)}", err=True)
        unsigned = commits - signed
        if unsigned > 0:
            click.echo(here(f"{count(unsigned, 'commit')} not signed yet: `tally receipt` signs."), err=True)


def expired(snapshot: ledger.Snapshot, book: ledger.Ledger) -> list[Expired]:
    """Gates that some champion rests on a waiver for and that count again."""
    champions = [snapshot.champion(state.pipeline) for state in snapshot.pipelines()]
    return [item for champion in champions if champion for item in expired_under(snapshot, champion, book.zone)]


def print_waivers(snapshot: ledger.Snapshot, book: ledger.Ledger, model: ModelState | None = None) -> None:
    """Exceptions in force, and champions that rest on one that is over."""
    moment = snapshot.moment
    for waiver in snapshot.waivers_in_force(model.model) if model else that_weigh(snapshot):
        elsewhere = "; imported, it excuses nothing here" if was_imported(book.log, waiver.seq) else ""
        click.echo(wrap(f"waiver: {waiver_words(waiver, moment, book.zone)}{elsewhere}", "  "))
    for item in expired_under(snapshot, model, book.zone) if model else expired(snapshot, book):
        click.secho(wrap(f"NOT EXCUSED ANY MORE: {item.sentence}", "  "), bold=True)


def _status_row(state: PipelineState, snapshot: ledger.Snapshot, book: ledger.Ledger) -> tuple[object, ...]:
    champion = snapshot.champion(state.pipeline)
    last = snapshot.run(state.last_run) if state.last_run else None
    until = champion.intended_for[1] if champion and champion.intended_for else None
    return (
        state.pipeline,
        champion.model if champion else "none any more" if state.former_champions else "none yet",
        _day(state.champion.since if state.champion else None, book),
        _last_day(until, book) if until else "",
        _watched(state.pipeline, snapshot),
        last.run if last else "",
        (last.headline or last.failure or last.status) if last else "",
    )


def _watched(pipeline: str, snapshot: ledger.Snapshot) -> str:
    """The period that was looked at last, and what to do: ``2013-09 notable: recalibrate``."""
    last = newest_look(pipeline, snapshot)
    return "" if last is None else f"{last.label} {last.status}: {last.decision}"


def newest_look(pipeline: str, snapshot: ledger.Snapshot) -> PeriodState | None:
    """The period of a pipeline that was looked at last; None before the first."""
    known = [state for state in snapshot.periods() if state.pipeline == pipeline]
    return max(known, key=lambda state: state.described_by, default=None)


def _progress_words(run: RunState) -> str:
    return (
        f"{run.windows_evaluated} of {count(run.windows, 'window')} recorded, process {run.process} on {show(run.host)}"
    )


@tally.command("champion")
@click.argument("pipeline")
@ledger_option
@as_of_option
@axis_option
@json_option
def champion_command(pipeline: str, ledger_path: Path | None, as_of: str | None, axis: str, as_json: bool) -> None:
    """Which model decides for PIPELINE, or decided at a date; who put it there, when and why."""
    with open_ledger(ledger_path) as book:
        snapshot = snapshot_of(book, as_of, axis)
        state = snapshot.pipeline(pipeline)
        champion = snapshot.champion(pipeline)
        if as_json:
            print_json(
                "tally.champion/1",
                {
                    "as_of": as_of_json(snapshot.as_of, book),
                    "pipeline": {"handle": f"pipeline:{state.pipeline}", "name": state.pipeline},
                    "champion": _as_json(champion, f"model:{champion.model}" if champion else ""),
                    "promotion": state.champion,
                    "waivers": [
                        _as_json(waiver, f"waiver:{waiver.waiver}")
                        for waiver in (snapshot.waivers_in_force(champion.model) if champion else [])
                    ],
                    "expired": [
                        {"handle": f"gate:{item.gate.gate}", "sentence": item.sentence}
                        for item in (expired_under(snapshot, champion, book.zone) if champion else [])
                    ],
                },
            )
            return
        head_line(snapshot, as_of, book)
        if champion is None or state.champion is None:
            if state.former_champions:
                click.echo(
                    f"{show(state.pipeline)} has no champion any more: tally why {show(state.pipeline)}.champion"
                )
            else:
                click.echo(f"{show(state.pipeline)} has no champion yet: nobody has promoted a model.")
            return
        click.secho(f"{show(champion.model)} ({show(champion.candidate)})", bold=True)
        rank = f", after {count(state.former_champions, 'former champion')}" if state.former_champions else ""
        origin = aside_words(book, book.log.commit_of(state.champion.seq).n)
        click.echo(
            f"  promoted {_local(state.champion.since, book)} by {show(state.champion.by)}{origin} "
            f"(#{state.champion.seq}){rank}"
        )
        click.echo(wrap(f"reason: {state.champion.reason}", "  "))
        click.echo(
            f"  made by run {show(champion.made_by_run)} from slice {show(champion.slice)}, {champion.rows:,} rows"
        )
        for role, period in (("trained on", champion.trained_on), ("intended for", champion.intended_for)):
            if period:
                click.echo(f"  {role} {_day(period[0], book)} to {_last_day(period[1], book)}")
        click.echo(f"  file {champion.artifact[:12]}…")
        _print_source(book, book.log.commit_of(champion.made_by_event))
        print_waivers(snapshot, book, champion)


@tally.command("runs")
@ledger_option
@as_of_option
@axis_option
@json_option
def runs_command(ledger_path: Path | None, as_of: str | None, axis: str, as_json: bool) -> None:
    """All runs, newest first."""
    with open_ledger(ledger_path) as book:
        snapshot = snapshot_of(book, as_of, axis)
        runs = snapshot.runs()[::-1]
        if as_json:
            content = {
                "as_of": as_of_json(snapshot.as_of, book),
                "runs": [_as_json(run, f"run:{run.run}") for run in runs],
            }
            print_json("tally.runs/1", content)
            return
        head_line(snapshot, as_of, book)
        unproven_line(snapshot)
        if not runs:
            click.echo(here("There are no runs yet. Next: tally run FILE.toml"), err=True)
            return
        table(
            ("run", "pipeline", "state", "started", "windows", "result"),
            [
                (
                    run.run,
                    run.pipeline,
                    f"{run.status}, experiment" if run.experiment else run.status,
                    _local(run.started_at, book),
                    f"{run.windows_evaluated} of {run.windows}",
                    run.headline or run.failure or "",
                )
                for run in runs
            ],
        )


@tally.command("models")
@ledger_option
@as_of_option
@axis_option
@json_option
def models_command(ledger_path: Path | None, as_of: str | None, axis: str, as_json: bool) -> None:
    """All models with their three times: made when, trained on what, intended for when."""
    with open_ledger(ledger_path) as book:
        snapshot = snapshot_of(book, as_of, axis)
        models = snapshot.models()[::-1]
        if as_json:
            content = {
                "as_of": as_of_json(snapshot.as_of, book),
                "models": [_as_json(model, f"model:{model.model}") for model in models],
            }
            print_json("tally.models/1", content)
            return
        head_line(snapshot, as_of, book)
        unproven_line(snapshot)
        if not models:
            click.echo(here("There are no models yet. Next: tally run FILE.toml"), err=True)
            return
        table(
            ("model", "state", "candidate", "made", "trained on", "intended for"),
            [_model_row(model, book) for model in models],
        )


def _model_row(model: ModelState, book: ledger.Ledger) -> tuple[object, ...]:
    periods = [
        f"{_day(period[0], book)} to {_last_day(period[1], book)}" if period else ""
        for period in (model.trained_on, model.intended_for)
    ]
    return (
        model.model,
        model.status,
        model.candidate,
        _day(model.made_at, book),
        *periods,
    )


@tally.command("log")
@click.option("-n", "--number", type=click.IntRange(1), default=20, show_default=True, help="How many commits.")
@click.option("-f", "--follow", is_flag=True, help="Print new events as they are appended.")
@ledger_option
@as_of_option
@json_option
def log_command(number: int, follow: bool, ledger_path: Path | None, as_of: str | None, as_json: bool) -> None:
    """The commits, newest first: when, who, and what each event says. What was corrected is struck through.

    With --follow each new event is printed as soon as anybody appends it, until Ctrl-C.
    """
    with open_ledger(ledger_path) as book:
        if follow:
            if as_of is not None:
                raise InvalidInput(
                    "The past does not go on: --follow and --as-of exclude each other.", "Leave out one of them."
                )
            _follow(book, as_json)
            return
        position = book.now().as_of if as_of is None else book.when(as_of)
        aside = set_aside(ledger.Snapshot(book.views, position))
        commits = book.log.commits(max(0, position.n - number + 1), position.n + 1, newest_first=True)
        if as_json:
            for commit in list(commits):
                print_json_line("tally.log/1", _commit_json(commit, book, aside))
            return
        clock_line(book, "" if as_of is None else position.words)
        for commit in list(commits):
            _print_commit(commit, book, aside)


def _follow(book: ledger.Ledger, as_json: bool) -> None:
    if not as_json:
        clock_line(book)
    for entry in book.follow():
        handle = event_handle(entry.seq, book.log.event(entry.seq).id)
        said = sentence(entry.event)
        if as_json:
            line = {"handle": handle, "recorded_at": entry.recorded_at, "actor": entry.actor, "type": entry.event.t,
                    "sentence": said}  # fmt: skip
            print_json_line("tally.event/1", line)
        elif entry.event.t not in ("schema.declared", "artifact.stored"):
            click.echo(
                f"{handle}  {moment_words(entry.recorded_at, book.zone)}  {show(entry.actor)}: {show(said, 400)}"
            )
        sys.stdout.flush()


def _print_commit(commit: Commit, book: ledger.Ledger, aside: dict[int, int], longest: int = 12) -> None:
    head = decode_head(commit.head)
    moment = from_micros(commit.recorded_at).astimezone(book.zone).strftime("%Y-%m-%d %H:%M:%S %Z")
    click.secho(f"{book.commit_handle(commit.n)}  {moment}  {show(head.actor)}", bold=True)
    if head.note:
        click.echo(wrap(head.note, "    "))
    told = [stored for stored in book.log.events(commit.first_seq, commit.last_seq) if not _is_bookkeeping(stored)]
    hidden = commit.last_seq - commit.first_seq + 1 - len(told)
    for stored in told[:longest]:
        click.echo(f"    #{stored.seq:<6} {struck(show(_told(stored, book), 400), stored.seq, aside)}")
    if len(told) > longest:
        click.echo(f"    … and {len(told) - longest} more: tally show c{commit.n}")
    if hidden:
        click.echo(f"    and {count(hidden, 'schema or artifact', 'schemas and artifacts')}")


def _is_bookkeeping(stored: Stored) -> bool:
    return stored.type in ("schema.declared", "artifact.stored")


def _told(stored: Stored, book: ledger.Ledger) -> str:
    """The sentence of an event; one that was erased or damaged is said to be so instead of ending the list."""
    if stored.data is None:
        said = book.log.last_seq_of(f"redaction:{stored.seq}")
        return f"{stored.type}: its body is not here" if said is None else f"{stored.type}, erased (#{said} says why)"
    try:
        return sentence(read_here(book.log, stored.seq, stored.data))
    except Damaged as error:
        return f"{stored.type}: {error.message}"


def _commit_json(commit: Commit, book: ledger.Ledger, aside: dict[int, int]) -> dict[str, Any]:
    return {
        "handle": book.commit_handle(commit.n),
        "n": commit.n,
        "recorded_at": from_micros(commit.recorded_at),
        "head": parsed(commit.head.encode()),
        "imported": imported_json(book, commit),
        "events": [
            {
                "handle": event_handle(stored.seq, stored.id),
                "seq": stored.seq,
                "type": stored.type,
                "sentence": _told(stored, book),
                "corrected_by": corrected_by(stored.seq, aside),
            }
            for stored in book.log.events(commit.first_seq, commit.last_seq)
        ],
    }


def _print_source(book: ledger.Ledger, commit: Commit) -> None:
    words = source_words(book, commit)
    if words:
        click.echo(wrap(words, "  "))


@tally.command("show")
@click.argument("handle")
@ledger_option
@as_of_option
@axis_option
@json_option
def show_command(handle: str, ledger_path: Path | None, as_of: str | None, axis: str, as_json: bool) -> None:
    """Show one thing: an event (#12), a commit (c3), or a run, model, pipeline, slice or decision by name."""
    with open_ledger(ledger_path) as book:
        if match := re.fullmatch(r"([#c])(\d+)(-[0-9a-z]{4})?", handle):
            position = book.when(handle)  # refuses what is not there, and letters that do not match
            then = ledger.Snapshot(book.views, book.now().as_of if as_of is None else book.when(as_of))
            if position.n > then.as_of.n:
                raise NotFound(
                    f"{handle} was not recorded yet, {then.as_of.words}.", f"Ask for a later date: --as-of {handle}"
                )
            if not as_json:
                clock_line(book, "" if as_of is None else then.as_of.words)
            if match[1] == "#":
                _show_event(book, int(match[2]), set_aside(then), as_json)
            else:
                _show_commit(book, position.n, set_aside(then), as_json)
            return
        snapshot = snapshot_of(book, as_of, axis)
        state = snapshot.entity(handle)
        if as_json:
            content = {
                "as_of": as_of_json(snapshot.as_of, book),
                "handle": snapshot.node(handle),
                "state": msgspec.to_builtins(state),
            }
            print_json("tally.show/1", content)
            return
        head_line(snapshot, as_of, book)
        for field in state.__struct_fields__:
            value = getattr(state, field)
            if value is not None and field != "seq":
                click.echo(f"{field_words(field):<18}{field_value_words(field, value, book.zone)}")
        click.echo(f"{'last event':<18}#{state.seq}  {show(_told(book.log.event(state.seq), book), 400)}")
        _print_source(book, book.log.commit_of(state.seq))
        if isinstance(state, RunState) and state.decision:
            _show_reasons(book, state.run)


def _show_reasons(book: ledger.Ledger, run: str) -> None:
    from tallystick.ledger.events.types import DecisionTaken

    last = book.log.last_seq_of(f"decision:{run}")
    for entry in book.events(0 if last is None else book.log.commit_of(last).first_seq, last):
        if isinstance(entry.event.body, DecisionTaken) and entry.event.body.run == run:
            click.echo()
            for reason in entry.event.body.reasons:
                click.echo(wrap(f"[{reason.code}] {reason.sentence}", "  "))


def _show_event(book: ledger.Ledger, seq: int, aside: dict[int, int], as_json: bool) -> None:
    stored = book.log.event(seq)
    commit = book.log.commit_of(seq)
    head = decode_head(commit.head)
    handle = event_handle(seq, stored.id)
    if as_json:
        print_json(
            "tally.show/1",
            {
                "handle": handle,
                "seq": seq,
                "type": stored.type,
                "sentence": _told(stored, book),
                "corrected_by": corrected_by(seq, aside),
                "id": stored.id.hex(),
                "sha256": stored.sha256.hex(),
                "commit": book.commit_handle(commit.n),
                "recorded_at": from_micros(commit.recorded_at),
                "actor": head.actor,
                "imported": imported_json(book, commit),
                "event": None if stored.data is None else parsed(stored.data),
            },
        )
        return
    click.secho(f"{handle}  {show(stored.type)}", bold=True)
    click.echo(struck(wrap(_told(stored, book), "  "), seq, aside))
    if seq in aside:
        click.echo(wrap(f"It does not count since #{aside[seq]}: “{book.event(aside[seq]).event.body.reason}”", "  "))
    moment = from_micros(commit.recorded_at).astimezone(book.zone).strftime("%Y-%m-%d %H:%M:%S %Z")
    click.echo(f"  recorded {moment} by {show(head.actor)} in {book.commit_handle(commit.n)}")
    _print_source(book, commit)
    click.echo(f"  id       {stored.id.hex()}  (BLAKE3)")
    click.echo(f"  sha256   {stored.sha256.hex()}")
    if stored.data is None:
        said = book.log.last_seq_of(f"redaction:{seq}")
        if said is not None:
            click.echo(wrap(f"#{said}: {_told(book.log.event(said), book)}", "  "))
        return
    if not is_known(decode(stored.data)):
        click.echo("  This type is newer than this program; it is shown as it is.")
    pretty = msgspec.json.format(stored.data, indent=2).decode(errors="replace")
    click.echo(show_lines(pretty, 2_000))


def _show_commit(book: ledger.Ledger, n: int, aside: dict[int, int], as_json: bool) -> None:
    commit = book.log.commit(n)
    if as_json:
        print_json("tally.show/1", _commit_json(commit, book, aside))
        return
    _print_commit(commit, book, aside, longest=10_000)
    entry = leaf_entry(commit_text(commit.head, book.log.hashes(commit.first_seq, commit.last_seq)))
    head = decode_head(commit.head)
    click.echo(f"  id       {entry[:32].hex()}  (BLAKE3)")
    click.echo(f"  sha256   {entry[32:].hex()}")
    _print_source(book, commit)
    click.echo(f"  written by {show(head.tool)}, account {show(head.user)} on {show(head.host)}")
    if head.git:
        dirty = " with uncommitted changes" if head.dirty else ""
        click.echo(f"  git      {show(head.git)}{dirty}")


@tally.command("sql")
@click.argument("query")
@ledger_option
@as_of_option
@axis_option
@json_option
def sql_command(query: str, ledger_path: Path | None, as_of: str | None, axis: str, as_json: bool) -> None:
    """Ask the views a question in SQL, read only.

    Each kind of entity is a view with one column a field, as it was known at --as-of: pipelines, runs, models, slices,
    windows, evaluations, decisions and so on. `tally sql "select name from temp.sqlite_schema"` lists them all.
    Times are text in UTC, periods and lists are JSON: json_extract(trained_on, '$[1]').
    """
    import sqlite3

    from sqlite_utils import Database

    with open_ledger(ledger_path) as book:
        snapshot = snapshot_of(book, as_of, axis)
        database = Database(snapshot.sql())
        try:
            rows = list(database.query(query))
        except (sqlite3.Error, ValueError) as error:
            raise InvalidInput(
                f"The question was not answered: {str(error).rstrip('.')}.",
                f"One select over these: {', '.join(projection.name for projection in NAMED)}, links.",
            ) from error
        if as_json:
            print_json("tally.sql/1", {"as_of": as_of_json(snapshot.as_of, book), "rows": rows})
            return
        head_line(snapshot, as_of, book)
        unproven_line(snapshot)
        if rows:
            table(tuple(rows[0]), [tuple(row.values()) for row in rows])
        elif sys.stdout.isatty():
            click.echo("No rows.")
