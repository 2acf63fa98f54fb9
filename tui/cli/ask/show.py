"""`tally show`: one event, commit or entity."""

from __future__ import annotations

import re
from pathlib import Path

import click
import msgspec

from tallystick import ledger
from tallystick.ledger.errors import NotFound
from tallystick.ledger.events.commit import commit_text, decode_head, event_handle, from_micros, leaf_entry
from tallystick.ledger.events.types import decode, is_known
from tallystick.ledger.views.entities import RunState
from tallystick.tui.cli.answer import head_line, set_aside, snapshot_of, struck
from tallystick.tui.cli.ask.commits import commit_json, event_words, print_commit, print_source
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import open_ledger
from tallystick.tui.cli.options import as_of_option, axis_option, json_option, ledger_option
from tallystick.tui.output.changes import corrected_by
from tallystick.tui.output.console import as_of_json, clock_line, parsed, print_json, wrap
from tallystick.tui.output.escape import show, show_lines
from tallystick.tui.output.import_label import imported_json
from tallystick.tui.output.values import field_value_words, field_words


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
        click.echo(f"{'last event':<18}#{state.seq}  {show(event_words(book.log.event(state.seq), book), 400)}")
        print_source(book, book.log.commit_of(state.seq))
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
                "sentence": event_words(stored, book),
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
    click.echo(struck(wrap(event_words(stored, book), "  "), seq, aside))
    if seq in aside:
        click.echo(wrap(f"It does not count since #{aside[seq]}: “{book.event(aside[seq]).event.body.reason}”", "  "))
    moment = from_micros(commit.recorded_at).astimezone(book.zone).strftime("%Y-%m-%d %H:%M:%S %Z")
    click.echo(f"  recorded {moment} by {show(head.actor)} in {book.commit_handle(commit.n)}")
    print_source(book, commit)
    click.echo(f"  id       {stored.id.hex()}  (BLAKE3)")
    click.echo(f"  sha256   {stored.sha256.hex()}")
    if stored.data is None:
        said = book.log.last_seq_of(f"redaction:{seq}")
        if said is not None:
            click.echo(wrap(f"#{said}: {event_words(book.log.event(said), book)}", "  "))
        return
    if not is_known(decode(stored.data)):
        click.echo("  This type is newer than this program; it is shown as it is.")
    pretty = msgspec.json.format(stored.data, indent=2).decode(errors="replace")
    click.echo(show_lines(pretty, 2_000))


def _show_commit(book: ledger.Ledger, n: int, aside: dict[int, int], as_json: bool) -> None:
    commit = book.log.commit(n)
    if as_json:
        print_json("tally.show/1", commit_json(commit, book, aside))
        return
    print_commit(commit, book, aside, longest=10_000)
    entry = leaf_entry(commit_text(commit.head, book.log.hashes(commit.first_seq, commit.last_seq)))
    head = decode_head(commit.head)
    click.echo(f"  id       {entry[:32].hex()}  (BLAKE3)")
    click.echo(f"  sha256   {entry[32:].hex()}")
    print_source(book, commit)
    click.echo(f"  written by {show(head.tool)}, account {show(head.user)} on {show(head.host)}")
    if head.git:
        dirty = " with uncommitted changes" if head.dirty else ""
        click.echo(f"  git      {show(head.git)}{dirty}")
