"""Another ledger's history in this one: the same events, provably what it had signed, never silently believed."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from given import Ticking
from histories import commits, decided, failed, finished, promoted, refitted, registered, started
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from older import set_aside
from stories import damage, rewrite_everything

from tallystick import ledger
from tallystick.ledger.amend.correction import correct
from tallystick.ledger.amend.redaction import redact
from tallystick.ledger.errors import Conflict, Damaged, InvalidInput, NewerFormat, Refused, TallyError
from tallystick.ledger.events import types as say
from tallystick.ledger.events.approval import approval_event, sign_approval
from tallystick.ledger.events.encoding import Draft, Encoded
from tallystick.ledger.events.event import encode_canonical, hashes
from tallystick.ledger.events.sentences import sentence
from tallystick.ledger.importing.importer import Imported, import_history
from tallystick.ledger.storage.append import Piece
from tallystick.ledger.storage.log_writer import WriteOptions
from tallystick.ledger.system.provenance import Recorder
from tallystick.ledger.system.replay_clock import StoryClock
from tallystick.ledger.tlog import pins
from tallystick.ledger.tlog.key_store import new_signer
from tallystick.ledger.tlog.note import SignerKey, VerifierKey, parse_receipt
from tallystick.ledger.verify.report import Asked, Verdict
from tallystick.ledger.verify.verify import verify
from tallystick.ledger.views.entities import NAMED
from tallystick.ledger.writing.appender import Copy

ANN = Recorder(actor="ann@example.org", user="ann", host="laptop", tool="tallystick 0.0.9")
LAST_YEAR = dt.datetime(2012, 1, 1, 12, tzinfo=dt.UTC)


def state(book: ledger.Ledger) -> tuple[int, bytes, list[Path]]:
    files = sorted(path for path in book.objects.folder.rglob("*") if path.is_file())
    return book.log.size(), book.root_at(book.log.size()), files


def checked(book: ledger.Ledger) -> Verdict:
    verdict = verify(book, Asked(read_data=True))
    assert verdict.findings == []
    return verdict


def line(verdict: Verdict) -> str:
    return dict(verdict.lines)["import"]


def refused(book: ledger.Ledger, folder: Path, words: str, kind: type[TallyError] = Refused, **options: Any) -> None:
    before = state(book)
    with pytest.raises(kind, match=words) as error:
        import_history(book, folder, **options)
    assert error.value.hint
    assert state(book) == before


# What comes --------------------------------------------------------------------------------------------------


def test_events_keep_their_bytes_ids_actors_and_times(book: ledger.Ledger, ann: ledger.Ledger) -> None:
    book.append(registered("q"))
    done = import_history(book, ann.folder)
    there = {stored.id: stored for stored in ann.log.events()}
    here = {stored.id: stored for stored in book.log.events() if stored.id in there}
    left = {stored.type for event_id, stored in there.items() if event_id not in here}
    assert left == {"ledger.created", "schema.declared"}
    assert done.plan.events == len(here) == 9
    for event_id, stored in here.items():
        assert (stored.data, stored.sha256) == (there[event_id].data, there[event_id].sha256)
        entry = book.event(stored.seq)
        original = ann.event(there[event_id].seq)
        assert (entry.actor, entry.event) == ("ann@example.org", original.event)
    heads = [msgspec.json.decode(commit.head) for commit in book.log.commits(3)]
    assert all(head["imported"] and head["user"] != "ann" for head in heads)
    assert len(heads) == ann.log.size()
    assert heads[4]["note"].startswith(f"imported: c4 of {ann.origin}")
    champion = book.now().champion("p")
    assert champion is not None and champion.model == "p-v1"
    assert book.objects.get(champion_artifact(book)) == b"a model" * 100
    assert book.at("2012-01-02", axis="occurred").champion("p") == book.at("2012-02", axis="occurred").champion("p")
    with pytest.raises(ledger.NotFound):
        book.at("2012-01-02")
    assert [told.entry.event.t for told in book.now().story("model:p-v1")] == ["candidate.refitted", "model.promoted"]
    verdict = checked(book)
    assert line(verdict) == (
        f"c0 to c5 of {ann.origin} recomputed: as signed by its key {ann.identity.key.key_id.hex()}; "
        "UNPROVEN, nothing but that ledger itself says that this is its history"
    )
    words = [sentence(entry.event) for entry in book.events() if entry.event.t.endswith(".imported")]
    assert words[0].startswith(f"imports c0 to c5 of {ann.origin}: UNPROVEN")
    assert words[1].startswith(f"is c0 of {ann.origin} (UNPROVEN when it was imported), recorded 2012-01-01 12:00")
    assert not ann.folder.joinpath("views.db").exists()


def champion_artifact(book: ledger.Ledger) -> str:
    return next(e.event.body.artifact for e in book.events() if isinstance(e.event.body, say.ArtifactStored))


def test_nothing_is_written_beside_the_other_ledger(book: ledger.Ledger, ann: ledger.Ledger) -> None:
    ann.close()
    ann.views.discard()
    for name in ("lock", "lock.next"):
        (ann.folder / name).unlink(missing_ok=True)
    before = {path: path.read_bytes() for path in ann.folder.rglob("*") if path.is_file()}
    import_history(book, ann.folder.parent)
    after = {path: path.read_bytes() for path in ann.folder.rglob("*") if path.is_file()}
    assert {path: data for path, data in after.items() if not path.name.endswith(("-wal", "-shm"))} == before
    assert not ann.views.path.exists()
    assert pins.read_pin(ann.origin) is None
    assert pins.read_watermark(ann.origin) is None
    assert pins.read_mark(ann.origin) is None


def test_again_only_what_is_new_and_never_twice(book: ledger.Ledger, ann: ledger.Ledger) -> None:
    import_history(book, ann.folder)
    size = book.log.size()
    assert import_history(book, ann.folder).first_commit is None
    assert book.log.size() == size
    ann.append(promoted("p-v1", "p", "p-v1", "again"))
    ann.append(started("r3", "p"))
    # What is not signed stays there.
    assert import_history(book, ann.folder).unsigned == 2
    assert book.log.size() == size
    ann.checkpoint()
    done = import_history(book, ann.folder)
    assert (done.said.first, done.said.size, done.before) == (6, 8, 6)
    assert book.log.size() == size + 3
    assert len({stored.id for stored in book.log.events()}) == len(list(book.log.events()))
    assert f"c0 to c7 of {ann.origin}" in line(checked(book))


def test_a_dry_run_says_the_same_and_appends_nothing(book: ledger.Ledger, ann: ledger.Ledger) -> None:
    before = state(book)
    would = import_history(book, ann.folder, dry_run=True)
    assert state(book) == before
    done = import_history(book, ann.folder)
    assert (would.said.root, would.plan.events, would.plan.left_out) == (
        done.said.root, done.plan.events, done.plan.left_out,
    )  # fmt: skip


@pytest.mark.parametrize("batches", [0, 1, 2])
def test_interrupted_it_goes_on_from_there(
    batches: int, book: ledger.Ledger, ann: ledger.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tallystick.ledger.importing.importer.COMMITS_AT_ONCE", 2)
    set_aside(ann, ann.log.commit(4).last_seq, "no")
    ann.checkpoint()
    real, left = type(book).append_copies, iter(range(batches))

    def interrupted(self: ledger.Ledger, copies: list[Copy]) -> object:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return real(self, copies)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(type(book), "append_copies", interrupted)
        import_history(book, ann.folder)
    verdict = checked(book)
    (warned,) = [words for words in verdict.warnings if "stopped" in words]
    assert ("before its first commit" if not batches else f"stopped at c{2 * batches - 1} of c6") in warned
    done = import_history(book, ann.folder)
    assert (done.before, done.first_commit) == (2 * batches, None)
    assert not [words for words in checked(book).warnings if "stopped" in words]
    assert len([e for e in book.events() if e.event.t == "commit.imported"]) == 7
    assert len([e for e in book.events() if e.event.t == "history.imported"]) == 1
    assert book.now().champion("p") is None


def test_of_two_imports_at_once_one_goes_on(book: ledger.Ledger, ann: ledger.Ledger) -> None:
    def meanwhile(what: str, _done: int, _total: int) -> None:
        if what == "names":
            with ledger.open(book.folder, clock=book.clock) as other:
                import_history(other, ann.folder)

    with pytest.raises(Conflict, match="at the same time"):
        import_history(book, ann.folder, progress=meanwhile)
    assert import_history(book, ann.folder).first_commit is None
    checked(book)


# Who vouches -------------------------------------------------------------------------------------------------


def vouched(done: Imported) -> str:
    return done.said.vouched


def test_a_receipt_a_key_a_pin_or_an_earlier_import_vouches(book: ledger.Ledger, ann: ledger.Ledger) -> None:
    note = parse_receipt(ann.checkpoint())
    key = ann.identity.key
    assert vouched(import_history(book, ann.folder, dry_run=True)) == "nothing"
    assert vouched(import_history(book, ann.folder, against=note, dry_run=True)) == "receipt"
    assert vouched(import_history(book, ann.folder, key=key, dry_run=True)) == "key"
    pins.write_pin(key, "compared by telephone")
    assert vouched(import_history(book, ann.folder, dry_run=True)) == "pin"
    pins.forget(ann.origin)
    import_history(book, ann.folder, against=note)
    assert all(e.event.body.proven for e in book.events() if isinstance(e.event.body, say.CommitImported))
    assert "proven by a receipt that was kept of its first 6 commits" in line(checked(book))
    ann.append(started("r3", "p"), sign=True)
    assert vouched(import_history(book, ann.folder)) == "import"


def test_what_was_unproven_is_proven_by_a_receipt_that_comes_later(book: ledger.Ledger, ann: ledger.Ledger) -> None:
    import_history(book, ann.folder)
    (history,) = book.now().histories()
    assert not history.proven
    size = book.log.size()
    receipt = parse_receipt(ann.checkpoint())
    import_history(book, ann.folder, against=receipt)
    assert book.log.size() == size + 1
    (history,) = book.now().histories()
    assert history.proven and history.commits == 6
    assert book.at(f"c{size - 1}").histories()[0].proven is False
    assert "proven by a receipt" in line(checked(book))
    assert import_history(book, ann.folder, against=receipt).first_commit is None


def test_what_contradicts_what_is_known_is_refused_whole(
    book: ledger.Ledger, ann: ledger.Ledger, tmp_path: Path
) -> None:
    receipt = parse_receipt(ann.checkpoint())
    other = receipt.checkpoint._replace(root=bytes(32))
    refused(book, ann.folder, "does not verify: FORK", against=receipt._replace(checkpoint=other, note=None))
    larger = receipt.checkpoint._replace(size=99)
    refused(book, ann.folder, "does not verify: TAIL CUT", against=receipt._replace(checkpoint=larger, note=None))
    stranger = SignerKey.generate("somebody-else").verifier
    refused(book, ann.folder, "not signed by the key that was given", key=stranger)
    with ledger.create(tmp_path / "third", timezone="UTC", key_home="file") as third:
        refused(book, ann.folder, "FORK.*of another ledger", against=parse_receipt(third.checkpoint()))
    pins.write_pin(SignerKey.generate(ann.origin).verifier, "first contact")
    refused(book, ann.folder, "does not verify: SIGNATURE")


def test_a_key_that_was_lost_ends_what_a_receipt_vouches_for(book: ledger.Ledger, ann: ledger.Ledger) -> None:
    receipt, old = parse_receipt(ann.checkpoint()), ann.identity.key
    signer = new_signer(ann.origin, "file")

    def rotated(by_both: bool) -> say.KeyRotated:
        return say.KeyRotated(
            old=ann.identity.key.key_id.hex(), new=signer.verifier.key_id.hex(), old_key=ann.identity.key.format(),
            new_key=signer.verifier.format(), signed_by_old=by_both, compromised_from=None, reason="new",
        )  # fmt: skip

    ann.change_identity(rotated(True), signer)
    assert vouched(import_history(book, ann.folder, key=old, dry_run=True)) == "key"
    assert vouched(import_history(book, ann.folder, against=receipt)) == "receipt"
    signer = new_signer(ann.origin, "file")
    ann.change_identity(rotated(False), signer)
    pins.forget(ann.origin)
    refused(book, ann.folder, "without the signature of the old one", against=receipt)
    refused(book, ann.folder, "not signed by the key that was given", key=old)
    assert vouched(import_history(book, ann.folder)) == "nothing"
    assert "UNPROVEN" in line(checked(book))
    assert vouched(import_history(book, ann.folder, key=signer.verifier)) == "key"
    checked(book)


# What is refused ---------------------------------------------------------------------------------------------


def edited(ann: ledger.Ledger) -> None:
    damage(ann, "UPDATE events SET body = replace(body, 'better bad months', 'I said so') WHERE body LIKE '%better%'")


def rewritten(ann: ledger.Ledger) -> None:
    rewrite_everything(ann, lambda data: data.replace(b"better bad months", b"because I said so!"))


def viewed(ann: ledger.Ledger) -> None:
    damage(ann, "ALTER TABLE commits RENAME TO kept", "CREATE VIEW commits AS SELECT * FROM kept")


def swapped(ann: ledger.Ledger) -> None:
    path = next(path for path in ann.objects.folder.rglob("*") if path.is_file())
    path.chmod(0o644)
    path.write_bytes(b"A model" * 100)


@pytest.mark.parametrize(
    ("change", "words"),
    [(edited, "BODY ALTERED"), (rewritten, "LEAF REWRITTEN"), (viewed, "SCHEMA"), (swapped, "holds other bytes")],
)
def test_a_ledger_that_was_changed_is_refused(
    change: Callable[[ledger.Ledger], None], words: str, book: ledger.Ledger, ann: ledger.Ledger
) -> None:
    if change is viewed:
        ann.close()
        connection = sqlite3.connect(ann.log.path, isolation_level=None)
        for name in ("commits_in_order", "commits_kept", "commits_unchanged"):
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("ALTER TABLE commits RENAME TO kept")
        connection.execute("CREATE VIEW commits AS SELECT * FROM kept")
        connection.close()
    else:
        change(ann)
    refused(book, ann.folder, words, (Refused, Damaged))  # type: ignore[arg-type]


def test_who_does_not_know_names_under_others_is_kept_out(
    book: ledger.Ledger, ann: ledger.Ledger, tmp_path: Path
) -> None:
    """A program of the first format would take an imported run for the run of that name which is the ledger's own."""
    with ledger.create(tmp_path / "plain", timezone="UTC") as plain:
        import_history(plain, ann.folder)
        assert plain.log.format() == 1, "any program may read what it can read rightly"
        assert verify(plain).verified
    assert book.log.format() == 1
    import_history(book, ann.folder, named_under="ann")
    assert book.log.format() == 2
    assert verify(book).verified
    book.writer.connection.execute("PRAGMA user_version = 1")
    assert [finding.kind for finding in verify(book).findings] == ["SCHEMA"]


def test_names_that_mean_something_here_are_all_said_and_can_be_read_under_another(
    book: ledger.Ledger, ann: ledger.Ledger
) -> None:
    book.append(registered("p"), refitted("p-v1", "r9", "p"), started("r1", "p"))
    book.append(promoted("p-v1", "p", None), decided("r9", "p", "p-v1"))
    set_aside(ann, ann.log.commit(4).last_seq, "too early")
    ann.checkpoint()
    refused(book, ann.folder, "uses 4 names .*: pipeline p; run r1, 2013-01-01.1; model p-v1.*Nothing")
    refused(book, ann.folder, "not a name", InvalidInput, named_under="a/b")
    import_history(book, ann.folder, named_under="ann")
    now = book.now()
    assert {model.model: model.status for model in now.models()} == {"p-v1": "champion", "ann/p-v1": "candidate"}
    assert now.champion("ann/p") is None
    then = next(e.n for e in book.events() if e.event.t == "event.corrected")
    before = book.at(f"before:c{then}").champion("ann/p")
    assert before is not None and before.model == "ann/p-v1"
    assert {run.run: run.pipeline for run in now.runs()} == {"r1": "p", "ann/r1": "ann/p", "ann/r2": "ann/p"}
    assert now.slices()[0].slice == "0123456789ab"
    assert book.log.last_seq_of("run:ann/r1") and book.log.last_seq_of("slice:0123456789ab")
    assert {step.entry.event.t for step in now.story("run:ann/r1")} >= {"run.started", "run.finished"}
    assert now.lineage("model:ann/p-v1")
    book.append(promoted("ann/p-v1", "ann/p", None))
    checked(book)
    refused(book, ann.folder, "read under ann/", named_under="bob")
    seq = next(e.seq for e in book.events() if e.event.t == "run.started" and e.event.body.run == "ann/r2")
    redact(book, seq, "why", "who")
    assert book.log.last_seq_of("run:ann/r2") is None
    checked(book)


def test_it_goes_on_with_its_own_names_and_says_where_both_do(book: ledger.Ledger, ann: ledger.Ledger) -> None:
    import_history(book, ann.folder)
    ann.append(finished("r2", "p"), sign=True)
    assert import_history(book, ann.folder).plan.also_here == []
    book.append(promoted("p-v1", "p", "p-v1"), started("r3", "p"))
    ann.append(finished("r2", "p"), sign=True)
    assert import_history(book, ann.folder).plan.also_here == ["pipeline:p"]
    ann.append(started("r3", "p"), sign=True)
    refused(book, ann.folder, "uses 1 name that means something else here: run r3")


def test_this_very_ledger_copies_of_it_and_stories_are_refused(
    book: ledger.Ledger, ann: ledger.Ledger, tmp_path: Path
) -> None:
    refused(book, book.folder, "the very ledger")
    book.checkpoint()
    shutil.copytree(book.folder, tmp_path / "copy" / ".tally")
    refused(book, tmp_path / "copy", "a copy that parted")
    with ledger.create(
        tmp_path / "story", timezone="UTC", key_home="file", clock_kind="replayed", clock=StoryClock(LAST_YEAR)
    ) as story:
        refused(book, story.folder, "story must not become history")
        refused(story, ann.folder, "a history from elsewhere cannot be imported")
    # A ledger that holds ours, too.
    import_history(ann, book.folder, named_under="team")
    ann.checkpoint()
    refused(book, ann.folder, "holds an import of this very ledger")
    refused(book, tmp_path / "nowhere", "no ledger", ledger.NotFound)


def test_a_history_that_went_back_or_parted_is_refused(book: ledger.Ledger, ann: ledger.Ledger, tmp_path: Path) -> None:
    ann.close()
    shutil.copytree(ann.folder, tmp_path / "old" / ".tally")
    ann.append(started("r3", "p"), sign=True)
    import_history(book, ann.folder)
    pins.forget(ann.origin)
    refused(book, tmp_path / "old", "only 6 commits of it are there")
    with ledger.open(tmp_path / "old", recorder=ANN, clock=Ticking(dt.datetime(2012, 6, 1, tzinfo=dt.UTC))) as other:
        other.append(started("r4", "p"), sign=True)
        other.append(started("r5", "p"), sign=True)
    pins.forget(ann.origin)
    refused(book, tmp_path / "old", "does not continue what was imported")
    checked(book)


# Events about the log itself, and events that are gone -------------------------------------------------------


def test_corrections_keep_their_effect_with_positions_of_here(book: ledger.Ledger, ann: ledger.Ledger) -> None:
    """Also those of corrections, in one import or in the next."""
    book.append(registered("q"))
    promotion = ann.log.commit(4).last_seq
    first = set_aside(ann, promotion, "too early").last_seq
    ann.checkpoint()
    import_history(book, ann.folder)
    assert book.now().champion("p") is None
    second = correct(ann, first, "not too early").last_seq
    ann.checkpoint()
    import_history(book, ann.folder)
    assert book.now().champion("p") is not None
    correct(ann, second, "it was")
    ann.checkpoint()
    import_history(book, ann.folder)
    assert book.now().champion("p") is None
    said = [e.event.body for e in book.events() if isinstance(e.event.body, say.EventCorrected)]
    assert [body.reason for body in said] == ["too early", "not too early", "it was"]
    here = next(e.seq for e in book.events() if e.event.t == "model.promoted")
    assert said[0].correction == str(here)
    for body in said:
        assert book.log.event(int(body.correction)).id.hex() == body.event
    checked(book)


def test_what_was_erased_there_does_not_come_and_what_is_erased_later_is_said(
    book: ledger.Ledger, ann: ledger.Ledger
) -> None:
    def run(name: str) -> int:
        return next(e.seq for e in ann.events() if e.event.t == "run.started" and e.event.body.run == name)

    ann.append(started("r3", "p"))
    redact(ann, run("r3"), "it named a person", "a law")
    done = import_history(book, ann.folder)
    assert [state.run for state in book.now().runs()] == ["r1", "r2"]
    assert done.plan.left_out == len([s for s in ann.log.events() if s.type == "schema.declared"]) + 3
    redact(ann, run("r2"), "it named a person", "a law")
    done = import_history(book, ann.folder)
    (here,) = done.plan.erased_there
    assert book.event(here).event.body.run == "r2"
    redact(book, here, "it was erased there", "a law")
    assert [state.run for state in book.now().runs()] == ["r1"]
    assert "as signed by" in line(checked(book))


def test_an_approval_holds_for_the_ledger_that_it_was_signed_for(book: ledger.Ledger, ann: ledger.Ledger) -> None:
    ben = SignerKey.generate("ben")
    decision = next(e for e in ann.events() if isinstance(e.event.body, say.DecisionTaken))
    event_id = ann.log.event(decision.seq).id.hex()
    note = sign_approval(ann.origin, event_id, ben)
    ann.append(approval_event(note, ben.verifier, event_id, decision.event.body), sign=True)
    import_history(book, ann.folder)
    assert [state.approver for state in book.now().approvals("r1")] == ["ben"]
    assert dict(checked(book).lines)["approved"].startswith("1 approval")
    # The same note recorded here, for this ledger, is worth nothing.
    book.append(approval_event(note, ben.verifier, event_id, decision.event.body))
    assert [finding.kind for finding in verify(book).findings] == ["SIGNATURE"]


def test_a_history_that_was_itself_imported_says_so(book: ledger.Ledger, ann: ledger.Ledger, tmp_path: Path) -> None:
    with ledger.create(tmp_path / "carl", timezone="UTC", key_home="file") as carl:
        carl.append(registered("c"), started("r1", "c"), sign=True)
        pins.forget(carl.origin)
    import_history(ann, tmp_path / "carl", named_under="carl")
    receipt = ann.checkpoint()
    book.append(started("r1", "x"))
    done = import_history(book, ann.folder, named_under="ann", against=parse_receipt(receipt))
    assert done.plan.passed_on == {carl_name(done): False}
    assert [run.run for run in book.now().runs()] == ["r1", "ann/r1", "ann/r2", "ann/carl/r1"]
    proven = [e.event.body.proven for e in book.events() if isinstance(e.event.body, say.CommitImported)]
    assert proven == [True] * 7 + [False] * 2
    checked(book)


def test_what_is_here_already_does_not_come_again_by_way_of_another(
    book: ledger.Ledger, ann: ledger.Ledger, tmp_path: Path
) -> None:
    with ledger.create(tmp_path / "carl", timezone="UTC", key_home="file") as carl:
        carl.append(registered("c"), sign=True)
    import_history(ann, tmp_path / "carl", named_under="carl")
    ann.checkpoint()
    with ledger.create(tmp_path / "other", timezone="UTC", key_home="file") as other:
        import_history(other, tmp_path / "carl")
        refused(other, ann.folder, "would be here twice", named_under="ann")
    import_history(book, ann.folder)
    refused(book, tmp_path / "carl", "came with another ledger", named_under="again")
    with ledger.open(tmp_path / "carl") as carl:
        carl.append(registered("d"), sign=True)
    import_history(ann, tmp_path / "carl")
    ann.checkpoint()
    import_history(book, ann.folder)
    assert [state.pipeline for state in book.now().pipelines()] == ["p", "carl/c", "carl/d"]
    checked(book)


def carl_name(done: Imported) -> str:
    return next(iter(done.plan.passed_on))


def written_by_another_program(ann: ledger.Ledger, text: str, *, event_type: str = "a.stranger") -> None:
    """Append a body that this program has no struct for, as a newer or another program would."""
    event = (
        f'{{"body":{text},"occurred_at":"2012-06-01T00:00:00Z","salt":"AAAAAAAAAAAAAAAAAAAAAA==",'
        f'"t":"{event_type}","v":7}}'
    ).encode()
    schema = say.SchemaDeclared(name=f"{event_type}/7", json_schema={"type": "object"})
    ann.append(schema)
    ann.writer.append(
        Piece([Encoded(event_type, event, hashes(event), [])], lambda micros: encode_canonical(
            {"actor": "z", "host": "h", "recorded_at": dt.datetime.fromtimestamp(micros / 1e6, dt.UTC), "tool": "t",
             "user": "u"}
        ).decode()),
        WriteOptions(now_micros=lambda: ann.log.commit(ann.log.size() - 1).recorded_at),
    )  # fmt: skip
    ann.checkpoint()


def test_types_that_nobody_knows_come_as_they_are_with_their_schema(book: ledger.Ledger, ann: ledger.Ledger) -> None:
    written_by_another_program(ann, '{"a":[1,0.5,null]}')
    import_history(book, ann.folder)
    (stranger,) = [e for e in book.events() if e.event.t == "a.stranger"]
    assert (stranger.event.body, stranger.actor) == ({"a": [1, 0.5, None]}, "z")
    assert book.newer_types() == ["a.stranger version 7"]
    checked(book)
    book.append(registered("q"))


@pytest.mark.parametrize(
    ("text", "event_type", "kind", "words"),
    [
        ("{}", "run.started", NewerFormat, "run.started version 7"),
        ('{"b":1,"a":2}', "a.stranger", InvalidInput, "not in the written form"),
        ('{"a":1e999}', "a.stranger", TallyError, "."),
        ('{"a":9007199254740993}', "a.stranger", InvalidInput, "integers"),
        ('{"a":' + "[" * 40 + "]" * 40 + "}", "a.stranger", InvalidInput, "nested deeper"),
        ('{"a":"' + "x" * (1 << 20) + '"}', "a.stranger", InvalidInput, "not in the written form"),
    ],
    ids=["newer", "unsorted", "infinite", "large", "deep", "long"],
)
def test_only_events_that_this_program_could_have_written_come(
    text: str, event_type: str, kind: type[TallyError], words: str, book: ledger.Ledger, ann: ledger.Ledger
) -> None:
    written_by_another_program(ann, text, event_type=event_type)
    refused(book, ann.folder, words, kind)


def test_what_others_rely_on_must_not_be_erased_there(book: ledger.Ledger, ann: ledger.Ledger) -> None:
    seq = ann.append(say.ExperimentDeclared(run="r1", pipeline="p", reason="to learn")).last_seq
    stored = ann.log.event(seq)
    ann.append(
        say.EventRedactedV1(redaction=str(seq), event=stored.id.hex(), type=stored.type, reason="r", authority="a"),
        sign=True,
    )
    damage(ann, f"UPDATE events SET body = NULL WHERE seq = {seq}", "DELETE FROM entities WHERE entity = 'x'")
    refused(book, ann.folder, "experiment.declared|does not verify")


# What verify finds afterwards --------------------------------------------------------------------------------


def forged(book: ledger.Ledger, change: Callable[[bytes], bytes]) -> Verdict:
    """Somebody who has our key rewrites what was imported and signs it again."""
    rewrite_everything(book, change)
    damage(book, "DELETE FROM checkpoints WHERE size > 1")
    pins.forget(book.origin)
    pins.write_pin(book.identity.key, "made here")
    book.checkpoint()
    return verify(book)


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"better bad months", b"because I said so"), (b"2012-01-01T12:00:0", b"2012-01-01T13:00:0"),
     (b'\\"actor\\":\\"ann@example.org\\"', b'\\"actor\\":\\"ben@example.org\\"'), (b'"copied":2', b'"copied":1'),
     (b'"first":0,', b'"first":1,'), (b'"place":0', b'"place":7')],
    ids=["event", "time", "actor", "count", "first", "place"],
)  # fmt: skip
def test_an_imported_history_that_was_changed_here_is_found(
    old: bytes, new: bytes, book: ledger.Ledger, ann: ledger.Ledger
) -> None:
    """Even by somebody who has this ledger's key: the other ledger's signature is not his."""
    import_history(book, ann.folder)
    verdict = forged(book, lambda data: data.replace(old, new))
    assert {finding.kind for finding in verdict.findings} == {"IMPORT"}
    assert verdict.exit_code == 1


def test_nothing_is_slipped_in_between(book: ledger.Ledger, ann: ledger.Ledger) -> None:
    real = type(book).append_copies

    def with_more(self: ledger.Ledger, copies: list[Copy]) -> object:
        extra = self.appender.encoded([Draft(failed("r8", "q"))], LAST_YEAR)
        return real(self, [copies[0]._replace(batch=[*copies[0].batch, *extra]), *copies[1:]])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(book), "append_copies", with_more)
        import_history(book, ann.folder)
    (finding,) = verify(book).findings
    assert finding.kind == "IMPORT"
    assert "is not what" in finding.words


def test_a_commit_in_somebody_elses_name_is_found(book: ledger.Ledger, ann: ledger.Ledger) -> None:
    real = type(book).append_copies

    def as_ben(self: ledger.Ledger, copies: list[Copy]) -> object:
        return real(self, [copy._replace(actor="ben@example.org") for copy in copies])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(book), "append_copies", as_ben)
        import_history(book, ann.folder)
    found = verify(book).findings
    assert {finding.kind for finding in found} == {"IMPORT"}
    assert "not in the name of who recorded it" in found[0].words


# Laws --------------------------------------------------------------------------------------------------------


def told_plainly(state: object) -> Any:
    return msgspec.to_builtins(state, builtin_types=(dt.datetime,))


def content(value: Any) -> Any:
    """What a state says, without positions and times of recording."""
    if isinstance(value, dict):
        return {key: content(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [content(item) for item in value]
    return None if isinstance(value, int | dt.datetime) and not isinstance(value, bool) else value


@settings(
    max_examples=100 if os.environ.get("TALLY_FULL") else 3,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(history=commits, corrections=st.lists(st.integers(0, 10_000), max_size=4), stop=st.integers(1, 6))
def test_what_is_believed_here_is_what_was_believed_there(
    history: list[list[Draft]], corrections: list[int], stop: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any history with any corrections, imported in two goes, under its own names or under others."""
    folder = tmp_path_factory.mktemp("law")
    with (
        ledger.create(folder / "there", timezone="UTC", key_home="file", recorder=ANN) as there,
        ledger.create(folder / "here", timezone="UTC", key_home="file", recorder=ANN) as here,
        ledger.create(folder / "under", timezone="UTC", key_home="file", recorder=ANN) as under,
    ):
        for at, batch in enumerate(history):
            # Approvals of generated histories bear no signature, so a ledger with them does not verify.
            there.append(
                *[draft for draft in batch if not isinstance(draft, say.DecisionApproved)] or [failed("r", "p")]
            )
            if at < len(corrections):
                seq = corrections[at] % (there.log.commit(there.log.size() - 1).last_seq + 1)
                with contextlib.suppress(Refused):
                    set_aside(there, seq, "no")
            if at == stop:
                there.checkpoint()
                import_history(here, there.folder)
                import_history(under, there.folder, named_under="x")
        there.checkpoint()
        import_history(here, there.folder)
        under.append(registered("late-arrivals"))
        import_history(under, there.folder, named_under="x")
        for projection in NAMED:
            if projection.name in ("keys", "anchors", "histories", "corrections"):
                continue
            expected = [content(told_plainly(state)) for state in there.now().states(projection.name)]
            found = [content(told_plainly(state)) for state in here.now().states(projection.name)]
            assert found == expected, projection.name
            named = [getattr(state, projection.key) for state in under.now().states(projection.name)]
            by_content = projection.key in say.BY_CONTENT
            assert [name for name in named if by_content or name.startswith("x/")] == [
                name if by_content else f"x/{name}"
                for name in (getattr(state, projection.key) for state in there.now().states(projection.name))
            ]
        for book in (here, under):
            assert verify(book).findings == []


def test_damaged_ledgers_are_refused_or_what_comes_verifies(
    book: ledger.Ledger, ann: ledger.Ledger, tmp_path: Path
) -> None:
    """A byte changed anywhere in the file; only errors of ours, and after a refusal nothing is here."""
    ann.close()
    data = bytearray(ann.log.path.read_bytes())
    came = 0
    for number in range(24):
        at = (number * 7_919 + 31) % len(data)
        hostile = tmp_path / f"hostile-{number}"
        shutil.copytree(ann.folder, hostile)
        data[at] ^= 0x41
        (hostile / "ledger.db").write_bytes(data)
        data[at] ^= 0x41
        before = state(book)
        try:
            import_history(book, hostile, named_under=f"h{number}")
        except TallyError:
            assert state(book) == before
            continue
        came += 1
        break
    assert came <= 1
    checked(book)
    assert VerifierKey.parse(book.genesis.verifier_key)
