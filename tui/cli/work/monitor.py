"""`tally monitor`: how a champion does in a live period, in sentences with the numbers behind them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import open_ledger
from tallystick.tui.cli.options import json_option, labels_option, ledger_option, moment_of
from tallystick.tui.cli.receipts import print_receipt, receipt_json
from tallystick.tui.output.console import print_json
from tallystick.tui.output.escape import show

if TYPE_CHECKING:
    from tallystick.pipeline.monitoring.monitor import Watched


@tally.command("monitor")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--period", required=True, metavar="LABEL", help="A period of the length of a window: 2013-09.")
@click.option("--model", metavar="MODEL", help="The model to watch [default: the champion].")
@click.option("--html", "html", metavar="FILE", type=click.Path(path_type=Path), help="Write one page of HTML, too.")
@click.option("--plot", is_flag=True, help="Draw it in the terminal, too.")
@labels_option
@ledger_option
@json_option
def monitor_command(
    file: Path,
    period: str,
    model: str | None,
    html: Path | None,
    plot: bool,
    labels_as_of: str | None,
    ledger_path: Path | None,
    as_json: bool,
) -> None:
    """Watch the champion of a pipeline FILE in a period: what moved, where, since when, and what to do about it.

    The period is judged against the model's own history alone: the windows of its back-test and, where compare_to in
    [monitoring] says so, the periods in which it was watched before. Everything that is said is recorded, with the
    numbers behind it.
    """
    from tallystick.pipeline.config.load import read

    loaded = read(file)
    from tallystick.pipeline.monitoring.monitor import monitor
    from tallystick.pipeline.records.period_record import newest_period, period_record
    from tallystick.tui.output.period_report import print_period, write_page

    with open_ledger(ledger_path, records=True) as book:
        watched = monitor(book, loaded, period, model=model, labels_as_of=moment_of(labels_as_of, book))
        record = period_record(now := book.now(), newest_period(now, loaded.settings.name, period))
        if html is not None:
            try:
                write_page(html, record, book)
            except InvalidInput as error:
                again = f"`tally report {show(loaded.settings.name)} --period {show(period)} --html FILE` makes it."
                raise InvalidInput(f"The look is recorded. {error.message}", again) from error
        if as_json:
            _print_json(watched, book)
            return
        print_period(record, book.zone, plot=plot)
        if html is not None:
            click.echo(f"page {show(html)}")
        print_receipt(book)


def _print_json(watched: Watched, book: ledger.Ledger) -> None:
    body = watched.body
    print_json(
        "tally.monitor/1",
        {
            "period": {
                "handle": f"period:{body.period}",
                **{name: getattr(body, name) for name in body.__struct_fields__},
            },
            "findings": [
                {
                    "handle": f"finding:{body.period}/{finding.code}",
                    "code": finding.code,
                    "level": finding.level,
                    "facts": finding.facts,
                    "sentence": finding.sentence,
                }
                for finding in watched.findings
            ],
            "commit": watched.commit,
            "receipt": receipt_json(book),
        },
    )
