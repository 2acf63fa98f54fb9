"""A pipeline file as a page that somebody who reads no code can judge: question, data, time line, rules, refusals."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import click
import msgspec

from tallystick.ledger.events.sentences import count
from tallystick.pipeline.config.durations import parse_span, parse_time_expression, words
from tallystick.pipeline.config.load import LoadedPipeline
from tallystick.pipeline.config.settings import RANKINGS, Candidate, Csv, Pipeline, Rolling
from tallystick.pipeline.config.timeline import LEGEND, timeline
from tallystick.pipeline.config.windows import development_windows, sealed_windows
from tallystick.pipeline.evaluate.metric_words import metric_meaning, metric_name
from tallystick.tui.output.console import wrap
from tallystick.tui.output.escape import show

INDENT = 20
GATES = {
    "beats_reference_in": "better than the reference",
    "worst_window_gain": "gain in the worst window",
    "optimism_gap": "flattery by a random split",
    "calibration_in_large": "predicted less observed",
    "leakage": "leakage checks",
    "reproduced": "done again",
    "final_test": "sealed windows",
}


def print_page(loaded: LoadedPipeline) -> None:
    """The whole page."""
    settings = loaded.settings
    _section("The question", _question(settings))
    _section("The data", _data(settings))
    _heading("The time line")
    for line in timeline(settings.time, settings.validity.valid_for):
        click.echo(f"  {show(line)}")
    click.echo(wrap(LEGEND, "  "))
    _lines(_time(settings))
    _section("The candidates", _candidates(settings))
    _section("The choice", _choice(settings))
    _section("The gates: all must hold before anything is promoted, or be waived by name", _gates(settings))
    _section("Afterwards", _afterwards(settings))
    _heading("What is refused")
    for sentence in _refused(settings):
        click.echo(_hanging("-", sentence, 4))
    if loaded.defaulted:
        _heading("Left out of the file, so with their documented meaning")
        values = {name: _default(settings, name) for name in loaded.defaulted}
        for name, value in values.items():
            if value is not None:
                click.echo(_hanging("-", f"{name} = {value}", 4))
        if nothing := [name for name, value in values.items() if value is None and "features" not in name]:
            click.echo(_hanging("-", f"Nothing is meant by leaving out {', '.join(nothing)}.", 4))
    if settings.proposed is not None and settings.proposed.settings:
        _heading(f"Proposed, not confirmed by a person: {count(len(settings.proposed.settings), 'setting')}")
        click.echo(wrap(", ".join(settings.proposed.settings), "  "))
        click.echo(wrap("A run works with them; a promotion needs them confirmed: `tally confirm FILE`.", "  "))
    for note in loaded.notes:
        click.echo(wrap(f"note: {note}", "  "))


def _default(settings: Pipeline, name: str) -> str | None:
    """The value of a setting by its dotted name, as a file would write it; None where it is absent or empty."""
    value: Any = settings
    for part in re.findall(r"[^.\[\]]+", name):
        try:
            step = int(part) if isinstance(value, list) else part
            value = getattr(value, part, None) if isinstance(value, msgspec.Struct) else value[step]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
    return None if value in (None, {}, []) else msgspec.json.encode(value, enc_hook=str).decode()


def _heading(text: str) -> None:
    click.echo()
    click.secho(text, bold=True)


def _section(title: str, lines: Iterator[tuple[str, str]]) -> None:
    _heading(title)
    _lines(lines)


def _lines(lines: Iterator[tuple[str, str]]) -> None:
    for name, text in lines:
        click.echo(_hanging(name, text, INDENT))


def _hanging(name: str, text: str, indent: int) -> str:
    """A name at the left of a wrapped paragraph; above it where it is too long."""
    body = wrap(text, " " * indent)
    name = show(name)
    if len(name) + 3 > indent:
        return f"  {name}\n{body}"
    return f"  {name}".ljust(indent) + body[indent:]


def _because(text: str, why: str) -> str:
    return f"{text}. Why: {why}"


def _question(settings: Pipeline) -> Iterator[tuple[str, str]]:
    asked = settings.questions
    yield "decision", asked.decision
    yield "asked of", asked.unit
    yield "asked by", settings.owner
    yield "answer needed", _moment(asked.prediction_at)
    yield "used for", asked.used_for
    yield "not for", "; ".join(asked.not_for) or "nothing is excluded"
    yield "when it is wrong", asked.cost_of_wrong


def _moment(text: str) -> str:
    """``time_hour - 3h`` as ``3 hours before time_hour``."""
    expression = parse_time_expression(text)
    if expression.offset_micros == 0:
        return f"at {expression.column}"
    way = "before" if expression.offset_micros < 0 else "after"
    return f"{words(abs(expression.offset_micros), in_steps=expression.in_steps)} {way} {expression.column}"


def _data(settings: Pipeline) -> Iterator[tuple[str, str]]:
    data = settings.data
    rows = f", {data.rows_expected:,} rows" if data.rows_expected is not None else ""
    pinned = ", pinned by its fingerprint" if data.fingerprint is not None else ""
    yield "source", _because(f"{data.source}{rows}{pinned}", data.why)
    if data.csv is not None:
        yield "CSV files", _csv_words(data.csv)
    for name, join in data.joins.items():
        if join.csv is not None:
            yield f"CSV of {name}", _csv_words(join.csv)
    if data.infinite == "missing":
        yield "infinite", "an infinite value of a feature is taken as missing"
    target = data.target
    yield (
        "answer",
        f"{target.positive}: {target.column} {target.rule}" if target.rule else f"the number {target.column}",
    )
    yield "one row is", f"one {' + '.join(data.key)}"
    for name, join in data.joins.items():
        yield f"joined: {name}", _because(f"{join.source} on {', '.join(join.on)}", join.why)
    if data.group is not None:
        yield (
            "groups",
            _because(f"the same {data.group.column} in training and test is {data.group.overlap}", data.group.why),
        )
    if data.weight is not None:
        yield (
            "weight",
            _because(
                f"{data.weight.column}: how many rows a row counts as, in fitting and in judging", data.weight.why
            ),
        )
    for drop in data.drop_rows:
        yield "left out", _because(f"rows where {drop.where}", drop.why)
    known: dict[tuple[str, str | None], list[str]] = {}
    for name, feature in data.features.known_at.items():
        known.setdefault((feature.known_at, feature.why), []).append(name)
    for (at, why), names in known.items():
        text = f"{', '.join(names)}: known {_moment(at)}"
        yield "features", _because(text, why) if why else text
    if data.features.forbidden is not None:
        forbidden = data.features.forbidden
        yield "never used", _because(", ".join(forbidden.columns), forbidden.why)


def _csv_words(csv: Csv) -> str:
    """How the file says that its CSV files are written."""
    said = [
        f"encoding {csv.encoding}" if csv.encoding else "",
        f"cut at {csv.separator!r}" if csv.separator else "",
        f"decimal sign {csv.decimal!r}" if csv.decimal else "",
        f"{csv.thousands!r} between thousands" if csv.thousands else "",
        f"missing where they say {', '.join(csv.missing)}" if csv.missing else "",
        f"{', '.join(csv.units)} beside a number is left out" if csv.units else "",
        f"text in {', '.join(csv.text)}" if csv.text else "",
    ]
    return "; ".join(filter(None, said))


def _time(settings: Pipeline) -> Iterator[tuple[str, str]]:
    time = settings.time
    development, sealed = development_windows(time), sealed_windows(time)
    train = f"the last {time.train.rolling}" if isinstance(time.train, Rolling) else "everything before"
    text = (
        f"{count(len(development), 'window')} of {time.window} by {time.column}, {development[0].label} to "
        f"{development[-1].label}, in {time.timezone}; before each, every candidate learns from {train}"
    )
    yield "judged on", _because(text, time.why)
    if time.empty_windows is not None:
        yield "empty", _because(f"no rows in {', '.join(time.skipped)}, as declared", time.empty_windows.why)
    gap = "" if parse_span(time.gap).micros == 0 else f", and {time.gap} more are left between training and test"
    yield "labels", f"usable {time.label_delay} after {time.column}{gap}"
    if sealed:
        looks = count(time.final.looks, "look")
        text = f"{', '.join(window.label for window in sealed)}: shut until promotion, {looks}"
        yield "sealed", _because(text, time.final.why)
    validity = settings.validity
    outside = "refuses to predict" if validity.outside == "refuse" else "warns"
    text = f"a model is valid for {validity.valid_for} after the last label it used; outside it {outside}"
    yield "valid", _because(text, validity.why)


def _candidates(settings: Pipeline) -> Iterator[tuple[str, str]]:
    for name, item in settings.candidates.items():
        role = "the reference that others must beat" if item.role == "reference" else f"complexity {item.complexity}"
        params = ", ".join(f"{key} = {value}" for key, value in item.params.items())
        built = f"{item.made_of}({params})"
        if item.predictions is not None:
            built = f"computed elsewhere, as declared by {item.declared_by}: {item.predictions}"
        elif item.onnx is not None:
            built = f"imported from {item.onnx}, trained elsewhere until {item.trained_until}; it is not fitted here"
        elif item.trial is not None:
            built = f"an unfitted copy of the model of {item.trial}" + (f" with {params}" if params else "")
        yield name, _because(f"{role}; {built}{_class_weight_words(item)}", item.why)


def _class_weight_words(item: Candidate) -> str:
    if item.class_weight is None:
        return ""
    if isinstance(item.class_weight, str):
        return "; in fitting both answers count the same"
    return f"; in fitting a yes counts {item.class_weight.yes:g} times, a no {item.class_weight.no:g} times"


def _choice(settings: Pipeline) -> Iterator[tuple[str, str]]:
    rule = settings.selection
    yield "judged by", f"{metric_name(rule)}: {metric_meaning(rule)}; against the reference in the same window"
    margin = f"{rule.margin:g}" if rule.metric in RANKINGS else f"{rule.margin:g} of the reference's loss"
    text = (
        "the highest mean gain leads; who cannot be told apart from the leader, or is not worse by more than "
        f"{margin}, is its equal; among equals the one with the best worst quarter, "
        "then the simplest"
    )
    yield "rule", _because(text, rule.why)
    yield "told apart by", f"{rule.confidence:.0%} intervals, drawing whole units ({rule.resample}), seed {rule.seed}"


def _gates(settings: Pipeline) -> Iterator[tuple[str, str]]:
    any_gate = False
    for field in msgspec.structs.fields(settings.gates):
        gate = getattr(settings.gates, field.name)
        if gate is None:
            continue
        any_gate = True
        parts = []
        for name in gate.__struct_fields__:
            value = getattr(gate, name)
            if name != "why" and value is not None:
                parts.append(
                    f"{name.replace('_', ' ')} {value:g}"
                    if isinstance(value, float)
                    else f"{name.replace('_', ' ')} {value}"
                )
        yield field.name, _because(f"{GATES[field.name]}: {', '.join(parts)}", gate.why)
    if not any_gate:
        yield "none", "anything that a run chooses can be promoted"


def _afterwards(settings: Pipeline) -> Iterator[tuple[str, str]]:
    automation, monitoring = settings.automation, settings.monitoring
    unlock = automation.unlock
    terms = (
        ""
        if unlock is None
        else f"; more only after {unlock.stable_windows} quiet periods and {count(unlock.approved_by, 'approval')}"
    )
    yield "automation", _because(f"{automation.level}{terms}; nothing is ever promoted by itself", automation.why)
    segments = f", by {', '.join(monitoring.segments)}" if monitoring.segments else ""
    yield (
        "watched",
        _because(f"every {monitoring.every}{segments}, compared to {monitoring.compare_to}", monitoring.why),
    )
    yield "notice", monitoring.notice
    yield "alarm", monitoring.alarm


def _refused(settings: Pipeline) -> Sequence[str]:
    data, time = settings.data, settings.time
    said = []
    if data.rows_expected is not None or data.fingerprint is not None:
        said.append("Any other table than the one described above.")
    said.append(f"Rows that repeat {' + '.join(data.key)}, rows without a time, and rows whose answer is unknown.")
    if time.ambiguous == "refuse":
        said.append(f"Times of the clock that occur twice or never in {time.timezone} when clocks change.")
    needed = _moment(settings.questions.prediction_at)
    said.append(f"Features that are not listed above, and any that is known later than {needed}.")
    if settings.gates.leakage is not None:
        said.append("A choice where leakage is proved: a feature from later, copied rows, rewritten history.")
        said.append("A promotion while a question of the leakage checks is open: one about a feature that stands out.")
    said.append(
        f"To count a window with fewer than {count(time.min_rows, 'row')}, or with more than 5% of its answers unknown."
    )
    said.append("A choice from fewer than 3 windows; with 3 to 5 one only where every window agrees.")
    if time.final.test:
        said.append(f"More than {count(time.final.looks, 'look')} at the sealed windows.")
    said.append("A promotion while a gate does not hold, unless somebody answers for a waiver by name and for a time.")
    if settings.validity.outside == "refuse":
        said.append(
            f"Predictions later than {settings.validity.valid_for} after the last label used, and for rows that the "
            "model was trained on."
        )
    return said
