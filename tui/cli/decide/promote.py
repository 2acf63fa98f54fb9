"""`tally promote`, `retire` and `approve`: a person puts a model in charge or out of it, and another one says yes."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.approval import approval_event, check_approval, sign_approval
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.tlog import key_store
from tallystick.ledger.tlog.note import VerifierKey
from tallystick.ledger.tlog.personal_key import personal_signer
from tallystick.ledger.views.entities import ModelState, RunState
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import open_ledger
from tallystick.tui.cli.options import json_option, ledger_option
from tallystick.tui.cli.receipts import print_receipt, receipt_json
from tallystick.tui.output.console import print_json, wrap
from tallystick.tui.output.escape import show
from tallystick.tui.output.import_label import source_words

if TYPE_CHECKING:
    from tallystick.pipeline.governance.promotion import Decided


@tally.command("promote")
@click.argument("model")
@click.option("--reason", required=True, help="Why, in words that will be read in a year.")
@ledger_option
@json_option
def promote_command(model: str, reason: str, ledger_path: Path | None, as_json: bool) -> None:
    """Make MODEL the champion of its pipeline. A run never does this by itself."""
    from tallystick.pipeline.governance.promotion import promote

    with open_ledger(ledger_path, records=True) as book:
        decided = promote(book, model, reason)
        _tell(book, decided, as_json)


@tally.command("retire")
@click.argument("model")
@click.option("--reason", required=True, help="Why, in words that will be read in a year.")
@ledger_option
@json_option
def retire_command(model: str, reason: str, ledger_path: Path | None, as_json: bool) -> None:
    """Take MODEL out of use. If it is champion, its pipeline has none until another is promoted."""
    from tallystick.pipeline.governance.promotion import retire

    with open_ledger(ledger_path, records=True) as book:
        decided = retire(book, model, reason)
        _tell(book, decided, as_json)


def _tell(book: ledger.Ledger, decided: Decided, as_json: bool) -> None:
    """What was decided, what it rests on, and the receipt."""
    body, handle = decided.body, book.commit_handle(decided.appended.n)
    if as_json:
        previous = decided.previous
        content = {
            "pipeline": body.pipeline,
            "model": {"handle": f"model:{body.model}", "name": body.model},
            "previous": None if previous is None else {"handle": f"model:{previous.model}"},
            "reason": body.reason,
            "commit": handle,
            "receipt": receipt_json(book),
            "decision": {"handle": f"decision:{body.decision}", "kind": body.kind, "headline": body.headline},
            "gates": body.gates,
            "approvals": body.approvals,
        }
        print_json("tally.retire/1" if body.kind == "retirement" else "tally.promote/1", content)
        return
    if body.kind == "retirement":
        click.echo(f"{show(body.headline)[:-1]} ({handle}).")
    else:
        instead = f" instead of {show(decided.previous.model)}" if decided.previous else ""
        again = " again" if body.kind == "rollback" else ""
        click.echo(f"{show(body.model)} is now the champion of {show(body.pipeline)}{again}{instead} ({handle}).")
    click.echo(f"Reason: {show(body.reason)}")
    if body.gates:
        passed = [gate.name for gate in body.gates if gate.verdict == "passed"]
        click.echo(wrap(f"gates passed: {', '.join(passed) or 'none'}", "  "))
    for gate in body.gates:
        if gate.waiver is not None:
            click.echo(wrap(f"waived by {gate.waiver}: {gate.name}: {gate.sentence}", "  "))
    if body.approvals:
        click.echo(wrap(f"signed by {', '.join(body.approvals)}", "  "))
    now = book.now()
    if source := source_words(now, now.event(now.model(body.model).made_by_event).n, book.zone):
        click.echo(wrap(source, "  "))
    print_receipt(book)


@tally.command("approve")
@click.argument("handle")
@click.option("--as", "name", help="Whose key signs [default: the configured actor].")
@click.option("--detached", is_flag=True, help="Only print the signed note; record nothing.")
@click.option(
    "--note", "given", metavar="FILE", help="Record a note signed elsewhere: a file, or - for standard input."
)
@click.option("--key", "vkey", metavar="VKEY", help="With --note: the verifier key of whoever signed it.")
@ledger_option
@json_option
def approve_command(
    handle: str,
    name: str | None,
    detached: bool,
    given: str | None,
    vkey: str | None,
    ledger_path: Path | None,
    as_json: bool,
) -> None:
    """Sign a decision, or any event (#12), with your own key, which is not the log's.

    HANDLE is a decision by name, a run that took one, or an event. Your key is an ed25519 key of your ssh-agent that
    is not the log's, else a file that is made at first use. Whoever keeps the log cannot sign in your name.
    """
    with open_ledger(ledger_path, records=True) as book:
        seq = _approvable(book, handle)
        signed = book.now().event(seq)
        log_keys = [identity.key.public for identity in book.identities]
        if given is not None:
            if vkey is None:
                raise InvalidInput("A note signed elsewhere needs the signer's key.", "--key VKEY")
            note, key = _note_text(given), VerifierKey.parse(vkey.strip())
        else:
            signer = _personal_signer(name or book.recorder.actor, log_keys)
            note, key = sign_approval(book.origin, signed.id.hex(), signer), signer.verifier
        body = approval_event(note, key, signed.id.hex(), signed.event.body)
        check_approval(body, [book.origin], log_keys)
        if detached:
            if as_json:
                print_json("tally.approve/1", {"note": note, "key": key.format(), "commit": None, "receipt": None})
            else:
                click.echo(note, nl=False)
                click.echo(f"key: {show(key.format())}", err=True)
            return
        appended = book.append(Draft(body, cause=(signed.id.hex(),)), sign=True)
        commit = book.commit_handle(appended.n)
        if as_json:
            content = {"note": note, "key": key.format(), "commit": commit, "receipt": receipt_json(book)}
            print_json("tally.approve/1", content)
            return
        what = f"decision {body.decision}" if body.decision else f"event #{seq} ({signed.type})"
        click.echo(f"{show(key.name)} approved {show(what)} ({commit}).")
        click.echo(f"  with key {show(key.format())}")
        print_receipt(book)


def _approvable(book: ledger.Ledger, handle: str) -> int:
    """Position of the event that is to be approved."""
    if re.fullmatch(r"#(\d+)(-[0-9a-z]{4})?", handle):
        book.when(handle)  # refuses what is not there, and letters that do not match
        return int(handle[1:].partition("-")[0])
    now = book.now()
    match now.find(handle):
        case ModelState() as model:
            return model.made_by_event
        case RunState(decision=str() as taken):
            return now.decision(taken).described_by
    kind, _, name = handle.partition(":")
    # A decision bears the name of the run that took it.
    return now.decision(name if kind in ("decision", "run") else handle).described_by


def _note_text(given: str) -> str:
    if given == "-":
        return sys.stdin.read(1 << 20)
    try:
        return Path(given).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The note {given} cannot be read: {error}.") from error


def _personal_signer(name: str, log_keys: list[bytes]) -> key_store.Signer:
    """A person's own key; where one is made, that is said."""
    signer, made = personal_signer(name, log_keys)
    if made is not None:
        click.echo(
            f"Made a key for {show(name)}: {show(made)}. Give others its public half: {show(signer.verifier.format())}",
            err=True,
        )
    return signer
