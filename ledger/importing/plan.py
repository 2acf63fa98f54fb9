"""What would be copied of another ledger, and what stands in the way: read through before anything is appended."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from tallystick.ledger.amend.redaction import KEPT
from tallystick.ledger.errors import InvalidInput, NewerFormat, Refused, TallyError
from tallystick.ledger.events import types as vocabulary
from tallystick.ledger.events.commit import commit_text, from_micros, leaf_entry
from tallystick.ledger.events.event import MAX_EVENT_BYTES, Event, encode_canonical, refuse_unrepresentable
from tallystick.ledger.events.sentences import count
from tallystick.ledger.events.types import (
    BY_CONTENT,
    RELEASED,
    ArtifactStored,
    CommitImported,
    EventCorrected,
    EventRedacted,
    EventRedactedV1,
    HistoryImported,
    SchemaDeclared,
    TrialStored,
)
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.storage.artifacts import LARGE_BYTES
from tallystick.ledger.storage.erasures import erasure_of
from tallystick.ledger.storage.imported_commits import Places, copied_in, under_both
from tallystick.ledger.storage.log import Commit, Log, Stored
from tallystick.ledger.tlog.merkle import Frontier, leaf_hash
from tallystick.ledger.tlog.note import Checkpoint
from tallystick.ledger.verify.report import Progress

ABOUT_ITS_LOG = KEPT - {"experiment.declared"} | {EventCorrected.TYPE}
"""Types that name keys, positions or sizes of the log that they are in: in another they would mean something else."""
MOST_NAMED = 12
ERASED_REASON = "Why it does not count was erased in the other ledger"


class Part(NamedTuple):
    """A commit of the other ledger, and what of it is not copied."""

    commit: Commit
    stored: list[Stored]
    left: frozenset[int]
    """Places of the events that are left out."""
    under: str | None
    """What its names are read under here."""
    proven: bool
    """False where the other ledger had it from a third one that nobody vouched for."""


class Corrected(NamedTuple):
    """A correction in the other ledger whose meaning can be said here."""

    target: tuple[int, int]
    """Commit and place there of what it sets aside."""
    event_id: bytes | None
    """Its id; None where it is a correction itself, which has another one here."""
    said: EventCorrected
    occurred_at: dt.datetime


class ImportPlan:
    """What an import would do.

    Attributes
    ----------
    leaves : list of bytes
        Leaf hashes of the commits that are new, to be recognised when they are read again.
    met_before : set of str
        Entities that its earlier commits, which are here already, name.
    artifacts : dict
        Files that are named and are there: hash -> size in bytes.
    missing : set of str
        Files that are named and are neither there nor here.
    taken : list of str
        Entities that it names and that are something else here.
    erased_there : list of int
        Events here whose originals were erased in the other ledger since they were copied.
    also_here : list of str
        Entities that came from it, about which something else was recorded here since, and which it goes on with.
    types : set of (str, int)
        Types and versions of what is copied, as far as this program knows them, and of corrections.
    passed_on : dict
        Histories that the other ledger had imported itself: name -> whether anybody vouched for it there.
    """

    def __init__(self, first: int, under: str | None) -> None:
        self.first = first
        self.under = under
        self.leaves: list[bytes] = []
        self.met_before: set[str] = set()
        self.artifacts: dict[str, int] = {}
        self.missing: set[str] = set()
        self.taken: list[str] = []
        self.erased_there: list[int] = []
        self.also_here: list[str] = []
        self.passed_on: dict[str, bool] = {}
        self.events = 0
        self.left_out = 0
        self.types: set[tuple[str, int]] = set()
        self._schemas: set[int] = set()

    def parts(self, source: Ledger, first: int, stop: int) -> Iterator[Part]:
        """Its commits from ``first`` up to and without ``stop``."""
        for commit in source.log.commits(first, stop):
            stored = list(source.log.events(commit.first_seq, commit.last_seq))
            left = frozenset(
                place
                for place, item in enumerate(stored)
                if item.data is None or (item.type in ABOUT_ITS_LOG and item.seq not in self._schemas)
            )
            inner = copied_in(source.log, commit)
            under = under_both(self.under, inner.said if inner else None)
            yield Part(commit, stored, left, under, inner is None or inner.said.proven)

    def keep_schema(self, seq: int) -> None:
        """Copy the declaration of a type that neither this ledger nor this program knows."""
        self._schemas.add(seq)


def plan(
    ledger: Ledger,
    source: Ledger,
    history: str,
    places: Places,
    checkpoint: Checkpoint,
    under: str | None,
    progress: Progress,
) -> ImportPlan:
    """Read the other ledger up to a checkpoint and look at what its commits would mean here.

    Raises
    ------
    Refused
        When what others rely on was erased there, or when it changed.
    NewerFormat, InvalidInput
    """
    first, size = len(places), checkpoint.size
    found = ImportPlan(first, under)
    reading = _Reading(ledger, source, history, places, found)
    frontier = Frontier()
    for part in found.parts(source, 0, size):
        leaf = leaf_hash(
            leaf_entry(commit_text(part.commit.head, [(stored.id, stored.sha256) for stored in part.stored]))
        )
        frontier.append(leaf)
        if part.commit.n < first:
            reading.earlier(part)
        else:
            found.leaves.append(leaf)
            reading.new(part)
        if part.commit.n & 255 == 0:
            progress("names", part.commit.n, size)
    if frontier.root() != checkpoint.root:
        raise Refused("It was changed while it was read. Nothing was imported.", "Give the same command again.")
    return found


def histories_here(log: Log) -> dict[str, str]:
    """Every history that is here, also within others, by the one with which it came."""
    found = {name.removeprefix("history:"): "" for name in log.entities("history:")}
    if not found:
        return {}
    for stored in log.events(types={CommitImported.TYPE}):
        # Most commits hold no import of their own, and their bodies need not be read for that.
        if stored.data is None or b'"history.imported"' not in stored.data:
            continue
        body = vocabulary.decode(stored.data, stored.type).body
        if isinstance(body, CommitImported):
            for item in body.left_out:
                if item.type == HistoryImported.TYPE and item.body is not None:
                    inner = vocabulary.decode(item.body.encode()).body
                    if isinstance(inner, HistoryImported):
                        found.setdefault(inner.history, body.history)
    return {name: by or name for name, by in found.items()}


def refuse_names(history: str, taken: Sequence[str], *, again: bool) -> None:
    """Refuse all at once where names mean something here; ``again`` where some of the history is here already."""
    if not taken:
        return
    kinds: dict[str, list[str]] = {}
    for entity in taken:
        kind, _, name = entity.partition(":")
        kinds.setdefault(kind, []).append(name)
    # The things that people name first; windows, gates and findings are called after them.
    order = sorted(kinds, key=lambda kind: (_FIRST.index(kind) if kind in _FIRST else len(_FIRST), kind))
    told = "; ".join(_listed(kind, kinds[kind]) for kind in order)
    names = count(len(taken), "name that means", "names that mean")
    raise Refused(
        f"{history} uses {names} something else here: {told}. Nothing was imported.",
        "What is here of it stays. Look at what is new of it where it is, with --ledger."
        if again
        else f"Have its names read under another here: --as {_suggested(history)}",
    )


def corrected_there(log: Log, stored: Stored, part: Part, places: Places, again: Collection[int]) -> Corrected | None:
    """What a correction of the other ledger sets aside, where that is here; None for anything else.

    ``again`` are the places of the corrections of its own commit that are said here as well.
    """
    if stored.type != EventCorrected.TYPE:
        return None
    said, occurred_at = _correction_in(log, stored)
    there = None if said is None else _position(log, said.correction, stored.seq)
    if said is None or there is None:
        return None
    commit, place = there
    if commit.n == part.commit.n:
        is_here = place in again or place not in part.left
    else:
        is_here = places.here(commit.n, place) is not None
    if not is_here:
        return None
    target = log.event(commit.first_seq + place)
    event_id = None if target.type == EventCorrected.TYPE else target.id
    return Corrected(
        (commit.n, place), event_id, msgspec.structs.replace(said, type=said.type or target.type), occurred_at
    )


def _correction_in(log: Log, stored: Stored) -> tuple[EventCorrected | None, dt.datetime]:
    """What a correction says, and when it occurred; one that was erased keeps its effect and says no reason."""
    if stored.data is not None:
        event = vocabulary.decode(stored.data)
        return (event.body if isinstance(event.body, EventCorrected) else None), event.occurred_at
    recorded_at = from_micros(log.commit_of(stored.seq).recorded_at)
    found = erasure_of(log, stored.seq)
    kept = found.said.refers_to.get("correction") if found and isinstance(found.said, EventRedacted) else None
    if found is None or kept is None:
        return None, recorded_at
    reason = f"{ERASED_REASON} on {found.on}."
    return EventCorrected(correction=kept, event="0" * 64, type="", reason=reason), recorded_at


def _position(log: Log, text: str, before: int) -> tuple[Commit, int] | None:
    """Commit and place of an event that another names by its position in decimal; None for what is no earlier one."""
    if not re.fullmatch("0|[1-9][0-9]{0,15}", text) or int(text) >= before:
        return None
    commit = log.commit_of(int(text))
    return commit, int(text) - commit.first_seq


class _Reading:
    """What the names of the other ledger would meet here."""

    def __init__(self, ledger: Ledger, source: Ledger, history: str, places: Places, found: ImportPlan) -> None:
        self.ledger = ledger
        self.source = source
        self.history = history
        self.places = places
        self.found = found
        self.met: set[str] = set()
        self.sizes: dict[str, int] = {}
        self.own = {identity.key.name for identity in ledger.identities}
        self.types = {event_type for event_type, _ in RELEASED}
        # What came with the same history before goes on with it.
        self.here = {name for name, by in histories_here(ledger.log).items() if by != history}
        if history in self.here:
            raise Refused(
                f"Commits of {history} are here already: they came with another ledger that had imported them. "
                "They would be here twice. Nothing was imported.",
                "Import what is new of it by way of that ledger.",
            )

    def earlier(self, part: Part) -> None:
        """A commit that is here already."""
        for place, stored in enumerate(part.stored):
            if place not in part.left and stored.data is not None:
                event = vocabulary.named_under(vocabulary.decode(stored.data, stored.type), part.under)
                self.found.met_before.update(vocabulary.entities(event))

    def new(self, part: Part) -> None:
        """A commit that would be copied."""
        # A head or a list that is too long to be kept in one event is found when it is made, but then it is too late.
        kept_bytes = len(part.commit.head)
        for place, stored in enumerate(part.stored):
            # Whether it is to be copied is only known once it was looked at: a schema that nobody knows is.
            is_left = self._left_out(stored) if place in part.left else False
            if is_left:
                self.found.left_out += 1
                kept_bytes += 300 + 2 * len(stored.data or b"") * (stored.type != SchemaDeclared.TYPE)
            else:
                self.found.events += 1
                self._copied(part, stored)
        if kept_bytes > MAX_EVENT_BYTES:
            raise Refused(
                f"Its c{part.commit.n} says {kept_bytes:,} bytes about its own log; an event here holds at most "
                f"{MAX_EVENT_BYTES:,}. Nothing was imported.",
                "This program never writes so much in one commit. Look at it with `tally show` there.",
            )

    def _left_out(self, stored: Stored) -> bool:
        """Look at an event that is about its log; whether it is left out."""
        if stored.data is None:
            if stored.type in KEPT:
                raise Refused(
                    f"In it the content of #{stored.seq} was erased, which is {stored.type}: without it the rest "
                    "cannot be believed. Nothing was imported.",
                    "No program of ours erases that. Ask its owner.",
                )
            if stored.type == EventCorrected.TYPE:  # said again, see corrected_there
                self.found.types.add((EventCorrected.TYPE, EventCorrected.VERSION))
            return True
        body = vocabulary.decode(stored.data, stored.type).body
        match body:
            case SchemaDeclared():
                event_type, _, version = body.name.rpartition("/")
                known = version.isdecimal() and (event_type, int(version[:9])) in RELEASED
                if event_type in self.types or known or self.ledger.log.last_seq_of(f"schema:{body.name}") is not None:
                    return True
                self.found.keep_schema(stored.seq)
                return False
            case EventCorrected():
                self.found.types.add((EventCorrected.TYPE, EventCorrected.VERSION))
            case HistoryImported():
                if body.history in self.own or body.name in self.own:
                    raise Refused(
                        "It holds an import of this very ledger: what is here would come back under another name.",
                        "Import from a copy of it from before that.",
                    )
                if body.history != self.history and body.history in self.here:
                    raise Refused(
                        f"It holds an import of {body.history}, which was imported here as well: its events would be "
                        "here twice. Nothing was imported.",
                        "Import it into a ledger that does not hold that one, or look at it with --ledger.",
                    )
                self.found.passed_on[body.history] = body.vouched != "nothing"
            case EventRedacted() | EventRedactedV1() if (
                there := _position(self.source.log, body.redaction, stored.seq)
            ) is not None:
                here = self.places.here(there[0].n, there[1])
                if here is not None and self.ledger.log.event(here).data is not None:
                    self.found.erased_there.append(here)
        return True

    def _copied(self, part: Part, stored: Stored) -> None:
        assert stored.data is not None
        event = vocabulary.decode(stored.data, stored.type)
        _refuse_unwritten(stored, event, self.types)
        if vocabulary.is_known(event):
            self.found.types.add((event.t, event.v))
        here = vocabulary.named_under(event, part.under)
        for entity in vocabulary.entities(here):
            if entity not in self.met and entity.partition(":")[0] not in BY_CONTENT:
                self.met.add(entity)
                self._meet(entity)
        if isinstance(event.body, ArtifactStored | TrialStored):
            self._artifact(event.body.artifact, event.body.size_bytes)

    def _meet(self, entity: str) -> None:
        last_seq = self.ledger.log.last_seq_of(entity)
        if last_seq is None:
            return
        if entity not in self.found.met_before:
            self.found.taken.append(entity)
            return
        copied = copied_in(self.ledger.log, self.ledger.log.commit_of(last_seq))
        if copied is None or copied.said.history != self.history:
            self.found.also_here.append(entity)

    def _is_another_size_here(self, name: str, size_bytes: int) -> bool:
        """Whether what has that hash is here, undamaged, and not of that size."""
        with contextlib.suppress(TallyError):
            found = self.ledger.objects.size_bytes(name)
            return found != size_bytes and found <= LARGE_BYTES and len(self.ledger.objects.get(name)) == found
        return False

    def _artifact(self, name: str, size_bytes: int) -> None:
        if self.sizes.setdefault(name, size_bytes) != size_bytes or self._is_another_size_here(name, size_bytes):
            raise Refused(
                f"It says that artifact {name[:12]}… has {size_bytes:,} bytes, which is not its size. "
                "Nothing was imported.",
                "No program of ours records that. Ask its owner.",
            )
        if name in self.found.artifacts or name in self.found.missing:
            return
        try:
            if self.source.objects.path(name).stat().st_size == size_bytes:
                self.found.artifacts[name] = size_bytes
            elif not self.ledger.objects.path(name).exists():
                self.found.missing.add(name)
        except (OSError, InvalidInput):
            if not _is_there(self.ledger, name):
                self.found.missing.add(name)


_FIRST = ("pipeline", "run", "model", "decision", "trial")


def _listed(kind: str, names: list[str]) -> str:
    some = ", ".join(names[:MOST_NAMED])
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{kind} {some}{more}"


def _suggested(history: str) -> str:
    """A name for another ledger: the end of its folder's, without the digits that make it unique."""
    readable = re.sub(r"-[0-9a-f]{16}$", "", history).rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9._-]", "", readable)[:60] or "theirs"


def _is_there(ledger: Ledger, name: str) -> bool:
    try:
        return ledger.objects.path(name).exists()
    except TallyError:
        return False


def _refuse_unwritten(stored: Stored, event: Event[Any], types: Collection[str]) -> None:
    """Accepted are only the bytes that this program would have written, and versions that it understands."""
    assert stored.data is not None
    known = RELEASED.get((event.t, event.v))
    if known is None and event.t in types:
        raise NewerFormat(
            f"In it #{stored.seq} is {event.t} version {event.v}, which this program does not understand. "
            "Nothing was imported.",
            "Install the newer tallystick.",
        )
    where = f"#{stored.seq} there ({event.t})"
    try:
        if len(stored.data) > MAX_EVENT_BYTES or encode_canonical(event) != stored.data:
            raise InvalidInput(f"{where} is not in the written form that events have.")
        if known is None or known.free_form:
            refuse_unrepresentable(msgspec.to_builtins(event.body), where)
    except InvalidInput as error:
        raise InvalidInput(
            f"{error.message} Nothing was imported.",
            "Another program wrote it; ledger/FORMAT.md describes the form.",
        ) from error
