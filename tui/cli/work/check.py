"""`tally check`: a pipeline file read back, without running it."""

from __future__ import annotations

from pathlib import Path

import click

from tallystick.tui.cli.main import tally
from tallystick.tui.cli.options import FILE, json_option
from tallystick.tui.output.console import print_json
from tallystick.tui.output.escape import show


@tally.command("check")
@click.argument("file", type=FILE)
@json_option
def check_command(file: Path, as_json: bool) -> None:
    """Read a pipeline FILE back as a page: the question, the data, the time line, the rules, what is refused.

    Reports every mistake at once, each with its line. Runs and records nothing.
    """
    from tallystick.pipeline.config.load import read
    from tallystick.pipeline.config.windows import development_windows, sealed_windows
    from tallystick.tui.cli.work.check_page import print_page

    loaded = read(file)
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
                "defaulted": loaded.defaulted,
                "notes": loaded.notes,
            },
        )
        return
    click.echo(f"{show(file)} is sound: {show(loaded.settings.name)}, meaning {loaded.meaning_hash[:12]}.")
    print_page(loaded)
