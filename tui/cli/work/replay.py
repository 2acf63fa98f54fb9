"""`tally replay`: the past lived again month by month, into a ledger of its own that says so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.system.processors import cores
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import say
from tallystick.tui.cli.options import json_option
from tallystick.tui.cli.receipts import print_receipt, receipt_json
from tallystick.tui.output.console import print_json, table, wrap
from tallystick.tui.output.escape import show
from tallystick.tui.output.progress import ProgressBar

if TYPE_CHECKING:
    import datetime as dt

    from tallystick.ledger.system.replay_clock import StoryClock
    from tallystick.ledger.tlog.key_store import Signer
    from tallystick.pipeline.config.load import LoadedPipeline
    from tallystick.pipeline.config.windows import Window
    from tallystick.pipeline.replay.chapters import Chapter, Grants


@tally.command("replay")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--from", "first", required=True, metavar="LABEL", help="The first month to live: 2013-04.")
@click.option("--to", "last", required=True, metavar="LABEL", help="The last one: 2013-12.")
@click.option(
    "--into",
    "folder",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the story's ledger is or will be [default: replay-NAME in this folder].",
)
@click.option("--waive", "waived", multiple=True, metavar="GATE", help="A gate to excuse by name; may be repeated.")
@click.option("--reason", default="", help="With --waive: why.")
@click.option("--owner", default="", help="With --waive: who answers for it.")
@click.option("--approver", default="", help="With --waive: who agreed, another person.")
@click.option("--waive-for", metavar="SPAN", help='With --waive: "30 days" [default: as long as the file allows].')
@click.option("--signed-by", "signed", multiple=True, metavar="NAME", help="Who signs, with a key on this account.")
@click.option("--workers", type=click.IntRange(1), help="Processes that fit at the same time [default: the cores].")
@json_option
def replay_command(
    file: Path,
    first: str,
    last: str,
    folder: Path | None,
    waived: tuple[str, ...],
    reason: str,
    owner: str,
    approver: str,
    waive_for: str | None,
    signed: tuple[str, ...],
    workers: int | None,
    as_json: bool,
) -> None:
    """Live the past of a pipeline FILE again, month by month, as it would have been lived.

    For each month, at nine in the morning after its last label is known: the champion is watched in it; the pipeline
    runs on the rows that there were and the labels that were known; the gates are held against what the rule chose;
    and it is promoted if they let it through. A month in which nothing may happen says so.

    The story's actor does what the file's rules allow, and writes down why. It does a run again and looks at the
    sealed windows where a gate asks for it and nothing else stands in the way: never before those windows have been
    lived, never more often than the file allows. It retrains nothing on data that a finding wants mended first, and
    waits where a finding asks to wait and the champion holds that long.

    What takes people it does not do for them. No threshold moves. A gate is excused only if --waive named it
    beforehand, with an owner and an approver, once for each model; it is not renewed when its time is over. Nothing
    is signed, and so no automation unlocked, but by those whom --signed-by names. Automation never promotes: at level
    auto_refit, where the rule chose nobody, the champion's recipe is refitted and put forward, no more.

    The ledger is made for the story, in a folder of its own, and its first event declares a replayed clock, which
    every command says; a live ledger is refused. A story that broke off goes on with the same command, from where it
    stopped, to the same result. Only a look at the sealed windows that broke off stays a look.

    Told twice, a story is the same to the last bit: rows, predictions, models, decisions, findings. Its hash says so;
    keys, salts and durations, which have to differ, are not part of it.
    """
    from tallystick.pipeline.config.load import read

    loaded = read(file)
    with ProgressBar() as progress:
        from tallystick.pipeline.config.windows import periods_between
        from tallystick.pipeline.replay.chapters import begin_story, refuse_unfit_grants, telling
        from tallystick.pipeline.replay.replay import refuse_proposed, refuse_unlived

        grants = _grants(_Waiver(waived, reason, owner, approver, waive_for), signed)
        months = periods_between(loaded.settings.time, first, last)
        refuse_proposed(loaded)
        refuse_unlived(loaded, months)
        refuse_unfit_grants(loaded, grants)
        place = folder or Path(f"replay-{loaded.settings.name}")
        book, clock = begin_story(place, loaded, months[0], grants)
        with book, telling(book):
            _replay(book, clock, _Request(loaded, months, grants, place, workers or cores(), as_json), progress)


class _Request(NamedTuple):
    """What is to be replayed, and how."""

    loaded: LoadedPipeline
    months: list[Window]
    grants: Grants
    place: Path
    workers: int
    as_json: bool


def _replay(book: ledger.Ledger, clock: StoryClock, request: _Request, progress: ProgressBar) -> None:
    """Do it, printing each month as it is over."""
    from tallystick.pipeline.replay.chapters import story_hash
    from tallystick.pipeline.replay.replay import replay

    loaded, months, grants, place, workers, as_json = request
    signers = _signers(grants.signed_by, book)
    months_replayed = replay(
        book, clock, loaded, months, grants, signers=signers, workers=workers, on_progress=progress
    )
    if not as_json:
        _print_beginning(book, place, grants.words())
    chapters = []
    try:
        for chapter in months_replayed:
            chapters.append(chapter)
            progress.close()
            if not as_json:
                _print_chapter(chapter)
    except KeyboardInterrupt:
        progress.close()
        say("note", "The story broke off. The same command goes on where it stopped.")
        raise
    progress.close()
    sameness = story_hash(book, loaded, months[-1])
    if as_json:
        _print_json(chapters, book, sameness)
    else:
        _print_end(chapters, book, place, loaded.settings.name, sameness)


class _Waiver(NamedTuple):
    """What --waive and the options beside it say."""

    gates: tuple[str, ...]
    reason: str
    owner: str
    approver: str
    lasting: str | None


def _grants(waiver: _Waiver, signed: tuple[str, ...]) -> Grants:
    """What people allow the story's actor beforehand."""
    from tallystick.pipeline.config.durations import parse_span
    from tallystick.pipeline.replay.chapters import Grants

    if not waiver.gates and any(waiver[1:]):
        raise InvalidInput("--reason, --owner, --approver and --waive-for go with --waive GATE.")
    span = waiver.lasting
    return Grants(
        waive=tuple(dict.fromkeys(waiver.gates)),
        reason=waiver.reason.strip(),
        owner=waiver.owner.strip(),
        approver=waiver.approver.strip(),
        waive_for=None if span is None else _days(parse_span(span).exact_micros("--waive-for")),
        signed_by=tuple(dict.fromkeys(re.sub(r"[\s+]", "-", name) for name in signed)),
    )


def _days(micros: int) -> dt.timedelta:
    import datetime as dt

    lasting = dt.timedelta(microseconds=micros)
    if lasting < dt.timedelta(days=1) or lasting % dt.timedelta(days=1):
        raise InvalidInput("--waive-for is a number of whole days.", 'As in --waive-for "30 days".')
    return lasting


def _signers(names: tuple[str, ...], book: ledger.Ledger) -> list[Signer]:
    """The keys of those who sign; where one had to be made, that is said."""
    from tallystick.ledger.tlog.personal_key import personal_signer

    found = []
    for name in names:
        signer, made = personal_signer(name, [identity.key.public for identity in book.identities])
        if made is not None:
            say("note", f"Made a key for {name}: {made}")
        found.append(signer)
    return found


def _print_beginning(book: ledger.Ledger, place: Path, grants: str) -> None:
    click.secho(f"A story, told into {show(place)}: REPLAYED CLOCK", bold=True)
    click.echo(wrap(f"{grants[0].upper()}{grants[1:]}.", "  "))


def _print_chapter(chapter: Chapter) -> None:
    click.echo()
    click.secho(f"{show(chapter.label)}, looked at on {chapter.at:%Y-%m-%d}", bold=True)
    for line in chapter.lines:
        click.echo(wrap(show(line), "  "))


def _print_end(chapters: list[Chapter], book: ledger.Ledger, place: Path, pipeline: str, sameness: str) -> None:
    click.echo()
    table(
        ("month", "watched", "run", "champion", "gates not passed, (excused)"), [_row(chapter) for chapter in chapters]
    )
    click.echo()
    click.echo(f"story {sameness[:16]}: told again, it is the same")
    until = f"--ledger {show(place)} --as-of {chapters[-1].at:%Y-%m-%d}"
    click.echo(f"  tally status {until}")
    if any(chapter.watched for chapter in chapters):
        click.echo(f"  tally report {show(pipeline)} {until}")
    if any(chapter.gates_failed for chapter in chapters) and not any(chapter.champion for chapter in chapters):
        click.echo(
            wrap(
                "Nobody became champion: the gates of the table held every model back. --waive GATE excuses one that "
                "failed by name, in a story of its own: tally replay --help",
                "  ",
            )
        )
    print_receipt(book)


def _row(chapter: Chapter) -> tuple[object, ...]:
    """A month in a line; waivers stand in brackets."""
    closed = [name for name in chapter.gates_failed if name not in chapter.waived]
    gates = [*closed, *(f"({name})" for name in chapter.waived)]
    put = chapter.champion or "nobody"
    return (
        chapter.label,
        chapter.watched,
        chapter.decision,
        f"{put}, new" if chapter.promoted else put,
        ", ".join(gates) if chapter.put_forward else "",
    )


def _print_json(chapters: list[Chapter], book: ledger.Ledger, sameness: str) -> None:
    print_json(
        "tally.replay/1",
        {
            "folder": str(book.folder),
            "clock": book.genesis.clock,
            "story": sameness,
            "months": chapters,
            "champion": None if chapters[-1].champion is None else {"handle": f"model:{chapters[-1].champion}"},
            "receipt": receipt_json(book),
        },
    )
