"""The part of verification about imported histories: is what stands here what the other ledgers had signed?

For each of them its commits are made again from what was copied and what was left out, its tree is recomputed from
them, and compared with the checkpoint that it had signed when it was imported. Its keys come out of those very
commits. What else stands in an imported commit, or under the name of somebody who recorded it there, is found.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tallystick.ledger.errors import Damaged, InvalidInput, TallyError
from tallystick.ledger.events import types
from tallystick.ledger.events.commit import commit_text, decode_head, event_handle, leaf_entry
from tallystick.ledger.events.event import hashes
from tallystick.ledger.events.sentences import commit_range, count, vouched_words
from tallystick.ledger.events.types import (
    CommitImported,
    EventCorrected,
    ForkAdopted,
    HistoryImported,
    KeyRotated,
    LedgerCreated,
    LeftOut,
)
from tallystick.ledger.storage.imported_commits import Copied, Places, copied_in, names_there, under_both, within
from tallystick.ledger.storage.key_history import Change, Identity, chain, in_force, leads_from, leads_on, open_stored
from tallystick.ledger.storage.log import Log, Stored
from tallystick.ledger.tlog.merkle import Frontier, leaf_hash
from tallystick.ledger.tlog.note import VerifierKey, parse_receipt
from tallystick.ledger.verify.scan import Class, Contradiction

Tick = Callable[[str, int, int], None]
MOST_FINDINGS = 20
"""After what is missing once everything that follows is wrong as well."""


class Signers(NamedTuple):
    """Who signed for the log that an event comes from."""

    origins: list[str]
    keys: list[bytes]


class Imports:
    """What the imported histories of a ledger came to."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.findings: list[Contradiction] = []
        self.histories: dict[str, _History] = {}
        self.named_under = False
        """Whether names of something are read under another."""

    def check(self, tick: Tick) -> None:
        """Recompute every history."""
        size = self.log.size()
        seen: set[int] = set()
        newest = 0
        self._receipts()
        for stored in self.log.events(types={HistoryImported.TYPE, CommitImported.TYPE}):
            handle = event_handle(stored.seq, stored.id)
            if len(self.findings) >= MOST_FINDINGS:
                return
            if stored.data is None:
                self._add(handle, f"The content of {handle} is erased; without it what was imported is not provable.")
                continue
            try:
                body = types.decode(stored.data, stored.type).body
                if isinstance(body, HistoryImported):
                    self._history(body.history).announce(stored, body)
                elif isinstance(body, CommitImported):
                    commit = self.log.commit_of(stored.seq, newest)
                    newest = commit.n
                    if commit.n in seen:
                        raise Damaged(f"c{commit.n} says more than once which commit it was elsewhere.")
                    seen.add(commit.n)
                    self.named_under = self.named_under or body.named_under is not None
                    self._history(body.history).follow(Copied(commit, stored.seq, body))
                    if commit.n & 255 == 0:
                        tick("imports", commit.n, size)
            except TallyError as error:
                self._add(handle, f"{handle}: {error.message}")

    def _receipts(self) -> None:
        """At which sizes the roots of the histories are wanted, because a receipt is said to have vouched for them."""
        for stored in self.log.events(types={HistoryImported.TYPE}):
            with contextlib.suppress(TallyError):  # said when it is looked at
                body = None if stored.data is None else types.decode(stored.data, stored.type).body
                if isinstance(body, HistoryImported) and body.vouched == "receipt":
                    self._history(body.history).roots[parse_receipt(body.receipt or "").checkpoint.size] = b""

    def _history(self, name: str) -> _History:
        return self.histories.setdefault(name, _History(self.log, name, self._add))

    def _add(self, where: str, words: str, **more: Any) -> None:
        kind: Class = "IMPORT"
        self.findings.append(Contradiction(kind=kind, where=where, words=words, next=_NEXT, **more))

    def lines(self) -> list[tuple[str, str]]:
        """One line a history."""
        return [("import", history.words()) for history in self.histories.values()]

    def unfinished(self) -> list[str]:
        """What was begun and not brought to its end, in words."""
        return [
            f"The import of {history.name} stopped at c{len(history.places) - 1} of c{history.announced.size - 1}: "
            "`tally import` from the same place goes on."
            if len(history.places)
            else f"The import of {history.name} stopped before its first commit: `tally import` goes on."
            for history in self.histories.values()
            if history.announced is not None and len(history.places) < history.announced.size
        ]

    def signers_of(self, n: int) -> Signers | None:
        """The names and keys of the log that commit ``n`` was copied from; None for this ledger's own commits."""
        try:
            copied = copied_in(self.log, self.log.commit(n))
        except (IndexError, TallyError):
            return None
        history = None if copied is None else self.histories.get(copied.said.history)
        if copied is None or history is None or not history.identities:
            return None
        there = copied.said.n
        names = [in_force(history.identities, size).key.name for size in (there + 1, there)]
        return Signers(names, [identity.key.public for identity in history.identities])


_NEXT = "What was imported there is not to be relied on; compare it with the ledger that it came from."


class _History:
    """One imported history, commit after commit."""

    def __init__(self, log: Log, name: str, add: Callable[..., None]) -> None:
        self.log = log
        self.name = name
        self.add = add
        self.frontier = Frontier()
        self.places = Places()
        self.announced: HistoryImported | None = None
        self.vouched_for: int | None = None
        """Up to which size anything but that ledger itself was found to vouch for it."""
        self.unproven_within = 0
        """Commits that it had imported itself from a ledger for which nobody vouched."""
        self.roots: dict[int, bytes] = {}
        self.wanted: dict[int, tuple[Stored, HistoryImported]] = {}
        self.genesis: LedgerCreated | None = None
        self.changes: list[tuple[int, Change]] = []
        self.identities: list[Identity] = []
        self.proved = 0
        self.key = ""

    def announce(self, stored: Stored, body: HistoryImported) -> None:
        """What is going to follow, and up to which root."""
        handle = event_handle(stored.seq, stored.id)
        before, self.announced = self.announced, body
        if before is not None and before.named_under != body.named_under:
            self.add(handle, f"{handle} reads the names of {self.name} under something else than was said first.")
        if body.first != len(self.places) or body.size < body.first:
            self.add(handle, f"{handle} says that c{body.first} of {self.name} follows, but c{len(self.places)} does.")
            return
        self.wanted[body.size] = (stored, body)
        if body.size == len(self.places):
            self._compare(stored, body)

    def follow(self, copied: Copied) -> None:
        """The next commit."""
        commit, seq, said = copied
        if said.n != len(self.places):
            raise Damaged(f"c{commit.n} is c{said.n} of {self.name}, but c{len(self.places)} should follow.")
        if self.announced is None or said.n >= self.announced.size:
            raise Damaged(f"Nothing says that c{said.n} of {self.name} was going to follow.")
        head, inner = decode_head(commit.head), within(said)
        if said.proven and (self.announced.vouched == "nothing" or (inner is not None and not inner.proven)):
            self.add(f"c{commit.n}", f"c{commit.n} says that it is proven to be of {self.name}; nobody vouched for it.")
        if said.named_under != under_both(self.announced.named_under, inner):
            self.add(f"c{commit.n}", f"c{commit.n} reads the names of {self.name} under something else than was said.")
        self.unproven_within += inner is not None and not inner.proven
        if not head.imported or head.actor != decode_head(said.head).actor:
            self.add(f"c{commit.n}", f"c{commit.n} is not in the name of who recorded it in {self.name}.")
        self._left_out(said)
        self.places.add(said, seq)
        self._said_again(copied)
        stop = min(seq + said.copied, commit.last_seq)
        text = commit_text(said.head, names_there(said, self.log.hashes(seq + 1, stop)))
        self.frontier.append(leaf_hash(leaf_entry(text)))
        if len(self.places) in self.roots:
            self.roots[len(self.places)] = self.frontier.root()
        if (wanted := self.wanted.get(len(self.places))) is not None:
            self._compare(*wanted)

    def _left_out(self, said: CommitImported) -> None:
        for item in said.left_out:
            if item.body is None:
                continue
            data = item.body.encode()
            if [digest.hex() for digest in hashes(data)] != [item.id, item.sha256]:
                self.add(f"c{said.n} of {self.name}", f"An event that c{said.n} left out is not as it was there.")
                continue
            if item.type in (LedgerCreated.TYPE, KeyRotated.TYPE, ForkAdopted.TYPE):
                body = types.decode(data).body
                if isinstance(body, LedgerCreated) and said.n == 0:
                    self.genesis = body
                elif isinstance(body, KeyRotated | ForkAdopted):
                    self.changes.append((said.n, body))

    def _said_again(self, copied: Copied) -> None:
        """Beside what was copied a commit holds schemas, and the corrections that it had, with positions of here."""
        commit, seq, said = copied
        again = {seq + item.instead: item for item in said.left_out if item.instead is not None}
        if not again and commit.last_seq - commit.first_seq == said.copied:
            return  # there is no room for anything else
        for stored in self.log.events(commit.first_seq, commit.last_seq):
            if seq <= stored.seq <= seq + said.copied or stored.type == "schema.declared":
                continue
            original = again.pop(stored.seq, None)
            if original is None or not self._is_said_again(original, stored):
                handle = event_handle(stored.seq, stored.id)
                self.add(handle, f"{handle} stands in an imported commit and is not what {self.name} said there.")
        if again:
            self.add(f"c{commit.n}", f"A correction that c{said.n} of {self.name} made is not said here.")

    def _is_said_again(self, original: LeftOut, stored: Stored) -> bool:
        if stored.data is None:
            return True
        here = types.decode(stored.data).body
        if original.body is None:  # erased there, and it keeps its effect
            return (
                original.type == EventCorrected.TYPE
                and isinstance(here, EventCorrected)
                and self.log.event(int(here.correction)).id.hex() == here.event
            )
        there = types.decode(original.body.encode()).body
        return (
            isinstance(there, EventCorrected)
            and isinstance(here, EventCorrected)
            and (there.type, there.reason) == (here.type, here.reason)
            and there.correction.isdecimal()
            and str(self.places.here_of(int(there.correction))) == here.correction
            and self.log.event(int(here.correction)).id.hex() == here.event
        )

    def _compare(self, stored: Stored, body: HistoryImported) -> None:
        """The recomputed root against the one that was signed there."""
        handle = event_handle(stored.seq, stored.id)
        root = self.frontier.root()
        if root.hex() != body.root:
            self.add(
                handle,
                f"The first {body.size} commits of {self.name}, as they stand here, are not those of its checkpoint.",
                expected=body.root,
                actual=root.hex(),
            )
            return
        if self.genesis is None:
            raise Damaged(f"The beginning of {self.name}, which names its key, is not here.")
        self.identities = chain(self.genesis, self.changes)
        checkpoint = open_stored(body.checkpoint, self.identities, body.size)
        if checkpoint.root != root or self.identities[0].key.name != self.name:
            self.add(handle, f"{handle} keeps a checkpoint of something else than {self.name}.")
            return
        self.proved, self.key = body.size, self.identities[-1].key.key_id.hex()
        if body.vouched == "nothing":
            return
        if words := self._not_vouched(body):
            self.add(handle, f"{handle} says that {self.name} is {vouched_words(body)}, but {words}")
        else:
            self.vouched_for = body.size

    def _not_vouched(self, body: HistoryImported) -> str:
        """Why what is said to vouch for it does not; empty where it does, as far as that can be seen from here."""
        try:
            if body.vouched == "import":
                earlier = self.vouched_for
                return "" if earlier is not None and leads_on(self.identities, earlier) else "nothing before it was."
            if body.vouched != "receipt":
                key = VerifierKey.parse(body.key or "")
                return "" if leads_from(self.identities, key) else "that key has not signed it."
            checkpoint = parse_receipt(body.receipt or "").checkpoint
        except InvalidInput as error:
            return f"that cannot be read: {error.message}"
        if checkpoint.origin not in [identity.key.name for identity in self.identities]:
            return f"that receipt is of {checkpoint.origin}."
        if checkpoint.size > body.size or self.roots.get(checkpoint.size) != checkpoint.root:
            return "what stands here is not what that receipt saw."
        return "" if leads_on(self.identities, checkpoint.size) else "another key signed it after that."

    def words(self) -> str:
        """What is here of it, and who vouches for it."""
        if not self.proved:
            return f"{self.name}: NOT recomputed to a checkpoint of it"
        said = f"{commit_range(0, self.proved - 1)} of {self.name} recomputed: as signed by its key {self.key}"
        more = len(self.places) - self.proved
        if more:
            said += f"; {count(more, 'commit')} after them not yet"
        if self.announced:
            said += f"; {vouched_words(self.announced)}"
        if self.unproven_within and self.announced and self.announced.vouched != "nothing":
            said += f"; {count(self.unproven_within, 'commit')} that it had imported itself: UNPROVEN"
        return said


def check_imports(log: Log, tick: Tick) -> Imports:
    """Every imported history of a log."""
    imports = Imports(log)
    imports.check(tick)
    return imports


def has_imports(log: Log) -> Sequence[str]:
    """Entities of the imported histories; none for most ledgers."""
    return log.entities("history:")


def said_of(log: Log) -> dict[str, str]:
    """Who is said to vouch for each imported history by now, where it was recomputed earlier."""
    said: dict[str, str] = {}
    for stored in log.events(types={HistoryImported.TYPE}):
        body = None if stored.data is None else types.decode(stored.data, stored.type).body
        if isinstance(body, HistoryImported):
            said[body.history] = vouched_words(body)
    return said
