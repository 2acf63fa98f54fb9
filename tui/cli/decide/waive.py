"""`tally waive`: an exception with an owner, an approver, a reason and an end."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import click

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.query.as_of import parse_moment
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import open_ledger
from tallystick.tui.cli.options import json_option, ledger_option
from tallystick.tui.cli.receipts import print_receipt, receipt_json
from tallystick.tui.output.console import print_json, wrap
from tallystick.tui.output.escape import show


@tally.command("waive")
@click.argument("gate")
@click.option("--model", help="Whose gate it is.")
@click.option("--reason", required=True, help="Why, in at least 20 characters.")
@click.option("--owner", help="Who answers for it.")
@click.option("--approver", help="Who agrees: another person.")
@click.option(
    "--until",
    help="The last day on which it counts, or how long: a date, `30 days`; at most 90 days unless configured.",
)
@click.option("--evidence", help="Where the argument is written down.")
@click.option("--ends-when", help="What would end it earlier, in words.")
@click.option("--end", "take_back", is_flag=True, help="Take a waiver back: GATE is its name, or MODEL/GATE.")
@ledger_option
@json_option
def waive_command(
    gate: str,
    model: str | None,
    reason: str,
    owner: str | None,
    approver: str | None,
    until: str | None,
    evidence: str | None,
    ends_when: str | None,
    take_back: bool,
    ledger_path: Path | None,
    as_json: bool,
) -> None:
    """Excuse a model from one GATE by name, for a time that ends.

    When the time is over the gate counts again by itself. GATE is a gate of the pipeline file, final_test_looks for
    another look at the sealed windows, or validity for predictions outside it.
    """
    from tallystick.pipeline.governance import waivers

    with open_ledger(ledger_path, records=True) as book:
        if take_back:
            state, appended = waivers.end(book, f"{model}/{gate}" if model else gate, reason)
            commit = book.commit_handle(appended.n)
            if as_json:
                content = {"waiver": {"handle": f"waiver:{state.waiver}"}, "ended": True, "reason": reason.strip()}
                print_json("tally.waive/1", {**content, "commit": commit, "receipt": receipt_json(book)})
                return
            click.echo(f"Waiver {show(state.waiver)} is taken back ({commit}): gate {show(state.name)} counts again.")
            print_receipt(book)
            return
        given = {"--model": model, "--owner": owner, "--approver": approver, "--until": until}
        missing = [option for option, value in given.items() if not value]
        if missing or model is None or owner is None or approver is None or until is None:
            raise InvalidInput(
                f"A waiver also needs {', '.join(missing)}.",
                "Who answers for it, who else agrees, and when it ends: every waiver has an end.",
            )
        body, appended = waivers.waive(
            book,
            gate,
            model,
            reason=reason,
            owner=owner,
            approver=approver,
            until=_end(until, book),
            evidence=evidence,
            ends_when=ends_when,
        )
        commit = book.commit_handle(appended.n)
        if as_json:
            content = {"waiver": {"handle": f"waiver:{body.waiver}", **_fields(body)}, "ended": False}
            print_json("tally.waive/1", {**content, "commit": commit, "receipt": receipt_json(book)})
            return
        end = body.until.astimezone(book.zone)
        again = f" This is renewal {body.renewal}." if body.renewal else ""
        click.echo(
            wrap(
                f"Gate {body.name} of {body.model} is waived until {end:%Y-%m-%d %H:%M} ({commit}); from then on it "
                f"counts again by itself.{again}"
            )
        )
        click.echo(wrap(f"{body.owner} answers for it, {body.approver} approved: “{body.reason}”", "  "))
        print_receipt(book)


def _fields(body: object) -> dict[str, object]:
    return {field: getattr(body, field) for field in body.__struct_fields__}  # type: ignore[attr-defined]


def _end(until: str, book: ledger.Ledger) -> dt.datetime:
    """The end of the day that was named, or of the last day of a length of time from now."""
    from tallystick.pipeline.config.durations import parse_span

    now = book.clock().astimezone(book.zone)
    try:
        span = parse_span(until)
    except InvalidInput:
        return parse_moment(until, book.zone, now)
    if not span.micros:
        raise InvalidInput(f"{until!r} is not a number of days.", "For example --until '30 days', or a date.")
    last = now + dt.timedelta(microseconds=span.micros)
    return parse_moment(last.strftime("%Y-%m-%d"), book.zone, now)
