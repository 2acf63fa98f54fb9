"""`tally tui`: the terminal app."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from pathlib import Path

import click

from tallystick.ledger.errors import InvalidInput
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.options import ledger_option


@tally.command("tui")
@click.option("--as-of", "as_of", metavar="WHEN", help="Begin at WHEN instead of now.")
@ledger_option
def tui_command(as_of: str | None, ledger_path: Path | None) -> None:
    """Walk back through time: an arrow key, and everything is as it was.

    ←/→ goes from commit to commit, t takes a date, ? shows every key, q ends it. Nothing here can change what is
    recorded; what appends asks for a reason and shows its event first.

    \b
    In a browser, on this machine alone (pip install textual-dev):
      textual serve "tally tui --ledger PATH"
    """
    from tallystick import ledger
    from tallystick.tui.app.app import TallyApp

    # A server such as textual-serve is the terminal itself, and says its size by the environment.
    is_served = "TEXTUAL_DRIVER" in os.environ
    if not is_served and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InvalidInput("The app needs a terminal.", "In a pipe: tally status, tally log, tally show.")
    # A shell that exports its size exports that of its beginning; the terminal knows the one of now.
    for stale in () if is_served else ("COLUMNS", "LINES"):
        os.environ.pop(stale, None)
    if not is_served:
        threading.Thread(target=_end_with_terminal, daemon=True).start()
    TallyApp(ledger_path or ledger.find(Path.cwd()), as_of).run()


def _end_with_terminal() -> None:
    """End the process when its terminal is gone, also where that is not its controlling one and sends no signal.

    Reading from such a terminal returns at once with nothing, for ever, and would keep a processor busy. There is
    nothing to save: the app holds no state that is not in the ledger.
    """
    terminal = select.poll()
    terminal.register(sys.stdin.fileno(), 0)  # no event is asked for, so that only a hang-up is told
    terminal.poll()
    os.kill(os.getpid(), signal.SIGHUP)
    os._exit(129)  # where the signal is ignored, as under nohup
