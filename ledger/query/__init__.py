"""Questions about the ledger as of a moment.

A snapshot (:mod:`.snapshot`) is the one door to the evidence: entities, and events and commits (:mod:`.evidence`). The
other files are named questions about one: blame, differences, lineage, the timeline, the board, the list of runs, the
search of events, names, periods, checkpoints, and SQL that somebody types.
"""
