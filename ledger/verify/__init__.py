"""Verification: the log, the views, imports, trust and rollback, and the report about them."""
