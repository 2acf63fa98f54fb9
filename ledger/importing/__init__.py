"""The history of another ledger, copied in with its identity kept."""
