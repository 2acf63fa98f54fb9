"""The command `tally`: the group, the options that commands share, and how errors reach people."""

from __future__ import annotations

import importlib
import json
import os
import sqlite3
import sys
from typing import Any, NoReturn

import click

from tallystick import __version__
from tallystick.ledger.errors import TallyError
from tallystick.tui.output.escape import show, show_lines
from tallystick.tui.output.hints import here
from tallystick.tui.output.streams import NobodyReads, end_when_unread, flush, protect

COMMANDS: dict[str, tuple[str, str]] = {
    # name: (module, one line for the list); modules are imported only when their command runs
    "init": ("tallystick.tui.cli.start.init", "Make a ledger in this folder."),
    "new": ("tallystick.tui.cli.start.new", "Begin a pipeline file from a table of yours."),
    "demo": ("tallystick.tui.cli.start.demo", "A ledger with a story from real data, to look around in."),
    "help": ("tallystick.tui.cli.start.help", "Define a term, or explain a command."),
    "doctor": ("tallystick.tui.cli.start.doctor", "Deliver what waits to be recorded; look for what is wrong."),
    "check": ("tallystick.tui.cli.work.check", "Read a pipeline file and report every mistake in it."),
    "run": ("tallystick.tui.cli.work.run", "Slice, train, evaluate in time, decide; record it all."),
    "replay": ("tallystick.tui.cli.work.replay", "Live the past month by month, into a ledger of its own."),
    "reproduce": ("tallystick.tui.cli.work.reproduce", "Do a run again from what was recorded, and compare."),
    "predict": ("tallystick.tui.cli.work.predict", "Predict with a model, within its approved scope."),
    "confirm": ("tallystick.tui.cli.decide.confirm", "Confirm settings that were proposed to you."),
    "answer": ("tallystick.tui.cli.decide.answer", "Say why a feature that a run asked about is known in time."),
    "promote": ("tallystick.tui.cli.decide.promote", "Make a model the champion of its pipeline."),
    "refit": ("tallystick.tui.cli.decide.final_test", "Put a candidate forward that the rule did not choose."),
    "final-test": ("tallystick.tui.cli.decide.final_test", "Look at the sealed windows, once."),
    "audit": ("tallystick.tui.cli.report.audit", "What should be here and is not."),
    "automation": ("tallystick.tui.cli.report.audit", "What a pipeline may do by itself, and what is missing."),
    "retire": ("tallystick.tui.cli.decide.promote", "Take a model out of use."),
    "waive": ("tallystick.tui.cli.decide.waive", "Excuse a model from a gate, by name and for a time that ends."),
    "correct": ("tallystick.tui.cli.decide.correct", "Say that an event does not count any more."),
    "approve": ("tallystick.tui.cli.decide.promote", "Sign a decision with your own key."),
    "monitor": ("tallystick.tui.cli.work.monitor", "Watch the champion in a live period; findings in words."),
    "report": ("tallystick.tui.cli.report.report", "A watched period again, in words, in pictures, as a page."),
    "status": ("tallystick.tui.cli.ask.status", "Where things stand."),
    "champion": ("tallystick.tui.cli.ask.champion", "Which model decides, or decided at a date."),
    "runs": ("tallystick.tui.cli.ask.lists", "All runs."),
    "models": ("tallystick.tui.cli.ask.lists", "All models."),
    "trials": ("tallystick.tui.cli.ask.trials", "What notebooks and training loops tried."),
    "log": ("tallystick.tui.cli.ask.log", "The commits, newest first."),
    "show": ("tallystick.tui.cli.ask.show", "One event, commit, run, model, slice or decision."),
    "diff": ("tallystick.tui.cli.ask.diff", "What changed between two dates, runs, models or pipeline files."),
    "why": ("tallystick.tui.cli.ask.history", "Which event made something so, and what led to it."),
    "story": ("tallystick.tui.cli.ask.history", "The life of an entity in sentences."),
    "explain": ("tallystick.tui.cli.ask.explain", "A decision's whole reasoning again, from what was recorded."),
    "lineage": ("tallystick.tui.cli.ask.lineage", "What an entity comes from, and what comes from it."),
    "know": ("tallystick.tui.cli.ask.know", "What was known about a period, and how late it came."),
    "sql": ("tallystick.tui.cli.ask.sql", "Ask the views a question in SQL (read only)."),
    "tui": ("tallystick.tui.start", "The terminal app: walk back through time."),
    "verify": ("tallystick.tui.cli.prove.verify", "Check everything that is stored against what was signed."),
    "receipt": ("tallystick.tui.cli.prove.verify", "The signed state of the ledger, to be kept elsewhere."),
    "anchor": ("tallystick.tui.cli.prove.anchor", "Say where a receipt is kept, or have a witness cosign."),
    "anchors": ("tallystick.tui.cli.prove.anchor", "What outside vouches for how much, and since when."),
    "prove": ("tallystick.tui.cli.prove.prove", "A folder that proves an event, model or decision to an outsider."),
    "check-proof": ("tallystick.tui.cli.prove.prove", "Check such a folder."),
    "audit-tiles": ("tallystick.tui.cli.prove.audit_tiles", "Recompute a tree that was published, from outside."),
    "export": ("tallystick.tui.cli.prove.prove", "The tree as static files that anybody can audit."),
    "key": ("tallystick.tui.cli.admin.key", "The log's key: show, rotate, rely on."),
    "backup": ("tallystick.tui.cli.admin.backup", "A second copy that never follows a ledger which went back."),
    "import": (
        "tallystick.tui.cli.exchange.import_history",
        "Copy the history of another ledger in, provably or labelled.",
    ),
    "redact": ("tallystick.tui.cli.admin.redact", "Erase an event's content; everything else stays provable."),
    "seal": ("tallystick.tui.cli.admin.redact", "Write closed ranges of commits as JSON lines, with their hashes."),
    "rebuild": ("tallystick.tui.cli.admin.rebuild", "Make the views again from the events, or compare them."),
    "adopt": ("tallystick.tui.cli.admin.key", "Go on with a ledger that is not the history seen before."),
}
GROUPS: dict[str, tuple[str, ...]] = {
    "Begin": ("init", "new", "demo", "doctor", "help"),
    "Make": ("check", "run", "replay", "reproduce"),
    "Decide": (
        "final-test",
        "confirm",
        "answer",
        "promote",
        "retire",
        "refit",
        "waive",
        "approve",
        "automation",
        "audit",
        "correct",
    ),
    "Live": ("predict", "monitor", "report"),
    "Look": ("status", "champion", "runs", "models", "trials", "log", "show", "sql", "tui"),
    "Travel": ("diff", "why", "story", "explain", "lineage", "know"),
    "Trust": (
        "verify",
        "receipt",
        "anchor",
        "anchors",
        "prove",
        "check-proof",
        "audit-tiles",
        "export",
        "key",
        "backup",
        "import",
        "redact",
        "seal",
        "rebuild",
        "adopt",
    ),
}


ANSWERS = frozenset({*GROUPS["Look"], *GROUPS["Travel"], "help"})
"""Commands that do nothing but print: they may end as soon as nobody reads on."""


class Invocation:
    """What is known of the command that runs, also when it fails."""

    def __init__(self) -> None:
        self.as_json = False
        """Whether its errors are printed as JSON."""
        self.only_answers = False
        """Whether it does nothing but print."""


def asks_for_json(command: click.Command, args: list[str]) -> bool:
    """Whether a command reads ``--json`` from its arguments, also beside mistakes for which it refuses them all.

    ``--reason --json`` is a reason, and ``-- --json`` a name.
    """
    while isinstance(command, click.Group):
        inner = command.commands.get(args[0]) if args else None
        if inner is None:
            return "--json" in args
        command, args = inner, args[1:]
    tolerant = click.Context(command, resilient_parsing=True, ignore_unknown_options=True, allow_extra_args=True)
    options, _, _ = command.make_parser(tolerant).parse_args(list(args))
    return bool(options.get("as_json"))


class Tally(click.Group):
    """A group that knows its commands by name and imports them when they are asked for."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError:
            ctx.ensure_object(Invocation).as_json = "--json" in given
            raise

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(COMMANDS[name][0]), f"{name.replace('-', '_')}_command")
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        invocation = ctx.ensure_object(Invocation)
        invocation.as_json = "--json" in args  # until the command itself reads them
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            meant = f" Did you mean `tally {near[0]}`?" if near else ""
            raise click.UsageError(f"There is no command {show(args[0])!r}.{meant}", ctx)
        name, command, rest = super().resolve_command(ctx, args)
        invocation.only_answers = name in ANSWERS
        if invocation.only_answers:
            end_when_unread()
        invocation.as_json = command is not None and asks_for_json(command, rest)
        return name, command, rest

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            from tallystick.pipeline.extra import missing_extra

            missing = missing_extra(error, f"`tally {ctx.invoked_subcommand}`")
            if missing is None:
                raise
            raise missing from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, names in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name, COMMANDS[name][1]) for name in names])


def _print_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"tallystick {__version__}")
        ctx.exit()


@click.group(cls=Tally, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version.",
)
def tally() -> None:
    """The ledger of a model's life, readable at any past date.

    Every command explains itself with --help. Commands that read take --json for programs and, where it makes
    sense, --as-of WHEN: a date (2013-06-30), a month (2013-06), `2 weeks ago`, an event (#812), a commit (c55),
    or before:#812.
    """


def main() -> NoReturn:
    """Run the command line and end the process with its exit code, whether or not all of it could be printed."""
    protect()
    invocation = Invocation()
    code = _code_of(invocation)
    if (lost := flush()) is not None:
        reason = lost.strerror or type(lost).__name__
        _report("output", f"Some of the output could not be written: {reason}.", "", invocation.as_json)
        code = code or (2 if invocation.only_answers else 0)
    sys.exit(code)


def _code_of(invocation: Invocation) -> int:
    """Run the command; its exit code."""
    try:
        # https://no-color.org: any value but an empty one.
        color = False if os.environ.get("NO_COLOR") else None
        code = tally.main(prog_name="tally", standalone_mode=False, color=color, obj=invocation)
        return code if isinstance(code, int) else 0
    except (TallyError, sqlite3.DatabaseError) as error:
        trouble = error if isinstance(error, TallyError) else _error_of_sqlite(error)
        _report(trouble.code, trouble.message, trouble.hint, invocation.as_json)
        _debug()
        return trouble.exit_code
    except click.ClickException as error:
        command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "tally"
        hint = f"`{command} --help` explains it." if isinstance(error, click.UsageError) else ""
        _report("usage", error.format_message(), hint, invocation.as_json)
        return 2
    except (KeyboardInterrupt, click.Abort):
        _report("interrupted", "Interrupted. What was recorded before stays recorded.", "", invocation.as_json)
        return 130
    except NobodyReads:
        return 0
    except Exception as error:  # noqa: BLE001 - the rim: no traceback reaches a person
        _report(
            "unexpected",
            f"An unexpected error, which is a defect of tallystick: {type(error).__name__}: {error}",
            "TALLY_DEBUG=1 shows where; please report it.",
            invocation.as_json,
        )
        _debug()
        return 2


def _error_of_sqlite(error: sqlite3.DatabaseError) -> TallyError:
    from tallystick.ledger.opening import error_of_sqlite

    return error_of_sqlite(error)


def _debug() -> None:
    if os.environ.get("TALLY_DEBUG"):
        import traceback

        traceback.print_exc()


def _report(code: str, message: str, hint: str, as_json: bool) -> None:
    hint = here(hint)
    if as_json:
        click.echo(json.dumps({"error": {"code": code, "message": message, "hint": hint}}), err=True)
        return
    words = show_lines(message)
    if code != "configuration":  # whose lines are mistakes, one a line; elsewhere a break may come with a name
        words = words.replace("\n", "\n       ")
    click.echo(f"tally: {words}", err=True)
    if hint:
        click.echo("       " + show_lines(hint).replace("\n", "\n       "), err=True)
