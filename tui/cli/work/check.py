"""`tally check`: a pipeline file read back, without running it."""

from __future__ import annotations

from pathlib import Path

import click

from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import say
from tallystick.tui.cli.options import FILE, json_option
from tallystick.tui.output.console import print_json
from tallystick.tui.output.escape import show


@tally.command("check")
@click.argument("file", type=FILE)
@click.option("--no-data", is_flag=True, help="Read the file alone: import no code that it names.")
@json_option
def check_command(file: Path, no_data: bool, as_json: bool) -> None:
    """Read a pipeline FILE back as a page: the question, the data, the time line, the rules, what is refused.

    Reports every mistake at once, each with its line. Imports the estimators that the file names, after naming each
    file beside it that this runs, but calls none of them. Records nothing.
    """
    from tallystick.pipeline.config.code import check_code, files_named
    from tallystick.pipeline.config.load import read
    from tallystick.pipeline.config.windows import development_windows, sealed_windows
    from tallystick.tui.cli.work.check_page import print_page

    loaded = read(file)
    named = files_named(loaded)
    for path in named:
        say("note", f"The file names code in {path}, which {'is not imported' if no_data else 'is imported now'}.")
    if not no_data and (unseen := check_code(loaded)):
        say("note", f"Without the extra `pipeline` these candidates were not looked at: {', '.join(unseen)}.")
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
                "sealed": [window.label for window in sealed],
                "candidates": list(loaded.settings.candidates),
                "code": [str(path) for path in named],
                "code_imported": not no_data,
                "defaulted": loaded.defaulted,
                "notes": loaded.notes,
            },
        )
        return
    click.echo(f"{show(file)} is sound: {show(loaded.settings.name)}, meaning {loaded.meaning_hash[:12]}.")
    print_page(loaded)
