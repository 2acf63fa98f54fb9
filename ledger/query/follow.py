"""New events, as they are appended by any process."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

from tallystick.ledger.events.entry import Entry
from tallystick.ledger.storage.entries import entries
from tallystick.ledger.storage.log import Log

BATCH = 1_000


def follow(log: Log, known: int, poll_seconds: float) -> Iterator[Entry]:
    """Events after position ``known``, each once and in order, without end.

    Parameters
    ----------
    poll_seconds : float
        How long to wait before looking again when there was nothing new.
    """
    connection, version = log.reader, None
    while True:
        # Changes with every commit of another connection, and is cheaper to ask than any table.
        newest = connection.execute("PRAGMA data_version").fetchone()[0]
        if newest != version:
            version = newest
            # A batch at a time: an open question would keep the write-ahead log from being folded.
            while batch := list(itertools.islice(entries(log, known + 1, log.commit(log.size() - 1).last_seq), BATCH)):
                known = batch[-1].seq
                yield from batch
        else:
            time.sleep(poll_seconds)
