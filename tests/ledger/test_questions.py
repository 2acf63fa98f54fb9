"""The named questions of the app and the commands: what they answer, at any date, and by which indexes."""

from __future__ import annotations

import datetime as dt
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import living
import msgspec
import pytest
from given import Ticking
from histories import (
    PERIOD,
    PIPELINES,
    RUNS,
    commits,
    decided,
    described,
    evaluated,
    failed,
    finished,
    promoted,
    refitted,
    registered,
    started,
)
from hypothesis import HealthCheck, given, settings

from tallystick import ledger
from tallystick.ledger.amend.correction import correct
from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.query import board, checkpoints, event_search, names, periods, run_list, sql, timeline
from tallystick.ledger.query.event_search import Stretch
from tallystick.ledger.query.run_list import RunQuery
from tallystick.ledger.views.entities import PROJECTIONS, PipelineState

SLOW = settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
MADE = dt.datetime(2013, 1, 1, 12, tzinfo=dt.UTC)
UTC = ZoneInfo("UTC")
P, Q = PIPELINES
R1, R2, R3 = RUNS[:3]
V1 = f"{P}-v1"


@pytest.fixture
def clock() -> Ticking:
    return Ticking(MADE)


@pytest.fixture
def book(tmp_path: Path, clock: Ticking) -> Iterator[ledger.Ledger]:
    """Two pipelines; of one a promotion, gates, a waiver and watched periods. A day passes after each commit."""
    with ledger.create(tmp_path / "team", timezone="UTC", key_home="file", clock=clock) as made:
        for commit in (
            (registered(P), started(R1, P), described(R1, P, "2013-04"), described(R1, P, "2013-05")),
            (evaluated(R1, P, "2013-04", "small_trees"), evaluated(R1, P, "2013-05", "small_trees"),
             evaluated(R1, P, "2013-05", "base_rate")),
            (refitted(V1, R1, P), decided(R1, P, V1), finished(R1, P)),
            (living.gate(V1, "reproduced", R1, P, "failed"), living.gate(V1, "worst_window_gain", R1, P, "passed")),
            (living.waiver(V1, "reproduced", P, 0),),
            (promoted(V1, P, None),),
            (registered(Q), started(R2, Q), failed(R2, Q)),
            (living.watched(V1, P, "2013-04", "quiet"), living.found(V1, P, "2013-04", "normal")),
            (living.watched(V1, P, "2013-05", "alarm"), living.found(V1, P, "2013-05", "alarm")),
            (started(R3, P),),
        ):  # fmt: skip
            clock.now += dt.timedelta(days=1)
            made.append(*commit, sign=commit[0] == promoted(V1, P, None))
        yield made


def evaluated_with(gain: float) -> Draft:
    draft = evaluated(R1, P, "2013-05", "small_trees")
    return draft._replace(body=msgspec.structs.replace(draft.body, gain=gain))


def types_of(book: ledger.Ledger, seqs: list[int]) -> list[str]:
    return [found.type for found in book.now().some_events(seqs)]


# At any date ------------------------------------------------------------------------------------------------


def answers(snapshot: ledger.Snapshot) -> list[object]:
    """What every question answers at one position."""
    last = snapshot.as_of.n
    found: list[object] = [timeline.density(snapshot, 7)]
    found.append(timeline.marks(snapshot, 50)[:4])
    for n in (0, last // 2, last):
        found += [timeline.next_decision(snapshot, n), timeline.previous_decision(snapshot, n)]
        found += [timeline.next_day(snapshot, n, UTC), timeline.previous_day(snapshot, n, UTC)]
    for pipeline in PIPELINES:
        found += [board.notable_events(snapshot, pipeline, 5), board.newest_periods(snapshot, pipeline, 3)]
        found.append(board.newest_gains(snapshot, pipeline, "small_trees", 3))
        found += [names.newest_changes(snapshot, f"pipeline:{pipeline}", 5),
                  names.first_event(snapshot, f"pipeline:{pipeline}")]  # fmt: skip
    for by in run_list.ORDERS:
        for query in (RunQuery(by), RunQuery(by, ascending=True, filter="no-"), RunQuery(by, among=(R1, R2))):
            found += [run_list.list_runs(snapshot, query, 0, 9), run_list.count_runs(snapshot, query)]
            found.append([run_list.row_of_run(snapshot, query, run) for run in RUNS])
    found.append(list(names.names_containing(snapshot, "late", ("models", "pipelines", "windows"))))
    found += [names.end_of_run(snapshot, run) for run in RUNS if snapshot.find(f"run:{run}")]
    for text in ("late", "type:run entity:late-arrivals", "actor:tester small"):
        stretches = event_search.stretches(snapshot, text)
        found.append(sorted(seq for where in stretches for seq in event_search.find_events(snapshot, text, where)))
    found.append(periods.runs_tested_in(snapshot, PERIOD))
    found.append(sql.answer(snapshot, "select run, status from runs order by run"))
    return found


@SLOW
@given(commits)
def test_an_answer_about_the_past_is_what_was_answered_then(history: list[list[Draft]]) -> None:
    with tempfile.TemporaryDirectory() as folder, ledger.create(folder, timezone="UTC", key_home="file") as book:
        then = [answers(book.now())]
        for commit in history:
            book.append(*commit)
            then.append(answers(book.now()))
        for n, expected in enumerate(then):
            assert answers(book.at_commit(n)) == expected, n


@SLOW
@given(commits)
def test_the_list_of_runs_holds_what_the_snapshot_holds(history: list[list[Draft]]) -> None:
    with tempfile.TemporaryDirectory() as folder, ledger.create(folder, timezone="UTC", key_home="file") as book:
        for commit in history:
            book.append(*commit)
        now = book.now()
        runs = now.runs()
        listed = run_list.list_runs(now, RunQuery(ascending=True), 0, 100)
        assert [item.state for item in listed] == runs
        assert run_list.list_runs(now, RunQuery(ascending=True), 1, 1) == listed[1:2]
        of_one = [run for run in runs if run.pipeline == P]
        asked = RunQuery("pipeline", filter=f'"{P}"')
        assert {item.run for item in run_list.list_runs(now, asked, 0, 100)} >= {run.run for run in of_one}
        for by in run_list.ORDERS:
            for query in (RunQuery(by), RunQuery(by, True), RunQuery(by, True, "small"), RunQuery(by, among=(R2,))):
                rows = run_list.list_runs(now, query, 0, 100)
                assert len(rows) == run_list.count_runs(now, query)
                places = {item.run: place for place, item in enumerate(rows)}
                assert {run: run_list.row_of_run(now, query, run) for run in RUNS} == {
                    run: places.get(run) for run in RUNS
                }


@SLOW
@given(commits)
def test_every_decision_is_stepped_on(history: list[list[Draft]]) -> None:
    with tempfile.TemporaryDirectory() as folder, ledger.create(folder, timezone="UTC", key_home="file") as book:
        for commit in history:
            book.append(*commit)
        now = book.now()
        deciding: set[int] = set()
        for kind in ("decisions", "waivers"):
            deciding |= {versions[0][0] for versions in now.views.versions()[kind].values()}
        for name in {state.pipeline for state in now.pipelines()}:
            champion = None
            for state in now.versions(PipelineState, name):
                if state.champion != champion:
                    deciding.add(state.seq)
                champion = state.champion
        expected = sorted({now.commit_of(seq).n for seq in deciding})
        forwards, n = [], timeline.next_decision(now, 0)
        while n is not None:
            forwards.append(n)
            n = timeline.next_decision(now, n)
        # The first commit makes the ledger, and is no decision.
        assert forwards == expected
        backwards, n = [], timeline.previous_decision(now, now.as_of.n) if expected else None
        while n is not None:
            backwards.append(n)
            n = timeline.previous_decision(now, n)
        assert backwards[::-1] == [n for n in expected if n != now.as_of.n]


# What they answer -------------------------------------------------------------------------------------------


def test_density_counts_every_event_once(book: ledger.Ledger) -> None:
    now = book.now()
    for columns in (1, 3, 80):
        found = timeline.density(now, columns)
        assert sum(found.counts) == now.as_of.seq + 1
        assert len(found.counts) == columns
        assert (found.start, found.end) == (now.commit(0).recorded_at, now.as_of.recorded_at)
    early = timeline.density(book.at("c3"), 10)
    assert sum(early.counts) == book.at("c3").as_of.seq + 1


def test_marks_are_where_something_was_decided(book: ledger.Ledger) -> None:
    found = timeline.marks(book.now(), 10)
    assert types_of(book, found.promotions) == ["model.promoted"]
    assert types_of(book, found.waivers) == ["waiver.granted"]
    assert types_of(book, found.failed_gates) == ["gate.evaluated"]
    assert types_of(book, found.alarms) == ["period.monitored"]
    signed = [book.now().commit_of(seq).n for seq in found.signed]
    assert signed == [size - 1 for size, _ in reversed(list(book.log.checkpoints()))]
    assert timeline.marks(book.now(), 2).signed == found.signed
    assert timeline.marks(book.now(), 1).signed == found.signed[:1]


def test_steps_of_days_end_at_the_last_commit_of_a_day(book: ledger.Ledger) -> None:
    now = book.now()
    days = [commit.recorded_at.date() for commit in now.commits()]
    last = {day: max(n for n, other in enumerate(days) if other == day) for day in days}
    for n, day in enumerate(days):
        later, earlier = [d for d in days if d > day], [d for d in days if d < day]
        assert timeline.next_day(now, n, UTC) == (last[min(later)] if later else now.as_of.n)
        assert timeline.previous_day(now, n, UTC) == (last[max(earlier)] if earlier else 0)


def test_the_board_shows_the_newest_of_one_pipeline(book: ledger.Ledger) -> None:
    now = book.now()
    assert [period.label for period in board.newest_periods(now, P, 5)] == ["2013-05", "2013-04"]
    assert [period.label for period in board.newest_periods(now, P, 1)] == ["2013-05"]
    assert board.newest_periods(now, Q, 5) == []
    assert [window.gain for window in board.newest_gains(now, P, "small_trees", 5)] == [0.1, 0.1]
    assert len(board.newest_gains(now, P, "base_rate", 5)) == 1
    last = book.append(evaluated_with(0.7)).last_seq
    assert [window.gain for window in board.newest_gains(book.at(f"#{last}"), P, "small_trees", 1)] == [0.7]
    assert board.newest_gains(now, Q, "small_trees", 5) == []
    notable = board.notable_events(now, P, 20)
    assert notable == sorted(notable, reverse=True)
    assert types_of(book, notable) == [
        "finding.made", "period.monitored", "period.monitored", "model.promoted", "waiver.granted", "gate.evaluated",
        "decision.taken", "pipeline.registered",
    ]  # fmt: skip
    assert board.notable_events(now, P, 2) == notable[:2]
    assert types_of(book, board.notable_events(now, Q, 20)) == ["pipeline.registered"]


def test_the_row_of_a_run_is_where_the_list_has_it(book: ledger.Ledger) -> None:
    for query, runs in ((RunQuery(ascending=True), [R1, R2, R3]), (RunQuery(), [R3, R2, R1])):
        assert [item.run for item in run_list.list_runs(book.now(), query, 0, 9)] == runs
        assert [run_list.row_of_run(book.now(), query, run) for run in runs] == [0, 1, 2]


def test_a_run_that_was_corrected_stays_in_the_list_without_a_state(book: ledger.Ledger) -> None:
    correct(book, next(found.seq for found in book.now().events(types=["run.started"], names=[R3])), "by mistake")
    listed = {item.run: item.state for item in run_list.list_runs(book.now(), RunQuery(), 0, 10)}
    assert listed[R3] is None
    assert listed[R1] is not None
    assert R3 not in {item.run for item in run_list.list_runs(book.now(), RunQuery(filter="2013"), 0, 10)}


def test_names_are_found_by_a_part_of_them_and_read_as_text(book: ledger.Ledger) -> None:
    now = book.now()
    assert list(names.names_containing(now, "arrivals-v", ("models", "pipelines"))) == [f"model:{V1}"]
    assert list(names.names_containing(now, "", ("pipelines",))) == [f"pipeline:{Q}", f"pipeline:{P}"]
    for pattern in ("%", "_", "\\"):
        assert list(names.names_containing(now, pattern, ("models", "pipelines"))) == []
    assert names.first_event(now, "nothing:x") is None
    assert names.first_event(now, "model:nothing") is None
    first = names.first_event(now, f"model:{V1}")
    assert first is not None and names.newest_changes(now, f"model:{V1}", 9)[-1] == first
    assert types_of(book, [names.end_of_run(now, R1)]) == ["run.finished"]
    assert names.end_of_run(now, R3) == now.as_of.seq


def found_by(snapshot: ledger.Snapshot, text: str, about: tuple[dt.datetime, dt.datetime] | None = None) -> list[int]:
    whole = Stretch(0, snapshot.as_of.seq)
    return list(event_search.find_events(snapshot, text, whole, about))


def test_a_search_needs_every_word(book: ledger.Ledger) -> None:
    now = book.now()
    assert types_of(book, found_by(now, "type:run.started")) == ["run.started"] * 3
    assert types_of(book, found_by(now, f"type:run.started entity:{P}")) == ["run.started"] * 2
    assert types_of(book, found_by(now, f"entity:{Q} failed")) == ["run.failed"]
    assert found_by(now, "actor:nobody") == []
    assert found_by(now, f"actor:{book.recorder.actor} type:model.promoted") == found_by(now, "type:model.promoted")
    assert found_by(now, "%") == [] == found_by(now, "type:run_started")
    assert found_by(now, "type:run.started") == sorted(found_by(now, "type:run.started"), reverse=True)
    # Only what is about the period.
    about = found_by(now, "late-arrivals", living.APRIL)
    assert about and set(types_of(book, about)) <= {"period.monitored"}
    assert found_by(book.at("c2"), "type:run.started") == found_by(now, "type:run.started")[-1:]


def test_a_search_of_the_past_finds_nothing_later(book: ledger.Ledger) -> None:
    whole = Stretch(0, book.now().as_of.seq)
    assert len(list(event_search.find_events(book.at("c2"), "type:run.started", whole))) == 1


def test_effects_are_the_later_events_that_name_it(book: ledger.Ledger) -> None:
    before = book.now()
    cause = before.event(4)
    effect = book.append(Draft(started("r9", P), cause=(cause.id.hex(),))).last_seq
    assert book.now().effects(cause, within=1_000, most=5) == [effect]
    assert book.now().effects(cause, within=1, most=5) == []
    assert before.effects(cause, within=1_000, most=5) == []


def test_a_search_looks_first_where_an_entity_was_mentioned_last(book: ledger.Ledger) -> None:
    now = book.now()
    first, behind = event_search.stretches(now, f"entity:run:{R2}")
    assert book.now().event(first.last).type == "run.failed"
    assert (first.first, behind.first, behind.last) == (0, first.last + 1, now.as_of.seq)
    assert event_search.stretches(now, "word") == [Stretch(0, now.as_of.seq)]
    pieces = list(Stretch(0, 2 * event_search.PIECE_EVENTS).pieces())
    assert [piece.last - piece.first + 1 for piece in pieces] == [event_search.PIECE_EVENTS] * 2 + [1]
    assert pieces[-1] == Stretch(0, 0)


def test_a_search_that_is_not_wanted_any_more_ends(book: ledger.Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_search, "STEPS", 1)
    now = book.now()
    with event_search.interruptible(now, lambda: True), pytest.raises(sqlite3.OperationalError, match="interrupted"):
        found_by(now, "late")
    assert found_by(now, "late")


def test_runs_of_a_period(book: ledger.Ledger) -> None:
    now = book.now()
    found = periods.runs_tested_in(now, PERIOD)
    assert set(found) == {R1}
    assert types_of(book, list(found.values())) == ["window.described"]
    assert periods.runs_tested_in(now, (MADE + dt.timedelta(days=400), MADE + dt.timedelta(days=500))) == {}
    assert periods.runs_tested_in(book.at("c0"), PERIOD) == {}


def test_checkpoints_of_a_snapshot(book: ledger.Ledger) -> None:
    size = book.size()
    newest = checkpoints.newest_checkpoint(book.now())
    assert newest is not None and newest.size < size
    assert newest.note == dict(book.log.checkpoints())[newest.size]
    assert checkpoints.first_size_covering(book.now(), newest.size - 1) == newest.size
    assert checkpoints.first_size_covering(book.now(), newest.size) is None
    assert checkpoints.first_size_covering(book.now(), 0) == 1, "the first commit is signed when the ledger is made"
    before = book.at_commit(newest.size - 2)
    assert checkpoints.first_size_covering(before, 1) is None
    assert checkpoints.newest_checkpoint(before) == (1, dict(book.log.checkpoints())[1])


def test_sql_is_answered_and_writes_nothing(book: ledger.Ledger) -> None:
    now = book.now()
    assert sql.answer(now, "select run as r from runs where status = 'failed'") == [{"r": R2}]
    assert sql.answer(book.at("c1"), "select count(*) as n from models") == [{"n": 0}]
    for question in ("drop table runs_keys", "create table x(y)", "select nothing", "select 1; select 2", "", "\0"):
        with pytest.raises(InvalidInput, match="was not answered") as refused:
            sql.answer(now, question)
        assert "runs" in refused.value.hint


# By which indexes -------------------------------------------------------------------------------------------


def test_no_question_scans_versions(book: ledger.Ledger) -> None:
    """Each asks the index by entity, or walks along the rows from one end."""
    now = book.now()
    asked: list[str] = []
    connection = now.views.caught_up()
    connection.set_trace_callback(asked.append)
    timeline.next_decision(now, 2)
    timeline.previous_decision(now, 5)
    timeline.marks(now, 5)
    board.newest_gains(now, P, "small_trees", 5)
    board.newest_periods(now, P, 5)
    board.notable_events(now, P, 5)
    names.newest_changes(now, f"model:{V1}", 5)
    names.end_of_run(now, R1)
    for query in (RunQuery(), RunQuery("state", filter="late"), RunQuery(among=(R1,))):
        run_list.list_runs(now, query, 0, 5)
        run_list.count_runs(now, query)
        run_list.row_of_run(now, query, R1)
    periods.runs_tested_in(now, PERIOD)
    connection.set_trace_callback(None)
    questions = [text for text in asked if text.startswith("SELECT") and "_versions" in text]
    assert len(questions) > 15
    versions = {f"{projection.name}_versions" for projection in PROJECTIONS} | {"v"}
    for question in questions:
        steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {question}")]
        scanned = {step.split()[1] for step in steps if step.startswith("SCAN")}
        assert not scanned & versions, (question, steps)


def test_a_search_reads_only_its_stretch(book: ledger.Ledger) -> None:
    query, values = event_search.search_query(f"type:run entity:ann/{P} word", is_about=False)
    steps = [row[3] for row in book.log.reader.execute(f"EXPLAIN QUERY PLAN {query}", (0, 1, 0, 9, *values))]
    assert any(step.startswith("SEARCH c USING INTEGER PRIMARY KEY") for step in steps), steps
    assert any(step.startswith("SEARCH e USING INTEGER PRIMARY KEY") for step in steps), steps
    assert not [step for step in steps if step.startswith("SCAN")], steps
    assert not [step for step in steps if "TEMP B-TREE" in step], steps
