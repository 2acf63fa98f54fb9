"""A part of a model in the data format of the library that made it.

Stored model files hold this class by its path, so neither the class nor its attributes are ever renamed.
"""

from __future__ import annotations


class NativePart:
    """What stands in a model file in place of a LightGBM or XGBoost booster or a CatBoost model."""

    def __init__(self, format: str, version: str, data: bytes, facts: dict[str, str | int]) -> None:
        self.format = format
        """``lightgbm-text``, ``xgboost-json`` or ``catboost-cbm``."""
        self.version = version
        """Of the library that wrote it."""
        self.data = data
        self.facts = facts
        """What the format does not hold: the number of trees to use, the class of the estimator."""
