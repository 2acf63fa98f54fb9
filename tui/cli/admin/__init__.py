"""Commands of administration: keys, backup, redaction."""
