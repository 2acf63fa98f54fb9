"""What outside of the ledger vouches for how much of it, and since when.

An anchor is a checkpoint that somebody else keeps. Four kinds are known: a receipt in a git commit, a receipt that a
person pasted into a ticket or mail and noted here, the mark of another member in a shared folder, and a witness's
cosignature. Only a cosignature under a policy that was given counts as found outside: every other anchor lies in files
that this account could have written itself, a remote branch of git included. Those are statements about another place,
and have to be compared there.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tallystick.ledger.errors import InvalidInput, Refused, TallyError
from tallystick.ledger.events import types
from tallystick.ledger.events.commit import from_micros
from tallystick.ledger.events.types import AnchorRecorded
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.system.files import write_whole
from tallystick.ledger.system.git import ask_git, git
from tallystick.ledger.tlog import pins
from tallystick.ledger.tlog.cosignature import WitnessKey, cosignatures
from tallystick.ledger.tlog.note import Checkpoint, Note, is_signed, parse_checkpoint, parse_receipt, receipt_line
from tallystick.ledger.tlog.policy import Policy

GIT_FILE = "receipts.txt"
STATED = "stated here; compare it there"


class Anchor(NamedTuple):
    """One checkpoint that is kept elsewhere."""

    checkpoint: Checkpoint
    kind: str
    """``git``, ``member``, ``witness``, ``kept``, ``given``."""
    where: str
    """In words: ``git receipts.txt @ab12cd34``, ``ticket RISK-88``."""
    at: dt.datetime | None
    """Not later than this, according to whoever keeps it (UTC); None where nobody says."""
    outside: bool
    """Whether it could not have been written by this account: a cosignature under a policy that was given."""
    remark: str = ""
    """What is to be said about its weight."""
    cosigner: str | None = None


def recorded_anchors(ledger: Ledger) -> Iterator[tuple[AnchorRecorded, dt.datetime]]:
    """The anchors that events tell of, with the time of recording; found through the index of entities."""
    for entity in ledger.log.entities("anchor:"):
        seq = ledger.log.last_seq_of(entity)
        if seq is None:
            continue
        data = ledger.log.event(seq).data
        body = None if data is None else types.decode(data).body
        if isinstance(body, AnchorRecorded):
            yield body, from_micros(ledger.log.commit_of(seq).recorded_at)


def from_events(told: Iterable[tuple[AnchorRecorded, dt.datetime]], policy: Policy | None) -> Iterator[Anchor]:
    """Anchors that the ledger tells of itself. Only a cosignature under a key that the policy names is proof.

    Raises
    ------
    Damaged
        When a cosignature under a key that the policy names does not fit.
    """
    witnesses = tuple(witness.key for witness in policy.witnesses.values()) if policy else ()
    names = {witness.key: witness.name for witness in policy.witnesses.values()} if policy else {}
    for body, recorded_at in told:
        if body.kind == "kept":
            checkpoint = parse_receipt(body.receipt).checkpoint
            yield Anchor(checkpoint, "kept", body.where, recorded_at, False, STATED)
            continue
        note = Note.parse(body.receipt)
        checkpoint = parse_checkpoint(note.text)
        good = cosignatures(note, witnesses)
        for cosigned in good:
            name = names[cosigned.key]
            yield Anchor(checkpoint, "witness", f"witness {name}", cosigned.at, True, "", name)
        if not good:
            remark = f"{STATED} (its key is in no policy here)"
            yield Anchor(checkpoint, "witness", f"witness {body.where}", body.stated_at, False, remark)


def from_members(folder: Path, origins: Sequence[str]) -> Iterator[Anchor]:
    """Marks of other members in a shared folder."""
    own = pins.shared_mark(folder, "").name
    for origin in origins:
        for member, checkpoint in pins.shared_marks(origin, folder):
            if f"{member}.checkpoint" != own:
                yield Anchor(checkpoint, "member", f"mark of {member}", None, False, STATED)


# Git -------------------------------------------------------------------------------------------------------


def from_git(folder: Path, origins: Sequence[str]) -> Iterator[Anchor]:
    """Receipts that were ever committed to ``receipts.txt`` beside the ledger, oldest first."""
    place = folder.resolve().parent
    if not ask_git(place, "ls-files", GIT_FILE):
        return
    # Added lines of every commit, so that a receipt which was removed later still counts.
    listed = ask_git(place, "log", "--reverse", "-p", "-U0", "--format=commit %H %cI", "--", GIT_FILE)
    pushed = set((ask_git(place, "rev-list", "--remotes", "--", GIT_FILE) or "").split())
    yield from receipts_in(listed or "", pushed, origins)


def receipts_in(listed: str, pushed: Collection[str], origins: Sequence[str]) -> Iterator[Anchor]:
    """The receipts of these origins in what git lists: a line for each commit, then the lines that it added."""
    commit, at = "", None
    for line in listed.split("\n"):
        if match := re.fullmatch(r"commit ([0-9a-f]{40,64}) (\S+)", line):
            commit, at = match[1], _git_time(match[2])
        elif line.startswith("+receipt "):
            try:
                checkpoint = parse_receipt(line[1:]).checkpoint
            except TallyError:
                continue
            if checkpoint.origin in origins:
                remark = STATED if commit in pushed else f"{STATED} (not pushed yet)"
                yield Anchor(checkpoint, "git", f"git {GIT_FILE} @{commit[:8]}", at, False, remark)


def _git_time(text: str) -> dt.datetime | None:
    """When a commit says it was made; None where no calendar has such a time: git keeps whatever it was given."""
    try:
        return dt.datetime.fromisoformat(text).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None


def commit_receipt(ledger: Ledger, line: str) -> str:
    """Append a receipt to ``receipts.txt`` beside the ledger and commit that file alone; the commit's hash.

    The repository's hooks, filters and signing program are not run.

    Raises
    ------
    Refused
        When the folder is in no git repository, or git refuses.
    """
    place = ledger.folder.resolve().parent
    if ask_git(place, "rev-parse", "--show-toplevel") is None:
        raise Refused(f"{place} is in no git repository.", "Make one, or keep the receipt elsewhere.")
    path = place / GIT_FILE
    kept = path.read_text() if path.exists() else ""
    if line not in kept.split("\n"):
        if kept and not kept.endswith("\n"):
            kept += "\n"
        write_whole(path, f"{kept}{line}\n".encode())
    if ask_git(place, "add", "--", GIT_FILE) is None:
        raise Refused(f"git does not take {path}.", "Is it ignored? See: git check-ignore -v receipts.txt")
    if ask_git(place, "diff", "--cached", "--quiet", "--", GIT_FILE) is None:
        subject = " ".join(line.split(" ")[:2])
        done = git(place, "commit", "--quiet", "-m", subject, "--", GIT_FILE, with_errors=True)
        if done is None or done.code != 0:
            raise Refused(f"git did not commit {path}{f': {done.text}' if done and done.text else ''}.")
    return ask_git(place, "log", "-1", "--format=%H", "--", GIT_FILE) or ""


# Recording -------------------------------------------------------------------------------------------------


def keep(ledger: Ledger, text: str, where: str) -> AnchorRecorded:
    """The event that says where a receipt of this ledger is kept.

    Raises
    ------
    Refused
        When the receipt is not of this ledger or this history.
    Damaged
        When it is a note whose signature does not fit.
    """
    receipt = parse_receipt(text)
    checkpoint = receipt.checkpoint
    if receipt.note is not None:
        is_signed(receipt.note, [i.key for i in ledger.identities if i.key.name == checkpoint.origin])
    if checkpoint.origin not in [identity.key.name for identity in ledger.identities]:
        raise Refused(f"The receipt is of another ledger, {checkpoint.origin}.")
    if not ledger.continues(checkpoint):
        raise Refused(
            f"This ledger does not continue the receipt {receipt_line(checkpoint)}.",
            "That is what receipts are for: tally verify --against it shows the contradiction.",
        )
    kept = receipt.note.format() if receipt.note else receipt_line(checkpoint)
    return AnchorRecorded(
        anchor=_name(ledger, checkpoint.size),
        kind="kept",
        size=checkpoint.size,
        root=checkpoint.root.hex(),
        where=where,
        receipt=kept,
        stated_at=None,
        witness_key=None,
        url=None,
    )


def cosigned_by(ledger: Ledger, note: str, key: WitnessKey, at: dt.datetime, url: str) -> AnchorRecorded:
    """The event that keeps a witness's cosignature."""
    checkpoint = parse_receipt(note).checkpoint
    return AnchorRecorded(
        anchor=_name(ledger, checkpoint.size),
        kind="cosigned",
        size=checkpoint.size,
        root=checkpoint.root.hex(),
        where=key.name,
        receipt=note,
        stated_at=at,
        witness_key=key.format(),
        url=url,
    )


def _name(ledger: Ledger, size: int) -> str:
    taken = set(ledger.log.entities(f"anchor:{size}."))
    number = 1
    while f"anchor:{size}.{number}" in taken:
        number += 1
    return f"{size}.{number}"


def gather(ledger: Ledger, policy: Policy | None, shared: Path | None) -> list[Anchor]:
    """Every anchor that can be found from here, by size."""
    origins = [identity.key.name for identity in ledger.identities]
    found = [*from_events(recorded_anchors(ledger), policy), *from_git(ledger.folder, origins)]
    if shared is not None:
        found += from_members(shared, origins)
    return sorted(found, key=lambda anchor: (anchor.checkpoint.size, anchor.where))


class Between(NamedTuple):
    """The anchors that bound when a commit was appended: after one, before the other."""

    after: Anchor | None
    before: Anchor | None


def between(n: int, anchors: Sequence[Anchor], trusted: Callable[[Anchor], bool] = lambda _anchor: True) -> Between:
    """Bound the time at which commit ``n`` was appended.

    It was not yet there when an anchor of at most ``n`` commits was kept, and it was there when one of more was.
    """
    dated = [anchor for anchor in anchors if anchor.at is not None and trusted(anchor)]
    earlier = [anchor for anchor in dated if anchor.checkpoint.size <= n]
    later = [anchor for anchor in dated if anchor.checkpoint.size > n]
    return Between(
        max(earlier, key=_moment, default=None),
        min(later, key=_moment, default=None),
    )


def _moment(anchor: Anchor) -> dt.datetime:
    if anchor.at is None:
        raise InvalidInput("This anchor has no date.")
    return anchor.at
