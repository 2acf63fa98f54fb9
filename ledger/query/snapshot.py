"""The ledger as it was known at one position: a read-only value with all the questions as methods."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from tallystick.ledger.errors import NotFound
from tallystick.ledger.events.entry import Entry
from tallystick.ledger.events.event import Period
from tallystick.ledger.query import blame, knowledge, lineage
from tallystick.ledger.query.as_of import resolve_event
from tallystick.ledger.query.blame import HistoryStep, Why
from tallystick.ledger.query.diff import Difference, compare, difference
from tallystick.ledger.query.knowledge import Knowledge
from tallystick.ledger.query.lineage import Direction, Lineage
from tallystick.ledger.query.trials import TrialReader
from tallystick.ledger.storage.entries import entries
from tallystick.ledger.views.entities import BY_STATE, LinkState
from tallystick.ledger.views.entities.aliases import ALIASES
from tallystick.ledger.views.fold import READ_TYPES
from tallystick.ledger.views.projection import State
from tallystick.ledger.views.store import MemoryViews

S = TypeVar("S", bound=State)


class Snapshot(TrialReader):
    """Everything that was known right after one commit.

    Attributes
    ----------
    as_of : AsOf
        The position, and the words to head an answer with.
    """

    def sql(self, instead: Mapping[type[State], Sequence[State]] | None = None) -> sqlite3.Connection:
        """A connection for questions in SQL: one view for each kind of entity, as it was known; it cannot write.

        ``instead`` are all states of some kinds, to be answered in place of those that were recorded.
        """
        given = {BY_STATE[kind]: states for kind, states in (instead or {}).items()}
        return self._views.sql(self._position, given)

    # Questions ---------------------------------------------------------------------------------------------

    def diff(self, other: Snapshot) -> Difference:
        """What is different in ``other``: entity by entity and field by field, with the events that made it so."""
        if self._views is other._views:
            return difference(self._views, self.as_of, other.as_of)
        return compare(self._views, self.as_of, self._position, other._views, other.as_of, other._position)

    def why(self, question: str) -> Why:
        """Why a field is what it is: ``pipeline:late-arrivals.champion``, ``late-arrivals-v1.status``.

        An alias needs no field: ``alias:fraud-model/champion`` is asked for the version that it points to.

        Raises
        ------
        NotFound
            When there is no such entity, or it has no such field.
        """
        handle, _, field = question.rpartition(".")
        # A run and its decision bear one name: the one that has the field is meant.
        found = self._names.find(handle, field) if handle else None
        whole = None if found is not None else self._names.find(question)
        if found is None and whole is None and handle:
            found = self._names.named(handle, field)
        if whole is not None and whole.projection is ALIASES:
            found, field = whole, "version"
        if found is None or field == "seq" or field not in found.state.__struct_fields__:
            projection, name, state = found or self._names.named(question)
            fields = [field for field in state.__struct_fields__ if field not in ("seq", projection.key)]
            raise NotFound(
                f"Which field of {projection.key}:{name}? It has {', '.join(fields)}.",
                f"For example {projection.key}:{name}.{fields[-1]}",
            )
        answer = blame.why(self._views, found.projection, found.name, field, self._position)
        assert answer is not None
        return answer

    def story(self, handle: str) -> list[HistoryStep]:
        """The life of an entity: every event that changed it, oldest first; NotFound where it is unknown."""
        projection, name, _ = self._names.named(handle)
        return list(blame.story(self._views, projection, name, self._position))

    def lineage(self, handle: str, direction: Direction = "both", *, depth: int = 100, most: int = 1_000) -> Lineage:
        """What an entity comes from (``up``), what comes from it (``down``), or both; see
        :mod:`ledger.query.lineage`."""
        return lineage.lineage(self._links, self.node(handle), direction, depth, most)

    def paths(self, one: str, other: str) -> Lineage:
        """Every path between two entities; NotFound where none leads from one to the other."""
        return lineage.between(self._links, self.node(one), self.node(other))

    def know(self, about: Period, pipeline: str | None = None) -> Knowledge:
        """What was known about a period ``[from, to)``, and how late it came."""
        return knowledge.know(self._views, about, self._position, pipeline and self.pipeline(pipeline).pipeline)

    def node(self, handle: str) -> str:
        """How an entity, an event (``#76``) or a source of data is called in the lineage; NotFound where unknown."""
        if handle.startswith("#"):
            handle = f"#{resolve_event(handle, self._views.log)}"
        if handle.startswith(("#", "source:")):
            if self._links(handle, "up") or self._links(handle, "down"):
                return handle
            raise NotFound(
                f"Nothing in the lineage hangs on {handle}, {self.as_of.words}.",
                "Promotions, approvals and retirements stand there as events; everything else by its name.",
            )
        projection, name, _ = self._names.named(handle)
        return f"{projection.key}:{name}"

    def links(self, node: str, towards: str) -> list[LinkState]:
        """The edges of a node of the lineage, downwards (``down``) or upwards (``up``), oldest first."""
        return self._links(node, towards)

    # What if -----------------------------------------------------------------------------------------------

    def without(self, *events: int | str) -> Snapshot:
        """The same moment as if these events (``812`` or ``"#812"``) had not been recorded.

        Folded in memory and never stored; its cost is that of reading everything that the views follow from.
        """
        seqs = [event if isinstance(event, int) else resolve_event(event, self._views.log) for event in events]
        told = self._entries()
        missing = set(seqs) - {entry.seq for entry in told}
        if missing:
            raise NotFound(
                f"Nothing that is known then follows from {_hash_list(missing)}.",
                "`tally story` and `tally why` name the events that something follows from.",
            )
        kept = [entry for entry in told if entry.seq not in set(seqs)]
        said = f"supposing that {_hash_list(seqs)} had not been recorded" if seqs else ""
        supposed = f"{self.as_of.supposed} {said}".strip()
        return Snapshot(MemoryViews(self._views.log, kept), self.as_of._replace(supposed=supposed), self._clock)

    def _entries(self) -> list[Entry]:
        if isinstance(self._views, MemoryViews):
            return list(self._views.told)
        return list(entries(self._views.log, 0, self.as_of.seq, READ_TYPES, erased=True))

    def _links(self, node: str, towards: str) -> list[LinkState]:
        return self._views.links(node, towards, self._position)


def _hash_list(seqs: Iterable[int]) -> str:
    return ", ".join(f"#{seq}" for seq in sorted(seqs))
