"""`tally champion MODEL --alias NAME`: the version of a registered model that an alias points to, now or at a date."""

from __future__ import annotations

from typing import Any

import click

from tallystick import ledger
from tallystick.ledger.events.sentences import count
from tallystick.ledger.query.aliases import AliasAnswer, alias_of
from tallystick.tui.cli.answer import head_line, state_json
from tallystick.tui.cli.ask.commits import print_source
from tallystick.tui.output.console import as_of_json, print_json, wrap
from tallystick.tui.output.escape import show
from tallystick.tui.output.import_label import aside_words
from tallystick.tui.output.values import minute_words


def print_alias(
    book: ledger.Ledger, snapshot: ledger.Snapshot, model: str, name: str, as_of: str | None, as_json: bool
) -> None:
    """Version, since when, by whom, why, and which version was before."""
    answer = alias_of(snapshot, model, name)
    if as_json:
        print_json("tally.alias/1", {"as_of": as_of_json(snapshot.as_of, book), **_alias_json(answer)})
        return
    head_line(snapshot, as_of)
    alias, version = answer.alias, answer.version
    if alias.version is None:
        click.echo(wrap(f"The alias {name} of {model} points to no version any more."))
    else:
        described = f"version {version.number}" if version else alias.version
        click.secho(f"{show(answer.registered.name)} {show(described)} (alias {show(name)})", bold=True)
    origin = aside_words(snapshot, snapshot.commit_of(alias.seq).n, book.zone)
    if alias.observed:
        click.echo(f"  seen at the import on {minute_words(alias.since, book.zone)}{origin} (#{alias.seq})")
        click.echo("  since when, by whom and why is unknown")
    else:
        moved = "moved" if alias.version else "removed"
        click.echo(f"  {moved} {minute_words(alias.since, book.zone)} by {show(alias.by)}{origin} (#{alias.seq})")
        click.echo(wrap(f"reason: {alias.reason or 'none given'}", "  "))
    click.echo(wrap(_before_words(answer), "  "))
    if version is not None:
        _print_version(snapshot, answer, book)
    click.echo(wrap(_gates_words(answer), "  "))


def _before_words(answer: AliasAnswer) -> str:
    earlier = answer.versions_before
    if not earlier:
        return "before: no version"
    more = f" ({count(len(earlier) - 1, 'more version')} before that)" if len(earlier) > 1 else ""
    return f"before: {show(answer.alias.previous or 'no version')}{more}; tally story alias:{show(answer.alias.alias)}"


def _print_version(snapshot: ledger.Snapshot, answer: AliasAnswer, book: ledger.Ledger) -> None:
    version = answer.version
    assert version is not None
    user = f" by {show(version.user)}" if version.user else ""
    click.echo(f"  registered {minute_words(version.created_at, book.zone)}{user}")
    if version.removed:
        click.echo("  the version was deleted since")
    made = f"trial {show(version.trial)}" if version.trial else show(version.source)
    click.echo(wrap(f"made by {made}; tally lineage version:{show(version.version)}", "  "))
    print_source(snapshot, snapshot.commit_of(answer.alias.seq).n, book.zone)


def _gates_words(answer: AliasAnswer) -> str:
    if answer.pipeline is None:
        return "No gates apply: there is no pipeline of this name."
    name = show(answer.pipeline)
    return (
        f"No gates apply to an alias. The pipeline {name} has gates: tally champion {name} names the model that passed."
    )


def _alias_json(answer: AliasAnswer) -> dict[str, Any]:
    version = answer.version
    return {
        "registered": state_json(answer.registered, f"registered:{answer.registered.registered}"),
        "alias": state_json(answer.alias, f"alias:{answer.alias.alias}"),
        "version": state_json(version, f"version:{version.version}" if version else ""),
        "before": answer.versions_before,
        "pipeline": None if answer.pipeline is None else f"pipeline:{answer.pipeline}",
    }
