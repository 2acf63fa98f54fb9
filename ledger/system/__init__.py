"""What the machine gives: atomic files, locks, git, time zones, a replayed clock, who records."""
