"""A proof bundle: a folder that convinces somebody who has neither the ledger nor this program.

It holds the bytes of some events, the text of their commits, one c2sp.org/tlog-proof for each commit, the signed
checkpoint, the verifier key, a page for the auditor, and ``check.py``: one file that needs nothing but Python's
standard library and checks all of it (:mod:`ledger.publish.auditor`, which documents the layout). This module makes
bundles, and checks them by its own means; both must come to the same answer about every byte.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from blake3 import blake3
from msgspec import Meta

from tallystick import __version__
from tallystick.ledger.errors import InvalidInput, NotFound, Refused, TallyError
from tallystick.ledger.events import types
from tallystick.ledger.events.commit import FIRST_LINE, commit_text, leaf_entry
from tallystick.ledger.events.event import MAX_EVENT_BYTES, MAX_INTEGER, hashes
from tallystick.ledger.events.sentences import sentence
from tallystick.ledger.events.types import ArtifactStored, CommitImported
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.storage import tree
from tallystick.ledger.storage.imported_commits import copied_in
from tallystick.ledger.storage.key_history import in_force
from tallystick.ledger.system.files import read_foreign, regular_file, write_whole
from tallystick.ledger.tlog import merkle
from tallystick.ledger.tlog.note import Checkpoint, VerifierKey, open_checkpoint, parse_receipt, receipt_line
from tallystick.ledger.tlog.proof import Proof, parse_proof

LARGEST_TEXT_BYTES = 64 << 20
LARGEST_PROOF_BYTES = 1 << 20
MOST_EVENTS = 100_000
REPLAYED = """REPLAYED CLOCK: this ledger lives a past again. The times in its records are those of the story, not
those at which they were made; its first record, which is here, says so."""

Hex = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Number = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]


class CommitPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which events of which commit are in the bundle; places are counted from 0 within the commit."""

    events: Annotated[list[Number], Meta(min_length=1)]
    n: Number


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``proof.json``: what the bundle is about, in one canonical line."""

    artifacts: list[Hex]
    commits: Annotated[list[CommitPart], Meta(min_length=1)]
    format: Literal["tally.proof/1"]
    origin: str
    subject: str

    def text(self) -> bytes:
        """The one way to write it."""
        content = json.dumps(msgspec.to_builtins(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return f"{content}\n".encode()


class Made(NamedTuple):
    """What a bundle holds."""

    subject: str
    checkpoint: Checkpoint
    commits: int
    events: int
    artifacts: list[str]


# Making ----------------------------------------------------------------------------------------------------


def prove(ledger: Ledger, subject: str, seqs: Sequence[int], folder: Path, with_artifacts: bool) -> Made:
    """Write a bundle for events; signs the ledger's newest state where that is still to be done.

    Parameters
    ----------
    subject : str
        ``event:ID``, ``commit:N``, or ``kind:name`` of an entity that one of the events names.
    seqs : sequence of int
        Positions of the events.

    Raises
    ------
    Refused
        When the folder holds something else, there is nothing to show, or an event was redacted.
    NotFound
        When nothing signed covers the events and this account cannot sign.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"{folder} is not an empty folder.", "Give a new folder: a bundle holds nothing else.")
    if not seqs:
        raise Refused(f"Nothing about {subject} can be shown: no event is named, or all were erased.")
    if len(seqs) > MOST_EVENTS:
        raise Refused(f"{subject} rests on {len(seqs):,} events; a bundle holds at most {MOST_EVENTS:,}.")
    story = ledger.genesis.clock == "replayed"
    if story:  # whoever reads times in the records has to see, under the same proof, that they are a story's
        seqs = [0, *seqs]
    note = ledger.checkpoint()
    checkpoint = parse_receipt(note).checkpoint
    key = in_force(ledger.identities, checkpoint.size).key
    files: dict[str, bytes] = {"log.vkey": f"{key.format()}\n".encode()}
    parts: dict[int, list[int]] = {}
    artifacts: list[str] = []
    told: list[str] = []
    for seq in sorted({*seqs, *_sources(ledger, seqs)}):
        stored, commit = ledger.log.event(seq), ledger.log.commit_of(seq)
        if stored.data is None:
            raise Refused(f"The content of event #{seq} was erased, so it cannot be shown.")
        place = seq - commit.first_seq
        parts.setdefault(commit.n, []).append(place)
        files[f"event-{commit.n}-{place}.json"] = stored.data
        event = types.decode(stored.data)
        told.append(f"  event-{commit.n}-{place}.json  {sentence(event)}")
        if with_artifacts and isinstance(event.body, ArtifactStored):
            artifacts.append(event.body.artifact)
            files[f"artifact-{event.body.artifact}"] = ledger.objects.get(event.body.artifact)
    for n in parts:
        commit = ledger.log.commit(n)
        files[f"commit-{n}.txt"] = commit_text(commit.head, ledger.log.hashes(commit.first_seq, commit.last_seq))
        path = tree.inclusion_path(ledger.log, n, checkpoint.size)
        files[f"commit-{n}.tlog-proof"] = Proof(n, tuple(path), note).format().encode()
    claim = Claim(
        artifacts=sorted(set(artifacts)),
        commits=[CommitPart(events=places, n=n) for n, places in sorted(parts.items())],
        format="tally.proof/1",
        origin=checkpoint.origin,
        subject=subject,
    )
    files["proof.json"] = claim.text()
    files["check.py"] = checker()
    files["README.txt"] = _page(subject, checkpoint, key, told, story).encode()
    try:
        for name, data in files.items():
            write_whole(folder / name, data, durable=False)
    except OSError as error:
        raise InvalidInput(f"The bundle cannot be written to {folder}: {error.strerror}.") from error
    # Nothing leaves that our own check would not accept.
    check(folder)
    return Made(subject, checkpoint, len(parts), len(told), claim.artifacts)


def checker() -> bytes:
    """The program that bundles hold as ``check.py``."""
    return Path(__file__).with_name("auditor.py").read_bytes()


def _sources(ledger: Ledger, seqs: Sequence[int]) -> Iterator[int]:
    """The events that say of imported ones where they come from, and what their names are read under."""
    after = -1
    for seq in sorted(seqs):
        if seq > after:
            commit = ledger.log.commit_of(seq)
            copied, after = copied_in(ledger.log, commit), commit.last_seq
            if copied is not None:
                yield copied.seq


def _page(subject: str, checkpoint: Checkpoint, key: VerifierKey, told: Iterable[str], story: bool) -> str:
    replayed = f"{REPLAYED}\n\n" if story else ""
    return f"""FIRST: the program check.py in this folder comes from whoever gave you the folder, and so does this page.
A changed one could call anything proved. Get the checker from somebody else, and the log's key as well:

  * install tallystick {__version__} yourself, then: tally check-proof FOLDER --key KEY
    It is a check of its own, and says whether this check.py is the one that it would have written.
  * or have anybody who has it send you the output of `tally check-proof --checker`; the same file is
    ledger/publish/auditor.py in the source of tallystick. Of version {__version__} its SHA-256 is, as this page claims,
    {hashlib.sha256(checker()).hexdigest()}
    Ask them for that number as well: sha256sum check.py

Proof of what was recorded about {subject}

This folder shows that the records listed below stand in the ledger

    {checkpoint.origin}

as it was vouched for at {checkpoint.size} commits, byte for byte. It does not show that they were true when they
were recorded, nor that nothing was left unrecorded.

{replayed}To check it, with Python 3.11 or later, the checker from elsewhere and nothing else:

    python3 check.py . --key '{key.format()}'

Take the key from somebody other than whoever gave you this folder; it is what all of this rests on. The checker is one
file to read: it uses the standard library alone, it imports and runs nothing from this folder, and it does not use the
network. Other people's tools read the same files: the .tlog-proof files are c2sp.org/tlog-proof, the checkpoint in each
is a c2sp.org/tlog-checkpoint, the tree is that of RFC 6962.

To compare with what others have seen, ask them for a receipt of the ledger. This is the one here:

    {receipt_line(checkpoint)}

The records (the number is that of the commit, then the place in it):

{chr(10).join(told)}
"""


# Checking --------------------------------------------------------------------------------------------------


class Checked(NamedTuple):
    """A bundle that proves what it claims.

    Attributes
    ----------
    checker_is_ours : bool
        Whether ``check.py`` in it, which is no part of the proof, is the one that this program writes.
    """

    claim: Claim
    checkpoint: Checkpoint
    key: VerifierKey
    told: list[str]
    """One sentence an event."""
    ignored: list[str]
    """Names of files that are no part of the proof."""
    checker_is_ours: bool


def check(folder: Path, key: str | None = None) -> Checked:
    """Check a bundle that somebody gave us; opens nothing outside of it and follows no links.

    Parameters
    ----------
    key : str, optional
        Verifier key received by another way; without it the bundle's own is used, which proves less.

    Raises
    ------
    NotFound
        When there is no bundle.
    InvalidInput, Damaged
        Saying what does not hold.
    """
    if not (folder / "proof.json").exists():
        raise NotFound(f"There is no proof in {folder}.", "Give the folder that holds proof.json.")
    claim = _claim(read_foreign(folder / "proof.json", LARGEST_TEXT_BYTES))
    stated = _text(folder / "log.vkey", LARGEST_PROOF_BYTES)
    if not stated.endswith("\n"):
        raise InvalidInput("log.vkey is one line.")
    verifier = VerifierKey.parse(stated[:-1])
    if key is not None and VerifierKey.parse(key.strip()) != verifier:
        raise InvalidInput("The bundle's key is not the one that you were given; it proves nothing to you.")
    if verifier.name != claim.origin:
        raise InvalidInput(f"The bundle's key is that of {verifier.name}, not of {claim.origin}.")
    checkpoints: set[Checkpoint] = set()
    events: list[tuple[str, bytes, dict[str, Any]]] = []
    shown = False
    for part in claim.commits:
        checkpoint, names = _commit(folder, part.n, verifier)
        checkpoints.add(checkpoint)
        if len(checkpoints) > 1:
            raise InvalidInput("The proofs of the bundle rest on different checkpoints.")
        held = [_event(folder, part.n, place, names) for place in part.events]
        shown = shown or _shows(claim.subject, part.n, [(event_id, event) for event_id, _data, event in held])
        events += held
    if not shown:
        raise InvalidInput(f"Nothing in the bundle is about {claim.subject!r}.")
    _artifacts(folder, claim, events)
    known = set(_names(claim))
    ignored = sorted(path.name for path in folder.iterdir() if path.name not in known)
    told = [f"{event_id[:12]}  {_sentence(data)}" for event_id, data, _event_object in events]
    return Checked(claim, checkpoints.pop(), verifier, told, ignored, _holds_our_checker(folder))


def _holds_our_checker(folder: Path) -> bool:
    ours = checker()
    try:
        return read_foreign(folder / "check.py", len(ours)) == ours
    except InvalidInput:
        return False


def _names(claim: Claim) -> Iterator[str]:
    yield from ("README.txt", "check.py", "proof.json", "log.vkey")
    for part in claim.commits:
        yield from (f"commit-{part.n}.txt", f"commit-{part.n}.tlog-proof")
        yield from (f"event-{part.n}-{place}.json" for place in part.events)
    yield from (f"artifact-{name}" for name in claim.artifacts)


def _text(path: Path, most: int) -> str:
    try:
        return read_foreign(path, most).decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path.name} is not UTF-8 text.") from error


def _claim(data: bytes) -> Claim:
    try:
        claim = msgspec.json.decode(data, type=Claim)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"proof.json is not what a proof claims: {error}.") from error
    numbers = [part.n for part in claim.commits]
    orderly = _ascends(numbers) and all(_ascends(part.events) for part in claim.commits) and _ascends(claim.artifacts)
    try:
        canonical = claim.text()
    except UnicodeEncodeError as error:
        raise InvalidInput("proof.json holds text that is not Unicode.") from error
    if not orderly or canonical != data:
        raise InvalidInput("proof.json is not in its one canonical form.")
    return claim


def _ascends(values: Sequence[Any]) -> bool:
    return all(earlier < later for earlier, later in itertools.pairwise(values))


_EVENT_LINE = re.compile(rb"([0-9a-f]{64}) ([0-9a-f]{64})\n")


def _commit(folder: Path, n: int, key: VerifierKey) -> tuple[Checkpoint, list[tuple[str, str]]]:
    """The checkpoint that a commit is proved to be under, and the hashes of its events."""
    proof = parse_proof(_text(folder / f"commit-{n}.tlog-proof", LARGEST_PROOF_BYTES))
    if proof.n != n:
        raise InvalidInput(f"The proof of commit {n} is for index {proof.n}.")
    checkpoint = open_checkpoint(proof.note, key)
    text = read_foreign(folder / f"commit-{n}.txt", LARGEST_TEXT_BYTES)
    leaf = merkle.leaf_hash(leaf_entry(text))
    merkle.check_inclusion(n, checkpoint.size, leaf, proof.path, checkpoint.root)
    head, newline, lines = text.removeprefix(FIRST_LINE).partition(b"\n")
    if not text.startswith(FIRST_LINE) or not newline or not lines or len(lines) % 130:
        raise InvalidInput(f"Commit {n} is not the text of a commit.")
    _json_object(head, f"The head of commit {n}")
    names = []
    for at in range(0, len(lines), 130):
        match = _EVENT_LINE.fullmatch(lines[at : at + 130])
        if match is None:
            raise InvalidInput(f"Commit {n} is not the text of a commit.")
        names.append((match[1].decode(), match[2].decode()))
    return checkpoint, names


def _event(folder: Path, n: int, place: int, names: Sequence[tuple[str, str]]) -> tuple[str, bytes, dict[str, Any]]:
    """Id, bytes and content of one event, once it is seen to be the one on its line."""
    name = f"event-{n}-{place}.json"
    data = read_foreign(folder / name, MAX_EVENT_BYTES)
    event_id, digest = hashes(data)
    if place >= len(names) or names[place] != (event_id.hex(), digest.hex()):
        raise InvalidInput(f"{name} is not event {place} of commit {n}.")
    event = _json_object(data, name)
    if (
        not isinstance(event.get("t"), str)
        or type(event.get("v")) is not int
        or not isinstance(event.get("body"), dict)
    ):
        raise InvalidInput(f"{name} is not an event.")
    return event_id.hex(), data, event


def _json_object(data: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(data.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{what} is not JSON in UTF-8.") from error
    if not isinstance(value, dict):
        raise InvalidInput(f"{what} is not a JSON object.")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _shows(subject: str, n: int, events: Sequence[tuple[str, dict[str, Any]]]) -> bool:
    """Whether a commit and some of its events are what the bundle is about."""
    kind, colon, name = subject.partition(":")
    match kind:
        case "event" if colon:
            return any(event_id == name for event_id, _ in events)
        case "commit" if colon:
            return name == str(n)
    names = [name]
    for _, event in events:
        if colon and re.fullmatch(r"[a-z]+", kind) and event["body"].get(kind) in names:
            return True
        # What follows it comes from another ledger, whose names may be read under another here.
        under = event["body"].get("named_under") if event["t"] == CommitImported.TYPE else None
        if isinstance(under, str) and under:
            names.append(name.removeprefix(f"{under}/"))
    return False


def _artifacts(folder: Path, claim: Claim, events: Sequence[tuple[str, bytes, dict[str, Any]]]) -> None:
    for name in claim.artifacts:
        sizes = {
            size
            for _, _, event in events
            if event["t"] == "artifact.stored" and event["body"].get("artifact") == name
            if type(size := event["body"].get("size_bytes")) is int and size >= 0
        }
        if not sizes:
            raise InvalidInput(f"No event of the bundle names the artifact {name[:12]}….")
        if _measured(folder / f"artifact-{name}", max(sizes)) not in {(name, size) for size in sizes}:
            raise InvalidInput(f"The artifact {name[:12]}… is not the one that was recorded.")


def _measured(path: Path, most_bytes: int) -> tuple[str, int]:
    """Hash and size of a file, read in pieces and no further than a byte beyond ``most_bytes``."""
    hasher, size = blake3(), 0
    try:
        with regular_file(path, follow=False) as file:
            while size <= most_bytes and (piece := file.read(min(1 << 20, most_bytes + 1 - size))):
                hasher.update(piece)
                size += len(piece)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error
    return hasher.hexdigest(), size


def _sentence(data: bytes) -> str:
    try:
        return sentence(types.decode(data))
    except TallyError:
        return "of a kind that this program does not read"
