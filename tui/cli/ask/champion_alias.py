"""`tally champion MODEL --alias NAME`: the version of a registered model that an alias points to, now or at a date."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import click

from tallystick import ledger
from tallystick.ledger.events.sentences import count
from tallystick.ledger.query.aliases import AliasAnswer
from tallystick.tui.cli.answer import state_json
from tallystick.tui.cli.ask.commits import print_source
from tallystick.tui.output.console import wrap
from tallystick.tui.output.escape import show
from tallystick.tui.output.import_label import aside_words
from tallystick.tui.output.values import minute_words


def print_alias(snapshot: ledger.Snapshot, answer: AliasAnswer, zone: ZoneInfo) -> None:
    """Version, since when, by whom, why, and which version was before."""
    model, name = answer.registered.name, answer.alias.alias.rpartition("/")[2]
    alias, version = answer.alias, answer.version
    if alias.version is None:
        click.echo(wrap(f"The alias {name} of {model} points to no version any more."))
    else:
        described = f"version {version.number}" if version else alias.version
        click.secho(f"{show(model)} {show(described)} (alias {show(name)})", bold=True)
    origin = aside_words(snapshot, snapshot.commit_of(alias.seq).n, zone)
    if alias.observed is True:
        click.echo(f"  seen at the import on {minute_words(alias.since, zone)}{origin} (#{alias.seq})")
        click.echo("  since when, by whom and why is unknown")
    else:
        moved = "moved" if alias.version else "removed"
        click.echo(f"  {moved} {minute_words(alias.since, zone)} by {show(alias.by)}{origin} (#{alias.seq})")
        click.echo(wrap(f"reason: {alias.reason or 'none given'}", "  "))
    click.echo(wrap(_before_words(answer), "  "))
    if version is not None:
        _print_version(snapshot, answer, zone)
    click.echo(wrap(_gates_words(answer), "  "))


def _before_words(answer: AliasAnswer) -> str:
    earlier = answer.versions_before
    if not earlier:
        return "before: no version"
    more = f" ({count(len(earlier) - 1, 'more version')} before that)" if len(earlier) > 1 else ""
    return f"before: {show(answer.alias.previous or 'no version')}{more}; tally story alias:{show(answer.alias.alias)}"


def _print_version(snapshot: ledger.Snapshot, answer: AliasAnswer, zone: ZoneInfo) -> None:
    version = answer.version
    assert version is not None
    user = f" by {show(version.user)}" if version.user else ""
    click.echo(f"  registered {minute_words(version.created_at, zone)}{user}")
    if version.removed:
        click.echo("  the version was deleted since")
    made = f"trial {show(version.trial)}" if version.trial else show(version.source)
    click.echo(wrap(f"made by {made}; tally lineage version:{show(version.version)}", "  "))
    print_source(snapshot, snapshot.commit_of(answer.alias.seq).n, zone)


def _gates_words(answer: AliasAnswer) -> str:
    if answer.pipeline is None:
        return "No gates apply: there is no pipeline of this name."
    name = show(answer.pipeline)
    return (
        f"No gates apply to an alias. The pipeline {name} has gates: tally champion {name} names the model that passed."
    )


def alias_json(snapshot: ledger.Snapshot, answer: AliasAnswer) -> dict[str, Any]:
    """The same for programs."""
    version = answer.version
    return {
        "registered": state_json(snapshot, answer.registered, f"registered:{answer.registered.registered}"),
        "alias": state_json(snapshot, answer.alias, f"alias:{answer.alias.alias}"),
        "version": state_json(snapshot, version, f"version:{version.version}" if version else ""),
        "before": answer.versions_before,
        "pipeline": None if answer.pipeline is None else f"pipeline:{answer.pipeline}",
    }
