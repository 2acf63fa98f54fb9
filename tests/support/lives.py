"""Two pipelines through most of a year: runs, gates, a waiver, promotions, watched months, a correction."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from given import Ticking, seeded_salts
from histories import HASH, decided, failed, finished, promoted, refitted, registered, started, taken
from older import set_aside

from tallystick import ledger
from tallystick.ledger.events import types as say
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.event import About

LATE, SHOWS = "late-arrivals", "no-shows"
CANDIDATES = ("base_rate", "small_trees")
GAINS = (0.041, 0.052, 0.047, 0.012, 0.055, 0.060, 0.049, 0.058)


def month(number: int) -> tuple[dt.datetime, dt.datetime]:
    """A month of 2013, ``[from, to)``."""
    following = dt.datetime(2013 + number // 12, number % 12 + 1, 1, tzinfo=dt.UTC)
    return dt.datetime(2013, number, 1, tzinfo=dt.UTC), following


def metric(value: float | None) -> say.Metric:
    return say.Metric(value=value, standard_error=0.01, reason=None)


def described(run: str, pipeline: str, number: int) -> Draft:
    label = f"2013-{number:02d}"
    body = say.WindowDescribed(
        run=run, pipeline=pipeline, window=f"{pipeline}/{label}", slice="0123456789ab", label=label,
        cutoff=month(number)[0], start_local=label, end_local=label, train_rows=14_182, test_rows=4_201,
        immature_rows=0, removed_for_overlap=0, complete=True, train_hash=HASH, test_hash=HASH, test_columns={},
        train_target={}, test_target={}, overlap=None, new_levels={}, missing={}, histograms={}, warnings=[],
    )  # fmt: skip
    return Draft(body, about=About(tested_on=month(number)))


def evaluated(run: str, pipeline: str, number: int, candidate: str, gain: float | None) -> Draft:
    label = f"2013-{number:02d}"
    loss = 0.52 - (gain or 0.0)
    body = say.WindowEvaluated(
        run=run, pipeline=pipeline, window=f"{pipeline}/{label}", slice="0123456789ab", label=label,
        candidate=candidate, recipe_hash=HASH,
        metrics={"log_loss": metric(loss), "roc_auc": metric(0.5 if gain is None else 0.68 + gain)}, gain=gain,
        metrics_by_overlap={}, reliability=[],
        scores=say.Levels(edges=None, levels=None, counts=[], other=0, missing=0), prediction_hash=HASH,
        predictions=HASH, losses=HASH, fit_seconds=0.1, predict_seconds=0.1, warnings=[],
    )  # fmt: skip
    return Draft(body, about=About(tested_on=month(number)))


def gate(model: str, pipeline: str, run: str, name: str, verdict: str, sentence: str) -> say.GateEvaluated:
    return say.GateEvaluated(
        gate=f"{model}/{name}", name=name, model=model, run=run, pipeline=pipeline, verdict=verdict, value=0.03,
        threshold="at most 0.02", facts={}, sentence=sentence, meaning_hash=HASH, loosened=[],
    )  # fmt: skip


def waiver(model: str, pipeline: str, name: str, until: dt.datetime, reason: str) -> say.WaiverGranted:
    return say.WaiverGranted(
        waiver=f"{model}/{name}/1", gate=f"{model}/{name}", name=name, model=model, pipeline=pipeline, reason=reason,
        owner="ana@example.org", approver="risk@example.org", until=until, ends_when=None, evidence=None, renewal=0,
    )  # fmt: skip


def watched(pipeline: str, model: str, number: int, status: str, headline: str) -> Draft:
    label = f"2013-{number:02d}"
    body = say.PeriodMonitored(
        period=f"{pipeline}/{label}", label=label, pipeline=pipeline, model=model, labels_as_of=month(number)[1],
        source="csv:live.csv", fingerprint=HASH, rows=4_100, immature_rows=0, status=status,
        decision="recalibrate" if status == "alarm" else "nothing", metrics={"log_loss": metric(0.48)}, reference={},
        history=(), estimate=None, facts={}, reliability=[], histograms={}, columns={}, losses=None,
        headline=headline, suggestion="Recalibrate." if status == "alarm" else "Nothing to do.",
    )  # fmt: skip
    return Draft(body, about=About(observed_in=month(number)))


def finding(pipeline: str, model: str, number: int, code: str, level: str, sentence: str) -> say.FindingMade:
    label = f"2013-{number:02d}"
    return say.FindingMade(
        finding=f"{pipeline}/{label}/{code}", period=f"{pipeline}/{label}", pipeline=pipeline, model=model, code=code,
        level=level, facts={}, sentence=sentence,
    )  # fmt: skip


def fitted(model: str, run: str, pipeline: str, made: int) -> Draft:
    draft = refitted(model, run, pipeline)
    return draft._replace(about=About(trained_on=(month(1)[0], month(made)[0]),
                                      intended_for=(month(made)[0], month(min(12, made + 3))[0])))  # fmt: skip


def a_run(book: ledger.Ledger, clock: Ticking, run: str, pipeline: str, model: str, first: int, last: int) -> None:
    """A run as it is recorded, commit by commit, an hour in all."""
    book.append(started(run, pipeline))
    book.append(taken(run, pipeline))
    for number in range(first, last):
        clock.now += dt.timedelta(minutes=5)
        gain = GAINS[number % len(GAINS)]
        book.append(described(run, pipeline, number), evaluated(run, pipeline, number, "base_rate", None),
                    evaluated(run, pipeline, number, "small_trees", gain))  # fmt: skip
    choice = decided(run, pipeline, model)
    book.append(fitted(model, run, pipeline, last), choice, finished(run, pipeline), sign=True)


def live(folder: Path, wide: str = "") -> ledger.Ledger:
    """Make the ledger; ``wide`` is added to every text that a person wrote."""
    clock = Ticking(dt.datetime(2013, 3, 4, 14, tzinfo=dt.UTC))
    book = ledger.create(folder, timezone="America/New_York", clock=clock, salts=seeded_salts(), clock_kind="replayed",
                         key_home="file")  # fmt: skip

    def on(number: int, day: int, hour: int = 15) -> None:
        clock.now = max(clock.now, dt.datetime(2013, number, day, hour, tzinfo=dt.UTC))

    book.append(registered(LATE), registered(SHOWS))
    a_run(book, clock, "2013-03-04.1", LATE, f"{LATE}-v1", 1, 3)
    on(3, 6)
    book.append(promoted(f"{LATE}-v1", LATE, None, f"lowest worst month of all candidates{wide}"), sign=True)
    on(4, 3)
    book.append(watched(LATE, f"{LATE}-v1", 3, "quiet", f"As usual: 24.0 % late were predicted, 23.6 % were{wide}."))
    on(5, 2)
    a_run(book, clock, "2013-05-02.1", SHOWS, f"{SHOWS}-v1", 1, 5)
    book.append(gate(f"{SHOWS}-v1", SHOWS, "2013-05-02.1", "optimism_gap", "passed", f"The gap is 0.010{wide}."))
    book.append(promoted(f"{SHOWS}-v1", SHOWS, None, f"the first model for no-shows{wide}"), sign=True)
    on(5, 6)
    book.append(watched(LATE, f"{LATE}-v1", 4, "quiet", f"As usual: 22.1 % late were predicted, 22.9 % were{wide}."))
    on(6, 4)
    book.append(started("2013-06-04.1", LATE))
    book.append(failed("2013-06-04.1", LATE))
    on(7, 30)
    a_run(book, clock, "2013-07-30.1", LATE, f"{LATE}-v2", 1, 7)
    book.append(
        gate(f"{LATE}-v2", LATE, "2013-07-30.1", "optimism_gap", "passed", f"The gap is 0.011{wide}."),
        gate(f"{LATE}-v2", LATE, "2013-07-30.1", "calibration_in_large", "failed",
             f"Predicted 24.6 % and seen 21.0 %, more than 2 points apart{wide}."),
    )  # fmt: skip
    on(8, 1)
    book.append(waiver(f"{LATE}-v2", LATE, "calibration_in_large", dt.datetime(2013, 10, 12, tzinfo=dt.UTC),
                       f"recalibration is under way and due in October{wide}"))  # fmt: skip
    on(8, 2)
    book.append(promoted(f"{LATE}-v2", LATE, f"{LATE}-v1", f"lowest worst quarter, two reviewers{wide}"), sign=True)
    on(9, 4)
    book.append(watched(LATE, f"{LATE}-v2", 8, "quiet", f"As usual: 21.9 % late were predicted, 21.2 % were{wide}."))
    on(10, 3)
    book.append(
        watched(LATE, f"{LATE}-v2", 9, "alarm", f"predicted 24.6 % late, 13.2 % were: the level moved{wide}"),
        finding(LATE, f"{LATE}-v2", 9, "level", "alarm",
                f"Predicted 24.6 % late, 13.2 % were. It still ranks: the level moved, not the order{wide}."),
        sign=True,
    )  # fmt: skip
    on(10, 4)
    wrong = book.append(promoted(f"{LATE}-v1", LATE, f"{LATE}-v2", f"rolled back by mistake{wide}"))
    set_aside(book, wrong.last_seq, f"promoted in the wrong ledger{wide}")
    on(10, 7)
    book.append(started("2013-10-07.1", LATE))
    book.checkpoint()
    book.now().pipelines()
    return book
