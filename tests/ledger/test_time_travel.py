"""Laws of time travel, over generated histories with corrections, and clocks that go back."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from given import Ticking, seeded_salts
from histories import (
    PERIOD,
    commits,
    decided,
    described,
    evaluated,
    finished,
    promoted,
    refitted,
    registered,
    started,
    taken,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from older import set_aside

from tallystick import ledger
from tallystick.ledger.amend.correction import correct
from tallystick.ledger.amend.redaction import KEPT
from tallystick.ledger.errors import InvalidInput, NotFound, Refused
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.types import EventCorrected
from tallystick.ledger.storage.entries import Recorded
from tallystick.ledger.system.provenance import Recorder
from tallystick.ledger.views.entities import NAMED, PROJECTIONS
from tallystick.ledger.views.fold import READ_TYPES, fold, fold_live, live, same
from tallystick.ledger.views.projection import State

RECORDER = Recorder(actor="a", user="u", host="h", tool="t")
SLOW = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Erratic:
    """A clock that goes forwards and backwards, as clocks of machines do."""

    is_live = False

    def __init__(self, steps: list[int]) -> None:
        self.now = dt.datetime(2013, 1, 1, 12, tzinfo=dt.UTC)
        self.steps = iter(steps)

    def __call__(self) -> dt.datetime:
        self.now += dt.timedelta(hours=next(self.steps, 1))
        return self.now


@st.composite
def stories(draw: st.DrawFn) -> list[list[Draft] | int]:
    """Commits, and between them numbers that choose which event to correct."""
    told: list[list[Draft] | int] = []
    for commit in draw(commits):
        told.append(commit)
        if draw(st.integers(0, 3)) == 0:
            told.append(draw(st.integers(0, 1_000)))
    return told


@contextmanager
def living(story: list[list[Draft] | int], steps: list[int] | None = None, every: int = 1) -> Iterator[ledger.Ledger]:
    clock = Erratic(steps) if steps else Ticking()
    with (
        tempfile.TemporaryDirectory() as folder,
        ledger.create(Path(folder), timezone="UTC", clock=clock, salts=seeded_salts(), recorder=RECORDER) as book,
    ):
        for index, step in enumerate(story):
            if isinstance(step, list):
                book.append(*step)
            else:
                candidates = [
                    entry.seq
                    for entry in book.events()
                    if entry.event.t not in KEPT and book.now().correction(entry.seq) is None
                ]
                if candidates:
                    set_aside(book, candidates[step % len(candidates)], "it was wrong")
            if index % every == 0:
                book.now().pipelines()
        yield book


def everything(snapshot: ledger.Snapshot) -> dict[str, State]:
    return {
        f"{projection.key}:{getattr(state, projection.key)}": state
        for projection in NAMED
        for state in snapshot.states(projection.name)
    }


@SLOW
@given(stories(), st.integers(1, 4))
def test_at_every_commit_the_views_are_what_follows_from_the_live_events(
    story: list[list[Draft] | int], every: int
) -> None:
    with living(story, every=every) as book:
        assert book.views.versions() == fold(book.events())
        for n in range(book.log.size()):
            last_seq = book.log.commit(n).last_seq
            expected = fold_live(book.events(0, last_seq))
            for projection in PROJECTIONS:
                kept = {getattr(s, projection.key): s for s in book.views.all(projection, last_seq)}
                assert kept.keys() == expected[projection.name].keys()
                for name, state in kept.items():
                    assert same(state, expected[projection.name][name])


@SLOW
@given(stories())
def test_caught_up_in_steps_or_at_once_the_views_are_the_same(story: list[list[Draft] | int]) -> None:
    with living(story) as book:
        step_by_step = book.views.versions()
        book.views.discard()
        assert book.views.versions() == step_by_step


@SLOW
@given(stories(), st.lists(st.integers(-5, 30), min_size=30, max_size=30))
def test_a_date_never_splits_a_commit_even_if_the_clock_goes_back(
    story: list[list[Draft] | int], steps: list[int]
) -> None:
    with living(story, steps) as book:
        recorded = [commit.recorded_at for commit in book.log.commits()]
        assert recorded == sorted(recorded)
        for commit in book.log.commits():
            moment = dt.datetime.fromtimestamp(commit.recorded_at / 1e6, dt.UTC)
            as_of = book.at(moment).as_of
            assert as_of.seq == book.log.commit(as_of.n).last_seq
            assert as_of.n >= commit.n
            assert book.log.commit(as_of.n).recorded_at == commit.recorded_at


@SLOW
@given(stories(), st.data())
def test_a_difference_applied_to_one_state_gives_the_other(story: list[list[Draft] | int], data: st.DataObject) -> None:
    with living(story) as book:
        size = book.log.size()
        a, b = (book.at(f"c{data.draw(st.integers(0, size - 1))}") for _ in range(2))
        found = a.diff(b)
        assert found.applied_to(everything(a)).keys() == everything(b).keys()
        reached = found.applied_to(everything(a))
        for handle, state in everything(b).items():
            assert same(reached[handle], state), handle
        low, high = sorted((a.as_of.seq, b.as_of.seq))
        for change in found.changes:
            assert low < change.seq <= high
            for field in change.fields:
                assert low < field.seq <= high
                assert field.old != field.new
                # The newest event up to the later date that gave the field its value, as why names it there.
                later = max(a, b, key=lambda snapshot: snapshot.as_of.seq)
                assert later.why(f"{change.handle}.{field.field}").because.entry.seq == field.seq
        # The other way round it says the reverse, by the same events.
        back = b.diff(a)
        assert [(c.handle, [(f.field, f.new, f.old, f.seq) for f in c.fields]) for c in back.changes] == [
            (c.handle, [(f.field, f.old, f.new, f.seq) for f in c.fields]) for c in found.changes
        ]


@SLOW
@given(stories(), st.data())
def test_why_names_the_event_without_which_the_field_would_not_have_become_so(
    story: list[list[Draft] | int], data: st.DataObject
) -> None:
    with living(story) as book:
        now = book.now()
        states = {handle: state for handle, state in everything(now).items() if not handle.startswith("key:")}
        if not states:
            return
        handle = data.draw(st.sampled_from(sorted(states)))
        state = states[handle]
        field = data.draw(st.sampled_from([name for name in state.__struct_fields__ if name != "seq"]))
        answer = now.why(f"{handle}.{field}")
        assert answer.value == getattr(state, field)
        seq = answer.because.entry.seq
        kind, _, name = handle.partition(":")
        (projection,) = [p for p in NAMED if p.key == kind]
        so_far = list(book.events(0, seq))
        with_it = fold_live(so_far)[projection.name].get(name)
        without_it = fold_live([entry for entry in so_far if entry.seq != seq])[projection.name].get(name)
        assert getattr(with_it, field) == answer.value
        assert without_it is None or getattr(without_it, field) != answer.value


@SLOW
@given(stories(), st.data())
def test_a_what_if_is_the_history_without_the_event_and_stores_nothing(
    story: list[list[Draft] | int], data: st.DataObject
) -> None:
    with living(story) as book:
        n = data.draw(st.integers(1, book.log.size() - 1)) if book.log.size() > 1 else 0
        there = book.at(f"c{n}")
        told = [entry for entry in book.events(0, there.as_of.seq) if entry.event.t not in KEPT]
        if not told:
            return
        before = book.log.size(), book.views.versions()
        chosen = data.draw(st.sampled_from(told))
        gone = chosen.seq
        if chosen.event.t not in READ_TYPES:
            with pytest.raises(NotFound, match="Nothing that is known then follows"):
                there.without(gone)
            return
        assert there.without().as_of.words == there.as_of.words
        supposed = there.without(gone)
        expected = fold_live(entry for entry in book.events(0, there.as_of.seq) if entry.seq != gone)
        for projection in NAMED:
            assert {getattr(s, projection.key): s for s in supposed.states(projection.name)}.keys() == expected[
                projection.name
            ].keys()
            for state in supposed.states(projection.name):
                assert same(state, expected[projection.name][getattr(state, projection.key)])
        # The difference between what is and what would be leads from one to the other.
        reached = there.diff(supposed).applied_to(everything(there))
        assert reached.keys() == everything(supposed).keys()
        assert all(same(reached[handle], state) for handle, state in everything(supposed).items())
        assert (book.log.size(), book.views.versions()) == before


@SLOW
@given(stories())
def test_live_is_what_no_live_correction_sets_aside(story: list[list[Draft] | int]) -> None:
    with living(story) as book:
        entries = list(book.events())
        kept = {entry.seq for entry in live(entries)}
        for entry in entries:
            if isinstance(entry.event.body, EventCorrected) and entry.seq in kept:
                assert int(entry.event.body.correction) not in kept
        gone = {entry.seq for entry in entries} - kept
        named = {
            int(e.event.body.correction) for e in entries if isinstance(e.event.body, EventCorrected) and e.seq in kept
        }
        assert gone == named


@st.composite
def imports(draw: st.DrawFn) -> list[list[Draft] | int]:
    """Stories whose commits happened at other times, and in another order, than they are recorded."""
    told: list[list[Draft] | int] = []
    for step in draw(stories()):
        if isinstance(step, list):
            day = dt.datetime(2009, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=draw(st.integers(0, 20)))
            drafts = [draft if isinstance(draft, Draft) else Draft(draft) for draft in step]
            told.append([draft._replace(occurred_at=day) for draft in drafts])
        else:
            told.append(step)
    return told


@SLOW
@given(imports(), st.data())
def test_on_the_axis_of_what_occurred_a_date_is_a_fold_in_that_order(
    story: list[list[Draft] | int], data: st.DataObject
) -> None:
    with living(story) as book:
        day = dt.datetime(2009, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=data.draw(st.integers(0, 21)))
        moment = data.draw(st.sampled_from([day, book.clock()]))
        commits_: dict[int, list[Entry]] = {}
        for entry in book.events():
            if entry.event.t in READ_TYPES:
                commits_.setdefault(entry.n, []).append(entry._replace(recorded_at=entry.event.occurred_at))
        counted = sorted(
            (max(entry.recorded_at for entry in entries), n)
            for n, entries in commits_.items()
            if max(entry.recorded_at for entry in entries) <= moment
        )
        if not counted:
            return
        there = book.at(moment, axis="occurred")
        # Corrections in these stories occur when they are recorded, years after all that they correct.
        expected = fold_live(entry for _, n in counted for entry in commits_[n])
        for projection in NAMED:
            kept = {getattr(s, projection.key): s for s in there.states(projection.name)}
            assert kept.keys() == expected[projection.name].keys()
            assert all(same(state, expected[projection.name][name]) for name, state in kept.items())
        # The same questions are answered there: a difference leads to it, and SQL says the same.
        reached = book.now().diff(there).applied_to(everything(book.now()))
        assert reached.keys() == everything(there).keys()
        assert all(same(reached[handle], state) for handle, state in everything(there).items())
        rows = there.sql().execute("SELECT model, status, made_at FROM models ORDER BY model").fetchall()
        told = sorted((m.model, m.status, m.made_at) for m in there.models())
        assert [(m, s, dt.datetime.fromisoformat(at)) for m, s, at in rows] == told


# By hand ------------------------------------------------------------------------------------------------------


def promoted_twice(book: ledger.Ledger) -> tuple[int, int]:
    book.append(registered("p"), started("r1", "p"), taken("r1", "p"))
    book.append(refitted("p-v1", "r1", "p"), refitted("p-v2", "r1", "p"), finished("r1", "p"))
    first = book.append(promoted("p-v1", "p", None, "the first")).last_seq
    second = book.append(promoted("p-v2", "p", "p-v1", "by mistake")).last_seq
    return first, second


def champion(snapshot: ledger.Snapshot) -> str | None:
    found = snapshot.champion("p")
    return found.model if found else None


def test_a_corrected_promotion_gives_the_place_back_from_then_on(book: ledger.Ledger) -> None:
    first, second = promoted_twice(book)
    before = book.now()
    undone = set_aside(book, second, "it was meant for another pipeline")
    assert champion(book.now()) == "p-v1"
    assert champion(before) == champion(book.at(f"c{before.as_of.n}")) == "p-v2"
    state = book.now().pipeline("p")
    assert state.champion is not None
    assert (state.champion.seq, state.former_champions) == (first, 0)
    answer = book.now().why("pipeline:p.champion")
    assert answer.because.entry.seq == undone.last_seq
    assert answer.before.model == "p-v2"
    assert [cause.entry.seq for cause in answer.because.causes] == [second]
    assert [told.entry.seq for told in book.now().story("model:p-v2")][-2:] == [second, undone.last_seq]
    with pytest.raises(Refused, match="already"):
        set_aside(book, second, "again")
    # The correction was wrong itself: what it set aside counts again.
    correct(book, undone.last_seq, "it was meant after all")
    assert champion(book.now()) == "p-v2"
    assert champion(book.at(f"c{undone.n}")) == "p-v1"
    assert book.now().correction(second) is None
    set_aside(book, second, "no, really")
    assert champion(book.now()) == "p-v1"


def test_an_entity_can_be_gone_and_come_back(book: ledger.Ledger) -> None:
    created = book.append(registered("p")).last_seq
    gone = set_aside(book, created, "a typing mistake")
    assert book.now().pipelines() == []
    assert book.now().find("p") is None
    (change,) = [c for c in book.diff(f"c{gone.n - 1}", "now").changes if c.kind == "pipeline"]
    assert (change.after, change.seq) == (None, gone.last_seq)
    book.append(registered("p", "cd" * 32))
    assert [state.meaning_hash for state in book.now().pipelines()] == ["cd" * 32]
    assert book.at(f"c{gone.n - 1}").pipeline("p").meaning_hash == "ab" * 32


def test_what_is_about_the_ledger_itself_is_not_corrected(book: ledger.Ledger) -> None:
    with pytest.raises(Refused, match="must be able to rely on it"):
        correct(book, 0, "no")
    with pytest.raises(NotFound):
        correct(book, 10_000, "no")


def test_imported_history_is_walked_in_its_own_time(book: ledger.Ledger) -> None:
    def at(year: int) -> dt.datetime:
        return dt.datetime(year, 6, 1, tzinfo=dt.UTC)

    def draft(body: object, year: int) -> Draft:
        return Draft(body, occurred_at=at(year))  # type: ignore[arg-type]

    book.append(draft(registered("p"), 2009))
    book.append(*(draft(refitted(name, "r1", "p").body, 2010) for name in ("p-v1", "p-v2")))
    # Recorded in the wrong order: the later promotion first.
    book.append(draft(promoted("p-v2", "p", "p-v1"), 2012))
    book.append(draft(promoted("p-v1", "p", None), 2011))
    assert champion(book.now()) == "p-v1"
    assert champion(book.at("2011", axis="occurred")) == "p-v1"
    assert champion(book.at("2012", axis="occurred")) == "p-v2"
    assert champion(book.at("2010", axis="occurred")) is None
    # Its own time is also what the answers say, and which event made it so.
    then = book.at("2011", axis="occurred").pipeline("p").champion
    assert then is not None
    assert then.since.year == 2011
    changes = {c.handle: c for c in book.at("2011", axis="occurred").diff(book.at("2012", axis="occurred")).changes}
    (later,) = [field for field in changes["pipeline:p"].fields if field.field == "champion"]
    assert book.event(later.seq).event.occurred_at.year == 2012
    kept = [field.seq for field in changes["model:p-v2"].fields if field.field == "status"]
    assert kept == [later.seq]
    assert "by when it occurred: 3 of 5 commits" in book.at("2011", axis="occurred").as_of.words
    with pytest.raises(NotFound, match="nothing had happened yet"):
        book.at("2008", axis="occurred")
    with pytest.raises(InvalidInput, match="order of recording"):
        book.at("c1", axis="occurred")
    with pytest.raises(NotFound, match="nothing was known yet"):
        book.at("2011")


def test_a_correction_that_is_dated_before_its_event_still_corrects_it(book: ledger.Ledger) -> None:
    book.append(Draft(registered("p"), occurred_at=dt.datetime(2012, 1, 1, tzinfo=dt.UTC)))
    wrong = book.append(Draft(registered("q"), occurred_at=dt.datetime(2012, 6, 1, tzinfo=dt.UTC)))
    stored = book.log.event(wrong.last_seq)
    body = EventCorrected(correction=str(wrong.last_seq), event=stored.id.hex(), type=stored.type, reason="no")
    book.append(Draft(body, occurred_at=dt.datetime(2012, 3, 1, tzinfo=dt.UTC)))
    for when, names in (("2012-04", ["p"]), ("2012-07", ["p"]), ("now", ["p"])):
        assert [state.pipeline for state in book.at(when, axis="occurred").pipelines()] == names, when


def test_a_finding_that_was_set_aside_is_not_one_that_was_superseded(book: ledger.Ledger) -> None:
    about = PERIOD
    first = book.append(evaluated("r1", "p", "2013-01", "trees")).last_seq
    second = book.append(evaluated("r2", "p", "2013-01", "trees")).last_seq

    def found() -> list[tuple[str, bool]]:
        return [(item.evaluation.run, item.superseded) for item in book.now().know(about).known]

    assert found() == [("r1", True), ("r2", False)]
    undone = set_aside(book, second, "the wrong rows").last_seq
    assert found() == [("r1", False)]
    correct(book, undone, "the right rows after all")
    assert sorted(found()) == [("r1", True), ("r2", False)]
    set_aside(book, first, "the wrong rows, too")
    assert found() == [("r2", False)]


def test_a_correction_reads_again_only_what_bears_on_it(book: ledger.Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or every correction would cost as much as the ledger is long, and a rebuild the product of both."""
    for number in range(30):
        pipeline = f"pipe{number}-é"  # what JSON might write in another way
        book.append(registered(pipeline), started(f"r{number}", pipeline))
        book.append(refitted(f"m{number}", f"r{number}", pipeline), promoted(f"m{number}", pipeline, None))
    wrong = book.now().pipeline("pipe7-é").champion
    assert wrong is not None
    read: list[int] = []
    upto = Recorded.upto

    def counted(self: Recorded, last: int, types: frozenset[str], names: frozenset[str]) -> Iterator[Entry]:
        for entry in upto(self, last, types, names):
            read.append(entry.seq)
            yield entry

    monkeypatch.setattr(Recorded, "upto", counted)
    set_aside(book, wrong.seq, "no")
    assert book.now().pipeline("pipe7-é").champion is None
    assert book.now().model("m7").status == "candidate"
    # Four events of that pipeline, the correction, and those that name the run of which every promotion here speaks.
    assert len(read) < 40
    assert book.now().pipeline("pipe8-é").champion is not None


def test_an_edge_is_drawn_by_an_event_that_counts(book: ledger.Ledger) -> None:
    first = book.append(taken("r1", "p")).last_seq
    book.append(registered("p"))
    second = book.append(taken("r1", "p")).last_seq

    def drawn() -> set[int]:
        return {edge.seq for edge in book.now().lineage("slice:0123456789ab").edges}

    assert drawn() == {first}
    set_aside(book, first, "twice")
    assert drawn() == {second}


def test_the_lineage_leads_from_the_data_over_the_windows_to_the_decision(book: ledger.Ledger) -> None:
    book.append(registered("p"), started("r1", "p"), taken("r1", "p"), described("r1", "p", "2013-04"))
    book.append(refitted("p-v1", "r1", "p"))
    scores = {"windows": ["2013-04"]}
    book.append(msgspec.structs.replace(decided("r1", "p", "p-v1"), scores=scores))
    up = book.now().lineage("decision:r1", "up")
    assert {"window:p/2013-04", "run:r1", "slice:0123456789ab", "source:csv:x.csv", "model:p-v1"} <= set(up.nodes)
    path = book.now().paths("source:csv:x.csv", "decision:r1")
    assert ("window:p/2013-04", "was weighed in", "decision:r1") in {edge[:3] for edge in path.edges}
    with pytest.raises(NotFound, match="hangs on #0") as caught:
        book.now().node("#0")
    assert caught.value.hint


def test_a_difference_names_the_newest_event_that_changed_a_field(book: ledger.Ledger) -> None:
    begin = book.append(registered("p")).n
    book.append(started("r1", "p"))
    second = book.append(started("r2", "p")).last_seq
    for changes in (book.diff(f"c{begin}").changes, book.diff("now", f"c{begin}").changes):
        (pipeline,) = [change for change in changes if change.kind == "pipeline"]
        assert {field.field: field.seq for field in pipeline.fields} == {"runs": second, "last_run": second}


def test_what_is_gone_says_since_when(book: ledger.Ledger) -> None:
    created = book.append(registered("p")).last_seq
    gone = set_aside(book, created, "a typing mistake").last_seq
    with pytest.raises(NotFound, match=f"does not count since #{gone}") as caught:
        book.now().story("pipeline:p")
    assert f"before:#{gone}" in caught.value.hint
    assert book.at(f"before:#{gone}").story("pipeline:p")


def test_follow_begins_where_it_is_called(book: ledger.Ledger) -> None:
    following = book.follow(poll_seconds=0.01)
    with ledger.open(book.folder, clock=book.clock) as other:
        appended = other.append(registered("p"))
    assert next(following).seq == appended.first_seq


def test_follow_tells_every_event_once_and_in_order(book: ledger.Ledger) -> None:
    last = book.now().as_of.seq
    following = book.follow(poll_seconds=0.01, after=last)
    with ledger.open(book.folder, clock=book.clock) as other:
        for number in range(5):
            other.append(finished(f"r{number}", "p"))
            assert next(following).event.t in ("schema.declared", "run.finished")
    told = [last + 1]
    assert next(following).seq > told[0]
