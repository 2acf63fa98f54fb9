"""Commands that report: a watched period, the audit."""
