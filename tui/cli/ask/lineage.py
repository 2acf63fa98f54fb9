"""`tally lineage`: what an entity comes from, and what comes from it."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import click

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.sentences import count
from tallystick.ledger.query.lineage import Direction, Label, Lineage, dot, mermaid, tree
from tallystick.tui.cli.answer import head_line, snapshot_of
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import open_ledger
from tallystick.tui.cli.options import as_of_option, axis_option, json_option, ledger_option
from tallystick.tui.output.changes import node_words
from tallystick.tui.output.console import as_of_json, clip, print_json, terminal_columns
from tallystick.tui.output.escape import show
from tallystick.tui.output.import_label import unproven_line


@tally.command("lineage")
@click.argument("entity")
@click.argument("other", required=False)
@click.option("--up", "towards", flag_value="up", help="Only what it comes from: which data is behind a decision?")
@click.option("--down", "towards", flag_value="down", help="Only what comes from it: what does a wrong slice touch?")
@click.option("--depth", type=click.IntRange(1), default=100, help="How many steps to go [default: all].")
@click.option("--most", type=click.IntRange(1), default=1_000, show_default=True, help="How many nodes to show.")
@click.option("--format", "form", type=click.Choice(["tree", "mermaid", "dot"]), default="tree", show_default=True)
@ledger_option
@as_of_option
@axis_option
@json_option
def lineage_command(
    entity: str,
    other: str | None,
    towards: str | None,
    depth: int,
    most: int,
    form: str,
    ledger_path: Path | None,
    as_of: str | None,
    axis: str,
    as_json: bool,
) -> None:
    """What ENTITY comes from and what comes from it; or every path between ENTITY and OTHER.

    Every edge was drawn by an event. A promotion or an approval is an event itself and stands as #76.
    """
    if other is not None and towards is not None:
        raise InvalidInput("Between two entities there is one direction only.", "Leave out --up and --down.")
    with open_ledger(ledger_path) as book:
        snapshot = snapshot_of(book, as_of, axis)
        direction = cast("Direction", towards or "both")
        if other is not None:
            part = snapshot.paths(entity, other)
        else:
            part = snapshot.lineage(entity, direction, depth=depth, most=most)

        def label(node: str) -> str:
            return node_words(node, snapshot)

        if as_json:
            content = {
                "as_of": as_of_json(snapshot.as_of, book),
                "start": part.start,
                "nodes": [{"handle": node, "words": label(node)} for node in part.nodes],
                "edges": [edge._asdict() for edge in part.edges],
                "left_out": part.left_out,
            }
            print_json("tally.lineage/1", content)
            return
        if form == "mermaid":
            click.echo(mermaid(part, lambda node: show(label(node), 200)), nl=False)
        elif form == "dot":
            click.echo(dot(part, lambda node: show(label(node), 200)), nl=False)
        else:
            head_line(snapshot, as_of)
            unproven_line(snapshot)
            _print_trees(part, direction if other is None else "down", label)
        if part.left_out:
            click.echo(f"and {count(part.left_out, 'more node')} beyond: --depth, --most", err=True)


def _print_trees(part: Lineage, direction: Direction, label: Label) -> None:
    def line(node: str) -> str:
        return show(label(node), 300)

    for towards, title in (("up", "comes from"), ("down", "leads to")):
        if direction not in (towards, "both"):
            continue
        lines = tree(part, line, towards)  # type: ignore[arg-type]
        if direction == "both" and len(lines) == 1 and towards == "down":
            continue
        click.secho(clip(lines[0] if towards == "up" or direction != "both" else title, terminal_columns()), bold=True)
        if towards == "up" and direction == "both":
            click.secho(title if len(lines) > 1 else "comes from nothing that is recorded", bold=True)
        for text in lines[1:]:
            click.echo(clip(text, terminal_columns()))
