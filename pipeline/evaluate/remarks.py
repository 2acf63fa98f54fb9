"""What is worth knowing beside a decision; nothing is decided on it."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.pipeline.config.settings import Pipeline
from tallystick.pipeline.evaluate import sentences
from tallystick.pipeline.evaluate.backtest import Described, Judged
from tallystick.pipeline.evaluate.selection import Selection
from tallystick.pipeline.evaluate.stability import Scores


def remarks_on(
    scores: Scores | None,
    selection: Selection,
    described: Sequence[Described],
    judged: Sequence[Judged],
    settings: Pipeline,
    context: sentences.Context,
) -> list[str]:
    """Sentences about the pair at the top, the trajectory of who is chosen or leads, noise, chance and groups."""
    if scores is None or selection.leader is None:
        return []
    said = []
    if selection.runner_up is not None:
        said.append(sentences.pair_sentence(scores.pair(selection.leader, selection.runner_up), scores, context))
    subject = scores.of(selection.chosen or selection.leader)
    said.append(sentences.trajectory_words(subject, scores.windows, context))
    said.append(sentences.noise_share_sentence(subject, context))
    if scores.smallest_p >= 0.05:
        said.append(sentences.smallest_p_sentence(len(scores.windows), scores.smallest_p))
    overlap = _overlap(subject.candidate, described, judged, settings)
    return said if overlap is None else [*said, overlap]


def _overlap(
    candidate: str, described: Sequence[Described], judged: Sequence[Judged], settings: Pipeline
) -> str | None:
    """How much of the test data belongs to groups that were trained on, and whether that matters."""
    group = settings.data.group
    overlaps = [item.overlap for item in described if item.overlap is not None]
    tested = sum(item.seen_rows + item.unseen_rows for item in overlaps)
    if group is None or group.overlap != "allowed" or not tested:
        return None
    metric = "roc_auc" if settings.data.target.rule is not None else settings.selection.metric
    means = {}
    for kind in ("seen groups", "unseen groups"):
        found = [item.metrics_by_overlap[kind][metric].value for item in judged if item.candidate == candidate]
        known = [value for value in found if value is not None]
        means[kind] = sum(known) / len(known) if known else None
    share = sum(item.seen_rows for item in overlaps) / tested
    return sentences.group_overlap_sentence(group.column, share, means["seen groups"], means["unseen groups"], metric)
