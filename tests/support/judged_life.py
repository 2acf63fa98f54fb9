"""A run that passes its gates or not, a repetition, looks, signatures, waivers, promotions, watched months, automation.

With it, what must not get better when something of it is taken away: the gates that let a model through, and the
level of automation.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest
from given import FIXTURES, Ticking, seeded_salts
from judged import judged_run, passes_everything

from tallystick import ledger
from tallystick.ledger.errors import Refused, TallyError
from tallystick.ledger.events import types as say
from tallystick.ledger.events.approval import approval_event, sign_approval
from tallystick.ledger.tlog.note import SignerKey
from tallystick.pipeline.governance.automation import LEVELS, automation_of
from tallystick.pipeline.governance.gates import known_gates, standing
from tallystick.pipeline.governance.promotion import promote
from tallystick.pipeline.governance.waivers import end, waive

FILE = FIXTURES / "late-arrivals.toml"
PIPELINE, RUN, MODEL = "late-arrivals", "2013-01-01.1", "late-arrivals-v1"
BAD_RUN, BAD_MODEL = "2013-01-01.2", "late-arrivals-v2"
GOOD = {"2013-04": 0.05, "2013-05": 0.08, "2013-06": 0.04, "2013-07": 0.06}
BAD = {**GOOD, "2013-05": -0.2}


def watched(label: str, status: str) -> say.PeriodMonitored:
    number = say.Metric(value=0.5, standard_error=None, reason=None)
    return say.PeriodMonitored(
        period=f"{PIPELINE}/{label}", label=label, pipeline=PIPELINE, model=MODEL,
        labels_as_of=dt.datetime(2013, 12, 1, tzinfo=dt.UTC), source="parquet:x", fingerprint="ab" * 32, rows=100,
        immature_rows=0, status=status, decision="nothing", metrics={"log_loss": number},
        reference={"log_loss": number}, history=(), estimate=None, facts={}, reliability=[], histograms={}, columns={},
        losses=None, headline="As it was.", suggestion="Nothing to do.",
    )  # fmt: skip


def reproduced(number: int, verdict: str) -> say.RunReproduced:
    return say.RunReproduced(
        reproduction=f"{RUN}/{number}", run=RUN, pipeline=PIPELINE, environment="e" * 64, verdict=verdict, workers=1,
        tolerance=1e-9, result_hash="ab" * 32, largest_difference=0.5, changed_decisions=3, first_window="2013-04",
        first_candidate="small_trees", missing=[], facts={}, sentence="It came out otherwise.",
    )  # fmt: skip


def life(folder: Path) -> None:
    """Two models, of which one passes what it is asked; then it is watched, and its repetition fails."""
    clock = Ticking(dt.datetime(2013, 8, 1, tzinfo=dt.UTC))
    with ledger.create(folder, timezone="UTC", clock=clock, salts=seeded_salts(), key_home="file") as book:
        judged_run(book, FILE, RUN, GOOD)
        passes_everything(book, RUN, MODEL)
        promote(book, MODEL, "steady in every month")
        judged_run(book, FILE, BAD_RUN, BAD, model=BAD_MODEL)
        with pytest.raises(Refused):
            promote(book, BAD_MODEL, "it is newer")
        given_ = {"owner": "ann", "approver": "ben", "evidence": None, "ends_when": None}
        until = book.now().moment + dt.timedelta(days=30)
        granted = "it is repaired within this month"
        waive(book, "worst_window_gain", BAD_MODEL, reason=granted, until=until, **given_)  # type: ignore[arg-type]
        end(book, f"{BAD_MODEL}/worst_window_gain/1", "it was not repaired")
        for label, status in (("2013-04", "quiet"), ("2013-05", "quiet"), ("2013-06", "alarm"), ("2013-07", "quiet")):
            book.append(watched(label, status))
        change = say.AutomationChanged(
            automation=PIPELINE, pipeline=PIPELINE, level="suggest", before="manual", quiet_periods=1, needed=6,
            approvers=[], reason="as in spring",
        )  # fmt: skip
        book.append(change)
        book.append(watched("2013-08", "alarm"))
        seq = book.now().model(MODEL).made_by_event
        event, key = book.now().event(seq).id.hex(), SignerKey.generate("ann")
        note = sign_approval(book.origin, event, key)
        book.append(approval_event(note, key.verifier, event, None))
        book.append(reproduced(2, "different"), sign=True)


@contextmanager
def copy_of(told: Path) -> Iterator[ledger.Ledger]:
    """A copy that goes on a month later."""
    # Each copy goes on by itself, so the account must not remember the one before.
    with tempfile.TemporaryDirectory() as temporary, mock.patch.dict(os.environ, XDG_STATE_HOME=f"{temporary}/state"):
        shutil.copytree(told, Path(temporary) / "team")
        with ledger.open(Path(temporary) / "team", clock=Ticking(dt.datetime(2013, 9, 1, tzinfo=dt.UTC))) as book:
            yield book


def passed(now: ledger.Snapshot) -> set[tuple[str, str]]:
    """Gates that let a model through: judged now, and as they are shown."""
    found = set()
    for model in now.models():
        found |= {(model.model, gate.name) for gate in known_gates(now, model.model) if gate.stands(now.moment)}
        try:
            _, outcomes, _ = standing(now, model)
        except TallyError:
            continue  # what cannot be judged lets nothing through
        found |= {(f"now {model.model}", outcome.name) for outcome in outcomes if outcome.verdict == "passed"}
    return found


def level(now: ledger.Snapshot) -> int:
    try:
        state = automation_of(now, PIPELINE).state
    except TallyError:
        return 0
    return LEVELS.index(state.level) if state.level in LEVELS else 0
