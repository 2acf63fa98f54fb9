"""`tally sql`: the views, asked in SQL."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.views.entities import GateState
from tallystick.tui.cli.answer import head_line, snapshot_of
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import open_ledger
from tallystick.tui.cli.options import as_of_option, axis_option, json_option, ledger_option
from tallystick.tui.output.console import as_of_json, print_json, table
from tallystick.tui.output.import_label import unproven_line


@tally.command("sql")
@click.argument("query", required=False)
@click.option("--path", is_flag=True, help="Bring the file of the views up to date and print where it is.")
@ledger_option
@as_of_option
@axis_option
@json_option
def sql_command(
    query: str | None, path: bool, ledger_path: Path | None, as_of: str | None, axis: str, as_json: bool
) -> None:
    """Ask the views a question in SQL, read only.

    Each kind of entity is a view with one column a field, as it was known at --as-of: pipelines, runs, models, slices,
    windows, evaluations, decisions and so on. `tally sql "select name from temp.sqlite_schema"` lists them all.
    Times are text in UTC, periods and lists are JSON: json_extract(trained_on, '$[1]').

    Of a pipeline that counts time in whole numbers, step n is kept as n days after 1970-01-01:
    step(json_extract(trained_on, '$[0]')) gives the number, and in_steps(pipeline) tells which pipelines count so. In
    the file below, where these functions are missing, it is julianday(json_extract(trained_on, '$[0]')) - 2440587.5.

    The same views are in a file of this account, for sqlite3 or datasette: sqlite3 "$(tally sql --path)"
    """
    if path == (query is not None):
        raise click.UsageError("Give a question in SQL, or --path.")
    if query is None:
        _print_path(ledger_path, as_json)
        return
    from tallystick.ledger.query.sql import answer
    from tallystick.pipeline.governance.reopened import gates_as_they_count

    with open_ledger(ledger_path) as book:
        snapshot = snapshot_of(book, as_of, axis)
        rows = answer(snapshot, query, {GateState: gates_as_they_count(snapshot)})
        if as_json:
            print_json("tally.sql/1", {"as_of": as_of_json(snapshot.as_of, book), "rows": rows})
            return
        head_line(snapshot, as_of)
        unproven_line(snapshot)
        if rows:
            table(tuple(rows[0]), [tuple(row.values()) for row in rows])
        elif sys.stdout.isatty():
            click.echo("No rows.")


def _print_path(ledger_path: Path | None, as_json: bool) -> None:
    with open_ledger(ledger_path) as book:
        if not book.views.are_kept():
            raise InvalidInput(
                f"The views cannot be kept in {book.views.path}, so there is no file of them.",
                "`tally doctor` looks at rights and space.",
            )
        if as_json:
            print_json("tally.sql/1", {"path": str(book.views.path)})
            return
        click.echo(book.views.path)
