"""`tally champion`: the model that decides, now or at a date; with --alias that of a registered model."""

from __future__ import annotations

from pathlib import Path

import click

from tallystick.ledger.events.sentences import count
from tallystick.ledger.events.unknown import Unknown
from tallystick.ledger.query.aliases import alias_of
from tallystick.pipeline.governance.waivers import expired_under
from tallystick.tui.cli.answer import head_line, snapshot_of, state_json
from tallystick.tui.cli.ask.champion_alias import alias_json, print_alias
from tallystick.tui.cli.ask.commits import print_source
from tallystick.tui.cli.ask.waivers import print_waivers
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import open_ledger
from tallystick.tui.cli.options import as_of_option, axis_option, json_option, ledger_option
from tallystick.tui.output.console import as_of_json, print_json, wrap
from tallystick.tui.output.escape import show
from tallystick.tui.output.import_label import aside_words
from tallystick.tui.output.values import minute_words, world_words


@tally.command("champion")
@click.argument("pipeline", metavar="NAME")
@click.option("--alias", metavar="ALIAS", help="NAME is a registered model: the version that this alias points to.")
@ledger_option
@as_of_option
@axis_option
@json_option
def champion_command(
    pipeline: str, alias: str | None, ledger_path: Path | None, as_of: str | None, axis: str, as_json: bool
) -> None:
    """Which model decides for the pipeline NAME, or decided at a date; who put it there, when and why."""
    with open_ledger(ledger_path) as book:
        snapshot = snapshot_of(book, as_of, axis)
        if alias is not None:
            answer = alias_of(snapshot, pipeline, alias)
            if as_json:
                content = {"as_of": as_of_json(snapshot.as_of, book), **alias_json(snapshot, answer)}
                print_json("tally.alias/1", content)
            else:
                head_line(snapshot, as_of)
                print_alias(snapshot, answer, book.zone)
            return
        state = snapshot.pipeline(pipeline)
        found = snapshot.champion_if_known(pipeline)
        champion = None if isinstance(found, Unknown) else found
        if as_json:
            print_json(
                "tally.champion/1",
                {
                    "as_of": as_of_json(snapshot.as_of, book),
                    "pipeline": {"handle": f"pipeline:{state.pipeline}", "name": state.pipeline},
                    "champion": found
                    if isinstance(found, Unknown)
                    else state_json(snapshot, found, f"model:{found.model}" if found else ""),
                    "promotion": state.champion,
                    "waivers": [
                        state_json(snapshot, waiver, f"waiver:{waiver.waiver}")
                        for waiver in (snapshot.waivers_in_force(champion.model) if champion else [])
                    ],
                    "expired": [
                        {"handle": f"gate:{item.gate.gate}", "sentence": item.sentence}
                        for item in (expired_under(snapshot, champion, book.zone) if champion else [])
                    ],
                },
            )
            return
        head_line(snapshot, as_of)
        if isinstance(found, Unknown):
            click.echo(wrap(f"Which model decides for {state.pipeline} is {found.words}."))
            return
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
        origin = aside_words(snapshot, snapshot.commit_of(state.champion.seq).n, book.zone)
        click.echo(
            f"  promoted {minute_words(state.champion.since, book.zone)} by {show(state.champion.by)}{origin} "
            f"(#{state.champion.seq}){rank}"
        )
        click.echo(wrap(f"reason: {state.champion.reason}", "  "))
        click.echo(
            f"  made by run {show(champion.made_by_run)} from slice {show(champion.slice)}, {champion.rows:,} rows"
        )
        for role, period in (("trained on", champion.trained_on), ("intended for", champion.intended_for)):
            if period:
                click.echo(f"  {role} {world_words(snapshot, champion.pipeline, period)}")
        click.echo(f"  file {champion.artifact[:12]}…")
        print_source(snapshot, snapshot.commit_of(champion.made_by_event).n, book.zone)
        print_waivers(snapshot, champion)
