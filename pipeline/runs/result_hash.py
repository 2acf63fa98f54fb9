"""What a run came to as one hash, so that two runs compare at a glance."""

from __future__ import annotations

from collections.abc import Sequence

from blake3 import blake3

from tallystick.ledger.events.event import encode_canonical
from tallystick.pipeline.evaluate.backtest import Described, Judged
from tallystick.pipeline.runs.start import CHAMPION


def result_hash(described: Sequence[Described], judged: Sequence[Judged]) -> str:
    """Over what configuration and slice alone determine: rows, predictions, metrics, by window.

    Durations are left out, and so is everything that depends on who is champion at the moment.
    """
    content = [
        [
            item.window.label,
            item.train_hash,
            item.test_hash,
            [
                [found.candidate, found.prediction_hash, found.metrics]
                for found in judged
                if found.label == item.window.label and found.candidate != CHAMPION
            ],
        ]
        for item in described
    ]
    return blake3(encode_canonical(content)).hexdigest()
