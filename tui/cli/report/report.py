"""`tally report`: a watched period again, as it was recorded and known at any date."""

from __future__ import annotations

from pathlib import Path

import click

from tallystick.pipeline.records.period_record import newest_period, period_record
from tallystick.tui.cli.answer import head_line, snapshot_of
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import open_ledger
from tallystick.tui.cli.options import as_of_option, json_option, ledger_option
from tallystick.tui.output.console import as_of_json, print_json
from tallystick.tui.output.escape import show
from tallystick.tui.output.period_report import print_period, write_page


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
        record = period_record(snapshot, newest_period(snapshot, pipeline, period))
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
        head_line(snapshot, as_of)
        print_period(record, book.zone, plot=plot)
        if html is not None:
            click.echo(f"page {show(html)}")
