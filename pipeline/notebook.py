"""A notebook's model, kept so that a pipeline can judge it in time.

    with tallystick.run("churn-notebook") as run:
        run.model(fitted, name="trees")

Only the unfitted copy is ever judged: a pipeline file names it (``from = "trial:churn-notebook/…"``), and it is fitted
anew in every window. The fitted one is kept as the notebook made it, an experiment's model that nothing promotes.
"""

from __future__ import annotations

from typing import Any

from tallystick.ledger.tracking.trial import StoredModel, make_models_with


def as_files(fitted: Any) -> StoredModel:
    """A fitted scikit-learn estimator as two model files, the second of an unfitted copy.

    Raises
    ------
    Refused
        Where it contains types that no loader would build.
    """
    from sklearn.base import clone

    from tallystick.pipeline.models.model_file import MEDIA_TYPE, dump

    kind = type(fitted)
    packages = {kind.__module__.partition(".")[0]}
    file, unfitted = dump(fitted, packages), dump(clone(fitted), packages)
    return StoredModel(
        estimator=f"{kind.__module__}:{kind.__qualname__}",
        fitted=file.data,
        unfitted=unfitted.data,
        media_type=MEDIA_TYPE,
        trusted_types=file.trusted_types,
        libraries=file.libraries,
        params=fitted.get_params(deep=True),
        features=[str(column) for column in getattr(fitted, "feature_names_in_", ())],
    )


make_models_with(as_files)
