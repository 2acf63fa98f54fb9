"""`tally check`: a pipeline file read back and held against its data, without running it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tallystick.ledger.events.sentences import count
from tallystick.pipeline.config.proposed import proposed_in
from tallystick.pipeline.extra import lacking
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import say
from tallystick.tui.cli.options import FILE, json_option
from tallystick.tui.output.console import print_json, wrap
from tallystick.tui.output.escape import show

if TYPE_CHECKING:
    from tallystick.pipeline.config.load import LoadedPipeline, Mistake
    from tallystick.pipeline.runs.check_data import DataChecked


@tally.command("check")
@click.argument("file", type=FILE)
@click.option("--no-data", is_flag=True, help="Read the file alone: no data, no code that it names.")
@json_option
def check_command(file: Path, no_data: bool, as_json: bool) -> None:
    """Read a pipeline FILE back as a page: the question, the data, the time line, the rules, what is refused.

    Reads the table as a run would: columns, kinds, times, answers, windows. Builds each candidate and fits it on a few
    rows of the first window, after naming each file beside it whose code this runs. Reports every mistake at once,
    each with its line. Records nothing.
    """
    from tallystick.pipeline.config.code import files_named
    from tallystick.pipeline.config.load import read
    from tallystick.pipeline.config.windows import development_windows, sealed_windows
    from tallystick.tui.cli.work.check_page import print_page

    loaded = read(file)
    named = files_named(loaded)
    for path in named:
        say("note", f"The file names code in {path}, which {'is not imported' if no_data else 'is imported now'}.")
    checked = None if no_data else _look_further(loaded)
    development, sealed = development_windows(loaded.settings.time), sealed_windows(loaded.settings.time)
    if as_json:
        print_json(
            "tally.check/1",
            {
                "file": str(file),
                "pipeline": loaded.settings.name,
                "text_hash": loaded.text_hash,
                "meaning_hash": loaded.meaning_hash,
                "windows": [window.label for window in development],
                "empty_windows": list(loaded.settings.time.skipped),
                "sealed": [window.label for window in sealed],
                "candidates": list(loaded.settings.candidates),
                "code": [str(path) for path in named],
                "code_imported": not no_data,
                "data": None if checked is None else checked._asdict(),
                "proposed": proposed_in(loaded.text),
                "defaulted": loaded.defaulted,
                "notes": loaded.notes,
            },
        )
        return
    click.echo(f"{show(file)} is sound: {show(loaded.settings.name)}, meaning {loaded.meaning_hash[:12]}.")
    if checked is not None:
        _print_checked(loaded, checked)
    print_page(loaded)


def _look_further(loaded: LoadedPipeline) -> DataChecked | None:
    """Import the candidates and read the data; None without the libraries for it.

    Raises
    ------
    ConfigurationError
        With every mistake that code and data show.
    """
    from tallystick.pipeline.config.code import check_code
    from tallystick.pipeline.config.load import ConfigurationError

    checked: DataChecked | None = None
    mistakes: list[Mistake] = []
    more: list[Mistake] = []
    try:
        unseen = check_code(loaded)
    except ConfigurationError as error:
        mistakes, unseen = error.mistakes, []
    if unseen:
        say("note", f"Without the extra `pipeline` these candidates were not looked at: {', '.join(unseen)}.")
    try:
        from tallystick.pipeline.runs.check_data import check_data
    except ModuleNotFoundError as error:
        if not lacking(error):
            raise
        say("note", "Without the extra `pipeline` the data was not read.")
    else:
        checked, more = check_data(loaded, candidates=not mistakes)
    if mistakes or more:
        raise ConfigurationError(loaded.path.name, [*mistakes, *more])
    return checked


def _print_checked(loaded: LoadedPipeline, checked: DataChecked) -> None:
    kinds: dict[str, list[str]] = {}
    for name, kind in checked.kinds.items():
        kinds.setdefault(kind, []).append(name)
    read_as = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in sorted(kinds.items()))
    fewest = min(checked.windows, key=lambda label: checked.windows[label])
    lines = [
        f"Read {count(checked.rows, 'row')} of {loaded.settings.data.source}. Read as {read_as}.",
        f"The smallest of {count(len(checked.windows), 'window')} is {fewest} with "
        f"{count(checked.windows[fewest], 'row')}.",
    ]
    if checked.small:
        least = count(loaded.settings.time.min_rows, "row")
        lines.append(f"Windows with fewer than {least} do not count: {', '.join(checked.small)}.")
    if checked.fitted:
        lines.append(f"Built, fitted on a few rows of the first window and stored: {', '.join(checked.fitted)}.")
    for line in lines:
        click.echo(wrap(line, "  "))
