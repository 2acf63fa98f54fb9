"""Commands that exchange: import of another ledger."""
