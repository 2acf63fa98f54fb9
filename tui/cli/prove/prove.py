"""`tally prove`, `tally check-proof` and `tally export`: what an outsider can check with other people's tools."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import click

from tallystick import __version__, ledger
from tallystick.ledger.errors import InvalidInput, NotFound
from tallystick.ledger.events.event import Event
from tallystick.ledger.events.sentences import count
from tallystick.ledger.events.types import entities
from tallystick.ledger.publish import bundle
from tallystick.ledger.tlog.note import receipt_line
from tallystick.ledger.views.entities import DecisionState, ModelState, RunState
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import open_ledger, say
from tallystick.tui.cli.options import json_option, ledger_option
from tallystick.tui.output.console import clock_line, print_json, wrap
from tallystick.tui.output.escape import show
from tallystick.tui.output.progress import ProgressBar


@tally.command("prove")
@click.argument("handle")
@click.option(
    "-o", "--output", "folder", required=True, type=click.Path(path_type=Path), help="New folder for the bundle."
)
@click.option("--with-artifacts", is_flag=True, help="Put the files into it, too: the model, its predictions.")
@ledger_option
@json_option
def prove_command(handle: str, folder: Path, with_artifacts: bool, ledger_path: Path | None, as_json: bool) -> None:
    """Make a folder that proves HANDLE to somebody who has neither the ledger nor this program.

    HANDLE is an event (#12), a commit (c3), a model, a run or a decision; the last three come with everything that
    was recorded about them. The folder holds a page for the auditor and check.py, which needs Python and nothing
    else.
    """
    with open_ledger(ledger_path) as book:
        subject, seqs = _evidence(book, handle)
        made = bundle.prove(book, subject, seqs, folder, with_artifacts)
        line = receipt_line(made.checkpoint)
        key = book.identity.key.format()
        if as_json:
            content = {
                "folder": str(folder),
                "subject": made.subject,
                "events": made.events,
                "commits": made.commits,
                "artifacts": made.artifacts,
                "receipt": line,
                "key": key,
            }
            print_json("tally.prove/1", content)
            return
        clock_line(book)
        files = f" and {count(len(made.artifacts), 'artifact')}" if made.artifacts else ""
        click.echo(
            f"{show(folder)} proves {count(made.events, 'event')} in {count(made.commits, 'commit')}{files} "
            f"about {show(made.subject)}."
        )
        click.echo(f"Under {line}")
        words = (
            "Give the folder to the auditor. The key, and the checker or its SHA-256, must reach them by another way:"
        )
        click.echo(wrap(words))
        click.echo(f"  python3 check.py . --key '{show(key)}'")
        click.echo(f"  SHA-256 of check.py: {hashlib.sha256(bundle.checker()).hexdigest()}")


def _evidence(book: ledger.Ledger, handle: str) -> tuple[str, list[int]]:
    """What is to be proved, and the positions of the events that it rests on."""
    now = book.now()
    if match := re.fullmatch(r"([#c])(\d+)(-[0-9a-z]{4})?", handle):
        position = book.when(handle)  # refuses what is not there, and letters that do not match
        if match[1] == "#":
            seq = int(match[2])
            return f"event:{now.event(seq).id.hex()}", [seq]
        commit = now.commit(position.n)
        present = [found.seq for found in now.events(commit.first_seq, commit.last_seq) if found.data is not None]
        return f"commit:{commit.n}", present
    state = now.find(handle)
    if isinstance(state, ModelState):
        return f"model:{state.model}", _about(now, state.made_by_run, f"model:{state.model}")
    if isinstance(state, RunState):
        return f"run:{state.run}", _about(now, state.run)
    if isinstance(state, DecisionState):
        return f"decision:{state.decision}", _about(now, state.run, f"decision:{state.decision}")
    raise NotFound(
        f"There is no event, commit, model, run or decision {handle!r}.",
        "Give #SEQ, cN, or a name from `tally models` or `tally runs`.",
    )


def _about(snapshot: ledger.Snapshot, run: str | None, *others: str) -> list[int]:
    """Every event of a run, and every later one that names the model or decision."""
    wanted = {*others} if run is None else {f"run:{run}", *others}
    naming = snapshot.events(names={name.partition(":")[2] for name in wanted})
    return [found.seq for found in naming if isinstance(found.content, Event) and wanted & set(entities(found.content))]


@tally.command("check-proof")
@click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--key", metavar="VKEY", help="The log's verifier key, as you received it by another way.")
@click.option(
    "--checker", is_flag=True, help="Print check.py instead, for an auditor who shall not trust the bundle's."
)
@json_option
def check_proof_command(folder: Path | None, key: str | None, checker: bool, as_json: bool) -> None:
    """Check a folder made by `tally prove`. It is only read; nothing in it is run or followed.

    Exit code 0: it proves what it claims. 1 or 2: it does not; the message says why.
    """
    if checker:
        click.echo(bundle.checker(), nl=False)
        say("note", f"SHA-256 {hashlib.sha256(bundle.checker()).hexdigest()}, tallystick {__version__}")
        return
    if folder is None:
        raise InvalidInput("Say which folder to check.", "tally check-proof FOLDER --key VKEY")
    checked = bundle.check(folder, key)
    if as_json:
        content = {
            "subject": checked.claim.subject,
            "origin": checked.claim.origin,
            "receipt": receipt_line(checked.checkpoint),
            "key": checked.key.format(),
            "key_given": key is not None,
            "events": checked.told,
            "artifacts": checked.claim.artifacts,
            "ignored": checked.ignored,
            "checker_is_ours": checked.checker_is_ours,
        }
        print_json("tally.check-proof/1", content)
        return
    for sentence in checked.told:
        click.echo(wrap(sentence, "  "))
    for name in checked.ignored:
        click.echo(f"  not part of the proof: {show(name)}", err=True)
    if not checked.checker_is_ours:
        say("note", f"The check.py in this folder is not the one of tallystick {__version__}; it was not used here.")
    click.secho(
        f"PROVED: {show(checked.claim.origin)} holds {count(len(checked.told), 'event')} about "
        f"{show(checked.claim.subject)}.",
        bold=True,
    )
    click.echo(f"Under {receipt_line(checked.checkpoint)}")
    if key is None:
        words = "The key came with the bundle. It proves something only if this is the key that you know of:"
        click.echo(wrap(words))
        click.echo(f"  {show(checked.key.format())}")


@tally.group("export")
def export_command() -> None:
    """Write parts of the ledger for other tools."""


@export_command.command("tiles")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@ledger_option
@json_option
def export_tiles_command(folder: Path, ledger_path: Path | None, as_json: bool) -> None:
    """Write the tree to FOLDER as c2sp.org/tlog-tiles: hashes and signed checkpoint, no content.

    Any static web server can publish it, and any client of transparency logs can audit it. Repeating it adds what
    is new.
    """
    from tallystick.ledger.publish.tiles import export_tiles

    with open_ledger(ledger_path) as book, ProgressBar() as bar:
        exported = export_tiles(book, folder, bar)
        bar.close()
        if not as_json:
            clock_line(book)
    line = receipt_line(exported.checkpoint)
    if as_json:
        content = {"folder": str(folder), "receipt": line, "written": exported.written, "kept": exported.kept}
        print_json("tally.export-tiles/1", content)
        return
    click.echo(
        f"{show(folder)} holds the tree of {count(exported.checkpoint.size, 'commit')}; "
        f"{count(exported.written, 'file')} new, {exported.kept} unchanged."
    )
    click.echo(line)
