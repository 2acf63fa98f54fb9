"""A bundle convinces two checkers that share no code, or neither of them, whatever is done to it.

Every bit of a small bundle is flipped. So that this takes seconds, the auditor's pure arithmetic (signatures and
hashes of the same bytes) is remembered between flips. ``TALLY_FULL=1 pytest -m slow`` does it with nothing
remembered, in under a minute.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from given import seeded_salts
from histories import commits, finished
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shell import tally
from stories import told

from tallystick import ledger
from tallystick.ledger.amend.redaction import redact
from tallystick.ledger.errors import InvalidInput, NotFound, Refused, TallyError
from tallystick.ledger.events import types as say
from tallystick.ledger.events.commit import commit_text, leaf_entry
from tallystick.ledger.events.encoding import Draft
from tallystick.ledger.events.event import hashes
from tallystick.ledger.events.types import entities
from tallystick.ledger.publish import auditor, bundle
from tallystick.ledger.publish.bundle import Claim, CommitPart
from tallystick.ledger.tlog import key_store, merkle
from tallystick.ledger.tlog.note import Checkpoint, SignerKey, sign_checkpoint
from tallystick.ledger.tlog.proof import Proof

MODEL = b"forty bytes that stand for a whole model"
NOT_PROVED = ("README.txt", "check.py")


def accepted(folder: Path, key: str | None = None) -> bool:
    """What both checkers say; they must say the same."""
    try:
        bundle.check(folder, key)
        ours = True
    except TallyError:
        ours = False
    report = auditor.examine(folder, key)
    assert ours is not bool(report.problems), report.problems
    assert bool(report.problems) is not bool(report.lines)
    return ours


def proves(book: ledger.Ledger, folder: Path, seq: int, with_artifacts: bool = True) -> Path:
    """A bundle for one event."""
    bundle.prove(book, f"event:{book.log.event(seq).id.hex()}", [seq], folder, with_artifacts)
    return folder


def artifact_seq(book: ledger.Ledger) -> int:
    return next(entry.seq for entry in book.events() if isinstance(entry.event.body, say.ArtifactStored))


def stored(book: ledger.Ledger, data: bytes) -> say.ArtifactStored:
    artifact = book.store(data)
    return say.ArtifactStored(artifact=artifact.hash, size_bytes=len(data), media_type="x/y", role="model", run="r1")


def parts(folder: Path) -> list[str]:
    """The files that the proof rests on."""
    return sorted(path.name for path in folder.iterdir() if path.name not in NOT_PROVED)


@pytest.fixture
def small(book: ledger.Ledger, tmp_path: Path) -> Path:
    book.append(stored(book, MODEL))
    return proves(book, tmp_path / "small", artifact_seq(book))


def rotated(book: ledger.Ledger) -> tuple[str, str]:
    """Give a ledger a new key, as `tally key rotate` does; both keys."""
    old = book.identity.key
    signer = key_store.new_signer(old.name, "file")
    change = say.KeyRotated(
        old=old.key_id.hex(),
        new=signer.verifier.key_id.hex(),
        old_key=old.format(),
        new_key=signer.verifier.format(),
        signed_by_old=True,
        compromised_from=None,
        reason="a new year",
    )
    book.change_identity(change, signer)
    return old.format(), signer.verifier.format()


# What bundles are made of -------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_artifacts", [True, False])
@pytest.mark.parametrize("subject", ["event", "commit", "model:p-v1", "run:r1", "decision:r1"])
def test_what_is_proved_convinces_both_checkers(
    book: ledger.Ledger, tmp_path: Path, subject: str, with_artifacts: bool
) -> None:
    told(book)
    seq = artifact_seq(book)
    commit = book.log.commit_of(seq)
    seqs = [entry.seq for entry in book.events() if subject in entities(entry.event)]
    if subject == "event":
        subject, seqs = f"event:{book.log.event(seq).id.hex()}", [seq]
    elif subject == "commit":
        subject, seqs = f"commit:{commit.n}", list(range(commit.first_seq, commit.last_seq + 1))
    folder, key = tmp_path / "out", book.identity.key.format()
    made = bundle.prove(book, subject, seqs, folder, with_artifacts)
    named = with_artifacts and seq in seqs
    assert len(made.artifacts) == named
    assert made.events == len(seqs) > 0
    assert accepted(folder)
    assert accepted(folder, key)
    assert not accepted(folder, SignerKey.generate(book.origin).verifier.format())
    assert not accepted(folder, "no key")
    checked = bundle.check(folder, f" {key}\n")
    assert (checked.claim.subject, checked.checkpoint, checked.ignored) == (subject, made.checkpoint, [])
    assert len(checked.told) == len(seqs)


def test_the_copied_checker_needs_python_and_nothing_else(small: Path, book: ledger.Ledger) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", "check.py", *arguments]
        return subprocess.run(command, cwd=small, env={}, capture_output=True, text=True, check=False, timeout=60)

    key = book.identity.key.format()
    for arguments in ([], ["--key", key], [".", "--key", key]):
        done = run(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[-1].startswith("PROVED: ")
        assert key in done.stdout
    done = run("--key", SignerKey.generate(book.origin).verifier.format())
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("NOT PROVED: ")
    # A module beside it is not imported: that is what -I is for.
    (small / "json.py").write_text("raise SystemExit(0)")
    assert run().returncode == 0
    assert "json.py" in run().stdout
    (small / "proof.json").unlink()
    assert run().returncode == 2


def test_what_cannot_be_shown_is_refused_in_words(book: ledger.Ledger, tmp_path: Path) -> None:
    told(book)
    seq = artifact_seq(book)
    folder = proves(book, tmp_path / "before", seq)
    with pytest.raises(Refused, match="not an empty folder"):
        proves(book, folder, seq)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(Refused, match="not an empty folder"):
        proves(book, tmp_path / "file", seq)
    with pytest.raises(Refused, match="Nothing about commit:2 can be shown"):
        bundle.prove(book, "commit:2", [], tmp_path / "nothing", True)
    redact(book, seq, "asked to", "a court")
    with pytest.raises(Refused, match=f"event #{seq} was erased"):
        proves(book, tmp_path / "after", seq)
    assert not {"nothing", "after"} & {path.name for path in tmp_path.iterdir()}
    # What was shown before stays proved, and so does its neighbour now.
    assert accepted(folder)
    assert accepted(proves(book, tmp_path / "neighbour", seq - 1))


def test_a_new_key_vouches_for_what_the_old_one_signed(book: ledger.Ledger, tmp_path: Path) -> None:
    book.append(stored(book, MODEL), sign=True)
    seq = artifact_seq(book)
    old, new = rotated(book)
    by_both = proves(book, tmp_path / "by both", seq)
    book.append(finished("r1", "p"))
    by_new = proves(book, tmp_path / "by the new one", seq)
    for folder in (by_both, by_new):
        assert accepted(folder)
        assert accepted(folder, new)
        assert not accepted(folder, old)
    # The commit of the change carries both signatures: whoever relies on the old key can still be shown it.
    for folder, carries_both in ((by_both, True), (by_new, False)):
        (folder / "log.vkey").write_text(f"{old}\n")
        assert accepted(folder, old) is carries_both


# Damage -------------------------------------------------------------------------------------------------------


def flips(path: Path, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """The file with each of its bits flipped in turn, and which byte it was; whole again at the end."""
    pristine = path.read_bytes()
    for position in range(start, len(pristine)):
        for bit in range(8):
            changed = bytearray(pristine)
            changed[position] ^= 1 << bit
            path.write_bytes(changed)
            yield position, bytes(changed)
    path.write_bytes(pristine)


def remember(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute each signature and hash of the same bytes once; what is compared with what stays the auditor's."""
    for name in ("parse_key", "signature_fits", "named_hashes"):
        monkeypatch.setattr(auditor, name, functools.lru_cache(maxsize=256)(getattr(auditor, name)))


def every_bit_counts(folder: Path) -> None:
    bits = sum(8 * (folder / name).stat().st_size for name in parts(folder))
    tried = [(name, at, accepted(folder)) for name in parts(folder) for at, _ in flips(folder / name)]
    assert len(tried) == bits > 10_000
    # None is harmless: there is one spelling of everything, and one signature.
    assert [(name, at) for name, at, harmless in tried if harmless] == []
    assert accepted(folder)


def test_every_flipped_bit_of_every_file_is_rejected_by_both(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remember(monkeypatch)
    every_bit_counts(small)


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("TALLY_FULL") != "1", reason="a minute; set TALLY_FULL=1")
def test_every_flipped_bit_is_rejected_with_nothing_remembered(small: Path) -> None:
    every_bit_counts(small)


def well_formed(line: bytes) -> bool:
    """Whether this is still a signature line, if not by anybody we know (c2sp.org/signed-note)."""
    try:
        dash, name, blob = line.decode().split(" ")
        canonical = base64.b64encode(base64.b64decode(blob, validate=True)).decode() == blob
    except ValueError:
        return False
    return dash == "—" and canonical and all(c > " " and c != "+" for c in name)


def test_the_only_harmless_bits_are_in_signatures_by_other_keys(
    book: ledger.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(monkeypatch)
    book.append(stored(book, MODEL))
    rotated(book)
    folder = proves(book, tmp_path / "out", artifact_seq(book))
    path = folder / "commit-1.tlog-proof"
    pristine = path.read_bytes()
    # The last line is the old key's. The new key vouches without it, so only its form matters.
    *_, old_line, _ = pristine.split(b"\n")
    start = len(pristine) - len(old_line) - 1
    assert old_line.startswith("— ".encode())
    counts = {True: 0, False: 0}
    for position, changed in flips(path, start):
        harmless = changed.endswith(b"\n") and well_formed(changed[start:-1])
        assert accepted(folder) is harmless, (position, changed[position])
        counts[harmless] += 1
    assert sum(counts.values()) == 8 * (len(old_line) + 1)
    # Some flips of a base64 digit give another one.
    assert min(counts.values()) > 200


def in_its_place(folder: Path, name: str, make: Callable[[Path], object]) -> bool:
    """Whether the bundle is accepted with something else under that name; put right afterwards."""
    path, aside = folder / name, folder.parent / "aside"
    path.rename(aside)
    make(path)
    said = accepted(folder)
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    aside.rename(path)
    return said


WAYS: dict[str, Callable[[Path, bytes], object]] = {
    "cut by a byte": lambda path, data: path.write_bytes(data[:-1]),
    "cut in half": lambda path, data: path.write_bytes(data[: len(data) // 2]),
    "empty": lambda path, data: path.write_bytes(b""),
    "a line break more": lambda path, data: path.write_bytes(data + b"\n"),
    "a blank more": lambda path, data: path.write_bytes(data + b" "),
    "a zero more": lambda path, data: path.write_bytes(data + b"\0"),
    "a byte-order mark before": lambda path, data: path.write_bytes(b"\xef\xbb\xbf" + data),
    "Windows line ends": lambda path, data: path.write_bytes(data.replace(b"\n", b"\r\n") + b"\r\n"),
    "twice": lambda path, data: path.write_bytes(data + data),
    "gone": lambda path, data: None,
    "a link to the very file": lambda path, data: path.symlink_to(path.parent.parent / "aside"),
    "a link to nothing": lambda path, data: path.symlink_to("nowhere"),
    "a folder": lambda path, data: path.mkdir(),
    "a named pipe": lambda path, data: os.mkfifo(path),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_file_of_the_proof_can_be_anything_else(small: Path, way: str) -> None:
    def put(path: Path) -> None:
        WAYS[way](path, (small.parent / "aside").read_bytes())

    names = parts(small)
    assert len(names) == 6
    assert [name for name in names if in_its_place(small, name, put)] == []
    # The page and the checker are no part of the proof.
    assert all(in_its_place(small, name, put) for name in NOT_PROVED)
    assert accepted(small)


def test_no_file_stands_for_another(small: Path) -> None:
    names = [*parts(small), "README.txt"]
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            one, other = (small / first).read_bytes(), (small / second).read_bytes()
            (small / first).write_bytes(other)
            (small / second).write_bytes(one)
            assert not accepted(small), (first, second)
            (small / first).write_bytes(one)
            (small / second).write_bytes(other)
    assert accepted(small)


def test_other_files_are_named_as_no_part_of_the_proof(small: Path) -> None:
    (small / "event-1-7.json").write_bytes(b"{}")
    (small / "a folder").mkdir()
    (small / "\x1b[31mred").write_bytes(b"")
    (small / "link").symlink_to("/etc/passwd")
    os.mkfifo(small / "pipe")
    strangers = sorted(["event-1-7.json", "a folder", "\x1b[31mred", "link", "pipe"])
    assert accepted(small)
    assert bundle.check(small).ignored == strangers
    lines = auditor.examine(small).lines
    assert sum(line.startswith("Not part of the proof: ") for line in lines) == len(strangers)
    assert not any("\x1b" in line for line in lines)


def test_a_folder_without_a_proof_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        bundle.check(tmp_path)
    assert auditor.examine(tmp_path).problems


def test_checking_sets_no_more_memory_aside_than_there_are_bytes(small: Path) -> None:
    tracemalloc.start()
    assert accepted(small)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 16 << 20


# Bundles that were made to deceive ----------------------------------------------------------------------------


def written(folder: Path, subject: str, events: list[bytes], artifacts: dict[str, bytes], head: str = "{}") -> Path:
    """The bundle of somebody with a key of his own, who signs whatever he likes: one commit, all its events."""
    signer = SignerKey.generate("hostile/log")
    text = commit_text(head, [hashes(event) for event in events])
    note = sign_checkpoint(Checkpoint(signer.name, 1, merkle.leaf_hash(leaf_entry(text))), signer)
    claim = Claim(
        artifacts=sorted(artifacts),
        commits=[CommitPart(events=list(range(len(events))), n=0)],
        format="tally.proof/1",
        origin=signer.name,
        subject=subject,
    )
    files = {
        "proof.json": claim.text(),
        "log.vkey": f"{signer.verifier.format()}\n".encode(),
        "commit-0.txt": text,
        "commit-0.tlog-proof": Proof(0, (), note).format().encode(),
        **{f"event-0-{place}.json": event for place, event in enumerate(events)},
        **{f"artifact-{name}": data for name, data in artifacts.items()},
    }
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def says_stored(size: Any, name: str, **more: Any) -> bytes:
    return json.dumps({"t": "artifact.stored", "v": 1, "body": {"artifact": name, "size_bytes": size, **more}}).encode()


@pytest.mark.parametrize(
    ("sizes", "good"),
    [
        ([40], True), ([3, 40], True), ([-1, 40], True), ([2**70, 40], True), ([39], False), ([41], False),
        ([-1], False), ([-2], False), ([-3], False), ([2**53], False), ([2**63], False), ([2**70], False),
        ([True], False), ([40.0], False), (["40"], False), ([None], False), ([[40]], False),
    ],
)  # fmt: skip
def test_a_recorded_size_is_believed_only_where_it_is_true(tmp_path: Path, sizes: list[Any], good: bool) -> None:
    from blake3 import blake3

    name = blake3(MODEL).hexdigest()
    events = [says_stored(size, name) for size in sizes]
    assert accepted(written(tmp_path / "out", f"artifact:{name}", events, {name: MODEL})) is good


@pytest.mark.parametrize(
    ("event", "good"),
    [
        (b'{"t":"x.y","v":1,"body":{"run":"r"}}', True),
        (b' {"v":1,"t":"run.started","body":{"run":"r"}}\r\n', True),
        (b'{"t":"run.started","v":999999999999999999999999,"body":{"run":"r"}}', True),
        (b'{"t":"\\ud800","v":1,"body":{"run":"r"}}', True),
        (b'{"t":"x.y","v":1,"body":{"run":"s"},"body":{"run":"r"}}', True),
        (b'{"t":"x.y","v":1,"body":{"run":"r"},"body":{"run":"s"}}', False),
        (b'{"t":"x.y","v":1,"body":{"Run":"r"}}', False),
        (b'{"t":"x.y","v":1,"body":{"run":["r"]}}', False),
        (b'{"t":"x.y","v":1,"body":["run","r"]}', False),
        (b'{"t":"x.y","v":true,"body":{"run":"r"}}', False),
        (b'{"t":"x.y","v":1.0,"body":{"run":"r"}}', False),
        (b'{"t":1,"v":1,"body":{"run":"r"}}', False),
        (b'{"t":"x.y","v":1,"body":{"run":"r","x":NaN}}', False),
        (b'{"t":"x.y","v":1,"body":{"run":"r","x":' + b"9" * 5000 + b"}}", False),
        (b'{"t":"x.y","v":1,"body":{"run":"r","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}}", False),
        (b'\xef\xbb\xbf{"t":"x.y","v":1,"body":{"run":"r"}}', False),
        (b'{"t":"x.y","v":1,"body":{"run":"r","x":"\xff"}}', False),
        (b'"run:r"', False),
        (b"", False),
        (b'{"t":"x.y","v":1,"body":{"run":"r","x":"' + b"x" * (1 << 20) + b'"}}', False),
    ],
)
def test_signed_nonsense_never_divides_the_checkers(tmp_path: Path, event: bytes, good: bool) -> None:
    assert accepted(written(tmp_path / "out", "run:r", [event], {})) is good


@pytest.mark.parametrize("head", ["[]", "", "{", "NaN", "{}\n", '{"actor":NaN}', "\ufeff{}"])
def test_a_head_is_a_json_object_for_both(tmp_path: Path, head: str) -> None:
    event = b'{"t":"x.y","v":1,"body":{"run":"r"}}'
    assert not accepted(written(tmp_path / "out", "run:r", [event], {}, head))


def test_events_of_a_later_program_are_passed_through(tmp_path: Path) -> None:
    folder = written(tmp_path / "out", "thing:x", [b'{"t":"thing.done","v":9,"body":{"thing":"x"}}'], {})
    assert accepted(folder)
    assert "does not" in bundle.check(folder).told[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda claim: {**claim, "subject": "run:r2"},
        lambda claim: {**claim, "subject": "event"},
        lambda claim: {**claim, "subject": "event:"},
        lambda claim: {**claim, "subject": "commit:01"},
        lambda claim: {**claim, "subject": "commit:2"},
        lambda claim: {**claim, "subject": "size_bytes:40"},
        lambda claim: {**claim, "subject": ":"},
        lambda claim: {**claim, "subject": None},
        lambda claim: {**claim, "origin": "another/log"},
        lambda claim: {**claim, "format": "tally.proof/2"},
        lambda claim: {**claim, "more": 1},
        lambda claim: {**claim, "commits": []},
        lambda claim: {**claim, "commits": claim["commits"] * 2},
        lambda claim: {**claim, "commits": [{"events": [], "n": 1}]},
        lambda claim: {**claim, "commits": [{"events": [True], "n": 1}]},
        lambda claim: {**claim, "commits": [{"events": [1.0], "n": 1}]},
        lambda claim: {**claim, "commits": [{"events": [-1], "n": 1}]},
        lambda claim: {**claim, "commits": [{"events": [2**53 + 1], "n": 1}]},
        lambda claim: {**claim, "commits": [{"events": [2**53], "n": 1}]},
        lambda claim: {**claim, "artifacts": [*claim["artifacts"], "../../etc/passwd"]},
        lambda claim: {**claim, "artifacts": claim["artifacts"] * 2},
        lambda claim: {**claim, "artifacts": [claim["artifacts"][0].upper()]},
        lambda claim: dict(reversed(claim.items())),
        lambda claim: [claim],
    ],
)
def test_a_claim_that_says_more_or_less_is_rejected(small: Path, change: Callable[[Any], object]) -> None:
    path = small / "proof.json"
    claim = json.loads(path.read_bytes())
    path.write_text(json.dumps(change(claim), separators=(",", ":")) + "\n")
    assert not accepted(small)
    # Whoever claims less than the folder holds says the truth: the rest is named as no part of the proof.
    path.write_text(json.dumps({**claim, "artifacts": [], "subject": "commit:1"}, separators=(",", ":")) + "\n")
    assert accepted(small)
    assert bundle.check(small).ignored == [f"artifact-{claim['artifacts'][0]}"]


def test_proofs_under_different_checkpoints_do_not_mix(book: ledger.Ledger, tmp_path: Path) -> None:
    told(book)
    seqs = [entry.seq for entry in book.events() if "run:r1" in entities(entry.event)]
    earlier, later = tmp_path / "earlier", tmp_path / "later"
    bundle.prove(book, "run:r1", seqs, earlier, False)
    book.append(finished("r3", "p"))
    made = bundle.prove(book, "run:r1", seqs, later, False)
    assert made.commits > 1
    name = next(path.name for path in sorted(earlier.glob("*.tlog-proof")))
    shutil.copy(earlier / name, later / name)
    with pytest.raises(InvalidInput, match="different checkpoints"):
        bundle.check(later)
    assert not accepted(later)


# Any history --------------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(commits, st.data())
def test_any_event_proves_itself_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, history: list[list[Draft | say.Body]], data: st.DataObject
) -> None:
    home = tmp_path_factory.mktemp("history")
    with ledger.create(home / "team", timezone="UTC", salts=seeded_salts()) as book:
        book.writer.connection.execute("PRAGMA synchronous=OFF")
        for drafts in history:
            book.append(*drafts)
        last = book.log.commit(book.log.size() - 1).last_seq
        one, other = data.draw(st.lists(st.integers(0, last), min_size=2, max_size=2, unique=True))
        folders = [proves(book, home / str(seq), seq) for seq in (one, other)]
    assert all(map(accepted, folders))
    first, second = (next(folder.glob("event-*.json")) for folder in folders)
    ours, theirs = first.read_bytes(), second.read_bytes()
    first.write_bytes(theirs)
    second.write_bytes(ours)
    assert not any(map(accepted, folders))
    shutil.rmtree(home)


# What lies beside the checker --------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["beside", "from elsewhere", "by its whole path"])
def test_the_checker_imports_nothing_from_the_folder(small: Path, tmp_path: Path, how: str) -> None:
    """Python looks beside the program first: a bundle with a json.py of its own would check itself."""
    canary = tmp_path / "canary"
    names = {name for name in sys.stdlib_module_names if name not in sys.builtin_module_names}
    for name in sorted(names | {"sitecustomize", "usercustomize"}):
        (small / f"{name}.py").write_text(f"open({str(canary)!r}, 'a').write({name!r} + ' ')\nraise ImportError\n")
    program, place, folder = {
        "beside": ("check.py", small, "."),
        "from elsewhere": (f"{small.name}/check.py", small.parent, small.name),
        "by its whole path": (str(small / "check.py"), small, str(small)),
    }[how]
    command = [sys.executable, program, folder]
    done = subprocess.run(command, cwd=place, env={}, capture_output=True, text=True, check=False, timeout=60)
    assert not canary.exists(), canary.read_text()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PROVED" in done.stdout
    # The canary is alive: a program that does not look to it imports them.
    (small / "other.py").write_text("import json\n")
    subprocess.run([sys.executable, "other.py"], cwd=small, env={}, capture_output=True, check=False, timeout=60)
    assert canary.exists()


def test_a_file_without_end_is_not_read_beyond_what_was_signed(book: ledger.Ledger, tmp_path: Path) -> None:
    """A sparse file of a terabyte takes no room in a bundle, and hours to hash."""
    book.append(stored(book, MODEL))
    folder = proves(book, tmp_path / "small", artifact_seq(book))
    path = next(folder.glob("artifact-*"))
    path.chmod(0o644)
    with path.open("ab") as file:
        file.truncate(1 << 40)
    tracemalloc.start()
    assert not accepted(folder)
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()
    assert any("larger than the event" in problem for problem in auditor.examine(folder).problems)


def test_a_size_that_is_no_number_bounds_nothing(book: ledger.Ledger, tmp_path: Path) -> None:
    """`true` counts as 1 in Python, and a text as no size at all."""
    for size in (True, "40", None, -1, 40.0):
        found = auditor.Event("x", "x", False, ("ab" * 32, size), "")
        (tmp_path / f"artifact-{'ab' * 32}").write_bytes(b"x")
        with pytest.raises(auditor.Wrong):
            auditor.check_artifact(tmp_path, "ab" * 32, [found])


def test_the_page_says_first_that_the_checker_comes_from_who_gave_the_folder(small: Path) -> None:
    page = (small / "README.txt").read_text()
    assert page.startswith("FIRST: the program check.py in this folder comes from whoever gave you the folder")
    assert hashlib.sha256((small / "check.py").read_bytes()).hexdigest() in page
    assert bundle.check(small).checker_is_ours
    (small / "check.py").write_text("print('PROVED')\n")
    assert not bundle.check(small).checker_is_ours
    got = tally(small.parent, "check-proof", "--checker")
    assert got.out.encode() == bundle.checker()
    assert hashlib.sha256(bundle.checker()).hexdigest() in got.err
    said = tally(small.parent, "check-proof", str(small))
    assert said.code == 0
    assert "is not the one of tallystick" in said.err
