"""Autumn 2013 in a small team: a model is chosen, another one insists, and September is not like the months before.

The steps are the story; each does what the command of that name does. The words of the people are written here, all
that the program says is computed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import NamedTuple

from tallystick.ledger import Ledger
from tallystick.ledger.amend.redaction import redact
from tallystick.ledger.errors import Refused
from tallystick.ledger.query.as_of import parse_moment
from tallystick.ledger.tlog.note import parse_receipt, receipt_line
from tallystick.pipeline.governance.promotion import GatesClosed, promote
from tallystick.pipeline.governance.waivers import waive
from tallystick.pipeline.monitoring.monitor import monitor
from tallystick.pipeline.replay.demo.stage import Act, Person, Stage, Step, local
from tallystick.pipeline.runs.final_test import look
from tallystick.pipeline.runs.propose import propose
from tallystick.pipeline.runs.reproduce import reproduce
from tallystick.pipeline.runs.run import run
from tallystick.pipeline.runs.start import Purpose

PIPELINE = "late-arrivals"
STEADY, BETTER = f"{PIPELINE}-v1", f"{PIPELINE}-v2"
RUN = "2013-09-03.1"
RECEIPT = "receipt-2013-09-05.txt"
ANN = Person("Ann", "ann@example.org")  # makes the models
BEN = Person("Ben", "ben@example.org")  # answers for what passengers are told
CARLA = Person("Carla", "carla@example.org")  # is on call
DAN = Person("Dan", "dan@example.org")  # has been here for a week
EVE = Person("Eve", "privacy@example.org")  # looks after personal data

OTHER_END = "The story went otherwise on this machine than where it was written"


class ToldStep(NamedTuple):
    """One step that is over."""

    at: dt.datetime
    who: Person
    doing: str
    sentence: str
    commit: str


def tell(stage: Stage) -> Iterator[ToldStep]:
    """Live the whole story, step by step; each is in the ledger when it is told."""
    begun, of = 0, sum(step.parts for step in STEPS)
    for step in STEPS:
        stage.begin(f"{step.who.name} {step.doing}", begun, step.parts, of)
        stage.clock.move_to(local(step.at))
        with stage.as_person(step.who) as book:
            sentence = step.act(stage, book)
            book.checkpoint()
            commit = book.commit_handle(book.now().as_of.n)
        begun += step.parts
        yield ToldStep(local(step.at), step.who, step.doing, sentence, commit)


# What people do --------------------------------------------------------------------------------------------


def _run(stage: Stage, book: Ledger) -> str:
    stage.arrive(*(f"2013-{month:02d}" for month in range(1, 9)))
    report = run(
        book, stage.pipeline(), workers=stage.workers, on_outline=lambda _outline: None, on_progress=stage.progress
    )
    return report.headline


def _reproduce(stage: Stage, book: Ledger) -> str:
    return reproduce(book, RUN, workers=stage.workers, on_progress=stage.progress).body.sentence


def _propose(candidate: str, reason: str) -> Act:
    def act(_stage: Stage, book: Ledger) -> str:
        made = propose(book, RUN, candidate, reason)
        return f"{made.body.model} is {candidate}, which leads by the mean and was not chosen by the rule."

    return act


def _look(model: str) -> Act:
    def act(stage: Stage, book: Ledger) -> str:
        command = f"tally final-test {model}"
        return look(book, model, command=command, file=None, workers=stage.workers, on_progress=stage.progress)[
            1
        ].sentence

    return act


def _refused(model: str, reason: str) -> Act:
    def act(_stage: Stage, book: Ledger) -> str:
        try:
            promote(book, model, reason)
        except GatesClosed as closed:
            shut = [gate for gate in closed.gates if gate.verdict != "passed"]
            return f"Refused. {' '.join(gate.sentence for gate in shut)}"
        raise Refused(f"{OTHER_END}: no gate held {model} back.", "Please report it.")

    return act


def _promote(model: str, reason: str, receipt: str | None = None) -> Act:
    def act(stage: Stage, book: Ledger) -> str:
        headline = promote(book, model, reason).body.headline
        if receipt is not None:
            (stage.folder / receipt).write_text(
                f"{receipt_line(parse_receipt(book.checkpoint()).checkpoint)}\n", encoding="utf-8"
            )
        return headline

    return act


def _waive(gate: str, model: str, reason: str, until: str) -> Act:
    def act(_stage: Stage, book: Ledger) -> str:
        body, _ = waive(
            book,
            gate,
            model,
            reason=reason,
            owner=ANN.address,
            approver=BEN.address,
            until=parse_moment(until, book.zone, book.clock()),
            evidence=None,
            ends_when=None,
        )
        return f"Gate {body.name} of {body.model} is waived until {until}; then it counts again by itself."

    return act


def _monitor(month: str) -> Act:
    def act(stage: Stage, book: Ledger) -> str:
        stage.arrive(month)
        return monitor(book, stage.pipeline(), month).body.headline

    return act


def _experiment(reason: str, changes: dict[str, str]) -> Act:
    def act(stage: Stage, book: Ledger) -> str:
        stage.edit(changes)
        report = run(
            book,
            stage.pipeline(),
            workers=stage.workers,
            on_outline=lambda _outline: None,
            on_progress=stage.progress,
            purpose=Purpose(experiment=True, reason=reason),
        )
        return report.reasons[-1].sentence

    return act


def _redact(reason: str, authority: str) -> Act:
    def act(_stage: Stage, book: Ledger) -> str:
        seq = next(found.seq for found in book.now().events(types=["candidate.proposed"]))
        redact(book, seq, reason, authority)
        return f"The content of #{seq} is gone; its hashes stay, and every proof still holds."

    return act


# The story -------------------------------------------------------------------------------------------------

STEPS = (
    Step("2013-09-03 09:12", ANN, "runs the pipeline on eight months of flights", _run, 20),
    Step(
        "2013-09-04 10:05",
        DAN,
        "puts the other candidate forward",
        _propose(
            "small_trees",
            "Maria Lopez (maria.lopez@example.com, seat 14C to San Francisco) missed her connection and had got no "
            "warning from us; small_trees would have warned her, and it leads by the mean.",
        ),
        2,
    ),
    Step("2013-09-04 14:10", CARLA, "does the run again at her own desk", _reproduce, 8),
    Step("2013-09-04 15:30", ANN, "opens the sealed August for the model of the rule", _look(STEADY), 3),
    Step("2013-09-04 15:50", ANN, "opens it for the other one", _look(BETTER), 3),
    Step(
        "2013-09-05 09:20",
        DAN,
        "asks to promote the one with the better mean",
        _refused(BETTER, "It has the lowest loss on average, and it would have warned more people in July."),
    ),
    Step(
        "2013-09-05 11:00",
        BEN,
        "promotes the steady one and keeps the receipt",
        _promote(
            STEADY,
            "Never worse than saying nothing, in any month, and the desk can read its coefficients.",
            RECEIPT,
        ),
    ),
    Step("2013-10-02 08:45", CARLA, "watches September", _monitor("2013-09"), 2),
    Step(
        "2013-10-04 10:00",
        ANN,
        "asks for a waiver, Ben approves it",
        _waive(
            "calibration_in_large",
            BETTER,
            "May was judged by a model of four months; this one has learned from eight. A recalibrated one is due "
            "by the end of October.",
            "2013-10-31",
        ),
    ),
    Step(
        "2013-10-07 09:00",
        BEN,
        "promotes the other model, on the waiver",
        _promote(
            BETTER, "After September's false warnings we try the model with the better mean, for this month only."
        ),
    ),
    Step("2013-11-04 08:50", CARLA, "watches October; the waiver is over", _monitor("2013-10"), 2),
    Step(
        "2013-11-05 16:00",
        BEN,
        "rolls back",
        _promote(
            STEADY,
            "The waiver is over and nobody has recalibrated anything; October says that v2 ranks worse than it ever "
            "did. Back to the model that stands on its own gates until there is a better one.",
        ),
    ),
    Step(
        "2013-11-12 11:30",
        EVE,
        "has a passenger's name erased",
        _redact(
            "The reason names a passenger, with her address and seat; she has asked us to erase it.",
            "Privacy office, request 2013-118",
        ),
    ),
    Step("2013-12-03 09:05", CARLA, "watches November", _monitor("2013-11"), 2),
    Step(
        "2013-12-10 13:30",
        ANN,
        "tries a shorter memory, as an experiment",
        _experiment(
            "The level moved in September; a model that remembers three months only might follow it.",
            {
                'train       = "expanding" ': 'train       = { rolling = "3 months" } ',
                "first_test  = 2013-05-01": "first_test  = 2013-07-01",
                "last_test   = 2013-08-01": "last_test   = 2013-11-01",
                'test  = ["2013-08"]': 'test  = ["2013-11"]',
            },
        ),
        14,
    ),
)
