"""`tally report`: a watched period again, as it was recorded and known at any date."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.system.files import write_whole
from tallystick.pipeline.records.period_record import PeriodRecord, newest_period, period_record
from tallystick.tui.cli.ask.status import head_line, snapshot_of
from tallystick.tui.cli.main import as_of_option, json_option, ledger_option, open_ledger, tally
from tallystick.tui.output.console import as_of_json, print_json, wrap
from tallystick.tui.output.escape import show, show_lines
from tallystick.tui.output.period_html import as_if_words, late_words, page
from tallystick.tui.output.period_text import plot_lines

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo


@tally.command("report")
@click.argument("pipeline")
@click.option("--period", metavar="LABEL", help="Which period [default: the one that was watched last].")
@click.option("--html", "html", metavar="FILE", type=click.Path(path_type=Path), help="Write one page of HTML.")
@click.option("--plot", is_flag=True, help="Draw it in the terminal, too.")
@ledger_option
@as_of_option
@json_option
def report_command(
    pipeline: str,
    period: str | None,
    html: Path | None,
    plot: bool,
    ledger_path: Path | None,
    as_of: str | None,
    as_json: bool,
) -> None:
    """Tell again what was found when PIPELINE was watched, from recorded events only.

    With --as-of it is what was known then; the page of a past date is the same, byte for byte, whenever it is made.
    """
    with open_ledger(ledger_path) as book:
        snapshot = snapshot_of(book, as_of)
        record = period_record(book, newest_period(snapshot, pipeline, period))
        if html is not None:
            write_page(html, record, book)
        if as_json:
            body = record.body
            content = {
                "as_of": as_of_json(snapshot.as_of, book),
                "period": {
                    "handle": f"period:{body.period}",
                    "recorded_at": record.recorded_at,
                    "actor": record.actor,
                    "commit": record.commit,
                    "looks": record.looks,
                    "late_days": record.late.days,
                    **{name: getattr(body, name) for name in body.__struct_fields__},
                },
                "findings": record.findings,
                "html": None if html is None else str(html),
            }
            print_json("tally.report/1", content)
            return
        head_line(snapshot, as_of, book)
        print_record(record, book.zone, plot=plot)
        if html is not None:
            click.echo(f"page {show(html)}")


def print_record(record: PeriodRecord, zone: ZoneInfo, *, plot: bool) -> None:
    """The sentences of a look, and its pictures in blocks."""
    body = record.body
    click.secho(f"{show(body.model)} in {show(body.label)}: {body.status}", bold=True)
    known = body.rows - body.immature_rows
    as_if = as_if_words(record, zone)
    compared = f"compared with {', '.join(body.history)}" if body.history else "with nothing to compare"
    click.echo(wrap(f"{known:,} of {body.rows:,} rows with a known label{as_if}, from {body.source}; {compared}", "  "))
    looks = "" if record.looks == 1 else f"; look {record.looks} at it"
    click.echo(wrap(f"recorded in {record.commit}, {late_words(record)}{looks}", "  "))
    click.echo()
    click.secho(wrap(body.headline), bold=True)
    for finding in record.findings:
        click.echo(wrap(f"[{finding.code}] {finding.sentence}", "  "))
    if plot:
        click.echo()
        lines = plot_lines(body.facts, body.reliability)
        for line in lines or ["There is nothing to draw: this look came to no numbers."]:
            click.echo("  " + show_lines(line))
    click.echo()
    click.secho(wrap(body.suggestion), bold=True)
    if record.findings:
        code = record.findings[0].code
        click.echo(f"the numbers behind a sentence: tally explain '{show(body.period)}/{show(code)}'")


def write_page(path: Path, record: PeriodRecord, book: ledger.Ledger) -> None:
    """Write the page of a look; it depends on what was recorded up to the look and on nothing later."""
    text = page(
        record,
        book.zone,
        origin=book.origin,
        replayed=book.genesis.clock == "replayed",
    )
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise InvalidInput(f"The page {path} cannot be written: {error.strerror}.", "Name another file.") from error
