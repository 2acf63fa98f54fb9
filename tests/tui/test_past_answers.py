"""An answer about the past follows from what was recorded by then, and from erasures, which make values unknown.

Every read command is asked at positions of a life, before and after other things are appended: events of every kind,
corrections and decisions leave each answer as it was, byte for byte; erasures only turn values into unknown ones.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import older
import pytest
from click.testing import CliRunner
from given import Ticking
from histories import decided, finished, promoted, refitted, registered, started, taken
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lives import LATE, SHOWS, finding, gate, live, waiver, watched

from tallystick import ledger
from tallystick.ledger.amend.redaction import KEPT, redact
from tallystick.ledger.errors import TallyError
from tallystick.ledger.events import types as say
from tallystick.ledger.events.encoding import Draft
from tallystick.tui.cli.main import tally

V1, V2 = f"{LATE}-v1", f"{LATE}-v2"
LATER = dt.datetime(2014, 3, 1, tzinfo=dt.UTC)
QUESTIONS = (
    ("champion", LATE), ("status",), ("models",), ("runs",), ("audit",), ("automation", LATE), ("explain", V1),
    ("explain", "2013-07-30.1"), ("explain", f"{LATE}/2013-09"), ("why", f"{LATE}.champion"), ("why", f"{V1}.status"),
    ("story", LATE), ("story", V2), ("know", "--about", "2013-04"), ("lineage", V1), ("log",), ("show", "#25"),
    ("show", f"model:{V1}"), ("show", f"gate:{V2}/calibration_in_large"), ("trials",),
    ("sql", "select * from gates"), ("sql", "select * from pipelines"),
)  # fmt: skip


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("past") / "team"
    live(folder).close()
    return folder


@contextmanager
def copy_of(told: Path) -> Iterator[Path]:
    # Each copy goes on by itself, so the account must not remember the one before.
    with tempfile.TemporaryDirectory() as temporary, mock.patch.dict(os.environ, XDG_STATE_HOME=f"{temporary}/state"):
        shutil.copytree(told, Path(temporary) / "team")
        yield Path(temporary) / "team"


def ask(folder: Path, position: str, *question: str) -> str:
    """What a program reads: standard output and the exit code, or the error."""
    words = [*question, "--as-of", position, "--json", "--ledger", str(folder)]
    done = CliRunner().invoke(tally, words, obj=None)
    if isinstance(done.exception, TallyError):
        return f"{type(done.exception).__name__}: {done.exception.message}"
    assert done.exception is None or isinstance(done.exception, SystemExit), (question, done.exception)
    return f"{done.exit_code}\n{done.stdout}"


def answers(folder: Path, positions: tuple[str, ...]) -> dict[tuple[str, ...], str]:
    return {(at, *question): ask(folder, at, *question) for at in positions for question in QUESTIONS}


appended: tuple[Draft | say.Body, ...] = (
    registered(LATE, "cd" * 32), started("2013-10-20.1", LATE), taken("2013-10-20.1", LATE),
    refitted(f"{LATE}-v3", "2013-10-20.1", LATE), refitted(V1, "2013-10-20.1", LATE),
    decided("2013-10-20.1", LATE, f"{LATE}-v3"), finished("2013-10-20.1", LATE), promoted(V1, LATE, V2),
    promoted(f"{SHOWS}-v1", LATE, None), gate(V2, LATE, "2013-07-30.1", "optimism_gap", "failed", "It is larger."),
    say.ModelRetired(model=V2, pipeline=LATE, decision=f"{LATE}/retirement-1", reason="it is old"),
    waiver(V2, LATE, "optimism_gap", LATER, "it is repaired within a month"),
    watched(LATE, V2, 4, "alarm", "It got worse."), finding(LATE, V2, 9, "schema", "alarm", "A column is gone."),
    say.WaiverEnded(waiver=f"{V2}/calibration_in_large/1", gate=f"{V2}/calibration_in_large", model=V2, pipeline=LATE,
                    reason="over"),
    say.AutomationChanged(automation=LATE, pipeline=LATE, level="suggest", before="manual", quiet_periods=1, needed=1,
                          approvers=[], reason="so"),
    say.LeakageChecked(run="2013-07-30.1", pipeline=LATE, result="fail", checks=[]),
)  # fmt: skip


@settings(deadline=None, max_examples=4, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.sampled_from(appended), min_size=1, max_size=6),
    st.lists(st.integers(1, 87), max_size=3),
    st.sampled_from((30, 50, 79, 84, 87)),
)
def test_what_comes_later_changes_no_answer_about_the_past(
    told: Path, new: list[Draft | say.Body], corrected: list[int], seq: int
) -> None:
    with copy_of(told) as folder:
        before = answers(folder, (f"#{seq}",))
        with ledger.open(folder, clock=Ticking(dt.datetime(2013, 11, 1, tzinfo=dt.UTC))) as book:
            for event in new:
                book.append(event, sign=True)
            for wrong in corrected:
                if book.log.event(wrong).type not in KEPT and book.now().correction(wrong) is None:
                    older.set_aside(book, wrong, "it was a mistake")
        after = answers(folder, (f"#{seq}",))
        assert after == before


@pytest.mark.parametrize("how", [redact, older.redact], ids=["now", "as before"])
def test_an_erased_promotion_is_not_forgotten(told: Path, how: Any) -> None:
    with copy_of(told) as folder:
        before = json.loads(ask(folder, "#80", "champion", LATE).partition("\n")[2])
        with ledger.open(folder, clock=Ticking(dt.datetime(2013, 11, 1, tzinfo=dt.UTC))) as book:
            how(book, 79, "it names a person", "the law")
        after = json.loads(ask(folder, "#80", "champion", LATE).partition("\n")[2])
        (said,) = after["as_of"].pop("erased")
        assert (said["type"], said["on"]) == ("model.promoted", "2013-10-31")
        unknown = {"unknown": "erased", "event": 79, "redaction": said["redaction"], "on": "2013-10-31"}
        if how is redact:
            assert after["champion"]["model"] == before["champion"]["model"] == V2
            assert after["champion"]["reason"] == after["promotion"]["reason"] == unknown
            after["champion"]["reason"] = before["champion"]["reason"]
            after["promotion"]["reason"] = before["promotion"]["reason"]
            assert after == before
        else:
            assert after["champion"] == unknown
        words = CliRunner().invoke(tally, ["champion", LATE, "--as-of", "#80", "--ledger", str(folder)]).output
        assert "nobody has promoted" not in words
        assert "unknown: the content of #79 was erased on 2013-10-31" in words


@pytest.mark.parametrize("how", [redact, older.redact], ids=["now", "as before"])
def test_whatever_is_erased_every_command_answers(told: Path, how: Any) -> None:
    """Each kind of event is erased once; nothing crashes, and no document is silent about it."""
    with ledger.open(told) as book:
        first = {}
        for found in book.now().events():
            if found.type not in KEPT:
                first[found.type] = found.seq
    for seq in first.values():
        with copy_of(told) as folder:
            with ledger.open(folder, clock=Ticking(dt.datetime(2013, 11, 1, tzinfo=dt.UTC))) as book:
                how(book, seq, "it names a person", "the law")
            for question, answer in answers(folder, ("#87",)).items():
                text = answer.partition("\n")[2]
                if question[1] != "log" and text and "as_of" in (document := json.loads(text)):
                    assert [item["event"].partition("-")[0] for item in document["as_of"]["erased"]] == [f"#{seq}"], (
                        question
                    )
