"""`tally diff`: two dates, two runs, two models, or two pipeline files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import msgspec

from tallystick import ledger
from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.sentences import count
from tallystick.ledger.query.belongings import belongings
from tallystick.ledger.query.diff import Difference, EntityChange
from tallystick.ledger.views.entities import ModelState, RunState
from tallystick.tui.cli.answer import set_aside, snapshot_of, struck
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import exit_with, open_ledger
from tallystick.tui.cli.options import axis_option, json_option, ledger_option
from tallystick.tui.output.changes import SAME_WHEN_REPEATED, entry_json, event_line, field_change_words, setting_words
from tallystick.tui.output.console import as_of_json, clock_line, heading, print_json, table, wrap
from tallystick.tui.output.escape import show
from tallystick.tui.output.values import state_builtins, value_builtins

if TYPE_CHECKING:
    from tallystick.pipeline.config.diff import ConfigChange
    from tallystick.pipeline.evaluate.bootstrap import Interval
    from tallystick.pipeline.evaluate.compare_runs import Comparison

LISTED = 5


@tally.command("diff")
@click.argument("a")
@click.argument("b", default="now")
@click.option("--all", "everything", is_flag=True, help="List every new entity instead of the first few of a kind.")
@click.option("--exit-code", "exit_code", is_flag=True, help="Exit with 1 where there is a difference.")
@ledger_option
@axis_option
@json_option
def diff_command(
    a: str, b: str, everything: bool, exit_code: bool, ledger_path: Path | None, axis: str, as_json: bool
) -> None:
    """What is different in B, compared with A [default: now].

    Two dates (or events, or commits): every entity that changed, field by field, and by which events. Two runs or two
    models: question, configuration, data, environment, and the results in each window with paired intervals. Two
    pipeline files: every setting, and whether the change loosens or tightens.
    """
    if a.endswith(".toml") or b.endswith(".toml"):
        differs = _files(a, b, as_json)
    else:
        with open_ledger(ledger_path) as book:
            sides = _two_sides(book, a, b)
            if sides is not None:
                if not as_json:
                    clock_line(book)
                differs = _runs(book, *sides, as_json)
            else:
                from tallystick.pipeline.governance.reopened import difference_that_counts

                first, second = snapshot_of(book, a, axis), snapshot_of(book, b, axis)
                found = difference_that_counts(first, second, first.diff(second))
                differs = bool(found.changes)
                _print_dates(found, book, everything, as_json)
    exit_with(1 if differs and exit_code else 0)


# Dates -----------------------------------------------------------------------------------------------------


def _print_dates(found: Difference, book: ledger.Ledger, everything: bool, as_json: bool) -> None:
    # What does not count at the later of the two moments.
    sides = [ledger.Snapshot(book.views, as_of) for as_of in (found.a, found.b)]
    later = max(sides, key=lambda side: side.as_of.seq)
    aside = set_aside(later)
    if as_json:
        content = {
            "a": as_of_json(found.a, book),
            "b": as_of_json(found.b, book),
            "compared": "moments",
            "changes": [_change_json(change, (sides[0], sides[1]), later, aside) for change in found.changes],
        }
        print_json("tally.diff/1", content)
        return
    clock_line(book, f"from what was {found.a.words}")
    heading(f"to what was   {found.b.words}")
    if not found.changes:
        click.echo("Nothing is different.")
        return
    made: dict[int, None] = {}
    new: dict[str, list[EntityChange]] = {}
    again: dict[str, list[EntityChange]] = {}
    for change in found.changes:
        if change.before is None and change.after is not None:
            new.setdefault(change.kind, []).append(change)
            continue
        if change.after is None:
            click.secho(f"{show(change.handle)} does not exist there", bold=True)
            made[change.seq] = None
            continue
        if not everything and {field.field for field in change.fields} <= SAME_WHEN_REPEATED:
            again.setdefault(change.kind, []).append(change)
            continue
        click.secho(show(change.handle), bold=True)
        for field in change.fields:
            click.echo(wrap(f"{field_change_words(field, later, change.after)}  (#{field.seq})", "  "))
            made[field.seq] = None
    for kind, changes in again.items():
        runs = ", ".join(dict.fromkeys(str(getattr(change.after, "run", "")) for change in changes))
        click.echo(f"{count(len(changes), kind)} seen again, the same, by run {show(runs)} (--all lists them)")
    for kind, changes in new.items():
        shown = changes if everything or len(changes) <= LISTED else changes[: LISTED - 2]
        more = len(changes) - len(shown)
        names = ", ".join(f"{show(change.name)} (#{change.seq})" for change in shown)
        click.echo(wrap(f"{count(len(changes), f'new {kind}')}: {names}{f' and {more} more' if more else ''}"))
        if kind in ("model", "decision", "correction"):
            made.update(dict.fromkeys(change.seq for change in shown))
    if made:
        click.echo()
        click.echo("because of")
        for seq in sorted(made):
            click.echo(struck(wrap(event_line(later.entry(seq), later, book.zone), "  "), seq, aside))


def _change_json(
    change: EntityChange,
    sides: tuple[ledger.Snapshot, ledger.Snapshot],
    snapshot: ledger.Snapshot,
    aside: dict[int, int],
) -> dict[str, Any]:
    before, after = (
        None if state is None else {**state_builtins(side, state), **belongings(side, state)}
        for side, state in zip(sides, (change.before, change.after), strict=True)
    )
    return {
        "handle": change.handle,
        "before": before,
        "after": after,
        "event": entry_json(snapshot.entry(change.seq), snapshot, aside),
        "fields": [
            {
                "field": field.field,
                "old": value_builtins(snapshot, change.after, field.field, field.old),
                "new": value_builtins(snapshot, change.after, field.field, field.new),
                "event": f"#{field.seq}",
            }
            for field in change.fields
        ],
    }


# Runs and models -------------------------------------------------------------------------------------------


class _Side(NamedTuple):
    """A run, or a model that a run made."""

    run: RunState
    model: ModelState | None

    @property
    def candidate(self) -> str | None:
        """Whose results it stands for; None where the run says."""
        return None if self.model is None else self.model.candidate

    @property
    def words(self) -> str:
        if self.model is None:
            return f"run {show(self.run.run)}"
        return f"{show(self.model.model)} ({show(self.model.candidate)} of run {show(self.run.run)})"


def _two_sides(book: ledger.Ledger, a: str, b: str) -> tuple[_Side, _Side] | None:
    now = book.now()
    sides = [
        _Side(now.run(state.made_by_run), state) if isinstance(state, ModelState) else _Side(state, None)
        for state in (now.find(a), now.find(b))
        if isinstance(state, RunState | ModelState)
    ]
    if len(sides) == 2:
        return sides[0], sides[1]
    if sides:
        raise InvalidInput(
            f"{a} and {b} are not of one kind.", "Compare two dates, two runs, two models, or two pipeline files."
        )
    return None


def _runs(book: ledger.Ledger, a: _Side, b: _Side, as_json: bool) -> bool:
    from tallystick.pipeline.evaluate.compare_runs import compare_runs
    from tallystick.pipeline.records.run_record import record_of

    now = book.now()
    first, second = a.run, b.run
    records = record_of(now, first), record_of(now, second)
    found = compare_runs(now, book.objects.get, *records, (a.candidate, b.candidate))
    same_result = first.result_hash == second.result_hash and found.candidates[0] == found.candidates[1]
    if as_json:
        content = {
            "compared": "runs",
            "a": f"run:{first.run}",
            "b": f"run:{second.run}",
            "candidates": found.candidates,
            "metric": found.metric,
            "configuration": [_config_json(change) for change in found.configuration],
            "data": [value._asdict() for value in found.data],
            "environment": [value._asdict() for value in found.environment],
            "windows": [window._asdict() for window in found.windows],
            "only_in_a": found.only_in_a,
            "only_in_b": found.only_in_b,
            "overall": found.overall and {"mean_gain": found.overall[0], "interval": found.overall[1]},
        }
        print_json("tally.diff/1", content)
    else:
        _print_runs(found, a, b, same_result and first.result_hash is not None)
    return bool(found.configuration or found.data or found.environment or not same_result)


def _print_runs(found: Comparison, a: _Side, b: _Side, same_result: bool) -> None:
    from tallystick.pipeline.config.settings import RANKINGS
    from tallystick.pipeline.evaluate.sentences import gain_size, percent, points

    click.secho(f"from {a.words} to {b.words}", bold=True)
    _print_config(found.configuration)
    for title, values in (("data", found.data), ("environment and code", found.environment)):
        click.secho(title if values else f"{title}: the same", bold=True)
        for value in values:
            click.echo(wrap(f"{value.what}: {value.old} → {value.new}", "  "))
    names = found.candidates
    ranks = found.metric in RANKINGS
    better = "larger" if ranks else "smaller"
    versus = names[0] if names[0] == names[1] else f"{names[0]} → {names[1]}"
    click.secho(
        f"results of {show(versus)}, {found.metric.replace('_', '-')} by window ({better} is better)", bold=True
    )
    rows = [
        (
            window.label,
            _loss(window.a),
            _loss(window.b),
            "" if window.gain is None else gain_size(window.gain, found.metric),
            window.unpaired or (_interval(window.interval, found.metric) if window.interval else ""),
        )
        for window in found.windows
    ]
    table(("window", "first", "second", "gain", "interval"), rows)
    for label, only in (("first", found.only_in_a), ("second", found.only_in_b)):
        if only:
            click.echo(wrap(f"only in the {label}: {', '.join(only)}"))
    if same_result:
        click.echo("The results are the same, to the last bit.")
    elif found.overall is not None:
        gain, interval = found.overall
        paired = count(sum(window.gain is not None for window in found.windows), "window")
        saved = f"saves {percent(gain)} of the first one's loss"
        ranked = f"ranks {points(abs(gain))} {'better' if gain >= 0 else 'worse'} than the first"
        said = f"Over {paired} the second {ranked if ranks else saved} on average"
        click.echo(wrap(f"{said} ({_interval(interval, found.metric)})."))


def _interval(interval: Interval, metric: str) -> str:
    from tallystick.pipeline.evaluate.sentences import gain_size

    return f"{gain_size(interval.low, metric)} to {gain_size(interval.high, metric)}"


def _loss(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


# Files -----------------------------------------------------------------------------------------------------


def _files(a: str, b: str, as_json: bool) -> bool:
    from tallystick.pipeline.config.diff import config_changes
    from tallystick.pipeline.config.load import read as read_config

    if not (a.endswith(".toml") and b.endswith(".toml")):
        raise InvalidInput("A pipeline file can be compared with another one only.", "tally diff OLD.toml NEW.toml")
    first, second = read_config(Path(a)), read_config(Path(b))
    changes = config_changes(msgspec.to_builtins(first.settings), msgspec.to_builtins(second.settings))
    same = first.meaning_hash == second.meaning_hash
    if as_json:
        content = {
            "compared": "files",
            "a": a,
            "b": b,
            "same_meaning": same,
            "changes": [_config_json(change) for change in changes],
        }
        print_json("tally.diff/1", content)
    elif not changes:
        click.echo("The two files say the same.")
    else:
        _print_config(changes)
        if same:
            click.echo("Nothing that can change a result is different.")
    return bool(changes)


def _print_config(changes: list[ConfigChange]) -> None:
    if not changes:
        click.secho("question and configuration: the same", bold=True)
    group = ""
    for change in changes:
        if change.group != group:
            group = change.group
            click.secho(group, bold=True)
        way = f"  [{change.strictness}]" if change.strictness else ""
        old, new = (setting_words(value) for value in (change.old, change.new))
        said = f"+ {new}" if change.added else f"- {old}" if change.removed else f"{old} → {new}"
        click.echo(wrap(f"{change.name}: {said}{way}", "  "))


def _config_json(change: ConfigChange) -> dict[str, Any]:
    return {
        "setting": change.name,
        "class": change.group,
        "old": change.old,
        "new": change.new,
        "added": change.added,
        "removed": change.removed,
        "strictness": change.strictness,
    }
