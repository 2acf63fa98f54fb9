"""`tally anchor` and `tally anchors`: what somebody else keeps of this ledger."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any

import click

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.sentences import commit_range
from tallystick.ledger.publish import anchors as found_outside
from tallystick.ledger.publish import witness
from tallystick.ledger.publish.anchors import Anchor, Between, between, gather
from tallystick.ledger.tlog.note import receipt_line
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import open_ledger
from tallystick.tui.cli.options import json_option, ledger_option
from tallystick.tui.cli.receipts import (
    policy_option,
    print_receipt,
    read_policy,
    read_receipt,
    receipt_json,
    shared_option,
)
from tallystick.tui.output.console import clock_line, print_json, table, wrap
from tallystick.tui.output.escape import show
from tallystick.tui.output.hints import here


@tally.command("anchor")
@click.argument("receipt", required=False)
@click.option("--where", help="Where the receipt is kept: a ticket, a mail, a person.")
@click.option("--witness", "url", metavar="URL", help="Have this witness cosign the newest checkpoint.")
@click.option("--witness-key", metavar="VKEY", help="The witness's key, where no policy names it.")
@policy_option
@ledger_option
@json_option
def anchor_command(
    receipt: str | None,
    where: str | None,
    url: str | None,
    witness_key: str | None,
    policy_path: Path | None,
    ledger_path: Path | None,
    as_json: bool,
) -> None:
    """Record that a receipt is kept elsewhere; or have a witness cosign.

    RECEIPT is a file, the line itself, or - for standard input, together with --where "ticket RISK-88". Only
    --witness uses the network: it speaks c2sp.org/tlog-witness with the one address given.
    """
    policy = read_policy(policy_path)
    if (receipt is None) == (url is None):
        raise InvalidInput(
            "Give either a receipt and --where, or --witness URL.",
            'tally anchor receipt.txt --where "ticket RISK-88"',
        )
    with open_ledger(ledger_path, records=True) as book:
        if url is not None:
            key = _witness_key(url, witness_key, policy)
            newest = max(
                (a.checkpoint.size for a in gather(book, policy, None) if a.where == f"witness {key.name}"), default=0
            )
            note, cosigned = witness.ask(book, url, key, newest)
            body = found_outside.cosigned_by(book, note, key, cosigned.at, url)
        else:
            if not where or not where.strip():
                raise InvalidInput("Say where the receipt is kept.", '--where "ticket RISK-88"')
            body = found_outside.keep(book, read_receipt(receipt or ""), where.strip())
        appended = book.append(ledger.Draft(body), expected={f"anchor:{body.anchor}": None}, sign=True)
        handle = book.commit_handle(appended.n)
        if as_json:
            print_json("tally.anchor/1", {"anchor": body, "commit": handle, "receipt": receipt_json(book)})
            return
        how = "cosigned by" if body.kind == "cosigned" else "kept in"
        click.echo(f"{commit_range(0, body.size - 1)}: {how} {show(body.where)} ({handle}).")
        print_receipt(book)


def _witness_key(url: str, stated: str | None, policy: Any) -> Any:
    from tallystick.ledger.tlog.cosignature import WitnessKey

    if stated:
        return WitnessKey.parse(stated)
    for known in policy.witnesses.values() if policy else ():
        if known.url and known.url.rstrip("/") == url.rstrip("/"):
            return known.key
    raise InvalidInput(
        "The key of this witness is not known, so its cosignature could not be checked.",
        "Give a policy that names the witness with this address (--policy), or --witness-key VKEY.",
    )


@tally.command("anchors")
@click.argument("handle", required=False)
@policy_option
@shared_option
@ledger_option
@json_option
def anchors_command(
    handle: str | None, policy_path: Path | None, shared: Path | None, ledger_path: Path | None, as_json: bool
) -> None:
    """What outside vouches for how much of the ledger; with an event or commit, between what it was appended.

    Looks into receipts.txt in git, the marks of a shared folder, and what was recorded with `tally anchor`. It reads
    no network.
    """
    with open_ledger(ledger_path) as book:
        if not as_json:
            clock_line(book)
        all_found = gather(book, read_policy(policy_path), shared)
        good = [anchor for anchor in all_found if book.continues(anchor.checkpoint)]
        bad = [anchor for anchor in all_found if anchor not in good]
        if handle is not None:
            _print_between(book, handle, good, as_json)
            return
        if as_json:
            content = {
                "origin": book.origin,
                "commits": book.size(),
                "anchors": [_as_json(anchor, anchor in good) for anchor in all_found],
            }
            print_json("tally.anchors/1", content)
            return
        if not all_found:
            click.echo("Nothing outside vouches for this ledger yet.", err=True)
            click.echo(
                "Next: tally receipt --git, or paste `tally receipt` into a ticket and type\n"
                '      tally anchor RECEIPT --where "ticket RISK-88"',
                err=True,
            )
            return
        table(
            ("up to", "by", "kept by", "where", "weight"),
            [
                (
                    f"c{anchor.checkpoint.size - 1}",
                    anchor.at.astimezone(book.zone).strftime("%Y-%m-%d %H:%M") if anchor.at else "",
                    anchor.kind,
                    anchor.where,
                    _weight(anchor, anchor in good),
                )
                for anchor in all_found
            ],
        )
        if bad:
            click.echo(
                wrap(here("Some contradict this ledger: `tally verify` shows which side was rewritten.")), err=True
            )


def _weight(anchor: Anchor, good: bool) -> str:
    if not good:
        return "CONTRADICTS this ledger"
    return "found there and right" if anchor.outside else anchor.remark


def _as_json(anchor: Anchor, good: bool) -> dict[str, Any]:
    return {
        "commits": anchor.checkpoint.size,
        "receipt": receipt_line(anchor.checkpoint),
        "kind": anchor.kind,
        "where": anchor.where,
        "at": anchor.at,
        "outside": anchor.outside,
        "agrees": good,
        "remark": anchor.remark,
    }


def _print_between(book: ledger.Ledger, handle: str, good: list[Anchor], as_json: bool) -> None:
    if not re.fullmatch(r"([#c])(\d+)(-[0-9a-z]{4})?", handle):
        raise InvalidInput(f"{handle!r} is neither an event (#12) nor a commit (c3).")
    position = book.when(handle)  # refuses what is not there, and letters that do not match
    now = book.now()
    commit = now.commit(position.n)
    claimed = _claimed(now, handle) or commit.recorded_at
    bounds = between(commit.n, good)
    if as_json:
        content = {
            "handle": handle,
            "commit": book.commit_handle(commit.n),
            "claimed": claimed,
            "recorded_at": commit.recorded_at,
            "actor": commit.head.actor,
            "after": None if bounds.after is None else _as_json(bounds.after, True),
            "before": None if bounds.before is None else _as_json(bounds.before, True),
        }
        print_json("tally.anchors/1", content)
        return
    click.echo(wrap(between_words(claimed, bounds, book)))


def _claimed(snapshot: ledger.Snapshot, handle: str) -> dt.datetime | None:
    if not handle.startswith("#"):
        return None
    return snapshot.event(int(handle[1:].partition("-")[0])).event.occurred_at


def between_words(claimed: dt.datetime, bounds: Between, book: ledger.Ledger) -> str:
    """ "claimed 2013-07-01 …; appended between A and B"."""

    def name(anchor: Anchor) -> str:
        at = anchor.at.astimezone(book.zone).strftime("%Y-%m-%d %H:%M") if anchor.at else ""
        return f"{anchor.where} ({at}{'' if anchor.outside else '; ' + anchor.remark})"

    said = f"claimed {claimed.astimezone(book.zone):%Y-%m-%d %H:%M:%S %Z}; "
    if bounds.after and bounds.before:
        return f"{said}appended between {name(bounds.after)} and {name(bounds.before)}."
    if bounds.before:
        return f"{said}appended before {name(bounds.before)}; nothing bounds it from the other side."
    if bounds.after:
        return f"{said}appended after {name(bounds.after)}; nothing outside vouches for it yet."
    return f"{said}nothing outside bounds when it was appended."
