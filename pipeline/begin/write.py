"""The text of a new pipeline file: every choice with its reason, what was proposed marked as such."""

from __future__ import annotations

import datetime as dt
import json
import textwrap
from collections.abc import Iterator
from itertools import chain

import msgspec

from tallystick.pipeline.begin.answers import format_said
from tallystick.pipeline.begin.calendar import WindowPlan
from tallystick.pipeline.begin.draft import NewPipeline
from tallystick.pipeline.begin.look import written
from tallystick.pipeline.config.left_out import twice
from tallystick.pipeline.config.settings import Csv, Final, Time
from tallystick.pipeline.config.windows import Labels, Window, all_windows, named_by
from tallystick.pipeline.config.windows import first_day as first_day_of
from tallystick.pipeline.data.csv_text import csv_table

FEW_ROWS = 10_000
LINE = 80


def text_of(draft: NewPipeline) -> str:
    """The whole file."""
    parts = (_head, _data, _time, _candidates, _selection, _gates, _afterwards, _proposed)
    return "\n".join(chain.from_iterable(part(draft) for part in parts)) + "\n"


def quoted(text: str) -> str:
    """A TOML string. JSON escapes the same characters, but for DEL and lone surrogates, which no TOML file holds."""
    plain = text.encode("utf-8", "replace").decode()
    return json.dumps(plain, ensure_ascii=False).replace("\x7f", "\\u007f")


def listed(names: list[str]) -> str:
    """A TOML list of strings."""
    return f"[{', '.join(map(quoted, names))}]"


def _head(draft: NewPipeline) -> Iterator[str]:
    answers = draft.answers
    yield "# A pipeline file, begun by `tally new`. Read it from the top: each choice says why."
    yield "# What nobody has confirmed yet is listed in [proposed] at the end."
    yield "schema = 1"
    yield f"name   = {quoted(answers.name or '')}"
    yield f"owner  = {quoted(answers.owner or '')}"
    yield ""
    yield "[questions]"
    yield f"decision      = {quoted(answers.decision or '')}"
    yield f"unit          = {quoted(answers.unit or '')}"
    yield f"prediction_at = {quoted(answers.predict_at or '')}   # the moment at which the prediction must exist"
    yield f"cost_of_wrong = {quoted(answers.cost_of_wrong or '')}"
    yield ""


def _data(draft: NewPipeline) -> Iterator[str]:
    answers = draft.answers
    yield "[data]"
    yield f"source        = {quoted(draft.source)}"
    yield f"target        = {_target(draft)}"
    named = "different in every row" if answers.key else "rows have no name; equal rows all count"
    yield f"key           = {listed(answers.key or [])}   # {named}"
    if answers.group not in (None, "none"):
        why = f"The same {answers.group} comes back in use too; the result is also reported for new ones."
        yield f'group         = {{ column = {quoted(answers.group or "")}, overlap = "allowed", why = {quoted(why)} }}'
    yield f"why           = {quoted(f'All {draft.rows:,} rows of the table as it was given.')}"
    yield ""
    if draft.csv != Csv():
        yield from _csv(draft)
    if draft.missing_answers:
        yield "[[data.drop_rows]]"
        yield f"where = {quoted(f'{written(answers.target or str())} is missing')}"
        why = f"{draft.missing_answers:,} rows have no answer although it was due; nothing can be learned from them."
        yield f"why   = {quoted(why)}"
        yield ""
    yield "[data.features]   # name -> when it is known; a column that is not listed is never used"
    for moment, names in draft.features.items():
        for line in _lines_of(names):
            yield f"{quoted(line)} = {{ known_at = {quoted(moment)} }}"
    if draft.forbidden:
        why = "Written after the moment of prediction, or looks like it."
        yield f"forbidden = {{ columns = {listed(list(draft.forbidden))}, why = {quoted(why)} }}"
        for name, reason in draft.forbidden.items():
            yield f"# forbidden: {_plain(name)}: {_plain(reason)}"
    for name, reason in draft.left_out.items():
        yield f"# not a feature: {_plain(name)} {_plain(reason)}"
    yield ""


def _csv(draft: NewPipeline) -> Iterator[str]:
    settings = {name: value for name, value in msgspec.structs.asdict(draft.csv).items() if value}
    head, *lines = csv_table(settings).splitlines()
    yield f"{head}   # how the CSV files are written"
    yield from lines
    for doubt in draft.doubts:
        for line in doubt.splitlines():
            yield f"# {_plain(line)}"
    yield ""


def _lines_of(names: list[str]) -> list[str]:
    """Names separated by commas, in lines of a readable length."""
    return (
        [
            line.rstrip(",")
            for line in textwrap.wrap(", ".join(names), LINE, break_long_words=False, break_on_hyphens=False)
        ]
        if all(name.split() == [name] for name in names)
        else names
    )


def _target(draft: NewPipeline) -> str:
    answers = draft.answers
    column = quoted(answers.target or "")
    if answers.rule == "number":
        return f"{{ column = {column} }}"
    return f"{{ column = {column}, rule = {quoted(answers.rule or '')}, positive = {quoted(answers.positive or '')} }}"


def _plain(text: str) -> str:
    """Text that stays inside a comment."""
    return " ".join("".join(c if c.isprintable() else " " for c in text.encode("utf-8", "replace").decode()).split())


def _time(draft: NewPipeline) -> Iterator[str]:
    answers, windows = draft.answers, draft.windows
    yield "[time]"
    yield f"column      = {quoted(answers.time or '')}"
    if draft.period is not None:
        yield f"# Its text is read as the first moment of a {draft.period} of the calendar."
    if (written_as := format_said(answers)) is not None:
        yield f"format      = {quoted(written_as)}   # how its times are written"
    if draft.steps:
        yield 'unit        = "step"   # time is counted in whole numbers'
    yield f"timezone    = {quoted(answers.timezone or '')}"
    yield f"window      = {quoted(windows.window)}"
    first, last = _first_and_last(draft)
    yield f"first_test  = {first}   # what lies before is for training only"
    yield f"last_test   = {last}"
    yield 'train       = "expanding"'
    yield f"gap         = {quoted('0 steps' if draft.steps else '0d')}"
    yield f"label_delay = {quoted(answers.label_delay or '')}   # an answer is used for training only this long after"
    yield 'refit       = "every window"'
    yield f"min_rows    = {_min_rows(windows)}"
    if windows.empty:
        yield _empty_windows(draft)
    why = (
        f"{windows.tests} windows of {windows.window} with at least {windows.rows:,} rows each: enough to see whether "
        "a model holds in time."
    )
    if windows.one_sided:
        why += f" In {windows.one_sided} of them only one of the two answers occurs."
    yield f"why         = {quoted(why)}"
    yield ""
    yield "[time.final]   # sealed until a promotion is asked for"
    yield f"test  = {listed(_sealed(draft))}"
    yield "looks = 1"
    yield 'why   = "One honest answer on windows that chose nothing."'
    yield ""


def _empty_windows(draft: NewPipeline) -> str:
    holes = draft.windows.empty
    labels = [window.label for window, first in _calendar(draft) if first in holes]
    why = (
        f"The table has no row in {'this window' if len(holes) == 1 else 'these windows'}: nothing was to be predicted."
    )
    return f"empty_windows = {{ skip = {listed(labels)}, why = {quoted(why)} }}"


def _min_rows(windows: WindowPlan) -> int:
    return max(10, min(100, windows.rows // 2))


def _sealed(draft: NewPipeline) -> list[str]:
    """The labels of the sealed windows, as every other reader of the file makes them."""
    return [window.label for window, first in _calendar(draft) if first in draft.windows.sealed]


def _labels(draft: NewPipeline) -> list[str]:
    """The label of every test window, empty ones included."""
    return [window.label for window, _ in _calendar(draft)]


def _calendar(draft: NewPipeline) -> list[tuple[Window, dt.date | int]]:
    """Every test window with its first day or step; its label is a quarter or week as people write them."""
    windows = draft.windows
    names: dict[str, Labels] = {"3 months": "quarter", "1 week": "week"}
    time = Time(
        column="t", timezone=draft.answers.timezone or "UTC", window=windows.window, first_test=windows.first_test,
        last_test=windows.last_test, train="expanding", gap="0d", label_delay="0d", refit="every window", why="-",
        final=Final(test=[], looks=1, why="-"), unit="step" if draft.steps else "calendar",
        labels=names.get(windows.window, "first day"),
    )  # fmt: skip
    return [(window, int(window.label) if draft.steps else first_day_of(window.label)) for window in all_windows(time)]


def _first_and_last(draft: NewPipeline) -> tuple[str, str]:
    """The first and the last test window as TOML: a date, a step, or the name of a quarter or week."""
    labels = _labels(draft)
    if named_by(labels[0]) == "first day":
        return str(draft.windows.first_test), str(draft.windows.last_test)
    return quoted(labels[0]), quoted(labels[-1])


def _candidates(draft: NewPipeline) -> Iterator[str]:
    number = draft.answers.rule == "number"
    strategy = ("median" if draft.metric == "absolute_error" else "mean") if number else "prior"
    yield "[candidates.reference]"
    yield f'estimator  = "sklearn.dummy:{"DummyRegressor" if number else "DummyClassifier"}"'
    yield f"params     = {{ strategy = {quoted(strategy)} }}"
    yield "complexity = 0"
    yield 'role       = "reference"'
    average = "the median so far" if strategy == "median" else "the average so far"
    what = average if number else "the share so far"
    yield f'why        = "What we would say knowing nothing but {what}."'
    yield ""
    yield "[candidates.linear]"
    yield f'estimator  = "pipeline.recipes:linear"   # {"ridge" if number else "logistic"} regression'
    yield "params     = { C = 1.0 }"
    yield "complexity = 1"
    yield 'why        = "Its coefficients can be read."'
    yield ""
    yield "[candidates.small_trees]"
    yield 'estimator  = "pipeline.recipes:trees"    # gradient boosting'
    leaf = 20 if draft.rows < FEW_ROWS else 200
    yield f"params     = {{ max_iter = 80, max_leaf_nodes = 15, learning_rate = 0.08, min_samples_leaf = {leaf} }}"
    yield "complexity = 2"
    yield 'why        = "It finds interactions; few leaves, so that it cannot memorise single rows."'
    yield ""


METRIC_COMMENTS = {
    "log_loss": 'honest probabilities; "cost" judges by money, "average_precision" by the order alone',
    "squared_error": 'hits the mean; "absolute_error" the median, "pinball" a quantile, "poisson_deviance" counts',
    "absolute_error": 'hits the median; in "squared_error" a few very large values would decide alone',
}


def _selection(draft: NewPipeline) -> Iterator[str]:
    yield "[selection]"
    yield f"metric     = {quoted(draft.metric)}   # {METRIC_COMMENTS[draft.metric]}"
    yield 'rule       = "stable_among_equals"   # among those that cannot be told apart, the one that is never bad'
    yield "margin     = 0.005"
    yield "confidence = 0.9"
    yield f"resample   = {quoted(_resample(draft))}   # rows that share this are drawn together"
    yield "seed       = 1"
    yield 'why        = "A model is used in every window, so its bad windows count more than its best one."'
    yield ""


def _resample(draft: NewPipeline) -> str:
    if draft.windows.days >= 5:
        return "day"
    group = draft.answers.group
    return group if group not in (None, "none") else "row"


def _gates(draft: NewPipeline) -> Iterator[str]:
    number = draft.answers.rule == "number"
    yield "[gates]   # all must hold before a promotion; each can be waived only by name"
    rules = {
        "beats_reference_in": '{ at_least = "every window", why = "Never be worse than knowing nothing." }',
        "worst_window_gain": '{ at_least = 0.0, why = "The worst window must still be worth the effort." }',
    }
    if not number:
        rules["optimism_gap"] = (
            '{ at_most = 0.05, metric = "roc_auc", why = "A larger gap means that rows are remembered." }'
        )
        rules["calibration_in_large"] = (
            '{ at_most = 0.05, why = "Mean predicted share less observed share in each window." }'
        )
    rules["leakage"] = '{ must = "pass", why = "A leak makes every other number worthless." }'
    rules["reproduced"] = (
        '{ must = "identical predictions", tolerance = 1e-9, why = "What cannot be done again cannot be defended." }'
    )
    rules["final_test"] = (
        '{ must = "looked at once", drop_at_most = "2 standard errors", why = "The sealed windows confirm or refute." }'
    )
    for name, rule in rules.items():
        yield f"{name} = {rule}"
    yield ""


def _afterwards(draft: NewPipeline) -> Iterator[str]:
    window = draft.windows.window
    yield "[validity]"
    yield f"valid_for = {quoted(twice(window))}   # after the last answer that was used"
    yield 'outside   = "refuse"'
    yield 'why       = "Twice a window; nothing farther ahead was tested."'
    yield ""
    yield "[automation]"
    yield 'level = "manual"'
    yield 'why   = "Nothing is automated before it has been boring for a while."'
    yield ""
    yield "[monitoring]"
    yield f"every      = {quoted(window)}"
    yield 'compare_to = "same windows of the model\'s own back-test"'
    yield f"segments   = {listed(draft.segments)}"
    yield f"min_rows   = {_min_rows(draft.windows)}"
    yield 'notice     = "fewer than 1 in 10 quiet periods"'
    yield 'alarm      = "fewer than 1 in 100 quiet periods, or worse than the reference"'
    yield "estimate_before_labels = true"
    yield 'why        = "A number is only news against this model\'s own history."'
    yield ""


def _proposed(draft: NewPipeline) -> Iterator[str]:
    yield "[proposed]   # proposed by a program; a promotion needs each confirmed: tally confirm FILE"
    yield "settings = ["
    for name in draft.proposed:
        yield f"    {quoted(name)},"
    yield "]"


def proposed_settings(from_answers: list[str], draft: NewPipeline) -> list[str]:
    """Every setting of the file that no person has said, in the order of the file."""
    names = [*from_answers, "time.window", "time.first_test", "time.last_test", "time.train", "time.gap"]
    names += ["time.min_rows", "time.final", "candidates", "selection", "gates", "validity", "automation", "monitoring"]
    if draft.missing_answers:
        names.append("data.drop_rows")
    if draft.windows.empty:
        names.insert(names.index("time.final"), "time.empty_windows")
    if draft.answers.rule == "number":
        names = [name for name in names if name not in ("data.target.rule", "data.target.positive")]
    if draft.answers.group in (None, "none"):
        names = [name for name in names if name != "data.group"]
    if format_said(draft.answers) is None:
        names = [name for name in names if name != "time.format"]
    if draft.answers.window is not None:
        names.remove("time.window")
    return list(dict.fromkeys(names))


def first_day(windows: WindowPlan) -> str:
    """When the first test window begins, in words."""
    first = windows.first_test
    return f"{first:%-d %B %Y}" if isinstance(first, dt.date) else f"step {first}"
