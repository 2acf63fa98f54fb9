"""What a pipeline file means where it leaves something out: one documented meaning for each setting and section.

The meaning is filled in before anything else reads the file. A short file and a file that spells the same settings
out therefore have the same configuration, and the hash of one is the hash of the other.

    [questions] used_for      "one window of LENGTH at a time"
    [questions] not_for       []
    [time] train              "expanding": every candidate learns from everything before the cut-off
    [time] gap                "0d" ("0 steps" where unit = "step")
    [time] refit              "every window", the only value there is
    [time.final]              the last window is sealed, for one look
    [selection]               log-loss for a yes or no, squared error for a number; the rule stable_among_equals with
                              margin 0.005 and confidence 0.9; whole days are drawn, with seed 1
    [gates]                   leakage passes, the run was reproduced bit by bit, no window is worse than the reference,
                              the sealed windows confirm the result within 2 standard errors
    [validity]                twice the length of a window (a month counts 31 days); outside it predictions are refused
    [automation]              manual
    [monitoring]              every window, compared to the same windows of the model's own back-test, from 100 rows
                              on; a notice in at most 1 of 10 quiet periods, an alarm in at most 1 of 100
"""

from __future__ import annotations

import datetime as dt
import difflib
from typing import Any

import msgspec

from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline.config.durations import parse_span
from tallystick.pipeline.config.settings import Final, Time
from tallystick.pipeline.config.windows import all_windows, first_day, named_by, period_window

WHY = "Left out of the file, so this is the documented default."
Raw = dict[str, Any]


def complete(raw: Raw) -> tuple[Raw, list[str]]:
    """The file with what it leaves out, and the dotted names of the settings that were filled in.

    Nothing is filled in where it depends on a setting that is wrong itself; that mistake is reported instead.
    """
    filled = {name: dict(value) if isinstance(value, dict) else value for name, value in raw.items()}
    names: list[str] = []
    time = filled.get("time")
    if isinstance(time, dict):
        time = filled["time"] = _dated(time)
        steps = time.get("unit") == "step"
        _settle(
            time, {"train": "expanding", "gap": "0 steps" if steps else "0d", "refit": "every window"}, "time", names
        )
        if "final" not in time and (label := _last_window(time)) is not None:
            _section(time, "final", {"test": [label], "looks": 1, "why": WHY}, "time.final", names)
    window = time.get("window") if isinstance(time, dict) else None
    window = window if isinstance(window, str) and _is_span(window) else None
    questions = filled.get("questions")
    if isinstance(questions, dict):
        used = {"used_for": f"one window of {window} at a time"} if window else {}
        _settle(questions, {**used, "not_for": []}, "questions", names)
    if (yes_or_no := _is_yes_or_no(filled)) is not None:
        _section(filled, "selection", _selection(yes_or_no), "selection", names)
    if (sealed := _seals(time)) is not None:
        _section(filled, "gates", _gates(sealed), "gates", names)
    if window is not None:
        _section(filled, "validity", _validity(window), "validity", names)
        _section(filled, "monitoring", _monitoring(window), "monitoring", names)
    _section(filled, "automation", {"level": "manual", "why": WHY}, "automation", names)
    return filled, names


def _dated(time: Raw) -> Raw:
    """Windows by their first day, however the file writes them: ``2017-07``, ``2017-Q3``, ``2017-W31``.

    A file whose first window is written as a quarter or a week gets windows that are named so.
    """
    made, labels = dict(time), "first day"
    for name in ("first_test", "last_test"):
        if isinstance(written := time.get(name), str) and (day := _first_day(written)) is not None:
            made[name] = day
            labels = named_by(written) if labels == "first day" else labels
    if labels != "first day":
        made.setdefault("labels", labels)
    final = time.get("final")
    if isinstance(final, dict) and isinstance(final.get("test"), list):
        made["final"] = {**final, "test": [_label_of(made, item) for item in final["test"]]}
    empty = time.get("empty_windows")
    if isinstance(empty, dict) and isinstance(empty.get("skip"), list):
        made["empty_windows"] = {**empty, "skip": [_label_of(made, item) for item in empty["skip"]]}
    return made


def _first_day(text: str) -> dt.date | None:
    try:
        return first_day(text)
    except ValueError:
        return None


def _label_of(time: Raw, written: object) -> object:
    """The label of a sealed window; what is written where it cannot be one, which is reported elsewhere."""
    labels = time.get("labels", "first day")
    if not isinstance(written, str) or named_by(written) == labels or time.get("unit") == "step":
        return written
    unsealed = {**time, "final": msgspec.to_builtins(Final(test=[], looks=1, why=WHY)), "why": time.get("why", WHY)}
    unsealed.pop("empty_windows", None)
    complete_time = {"train": "expanding", "gap": "0d", "refit": "every window", **unsealed}
    try:
        return period_window(msgspec.convert(complete_time, Time, strict=True), written).label
    except (msgspec.ValidationError, InvalidInput, KeyError, ValueError, OverflowError, OSError):
        return written


def _settle(table: Raw, defaults: Raw, path: str, names: list[str]) -> None:
    """Give single settings of a table that is there their meaning."""
    for name, value in defaults.items():
        if name not in table and not _misspelt(name, table, defaults):
            table[name] = value
            names.append(f"{path}.{name}")


def _misspelt(name: str, table: Raw, defaults: Raw) -> bool:
    """Whether the table has the setting under a name that is nearly right: that mistake is reported instead."""
    known = {*Time.__struct_fields__, *defaults}
    return any(name in difflib.get_close_matches(other, [name], n=1) for other in table if other not in known)


def _section(raw: Raw, name: str, content: Raw, path: str, names: list[str]) -> None:
    """Give a whole section its meaning where it is absent; a section that is there is never completed."""
    if name in raw:
        return
    raw[name] = content
    names.extend(f"{path}.{setting}" for setting in _leaves(content))


def _leaves(content: Raw, start: str = "") -> list[str]:
    found = []
    for name, value in content.items():
        if isinstance(value, dict):
            found += _leaves(value, f"{start}{name}.")
        elif name != "why":
            found.append(f"{start}{name}")
    return found


def _is_span(text: str) -> bool:
    try:
        parse_span(text)
    except InvalidInput:
        return False
    return True


def _is_yes_or_no(raw: Raw) -> bool | None:
    """Whether the target has a rule; None where there is no target to be read."""
    data = raw.get("data")
    target = data.get("target") if isinstance(data, dict) else None
    return "rule" in target if isinstance(target, dict) else None


def _seals(time: object) -> bool | None:
    """Whether the file seals a window; None where that is not said in a way that can be read."""
    final = time.get("final") if isinstance(time, dict) else None
    return bool(final.get("test")) if isinstance(final, dict) else None


def _last_window(time: Raw) -> str | None:
    """The label of the last window; None where the windows cannot be made."""
    unsealed = {**time, "final": msgspec.to_builtins(Final(test=[], looks=1, why=WHY)), "why": time.get("why", WHY)}
    try:
        return all_windows(msgspec.convert(unsealed, Time, strict=True))[-1].label
    except (msgspec.ValidationError, InvalidInput, IndexError, KeyError, ValueError, OverflowError, OSError):
        return None


def _selection(yes_or_no: bool) -> Raw:
    return {
        "metric": "log_loss" if yes_or_no else "squared_error",
        "rule": "stable_among_equals",
        "margin": 0.005,
        "confidence": 0.9,
        "resample": "day",
        "seed": 1,
        "why": WHY,
    }


def _gates(sealed: bool) -> Raw:
    final = {"final_test": {"must": "looked at once", "drop_at_most": "2 standard errors", "why": WHY}}
    return {
        "worst_window_gain": {"at_least": 0.0, "why": WHY},
        "leakage": {"must": "pass", "why": WHY},
        "reproduced": {"must": "identical predictions", "tolerance": 1e-9, "why": WHY},
        **(final if sealed else {}),
    }


def _validity(window: str) -> Raw:
    return {"valid_for": twice(window), "outside": "refuse", "why": WHY}


def twice(window: str) -> str:
    """Twice a window's length, months in days because a validity is an exact length."""
    span = parse_span(window)
    unit = "steps" if span.in_steps else "days"
    return f"{2 * (31 * span.months or span.micros // 86_400_000_000)} {unit}"


def _monitoring(window: str) -> Raw:
    return {
        "every": window,
        "compare_to": "same windows of the model's own back-test",
        "segments": [],
        "min_rows": 100,
        "notice": "fewer than 1 in 10 quiet periods",
        "alarm": "fewer than 1 in 100 quiet periods",
        "estimate_before_labels": True,
        "why": WHY,
    }
