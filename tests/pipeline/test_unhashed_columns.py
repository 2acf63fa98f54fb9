"""What the file holds beside hashed bytes: whoever edits it improves no gate, no decision and no level.

Each column and table that no hash covers is tampered with, before this account has read the ledger and after; every
answer is then as good as it was or worse, or refused with the words that lead to `tally verify`.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from given import Ticking
from judged_life import BAD_MODEL, MODEL, PIPELINE, copy_of, level, life, passed

from tallystick import ledger
from tallystick.ledger.amend.correction import correct
from tallystick.ledger.amend.redaction import redact
from tallystick.ledger.errors import Damaged, TallyError
from tallystick.ledger.events import types as say
from tallystick.ledger.tlog import key_store
from tallystick.ledger.verify.verify import verify
from tallystick.pipeline.governance.promotion import promote

Tamper = Callable[[sqlite3.Connection], None]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The life, of which evidence was then erased and set aside."""
    folder = tmp_path_factory.mktemp("unhashed") / "team"
    life(folder)
    with ledger.open(folder, clock=Ticking(dt.datetime(2013, 8, 20, tzinfo=dt.UTC))) as book:
        now = book.now()
        run = next(found.seq for found in now.events(types=[say.RunReproduced.TYPE]))
        leaks = next(found.seq for found in now.events(types=[say.LeakageChecked.TYPE]))
        month = next(
            found.seq for found in now.events(types=[say.PeriodMonitored.TYPE]) if found.event.body.status == "quiet"
        )
        redact(book, run, "it names a person", "the law")
        redact(book, month, "it names a person", "the law")
        correct(book, leaks, "of another table")
        book.append(say.ExperimentDeclared(run="r9", pipeline=PIPELINE, reason="to learn"), key="once")
        another_key(book)
    return folder


def another_key(book: ledger.Ledger) -> None:
    old, signer = book.identity.key, key_store.new_signer(book.origin, "file")
    change = say.KeyRotated(
        old=old.key_id.hex(), new=signer.verifier.key_id.hex(), old_key=old.format(), new_key=signer.verifier.format(),
        signed_by_old=True, compromised_from=None, reason="the yearly change",
    )  # fmt: skip
    book.change_identity(change, signer)


def replace(columns: str, where: str) -> Tamper:
    """Change events as `INSERT OR REPLACE` does, for which no trigger of the file fires."""

    def change(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA recursive_triggers = OFF")
        connection.execute(f"INSERT OR REPLACE INTO events SELECT {columns} FROM events WHERE {where}")

    return change


def run(*statements: str) -> Tamper:
    def change(connection: sqlite3.Connection) -> None:
        for statement in statements:
            connection.execute(statement)

    return change


def without_triggers(*statements: str) -> Tamper:
    """Drop the triggers that refuse it, and put them back."""

    def change(connection: sqlite3.Connection) -> None:
        triggers = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        run(*statements)(connection)
        for _, text in triggers:
            connection.execute(text)

    return change


def filed_as(other: str, where: str) -> Tamper:
    return replace(f"seq, body, id, sha256, '{other}'", where)


BODILESS = "seq, NULL, id, sha256, type"
HIDES = {
    "no redaction in the index": run("DELETE FROM entities WHERE entity LIKE 'redaction:%'"),
    "no correction in the index": run("DELETE FROM entities WHERE entity LIKE 'correction:%'"),
    "no index at all": run("DELETE FROM entities"),
    "an index of other events": run("UPDATE entities SET last_seq = 1"),
    "no keys of idempotency": run("DELETE FROM keys"),
    "no checkpoints": run("DELETE FROM checkpoints"),
    "no history of keys": run("DELETE FROM entities WHERE entity LIKE 'key:%'"),
    "redactions filed as something else": filed_as("schema.declared", "type = 'event.redacted'"),
    "corrections filed as something else": filed_as("schema.declared", "type = 'event.corrected'"),
    "alarms filed as something else": filed_as("schema.declared", 'body LIKE \'%"status":"alarm"%\''),
    "repetitions filed as something else": filed_as("schema.declared", "type = 'run.reproduced'"),
    "looks filed as something else": filed_as("schema.declared", "type LIKE 'final.%'"),
    "windows filed as something else": filed_as("schema.declared", "type = 'window.evaluated'"),
    "waivers that ended filed as something else": filed_as("schema.declared", "type = 'waiver.ended'"),
    "what was erased filed as something else": filed_as("artifact.stored", "body IS NULL"),
    "declarations filed as evidence": filed_as("leakage.checked", "type = 'schema.declared'"),
    "alarms without a body": replace(BODILESS, 'body LIKE \'%"status":"alarm"%\''),
    "repetitions without a body": replace(BODILESS, "type = 'run.reproduced'"),
    "corrections without a body": replace(BODILESS, "type = 'event.corrected'"),
    "redactions without a body": replace(BODILESS, "type = 'event.redacted'"),
    "waivers that ended without a body": replace(BODILESS, "type = 'waiver.ended'"),
    "another time of every commit": without_triggers("UPDATE commits SET recorded_at = recorded_at - 8640000000000"),
    "commits that end elsewhere": without_triggers("UPDATE commits SET last_seq = last_seq + 1 WHERE n > 3"),
    "an alarm and a quiet month exchanged": without_triggers(
        "CREATE TEMP TABLE two AS SELECT seq, body, id, sha256, row_number() OVER (ORDER BY seq) AS place FROM events "
        "WHERE type = 'period.monitored' AND body IS NOT NULL ORDER BY seq DESC LIMIT 2",
        "UPDATE events SET (body, id, sha256) = (SELECT body, id, sha256 FROM two WHERE two.seq <> events.seq) "
        "WHERE seq IN (SELECT seq FROM two)",
    ),
    "another actor": without_triggers('UPDATE commits SET head = replace(head, \'"actor":"\', \'"actor":"x\')'),
    "commits one event shorter": without_triggers(
        "UPDATE commits SET last_seq = last_seq - 1 WHERE n = 5",
        "UPDATE commits SET first_seq = first_seq - 1 WHERE n = 6",
    ),
    "alarms that are said to be erased": without_triggers(
        'UPDATE events SET body = NULL WHERE body LIKE \'%"status":"alarm"%\'',
        "INSERT OR REPLACE INTO entities SELECT 'redaction:' || a.seq, (SELECT max(seq) FROM events "
        "WHERE type = 'event.redacted') FROM events a WHERE a.type = 'period.monitored' AND a.body IS NULL",
    ),
}


def tampered(book: ledger.Ledger, how: str) -> None:
    book.log.close()
    with closing(sqlite3.connect(book.folder / "ledger.db", isolation_level=None)) as connection:
        before = connection.total_changes
        HIDES[how](connection)
        assert connection.total_changes > before, "nothing was changed"


@pytest.fixture(params=["before it was read", "after it was read"])
def read_before(request: pytest.FixtureRequest) -> bool:
    return request.param == "after it was read"


@pytest.fixture
def book(told: Path) -> Iterator[ledger.Ledger]:
    with copy_of(told) as copied:
        yield copied


@pytest.mark.parametrize("how", HIDES)
def test_nothing_that_is_not_hashed_improves_an_answer(book: ledger.Ledger, how: str, read_before: bool) -> None:
    now = book.now()
    gates, automated = passed(now), level(now)
    champion = now.champion(PIPELINE)
    assert gates and champion is not None and champion.model == MODEL
    if not read_before:
        book.views.discard()
    tampered(book, how)
    try:
        after = book.now()
        assert passed(after) <= gates
        assert level(after) <= automated
        found = after.champion(PIPELINE)
        assert found is not None and found.model == MODEL
    except Damaged as error:
        assert "tally verify" in (error.hint or "")
    with pytest.raises(TallyError):
        promote(book, BAD_MODEL, "it is newer")


@pytest.mark.parametrize("how", HIDES)
def test_verification_names_what_was_changed(book: ledger.Ledger, how: str) -> None:
    book.now().models()
    tampered(book, how)
    findings = verify(book).findings
    assert findings or how in ("no checkpoints", "no keys of idempotency")
    # The views are this account's own: deleting them, as is advised where only they are wrong, would mend nothing.
    assert {finding.kind for finding in findings} != {"PROJECTION"}
