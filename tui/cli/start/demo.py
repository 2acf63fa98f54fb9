"""`tally demo`: a story to walk through, made from real flights while one waits."""

from __future__ import annotations

import shlex
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput, Refused, TallyError
from tallystick.ledger.events.sentences import count
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.options import json_option
from tallystick.tui.cli.receipts import receipt_json
from tallystick.tui.output.console import print_json, wrap
from tallystick.tui.output.escape import show
from tallystick.tui.output.progress import ProgressBar

if TYPE_CHECKING:
    from tallystick.pipeline.replay.demo.late_arrivals import ToldStep
    from tallystick.pipeline.runs.run import Progress

INDENT = " " * 12


class Interrupted(TallyError):
    """Somebody pressed Ctrl-C, and what was half made is gone."""

    code = "interrupted"
    exit_code = 130


@tally.command("demo")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default="tally-demo")
@json_option
def demo_command(folder: Path, as_json: bool) -> None:
    """Make a ledger with a story in FOLDER, to look around in [default: tally-demo].

    Four months in the life of a model, each step really computed from real flights: a promotion, one that is
    refused, a waiver that ends, a month that goes wrong, a rollback, an erased name. It takes less than a minute.
    """
    started = time.monotonic()
    _refuse_existing(folder)
    with ProgressBar() as bar:

        def on_told(told: ToldStep) -> None:
            if not as_json:
                bar.close()
                _print_step(told)

        if not as_json:
            click.secho("A story from the autumn of 2013, computed as it is told.", bold=True)
        steps = _make(folder, bar, on_told)
    seconds = time.monotonic() - started
    with ledger.open(folder) as book:
        if as_json:
            print_json("tally.demo/1", _document(folder, book, steps, seconds))
        else:
            _print_end(folder, book, seconds)


def _document(folder: Path, book: ledger.Ledger, steps: list[ToldStep], seconds: float) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "origin": book.origin,
        "events": book.now().as_of.seq + 1,
        "commits": book.size(),
        "seconds": round(seconds, 1),
        "steps": [
            {
                "at": step.at,
                "by": step.who.address,
                "doing": step.doing,
                "sentence": step.sentence,
                "commit": step.commit,
            }
            for step in steps
        ],
        "questions": [{"question": question, "command": command} for question, command in _questions(folder)],
        "app": _command(folder, "tui"),
        "receipt": receipt_json(book),
    }


def _print_end(folder: Path, book: ledger.Ledger, seconds: float) -> None:
    events = count(book.now().as_of.seq + 1, "event")
    click.echo()
    click.secho(f"{show(folder)} holds the story: {events}, made in {seconds:.0f} s. Ask it:", bold=True)
    for question, command in _questions(folder):
        click.echo(wrap(question, "  "))
        click.echo(f"    {show(command)}")
    click.echo("Or walk through it, an arrow key for each step in time:")
    click.echo(f"    {show(_command(folder, 'tui'))}")


def _print_step(told: ToldStep) -> None:
    click.echo(f"{told.at:%Y-%m-%d}  {told.who.name} {told.doing}.")
    click.echo(wrap(told.sentence, INDENT))


def _questions(folder: Path) -> list[tuple[str, str]]:
    """Three questions that only such a ledger answers, and the commands that do, from where one stands."""
    from tallystick.pipeline.replay.demo.late_arrivals import BETTER, PIPELINE, RECEIPT

    return [
        (
            "Which model decided on 15 October, who put it there, and why?",
            _command(folder, "champion", PIPELINE, "--as-of", "2013-10-15"),
        ),
        (
            "Why was the model with the better mean refused in September?",
            _command(folder, "explain", BETTER, "--as-of", "2013-09-05"),
        ),
        (
            "Was anything changed since Ben kept his receipt on 5 September?",
            _command(folder, "verify", "--against", str(folder / RECEIPT)),
        ),
    ]


def _command(folder: Path, *words: str) -> str:
    return shlex.join(["tally", *words, "--ledger", str(folder)])


def _refuse_existing(folder: Path) -> None:
    if folder.exists() or folder.is_symlink():
        raise Refused(
            f"There is something in {folder} already; a story is only told into a new folder.",
            f"Look into it: {_command(folder, 'status')}\nOr tell the story elsewhere: tally demo ANOTHER-FOLDER"
            if ledger.find(folder) is not None
            else "Tell it elsewhere: tally demo ANOTHER-FOLDER",
        )


def _make(folder: Path, on_progress: Progress, on_told: Callable[[ToldStep], None]) -> list[ToldStep]:
    """Live the story beside the folder that it is meant for; only a whole one gets that name."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        workplace = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    except OSError as error:
        raise InvalidInput(
            f"No folder can be made in {folder.parent}: {error.strerror}.", "Choose one that you can write."
        ) from error
    stage = None
    try:
        from tallystick.ledger.system.processors import cores
        from tallystick.pipeline.replay.demo.late_arrivals import STEPS, tell
        from tallystick.pipeline.replay.demo.stage import Stage, local

        workplace.chmod(0o755)
        stage = Stage(
            workplace,
            STEPS[0].who,
            name=folder.resolve().name,
            begins=local(STEPS[0].at),
            workers=cores(),
            on_progress=on_progress,
        )
        steps = []
        for told in tell(stage):
            steps.append(told)
            on_told(told)
        workplace.rename(folder)
    except BaseException as error:
        if stage is not None:
            stage.forget()
        shutil.rmtree(workplace, ignore_errors=True)
        if isinstance(error, OSError) and folder.exists():
            raise Refused(f"Somebody else made {folder} just now.", "Tell the story elsewhere.") from error
        if isinstance(error, KeyboardInterrupt):
            raise Interrupted("Interrupted. Nothing of the story is left.", "Tell it again: tally demo") from error
        raise
    return steps
