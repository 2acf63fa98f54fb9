"""The next step that a sentence names works as it is printed, also where the ledger was named."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
from shell import tally

from tallystick.tui.cli.main import COMMANDS
from tallystick.tui.cli.main import tally as program
from tallystick.tui.output.hints import WITHOUT_A_LEDGER


def test_commands_in_sentences_ask_the_ledger_that_was_named(tmp_path: Path) -> None:
    home = tmp_path / "the team's ledger"
    home.mkdir()
    tally(home, "init")
    for command in (["show", "#99"], ["models"], ["why", "x.champion"]):
        said = tally(tmp_path, *command, "--ledger", str(home)).err
        steps = re.findall(r"`tally ([^`]+)`|Next: tally (.+)", said)
        assert steps, said
        for quoted, last in steps:
            words = shlex.split(quoted or last)
            assert words[-2:] == ["--ledger", str(home)]
            if words[0] in ("log", "runs", "models", "status"):
                assert tally(tmp_path, *words).code == 0, words
        alone = tally(home, *command).err
        assert "tally " in alone and "--ledger" not in alone
        assert "--ledger" not in tally(tmp_path, *command, TALLY_LEDGER=str(home)).err, "the variable holds on"


def test_those_that_take_no_ledger_are_known() -> None:
    def takes_one(command: click.Command | None) -> bool:
        if isinstance(command, click.Group):
            return all(takes_one(inner) for inner in command.commands.values())
        return command is not None and any("--ledger" in option.opts for option in command.params)

    context = click.Context(program)
    assert {name for name in COMMANDS if not takes_one(program.get_command(context, name))} == set(WITHOUT_A_LEDGER)
