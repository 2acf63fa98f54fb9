"""The views are what the events say: at every commit, however they were caught up, whatever happened to the file."""

from __future__ import annotations

import datetime as dt
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from given import Ticking, seeded_salts
from histories import PIPELINES, commits, finished, promoted, refitted, registered, started
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stories import told

from tallystick import ledger
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.system.provenance import Recorder
from tallystick.ledger.verify.verify import verify
from tallystick.ledger.views import cache_file, tables
from tallystick.ledger.views.entities import PROJECTIONS
from tallystick.ledger.views.fold import fold

RECORDER = Recorder(actor="a", user="u", host="h", tool="t")
SLOW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def new_ledger(folder: str) -> ledger.Ledger:
    return ledger.create(Path(folder), timezone="UTC", clock=Ticking(), salts=seeded_salts(), recorder=RECORDER)


@SLOW
@given(commits)
def test_at_every_commit_each_view_is_the_fold_of_the_events_so_far(history: list[list[Draft]]) -> None:
    with tempfile.TemporaryDirectory() as folder, new_ledger(folder) as book:
        for commit in history:
            book.append(*commit)
            book.now().pipelines()  # caught up one commit at a time
        folded = fold(book.events())
        assert book.views.versions() == folded
        for n in range(book.log.size()):
            last_seq = book.log.commit(n).last_seq
            prefix = fold(book.events(0, last_seq))
            snapshot = book.at(f"c{n}")
            for projection in PROJECTIONS:
                kept = book.views.all(projection, last_seq)
                by_key = {getattr(state, projection.key): state for state in kept}
                expected = {key: h[-1][1] for key, h in prefix[projection.name].items() if h[-1][1] is not None}
                assert by_key == expected
                for key, state in expected.items():
                    assert book.views.get(projection, key, last_seq) == state
            assert snapshot.as_of.seq == last_seq


@SLOW
@given(commits, st.integers(1, 5))
def test_catching_up_in_any_chunks_is_rebuilding(history: list[list[Draft]], chunk: int) -> None:
    with tempfile.TemporaryDirectory() as folder, new_ledger(folder) as book:
        for index, commit in enumerate(history):
            book.append(*commit)
            if index % chunk == 0:
                book.now().models()
        step_by_step = book.views.versions()
        book.views.close()
        book.views.path.unlink()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cache_file, "BATCH_EVENTS", chunk)
            assert book.views.versions() == step_by_step


@SLOW
@given(commits)
def test_sql_says_the_same_as_the_methods(history: list[list[Draft]]) -> None:
    with tempfile.TemporaryDirectory() as folder, new_ledger(folder) as book:
        for commit in history:
            book.append(*commit)
        for n in range(book.log.size()):
            snapshot = book.at(f"c{n}")
            connection = book.views.sql(snapshot.as_of.seq)
            rows = connection.execute("SELECT model, status FROM models ORDER BY model").fetchall()
            assert rows == sorted((model.model, model.status) for model in snapshot.models())
            with pytest.raises(Exception, match=r"attempt to write a readonly database"):
                connection.execute("CREATE TABLE x(y)")


def test_no_version_table_is_scanned(book: ledger.Ledger) -> None:
    book.append(registered("late-arrivals"), started("2013-01-01.1", "late-arrivals"))
    connection = book.views.caught_up()
    for projection in PROJECTIONS:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {tables.all_as_of(projection)}", (5, 5))]
        assert not [step for step in plan if step.startswith("SCAN") and ("versions" in step or "rows" in step)], plan
        assert any(f"SEARCH {tables.rows_table(projection)}" in step or "SEARCH v " in step for step in plan), plan


def test_the_file_itself_answers_in_sql_at_any_event(book: ledger.Ledger) -> None:
    """As with sqlite3 or datasette: one row says when, and every view follows it without scanning versions."""
    book.append(registered("p"), refitted("p-v1", "r1", "p"))
    promotion = book.append(promoted("p-v1", "p", None)).last_seq
    book.now().models()
    book.views.close()
    connection = sqlite3.connect(book.views.path, isolation_level=None)
    assert connection.execute("SELECT model, status FROM models").fetchall() == [("p-v1", "champion")]
    connection.execute("UPDATE asof SET seq = ?", (promotion - 1,))
    assert connection.execute("SELECT model, status FROM models").fetchall() == [("p-v1", "candidate")]
    for projection in PROJECTIONS:
        for question in (
            f"SELECT * FROM {projection.name}",
            f"SELECT * FROM {projection.name} WHERE {projection.key} = 'x'",
        ):
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {question}")]
            # One row of asof and the list of names are walked; versions are searched for.
            assert {step for step in plan if step.startswith("SCAN")} <= {"SCAN a", "SCAN k"}, plan
            assert any(step.startswith("SEARCH v ") for step in plan), plan
    connection.close()
    # What somebody typed there is nobody else's date.
    assert book.now().model("p-v1").status == "champion"


def test_who_was_champion_at_each_date(book: ledger.Ledger, clock: Ticking) -> None:
    book.append(registered("p"), refitted("p-v1", "r1", "p"), refitted("p-v2", "r1", "p"))
    first = book.append(promoted("p-v1", "p", None, "first"))
    clock.now = dt.datetime(2013, 7, 1, 12, tzinfo=dt.UTC)
    second = book.append(promoted("p-v2", "p", "p-v1", "better bad months"))
    assert book.at("2013-06-30").champion("p") is not None
    for when, model in (
        ("2013-06-30", "p-v1"),
        ("2013-06", "p-v1"),
        ("2013-07-01", "p-v2"),
        ("now", "p-v2"),
        (f"c{first.n}", "p-v1"),
        (f"before:#{second.last_seq}", "p-v1"),
        (f"#{second.last_seq}", "p-v2"),
    ):
        champion = book.at(when).champion("p")
        assert champion is not None
        assert champion.model == model, when
    assert book.at(f"before:c{first.n}").champion("p") is None
    assert book.at("2013-07-01").model("p-v1").status == "retired"
    promotion = book.now().pipeline("p").champion
    assert promotion is not None
    assert (promotion.reason, promotion.by, promotion.seq) == (
        "better bad months",
        "tester@example.org",
        second.last_seq,
    )


def test_a_damaged_or_foreign_views_file_is_replaced(book: ledger.Ledger) -> None:
    book.append(registered("p"))
    assert [state.pipeline for state in book.now().pipelines()] == ["p"]
    book.views.close()
    for content in (b"garbage" * 1000, b""):
        for suffix in ("-wal", "-shm"):
            book.views.path.with_name(book.views.path.name + suffix).unlink(missing_ok=True)
        book.views.path.write_bytes(content)
        assert [state.pipeline for state in book.now().pipelines()] == ["p"]
        book.views.close()


def test_views_of_another_ledger_are_not_believed(book: ledger.Ledger, tmp_path: Path) -> None:
    book.append(registered("p"))
    with ledger.create(tmp_path / "other", timezone="UTC") as other:
        other.append(registered("q"))
        other.append(registered("r"))
        other.now().pipelines()
        other.views.close()
        book.views.close()
        book.views.path.write_bytes(other.views.path.read_bytes())
    assert [state.pipeline for state in book.now().pipelines()] == ["p"]


def test_names_may_be_shortened_where_only_one_fits(book: ledger.Ledger) -> None:
    book.append(*[registered(pipeline) for pipeline in PIPELINES], finished("x", "p"))
    assert book.now().pipeline("late").pipeline == "late-arrivals"
    assert book.now().pipeline("pipeline:no-shows").pipeline == "no-shows"
    book.append(registered("late-departures"))
    with pytest.raises(ledger.NotFound, match="could be any of 2"):
        book.now().pipeline("late")
    with pytest.raises(ledger.NotFound, match="no pipeline 'x'"):
        book.now().pipeline("x")
    # Every question takes a beginning, with or without the kind; what could be several is never chosen between.
    book.append(refitted("late-arrivals-v1", "r", "late-arrivals"), refitted("late-arrivals-v2", "r", "late-arrivals"))
    now = book.now()
    assert now.entity("no-s").pipeline == "no-shows"  # type: ignore[attr-defined]
    assert now.why("no-s.owner").name == "no-shows"
    assert now.why("late-arrivals-v2.status").kind == "model"
    assert len(now.story("pipeline:no")) == 1
    with pytest.raises(ledger.NotFound, match="could be any of 2: model:late-arrivals-v1, model:late-arrivals-v2"):
        now.story("model:late")
    # Only pipelines have a champion, so the models of that name are not meant; but two pipelines are left.
    with pytest.raises(ledger.NotFound, match="could be any of 2: pipeline:late-arrivals, pipeline:late-departures"):
        now.why("late.champion")
    assert now.why("late-a.champion").name == "late-arrivals"
    with pytest.raises(ledger.NotFound, match="Which field of pipeline:no-shows"):
        now.why("no-shows.wage")


def test_no_question_about_the_past_scans_versions(book: ledger.Ledger) -> None:
    book.append(registered("p"), started("r1", "p"), refitted("p-v1", "r1", "p"))
    book.append(promoted("p-v1", "p", None))
    asked: list[str] = []
    connection = book.views.caught_up()
    connection.set_trace_callback(asked.append)
    before, now = book.at("c1"), book.now()
    before.diff(now)
    now.why("p.champion")
    now.story("model:p-v1")
    now.lineage("model:p-v1")
    now.champion("p")
    now.models()
    connection.set_trace_callback(None)
    questions = [query for query in asked if query.startswith("SELECT") and ("_versions" in query or "_rows" in query)]
    assert len(questions) > 10
    for query in questions:
        steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}")]
        assert not [
            step
            for step in steps
            if step.startswith("SCAN") and step not in ("SCAN k", "SCAN rows VIRTUAL TABLE INDEX 1:")
        ], (query, steps)


def test_only_the_view_whose_code_changed_is_built_again(book: ledger.Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    book.append(registered("p"), started("r1", "p"), refitted("p-v1", "r1", "p"))
    assert [model.model for model in book.now().models()] == ["p-v1"]
    connection = book.views.caught_up()
    # Marks that would not survive a rebuild.
    for name in ("models", "runs"):
        connection.execute(f"UPDATE {name}_rows SET changed = ',marked,'")
    changed = [p._replace(fingerprint="other") if p.name == "models" else p for p in PROJECTIONS]
    monkeypatch.setattr(cache_file, "PROJECTIONS", tuple(changed))
    book.views.close()
    connection = book.views.caught_up()
    marked = {
        name: connection.execute(f"SELECT count(*) FROM {name}_versions WHERE changed = ',marked,'").fetchone()[0]
        for name in ("models", "runs")
    }
    assert marked == {"models": 0, "runs": 1}
    assert [model.model for model in book.now().models()] == ["p-v1"]


@pytest.mark.parametrize("name", [projection.name for projection in PROJECTIONS])
def test_a_view_that_is_built_again_alone_verifies(book: ledger.Ledger, name: str) -> None:
    """A newer program may follow some views otherwise than before, and others as it always did."""
    told(book)
    book.now().pipelines()
    path = book.views.path
    book.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        changed = connection.execute("UPDATE cursors SET fingerprint = 'of before' WHERE projection = ?", (name,))
        assert changed.rowcount == 1
    assert verify(book).findings == []


def test_views_of_another_layout_are_built_again_and_not_misread(book: ledger.Ledger) -> None:
    book.append(registered("p"), refitted("p-v1", "r1", "p"))
    promotion = book.append(promoted("p-v1", "p", None)).last_seq
    book.now().models()
    book.views.close()
    with closing(sqlite3.connect(book.views.path, isolation_level=None)) as connection:
        # As an earlier program kept them: rows by entity, and no number of the row before.
        connection.execute("CREATE TABLE newer AS SELECT * FROM models_versions")
        for kind, name in (("VIEW", "models"), ("VIEW", "models_versions"), ("TABLE", "models_rows")):
            connection.execute(f"DROP {kind} {name}")
        connection.execute(
            "CREATE TABLE models_versions(key TEXT, from_seq INTEGER, changed TEXT NOT NULL, state TEXT, "
            "PRIMARY KEY(key, from_seq)) STRICT, WITHOUT ROWID"
        )
        connection.execute("INSERT INTO models_versions SELECT key, from_seq, changed, state FROM newer")
        connection.execute("DROP TABLE newer")
        connection.execute("CREATE INDEX models_by_seq ON models_versions(from_seq)")
        connection.execute("UPDATE cursors SET fingerprint = '2-0123' WHERE projection = 'models'")
    [change] = [change for change in book.at(f"before:#{promotion}").diff(book.now()).changes if change.kind == "model"]
    assert ("status", "candidate", "champion", promotion) in [
        (field.field, field.old, field.new, field.seq) for field in change.fields
    ]
    assert book.views.versions() == fold(book.events())
