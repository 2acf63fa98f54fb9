"""Commands that ask: status, history, diff, explain, lineage, trials."""
