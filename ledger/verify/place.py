"""Where a finding is, as people speak of it: its commit, the time of it, and its run."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

import msgspec

from tallystick.ledger.errors import TallyError
from tallystick.ledger.events import types
from tallystick.ledger.events.commit import from_micros
from tallystick.ledger.storage.log import Log
from tallystick.ledger.verify.scan import Contradiction


def placed(finding: Contradiction, log: Log, damaged: Collection[int]) -> Contradiction:
    """A finding about an event, with the commit and the run that it falls into; any other as it is."""
    if finding.kind not in ("BODY ALTERED", "BODY MISSING") or not finding.where.startswith("#"):
        return finding
    try:
        commit = log.commit_of(int(finding.where[1:].partition("-")[0]))
        said = f" It is in c{commit.n}, recorded {from_micros(commit.recorded_at):%Y-%m-%d %H:%M:%S} UTC"
        for stored in log.events(commit.first_seq, commit.last_seq):
            if stored.data is not None and stored.seq not in damaged:
                run = getattr(types.decode(stored.data).body, "run", None)
                if run:
                    said += f", of run {run}"
                    break
    except (TallyError, IndexError, ValueError, sqlite3.Error):
        return finding
    return msgspec.structs.replace(finding, words=f"{finding.words}{said}.")
