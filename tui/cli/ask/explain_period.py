"""What stands behind a sentence about a watched period: the numbers that it was made of, as they were recorded."""

from __future__ import annotations

import click

from tallystick import ledger
from tallystick.ledger.events.types import FindingMade
from tallystick.ledger.views.entities import FindingState, PeriodState
from tallystick.pipeline.records.period_record import period_record
from tallystick.tui.output.console import aligned, print_json, terminal_columns, wrap
from tallystick.tui.output.escape import show
from tallystick.tui.output.period_html import flat
from tallystick.tui.output.values import moment_words


def watched_of(snapshot: ledger.Snapshot, name: str) -> PeriodState | FindingState | None:
    """The watched period or finding of a name; a window may bear the same name and is not meant here."""
    names = [name] if ":" in name else [f"period:{name}", f"finding:{name}"]
    found = (snapshot.find(handle) for handle in names)
    return next((state for state in found if isinstance(state, PeriodState | FindingState)), None)


def explain_watched(snapshot: ledger.Snapshot, state: PeriodState | FindingState, as_json: bool) -> None:
    """One finding with its numbers, or all findings of a period."""
    if isinstance(state, FindingState):
        findings: list[FindingMade] = [snapshot.event(state.seq).event.body]
        name, seq = f"finding:{state.finding}", state.seq
    else:
        findings = period_record(snapshot, state).findings
        name, seq = f"period:{state.period}", state.described_by
    entry = snapshot.event(seq)
    if as_json:
        content = {"handle": name, "recorded_at": entry.recorded_at, "actor": entry.actor, "findings": findings}
        print_json("tally.explain/1", content)
        return
    click.secho(show(name), bold=True)
    click.echo(f"  recorded {moment_words(entry.recorded_at, snapshot.zone)} by {show(entry.actor)} (#{seq})")
    for finding in findings:
        click.echo()
        click.echo(wrap(f"[{finding.code}] {finding.sentence}", "  "))
        for line in aligned(("number", "value"), flat(finding.facts), terminal_columns() - 4):
            click.echo(f"    {line}")
