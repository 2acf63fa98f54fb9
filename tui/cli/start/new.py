"""`tally new`: a pipeline file from a table, with questions on a terminal and options everywhere."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from tallystick.ledger.errors import InvalidInput, TallyError
from tallystick.ledger.events.sentences import count
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.options import FILE, json_option
from tallystick.tui.output.console import print_json, wrap
from tallystick.tui.output.escape import show

if TYPE_CHECKING:
    from tallystick.pipeline.begin.answers import Answers, Look, Question
    from tallystick.pipeline.begin.new import Begun
    from tallystick.pipeline.config.settings import Csv


@tally.command("new")
@click.argument("data")
@click.option("-o", "--output", type=FILE, help="The file to write [default: NAME.toml in this folder].")
@click.option("--target", metavar="COLUMN", help="The column that holds the answer.")
@click.option("--rule", metavar="RULE", help='What counts as yes: "> 15", "== \'yes\'"; or number.')
@click.option("--positive", metavar="WORD", help="What a yes is called in sentences.")
@click.option("--time", metavar="COLUMN", help="The column that says when a row is from.")
@click.option(
    "--time-format", metavar="FORMAT", help="How its times are written, as %d.%m.%Y; iso where they are ISO 8601."
)
@click.option("--timezone", metavar="ZONE", help="Zone of times without an offset, as Europe/Berlin.")
@click.option("--predict-at", metavar="WHEN", help='When the prediction must exist: COLUMN, or "COLUMN - 3h".')
@click.option(
    "--known", multiple=True, metavar="'COLUMNS = WHEN'", help="Features, and when they are known; may be repeated."
)
@click.option("--afterwards", metavar="COLUMNS", help="Columns written after that moment, or none; never used.")
@click.option("--label-delay", metavar="LENGTH", help="How long after the time of a row its answer is known: 12h, 30d.")
@click.option("--window", metavar="LENGTH", help="Length of a test window: 1 month, 1 week.")
@click.option("--key", metavar="COLUMNS", help="Columns whose values together are different in every row; or none.")
@click.option("--group", metavar="COLUMN", help="A column whose values come back in several rows, or none.")
@click.option("--decision", metavar="TEXT", help="The question that the answer decides, in words.")
@click.option("--unit", metavar="TEXT", help="What one row is, in words.")
@click.option("--cost-of-wrong", metavar="TEXT", help="What a mistake costs, in words.")
@click.option(
    "--csv", multiple=True, metavar="SETTING", help="How CSV files are written: 'decimal = \",\"'; may be repeated."
)
@click.option("--name", metavar="NAME", help="The pipeline's name [default: from the table].")
@click.option("--owner", metavar="NAME", help="Who answers for the model [default: you].")
@click.option(
    "--from-answers", "answers_file", type=FILE, help="Read answers from a TOML file; options come before it."
)
@click.option("--no-questions", is_flag=True, help="Ask nothing, also on a terminal; what is open is proposed.")
@json_option
def new_command(
    data: str, output: Path | None, answers_file: Path | None, no_questions: bool, as_json: bool, **said: Any
) -> None:
    """Write a pipeline file for the table DATA: CSV, parquet, a folder of them, or FILE.db#TABLE.

    Says what it sees in the table. On a terminal it asks what only a person can decide, each with a proposed answer
    and why it is asked; elsewhere the options answer. What is proposed and not confirmed is listed in the file, and
    a promotion needs it confirmed. Records nothing.
    """
    from tallystick.pipeline.begin.new import begin, look_at

    folder = output.parent if output is not None else Path()
    answers = _answers(said, answers_file)
    look = look_at(data, folder, answers.csv)
    if not as_json:
        _print_look(look)
    asks = not no_questions and not as_json and sys.stdin.isatty() and sys.stdout.isatty()
    begun = begin(look, answers, output, folder, _ask if asks else None)
    if as_json:
        _print_json(begun)
    else:
        _print_begun(begun)


def _answers(said: dict[str, Any], file: Path | None) -> Answers:
    """What the options say, and below them the file of answers."""
    from tallystick.pipeline.begin.answers import Answers, parse_answer, read_answers

    known = dict(_known(text) for text in said.pop("known"))
    csv = said.pop("csv")
    given = {field: parse_answer(field, text) for field, text in said.items() if text is not None}
    answers = read_answers(file) if file is not None else Answers()
    if csv:
        given["csv"] = _csv(csv)
    return msgspec.structs.replace(answers, **given, **({"known": known} if known else {}))


def _csv(lines: tuple[str, ...]) -> Csv:
    import tomllib

    from tallystick.pipeline.config.settings import Csv

    try:
        return msgspec.convert(tomllib.loads("\n".join(lines)), Csv, strict=True)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InvalidInput(
            f"--csv {' '.join(lines)!r} cannot be used: {error}.", "Write --csv 'decimal = \",\"' or the like."
        ) from error


def _known(text: str) -> tuple[str, str]:
    names, sign, moment = text.partition("=")
    if not sign or not names.strip() or not moment.strip():
        raise InvalidInput(f"--known {text!r} does not say when.", "Write --known 'COLUMN, COLUMN = TIME - 3h'")
    return names.strip(), moment.strip()


def _ask(question: Question, look: Look, answers: Answers) -> Answers | None:
    """Ask on the terminal until the answer fits; None where this is no question for a person."""
    from tallystick.pipeline.begin.answers import check_answer, parse_answer

    if not question.needed(look, answers) or (question.field == "positive" and answers.rule == "number"):
        return None
    click.echo()
    click.secho(wrap(question.ask(look, answers)), bold=True)
    click.secho(wrap(question.why, "  "), dim=True)
    proposal = question.propose(look, answers)
    shown = (", ".join(proposal) or "none") if isinstance(proposal, list) else proposal
    while True:
        text = click.prompt("  answer", default=None if shown is None else show(shown), prompt_suffix=": ")
        value = proposal if text == shown else parse_answer(question.field, text)
        changed = msgspec.structs.replace(answers, **{question.field: value})
        try:
            check_answer(look, changed, question.field)
        except TallyError as error:
            click.echo(wrap(f"{error.message} {error.hint}".strip(), "  "))
            continue
        return changed


def _print_look(look: Look) -> None:
    from tallystick.pipeline.begin.sentences import about_table
    from tallystick.pipeline.data.csv_text import csv_table

    for number, sentence in enumerate(about_table(look.facts)):
        click.echo(wrap(sentence, "  " if number else ""))
    if look.doubts:
        settings = {name: value for name, value in msgspec.structs.asdict(look.csv).items() if value}
        for doubt in look.doubts:
            click.echo(wrap(show(doubt), "  "))
        click.echo(wrap("Read so: " + show(", ".join(csv_table(settings).splitlines()[1:])) + ". Or say --csv.", "  "))


def _print_begun(begun: Begun) -> None:
    from tallystick.pipeline.begin.write import first_day

    draft, file = begun.draft, shlex.quote(str(begun.file))
    windows, answers = draft.windows, draft.answers
    click.echo()
    click.echo(f"Wrote {show(str(begun.file))}, {len(begun.loaded.text.splitlines())} lines.")
    rule = "" if answers.rule == "number" else f" {answers.rule}"
    features = sum(map(len, draft.features.values()))
    key = " + ".join(answers.key or ["none"])
    lines = [
        f"The target is {answers.target}{rule}, the time {answers.time}, the key {key}.",
        f"{count(features, 'feature')}; {count(windows.tests, 'test window')} of {windows.window} from "
        f"{first_day(windows)}, the last {len(windows.sealed)} sealed.",
    ]
    lines += [f"{name} is forbidden: {reason}." for name, reason in draft.forbidden.items()]
    if windows.empty:
        lines.append(f"{count(len(windows.empty), 'window')} without any row between them, declared empty.")
    if draft.missing_answers:
        verb = "is" if draft.missing_answers == 1 else "are"
        lines.append(f"{count(draft.missing_answers, 'row')} without an answer that was due {verb} left out.")
    if draft.waiting_answers:
        verb = "waits" if draft.waiting_answers == 1 else "wait"
        lines.append(f"{count(draft.waiting_answers, 'row')} without an answer {verb}: it is not known yet.")
    lines.append(
        f"{count(len(draft.proposed), 'setting')} proposed, not confirmed by a person; a promotion needs them "
        f"confirmed: tally confirm {file}"
    )
    for line in lines:
        click.echo(wrap(line, "  "))
    click.echo(f"Next: tally check {file}, then tally run {file}")


def _print_json(begun: Begun) -> None:
    loaded, draft = begun.loaded, begun.draft
    print_json(
        "tally.new/1",
        {
            "file": str(begun.file),
            "pipeline": loaded.settings.name,
            "meaning_hash": loaded.meaning_hash,
            "answers": draft.answers,
            "features": draft.features,
            "forbidden": draft.forbidden,
            "left_out": draft.left_out,
            "proposed": draft.proposed,
        },
    )
