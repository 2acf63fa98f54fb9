"""A past year lived again, month by month, in a ledger of its own."""
