"""`tally predict`: a model's answers, inside what it was approved for."""

from __future__ import annotations

from pathlib import Path

import click

from tallystick.ledger.events.sentences import count
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import open_ledger
from tallystick.tui.cli.options import json_option, ledger_option
from tallystick.tui.cli.receipts import print_receipt, receipt_json
from tallystick.tui.output.console import print_json, wrap
from tallystick.tui.output.escape import show


@tally.command("predict")
@click.argument("model")
@click.argument("data")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Where to write: a .parquet or .csv file."
)
@click.option("--challenger", is_flag=True, help="Also ask a model that is not the champion; answers are labelled.")
@ledger_option
@json_option
def predict_command(
    model: str, data: str, output: Path, challenger: bool, ledger_path: Path | None, as_json: bool
) -> None:
    """Let MODEL answer for the rows of DATA, or refuse in words.

    DATA is a .parquet or .csv file, or sqlite:FILE#TABLE, with the key, the time and the features of the pipeline.
    The model must be the champion, its file the recorded one, every row after its training, and rows and today
    inside its validity; what is refused is recorded, and ends with 1. Each written row says which model answered.
    """
    from tallystick.pipeline.monitoring.predict import answer

    with open_ledger(ledger_path, records=True) as book:
        done = answer(book, model, data, output, challenger=challenger)
        body = done.body
        if as_json:
            print_json(
                "tally.predict/1",
                {
                    "prediction": {"handle": f"prediction:{body.prediction}", "name": body.prediction},
                    "model": {"handle": f"model:{body.model}", "name": body.model, "status": done.status},
                    "pipeline": {"handle": f"pipeline:{body.pipeline}", "name": body.pipeline},
                    "rows": body.rows,
                    "from": done.period[0],
                    "to": done.period[1],
                    "mean": body.mean,
                    "output": str(output),
                    "input_hash": body.input_hash,
                    "output_hash": body.output_hash,
                    "prediction_hash": body.prediction_hash,
                    "waiver": body.waiver,
                    "warnings": body.warnings,
                    "used_for": done.used_for,
                    "not_for": done.not_for,
                    "commit": done.commit,
                    "receipt": receipt_json(book),
                },
            )
            return
        label = "" if done.status == "champion" else f" ({done.status.upper()}, it decides nothing)"
        click.secho(
            f"{show(body.model)}{label} answered for {count(body.rows, 'row')} in {show(output)}: mean {body.mean:.4g}",
            bold=True,
        )
        for warning in body.warnings:
            click.echo(wrap(f"WARNING: {warning}", "  "))
        click.echo(wrap(f"meant for {done.used_for}; not for {', '.join(done.not_for)}", "  "))
        click.echo(f"recorded in {done.commit} as {show(body.prediction)}")
        print_receipt(book)
