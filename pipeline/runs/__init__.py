"""The deeds: run, reproduce, refit, the final test, a proposal."""
