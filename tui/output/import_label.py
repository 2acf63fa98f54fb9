"""What is said about a commit that was copied from another ledger, wherever it is shown."""

from __future__ import annotations

import contextlib
from typing import Any

from tallystick import ledger
from tallystick.ledger.errors import Damaged
from tallystick.ledger.events.commit import decode_head
from tallystick.ledger.events.sentences import count
from tallystick.ledger.events.types import CommitImported
from tallystick.ledger.storage.imported_commits import Copied, copied_in, within
from tallystick.ledger.storage.log import Commit
from tallystick.ledger.views.entities import HistoryState
from tallystick.tui.output.console import heading
from tallystick.tui.output.values import moment_words


def source_words(book: ledger.Ledger, commit: Commit) -> str:
    """Which commit of which ledger it was, when, and who vouches for it by now; empty for the ledger's own."""
    copied = copied_in(book.log, commit)
    if copied is None:
        return ""
    said = f"imported: it was c{copied.said.n} of {copied.said.history}"
    try:
        head = decode_head(copied.said.head)
        said += f", recorded {moment_words(head.recorded_at, book.zone)} by {head.actor} on {head.host}"
    except Damaged:
        pass  # `tally verify` says it
    if state := _state(book, copied.said.history):
        said += f"; {state.vouched}"
    if (inner := _within(copied)) is not None:
        proven = "" if inner.proven else ", UNPROVEN"
        said += f"; that ledger had imported it itself, from {inner.history}{proven}"
    return said


def imported_json(book: ledger.Ledger, commit: Commit) -> dict[str, Any] | None:
    """The same for programs; None for the ledger's own commits."""
    copied = copied_in(book.log, commit)
    if copied is None:
        return None
    state, inner = _state(book, copied.said.history), _within(copied)
    is_proven = state.proven if state else copied.said.proven
    return {
        "history": f"history:{copied.said.history}",
        "n": copied.said.n,
        "proven": is_proven and (inner is None or inner.proven),
        "proven_when_imported": copied.said.proven,
    }


def aside_words(book: ledger.Ledger, n: int) -> str:
    """The same in brackets, for a line about one event of commit ``n``: whether it is proven, and of which day."""
    commit = book.log.commit(n)
    said = imported_json(book, commit)
    copied = copied_in(book.log, commit)
    if said is None or copied is None:
        return ""
    with contextlib.suppress(Damaged):  # `tally verify` says it
        there = decode_head(copied.said.head).recorded_at.astimezone(book.zone)
        return f" (imported{'' if said['proven'] else ', UNPROVEN'}, there {there:%Y-%m-%d})"
    return f" (imported{'' if said['proven'] else ', UNPROVEN'})"


def unproven_line(snapshot: ledger.Snapshot) -> None:
    """Above an answer that does not say of each of its lines where it comes from."""
    for state in snapshot.histories():
        if not state.proven:
            heading(history_words(state))


def history_words(state: HistoryState) -> str:
    """One imported history in one line."""
    under = f", names read under {state.named_under}/" if state.named_under else ""
    return f"imported: {count(state.commits, 'commit')} of {state.history}{under}; {state.vouched}"


def _within(copied: Copied) -> CommitImported | None:
    with contextlib.suppress(Damaged):  # `tally verify` says it
        return within(copied.said)
    return None


def _state(book: ledger.Ledger, history: str) -> HistoryState | None:
    found = book.now().find(f"history:{history}")
    return found if isinstance(found, HistoryState) else None
