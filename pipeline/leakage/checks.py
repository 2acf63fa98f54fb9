"""Leakage: whether the data of a run tells what could not have been known. Every check passes, fails, or asks.

A failure is a proof, and makes every candidate that uses the features ineligible. What only stands out is a question
for a person (:mod:`pipeline.leakage.questions`). Here is what is declared and recorded, and what the rows show; what
the values show is in :mod:`pipeline.leakage.judge`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import pandas as pd
import pyarrow as pa

from tallystick.ledger.events import types as say
from tallystick.ledger.events.sentences import count
from tallystick.ledger.events.types import Check
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.views.entities import WindowState
from tallystick.pipeline.config.durations import parse_time_expression, words
from tallystick.pipeline.config.settings import Pipeline
from tallystick.pipeline.config.windows import Window, sealed_windows
from tallystick.pipeline.data.slice import LABEL_KNOWN, TARGET, TIME, UNKNOWN_TIME, frame_of, numbers, open_table
from tallystick.pipeline.evaluate import backtest
from tallystick.pipeline.evaluate.backtest import BacktestPlan, Described
from tallystick.pipeline.evaluate.fitting import Recipe
from tallystick.pipeline.leakage.evidence import gather
from tallystick.pipeline.leakage.judge import judge
from tallystick.pipeline.leakage.questions import RUN

Result = Literal["pass", "look", "fail"]

COPIED_ROWS = 0.01
NEARLY_UNIQUE = 0.99


class Seen(NamedTuple):
    """What an earlier run recorded of a window."""

    run: str
    described: say.WindowDescribed


def worst_of(checks: Sequence[Check]) -> Result:
    """``fail`` before ``look`` before ``pass``."""
    results = {check.result for check in checks}
    return "fail" if "fail" in results else "look" if "look" in results else "pass"


def summary(checks: Sequence[Check], questions: Sequence[say.LeakQuestion] = ()) -> list[str]:
    """One line where all is well, else each failure, each question with who answered it, and what is worth a note."""
    failed = [check for check in checks if check.result == "fail"]
    lines = [f"leakage FAIL, {check.check}: {check.sentence}" for check in failed]
    for question in questions:
        names = [name for answer in question.answers for name in (answer.by, answer.second) if name]
        if names:
            answer = question.answers[0]
            lines.append(f"leakage: {question.subject} was asked about; {' and '.join(names)}: “{answer.why}”")
        else:
            because = f" {question.open_because}" if question.open_because else ""
            lines.append(f"leakage QUESTION, {question.checks[0]}: {question.sentence}{because}")
    asked = {question.subject for question in questions}
    rest = [check for check in checks if check.result == "look" and (check.subject or RUN) not in asked]
    lines += [f"leakage LOOK, {check.check}: {check.sentence}" for check in rest]
    lines += [f"leakage note: {check.sentence}" for check in checks if check.facts.get("note")]
    passed = sum(check.result == "pass" for check in checks)
    if passed == len(checks):
        return [*lines, f"leakage: all {passed} checks passed"]
    return [*lines, f"leakage: {passed} of {len(checks)} checks passed"]


def why_not_eligible(checks: Sequence[Check]) -> str | None:
    """Why nothing that uses these features may be chosen; None where no check failed."""
    failed = [check for check in checks if check.result == "fail"]
    if not failed:
        return None
    more = f" And {len(failed) - 1} more." if len(failed) > 1 else ""
    return f"the leakage checks failed. {failed[0].sentence}{more}"


def run_checks(
    plan: BacktestPlan,
    settings: Pipeline,
    recipes: Sequence[Recipe],
    described: Sequence[Described],
    earlier: Sequence[Seen],
    there: Collection[str],
) -> list[Check]:
    """All checks of a run, in a fixed order; equal for equal input.

    Parameters
    ----------
    described : the run's windows
    earlier : what earlier runs recorded of the same windows, oldest first
    there : names of all columns of the source, declared or not
    """
    table = open_table(plan.slice)
    complete = [item.window for item in described if item.complete]
    return [
        *availability(settings, table),
        declared(settings, recipes, there),
        row_overlap(plan, table, complete),
        unique_keys(plan, table),
        *groups(described),
        order_in_time(plan, table, [item.window for item in described]),
        *history(plan, described, earlier),
        *judge(gather(plan, settings, table, complete, sealed_windows(settings.time))),
    ]


# What is declared ------------------------------------------------------------------------------------------


def availability(settings: Pipeline, table: pa.Table) -> list[Check]:
    """Whether each feature is known by the time of the prediction: as declared, or row by row by a column of times."""
    prediction = parse_time_expression(settings.questions.prediction_at)
    in_steps = settings.time.unit == "step"
    found = []
    for name, feature in settings.data.features.known_at.items():
        known = parse_time_expression(feature.known_at)
        if known.column == settings.time.column:
            late = known.offset_micros - prediction.offset_micros
            facts: dict[str, Any] = {"known_at": feature.known_at, "late_seconds": late / 1e6}
            needed = settings.questions.prediction_at
            sentence = (
                f"{name} is declared as known at {feature.known_at}, in time for {needed}."
                if late <= 0
                else f"{name} is known at {feature.known_at}, {words(late, in_steps=in_steps)} after {needed}."
            )
            found.append(_check("availability", name, "fail" if late > 0 else "pass", facts, sentence))
            continue
        present = ~_missing(table, name)
        moments = numbers(table, known.column)
        unknown = present & (moments == UNKNOWN_TIME)
        # Only where the moment is known: the sum would overflow elsewhere.
        lateness = np.where(moments == UNKNOWN_TIME, 0, moments + known.offset_micros - numbers(table, TIME))
        late_rows = present & ~unknown & (lateness > prediction.offset_micros)
        bad, rows = int(late_rows.sum()), int(present.sum())
        facts = {
            "known_at": feature.known_at,
            "rows": rows,
            "late_rows": bad,
            "rows_of_unknown_time": int(unknown.sum()),
        }
        if bad or unknown.any():
            parts = []
            if bad:
                worst = words(int((lateness[late_rows] - prediction.offset_micros).max()), in_steps=in_steps)
                parts.append(f"{bad:,} of {rows:,} rows it was known only after the prediction, at worst {worst} after")
            if unknown.any():
                parts.append(f"{int(unknown.sum()):,} of {rows:,} rows {known.column} does not say when it was known")
            sentence = f"{name}: in {' and in '.join(parts)}."
            found.append(_check("availability", name, "fail", facts, sentence))
        else:
            sentence = f"{name} was known in time in all {rows:,} rows, by {known.column}."
            found.append(_check("availability", name, "pass", facts, sentence))
    return found


def declared(settings: Pipeline, recipes: Sequence[Recipe], there: Collection[str] = ()) -> Check:
    """Whether the models get declared features only: nothing undeclared, forbidden, nor the answer.

    What the source had is kept with it, so that a column that comes later is seen to be new.
    """
    features = settings.data.features
    forbidden = set(features.forbidden.columns if features.forbidden else ())
    used = {name for recipe in recipes for name in (*recipe.columns.numeric, *recipe.columns.categorical)}
    undeclared = sorted(used - set(features.known_at))
    banned = sorted(used & (forbidden | {settings.data.target.column, TARGET, LABEL_KNOWN}))
    facts = {"used": len(used), "undeclared": undeclared, "forbidden": banned, "in_source": sorted(there)}
    if undeclared or banned:
        parts = [f"undeclared: {', '.join(undeclared)}"] if undeclared else []
        parts += [f"forbidden: {', '.join(banned)}"] if banned else []
        return _check(
            "declared columns", None, "fail", facts, f"Models get columns they must not ({'; '.join(parts)})."
        )
    kept = f"; {count(len(forbidden), 'forbidden column')} stayed out" if forbidden else ""
    sentence = f"The models get the {count(len(used), 'declared feature')} and nothing else{kept}."
    return _check("declared columns", None, "pass", facts, sentence)


# What the rows say -----------------------------------------------------------------------------------------


def row_overlap(plan: BacktestPlan, table: pa.Table, complete: Sequence[Window]) -> Check:
    """Test rows whose features and answer all occur in the training rows as well.

    Where the rows of one window are all different that is no coincidence but a copy; with few or coarse features it
    may be one, and a person has to say.
    """
    frame = frame_of(table, plan.slice.features).assign(**{TARGET: numbers(table, TARGET)})
    codes = pd.factorize(pd.util.hash_pandas_object(frame, index=False).to_numpy())[0]
    forbidden = plan.slice.group if plan.group_overlap == "forbidden" else None
    copied = tested = 0
    distinct = 1.0
    for window in complete:
        rows = backtest.split(table, window, plan.as_of, forbidden)
        seen, own = np.zeros((2, len(codes)), dtype=bool)
        seen[codes[rows.train]], own[codes[rows.test]] = True, True
        copied += int(seen[codes[rows.test]].sum())
        tested += len(rows.test)
        distinct = min(distinct, int(own.sum()) / max(1, len(rows.test)))
    share = copied / tested if tested else 0.0
    facts = {"copied": copied, "tested": tested, "share": share, "least_distinct_share": distinct}
    if share <= COPIED_ROWS:
        sentence = f"{copied:,} of {tested:,} test rows repeat a training row in every feature and the answer."
        return _check("row overlap", None, "pass", facts, sentence)
    if distinct >= NEARLY_UNIQUE:
        sentence = (
            f"{copied:,} of {tested:,} test rows ({share:.1%}) repeat a training row in every feature and the answer, "
            "while the rows of a window hardly repeat each other: rows were copied."
        )
        return _check("row overlap", None, "fail", facts, sentence)
    sentence = (
        f"{copied:,} of {tested:,} test rows ({share:.1%}) repeat a training row in every feature and the answer. "
        "Rows of one window repeat each other too, so the features may just be coarse; make sure that no row is copied."
    )
    return _check("row overlap", None, "look", facts, sentence)


def unique_keys(plan: BacktestPlan, table: pa.Table) -> Check:
    """Whether every row of the slice has a key of its own, where rows have a key."""
    if not plan.slice.key:
        repeated = table.num_rows - _different_rows(table)
        said = f"The rows have no key. {repeated:,} of {table.num_rows:,} repeat another in all that is read of them."
        return _check("keys", None, "pass", {"rows": table.num_rows, "repeated": repeated, "key": []}, said)
    repeated = int(table.select(list(plan.slice.key)).to_pandas().duplicated().sum())
    facts = {"rows": table.num_rows, "repeated": repeated, "key": list(plan.slice.key)}
    if repeated:
        return _check(
            "keys", None, "fail", facts, f"{repeated:,} of {table.num_rows:,} rows repeat the key of another."
        )
    return _check("keys", None, "pass", facts, f"All {table.num_rows:,} rows have a key of their own.")


def groups(described: Sequence[Described]) -> list[Check]:
    """Whether test groups were seen in training as the pipeline file allows."""
    overlaps = [(item.window.label, item.overlap) for item in described if item.overlap is not None]
    if not overlaps:
        return []
    _, first = overlaps[0]
    seen = sum(item.seen_rows for _, item in overlaps)
    tested = seen + sum(item.unseen_rows for _, item in overlaps)
    facts = {"column": first.column, "policy": first.policy, "seen_rows": seen, "tested": tested}
    if first.policy == "forbidden" and seen:
        where = ", ".join(label for label, item in overlaps if item.seen_rows)
        sentence = f"{seen:,} test rows share their {first.column} with training rows, which is forbidden ({where})."
        return [_check("groups", first.column, "fail", facts, sentence)]
    allowed = "which the pipeline file allows" if first.policy == "allowed" else "as the pipeline file demands"
    sentence = f"{seen:,} of {tested:,} test rows share their {first.column} with training rows, {allowed}."
    return [_check("groups", first.column, "pass", facts, sentence)]


def order_in_time(plan: BacktestPlan, table: pa.Table, windows: Sequence[Window]) -> Check:
    """Whether training comes before the cut-off and testing after it, labels included, in every window."""
    times, label_known = numbers(table, TIME), numbers(table, LABEL_KNOWN)
    forbidden = plan.slice.group if plan.group_overlap == "forbidden" else None
    wrong, closest = [], None
    for window in windows:
        rows = backtest.split(table, window, plan.as_of, forbidden)
        if not len(rows.train) or not len(rows.test):
            continue
        last_label, first_test = int(label_known[rows.train].max()), int(times[rows.test].min())
        margin = first_test - last_label
        closest = margin if closest is None else min(closest, margin)
        if last_label > window.cutoff or int(times[rows.train].max()) >= window.cutoff or first_test < window.cutoff:
            wrong.append(window.label)
    facts = {
        "windows": len(windows),
        "wrong": wrong,
        "least_margin_seconds": None if closest is None else closest / 1e6,
    }
    if wrong:
        sentence = f"Training and test rows overlap in time in {', '.join(wrong)}."
        return _check("order in time", None, "fail", facts, sentence)
    sentence = f"In all {count(len(windows), 'window')} every training label was known before the first test row."
    return _check("order in time", None, "pass", facts, sentence)


# What was recorded before ----------------------------------------------------------------------------------


def seen_before(now: Snapshot, pipeline: str, run: str, labels: Sequence[str]) -> list[Seen]:
    """What earlier runs of a pipeline recorded of these windows, oldest first."""
    found = []
    for label in labels:
        for state in now.versions(WindowState, f"{pipeline}/{label}"):
            recorded = now.event(state.described_by)
            if state.run != run and recorded.counts:
                body = cast("say.WindowDescribed", recorded.event.body)
                found.append(Seen(body.run, body))
    return found


def history(plan: BacktestPlan, described: Sequence[Described], earlier: Sequence[Seen]) -> list[Check]:
    """Columns whose values in an old window are others than an earlier run saw, for the very same rows."""
    now = {item.window.label: item for item in described}
    same_rows = 0
    runs: set[str] = set()
    changed: dict[str, dict[str, str]] = {}
    for run, before in earlier:
        after = now.get(before.label)
        if after is None or not _same_keys(plan, after, before):
            continue
        same_rows += 1
        runs.add(run)
        for name in sorted(set(after.test_columns) & set(before.test_columns)):
            # Columns of our own making follow from settings.
            if not name.startswith("__") and after.test_columns[name] != before.test_columns[name]:
                changed.setdefault(name, {}).setdefault(before.label, run)
    found = []
    for name, where in changed.items():
        first = next(iter(where))
        sentence = (
            f"{name} was back-filled: in {', '.join(sorted(where))} it has other values than run {where[first]} saw "
            "for the same rows. What is in the table now was not known then."
        )
        found.append(_check("history", name, "fail", {"back_filled": where}, sentence))
    if found:
        return found
    sentence = (
        f"No value has changed since {count(len(runs), 'earlier run')} saw the same rows."
        if runs
        else "No earlier run saw the same rows, so there is nothing yet to compare with."
    )
    return [_check("history", None, "pass", {"compared": same_rows, "runs": len(runs)}, sentence)]


def _different_rows(table: pa.Table) -> int:
    # Arrow reads a name with a point as a path into a nested column, so the columns get plain ones.
    plain = [f"c{number}" for number in range(table.num_columns)]
    found: int = table.rename_columns(plain).group_by(plain, use_threads=False).aggregate([]).num_rows
    return found


def _same_keys(plan: BacktestPlan, after: Described, before: say.WindowDescribed) -> bool:
    """Whether both hold the same rows; rows without a key cannot be recognised once a value has changed."""
    return (
        bool(plan.slice.key)
        and after.test_rows == before.test_rows > 0
        and all(after.test_columns.get(name) == before.test_columns.get(name) for name in (*plan.slice.key, TIME))
    )


def _missing(table: pa.Table, name: str) -> Any:
    if pa.types.is_floating(table[name].type):
        return np.isnan(numbers(table, name))
    return table[name].is_null().to_numpy()


def _check(check: str, subject: str | None, result: Result, facts: dict[str, Any], sentence: str) -> Check:
    return Check(check=check, subject=subject, result=result, facts=facts, sentence=sentence)
