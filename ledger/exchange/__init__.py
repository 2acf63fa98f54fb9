"""Other trackers: their clients write into the ledger, and what they hold is shown from it.

Nothing of another product is imported before it is used: the modules that subclass its types are reached through
:mod:`.entry_points` only.
"""
