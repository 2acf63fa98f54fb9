"""A position of the time cursor in full, and in which words the screen says it."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from tallystick import ledger
from tallystick.ledger.events.event import Event, Period
from tallystick.ledger.events.sentences import count, sentence
from tallystick.ledger.events.types import entities, is_known
from tallystick.ledger.query.as_of import AsOf
from tallystick.tui.output.escape import show
from tallystick.tui.output.values import moment_words, period_words

MOST_EVENTS = 200
"""Events of one commit that are looked at for its line of words."""
BOOKKEEPING = ("schema.declared", "artifact.stored", "ledger.created")
TELLING = (
    "event.corrected", "model.promoted", "model.retired", "promotion.decided", "waiver.granted", "waiver.ended",
    "automation.changed", "decision.approved", "prediction.refused", "period.monitored", "finding.made",
    "decision.taken", "gate.evaluated", "run.failed", "run.finished", "run.started", "candidate.refitted",
)  # fmt: skip
"""Types whose sentence stands for a whole commit, the most telling first."""


class At(NamedTuple):
    """Where the cursor stands."""

    n: int
    """Commit."""
    is_now: bool
    about: Period | None = None
    """The period that knowledge is about."""
    moment: dt.datetime | None = None
    """The date that was typed, where one was."""


class Mark(NamedTuple):
    """One side of a comparison: a position in time, and what was selected there."""

    n: int
    handle: str = ""

    @property
    def words(self) -> str:
        """``c41 (run:2013-01-01.1)``."""
        return f"c{self.n}{f' ({self.handle})' if self.handle else ''}"


class Moment(NamedTuple):
    """A position in full, read from the ledger."""

    at: At
    as_of: AsOf
    newest: int
    """The newest commit."""
    time: dt.datetime
    """What "today" is there: what is compared with expiry dates."""
    heads: tuple[str, ...]
    """The banner's words, from the longest to the shortest."""
    said: str
    """What the commit at the cursor says."""
    touched: frozenset[str]
    """Its events, and the handles that they refer to."""
    origin: str


def read_moment(book: ledger.Ledger, at: At) -> Moment:
    """Everything about a position that stands on every screen."""
    newest = book.size() - 1
    n = newest if at.is_now else min(at.n, newest)
    at = at._replace(n=n)
    snapshot = book.at_commit(n, at.moment)
    as_of = snapshot.as_of
    genesis = book.genesis
    live_now = at.is_now and genesis.clock == "live"
    time = book.clock() if live_now else (at.moment or as_of.recorded_at)
    events = _events(snapshot)
    telling = _most_telling(events)
    touched = frozenset(name for event in events.values() for name in entities(event) if is_known(event))
    touched |= {f"#{seq}" for seq in events}
    return Moment(at, as_of, newest, time, _heads(book, at, as_of, genesis.clock), _said(book, as_of, telling),
                  touched, book.origin)  # fmt: skip


def _heads(book: ledger.Ledger, at: At, as_of: AsOf, clock: str) -> tuple[str, ...]:
    replayed = "REPLAYED CLOCK · " if clock == "replayed" else ""
    name = book.origin.rpartition("-")[0]
    moment = (at.moment or as_of.recorded_at).astimezone(book.zone)
    about = f" · about {period_words(at.about, book.zone)}" if at.about else ""
    if at.is_now:
        now = f"NOW · {as_of.handle}"
        return (f"tallystick · {name} · {replayed}{now} · {count(as_of.seq + 1, 'event')}{about}",
                f"{name} · {replayed}{now}{about}", f"{now}{about}")  # fmt: skip
    known = f"THE PAST · {'known on' if at.about else 'as of'} {moment:%Y-%m-%d %H:%M}"
    return (f"tallystick · {name} · {replayed}{known} {book.zone.key}{about} · {as_of.handle} · read-only",
            f"{replayed}{known} {book.zone.key}{about} · {as_of.handle} · read-only",
            f"{known} {book.zone.key}{about} · c{at.n}", f"{known}{about} · c{at.n}",
            f"THE PAST · {'known' if at.about else 'as of'} {moment:%Y-%m-%d}{about.replace(' ·', ',')}")  # fmt: skip


def _events(snapshot: ledger.Snapshot) -> dict[int, Event[object]]:
    commit = snapshot.commit(snapshot.as_of.n)
    found = snapshot.events(max(commit.first_seq, commit.last_seq - MOST_EVENTS + 1), commit.last_seq)
    # What cannot be read is said on the screens that show the event itself.
    return {one.seq: one.content for one in found if isinstance(one.content, Event)}


def _most_telling(events: dict[int, Event[object]]) -> Event[object] | None:
    def rank(item: Event[object]) -> int:
        return TELLING.index(item.t) if item.t in TELLING else len(TELLING) + (item.t in BOOKKEEPING)

    return min(events.values(), key=rank, default=None)


def _said(book: ledger.Ledger, as_of: AsOf, event: Event[object] | None) -> str:
    if event is None:
        return f"{as_of.handle.partition('-')[0]} · nothing that can be read"
    when = moment_words(as_of.recorded_at, book.zone)
    return show(f"{as_of.handle.partition('-')[0]} · {when} · {sentence(event)}", 400)
