"""Readers of MLflow's stores: ``meta.yaml``, lines of numbers, and a whole folder that is imported."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import msgspec
from foreign import Target
from mlflow_stores import FIXTURES
from scratch import at_home, scratch, text_of_folder, write

from tallystick import ledger as face
from tallystick.ledger.exchange.from_mlflow.importer import ImportOptions, import_store
from tallystick.ledger.exchange.from_mlflow.metric_lines import plain_curve, read_lines
from tallystick.ledger.exchange.from_mlflow.yaml_text import read_mapping

LINES = ["1700000000000 0.25 3\n1700000001000 nan 4\n", "1 2\n1 -inf -5 table 00ab\n", "1 1e-3 0 run table digest\n"]


def _yaml() -> Target:
    files = sorted(FIXTURES.rglob("meta.yaml"))
    return Target(read_mapping, [file.read_text() for file in files], sample=1_000)


def _numbers() -> Target:
    def parse(text: str) -> object:
        quick, slow = plain_curve("k", text), read_lines(text, of_model=False)
        if quick is not None:
            assert not slow.odd
            assert list(map(repr, quick.values)) == [repr(point.value) for point in slow.points]
            assert quick.steps == [point.step for point in slow.points]
        models = read_lines(text, of_model=True)
        if not slow.points and not models.points:
            raise face.TallyError("no numbers")
        return slow

    return Target(parse, LINES, sample=1_000)


def _folder() -> Target:
    place = scratch("mlflow")
    with at_home(place):
        face.create(place / "own", name="p", timezone="UTC", key_home="file").close()

    def parse(text: str) -> object:
        store, work = place / "mlruns", place / "work"
        for folder in (store, work):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(place / "own", work)
        write(store, text)
        with at_home(work), face.open(work / ".tally") as own:
            done = import_store(own, store, ImportOptions("reference"))
            again = import_store(own, store, ImportOptions("reference"))
            assert again.events == 0, msgspec.to_builtins(again)
            if done.losses:
                raise face.TallyError(f"{len(done.losses)} losses")
            return done

    return Target(parse, [text_of_folder(FIXTURES / "mlruns")], sample=8)


MLFLOW: dict[str, Callable[[], Target]] = {"mlflow yaml": _yaml, "mlflow numbers": _numbers, "mlflow folder": _folder}
