"""The champion in live periods: facts, its own range, findings in words."""
