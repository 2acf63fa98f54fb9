"""The sample's pipeline with a class of a team's own, in a module beside it."""

from __future__ import annotations

import re
from pathlib import Path

from tiny import tiny

MODELS = '''
"""The team's models."""
from sklearn.base import BaseEstimator, ClassifierMixin, clone
import calendar_parts
from rules.hours import late_hours

class CalendarTrees(ClassifierMixin, BaseEstimator):
    """Trees on the hour and what the team knows of it."""

    def __init__(self, leaves=8, random_state=None):
        self.leaves = leaves
        self.random_state = random_state

    def _columns(self, X):
        import numpy as np
        return np.c_[X["sched_dep_time"].to_numpy(), late_hours(X["sched_dep_time"].to_numpy())]

    def fit(self, X, y):
        self.classes_ = [0, 1]
        self.model_ = calendar_parts.trees(self.leaves, self.random_state).fit(self._columns(X), y)
        return self

    def predict_proba(self, X):
        return self.model_.predict_proba(self._columns(X))
'''
PARTS = """
from sklearn.tree import DecisionTreeClassifier
def trees(leaves, seed):
    return DecisionTreeClassifier(max_leaf_nodes=leaves, min_samples_leaf=50, random_state=seed)
"""
HOURS = """
from . import limits
def late_hours(times):
    return (times >= limits.EVENING).astype(float)
"""


def own(folder: Path, *, params: str = "leaves = 8", estimator: str = "mymodels:CalendarTrees") -> Path:
    """The tiny pipeline with a class of the team's own, which imports a module and a package beside it."""
    file = tiny(folder)
    candidate = f'''[candidates.calendar]
estimator = "{estimator}"
params = {{ {params} }}
complexity = 1
why = "The team's own."
'''
    file.write_text(re.sub(r"\[candidates\.logistic\].*?(?=\n\[)", candidate, file.read_text(), flags=re.DOTALL))
    (folder / "mymodels.py").write_text(MODELS)
    (folder / "calendar_parts.py").write_text(PARTS)
    (folder / "rules").mkdir()
    (folder / "rules" / "__init__.py").write_text("")
    (folder / "rules" / "hours.py").write_text(HOURS)
    (folder / "rules" / "limits.py").write_text("EVENING = 1800\n")
    return file
