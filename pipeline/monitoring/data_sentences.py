"""Sentences about the rows, columns and labels of a watched period, where the model itself is not the subject."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from tallystick.ledger.events.sentences import count
from tallystick.pipeline.evaluate.figures import figure
from tallystick.pipeline.evaluate.sentences import and_words, empty_windows_sentence, percent, window_words
from tallystick.pipeline.monitoring.columns import Fault
from tallystick.pipeline.monitoring.verdict import Level


class PeriodFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a period showed."""

    code: str
    level: Level
    facts: dict[str, Any]
    """The numbers behind the sentence."""
    sentence: str


def faults_words(faults: Sequence[Fault]) -> str:
    """Columns that did not arrive as before, a sentence each."""
    return " ".join(_fault(item) for item in faults)


def _fault(item: Fault) -> str:
    before = percent(item.own_highest)
    match item.kind:
        case "constant":
            return f"{item.feature} has one and the same value in every row; it never had for so long before."
        case "unseen":
            names = f" ({', '.join(item.names)})" if item.names else ""
            return (
                f"{item.feature}: {percent(item.share)} of the rows hold values never seen{names} "
                f"(own past maximum {before})."
            )
        case "out of range":
            return (
                f"{item.feature} is outside of what the model was trained on in {percent(item.share)} of the rows "
                f"(own past maximum {before})."
            )
    return f"{item.feature} is missing in {percent(item.share)} of the rows (own past maximum {before})."


def broken_columns(faults: Sequence[Fault], missing: dict[str, float]) -> PeriodFinding:
    """Columns that did not arrive as before, in a period whose labels are not known yet."""
    return PeriodFinding(
        code="data",
        level="alarm",
        facts={"faults": msgspec.to_builtins(faults), "missing": missing},
        sentence=faults_words(faults),
    )


def ends_early(label: str, last: str) -> PeriodFinding:
    """Rows that stop long before the period does."""
    return PeriodFinding(
        code="coverage",
        level="notable",
        facts={"last": last},
        sentence=f"The last row is of {last}, long before the end of {window_words(label)}: the rest may still arrive.",
    )


def estimated_words(estimate: float, error: float | None, windows: int) -> str:
    """A label-free estimate of the loss with its own past error."""
    if error is None:
        return f"Estimate without labels: {figure(estimate)}. This estimator has no past yet."
    return (
        f"Estimate without labels: {figure(estimate)}. This estimator has missed by {figure(error)} on average in "
        f"{count(windows, 'own window')}."
    )


# Where the labels or the model are not there -------------------------------------------------------------------


def waiting(
    label: str,
    rows: int,
    immature: int,
    matures_at: str,
    estimate: float | None,
    error: float | None,
    past: int,
) -> list[PeriodFinding]:
    """Too few labels are known: when they will be, and what can be said without them."""
    found = [
        PeriodFinding(
            code="immature",
            level="normal",
            facts={"rows": rows, "immature": immature, "matures_at": matures_at},
            sentence=f"The labels of {immature:,} of {count(rows, 'row')} of {window_words(label)} are not known yet; "
            f"the last will be {_on(matures_at)}.",
        )
    ]
    if estimate is not None:
        found.append(
            PeriodFinding(
                code="estimate",
                level="normal",
                facts={"estimate": estimate, "own_error": error, "own_windows": past},
                sentence=estimated_words(estimate, error, past),
            )
        )
    return found


def overdue(label: str, rows: int, missing: int, label_delay: str) -> PeriodFinding:
    """Answers that were due have not come: those that did may be no fair sample, so nothing is judged on them."""
    return PeriodFinding(
        code="overdue",
        level="normal",
        facts={"rows": rows, "overdue": missing, "label_delay": label_delay},
        sentence=f"{missing:,} of {count(rows, 'row')} of {window_words(label)} have no answer, although it was due "
        f"after {label_delay}. The rows with an answer may differ from those without, so nothing is judged on them.",
    )


def look_for_answers(label: str) -> str:
    """What to do about a period whose answers should have come."""
    return (
        f"Suggest: find out why answers of {window_words(label)} are missing, and watch it again once they are there."
    )


def _on(moment: str) -> str:
    return f"at {moment}" if moment.startswith("step") else f"on {moment}"


def look_again(label: str, matures_at: str) -> str:
    """What to do about a period whose labels are not known yet."""
    return f"Suggest: watch {window_words(label)} again after {matures_at}, when its labels are known."


def schema_changed(
    gone: list[str], other_kind: list[str], odd: dict[str, tuple[int, list[str]]] | None = None
) -> PeriodFinding:
    """Columns that the model needs and that are not there, or hold something else."""
    said = []
    if gone:
        said.append(f"{and_words(gone)} {'is' if len(gone) == 1 else 'are'} not in the source any more.")
    if other_kind:
        verb = "holds" if len(other_kind) == 1 else "hold"
        said.append(f"{and_words(other_kind)} {verb} another kind of value than the model was made for.")
    odd = {name: found for name, found in (odd or {}).items() if found[0]}
    for name, (rows, examples) in odd.items():
        verb = "is no number" if rows == 1 else "are no numbers"
        said.append(f"{count(rows, 'value')} of {name} {verb}: {', '.join(map(repr, examples))}.")
    return PeriodFinding(
        code="schema",
        level="alarm",
        facts={
            "gone": gone,
            "other_kind": other_kind,
            **({"no_numbers": {name: rows for name, (rows, _) in odd.items()}} if odd else {}),
        },
        sentence=" ".join([*said, "The model was not asked."]),
    )


def mend_words(odd: dict[str, tuple[int, list[str]]]) -> str:
    """What to do about words among the numbers of a CSV file."""
    found = ", ".join(json.dumps(word, ensure_ascii=False) for _, examples in odd.values() for word in examples)
    return f"If these words mean a missing value, say so in [data.csv]: missing = [{found}]"


def new_columns(new: list[str], model: str) -> PeriodFinding:
    """Columns that nobody asked for: the model is not touched, but somebody changed the source."""
    one = len(new) == 1
    return PeriodFinding(
        code="new columns",
        level="notable",
        facts={"new": new},
        sentence=(
            f"{and_words(new)} {'is' if one else 'are'} in the source and {'was' if one else 'were'} not when {model} "
            f"was made. The model does not use {'it' if one else 'them'}; somebody changed the source."
        ),
    )


def expired(model: str, label: str, until: str) -> PeriodFinding:
    """The model is not meant for the period."""
    return PeriodFinding(
        code="validity",
        level="alarm",
        facts={"until": until},
        sentence=f"{model} was meant to be used until {until}; {window_words(label)} begins after that.",
    )


def expires_within(model: str, label: str, until: str) -> PeriodFinding:
    """The validity ends inside the period."""
    return PeriodFinding(
        code="validity",
        level="notable",
        facts={"until": until},
        sentence=f"{model} is meant to be used until {until}, which lies inside {window_words(label)}.",
    )


def declared_empty(label: str, why: str) -> PeriodFinding:
    """The source is silent, as the file says it would be."""
    return PeriodFinding(
        code="data",
        level="normal",
        facts={"rows": 0, "declared_empty": True},
        sentence=empty_windows_sentence([label], why),
    )


def no_rows(label: str) -> PeriodFinding:
    """The source is silent."""
    return PeriodFinding(
        code="data", level="alarm", facts={"rows": 0}, sentence=f"The source has no row of {window_words(label)}."
    )
