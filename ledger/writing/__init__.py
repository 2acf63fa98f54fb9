"""Writing to an open ledger: what is refused, what is declared, and who signs."""
