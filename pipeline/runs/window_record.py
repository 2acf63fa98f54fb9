"""What a run has computed of its windows, as it is recorded and as it is compared."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

import numpy as np

from tallystick.ledger import Artifact
from tallystick.ledger.events import types as say
from tallystick.ledger.events.commit import from_micros
from tallystick.ledger.events.event import About
from tallystick.pipeline.config.durations import parse_span
from tallystick.pipeline.config.settings import RANKINGS
from tallystick.pipeline.evaluate.backtest import Described, Judged
from tallystick.pipeline.evaluate.losses import gain_of
from tallystick.pipeline.evaluate.optimism import Optimism
from tallystick.pipeline.evaluate.stability import Scores, WindowLosses
from tallystick.pipeline.evaluate.stability import scores as compare
from tallystick.pipeline.leakage.checks import worst_of
from tallystick.pipeline.leakage.judge import RULE
from tallystick.pipeline.runs.start import Outline


def about_window(outline: Outline, described: Described) -> About:
    """The times that a window is about."""
    window = described.window
    begin = outline.slice.first_time if window.train_start is None else window.train_start
    return About(
        trained_on=(from_micros(min(begin, window.cutoff)), from_micros(window.cutoff)),
        tested_on=(from_micros(window.start), from_micros(window.end)),
    )


def described_body(outline: Outline, described: Described) -> say.WindowDescribed:
    """The rows of a window, as they are recorded."""
    window = described.window
    zone = ZoneInfo(outline.loaded.settings.time.timezone)
    return say.WindowDescribed(
        run=outline.run,
        pipeline=outline.loaded.settings.name,
        window=f"{outline.loaded.settings.name}/{window.label}",
        slice=outline.slice.name,
        label=window.label,
        cutoff=from_micros(window.cutoff),
        start_local=from_micros(window.start).astimezone(zone).isoformat(),
        end_local=from_micros(window.end).astimezone(zone).isoformat(),
        train_rows=described.train_rows,
        test_rows=described.test_rows,
        immature_rows=described.immature_rows,
        removed_for_overlap=described.removed_for_overlap,
        complete=described.complete,
        train_hash=described.train_hash,
        test_hash=described.test_hash,
        test_columns=described.test_columns,
        train_target=described.train_target,
        test_target=described.test_target,
        overlap=described.overlap,
        new_levels=described.new_levels,
        missing=described.missing,
        histograms=described.histograms,
        warnings=described.warnings,
    )


def _gain(outline: Outline, item: Judged, reference: Judged) -> float | None:
    """What a candidate gains on the reference; None for the reference itself."""
    settings = outline.loaded.settings
    metric = settings.selection.metric
    ours, theirs = (found.metrics[metric].value for found in (item, reference))
    return None if item.candidate == settings.reference else gain_of(metric, ours, theirs)


def evaluated(
    outline: Outline, item: Judged, reference: Judged, predictions: Artifact, losses: Artifact
) -> say.WindowEvaluated:
    """The result of a candidate in a window, as it is recorded."""
    recipe = next(recipe for recipe in outline.recipes if recipe.name == item.candidate)
    return say.WindowEvaluated(
        run=outline.run,
        pipeline=outline.loaded.settings.name,
        window=f"{outline.loaded.settings.name}/{item.label}",
        slice=outline.slice.name,
        label=item.label,
        candidate=item.candidate,
        recipe_hash=recipe.hash,
        metrics=item.metrics,
        gain=_gain(outline, item, reference),
        metrics_by_overlap=item.metrics_by_overlap,
        reliability=item.reliability,
        scores=item.scores,
        prediction_hash=item.prediction_hash,
        predictions=predictions.hash,
        losses=losses.hash,
        fit_seconds=round(item.fit_seconds, 3),
        predict_seconds=round(item.predict_seconds, 3),
        warnings=item.warnings,
    )


def leakage_body(
    run: str, pipeline: str, checks: list[say.Check], questions: list[say.LeakQuestion]
) -> say.LeakageJudged:
    """The leakage checks of a run with its questions, for the record."""
    return say.LeakageJudged(
        run=run, pipeline=pipeline, result=worst_of(checks), checks=checks, rule=RULE, questions=questions
    )


def optimism_body(outline: Outline, item: Optimism) -> say.OptimismMeasured:
    """What a random split promised of a candidate, as it is recorded."""
    return say.OptimismMeasured(
        run=outline.run,
        pipeline=outline.loaded.settings.name,
        candidate=item.candidate,
        metric=item.metric,
        windows=item.windows,
        mean_walk_forward=item.walk_forward,
        mean_random=item.random,
        mean_gap=float(np.mean(item.gaps)) if item.gaps else None,
        positive_windows=sum(gap > 0 for gap in item.gaps),
        sentence=item.sentence,
    )


def scores_of(outline: Outline, described: Sequence[Described], judged: Sequence[Judged]) -> Scores | None:
    """Scores over the complete windows of the candidates that were judged in each; None without such a window."""
    settings = outline.loaded.settings
    reference, windows = settings.reference, []
    ranks = settings.selection.metric in RANKINGS
    summed = "sum_ranking" if ranks else "sum_loss"
    partly = {
        recipe.name for recipe in outline.recipes for item in described if item.complete and recipe.knew(item.window)
    }
    for item in described:
        if not item.complete:
            continue
        label = item.window.label
        whole = {
            cell.candidate: cell.losses[cell.losses["segment"] == ""]
            for cell in judged
            if cell.label == label and cell.candidate not in partly
        }
        windows.append(
            WindowLosses(
                label,
                tuple(whole[reference]["unit"]),
                whole[reference]["rows"].to_numpy(dtype=np.float64),
                {name: table[summed].to_numpy(dtype=np.float64) for name, table in whole.items()},
                ranks,
            )
        )
    if not windows:
        return None
    rule = settings.selection
    return compare(
        windows,
        reference=reference,
        confidence=rule.confidence,
        seed=rule.seed,
        validity_windows=_horizon_windows(outline),
    )


def _horizon_windows(outline: Outline) -> float:
    """The validity, counted in windows of average length."""
    windows = outline.windows
    length = (windows[-1].end - windows[0].start) / len(windows)
    return parse_span(outline.loaded.settings.validity.valid_for).exact_micros("valid_for") / length
