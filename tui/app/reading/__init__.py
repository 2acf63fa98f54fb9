"""What the app reads from the ledger, beside the screen's thread, at the position of the time cursor."""
