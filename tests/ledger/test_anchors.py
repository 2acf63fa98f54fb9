"""What others keep: tickets, git, members, witnesses; what each of them proves, and what it does not."""

from __future__ import annotations

import datetime as dt
import subprocess
from pathlib import Path

import pytest
from histories import finished
from hypothesis import given
from hypothesis import strategies as st
from shell import tally
from stories import told
from witness import Answer, Witness

from tallystick import ledger
from tallystick.ledger.errors import Damaged, InvalidInput, Refused, TallyError
from tallystick.ledger.publish import anchors
from tallystick.ledger.publish.anchors import Anchor, between
from tallystick.ledger.publish.witness import ask
from tallystick.ledger.tlog.cosignature import WitnessKey
from tallystick.ledger.tlog.note import Checkpoint, SignerKey, parse_receipt, receipt_line
from tallystick.ledger.tlog.policy import parse_policy
from tallystick.ledger.verify.report import Asked
from tallystick.ledger.verify.verify import verify


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=ann", "-c", "user.email=ann@example.org", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def live(tmp_path: Path) -> ledger.Ledger:
    """A ledger with this machine's clock, so that anchors of today fit its time."""
    return told(ledger.create(tmp_path / "team", timezone="UTC"))


# Tickets and git -------------------------------------------------------------------------------------------


def test_a_receipt_in_a_ticket_is_a_statement_and_no_proof(live: ledger.Ledger) -> None:
    line = receipt_line(parse_receipt(live.checkpoint()).checkpoint)
    size = live.log.size()
    live.append(anchors.keep(live, f"> {line}\r\n", "ticket RISK-88"), sign=True)
    verdict = verify(live)
    assert verdict.findings == []
    assert verdict.anchored == 0
    stated = dict(verdict.lines)["stated"]
    assert stated.startswith(f"up to c{size - 1}: ticket RISK-88")
    assert stated.endswith("stated here; compare it there")
    other = line.replace(live.origin, "somebody/else")
    with pytest.raises(Refused, match="another ledger"):
        anchors.keep(live, other, "x")
    wrong = receipt_line(Checkpoint(live.origin, size, bytes(32)))
    with pytest.raises(Refused, match="does not continue"):
        anchors.keep(live, wrong, "x")
    note = live.checkpoint()
    assert anchors.keep(live, note, "x").receipt == note
    at = note.rindex(" ") + 40
    with pytest.raises(Damaged, match="does not fit"):
        anchors.keep(live, f"{note[:at]}{'A' if note[at] != 'A' else 'B'}{note[at + 1 :]}", "x")


def test_a_receipt_in_git_is_a_statement_and_vouches_once_it_is_handed_in(live: ledger.Ledger, tmp_path: Path) -> None:
    folder = live.folder.parent
    refused = tally(folder, "receipt", "--git")
    assert refused.code == 1
    assert "no git repository" in refused.err
    git(folder, "init", "-q")
    git(folder, "config", "user.name", "ann")
    git(folder, "config", "user.email", "ann@example.org")
    (folder / "other.txt").write_text("staged by somebody, not ours")
    git(folder, "add", "other.txt")
    for _ in range(2):  # the second changes nothing
        done = tally(folder, "receipt", "--git")
        assert done.code == 0, done.err
        assert "push it, and compare it there" in done.err
    assert git(folder, "log", "--format=%s").splitlines() == [f"receipt {live.origin}@6"]
    assert git(folder, "diff", "--cached", "--name-only").split() == ["other.txt"]
    found = anchors.gather(live, None, None)
    assert [(anchor.kind, anchor.outside) for anchor in found] == [("git", False)]
    assert verify(live).anchored == 0
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "remote")], check=True)
    git(folder, "remote", "add", "origin", str(tmp_path / "remote"))
    git(folder, "push", "-q", "origin", "HEAD:main")
    git(folder, "fetch", "-q")
    # A remote branch is a file of this account: anybody who can write here can write it.
    verdict = verify(live, Asked(require_anchor=True))
    assert (verdict.anchored, verdict.exit_code) == (0, 3)
    assert dict(verdict.lines)["stated"].startswith("up to c5: git receipts.txt @")
    fetched = parse_receipt(git(tmp_path / "remote", "show", "main:receipts.txt").strip())
    verdict = verify(live, Asked(require_anchor=True, against=[fetched]))
    assert (verdict.anchored, verdict.unanchored_events, verdict.exit_code) == (6, 0, 0)
    live.append(finished("r5", "p"))
    verdict = verify(live, Asked(require_anchor=True, against=[fetched]))
    assert (verdict.exit_code, verdict.unanchored_events) == (3, 1)
    assert tally(folder, "verify", "--require-anchor").code == 3
    # A line that is taken out again later was still there once.
    (folder / "receipts.txt").write_text("")
    git(folder, "commit", "-qam", "clean up")
    assert [anchor.checkpoint.size for anchor in anchors.gather(live, None, None)] == [6]


def test_a_receipt_in_git_that_contradicts_the_ledger_is_a_fork(live: ledger.Ledger) -> None:
    folder = live.folder.parent
    git(folder, "init", "-q")
    wrong = receipt_line(Checkpoint(live.origin, 4, bytes(32)))
    (folder / "receipts.txt").write_text(f"{wrong}\n")
    git(folder, "add", "receipts.txt")
    git(folder, "commit", "-qm", "x")
    verdict = verify(live)
    assert [finding.kind for finding in verdict.findings] == ["FORK"]
    assert "git receipts.txt" in verdict.findings[0].words
    shown = tally(folder, "anchors")
    assert "CONTRADICTS" in shown.out


def test_a_foreign_repository_runs_none_of_its_programs_when_its_ledger_is_verified(
    live: ledger.Ledger, tmp_path: Path
) -> None:
    """Whoever sends a ledger in a git folder also sends that folder's configuration and its attributes."""
    folder = live.folder.parent
    git(folder, "init", "-q")
    git(folder, "config", "user.name", "ann")
    git(folder, "config", "user.email", "ann@example.org")
    assert tally(folder, "receipt", "--git").code == 0
    live.close()
    traces = tmp_path / "traces"
    traces.mkdir()
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\ntouch {traces}/"$1"\n')
    program.chmod(0o755)
    (folder / ".gitattributes").write_text("* diff=theirs filter=theirs\n")
    for name in ("diff.theirs.textconv", "diff.theirs.command", "diff.external", "filter.theirs.clean"):
        git(folder, "config", name, f"{program} {name}")
    git(folder, "config", "core.fsmonitor", f"{program} fsmonitor")
    git(folder, "config", "core.pager", f"{program} pager")
    git(folder, "config", "gpg.program", str(program))
    git(folder, "config", "log.showSignature", "true")
    # A signed commit of the receipt, so that there is something to check; its program is not ours either.
    tree = git(folder, "-c", "core.fsmonitor=false", "rev-parse", "HEAD^{tree}").strip()
    text = f"tree {tree}\nauthor a <a> 1 +0000\ncommitter a <a> 1 +0000\ngpgsig x\n\nx\n"
    made = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--literally", "--stdin"],
        cwd=folder, input=text, capture_output=True, text=True, check=True,
    )  # fmt: skip
    git(folder, "-c", "core.fsmonitor=false", "update-ref", "HEAD", made.stdout.strip())
    (folder / "receipts.txt").touch()  # so that git could want to look at its content again
    for path in traces.iterdir():
        path.unlink()
    for arguments in (("verify",), ("anchors",), ("anchors", "#3"), ("status",), ("log",), ("receipt",)):
        answer = tally(folder, *arguments)
        assert answer.code == 0, answer.err
        assert [path.name for path in traces.iterdir()] == [], arguments
    with ledger.open(folder) as book:
        assert [anchor.kind for anchor in anchors.gather(book, None, None)] == ["git"]


def test_when_something_was_appended_is_bounded_by_what_others_kept() -> None:
    def anchor(size: int, day: int) -> Anchor:
        return Anchor(
            Checkpoint("x", size, bytes(32)), "git", f"g{size}", dt.datetime(2026, 1, day, tzinfo=dt.UTC), True
        )

    kept = [anchor(3, 1), anchor(5, 2), anchor(5, 3), anchor(9, 4)]
    assert [(a.where if a else None, b.where if b else None) for a, b in (between(n, kept) for n in (2, 4, 8, 9))] == [
        (None, "g3"),
        ("g3", "g5"),
        ("g5", "g9"),
        ("g9", None),
    ]
    # Of two that bound from the same side the tighter one: the earliest that covers, the latest that does not.
    assert between(4, kept).before == kept[1]
    assert between(6, kept).after == kept[2]


# Witnesses -------------------------------------------------------------------------------------------------


def policy_for(book: ledger.Ledger, *witnesses: Witness, quorum: str = "w1") -> str:
    known = "".join(f"witness {witness.name} {witness.vkey} {witness.url}\n" for witness in witnesses)
    group = f"group both all {' '.join(w.name for w in witnesses)}\n" if quorum == "both" else ""
    return f"# who we trust\nlog {book.identity.key.format()}\n{known}{group}quorum {quorum}\n"


def test_a_witness_cosigns_and_vouches_under_a_policy_only(live: ledger.Ledger, tmp_path: Path) -> None:
    folder = live.folder.parent
    with Witness("w1", live.identity.key.format()) as witness:
        policy = tmp_path / "policy"
        policy.write_text(policy_for(live, witness))
        unknown = tally(folder, "anchor", "--witness", witness.url)
        assert unknown.code == 2
        assert "key of this witness" in unknown.err
        done = tally(folder, "anchor", "--witness", witness.url, "--policy", str(policy))
        assert done.code == 0, done.err
        assert "cosigned by w1" in done.out
        # Without the policy it is a statement of the ledger about itself.
        assert verify(live).anchored == 0
        asked = Asked(policy=parse_policy(policy.read_text()), require_anchor=True)
        verdict = verify(live, asked)
        assert (verdict.findings, verdict.shortfalls, verdict.anchored) == ([], [], 6)
        assert dict(verdict.lines)["quorum"] == "w1 reached up to c5; 1 of 1 witnesses have cosigned"
        # It goes on from what the witness saw, by a proof.
        live.append(finished("r5", "p"), sign=True)
        assert verify(live, asked).exit_code == 3
        assert tally(folder, "anchor", "--witness", witness.url, "--policy", str(policy)).code == 0
        assert witness.requests[-1].startswith(b"old 6\n")
        assert verify(live, asked).exit_code == 0
        shown = tally(folder, "anchors", "--policy", str(policy))
        assert shown.out.count("witness w1") == 2
        assert f"{dt.datetime.now(dt.UTC):%Y-%m-}" in shown.out


def test_a_client_that_forgot_what_the_witness_saw_is_told_and_goes_on(live: ledger.Ledger) -> None:
    with Witness("w1", live.identity.key.format()) as witness:
        key = WitnessKey.parse(witness.vkey)
        ask(live, witness.url, key)
        live.append(finished("r5", "p"), sign=True)
        note, cosigned = ask(live, witness.url, key, old=0)
        assert len(witness.requests) == 3  # the second was answered by 409 and the size
        assert cosigned.key == key
        assert parse_receipt(note).checkpoint.size == 7
        ask(live, witness.url, key, old=3)


def test_a_witness_that_saw_another_history_refuses(live: ledger.Ledger) -> None:
    with Witness("w1", live.identity.key.format()) as witness:
        key = WitnessKey.parse(witness.vkey)
        ask(live, witness.url, key)
        size, _ = witness.seen[live.origin]
        live.append(finished("r5", "p"), sign=True)
        witness.seen[live.origin] = (size, b"\x01" * 32)
        with pytest.raises(Refused, match="FORK"):
            ask(live, witness.url, key, old=size)
        witness.seen[live.origin] = (99, b"\x01" * 32)
        with pytest.raises(Refused, match="seen 99 commits"):
            ask(live, witness.url, key)
        witness.seen[live.origin] = (7, b"\x01" * 32)
        with pytest.raises(Refused, match="seen 7 commits"):
            ask(live, witness.url, key, old=7)
        assert not live.log.entities("anchor:")


def test_a_witness_that_answers_nonsense_leaves_nothing_behind(live: ledger.Ledger) -> None:
    with Witness("w1", live.identity.key.format()) as witness, Witness("w2", live.identity.key.format()) as other:
        key = WitnessKey.parse(witness.vkey)
        text = "\n".join(live.checkpoint().split("\n")[:3]) + "\n"
        answers: list[tuple[Answer, type[TallyError]]] = [
            ((200, "text/plain", b""), Damaged),
            ((200, "text/plain", b"\xff\xfe garbage \xe2\x80\x94 w1 AAAA\n"), Damaged),
            ((200, "text/plain", other.cosign(text)), Damaged),
            ((200, "text/plain", witness.cosign(text.replace("6", "5", 1))), Damaged),
            ((409, "text/x.tlog.size", b"many"), InvalidInput),
            ((409, "text/x.tlog.size", b"1" * 400), InvalidInput),
            ((500, "text/plain", b"\x1b[31mred"), Refused),
            ((404, "text/plain", b""), Refused),
            ((200, "text/plain", b"\xe2\x80\x94 w1 " + b"A" * 200_000), Damaged),
        ]
        for answer, expected in answers:
            witness.misbehave = lambda _body, answer=answer: answer
            with pytest.raises(expected):
                ask(live, witness.url, key)
    for address in ("http://127.0.0.1:1", "file:///etc/passwd", "ftp://x", "x", "http://[", "http://127.0.0.1:99999"):
        with pytest.raises(InvalidInput):
            ask(live, address, key)
    assert not live.log.entities("anchor:")


def test_a_cosigner_that_vanishes_is_reported(live: ledger.Ledger, tmp_path: Path) -> None:
    folder = live.folder.parent
    log_key = live.identity.key.format()
    with Witness("w1", log_key) as first, Witness("w2", log_key) as second:
        policy = tmp_path / "policy"
        policy.write_text(policy_for(live, first, second, quorum="both"))
        for witness in (first, second):
            assert tally(folder, "anchor", "--witness", witness.url, "--policy", str(policy)).code == 0
        asked = Asked(policy=parse_policy(policy.read_text()))
        assert verify(live, asked).exit_code == 0
        live.append(finished("r5", "p"), sign=True)
        assert tally(folder, "anchor", "--witness", first.url, "--policy", str(policy)).code == 0
        verdict = verify(live, asked)
        assert verdict.exit_code == 3
        assert "w2 has cosigned nothing since size" in verdict.warnings[0]
        assert "quorum both is reached up to c" in verdict.shortfalls[0]


def test_a_cosignature_that_was_tampered_with_is_found(live: ledger.Ledger) -> None:
    with Witness("w1", live.identity.key.format()) as witness:
        key = WitnessKey.parse(witness.vkey)
        note, cosigned = ask(live, witness.url, key)
        forged = note[:-6] + ("A" if note[-6] != "A" else "B") + note[-5:]
        live.append(anchors.cosigned_by(live, forged, key, cosigned.at, witness.url), sign=True)
        asked = Asked(policy=parse_policy(policy_for(live, witness)))
    assert verify(live).findings == []  # nobody here relies on that witness
    assert [finding.kind for finding in verify(live, asked).findings] == ["SIGNATURE"]


def test_a_policy_that_trusts_another_key_decides(live: ledger.Ledger, tmp_path: Path) -> None:
    with ledger.create(tmp_path / "other", timezone="UTC") as other:
        policy = parse_policy(f"log {other.identity.key.format()}\nquorum none\n")
    finding = verify(live, Asked(policy=policy)).findings[0]
    assert finding.kind == "SIGNATURE"
    assert finding.actual == live.identity.key.format()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("quorum none\n", "names no log"),
        ("log <log>\n", "exactly one line"),
        ("log <log>\nquorum none\nquorum none\n", "quorum already"),
        ("log <log>\nquorum w9\n", "no witness or group"),
        ("log <log>\ngroup g 2 w1\nquorum none\n", "no witness or group"),
        ("log <log>\nwitness w1 <w1>\nwitness w1 <w1>\nquorum none\n", "is taken"),
        ("log <log>\nwitness none <w1>\nquorum none\n", "is taken"),
        ("log <log>\nwitness w1 <w1>\ngroup g 2 w1\nquorum g\n", "2 of only 1"),
        ("log <log>\nwitness w1 <w1>\ngroup g 0 w1\nquorum g\n", "all, any, or a number"),
        ("log <log>\nwitness w1 <w1>\ngroup g any w1 w1\nquorum g\n", "in a group already"),
        ("log <log>\nlog\u00a0<log>\nquorum none\n", "begins with"),
        ("log <log>\nquorum none \x07\n", "control character"),
        ("log <log> extra more\nquorum none\n", "begins with"),
        ("log <w1>\nquorum none\n", "right type"),
        ("log <log>\nwitness w1 <log>\nquorum none\n", "right type"),
    ],
)
def test_a_policy_is_read_strictly_and_says_where_it_is_wrong(live: ledger.Ledger, text: str, words: str) -> None:
    witness = Witness("w1")
    filled = text.replace("<log>", live.identity.key.format()).replace("<w1>", witness.vkey)
    with pytest.raises(InvalidInput, match=words):
        parse_policy(filled)


@given(st.sets(st.sampled_from("abcd")), st.sets(st.sampled_from("abcd")), st.integers(1, 3))
def test_more_cosigners_never_unmeet_a_quorum(some: set[str], more: set[str], needed: int) -> None:
    witnesses = {name: Witness(name).vkey for name in "abcd"}
    lines = [f"witness {name} {vkey}" for name, vkey in witnesses.items()]
    text = "\n".join(
        [
            f"log {SignerKey('x', bytes(32)).verifier.format()}",
            *lines,
            f"group inner {needed} a b c",
            "group outer any inner d",
            "quorum outer\t",
        ]
    )
    policy = parse_policy(text)
    assert policy.is_met(some) == (len(some & set("abc")) >= needed or "d" in some)
    assert policy.is_met(some | more) or not policy.is_met(some)
