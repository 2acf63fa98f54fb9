"""Two runs side by side: what was asked, with what data, how, where, and with what result in each window.

From recorded facts alone. The losses of both runs are kept in sums by resample unit, which is enough to draw paired
intervals again without the data; where two runs tested on other rows there are no pairs, and that is said.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pandas as pd

from tallystick.ledger.errors import TallyError
from tallystick.ledger.events import types as say
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.pipeline.config.canonical import configuration_in, meaning_in
from tallystick.pipeline.config.diff import ConfigChange, config_changes
from tallystick.pipeline.config.settings import RANKINGS
from tallystick.pipeline.evaluate.bootstrap import Interval, WindowLosses
from tallystick.pipeline.evaluate.stability import scores
from tallystick.pipeline.records.run_record import RunRecord
from tallystick.pipeline.records.stored_tables import stored_table


class Values(NamedTuple):
    """A fact that differs."""

    what: str
    old: str
    new: str


class WindowComparison(NamedTuple):
    """One window that both runs tested on."""

    label: str
    a: float | None
    """Mean loss of the candidate of the first run."""
    b: float | None
    gain: float | None
    """Share of the first one's loss that the second saves, or by how much more it ranks; None without pairs."""
    interval: Interval | None
    unpaired: str | None
    """Why there are no pairs."""


class Comparison(NamedTuple):
    """Everything that differs between two runs."""

    candidates: tuple[str, str]
    metric: str
    configuration: list[ConfigChange]
    data: list[Values]
    environment: list[Values]
    windows: list[WindowComparison]
    only_in_a: list[str]
    only_in_b: list[str]
    overall: tuple[float, Interval] | None
    """Mean gain over the paired windows, with its interval."""


def compare_runs(
    now: Snapshot,
    stored: Callable[[str], bytes],
    a: RunRecord,
    b: RunRecord,
    candidates: tuple[str | None, str | None] = (None, None),
) -> Comparison:
    """What is different in ``b``, compared with ``a``.

    Parameters
    ----------
    stored : callable
        Gives the bytes of an artifact by its hash; NotFound or Damaged where they are not there.
    candidates : pair of str
        Whose results are compared; where none is named, what the run chose, else its reference.
    """
    selection = configuration_in(b.registered).selection
    metric, confidence, seed = selection.metric, selection.confidence, selection.seed
    names = candidates[0] or _candidate(a), candidates[1] or _candidate(b)
    windows, paired = [], []
    for label in sorted(a.windows.keys() & b.windows.keys()):
        window, losses = _window(stored, a, b, label, names, metric)
        if losses is not None:
            score = scores([losses], reference="a", confidence=confidence, seed=seed, validity_windows=None).of("b")
            window = window._replace(gain=score.mean_gain, interval=score.mean_interval)
            paired.append(losses)
        windows.append(window)
    overall = None
    if len(paired) > 1:
        score = scores(paired, reference="a", confidence=confidence, seed=seed, validity_windows=None).of("b")
        overall = score.mean_gain, score.mean_interval
    return Comparison(
        names,
        metric,
        config_changes(_plain(a), _plain(b)),
        _data(a, b),
        _environment(now, a, b),
        windows,
        sorted(a.windows.keys() - b.windows.keys()),
        sorted(b.windows.keys() - a.windows.keys()),
        overall,
    )


def _plain(record: RunRecord) -> dict[str, object]:
    return {**meaning_in(record.registered), "questions": record.registered.questions, "owner": record.registered.owner}


def _candidate(record: RunRecord) -> str:
    if record.decision is not None and record.decision.chosen:
        return record.decision.chosen
    return configuration_in(record.registered).reference


def _window(
    stored: Callable[[str], bytes], a: RunRecord, b: RunRecord, label: str, names: tuple[str, str], metric: str
) -> tuple[WindowComparison, WindowLosses | None]:
    summed = "sum_ranking" if metric in RANKINGS else "sum_loss"
    judged = a.evaluations.get((label, names[0])), b.evaluations.get((label, names[1]))
    means = [_metric(one, metric) for one in judged]
    whole = WindowComparison(label, means[0], means[1], None, None, None)
    if judged[0] is None or judged[1] is None:
        return whole._replace(unpaired="one of them was not evaluated"), None
    rows = a.windows[label].test_rows, b.windows[label].test_rows
    if rows[0] != rows[1]:
        return whole._replace(unpaired=f"{rows[0]:,} test rows became {rows[1]:,}"), None
    try:
        first, second = (_losses(stored, one, summed) for one in (judged[0], judged[1]))
    except TallyError as error:
        return whole._replace(unpaired=error.message), None
    if list(first["unit"]) != list(second["unit"]) or list(first["rows"]) != list(second["rows"]):
        return whole._replace(unpaired="they tested on other rows"), None
    losses = {
        "a": first[f"{summed}_{names[0]}"].to_numpy(dtype=float),
        "b": second[f"{summed}_{names[1]}"].to_numpy(dtype=float),
    }
    units = tuple(str(unit) for unit in first["unit"])
    return whole, WindowLosses(label, units, first["rows"].to_numpy(dtype=float), losses, metric in RANKINGS)


def _metric(judged: say.WindowEvaluated | None, metric: str) -> float | None:
    return None if judged is None or metric not in judged.metrics else judged.metrics[metric].value


def _losses(stored: Callable[[str], bytes], judged: say.WindowEvaluated, summed: str) -> pd.DataFrame:
    table = stored_table(stored(judged.losses), ["rows", f"{summed}_{judged.candidate}"], ["segment", "unit"])
    return table[table["segment"] == ""].sort_values("unit", ignore_index=True)


def _data(a: RunRecord, b: RunRecord) -> list[Values]:
    if a.slice is None or b.slice is None:
        return [] if a.slice is b.slice else [Values("slice", *("taken" if r.slice else "none" for r in (a, b)))]
    found = [
        Values(what, str(old), str(new))
        for what, old, new in (
            ("source", a.slice.source, b.slice.source),
            ("slice", a.slice.slice, b.slice.slice),
            ("rows", f"{a.slice.rows:,}", f"{b.slice.rows:,}"),
            ("rows kept", f"{a.slice.kept_rows:,}", f"{b.slice.kept_rows:,}"),
        )
        if old != new
    ]
    dropped = [{drop.where: drop.rows for drop in record.dropped} for record in (a.slice, b.slice)]
    for where in dict.fromkeys((*dropped[0], *dropped[1])):
        old, new = dropped[0].get(where), dropped[1].get(where)
        if old != new:
            found.append(Values(f"rows where {where}", "kept" if old is None else f"{old:,} dropped",
                                "kept" if new is None else f"{new:,} dropped"))  # fmt: skip
    columns = [{column.name: column for column in record.columns} for record in (a.slice, b.slice)]
    for name in dict.fromkeys((*columns[0], *columns[1])):
        before, after = columns[0].get(name), columns[1].get(name)
        if before is None or after is None:
            found.append(Values(f"column {name}", "not there" if before is None else before.kind,
                                "not there" if after is None else after.kind))  # fmt: skip
        elif before.kind != after.kind:
            found.append(Values(f"column {name}", before.kind, after.kind))
        elif before.hash != after.hash:
            found.append(Values(f"column {name}", f"values {before.hash[:8]}…", f"values {after.hash[:8]}…"))
    for label in sorted(a.windows.keys() & b.windows.keys()):
        old_rows, new_rows = a.windows[label].test_rows, b.windows[label].test_rows
        if old_rows != new_rows:
            found.append(Values(f"test rows of {label}", f"{old_rows:,}", f"{new_rows:,}"))
    return found


def _environment(now: Snapshot, a: RunRecord, b: RunRecord) -> list[Values]:
    found = []
    heads = [now.commit_of(record.state.seq).head for record in (a, b)]
    pairs: list[tuple[str, object, object]] = [
        ("tool", heads[0].tool, heads[1].tool),
        ("git commit", heads[0].git, heads[1].git),
        ("uncommitted changes", heads[0].dirty, heads[1].dirty),
    ]
    if a.environment and b.environment:
        pairs += [
            ("python", a.environment.python, b.environment.python),
            ("platform", a.environment.platform, b.environment.platform),
            ("processor", a.environment.cpu, b.environment.cpu),
            ("source of tallystick", a.environment.source_hash[:12], b.environment.source_hash[:12]),
        ]
        packages = a.environment.packages, b.environment.packages
        pairs += [(name, packages[0].get(name), packages[1].get(name)) for name in sorted({*packages[0], *packages[1]})]
        variables = a.environment.variables, b.environment.variables
        names = sorted({*variables[0], *variables[1]})
        pairs += [(f"${name}", variables[0].get(name), variables[1].get(name)) for name in names]
    for what, old, new in pairs:
        if old != new:
            found.append(Values(what, _told(old), _told(new)))
    return found


def _told(value: object) -> str:
    return "–" if value is None else "yes" if value is True else "no" if value is False else str(value)
