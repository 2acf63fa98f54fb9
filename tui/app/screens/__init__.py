"""The panes of the terminal app: what is asked of the ledger at the time cursor, and how the answer is shown."""
