"""What a snapshot shows of events: corrections applied, erasures marked, nothing of what came later."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from given import Ticking
from histories import promoted
from older import set_aside
from stories import damage, rewrite_everything, told

from tallystick import ledger
from tallystick.ledger.amend.correction import correct
from tallystick.ledger.amend.redaction import redact
from tallystick.ledger.errors import Damaged, NotFound
from tallystick.ledger.events import types as say
from tallystick.ledger.events.entry import Erased, Unreadable
from tallystick.ledger.importing.importer import import_history
from tallystick.ledger.tlog import key_store
from tallystick.ledger.views.entities import RunState

MADE = dt.datetime(2013, 1, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[ledger.Ledger]:
    with ledger.create(tmp_path / "mine", timezone="UTC", key_home="file", clock=Ticking(MADE)) as made:
        yield told(made)


def seq_of(book: ledger.Ledger, event_type: str) -> int:
    return next(found.seq for found in book.now().events(types=[event_type]))


def test_an_event_comes_with_its_place(book: ledger.Ledger) -> None:
    now = book.now()
    for found in now.events():
        stored, commit = book.log.event(found.seq), book.log.commit_of(found.seq)
        assert (found.id, found.sha256, found.data, found.type) == (stored.id, stored.sha256, stored.data, stored.type)
        assert found.entry == book.event(found.seq)
        assert found == now.event(found.seq)
        assert found.n == commit.n
        assert found.counts
        assert not found.imported
    assert [found.seq for found in now.events()] == list(range(now.as_of.seq + 1))
    assert [found.seq for found in now.events(3, 5)] == [3, 4, 5]
    assert list(now.events(5, 3)) == []
    assert list(now.counted_events()) == list(book.events())
    assert [found.seq for found in now.some_events([5, 3])] == [5, 3]


def test_a_snapshot_of_the_past_shows_nothing_of_what_came_later(book: ledger.Ledger) -> None:
    seq = seq_of(book, "model.promoted")
    before = book.at(f"before:#{seq}")
    assert [found.seq for found in before.events()] == list(range(before.as_of.seq + 1))
    assert list(before.events(types=["model.promoted"])) == []
    with pytest.raises(NotFound, match=f"no event #{seq}"):
        before.event(seq)
    with pytest.raises(NotFound):
        before.event(-1)
    with pytest.raises(NotFound, match="no commit"):
        before.commit(before.as_of.n + 1)
    with pytest.raises(NotFound):
        before.commit_of(seq)
    later = book.now().event(seq)
    assert before.positions([later.id.hex()]) == {}
    assert book.now().positions([later.id.hex()]) == {later.id.hex(): seq}
    assert book.now().positions([later.id.hex()], before=seq) == {}


def test_a_corrected_event_is_there_and_does_not_count(book: ledger.Ledger) -> None:
    seq = seq_of(book, "model.promoted")
    before = book.now()
    said = set_aside(book, seq, "promoted to the wrong pipeline")
    now = book.now()
    found = now.event(seq)
    assert found.corrected_by is not None
    assert (found.corrected_by.seq, found.corrected_by.reason) == (said.last_seq, "promoted to the wrong pipeline")
    assert found.event.t == "model.promoted"
    assert not found.counts
    assert [one.corrected_by for one in now.events(types=["model.promoted"])] == [found.corrected_by]
    assert list(now.counted_events(types=["model.promoted"])) == []
    assert before.event(seq).counts
    assert [entry.seq for entry in before.counted_events(types=["model.promoted"])] == [seq]
    correct(book, said.last_seq, "it was right after all")
    assert book.now().event(seq).counts
    assert [entry.seq for entry in book.now().counted_events(types=["model.promoted"])] == [seq]


def test_an_erased_event_is_marked_as_erased_at_every_date(book: ledger.Ledger) -> None:
    seq = seq_of(book, "decision.taken")
    before, kept = book.now(), book.now().event(seq)
    done = redact(book, seq, "names a patient", "data protection officer")
    assert done.appended is not None
    for snapshot in (before, book.now()):
        found = snapshot.event(seq)
        assert found.content == Erased(
            done.appended.last_seq,
            book.recorder.actor,
            book.now().event(done.appended.last_seq).recorded_at,
            "names a patient",
            "data protection officer",
        )
        assert (found.id, found.sha256, found.data) == (kept.id, kept.sha256, None)
        assert not found.counts
        with pytest.raises(Damaged, match="was erased") as refused:
            _ = found.event
        assert f"#{done.appended.last_seq}" in refused.value.hint
        assert [one.seq for one in snapshot.events(types=["decision.taken"])] == [seq]
        assert [one.seq for one in snapshot.events(types=["decision.taken"], names=["r1"])] == [seq]
        assert list(snapshot.counted_events(types=["decision.taken"])) == []


def test_a_damaged_event_is_not_left_out_of_what_counts(book: ledger.Ledger) -> None:
    seq = seq_of(book, "decision.taken")
    damage(book, f"UPDATE events SET body = NULL WHERE seq = {seq}")
    found = book.now().event(seq)
    assert found.content == Unreadable("its body is not here")
    assert found.sentence == "decision.taken: its body is not here"
    assert not found.counts
    with pytest.raises(Damaged, match=f"#{seq} cannot be read"):
        list(book.now().counted_events(types=["decision.taken"]))


def test_what_is_no_event_is_said_to_be_unreadable(book: ledger.Ledger) -> None:
    target = book.now().event(seq_of(book, "schema.declared"))  # which no view is made of
    rewrite_everything(book, lambda data: b'{"x":1}' if data == target.data else data)
    found = book.now().event(target.seq)
    assert isinstance(found.content, Unreadable)
    assert "not an event" in found.sentence
    with pytest.raises(Damaged, match=f"#{target.seq} cannot be read"):
        list(book.now().counted_events(types=["schema.declared"]))


def test_an_event_that_the_file_has_lost_is_damage(book: ledger.Ledger) -> None:
    seq = seq_of(book, "decision.taken")
    damage(book, f"DELETE FROM events WHERE seq = {seq}")
    with pytest.raises(Damaged, match=f"no event #{seq}"):
        book.now().event(seq)


def test_events_are_chosen_by_type_and_by_name(book: ledger.Ledger) -> None:
    book.append(promoted("p-v10", "p", "p-v1"))
    now = book.now()
    assert {found.type for found in now.events(types=["run.started", "run.finished"])} == {
        "run.started", "run.finished"
    }  # fmt: skip
    named = [found.type for found in now.events(names=["p-v1"])]
    assert "model.promoted" in named
    assert "slice.taken" not in named
    assert [f.event.body.model for f in now.events(types=["model.promoted"], names=["p-v10"])] == ["p-v10"]


def test_a_supposition_shows_the_events_that_it_supposes(book: ledger.Ledger) -> None:
    seq = seq_of(book, "model.promoted")
    supposed = book.now().without(seq)
    with pytest.raises(NotFound, match="supposing"):
        supposed.event(seq)
    everything = set(range(book.now().as_of.seq + 1))
    assert {found.seq for found in supposed.events()} == everything - {seq}
    assert {entry.seq for entry in supposed.counted_events()} == everything - {seq}


def test_on_the_axis_of_what_occurred_events_count_at_their_own_time(book: ledger.Ledger) -> None:
    seq = seq_of(book, "model.promoted")
    promotion = book.now().event(seq).event
    occurred = book.at(promotion.occurred_at, axis="occurred")
    found = next(occurred.counted_events(types=["model.promoted"]))
    assert found.recorded_at == promotion.occurred_at
    assert seq in {one.seq for one in occurred.events()}


def test_commits_as_a_snapshot_shows_them(book: ledger.Ledger) -> None:
    now = book.now()
    commits = now.commits()
    assert [commit.n for commit in commits] == list(range(now.as_of.n + 1))
    assert now.commits(newest_first=True) == commits[::-1]
    assert now.commits(1, 3) == commits[1:3]
    assert book.at("c2").commits() == commits[:3]
    for commit in commits:
        assert now.commit(commit.n) == commit
        assert now.commit_of(commit.last_seq) == commit
        assert now.commit_handle(commit.n) == book.commit_handle(commit.n)
        assert commit.head.recorded_at == commit.recorded_at
    assert now.last_commit_by(commits[2].recorded_at) == commits[2]
    assert now.last_commit_by(commits[0].recorded_at - dt.timedelta(seconds=1)) is None
    assert book.at("c2").last_commit_by(commits[3].recorded_at) == commits[2]
    assert book.at_commit(2).as_of == book.at("c2").as_of


def test_an_imported_event_names_what_things_are_called_here(ann: ledger.Ledger, tmp_path: Path) -> None:
    with ledger.create(tmp_path / "mine", timezone="UTC", key_home="file", clock=Ticking(MADE)) as mine:
        import_history(mine, ann.folder, named_under="ann")
        now = mine.now()
        found = next(now.events(types=["run.started"], names=["ann/r1"]))
        assert found.imported
        assert found.event.body.run == "ann/r1"
        source = now.source(found.n)
        assert source is not None
        assert source.head is not None
        assert source.said.named_under == "ann"
        assert source.head.actor == "ann@example.org"
        assert source.within is None
        assert now.source(0) is None
        assert isinstance(source.said, say.CommitImported)


def test_what_the_ledger_is_comes_through_a_snapshot(book: ledger.Ledger) -> None:
    first, now = book.at("c0"), book.now()
    assert first.genesis == now.genesis == book.genesis
    assert now.zone.key == book.zone.key == "UTC"
    assert now.identities == book.identities
    old, signer = book.identity.key, key_store.new_signer(book.origin, "file")
    change = say.KeyRotated(
        old=old.key_id.hex(),
        new=signer.verifier.key_id.hex(),
        old_key=old.format(),
        new_key=signer.verifier.format(),
        signed_by_old=True,
        compromised_from=None,
        reason="the yearly change",
    )
    book.change_identity(change, signer)
    assert [identity.key for identity in book.now().identities] == [old, book.identity.key]
    assert [identity.key for identity in now.identities] == [old]


def test_the_versions_of_an_entity_end_with_the_snapshot(book: ledger.Ledger) -> None:
    now = book.now()
    run = now.runs()[0]
    versions = now.versions(RunState, run.run)
    assert versions[-1] == run
    assert [state.seq for state in versions] == sorted({state.seq for state in versions})
    assert len(versions) > 1
    began = book.at(f"#{versions[0].seq}")
    assert [state.seq for state in began.versions(RunState, run.run) if state.seq <= began.as_of.seq] == [
        state.seq for state in versions if state.seq <= began.as_of.seq
    ]
    assert versions[-1] not in book.at(f"before:#{run.seq}").versions(RunState, run.run)
    assert now.versions(RunState, "no such run") == []
