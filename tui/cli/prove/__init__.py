"""Commands that prove: verify, anchor, prove."""
