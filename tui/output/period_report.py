"""A monitored period on the terminal, and its page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.system.files import write_whole
from tallystick.pipeline.records.period_record import PeriodRecord
from tallystick.tui.output.console import wrap
from tallystick.tui.output.escape import show, show_lines
from tallystick.tui.output.period_html import as_if_words, late_words, page
from tallystick.tui.output.period_text import plot_lines

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo


def print_period(record: PeriodRecord, zone: ZoneInfo, *, plot: bool) -> None:
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
