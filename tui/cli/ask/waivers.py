"""Waivers in force, and gates that count again because theirs is over."""

from __future__ import annotations

import click

from tallystick import ledger
from tallystick.ledger.views.entities import ModelState
from tallystick.pipeline.governance.waivers import Expired, expired_under, that_weigh, waiver_words
from tallystick.tui.output.console import wrap


def expired(snapshot: ledger.Snapshot) -> list[Expired]:
    """Gates that some champion rests on a waiver for and that count again."""
    champions = [snapshot.champion_if_known(state.pipeline) for state in snapshot.pipelines()]
    known = [champion for champion in champions if isinstance(champion, ModelState)]
    return [item for champion in known for item in expired_under(snapshot, champion, snapshot.zone)]


def print_waivers(snapshot: ledger.Snapshot, model: ModelState | None = None) -> None:
    """Exceptions in force, and champions that rest on one that is over."""
    moment = snapshot.moment
    for waiver in snapshot.waivers_in_force(model.model) if model else that_weigh(snapshot):
        elsewhere = "; imported, it excuses nothing here" if snapshot.event(waiver.seq).imported else ""
        click.echo(wrap(f"waiver: {waiver_words(waiver, moment, snapshot.zone)}{elsewhere}", "  "))
    for item in expired_under(snapshot, model, snapshot.zone) if model else expired(snapshot):
        click.secho(wrap(f"NOT EXCUSED ANY MORE: {item.sentence}", "  "), bold=True)
