"""Bringing the history of another ledger into this one: its very events, commit by commit, never silently believed.

The other ledger is verified whole first and only read. An event says what is going to be copied, up to which signed
checkpoint, and who vouches for it; then each of its commits becomes one here, with the same events under the same ids
and one ``commit.imported`` that holds the rest of it, so that its tree can be recomputed from this ledger for ever.
What an event says about the other log itself (keys, anchors, positions) would mean something else here; it is kept
word for word, but not as an event. Corrections are said again, with the positions that things have here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from tallystick.ledger.errors import Conflict, Damaged, InvalidInput, NotFound, Refused, TallyError
from tallystick.ledger.events import types as vocabulary
from tallystick.ledger.events.commit import Head, commit_text, decode_head, leaf_entry
from tallystick.ledger.events.encoding import Draft, Encoded
from tallystick.ledger.events.event import hashes
from tallystick.ledger.events.sentences import count
from tallystick.ledger.events.types import CommitImported, EventCorrected, HistoryImported, LeftOut, SchemaDeclared
from tallystick.ledger.importing.plan import Corrected, ImportPlan, Part, corrected_there, plan, refuse_names
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.opening import open_ledger
from tallystick.ledger.storage.artifacts import Objects
from tallystick.ledger.storage.imported_commits import Places, names_there, walk
from tallystick.ledger.storage.key_history import Identity, leads_from, leads_on
from tallystick.ledger.storage.log import Stored
from tallystick.ledger.tlog import key_store, pins
from tallystick.ledger.tlog.merkle import Frontier, leaf_hash
from tallystick.ledger.tlog.note import Checkpoint, Receipt, VerifierKey, parse_receipt, receipt_line
from tallystick.ledger.verify.report import Asked, Progress, silent
from tallystick.ledger.verify.verify import verify
from tallystick.ledger.writing.appender import Copy

EVENTS_AT_ONCE = 1_000
COMMITS_AT_ONCE = 250
"""So many are written with one wait for the disk, and others wait for the lock no longer than that takes."""


class Imported(NamedTuple):
    """What was, or would be, brought in."""

    said: HistoryImported
    first_commit: int | None
    """The commit here that says so; None where there was nothing to say."""
    last_commit: int | None
    """The newest commit here that came with it; None where none did."""
    plan: ImportPlan
    artifacts_copied: int
    unsigned: int
    """Commits at its end that its key has not signed; they stay where they are."""
    before: int
    """How many of its commits were here already."""


class _Here(NamedTuple):
    """What of the other ledger is here already."""

    places: Places
    frontier: Frontier
    announced: HistoryImported | None
    last_seq: int | None
    """The newest event about it."""


def import_history(
    ledger: Ledger,
    folder: Path | str,
    *,
    against: Receipt | str | None = None,
    key: VerifierKey | str | None = None,
    named_under: str | None = None,
    dry_run: bool = False,
    progress: Progress = silent,
) -> Imported:
    """Copy the history of the ledger in ``folder`` into ``ledger``, or what is new of it since the last time.

    Interrupted at any moment, it goes on from there when it is asked for again.

    Parameters
    ----------
    against : Receipt or str, optional
        Kept from the other ledger, as a line or a note; it has to continue it.
    key : VerifierKey or str, optional
        The other ledger's key, known from elsewhere.
    named_under : str, optional
        What the events name is called ``named_under/NAME`` here, so that two ledgers may use the same names.
    dry_run : bool
        Look and check all, and append nothing.

    Raises
    ------
    Refused
        When the other ledger contradicts itself or what is known of it, tells a story, or uses names that mean
        something else here. Nothing was appended then.
    NotFound, InvalidInput, NewerFormat, Damaged, Conflict, Busy
    """
    against = parse_receipt(against) if isinstance(against, str) else against
    key = VerifierKey.parse(key) if isinstance(key, str) else key
    with _open_other(folder) as source:
        if source.folder.resolve() == ledger.folder.resolve():
            raise Refused("This is the very ledger that it would be imported into.", "Name another ledger's folder.")
        _refuse_unverified(source, folder, against, progress)
        identities = source.identities
        _refuse_unfit(ledger, source, identities)
        checkpoint, note = _signed(source)
        history = identities[0].key.name
        here = _here(ledger, history)
        _refuse_discontinued(source, here, checkpoint.size)
        under = _under(here, named_under)
        found = plan(ledger, source, history, here.places, checkpoint, under, progress)
        if ledger.log.last_seq_of(f"history:{history}") != here.last_seq:
            raise _at_the_same_time(ledger, history)
        refuse_names(history, found.taken, again=here.announced is not None)
        said = _said(identities, checkpoint, note, found, here, under, against, key)
        unsigned = source.log.size() - checkpoint.size
        before = len(here.places)
        has_news = said.first < said.size or (
            said.vouched != "nothing" and (here.announced is None or here.announced.vouched == "nothing")
        )
        if dry_run or not has_news:
            return Imported(said, None, None, found, 0, unsigned, before)
        _refuse_unsignable(ledger)
        copied = _copy_artifacts(source.objects, ledger.objects, found, progress)
        said = msgspec.structs.replace(said, artifacts=len(found.artifacts), missing_artifacts=len(found.missing))
        first, last = _append(ledger, source, said, found, here, progress)
        return Imported(said, first, last, found, copied, unsigned, before)


# What is refused -------------------------------------------------------------------------------------------


def _open_other(folder: Path | str) -> Ledger:
    try:
        return open_ledger(folder, for_verification=True)
    except NotFound as error:
        raise NotFound(error.message, "Name the folder of the other ledger, which holds .tally.") from error


def _refuse_unverified(source: Ledger, folder: Path | str, against: Receipt | None, progress: Progress) -> None:
    asked = Asked(against=[against] if against else [], of_a_stranger=True)
    verdict = verify(source, asked, progress)
    if not verdict.verified:
        finding = verdict.findings[0]
        raise Refused(
            f"{folder} does not verify: {finding.kind} at {finding.where}. {finding.words} Nothing was imported.",
            f"`tally verify --ledger {folder}` shows all of it. Ask its owner for another copy.",
        )


def _refuse_unfit(ledger: Ledger, source: Ledger, identities: Sequence[Identity]) -> None:
    if source.genesis.clock == "replayed":
        raise Refused(
            "It tells a replayed story, whose times are those of the story: a story must not become history.",
            "Look around in it as it is, with --ledger.",
        )
    if ledger.genesis.clock == "replayed":
        raise Refused(
            "This ledger tells a replayed story; a history from elsewhere cannot be imported into it.",
            "Import into a ledger of your own: tally init",
        )
    names = {identity.key.name for identity in ledger.identities}
    if source.log.event(0).id == ledger.log.event(0).id or names & {identity.key.name for identity in identities}:
        raise Refused(
            f"It is this very ledger, {ledger.origin}, or a copy that parted from it.",
            "A copy is compared, not imported: tally verify --ledger PATH --backup-of THIS",
        )


def _refuse_unsignable(ledger: Ledger) -> None:
    """Who is going to sign it at the end has to be able to remember it: said now, not when everything is there."""
    if key_store.find_signer(ledger.identity.key) is None:
        return
    try:
        pins.refuse_unwritable(ledger.origin)
    except TallyError as error:
        raise type(error)(f"{error.message} Nothing was imported.", error.hint) from error


def _signed(source: Ledger) -> tuple[Checkpoint, str]:
    """The newest signed state of the source: as far as this, and no farther, it is imported."""
    newest = source.log.newest_checkpoint()
    if newest is None:
        raise Refused("Nothing of it is signed.", "Its owner signs with `tally receipt`.")
    size, note = newest
    return Checkpoint(source.origin, size, source.root_at(size)), note


def _refuse_discontinued(source: Ledger, here: _Here, size: int) -> None:
    before = len(here.places)
    if not before:
        return
    if size < before:
        raise Refused(
            f"c0 to c{before - 1} of it are here already, but only {size} commits of it are there and signed: "
            "it was rolled back, or this is an older copy. Nothing was imported.",
            "Import its newest copy.",
        )
    if source.root_at(before) != here.frontier.root():
        raise Refused(
            f"It does not continue what was imported of it: its first {before} commits are not the same as here. "
            "It was rewritten since, or two histories have one name. Nothing was imported.",
            "Keep both: what is here was signed by its key once. Ask its owner.",
        )


def _under(here: _Here, asked: str | None) -> str | None:
    if here.announced is None:
        if asked is not None and not _is_name(asked):
            raise InvalidInput(
                f"{asked!r} is not a name to read others under.", "Give up to 60 letters, digits, dots, hyphens."
            )
        return asked
    if asked is not None and asked != here.announced.named_under:
        called = f"under {here.announced.named_under}/" if here.announced.named_under else "as they are"
        raise Refused(
            f"Its names are read {called} here since it was imported first; that stays so.", "Leave out --as."
        )
    return here.announced.named_under


def _is_name(text: str) -> bool:
    return 0 < len(text) <= 60 and text.isascii() and text.replace("-", "").replace("_", "").replace(".", "").isalnum()


# What is here, and who vouches -----------------------------------------------------------------------------


def _here(ledger: Ledger, history: str) -> _Here:
    """What of a history is here, recomputed from this ledger."""
    log, places, frontier = ledger.log, Places(), Frontier()
    last_seq = log.last_seq_of(f"history:{history}")
    if last_seq is None:
        return _Here(places, frontier, None, None)
    announced: HistoryImported | None = None
    for stored in log.events(types={HistoryImported.TYPE}):
        body = None if stored.data is None else vocabulary.decode(stored.data).body
        if isinstance(body, HistoryImported) and body.history == history:
            announced = body
    for commit, seq, said in walk(log, history):
        if said.n != len(places):
            raise Damaged(f"What was imported of {history} has a gap at c{commit.n}.", "`tally verify` says more.")
        text = commit_text(said.head, names_there(said, log.hashes(seq + 1, min(seq + said.copied, commit.last_seq))))
        frontier.append(leaf_hash(leaf_entry(text)))
        places.add(said, seq)
    return _Here(places, frontier, announced, last_seq)


def _said(
    identities: Sequence[Identity],
    checkpoint: Checkpoint,
    note: str,
    found: ImportPlan,
    here: _Here,
    under: str | None,
    against: Receipt | None,
    key: VerifierKey | None,
) -> HistoryImported:
    """The event that says what comes, and who vouches for it."""
    said = HistoryImported(
        history=identities[0].key.name,
        name=checkpoint.origin,
        first=len(here.places),
        size=checkpoint.size,
        root=checkpoint.root.hex(),
        checkpoint=note,
        vouched="nothing",
        receipt=None,
        key=None,
        relied_since=None,
        named_under=under,
        events=found.events,
        left_out=found.left_out,
        artifacts=len(found.artifacts),
        missing_artifacts=len(found.missing),
    )
    replace = msgspec.structs.replace
    if against is not None:
        if against.checkpoint.size > checkpoint.size:
            raise Refused(
                f"The receipt is of {count(against.checkpoint.size, 'commit')}, but only {checkpoint.size} of them are "
                "signed there: what was signed once is not there any more. Nothing was imported.",
                "Ask its owner, who signs all of it with `tally receipt`.",
            )
        if not leads_on(identities, against.checkpoint.size):
            raise Refused(
                f"The receipt vouches for its first {against.checkpoint.size} commits; after them its key was "
                "replaced without the signature of the old one, or was not safe. Nothing was imported.",
                "Give a receipt from after that, or the new key by another way: --key",
            )
        return replace(said, vouched="receipt", receipt=receipt_line(against.checkpoint))
    if key is not None:
        if not leads_from(identities, key):
            raise Refused(
                f"It is not signed by the key that was given, {key.key_id.hex()} of {key.name}, nor by one that "
                f"follows from it, but by {identities[-1].key.key_id.hex()} of {checkpoint.origin}. "
                "Nothing was imported.",
                "Ask its owner for the key by another way: tally key show --vkey",
            )
        return replace(said, vouched="key", key=key.format())
    pin = pins.read_pin(checkpoint.origin)
    if pin is not None and leads_from(identities, VerifierKey.parse(pin.key)):
        return replace(said, vouched="pin", key=pin.key, relied_since=pin.since)
    earlier = here.announced
    if earlier is not None and earlier.vouched != "nothing" and leads_on(identities, earlier.size):
        return replace(said, vouched="import")
    return said


# Copying ---------------------------------------------------------------------------------------------------


def _copy_artifacts(source: Objects, target: Objects, found: ImportPlan, progress: Progress) -> int:
    """Files before the events that name them; how many were not here."""
    copied = 0
    for done, name in enumerate(sorted(found.artifacts)):
        progress("artifacts", done, len(found.artifacts))
        copied += target.take(source, name)
    return copied


def _append(
    ledger: Ledger, source: Ledger, said: HistoryImported, found: ImportPlan, here: _Here, progress: Progress
) -> tuple[int | None, int | None]:
    """Say it, then copy commit by commit; the first and the last commit here."""
    entity, last_seq, first = f"history:{said.history}", here.last_seq, None
    copying = _Copying(ledger, source, said, found, here.places)
    last: int | None = None
    try:
        if not _is_said(here, said):
            # Declared here, so that the commits that follow hold nothing but what is theirs.
            types = {*found.types, (CommitImported.TYPE, CommitImported.VERSION)}
            announced = ledger.announce(said, types, expected={entity: last_seq})
            first, last_seq = announced.n, announced.last_seq
        for copies in _batches(copying.copies()):
            # The first one must find nothing newer about this history: of two imports at once only one goes on.
            copies[0] = copies[0]._replace(expected={**copies[0].expected, entity: last_seq})
            appended = ledger.append_copies(copies)
            last, last_seq = appended[-1].n, copying.last_seq
            progress("commits", len(here.places) - said.first, said.size - said.first)
    except Conflict as error:
        raise _at_the_same_time(ledger, said.history, f"{error.message} ") from error
    return first, last


def _is_said(here: _Here, said: HistoryImported) -> bool:
    """Whether an interrupted import said the same before."""
    earlier = here.announced
    return (
        earlier is not None
        and (earlier.size, earlier.root) == (said.size, said.root)
        and (earlier.vouched != "nothing") == (said.vouched != "nothing")
    )


def _batches(copies: Iterator[Copy]) -> Iterator[list[Copy]]:
    batch: list[Copy] = []
    events = 0
    for copy in copies:
        batch.append(copy)
        events += len(copy.batch)
        if events >= EVENTS_AT_ONCE or len(batch) >= COMMITS_AT_ONCE:
            yield batch
            batch, events = [], 0
    if batch:
        yield batch


class _Copying:
    """Makes commits of the other ledger ready to be commits of this one, in order."""

    def __init__(
        self, ledger: Ledger, source: Ledger, said: HistoryImported, found: ImportPlan, places: Places
    ) -> None:
        self.ledger = ledger
        self.source = source
        self.said = said
        self.found = found
        self.places = places
        self.met = set(found.met_before)
        self.last_seq = -1
        self.stand_ins: dict[tuple[int, int], bytes] = {}

    def copies(self) -> Iterator[Copy]:
        for part in self.found.parts(self.source, self.said.first, self.said.size):
            yield self._copy(part)

    def _copy(self, part: Part) -> Copy:
        n, head = part.commit.n, decode_head(part.commit.head)
        named = [(stored.id, stored.sha256) for stored in part.stored]
        if leaf_hash(leaf_entry(commit_text(part.commit.head, named))) != self.found.leaves[n - self.said.first]:
            raise _changed(n)
        batch: list[Encoded] = []
        types = {(CommitImported.TYPE, CommitImported.VERSION)}
        expected: dict[str, int | None] = {}
        left: list[tuple[int, Stored]] = []
        corrections: dict[int, Corrected] = {}
        for place, stored in enumerate(part.stored):
            if stored.data is None or place in part.left:
                correction = corrected_there(self.source.log, stored, part, self.places, corrections.keys())
                if correction is not None:
                    corrections[place] = correction
                left.append((place, stored))
                continue
            if hashes(stored.data) != (stored.id, stored.sha256):
                raise _changed(n)
            event = vocabulary.named_under(vocabulary.decode(stored.data, stored.type), part.under)
            entities = vocabulary.entities(event)
            if vocabulary.is_known(event):
                types.add((event.t, event.v))
            for entity in entities:
                if entity not in self.met and entity.partition(":")[0] not in vocabulary.BY_CONTENT:
                    self.met.add(entity)
                    expected[entity] = None
            batch.append(Encoded(stored.type, stored.data, (stored.id, stored.sha256), entities))
        if corrections:
            types.add((EventCorrected.TYPE, EventCorrected.VERSION))
        body = self._body(part, len(batch), left, corrections.keys())
        self.places.add(body)
        encoded = self.ledger.appender.encoded([Draft(body, occurred_at=head.recorded_at)], dt.datetime.now(dt.UTC))
        return Copy(
            batch=[*encoded, *batch],
            types=frozenset(types),
            actor=head.actor,
            note=_note(self.said.history, n, body.proven, head),
            expected=expected,
            closing=lambda first: self._close(n, first, corrections),
            named_under=part.under,
        )

    def _body(
        self, part: Part, copied: int, left: Sequence[tuple[int, Stored]], again: Collection[int]
    ) -> CommitImported:
        items, following = [], copied
        for place, stored in left:
            following += place in again
            text = None if stored.data is None or stored.type == SchemaDeclared.TYPE else stored.data.decode()
            items.append(
                LeftOut(
                    place=place,
                    id=stored.id.hex(),
                    sha256=stored.sha256.hex(),
                    type=stored.type,
                    body=text,
                    instead=following if place in again else None,
                )
            )
        return CommitImported(
            history=self.said.history,
            n=part.commit.n,
            head=part.commit.head,
            copied=copied,
            left_out=items,
            proven=self.said.vouched != "nothing" and part.proven,
            named_under=part.under,
        )

    def _close(self, n: int, first: int, corrections: Mapping[int, Corrected]) -> list[Encoded]:
        """Corrections with the positions that things have here; called when they are known."""
        self.places.settle(n, first)
        made: list[Encoded] = []
        for place, (target, event_id, said, occurred_at) in corrections.items():
            seq = self.places.here(*target)
            assert seq is not None
            named = event_id or self.stand_ins.get(target) or self.ledger.log.event(seq).id
            body = EventCorrected(correction=str(seq), event=named.hex(), type=said.type, reason=said.reason)
            draft = Draft(body, cause=(named.hex(),), occurred_at=occurred_at)
            made += self.ledger.appender.encoded([draft], occurred_at)
            self.stand_ins[n, place] = made[-1].hashes[0]
        self.last_seq = first
        return made


def _note(history: str, n: int, is_proven: bool, head: Head) -> str:
    said = f"imported: c{n} of {history}{'' if is_proven else ', UNPROVEN'}"
    return f"{said}. {head.note}" if head.note else said


def _changed(n: int) -> Damaged:
    return Damaged(
        f"Its c{n} was changed while it was read. What was imported before it is as it was signed.",
        "Find out who writes to it, then give the same command again.",
    )


def _at_the_same_time(ledger: Ledger, history: str, words: str = "") -> Conflict:
    return Conflict(
        f"Something else was recorded here at the same time: {words}"
        f"{count(brought(ledger, history), 'commit')} of {history} are here.",
        "Give the same command again: it looks again, and goes on from there.",
    )


def brought(ledger: Ledger, history: str) -> int:
    """How many commits of a history are here, as the newest event about it says."""
    seq = ledger.log.last_seq_of(f"history:{history}")
    body = None if seq is None else ledger.event(seq).event.body
    if isinstance(body, CommitImported):
        return body.n + 1
    return body.first if isinstance(body, HistoryImported) else 0
