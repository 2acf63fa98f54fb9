"""Questions about the ledger as of a moment: snapshots, blame, differences, lineage."""
