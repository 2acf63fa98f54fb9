"""A notebook's model: kept, judged in time as an unfitted copy, and traced back to the notebook."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from tiny import done, silent, table, tiny

import tallystick
from tallystick import ledger
from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events import types as say
from tallystick.ledger.query.lineage import lineage
from tallystick.pipeline import reproduce
from tallystick.pipeline.config.load import ConfigurationError, read

FEATURES = ["sched_dep_time", "distance"]


def fitted(columns: list[str]) -> object:
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline
    from sklearn.tree import DecisionTreeClassifier

    rows = table().to_pandas().dropna(subset=["arr_delay"])
    model = Pipeline(
        [
            ("columns", ColumnTransformer([("numbers", "passthrough", columns)])),
            ("tree", DecisionTreeClassifier(max_leaf_nodes=8, min_samples_leaf=100)),
        ]
    )
    return model.fit(rows[columns], (rows["arr_delay"] > 15).astype(int))


def noted(folder: Path, model: object, name: str = "trees") -> str:
    """A notebook that keeps its model; the trial's name."""
    with tallystick.run("churn-notebook", params={"leaves": 8}, folder=folder) as run:
        run.model(model, name=name)
    return run.name


def judging(folder: Path, source: str, params: str = "") -> Path:
    """The tiny pipeline whose second candidate comes from a trial."""
    file = tiny(folder)
    candidate = f'[candidates.mine]\nfrom = "{source}"\nparams = {{ {params} }}\ncomplexity = 1\nwhy = "x"\n'
    file.write_text(re.sub(r"\[candidates\.logistic\].*?(?=\n\[)", candidate, file.read_text(), flags=re.DOTALL))
    return file


def test_a_notebooks_model_is_judged_as_an_unfitted_copy_and_traced_back(tmp_path: Path) -> None:
    ledger.create(tmp_path, timezone="America/New_York").close()
    trial = noted(tmp_path, fitted(FEATURES))
    file = judging(tmp_path, f"trial:{trial}")
    with ledger.open(tmp_path) as book:
        kept = next(entry.event.body for entry in book.now().counted_events(types=["trial.modelled"]))
        assert (kept.name, kept.estimator) == ("trees", "sklearn.pipeline:Pipeline")
        assert kept.params["tree__max_leaf_nodes"] == 8
        assert kept.artifact != kept.unfitted
        report = done(book, file, workers=2)
        assert report.selection.chosen == "mine"
        hashes = {item.prediction_hash for item in report.judged if item.candidate == "mine"}
        assert len(hashes) == 3, "fitted anew in every window"
        assert reproduce(book, report.outline.run, workers=1, on_progress=silent).body.verdict == "identical"
        part = lineage(book.now().links, f"model:{report.model}", "up")
        edges = [(edge.upper, edge.kind, edge.lower) for edge in part.edges]
        assert (f"trial:{trial}", "gave a candidate to", f"run:{report.outline.run}") in edges
        assert (f"run:{report.outline.run}", "made", f"model:{report.model}") in edges


def test_parameters_of_the_file_take_the_place_of_the_notebooks(tmp_path: Path) -> None:
    ledger.create(tmp_path, timezone="America/New_York").close()
    trial = noted(tmp_path, fitted(FEATURES))
    with ledger.open(tmp_path) as book:
        first = done(book, judging(tmp_path, f"trial:{trial}#trees"))
        second = done(book, judging(tmp_path, f"trial:{trial}", '"tree__max_leaf_nodes" = 2'))
    ours, theirs = (
        next(item.predictions for item in report.judged if item.candidate == "mine") for report in (first, second)
    )
    assert len(np.unique(theirs)) == 2 < len(np.unique(ours))


def test_what_cannot_be_found_or_fitted_is_named(tmp_path: Path) -> None:
    ledger.create(tmp_path, timezone="America/New_York").close()
    trial = noted(tmp_path, fitted([*FEATURES, "dep_delay"]))
    with ledger.open(tmp_path) as book:
        with pytest.raises(InvalidInput, match=r"mine cannot be fitted in 2013-08.*dep_delay"):
            done(book, judging(tmp_path, f"trial:{trial}"))
        with pytest.raises(InvalidInput, match=r"mine: trial .* stored no model 'other'") as wrong:
            done(book, judging(tmp_path, f"trial:{trial}#other"))
        assert wrong.value.hint == "It stored trees."
        with pytest.raises(InvalidInput, match=r"mine: from = .* names no one trial"):
            done(book, judging(tmp_path, "trial:nobody/2020"))
        assert book.now().runs() == []
    with pytest.raises(ConfigurationError, match="has neither the form trial:NAME/DATE"):
        read(judging(tmp_path, "churn-notebook"))


def test_a_model_that_cannot_be_kept_ends_no_notebook(tmp_path: Path) -> None:
    from sklearn.preprocessing import FunctionTransformer

    ledger.create(tmp_path, timezone="America/New_York").close()
    with (
        pytest.warns(RuntimeWarning, match="odd was left out"),
        tallystick.run("churn-notebook", folder=tmp_path) as run,
    ):
        run.model(FunctionTransformer(print), name="odd")
        run.log(loss=0.5)
    with ledger.open(tmp_path) as book:
        states = book.now().trials()
        assert [(state.status, state.points) for state in states] == [("finished", 1)]
        assert not [entry for entry in book.now().counted_events() if isinstance(entry.event.body, say.TrialModelled)]
