"""What is said about a commit that was copied from another ledger, wherever it is shown."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from tallystick import ledger
from tallystick.ledger.events.sentences import count
from tallystick.ledger.query.commits import Source
from tallystick.ledger.views.entities import HistoryState
from tallystick.tui.output.console import heading
from tallystick.tui.output.values import moment_words


def source_words(snapshot: ledger.Snapshot, n: int, zone: ZoneInfo) -> str:
    """Which commit of which ledger commit ``n`` is a copy of, and who vouches for it; empty for the ledger's own."""
    source = snapshot.source(n)
    if source is None:
        return ""
    said = f"imported: it was c{source.said.n} of {source.said.history}"
    if source.head is not None:  # `tally verify` says where it cannot be read
        when = moment_words(source.head.recorded_at, zone)
        said += f", recorded {when} by {source.head.actor} on {source.head.host}"
    if state := _history(snapshot, source):
        said += f"; {state.vouched}"
    if (inner := source.within) is not None:
        proven = "" if inner.proven else ", UNPROVEN"
        said += f"; that ledger had imported it itself, from {inner.history}{proven}"
    return said


def imported_json(snapshot: ledger.Snapshot, n: int) -> dict[str, Any] | None:
    """The same for programs; None for the ledger's own commits."""
    source = snapshot.source(n)
    if source is None:
        return None
    return {
        "history": f"history:{source.said.history}",
        "n": source.said.n,
        "proven": _is_proven(snapshot, source),
        "proven_when_imported": source.said.proven,
    }


def aside_words(snapshot: ledger.Snapshot, n: int, zone: ZoneInfo) -> str:
    """The same in brackets, for a line about one event of commit ``n``: whether it is proven, and of which day."""
    source = snapshot.source(n)
    if source is None:
        return ""
    there = f", there {source.head.recorded_at.astimezone(zone):%Y-%m-%d}" if source.head is not None else ""
    return f" (imported{'' if _is_proven(snapshot, source) else ', UNPROVEN'}{there})"


def unproven_line(snapshot: ledger.Snapshot) -> None:
    """Above an answer that does not say of each of its lines where it comes from."""
    for state in snapshot.histories():
        if not state.proven:
            heading(history_words(state))


def history_words(state: HistoryState) -> str:
    """One imported history in one line."""
    under = f", names read under {state.named_under}/" if state.named_under else ""
    return f"imported: {count(state.commits, 'commit')} of {state.history}{under}; {state.vouched}"


def _is_proven(snapshot: ledger.Snapshot, source: Source) -> bool:
    state = _history(snapshot, source)
    proven = state.proven if state else source.said.proven
    return proven and (source.within is None or source.within.proven)


def _history(snapshot: ledger.Snapshot, source: Source) -> HistoryState | None:
    found = snapshot.find(f"history:{source.said.history}")
    return found if isinstance(found, HistoryState) else None
