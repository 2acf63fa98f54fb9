"""A file in ONNX's format as a candidate: fitted elsewhere, so judged only after its declared end of training."""

from __future__ import annotations

import msgspec

from tallystick.ledger.events.commit import from_micros
from tallystick.pipeline.config.windows import Window
from tallystick.pipeline.models.onnx_model import OnnxModel

MEDIA_TYPE = "application/onnx"


class OnnxFile(msgspec.Struct, frozen=True):
    """An imported model and what its candidate declares of it."""

    artifact: str
    """BLAKE3 of the file."""
    data: bytes
    trained_until: int
    """The model knows nothing from this moment on, as declared; microseconds UTC."""
    classification: bool
    not_judged: tuple[str, ...] = ()
    """Labels of the run's windows whose cut-off lies before the end of training."""

    def knew(self, window: Window) -> bool:
        """Whether its training may have seen what a window is judged on."""
        return window.cutoff < self.trained_until

    def built(self) -> OnnxModel:
        """The estimator; its ``fit`` checks the file and changes nothing."""
        return OnnxModel(self.data, self.classification)

    @property
    def until(self) -> str:
        """The end of its training in words."""
        return f"{from_micros(self.trained_until):%Y-%m-%d %H:%M} UTC"
