"""An unfitted estimator as a file: the copy of a notebook's model that is fitted anew in every window."""

from __future__ import annotations

from typing import Any

import msgspec

from tallystick.pipeline.models.model_file import load
from tallystick.pipeline.recipes import seeded


class Template(msgspec.Struct, frozen=True):
    """The unfitted copy that a trial stored."""

    artifact: str
    """BLAKE3 of the file."""
    data: bytes
    trial: str
    packages: frozenset[str] = frozenset()
    """The packages whose estimators it may hold: that of the class that the trial stored."""

    def built(self, seed: int, params: dict[str, Any]) -> Any:
        """A copy of its own, with the seed and with parameters of the pipeline file in place of the notebook's."""
        made = load(self.data, self.artifact, self.packages)
        return seeded(made.set_params(**params) if params else made, seed, params)
