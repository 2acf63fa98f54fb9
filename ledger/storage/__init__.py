"""The ledger on disk: the append-only SQLite log, artifacts by hash, the key history."""
