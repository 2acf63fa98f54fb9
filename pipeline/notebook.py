"""A notebook's model, kept so that a pipeline can judge it in time.

    with tallystick.run("churn-notebook") as run:
        run.model(fitted, name="trees")

Only the unfitted copy is ever judged: a pipeline file names it (``from = "trial:churn-notebook/…"``), and it is fitted
anew in every window. The fitted one is kept as the notebook made it, an experiment's model that nothing promotes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tallystick.ledger.tracking.trial import StoredModel, Trial, begin


class NotebookRun(Trial):
    """A trial that can keep fitted models."""

    def model(self, fitted: Any, *, name: str) -> None:
        """Keep a fitted scikit-learn estimator, and an unfitted copy with its parameters.

        What cannot be kept as a model file is left out with a warning that says why; the training goes on.

        Parameters
        ----------
        fitted : estimator
            Anything that scikit-learn's ``clone`` copies and a model file can hold.
        name : str
            What it is called in the trial.
        """
        try:
            model = as_files(fitted, name)
        except Exception as error:  # noqa: BLE001 - recording must not kill a training
            self.left_out(error, name)
        else:
            self.store_model(model)


def as_files(fitted: Any, name: str) -> StoredModel:
    """A fitted estimator as two model files, the second of an unfitted copy.

    Raises
    ------
    Refused
        Where it contains types that no loader would build.
    """
    from sklearn.base import clone

    from tallystick.pipeline.models.model_file import MEDIA_TYPE, dump

    file, unfitted = dump(fitted), dump(clone(fitted))
    kind = type(fitted)
    return StoredModel(
        name=name,
        estimator=f"{kind.__module__}:{kind.__qualname__}",
        fitted=file.data,
        unfitted=unfitted.data,
        media_type=MEDIA_TYPE,
        trusted_types=file.trusted_types,
        libraries=file.libraries,
        params=fitted.get_params(deep=True),
        features=[str(column) for column in getattr(fitted, "feature_names_in_", ())],
    )


def run(name: str, *, params: Mapping[str, object] | None = None, folder: Path | str | None = None) -> NotebookRun:
    """Begin to record a trial; never raises because of the ledger.

    Parameters
    ----------
    name : str
        What is tried, ``churn-notebook``; date and six letters are added.
    params : mapping, optional
        Settings of it: anything that JSON can hold; other values are written as their text.
    folder : path, optional
        The ledger, or a folder in or below which it lies; else ``TALLY_LEDGER``, else found upwards from here. Where
        there is none yet, records wait until there is one in this folder.

    Examples
    --------
    >>> import tallystick
    >>> with tallystick.run("churn-notebook", params={"depth": 4}) as run:  # doctest: +SKIP
    ...     run.log(step=1, loss=0.3)
    ...     run.model(fitted, name="trees")
    """
    return begin(NotebookRun, name, params, folder)
