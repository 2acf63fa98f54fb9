"""`tally run`: a pipeline file, from its data to a decision."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tallystick import ledger
from tallystick.ledger.errors import Refused
from tallystick.ledger.events.sentences import count
from tallystick.ledger.system.processors import cores
from tallystick.tui.cli.main import tally
from tallystick.tui.cli.opening import announce, name_code, open_ledger
from tallystick.tui.cli.options import FILE, json_option, labels_option, ledger_option, moment_of
from tallystick.tui.cli.receipts import print_receipt, receipt_json
from tallystick.tui.output.console import print_json, wrap
from tallystick.tui.output.escape import show
from tallystick.tui.output.hints import here
from tallystick.tui.output.progress import ProgressBar
from tallystick.tui.output.trajectory import trajectory_table

if TYPE_CHECKING:
    from tallystick.pipeline.data.slice import FeatureRead
    from tallystick.pipeline.models.executor import Engine
    from tallystick.pipeline.runs.run import RunReport
    from tallystick.pipeline.runs.start import Outline


@tally.command("run")
@click.argument("file", type=FILE)
@click.option(
    "--workers", type=click.IntRange(1), help="Processes that fit at the same time [default: the cores here]."
)
@click.option(
    "--engine",
    "kind",
    type=click.Choice(["processes", "dask"]),
    default="processes",
    show_default=True,
    help="Where to compute; the result is the same.",
)
@click.option("--scheduler", metavar="ADDRESS", help="With --engine dask: the scheduler, tcp://HOST:8786.")
@click.option("--experiment", is_flag=True, help="Try something; nothing that it makes can be promoted.")
@click.option("--crosses", metavar="RUN", help="Do an experiment again for production.")
@click.option("--reason", default="", help="Why, for an experiment or a crossing.")
@labels_option
@ledger_option
@json_option
def run_command(
    file: Path,
    workers: int | None,
    kind: Engine,
    scheduler: str | None,
    experiment: bool,
    crosses: str | None,
    reason: str,
    labels_as_of: str | None,
    ledger_path: Path | None,
    as_json: bool,
) -> None:
    """Do what a pipeline FILE says: slice the data, judge each candidate in time, decide, record everything.

    Makes a ledger in this folder if there is none. It never makes a champion: that is for a person, with
    `tally promote`.
    """
    from tallystick.pipeline.config.load import read

    loaded = read(file)
    with ProgressBar() as progress:
        from tallystick.pipeline.models.executor import engine
        from tallystick.pipeline.runs.run import run
        from tallystick.pipeline.runs.start import Purpose

        with (
            engine(kind, scheduler, workers or cores()) as at_a_time,
            _ledger_for(ledger_path, loaded.settings.time.timezone) as book,
        ):
            code = name_code()
            report = run(
                book,
                loaded,
                workers=at_a_time,
                on_outline=(lambda _outline: None) if as_json else _print_outline,
                on_progress=progress,
                purpose=Purpose(experiment, crosses, reason),
                labels_as_of=moment_of(labels_as_of, book),
            )
            if as_json:
                print_json("tally.run/1", {**_report_json(report, book), "code": code})
            else:
                progress.close()
                _print_report(report, book)


def _ledger_for(path: Path | None, timezone: str) -> ledger.Ledger:
    """The ledger to record in; a new one reads dates in the pipeline's zone, as its months are meant."""
    if path is not None or ledger.find(Path.cwd()) is not None:
        return open_ledger(path, records=True)
    try:
        book = ledger.create(Path.cwd(), timezone=timezone)
    except Refused:
        return open_ledger(path, records=True)  # another process made it in the meantime
    announce(book)
    return book


# Before ----------------------------------------------------------------------------------------------------


def _print_outline(outline: Outline) -> None:
    from tallystick.pipeline.data.slice import features_read, rows_waiting
    from tallystick.pipeline.evaluate.metric_words import METRIC_WORDS, metric_name
    from tallystick.pipeline.evaluate.sentences import dropped_rows_sentence, empty_between

    settings, slice_ = outline.loaded.settings, outline.slice
    click.secho(f"Run {outline.run} of {show(settings.name)}", bold=True)
    click.echo(wrap(settings.questions.decision, "  "))
    click.echo(
        f"  slice       {slice_.name}: {slice_.rows:,} rows of {show(slice_.source)}, "
        f"{len(slice_.numeric) + len(slice_.categorical)} features"
    )
    click.echo(_hanging("read as", _features_line(features_read(slice_))))
    if waiting := rows_waiting(slice_):
        words = f"{waiting:,} rows have no answer yet. They wait: none of them trains or tests a candidate."
        click.echo(_hanging("", words))
    for drop in slice_.dropped:
        sentence = dropped_rows_sentence(drop.where, drop.rows, slice_.source_rows, drop.why)
        click.echo(wrap(sentence, "              "))
    if settings.data.fingerprint is None:
        click.echo(f'              pin it: fingerprint = "blake3:{slice_.fingerprint}"')
    windows = outline.windows
    sealed = f", {len(settings.time.final.test)} more stay sealed" if settings.time.final.test else ""
    train = "expanding" if settings.time.train == "expanding" else "rolling"
    click.echo(
        f"  windows     {len(windows)} of {show(settings.time.window)}, {windows[0].label} to {windows[-1].label}, "
        f"training set {train}{sealed}"
    )
    for words in empty_between(settings.time, [window.label for window in windows]):
        click.echo(_hanging("", words))
    click.echo(f"  candidates  {', '.join(show(recipe.name) for recipe in outline.recipes)}")
    rule = settings.selection
    judged = rule.metric if metric_name(rule) == METRIC_WORDS[rule.metric] else metric_name(rule)
    click.echo(f"  judged by   {show(judged)}, {rule.rule}, {outline.workers} at a time")
    for note in outline.loaded.notes:
        click.echo(wrap(f"note: {note}", "  "))
    if outline.earlier is not None:
        click.echo(
            wrap(
                f"The same configuration ran on the same slice before, as run {outline.earlier.run}. "
                "This run does it again and compares.",
                "  ",
            )
        )


def _hanging(name: str, text: str) -> str:
    return f"  {name}".ljust(14) + wrap(text, " " * 14)[14:]


def _features_line(features: list[FeatureRead]) -> str:
    """``numbers: price, pieces (12 missing) · text: shop (3 levels)``."""
    kinds: dict[str, list[str]] = {"numbers": [], "text": []}
    for feature in features:
        facts = [] if feature.levels is None else [count(feature.levels, "level")]
        facts += [f"{feature.missing:,} missing"] if feature.missing else []
        words = f" ({', '.join(facts)})" if facts else ""
        kinds["numbers" if feature.kind == "number" else "text"].append(feature.name + words)
    return " · ".join(f"{kind}: {', '.join(names)}" for kind, names in kinds.items() if names)


# After -----------------------------------------------------------------------------------------------------


def _print_report(report: RunReport, book: ledger.Ledger) -> None:
    from tallystick.pipeline.config.settings import RANKINGS
    from tallystick.pipeline.evaluate.metric_words import METRIC_WORDS, metric_detail
    from tallystick.pipeline.leakage.checks import summary

    settings = report.outline.loaded.settings
    metric = settings.selection.metric
    for described in report.described:
        for note in described.warnings:
            click.echo(wrap(note, "  "))
    for warning in sorted({f"{item.candidate}: {text}" for item in report.judged for text in item.warnings}):
        click.echo(wrap(warning, "  "))
    click.echo()
    name, detail = METRIC_WORDS[metric], metric_detail(settings.selection)
    better = "larger" if metric in RANKINGS else "smaller"
    said = f"{name[0].upper()}{name[1:]}{f', {detail},' if detail else ''} by window ({better} is better)"
    click.secho(show(said), bold=True)
    for line in _trajectories(report, metric):
        click.echo(line)
    if settings.data.target.rule is not None and metric != "roc_auc":
        click.echo()
        click.secho("AUC by window (larger is better)", bold=True)
        for line in _trajectories(report, "roc_auc"):
            click.echo(line)
    click.echo()
    for line in summary(report.checks, report.questions):
        click.echo(wrap(show(line)))
    for item in report.optimism:
        click.echo(wrap(item.sentence))
    if report.random_choice:
        click.echo(wrap(report.random_choice))
    click.echo()
    click.secho(wrap(report.headline), bold=True)
    for reason in report.reasons:
        click.echo(wrap(f"[{reason.code}] {reason.sentence}", "  "))
    for remark in report.remarks:
        click.echo(wrap(f"· {remark}", "  "))
    click.echo()
    if report.same_result_as:
        click.echo(f"The result is the same, to the last bit, as that of run {show(report.same_result_as)}.")
    if report.differs_from:
        click.echo(
            wrap(
                f"The result DIFFERS from that of run {show(report.differs_from)}, with the same configuration and "
                "slice: compare their environments with `tally show`."
            )
        )
    click.echo(f"result {report.result_hash[:16]}  ·  {report.seconds:.1f} s  ·  recorded in {report.commit}")
    print_receipt(book)
    champion = book.now().champion(settings.name)
    if report.model is None or (champion is not None and champion.model == report.model):
        return
    click.echo()
    if book.now().run(report.outline.run).experiment:
        click.echo("This was an experiment: nothing of it can be promoted. Done again for production it could:")
        click.echo(f'  tally run FILE.toml --crosses {show(report.outline.run)} --reason "…"')
        return
    gates = [gate for gate in book.now().gates() if gate.model == report.model and gate.verdict != "passed"]
    if gates:
        click.echo(f"{count(len(gates), 'gate')} would hold a promotion back:")
        for gate in gates:
            click.echo(
                wrap(f"{gate.name} {'failed' if gate.verdict == 'failed' else 'is open'}: {gate.sentence}", "  ")
            )
        click.echo(
            f"An honest way on: tally reproduce {show(report.outline.run)}, tally final-test {show(report.model)}"
        )
    click.echo(here(f'Next, if you agree: tally promote {show(report.model)} --reason "…"'))


def _trajectories(report: RunReport, metric: str) -> list[str]:
    labels = [described.window.label for described in report.described]
    values = {(item.label, item.candidate): item.metrics[metric].value for item in report.judged}
    skipped = report.outline.loaded.settings.time.skipped
    return trajectory_table(labels, [recipe.name for recipe in report.outline.recipes], values, empty=skipped)


def _report_json(report: RunReport, book: ledger.Ledger) -> dict[str, Any]:
    from tallystick.pipeline.leakage.checks import worst_of

    outline = report.outline
    return {
        "run": {"handle": f"run:{outline.run}", "name": outline.run},
        "pipeline": {"handle": f"pipeline:{outline.loaded.settings.name}", "name": outline.loaded.settings.name},
        "slice": {
            "handle": f"slice:{outline.slice.name}",
            "fingerprint": outline.slice.fingerprint,
            "rows": outline.slice.rows,
            "dropped": outline.slice.dropped,
        },
        "windows": [
            {
                "label": described.window.label,
                "train_rows": described.train_rows,
                "test_rows": described.test_rows,
                "complete": described.complete,
                "warnings": described.warnings,
            }
            for described in report.described
        ],
        "empty_windows": list(outline.loaded.settings.time.skipped),
        "evaluations": [
            {
                "window": item.label,
                "candidate": item.candidate,
                "metrics": item.metrics,
                "prediction_hash": item.prediction_hash,
            }
            for item in report.judged
        ],
        "scores": report.scores,
        "leakage": {"result": worst_of(report.checks), "checks": report.checks, "questions": report.questions},
        "optimism": [
            {
                "candidate": item.candidate,
                "metric": item.metric,
                "walk_forward": item.walk_forward,
                "random": item.random,
                "sentence": item.sentence,
            }
            for item in report.optimism
        ],
        "gates": [
            {"name": gate.name, "verdict": gate.verdict, "value": gate.value, "sentence": gate.sentence}
            for gate in book.now().gates()
            if gate.model == report.model
        ],
        "random_choice": report.random_choice,
        "remarks": report.remarks,
        "decision": {
            "handle": f"decision:{outline.run}",
            "outcome": report.selection.outcome,
            "chosen": report.selection.chosen,
            "headline": report.headline,
            "reasons": report.reasons,
        },
        "model": None if report.model is None else {"handle": f"model:{report.model}", "name": report.model},
        "result_hash": report.result_hash,
        "same_result_as": report.same_result_as,
        "differs_from": report.differs_from,
        "seconds": report.seconds,
        "commit": report.commit,
        "receipt": receipt_json(book),
    }
