"""What runs and periods leave in the ledger, and how it is read back."""
