"""`tally show`: one event, commit or entity."""

from __future__ import annotations

import re
from pathlib import Path

import click
import msgspec

from tallystick import ledger
from tallystick.ledger.errors import NotFound
from tallystick.ledger.events.entry import Erased
from tallystick.ledger.events.event import Event
from tallystick.ledger.events.sentences import erasure_words
from tallystick.ledger.events.types import is_known
from tallystick.ledger.query.belongings import belongings
from tallystick.ledger.query.steps import counts_in_steps
from tallystick.ledger.views.entities import GateState, RunState
from tallystick.ledger.views.projection import State
from tallystick.tui.cli.answer import head_line, snapshot_of, struck_where_corrected
from tallystick.tui.cli.ask.commits import commit_json, corrected_by, print_commit, print_source
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import open_ledger
from tallystick.tui.cli.options import as_of_option, axis_option, json_option, ledger_option
from tallystick.tui.output.console import as_of_json, clock_line, parsed, print_json, wrap
from tallystick.tui.output.escape import show, show_lines
from tallystick.tui.output.import_label import imported_json
from tallystick.tui.output.values import field_words, state_builtins, state_value_words, steps_words


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
                _show_event(then, int(match[2]), as_json)
            else:
                _show_commit(then, position.n, as_json)
            return
        snapshot = snapshot_of(book, as_of, axis)
        state = _as_it_counts(snapshot, snapshot.entity(handle))
        if as_json:
            content = {
                "as_of": as_of_json(snapshot.as_of, book),
                "handle": snapshot.node(handle),
                "state": {**state_builtins(snapshot, state), **belongings(snapshot, state)},
            }
            print_json("tally.show/1", content)
            return
        head_line(snapshot, as_of)
        fields = {field: getattr(state, field) for field in state.__struct_fields__ if field != "seq"}
        for field, value in (fields | belongings(snapshot, state)).items():
            if value is not None:
                click.echo(f"{field_words(field):<18}{state_value_words(snapshot, state, field, value)}")
        found = snapshot.event(state.seq)
        click.echo(f"{'last event':<18}#{state.seq}  {show(found.sentence, 400)}")
        print_source(snapshot, found.n, book.zone)
        if isinstance(state, RunState) and state.decision:
            _show_reasons(snapshot, state.run)


def _as_it_counts(snapshot: ledger.Snapshot, state: State) -> State:
    if not isinstance(state, GateState):
        return state
    from tallystick.pipeline.governance.reopened import as_it_counts

    return as_it_counts(snapshot, state)


def _show_reasons(snapshot: ledger.Snapshot, run: str) -> None:
    from tallystick.ledger.events.types import DecisionTaken

    content = snapshot.event(snapshot.decision(run).described_by).content
    if isinstance(content, Event) and isinstance(content.body, DecisionTaken):
        click.echo()
        for reason in content.body.reasons:
            click.echo(wrap(f"[{reason.code}] {reason.sentence}", "  "))


def _show_event(snapshot: ledger.Snapshot, seq: int, as_json: bool) -> None:
    found = snapshot.event(seq)
    if as_json:
        print_json(
            "tally.show/1",
            {
                "handle": found.handle,
                "seq": seq,
                "type": found.type,
                "sentence": found.sentence,
                "corrected_by": corrected_by(found),
                "id": found.id.hex(),
                "sha256": found.sha256.hex(),
                "commit": snapshot.commit_handle(found.n),
                "recorded_at": found.recorded_at,
                "actor": found.actor,
                "imported": imported_json(snapshot, found.n),
                "event": None if found.data is None else parsed(found.data),
            },
        )
        return
    click.secho(f"{found.handle}  {show(found.type)}", bold=True)
    click.echo(struck_where_corrected(wrap(found.sentence, "  "), found))
    if (aside := found.corrected_by) is not None:
        click.echo(wrap(f"It does not count since #{aside.seq}: “{aside.reason}”", "  "))
    moment = found.recorded_at.astimezone(snapshot.zone).strftime("%Y-%m-%d %H:%M:%S %Z")
    click.echo(f"  recorded {moment} by {show(found.actor)} in {snapshot.commit_handle(found.n)}")
    print_source(snapshot, found.n, snapshot.zone)
    click.echo(f"  id       {found.id.hex()}  (BLAKE3)")
    click.echo(f"  sha256   {found.sha256.hex()}")
    if isinstance(found.content, Erased):
        said = erasure_words(seq, found.type, found.content.authority, found.content.reason)
        click.echo(wrap(f"#{found.content.seq}: {said}", "  "))
    if found.data is None:
        return
    if isinstance(found.content, Event) and not is_known(found.content):
        click.echo("  This type is newer than this program; it is shown as it is.")
    _say_steps(snapshot, found.content)
    pretty = msgspec.json.format(found.data, indent=2).decode(errors="replace")
    click.echo(show_lines(pretty, 2_000))


def _say_steps(snapshot: ledger.Snapshot, content: object) -> None:
    """Which steps the dates of an event are kept for, where its pipeline counts in steps."""
    if not isinstance(content, Event) or content.about is None or content.about.observed_in is None:
        return
    pipeline = getattr(content.body, "pipeline", None)
    if isinstance(pipeline, str) and counts_in_steps(snapshot, pipeline):
        said = f"about {steps_words(content.about.observed_in)}; a step n is kept as n days after 1970-01-01"
        click.echo(wrap(said, "  "))


def _show_commit(snapshot: ledger.Snapshot, n: int, as_json: bool) -> None:
    commit = snapshot.commit(n)
    if as_json:
        print_json("tally.show/1", commit_json(commit, snapshot))
        return
    print_commit(commit, snapshot, snapshot.zone, longest=10_000)
    entry, head = snapshot.commit_entry(n), commit.head
    click.echo(f"  id       {entry[:32].hex()}  (BLAKE3)")
    click.echo(f"  sha256   {entry[32:].hex()}")
    print_source(snapshot, n, snapshot.zone)
    click.echo(f"  written by {show(head.tool)}, account {show(head.user)} on {show(head.host)}")
    if head.git:
        dirty = " with uncommitted changes" if head.dirty else ""
        click.echo(f"  git      {show(head.git)}{dirty}")
